//! The log of `latchkey local`, as it is and as it grows.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use super::line::Line;

/// The longest line that is read. A line of the gateway's, and a decision line, is much shorter.
const MAX_LINE_BYTES: u64 = 64 * 1_024;

/// A log that is read line by line.
pub(super) struct FileLog {
    path: PathBuf,
    reader: BufReader<File>,
    /// How much of the file was read.
    position: u64,
    /// Lines before this time are skipped.
    since: u64,
}

impl FileLog {
    pub(super) fn open(path: &Path, since: u64) -> anyhow::Result<Self> {
        let reader = open(path)?;
        Ok(Self { path: path.to_owned(), reader, position: 0, since })
    }

    /// The next line, `None` at the end of what is written so far.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<Line>> {
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            let unreadable = || format!("can't read `{}`", self.path.display());
            let read = (&mut self.reader).take(MAX_LINE_BYTES).read_until(b'\n', &mut bytes);
            let read = u64::try_from(read.with_context(unreadable)?).unwrap_or_default();
            if bytes.ends_with(b"\n") {
                self.position += read;
            } else if read < MAX_LINE_BYTES {
                // The rest of the line is written later.
                self.reader.seek(SeekFrom::Start(self.position)).with_context(unreadable)?;
                return Ok(None);
            } else {
                let skipped = skip_line(&mut self.reader).with_context(unreadable)?;
                self.position += read + skipped;
                continue;
            }
            let line = Line::parse(&String::from_utf8_lossy(&bytes), None);
            if let Some(line) = line.filter(|line| line.time >= self.since) {
                return Ok(Some(line));
            }
        }
    }

    /// Begins again at the front if the file is another one, or was emptied.
    pub(super) fn reopen_if_new(&mut self) -> anyhow::Result<()> {
        let length = std::fs::metadata(&self.path).map(|it| it.len());
        if length.is_ok_and(|length| length < self.position) {
            self.reader = open(&self.path)?;
            self.position = 0;
        }
        Ok(())
    }
}

/// Skips the rest of a line, or of what is written of it so far.
fn skip_line(reader: &mut BufReader<File>) -> std::io::Result<u64> {
    let mut skipped = 0;
    loop {
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() {
            return Ok(skipped);
        }
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let count = end.map_or(bytes.len(), |end| end + 1);
        reader.consume(count);
        skipped += u64::try_from(count).unwrap_or_default();
        if end.is_some() {
            return Ok(skipped);
        }
    }
}

fn open(path: &Path) -> anyhow::Result<BufReader<File>> {
    let file = File::open(path).with_context(|| {
        format!(
            "can't read the log `{}`: run this in the folder of `latchkey local`, or name a log with `--log FILE`, or one in \
             CloudWatch with `--log-group GROUP`",
            path.display()
        )
    })?;
    Ok(BufReader::new(file))
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _};

    use super::*;

    fn text(client: &str) -> String {
        format!(
            "{{\"timestamp\":\"2026-11-21 03:56:25.326\",\"eventType\":\"Disconnect\",\"status\":\"Success\",\
             \"clientId\":\"{client}\"}}\n"
        )
    }

    #[test]
    fn a_log_that_grows_is_read_line_by_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let too_long = "x".repeat(200_000);
        fs::write(&path, format!("{}{too_long}\nnot json\n{}{{\"timest", text("a"), text("b"))).unwrap();
        let mut log = FileLog::open(&path, 0).unwrap();
        let mut read = || log.next().unwrap().and_then(|line| line.client_id);
        assert_eq!(
            [read(), read(), read(), read()],
            [Some("a".to_owned()), Some("b".to_owned()), None, None]
        );
        let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(&text("c").as_bytes()[8..]).unwrap();
        assert_eq!([read(), read()], [Some("c".to_owned()), None]);
        log.reopen_if_new().unwrap();
        assert_eq!(log.next().unwrap(), None);
        fs::write(&path, text("d")).unwrap();
        log.reopen_if_new().unwrap();
        assert_eq!(log.next().unwrap().and_then(|line| line.client_id).as_deref(), Some("d"));
        let mut later = FileLog::open(&path, u64::MAX).unwrap();
        assert_eq!(later.next().unwrap(), None);
        let error = FileLog::open(&folder.path().join("no"), 0).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("run this in the folder of `latchkey local`"), "{error}");
    }
}
