//! What a statement does with the requests that it applies to.

use std::fmt::{self, Display, Formatter};

use crate::error::{PolicyError, Problem};
use crate::node::Node;

/// What a statement does with the requests that it applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Allows them, unless another statement denies.
    Allow,
    /// Denies them, even if another statement allows them.
    Deny,
}

impl Effect {
    /// The name as AWS writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "Allow",
            Self::Deny => "Deny",
        }
    }

    pub(crate) fn read(node: &Node<'_>) -> Result<Self, PolicyError> {
        match node.string()? {
            "Allow" => Ok(Self::Allow),
            "Deny" => Ok(Self::Deny),
            other => Err(node.error(Problem::Effect(other.to_owned()))),
        }
    }
}

impl Display for Effect {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
