//! A program of this machine that is a function, and the environment in which it runs.

use std::{path::PathBuf, process::Stdio};

use tokio::process::Command;

/// What a function's `_HANDLER` is when nobody sets it; a program that is one function doesn't read it.
const HANDLER: &str = "bootstrap";

/// Where AWS's SDKs look for somebody's credentials in the environment. The files in the home folder stay in reach.
const CREDENTIALS: [&str; 9] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_PROFILE",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
];

/// A program and how to run it.
#[derive(Clone, Debug)]
pub struct Program {
    /// Where it is, for example `latchkey-authorizer`; a name alone is looked for on the `PATH`.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// The folder in which it runs, if not the gateway's own.
    pub folder: Option<PathBuf>,
    /// `_HANDLER`: which of its functions is meant.
    pub handler: Option<String>,
    /// Environment variables beside Lambda's own.
    pub variables: Vec<(String, String)>,
    /// Which form of a Runtime API's address it can read.
    pub runtime_api: RuntimeApiAddress,
}

/// How a program is told where its Runtime API is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuntimeApiAddress {
    /// `http://HOST:PORT/SECRET`: nobody else on the machine can read an event or answer it.
    SecretPath,
    /// `HOST:PORT`, as Lambda has it and as most languages' clients need it. Whoever can reach the port can read
    /// events, passwords included, and answer them.
    HostAndPort,
}

impl Program {
    /// A program that needs nothing else.
    #[must_use]
    pub fn new(path: PathBuf, variables: Vec<(String, String)>) -> Self {
        let runtime_api = RuntimeApiAddress::SecretPath;
        Self { path, arguments: Vec::new(), folder: None, handler: None, variables, runtime_api }
    }

    /// The environment that Lambda gives a function (developer guide, `configuration-envvars`). The AWS keys of the
    /// person who runs the gateway are not the function's.
    #[must_use]
    pub fn command(&self, arn: &str, runtime_api: &str) -> Command {
        let region = arn.split(':').nth(3).unwrap_or_default();
        let name = arn.split(':').nth(6).unwrap_or_default();
        let mut command = Command::new(&self.path);
        for name in CREDENTIALS {
            command.env_remove(name);
        }
        // The gateway's own variable, which the authorizer would refuse as a misspelling of one of its own.
        command.env_remove("LATCHKEY_AUTHORIZER");
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        command
            .args(&self.arguments)
            .env("AWS_LAMBDA_RUNTIME_API", runtime_api)
            .env("AWS_LAMBDA_FUNCTION_NAME", name)
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            // Lambda gives CPU by memory (`configuration-memory`); here a function has a whole one, as with 1,769 MB.
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1769")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{name}"))
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "local")
            .env("AWS_REGION", region)
            .env("_HANDLER", self.handler.as_deref().unwrap_or(HANDLER))
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }
}
