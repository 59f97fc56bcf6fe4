//! Where the function runs: in an AWS account, or next to a gateway on this machine.
//!
//! This is all that differs between the two. What is made in AWS IoT is made by the same calls in both.

use std::{
    collections::BTreeMap,
    io::{Cursor, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, bail};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_iot::{
    config::{Credentials, SharedCredentialsProvider},
    error::{ProvideErrorMetadata, SdkError},
};
use aws_sdk_lambda::{
    primitives::Blob,
    types::{Environment, FunctionCode, LoggingConfig, Runtime, State},
};
use fleet::aws::{call_error, has_code};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::journal::{Journal, Resource};

/// The function's source, the same in both places.
const FUNCTION: &str = include_str!("../function/function.py");
/// The names of its files.
const FUNCTION_FILE: &str = "function.py";
const SCRIPTS_FILE: &str = "scripts.json";
/// The policy of the function's role.
const ROLE_POLICY: &str = "log";
/// The variable with the digest of the run's key.
const KEY_VARIABLE: &str = "CONFORM_KEY_SHA256";
/// How long IAM may take until Lambda can use a new role.
const ROLE_LIMIT: Duration = Duration::from_mins(1);
/// How long a new function may take until it can be called.
const FUNCTION_LIMIT: Duration = Duration::from_mins(1);
/// How long an event may take to CloudWatch Logs.
const LOG_LIMIT: Duration = Duration::from_mins(1);
/// How long a deletion is repeated that meets another change of the same thing.
const DELETION_LIMIT: Duration = Duration::from_mins(1);
/// The codes of such a meeting: a function that is not active yet, a role whose policy was removed a moment ago, and a log group
/// that is being written (API references of Lambda, IAM and CloudWatch Logs).
const CONFLICTS: [&str; 4] =
    ["ResourceConflictException", "DeleteConflict", "ConcurrentModification", "OperationAbortedException"];
const PAUSE: Duration = Duration::from_secs(2);

/// What the function is made of.
pub struct Bundle {
    /// What it does, by the names of scripts.
    pub scripts: Map<String, Value>,
    /// The SHA-256 of the run's key, in hexadecimal.
    pub key_sha256: String,
}

/// Where the function runs.
pub enum FunctionHost {
    /// Next to a gateway, which has a program in the place of the function.
    Gateway(Box<GatewayHost>),
    /// In AWS Lambda.
    Account(Box<AccountHost>),
}

/// The process of a gateway.
pub struct GatewayHost {
    /// Ends with this process, or when its standard input closes.
    process: Child,
    folder: PathBuf,
    /// The addresses by AWS's ports.
    pub ports: BTreeMap<u16, SocketAddr>,
    /// The certificate of its CA.
    pub ca: PathBuf,
    /// The account and the region that it plays.
    pub account: (String, String),
}

/// How to start a gateway.
pub struct GatewayProgram {
    /// The program.
    pub program: PathBuf,
    /// The arguments before those of a gateway: `local`, for `latchkey`.
    pub arguments: Vec<String>,
}

/// An account's services besides AWS IoT.
pub struct AccountHost {
    lambda: aws_sdk_lambda::Client,
    iam: aws_sdk_iam::Client,
    logs: aws_sdk_cloudwatchlogs::Client,
    region: String,
    account: String,
}

/// The line that a gateway prints when it is ready.
#[derive(Deserialize)]
struct Ready {
    ports: BTreeMap<u16, SocketAddr>,
    ca: PathBuf,
}

impl FunctionHost {
    /// Makes the function and returns its ARN. What is made is in the journal before.
    ///
    /// # Errors
    ///
    /// When a file can't be written, a call fails, or it is to stop.
    pub async fn create(
        &self,
        name: &str,
        bundle: &Bundle,
        journal: &Journal,
        stop: &CancellationToken,
    ) -> anyhow::Result<String> {
        match self {
            Self::Gateway(host) => {
                let scripts = serde_json::to_vec(&bundle.scripts)?;
                let path = host.folder.join(SCRIPTS_FILE);
                std::fs::write(&path, scripts)
                    .with_context(|| format!("can't write `{}`", path.display()))?;
                let (account, region) = &host.account;
                Ok(format!("arn:aws:lambda:{region}:{account}:function:{name}"))
            }
            Self::Account(host) => host.create(name, bundle, journal, stop).await,
        }
    }

    /// Lets AWS IoT call the function for an authorizer.
    ///
    /// # Errors
    ///
    /// When the call fails.
    pub async fn allow(&self, function: &str, authorizer: &str, arn: &str) -> anyhow::Result<()> {
        let Self::Account(host) = self else { return Ok(()) };
        let call = host.lambda.add_permission().function_name(function).statement_id(authorizer);
        let call = call.action("lambda:InvokeFunction").principal("iot.amazonaws.com").source_arn(arn);
        call.send().await.map_err(|error| call_error(&error, "lambda:AddPermission"))?;
        Ok(())
    }

    /// The events that the function has written out for a script, once there are `at_least` so many of them.
    ///
    /// # Errors
    ///
    /// When they can't be read.
    pub async fn events(&self, function: &str, script: &str, at_least: usize) -> anyhow::Result<Vec<Value>> {
        match self {
            // The function writes an event before it answers.
            Self::Gateway(host) => Ok(events_of(&host.written()?, script)),
            Self::Account(host) => host.events(function, script, at_least).await,
        }
    }

    /// Takes away what belongs to the function.
    ///
    /// # Errors
    ///
    /// When a call fails.
    pub async fn remove(&self, resource: &Resource) -> anyhow::Result<()> {
        match self {
            // The gateway's files are this run's own.
            Self::Gateway(_) => Ok(()),
            Self::Account(host) => host.remove(resource).await,
        }
    }

    /// Ends the gateway, if there is one.
    pub async fn stop(self) {
        if let Self::Gateway(mut host) = self {
            drop(host.process.stdin.take());
            // Dropping the process kills it if it does not end by itself.
            _ = tokio::time::timeout(Duration::from_secs(10), host.process.wait()).await;
        }
    }
}

/// The events of a script among the function's lines.
fn events_of(lines: &str, script: &str) -> Vec<Value> {
    let values = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let of_script = values.filter(|value| value.get("conform").and_then(Value::as_str) == Some(script));
    of_script.filter_map(|mut value| value.get_mut("event").map(Value::take)).collect()
}

impl GatewayHost {
    /// Starts a gateway with these settings, which are added to what the run needs, and its data in `folder`.
    ///
    /// # Errors
    ///
    /// When it does not start.
    pub async fn start(
        program: &GatewayProgram,
        folder: &Path,
        settings: Option<&Path>,
        function: &str,
        bundle_key: &str,
        python: &Path,
    ) -> anyhow::Result<(Self, SdkConfig)> {
        let path = folder.join(FUNCTION_FILE);
        std::fs::write(&path, FUNCTION).with_context(|| format!("can't write `{}`", path.display()))?;
        std::fs::write(folder.join(SCRIPTS_FILE), "{}")?;
        let (table, account) = settings_table(settings, folder, function, bundle_key, python)?;
        let file = folder.join("latchkey.toml");
        std::fs::write(&file, toml::to_string(&table)?)
            .with_context(|| format!("can't write `{}`", file.display()))?;
        let data = folder.join("gateway");
        let mut command = Command::new(&program.program);
        command.args(&program.arguments).args(["--json", "--stop-with-stdin", "--config"]).arg(&file);
        command.arg("--data").arg(&data).env_remove("LATCHKEY_STORE");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let started = command.spawn();
        let mut process =
            started.with_context(|| format!("can't start the gateway `{}`", program.program.display()))?;
        let output = process.stdout.take().context("the gateway has no output")?;
        let Some(line) = BufReader::new(output).lines().next_line().await? else {
            let status = process.wait().await?;
            bail!(
                "the gateway ended with {status}; if the function did not start, name Python 3 with `--python`, which is `{}` now",
                python.display()
            );
        };
        let Ready { ports, ca } = serde_json::from_str(&line).context("the gateway is not ready")?;
        let config = configuration(program, &data).await?;
        Ok((Self { process, folder: folder.to_owned(), ports, ca, account }, config))
    }

    fn written(&self) -> anyhow::Result<String> {
        match std::fs::read_to_string(self.folder.join("events.jsonl")) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
            read => read.context("can't read the function's events"),
        }
    }
}

