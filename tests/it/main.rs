//! Integration tests.

mod authorizer_golden;
