//! The application as a process: against the real gateway with the real authorizer, and against servers that it must
//! refuse.

#![cfg(test)]

mod bridge;
mod device;
mod documentation;
mod gateway;
mod gateway_process;
mod qemu;
mod reading;
mod refusals;
mod rust_sources;
mod schemes;
mod secrecy;
mod time_server;
mod tls_server;
