//! The firmware's application as a process, against the real gateway with the real authorizer, and against servers that
//! it has to refuse.

#![cfg(test)]

mod device;
mod documentation;
mod door;
mod gateway;
mod gateway_process;
mod no_clock;
mod qemu;
mod reading;
mod refusals;
mod rust_sources;
mod schemes;
mod time_server;
mod tls_server;
