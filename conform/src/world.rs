//! What the cases need on the service: authorizers, certificates, policies, a Thing, domain configurations.
//!
//! It is made and taken away by the same calls of AWS IoT on an account and on a gateway.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context as _, bail};
use aws_config::SdkConfig;
use aws_lc_rs::{
    digest,
    encoding::{AsDer, PublicKeyX509Der},
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_SHA256},
};
use aws_sdk_iot::{
    config::Builder,
    types::{
        ApplicationProtocol, AuthenticationType, AuthorizerConfig, AuthorizerStatus, CertificateStatus,
        DomainConfigurationStatus,
    },
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use fleet::aws::{call_error, has_code, patient};
use rcgen::{CertificateParams, DnType};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject as _},
};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    case::{Case, MAIN},
    connection::Target,
    host::{Bundle, FunctionHost, gone},
    journal::{Journal, Resource},
    runner::{self, Names},
};

/// How often a case is tried. Each try has topics and client ids of its own.
pub const ATTEMPTS: usize = 2;
/// The field that has the token of the signed authorizer.
const TOKEN_KEY: &str = "conform-token";
/// How long a certificate is valid.
const CERTIFICATE_DAYS: i64 = 2;
/// How long a call that waits for another one to be known everywhere is repeated.
const SETTLED: Duration = Duration::from_mins(1);
/// When the answers of some scripts change: after the connects of cases that wait for a refresh, and before the refreshes.
const LATER_SECONDS: i64 = 290;
/// The number of the case that waits for the service; all others are lower.
const SETTLE_NUMBER: usize = 999;
const PAUSE: Duration = Duration::from_secs(2);

/// What a run has made, and how clients reach it.
pub struct World {
    /// The run's name, six letters and digits.
    pub run: String,
    /// The secret that clients show to the function.
    pub key: String,
    /// The host name for devices.
    pub host: String,
    /// How long an answer may take.
    pub answer_limit: Duration,
    /// The server names of domain configurations, by their names in cases.
    pub domains: BTreeMap<String, String>,
    /// The clients' certificates, by their names in cases.
    pub certificates: BTreeMap<String, ClientCertificate>,
    account: String,
    region: String,
    /// The addresses in the place of AWS's ports: of a gateway, or those of the command line.
    ports: BTreeMap<u16, SocketAddr>,
    roots: RootCertStore,
    signers: Vec<KeyPair>,
    function_host: FunctionHost,
    journal: Journal,
    iot: aws_sdk_iot::Client,
    data: aws_sdk_iotdataplane::Client,
}

/// A client's certificate.
pub struct ClientCertificate {
    /// Its id: the SHA-256 of its DER form.
    pub id: String,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    pem: String,
}

/// Where the world is to be made.
pub struct Place {
    /// The account's number.
    pub account: String,
    /// The region.
    pub region: String,
    /// Where the function runs.
    pub host: FunctionHost,
    /// The configuration of AWS's SDK.
    pub aws: SdkConfig,
    /// The addresses in the place of the account's ports.
    pub connect: BTreeMap<u16, SocketAddr>,
    /// The CA to trust in the place of Amazon's.
    pub ca: Option<PathBuf>,
}

/// What the cases that are run need.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Authorizers besides the usual one.
    pub authorizers: BTreeSet<String>,
    /// Client certificates.
    pub certificates: BTreeSet<String>,
    /// Domain configurations.
    pub domains: BTreeSet<String>,
}

impl Needs {
    /// What these cases name.
    pub fn of(cases: &[&Case]) -> Self {
        let mut needs = Self::default();
        for case in cases {
            for line in &case.lines {
                if let crate::case::Line::Do(step) = line {
                    needs.authorizers.extend(step.argument("authorizer").map(str::to_owned));
                    needs.certificates.extend(step.argument("cert").map(str::to_owned));
                }
            }
            for text in case.texts() {
                for (kind, names) in [
                    ("{authorizer:", &mut needs.authorizers),
                    ("{cert:", &mut needs.certificates),
                    ("{domain:", &mut needs.domains),
                ] {
                    let found = text.split(kind).skip(1).filter_map(|rest| rest.split('}').next());
                    names.extend(found.map(str::to_owned));
                }
            }
        }
        needs.authorizers.retain(|name| name != MAIN && name != "none" && name != "unknown");
        // Only the certificate of a case is registered with a Thing of its own.
        for case in cases {
            for text in case.texts() {
                for kind in ["{thing:", "{name:"] {
                    let found = text.split(kind).skip(1).filter_map(|rest| rest.split('}').next());
                    needs.certificates.extend(found.map(str::to_owned));
                }
            }
        }
        needs
    }
}

