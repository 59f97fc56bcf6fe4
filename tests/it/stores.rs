//! Where records are kept: a file, DynamoDB, Secrets Manager, and keys in KMS.

mod any;
mod kms;
mod secrets_manager;
