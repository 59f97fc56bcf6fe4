//! The control plane of AWS IoT: the functions of its operations, a module for each kind of resource.
//!
//! Each reads the operation's members as the API model names them, calls the registry, and answers with the members of the
//! model's output.

pub mod endpoint;
pub mod things;
