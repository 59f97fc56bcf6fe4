//! The returned policies, held against what a client requests.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use cli::output::escaped;
use iot_policy::{
    Action, Context, Decision, Finding, FindingKind, PolicyDocument, Request, ResourceKind, Scope,
    allowed_resources, evaluate, near_miss,
};
use mqtt::{InvalidFilter, LastWill, TopicFilter, TopicName};

use crate::{
    custom_auth::answer::Authorization,
    event_log::{EventType, NOT_ACKNOWLEDGED},
    quotas::LimitError,
};

/// The policies of one client, with everything that their evaluation needs.
pub struct Enforcement {
    authorization: Authorization,
    scope: Arc<Scope>,
    client_id: Arc<str>,
    connect_context: Context,
    context: Context,
    denials: AtomicU32,
}

/// A decision of the policies, with the request that it is about.
pub struct PolicyDecision<'a> {
    documents: &'a [PolicyDocument],
    request: Request<'a>,
    decision: Decision<'a>,
    /// The connection's denials so far.
    denials: &'a AtomicU32,
}

/// A request that was not carried out, as the log reports it.
#[derive(Debug)]
pub struct Rejection {
    /// The kind of event that the log has it under.
    pub event_type: EventType,
    /// The topic or topic filter; empty if it is about no single one.
    pub resource: String,
    /// AWS's name for the reason.
    pub reason: &'static str,
    /// The statement that decided, or what else is wrong.
    pub details: String,
}

/// AWS's name for what a policy does not allow.
pub const DENIED: &str = "AUTHORIZATION_FAILURE";

/// Failures of one connection that get a line each in the log. A client can fail as fast as it can send.
pub const LOGGED_FAILURES: u32 = 100;

/// A client that waits for an acknowledgement reads this in the log.
pub(super) const NO_QOS_2: &str = "QoS 2 is not supported: use 0 or 1";

impl Enforcement {
    /// Policies for the client with this id. Conditions and variables read `connect_context` for the CONNECT, which has a
    /// last will and a session, and `context` for every other request.
    #[must_use]
    pub fn new(
        authorization: Authorization,
        scope: Arc<Scope>,
        client_id: Arc<str>,
        connect_context: Context,
        context: Context,
    ) -> Self {
        Self { authorization, scope, client_id, connect_context, context, denials: AtomicU32::new(0) }
    }

    /// The authorizer's last answer.
    #[must_use]
    pub fn authorization(&self) -> &Authorization {
        &self.authorization
    }

    /// Suspicious parts of the policies, for a person to read. A finding that a document has at several places is one.
    #[must_use]
    pub fn findings(&self) -> Option<String> {
        let mut texts = Vec::new();
        for (n, document) in self.authorization.documents.iter().enumerate() {
            let holds = |finding: &&Finding| {
                !(self.context.has_certificate() && matches!(finding.kind(), FindingKind::NoValue(_)))
            };
            let mut findings = document.findings().iter().filter(holds).collect::<Vec<_>>();
            while let Some(first) = findings.first().copied() {
                let before = findings.len();
                findings.retain(|finding| finding.kind() != first.kind());
                let more = match before - findings.len() - 1 {
                    0 => String::new(),
                    more => format!(" (and at {more} more places)"),
                };
                texts.push(format!("policy document {n}: {first}{more}"));
            }
        }
        (!texts.is_empty()).then(|| texts.join("; "))
    }

    /// The resources that the policies allow each action on after the connect, whatever their conditions: for the log. An
    /// action that they don't allow is left out.
    #[must_use]
    pub fn allowed(&self) -> BTreeMap<String, String> {
        let actions = Action::ALL.into_iter().filter(|action| *action != Action::Connect);
        let allowed = actions.map(|action| {
            // The resource is not looked at.
            let request = Request::new(action, &self.scope, "", &self.context);
            (action, allowed_resources(&self.authorization.documents, &request))
        });
        let allowed = allowed.filter(|(_, resources)| !resources.is_empty());
        allowed.map(|(action, resources)| (action.to_string(), resources.names())).collect()
    }

    /// The rejection of a CONNECT, with the suspicious parts of the policies: one of them may be the cause.
    #[must_use]
    pub fn with_findings(&self, mut rejection: Rejection) -> Rejection {
        if let Some(findings) = self.findings() {
            rejection.details = format!("{}; {findings}", rejection.details);
        }
        rejection
    }

