//! The authorizers of this gateway: found by name, and asked only about who may ask them.
//!
//! Source: AWS IoT Core developer guide, `config-custom-auth`.

use std::{collections::BTreeMap, sync::Arc};

use iot_policy::limits::MAX_ACTIVE_AUTHORIZERS;

use super::{
    authorizer::{AuthorizerName, AuthorizerStatus},
    error::AuthnError,
    parameters::Parameters,
    signing::{Signing, Token},
};
use crate::lambda::function::Function;

/// One authorizer.
pub struct Authorizer {
    /// Its name.
    pub name: AuthorizerName,
    /// Whether it may be used.
    pub status: AuthorizerStatus,
    /// Whether tokens must be signed.
    pub signing: Signing,
    /// `enableCachingForHttp`: whether its answers are kept for later HTTPS publishes of the same connection.
    pub caching_for_http: bool,
    /// Its function.
    pub function: Function,
}

/// The authorizers of this gateway.
pub struct Authorizers {
    by_name: BTreeMap<AuthorizerName, Arc<Authorizer>>,
    default: Option<AuthorizerName>,
}

/// What a domain configuration says about the choice among authorizers.
#[derive(Clone, Copy, Debug)]
pub struct AuthorizerChoice<'a> {
    /// The one for clients that name none, instead of the gateway's own default.
    pub default: Option<&'a AuthorizerName>,
    /// Whether a client may name another.
    pub allow_override: bool,
}

/// Why authorizers can't stand beside each other.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthorizersError {
    /// Two have one name.
    #[error("there are two authorizers with the name `{0}`")]
    Duplicate(AuthorizerName),
    /// The default one is not there.
    #[error("the default authorizer `{0}` does not exist")]
    NoDefault(AuthorizerName),
    /// There are more than AWS takes.
    #[error("there are {0} active authorizers; AWS takes at most {MAX_ACTIVE_AUTHORIZERS}")]
    TooMany(usize),
}

/// A connection whose authorizer may be asked. It comes only from [`Authorizers::admit`].
pub struct Admitted {
    authorizer: Arc<Authorizer>,
    token: Option<Token>,
}

impl Authorizers {
    /// `default` serves connections that name none.
    ///
    /// # Errors
    ///
    /// When two have one name, or there is no such default.
    pub fn new(
        authorizers: Vec<Authorizer>,
        default: Option<AuthorizerName>,
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
            Some(name) if !by_name.contains_key(&name) => Err(AuthorizersError::NoDefault(name)),
            default => Ok(Self { by_name, default }),
        }
    }

    /// Everything that is checked before a function is called, whichever way the parameters came.
    ///
    /// # Errors
    ///
    /// Why no function is called.
    pub fn admit(
        &self,
        parameters: &Parameters<'_>,
        choice: AuthorizerChoice<'_>,
    ) -> Result<Admitted, AuthnError> {
        let default = choice.default.or(self.default.as_ref());
        let authorizer = match parameters.authorizer()? {
            Some(name) => self.find(&name),
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
        Ok(Admitted { authorizer: Arc::clone(authorizer), token })
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

impl Admitted {
    /// Whom to ask.
    #[must_use]
    pub fn authorizer(&self) -> &Arc<Authorizer> {
        &self.authorizer
    }

    /// The client's token.
    #[must_use]
    pub fn token(&self) -> Option<&Token> {
        self.token.as_ref()
    }
}
