//! The documentation against the code.

mod aws_apis;
mod fidelity;
mod log_schema;
mod pages;
mod platforms;
mod readme;
mod security;
mod tables;
mod troubleshooting;
mod where_to_change;
