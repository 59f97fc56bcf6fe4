//! An authorizer as AWS's API defines it: what `CreateAuthorizer` accepts, and what `UpdateAuthorizer` makes of it.
//!
//! The messages are AWS's, word for word where they were measured: `docs/fidelity.md`.

use std::collections::BTreeMap;

use iot_policy::{arn::FunctionArn, limits::MAX_TOKEN_KEYS};
use serde::{Deserialize, Serialize};

use super::{
    authorizer::{AuthorizerName, AuthorizerStatus},
    parameters::TokenKeyName,
    signing::{KeyError, Signing, SigningKey, SigningKeys},
};

/// What an authorizer is, apart from its name. It is also the form in which the registry's file has it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Definition {
    /// `authorizerFunctionArn`.
    pub function_arn: String,
    /// `tokenKeyName`.
    pub token_key_name: Option<String>,
    /// `tokenSigningPublicKeys`, as PEM; none if signing is disabled.
    pub keys: Option<BTreeMap<String, String>>,
    /// `status`.
    pub status: AuthorizerStatus,
    /// `enableCachingForHttp`: whether its answers are kept for later HTTPS publishes of the same connection.
    pub caching_for_http: bool,
    /// `creationDate`, in milliseconds since 1970.
    pub created_at: i64,
    /// `lastModifiedDate`, in milliseconds since 1970.
    pub modified_at: i64,
}

/// What a call sets. What is `None` has its default at a creation, and stays as it is at an update.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// `authorizerFunctionArn`.
    pub function_arn: Option<String>,
    /// `tokenKeyName`.
    pub token_key_name: Option<String>,
    /// `tokenSigningPublicKeys`. An update adds them to those that there are.
    pub keys: Option<BTreeMap<String, String>>,
    /// `status`.
    pub status: Option<AuthorizerStatus>,
    /// `enableCachingForHttp`.
    pub caching_for_http: Option<bool>,
    /// `signingDisabled`, which no update changes.
    pub signing_disabled: bool,
}

/// Why a definition is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DefinitionError {
    /// The function's ARN can't be one.
    #[error("Lambda function arn for authorizer {0} is not in proper ARN syntax")]
    FunctionArn(AuthorizerName),
    /// Signing has no token key name.
    #[error("Token key name for authorizer {0} cannot be null")]
    NoTokenKeyName(AuthorizerName),
    /// The token key name is one that the gateway can't tell from AWS's own parameters.
    #[error("Token key name for authorizer {0} cannot begin with x-amz-")]
    TokenKeyName(AuthorizerName),
    /// Signing is disabled, and there are keys.
    #[error("Token signing keys map must be null for authorizer {0} if using optional signature header")]
    KeysWithoutSigning(AuthorizerName),
    /// There are more keys than two.
    #[error("Token signing keys map for authorizer {0} cannot contain more than {MAX_TOKEN_KEYS} keys")]
    TooManyKeys(AuthorizerName),
    /// There is no key, or an update leads to more than two.
    #[error(
        "Number of signing keys for authorizer {0} must neither be zero nor greater than {MAX_TOKEN_KEYS}"
    )]
    NumberOfKeys(AuthorizerName),
    /// A key is not RSA.
    #[error("Authorizer {0} public key for key name {1} not a valid RSA key")]
    NotRsa(AuthorizerName, String),
    /// A key is too short.
    #[error("Authorizer {0} public key for key name {1} invalid: Key must be 2048 bits but was {2} bits")]
    ShortKey(AuthorizerName, String, usize),
}

impl Definition {
    /// A new authorizer.
    ///
    /// # Errors
    ///
    /// When AWS does not accept it.
    pub fn new(name: &AuthorizerName, changes: Changes, now: i64) -> Result<Self, DefinitionError> {
        let Changes { function_arn, token_key_name, keys, status, caching_for_http, signing_disabled } =
            changes;
        let keys = match (signing_disabled, keys) {
            (true, Some(_)) => return Err(DefinitionError::KeysWithoutSigning(name.clone())),
            (true, None) => None,
            (false, _) if token_key_name.is_none() => {
                return Err(DefinitionError::NoTokenKeyName(name.clone()));
            }
            (false, Some(keys)) if keys.len() > MAX_TOKEN_KEYS => {
                return Err(DefinitionError::TooManyKeys(name.clone()));
            }
            (false, keys) => Some(keys.unwrap_or_default()),
        };
        let definition = Self {
            function_arn: function_arn.unwrap_or_default(),
            token_key_name,
            keys,
            status: status.unwrap_or(AuthorizerStatus::Inactive),
            caching_for_http: caching_for_http.unwrap_or_default(),
            created_at: now,
            modified_at: now,
        };
        definition.check(name)?;
        Ok(definition)
    }

    /// The authorizer after an update.
    ///
    /// # Errors
    ///
    /// When AWS does not accept it.
    pub fn updated(
        &self,
        name: &AuthorizerName,
        changes: Changes,
        now: i64,
    ) -> Result<Self, DefinitionError> {
        let Changes { function_arn, token_key_name, keys: added, status, caching_for_http, .. } = changes;
        let keys = match (&self.keys, added) {
            (None, Some(_)) => return Err(DefinitionError::KeysWithoutSigning(name.clone())),
            (Some(keys), Some(added)) => Some(keys.clone().into_iter().chain(added).collect()),
            (keys, None) => keys.clone(),
        };
        let definition = Self {
            function_arn: function_arn.unwrap_or_else(|| self.function_arn.clone()),
            token_key_name: token_key_name.or_else(|| self.token_key_name.clone()),
            keys,
            status: status.unwrap_or(self.status),
            caching_for_http: caching_for_http.unwrap_or(self.caching_for_http),
            created_at: self.created_at,
            modified_at: now,
        };
        definition.check(name)?;
        Ok(definition)
    }

    /// How tokens are checked.
    ///
    /// # Errors
    ///
    /// When the keys or their name can't be used.
    pub fn signing(&self, name: &AuthorizerName) -> Result<Signing, DefinitionError> {
        let token_key_name = self.token_key_name.as_deref().map(TokenKeyName::try_from).transpose();
        let token_key_name = token_key_name.map_err(|_| DefinitionError::TokenKeyName(name.clone()))?;
        let Some(keys) = &self.keys else { return Ok(Signing::Disabled(token_key_name)) };
        let key = |(key_name, pem): (&String, &String)| match SigningKey::from_pem(pem) {
            Ok(key) => Ok((key_name.clone(), key)),
            Err(KeyError::TooShort(bits)) => {
                Err(DefinitionError::ShortKey(name.clone(), key_name.clone(), bits))
            }
            Err(_) => Err(DefinitionError::NotRsa(name.clone(), key_name.clone())),
        };
        let keys = keys.iter().map(key).collect::<Result<_, _>>()?;
        let keys = SigningKeys::new(keys).map_err(|_| DefinitionError::NumberOfKeys(name.clone()))?;
        let token_key_name = token_key_name.ok_or_else(|| DefinitionError::NoTokenKeyName(name.clone()))?;
        Ok(Signing::Enabled(token_key_name, keys))
    }

    fn check(&self, name: &AuthorizerName) -> Result<(), DefinitionError> {
        if self.function_arn.parse::<FunctionArn>().is_err() {
            return Err(DefinitionError::FunctionArn(name.clone()));
        }
        self.signing(name).map(|_| ())
    }
}