    /// Replaces the policies.
    pub fn replace(&mut self, authorization: Authorization) {
        self.authorization = authorization;
    }

    /// Decides whether the client may connect.
    #[must_use]
    pub fn connect(&self) -> PolicyDecision<'_> {
        self.decide_in(&self.connect_context, Action::Connect, &self.client_id)
    }

    /// Whether the client may connect with a persistent session.
    #[must_use]
    pub fn allows_persistent_session(&self) -> bool {
        let context = self.connect_context.clone().with_persistent_session();
        self.decide_in(&context, Action::Connect, &self.client_id).decision.is_allowed()
    }

    /// Decides whether `action` is allowed on a topic or topic filter.
    #[must_use]
    pub fn decide<'a>(&'a self, action: Action, resource: &'a str) -> PolicyDecision<'a> {
        self.decide_in(&self.context, action, resource)
    }

    /// The rejection of a direct message to a client, if the policies do not let this one send it (developer guide,
    /// `direct-messaging-policy-examples`).
    #[must_use]
    pub fn direct_message_denial(&self, receiver: &str, topic: &TopicName) -> Option<Rejection> {
        let context = self.context.clone().with_direct_message_topic(topic.as_str());
        self.decide_in(&context, Action::SendDirectMessage, receiver).denial()
    }

    /// Decides about a PUBLISH. A retained message needs `iot:RetainPublish` too (developer guide, `pub-sub-policy`).
    #[must_use]
    pub fn decide_publish<'a>(&'a self, topic: &'a TopicName, retain: bool) -> PolicyDecision<'a> {
        let publish = self.decide(Action::Publish, topic.as_str());
        if retain && publish.decision.is_allowed() {
            return self.decide(Action::RetainPublish, topic.as_str());
        }
        publish
    }

    /// The rejection of a message for the client, if its policies do not let it receive from the topic.
    ///
    /// A message of a shared subscription has two names: the topic, and `$share/GROUP/TOPIC`, under which a user of AWS got
    /// its messages. One that is allowed suffices *(guess: a Deny on either name counts)*. A client that also has a plain
    /// subscription to the topic needs the plain name.
    #[must_use]
    pub fn receive_denial(&self, topic: &TopicName, subscriptions: &[TopicFilter]) -> Option<Rejection> {
        let plain = self.decide(Action::Receive, topic.as_str());
        let matching = || subscriptions.iter().filter(|filter| filter.matches(topic));
        let is_shared = subscriptions.iter().any(|filter| filter.shared().is_some())
            && matching().all(|filter| filter.shared().is_some());
        if !is_shared || matches!(plain.decision, Decision::Denied(_)) {
            return plain.denial();
        }
        let mut is_allowed = plain.decision.is_allowed();
        for (group, _) in matching().filter_map(TopicFilter::shared) {
            let name = format!("$share/{group}/{topic}");
            let shared = self.decide(Action::Receive, &name);
            if matches!(shared.decision, Decision::Denied(_)) {
                return shared.denial();
            }
            is_allowed |= shared.decision.is_allowed();
        }
        if is_allowed { None } else { plain.denial() }
    }

    /// The rejection of a CONNECT whose last will the client may not publish. AWS refuses such a CONNECT (developer guide,
    /// `life-cycle-events`).
    #[must_use]
    pub fn will_denial(&self, will: &LastWill) -> Option<Rejection> {
        let decision = self.decide_publish(&will.topic, will.retain);
        let denied = decision.denied()?;
        let (action, topic) = (decision.request.action(), escaped(will.topic.as_str()));
        Some(Rejection {
            event_type: EventType::Connect,
            resource: String::new(),
            reason: DENIED,
            details: format!("iot:Connect denied: its last will needs {action} on `{topic}`, {denied}"),
        })
    }

    fn decide_in<'a>(
        &'a self,
        context: &'a Context,
        action: Action,
        resource: &'a str,
    ) -> PolicyDecision<'a> {
        let documents = &self.authorization.documents;
        let request = Request::new(action, &self.scope, resource, context);
        PolicyDecision { documents, request, decision: evaluate(documents, &request), denials: &self.denials }
    }
}

