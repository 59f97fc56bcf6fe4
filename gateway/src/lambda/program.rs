//! A program of this machine that is a function, and its environment.

use std::{path::PathBuf, process::Stdio};

use tokio::process::Command;

/// The default of `_HANDLER`. A program that is one function does not read it.
const HANDLER: &str = "bootstrap";

/// The variables in which AWS's SDKs look for credentials. The function can still read the files in the home folder.
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
    /// Its path, for example `latchkey-authorizer`; a bare name is looked for on the `PATH`.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its working folder, if it is not the gateway's.
    pub folder: Option<PathBuf>,
    /// `_HANDLER`: the name of the function in the program.
    pub handler: Option<String>,
    /// Environment variables besides Lambda's own.
    pub variables: Vec<(String, String)>,
    /// The form of the Runtime API's address that it accepts.
    pub runtime_api: RuntimeApiAddress,
}

/// The form of a Runtime API's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuntimeApiAddress {
    /// `http://HOST:PORT/SECRET`: other users of the machine can neither read an event nor answer it.
    SecretPath,
    /// `HOST:PORT`, as in Lambda, which most languages' runtimes need. Everybody who can reach the port can read events,
    /// with their passwords, and answer them.
    HostAndPort,
}

impl RuntimeApiAddress {
    /// What to do if a program with this address never asks for an event, beginning with a separator, or nothing.
    #[must_use]
    pub fn hint(self) -> &'static str {
        match self {
            Self::SecretPath => {
                "; `AWS_LAMBDA_RUNTIME_API` has the form `http://HOST:PORT/PATH` here, and `HOST:PORT` in Lambda: if the \
                 program's runtime writes `http://` before it, set `runtime_api_path = false` for this authorizer"
            }
            Self::HostAndPort => "",
        }
    }
}

impl Program {
    /// A program without arguments.
    #[must_use]
    pub fn new(path: PathBuf, variables: Vec<(String, String)>) -> Self {
        let runtime_api = RuntimeApiAddress::SecretPath;
        Self { path, arguments: Vec::new(), folder: None, handler: None, variables, runtime_api }
    }

    /// The command that runs the program, with the environment that Lambda gives a function (developer guide,
    /// `configuration-envvars`), and without the AWS credentials of the person who runs the gateway.
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
            // In Lambda, memory decides the share of a CPU (`configuration-memory`); 1,769 MB means one whole CPU, which
            // a function has here.
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
