//! No secret in anything that is written.

mod at_rest;
mod output;
