//! Records: their JSON form, the checks that make a [`Record`] of it, and the checks across records.
//!
//! These modules do no IO. The function's stores and the operator's tool read a store's text and make records of it here.

pub mod claims;
mod conflicts;
pub mod decoys;
pub mod document;
pub mod error;
pub mod id_ranges;
pub mod indexed;
#[cfg(feature = "dynamodb")]
pub mod item;
pub mod loader;
pub mod snapshot;
pub mod text;
pub mod topic_overlap;

use std::{error::Error, sync::Arc};

use crate::{record::Record, verifier::LiveVerifier};

/// What a store knows of one device name.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// The device's record.
    Found(Arc<Record>),
    /// The device's record can't be used. The device is refused, and all others are not affected. The password is checked
    /// against the decoy, as for an unknown name.
    Unusable {
        /// What is wrong with the record.
        error: Arc<dyn Error + Send + Sync>,
        /// Another record's verifiers.
        decoy: Arc<[LiveVerifier]>,
    },
    /// No device has the name, and the grant that its JSON Web Token names can't stand in for a record.
    UnusableGrant {
        /// Why.
        error: Arc<dyn Error + Send + Sync>,
        /// Another record's verifiers.
        decoy: Arc<[LiveVerifier]>,
    },
    /// No device has the name. The password is checked against the decoy and the result is ignored, so that an unknown
    /// device costs the time of a wrong password.
    Unknown {
        /// Another record's verifiers, or the configured default; always the same ones for the same name.
        decoy: Arc<[LiveVerifier]>,
    },
}
