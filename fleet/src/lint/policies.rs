//! Findings about policy documents: the evaluator's own, and those of Device Defender's two policy checks.
//!
//! The checks are read from AWS IoT Device Defender's developer guide, `audit-chk-iot-policy-permissive` and
//! `audit-chk-iot-misconfigured-policies`. AWS publishes examples and no algorithm, so AWS's own audit can find more.

use iot_policy::{
    Action, Context, Effect, FindingKind, PolicyDocument, Request, ResourceKind, ResourcePattern, Scope,
    Selection, Statement, evaluate,
};

use super::{Finding, Subject, rule::Rule};

/// The actions on jobs, which are about a Thing and which the evaluator does not know.
const JOB_ACTIONS: [&str; 4] = [
    "iotjobsdata:DescribeJobExecution",
    "iotjobsdata:GetPendingJobExecutions",
    "iotjobsdata:StartNextPendingJobExecution",
    "iotjobsdata:UpdateJobExecution",
];

/// Checks the documents of one connection.
pub(super) fn check(
    documents: &[PolicyDocument],
    subject: &Subject,
    scope: &Scope,
    findings: &mut Vec<Finding>,
) {
    for document in documents {
        for finding in document.findings() {
            let rule = match finding.kind() {
                FindingKind::PublishRetain => Rule::PublishRetain,
                // The broad-access check says the same.
                FindingKind::AnyClient => continue,
                _ => Rule::PolicyFinding,
            };
            findings.push(Finding::new(rule, subject.clone(), finding.to_string()));
        }
        for statement in document.statements() {
            let texts = match statement.effect() {
                Effect::Allow => broad(statement).map(|text| (Rule::BroadAccess, text)).collect::<Vec<_>>(),
                Effect::Deny => literal_wildcards(statement).map(|text| (Rule::DenyMisses, text)).collect(),
            };
            for (rule, text) in texts {
                findings.push(Finding::new(rule, subject.clone(), text));
            }
        }
    }
    for text in denied_but_received(documents, scope) {
        findings.push(Finding::new(Rule::DenyMisses, subject.clone(), text));
    }
}

/// The resources of an Allow that are not one device's (`audit-chk-iot-policy-permissive`). `iot:Receive` is compliant on
/// any topic, because a device receives only what it subscribed to.
fn broad(statement: &Statement) -> impl Iterator<Item = String> {
    let Selection::Only(actions) = statement.actions() else { return Vec::new().into_iter() };
    let Selection::Only(resources) = statement.resources() else { return Vec::new().into_iter() };
    let mut texts = Vec::new();
    for resource in resources.iter().map(ResourcePattern::as_str) {
        let name = name_of(resource);
        for action in Action::ALL.into_iter().filter(|action| *action != Action::Receive) {
            if actions.iter().any(|pattern| pattern.covers(action)) && is_broad(name, action.resource_kind())
            {
                texts.push(format!("{action} is allowed on `{resource}`, which is not one device's"));
                break;
            }
        }
        let on_jobs = actions.iter().any(|pattern| JOB_ACTIONS.contains(&pattern.as_str()));
        if on_jobs && matches!(name, "*" | "thing/*") {
            texts.push(format!("the jobs of every Thing are allowed with `{resource}`"));
        }
    }
    texts.into_iter()
}

/// The part of an ARN after the account; `*` for the pattern that names everything.
fn name_of(resource: &str) -> &str {
    resource.splitn(6, ':').nth(5).unwrap_or(resource)
}

fn is_broad(name: &str, kind: ResourceKind) -> bool {
    if name == "*" {
        return true;
    }
    let Some(name) = name.strip_prefix(kind.as_str()).and_then(|name| name.strip_prefix('/')) else {
        return false;
    };
    match kind {
        ResourceKind::Client => matches!(name, "*" | "${iot:ClientId}"),
        ResourceKind::Thing => name == "*",
        ResourceKind::Topic | ResourceKind::TopicFilter => {
            let thing = name.strip_prefix("$aws/things/").and_then(|rest| rest.split('/').next());
            matches!(name, "*" | "#" | "$aws/*")
                || thing.is_some_and(|level| matches!(level, "*" | "+" | "#"))
        }
    }
}

/// The resources of a Deny with MQTT's wildcards, which policies read literally
/// (`POLICY_CONTAINS_MQTT_WILDCARDS_IN_DENY_STATEMENT`).
fn literal_wildcards(statement: &Statement) -> impl Iterator<Item = String> {
    let resources = statement.resources().patterns().iter().map(ResourcePattern::as_str);
    let with = resources.filter(|resource| resource.contains(['+', '#']));
    with.map(|resource| {
        format!("`{resource}` in a Deny has a wildcard of MQTT, which a policy reads literally: write `*`")
    })
}

