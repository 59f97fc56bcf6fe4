//! The arithmetic of a fleet, without IO: docs/capacity.md has the same formulas in words.

/// Seconds of a day and of a month of 30 days.
pub const DAY: f64 = 86_400.0;
/// See [`DAY`].
pub const MONTH: f64 = 30.0 * DAY;
/// Bytes that AWS IoT counts as one message (AWS IoT Core pricing, "Messaging").
const MESSAGE_UNIT: f64 = 5_120.0;

/// What a fleet does.
#[derive(Clone, Copy, Debug)]
pub struct Fleet {
    /// How many devices.
    pub devices: f64,
    /// Seconds over which they connect after a cold start.
    pub spread: f64,
    /// How often a device connects in a day besides the authorizer's disconnects.
    pub reconnects_a_day: f64,
    /// Seconds between two rounds of messages of a device.
    pub publish_every: f64,
    /// Messages of a round.
    pub messages: f64,
    /// Subscribers of each message.
    pub deliveries: f64,
    /// Bytes of a message.
    pub message_bytes: f64,
}

/// What the function does.
#[derive(Clone, Copy, Debug)]
pub struct Function {
    /// Seconds of an answer, with check and store.
    pub answer: f64,
    /// Seconds of a start before the first answer.
    pub start: f64,
    /// Seconds between two refreshes of a connection.
    pub refresh: f64,
    /// Seconds of a connection, at most.
    pub disconnect: f64,
    /// Memory in MB.
    pub memory_mb: f64,
    /// Read units of one look-up.
    pub units: f64,
}

/// What an account allows.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    /// CONNECTs a second.
    pub connects: f64,
    /// Connections at a time.
    pub connections: f64,
    /// Concurrent executions.
    pub concurrency: f64,
    /// Messages a second from all clients.
    pub published: f64,
    /// Messages a second to all clients.
    pub delivered: f64,
}

/// New execution environments of one function in 10 seconds (Lambda developer guide, "Lambda scaling behavior").
pub const NEW_ENVIRONMENTS: f64 = 1_000.0;
/// Requests that one execution environment serves in a second (Lambda developer guide, "Lambda quotas").
pub const REQUESTS_OF_ENVIRONMENT: f64 = 10.0;
/// Messages a second from one connection (AWS General Reference, "AWS IoT Core endpoints and quotas").
pub const PUBLISHED_BY_CONNECTION: f64 = 100.0;
/// Read request units in a second of a new table, on demand (DynamoDB developer guide, "On-demand capacity mode").
pub const NEW_TABLE_UNITS: f64 = 12_000.0;
/// Read request units of one table in a second, without a request for more (DynamoDB developer guide, "Quotas").
pub const TABLE_UNITS: f64 = 40_000.0;

/// A cold start of the fleet: every device connects within the spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ColdStart {
    /// CONNECTs a second that the devices make.
    pub wanted: f64,
    /// CONNECTs a second that the account's quotas let through, those of Lambda too.
    pub connects: f64,
    /// Seconds until every device is connected.
    pub seconds: f64,
    /// Executions at a time, if every environment is new and Lambda's quotas refuse none.
    pub concurrency: f64,
    /// Read units a second.
    pub units: f64,
}

/// A fleet that has been connected for a while.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Steady {
    /// CONNECTs a second.
    pub connects: f64,
    /// Refreshes a second.
    pub refreshes: f64,
    /// Calls of the function a second.
    pub calls: f64,
    /// Executions at a time.
    pub concurrency: f64,
    /// Read units a second.
    pub units: f64,
    /// Messages a second that devices publish.
    pub published: f64,
    /// Messages a second that subscribers get.
    pub delivered: f64,
}

/// A month.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Month {
    /// Minutes of connection.
    pub minutes: f64,
    /// Messages, in units of AWS IoT.
    pub messages: f64,
    /// Calls of the function.
    pub calls: f64,
    /// GB-seconds of the function.
    pub gb_seconds: f64,
    /// Read units.
    pub units: f64,
}

/// A quota, and what the fleet needs of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Quota {
    /// What is limited.
    pub name: &'static str,
    /// What the fleet needs.
    pub needed: f64,
    /// What the account allows.
    pub allowed: f64,
    /// Where the default is documented.
    pub page: &'static str,
}

/// A cold start. A device that the quota refuses tries again until it gets in.
#[must_use]
pub fn cold_start(fleet: &Fleet, function: &Function, account: &Account) -> ColdStart {
    let wanted = fleet.devices / fleet.spread;
    let admitted = wanted.min(account.connects);
    let connects = admitted.min(account.calls(function));
    ColdStart {
        wanted,
        connects,
        seconds: fleet.devices / connects,
        // A device has one CONNECT at a time.
        concurrency: (admitted * (function.start + function.answer)).min(fleet.devices),
        units: connects * function.units,
    }
}

