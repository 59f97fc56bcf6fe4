//! The authorizers of a gateway, and everything that is checked before a function is called.
//!
//! Source: AWS IoT Core developer guide, `config-custom-auth`.

use std::{collections::BTreeMap, sync::Arc};

use iot_policy::limits::MAX_ACTIVE_AUTHORIZERS;

use super::{
    authorizer::{AuthorizerName, AuthorizerStatus},
    error::AuthnError,
    parameters::Parameters,
    signing::{Signing, Token},
    unnamed::Unnamed,
};
use crate::lambda::function::Function;

/// An authorizer that can be called.
pub struct Authorizer {
    /// Its name.
    pub name: AuthorizerName,
    /// Whether clients can use it.
    pub status: AuthorizerStatus,
    /// Whether its tokens must be signed.
    pub signing: Signing,
    /// `enableCachingForHttp`: whether its answers are kept for later HTTPS publishes of the same connection.
    pub caching_for_http: bool,
    /// Its function.
    pub function: Function,
}

/// The authorizers of a gateway.
pub struct Authorizers {
    by_name: BTreeMap<AuthorizerName, Arc<Authorizer>>,
    default: Option<DefaultAuthorizer>,
}

/// The authorizer of clients that name none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DefaultAuthorizer {
    /// A person set it.
    Set(AuthorizerName),
    /// The gateway's only one, because nobody set any.
    Implied(AuthorizerName),
}

/// The authorizers that a domain configuration lets a client choose from.
#[derive(Clone, Copy, Debug)]
pub struct AuthorizerChoice<'a> {
    /// The authorizer of clients that name none, instead of the gateway's own default.
    pub default: Option<&'a AuthorizerName>,
    /// Whether a client may name another authorizer.
    pub allow_override: bool,
}

/// Why a gateway can't have these authorizers.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthorizersError {
    /// Two have the same name.
    #[error("there are two authorizers with the name `{0}`")]
    Duplicate(AuthorizerName),
    /// The default authorizer does not exist.
    #[error("the default authorizer `{0}` does not exist")]
    NoDefault(AuthorizerName),
    /// There are more than AWS allows.
    #[error("there are {0} active authorizers; AWS allows at most {MAX_ACTIVE_AUTHORIZERS}")]
    TooMany(usize),
}

/// A client whose authorizer may be called. Only [`Authorizers::admit`] makes it.
pub struct SelectedAuthorizer {
    authorizer: Arc<Authorizer>,
    token: Option<Token>,
    unnamed: Option<Unnamed>,
}

impl DefaultAuthorizer {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &AuthorizerName {
        match self {
            Self::Set(name) | Self::Implied(name) => name,
        }
    }
}

impl Authorizers {
    /// The authorizers; `default` is the authorizer of clients that name none.
    ///
    /// # Errors
    ///
    /// When two have the same name, the default does not exist, or too many are active.
    pub fn new(
        authorizers: Vec<Authorizer>,
        default: Option<DefaultAuthorizer>,
    ) -> Result<Self, AuthorizersError> {
        let active =
            authorizers.iter().filter(|authorizer| authorizer.status == AuthorizerStatus::Active).count();
        if active > MAX_ACTIVE_AUTHORIZERS {
            return Err(AuthorizersError::TooMany(active));
        }
        let mut by_name = BTreeMap::new();
        for authorizer in authorizers {
            let name = authorizer.name.clone();
            if by_name.insert(name.clone(), Arc::new(authorizer)).is_some() {
                return Err(AuthorizersError::Duplicate(name));
            }
        }
        match default {
            Some(default) if !by_name.contains_key(default.name()) => {
                Err(AuthorizersError::NoDefault(default.name().clone()))
            }
            default => Ok(Self { by_name, default }),
        }
    }

    /// Finds the authorizer that the parameters name, and checks the token.
    ///
    /// # Errors
    ///
    /// When no function may be called.
    pub fn admit(
        &self,
        parameters: &Parameters<'_>,
        choice: AuthorizerChoice<'_>,
    ) -> Result<SelectedAuthorizer, AuthnError> {
        let default = choice.default.or(self.default.as_ref().map(DefaultAuthorizer::name));
        let named = parameters.authorizer()?;
        let authorizer = match &named {
            Some(name) => self.find(name),
            None => default.and_then(|name| self.by_name.get(name)),
        };
        let authorizer = authorizer.ok_or_else(|| self.not_found())?;
        match default {
            Some(default) if !choice.allow_override && *default != authorizer.name => {
                return Err(AuthnError::Overridden(default.clone()));
            }
            _ => {}
        }
        if authorizer.status == AuthorizerStatus::Inactive {
            return Err(AuthnError::Inactive(authorizer.name.clone()));
        }
        let token = authorizer.signing.token(parameters)?;
        let unnamed = match &self.default {
            Some(DefaultAuthorizer::Implied(name)) if named.is_none() && choice.default.is_none() => {
                Some(Unnamed { authorizer: name.clone(), misspelt: parameters.misspelt_name() })
            }
            _ => None,
        };
        Ok(SelectedAuthorizer { authorizer: Arc::clone(authorizer), token, unnamed })
    }

    /// Whether there is an authorizer with this name.
    #[must_use]
    pub fn has(&self, name: &AuthorizerName) -> bool {
        self.by_name.contains_key(name)
    }

    fn find(&self, name: &str) -> Option<&Arc<Authorizer>> {
        self.by_name.get(&AuthorizerName::try_from(name).ok()?)
    }

    fn not_found(&self) -> AuthnError {
        let mut active =
            self.by_name.values().filter(|authorizer| authorizer.status == AuthorizerStatus::Active);
        AuthnError::NotFound { known: active.next().map(|authorizer| authorizer.name.clone()) }
    }
}

impl SelectedAuthorizer {
    /// The authorizer to call.
    #[must_use]
    pub fn authorizer(&self) -> &Arc<Authorizer> {
        &self.authorizer
    }

    /// What is to be said about a client that AWS would refuse, because it names no authorizer.
    #[must_use]
    pub fn unnamed(&self) -> Option<&Unnamed> {
        self.unnamed.as_ref()
    }

    /// The client's token.
    #[must_use]
    pub fn token(&self) -> Option<&Token> {
        self.token.as_ref()
    }
}
