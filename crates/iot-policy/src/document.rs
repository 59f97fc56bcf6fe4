//! A whole policy document, from text or from JSON.

use std::str::FromStr;

use serde_json::Value;

use crate::error::{PolicyError, Problem};
use crate::finding::Finding;
use crate::limits::{MAX_POLICY_DOCUMENT_CHARACTERS, counted_characters};
use crate::node::{Json, Node};
use crate::statement::Statement;

/// A policy document that was understood in full (AWS IoT Core developer guide, `iot-policies`).
///
/// Keys, effects and condition operators are read in AWS's own spelling and case only *(guess: keys, effects and
/// operators of a document)*.
/// `Version` must be there and be `2012-10-17`: IAM reads a document without one as the older language, in which
/// `${…}` is plain text, and AWS IoT's pages only know the newer *(guess: a document without `Version`)*.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyDocument {
    id: Option<String>,
    statements: Vec<Statement>,
    findings: Vec<Finding>,
}

impl PolicyDocument {
    /// Reads a document's JSON text.
    ///
    /// # Errors
    ///
    /// A document over [`MAX_POLICY_DOCUMENT_CHARACTERS`], text that isn't JSON, a key that is missing, unknown,
    /// repeated or not supported, a value of the wrong type or unknown to AWS IoT; with its place.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let counted = counted_characters(text);
        if counted > MAX_POLICY_DOCUMENT_CHARACTERS {
            return Err(PolicyError::new("", Problem::TooLong(counted)));
        }
        let json: Json = serde_json::from_str(text)
            .map_err(|error| PolicyError::new("", Problem::NotJson(error.to_string())))?;
        Self::read(&Node::root(&json))
    }

    /// The document's own name, any text.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The statements in the document's order, at least one.
    #[must_use]
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// Parts of the document that have no effect, or more effect than its author may expect.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    fn read(root: &Node<'_>) -> Result<Self, PolicyError> {
        let (mut version, mut id, mut statement) = (None, None, None);
        for (key, member) in root.members()? {
            match key {
                "Version" => version = Some(member),
                "Id" => id = Some(member.string()?.to_owned()),
                "Statement" => statement = Some(member),
                _ => return Err(member.error(Problem::UnknownKey("`Version`, `Id`, `Statement`"))),
            }
        }
        check_version(&version.ok_or_else(|| root.missing("Version"))?)?;
        let (statements, findings) = read_statements(&statement.ok_or_else(|| root.missing("Statement"))?)?;
        Ok(Self { id, statements, findings })
    }
}

impl FromStr for PolicyDocument {
    type Err = PolicyError;

    /// The same as [`PolicyDocument::parse`].
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<&Value> for PolicyDocument {
    type Error = PolicyError;

    /// Reads one entry of an authorizer's `policyDocuments`: the document itself, or a string that holds its text
    /// (developer guide, `custom-auth-lambda`).
    ///
    /// A [`Value`] has already dropped repeated keys, and is counted as its shortest text: parse the text where it
    /// is at hand.
    fn try_from(value: &Value) -> Result<Self, Self::Error> {
        match value {
            Value::String(text) => Self::parse(text),
            value if is_within_depth(value, MAX_DEPTH) => Self::parse(&value.to_string()),
            _ => Err(PolicyError::new("", Problem::TooDeep)),
        }
    }
}

/// Deeper than any policy nests (6), less deep than a call stack notices.
const MAX_DEPTH: usize = 32;

fn is_within_depth(value: &Value, left: usize) -> bool {
    let Some(left) = left.checked_sub(1) else { return false };
    match value {
        Value::Array(entries) => entries.iter().all(|entry| is_within_depth(entry, left)),
        Value::Object(members) => members.values().all(|member| is_within_depth(member, left)),
        _ => true,
    }
}

fn check_version(node: &Node<'_>) -> Result<(), PolicyError> {
    match node.string()? {
        "2012-10-17" => Ok(()),
        other => Err(node.error(Problem::Version(other.to_owned()))),
    }
}

fn read_statements(node: &Node<'_>) -> Result<(Vec<Statement>, Vec<Finding>), PolicyError> {
    let nodes = node.one_or_more()?;
    if nodes.is_empty() {
        return Err(node.error(Problem::Empty));
    }
    let mut findings = Vec::new();
    let statements =
        nodes.iter().map(|node| Statement::read(node, &mut findings)).collect::<Result<Vec<_>, _>>()?;
    Ok((statements, findings))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn policy() -> Value {
        let statement = json!({"Effect": "Allow", "Action": "iot:Connect", "Resource": "*"});
        json!({"Version": "2012-10-17", "Statement": [statement]})
    }

    #[test]
    fn a_value_reads_like_its_text() {
        let from_value = PolicyDocument::try_from(&policy()).unwrap();
        let from_string = PolicyDocument::try_from(&Value::String(policy().to_string())).unwrap();
        assert_eq!(from_value, policy().to_string().parse().unwrap());
        assert_eq!(from_value, from_string);
    }

    #[test]
    fn depth_is_bounded() {
        let mut deep = Value::Null;
        for _ in 0..100 {
            deep = Value::Array(vec![deep]);
        }
        let error = PolicyDocument::try_from(&deep).unwrap_err();
        assert_eq!(
            error.to_string(),
            "policy document: nested deeper than any policy, take out the inner lists and objects"
        );
        let text = "[".repeat(2000);
        let error = PolicyDocument::parse(&text).unwrap_err();
        assert_eq!(
            error.to_string(),
            "policy document: not JSON: recursion limit exceeded at line 1 column 128"
        );
    }

    #[test]
    fn length_is_bounded_without_white_space() {
        let text = policy().to_string();
        let spaces = " ".repeat(5000);
        assert!(PolicyDocument::parse(&format!("{spaces}{text}{spaces}")).is_ok());
        let with_id = |length: usize| {
            let mut policy = policy();
            policy["Id"] = Value::String("i".repeat(length));
            policy.to_string()
        };
        let longest = MAX_POLICY_DOCUMENT_CHARACTERS - with_id(0).len();
        assert!(PolicyDocument::parse(&with_id(longest)).is_ok());
        let error = PolicyDocument::parse(&with_id(longest + 1)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "policy document: 2049 characters, more than the 2048 that AWS accepts"
        );
    }
}
