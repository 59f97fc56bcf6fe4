//! Every secret is sealed under the current key.

use std::{collections::BTreeSet, io::Write, path::Path};

use anyhow::{Context as _, ensure};
use device_auth::{
    device_name::DeviceName,
    seal::{KeyId, Keyring, SealedSecret},
    store::document::StoreDocument,
};
use serde_json::json;

use crate::{args::ResealArgs, count::grouped, keyring_file, sealing::keyring_path, store_file::StoreFile};

/// Seals them all, or none if one can't be opened.
pub(super) fn run(
    store: &Path,
    args: &ResealArgs,
    json: bool,
    output: &mut impl Write,
) -> anyhow::Result<()> {
    let path = keyring_path(&args.keyring)?;
    let keyring = keyring_file::read(&path)?;
    let current = keyring.current().context("the keyring has no key")?.clone();
    let mut file = StoreFile::open_existing(store)?;
    let Resealed { count, kept, left } = reseal(file.document_mut(), keyring, &current)?;
    if count > 0 {
        file.save()?;
    }
    if json {
        let line = json!({"resealed": count, "kept": kept, "key": current, "no_longer_needed": left});
        writeln!(output, "{line}")?;
        return Ok(());
    }
    writeln!(
        output,
        "resealed   {} under the key `{current}`; {} had it already",
        secrets(count),
        grouped(kept)
    )?;
    writeln!(
        output,
        "in use     {}",
        if count.saturating_add(kept) > 0 { current.as_str() } else { "no key" }
    )?;
    if !left.is_empty() {
        let left = left.iter().map(KeyId::as_str).collect::<Vec<_>>().join(", ");
        writeln!(
            output,
            "not here   {left}: keep {left} in the keyring until every function and every copy of these records has them anew"
        )?;
    }
    Ok(())
}

struct Resealed {
    /// How many secrets were sealed anew.
    count: usize,
    /// How many were under the current key, and stayed as they are.
    kept: usize,
    /// The keyring's keys that no record of this store needs.
    left: BTreeSet<KeyId>,
}

fn reseal(store: &mut StoreDocument, keyring: Keyring, current: &KeyId) -> anyhow::Result<Resealed> {
    let mut left = keyring.ids().cloned().collect::<BTreeSet<_>>();
    let keyring = keyring.allow_plain();
    let (mut count, mut kept) = (0_usize, 0_usize);
    let mut faults = Vec::new();
    for (name, record) in &mut store.devices {
        let secrets = record.secrets.iter_mut();
        let sealed = secrets.flat_map(|s| [&mut s.device_secret, &mut s.device_token, &mut s.psk]).flatten();
        for secret in sealed {
            left.remove(current);
            let is_kept = secret.key() == Some(current);
            match anew(secret, name, &keyring) {
                // What is under the key already is only held against it.
                Ok(_) if is_kept => kept = kept.saturating_add(1),
                Ok(anew) => {
                    *secret = anew;
                    count = count.saturating_add(1);
                }
                Err(error) => faults.push(format!("\n  `{name}`: {error:#}")),
            }
        }
    }
    ensure!(
        faults.is_empty(),
        "{} can't be opened, so nothing was changed:{}",
        secrets(faults.len()),
        faults.concat()
    );
    Ok(Resealed { count, kept, left })
}

fn anew(secret: &SealedSecret, device: &DeviceName, keyring: &Keyring) -> anyhow::Result<SealedSecret> {
    let opened = keyring.open(secret, device)?;
    Ok(SealedSecret::try_from(keyring.seal(&opened, device)?)?)
}

fn secrets(count: usize) -> String {
    format!("{} {}", grouped(count), if count == 1 { "secret" } else { "secrets" })
}
