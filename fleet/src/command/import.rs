//! `latchkey fleet import`: adds the devices of a file, all of them or none.

#[cfg(feature = "aws")]
use std::future::pending;
use std::{
    collections::{BTreeMap, HashMap},
    num::NonZero,
    path::Path,
    thread,
};

use anyhow::{Context as _, bail};
use cli::console::{Console, counted, wrapped};
#[cfg(feature = "aws")]
use device_auth::location::StoreLocation;
use device_auth::{
    device_name::DeviceName,
    grant::{GrantDefinition, Grants},
    scheme::Scheme,
    store::{
        document::{RecordDocument, StoreDocument},
        loader::RecordLoader,
    },
    verifier::{LiveVerifier, Verifier},
};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use serde_json::json;
use zeroize::Zeroizing;

#[cfg(feature = "aws")]
use crate::{
    aws,
    provision::{
        ProvisionError,
        records::{Records, Stored},
    },
    push,
};

use crate::{
    args::ImportArgs,
    import::{self, Credential, Faults, Format, Row},
    sealing::Sealing,
    secret::Secret,
    store_file::{StoreFile, any_function},
    vendor::{Vendor, default_grant},
};

/// From this many passwords on, hashing them takes long enough for a progress bar.
const PASSWORDS_FOR_A_BAR: usize = 50;

/// Adds the devices to a file of records, and prints how many there are.
pub(super) fn run(store: &Path, args: &ImportArgs, console: &mut Console<'_>) -> anyhow::Result<()> {
    for (option, is_given) in [("--grants", args.grants.is_some()), ("--region", args.region.is_some())] {
        anyhow::ensure!(
            !is_given,
            "`{option}` is for `--store dynamodb:TABLE` and `--store secretsmanager:NAME`"
        );
    }
    let mut file = StoreFile::open(store)?;
    let imported = Imported::read(args, file.document())?;
    let devices = u64::try_from(imported.records.len())?;
    for (name, record) in &imported.records {
        file.insert(name.clone(), record.clone())?;
    }
    if devices > 0 {
        file.save().context("nothing was imported")?;
    }
    let key = imported.sealing.as_ref().and_then(Sealing::key);
    let json = json!({"imported": devices, "skipped": imported.skipped, "key": key});
    Ok(console.print(&json, imported.text(args, devices))?)
}

/// Adds the devices to a table or a secret, and prints how many there are. Returns whether the store has all of them.
#[cfg(feature = "aws")]
pub(crate) async fn run_in_aws(
    store: &StoreLocation,
    args: &ImportArgs,
    console: &mut Console<'_>,
) -> anyhow::Result<bool> {
    let aws = aws::configuration(args.region.as_deref(), aws::PATIENT).await?;
    let stored = Records::open(store, &aws).await?;
    let mut document = stored.document();
    if let Some(path) = &args.grants {
        document.grants.extend(StoreFile::read(path)?.grants);
    }
    let mut imported = Imported::read(args, &document)?;
    let (mut known, mut devices) = (Vec::new(), BTreeMap::new());
    for (name, record) in std::mem::take(&mut imported.records) {
        match stored.compare(&name, &record).await.map_err(ProvisionError::into_cause)? {
            Stored::Different if args.skip_existing => imported.skipped = imported.skipped.saturating_add(1),
            Stored::Different => known.push(format!("`{name}`")),
            Stored::Absent | Stored::Equal => _ = devices.insert(name, record),
        }
    }
    anyhow::ensure!(
        known.is_empty(),
        "devices with another record already: {}; `--skip-existing` leaves them unchanged\n  nothing was imported",
        known.join(", ")
    );
    // No two of the records may allow the same client id.
    let all = StoreDocument { devices: devices.clone(), ..document.clone() };
    all.records(any_function()?).context("nothing was imported")?;
    let pushed = push::write(stored, StoreDocument { devices, ..document }, store, pending()).await;
    let key = imported.sealing.as_ref().and_then(Sealing::key);
    let json = json!({
        "imported": pushed.written.len(), "skipped": imported.skipped, "key": key, "records": pushed.json(),
    });
    let text = imported.text(args, u64::try_from(pushed.written.len())?);
    console.print(&json, format_args!("{text}{pushed}"))?;
    Ok(pushed.is_complete())
}

/// The devices of a file that can be added.
struct Imported {
    records: Vec<(DeviceName, RecordDocument)>,
    skipped: u64,
    sealing: Option<Sealing>,
}

impl Imported {
    /// Reads and checks the file. `document` has the grants, and the devices that have a record.
    fn read(args: &ImportArgs, document: &StoreDocument) -> anyhow::Result<Self> {
        let format = format(args)?;
        let scheme = format.scheme();
        let grant = args.grant.as_deref().unwrap_or(default_grant(scheme));
        let sealing = Vendor::of(scheme).map(|_| Sealing::of(&args.sealing)).transpose()?;
        let (rows, mut faults) = import::read(&args.file, format)?;
        let (rows, skipped) = without_known(rows, document, args.skip_existing, &mut faults);
        let checker = Checker::new(&document.grants)?;
        let mut drafts = Vec::with_capacity(rows.len());
        for row in rows {
            let line = row.line;
            let draft = Draft::of(row, scheme, grant, sealing.as_ref());
            match draft.and_then(|draft| checker.check(&draft).map(|()| draft)) {
                Ok(draft) => drafts.push(draft),
                Err(error) => faults.add(line, cli::error_text(error.as_ref())),
            }
        }
        if !faults.is_empty() {
            bail!("`{}` has {faults}\n  nothing was imported", args.file.display());
        }
        Ok(Self { records: hash(drafts)?, skipped, sealing })
    }

    fn text(&self, args: &ImportArgs, devices: u64) -> String {
        let mut text = format!(
            "imported {}, skipped {}\n",
            counted(HumanCount(devices), "device"),
            HumanCount(self.skipped)
        );
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

fn format(args: &ImportArgs) -> anyhow::Result<Format<'_>> {
    let scheme = args.scheme.unwrap_or(Scheme::Password);
    let vendors_only = [("--product", args.product.is_some()), ("--plain", args.sealing.plain)];
    match (Vendor::of(scheme), vendors_only.into_iter().find(|(_, given)| *given)) {
        (Some(vendor), _) => Ok(Format::Vendor(vendor, args.product.as_deref())),
        (None, Some((option, _))) => bail!("`{option}` is not for the scheme `{}`", scheme.as_str()),
        (None, None) if args.mosquitto => Ok(Format::PasswordFile),
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
        let Row { name, client_ids, credential, line: _ } = row;
        let record = RecordDocument { client_ids, ..RecordDocument::new(scheme, grant.to_owned()) };
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

    /// Adds the hash of the password, if there is one, and counts it.
    fn finish(self, bar: &ProgressBar) -> anyhow::Result<(DeviceName, RecordDocument)> {
        let Self { name, mut record, password } = self;
        if let Some(password) = password {
            let verifier = Secret::chosen(password)?.verifier()?;
            record.verifiers.push(LiveVerifier { verifier, expires_at: None });
            bar.inc(1);
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
    fn new(grants: &BTreeMap<String, GrantDefinition>) -> anyhow::Result<Self> {
        let grants = Grants::new(grants.clone())?;
        let placeholder = Verifier::of_generated(&[], [0; 16]);
        Ok(Self { loader: RecordLoader::new(grants, any_function()?), placeholder })
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
                share.into_iter().map(|draft| draft.finish(&bar)).collect::<anyhow::Result<Vec<_>>>()
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
