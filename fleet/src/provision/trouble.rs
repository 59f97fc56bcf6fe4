//! What can go wrong while devices are provisioned.

/// Whose trouble it is.
#[derive(Debug)]
pub(super) enum Trouble {
    /// One device's: the others go on.
    Device(String),
    /// Everybody's: nothing more is begun.
    Run(anyhow::Error),
}

impl From<anyhow::Error> for Trouble {
    fn from(error: anyhow::Error) -> Self {
        Self::Run(error)
    }
}
