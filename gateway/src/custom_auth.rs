//! Custom authentication as AWS IoT Core does it: the authorizer is found by name, its function is called with
//! the custom-auth event, and its answer is taken only if it keeps AWS's rules.
//!
//! Source: AWS IoT Core developer guide, `custom-authorizer` and `custom-auth-lambda`.

pub mod answer;
pub mod event;
pub mod http_request;
pub mod user_name;

use std::{collections::BTreeMap, sync::Arc};

use self::{
    answer::{AnswerError, Authorization},
    event::Presented,
};
use crate::lambda::{
    InvokeError,
    pool::{Call, Pool},
};

/// The authorizers of this gateway.
pub struct Authorizers {
    by_name: BTreeMap<String, Arc<Pool>>,
    default: Option<String>,
}

/// Why a connection is not authenticated.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The user name names an authorizer that doesn't exist, or names none and there is no default.
    #[error(
        "the client asks for an authorizer that this gateway doesn't have; its parameter should read \
         `?x-amz-customauthorizer-name={known}`"
    )]
    NotFound {
        /// A name that would do.
        known: String,
    },
    /// The function gave no answer.
    #[error(transparent)]
    Invoke(#[from] InvokeError),
    /// The function's answer breaks AWS's rules.
    #[error("the authorizer's answer can't be used: {0}")]
    Answer(#[from] AnswerError),
    /// The function said no.
    #[error("the authorizer refused: its decision line says why, docs/authorizer.md what to do")]
    NotAuthenticated,
}

impl Authorizers {
    /// `default` serves connections that name none.
    #[must_use]
    pub fn new(by_name: BTreeMap<String, Arc<Pool>>, default: Option<String>) -> Self {
        Self { by_name, default }
    }

    /// The function of the authorizer that the user name asks for.
    ///
    /// # Errors
    ///
    /// When there is none; then no function is called.
    pub fn find(&self, user_name: Option<&str>) -> Result<Arc<Pool>, Refusal> {
        self.named(user_name.and_then(user_name::authorizer))
    }

    /// The function of the authorizer with this name, or of the default one.
    ///
    /// # Errors
    ///
    /// When there is none; then no function is called.
    pub fn named(&self, asked: Option<&str>) -> Result<Arc<Pool>, Refusal> {
        let pool = asked.or(self.default.as_deref()).and_then(|name| self.by_name.get(name));
        pool.cloned().ok_or_else(|| Refusal::NotFound {
            known: self.by_name.keys().next().cloned().unwrap_or_default(),
        })
    }
}

/// Asks the function about what the client presented: at the connect, and again at each refresh.
///
/// # Errors
///
/// Why the client is not, or no longer, authenticated.
pub async fn authenticate(pool: &Pool, call: Call, presented: &Presented) -> Result<Authorization, Refusal> {
    let answer = pool.invoke(call, || presented.to_json()).await?;
    Authorization::parse(&answer)?.ok_or(Refusal::NotAuthenticated)
}

impl Refusal {
    /// AWS's name for it: the reasons of `Connection.AuthNError` (developer guide, `cwl-format`).
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "CUSTOM_AUTHORIZER_NOT_FOUND",
            Self::Invoke(_) | Self::Answer(_) => "CUSTOM_AUTHORIZER_LAMBDA_EXECUTION_ERROR",
            Self::NotAuthenticated => "NOT_AUTHENTICATED",
        }
    }
}
