//! A file that ends in half a row, as a full disk or a kill leaves it.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use zeroize::Zeroizing;

use super::{CredentialsError, HEADER, RowError, line, read_all};

/// How long a password is that was made here: 256 bits as URL-safe base64.
const PASSWORD: usize = 43;

/// Takes the half of a row off that [`append`](super::append) did not finish; whether there was one. It returned an
/// error then or not at all, so nothing rests on that row. Nobody else may write to the file meanwhile.
///
/// # Errors
///
/// If the file can't be read or written, and if its last line has no end and is not such a half: somebody else's editor
/// may have left a row so, whole or not.
pub fn cut_torn(path: &Path) -> Result<bool, CredentialsError> {
    let failed = |error| CredentialsError::open(path, error);
    let Some(table) = read_all(path)? else { return Ok(false) };
    let start = table.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end.saturating_add(1));
    let last = table.get(start..).unwrap_or_default();
    if last.is_empty() {
        return Ok(false);
    }
    let open = || OpenOptions::new().append(true).open(path);
    let (keeps, cuts) = match remnant(last, start == 0) {
        Remnant::Row => (true, false),
        Remnant::Half => (false, true),
        Remnant::Other => (false, false),
    };
    if keeps {
        let ended = open().and_then(|mut file| file.write_all(b"\n").and_then(|()| file.sync_all()));
        return ended.map_err(failed).map(|()| false);
    }
    if !cuts {
        let line = line(&table, u64::try_from(start).unwrap_or(u64::MAX));
        return Err(CredentialsError::at(path, line, RowError::NoEnd));
    }
    let length = u64::try_from(start).unwrap_or(u64::MAX);
    let cut = open().and_then(|file| file.set_len(length).and_then(|()| file.sync_all()));
    cut.map_err(failed).map(|()| true)
}

/// What a last line without an end is.
enum Remnant {
    /// A row to which only the end is missing.
    Row,
    /// The beginning of one, or of the header.
    Half,
    /// Neither.
    Other,
}

/// The rows that are provisioned have one name three times and a password that was made here, and need no quotes.
fn remnant(last: &[u8], is_first: bool) -> Remnant {
    if is_first {
        return if HEADER.join(",").as_bytes().starts_with(last) { Remnant::Half } else { Remnant::Other };
    }
    let Ok(text) = str::from_utf8(last) else { return Remnant::Other };
    let fields = text.split(',').collect::<Vec<_>>();
    let [name, rest @ ..] = fields.as_slice() else { return Remnant::Other };
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
        return Remnant::Other;
    }
    if password.len() == PASSWORD { Remnant::Row } else { Remnant::Half }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::credentials_file::{Row, append, present};

    fn row(name: &str) -> Row {
        let name = name.to_owned();
        let password = format!("{}aB-", "aB-_".repeat(10)).as_str().into();
        Row { device: name.clone(), client_id: name.clone(), user_name: name, password }
    }

    #[test]
    fn wherever_a_write_was_cut_off_the_rows_before_it_are_left_and_more_can_come() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.csv");
        let rows = ["hall-1", "hall:2"].map(row);
        append(&path, &rows).unwrap();
        let whole = fs::read(&path).unwrap();
        for length in 0..=whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let cut = cut_torn(&path).unwrap_or_else(|error| panic!("{length}: {error}"));
            let left = present(&path).unwrap();
            assert!(rows.starts_with(&left), "{length}");
            let is_at_end = length == 0 || whole[length - 1] == b'\n' || whole.get(length) == Some(&b'\n');
            assert!(cut != is_at_end || length == HEADER.join(",").len(), "{length}");
            append(&path, &rows[left.len()..]).unwrap();
            assert_eq!(fs::read(&path).unwrap(), whole, "{length}");
        }
    }

    #[test]
    fn what_may_be_anothers_row_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.csv");
        let long = format!("a,a,a,{}", "x".repeat(PASSWORD + 1));
        for last in ["a,b,a,x", "a,a,b", "a,a,a,correct horse", "\"a\",a", "a,a,a,b,c", ",", &long] {
            let text = format!("{}\n{last}", HEADER.join(","));
            fs::write(&path, &text).unwrap();
            let told = cut_torn(&path).unwrap_err().to_string();
            assert!(
                told.starts_with("line 2 of the credentials file") && told.contains("has no end"),
                "{told}"
            );
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        fs::write(&path, "dear diary").unwrap();
        assert!(cut_torn(&path).is_err());
        assert!(!cut_torn(&folder.path().join("none.csv")).unwrap());
    }
}
