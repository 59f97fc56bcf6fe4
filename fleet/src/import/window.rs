//! A part of a file in memory: what is read of a file of any size, a piece at a time.

use std::io::{self, ErrorKind, Read};

use zeroize::Zeroizing;

/// How much is read at a time.
const CHUNK: usize = 64 << 10;
/// The longest line, record or element of a list: no credential needs a tenth of it.
const MAX_PIECE: usize = 1 << 20;

/// The bytes that were read and not consumed yet. They are wiped when this is dropped.
pub(crate) struct Window<R> {
    source: R,
    buffer: Zeroizing<Vec<u8>>,
    start: usize,
    end: usize,
    is_whole: bool,
}

impl<R: Read> Window<R> {
    pub(crate) fn new(source: R) -> Self {
        Self { source, buffer: Zeroizing::new(vec![0; CHUNK]), start: 0, end: 0, is_whole: false }
    }

    /// The bytes at hand.
    pub(crate) fn at_hand(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Whether nothing follows the bytes at hand.
    pub(crate) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Goes on after this number of bytes.
    pub(crate) fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.end);
    }

    /// Reads no further: what is at hand is the rest.
    pub(crate) fn cut(&mut self) {
        self.is_whole = true;
    }

    /// Reads more. Afterwards there is at least one more byte, or the window is whole.
    ///
    /// # Errors
    ///
    /// When the file can't be read, and with [`ErrorKind::FileTooLarge`] when what was not consumed is longer than any piece.
    pub(crate) fn more(&mut self) -> io::Result<()> {
        if self.is_whole {
            return Ok(());
        }
        let length = self.end.saturating_sub(self.start);
        if length >= MAX_PIECE {
            return Err(ErrorKind::FileTooLarge.into());
        }
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
        } else if self.end == self.buffer.len() {
            // A buffer that grew in place would leave a copy of its content.
            let mut larger = Zeroizing::new(vec![0; self.buffer.len().saturating_mul(2)]);
            larger.iter_mut().zip(self.buffer.iter()).for_each(|(to, from)| *to = *from);
            self.buffer = larger;
        }
        (self.start, self.end) = (0, length);
        loop {
            match self.source.read(self.buffer.get_mut(length..).unwrap_or_default()) {
                Ok(count) => {
                    self.end = length.saturating_add(count);
                    self.is_whole = count == 0;
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads until there are this many bytes, or nothing follows.
    ///
    /// # Errors
    ///
    /// As [`Window::more`].
    pub(crate) fn ensure(&mut self, count: usize) -> io::Result<()> {
        while self.at_hand().len() < count && !self.is_whole {
            self.more()?;
        }
        Ok(())
    }

    /// The next line without its end, up to `count` bytes of the window: the two numbers are the line's length and the bytes
    /// to consume. None at the end.
    ///
    /// # Errors
    ///
    /// As [`Window::more`].
    pub(crate) fn line(&mut self) -> io::Result<Option<(usize, usize)>> {
        let mut searched = 0;
        loop {
            let bytes = self.at_hand();
            let rest = bytes.get(searched..).unwrap_or_default();
            if let Some(at) = rest.iter().position(|byte| *byte == b'\n') {
                let length = searched.saturating_add(at);
                return Ok(Some((length, length.saturating_add(1))));
            }
            searched = bytes.len();
            if self.is_whole {
                return Ok((searched > 0).then_some((searched, searched)));
            }
            self.more()?;
        }
    }
}

impl<R: Read> Read for Window<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.ensure(1)?;
        let count = self.at_hand().read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a byte at a time.
    struct Slowly<'a>(&'a [u8]);

    impl Read for Slowly<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer.get_mut(..1).unwrap_or_default())
        }
    }

    #[test]
    fn lines_are_whole_however_they_are_read() {
        let mut window = Window::new(Slowly(b"a\n\nbcd\r\ne"));
        let mut lines = Vec::new();
        while let Some((length, used)) = window.line().unwrap() {
            lines.push(String::from_utf8(window.at_hand()[..length].to_vec()).unwrap());
            window.consume(used);
        }
        assert_eq!(lines, ["a", "", "bcd\r", "e"]);
    }

    #[test]
    fn a_piece_that_never_ends_is_an_error_and_takes_no_more_memory() {
        let mut window = Window::new(io::repeat(b'x'));
        assert_eq!(window.line().unwrap_err().kind(), ErrorKind::FileTooLarge);
        assert_eq!(window.buffer.len(), MAX_PIECE);
        let mut whole = Vec::new();
        let text = vec![b'y'; CHUNK * 3 + 1];
        Window::new(text.as_slice()).read_to_end(&mut whole).unwrap();
        assert_eq!(whole, text);
    }
}
