//! The data plane of AWS IoT: the functions of its operations, a module for each kind of resource.

pub mod connections;
pub mod direct_messages;
pub mod publish;
pub mod retained;
pub mod shadows;
