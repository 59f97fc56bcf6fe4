//! `latchkey fleet reseal`: seals every vendor's secret under the current key.

use std::{collections::BTreeSet, path::Path};

use anyhow::Context as _;
use cli::console::{Console, ErrorList, counted, wrapped};
use device_auth::{
    device_name::DeviceName,
    seal::{KeyId, Keyring, SealedSecret},
    store::document::StoreDocument,
};
use indicatif::HumanCount;
use serde_json::json;

use crate::{args::ResealArgs, keyring_file, sealing::keyring_path, store_file::StoreFile};

/// Seals all secrets again, or none if one can't be opened.
pub(super) fn run(store: &Path, args: &ResealArgs, console: &mut Console<'_>) -> anyhow::Result<()> {
    let path = keyring_path(&args.keyring)?;
    let keyring = keyring_file::read(&path)?;
    let current = keyring.current().context("the keyring has no key")?.clone();
    let mut file = StoreFile::open_existing(store)?;
    let Resealed { count, unchanged, unused } = reseal(file.document_mut(), keyring, &current)?;
    if count > 0 {
        file.save()?;
    }
    let json = json!({"resealed": count, "kept": unchanged, "key": current, "no_longer_needed": unused});
    let in_use = if count.saturating_add(unchanged) > 0 { current.as_str() } else { "no key" };
    let unused = match unused.iter().map(KeyId::as_str).collect::<Vec<_>>().join(", ") {
        none if none.is_empty() => none,
        ids => {
            wrapped(
                11,
                &format!(
                    "unused     {ids}: keep {ids} in the keyring until every function and every copy of these records has \
                 the new ones"
                ),
            ) + "\n"
        }
    };
    let text = format!(
        "resealed   {} under the key `{current}`; {} had it already\nin use     {in_use}\n{unused}",
        counted(HumanCount(count), "secret"),
        HumanCount(unchanged)
    );
    Ok(console.print(&json, text)?)
}

struct Resealed {
    /// How many secrets were sealed again.
    count: u64,
    /// How many were under the current key already, and are unchanged.
    unchanged: u64,
    /// The keyring's keys that no record of this store needs.
    unused: BTreeSet<KeyId>,
}

fn reseal(store: &mut StoreDocument, keyring: Keyring, current: &KeyId) -> anyhow::Result<Resealed> {
    let mut unused = keyring.ids().cloned().collect::<BTreeSet<_>>();
    let keyring = keyring.allow_plain();
    let (mut count, mut unchanged) = (0_u64, 0_u64);
    let mut faults = Vec::new();
    for (name, record) in &mut store.devices {
        let secrets = record.secrets.iter_mut();
        let sealed = secrets.flat_map(|s| [&mut s.device_secret, &mut s.device_token, &mut s.psk]).flatten();
        for secret in sealed {
            unused.remove(current);
            match sealed_again(secret, name, &keyring) {
                // It was opened only to find out whether it can be.
                Ok(_) if secret.key() == Some(current) => unchanged = unchanged.saturating_add(1),
                Ok(again) => {
                    *secret = again;
                    count = count.saturating_add(1);
                }
                Err(error) => faults.push(format!("`{name}`: {}", cli::error_text(error.as_ref()))),
            }
        }
    }
    if !faults.is_empty() {
        let count = counted(faults.len(), "secret");
        let head = format!("{count} can't be opened, so nothing was changed:");
        return Err(ErrorList::new(head, faults).into());
    }
    Ok(Resealed { count, unchanged, unused })
}

fn sealed_again(
    secret: &SealedSecret,
    device: &DeviceName,
    keyring: &Keyring,
) -> anyhow::Result<SealedSecret> {
    let opened = keyring.open(secret, device)?;
    Ok(SealedSecret::try_from(keyring.seal(&opened, device)?)?)
}
