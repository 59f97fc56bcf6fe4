//! `latchkey fleet reseal`: seals every vendor's secret under the current key.

use std::collections::BTreeSet;
#[cfg(feature = "aws")]
use std::pin::pin;

use anyhow::Context as _;
use cli::console::{Console, ErrorList, counted, wrapped};
use device_auth::{
    device_name::DeviceName,
    seal::{KeyId, Keyring, SealedSecret},
    store::document::{RecordDocument, StoreDocument},
};
#[cfg(feature = "aws")]
use futures_util::{StreamExt as _, stream};
use indicatif::HumanCount;
use serde_json::json;
use tokio_util::sync::CancellationToken;

#[cfg(feature = "aws")]
use crate::progress::Progress;
use crate::{
    args::ResealArgs,
    keyring_file,
    record_store::{RecordStore, whole::Missing},
    sealing::keyring_path,
};

/// Records of a table that are changed at a time.
#[cfg(feature = "aws")]
const CONCURRENT_RECORDS: usize = 32;

/// Seals all secrets again, or none if one can't be opened. In a table each record is written on its own, so the same command
/// goes on after it was stopped. Returns whether all are sealed.
pub(super) async fn run(
    store: &RecordStore,
    args: &ResealArgs,
    console: &mut Console<'_>,
    #[cfg_attr(
        not(feature = "aws"),
        expect(unused_variables, reason = "only a table is written record by record")
    )]
    stop: &CancellationToken,
) -> anyhow::Result<bool> {
    let path = keyring_path(&args.keyring)?;
    let keyring = keyring_file::read(&path)?;
    let current = keyring.current().context("the keyring has no key")?.clone();
    let ids = keyring.ids().cloned().collect::<BTreeSet<_>>();
    let keyring = keyring.allow_plain();
    let reseal = |document: &mut StoreDocument| reseal(document, &keyring, ids.clone(), &current);
    let Resealed { count, unchanged, unused } = match store {
        _ if args.dry_run => {
            let mut document = store.contents().await?.document;
            reseal(&mut document)?
        }
        RecordStore::Whole(whole) => whole.update(Missing::IsAnError, reseal).await?,
        #[cfg(feature = "aws")]
        RecordStore::Table(_) => {
            let mut document = store.contents().await?.document;
            let due = document
                .devices
                .iter()
                .filter(|(_, record)| record.sealed_secrets().any(|secret| secret.key() != Some(&current)));
            let due = due.map(|(name, _)| name.clone()).collect::<Vec<_>>();
            let resealed = reseal(&mut document)?;
            if !each(store, due, &keyring, &current, stop).await? {
                return Ok(false);
            }
            resealed
        }
    };
    let json = json!({
        "resealed": count, "kept": unchanged, "key": current, "no_longer_needed": unused, "dry_run": args.dry_run,
    });
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
        "{} {} under the key `{current}`; {} had it already\nin use     {in_use}\n{unused}",
        if args.dry_run { "would seal" } else { "resealed  " },
        counted(HumanCount(count), "secret"),
        HumanCount(unchanged)
    );
    console.print(&json, text)?;
    Ok(true)
}

/// Seals the secrets of these records again, several records at a time, until all are done or `stop`. Returns whether all
/// are.
#[cfg(feature = "aws")]
async fn each(
    store: &RecordStore,
    names: Vec<DeviceName>,
    keyring: &Keyring,
    current: &KeyId,
    stop: &CancellationToken,
) -> anyhow::Result<bool> {
    let of = u64::try_from(names.len())?;
    let mut progress = Progress::of_things("records sealed", of);
    let changes = stream::iter(names).take_until(stop.cancelled()).map(async |name: DeviceName| {
        store.change(&name, |record| seal_again(&name, record, keyring, current).map(drop)).await
    });
    let mut changes = pin!(changes.buffer_unordered(CONCURRENT_RECORDS));
    let mut done = 0_u64;
    while let Some(changed) = changes.next().await {
        changed?;
        done = done.saturating_add(1);
        progress.advance();
    }
    if done < of {
        let (done, of) = (HumanCount(done), HumanCount(of));
        progress.status(&format!(
            "interrupted: {done} of {of} records are sealed under the key `{current}`; the same command goes on with the others"
        ));
    }
    Ok(done == of)
}

struct Resealed {
    /// How many secrets were sealed again.
    count: u64,
    /// How many were under the current key already, and are unchanged.
    unchanged: u64,
    /// The keyring's keys that no record of this store needs.
    unused: BTreeSet<KeyId>,
}

fn reseal(
    store: &mut StoreDocument,
    keyring: &Keyring,
    mut unused: BTreeSet<KeyId>,
    current: &KeyId,
) -> anyhow::Result<Resealed> {
    let (mut count, mut unchanged) = (0_u64, 0_u64);
    let mut faults = Vec::new();
    for (name, record) in &mut store.devices {
        match seal_again(name, record, keyring, current) {
            Ok((sealed, kept)) => {
                if sealed.saturating_add(kept) > 0 {
                    unused.remove(current);
                }
                count = count.saturating_add(sealed);
                unchanged = unchanged.saturating_add(kept);
            }
            Err(error) => faults.push(format!("`{name}`: {}", cli::error_text(error.as_ref()))),
        }
    }
    if !faults.is_empty() {
        let count = counted(faults.len(), "secret");
        let head = format!("{count} can't be opened, so nothing was changed:");
        return Err(ErrorList::new(head, faults).into());
    }
    Ok(Resealed { count, unchanged, unused })
}

/// Seals a record's secrets again. Returns how many were, and how many had the key already.
fn seal_again(
    name: &DeviceName,
    record: &mut RecordDocument,
    keyring: &Keyring,
    current: &KeyId,
) -> anyhow::Result<(u64, u64)> {
    let (mut count, mut unchanged) = (0_u64, 0_u64);
    for secret in record.sealed_secrets_mut() {
        let again = sealed_again(secret, name, keyring)?;
        // It was opened only to find out whether it can be.
        if secret.key() == Some(current) {
            unchanged = unchanged.saturating_add(1);
        } else {
            *secret = again;
            count = count.saturating_add(1);
        }
    }
    Ok((count, unchanged))
}

fn sealed_again(
    secret: &SealedSecret,
    device: &DeviceName,
    keyring: &Keyring,
) -> anyhow::Result<SealedSecret> {
    let opened = keyring.open(secret, device)?;
    Ok(SealedSecret::try_from(keyring.seal(&opened, device)?)?)
}
