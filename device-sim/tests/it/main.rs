//! The simulator against a small MQTT server over real TLS.

#[cfg(test)]
mod client;
#[cfg(test)]
mod command;
#[cfg(test)]
mod fleet;
#[cfg(test)]
mod server;
