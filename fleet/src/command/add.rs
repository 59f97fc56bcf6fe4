//! `latchkey fleet add`: adds one device.

use std::{fs::File, path::Path};

use anyhow::Context as _;
use cli::console::Console;
use device_auth::{
    device_name::DeviceName,
    record::ClientIdRule,
    scheme::Scheme,
    store::{document::RecordDocument, loader},
};
use device_sim::credentials_file::{Replacement, Row, folder_for};

use super::added::{Added, AddedByOther};
use crate::{
    args::AddArgs,
    sealing::Sealing,
    secret::Secret,
    store_file::{NewDevice, StoreFile, lock},
    vendor::{Vendor, default_grant},
};

/// Adds the device and prints what its owner has to know.
pub(super) fn run(store: &Path, args: AddArgs, console: &mut Console<'_>) -> anyhow::Result<()> {
    check_options(&args)?;
    let grant = args.grant.clone().unwrap_or_else(|| default_grant(args.scheme).to_owned());
    match Vendor::of(args.scheme) {
        Some(vendor) => add_with_secret(store, vendor, args, grant, console),
        None if args.scheme == Scheme::Password => add_with_password(store, args, &grant, console),
        None => {
            let record = RecordDocument::new(args.scheme, grant);
            let record = RecordDocument { client_ids: own_rules(args.client_ids), ..record };
            insert(store, &args.name, &record, None, console)
        }
    }
}

fn add_with_password(
    store: &Path,
    args: AddArgs,
    grant: &str,
    console: &mut Console<'_>,
) -> anyhow::Result<()> {
    let AddArgs { name, client_ids, password_stdin, credentials: file_of_passwords, endpoint, .. } = args;
    let record = RecordDocument::new(Scheme::Password, grant.to_owned());
    let record = RecordDocument { client_ids: own_rules(client_ids.clone()), ..record };
    let allowed = loader::client_ids(&name, &record);
    let row_id = file_of_passwords.as_ref().map(|_| whole_client_id(&allowed)).transpose()?;
    let secret = if password_stdin {
        let how = format!("printf %s PASSWORD | latchkey fleet add {name} --password-stdin");
        Secret::chosen(console.input.line("password", &how)?)?
    } else {
        Secret::generate()?
    };
    // Rows that another program adds meanwhile would be lost.
    let _lock = file_of_passwords.as_deref().map(lock_credentials).transpose()?;
    let mut file = StoreFile::open(store)?;
    file.add(NewDevice { name: name.clone(), client_ids, grant: grant.to_owned() }, &secret)?;
    // Written before the record is, and moved into place after it, under the store's lock.
    let credentials = match file_of_passwords.as_deref().zip(row_id) {
        Some((path, client_id)) => {
            let (device, user_name, password) = (name.to_string(), name.to_string(), secret.text().into());
            Some(Replacement::of(path, &Row { device, client_id, user_name, password })?)
        }
        None => None,
    };
    file.save()?;
    credentials.map(Replacement::commit).transpose().with_context(|| {
        format!(
            "`{name}` was added, but its password could not be written; remove the device with \
             `latchkey fleet remove {name}` and add it again"
        )
    })?;
    Added {
        name: &name,
        client_ids: &allowed,
        grant,
        secret: &secret,
        credentials: file_of_passwords.as_deref(),
        store,
        endpoint: &endpoint,
    }
    .print(console)
}

fn add_with_secret(
    store: &Path,
    vendor: Vendor,
    args: AddArgs,
    grant: String,
    console: &mut Console<'_>,
) -> anyhow::Result<()> {
    let AddArgs { name, product, client_ids, device_token_id, sealing, .. } = args;
    let name = vendor.name(name.as_str(), product.as_deref())?;
    let sealing = Sealing::of(&sealing)?;
    let scheme = vendor.scheme();
    let how = format!("latchkey fleet add '{name}' --scheme {} --secret-stdin < FILE", scheme.as_str());
    let secret = console.input.line("secret", &how)?;
    let secret = vendor.secret(secret.trim(), device_token_id)?.sealed(&name, &sealing)?;
    let record = RecordDocument::new(scheme, grant);
    let record = RecordDocument { secrets: vec![secret], client_ids: own_rules(client_ids), ..record };
    insert(store, &name, &record, Some(&sealing), console)
}

/// Adds a device that has its credential from somewhere else already.
fn insert(
    store: &Path,
    name: &DeviceName,
    record: &RecordDocument,
    sealing: Option<&Sealing>,
    console: &mut Console<'_>,
) -> anyhow::Result<()> {
    let client_ids = loader::client_ids(name, record);
    let mut file = StoreFile::open(store)?;
    file.insert(name.clone(), record.clone())?;
    file.save()?;
    AddedByOther { name, record, client_ids: &client_ids, sealing, store }.print(console)
}

/// Refuses options that mean nothing in this scheme: the operator meant something else.
fn check_options(args: &AddArgs) -> anyhow::Result<()> {
    let scheme = args.scheme;
    let is_password = scheme == Scheme::Password;
    let is_vendors = Vendor::of(scheme).is_some();
    let misplaced = [
        ("--password-stdin", args.password_stdin && !is_password),
        ("--credentials", args.credentials.is_some() && !is_password),
        ("--product", args.product.is_some() && !is_vendors),
        ("--secret-stdin", args.secret_stdin && !is_vendors),
        ("--plain", args.sealing.plain && !is_vendors),
        ("--device-token-id", args.device_token_id.is_some() && scheme != Scheme::Alibaba),
    ];
    if let Some((option, _)) = misplaced.into_iter().find(|(_, misplaced)| *misplaced) {
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

/// The rules that a record names. A record without rules allows the device's own name.
fn own_rules(client_ids: Vec<ClientIdRule>) -> Option<Vec<ClientIdRule>> {
    (!client_ids.is_empty()).then_some(client_ids)
}

/// The client id with which a simulated device connects.
fn whole_client_id(client_ids: &[ClientIdRule]) -> anyhow::Result<String> {
    match client_ids.first() {
        Some(ClientIdRule::Exact(id)) => Ok(id.to_string()),
        Some(ClientIdRule::Prefix(prefix)) => anyhow::bail!(
            "`latchkey sim` needs a whole client id, and `{prefix}*` comes first: with `--credentials`, begin with \
             one like `--client-id {prefix}1`"
        ),
        None => anyhow::bail!("the device has no client id"),
    }
}
