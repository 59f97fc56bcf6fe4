//! The service against a corpus of requests and answers, against a naive twin, and at its bounds.

mod corpus;
mod properties;

use serde_json::{Value, json};

use super::{
    Operation, RequestTopic, ShadowId,
    answer::{Answer, AnswerKind},
    error::ShadowError,
    request::{Rejected, ShadowRequest},
    shadows::{Outcome, ShadowLimits, Shadows},
};

/// AWS's limits, and the gateway's own.
const LIMITS: ShadowLimits = ShadowLimits { document_bytes: 8_192, shadows: 1_000, bytes: 1_000_000 };
const LEVELS: usize = 8;

fn request(id: &ShadowId, operation: Operation, payload: &[u8]) -> Result<ShadowRequest, Rejected> {
    ShadowRequest::read(id.clone(), operation, payload, LEVELS)
}

/// Carries out a request, and applies what it changes.
fn answer(
    shadows: &mut Shadows,
    id: &ShadowId,
    operation: Operation,
    payload: &[u8],
    at: i64,
) -> Vec<(AnswerKind, Value)> {
    let answers = match request(id, operation, payload).and_then(|request| shadows.prepare(&request, at)) {
        Ok(Outcome { accepted, events, changes }) => {
            for change in changes {
                shadows.apply(change);
            }
            [vec![accepted], events].concat()
        }
        Err(rejected) => vec![Answer::rejected(&rejected)],
    };
    answers.iter().map(|it| (it.kind, serde_json::from_slice(&it.payload).unwrap())).collect()
}

/// The code of the only answer to a request that is rejected.
fn code(answers: &[(AnswerKind, Value)]) -> Option<u64> {
    match answers {
        [(AnswerKind::Rejected, body)] => body["code"].as_u64(),
        _ => None,
    }
}

fn update(shadows: &mut Shadows, id: &ShadowId, state: &Value, at: i64) -> Vec<(AnswerKind, Value)> {
    let payload = json!({ "state": state }).to_string();
    answer(shadows, id, Operation::Update, payload.as_bytes(), at)
}

fn classic(thing: &str) -> ShadowId {
    ShadowId::new(thing, None).unwrap()
}

#[test]
fn topics_of_requests_are_read_and_written() {
    let (longest, too_long) = ("t".repeat(128), "t".repeat(129));
    for (thing, name) in [("t", None), ("a:b_c-1", Some("$x")), (&*longest, Some("n"))] {
        let id = ShadowId::new(thing, name).unwrap();
        for operation in Operation::ALL {
            let topic = RequestTopic { id: Ok(id.clone()), operation };
            assert_eq!(RequestTopic::read(&id.topic(operation)), Some(topic));
        }
    }
    let invalid = [
        (format!("$aws/things/{too_long}/shadow/get"), ShadowError::InvalidThingName),
        ("$aws/things/a b/shadow/get".to_owned(), ShadowError::InvalidThingName),
        ("$aws/things/$t/shadow/get".to_owned(), ShadowError::InvalidThingName),
        ("$aws/things/t/shadow/name/n.m/get".to_owned(), ShadowError::InvalidShadowName),
        (format!("$aws/things/t/shadow/name/{}/get", "n".repeat(65)), ShadowError::InvalidShadowName),
    ];
    for (topic, error) in invalid {
        let read = RequestTopic { id: Err(error), operation: Operation::Get };
        assert_eq!(RequestTopic::read(&topic), Some(read), "{topic}");
    }
    let others = [
        "",
        "$aws/things/t/shadow",
        "$aws/things/t/shadow/",
        "$aws/things/t/shadow/put",
        "$aws/things/t/shadow/get/accepted",
        "$aws/things//shadow/get",
        "$aws/things/t/shadow/name/get",
        "$aws/things/t/shadow/name//get",
        "$aws/things/t/shadow/name/n/get/accepted",
        "$aws/things/t/jobs/get",
        "aws/things/t/shadow/get",
    ];
    for topic in others {
        assert_eq!(RequestTopic::read(topic), None, "{topic}");
    }
}

