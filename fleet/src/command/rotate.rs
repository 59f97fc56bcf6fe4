//! `latchkey fleet rotate`: gives a device a new password or secret.

use std::{path::Path, time::SystemTime};

use anyhow::Context as _;
use cli::console::{Console, wrapped};
use device_auth::{scheme::Scheme, time::UnixTime};
use serde_json::json;

use crate::{args::RotateArgs, sealing::Sealing, secret::Secret, store_file::StoreFile, vendor::Vendor};

/// Adds the new one next to the old one, which gets an expiry.
pub(super) fn run(store: &Path, args: RotateArgs, console: &mut Console<'_>) -> anyhow::Result<()> {
    let until = SystemTime::now().checked_add(args.old_for);
    let until = UnixTime::from(until.context("`--old-for` is too long: the time has no date")?);
    let name = &args.name;
    // Standard input is not waited for under the lock. If the record changes meanwhile, saving it fails.
    let scheme = StoreFile::open_existing(store)?.record_mut(name)?.scheme;
    match Vendor::of(scheme) {
        Some(_) if !args.secret_stdin => anyhow::bail!(
            "`{name}` has the scheme `{}`: you have its new secret from the vendor; pipe that in with `--secret-stdin`",
            scheme.as_str()
        ),
        Some(vendor) => rotate_secret(store, vendor, args, until, console),
        None if scheme != Scheme::Password => anyhow::bail!(
            "`{name}` has the scheme `{}`: the issuer of its tokens renews them, and its record has no secret",
            scheme.as_str()
        ),
        None if args.secret_stdin || args.sealing.plain => anyhow::bail!(
            "`{name}` has the scheme `password`, and `--secret-stdin` and `--plain` are not for it: leave them out to \
             make a new password"
        ),
        None => rotate_password(store, &args, until, console),
    }
}

fn rotate_password(
    store: &Path,
    args: &RotateArgs,
    until: UnixTime,
    console: &mut Console<'_>,
) -> anyhow::Result<()> {
    let name = &args.name;
    let secret = Secret::generate()?;
    let mut file = StoreFile::open_existing(store)?;
    file.rotate(name, &secret, until)?;
    file.save()?;
    let json = json!({"device": name, "password": secret.text(), "old_password_expires_at": until});
    let text = format!(
        "device     {name}\npassword   {}\n           shown only now: the record has its hash and no more\n{}\n",
        secret.text(),
        old("password", args)
    );
    Ok(console.print(&json, text)?)
}

fn rotate_secret(
    store: &Path,
    vendor: Vendor,
    mut args: RotateArgs,
    until: UnixTime,
    console: &mut Console<'_>,
) -> anyhow::Result<()> {
    let sealing = Sealing::of(&args.sealing)?;
    let name = &args.name;
    let how = format!("latchkey fleet rotate '{name}' --secret-stdin < FILE");
    let secret = console.input.line("secret", &how)?;
    let secret = vendor.secret(secret.trim(), args.device_token_id.take())?.sealed(name, &sealing)?;
    let mut file = StoreFile::open_existing(store)?;
    file.rotate_secret(name, secret, until)?;
    file.save()?;
    let json = json!({"device": name, "key": sealing.key(), "old_secret_expires_at": until});
    let secret = wrapped(11, &format!("secret     {}", sealing.description()));
    Ok(console.print(&json, format_args!("device     {name}\n{secret}\n{}\n", old("secret", &args)))?)
}

fn old(what: &str, args: &RotateArgs) -> String {
    if args.old_for.is_zero() {
        return format!("old        the old {what} is not accepted any more");
    }
    format!("old        the old {what} is accepted for another {}", humantime::format_duration(args.old_for))
}
