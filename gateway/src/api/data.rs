//! The operations of the data plane.

pub mod shadows;
