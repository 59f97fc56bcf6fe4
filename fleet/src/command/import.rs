//! `latchkey fleet import`: adds the devices of a file, all of them or none.

#[cfg(feature = "aws")]
use std::future::pending;
use std::{
    collections::{BTreeMap, HashMap},
    iter::repeat,
    num::NonZero,
    thread,
};

use anyhow::{Context as _, bail};
use cli::console::{Console, counted, status, wrapped};
#[cfg(feature = "aws")]
use device_auth::location::StoreLocation;
use device_auth::{
    device_name::DeviceName,
    grant::{GrantDefinition, Grants},
    record::{ClientIdRule, FunctionSettings},
    scheme::Scheme,
    store::{
        document::{RecordDocument, StoreDocument},
        loader::RecordLoader,
    },
    verifier::{LiveVerifier, Verifier, budget::FunctionMemory},
};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use serde_json::json;
use zeroize::Zeroizing;

#[cfg(feature = "aws")]
use crate::{
    aws,
    provision::records::Records,
    push,
    record_store::{Stored, WriteError},
    store_file::StoreFile,
};

use crate::{
    args::ImportArgs,
    import::{self, Cost, Credential, Faults, Format, GrantsOfRules, Row, Rules, Source},
    record_store::{
        self, RecordStore,
        whole::{Missing, WholeStore},
    },
    sealing::Sealing,
    secret::Secret,
    store_file::any_function,
    store_option::Target,
    vendor::{Vendor, default_grant},
};

/// From this many passwords on, hashing them takes long enough for a progress bar.
const PASSWORDS_FOR_A_BAR: usize = 50;
/// How many grants are shown by name.
const GRANTS_SHOWN: usize = 10;
const SUPERUSER: &str = "the user is a superuser, and no grant allows every topic: `--skip-rules` imports it with the rules \
                         that it has as a user";

/// Adds the devices to a store, and prints how many there are. A file and a secret get all or none; a table gets those that
/// the report names, and the same command goes on. Returns whether the store has all of them.
#[cfg_attr(not(feature = "aws"), expect(unused_variables, reason = "only a table is opened a second time"))]
pub(super) async fn run(
    store: &RecordStore,
    target: &Target,
    args: &ImportArgs,
    console: &mut Console<'_>,
) -> anyhow::Result<bool> {
    match store {
        RecordStore::Whole(whole) => import_whole(whole, args, console).await.map(|()| true),
        #[cfg(feature = "aws")]
        RecordStore::Table(_) => import_to_table(target, args, console).await,
    }
}

async fn import_whole(
    whole: &WholeStore,
    args: &ImportArgs,
    console: &mut Console<'_>,
) -> anyhow::Result<()> {
    let mut document = whole.read(Missing::IsEmpty).await?;
    let mut imported = Imported::read(args, &document)?;
    let devices = u64::try_from(imported.records.len())?;
    let (records, grants) = (std::mem::take(&mut imported.records), std::mem::take(&mut imported.grants));
    let add = |document: &mut StoreDocument| {
        document.grants.extend(grants.clone());
        for (name, record) in &records {
            anyhow::ensure!(!document.devices.contains_key(name), record_store::exists(name));
            document.devices.insert(name.clone(), record.clone());
        }
        Ok(())
    };
    if args.source.dry_run {
        add(&mut document)?;
        document.records(any_function()?).context("nothing would be imported")?;
    } else if devices > 0 {
        whole.update(Missing::IsEmpty, add).await.context("nothing was imported")?;
    }
    Ok(console.print(&imported.json(devices), imported.text(args, devices))?)
}