#[test]
fn document_may_have_8_kib_and_not_a_byte_more_whatever_its_metadata_and_white_space() {
    let (mut shadows, id) = (Shadows::new(LIMITS), classic("t"));
    // `{"a":"…"}` has 8 bytes besides the text.
    let desired = |bytes: usize| json!({"desired": {"a": "x".repeat(bytes - 8)}});
    assert_eq!(code(&update(&mut shadows, &id, &desired(8_192), 1)), None);
    assert_eq!(code(&update(&mut shadows, &id, &desired(8_193), 1)), Some(413));
    assert_eq!(
        code(&update(&mut shadows, &id, &json!({"reported": {"b": 1}}), 1)),
        Some(413),
        "with what is there"
    );
    assert_eq!(code(&update(&mut shadows, &id, &desired(8_192 - 7), 1)), None);
    assert_eq!(code(&update(&mut shadows, &id, &json!({"reported": {"b": 1}}), 1)), None);
    let spaced = format!(r#"{{"state": {{"reported": {{"b": {}2}}}}}}"#, " ".repeat(10_000));
    assert_eq!(code(&answer(&mut shadows, &id, Operation::Update, spaced.as_bytes(), 1)), None);
    let got = answer(&mut shadows, &id, Operation::Get, b"", 1);
    assert_eq!(got[0].1["state"]["reported"], json!({"b": 2}));
}

#[test]
fn section_may_have_8_levels() {
    let (mut shadows, id) = (Shadows::new(LIMITS), classic("t"));
    let objects = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!({ "a": inner }));
    let arrays = |levels: usize| json!({"a": (1..levels).fold(json!(1), |inner, _| json!([inner]))});
    for section in ["desired", "reported"] {
        for nested in [objects, arrays] {
            assert_eq!(code(&update(&mut shadows, &id, &json!({section: nested(8)}), 1)), None);
            let rejected = update(&mut shadows, &id, &json!({section: nested(9)}), 1);
            assert_eq!(rejected[0].1["message"], "JSON contains too many levels of nesting; maximum is 8");
        }
    }
    for levels in [126, 127, 128, 10_000] {
        let payload =
            format!(r#"{{"state":{{"desired":{}1{}}}}}"#, r#"{"a":"#.repeat(levels), "}".repeat(levels));
        let rejected = answer(&mut shadows, &id, Operation::Update, payload.as_bytes(), 1);
        assert_eq!(
            rejected[0].1["message"], "JSON contains too many levels of nesting; maximum is 8",
            "{levels}"
        );
    }
}

#[test]
fn version_follows_that_of_a_shadow_deleted_up_to_48_hours_ago() {
    const HOURS: i64 = 3_600;
    for (pause, version) in [(0, 4), (48 * HOURS, 4), (48 * HOURS + 1, 1)] {
        let (mut shadows, id) = (Shadows::new(LIMITS), classic("t"));
        for _ in 0..3 {
            update(&mut shadows, &id, &json!({"desired": {"a": 1}}), 7);
        }
        let deleted = answer(&mut shadows, &id, Operation::Delete, b"not JSON", 8);
        assert_eq!(deleted, [(AnswerKind::Accepted, json!({"version": 3, "timestamp": 8}))]);
        assert_eq!(code(&answer(&mut shadows, &id, Operation::Get, b"", 8)), Some(404));
        assert_eq!(code(&answer(&mut shadows, &id, Operation::Delete, b"", 8)), Some(404));
        let created = update(&mut shadows, &id, &json!({"desired": {"a": 1}}), 8 + pause);
        assert_eq!(created[0].1["version"], version, "{pause}");
        assert_eq!(created[2].1["previous"], Value::Null, "{pause}");
    }
}

#[test]
fn shadows_are_bounded_and_those_that_were_deleted_make_room() {
    let limits = ShadowLimits { shadows: 3, ..LIMITS };
    let (mut shadows, state) = (Shadows::new(limits), json!({"desired": {"a": 1}}));
    for thing in ["a", "b", "c"] {
        assert_eq!(code(&update(&mut shadows, &classic(thing), &state, 1)), None);
    }
    assert_eq!(code(&update(&mut shadows, &classic("d"), &state, 1)), Some(429));
    assert_eq!(code(&update(&mut shadows, &classic("a"), &state, 1)), None, "one that exists");
    answer(&mut shadows, &classic("b"), Operation::Delete, b"", 2);
    assert_eq!(code(&update(&mut shadows, &classic("d"), &state, 3)), None);
    assert_eq!(code(&update(&mut shadows, &classic("b"), &state, 3)), Some(429));

    let mut shadows = Shadows::new(ShadowLimits { bytes: 100_000, ..LIMITS });
    let large = json!({"desired": {"a": "x".repeat(8_000)}});
    let stored =
        (0..100).filter(|n| code(&update(&mut shadows, &classic(&n.to_string()), &large, 1)).is_none());
    assert_eq!(stored.count(), 12);
    assert_eq!(code(&update(&mut shadows, &classic("0"), &json!({"desired": null}), 1)), None);
    assert_eq!(code(&update(&mut shadows, &classic("99"), &large, 1)), None, "it made room");
}

#[test]
fn versions_of_deleted_shadows_are_forgotten_when_others_are_created() {
    let mut shadows = Shadows::new(LIMITS);
    for n in 0..900 {
        update(&mut shadows, &classic(&n.to_string()), &json!({"desired": {"a": 1}}), 1);
        answer(&mut shadows, &classic(&n.to_string()), Operation::Delete, b"", 2);
    }
    let later = 2 + 48 * 3_600 + 1;
    for n in 0..900 {
        assert_eq!(code(&update(&mut shadows, &classic(&format!("x{n}")), &json!({}), later)), None);
    }
    for n in 0..900 {
        let created = update(&mut shadows, &classic(&n.to_string()), &json!({}), 3);
        assert_eq!(created[0].1["version"], 1, "{n} was forgotten");
        answer(&mut shadows, &classic(&format!("x{n}")), Operation::Delete, b"", later);
    }
}

#[test]
fn named_shadows_of_a_thing_are_listed_in_pages() {
    let mut shadows = Shadows::new(LIMITS);
    let all = [
        ("t", None),
        ("t", Some("b")),
        ("t", Some("a")),
        ("t", Some("$c")),
        ("s", Some("x")),
        ("t1", Some("y")),
    ];
    for (thing, name) in all {
        update(&mut shadows, &ShadowId::new(thing, name).unwrap(), &json!({}), 1);
    }
    answer(&mut shadows, &ShadowId::new("t", Some("b")).unwrap(), Operation::Delete, b"", 1);
    let names =
        |after, max| shadows.names("t", after, max).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(names(None, 100), ["$c", "a"]);
    assert_eq!(names(None, 1), ["$c"]);
    assert_eq!(names(Some("$c"), 1), ["a"]);
    assert!(names(Some("a"), 100).is_empty() && shadows.names("u", None, 100).is_empty());
}

#[test]
fn a_shadow_that_is_created_again_is_not_forgotten_for_one_that_was_prepared_at_the_same_time() {
    let (mut shadows, state) = (Shadows::new(ShadowLimits { shadows: 1, ..LIMITS }), br#"{"state":{}}"#);
    update(&mut shadows, &classic("a"), &json!({}), 1);
    answer(&mut shadows, &classic("a"), Operation::Delete, b"", 2);
    let prepare = |thing| shadows.prepare(&request(&classic(thing), Operation::Update, state).unwrap(), 3);
    let (other, again) = (prepare("b").unwrap(), prepare("a").unwrap());
    for change in [again.changes, other.changes].concat() {
        shadows.apply(change);
    }
    let got = answer(&mut shadows, &classic("a"), Operation::Get, b"", 4);
    assert_eq!(got[0].1["version"], 2, "{got:?}");
}
