//! The file of mosquitto's plugin "dynamic security": its roles, groups and default access.
//!
//! The roles of a client come first, then those of its groups, each list by priority, the highest first, and by name. In a role
//! the rules are in the order of their priorities too. A subscription is checked, and each message that it brings.

use std::{cmp::Reverse, collections::HashMap};

use anyhow::Context as _;
use serde::{Deserialize, de::IgnoredAny};

use super::{
    super::json_lines::{self, Element},
    Access, Effect, Remark, Rule, User,
    filter::{Filter, Placeholders},
    quoted,
};

/// mosquitto 2.0 has no placeholders here; 2.1 has these (measured with 2.0.11).
const PLACEHOLDERS: Placeholders = ("%u", "%c");
/// The priority of what has none.
const NO_PRIORITY: i64 = -1;
/// Why a rule about a filter with a wildcard is not in force.
const NO_WILDCARDS: &str =
    "its role, or one that is asked before it, allows no subscription with a wildcard: list the topics";

/// The roles of all clients.
#[derive(Debug, Default)]
pub(in crate::import) struct Roles {
    by_name: HashMap<String, Role>,
    /// The names of the roles of each client, in their order.
    of_client: HashMap<String, Vec<String>>,
    /// The default access, with its line.
    defaults: (Defaults, usize),
    anonymous_group: Option<(String, usize)>,
    /// Whether `%u` and `%c` have a meaning.
    has_placeholders: bool,
}

#[derive(Debug, Default)]
struct Role {
    /// Whether it accepts a subscription with a wildcard. If not, no role after it is asked about one either.
    allows_wildcards: bool,
    publish: Vec<Rule>,
    /// The rules about a filter itself come before those about what is inside it.
    subscribe: Vec<Rule>,
    receive: Vec<Rule>,
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    clients: Vec<Client>,
    #[serde(default)]
    groups: Vec<Group>,
    #[serde(default)]
    roles: Vec<RoleEntry>,
    #[serde(default, rename = "defaultACLAccess")]
    defaults: Defaults,
    #[serde(default, rename = "anonymousGroup")]
    anonymous_group: Option<String>,
}

#[derive(Deserialize)]
struct Client {
    username: String,
    /// Only mosquitto 2.1 and later write it.
    encoded_password: Option<IgnoredAny>,
    #[serde(default)]
    roles: Vec<RoleName>,
    #[serde(default)]
    groups: Vec<GroupName>,
}

#[derive(Deserialize)]
struct Group {
    groupname: String,
    #[serde(default)]
    roles: Vec<RoleName>,
    #[serde(default)]
    clients: Vec<ClientName>,
}

#[derive(Deserialize)]
struct RoleName {
    rolename: String,
    #[serde(default = "no_priority")]
    priority: i64,
}

#[derive(Deserialize)]
struct GroupName {
    groupname: String,
    #[serde(default = "no_priority")]
    priority: i64,
}

#[derive(Deserialize)]
struct ClientName {
    username: String,
    #[serde(default = "no_priority")]
    priority: i64,
}

#[derive(Deserialize)]
struct RoleEntry {
    rolename: String,
    #[serde(default)]
    acls: Vec<AclEntry>,
    #[serde(default = "yes", rename = "allowwildcardsubs")]
    allows_wildcards: bool,
}

#[derive(Deserialize)]
struct AclEntry {
    #[serde(rename = "acltype")]
    kind: String,
    topic: String,
    #[serde(default = "no_priority")]
    priority: i64,
    #[serde(default)]
    allow: bool,
}

/// What is allowed where no rule matches.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct Defaults {
    #[serde(rename = "publishClientSend")]
    publish: bool,
    #[serde(rename = "publishClientReceive")]
    receive: bool,
    subscribe: bool,
}

impl Default for Defaults {
    fn default() -> Self {
        Self { publish: false, receive: true, subscribe: false }
    }
}

impl Roles {
    pub(in crate::import) fn parse(text: &str) -> anyhow::Result<Self> {
        let file = json_lines::parse::<File>(text, "the JSON of dynamic security")?;
        let has_placeholders = file.clients.iter().any(|client| client.encoded_password.is_some());
        let placeholders = has_placeholders.then_some(PLACEHOLDERS);
        let mut roles = HashMap::new();
        for (entry, element) in file.roles.into_iter().zip(Element::of(text).elements(&["roles"])) {
            let (line, lines) = (element.line, element.lines(&["acls"]));
            let name = entry.rolename.clone();
            anyhow::ensure!(!roles.contains_key(&name), "line {line}: role {} is a duplicate", quoted(&name));
            let role =
                Role::of(entry, &lines, placeholders).with_context(|| format!("role {}", quoted(&name)))?;
            roles.insert(name, role);
        }
        let groups =
            file.groups.iter().map(|group| (group.groupname.as_str(), group)).collect::<HashMap<_, _>>();
        let mut members = HashMap::<&str, Vec<(i64, &str)>>::new();
        for group in &file.groups {
            for client in &group.clients {
                members.entry(&client.username).or_default().push((client.priority, &group.groupname));
            }
        }
        let mut of_client = HashMap::new();
        for client in &file.clients {
            let own = client.groups.iter().map(|group| (group.priority, group.groupname.as_str()));
            let mut in_groups = members.remove(client.username.as_str()).unwrap_or_default();
            in_groups.extend(own);
            in_groups.sort_unstable_by_key(|(priority, name)| (Reverse(*priority), *name));
            in_groups.dedup_by_key(|(_, name)| *name);
            let mut names = in_order(&client.roles);
            for (_, name) in in_groups {
                let group = groups.get(name);
                let group = group.with_context(|| {
                    format!(
                        "client {} is in the group {}, which does not exist",
                        quoted(&client.username),
                        quoted(name)
                    )
                })?;
                names.extend(in_order(&group.roles));
            }
            if let Some(unknown) = names.iter().find(|name| !roles.contains_key(**name)) {
                anyhow::bail!(
                    "client {} has the role {}, which does not exist",
                    quoted(&client.username),
                    quoted(unknown)
                );
            }
            of_client.insert(client.username.clone(), names.into_iter().map(str::to_owned).collect());
        }
        let key_line = |key: &str| {
            let found = text.lines().position(|line| line.contains(key));
            found.unwrap_or_default().saturating_add(1)
        };
        let defaults = (file.defaults, key_line("\"defaultACLAccess\""));
        let anonymous_group = file.anonymous_group.filter(|group| !group.is_empty());
        let anonymous_group = anonymous_group.map(|group| (group, key_line("\"anonymousGroup\"")));
        Ok(Self { by_name: roles, of_client, defaults, anonymous_group, has_placeholders })
    }