#[cfg(feature = "aws")]
async fn import_to_table(
    target: &Target,
    args: &ImportArgs,
    console: &mut Console<'_>,
) -> anyhow::Result<bool> {
    let store = &target.location;
    let aws = aws::configuration(target.access.region.as_deref(), aws::PATIENT).await?;
    // The grants of access rules are added to the file, which need not exist before.
    let known_grants = target.access.grants.as_deref().filter(|path| path.exists());
    let mut stored = Records::open(store, &aws, known_grants).await?;
    let mut document = stored.document();
    let mut imported = Imported::read(args, &document)?;
    let grants = std::mem::take(&mut imported.grants);
    document.grants.extend(grants.clone());
    let (mut known, mut devices) = (Vec::new(), BTreeMap::new());
    for (name, record) in std::mem::take(&mut imported.records) {
        match stored.compare(&name, &record).await.map_err(WriteError::into_cause)? {
            Stored::Different if args.skip_existing => imported.skipped = imported.skipped.saturating_add(1),
            Stored::Different => known.push(format!("`{name}`")),
            Stored::Absent | Stored::Equal => _ = devices.insert(name, record),
        }
    }
    anyhow::ensure!(
        known.is_empty(),
        "devices with another record already: {}; `--skip-existing` leaves them unchanged; nothing was imported",
        known.join(", ")
    );
    let document = StoreDocument { devices, ..document };
    // No two of the records may allow the same client id.
    document.clone().records(any_function()?).context("nothing was imported")?;
    if args.source.dry_run {
        let count = u64::try_from(document.devices.len())?;
        console.print(&imported.json(count), imported.text(args, count))?;
        return Ok(true);
    }
    if matches!(store, StoreLocation::DynamoDb(_)) && !grants.is_empty() {
        let path = target.access.grants.as_deref().context(
            "a table has no grants: name a file for those of the access rules with `--grants FILE`, and give it to the \
             function with `function.grants` in the stage's settings or with LATCHKEY_GRANTS",
        )?;
        let mut file = StoreFile::open(path)?;
        file.document_mut().grants.extend(grants);
        file.save().context("nothing was imported")?;
        stored = Records::open(store, &aws, Some(path)).await?;
    }
    let pushed = push::write(stored, document, store, push::Mode::Write, pending()).await;
    let written = u64::try_from(pushed.written.len())?;
    let mut json = imported.json(written);
    if let Some(json) = json.as_object_mut() {
        json.insert("records".to_owned(), pushed.json());
    }
    let text = imported.text(args, written);
    console.print(&json, format_args!("{text}{pushed}"))?;
    Ok(pushed.is_complete())
}

/// The devices of a file that can be added.
struct Imported {
    records: Vec<(DeviceName, RecordDocument)>,
    /// Grants that the store does not have, from access rules.
    grants: BTreeMap<String, GrantDefinition>,
    /// What became of the access rules, if there are any.
    rules: Option<RulesReport>,
    skipped: u64,
    sealing: Option<Sealing>,
}

/// What became of the access rules.
struct RulesReport {
    /// How many devices have each grant.
    devices: BTreeMap<String, u64>,
    /// Things to know, with their lines.
    notes: Vec<(usize, String)>,
    /// The rules that were left out.
    losses: Option<String>,
    lost: usize,
}

