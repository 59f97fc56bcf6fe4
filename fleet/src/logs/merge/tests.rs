use super::*;
use crate::logs::line::Outcome as Decided;

fn decision(time: u64, outcome: Decided, client_id: &str, connection: Option<&str>) -> Line {
    let reason = (outcome == Decided::Deny).then(|| "wrong_password".to_owned());
    Line {
        device: Some("d".to_owned()),
        reason,
        ..line(time, Kind::Decision(outcome), Some(client_id), connection)
    }
}

fn line(time: u64, kind: Kind, client_id: Option<&str>, connection: Option<&str>) -> Line {
    Line {
        time,
        connection: connection.map(str::to_owned),
        client_id: client_id.map(str::to_owned),
        device: None,
        address: matches!(kind, Kind::Connect { .. }).then(|| "192.0.2.1".to_owned()),
        topic: None,
        reason: matches!(kind, Kind::Connect { is_success: false }).then(|| "NOT_AUTHENTICATED".to_owned()),
        text: None,
        kind,
    }
}

fn connect(time: u64, is_success: bool, client_id: Option<&str>, connection: Option<&str>) -> Line {
    line(time, Kind::Connect { is_success }, client_id, connection)
}

/// The events of lines, each with its time, outcome, reason, and whether the function has a line about it.
fn merged(lines: impl IntoIterator<Item = Line>) -> Vec<(u64, Outcome, Option<String>, bool)> {
    let mut merger = Merger::new(OF_AWS);
    let mut events = lines.into_iter().flat_map(|line| merger.add(line)).collect::<Vec<_>>();
    events.extend(merger.finish());
    events.into_iter().map(|event| (event.time, event.outcome, event.reason, event.has_decision)).collect()
}

#[test]
fn two_lines_about_one_connect_are_one_event() {
    let denied = Some("wrong_password".to_owned());
    let refused = Some("NOT_AUTHENTICATED".to_owned());
    // With the connection's id, as the gateway writes them, in either order.
    let lines = [decision(5, Decided::Deny, "c", Some("1")), connect(6, false, Some("c"), Some("1"))];
    assert_eq!(merged(lines.clone()), [(5, Outcome::Deny, denied.clone(), true)]);
    assert_eq!(merged(lines.into_iter().rev()), [(5, Outcome::Deny, denied.clone(), true)]);
    // Without, as AWS IoT's log is.
    let lines = [decision(5, Decided::Deny, "c", Some("1")), connect(9_000, false, Some("c"), None)];
    assert_eq!(merged(lines), [(5, Outcome::Deny, denied.clone(), true)]);
    // The function lets the client in, and AWS IoT does not.
    let lines = [decision(5, Decided::Allow, "c", None), connect(6, false, Some("c"), None)];
    assert_eq!(merged(lines), [(5, Outcome::Deny, refused.clone(), true)]);
    let lines = [decision(5, Decided::Allow, "c", None), connect(6, true, Some("c"), None)];
    assert_eq!(merged(lines), [(5, Outcome::Allow, None, true)]);
}

#[test]
fn lines_about_different_connects_stay_apart() {
    let denied = Some("wrong_password".to_owned());
    let refused = Some("NOT_AUTHENTICATED".to_owned());
    for (what, lines) in [
        ("another client", [decision(5, Decided::Deny, "c", None), connect(6, false, Some("x"), None)]),
        (
            "another connection",
            [decision(5, Decided::Deny, "c", Some("1")), connect(6, false, Some("c"), Some("2"))],
        ),
        ("much later", [decision(5, Decided::Deny, "c", None), connect(10_006, false, Some("c"), None)]),
        ("no client id", [decision(5, Decided::Deny, "c", Some("1")), connect(6, false, None, None)]),
    ] {
        let times = lines.clone().map(|line| line.time);
        assert_eq!(
            merged(lines),
            [
                (times[0], Outcome::Deny, denied.clone(), true),
                (times[1], Outcome::Deny, refused.clone(), false)
            ],
            "{what}"
        );
    }
    // A refused decision is not that of a client that is connected.
    let lines = [decision(5, Decided::Deny, "c", None), connect(6, true, Some("c"), None)];
    assert_eq!(merged(lines), [(5, Outcome::Deny, denied, true), (6, Outcome::Allow, None, false)]);
    // Two connects, each with its two lines.
    let lines = [
        decision(1, Decided::Allow, "c", None),
        connect(2, true, Some("c"), None),
        decision(3, Decided::Allow, "c", None),
        connect(4, true, Some("c"), None),
    ];
    assert_eq!(merged(lines).len(), 2);
}

#[test]
fn events_come_in_the_order_of_their_times_and_in_bounded_memory() {
    let mut merger = Merger::new(OF_AWS);
    assert_eq!(merger.add(connect(20, false, Some("a"), None)), []);
    assert_eq!(merger.add(line(10, Kind::Disconnect, Some("b"), None)), []);
    let times = |events: Vec<Event>| events.into_iter().map(|event| event.time).collect::<Vec<_>>();
    assert_eq!(times(merger.advance(10_015)), [10]);
    assert_eq!(times(merger.advance(10_021)), [20]);
    assert!(merger.pending.is_empty() && merger.waiting.is_empty());
    let mut done = 0;
    for n in 0..50_000_u64 {
        done += merger.add(connect(50_000 + n % 100, false, Some(&n.to_string()), None)).len();
        assert!(merger.pending.len() <= MAX_PENDING && merger.waiting.len() <= MAX_PENDING);
    }
    assert_eq!(done + merger.finish().len(), 50_000);
}
