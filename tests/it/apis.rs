//! AWS's own APIs on the gateway: boto3, the AWS CLI and the AWS SDK for Rust with only their endpoint changed.

mod access;
mod authorizers;
mod certificates;
mod constraints;
mod data_plane;
mod domain_configurations;
mod durability;
mod dynamodb;
mod environment;
mod groups;
mod policies;
mod shadows;
mod tags;
mod things;
