//! The rules of `latchkey fleet lint`.

use clap::ValueEnum;

/// How grave a finding is; the later, the graver. The names are SARIF's.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something to know
    Note,
    /// A risk
    Warning,
    /// A device is refused, or anybody can do harm
    Error,
}

impl Level {
    /// The level in SARIF and on the terminal.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Declares [`Rule`] once: each variant with its name, its level and its description.
macro_rules! rules {
    ($($variant:ident, $name:literal, $level:ident, $text:literal;)*) => {
        /// A rule.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Rule {
            $(#[doc = $text] $variant,)*
        }

        impl Rule {
            /// Every rule, the gravest first.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The stable name.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The level of its findings.
            #[must_use]
            pub fn level(self) -> Level {
                match self { $(Self::$variant => Level::$level,)* }
            }

            /// What it finds.
            #[must_use]
            pub fn description(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

rules! {
    RecordUnusable, "record-unusable", Error, "The authorizer can't use the record, and refuses its device.";
    RecordsConflict, "records-conflict", Error, "Two devices may use one client id, or share a topic that was not meant to be shared.";
    DocumentInvalid, "document-invalid", Error, "AWS IoT Core does not accept the policy document.";
    BroadAccess, "broad-access", Error, "A policy allows more than one device's own resources (Device Defender: `IOT_POLICY_OVERLY_PERMISSIVE_CHECK`).";
    PlainSecret, "plain-secret", Error, "A vendor's secret is kept in plain text.";
    DenyMisses, "deny-misses", Warning, "A Deny does not deny what its author meant (Device Defender: `IOT_POLICY_POTENTIAL_MISCONFIGURATION_CHECK`).";
    PublishRetain, "publish-retain", Warning, "`iot:PublishRetain` is not an action of AWS IoT; the action is `iot:RetainPublish`.";
    PolicyFinding, "policy-finding", Warning, "A part of a policy has no effect, or more effect than it seems.";
    VerifierWeak, "verifier-weak", Warning, "A chosen password with this verifier can be guessed by anyone who gets the records.";
    VerifierSlow, "verifier-slow", Warning, "Checking the password takes longer than half a second in the function.";
    CredentialExpired, "credential-expired", Warning, "The record or all its credentials have expired, and the device is refused.";
    CredentialLeftOver, "credential-left-over", Note, "One of two credentials has expired and can be removed.";
    NeverUsed, "never-used", Note, "The log has no accepted connect of the device, or none with its newer credential.";
    GrantUnused, "grant-unused", Note, "No record has the grant.";
    DocumentsNearLimit, "documents-near-limit", Note, "A grant needs at least 8 of the 10 policy documents that AWS accepts.";
}
