//! AWS's own APIs on the gateway: boto3, the AWS CLI and the AWS SDK for Rust with only their endpoint changed.

mod access;
mod certificates;
mod constraints;
mod durability;
mod dynamodb;
mod environment;
mod groups;
mod policies;
mod shadows;
mod things;
