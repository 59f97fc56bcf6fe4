//! The users of a file as they are to be imported, read as often as they are needed.

use std::{collections::VecDeque, io::Read, iter, num::NonZero, path::Path, thread};

use anyhow::{Context as _, bail};
use device_auth::{
    device_name::DeviceName,
    record::ClientIdRule,
    scheme::Scheme,
    store::document::RecordDocument,
    verifier::{LiveVerifier, Verifier},
};
use zeroize::Zeroizing;

use super::check::Checked;
use crate::{
    args::ImportArgs,
    import::{self, Credential, Format, Input, Row, Rules, Source},
    sealing::Sealing,
    secret::Secret,
    vendor::{Vendor, default_grant},
};

/// The argument that means standard input.
const STANDARD_INPUT: &str = "-";
/// How many passwords are hashed at a time, on every core: progress is shown after each time.
const HASHED_AT_A_TIME: usize = 64;
const SUPERUSER: &str = "the user is a superuser, and no grant allows every topic: `--skip-rules` imports it with the rules \
                         that it has as a user";

/// A file of users, and what is to become of them.
pub(super) struct Users<'a> {
    pub(super) args: &'a ImportArgs,
    pub(super) input: Input,
    pub(super) format: Format<'a>,
    /// The grant of those for whom no access rule makes one.
    pub(super) grant: &'a str,
    pub(super) sealing: Option<Sealing>,
    pub(super) rules: Option<Rules>,
}

/// A row of the file: its number, counted from 0, its line, and what it is or what is wrong with it.
type Numbered = (u32, usize, Result<Row, String>);

impl<'a> Users<'a> {
    /// Opens the file, and reads the access rules that come with it.
    pub(super) fn open(args: &'a ImportArgs, stdin: &mut dyn Read) -> anyhow::Result<Self> {
        let input = if args.file == Path::new(STANDARD_INPUT) {
            Input::spooled("standard input".to_owned(), stdin)?
        } else {
            Input::open(&args.file)?
        };
        let format = format(args, &input)?;
        import::check_source(&input, format.source())?;
        let scheme = format.scheme();
        let rules = match &args.grant {
            Some(_) => None,
            None => Rules::read(args.source.acl.as_deref(), format.source(), &input)?,
        };
        Ok(Self {
            args,
            input,
            format,
            grant: args.grant.as_deref().unwrap_or(default_grant(scheme)),
            sealing: Vendor::of(scheme).map(|_| Sealing::of(&args.sealing)).transpose()?,
            rules,
        })
    }

    /// Reads the rows.
    pub(super) fn rows(&self) -> anyhow::Result<impl Iterator<Item = anyhow::Result<Numbered>>> {
        let rows = import::rows(&self.input, self.format)?;
        Ok(rows.zip(0_u64..).map(|(row, number)| {
            let (line, row) = row.with_context(|| format!("can't use `{}`", self.input.shown()))?;
            let row = row.map_err(|error| error.to_string()).and_then(|row| self.completed(row));
            Ok((u32::try_from(number).context("it has too many rows")?, line, row))
        }))
    }

    /// Gives a user that has no client ids in the file those of `--client-id`, where `%u` is the user's name.
    fn completed(&self, mut row: Row) -> Result<Row, String> {
        if row.is_superuser && !self.args.source.skip_rules {
            return Err(SUPERUSER.to_owned());
        }
        let rules = &self.args.source.client_ids;
        if row.client_ids.is_none() && !rules.is_empty() {
            let rules =
                rules.iter().map(|rule| ClientIdRule::try_from(rule.replace("%u", row.name.as_str())));
            let rules =
                rules.collect::<Result<Vec<_>, _>>().map_err(|error| format!("`--client-id`: {error}"))?;
            row.client_ids = Some(rules);
        }
        Ok(row)
    }

    /// A record of a row with this grant, without the hash of its password.
    pub(super) fn draft(&self, row: Row, grant: &str) -> anyhow::Result<Draft> {
        Draft::of(row, self.format.scheme(), grant, self.sealing.as_ref())
    }

    /// The records of the rows that are imported. Passwords are hashed as the records are read, some 40 ms each.
    pub(super) fn records<'u>(
        &'u self,
        checked: &'u Checked,
    ) -> anyhow::Result<impl Iterator<Item = anyhow::Result<(DeviceName, RecordDocument)>> + 'u> {
        let mut rows =
            self.rows()?.filter(|row| !matches!(row, Ok((number, ..)) if checked.is_left_out(*number)));
        let mut ready = VecDeque::new();
        Ok(iter::from_fn(move || {
            if ready.is_empty() {
                let drafts = rows.by_ref().take(HASHED_AT_A_TIME).map(|row| {
                    let (number, line, row) = row?;
                    let row = row.map_err(|error| {
                        anyhow::anyhow!(
                            "`{}` was changed while it was read: line {line}: {error}",
                            self.input.shown()
                        )
                    })?;
                    self.draft(row, checked.grant(number).unwrap_or(self.grant))
                });
                match drafts.collect::<anyhow::Result<Vec<_>>>().and_then(hash) {
                    Ok(records) => ready.extend(records),
                    Err(error) => return Some(Err(error)),
                }
            }
            ready.pop_front().map(Ok)
        }))
    }
}

fn format<'a>(args: &'a ImportArgs, input: &Input) -> anyhow::Result<Format<'a>> {
    if let Some(source) = args.source.from {
        let is_vendor = matches!(source, Source::Alibaba | Source::Tencent);
        for (option, is_given) in [("--product", args.product.is_some()), ("--plain", args.sealing.plain)] {
            anyhow::ensure!(is_vendor || !is_given, "`{option}` is not for `--from {}`", source.as_str());
        }
        return Ok(Format::of(source, args.product.as_deref(), args.source.emqx_hash));
    }
    if args.scheme.is_none() && !args.mosquitto {
        bail!("say what wrote `{}`: {}", input.shown(), import::hint(input.head()));
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

/// A device whose record has no hash of its password yet.
pub(super) struct Draft {
    pub(super) name: DeviceName,
    pub(super) record: RecordDocument,
    pub(super) password: Option<Zeroizing<String>>,
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

/// Hashes the passwords on every core.
fn hash(mut drafts: Vec<Draft>) -> anyhow::Result<Vec<(DeviceName, RecordDocument)>> {
    let hashed = |draft: Draft| draft.finish(|password| Secret::chosen(password)?.verifier());
    if drafts.iter().all(|draft| draft.password.is_none()) {
        return drafts.into_iter().map(hashed).collect();
    }
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let share = drafts.len().div_ceil(threads).max(1);
    let mut shares = Vec::new();
    while !drafts.is_empty() {
        shares.push(drafts.split_off(drafts.len().saturating_sub(share)));
    }
    let records = thread::scope(|scope| {
        let workers = shares.into_iter().rev().map(|share| {
            scope.spawn(move || share.into_iter().map(hashed).collect::<anyhow::Result<Vec<_>>>())
        });
        // All of them are started before the first is waited for.
        let workers = workers.collect::<Vec<_>>();
        let results = workers.into_iter().map(|worker| worker.join().ok().context("a thread has failed")?);
        results.collect::<anyhow::Result<Vec<_>>>()
    })?;
    Ok(records.into_iter().flatten().collect())
}
