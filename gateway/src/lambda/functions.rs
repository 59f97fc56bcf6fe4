//! The functions that API calls name by their ARNs, and what runs here in the place of each.
//!
//! AWS does not look whether a function exists when an authorizer is created with its ARN. So any ARN is accepted here too, and a
//! call of one that the settings do not have fails and says so.

use std::{collections::BTreeMap, sync::Arc};

use iot_policy::arn::FunctionArn;

use super::{
    function::{Function, FunctionConfiguration, FunctionError},
    injected_fault::InjectedFaults,
};
use crate::{clock::Clock, event_log::EventLog, settings::Account};

/// A function of the settings: its name or its ARN, and what runs in its place.
#[derive(Clone, Debug)]
pub struct NamedFunction {
    /// The function's name, or its ARN with or without an alias or a version. A name that ends with `*` is that of all functions
    /// whose names begin so.
    pub name: String,
    /// What runs in its place.
    pub configuration: FunctionConfiguration,
}

/// The functions by their names and ARNs, and by the beginnings of names.
pub struct Functions {
    by_name: BTreeMap<String, Arc<Function>>,
    clock: Clock,
}

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
        injected: &InjectedFaults,
    ) -> Result<Self, FunctionError> {
        let mut by_name = BTreeMap::from_iter(own);
        for NamedFunction { name, configuration } in functions {
            let arn = if name.contains(':') { name.clone() } else { account.function_arn(&name) };
            let log = log.of_function(&name);
            let function = Function::new(configuration, &arn, clock, &log, injected).await?;
            by_name.insert(name, Arc::new(function));
        }
        Ok(Self { by_name, clock: clock.clone() })
    }

    /// What runs in the place of a function: of exactly this ARN, of the ARN without its alias or version, or of its name.
    #[must_use]
    pub fn find(&self, arn: &FunctionArn) -> Arc<Function> {
        let names = [arn.as_str(), arn.unqualified(), arn.name()];
        let by_name = || names.into_iter().find_map(|name| self.by_name.get(name));
        let by_beginning = || {
            let beginnings =
                self.by_name.iter().filter_map(|(name, function)| Some((beginning(name)?, function)));
            let found = beginnings.filter(|(begin, _)| arn.name().starts_with(begin));
            found.max_by_key(|(begin, _)| begin.len()).map(|(_, function)| function)
        };
        let found = by_name().or_else(by_beginning);
        found.map_or_else(|| Arc::new(Function::absent(arn.clone(), &self.clock)), Arc::clone)
    }
}

/// How the names begin that a name with a `*` at its end stands for.
#[must_use]
pub fn beginning(name: &str) -> Option<&str> {
    name.strip_suffix('*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lambda::{
        function::{FunctionLog, FunctionSource},
        invoke_url::InvokeUrl,
    };

    #[tokio::test]
    async fn the_exact_name_wins_over_a_beginning_and_a_longer_beginning_over_a_shorter_one() {
        let functions = [
            "door-*",
            "door-north-*",
            "door-north-1",
            "arn:aws:lambda:us-east-1:123456789012:function:door-2",
        ];
        let named = functions.iter().enumerate().map(|(port, name)| {
            let url = format!("http://127.0.0.1:{}/f", port + 1).parse::<InvokeUrl>().unwrap();
            let configuration = FunctionConfiguration::new(FunctionSource::InvokeUrl(url));
            NamedFunction { name: (*name).to_owned(), configuration }
        });
        let log = EventLog::new(Box::new(std::io::sink()), None);
        let (account, clock) = (Account::default(), Clock::system());
        let functions =
            Functions::new(named.collect(), None, &account, &clock, &log, &InjectedFaults::default())
                .await
                .unwrap();
        for (arn, port) in [
            ("door-1", Some(1)),
            ("door-north-2", Some(2)),
            ("door-north-1:live", Some(3)),
            ("door-2", Some(4)),
            ("door-2:live", Some(4)),
            ("dooor-1", None),
        ] {
            let arn = format!("arn:aws:lambda:us-east-1:123456789012:function:{arn}");
            let found = functions.find(&arn.parse().unwrap());
            let expected =
                port.map_or(FunctionLog::Here, |port| FunctionLog::At(format!("http://127.0.0.1:{port}")));
            assert_eq!(found.log(), expected, "{arn}");
        }
    }
}
