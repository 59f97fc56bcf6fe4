//! An error with its causes, as one line.

use std::{error::Error, iter};

/// An error's message followed by those of its causes, each once.
///
/// Some errors name their cause in their own message, because a log shows the message alone; such a cause is left out
/// here, where `{error:#}` of `anyhow` would print it twice.
#[must_use]
pub fn error_text(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in iter::successors(error.source(), |&cause| cause.source()) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Outer {
        #[error("no reading: {0}")]
        Named(#[source] Inner),
        #[error("no reading")]
        Unnamed(#[source] Inner),
    }

    #[derive(Debug, thiserror::Error)]
    #[error("the bus is silent")]
    struct Inner;

    #[test]
    fn each_cause_is_named_once() {
        for error in [Outer::Named(Inner), Outer::Unnamed(Inner)] {
            assert_eq!(error_text(&error), "no reading: the bus is silent");
        }
    }
}