impl World {
    /// Prepares a world in which nothing was made yet.
    ///
    /// # Errors
    ///
    /// When the service does not say where devices connect.
    pub async fn new(place: Place, run: String, key: String, journal: Journal) -> anyhow::Result<Self> {
        let Place { account, region, host: function_host, aws, connect, ca } = place;
        let iot = aws_sdk_iot::Client::from_conf(Builder::from(&aws).retry_partition(patient()).build());
        let described = iot.describe_endpoint().endpoint_type("iot:Data-ATS").send().await;
        let described = described.map_err(|error| call_error(&error, "iot:DescribeEndpoint"))?;
        let address = described.endpoint_address.context("DescribeEndpoint answers without an address")?;
        let host = address.split(':').next().unwrap_or_default().to_owned();
        let (ports, ca, answer_limit) = match &function_host {
            FunctionHost::Gateway(gateway) => {
                (gateway.ports.clone(), Some(gateway.ca.clone()), Duration::from_secs(10))
            }
            FunctionHost::Account(_) => (connect, ca, Duration::from_secs(15)),
        };
        let roots = match ca {
            Some(path) => {
                let about = || format!("the CA `{}`", path.display());
                roots_of(&std::fs::read(&path).with_context(about)?).with_context(about)?
            }
            None => roots_of(device_sim::endpoint::AMAZON_ROOTS.as_bytes())?,
        };
        let (domains, certificates, data) =
            (BTreeMap::new(), BTreeMap::new(), aws_sdk_iotdataplane::Client::new(&aws));
        Ok(Self {
            run,
            key,
            host,
            answer_limit,
            domains,
            certificates,
            account,
            region,
            ports,
            roots,
            signers: Vec::new(),
            function_host,
            journal,
            iot,
            data,
        })
    }

    /// Makes everything that these cases need. Each case comes with its number among all cases.
    ///
    /// # Errors
    ///
    /// When a call fails. What was made by then is in the journal.
    pub async fn set_up(
        &mut self,
        cases: &[(usize, &Case)],
        progress: &dyn Fn(&str),
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        // It stops between two calls only: a call that is given up could still make something.
        let check = || if stop.is_cancelled() { Err(anyhow::anyhow!("interrupted")) } else { Ok(()) };
        let needs = Needs::of(&cases.iter().map(|(_, case)| *case).collect::<Vec<_>>());
        progress("making certificates and policies");
        for name in &needs.certificates {
            check()?;
            self.make_certificate(name).await?;
        }
        if needs.authorizers.contains("signed") {
            for _ in 0..2 {
                self.signers
                    .push(KeyPair::generate(KeySize::Rsa2048).ok().context("no RSA key can be made")?);
            }
        }
        check()?;
        progress("making the function");
        let scripts = self.scripts(cases)?;
        let function = self.function_name();
        let bundle = Bundle { scripts, key_sha256: sha256(self.key.as_bytes()) };
        let arn = self.function_host.create(&function, &bundle, &self.journal, stop).await?;
        progress("making authorizers and domain configurations");
        for name in [MAIN].into_iter().chain(needs.authorizers.iter().map(String::as_str)) {
            check()?;
            self.make_authorizer(name, &arn).await?;
        }
        for name in &needs.domains {
            check()?;
            self.make_domain(name).await?;
        }
        Ok(())
    }

    /// What the function does, for each attempt of each case.
    fn scripts(&self, cases: &[(usize, &Case)]) -> anyhow::Result<Map<String, Value>> {
        let mut scripts = Map::new();
        let now = time::OffsetDateTime::now_utc().unix_timestamp();
        scripts.insert("later".to_owned(), json!(now + LATER_SECONDS));
        let settle = settle_case()?;
        let settle = settle.iter().map(|case| (SETTLE_NUMBER, case));
        for (number, case) in cases.iter().copied().chain(settle) {
            for attempt in 0..ATTEMPTS {
                let prefix = runner::prefix(&self.run, number, attempt)?;
                let names = Names::new(self, &prefix);
                let of_case = case.scripts(&|text| names.expand(text, ""))?;
                scripts.extend(of_case.into_iter().map(|(name, script)| (names.script(&name), script)));
            }
        }
        Ok(scripts)
    }

