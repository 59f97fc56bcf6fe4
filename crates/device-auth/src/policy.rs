//! Policy documents for a bound device, as few as fit AWS's limits.
//!
//! Source: AWS IoT Core developer guide, `custom-auth-lambda` (10 documents of 2,048 characters) and
//! `pub-sub-policy` (which action goes with which resource).

use std::{
    collections::{BTreeSet, VecDeque},
    io,
};

use iot_policy::{
    arn::FunctionArn,
    limits::{MAX_POLICY_DOCUMENT_CHARACTERS, MAX_POLICY_DOCUMENTS},
};
use serde::Serialize;

use crate::{
    binding::{BoundDevice, PersistentSession},
    client_id::ClientId,
    grant::{
        Grant,
        template::{NoValue, TopicTemplate},
    },
    record::Record,
};

/// One policy document, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PolicyDocument {
    version: &'static str,
    statement: Vec<Statement>,
    /// Counted once, because writing the JSON only to measure it would be most of an answer's cost.
    #[serde(skip)]
    characters: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    effect: &'static str,
    action: Vec<&'static str>,
    resource: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<Condition>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Condition {
    #[serde(rename = "ForAnyValue:StringEquals")]
    any_equals: ConnectAttributes,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct ConnectAttributes {
    #[serde(rename = "iot:ConnectAttributes")]
    connect_attributes: Vec<&'static str>,
}

/// The values of a grant's placeholders.
#[derive(Clone, Copy)]
pub struct Values<'a> {
    /// `{client_id}`.
    pub client_id: &'a ClientId,
    /// The record, for `{device}`, `{product}` and the parameters.
    pub record: &'a Record,
    /// Whether the grant's persistent session is withheld from this client.
    pub session: PersistentSession,
}

/// Why a grant can't become policy documents. Loading a store finds this before a device connects.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// A placeholder of the grant has no value.
    #[error(
        "grant `{grant}` has the placeholder `{{{placeholder}}}`: give the record a parameter of that name"
    )]
    Placeholder {
        /// The grant.
        grant: String,
        /// The placeholder's name.
        placeholder: String,
    },
    /// The documents exceed AWS's limits.
    #[error(
        "grant `{grant}` does not fit AWS's {MAX_POLICY_DOCUMENTS} documents of \
         {MAX_POLICY_DOCUMENT_CHARACTERS} characters: shorten it"
    )]
    TooLarge {
        /// The grant.
        grant: String,
    },
}

/// The documents for a bound device.
///
/// # Errors
///
/// When a placeholder has no value, or the documents exceed AWS's limits. Loading the store rules both out.
pub fn documents(bound: &BoundDevice, arn: &FunctionArn) -> Result<Vec<PolicyDocument>, DocumentError> {
    let values =
        Values { client_id: bound.client_id(), record: bound.device().record(), session: bound.session() };
    build(values, arn, MAX_POLICY_DOCUMENTS)
}

/// A policy document that a record leads to, for tools that explain and check records. No credential was verified for it,
/// so no answer can contain it.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct DocumentPreview(PolicyDocument);

impl DocumentPreview {
    /// The documents that a device gets with this record and client id when its credential is right.
    ///
    /// # Errors
    ///
    /// As [`documents`].
    pub fn all(values: Values<'_>, arn: &FunctionArn) -> Result<Vec<Self>, DocumentError> {
        Ok(build(values, arn, MAX_POLICY_DOCUMENTS)?.into_iter().map(Self).collect())
    }
}

/// Checks that the documents fit for every client id: with the longest possible one, they must leave one document unused,
/// because other lengths can pack a little worse.
///
/// # Errors
///
/// As [`documents`].
pub(crate) fn check(values: Values<'_>) -> Result<(), DocumentError> {
    build(values, &FunctionArn::longest(), MAX_POLICY_DOCUMENTS - 1).map(drop)
}

/// The documents of the record's grant with these values, up to `most`.
fn build(values: Values<'_>, arn: &FunctionArn, most: usize) -> Result<Vec<PolicyDocument>, DocumentError> {
    let grant = &values.record.grant;
    let statements = statements(grant, values, arn)?;
    pack(statements, most).ok_or_else(|| DocumentError::TooLarge { grant: grant.name().to_owned() })
}

fn statements(grant: &Grant, values: Values<'_>, arn: &FunctionArn) -> Result<Vec<Statement>, DocumentError> {
    let definition = grant.definition();
    let client = arn.iot_resource("client", values.client_id.as_str());
    let persistent = definition.persistent_session && values.session == PersistentSession::AsGranted;
    let withheld = withheld_attributes(definition.last_will, persistent, &client);
    let mut statements = vec![Statement::allow("iot:Connect", vec![client])];
    statements.extend(withheld);
    let topic_actions = [
        ("iot:Publish", "topic", &definition.publish),
        ("iot:Receive", "topic", &definition.receive),
        ("iot:RetainPublish", "topic", &definition.retain),
        ("iot:Subscribe", "topicfilter", &definition.subscribe),
    ];
    for (action, kind, templates) in topic_actions {
        let mut topics = topics(grant, templates, values)?;
        if action == "iot:Receive" {
            topics.extend(shared_names(&topics, &self::topics(grant, &definition.subscribe, values)?));
        }
        let resources = topics.iter().map(|topic| arn.iot_resource(kind, topic)).collect::<Vec<_>>();
        let alike =
            statements.iter_mut().find(|known| known.effect == "Allow" && known.resource == resources);
        match alike {
            _ if resources.is_empty() => {}
            Some(known) => known.action.push(action),
            None => statements.push(Statement::allow(action, resources)),
        }
    }
    Ok(statements)
}

