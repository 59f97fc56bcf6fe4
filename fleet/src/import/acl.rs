//! Access rules of other brokers, as lists in which the first rule that matches decides.
//!
//! [`mosquitto`] reads an `acl_file`, [`dynsec`] the file of mosquitto's plugin "dynamic security", and [`emqx`] the rules of
//! EMQX. Each gives the rules of a user as [`Access`], and [`compile`](mod@compile) makes a grant of them.

pub(super) mod compile;
pub(super) mod dynsec;
pub(super) mod emqx;
mod erlang;
pub(super) mod filter;
pub(super) mod mosquitto;

use cli::output::escaped;

use self::filter::Filter;

/// What a rule does with what it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Effect {
    Allow,
    Deny,
}

/// A rule about topics.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) effect: Effect,
    pub(super) filter: Filter,
    /// Whether a subscription has to be this filter itself, and not one inside it.
    pub(super) is_exact: bool,
    /// Whether it also allows retained messages. It matters to a publish only.
    pub(super) retain: bool,
    /// Why it is not known whether the rule is for this user, or for every message.
    pub(super) condition: Option<&'static str>,
    /// The line of its file, counted from 1.
    pub(super) line: usize,
}

/// The rules of one user, each list in the order in which the broker asks them. What no rule matches is refused.
#[derive(Clone, Debug, Default)]
pub(super) struct Access {
    /// About what the user publishes.
    pub(super) publish: Vec<Rule>,
    /// About the user's subscriptions.
    pub(super) subscribe: Vec<Rule>,
    /// About each message that a subscription brings. With none, the subscription decides.
    pub(super) receive: Vec<Rule>,
}

/// A user of a broker, as far as it is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct User<'a> {
    pub(super) name: &'a str,
    /// Its client id, if it may have one only.
    pub(super) client_id: Option<&'a str>,
}

/// The access rules of a file.
#[derive(Debug)]
pub(super) enum Acl {
    Mosquitto(mosquitto::AclFile),
    Dynsec(dynsec::Roles),
    Emqx(emqx::Rules),
}

/// Something to know about a rule: why a grant can't have it, or that it has no effect.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Remark {
    pub(super) line: usize,
    /// Whether a device can do less than before.
    pub(super) is_loss: bool,
    pub(super) text: String,
}

impl Acl {
    /// The rules for a user.
    pub(super) fn access(&self, user: User<'_>) -> Access {
        match self {
            Self::Mosquitto(file) => file.access(user),
            Self::Dynsec(roles) => roles.access(user),
            Self::Emqx(rules) => rules.access(user),
        }
    }

    /// What is to be known about the file as a whole. `is_known` tells which users there are.
    pub(super) fn remarks(&self, is_known: impl Fn(&str) -> bool) -> Vec<Remark> {
        match self {
            Self::Mosquitto(file) => file.remarks(is_known),
            Self::Dynsec(roles) => roles.remarks(),
            Self::Emqx(rules) => rules.remarks(is_known),
        }
    }
}

impl Remark {
    pub(super) fn loss(line: usize, text: impl Into<String>) -> Self {
        Self { line, is_loss: true, text: text.into() }
    }

    pub(super) fn note(line: usize, text: impl Into<String>) -> Self {
        Self { line, is_loss: false, text: text.into() }
    }
}

/// Text of a file in backticks, without anything that a terminal obeys.
pub(super) fn quoted(text: &str) -> String {
    const SHOWN: usize = 80;
    let more = if text.chars().count() > SHOWN { "…" } else { "" };
    format!("`{}{more}`", escaped(text.chars().take(SHOWN).collect::<String>()))
}

#[cfg(test)]
mod tests;
