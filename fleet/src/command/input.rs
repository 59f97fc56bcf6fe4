//! What is piped in.

use std::io::BufRead;

use anyhow::Context as _;
use zeroize::Zeroizing;

/// The longest password that MQTT can carry, a line end as Windows writes it, and no more.
const LONGEST_LINE: usize = 65_537;

/// Where a chosen password or a vendor's secret comes from.
pub struct Input<R> {
    /// Its first line is the password or the secret.
    pub reader: R,
    /// Whether a person is typing: then everybody could read along.
    pub terminal: bool,
}

impl<R: BufRead> Input<R> {
    /// The first line. What follows is not waited for.
    ///
    /// # Errors
    ///
    /// When a person is typing, who is told `how` to pipe it in; when it can't be read or is no text.
    pub(super) fn line(self, what: &str, how: &str) -> anyhow::Result<Zeroizing<String>> {
        anyhow::ensure!(!self.terminal, "pipe the {what} in: {how}");
        // Room for all of it: a buffer that grows leaves copies behind.
        let mut line = Zeroizing::new(Vec::with_capacity(LONGEST_LINE));
        for byte in self.reader.bytes().take(LONGEST_LINE) {
            match byte.with_context(|| format!("can't read the {what} from standard input"))? {
                b'\n' => break,
                byte => line.push(byte),
            }
        }
        line.pop_if(|last| *last == b'\r');
        let text = std::str::from_utf8(&line).ok().with_context(|| format!("the {what} is not UTF-8"))?;
        Ok(Zeroizing::new(text.to_owned()))
    }
}