impl PolicyDecision<'_> {
    /// The rejection, if the request was denied.
    #[must_use]
    pub fn denial(&self) -> Option<Rejection> {
        let denied = self.denied()?;
        let action = self.request.action();
        let names_topic = matches!(action.resource_kind(), ResourceKind::Topic | ResourceKind::TopicFilter);
        let resource = if names_topic { self.request.resource().name() } else { "" };
        Some(Rejection {
            event_type: event_type(action),
            resource: resource.to_owned(),
            reason: DENIED,
            details: format!("{action} {denied}"),
        })
    }

    /// Which statement denied the request. Where no statement allows it, the one that comes nearest and what it lacks, or
    /// else the resources that the policies allow the action on.
    fn denied(&self) -> Option<String> {
        if self.decision.is_allowed() {
            return None;
        }
        // A hint costs more than the decision, so a denial that gets no line in the log goes without.
        let is_logged = self.denials.fetch_add(1, Ordering::Relaxed) < LOGGED_FAILURES;
        let hint = match self.decision {
            Decision::NotAllowed if is_logged => format!(": {}", self.hint()),
            _ => String::new(),
        };
        Some(format!("{}{hint}", self.decision))
    }

    /// The statement that comes nearest to allowing the request and what it lacks, or what the policies do allow.
    fn hint(&self) -> String {
        near_miss(self.documents, &self.request).map_or_else(
            || allowed_resources(self.documents, &self.request).to_string(),
            |near| near.to_string(),
        )
    }
}

impl Rejection {
    /// A request at QoS 2, which AWS does not answer.
    pub(super) fn qos_2(action: Action, resource: &str) -> Self {
        let (event_type, resource) = (event_type(action), resource.to_owned());
        Self { event_type, resource, reason: "CLIENT_ERROR", details: NO_QOS_2.to_owned() }
    }

    /// A last will whose delay is left out, because too many wait for theirs.
    pub(crate) fn will_without_delay(topic: &TopicName) -> Self {
        Self {
            event_type: EventType::PublishIn,
            resource: topic.as_str().to_owned(),
            reason: "THROTTLED",
            details: "the last will is published without its delay, because too many wait for theirs: \
                 `--max-delayed-wills` and `--max-delayed-will-bytes` allow more"
                .to_owned(),
        }
    }

    /// A subscription that breaks one of AWS's limits.
    pub(super) fn limit(filter: &TopicFilter, error: LimitError) -> Self {
        Self {
            event_type: EventType::Subscribe,
            resource: filter.as_str().to_owned(),
            reason: "CLIENT_ERROR",
            details: error.to_string(),
        }
    }

    /// A text in a SUBSCRIBE or UNSUBSCRIBE that is not a topic filter. It may be long, so only its beginning is shown.
    pub(super) fn invalid_filter(event_type: EventType, filter: &InvalidFilter) -> Self {
        const SHOWN: usize = 256;
        Self {
            event_type,
            resource: filter.text.chars().take(SHOWN).collect(),
            reason: "CLIENT_ERROR",
            details: "this is not a topic filter (MQTT 5 section 4.7)".to_owned(),
        }
    }

    /// A request above a rate.
    pub(super) fn throttled(action: Action, resource: &str, error: LimitError) -> Self {
        let (event_type, resource) = (event_type(action), resource.to_owned());
        Self { event_type, resource, reason: "THROTTLED", details: error.to_string() }
    }

    /// The first pause of a connection in one direction: nothing more moves there until the rate is kept again.
    pub(super) fn paused(event_type: EventType, error: LimitError) -> Self {
        let details = format!("{error}; further pauses of this connection get no line");
        Self { event_type, resource: String::new(), reason: "THROTTLED", details }
    }

    /// A QoS 1 message that is not sent again.
    pub(super) fn not_acknowledged(topic: &TopicName) -> Self {
        Self {
            event_type: EventType::PublishOut,
            resource: topic.as_str().to_owned(),
            reason: NOT_ACKNOWLEDGED,
            details: "dropped: the client did not acknowledge it, however often it was sent; it has to send a PUBACK for each \
                 message with QoS 1"
                .to_owned(),
        }
    }
}

/// The kind of event that the log has a request under.
fn event_type(action: Action) -> EventType {
    match action {
        Action::Connect => EventType::Connect,
        Action::Publish | Action::RetainPublish => EventType::PublishIn,
        Action::SendDirectMessage => EventType::SendDirectMessage,
        Action::GetThingShadow | Action::ListNamedShadowsForThing => EventType::GetThingShadow,
        Action::UpdateThingShadow => EventType::UpdateThingShadow,
        Action::DeleteThingShadow => EventType::DeleteThingShadow,
        Action::Subscribe => EventType::Subscribe,
        Action::Receive => EventType::PublishOut,
    }
}