impl Imported {
    /// Reads and checks the file. `document` has the grants, and the devices that have a record.
    fn read(args: &ImportArgs, document: &StoreDocument) -> anyhow::Result<Self> {
        let format = format(args)?;
        let scheme = format.scheme();
        let grant = args.grant.as_deref().unwrap_or(default_grant(scheme));
        let (rows, mut faults) = import::read(&args.file, format)?;
        let sealing = Vendor::of(scheme).map(|_| Sealing::of(&args.sealing)).transpose()?;
        let rules = match &args.grant {
            Some(_) => None,
            None => Rules::read(args.source.acl.as_deref(), format.source(), &args.file)?,
        };
        let (mut rows, skipped) = without_known(rows, document, args.skip_existing, &mut faults);
        add_client_ids(&mut rows, &args.source.client_ids, &mut faults);
        if !args.source.skip_rules {
            rows.iter()
                .filter(|row| row.is_superuser)
                .for_each(|row| faults.add(row.line, SUPERUSER.to_owned()));
        }
        let of_rules =
            rules.map(|rules| rules.grants(&rows, &document.grants, format.source().as_str())).transpose()?;
        let (grants, of_rows, report) = of_rules.map_or_else(Default::default, |of_rules| {
            let GrantsOfRules { grants, of_rows, notes, losses, lost } = of_rules;
            let mut devices = BTreeMap::<String, u64>::new();
            for grant in &of_rows {
                let count = devices.entry(grant.clone()).or_default();
                *count = count.saturating_add(1);
            }
            (grants, of_rows, Some(RulesReport { devices, notes, losses, lost }))
        });
        let all = document.grants.iter().chain(&grants).map(|(name, grant)| (name.clone(), grant.clone()));
        let checker = Checker::new(all.collect(), args.source.memory)?;
        let (mut drafts, mut cost) = (Vec::with_capacity(rows.len()), Cost::default());
        for (row, grant) in rows.into_iter().zip(of_rows.iter().map(String::as_str).chain(repeat(grant))) {
            let line = row.line;
            let draft = Draft::of(row, scheme, grant, sealing.as_ref());
            match draft.and_then(|draft| checker.check(&draft).map(|()| draft)) {
                Ok(draft) => {
                    draft.record.verifiers.iter().for_each(|live| cost.add(&live.verifier));
                    drafts.push(draft);
                }
                Err(error) => faults.add(line, cli::error_text(error.as_ref())),
            }
        }
        let losses =
            report.as_ref().and_then(|report| report.losses.as_deref()).filter(|_| !args.source.skip_rules);
        if !faults.is_empty() || losses.is_some() {
            let faults = (!faults.is_empty()).then(|| faults.of_file(args.file.display()));
            let skip = losses.map(|_| "`--skip-rules` imports without the unusable rules");
            let parts = [faults.as_deref(), losses, skip, Some("nothing was imported")];
            return Err(import::error_list(parts.into_iter().flatten()).into());
        }
        if let Some(cost) = cost.shown(args.source.memory) {
            status(&cost.to_string());
        }
        let records = if args.source.dry_run {
            let unhashed = drafts.into_iter().map(|draft| draft.finish(|_| Ok(checker.placeholder.clone())));
            unhashed.collect::<anyhow::Result<_>>()?
        } else {
            hash(drafts)?
        };
        Ok(Self { records, grants, rules: report, skipped, sealing })
    }

    fn json(&self, devices: u64) -> serde_json::Value {
        let key = self.sealing.as_ref().and_then(Sealing::key);
        let mut json = json!({"imported": devices, "skipped": self.skipped, "key": key});
        if let (Some(rules), Some(json)) = (&self.rules, json.as_object_mut()) {
            let notes = rules.notes.iter().map(|(line, text)| json!({"line": line, "note": text}));
            json.insert("grants".to_owned(), json!(rules.devices));
            json.insert("notes".to_owned(), notes.collect());
            json.insert("rules_left_out".to_owned(), json!(rules.lost));
        }
        json
    }

    fn text(&self, args: &ImportArgs, devices: u64) -> String {
        let mut text = format!(
            "{} {}, skipped {}\n",
            if args.source.dry_run { "would import" } else { "imported" },
            counted(HumanCount(devices), "device"),
            HumanCount(self.skipped)
        );
        if let Some(rules) = &self.rules {
            text += &rules.text();
        }
        if let Some(sealing) = &self.sealing {
            text += &wrapped(11, &format!("secrets    {}", sealing.description()));
            text.push('\n');
        }
        let file = args.file.display();
        let note = format!(
            "file       {file} still has the devices' credentials: delete it when all devices connect"
        );
        text + &wrapped(11, &note) + "\n"
    }
}

