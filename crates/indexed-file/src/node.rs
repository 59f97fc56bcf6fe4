//! Nodes of a tree as bytes.

use crate::{Block, Digest, MAX_KEY_BYTES, NODE_BYTES, WriteError};

/// Level, number of entries and offset of the first block.
const NODE_HEADER_BYTES: usize = 1 + 2 + 8;
/// What an entry has besides its key.
const ENTRY_BYTES: usize = 1 + 4 + 32;

/// A node that is being filled.
pub(crate) struct NodeBuilder {
    level: u8,
    count: u16,
    base: u64,
    entries: Vec<u8>,
    /// The key of the first entry.
    first: Vec<u8>,
}

/// A complete node and its first key.
pub(crate) struct BuiltNode {
    pub(crate) first: Vec<u8>,
    pub(crate) bytes: Vec<u8>,
}

/// A node that was read.
#[derive(Clone, Copy)]
pub(crate) struct Node<'b> {
    /// 0 for a leaf.
    pub(crate) level: u8,
    count: u16,
    base: u64,
    entries: &'b [u8],
}

/// The key of an entry, and the block that it refers to.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'b> {
    pub(crate) key: &'b [u8],
    pub(crate) block: Block,
}

/// The entries of a node. `None` among them is a node that nothing but a faulty writer makes.
pub(crate) struct Entries<'b> {
    left: u16,
    offset: u64,
    rest: &'b [u8],
}

impl NodeBuilder {
    /// A node without entries, whose first block will be at `base`.
    pub(crate) fn new(level: u8, base: u64) -> Self {
        Self { level, count: 0, base, entries: Vec::with_capacity(NODE_BYTES), first: Vec::new() }
    }

    /// Whether an entry with this key would make it too long.
    pub(crate) fn is_full(&self, key: &[u8]) -> bool {
        // Two entries at least, or a tree would have no end.
        self.count >= 2 && NODE_HEADER_BYTES + self.entries.len() + ENTRY_BYTES + key.len() > NODE_BYTES
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(crate) fn push(&mut self, key: &[u8], length: u32, digest: Digest) -> Result<(), WriteError> {
        let most = MAX_KEY_BYTES;
        let key_length = u8::try_from(key.len()).map_err(|_| WriteError::TooLong {
            what: "a key",
            bytes: key.len(),
            most,
        })?;
        if self.count == 0 {
            self.first = key.to_vec();
        }
        self.entries.push(key_length);
        self.entries.extend(length.to_le_bytes());
        self.entries.extend(digest.as_bytes());
        self.entries.extend(key);
        self.count = self.count.saturating_add(1);
        Ok(())
    }

    pub(crate) fn build(self) -> BuiltNode {
        let mut bytes = Vec::with_capacity(NODE_HEADER_BYTES + self.entries.len());
        bytes.push(self.level);
        bytes.extend(self.count.to_le_bytes());
        bytes.extend(self.base.to_le_bytes());
        bytes.extend(self.entries);
        BuiltNode { first: self.first, bytes }
    }
}

impl<'b> Node<'b> {
    /// Reads a node. `None` is a node that only a faulty writer makes.
    pub(crate) fn parse(mut bytes: &'b [u8]) -> Option<Self> {
        let [level] = take(&mut bytes)?;
        let count = u16::from_le_bytes(take(&mut bytes)?);
        let base = u64::from_le_bytes(take(&mut bytes)?);
        Some(Self { level, count, base, entries: bytes })
    }

    pub(crate) fn entries(&self) -> Entries<'b> {
        Entries { left: self.count, offset: self.base, rest: self.entries }
    }
}

impl<'b> Iterator for Entries<'b> {
    type Item = Option<Entry<'b>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let entry = self.read();
        if entry.is_none() {
            self.left = 0;
        }
        Some(entry)
    }
}

impl<'b> Entries<'b> {
    fn read(&mut self) -> Option<Entry<'b>> {
        let [key_length] = take(&mut self.rest)?;
        let length = u32::from_le_bytes(take(&mut self.rest)?);
        let digest = Digest(take(&mut self.rest)?);
        let (key, rest) = self.rest.split_at_checked(usize::from(key_length))?;
        self.rest = rest;
        let offset = self.offset;
        self.offset = offset.checked_add(u64::from(length))?;
        Some(Entry { key, block: Block { offset, length, digest } })
    }
}

/// Takes the first bytes.
pub(crate) fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*first)
}
