//! Which ports of this machine stand for AWS's.

use std::collections::BTreeMap;

use clap::Args;

use crate::{
    config::{PortsTable, port::PortChoice},
    door::route::Port,
    settings::Ports,
};

/// AWS's numbers and this are the ports without privileges.
const UNPRIVILEGED: u16 = 10_000;
const STATUS: u16 = 19_090;

/// The flags.
#[derive(Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Ports")]
pub struct PortArgs {
    /// The port that stands for AWS's 443 [default: 10443]; 0 takes a free one, and for the others too
    #[arg(long, value_name = "PORT")]
    pub port: Option<PortChoice>,

    /// The port that stands for AWS's 8883, MQTT with client certificates [default: 18883]; or `off`
    #[arg(long = "port-8883", value_name = "PORT")]
    pub port_8883: Option<PortChoice>,

    /// The port that stands for AWS's 8443, HTTPS publish with client certificates [default: 18443]; or `off`
    #[arg(long = "port-8443", value_name = "PORT")]
    pub port_8443: Option<PortChoice>,

    /// The port of /healthz and /metrics, for this machine alone [default: 19090]; or `off`
    #[arg(long, value_name = "PORT")]
    pub port_status: Option<PortChoice>,

    /// Listen on AWS's own numbers, 443, 8883 and 8443, where you may
    #[arg(long)]
    pub aws_ports: bool,
}

impl PortArgs {
    /// What was typed, then what the file says, then the defaults.
    pub(super) fn merge(self, file: PortsTable) -> Ports {
        let p443 = self.port.or(file.p443);
        let any = p443 == Some(PortChoice::Number(0));
        let default = |port: Port| match (any, self.aws_ports) {
            (_, true) => port.number(),
            (true, false) => 0,
            (false, false) => port.number() + UNPRIVILEGED,
        };
        let chosen = [
            (Port::P443, p443),
            (Port::P8883, self.port_8883.or(file.p8883)),
            (Port::P8443, self.port_8443.or(file.p8443)),
        ];
        let doors = chosen.into_iter().filter_map(|(port, chosen)| {
            let number = chosen.unwrap_or_else(|| PortChoice::Number(default(port))).number()?;
            Some((port, number))
        });
        let status = self.port_status.or(file.status);
        let status = status.unwrap_or(PortChoice::Number(if any { 0 } else { STATUS })).number();
        Ports { doors: doors.collect::<BTreeMap<_, _>>(), status }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: PortArgs =
        PortArgs { port: None, port_8883: None, port_8443: None, port_status: None, aws_ports: false };

    fn numbers(args: PortArgs, file: PortsTable) -> (Vec<u16>, Option<u16>) {
        let Ports { doors, status } = args.merge(file);
        (doors.into_values().collect(), status)
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        use PortChoice::{Number, Off};
        let file = PortsTable { p8883: Some(Number(1)), status: Some(Off), ..PortsTable::default() };
        assert_eq!(numbers(NOTHING, PortsTable::default()), (vec![10_443, 18_883, 18_443], Some(19_090)));
        assert_eq!(numbers(NOTHING, file), (vec![10_443, 1, 18_443], None));
        let typed = PortArgs { port_8883: Some(Off), port_status: Some(Number(7)), ..NOTHING };
        assert_eq!(numbers(typed, file), (vec![10_443, 18_443], Some(7)));
    }

    #[test]
    fn a_free_port_for_one_is_a_free_port_for_all_and_awss_own_are_awss() {
        let free = PortArgs { port: Some(PortChoice::Number(0)), ..NOTHING };
        assert_eq!(numbers(free, PortsTable::default()), (vec![0, 0, 0], Some(0)));
        let own = PortArgs { aws_ports: true, ..NOTHING };
        assert_eq!(numbers(own, PortsTable::default()), (vec![443, 8_883, 8_443], Some(19_090)));
    }
}