impl RulesReport {
    fn text(&self) -> String {
        let grants = self
            .devices
            .iter()
            .take(GRANTS_SHOWN)
            .map(|(name, devices)| format!("`{name}` for {}", counted(HumanCount(*devices), "device")));
        let more = if self.devices.len() > GRANTS_SHOWN { ", and more" } else { "" };
        let grants = grants.collect::<Vec<_>>().join(", ");
        let mut text = wrapped(11, &format!("grants     {grants}{more}")) + "\n";
        if let Some(losses) = &self.losses {
            text.extend(["left out   ", losses, "\n"]);
        }
        for (line, note) in &self.notes {
            text += &wrapped(11, &format!("note       line {line}: {note}"));
            text.push('\n');
        }
        text
    }
}

/// Gives the users that have no client ids in the file these ones. `%u` is the user's name.
fn add_client_ids(rows: &mut [Row], rules: &[String], faults: &mut Faults) {
    if rules.is_empty() {
        return;
    }
    for row in rows.iter_mut().filter(|row| row.client_ids.is_none()) {
        let rules = rules.iter().map(|rule| ClientIdRule::try_from(rule.replace("%u", row.name.as_str())));
        match rules.collect::<Result<Vec<_>, _>>() {
            Ok(rules) => row.client_ids = Some(rules),
            Err(error) => faults.add(row.line, format!("`--client-id`: {error}")),
        }
    }
}

fn format(args: &ImportArgs) -> anyhow::Result<Format<'_>> {
    if let Some(source) = args.source.from {
        let is_vendor = matches!(source, Source::Alibaba | Source::Tencent);
        for (option, is_given) in [("--product", args.product.is_some()), ("--plain", args.sealing.plain)] {
            anyhow::ensure!(is_vendor || !is_given, "`{option}` is not for `--from {}`", source.as_str());
        }
        return Ok(Format::of(source, args.product.as_deref(), args.source.emqx_hash));
    }
    if args.scheme.is_none() && !args.mosquitto {
        bail!("say what wrote `{}`: {}", args.file.display(), import::hint(&import::text(&args.file)?));
    }
    let scheme = args.scheme.unwrap_or(Scheme::Password);
    let vendors_only = [("--product", args.product.is_some()), ("--plain", args.sealing.plain)];
    match (Vendor::of(scheme), vendors_only.into_iter().find(|(_, given)| *given)) {
        (Some(vendor), _) => Ok(Format::Vendor(vendor, args.product.as_deref())),
        (None, Some((option, _))) => bail!("`{option}` is not for the scheme `{}`", scheme.as_str()),
        (None, None) if args.mosquitto => Ok(Format::PasswordFile(Source::Mosquitto)),
        (None, None) => Ok(Format::Passwords),
    }
}

/// The rows of devices that have no record yet, and how many rows were left out.
fn without_known(
    rows: Vec<Row>,
    document: &StoreDocument,
    skip: bool,
    faults: &mut Faults,
) -> (Vec<Row>, u64) {
    let mut seen = HashMap::new();
    let (mut unknown, mut skipped) = (Vec::with_capacity(rows.len()), 0_u64);
    for row in rows {
        let why = if let Some(first) = seen.get(&row.name) {
            Some(format!("a duplicate of line {first}; `--skip-existing` uses the first"))
        } else if document.devices.contains_key(&row.name) {
            Some("the device has a record already; `--skip-existing` leaves it unchanged".to_owned())
        } else {
            None
        };
        seen.entry(row.name.clone()).or_insert(row.line);
        match why {
            None => unknown.push(row),
            Some(_) if skip => skipped = skipped.saturating_add(1),
            Some(why) => faults.add(row.line, why),
        }
    }
    (unknown, skipped)
}

/// A device whose record has no hash of its password yet.
struct Draft {
    name: DeviceName,
    record: RecordDocument,
    password: Option<Zeroizing<String>>,
}