/// The steady state.
#[must_use]
pub fn steady(fleet: &Fleet, function: &Function) -> Steady {
    let connects = fleet.devices / function.disconnect + fleet.devices * fleet.reconnects_a_day / DAY;
    let refreshes = fleet.devices / function.refresh;
    let calls = connects + refreshes;
    let published = fleet.devices * fleet.messages / fleet.publish_every;
    Steady {
        connects,
        refreshes,
        calls,
        concurrency: calls * function.answer,
        units: calls * function.units,
        published,
        delivered: published * fleet.deliveries,
    }
}

/// A month of the steady state.
#[must_use]
pub fn month(fleet: &Fleet, function: &Function) -> Month {
    let steady = steady(fleet, function);
    let units_of_a_message = (fleet.message_bytes / MESSAGE_UNIT).ceil().max(1.0);
    let calls = steady.calls * MONTH;
    Month {
        minutes: fleet.devices * MONTH / 60.0,
        messages: (steady.published + steady.delivered) * MONTH * units_of_a_message,
        calls,
        gb_seconds: gb_seconds(calls, function),
        units: calls * function.units,
    }
}

/// A month in which strangers try as often as the account lets them. Each try is a call with a read, because a name without
/// a record costs what a record costs.
#[must_use]
pub fn strangers(function: &Function, account: &Account) -> Month {
    let calls = account.connects.min(account.calls(function)) * MONTH;
    Month {
        minutes: 0.0,
        messages: 0.0,
        calls,
        gb_seconds: gb_seconds(calls, function),
        units: calls * function.units,
    }
}

impl Account {
    /// Calls of the function a second that Lambda's quotas let through once its environments have started.
    fn calls(&self, function: &Function) -> f64 {
        self.concurrency * REQUESTS_OF_ENVIRONMENT.min(1.0 / function.answer)
    }
}

/// Lambda counts each call in whole milliseconds (AWS Lambda pricing).
fn gb_seconds(calls: f64, function: &Function) -> f64 {
    calls * (function.answer * 1_000.0).ceil() / 1_000.0 * function.memory_mb / 1_024.0
}

