//! Repairs a file that ends in half a row, after a full disk or a kill.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use zeroize::Zeroizing;

use super::{CredentialsError, HEADER, Place, RowError, read_all};

/// The length of a generated password: 256 bits as URL-safe base64.
const PASSWORD: usize = 43;

/// Cuts off half a row that [`append`](super::append) did not finish, and returns whether there was one. `append` did not
/// return then, or returned an error, so no record depends on the row. No other program may write to the file meanwhile.
///
/// # Errors
///
/// If the file can't be read or written, or if its last line has no end and is not such a half: an editor may have left a
/// row so, whole or not.
pub fn cut_torn(path: &Path) -> Result<bool, CredentialsError> {
    let failed = |error| CredentialsError::open(path, error);
    let Some(table) = read_all(path)? else { return Ok(false) };
    let start = table.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end.saturating_add(1));
    let last = table.get(start..).unwrap_or_default();
    if last.is_empty() {
        return Ok(false);
    }
    let open = || OpenOptions::new().append(true).open(path);
    let length = u64::try_from(start).unwrap_or(u64::MAX);
    match last_line(last, start == 0) {
        LastLine::Row => {
            let ended = open().and_then(|mut file| file.write_all(b"\n").and_then(|()| file.sync_all()));
            ended.map_err(failed).map(|()| false)
        }
        LastLine::Half => {
            let cut = open().and_then(|file| file.set_len(length).and_then(|()| file.sync_all()));
            cut.map_err(failed).map(|()| true)
        }
        LastLine::Other => Err(CredentialsError::at(path, Place::of_line(&table, length), RowError::NoEnd)),
    }
}

/// A last line without an end.
enum LastLine {
    /// A whole row without its line end.
    Row,
    /// The beginning of a row or of the header.
    Half,
    /// Something else.
    Other,
}

/// Tells what the last line is. A provisioned row has the same name in three columns and a generated password, and no
/// quotes.
fn last_line(last: &[u8], is_first: bool) -> LastLine {
    if is_first {
        return if HEADER.join(",").as_bytes().starts_with(last) { LastLine::Half } else { LastLine::Other };
    }
    let Ok(text) = str::from_utf8(last) else { return LastLine::Other };
    let fields = text.split(',').collect::<Vec<_>>();
    let [name, rest @ ..] = fields.as_slice() else { return LastLine::Other };
    let is_plain =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_:".contains(&byte));
    let begins = |begun: &str, whole: bool| if whole { begun == *name } else { name.starts_with(begun) };
    let (fits, password) = match rest {
        [] => (true, None),
        [id] => (begins(id, false), None),
        [id, user] => (begins(id, true) && begins(user, false), None),
        [id, user, password] => (begins(id, true) && begins(user, true), Some(*password)),
        _ => (false, None),
    };
    let password = Zeroizing::new(password.unwrap_or_default().to_owned());
    if !fits || name.is_empty() || !is_plain(name) || !is_plain(&password) || password.len() > PASSWORD {
        return LastLine::Other;
    }
    if password.len() == PASSWORD { LastLine::Row } else { LastLine::Half }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::credentials_file::{Row, append, read_if_exists};

    fn row(name: &str) -> Row {
        let name = name.to_owned();
        let password = format!("{}aB-", "aB-_".repeat(10)).as_str().into();
        Row { device: name.clone(), client_id: name.clone(), user_name: name, password }
    }

    #[test]
    fn rows_before_a_write_that_was_cut_off_stay_and_more_can_be_added() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.csv");
        let rows = ["hall-1", "hall:2"].map(row);
        append(&path, &rows).unwrap();
        let whole = fs::read(&path).unwrap();
        for length in 0..=whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let cut = cut_torn(&path).unwrap_or_else(|error| panic!("{length}: {error}"));
            let left = read_if_exists(&path).unwrap();
            assert!(rows.starts_with(&left), "{length}");
            let is_at_end = length == 0 || whole[length - 1] == b'\n' || whole.get(length) == Some(&b'\n');
            assert!(cut != is_at_end || length == HEADER.join(",").len(), "{length}");
            append(&path, &rows[left.len()..]).unwrap();
            assert_eq!(fs::read(&path).unwrap(), whole, "{length}");
        }
    }

    #[test]
    fn a_row_that_another_program_may_be_writing_is_unchanged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.csv");
        let long = format!("a,a,a,{}", "x".repeat(PASSWORD + 1));
        for last in ["a,b,a,x", "a,a,b", "a,a,a,correct horse", "\"a\",a", "a,a,a,b,c", ",", &long] {
            let text = format!("{}\n{last}", HEADER.join(","));
            fs::write(&path, &text).unwrap();
            let error = cut_torn(&path).unwrap_err().to_string();
            assert!(
                error.starts_with("line 2 of the credentials file") && error.contains("has no line end"),
                "{error}"
            );
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        fs::write(&path, "dear diary").unwrap();
        assert!(cut_torn(&path).is_err());
        assert!(!cut_torn(&folder.path().join("none.csv")).unwrap());
    }
}
