//! The documentation against the code.

mod log_schema;
mod readme;
mod tables;
