//! The functions that API calls name by their ARNs, and what runs here in the place of each.
//!
//! AWS does not look whether a function exists when an authorizer is created with its ARN. So any ARN is accepted here too, and a
//! call of one that the settings do not have fails and says so.

use std::{collections::BTreeMap, sync::Arc};

use iot_policy::arn::FunctionArn;

use super::function::{Function, FunctionConfiguration, FunctionError};
use crate::{clock::Clock, event_log::EventLog, settings::Account};

/// A function of the settings: its name or its ARN, and what runs in its place.
#[derive(Clone, Debug)]
pub struct NamedFunction {
    /// The function's name, or its ARN with or without an alias or a version.
    pub name: String,
    /// What runs in its place.
    pub configuration: FunctionConfiguration,
}

/// The functions by their names and ARNs.
pub struct Functions(BTreeMap<String, Arc<Function>>);

impl Functions {
    /// The functions of the settings, and `own`, the function of the gateway's own authorizer. Nothing is started yet.
    ///
    /// # Errors
    ///
    /// When this gateway can't call one of them.
    pub async fn new(
        functions: Vec<NamedFunction>,
        own: Option<(String, Arc<Function>)>,
        account: &Account,
        clock: &Clock,
        log: &EventLog,
    ) -> Result<Self, FunctionError> {
        let mut by_name = BTreeMap::from_iter(own);
        for NamedFunction { name, configuration } in functions {
            let arn = if name.contains(':') { name.clone() } else { account.function_arn(&name) };
            let function = Function::new(configuration, &arn, clock, &log.of_function(&name)).await?;
            by_name.insert(name, Arc::new(function));
        }
        Ok(Self(by_name))
    }

    /// What runs in the place of a function: of exactly this ARN, of the ARN without its alias or version, or of its name.
    #[must_use]
    pub fn find(&self, arn: &FunctionArn) -> Arc<Function> {
        let names = [arn.as_str(), arn.unqualified(), arn.name()];
        let found = names.into_iter().find_map(|name| self.0.get(name));
        found.map_or_else(|| Arc::new(Function::Absent(arn.clone())), Arc::clone)
    }
}