    /// Waits until the service knows what was made: until three connects in a row are accepted. A new authorizer refuses valid
    /// CONNECTs for up to 90 seconds, now and then.
    ///
    /// # Errors
    ///
    /// When they are not within `limit`.
    pub async fn settle(&self, limit: Duration) -> anyhow::Result<()> {
        let until = tokio::time::Instant::now() + limit;
        let cases = settle_case()?;
        let case = cases.first().context("there is a case to settle with")?;
        let prefix = runner::prefix(&self.run, SETTLE_NUMBER, 0)?;
        let mut in_a_row = 0;
        loop {
            let outcome = runner::run(self, case, runner::Attempt { prefix: &prefix }).await;
            in_a_row = if outcome.verdict == runner::Verdict::Agrees { in_a_row + 1 } else { 0 };
            if in_a_row == 3 || (in_a_row == 1 && self.is_gateway()) {
                return Ok(());
            }
            if tokio::time::Instant::now() >= until {
                bail!("no client can connect within {limit:?}: {:?}", outcome.verdict);
            }
            // A client id may connect once a second.
            tokio::time::sleep(Duration::from_millis(1_100)).await;
        }
    }

    /// The name of the function, and the beginning of every other name.
    pub fn function_name(&self) -> String {
        format!("latchkey-conform-{}", self.run)
    }

    /// The name of an authorizer that cases call by a short one.
    pub fn authorizer_name(&self, name: &str) -> String {
        format!("{}-{name}", self.function_name())
    }

    /// The Thing of a certificate.
    pub fn thing_name(&self, certificate: &str) -> String {
        format!("lc{}-{certificate}", self.run)
    }

    /// `arn:aws:iot:REGION:ACCOUNT:`.
    pub fn arn_prefix(&self) -> String {
        format!("arn:aws:iot:{}:{}:", self.region, self.account)
    }

