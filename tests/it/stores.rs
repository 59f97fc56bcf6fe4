//! Where records are kept: a file of either form, DynamoDB, Secrets Manager, and keys in KMS.

mod any;
mod bulk;
mod indexed;
mod kms;
mod secrets_manager;
