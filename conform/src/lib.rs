//! `latchkey conform`: the rows of docs/fidelity.md as cases, against the gateway and against AWS.
//!
//! A [`case`] is text: what a client does, and what it has to see. [`runner`] plays it on [`connection`]s and compares what is
//! [`observed`]; [`world`] makes what the cases need, with the same calls of AWS IoT in both places, and writes each into the
//! [`journal`] before. Only the function differs: [`host`] runs it in AWS Lambda, or next to a gateway. [`report`] says what each
//! result settles on the [`page`].
//!
//! [`command::run`] is the whole command. To add a case, see docs/conform.md.

pub mod args;
pub mod case;
pub mod command;
pub mod connection;
pub mod host;
pub mod journal;
pub mod observed;
pub mod page;
pub mod report;
pub mod runner;
pub mod world;

pub use crate::args::ConformArgs;
pub use crate::command::run;