    /// The signature of a token by one of the two keys, as base64.
    pub fn sign(&self, key: usize, token: &str) -> String {
        let Some(pair) = self.signers.get(key) else { return String::new() };
        let mut signature = vec![0; pair.public_modulus_len()];
        let signed = pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), token.as_bytes(), &mut signature);
        if signed.is_ok() { STANDARD.encode(signature) } else { String::new() }
    }

    /// A text for a report: without the key.
    pub fn without_secrets(&self, text: &str) -> String {
        text.replace(&self.key, "KEY")
    }

    /// Writes into the journal what a case leaves.
    ///
    /// # Errors
    ///
    /// When the journal can't be written.
    pub fn plan(&self, resource: &Resource) -> anyhow::Result<()> {
        self.journal.plan(resource)
    }

    /// The events that the function got with a script.
    ///
    /// # Errors
    ///
    /// When they can't be read.
    pub async fn events(&self, script: &str, at_least: usize) -> anyhow::Result<Vec<Value>> {
        self.function_host.events(&self.function_name(), script, at_least).await
    }

    /// A TLS connection to one of AWS's ports.
    ///
    /// # Errors
    ///
    /// When the gateway has no such port, or there is no such certificate.
    pub fn target(
        &self,
        port: u16,
        alpn: &[&str],
        sni: Option<&str>,
        certificate: Option<&str>,
        version: Option<&str>,
    ) -> anyhow::Result<Target> {
        let versions: &[&rustls::SupportedProtocolVersion] = match version {
            None => rustls::DEFAULT_VERSIONS,
            Some("1.2") => &[&rustls::version::TLS12],
            Some("1.3") => &[&rustls::version::TLS13],
            Some(other) => bail!("`{other}` is not a version of TLS"),
        };
        let certificate = certificate.map(|name| {
            let certificate =
                self.certificates.get(name).with_context(|| format!("there is no certificate `{name}`"))?;
            anyhow::Ok((vec![certificate.certificate.clone()], certificate.key.clone_key()))
        });
        let config = mqtt::wire::client_config(self.roots.clone(), alpn, versions, certificate.transpose()?)?;
        let name = sni.filter(|name| *name != "none").unwrap_or(&self.host).to_owned();
        let address = match self.ports.get(&port) {
            Some(address) => address.to_string(),
            None if self.is_gateway() => bail!("the gateway has no port {port}"),
            // A name that the service does not have leads nowhere.
            None if sni.is_some_and(|name| self.domains.values().any(|it| it == name)) => {
                format!("{name}:{port}")
            }
            None => format!("{}:{port}", self.host),
        };
        Ok(Target { address, name, send_name: sni != Some("none"), config })
    }

    fn is_gateway(&self) -> bool {
        matches!(self.function_host, FunctionHost::Gateway(_))
    }

    async fn make_certificate(&mut self, name: &str) -> anyhow::Result<()> {
        let certificate = ClientCertificate::generate(&format!("{}-{name}", self.function_name()))?;
        if name != "unknown" {
            let (id, pem) = (certificate.id.clone(), certificate.pem.clone());
            self.journal.plan(&Resource::Certificate(id))?;
            let status =
                if name == "inactive" { CertificateStatus::Inactive } else { CertificateStatus::Active };
            let call = self.iot.register_certificate_without_ca().certificate_pem(pem).status(status);
            let made = call.send().await;
            let made = made.map_err(|error| call_error(&error, "iot:RegisterCertificateWithoutCA"))?;
            let arn = made.certificate_arn.context("RegisterCertificateWithoutCA answers without an ARN")?;
            if name != "bare" {
                let policy = self.make_policy(name).await?;
                let attached = self.iot.attach_policy().policy_name(policy).target(&arn).send().await;
                attached.map_err(|error| call_error(&error, "iot:AttachPolicy"))?;
            }
            if name.starts_with("thing") {
                let thing = self.thing_name(name);
                self.journal.plan(&Resource::Thing(thing.clone()))?;
                let made = self.iot.create_thing().thing_name(&thing).send().await;
                made.map_err(|error| call_error(&error, "iot:CreateThing"))?;
                let attached =
                    self.iot.attach_thing_principal().thing_name(&thing).principal(&arn).send().await;
                attached.map_err(|error| call_error(&error, "iot:AttachThingPrincipal"))?;
            }
        }
        self.certificates.insert(name.to_owned(), certificate);
        Ok(())
    }

    /// The policy of a certificate: the run's own topics and client ids; of one with a Thing, those of the Thing.
    async fn make_policy(&self, certificate: &str) -> anyhow::Result<String> {
        let name = self.authorizer_name(certificate);
        let (arn, run) = (self.arn_prefix(), format!("lc{}", self.run));
        let own = if certificate.starts_with("thing") {
            "${iot:Connection.Thing.ThingName}".to_owned()
        } else {
            format!("{run}*")
        };
        let statement = |actions: &[&str], resources: &[String]| {
            let actions = actions.iter().map(|action| format!("iot:{action}")).collect::<Vec<_>>();
            let resources = resources.iter().map(|resource| format!("{arn}{resource}")).collect::<Vec<_>>();
            json!({"Effect": "Allow", "Action": actions, "Resource": resources})
        };
        let document = json!({"Version": "2012-10-17", "Statement": [
            statement(&["Connect"], &[format!("client/{own}")]),
            statement(&["Publish", "RetainPublish", "Receive"],
                &[format!("topic/{own}/*"), format!("topic/$aws/things/{run}*"), format!("topic/$aws/rules/{run}*")]),
            statement(&["Subscribe"], &[format!("topicfilter/{own}/*"), format!("topicfilter/$aws/things/{run}*")]),
            statement(&["GetThingShadow", "UpdateThingShadow", "DeleteThingShadow", "ListNamedShadowsForThing"],
                &[format!("thing/{run}*")]),
        ]});
        self.journal.plan(&Resource::Policy(name.clone()))?;
        let made =
            self.iot.create_policy().policy_name(&name).policy_document(document.to_string()).send().await;
        made.map_err(|error| call_error(&error, "iot:CreatePolicy"))?;
        Ok(name)
    }

    async fn make_authorizer(&self, name: &str, function: &str) -> anyhow::Result<()> {
        let full = self.authorizer_name(name);
        self.journal.plan(&Resource::Authorizer(full.clone()))?;
        let status = if name == "inactive" { AuthorizerStatus::Inactive } else { AuthorizerStatus::Active };
        let call = self
            .iot
            .create_authorizer()
            .authorizer_name(&full)
            .authorizer_function_arn(function)
            .status(status);
        let call = match (name, self.signers.as_slice()) {
            ("signed", [one, two]) => call
                .signing_disabled(false)
                .token_key_name(TOKEN_KEY)
                .token_signing_public_keys("one", public_pem(one)?)
                .token_signing_public_keys("two", public_pem(two)?),
            ("cached", _) => call.signing_disabled(true).enable_caching_for_http(true),
            ("token", _) => call.signing_disabled(true).token_key_name(TOKEN_KEY),
            _ => call.signing_disabled(true),
        };
        let made = call.send().await.map_err(|error| call_error(&error, "iot:CreateAuthorizer"))?;
        let arn = made.authorizer_arn.context("CreateAuthorizer answers without an ARN")?;
        self.function_host.allow(&self.function_name(), &full, &arn).await
    }

    async fn make_domain(&mut self, name: &str) -> anyhow::Result<()> {
        let full = self.authorizer_name(name);
        let (authentication, protocol, may_choose) = match name {
            "open" | "disabled" => (AuthenticationType::CustomAuth, ApplicationProtocol::SecureMqtt, true),
            "fixed" => (AuthenticationType::CustomAuth, ApplicationProtocol::SecureMqtt, false),
            "https" => (AuthenticationType::CustomAuth, ApplicationProtocol::Https, true),
            "x509" => (AuthenticationType::CustomAuthX509, ApplicationProtocol::SecureMqtt, true),
            other => bail!("there is no domain configuration `{other}`"),
        };
        self.journal.plan(&Resource::DomainConfiguration(full.clone()))?;
        let authorizer = AuthorizerConfig::builder()
            .default_authorizer_name(self.authorizer_name(MAIN))
            .allow_authorizer_override(may_choose);
        let call = self.iot.create_domain_configuration().domain_configuration_name(&full);
        let call = call.authentication_type(authentication).application_protocol(protocol);
        let made = call.authorizer_config(authorizer.build()).send().await;
        made.map_err(|error| call_error(&error, "iot:CreateDomainConfiguration"))?;
        if name == "disabled" {
            self.disable_domain(&full).await?;
        }
        let described =
            self.iot.describe_domain_configuration().domain_configuration_name(&full).send().await;
        let described = described.map_err(|error| call_error(&error, "iot:DescribeDomainConfiguration"))?;
        let server_name =
            described.domain_name.context("DescribeDomainConfiguration answers without a name")?;
        self.domains.insert(name.to_owned(), server_name);
        Ok(())
    }

    async fn disable_domain(&self, name: &str) -> anyhow::Result<()> {
        let call = self.iot.update_domain_configuration().domain_configuration_name(name);
        let disabled = call.domain_configuration_status(DomainConfigurationStatus::Disabled).send().await;
        gone(disabled, "iot:UpdateDomainConfiguration")
    }

    /// Takes everything away that the journal has. What can't be taken away is returned, and stays in the journal.
    ///
    /// # Errors
    ///
    /// When the journal can't be written.
    pub async fn clean_up(&self, progress: &dyn Fn(&str)) -> anyhow::Result<Vec<String>> {
        let mut left = Vec::new();
        for resource in self.journal.present() {
            progress(&format!("removing {}", resource.description()));
            match self.remove(&resource).await {
                Ok(()) => self.journal.removed(&resource)?,
                Err(error) => left.push(format!("{}: {error:#}", resource.description())),
            }
        }
        Ok(left)
    }

    /// Ends the gateway, if there is one.
    pub async fn stop(self) {
        self.function_host.stop().await;
    }

    async fn remove(&self, resource: &Resource) -> anyhow::Result<()> {
        match resource {
            Resource::Role(_) | Resource::LogGroup(_) | Resource::Function(_) => {
                self.function_host.remove(resource).await
            }
            Resource::Policy(name) => self.remove_policy(name).await,
            Resource::Certificate(id) => self.remove_certificate(id).await,
            Resource::Thing(name) => self.remove_thing(name).await,
            Resource::Authorizer(name) => {
                let call =
                    self.iot.update_authorizer().authorizer_name(name).status(AuthorizerStatus::Inactive);
                gone(call.send().await, "iot:UpdateAuthorizer")?;
                gone(self.iot.delete_authorizer().authorizer_name(name).send().await, "iot:DeleteAuthorizer")
            }
            Resource::DomainConfiguration(name) => {
                self.disable_domain(name).await?;
                let call = self.iot.delete_domain_configuration().domain_configuration_name(name);
                gone(call.send().await, "iot:DeleteDomainConfiguration")
            }
            Resource::Retained(topic) => {
                let call = self.data.publish().topic(topic).retain(true).qos(1);
                gone(call.send().await, "iot:Publish")
            }
            Resource::Shadow { thing, name } => {
                let call = self.data.delete_thing_shadow().thing_name(thing).set_shadow_name(name.clone());
                gone(call.send().await, "iot:DeleteThingShadow")
            }
        }
    }

    async fn remove_policy(&self, name: &str) -> anyhow::Result<()> {
        let until = tokio::time::Instant::now() + SETTLED;
        loop {
            match self.iot.list_targets_for_policy().policy_name(name).send().await {
                Ok(found) => {
                    for target in found.targets() {
                        let call = self.iot.detach_policy().policy_name(name).target(target);
                        gone(call.send().await, "iot:DetachPolicy")?;
                    }
                }
                Err(error) => gone::<(), _, _>(Err(error), "iot:ListTargetsForPolicy")?,
            }
            match self.iot.delete_policy().policy_name(name).send().await {
                // A policy that was detached a moment ago may count as attached.
                Err(error)
                    if has_code(&error, "DeleteConflictException") && tokio::time::Instant::now() < until =>
                {
                    tokio::time::sleep(PAUSE).await;
                }
                result => return gone(result, "iot:DeletePolicy"),
            }
        }
    }

    async fn remove_certificate(&self, id: &str) -> anyhow::Result<()> {
        let arn = format!("{}cert/{id}", self.arn_prefix());
        let policies = self.iot.list_attached_policies().target(&arn).send().await;
        match policies {
            Ok(policies) => {
                for policy in policies.policies() {
                    let name = policy.policy_name().unwrap_or_default();
                    gone(
                        self.iot.detach_policy().policy_name(name).target(&arn).send().await,
                        "iot:DetachPolicy",
                    )?;
                }
            }
            Err(error) => gone::<(), _, _>(Err(error), "iot:ListAttachedPolicies")?,
        }
        let call = self.iot.update_certificate().certificate_id(id).new_status(CertificateStatus::Inactive);
        gone(call.send().await, "iot:UpdateCertificate")?;
        gone(
            self.iot.delete_certificate().certificate_id(id).force_delete(true).send().await,
            "iot:DeleteCertificate",
        )
    }

    async fn remove_thing(&self, name: &str) -> anyhow::Result<()> {
        match self.iot.list_thing_principals().thing_name(name).send().await {
            Ok(found) => {
                for principal in found.principals() {
                    let call = self.iot.detach_thing_principal().thing_name(name).principal(principal);
                    gone(call.send().await, "iot:DetachThingPrincipal")?;
                }
            }
            Err(error) => gone::<(), _, _>(Err(error), "iot:ListThingPrincipals")?,
        }
        gone(self.iot.delete_thing().thing_name(name).send().await, "iot:DeleteThing")
    }
}