/// The statement that denies what the grant does not allow. A plain `iot:Connect` also allows a last will and a persistent
/// session (developer guide, `connect-policy`).
fn withheld_attributes(last_will: bool, persistent: bool, client: &str) -> Option<Statement> {
    let all = [("LastWill", last_will), ("PersistentConnect", persistent)];
    let withheld = all.into_iter().filter(|(_, granted)| !granted).map(|(name, _)| name).collect::<Vec<_>>();
    (!withheld.is_empty()).then(|| Statement {
        effect: "Deny",
        action: vec!["iot:Connect"],
        resource: vec![client.to_owned()],
        condition: Some(Condition { any_equals: ConnectAttributes { connect_attributes: withheld } }),
    })
}

fn topics(
    grant: &Grant,
    templates: &[TopicTemplate],
    values: Values<'_>,
) -> Result<Vec<String>, DocumentError> {
    let topics = templates.iter().map(|template| {
        template.fill(|name| values.get(name)).map_err(|NoValue(placeholder)| DocumentError::Placeholder {
            grant: grant.name().to_owned(),
            placeholder,
        })
    });
    topics.collect()
}

/// The topics to receive from under the names that the shared subscriptions among `filters` give them: `$share/GROUP/TOPIC`.
/// That name is enough on AWS (measured: `docs/fidelity.md`); the plain one may be too *(guess: so is `iot:Receive` on
/// `topic/TOPIC`)*. A policy has both, as in AWS's samples.
fn shared_names(receive: &[String], filters: &[String]) -> Vec<String> {
    let groups = filters.iter().filter_map(|filter| filter.strip_prefix("$share/")?.split_once('/'));
    let groups = groups.map(|(group, _)| group).collect::<BTreeSet<_>>();
    let plain = || receive.iter().filter(|topic| !topic.starts_with("$share/"));
    let names = groups.iter().flat_map(|group| plain().map(move |topic| format!("$share/{group}/{topic}")));
    names.filter(|name| !receive.contains(name)).collect()
}

/// Fills one document after another. `None` if the statements exceed AWS's limits.
fn pack(statements: Vec<Statement>, most: usize) -> Option<Vec<PolicyDocument>> {
    let mut documents: Vec<PolicyDocument> = Vec::new();
    let mut queue = VecDeque::from(statements);
    while let Some(statement) = queue.pop_front() {
        let characters = characters_of(&statement);
        if let Some(last) = documents.last_mut()
            && last.has_room_for(characters)
        {
            last.push(statement, characters);
        } else if PolicyDocument::empty().has_room_for(characters) {
            let mut document = PolicyDocument::empty();
            document.push(statement, characters);
            documents.push(document);
        } else {
            let (front, back) = statement.halves()?;
            queue.push_front(back);
            queue.push_front(front);
        }
        if documents.len() > most {
            return None;
        }
    }
    Some(documents)
}

impl PolicyDocument {
    /// The document of a refusal, which denies every action on every resource.
    #[must_use]
    pub fn deny_all() -> Self {
        let characters = r#"{"Effect":"Deny","Action":["iot:*"],"Resource":["*"]}"#.len();
        let action = vec!["iot:*"];
        let statement = Statement { effect: "Deny", action, resource: vec!["*".to_owned()], condition: None };
        let mut document = Self::empty();
        document.push(statement, characters);
        document
    }

    fn empty() -> Self {
        let characters = r#"{"Version":"2012-10-17","Statement":[]}"#.len();
        Self { version: "2012-10-17", statement: Vec::new(), characters }
    }

    fn has_room_for(&self, characters: usize) -> bool {
        self.characters_with(characters) <= MAX_POLICY_DOCUMENT_CHARACTERS
    }

    fn push(&mut self, statement: Statement, characters: usize) {
        self.characters = self.characters_with(characters);
        self.statement.push(statement);
    }

    /// The number of characters with one more statement of this length and the comma before it.
    fn characters_with(&self, characters: usize) -> usize {
        let comma = usize::from(!self.statement.is_empty());
        self.characters.saturating_add(characters).saturating_add(comma)
    }

    /// The number of characters that AWS counts. The JSON has no white space between its parts.
    #[must_use]
    pub fn characters(&self) -> usize {
        self.characters
    }
}

/// The number of characters of the statement as JSON.
fn characters_of(statement: &Statement) -> usize {
    let mut characters = Characters(0);
    serde_json::to_writer(&mut characters, statement).map_or(usize::MAX, |()| characters.0)
}

/// Counts the characters of the UTF-8 that is written to it.
struct Characters(usize);