/// The quotas, the one first of which the fleet needs the largest part.
#[must_use]
pub fn quotas(fleet: &Fleet, function: &Function, account: &Account) -> Vec<Quota> {
    let (cold, steady) = (cold_start(fleet, function, account), steady(fleet, function));
    let gr = "AWS General Reference, \"AWS IoT Core endpoints and quotas\"";
    let lambda = "Lambda developer guide, \"Lambda quotas\"";
    let mut quotas = vec![
        Quota {
            name: "CONNECTs a second, at a cold start",
            needed: cold.wanted,
            allowed: account.connects,
            page: gr,
        },
        Quota {
            name: "connections at a time",
            needed: fleet.devices,
            allowed: account.connections,
            page: "AWS IoT developer guide, \"AWS IoT limits\"",
        },
        Quota {
            name: "executions at a time, at a cold start",
            needed: cold.concurrency,
            allowed: account.concurrency,
            page: lambda,
        },
        Quota {
            name: "requests a second of the function, at a cold start",
            needed: cold.wanted.min(account.connects),
            allowed: account.concurrency * REQUESTS_OF_ENVIRONMENT,
            page: lambda,
        },
        Quota {
            name: "new execution environments in 10 s, at a cold start",
            needed: cold.concurrency,
            allowed: NEW_ENVIRONMENTS,
            page: "Lambda developer guide, \"Lambda scaling behavior\"",
        },
        Quota {
            name: "read units a second of the table, at a cold start",
            needed: cold.units,
            allowed: TABLE_UNITS,
            page: "DynamoDB developer guide, \"Quotas\"",
        },
        Quota {
            name: "read units a second of a new table, at a cold start",
            needed: cold.units,
            allowed: NEW_TABLE_UNITS,
            page: "DynamoDB developer guide, \"On-demand capacity mode\"",
        },
        Quota {
            name: "messages a second from all devices",
            needed: steady.published,
            allowed: account.published,
            page: gr,
        },
        Quota {
            name: "messages a second from one device, whose round goes out at once",
            needed: fleet.messages,
            allowed: PUBLISHED_BY_CONNECTION,
            page: gr,
        },
        Quota {
            name: "messages a second to all subscribers",
            needed: steady.delivered,
            allowed: account.delivered,
            page: gr,
        },
    ];
    quotas.sort_by(|one, other| (other.needed / other.allowed).total_cmp(&(one.needed / one.allowed)));
    quotas
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 36,000 devices, so that an hour and a day divide without a rest.
    fn fleet() -> Fleet {
        Fleet {
            devices: 36_000.0,
            spread: 60.0,
            reconnects_a_day: 1.0,
            publish_every: 60.0,
            messages: 2.0,
            deliveries: 1.0,
            message_bytes: 128.0,
        }
    }

    fn function() -> Function {
        Function {
            answer: 0.0105,
            start: 0.5,
            refresh: 3_600.0,
            disconnect: 86_400.0,
            memory_mb: 512.0,
            units: 0.5,
        }
    }

    const ACCOUNT: Account = Account {
        connects: 500.0,
        connections: 500_000.0,
        concurrency: 1_000.0,
        published: 20_000.0,
        delivered: 20_000.0,
    };

    fn assert_near(found: f64, expected: f64) {
        assert!((found - expected).abs() <= expected.abs() * 1e-9, "{found} is not {expected}");
    }

    #[test]
    fn cold_start_is_what_the_quota_lets_through() {
        let cold = cold_start(&fleet(), &function(), &ACCOUNT);
        // 36,000 in 60 s are 600 a second, and 500 get through: 72 s.
        assert_near(cold.wanted, 600.0);
        assert_near(cold.connects, 500.0);
        assert_near(cold.seconds, 72.0);
        // 500 a second that last 510.5 ms each.
        assert_near(cold.concurrency, 255.25);
        assert_near(cold.units, 250.0);
        let slow = cold_start(&Fleet { spread: 3_600.0, ..fleet() }, &function(), &ACCOUNT);
        assert_near(slow.connects, 10.0);
        assert_near(slow.seconds, 3_600.0);
    }

    #[test]
    fn what_lambda_refuses_is_not_connected() {
        // An account with 10 executions at a time serves 100 requests a second, however short they are.
        let small = Account { concurrency: 10.0, ..ACCOUNT };
        let cold = cold_start(&fleet(), &function(), &small);
        assert_near(cold.connects, 100.0);
        assert_near(cold.seconds, 360.0);
        // It needs what it would need if nothing was refused: 500 a second that last 510.5 ms each.
        assert_near(cold.concurrency, 255.25);
        assert_near(cold.units, 50.0);
        // Calls of half a second leave 20.
        let slow = Function { answer: 0.5, ..function() };
        assert_near(cold_start(&fleet(), &slow, &small).connects, 20.0);
        assert_near(strangers(&slow, &small).calls, 20.0 * MONTH);
        // Ten devices never make more than ten executions.
        let few = Fleet { devices: 10.0, spread: 1.0, ..fleet() };
        let cold = cold_start(&few, &Function { start: 9.0, ..function() }, &ACCOUNT);
        assert_near(cold.concurrency, 10.0);
    }

    #[test]
    fn steady_state_has_connects_and_refreshes() {
        let steady = steady(&fleet(), &function());
        // Two a day for each device: 72,000 / 86,400.
        assert_near(steady.connects, 0.833_333_333_333_333_3);
        assert_near(steady.refreshes, 10.0);
        assert_near(steady.calls, 10.833_333_333_333_334);
        assert_near(steady.concurrency, 0.113_75);
        assert_near(steady.units, 5.416_666_666_666_667);
        assert_near(steady.published, 1_200.0);
        assert_near(steady.delivered, 1_200.0);
    }

    #[test]
    fn month_counts_minutes_messages_calls_and_reads() {
        let month = month(&fleet(), &function());
        assert_near(month.minutes, 36_000.0 * 43_200.0);
        // 2,400 a second, one unit each.
        assert_near(month.messages, 6_220_800_000.0);
        assert_near(month.calls, 28_080_000.0);
        // 10.5 ms count as 11, at half a GB.
        assert_near(month.gb_seconds, 28_080_000.0 * 0.0055);
        assert_near(month.units, 14_040_000.0);
        let large = super::month(&Fleet { message_bytes: 5_121.0, ..fleet() }, &function());
        assert_near(large.messages, 12_441_600_000.0);
    }

    #[test]
    fn strangers_cost_what_the_account_lets_them_try() {
        let month = strangers(&function(), &ACCOUNT);
        assert_near(month.calls, 1_296_000_000.0);
        assert_near(month.gb_seconds, 7_128_000.0);
        assert_near(month.units, 648_000_000.0);
    }

    #[test]
    fn the_quota_that_is_hit_first_comes_first() {
        let quotas = quotas(&fleet(), &function(), &ACCOUNT);
        let shares = quotas.iter().map(|quota| quota.needed / quota.allowed).collect::<Vec<_>>();
        assert!(shares.is_sorted_by(|one, next| one >= next), "{shares:?}");
        assert_eq!(quotas[0].name, "CONNECTs a second, at a cold start");
        assert_near(shares[0], 1.2);
        let of = |name: &str| quotas.iter().find(|quota| quota.name.starts_with(name)).unwrap().needed;
        assert_near(of("executions at a time"), 255.25);
        assert_near(of("requests a second of the function"), 500.0);
        assert_near(of("messages a second from all"), 1_200.0);
        assert_near(of("messages a second from one"), 2.0);
        assert_near(of("messages a second to all"), 1_200.0);
        assert_near(of("read units a second of a new table"), 250.0);
        // Each of them is new, and all begin within the 10 s that Lambda counts.
        assert_near(of("new execution environments"), 255.25);
    }
}
