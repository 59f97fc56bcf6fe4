//! AWS IoT policy documents and AWS IoT Core's limits: parse, evaluate, explain.
//!
//! A [`PolicyDocument`] is parsed once, with everything that isn't understood refused, and is then asked about
//! [`Request`]s as often as needed: [`evaluate`] allocates nothing.
//! The crate does no IO and reads no clock, and no input makes it panic.
//!
//! ```
//! use iot_policy::{Action, Context, PolicyDocument, Request, Scope, evaluate};
//!
//! let document: PolicyDocument = r#"{
//!     "Version": "2012-10-17",
//!     "Statement": {
//!         "Sid": "OwnTopics",
//!         "Effect": "Allow",
//!         "Action": "iot:Publish",
//!         "Resource": "arn:aws:iot:eu-west-1:123456789012:topic/sensor/sht20/*"
//!     }
//! }"#
//! .parse()?;
//! let scope = Scope::new("aws", "eu-west-1", "123456789012")?;
//! let context = Context::empty().with_client_id("sht20");
//! let documents = [document];
//!
//! let own = Request::new(Action::Publish, &scope, "sensor/sht20/humidity", &context);
//! assert_eq!(evaluate(&documents, &own).to_string(), "allowed by document 0 statement 0 (`OwnTopics`)");
//!
//! let other = Request::new(Action::Publish, &scope, "sensor/sht21/humidity", &context);
//! assert_eq!(evaluate(&documents, &other).to_string(), "denied: no statement allows");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How documents are read
//!
//! The sources are the AWS IoT Core developer guide (`iot-policies`, `pub-sub-policy`, `basic-policy-variables`,
//! `thing-policy-variables`, `cert-policy-variables`, `use-policy-variables`, `connect-policy`) and the IAM user guide
//! (`reference_policies_elements`, `reference_policies_variables`, `reference_policies_elements_condition_operators`,
//! `reference_policies_condition-single-vs-multi-valued-context-keys`).
//!
//! | part | reading |
//! |---|---|
//! | a variable without a value | its pattern matches nothing; a negated operator is met against it |
//! | `NotAction`, `NotResource` | everything except what is named; in an Allow, a variable without a value names everything |
//! | condition operators | all of IAM's but `BinaryEquals`, each only on keys whose values it can compare |
//! | several values of the policy | one of them must match, under a negated operator none may |
//! | an absent key | meets a negated operator, `IfExists` and `ForAllValues:`; never `ForAnyValue:` |
//! | a plain operator on a key with several values | not met in an Allow, refused in a Deny |
//! | the time | given by the caller; without it, a condition on the time is not met in an Allow and met in a Deny |
//! | what isn't understood | an error for the whole document |
//!
//! Nothing was tried against a live account. A reading that the pages leave open is marked as a guess in the code, by
//! words of its row in `docs/fidelity.md`, and is the one that allows less.

mod action;
mod allowed_resources;
pub mod arn;
mod certificate;
mod condition;
mod context;
mod document;
mod effect;
mod error;
mod evaluation;
mod finding;
pub mod limits;
pub mod loopback;
mod near_miss;
mod node;
mod pattern;
mod request;
mod resource;
mod statement;
mod text;
mod thing;
mod variable;

pub use action::{Action, ActionPattern, UnknownAction};
pub use allowed_resources::{AllowedResources, allowed_resources};
pub use certificate::{AlternativeName, Certificate, CertificateField, NameAttribute, Party};
pub use context::Context;
pub use document::PolicyDocument;
pub use effect::Effect;
pub use error::{ActionError, ConditionError, PatternError, PolicyError, Problem};
pub use evaluation::{Decision, StatementRef, evaluate};
pub use finding::{Finding, FindingKind};
pub use near_miss::{NearMiss, Obstacle, ScopeDifference, near_miss};
pub use pattern::ResourcePattern;
pub use request::Request;
pub use resource::{Resource, ResourceKind, Scope, ScopeError, escape_literal};
pub use statement::{Selection, Statement};
pub use thing::Thing;