/// The SDK's configuration for a gateway, from the variables that `latchkey local env` prints.
async fn configuration(program: &GatewayProgram, data: &Path) -> anyhow::Result<SdkConfig> {
    let mut command = Command::new(&program.program);
    command.args(&program.arguments).args(["env", "--json", "--data"]).arg(data).stdin(Stdio::null());
    let output = command.output().await.context("can't run `latchkey local env`")?;
    let variables = serde_json::from_slice::<BTreeMap<String, String>>(&output.stdout);
    let variables = variables.context("`latchkey local env` prints no variables")?;
    let variable =
        |name: &str| variables.get(name).with_context(|| format!("`latchkey local env` has no {name}"));
    let credentials = Credentials::new(
        variable("AWS_ACCESS_KEY_ID")?,
        variable("AWS_SECRET_ACCESS_KEY")?,
        None,
        None,
        "latchkey local env",
    );
    let builder = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(variable("AWS_REGION")?.clone()))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(variable("AWS_ENDPOINT_URL_IOT")?)
        .http_client(fleet::aws::http_client());
    Ok(builder.build())
}

/// The gateway's settings: the person's own, any free ports, and the program that is the function.
fn settings_table(
    own: Option<&Path>,
    folder: &Path,
    function: &str,
    key_sha256: &str,
    python: &Path,
) -> anyhow::Result<(toml::Table, (String, String))> {
    let mut table = match own {
        Some(path) => {
            let text =
                std::fs::read_to_string(path).with_context(|| format!("can't read `{}`", path.display()))?;
            text.parse::<toml::Table>().with_context(|| format!("`{}` is not TOML", path.display()))?
        }
        None => toml::Table::new(),
    };
    for key in ["ports", "authorizer", "function", "data", "devices", "default_authorizer", "listen"] {
        table.remove(key);
    }
    let folder = std::path::absolute(folder)?;
    let text = |path: &Path| {
        path.to_str().map(str::to_owned).with_context(|| format!("`{}` is not UTF-8", path.display()))
    };
    let program = |name: &str, key_sha256: &str| -> anyhow::Result<Value> {
        Ok(json!({
            "name": name, "program": text(python)?, "arguments": [text(&folder.join(FUNCTION_FILE))?], "instances": 8,
            "env": {KEY_VARIABLE: key_sha256, "CONFORM_EVENTS": text(&folder.join("events.jsonl"))?},
        }))
    };
    let more = json!({
        "ports": {"443": 0, "8883": 0, "8443": 0, "status": "off", "api": 0},
        "function": [program(function, key_sha256)?],
        // The gateway needs one. It refuses every client, so that a case can't take it for the run's own.
        "authorizer": [program("latchkey", "none")?],
    });
    let more = toml::Table::try_from(&more)?;
    table.extend(more);
    let key = |name: &str, default: &str| {
        table.get(name).and_then(toml::Value::as_str).unwrap_or(default).to_owned()
    };
    let account = (key("account", "123456789012"), key("region", "us-east-1"));
    Ok((table, account))
}

