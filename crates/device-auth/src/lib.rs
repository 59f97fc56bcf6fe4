//! Decides whether a device may connect and what it may do, from its record, its credential and its grant.
//!
//! This is the authorizer without IO, without a clock and without Lambda, so that the operator's tool, the tests and the
//! benches use the same code as the function.
//!
//! An attempt passes through the modules in this order:
//!
//! 1. [`event`] and [`request`]: what IoT Core sends about a connect, and its parts in a valid form.
//! 2. [`claim`]: what a device claims to be, and the evidence for it.
//! 3. [`store`]: records, their JSON form and the checks across them. A look-up gives a [`store::Lookup`].
//! 4. [`credential`]: verifies the evidence against the record. Only this makes a [`credential::VerifiedDevice`].
//! 5. [`binding`]: checks the client id against the record. Only this makes a [`binding::BoundDevice`].
//! 6. [`grant`] and [`policy`]: what a bound device may do, as policy documents within AWS's limits.
//!
//! [`decision::decide`] makes steps 4 to 6. [`jwt`] verifies JSON Web Tokens, [`verifier`] has the forms of password hashes,
//! and [`seal`] encrypts the HMAC keys of vendors' devices.
//!
//! [`record`] is a device's record after all checks; its JSON form is in [`store::document`], and [`store::loader`] makes
//! the one of the other. [`scheme`] has the credential schemes, [`deny_reason`] every reason for a refusal, and
//! [`location`] the texts that name a store or a keyring.

pub mod binding;
pub mod certificate;
pub mod claim;
pub mod client_id;
pub mod credential;
pub mod decision;
pub mod deny_reason;
pub mod device_name;
pub mod event;
pub mod grant;
pub mod jwt;
pub mod location;
pub mod policy;
pub mod record;
pub mod request;
pub mod scheme;
pub mod seal;
pub mod store;
pub mod time;
pub mod unique_keys;
pub mod verifier;
