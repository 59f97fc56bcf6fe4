//! The returned policies against what a client asks for.

use iot_policy::{Action, Context, Decision, PolicyDocument, Request, Scope, evaluate};
use mqtt::TopicName;

use super::Record;
use crate::custom_auth::answer::Authorization;

/// The policies of one client and what they are asked with.
pub struct Enforcement {
    authorization: Authorization,
    scope: std::sync::Arc<Scope>,
    client_id: std::sync::Arc<str>,
    connect_context: Context,
    context: Context,
}

/// A decision that can say what it was about.
pub struct Decided<'a> {
    action: Action,
    resource: &'a str,
    decision: Decision<'a>,
}

impl Enforcement {
    /// Policies for a client with this id. The contexts hold what conditions and variables may ask for: of the
    /// CONNECT, which has a last will and a session, and of every other request, which has not.
    #[must_use]
    pub fn new(
        authorization: Authorization,
        scope: std::sync::Arc<Scope>,
        client_id: std::sync::Arc<str>,
        connect_context: Context,
        context: Context,
    ) -> Self {
        Self { authorization, scope, client_id, connect_context, context }
    }

    /// What the authorizer granted last.
    #[must_use]
    pub fn authorization(&self) -> &Authorization {
        &self.authorization
    }

    /// What is suspicious in the policies, for a person to read.
    #[must_use]
    pub fn findings(&self) -> Option<String> {
        let documents = self.authorization.documents.iter().enumerate();
        let findings = documents.flat_map(|(n, document)| {
            document.findings().iter().map(move |finding| format!("policy document {n}: {finding}"))
        });
        Some(findings.collect::<Vec<_>>().join("; ")).filter(|text| !text.is_empty())
    }

    /// Puts new policies in the old ones' place.
    pub fn replace(&mut self, authorization: Authorization) {
        self.authorization = authorization;
    }

    /// Whether the client may be connected at all.
    #[must_use]
    pub fn connect(&self) -> Decided<'_> {
        self.decide_in(&self.connect_context, Action::Connect, &self.client_id)
    }

    /// Whether the client may be connected with a persistent session.
    #[must_use]
    pub fn connect_persistently(&self) -> bool {
        let context = self.connect_context.clone().with_persistent_session();
        self.decide_in(&context, Action::Connect, &self.client_id).decision.is_allowed()
    }

    /// Whether `action` is allowed on a client id, topic or topic filter.
    #[must_use]
    pub fn decide<'a>(&'a self, action: Action, resource: &'a str) -> Decided<'a> {
        self.decide_in(&self.context, action, resource)
    }

    fn decide_in<'a>(&'a self, context: &Context, action: Action, resource: &'a str) -> Decided<'a> {
        let documents: &'a [PolicyDocument] = &self.authorization.documents;
        let decision = evaluate(documents, &Request::new(action, &self.scope, resource, context));
        Decided { action, resource, decision }
    }

    /// Publishing; a retained message needs `iot:RetainPublish` too (developer guide, `pub-sub-policy`).
    #[must_use]
    pub fn decide_publish<'a>(&'a self, topic: &'a TopicName, retain: bool) -> Decided<'a> {
        let publish = self.decide(Action::Publish, topic.as_str());
        if retain && publish.decision.is_allowed() {
            return self.decide(Action::RetainPublish, topic.as_str());
        }
        publish
    }
}

impl Decided<'_> {
    /// What the log says about it, if it was denied.
    #[must_use]
    pub fn denial(&self) -> Option<Record> {
        (!self.decision.is_allowed()).then(|| self.record())
    }

    fn record(&self) -> Record {
        Record {
            action: self.action,
            resource: self.resource.to_owned(),
            reason: (!self.decision.is_allowed()).then_some("AUTHORIZATION_FAILURE"),
            details: self.decision.to_string(),
        }
    }
}