impl AccountHost {
    /// The services of an account.
    #[must_use]
    pub fn new(aws: &SdkConfig, account: &str, region: &str) -> Self {
        Self {
            lambda: aws_sdk_lambda::Client::new(aws),
            iam: aws_sdk_iam::Client::new(aws),
            logs: aws_sdk_cloudwatchlogs::Client::new(aws),
            region: region.to_owned(),
            account: account.to_owned(),
        }
    }

    async fn create(
        &self,
        name: &str,
        bundle: &Bundle,
        journal: &Journal,
        stop: &CancellationToken,
    ) -> anyhow::Result<String> {
        let group = log_group(name);
        journal.plan(&Resource::LogGroup(group.clone()))?;
        let made = self.logs.create_log_group().log_group_name(&group).send().await;
        made.map_err(|error| call_error(&error, "logs:CreateLogGroup"))?;
        going_on(stop)?;
        let call = self.logs.put_retention_policy().log_group_name(&group).retention_in_days(1);
        call.send().await.map_err(|error| call_error(&error, "logs:PutRetentionPolicy"))?;
        going_on(stop)?;
        let role = self.create_role(name, &group, journal).await?;
        journal.plan(&Resource::Function(name.to_owned()))?;
        let code = FunctionCode::builder().zip_file(Blob::new(archive(bundle)?)).build();
        let environment = Environment::builder().variables(KEY_VARIABLE, &bundle.key_sha256).build();
        let logging = LoggingConfig::builder().log_group(&group).build();
        let until = Instant::now() + ROLE_LIMIT;
        let arn = loop {
            going_on(stop)?;
            let call = self.lambda.create_function().function_name(name).runtime(Runtime::Python312);
            let call = call.handler("function.handler").role(&role).timeout(10).memory_size(128);
            let call =
                call.code(code.clone()).environment(environment.clone()).logging_config(logging.clone());
            match call.description("latchkey conform: it is removed at the end of the run").send().await {
                Ok(function) => {
                    break function.function_arn.context("CreateFunction answers without an ARN")?;
                }
                // IAM takes some seconds until Lambda can use a role.
                Err(error)
                    if has_code(&error, "InvalidParameterValueException") && Instant::now() < until =>
                {
                    pause(stop).await;
                }
                Err(error) => return Err(call_error(&error, "lambda:CreateFunction")),
            }
        };
        let until = Instant::now() + FUNCTION_LIMIT;
        loop {
            going_on(stop)?;
            let found = self.lambda.get_function_configuration().function_name(name).send().await;
            let function = found.map_err(|error| call_error(&error, "lambda:GetFunctionConfiguration"))?;
            match function.state() {
                Some(State::Active) => return Ok(arn),
                Some(State::Failed) => bail!(
                    "Lambda could not make the function `{name}`: {}",
                    function.state_reason().unwrap_or("it gives no reason")
                ),
                _ => {}
            }
            anyhow::ensure!(Instant::now() < until, "the function `{name}` is not active within a minute");
            pause(stop).await;
        }
    }

