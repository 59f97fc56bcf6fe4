//! What the gateway and the bridge share as servers.
//!
//! - [`handshake_limit`] bounds connections that have not sent their CONNECT yet.
//! - [`database_file`] opens their SQLite files.
//! - [`line_writer`] writes their logs on a thread of its own.

pub mod database_file;
pub mod handshake_limit;
pub mod line_writer;
