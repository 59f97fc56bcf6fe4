//! `latchkey fleet check`: each record, and each with the others.

use std::{collections::BTreeSet, fmt::Write as _, io};

use anyhow::Context as _;
use cli::console::{Console, counted, wrapped};
use device_auth::{
    seal::KeyId,
    store::{
        document::{RecordDocument, StoreDocument},
        indexed::Scanned,
    },
};
use indexed_file::Digest;
use indicatif::HumanCount;
use serde_json::json;

use crate::{
    record_store::{ClaimsReport, Contents, RecordStore, indexed, only_qualified_ids, whole::WholeStore},
    store_file::any_function,
};

/// How many contradictions are named. Each needs another comparison of all records.
const MOST_CONTRADICTIONS: usize = 10;

/// What a check of a store found.
pub struct Checked {
    /// How many records there are.
    pub records: usize,
    /// The keys under which their secrets are sealed.
    pub keys: BTreeSet<KeyId>,
    /// What is wrong.
    pub problems: Vec<String>,
    claims: Option<ClaimsReport>,
}

/// Checks the records and prints what is wrong. Returns whether nothing is.
pub(super) async fn run(
    store: &RecordStore,
    repair: bool,
    console: &mut Console<'_>,
) -> anyhow::Result<bool> {
    let Checked { records, problems, claims, .. } = check(store, repair).await?;
    let mut text = format!("records    {}\n", HumanCount(u64::try_from(records)?));
    if let Some(claims) = &claims {
        let (missing, left_over) = (HumanCount(claims.missing), HumanCount(claims.left_over));
        let verb = if repair { "written" } else { "missing" };
        let rest = if repair { "removed" } else { "left over" };
        writeln!(text, "claims     {missing} {verb}, {left_over} {rest}")?;
    }
    for problem in &problems {
        writeln!(text, "{}", wrapped(11, &format!("problem    {problem}")))?;
    }
    if problems.is_empty() {
        text += "nothing is wrong\n";
    }
    let json = json!({
        "records": records, "problems": problems, "missing_claims": claims.as_ref().map(|it| it.missing),
        "left_over_claims": claims.as_ref().map(|it| it.left_over), "repaired": repair,
    });
    let rows = problems.iter().map(|problem| json!({"problem": problem}));
    console.print_rows(&["problem"], rows, &json, text)?;
    Ok(problems.is_empty())
}

/// Checks the records of a store: each one, and each with the others. With `repair` a table gets what it lacks.
///
/// # Errors
///
/// When the store can't be read.
pub async fn check(store: &RecordStore, repair: bool) -> anyhow::Result<Checked> {
    let mut problems = Vec::new();
    let Contents { mut document, malformed } = if let RecordStore::Whole(WholeStore::Indexed(path)) = store {
        let opened = indexed::open(path)?;
        let Scanned { document, damaged } =
            opened.scan().with_context(|| format!("can't read `{}`", path.display()))?;
        problems.extend(damaged);
        if problems.is_empty() && differs(&document, opened.digest())? {
            problems.push(
                "its index is not that of its records: make it again with `latchkey fleet build`".to_owned(),
            );
        }
        Contents { document, malformed: Vec::new() }
    } else {
        store.unchecked().await?
    };
    let records = document.devices.len();
    problems.extend(malformed.into_iter().map(|(key, why)| format!("device `{key}`: {why}")));
    for (name, grant) in &document.grants {
        problems.extend(grant.literal_wildcards(name).map(|wildcard| wildcard.to_string()));
    }
    let secrets = document.devices.values().flat_map(RecordDocument::sealed_secrets);
    let keys = secrets.filter_map(|secret| secret.key().cloned()).collect();
    let claims = match store {
        #[cfg(feature = "aws")]
        RecordStore::Table(table) => Some(table.check_claims(&document, repair).await?),
        RecordStore::Whole(_) => None::<ClaimsReport>,
    };
    if claims.is_some() {
        only_qualified_ids(&mut document);
    }
    anyhow::ensure!(!repair || claims.is_some(), "`--repair` is for a table");
    problems.extend(contradictions(document)?);
    if let Some(claims) = &claims {
        problems.extend(claims.refused.iter().cloned());
        if !repair && claims.missing > 0 {
            let missing = counted(HumanCount(claims.missing), "record");
            problems.push(format!(
                "{missing} without all items that say what is the device's: `latchkey fleet check --repair` writes them"
            ));
        }
    }
    Ok(Checked { records, keys, problems, claims })
}

/// Whether these records make another indexed file than the one with this digest. Records that make none are not compared
/// here: [`contradictions`] says why they make none.
fn differs(document: &StoreDocument, digest: Digest) -> anyhow::Result<bool> {
    let made = device_auth::store::indexed::write(document.clone(), any_function()?, io::empty(), |_| {});
    Ok(made.is_ok_and(|made| made != digest))
}

/// What is wrong with single records and between them, up to [`MOST_CONTRADICTIONS`] in all.
fn contradictions(document: StoreDocument) -> anyhow::Result<Vec<String>> {
    let records = match document.load(any_function()?) {
        Ok(records) => records,
        Err(error) => return Ok(vec![error.to_string()]),
    };
    let mut found = records.unusable.values().map(|it| it.error.to_string()).collect::<Vec<_>>();
    found.truncate(MOST_CONTRADICTIONS);
    let conflicts = records.conflicts(MOST_CONTRADICTIONS.saturating_sub(found.len()));
    found.extend(conflicts.iter().map(ToString::to_string));
    Ok(found)
}
