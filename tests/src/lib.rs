//! What the integration tests share: the system under test, started for real, and ways to look at it.

pub mod aws;
pub mod aws_api;
pub mod canary;
pub mod captured_log;
pub mod cloud;
pub mod connect_proxy;
pub mod device_certificate;
pub mod devices;
pub mod dynamodb;
pub mod emulator;
pub mod eventually;
pub mod fake_aws;
pub mod fake_function;
pub mod files;
pub mod fixture;
pub mod foreign;
pub mod gateway_process;
pub mod http_client;
pub mod mqtt_client;
pub mod programs;
pub mod refusal;
pub mod refusing;
pub mod running;
pub mod script;
pub mod test_gateway;
pub mod token_signer;
