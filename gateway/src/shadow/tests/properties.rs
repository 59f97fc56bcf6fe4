//! Properties: a document and its answers against a twin that keeps each value under its whole path.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{LIMITS, answer};
use crate::shadow::{Operation, ShadowId, answer::AnswerKind, shadows::Shadows};

/// One of few names, so that paths meet.
fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "ü\"", "timestamp"]).prop_map(str::to_owned)
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::from),
        (-2i64..3).prop_map(Value::from),
        "[xy]?".prop_map(Value::from)
    ]
}

/// A value of a patch, `null` and empty objects included.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        4 => scalar(),
        2 => Just(Value::Null),
        1 => prop::collection::vec(scalar(), 0..3).prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop::collection::btree_map(name(), inner, 0..3)
            .prop_map(|fields| Value::Object(fields.into_iter().collect()))
    })
}

fn section() -> impl Strategy<Value = Value> {
    prop_oneof![
        1 => Just(Value::Null),
        9 => prop::collection::btree_map(name(), value(), 0..4).prop_map(|fields| Value::Object(fields.into_iter().collect())),
    ]
}

fn state() -> impl Strategy<Value = Value> {
    prop_oneof![
        1 => Just(Value::Null),
        9 => (prop::option::of(section()), prop::option::of(section())).prop_map(|(desired, reported)| {
            let sections = [("desired", desired), ("reported", reported)];
            let present = sections.into_iter().filter_map(|(name, section)| Some((name.to_owned(), section?)));
            Value::Object(present.collect())
        }),
    ]
}

type Path = Vec<String>;

/// A section that keeps each value that is not an object, and each object that is there, under its path.
#[derive(Clone, Default)]
struct Twin(BTreeMap<Path, (Value, i64)>);

impl Twin {
    fn set(&mut self, path: &[String], value: &Value, at: i64) {
        let is_below = |other: &Path| other.len() > path.len() && other.starts_with(path);
        match value {
            Value::Null => self.0.retain(|other, _| other != path && !is_below(other)),
            Value::Object(fields) => {
                if !path.is_empty() {
                    self.0
                        .entry(path.to_vec())
                        .and_modify(|(old, _)| *old = json!({}))
                        .or_insert((json!({}), at));
                }
                for (name, value) in fields {
                    self.set(&[path, std::slice::from_ref(name)].concat(), value, at);
                }
            }
            value => {
                self.0.retain(|other, _| !is_below(other));
                self.0.insert(path.to_vec(), (value.clone(), at));
            }
        }
    }

    /// The tree of these entries, each written by `leaf`; objects are written as they are.
    fn tree(&self, leaf: impl Fn(&Value, i64) -> Value) -> Value {
        let mut root = json!({});
        for (path, (value, at)) in &self.0 {
            let written = if value.is_object() { json!({}) } else { leaf(value, *at) };
            let (last, parents) = path.split_last().unwrap();
            let parent = parents.iter().fold(&mut root, |tree, name| &mut tree[name]);
            parent[last] = written;
        }
        root
    }

    fn state(&self) -> Value {
        self.tree(|value, _| value.clone())
    }

    fn metadata(&self) -> Value {
        self.tree(|value, at| match value {
            Value::Array(elements) => elements.iter().map(|_| json!({"timestamp": at})).collect(),
            _ => json!({"timestamp": at}),
        })
    }

    /// The entries that the other does not have, with the objects on their paths.
    fn differing(&self, other: &Self) -> Self {
        let differs =
            |path: &Path, value: &Value| other.0.get(path).is_none_or(|(theirs, _)| theirs != value);
        let differing = self.0.iter().filter(|(path, (value, _))| differs(path, value)).map(|(path, _)| path);
        let differing = differing.cloned().collect::<Vec<_>>();
        let leads_to_one = |path: &Path| differing.iter().any(|other| other.starts_with(path));
        Self(
            self.0
                .iter()
                .filter(|(path, _)| leads_to_one(path))
                .map(|(path, it)| (path.clone(), it.clone()))
                .collect(),
        )
    }
}

fn sections(sections: [(&str, Value); 2]) -> Value {
    let present = sections.into_iter().filter(|(_, fields)| *fields != json!({}));
    Value::Object(present.map(|(name, fields)| (name.to_owned(), fields)).collect::<Map<_, _>>())
}

proptest! {
    #[test]
    fn documents_are_those_of_a_naive_twin(states in prop::collection::vec(state(), 1..8)) {
        let (mut shadows, id) = (Shadows::new(LIMITS), ShadowId::new("t", None).unwrap());
        let [mut desired, mut reported] = [Twin::default(), Twin::default()];
        let mut previous = Value::Null;
        for (n, state) in states.iter().enumerate() {
            let (at, version) = (i64::try_from(n).unwrap() + 100, n + 1);
            let payload = json!({"state": state, "version": n, "clientToken": "c"}).to_string();
            let answers = answer(&mut shadows, &id, Operation::Update, payload.as_bytes(), at);
            for (name, twin) in [("desired", &mut desired), ("reported", &mut reported)] {
                if let Some(section) = if state.is_null() { Some(state) } else { state.get(name) } {
                    twin.set(&[], section, at);
                }
            }
            let current = json!({
                "state": sections([("desired", desired.state()), ("reported", reported.state())]),
                "metadata": sections([("desired", desired.metadata()), ("reported", reported.metadata())]),
                "version": version,
            });
            let delta = desired.differing(&reported);
            let of = |kind| answers.iter().find(|(it, _)| *it == kind).map(|(_, body)| body);
            let accepted = of(AnswerKind::Accepted).unwrap();
            prop_assert_eq!(&accepted["state"], state);
            let documents = json!({"previous": previous, "current": current, "timestamp": at, "clientToken": "c"});
            prop_assert_eq!(of(AnswerKind::Documents), Some(&documents));
            let (state, metadata) = (delta.state(), delta.metadata());
            let body = json!({"state": state, "metadata": metadata, "version": version, "timestamp": at, "clientToken": "c"});
            prop_assert_eq!(of(AnswerKind::Delta), Some(&body).filter(|_| !delta.0.is_empty()));
            let got = answer(&mut shadows, &id, Operation::Get, b"", at + 1);
            let mut document = current.clone();
            document["timestamp"] = (at + 1).into();
            if !delta.0.is_empty() {
                document["state"]["delta"] = delta.state();
            }
            prop_assert_eq!(&got, &[(AnswerKind::Accepted, document)]);
            previous = current;
        }
    }

    #[test]
    fn no_payload_is_a_panic_and_each_has_one_outcome(payload in prop::collection::vec(any::<u8>(), 0..64)) {
        let id = ShadowId::new("t", None).unwrap();
        for operation in Operation::ALL {
            let answers = answer(&mut Shadows::new(LIMITS), &id, operation, &payload, 1);
            let outcomes = answers.iter().filter(|(kind, _)| matches!(kind, AnswerKind::Accepted | AnswerKind::Rejected));
            prop_assert_eq!(outcomes.count(), 1);
        }
    }

    #[test]
    fn each_value_is_read_back_as_it_was_written(state in section().prop_filter("an object", Value::is_object)) {
        let mut document = crate::shadow::document::Document::default();
        let patch = json!({"desired": state});
        document.update(&crate::shadow::document::StatePatch(patch), 7);
        let json = serde_json::to_vec(&document).unwrap();
        prop_assert_eq!(serde_json::from_slice::<crate::shadow::document::Document>(&json).unwrap(), document);
    }
}