/// The filters that a Deny names, and whose messages a wider subscription still receives
/// (`TOPIC_FILTERS_INTENDED_TO_DENY_ALLOWED_USING_WILDCARDS`).
fn denied_but_received(documents: &[PolicyDocument], scope: &Scope) -> Vec<String> {
    let context = Context::empty().with_client_id("client");
    let is_allowed =
        |action, name: &str| evaluate(documents, &Request::new(action, scope, name, &context)).is_allowed();
    let denying = documents.iter().flat_map(PolicyDocument::statements).filter(|statement| {
        statement.effect() == Effect::Deny
            && matches!(statement.actions(), Selection::Only(actions)
                if actions.iter().any(|pattern| pattern.covers(Action::Subscribe)))
    });
    let filters = denying.flat_map(|statement| match statement.resources() {
        Selection::Only(resources) => resources.as_slice(),
        Selection::AllBut(_) => &[],
    });
    let mut texts = Vec::new();
    for resource in filters.map(ResourcePattern::as_str) {
        let Some(filter) = name_of(resource).strip_prefix("topicfilter/") else { continue };
        let topic = filter.replace(['*', '?', '#', '+'], "x");
        let levels = filter.split('/').collect::<Vec<_>>();
        let wider = (0..levels.len()).filter_map(|kept| {
            let above = levels.get(..kept)?.join("/");
            Some(if above.is_empty() { "#".to_owned() } else { format!("{above}/#") })
        });
        let mut wider = wider.filter(|wider| is_allowed(Action::Subscribe, wider));
        if let Some(wider) = wider.next()
            && is_allowed(Action::Receive, &topic)
        {
            texts.push(format!(
                "`{resource}` denies subscriptions, but `{wider}` is allowed and brings its messages: deny \
                 `iot:Receive` on `topic/{filter}` too"
            ));
        }
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(statements: &[(&str, &str, &str)]) -> Vec<Rule> {
        let arn = |name: &str| match name {
            "*" => "*".to_owned(),
            name => format!("arn:aws:iot:us-east-1:123456789012:{name}"),
        };
        let statements = statements.iter().map(|(effect, action, name)| {
            serde_json::json!({"Effect": effect, "Action": action, "Resource": arn(name)})
        });
        let document = serde_json::json!({
            "Version": "2012-10-17", "Statement": statements.collect::<Vec<_>>()});
        let scope = Scope::new("aws", "us-east-1", "123456789012").unwrap();
        let mut findings = Vec::new();
        check(&[document.to_string().parse().unwrap()], &Subject::Store, &scope, &mut findings);
        findings.into_iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn examples_of_the_overly_permissive_check_are_found() {
        for (action, name, found) in [
            ("iot:Connect", "client/*", true),
            ("iot:Connect", "client/${iot:ClientId}", true),
            ("iot:Connect", "client/hall-1", false),
            ("iot:*", "*", true),
            ("iot:Publish", "topic/$aws/things/*/shadow/update", true),
            ("iot:Publish", "topic/$aws/things/*", true),
            ("iot:Publish", "topic/$aws/things/hall-1/shadow/*", false),
            ("iot:Publish", "topic/*", true),
            ("iot:Publish", "topic/hall-1/*", false),
            ("iot:Subscribe", "topicfilter/$aws/things/*", true),
            ("iot:Subscribe", "topicfilter/$aws/things/#", true),
            ("iot:Subscribe", "topicfilter/$aws/things/+/shadow/update", true),
            ("iot:Subscribe", "topicfilter/$aws/things/hall-1/jobs/*", false),
            ("iot:Receive", "topic/$aws/things/*", false),
            ("iot:Receive", "topic/*", false),
        ] {
            let expected: &[Rule] = if found { &[Rule::BroadAccess] } else { &[] };
            assert_eq!(rules(&[("Allow", action, name)]), expected, "{action} {name}");
        }
        for (action, name, found) in [
            ("iot:UpdateThingShadow", "thing/*", true),
            ("iot:UpdateThingShadow", "thing/hall-1", false),
            ("iotjobsdata:UpdateJobExecution", "thing/*", true),
            ("iotjobsdata:UpdateJobExecution", "thing/hall-1", false),
        ] {
            let rules = rules(&[("Allow", action, name)]);
            assert_eq!(rules.contains(&Rule::BroadAccess), found, "{action} {name}: {rules:?}");
        }
    }

    #[test]
    fn examples_of_the_misconfigured_check_are_found() {
        let subscribe = ("Allow", "iot:Subscribe", "topicfilter/building/*");
        let receive = ("Allow", "iot:Receive", "topic/building/*");
        let deny = |name| ("Deny", "iot:Subscribe", name);
        let literal = rules(&[subscribe, deny("topicfilter/building/control_room/#"), receive]);
        assert!(literal.contains(&Rule::DenyMisses), "{literal:?}");
        let wider = [subscribe, deny("topicfilter/building/control_room/*"), receive];
        assert_eq!(rules(&wider), [Rule::DenyMisses]);
        let proper = [&wider[..], &[("Deny", "iot:Receive", "topic/building/control_room/*")]].concat();
        assert_eq!(rules(&proper), []);
    }

    #[test]
    fn an_action_that_does_not_exist_has_a_rule_of_its_own() {
        assert_eq!(rules(&[("Allow", "iot:PublishRetain", "topic/a")]), [Rule::PublishRetain]);
        assert_eq!(rules(&[("Allow", "iot:Publish", "topicfilter/a")]), [Rule::PolicyFinding]);
    }
}
