//! The control plane of AWS IoT: the functions of its operations, a module for each kind of resource.
//!
//! Each reads the operation's members as the API model names them, calls the registry, and answers with the members of the
//! model's output.

pub mod authorization;
pub mod authorizers;
pub mod billing_groups;
pub mod certificates;
pub mod connectivity;
pub mod domain_configurations;
pub mod endpoint;
pub mod policies;
pub mod principals;
pub mod tags;
pub mod test_invocation;
pub mod thing_groups;
pub mod thing_types;
pub mod things;
