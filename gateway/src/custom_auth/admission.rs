//! The authorizers of a gateway, and everything that is checked before a function is called. API calls change them while
//! clients connect: a connect is served by those that there were when it came.
//!
//! Source: AWS IoT Core developer guide, `config-custom-auth`.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use iot_policy::{arn::FunctionArn, limits::MAX_ACTIVE_AUTHORIZERS};

use super::{
    authorizer::{AuthorizerName, AuthorizerStatus},
    definition::{Definition, DefinitionError},
    error::AuthnError,
    parameters::Parameters,
    signing::{Signing, Token},
    unnamed::Unnamed,
};
use crate::lambda::{function::Function, functions::Functions};

/// An authorizer that can be called.
#[derive(Clone)]
pub struct Authorizer {
    /// Its name.
    pub name: AuthorizerName,
    /// Whether its tokens must be signed.
    pub signing: Signing,
    /// Its function.
    pub function: Arc<Function>,
    /// Who defined it.
    pub origin: Origin,
    /// Its definition, as the API describes it.
    pub definition: Definition,
}

impl Authorizer {
    /// The authorizer of an API call.
    ///
    /// # Errors
    ///
    /// When AWS does not accept its definition.
    pub fn of_api(
        name: AuthorizerName,
        definition: Definition,
        functions: &Functions,
    ) -> Result<Self, DefinitionError> {
        let arn = definition.function_arn.parse::<FunctionArn>();
        let arn = arn.map_err(|_| DefinitionError::FunctionArn(name.clone()))?;
        Ok(Self {
            signing: definition.signing(&name)?,
            function: functions.find(&arn),
            origin: Origin::Api,
            name,
            definition,
        })
    }

    /// Whether clients can use it.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.definition.status == AuthorizerStatus::Active
    }
}

/// Who defined an authorizer. API calls change only their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The settings, or the gateway itself.
    Settings,
    /// An API call.
    Api,
}

/// The authorizers of a gateway.
pub struct Authorizers {
    current: RwLock<Arc<AuthorizerSet>>,
    /// Held by one change from its checks until it is in force.
    changes: tokio::sync::Mutex<()>,
}

/// Authorizers, and the one of clients that name none. Those of a gateway are replaced as a whole.
#[derive(Clone)]
pub struct AuthorizerSet {
    by_name: BTreeMap<AuthorizerName, Arc<Authorizer>>,
    default: Option<DefaultAuthorizer>,
}

/// The authorizer of clients that name none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DefaultAuthorizer {
    /// The settings set it.
    Set(AuthorizerName),
    /// An API call set it.
    SetByApi(AuthorizerName),
    /// The gateway's only one, because none is set.
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

/// A client whose authorizer may be called. Only [`AuthorizerSet::admit`] makes it.
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
            Self::Set(name) | Self::SetByApi(name) | Self::Implied(name) => name,
        }
    }
}

impl Authorizers {
    /// These authorizers.
    #[must_use]
    pub fn new(set: AuthorizerSet) -> Self {
        Self { current: RwLock::new(Arc::new(set)), changes: tokio::sync::Mutex::new(()) }
    }

    /// The authorizers as they are now.
    #[must_use]
    pub fn current(&self) -> Arc<AuthorizerSet> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Begins a change. The next one begins when this is dropped.
    pub async fn begin_change(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.changes.lock().await
    }

    /// From now on, connects are served by these.
    pub fn replace(&self, set: AuthorizerSet) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(set);
    }
}

impl AuthorizerSet {
    /// The authorizers; `default` is the authorizer of clients that name none.
    ///
    /// # Errors
    ///
    /// When two have the same name, the default does not exist, or too many are active.
    pub fn new(
        authorizers: Vec<Authorizer>,
        default: Option<DefaultAuthorizer>,
    ) -> Result<Self, AuthorizersError> {
        let mut set = Self { by_name: BTreeMap::new(), default: None };
        for authorizer in authorizers {
            if set.get(&authorizer.name).is_some() {
                return Err(AuthorizersError::Duplicate(authorizer.name));
            }
            set = set.with(authorizer)?;
        }
        match default {
            Some(default) if set.get(default.name()).is_none() => {
                Err(AuthorizersError::NoDefault(default.name().clone()))
            }
            default => Ok(set.with_default(default)),
        }
    }

    /// These and another one, which replaces one of its name.
    ///
    /// # Errors
    ///
    /// When too many are active.
    pub fn with(mut self, authorizer: Authorizer) -> Result<Self, AuthorizersError> {
        self.by_name.insert(authorizer.name.clone(), Arc::new(authorizer));
        let active = self.by_name.values().filter(|it| it.is_active()).count();
        if active > MAX_ACTIVE_AUTHORIZERS {
            return Err(AuthorizersError::TooMany(active));
        }
        Ok(self)
    }

    /// These without one.
    #[must_use]
    pub fn without(mut self, name: &AuthorizerName) -> Self {
        self.by_name.remove(name);
        self
    }

    /// These with another default one.
    #[must_use]
    pub fn with_default(self, default: Option<DefaultAuthorizer>) -> Self {
        Self { default, ..self }
    }

    /// The authorizer with this name.
    #[must_use]
    pub fn get(&self, name: &AuthorizerName) -> Option<&Arc<Authorizer>> {
        self.by_name.get(name)
    }

    /// All of them, in the order of their names.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Authorizer>> {
        self.by_name.values()
    }

    /// The authorizer of clients that name none.
    #[must_use]
    pub fn default_authorizer(&self) -> Option<&DefaultAuthorizer> {
        self.default.as_ref()
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
        if !authorizer.is_active() {
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

    fn find(&self, name: &str) -> Option<&Arc<Authorizer>> {
        self.by_name.get(&AuthorizerName::try_from(name).ok()?)
    }

    fn not_found(&self) -> AuthnError {
        let mut active = self.by_name.values().filter(|authorizer| authorizer.is_active());
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