impl ClientCertificate {
    /// A new one that signs itself; it is registered without a CA.
    fn generate(common_name: &str) -> anyhow::Result<Self> {
        let key = rcgen::KeyPair::generate()?;
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, common_name);
        let now = time::OffsetDateTime::now_utc();
        parameters.not_before = now - time::Duration::hours(1);
        parameters.not_after = now + time::Duration::days(CERTIFICATE_DAYS);
        let certificate = parameters.self_signed(&key)?;
        let der = certificate.der().clone();
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Ok(Self { id: sha256(&der), certificate: der, key: private, pem: certificate.pem() })
    }
}

/// The certificates of a PEM text, as roots.
fn roots_of(pem: &[u8]) -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(pem) {
        roots.add(root.context("it is not PEM")?)?;
    }
    anyhow::ensure!(!roots.is_empty(), "it has no certificate");
    Ok(roots)
}

/// The client that connects until the service knows what was made.
fn settle_case() -> anyhow::Result<Vec<Case>> {
    let mut cases = Vec::new();
    crate::case::parse("settle", "== settle\n> a connect 5\n< a CONNACK 0x00\n", &mut cases)?;
    Ok(cases)
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}

fn public_pem(signer: &KeyPair) -> anyhow::Result<String> {
    let der: PublicKeyX509Der<'_> =
        signer.public_key().as_der().ok().context("an RSA key has no DER form")?;
    let base64 = STANDARD.encode(der.as_ref());
    let lines = base64.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned());
    let lines = lines.collect::<Vec<_>>().join("\n");
    Ok(format!("-----BEGIN PUBLIC KEY-----\n{lines}\n-----END PUBLIC KEY-----\n"))
}
