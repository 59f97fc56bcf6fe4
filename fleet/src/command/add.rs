//! A device is added.

use std::{
    fs::File,
    io::{BufRead, Write},
    path::Path,
};

use anyhow::Context as _;
use device_auth::{
    device_name::DeviceName,
    record::ClientIdRule,
    scheme::Scheme,
    store::{document::RecordDocument, loader},
};
use device_sim::credentials_file::{Replacement, Row, folder_for};

use super::{
    added::{Added, AddedByOther},
    input::Input,
};
use crate::{
    args::AddArgs,
    sealing::Sealing,
    secret::Secret,
    store_file::{NewDevice, StoreFile, lock},
    vendor::{Vendor, default_grant},
};

/// Adds it and shows what its owner has to know.
pub(super) fn run(
    store: &Path,
    args: AddArgs,
    json: bool,
    input: Input<impl BufRead>,
    output: &mut impl Write,
) -> anyhow::Result<()> {
    refuse_misfits(&args)?;
    match Vendor::of(args.scheme) {
        Some(vendor) => vendors(store, vendor, args, json, input, output),
        None if args.scheme == Scheme::Password => password(store, args, json, input, output),
        None => {
            let record = RecordDocument::new(args.scheme, grant(&args));
            let record = RecordDocument { client_ids: listed(args.client_ids), ..record };
            other(store, &args.name, &record, None, json, output)
        }
    }
}

fn password(
    store: &Path,
    args: AddArgs,
    json: bool,
    input: Input<impl BufRead>,
    output: &mut impl Write,
) -> anyhow::Result<()> {
    let grant = grant(&args);
    let AddArgs { name, client_ids, password_stdin, credentials, endpoint, .. } = args;
    let shown = if client_ids.is_empty() { vec![own_name(&name)?] } else { client_ids.clone() };
    let row_id = credentials.as_ref().map(|_| concrete(&shown)).transpose()?;
    let secret = if password_stdin { Secret::chosen(chosen(&name, input)?)? } else { Secret::generate()? };
    // Whoever adds rows to it meanwhile would lose them.
    let _others = credentials.as_deref().map(lock_credentials).transpose()?;
    let mut file = StoreFile::open(store)?;
    file.add(NewDevice { name: name.clone(), client_ids, grant: grant.clone() }, &secret)?;
    // Written before the record is, and put in place after it, under the store's lock.
    let credentials = match credentials.zip(row_id) {
        Some((path, id)) => Some(Replacement::of(&path, &row(&name, id, &secret))?),
        None => None,
    };
    file.save()?;
    credentials.map(Replacement::commit).transpose().with_context(|| {
        format!("`{name}` was added, but not its password; take it out with `latchkey fleet remove {name}` and add it again")
    })?;
    let added =
        Added { name: &name, client_ids: &shown, grant: &grant, secret: &secret, store, endpoint: &endpoint };
    if json { added.json(output) } else { added.text(output) }
}

fn vendors(
    store: &Path,
    vendor: Vendor,
    args: AddArgs,
    json: bool,
    input: Input<impl BufRead>,
    output: &mut impl Write,
) -> anyhow::Result<()> {
    let grant = grant(&args);
    let AddArgs { name, product, client_ids, device_token_id, sealing, .. } = args;
    let name = vendor.name(name.as_str(), product.as_deref())?;
    let sealing = Sealing::of(&sealing)?;
    let scheme = vendor.scheme();
    let how = format!("latchkey fleet add '{name}' --scheme {} --secret-stdin < FILE", scheme.as_str());
    let secret = input.line("secret", &how)?;
    let secret = vendor.secret(secret.trim(), device_token_id)?.sealed(&name, &sealing)?;
    let record = RecordDocument::new(scheme, grant);
    let record = RecordDocument { secrets: vec![secret], client_ids: listed(client_ids), ..record };
    other(store, &name, &record, Some(&sealing), json, output)
}

/// A device that has its credential already, from somewhere else.
fn other(
    store: &Path,
    name: &DeviceName,
    record: &RecordDocument,
    sealing: Option<&Sealing>,
    json: bool,
    output: &mut impl Write,
) -> anyhow::Result<()> {
    let client_ids = loader::client_ids(name, record);
    let mut file = StoreFile::open(store)?;
    file.insert(name.clone(), record.clone())?;
    file.save()?;
    let added = AddedByOther { name, record, client_ids: &client_ids, sealing, store };
    if json { added.json(output) } else { added.text(output) }
}

/// Options that mean nothing in this scheme: somebody meant something else.
fn refuse_misfits(args: &AddArgs) -> anyhow::Result<()> {
    let scheme = args.scheme;
    let is_password = scheme == Scheme::Password;
    let is_vendors = Vendor::of(scheme).is_some();
    let misfits = [
        ("--password-stdin", args.password_stdin && !is_password),
        ("--credentials", args.credentials.is_some() && !is_password),
        ("--product", args.product.is_some() && !is_vendors),
        ("--secret-stdin", args.secret_stdin && !is_vendors),
        ("--plain", args.sealing.plain && !is_vendors),
        ("--device-token-id", args.device_token_id.is_some() && scheme != Scheme::Alibaba),
    ];
    let misfit = misfits.into_iter().find(|(_, misfits)| *misfits);
    if let Some((option, _)) = misfit {
        anyhow::bail!("`{option}` is not for the scheme `{}`", scheme.as_str());
    }
    anyhow::ensure!(
        !is_vendors || args.secret_stdin,
        "a device of the scheme `{}` has its secret from the vendor: pipe it in with `--secret-stdin`",
        scheme.as_str()
    );
    Ok(())
}

fn lock_credentials(path: &Path) -> anyhow::Result<File> {
    folder_for(path)?;
    lock(path)
}

fn grant(args: &AddArgs) -> String {
    args.grant.clone().unwrap_or_else(|| default_grant(args.scheme).to_owned())
}

fn listed(client_ids: Vec<ClientIdRule>) -> Option<Vec<ClientIdRule>> {
    (!client_ids.is_empty()).then_some(client_ids)
}

/// The rule of a record that names none.
fn own_name(name: &DeviceName) -> anyhow::Result<ClientIdRule> {
    ClientIdRule::try_from(name.to_string()).map_err(anyhow::Error::msg)
}

/// The client id that a simulated device can connect with.
fn concrete(client_ids: &[ClientIdRule]) -> anyhow::Result<String> {
    match client_ids.first() {
        Some(ClientIdRule::Exact(id)) => Ok(id.to_string()),
        Some(ClientIdRule::Prefix(prefix)) => anyhow::bail!(
            "`latchkey sim` needs a whole client id, and `{prefix}*` comes first: with `--credentials`, begin with \
             one like `--client-id {prefix}1`"
        ),
        None => anyhow::bail!("the device has no client id"),
    }
}

fn row(name: &DeviceName, client_id: String, secret: &Secret) -> Row {
    let password = secret.text().into();
    Row { device: name.to_string(), client_id, user_name: name.to_string(), password }
}

fn chosen(name: &DeviceName, input: Input<impl BufRead>) -> anyhow::Result<zeroize::Zeroizing<String>> {
    input.line("password", &format!("printf %s PASSWORD | latchkey fleet add {name} --password-stdin"))
}
