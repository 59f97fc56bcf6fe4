//! Deciding requests: deny unless a statement allows and none denies.

use std::fmt::{self, Display, Formatter};

use crate::document::PolicyDocument;
use crate::effect::Effect;
use crate::request::Request;
use crate::statement::Statement;

/// The statement that decided, named by its position in the documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatementRef<'a> {
    document: usize,
    statement: usize,
    sid: Option<&'a str>,
}

impl<'a> StatementRef<'a> {
    /// The document's index, from 0.
    #[must_use]
    pub fn document(&self) -> usize {
        self.document
    }

    /// The statement's index in its document, from 0.
    #[must_use]
    pub fn statement(&self) -> usize {
        self.statement
    }

    /// The statement's own name, if it has one.
    #[must_use]
    pub fn sid(&self) -> Option<&'a str> {
        self.sid
    }
}

impl Display for StatementRef<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "document {} statement {}", self.document, self.statement)?;
        self.sid.map_or(Ok(()), |sid| write!(f, " (`{}`)", sid.escape_debug()))
    }
}

/// The decision, and the statement that made it. It displays as one line for a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Decision<'a> {
    /// The first statement that allows; none denies.
    Allowed(StatementRef<'a>),
    /// The first statement that denies, even if others allow.
    Denied(StatementRef<'a>),
    /// No statement applies: denied.
    NotAllowed,
}

impl<'a> Decision<'a> {
    /// Whether the request may go ahead.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed(_))
    }

    /// The statement that decided, if one did.
    #[must_use]
    pub fn statement(&self) -> Option<StatementRef<'a>> {
        match self {
            Self::Allowed(statement) | Self::Denied(statement) => Some(*statement),
            Self::NotAllowed => None,
        }
    }
}

impl Display for Decision<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allowed(statement) => write!(f, "allowed by {statement}"),
            Self::Denied(statement) => write!(f, "denied by {statement}"),
            Self::NotAllowed => f.write_str("denied: no statement allows"),
        }
    }
}

/// Decides a request by all of a connection's documents together, as IAM does: the default is to deny, a Deny that
/// applies wins over every Allow, and order doesn't matter (AWS IoT Core developer guide, `iot-policies`).
///
/// Time grows at worst with the documents' size times the resource's length; nothing is allocated.
pub fn evaluate<'a>(documents: &'a [PolicyDocument], request: &Request<'_>) -> Decision<'a> {
    let mut allowing = None;
    for (statement, at) in statements(documents) {
        if allowing.is_some() && statement.effect() == Effect::Allow || !statement.applies_to(request) {
            continue;
        }
        match statement.effect() {
            Effect::Deny => return Decision::Denied(at),
            Effect::Allow => allowing = Some(at),
        }
    }
    allowing.map_or(Decision::NotAllowed, Decision::Allowed)
}

pub(crate) fn statements(
    documents: &[PolicyDocument],
) -> impl Iterator<Item = (&Statement, StatementRef<'_>)> {
    documents.iter().enumerate().flat_map(|(document, policy)| {
        policy.statements().iter().enumerate().map(move |(index, statement)| {
            (statement, StatementRef { document, statement: index, sid: statement.sid() })
        })
    })
}
