//! Where a file comes from, and how to tell.

use std::fmt;

use serde_json::Value;

use super::{columns::Columns, json_lines::Element, table::Table};

/// What wrote a file of users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// `mosquitto_passwd`.
    Mosquitto,
    /// mosquitto's plugin "dynamic security".
    MosquittoDynsec,
    /// EMQX's built-in database.
    Emqx,
    /// The `pw` of mosquitto-go-auth.
    MosquittoGoAuth,
    /// Django: `dumpdata auth.user`, or a table of its users as CSV.
    Django,
    /// passlib, in lines of `name:hash`.
    Passlib,
    /// Apache's `htpasswd`.
    Htpasswd,
    /// Alibaba Cloud's console.
    Alibaba,
    /// Tencent Cloud's console.
    Tencent,
    /// A table of user names, and passwords or verifiers.
    Csv,
}

/// Every source.
pub const SOURCES: [Source; 10] = [
    Source::Mosquitto,
    Source::MosquittoDynsec,
    Source::Emqx,
    Source::MosquittoGoAuth,
    Source::Django,
    Source::Passlib,
    Source::Htpasswd,
    Source::Alibaba,
    Source::Tencent,
    Source::Csv,
];

/// What a file seems to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Users from a source.
    Users(Source),
    /// The access rules of a broker, which `--acl` names.
    Rules(&'static str),
}

impl Source {
    /// The name, as `--from` has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mosquitto => "mosquitto",
            Self::MosquittoDynsec => "mosquitto-dynsec",
            Self::Emqx => "emqx",
            Self::MosquittoGoAuth => "mosquitto-go-auth",
            Self::Django => "django",
            Self::Passlib => "passlib",
            Self::Htpasswd => "htpasswd",
            Self::Alibaba => "alibaba",
            Self::Tencent => "tencent",
            Self::Csv => "csv",
        }
    }

    /// Whether its files have lines of `name:hash`. Their hashes name their own forms, so one reader is enough.
    pub(super) fn has_lines(self) -> bool {
        matches!(self, Self::Mosquitto | Self::MosquittoGoAuth | Self::Passlib | Self::Htpasswd)
    }

    /// Whether a file can be read as it is named.
    pub(super) fn accepts(self, found: Found) -> bool {
        match found {
            Found::Users(source) => self == source || (self.has_lines() && source.has_lines()),
            // The file of dynamic security has both.
            Found::Rules(_) => false,
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Users(Source::Csv) => {
                f.write_str("a table with user names and passwords or verifiers: use `--from csv`")
            }
            Self::Users(source) => {
                let name = match source {
                    Source::Mosquitto => "a password file of mosquitto",
                    Source::MosquittoDynsec => "the file of mosquitto's dynamic security",
                    Source::Emqx => "an EMQX export",
                    Source::MosquittoGoAuth => "a password file of mosquitto-go-auth",
                    Source::Django => "a table of Django's users",
                    Source::Passlib => "lines with passlib's hashes",
                    Source::Htpasswd => "a file of `htpasswd`",
                    Source::Alibaba => "an export of Alibaba Cloud",
                    Source::Tencent => "an export of Tencent Cloud",
                    Source::Csv => "a table",
                };
                write!(f, "{name}: use `--from {}`", source.as_str())
            }
            Self::Rules(of) => write!(f, "the access rules of {of}, without passwords: name it with `--acl`"),
        }
    }
}

/// What to do with a file whose source is not named. `head` is its beginning.
#[must_use]
pub fn hint(head: &str) -> String {
    recognise(head).map_or_else(
        || "it is not a file that is known: name its source with `--from`".to_owned(),
        |found| format!("it is {found}"),
    )
}

/// What a file seems to be by its beginning, if it is one of those that are known.
pub(super) fn recognise(text: &str) -> Option<Found> {
    let start = text.trim_start();
    if start.starts_with(['{', '[']) {
        return of_json(start).or_else(|| of_rules(text));
    }
    of_rules(text).or_else(|| of_lines(text)).or_else(|| of_header(text))
}

fn of_json(text: &str) -> Option<Found> {
    let whole = Element::of(text);
    let path: &[&str] = if text.starts_with('[') { &[] } else { &["data"] };
    // A file of many users is told by its first one; the others, with their secrets, are not copied.
    let first = whole.elements(path).first().copied().unwrap_or(whole).value();
    let Some(first) = first else {
        // It is longer than its beginning: mosquitto writes the clients before the roles.
        let client = whole.elements(&["clients"]).first()?.value()?;
        return client.get("username").map(|_| Found::Users(Source::MosquittoDynsec));
    };
    let has = |key: &str| first.get(key).is_some();
    if has("roles") && (has("clients") || has("defaultACLAccess")) {
        Some(Found::Users(Source::MosquittoDynsec))
    } else if has("user_id") {
        Some(Found::Users(Source::Emqx))
    } else if has("rules") {
        Some(Found::Rules("EMQX"))
    } else if first.get("model").and_then(Value::as_str).is_some_and(|model| model.ends_with("user")) {
        Some(Found::Users(Source::Django))
    } else {
        None
    }
}

fn of_rules(text: &str) -> Option<Found> {
    let mut lines =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', '%']));
    let first = lines.next()?;
    if first.starts_with("{allow") || first.starts_with("{deny") || first.starts_with("{ allow") {
        return Some(Found::Rules("EMQX"));
    }
    let keyword = first.split(' ').next().filter(|_| first.contains(' '));
    matches!(keyword, Some("user" | "topic" | "pattern")).then_some(Found::Rules("mosquitto"))
}

fn of_lines(text: &str) -> Option<Found> {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    let (_, hash) = lines.next()?.split_once(':')?;
    let source = [
        ("$7$", Source::Mosquitto),
        ("$6$", Source::Mosquitto),
        ("PBKDF2$", Source::MosquittoGoAuth),
        ("$pbkdf2-", Source::Passlib),
        ("$argon2", Source::Passlib),
        ("$2", Source::Htpasswd),
        ("$apr1$", Source::Htpasswd),
        ("{SHA}", Source::Htpasswd),
        ("pbkdf2_sha256$", Source::Passlib),
    ];
    source.into_iter().find(|(start, _)| hash.starts_with(start)).map(|(_, source)| Found::Users(source))
}

fn of_header(text: &str) -> Option<Found> {
    let (mut table, header) = Table::with_header(text.as_bytes()).ok()?;
    let columns = Columns::of(&header);
    let has = |names: &[&str]| matches!(columns.find(names), Ok(Some(_)));
    let first = table.next().and_then(|(_, record)| record.ok());
    let is_django = first.is_some_and(|record| {
        record.fields().any(|field| {
            ["pbkdf2_", "argon2$", "bcrypt", "scrypt$"].iter().any(|start| field.starts_with(start))
        })
    });
    if has(&["user_id"]) && has(&["password_hash"]) {
        Some(Found::Users(Source::Emqx))
    } else if has(&["DeviceName"]) && has(&["DeviceSecret"]) {
        Some(Found::Users(Source::Alibaba))
    } else if has(&["DeviceName"]) && has(&["DevicePsk", "psk"]) {
        Some(Found::Users(Source::Tencent))
    } else if has(&["username"]) && has(&["password"]) && is_django {
        Some(Found::Users(Source::Django))
    } else if has(&["username"]) && (has(&["password"]) || has(&["verifier"])) {
        Some(Found::Users(Source::Csv))
    } else {
        None
    }
}
