//! From the access rules of a user to a grant.
//!
//! A grant has no exceptions and no order, so a rule becomes a part of it only if no rule before it takes something away from
//! what it allows. A grant that was made here never allows what the rules do not.

use std::collections::BTreeSet;

use device_auth::grant::{GrantDefinition, TopicTemplate};

use super::{
    Access, Effect, Remark, Rule, User,
    filter::{Form, Topics, Unfit},
    quoted,
};

/// The grant for a user, and what is to be known about the rules.
pub(crate) fn compile(
    access: &Access,
    user: User<'_>,
    form: Form,
    remarks: &mut BTreeSet<Remark>,
) -> GrantDefinition {
    let mut grant =
        GrantDefinition { last_will: true, persistent_session: true, ..GrantDefinition::default() };
    let mut covered = Vec::<&Rule>::new();
    for (rule, before) in allowed(&access.publish) {
        let is_known = |known: &&Rule| known.retain >= rule.retain && known.filter.covers(&rule.filter, user);
        if covered.iter().any(is_known) {
            continue;
        }
        match usable(rule, before, user)
            .and_then(|()| rule.filter.to_publish(user, form).map_err(|error| unfit(rule, error)))
        {
            Ok(topics) => {
                covered.push(rule);
                if rule.retain {
                    add(&mut grant.retain, &topics);
                }
                add(&mut grant.publish, &topics);
            }
            Err(remark) => _ = remarks.insert(remark),
        }
    }
    for (rule, before) in allowed(&access.subscribe) {
        let read =
            usable(rule, before, user).and_then(|()| receivable(rule, &access.receive, user)).and_then(
                |()| rule.filter.to_read(rule.is_exact, user, form).map_err(|error| unfit(rule, error)),
            );
        match read {
            Ok(Topics { subscribe, topics }) => {
                if subscribe != topics && rule.filter.has_wildcard() && !rule.is_exact {
                    let text = format!(
                        "{}: a client has to subscribe to this filter as it is; AWS refuses a narrower one",
                        quoted(rule.filter.as_str())
                    );
                    remarks.insert(Remark::note(rule.line, text));
                }
                add(&mut grant.subscribe, &subscribe);
                add(&mut grant.receive, &topics);
            }
            Err(remark) => _ = remarks.insert(remark),
        }
    }
    grant
}

/// The rules that allow something, each with those before it.
fn allowed(rules: &[Rule]) -> impl Iterator<Item = (&Rule, &[Rule])> {
    let with_before = rules.iter().enumerate().map(|(at, rule)| (rule, rules.get(..at).unwrap_or_default()));
    with_before.filter(|(rule, _)| rule.effect == Effect::Allow)
}

/// Checks that a rule is sure to be in force, and that no rule before it denies a part of it.
fn usable(rule: &Rule, before: &[Rule], user: User<'_>) -> Result<(), Remark> {
    if let Some(condition) = rule.condition {
        let text = format!("{}: {condition}", quoted(rule.filter.as_str()));
        return Err(Remark::loss(rule.line, text));
    }
    let mut denied =
        before.iter().filter(|deny| deny.effect == Effect::Deny && deny.filter.overlaps(&rule.filter, user));
    let Some(deny) = denied.next() else { return Ok(()) };
    let (line, topic) = (deny.line, quoted(rule.filter.as_str()));
    let is_whole = deny.condition.is_none()
        && deny.filter.covers(&rule.filter, user)
        && (!deny.is_exact || deny.filter == rule.filter);
    Err(match (is_whole, deny.filter == rule.filter) {
        (true, true) => Remark::loss(
            rule.line,
            format!(
                "{topic} is allowed here and denied in line {line}: the broker denies it; remove one of the two lines"
            ),
        ),
        (true, false) => {
            Remark::note(rule.line, format!("{topic} has no effect: line {line} denies all of it"))
        }
        (false, _) => Remark::loss(
            rule.line,
            format!(
                "line {line} denies a part of {topic}, and a grant has no exceptions: write the topics that are allowed \
                 instead"
            ),
        ),
    })
}

/// Checks that all messages of a subscription are allowed.
fn receivable(rule: &Rule, receive: &[Rule], user: User<'_>) -> Result<(), Remark> {
    for about in receive {
        match about.effect {
            Effect::Allow if about.condition.is_none() && about.filter.covers(&rule.filter, user) => {
                return Ok(());
            }
            Effect::Deny if about.filter.overlaps(&rule.filter, user) => {
                let text = format!(
                    "line {} denies messages of {}, and a grant has no exceptions: write the topics that are allowed \
                     instead",
                    about.line,
                    quoted(rule.filter.as_str())
                );
                return Err(Remark::loss(rule.line, text));
            }
            Effect::Allow | Effect::Deny => {}
        }
    }
    if receive.is_empty() {
        return Ok(());
    }
    let text = format!(
        "{} may be subscribed to, but not all of its messages received: allow the same topics for both",
        quoted(rule.filter.as_str())
    );
    Err(Remark::loss(rule.line, text))
}

fn unfit(rule: &Rule, error: Unfit) -> Remark {
    Remark::loss(rule.line, format!("{}: {error}", quoted(rule.filter.as_str())))
}

fn add(templates: &mut Vec<TopicTemplate>, topics: &[String]) {
    for topic in topics {
        // The filter has checked the characters.
        if let Ok(template) = TopicTemplate::try_from(topic.clone())
            && !templates.contains(&template)
        {
            templates.push(template);
        }
    }
}