    async fn create_role(&self, name: &str, group: &str, journal: &Journal) -> anyhow::Result<String> {
        journal.plan(&Resource::Role(name.to_owned()))?;
        let trust = json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]});
        let call = self.iam.create_role().role_name(name).assume_role_policy_document(trust.to_string());
        let made = call.send().await.map_err(|error| call_error(&error, "iam:CreateRole"))?;
        let Self { region, account, .. } = self;
        let log = json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": format!("arn:aws:logs:{region}:{account}:log-group:{group}:*")}]});
        let call = self
            .iam
            .put_role_policy()
            .role_name(name)
            .policy_name(ROLE_POLICY)
            .policy_document(log.to_string());
        call.send().await.map_err(|error| call_error(&error, "iam:PutRolePolicy"))?;
        Ok(made.role.context("CreateRole answers without a role")?.arn)
    }

    async fn events(&self, function: &str, script: &str, at_least: usize) -> anyhow::Result<Vec<Value>> {
        let until = Instant::now() + LOG_LIMIT;
        loop {
            let events = events_of(&self.log_lines(function, script).await?, script);
            let is_over = Instant::now() >= until;
            // That there are none can only be seen after the time that one may take.
            if is_over || (at_least > 0 && events.len() >= at_least) {
                return Ok(events);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The lines of the function's log about a script. A page of the answer may be empty, and not be the last one.
    async fn log_lines(&self, function: &str, script: &str) -> anyhow::Result<String> {
        let call = self.logs.filter_log_events().log_group_name(log_group(function));
        let call = call.filter_pattern(format!("{{ $.conform = \"{script}\" }}"));
        let (mut lines, mut token) = (String::new(), None);
        loop {
            let page = call.clone().set_next_token(token).send().await;
            let page = page.map_err(|error| call_error(&error, "logs:FilterLogEvents"))?;
            for message in page.events().iter().filter_map(|event| event.message()) {
                lines = lines + message + "\n";
            }
            token = page.next_token;
            if token.is_none() {
                return Ok(lines);
            }
        }
    }

    async fn remove(&self, resource: &Resource) -> anyhow::Result<()> {
        match resource {
            Resource::Function(name) => {
                deleted("lambda:DeleteFunction", || self.lambda.delete_function().function_name(name).send())
                    .await
            }
            Resource::LogGroup(name) => {
                deleted("logs:DeleteLogGroup", || self.logs.delete_log_group().log_group_name(name).send())
                    .await
            }
            Resource::Role(name) => {
                deleted("iam:DeleteRolePolicy", || {
                    self.iam.delete_role_policy().role_name(name).policy_name(ROLE_POLICY).send()
                })
                .await?;
                deleted("iam:DeleteRole", || self.iam.delete_role().role_name(name).send()).await
            }
            other => bail!("{} does not belong to the function", other.description()),
        }
    }
}

/// Fails if the run is to stop: between two calls, because a call that is given up could still make something.
fn going_on(stop: &CancellationToken) -> anyhow::Result<()> {
    anyhow::ensure!(!stop.is_cancelled(), "interrupted");
    Ok(())
}

async fn pause(stop: &CancellationToken) {
    // It ends early where the run is to stop.
    _ = tokio::time::timeout(PAUSE, stop.cancelled()).await;
}

/// Deletes something, again and again while another change of it is under way.
async fn deleted<T, E, R, F>(permission: &str, call: impl Fn() -> F) -> anyhow::Result<()>
where
    F: Future<Output = Result<T, SdkError<E, R>>>,
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug + 'static,
{
    let until = Instant::now() + DELETION_LIMIT;
    loop {
        match call().await {
            Err(error) if CONFLICTS.iter().any(|code| has_code(&error, code)) && Instant::now() < until => {
                tokio::time::sleep(PAUSE).await;
            }
            result => return gone(result, permission),
        }
    }
}

/// The log group of the function, with the run's name in it.
fn log_group(function: &str) -> String {
    format!("/aws/lambda/{function}")
}

/// The result of a call that deletes: what does not exist is deleted.
///
/// # Errors
///
/// When the call fails for another reason.
pub fn gone<T, E, R>(result: Result<T, SdkError<E, R>>, permission: &str) -> anyhow::Result<()>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug + 'static,
{
    match result {
        Ok(_) => Ok(()),
        Err(error) if has_code(&error, "ResourceNotFoundException") || has_code(&error, "NoSuchEntity") => {
            Ok(())
        }
        Err(error) => Err(call_error(&error, permission)),
    }
}

/// The archive of the function, as Lambda accepts it.
fn archive(bundle: &Bundle) -> anyhow::Result<Vec<u8>> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Stored)
        .unix_permissions(0o644);
    let scripts = serde_json::to_string(&bundle.scripts)?;
    for (name, content) in [(FUNCTION_FILE, FUNCTION), (SCRIPTS_FILE, scripts.as_str())] {
        writer.start_file(name, options)?;
        writer.write_all(content.as_bytes())?;
    }
    Ok(writer.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn the_archive_has_the_function_and_its_scripts() {
        let scripts = json!({"a.main": {"raises": true}}).as_object().unwrap().clone();
        let bytes = archive(&Bundle { scripts, key_sha256: "00".into() }).unwrap();
        let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
        let mut text = String::new();
        archive.by_name(SCRIPTS_FILE).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, r#"{"a.main":{"raises":true}}"#);
        assert!(archive.by_name(FUNCTION_FILE).is_ok() && archive.len() == 2);
    }

    #[test]
    fn the_run_replaces_what_it_needs_and_keeps_the_persons_other_settings() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("own.toml");
        std::fs::write(
            &own,
            "account = \"111122223333\"\ndata = \"x\"\n[ports]\n443 = 1\n[quotas]\ntopic_slashes = 8\n",
        )
        .unwrap();
        let (table, account) =
            settings_table(Some(&own), folder.path(), "f", "00", Path::new("python3")).unwrap();
        assert_eq!(account, ("111122223333".to_owned(), "us-east-1".to_owned()));
        assert_eq!(table["quotas"]["topic_slashes"].as_integer(), Some(8));
        assert_eq!(table["ports"]["443"].as_integer(), Some(0));
        assert!(!table.contains_key("data"));
        assert_eq!(table["function"][0]["name"].as_str(), Some("f"));
    }
}
