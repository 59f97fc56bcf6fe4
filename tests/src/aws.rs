//! AWS's configuration for services that a test plays or runs.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};

/// A configuration that sends every service's calls to `endpoint`. It takes nothing from the environment.
pub fn configuration(endpoint: &str) -> SdkConfig {
    configuration_with_key(endpoint, "AKIDTEST", "secret")
}

/// The same with this key.
pub fn configuration_with_key(endpoint: &str, id: &str, secret: &str) -> SdkConfig {
    let credentials = Credentials::new(id, secret, None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(endpoint)
        .build()
}
