//! Lines of `name:hash`, as `mosquitto_passwd` and `htpasswd` write them.

use super::{
    Found, Row,
    rows::{credential_of, user_name},
};

/// The lines of a text; empty ones and comments, which begin with `#`, are passed over.
pub(super) fn rows(text: &str) -> impl Iterator<Item = Found> {
    let lines = text.lines().map(str::trim_end).zip(1_usize..);
    let lines = lines.filter(|(text, _)| !text.is_empty() && !text.starts_with('#'));
    lines.map(|(text, line)| (line, row(text, line)))
}

fn row(text: &str, line: usize) -> Result<Row, String> {
    let (name, hash) = text.split_once(':').ok_or("it is not `name:hash`")?;
    Ok(Row { line, name: user_name(name)?, client_ids: None, credential: credential_of(hash)? })
}
