//! The parts together. Each folder is one subject.

mod apis;
mod bridge;
mod clients;
mod conform;
mod console;
mod docs;
mod doors;
mod functions;
mod log;
mod mqtt;
mod secrecy;
mod shadows;
mod stores;
mod terminal;
mod tools;
