//! The devices of a file are added, all of them or none.

mod check;
mod hash;

use std::{collections::HashMap, io::Write, path::Path};

use anyhow::{Context as _, bail};
use device_auth::{device_name::DeviceName, scheme::Scheme, store::document::RecordDocument};
use serde_json::json;
use zeroize::Zeroizing;

use self::check::Checker;
use crate::{
    args::ImportArgs,
    count::grouped,
    import::{self, Credential, Faults, Format, Row},
    sealing::Sealing,
    store_file::StoreFile,
    vendor::{Vendor, default_grant},
};

/// Adds them and says how many.
pub(super) fn run(
    store: &Path,
    args: &ImportArgs,
    json: bool,
    output: &mut impl Write,
) -> anyhow::Result<()> {
    let format = format(args)?;
    let scheme = format.scheme();
    let grant = args.grant.as_deref().unwrap_or(default_grant(scheme));
    let sealing = Vendor::of(scheme).map(|_| Sealing::of(&args.sealing)).transpose()?;
    let (rows, mut faults) = import::read(&args.file, format)?;
    let mut file = StoreFile::open(store)?;
    let (fresh, skipped) = fresh(rows, &file, args.skip_existing, &mut faults);
    let drafts = drafts(fresh, &file, &mut faults, |row| Draft::of(row, scheme, grant, sealing.as_ref()))?;
    if !faults.is_empty() {
        bail!("`{}` has {faults}\nnothing was imported", args.file.display());
    }
    let devices = drafts.len();
    for (name, record) in hash::all(drafts)? {
        file.insert(name, record)?;
    }
    if devices > 0 {
        file.save().context("nothing was imported")?;
    }
    let imported = Imported { devices, skipped, sealing, file: &args.file };
    if json { imported.json(output) } else { imported.text(output) }
}

struct Imported<'a> {
    devices: usize,
    skipped: usize,
    sealing: Option<Sealing>,
    file: &'a Path,
}

impl Imported<'_> {
    fn json(&self, output: &mut impl Write) -> anyhow::Result<()> {
        let key = self.sealing.as_ref().and_then(Sealing::key);
        writeln!(output, "{}", json!({"imported": self.devices, "skipped": self.skipped, "key": key}))?;
        Ok(())
    }

    fn text(&self, output: &mut impl Write) -> anyhow::Result<()> {
        let word = if self.devices == 1 { "device" } else { "devices" };
        writeln!(output, "imported {} {word}, skipped {}", grouped(self.devices), grouped(self.skipped))?;
        if let Some(sealing) = &self.sealing {
            writeln!(output, "secrets    {}", sealing.told())?;
        }
        let file = self.file.display();
        writeln!(
            output,
            "the file   {file} still has what devices prove themselves with: delete it when all is well"
        )?;
        Ok(())
    }
}

/// What the rows become, each one checked by itself.
fn drafts(
    rows: Vec<Row>,
    file: &StoreFile,
    faults: &mut Faults,
    draft_of: impl Fn(Row) -> anyhow::Result<Draft>,
) -> anyhow::Result<Vec<Draft>> {
    let checker = Checker::new(&file.document().grants)?;
    let mut drafts = Vec::with_capacity(rows.len());
    for row in rows {
        let line = row.line;
        match draft_of(row).and_then(|draft| checker.check(&draft).map(|()| draft)) {
            Ok(draft) => drafts.push(draft),
            Err(error) => faults.add(line, format!("{error:#}")),
        }
    }
    Ok(drafts)
}

/// A device whose record waits for its password's hash, if it has one.
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
                (RecordDocument { verifiers: vec![hash::live(verifier)], ..record }, None)
            }
            (Credential::Password(password), _) => (record, Some(password)),
        };
        Ok(Self { name, record, password })
    }
}

fn format(args: &ImportArgs) -> anyhow::Result<Format<'_>> {
    let scheme = args.scheme.unwrap_or(Scheme::Password);
    let misfit = [("--product", args.product.is_some()), ("--plain", args.sealing.plain)];
    match (Vendor::of(scheme), misfit.into_iter().find(|(_, given)| *given)) {
        (Some(vendor), _) => Ok(Format::Vendor(vendor, args.product.as_deref())),
        (None, Some((option, _))) => bail!("`{option}` is not for the scheme `{}`", scheme.as_str()),
        (None, None) if args.mosquitto => Ok(Format::PasswordFile),
        (None, None) => Ok(Format::Passwords),
    }
}

/// The rows of devices that have no record yet, and how many of them were left out.
fn fresh(rows: Vec<Row>, file: &StoreFile, skip: bool, faults: &mut Faults) -> (Vec<Row>, usize) {
    let mut seen = HashMap::new();
    let (mut fresh, mut skipped) = (Vec::with_capacity(rows.len()), 0_usize);
    for row in rows {
        let why = if let Some(first) = seen.get(&row.name) {
            Some(format!("the same device as in line {first}; `--skip-existing` takes the first"))
        } else if file.document().devices.contains_key(&row.name) {
            Some("the device has a record already; `--skip-existing` leaves it alone".to_owned())
        } else {
            None
        };
        seen.entry(row.name.clone()).or_insert(row.line);
        match why {
            None => fresh.push(row),
            Some(_) if skip => skipped = skipped.saturating_add(1),
            Some(why) => faults.add(row.line, why),
        }
    }
    (fresh, skipped)
}
