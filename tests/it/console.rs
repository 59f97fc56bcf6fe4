//! The console: who may use it, what its API says and does, and its pages in a browser.

mod access;
mod api;
mod attempts;
mod browser;
mod streams;
