//! `latchkey fleet build`: the indexed form of a store, which the function opens at the same cost whatever its size.

use std::{
    io::{self, BufWriter},
    path::Path,
};

use anyhow::Context as _;
use cli::{
    console::{Console, ErrorList, wrapped},
    output::escaped,
};
use device_auth::store::indexed;
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use serde_json::json;

use crate::{
    args::BuildArgs,
    record_store::{Contents, RecordStore, only_qualified_ids},
    store_file::any_function,
};

/// Below this number of records the work is done at once.
const RECORDS_FOR_A_BAR: usize = 20_000;

/// Checks all records as the function does, each one and with the others, and writes the file. The file that was there before
/// stays until the new one is complete.
pub(super) async fn run(
    store: &RecordStore,
    args: &BuildArgs,
    console: &mut Console<'_>,
) -> anyhow::Result<()> {
    let Contents { mut document, malformed } = store.unchecked().await?;
    if !malformed.is_empty() {
        let lines = malformed.into_iter().map(|(key, why)| format!("device `{key}`: {why}")).collect();
        return Err(ErrorList::new("not all items of the table are records".to_owned(), lines).into());
    }
    if store.is_table() {
        only_qualified_ids(&mut document);
    }
    for (name, grant) in &document.grants {
        if let Some(wildcard) = grant.literal_wildcards(name).next() {
            return Err(wildcard.into());
        }
    }
    let records = document.devices.len();
    let bar = progress(records)?;
    let path = &args.out;
    let unwritable = || format!("can't write `{}`", path.display());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    // Only its owner can read it: it has verifiers.
    let file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new("."))).with_context(unwritable)?;
    let written = indexed::write(document, any_function()?, BufWriter::new(file.as_file()), |count| {
        bar.set_position(u64::try_from(count).unwrap_or(u64::MAX));
        if count == records {
            bar.set_message("comparing records");
        }
    });
    bar.finish_and_clear();
    let digest = written.map_err(|error| match error {
        indexed::BuildError::Write(_) => anyhow::Error::new(error).context(unwritable()),
        error => anyhow::Error::new(error).context("the authorizer can't use these records"),
    })?;
    file.as_file().sync_all().with_context(unwritable)?;
    let bytes = file.as_file().metadata().with_context(unwritable)?.len();
    file.persist(path).map_err(io::Error::from).with_context(unwritable)?;
    let json = json!({"records": records, "file": path, "bytes": bytes, "digest": digest.to_string()});
    let shown = escaped(path.display().to_string()).into_owned();
    let note = wrapped(
        0,
        "The function reads the file with the variable LATCHKEY_STORE=indexed:FILE, and no other file with \
         LATCHKEY_STORE_DIGEST=DIGEST. A deployment sets both (`records` in the stage's settings).",
    );
    let text = format_args!(
        "records  {}\nfile     {shown}, {}\ndigest   {digest}\n\n{note}\n",
        HumanCount(u64::try_from(records)?),
        HumanBytes(bytes),
    );
    Ok(console.print(&json, text)?)
}

fn progress(records: usize) -> anyhow::Result<ProgressBar> {
    if records < RECORDS_FOR_A_BAR {
        return Ok(ProgressBar::hidden());
    }
    let style = ProgressStyle::with_template("{msg:17}  {bar:30}  {human_pos} of {human_len}")?;
    Ok(ProgressBar::new(u64::try_from(records)?).with_style(style).with_message("writing records"))
}
