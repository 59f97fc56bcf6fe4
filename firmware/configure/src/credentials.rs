//! The file of credentials: CSV with `device,client_id,user_name,password`, as `latchkey fleet add --credentials`
//! writes it.

use std::path::Path;

use anyhow::{Context, bail};
use app::configuration::partition::Key;

use crate::Entries;

const COLUMNS: [(&str, Key); 3] =
    [("client_id", Key::ClientId), ("user_name", Key::UserName), ("password", Key::Secret)];

/// Takes one device's row over into the entries.
///
/// # Errors
///
/// If the file can't be read, has other columns, or has no such device. No message shows a row.
pub fn take(path: &Path, device: &str, entries: &mut Entries) -> anyhow::Result<()> {
    let shown = path.display();
    let mut table = csv::Reader::from_path(path).with_context(|| format!("can't read `{shown}`"))?;
    let header = table.headers().with_context(|| format!("`{shown}` has no header"))?.clone();
    let column = |name: &str| {
        let at = header.iter().position(|column| column == name);
        at.with_context(|| {
            format!("`{shown}` has no column `{name}`; `latchkey fleet add --credentials` writes it")
        })
    };
    let name = column("device")?;
    for row in table.records() {
        let row = row.map_err(|_| anyhow::anyhow!("`{shown}` has a row that is no CSV"))?;
        if row.get(name) != Some(device) {
            continue;
        }
        for (title, key) in COLUMNS {
            entries.set(key, row.get(column(title)?).unwrap_or_default());
        }
        return Ok(());
    }
    bail!("`{shown}` has no device `{device}`");
}