impl io::Write for Characters {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Continuation bytes do not begin a character.
        self.0 += bytes.iter().filter(|byte| *byte & 0b1100_0000 != 0b1000_0000).count();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Statement {
    fn allow(action: &'static str, resource: Vec<String>) -> Self {
        Self { effect: "Allow", action: vec![action], resource, condition: None }
    }

    /// Two statements, each with half of the resources; `None` if there is only one resource.
    fn halves(mut self) -> Option<(Self, Self)> {
        let half = self.resource.len() / 2;
        let back = self.resource.split_off(half);
        let front = (half > 0).then(|| self.clone())?;
        Some((front, Self { resource: back, ..self }))
    }
}

impl<'a> Values<'a> {
    fn get(self, placeholder: &str) -> Option<&'a str> {
        match placeholder {
            "client_id" => Some(self.client_id.as_str()),
            other => self.record.value(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        device_name::DeviceName,
        grant::{GrantDefinition, Grants},
        record::Proof,
        time::Timers,
    };

    fn pack_topics(count: usize, width: usize) -> Result<Vec<PolicyDocument>, DocumentError> {
        let topic = |n| TopicTemplate::try_from(format!("site/{n:0>width$}/{{client_id}}")).unwrap();
        let publish = (0..count).map(topic).collect();
        let definition =
            GrantDefinition { publish, last_will: true, persistent_session: true, ..Default::default() };
        let grants = Grants::new(BTreeMap::from([("g".to_owned(), definition)])).unwrap();
        let device = DeviceName::try_from("device").unwrap();
        let record = Record {
            proof: Proof::Token,
            certificates: Vec::new(),
            enabled: true,
            client_ids: Vec::new(),
            device: device.clone(),
            product: None,
            grant: grants.get("g").unwrap(),
            parameters: BTreeMap::new(),
            timers: Timers {
                refresh_after: 300.try_into().unwrap(),
                disconnect_after: 300.try_into().unwrap(),
            },
            not_before: None,
            not_after: None,
        };
        let session = PersistentSession::AsGranted;
        let values = Values { client_id: device.client_id(), record: &record, session };
        let arn = "arn:aws:lambda:us-east-1:123456789012:function:f".parse().unwrap();
        build(values, &arn, MAX_POLICY_DOCUMENTS)
    }

    proptest::proptest! {
        #[test]
        fn every_resource_is_kept_and_every_document_fits(count in 0_usize..150, width in 1_usize..200) {
            let Ok(documents) = pack_topics(count, width) else { return Ok(()) };
            proptest::prop_assert!(documents.len() <= MAX_POLICY_DOCUMENTS);
            for document in &documents {
                let text = serde_json::to_string(document).unwrap();
                proptest::prop_assert_eq!(document.characters(), text.chars().count());
            }
            proptest::prop_assert!(documents.iter().all(|one| one.characters() <= MAX_POLICY_DOCUMENT_CHARACTERS));
            let statements = documents.iter().flat_map(|one| &one.statement);
            let publish = statements.filter(|one| one.action == ["iot:Publish"]);
            let topics = publish.flat_map(|one| &one.resource).cloned().collect::<std::collections::BTreeSet<_>>();
            proptest::prop_assert_eq!(topics.len(), count);
        }
    }

    #[test]
    fn small_grant_is_one_document_and_a_large_one_is_split() {
        assert_eq!(pack_topics(5, 10).unwrap().len(), 1);
        assert!((2..=10).contains(&pack_topics(100, 40).unwrap().len()));
        assert!(matches!(pack_topics(150, 200), Err(DocumentError::TooLarge { .. })));
    }

    #[test]
    fn shared_subscription_receives_under_both_names() {
        let names = |receive: &[&str], filters: &[&str]| {
            let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
            shared_names(&owned(receive), &owned(filters))
        };
        let filters = ["$share/g/c/jobs/#", "$share/h/c/#", "$share/g/c/other", "c/#"];
        assert_eq!(names(&["c/jobs/*"], &filters), ["$share/g/c/jobs/*", "$share/h/c/jobs/*"]);
        assert_eq!(names(&["c/jobs/*"], &["c/#"]), [""; 0], "nothing is shared");
        assert_eq!(names(&["c/*", "$share/g/c/*"], &["$share/g/c/#"]), [""; 0], "it is written out already");
    }

    #[test]
    fn document_of_a_refusal_denies_everything() {
        let document = PolicyDocument::deny_all();
        let text = serde_json::to_string(&document).unwrap();
        assert_eq!(text.len(), document.characters());
        assert!(text.contains(r#""Effect":"Deny","Action":["iot:*"],"Resource":["*"]"#), "{text}");
    }

    /// The parser of `iot-policy` is as strict as AWS's, and reports statements without an effect.
    #[test]
    fn policy_parser_accepts_every_document() {
        for document in pack_topics(100, 40).unwrap() {
            let text = serde_json::to_string(&document).unwrap();
            let parsed: iot_policy::PolicyDocument = text.parse().unwrap();
            assert_eq!(parsed.findings(), []);
        }
    }
}
