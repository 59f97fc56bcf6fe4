//! `latchkey fleet list`: lists the devices.

use std::{collections::BTreeMap, iter};

use cli::{
    console::{COLUMNS, Console, counted, elements, wrapped},
    format::OutputFormat,
    output::escaped,
};
use device_auth::{
    device_name::DeviceName,
    seal::{KeyId, SealedSecret},
    store::{document::RecordDocument, loader},
};
use indicatif::HumanCount;
use serde_json::{Value, json};

use super::added::joined;
use crate::{args::ListArgs, record_store::Contents};

const TITLES: [&str; 6] = ["device", "scheme", "grant", "state", "keys", "client ids"];
const COLUMNS_OF_CSV: [&str; 6] = ["device", "scheme", "enabled", "grant", "keys", "client_ids"];
/// Between two columns.
const GAP: &str = "  ";
/// Where the values of a paragraph begin.
const INDENT: usize = 14;
/// No key has such an id.
const IN_PLAIN_TEXT: &str = "(plain text)";

/// Prints the devices that the options choose: columns for people, one line of JSON for scripts.
pub(super) fn run(contents: &Contents, args: &ListArgs, console: &mut Console<'_>) -> anyhow::Result<()> {
    let Contents { document, malformed } = contents;
    let chosen = document.devices.iter().filter(|(name, record)| {
        args.prefix.as_ref().is_none_or(|prefix| name.as_str().starts_with(prefix))
            && args.grant.as_ref().is_none_or(|grant| record.grant == *grant)
            && args.scheme.is_none_or(|scheme| record.scheme == scheme)
            && !(args.disabled && record.enabled)
            && args.after.as_ref().is_none_or(|after| name.as_str() > after.as_str())
    });
    if args.count {
        return print_counts(chosen, malformed.len(), console);
    }
    let mut chosen = chosen.peekable();
    let devices = chosen.by_ref().take(args.limit.unwrap_or(usize::MAX)).collect::<Vec<_>>();
    let next = chosen.peek().is_some().then(|| devices.last().map(|(name, _)| *name)).flatten();
    if console.format != OutputFormat::Table {
        let rows = devices.iter().map(|(name, record)| {
            let RecordDocument { enabled, grant, scheme, .. } = record;
            let keys = record.sealed_secrets().map(SealedSecret::key).collect::<Vec<_>>();
            json!({
                "device": name, "scheme": scheme, "enabled": enabled, "grant": grant, "keys": keys,
                "client_ids": loader::client_ids(name, record),
            })
        });
        let rows = rows.collect::<Value>();
        return Ok(console.print_rows(&COLUMNS_OF_CSV, elements(&rows), &rows, "")?);
    }
    if document.devices.is_empty() && malformed.is_empty() {
        writeln!(console.output, "no devices yet; `latchkey fleet add NAME` adds one")?;
    } else if devices.is_empty() {
        writeln!(console.output, "no such devices")?;
    } else {
        let rows = devices.iter().map(|(name, record)| row(name, record)).collect::<Vec<_>>();
        write!(console.output, "{}", table(&rows).unwrap_or_else(|| paragraphs(&rows)))?;
    }
    if let Some(last) = next {
        writeln!(console.output, "more: the same command with `--after '{last}'`")?;
    }
    for (key, why) in malformed {
        let line = format!("not a record, so its device is refused: `{}`: {why}", escaped(key));
        writeln!(console.output, "{}", wrapped(0, &line))?;
    }
    Ok(())
}

/// Prints how many devices there are of each kind.
fn print_counts<'a>(
    devices: impl Iterator<Item = (&'a DeviceName, &'a RecordDocument)>,
    malformed: usize,
    console: &mut Console<'_>,
) -> anyhow::Result<()> {
    let mut counts = BTreeMap::<(&str, &str, &str), u64>::new();
    for (_, record) in devices {
        let kind = (record.scheme.as_str(), record.grant.as_str(), state(record));
        let count = counts.entry(kind).or_default();
        *count = count.saturating_add(1);
    }
    let all = counts.values().sum::<u64>();
    let kinds = counts.iter().map(|((scheme, grant, state), count)| {
        json!({"scheme": scheme, "grant": grant, "state": state, "devices": count})
    });
    let json = json!({"devices": all, "kinds": kinds.collect::<Vec<_>>(), "not_records": malformed});
    let rows = json.get("kinds").map(elements).into_iter().flatten();
    let lines = counts.iter().map(|((scheme, grant, state), count)| {
        format!("{:>9}  {scheme}, {grant}, {state}\n", HumanCount(*count).to_string())
    });
    let lines = lines.collect::<String>();
    let rest = if malformed == 0 { String::new() } else { format!("{malformed:>9}  not records\n") };
    let all = counted(HumanCount(all), "device");
    let text = format_args!("{lines}{rest}{all}\n");
    Ok(console.print_rows(&["scheme", "grant", "state", "devices"], rows, &json, text)?)
}