    pub(super) fn access(&self, user: User<'_>) -> Access {
        let names = self.of_client.get(user.name).map(Vec::as_slice).unwrap_or_default();
        let mut access = Access::default();
        let mut allows_wildcards = true;
        for role in names.iter().filter_map(|name| self.by_name.get(name)) {
            allows_wildcards &= role.allows_wildcards;
            access.publish.extend(role.publish.iter().cloned());
            access.receive.extend(role.receive.iter().cloned());
            access.subscribe.extend(role.subscribe.iter().cloned().map(|rule| {
                let is_refused = !allows_wildcards && rule.filter.has_wildcard();
                Rule { condition: is_refused.then_some(NO_WILDCARDS), ..rule }
            }));
        }
        let (defaults, line) = &self.defaults;
        let all = || Rule {
            effect: Effect::Allow,
            filter: Filter::everything(),
            is_exact: false,
            retain: true,
            condition: None,
            line: *line,
        };
        access.publish.extend(defaults.publish.then(all));
        access.subscribe.extend((defaults.subscribe && allows_wildcards).then(all));
        if defaults.receive {
            access.receive.push(all());
        } else if access.receive.is_empty() {
            access.receive.push(Rule { effect: Effect::Deny, ..all() });
        }
        access
    }

    pub(super) fn remarks(&self) -> Vec<Remark> {
        let anonymous = self.anonymous_group.iter().map(|(group, line)| {
            let text = format!(
                "the group {} is for clients without a user name, which can't connect: give them names and passwords",
                quoted(group)
            );
            Remark::loss(*line, text)
        });
        let rules = self.by_name.values().flat_map(|role| role.publish.iter().chain(&role.subscribe));
        let plain = rules.filter(|rule| !self.has_placeholders && !rule.is_exact);
        let percents = plain.filter(|rule| ["%u", "%c"].iter().any(|it| rule.filter.as_str().contains(it)));
        let percents = percents.map(|rule| {
            let text = format!(
                "{}: mosquitto 2.0 wrote this file, and reads `%u` and `%c` as they are; from 2.1 on they are placeholders",
                quoted(rule.filter.as_str())
            );
            Remark::note(rule.line, text)
        });
        anonymous.chain(percents).collect()
    }
}

/// The names of roles, the highest priority first, and by name.
fn in_order(roles: &[RoleName]) -> Vec<&str> {
    let mut roles =
        roles.iter().map(|role| (Reverse(role.priority), role.rolename.as_str())).collect::<Vec<_>>();
    roles.sort_unstable();
    roles.into_iter().map(|(_, name)| name).collect()
}

impl Role {
    /// The rules of a role. Among rules of one priority, those that deny come first: their order in the plugin is not
    /// documented.
    fn of(entry: RoleEntry, lines: &[usize], placeholders: Option<Placeholders>) -> anyhow::Result<Self> {
        let RoleEntry { acls: entries, allows_wildcards, rolename: _ } = entry;
        let mut entries =
            entries.into_iter().zip(lines.iter().copied().chain(std::iter::repeat(1))).collect::<Vec<_>>();
        entries.sort_by_key(|(entry, _)| (Reverse(entry.priority), entry.allow));
        let (mut all, mut patterns) = (Self { allows_wildcards, ..Self::default() }, Vec::new());
        for (entry, line) in entries {
            let is_literal = entry.kind == "subscribeLiteral";
            let filter = Filter::new(&entry.topic, placeholders.filter(|_| !is_literal));
            let filter = filter.with_context(|| format!("line {line}: {}", quoted(&entry.topic)))?;
            let effect = if entry.allow { Effect::Allow } else { Effect::Deny };
            let rule = Rule { effect, filter, is_exact: is_literal, retain: true, condition: None, line };
            match entry.kind.as_str() {
                "publishClientSend" => all.publish.push(rule),
                "publishClientReceive" => all.receive.push(rule),
                "subscribeLiteral" => all.subscribe.push(rule),
                "subscribePattern" => patterns.push(rule),
                // An unsubscribe is always possible on AWS.
                "unsubscribeLiteral" | "unsubscribePattern" => {}
                other => anyhow::bail!("line {line}: {} is not a type of a rule", quoted(other)),
            }
        }
        all.subscribe.extend(patterns);
        Ok(all)
    }
}

fn no_priority() -> i64 {
    NO_PRIORITY
}

fn yes() -> bool {
    true
}