impl Draft {
    fn of(row: Row, scheme: Scheme, grant: &str, sealing: Option<&Sealing>) -> anyhow::Result<Self> {
        let Row { name, client_ids, credential, enabled, line: _, is_superuser: _ } = row;
        let record = RecordDocument { client_ids, enabled, ..RecordDocument::new(scheme, grant.to_owned()) };
        let (record, password) = match (credential, Vendor::of(scheme).zip(sealing)) {
            (Credential::Secret(secret), Some((vendor, sealing))) => {
                let secret = vendor.secret(&secret, None)?.sealed(&name, sealing)?;
                (RecordDocument { secrets: vec![secret], ..record }, None)
            }
            (Credential::Secret(_), None) => bail!("a secret is for a vendor's scheme"),
            (Credential::Verifier(verifier), _) => {
                let live = LiveVerifier { verifier, expires_at: None };
                (RecordDocument { verifiers: vec![live], ..record }, None)
            }
            (Credential::Password(password), _) => (record, Some(password)),
        };
        Ok(Self { name, record, password })
    }

    /// Adds the hash of the password, if there is one.
    fn finish(
        self,
        hash: impl FnOnce(Zeroizing<String>) -> anyhow::Result<Verifier>,
    ) -> anyhow::Result<(DeviceName, RecordDocument)> {
        let Self { name, mut record, password } = self;
        if let Some(password) = password {
            record.verifiers.push(LiveVerifier { verifier: hash(password)?, expires_at: None });
        }
        Ok((name, record))
    }
}

/// Checks each record as the authorizer would, before the passwords are hashed.
struct Checker {
    loader: RecordLoader,
    /// Stands for a hash that is not computed yet.
    placeholder: Verifier,
}

impl Checker {
    fn new(
        grants: BTreeMap<String, GrantDefinition>,
        memory: Option<FunctionMemory>,
    ) -> anyhow::Result<Self> {
        let grants = Grants::new(grants)?;
        let placeholder = Verifier::of_generated(&[], [0; 16]);
        let any = any_function()?;
        let function = FunctionSettings { memory: memory.unwrap_or(any.memory), ..any };
        Ok(Self { loader: RecordLoader::new(grants, function), placeholder })
    }

    /// The error does not name the device: its line does.
    fn check(&self, draft: &Draft) -> anyhow::Result<()> {
        let Draft { name, record, password } = draft;
        let mut record = record.clone();
        if password.is_some() {
            record.verifiers.push(LiveVerifier { verifier: self.placeholder.clone(), expires_at: None });
        }
        self.loader.load(name, record).map(drop).map_err(|invalid| invalid.error.into())
    }
}

/// Hashes the passwords on every core, at some 40 ms each. A terminal shows a progress bar.
fn hash(mut drafts: Vec<Draft>) -> anyhow::Result<Vec<(DeviceName, RecordDocument)>> {
    let passwords = drafts.iter().filter(|draft| draft.password.is_some()).count();
    let bar = if passwords < PASSWORDS_FOR_A_BAR {
        ProgressBar::hidden()
    } else {
        let template = "hashing passwords  {bar:30}  {human_pos} of {human_len}, {eta} left";
        ProgressBar::new(u64::try_from(passwords)?).with_style(ProgressStyle::with_template(template)?)
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let share = drafts.len().div_ceil(threads).max(1);
    let mut shares = Vec::new();
    while !drafts.is_empty() {
        shares.push(drafts.split_off(drafts.len().saturating_sub(share)));
    }
    let records = thread::scope(|scope| {
        let workers = shares.into_iter().map(|share| {
            scope.spawn(|| {
                let records = share.into_iter().map(|draft| {
                    draft.finish(|password| {
                        let verifier = Secret::chosen(password)?.verifier()?;
                        bar.inc(1);
                        Ok(verifier)
                    })
                });
                records.collect::<anyhow::Result<Vec<_>>>()
            })
        });
        // All of them are started before the first is waited for.
        let workers = workers.collect::<Vec<_>>();
        let results = workers.into_iter().map(|worker| worker.join().ok().context("a thread has failed")?);
        results.collect::<anyhow::Result<Vec<_>>>()
    })?;
    bar.finish_and_clear();
    Ok(records.into_iter().flatten().collect())
}
