//! Integration tests.

mod authorizer_golden;
mod enforcement;
