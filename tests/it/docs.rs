//! The documentation against the code.

mod fidelity;
mod log_schema;
mod pages;
mod readme;
mod tables;
mod where_to_change;
