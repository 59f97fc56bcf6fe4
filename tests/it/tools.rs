//! Programs that people run: `latchkey local`, `sim`, `fleet`, the benches, and what a deployment leaves.

mod aws_unreachable;
mod bench;
mod bundle;
mod check;
mod cloudwatch;
mod deployment;
mod device_faults;
mod doctor;
mod explain;
mod fleet_stores;
mod local_init;
mod logs;
mod moto_table;
mod provision;
mod provision_passwords;
mod proxies;
mod pub_sub;
mod push;
mod revoke;
mod sarif;
mod simulator;
mod smoke;
mod start_errors;
mod status;
mod transports;
