//! The one table of operations, and how a request finds its operation.
//!
//! To add an operation, write its function in a module of `control` or `data`, and give it to the operation's line in
//! [`control_plane`] or [`data_plane`]. `docs/aws-apis.md` is made of these tables.

mod control_plane;
mod data_plane;

use std::{future::Future, pin::Pin};

use hyper::Method;

use super::{Api, answer::Answer, error::ApiError, input::Input};

/// An operation of one of AWS's APIs.
pub struct Operation {
    /// AWS's name of the operation.
    pub name: &'static str,
    /// The method.
    pub method: &'static str,
    /// The path, with `{member}` in the place of a segment, or `{member+}` in the place of the last ones.
    pub path: &'static str,
    /// What carries it out; none if the gateway does not have the operation.
    pub handler: Option<Handler>,
}

/// A function that carries out an operation.
pub type Handler = for<'a> fn(&'a Api, &'a Input) -> Outcome<'a>;
/// What becomes of a request.
pub type Outcome<'a> = Pin<Box<dyn Future<Output = Result<Answer, ApiError>> + Send + 'a>>;

/// An API that the port serves by the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// AWS IoT: the control plane.
    ControlPlane,
    /// AWS IoT data: the data plane.
    DataPlane,
}

impl Service {
    /// The service that requests with this name in their signature's scope are for.
    #[must_use]
    pub fn of_scope(name: &str) -> Option<Self> {
        match name {
            "iot" => Some(Self::ControlPlane),
            "iotdata" | "iotdevicegateway" => Some(Self::DataPlane),
            _ => None,
        }
    }

    /// Its operations, in the order of their names.
    #[must_use]
    pub fn operations(self) -> &'static [Operation] {
        match self {
            Self::ControlPlane => control_plane::OPERATIONS,
            Self::DataPlane => data_plane::OPERATIONS,
        }
    }

    /// The operation of a method and path, and the path's members, still percent-encoded.
    #[must_use]
    pub fn find(
        self,
        method: &Method,
        path: &str,
    ) -> Option<(&'static Operation, Vec<(&'static str, String)>)> {
        let candidates = self.operations().iter().filter(|operation| operation.method == method.as_str());
        let found = candidates.filter_map(|operation| Some((operation, operation.members(path)?)));
        // A path without members wins over one with members, such as `/thing-groups/addThingToThingGroup`.
        found.min_by_key(|(_, members)| members.len())
    }
}

impl Operation {
    const fn served(name: &'static str, method: &'static str, path: &'static str, handler: Handler) -> Self {
        Self { name, method, path, handler: Some(handler) }
    }

    const fn absent(name: &'static str, method: &'static str, path: &'static str) -> Self {
        Self { name, method, path, handler: None }
    }

    /// The members of this path if it is this operation's.
    ///
    /// The API model has operations whose path ends with a slash, `/authorizers/` for example; the AWS SDK for Rust leaves it
    /// out.
    fn members(&self, path: &str) -> Option<Vec<(&'static str, String)>> {
        let (own, path) = match self.path.strip_suffix('/') {
            Some(own) => (own, path.strip_suffix('/').unwrap_or(path)),
            None => (self.path, path),
        };
        let (mut members, mut rest) = (Vec::new(), Some(path));
        for expected in own.split('/') {
            let (segment, after) = match rest?.split_once('/') {
                Some((segment, after)) => (segment, Some(after)),
                None => (rest?, None),
            };
            match expected.strip_prefix('{').and_then(|member| member.strip_suffix('}')) {
                None if expected == segment => rest = after,
                None => return None,
                Some(member) => {
                    let all = member.strip_suffix('+');
                    let value = if all.is_some() { rest? } else { segment };
                    members.push((all.unwrap_or(member), value.to_owned()));
                    rest = after.filter(|_| all.is_none());
                }
            }
        }
        rest.is_none().then_some(members)
    }
}

/// The outcome of an operation that does not wait.
fn at_once<'a>(outcome: Result<Answer, ApiError>) -> Outcome<'a> {
    Box::pin(std::future::ready(outcome))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICES: [Service; 2] = [Service::ControlPlane, Service::DataPlane];

    #[test]
    fn each_operation_is_found_by_its_own_method_and_path() {
        for service in SERVICES {
            let operations = service.operations();
            assert!(operations.is_sorted_by_key(|operation| operation.name), "{service:?}");
            for operation in operations {
                let members = operation.path.replace('{', "a%2F").replace("+}", "/b").replace('}', "");
                let method = Method::from_bytes(operation.method.as_bytes()).unwrap();
                let (found, _) = service.find(&method, &members).unwrap();
                assert_eq!(found.name, operation.name);
            }
        }
    }

    #[test]
    fn members_are_those_of_the_path() {
        let find = |method, path| Service::ControlPlane.find(&method, path);
        for (method, path, name, members) in [
            (Method::GET, "/things/a%2Fb", "DescribeThing", &["thingName"][..]),
            (Method::GET, "/things", "ListThings", &[]),
            (Method::GET, "/authorizers/", "ListAuthorizers", &[]),
            (Method::GET, "/authorizers", "ListAuthorizers", &[]),
            (Method::PUT, "/thing-groups/addThingToThingGroup", "AddThingToThingGroup", &[]),
            (Method::GET, "/policies/p/version/1", "GetPolicyVersion", &["policyName", "policyVersionId"]),
            (Method::GET, "/confirmdestination/a/b", "ConfirmTopicRuleDestination", &["confirmationToken"]),
        ] {
            let (operation, found) = find(method, path).unwrap();
            let found = found.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
            assert_eq!((operation.name, &*found), (name, members), "{path}");
        }
        for path in ["", "/", "things", "/things/a/b/c", "//things"] {
            assert!(find(Method::GET, path).is_none(), "{path}");
        }
        assert!(find(Method::HEAD, "/things").is_none());
    }
}
