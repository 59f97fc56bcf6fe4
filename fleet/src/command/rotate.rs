//! A device gets a new password or secret.

use std::{
    io::{BufRead, Write},
    path::Path,
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use device_auth::{scheme::Scheme, time::UnixTime};
use serde_json::json;

use super::input::Input;
use crate::{args::RotateArgs, sealing::Sealing, secret::Secret, store_file::StoreFile, vendor::Vendor};

/// Adds the new one beside the old one, which expires.
pub(super) fn run(
    store: &Path,
    args: RotateArgs,
    json: bool,
    input: Input<impl BufRead>,
    output: &mut impl Write,
) -> anyhow::Result<()> {
    let until = SystemTime::now().checked_add(args.old_for);
    let until = UnixTime::from(until.context("`--old-for` is longer than time can be told")?);
    let name = &args.name;
    // Standard input is not waited for under the lock; should the record change meanwhile, saving it tells.
    let scheme = StoreFile::open_existing(store)?.record_mut(name)?.scheme;
    match Vendor::of(scheme) {
        Some(_) if !args.secret_stdin => anyhow::bail!(
            "`{name}` has the scheme `{}`, so the vendor, or you, gave it its new secret: pipe that in with `--secret-stdin`",
            scheme.as_str()
        ),
        Some(vendor) => vendors(store, vendor, args, until, json, input, output),
        None if scheme != Scheme::Password => anyhow::bail!(
            "`{name}` has the scheme `{}`: whoever makes its tokens renews them, its record has no secret",
            scheme.as_str()
        ),
        None if args.secret_stdin || args.sealing.plain => anyhow::bail!(
            "`{name}` has the scheme `password`, for which `--secret-stdin` and `--plain` are not: it gets a new password"
        ),
        None => password(store, &args, until, json, output),
    }
}

fn password(
    store: &Path,
    args: &RotateArgs,
    until: UnixTime,
    json: bool,
    output: &mut impl Write,
) -> anyhow::Result<()> {
    let RotateArgs { name, old_for, .. } = args;
    let secret = Secret::generate()?;
    let mut file = StoreFile::open_existing(store)?;
    file.rotate(name, &secret, until)?;
    file.save()?;
    if json {
        let line = json!({"device": name, "password": secret.text(), "old_password_expires_at": until});
        writeln!(output, "{line}")?;
    } else {
        let old_for = humantime::format_duration(*old_for);
        writeln!(
            output,
            "device     {name}\npassword   {}\n           shown this once: the record keeps only its hash\n\
             the old    password lets it in for another {old_for}",
            secret.text()
        )?;
    }
    Ok(())
}

fn vendors(
    store: &Path,
    vendor: Vendor,
    args: RotateArgs,
    until: UnixTime,
    json: bool,
    input: Input<impl BufRead>,
    output: &mut impl Write,
) -> anyhow::Result<()> {
    let RotateArgs { name, old_for, device_token_id, sealing, .. } = args;
    let sealing = Sealing::of(&sealing)?;
    let secret = input.line("secret", &format!("latchkey fleet rotate '{name}' --secret-stdin < FILE"))?;
    let secret = vendor.secret(secret.trim(), device_token_id)?.sealed(&name, &sealing)?;
    let mut file = StoreFile::open_existing(store)?;
    file.rotate_secret(&name, secret, until)?;
    file.save()?;
    if json {
        let line = json!({"device": name, "key": sealing.key(), "old_secret_expires_at": until});
        writeln!(output, "{line}")?;
    } else {
        let old = told(old_for);
        writeln!(output, "device     {name}\nsecret     {}\nthe old    {old}", sealing.told())?;
    }
    Ok(())
}

fn told(old_for: Duration) -> String {
    match old_for {
        Duration::ZERO => "secret lets it in no more".to_owned(),
        _ => format!("secret lets it in for another {}", humantime::format_duration(old_for)),
    }
}
