//! `latchkey fleet rotate`: gives a device a new password or secret.

use std::time::SystemTime;

use anyhow::Context as _;
use cli::console::{Console, wrapped};
use device_auth::{scheme::Scheme, store::document::SecretDocument, time::UnixTime, verifier::LiveVerifier};
use serde_json::json;

use crate::{args::RotateArgs, record_store::RecordStore, sealing::Sealing, secret::Secret, vendor::Vendor};

/// Adds the new one next to the old one, which gets an expiry.
pub(super) async fn run(
    store: &RecordStore,
    args: RotateArgs,
    console: &mut Console<'_>,
) -> anyhow::Result<()> {
    let until = SystemTime::now().checked_add(args.old_for);
    let until = UnixTime::from(until.context("`--old-for` is too long: the time has no date")?);
    let name = &args.name;
    let scheme = store.get(name).await?.scheme;
    match Vendor::of(scheme) {
        Some(_) if !args.secret_stdin => anyhow::bail!(
            "`{name}` has the scheme `{}`: you have its new secret from the vendor; pipe that in with `--secret-stdin`",
            scheme.as_str()
        ),
        Some(vendor) => rotate_secret(store, vendor, args, until, console).await,
        None if scheme != Scheme::Password => anyhow::bail!(
            "`{name}` has the scheme `{}`: the issuer of its tokens renews them, and its record has no secret",
            scheme.as_str()
        ),
        None if args.secret_stdin || args.sealing.plain => anyhow::bail!(
            "`{name}` has the scheme `password`, and `--secret-stdin` and `--plain` are not for it: leave them out to \
             make a new password, or pipe one in with `--password-stdin`"
        ),
        None => rotate_password(store, &args, until, console).await,
    }
}

async fn rotate_password(
    store: &RecordStore,
    args: &RotateArgs,
    until: UnixTime,
    console: &mut Console<'_>,
) -> anyhow::Result<()> {
    let name = &args.name;
    let secret = if args.password_stdin {
        let how = format!("printf %s PASSWORD | latchkey fleet rotate '{name}' --password-stdin");
        Secret::chosen(console.input.line("password", &how)?)?
    } else {
        Secret::generate()?
    };
    let verifier = secret.verifier()?;
    store
        .change(name, |record| {
            // Of the passwords that it has, the newest stays valid for a while.
            let old = record.verifiers.pop().map(|old| {
                let expires_at = Some(old.expires_at.map_or(until, |known| known.min(until)));
                LiveVerifier { expires_at, ..old }
            });
            let new = LiveVerifier { verifier: verifier.clone(), expires_at: None };
            record.verifiers = old.into_iter().chain([new]).collect();
            Ok(())
        })
        .await?;
    let generated = secret.is_generated().then(|| secret.text());
    let json = json!({"device": name, "password": generated, "old_password_expires_at": until});
    let (password, note) = match generated {
        Some(password) => (password, "shown only now: the record has its hash and no more"),
        None => ("the one that you chose", "the record has its argon2id hash and no more"),
    };
    let text =
        format!("device     {name}\npassword   {password}\n           {note}\n{}\n", old("password", args));
    Ok(console.print(&json, text)?)
}

async fn rotate_secret(
    store: &RecordStore,
    vendor: Vendor,
    mut args: RotateArgs,
    until: UnixTime,
    console: &mut Console<'_>,
) -> anyhow::Result<()> {
    let sealing = Sealing::of(&args.sealing)?;
    let name = &args.name;
    let how = format!("latchkey fleet rotate '{name}' --secret-stdin < FILE");
    anyhow::ensure!(!args.password_stdin, "`{name}` has a vendor's secret: pipe it in with `--secret-stdin`");
    let secret = console.input.line("secret", &how)?;
    let secret = vendor.secret(secret.trim(), args.device_token_id.take())?.sealed(name, &sealing)?;
    store
        .change(name, |record| {
            let old = record.secrets.pop().map(|old| {
                let expires_at = Some(old.expires_at.map_or(until, |known| known.min(until)));
                SecretDocument { expires_at, ..old }
            });
            record.secrets = old.into_iter().chain([secret.clone()]).collect();
            Ok(())
        })
        .await?;
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
