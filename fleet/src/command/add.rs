//! `latchkey fleet add`: adds one device.

use std::{fs::File, path::Path};

use anyhow::Context as _;
use cli::console::Console;
use device_auth::{
    record::ClientIdRule,
    scheme::Scheme,
    store::{document::RecordDocument, loader},
    verifier::LiveVerifier,
};
use device_sim::credentials_file::{Replacement, Row, folder_for};

use super::added::{Added, AddedByOther};
use crate::{
    args::AddArgs,
    record_store::RecordStore,
    sealing::Sealing,
    secret::Secret,
    store_file::lock,
    store_option::Target,
    vendor::{Vendor, default_grant},
};

/// Adds the device and prints what its owner has to know.
pub(super) async fn run(
    store: &RecordStore,
    target: &Target,
    args: AddArgs,
    console: &mut Console<'_>,
) -> anyhow::Result<()> {
    check_options(&args)?;
    let grant = args.grant.clone().unwrap_or_else(|| default_grant(args.scheme).to_owned());
    match Vendor::of(args.scheme) {
        Some(vendor) => add_with_secret(store, target, vendor, args, grant, console).await,
        None if args.scheme == Scheme::Password => {
            add_with_password(store, target, args, &grant, console).await
        }
        None => {
            let record = RecordDocument::new(args.scheme, grant);
            let record = RecordDocument { client_ids: own_rules(args.client_ids), ..record };
            store.insert(&args.name, &record).await?;
            AddedByOther { name: &args.name, record: &record, sealing: None, target }.print(console)
        }
    }
}

async fn add_with_password(
    store: &RecordStore,
    target: &Target,
    args: AddArgs,
    grant: &str,
    console: &mut Console<'_>,
) -> anyhow::Result<()> {
    let AddArgs { name, client_ids, password_stdin, credentials: file_of_passwords, endpoint, .. } = args;
    let record = RecordDocument::new(Scheme::Password, grant.to_owned());
    let mut record = RecordDocument { client_ids: own_rules(client_ids), ..record };
    let allowed = loader::client_ids(&name, &record);
    let row_id = file_of_passwords.as_ref().map(|_| whole_client_id(&allowed)).transpose()?;
    let secret = if password_stdin {
        let how = format!("printf %s PASSWORD | latchkey fleet add {name} --password-stdin");
        Secret::chosen(console.input.line("password", &how)?)?
    } else {
        Secret::generate()?
    };
    record.verifiers.push(LiveVerifier { verifier: secret.verifier()?, expires_at: None });
    // Rows that another program adds meanwhile would be lost.
    let _lock = file_of_passwords.as_deref().map(lock_credentials).transpose()?;
    // Written before the record is, and moved into place after it.
    let credentials = match file_of_passwords.as_deref().zip(row_id) {
        Some((path, client_id)) => {
            let (device, user_name, password) = (name.to_string(), name.to_string(), secret.text().into());
            Some(Replacement::of(path, &Row { device, client_id, user_name, password })?)
        }
        None => None,
    };
    store.insert(&name, &record).await?;
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
        target,
        endpoint: endpoint.as_ref(),
    }
    .print(console)
}

async fn add_with_secret(
    store: &RecordStore,
    target: &Target,
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
    store.insert(&name, &record).await?;
    AddedByOther { name: &name, record: &record, sealing: Some(&sealing), target }.print(console)
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
