//! Records: their JSON form, the checks that make a [`Record`] of it, and the checks across records.
//!
//! Where records are kept is not known here: whatever reads a store makes its records with these modules.

pub mod decoys;
pub mod document;
pub mod error;
pub mod id_ranges;
#[cfg(feature = "dynamodb")]
pub mod item;
pub mod loader;

use std::sync::Arc;

use crate::{record::Record, verifier::LiveVerifier};

/// What a store knows of one device name.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// The device's record.
    Found(Arc<Record>),
    /// No device has the name. The decoy's verifiers are checked all the same and the result is thrown away, so that
    /// an unknown device costs the time of a wrong password.
    Unknown {
        /// Another record's verifiers, or the configured default; always the same ones for the same name.
        decoy: Arc<[LiveVerifier]>,
    },
}