pub(super) fn state(record: &RecordDocument) -> &'static str {
    if record.enabled { "enabled" } else { "disabled" }
}

type Row = [String; TITLES.len()];

/// The rows as columns. The last column is wrapped; `None` if there is no room for it.
fn table(rows: &[Row]) -> Option<String> {
    let titles = TITLES.map(str::to_owned);
    let mut widths = [0; TITLES.len()];
    for row in rows.iter().chain([&titles]) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let [others @ .., last] = widths;
    let indent = others.iter().map(|width| width + GAP.len()).sum::<usize>();
    let longest_id = rows.iter().flat_map(|[.., ids]| ids.split(' ')).map(str::len).max().unwrap_or(0);
    if indent + last.min(longest_id) > COLUMNS {
        return None;
    }
    let lines = iter::once(&titles).chain(rows).map(|row| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("{}\n", wrapped(indent, cells.collect::<Vec<_>>().join(GAP).trim_end()))
    });
    Some(lines.collect())
}

/// Each row as a paragraph: the device's name, and the other columns below it.
fn paragraphs(rows: &[Row]) -> String {
    let lines = rows.iter().flat_map(|[name, others @ ..]| {
        let cells = TITLES.iter().skip(1).zip(others);
        let cells = cells.map(|(title, cell)| wrapped(INDENT, &format!("  {title:<10}  {cell}")));
        iter::once(name.clone()).chain(cells)
    });
    lines.map(|line| line + "\n").collect()
}

fn row(name: &DeviceName, record: &RecordDocument) -> Row {
    let keys = record.sealed_secrets().map(|secret| secret.key().map_or(IN_PLAIN_TEXT, KeyId::as_str));
    let mut keys = keys.collect::<Vec<_>>();
    keys.dedup();
    [
        name.to_string(),
        record.scheme.as_str().to_owned(),
        escaped(&record.grant).into_owned(),
        state(record).to_owned(),
        if keys.is_empty() { "-".to_owned() } else { keys.join(", ") },
        joined(&loader::client_ids(name, record)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, ids: &[&str]) -> Row {
        [name, "password", "own-topics", "enabled", "-", &ids.join(", ")].map(str::to_owned)
    }

    #[test]
    fn many_client_ids_are_wrapped_below_each_other() {
        let ids = ["hall-1", "hall-2-with-a-longer-id", "hall-3"];
        let text = table(&[row("hall-1", &ids), row("hall-20", &["hall-20"])]).unwrap();
        assert_eq!(
            text,
            "\
device   scheme    grant       state    keys  client ids
hall-1   password  own-topics  enabled  -     hall-1, hall-2-with-a-longer-id,
                                              hall-3
hall-20  password  own-topics  enabled  -     hall-20
"
        );
        assert!(text.lines().all(|line| line.len() <= COLUMNS));
    }

    #[test]
    fn a_name_that_leaves_no_room_for_the_ids_makes_paragraphs() {
        let (name, id) = ("n".repeat(60), "i".repeat(70));
        let rows = [row(&name, &[&id, "other"]), row("short", &["short"])];
        assert_eq!(table(&rows), None);
        let text = paragraphs(&rows);
        let begin = format!("{name}\n  scheme      password\n  grant       own-topics\n");
        assert!(text.starts_with(&begin), "{text}");
        let end = "short\n  scheme      password\n  grant       own-topics\n  state       enabled\n  keys        -\n  \
                   client ids  short\n";
        assert!(text.ends_with(end), "{text}");
        // Only an id that is longer than a line's room is longer than a line: it is to be copied in one piece.
        assert!(text.lines().filter(|line| line.len() > COLUMNS).all(|line| line.contains(&id)), "{text}");
    }

    #[test]
    fn the_longest_id_that_fits_beside_the_other_columns_keeps_the_table() {
        let room = COLUMNS - "device  password  own-topics  enabled  keys  ".len();
        let fits = row("hall-1", &[&"i".repeat(room)]);
        assert!(
            table(std::slice::from_ref(&fits)).is_some_and(|text| text.lines().all(|it| it.len() <= COLUMNS))
        );
        assert_eq!(table(&[row("hall-1", &[&"i".repeat(room + 1)])]), None);
    }
}
