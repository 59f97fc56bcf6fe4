//! What is known of a connection when a request is evaluated.

use std::net::IpAddr;

use crate::certificate::Certificate;
use crate::condition::key::Key;
use crate::resource::Scope;
use crate::thing::{Thing, ThingVariable};
use crate::variable::Variable;

/// The values that policy variables and conditions see, made once a connection (AWS IoT Core developer guide,
/// `basic-policy-variables`, `thing-policy-variables`, `cert-policy-variables` and `connect-policy`).
///
/// A value that isn't given is absent: a variable without a value matches nothing, a condition on it isn't met
/// except under a negated operator, `…IfExists`, `ForAllValues:` and `Null`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    client_id: Option<String>,
    source_ip: Option<String>,
    domain_name: Option<String>,
    persistent_session: bool,
    last_will_topic: Option<String>,
    direct_message_topic: Option<String>,
    time: Option<u64>,
    thing: Option<Thing>,
    thing_attached: Option<bool>,
    certificate: Option<Certificate>,
}

impl Context {
    /// A context in which nothing is known.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            client_id: None,
            source_ip: None,
            domain_name: None,
            persistent_session: false,
            last_will_topic: None,
            direct_message_topic: None,
            time: None,
            thing: None,
            thing_attached: None,
            certificate: None,
        }
    }

    /// Sets `iot:ClientId`: the whole id as the client sent it.
    #[must_use]
    pub fn with_client_id(self, client_id: impl Into<String>) -> Self {
        Self { client_id: Some(client_id.into()), ..self }
    }

    /// Sets `aws:SourceIp`, an IPv4 address seen through an IPv6 socket (`::ffff:192.0.2.1`) as IPv4.
    #[must_use]
    pub fn with_source_ip(self, source_ip: IpAddr) -> Self {
        Self { source_ip: Some(source_ip.to_canonical().to_string()), ..self }
    }

    /// Sets `iot:DomainName`: the server name that the client sent (SNI).
    #[must_use]
    pub fn with_domain_name(self, domain_name: impl Into<String>) -> Self {
        Self { domain_name: Some(domain_name.into()), ..self }
    }

    /// Adds `PersistentConnect` to `iot:ConnectAttributes`; only for the request that is the CONNECT itself.
    #[must_use]
    pub fn with_persistent_session(self) -> Self {
        Self { persistent_session: true, ..self }
    }

    /// Adds `LastWill` to `iot:ConnectAttributes` and sets `iot:LastWillTopic` to the topic's ARN, as AWS's samples
    /// compare it; only for the request that is the CONNECT itself.
    #[must_use]
    pub fn with_last_will(self, scope: &Scope, topic: &str) -> Self {
        Self { last_will_topic: Some(scope.topic(topic).to_string()), ..self }
    }

    /// Sets `iot:Topic`: the topic of a direct message; only for `iot:SendDirectMessage`.
    #[must_use]
    pub fn with_direct_message_topic(self, topic: impl Into<String>) -> Self {
        Self { direct_message_topic: Some(topic.into()), ..self }
    }

    /// Sets `aws:CurrentTime` and `aws:EpochTime`, in seconds since 1970.
    ///
    /// Without it a condition on the time can't be decided: an Allow with one doesn't apply, a Deny does.
    #[must_use]
    pub fn with_time(self, seconds: u64) -> Self {
        Self { time: Some(seconds), ..self }
    }

    /// Sets `iot:Connection.Thing.ThingName`, `….ThingTypeName` and `….Attributes[…]`.
    ///
    /// Only a certificate or a Cognito identity has a thing: a connection by custom authentication has none.
    #[must_use]
    pub fn with_thing(self, thing: Thing) -> Self {
        Self { thing: Some(thing), ..self }
    }

    /// Sets `iot:Connection.Thing.IsAttached`: whether the registry ties the principal to the thing with the client's
    /// id. Known for certificates and Cognito identities only.
    #[must_use]
    pub fn with_thing_attached(self, attached: bool) -> Self {
        Self { thing_attached: Some(attached), ..self }
    }

    /// Sets `iot:CertificateId` and `iot:Certificate.…`.
    #[must_use]
    pub fn with_certificate(self, certificate: Certificate) -> Self {
        Self { certificate: Some(certificate), ..self }
    }

    /// Whether the client has a registered certificate, so that [`FindingKind::NoValue`](crate::FindingKind::NoValue) does
    /// not hold for it.
    #[must_use]
    pub fn has_certificate(&self) -> bool {
        self.certificate.is_some()
    }

    /// The text that replaces a variable in a pattern.
    pub(crate) fn variable(&self, variable: &Variable) -> Option<&str> {
        self.value(variable).filter(|value| variable.accepts(value))
    }

    /// A condition key's values: none if the key is absent.
    pub(crate) fn values(&self, key: &Key) -> impl Iterator<Item = KeyValue<'_>> {
        let time = self.time.filter(|_| key.is_time()).map(KeyValue::Seconds);
        self.texts(key).map(KeyValue::Text).chain(time)
    }

    fn texts(&self, key: &Key) -> impl Iterator<Item = &str> {
        let (one_or_two, list) = match key {
            Key::CurrentTime | Key::EpochTime => ([None, None], [].as_slice()),
            Key::Variable(variable) => ([self.value(variable), None], [].as_slice()),
            Key::LastWillTopic => ([self.last_will_topic.as_deref(), None], [].as_slice()),
            Key::Topic => ([self.direct_message_topic.as_deref(), None], [].as_slice()),
            Key::ConnectAttributes => {
                let persistent = self.persistent_session.then_some("PersistentConnect");
                let last_will = self.last_will_topic.is_some().then_some("LastWill");
                ([persistent, last_will], [].as_slice())
            }
            Key::CertificateList(field) => {
                ([None, None], self.certificate.as_ref().map_or(&[][..], |known| known.values(*field)))
            }
        };
        one_or_two.into_iter().flatten().chain(list.iter().map(String::as_str))
    }

    fn value(&self, variable: &Variable) -> Option<&str> {
        match variable {
            Variable::ClientId => self.client_id.as_deref(),
            Variable::SourceIp => self.source_ip.as_deref(),
            Variable::DomainName => self.domain_name.as_deref(),
            Variable::Thing(ThingVariable::IsAttached) => {
                self.thing_attached.map(|attached| if attached { "true" } else { "false" })
            }
            Variable::Thing(variable) => self.thing.as_ref()?.value(variable),
            Variable::Certificate(variable) => self.certificate.as_ref()?.value(*variable),
        }
    }
}

/// One of a condition key's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyValue<'a> {
    Text(&'a str),
    /// Since 1970.
    Seconds(u64),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_addresses_read_as_ipv4() {
        let context = Context::empty().with_source_ip("::ffff:192.0.2.1".parse().unwrap());
        assert_eq!(context.variable(&Variable::SourceIp), Some("192.0.2.1"));
    }

    #[test]
    fn connect_attributes_follow_from_what_is_set() {
        let scope = Scope::new("aws", "eu-west-1", "123456789012").unwrap();
        let attributes =
            |context: &Context| context.texts(&Key::ConnectAttributes).map(str::to_owned).collect::<Vec<_>>();
        assert!(attributes(&Context::empty()).is_empty());
        let both = Context::empty().with_persistent_session().with_last_will(&scope, "bye");
        assert_eq!(attributes(&both), ["PersistentConnect", "LastWill"]);
        assert_eq!(
            both.texts(&Key::LastWillTopic).collect::<Vec<_>>(),
            ["arn:aws:iot:eu-west-1:123456789012:topic/bye"]
        );
    }
}
