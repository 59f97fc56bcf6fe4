//! A file that is read several times: to see what it is, to check all of it, and to import it.

use std::{
    fs::File,
    io::{self, Read, Seek as _, SeekFrom, Take},
    path::Path,
    time::SystemTime,
};

use anyhow::Context as _;
use zeroize::Zeroizing;

use super::{binary_kind, window::Window};

/// How much of a file is enough to tell what it is.
const HEAD: u64 = 64 << 10;
/// What spreadsheets write before UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A file of text of any size.
pub(crate) struct Input {
    /// How messages name it.
    shown: String,
    file: File,
    /// Where its text begins.
    start: u64,
    length: u64,
    modified: Option<SystemTime>,
    head: Zeroizing<Vec<u8>>,
}

/// What reads an [`Input`] once.
pub(crate) type Reader<'i> = Window<Take<&'i File>>;

impl Input {
    /// Opens a file. What is not a regular file, a pipe for example, can be read once only: it is copied to a private file
    /// without a name.
    ///
    /// # Errors
    ///
    /// When it can't be read, or is not text.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display().to_string();
        let file = File::open(path).with_context(|| format!("can't read `{shown}`"))?;
        let metadata = file.metadata().with_context(|| format!("can't read `{shown}`"))?;
        if metadata.is_file() { Self::of_file(shown, file) } else { Self::spooled(shown, file) }
    }

    /// Copies what can be read once only.
    ///
    /// # Errors
    ///
    /// As [`Input::open`], and when there is no room for a temporary file.
    pub(crate) fn spooled(shown: String, mut source: impl Read) -> anyhow::Result<Self> {
        let mut file = tempfile::tempfile().context("can't make a temporary file")?;
        io::copy(&mut source, &mut file)
            .with_context(|| format!("can't copy `{shown}` to a temporary file"))?;
        Self::of_file(shown, file)
    }

    fn of_file(shown: String, file: File) -> anyhow::Result<Self> {
        let unreadable = || format!("can't read `{shown}`");
        let metadata = file.metadata().with_context(unreadable)?;
        let mut head = Zeroizing::new(Vec::with_capacity(usize::try_from(HEAD)?));
        (&file).seek(SeekFrom::Start(0)).with_context(unreadable)?;
        (&file).take(HEAD).read_to_end(&mut head).with_context(unreadable)?;
        if let Some(kind) = binary_kind(&head) {
            anyhow::bail!("`{shown}` is {kind}");
        }
        let start = if head.starts_with(BYTE_ORDER_MARK) { u64::try_from(BYTE_ORDER_MARK.len())? } else { 0 };
        Ok(Self { file, start, length: metadata.len(), modified: metadata.modified().ok(), head, shown })
    }

    /// The file's name, as it was given.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// The size in bytes.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// How much of it was read.
    pub(crate) fn position(&self) -> u64 {
        (&self.file).stream_position().unwrap_or(0)
    }

    /// The beginning, as far as it is UTF-8.
    pub(crate) fn head(&self) -> &str {
        let bytes = self.head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&self.head);
        let valid = match std::str::from_utf8(bytes) {
            Ok(text) => return text,
            Err(error) => error.valid_up_to(),
        };
        std::str::from_utf8(bytes.get(..valid).unwrap_or_default()).unwrap_or_default()
    }

    /// Reads it from the beginning. There is one reader at a time.
    ///
    /// # Errors
    ///
    /// When it can't be read, or was changed since it was opened.
    pub(crate) fn reader(&self) -> anyhow::Result<Reader<'_>> {
        let unreadable = || format!("can't read `{}`", self.shown);
        let metadata = self.file.metadata().with_context(unreadable)?;
        anyhow::ensure!(
            metadata.len() == self.length && metadata.modified().ok() == self.modified,
            "`{}` was changed while it was read: run this again",
            self.shown
        );
        (&self.file).seek(SeekFrom::Start(self.start)).with_context(unreadable)?;
        Ok(Window::new((&self.file).take(self.length.saturating_sub(self.start))))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _};

    use super::*;

    #[test]
    fn it_can_be_read_again_until_it_is_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users");
        fs::write(&path, "\u{feff}a:b\n").unwrap();
        let input = Input::open(&path).unwrap();
        for _ in 0..2 {
            let mut text = String::new();
            input.reader().unwrap().read_to_string(&mut text).unwrap();
            assert_eq!((text.as_str(), input.head()), ("a:b\n", "a:b\n"));
        }
        File::options().append(true).open(&path).unwrap().write_all(b"c:d\n").unwrap();
        let error = input.reader().err().unwrap().to_string();
        assert!(error.ends_with("was changed while it was read: run this again"), "{error}");
    }

    #[test]
    fn what_can_be_read_once_is_copied() {
        let input = Input::spooled("-".to_owned(), &b"a:b"[..]).unwrap();
        for _ in 0..2 {
            let mut text = String::new();
            input.reader().unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, "a:b");
        }
    }
}
