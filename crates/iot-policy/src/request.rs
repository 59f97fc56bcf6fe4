//! A request that policies decide about.

use crate::action::Action;
use crate::context::Context;
use crate::resource::{Resource, Scope};

/// One action that a connection requests on one resource. Creating one allocates nothing.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    action: Action,
    resource: Resource<'a>,
    context: &'a Context,
}

impl<'a> Request<'a> {
    /// Takes the action and the name of what it is about: a client id for `iot:Connect`, a topic filter for
    /// `iot:Subscribe`, a topic for the others. The kind of resource follows from the action.
    #[must_use]
    pub fn new(action: Action, scope: &'a Scope, name: &'a str, context: &'a Context) -> Self {
        Self { action, resource: scope.resource(action.resource_kind(), name), context }
    }

    /// The requested action.
    #[must_use]
    pub fn action(&self) -> Action {
        self.action
    }

    /// The resource that the action is about.
    #[must_use]
    pub fn resource(&self) -> &Resource<'a> {
        &self.resource
    }

    /// What is known about the connection.
    #[must_use]
    pub fn context(&self) -> &'a Context {
        self.context
    }
}
