//! Integration tests.

mod authorizer_garbage;
mod authorizer_golden;
mod authorizers;
mod connect;
mod documentation;
mod door;
mod enforcement;
mod foreign_clients;
mod function;
mod function_backends;
mod function_queue;
mod https_publish;
mod kms;
mod log_schema;
mod packets;
mod readme;
mod secrecy;
mod secrecy_at_rest;
mod secrets_manager;
mod simulator;
mod stores;
mod takeover;
mod timers;
mod vendors;
mod websocket;
