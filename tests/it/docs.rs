//! The documentation against the code.

mod log_schema;
mod pages;
mod readme;
mod tables;
