//! Writes a file.

use std::io::{Seek, SeekFrom, Write};

use crate::{
    Block, Digest, HEADER_BYTES, MAGIC, MAX_TREES, MAX_VALUE_BYTES, SEALED_BYTES, VERSION, WriteError,
    node::{BuiltNode, NodeBuilder},
};

/// Writes a file, tree by tree.
///
/// It writes the header last: a file whose writer was stopped is none.
pub struct Writer<W> {
    output: W,
    position: u64,
    trees: Vec<(u64, Option<Block>)>,
}

/// Writes one tree. The values go to the file as they come; the nodes are kept until its end.
pub struct TreeWriter<'w, W> {
    writer: &'w mut Writer<W>,
    leaves: Vec<BuiltNode>,
    leaf: NodeBuilder,
    last_key: Option<Vec<u8>>,
    entries: u64,
}

impl<W: Write + Seek> Writer<W> {
    /// Begins a file at the beginning of `output`.
    ///
    /// # Errors
    ///
    /// When it can't be written.
    pub fn new(mut output: W) -> Result<Self, WriteError> {
        output.write_all(&[0; HEADER_BYTES])?;
        Ok(Self { output, position: length(HEADER_BYTES), trees: Vec::new() })
    }

    /// Begins the next tree.
    ///
    /// # Errors
    ///
    /// When there are [`MAX_TREES`] already.
    pub fn tree(&mut self) -> Result<TreeWriter<'_, W>, WriteError> {
        if self.trees.len() >= MAX_TREES {
            return Err(WriteError::Trees);
        }
        let leaf = NodeBuilder::new(0, self.position);
        Ok(TreeWriter { writer: self, leaves: Vec::new(), leaf, last_key: None, entries: 0 })
    }

    /// Writes the header, and returns the digest of the file.
    ///
    /// # Errors
    ///
    /// When it can't be written.
    pub fn finish(mut self) -> Result<Digest, WriteError> {
        let mut header = Vec::with_capacity(HEADER_BYTES);
        header.extend(MAGIC);
        header.extend(VERSION.to_le_bytes());
        header.extend(self.position.to_le_bytes());
        header.extend(u32::try_from(self.trees.len()).unwrap_or_default().to_le_bytes());
        for (entries, root) in &self.trees {
            let (offset, length, digest) = match root {
                Some(Block { offset, length, digest }) => (*offset, *length, *digest.as_bytes()),
                None => (0, 0, [0; 32]),
            };
            header.extend(entries.to_le_bytes());
            header.extend(offset.to_le_bytes());
            header.extend(length.to_le_bytes());
            header.extend(digest);
        }
        header.resize(SEALED_BYTES, 0);
        let digest = Digest::of(&header);
        header.extend(digest.as_bytes());
        self.output.seek(SeekFrom::Start(0))?;
        self.output.write_all(&header)?;
        self.output.flush()?;
        Ok(digest)
    }

    /// Writes a block.
    fn block(&mut self, bytes: &[u8]) -> Result<(u32, Digest), WriteError> {
        self.output.write_all(bytes)?;
        self.position = self.position.saturating_add(length(bytes.len()));
        Ok((u32::try_from(bytes.len()).unwrap_or(u32::MAX), Digest::of(bytes)))
    }
}

impl<W: Write + Seek> TreeWriter<'_, W> {
    /// Adds an entry.
    ///
    /// # Errors
    ///
    /// When the key does not follow the one before it, when one of the two is too long, or when it can't be written.
    pub fn push(&mut self, key: &[u8], value: &[u8]) -> Result<(), WriteError> {
        if self.last_key.as_deref().is_some_and(|last| last >= key) {
            return Err(WriteError::Order);
        }
        if value.len() > MAX_VALUE_BYTES {
            let most = MAX_VALUE_BYTES;
            return Err(WriteError::TooLong { what: "a value", bytes: value.len(), most });
        }
        if self.leaf.is_full(key) {
            let next = NodeBuilder::new(0, self.writer.position);
            self.leaves.push(std::mem::replace(&mut self.leaf, next).build());
        }
        let (length, digest) = self.writer.block(value)?;
        self.leaf.push(key, length, digest)?;
        self.last_key = Some(key.to_vec());
        self.entries = self.entries.saturating_add(1);
        Ok(())
    }

    /// Writes the nodes, level by level.
    ///
    /// # Errors
    ///
    /// When they can't be written.
    pub fn finish(self) -> Result<(), WriteError> {
        let Self { writer, mut leaves, leaf, entries, .. } = self;
        if !leaf.is_empty() {
            leaves.push(leaf.build());
        }
        let (mut nodes, mut level) = (leaves, 0_u8);
        let mut root = None;
        while !nodes.is_empty() {
            level = level.saturating_add(1);
            let is_root = nodes.len() == 1;
            let (mut above, mut parent) = (Vec::new(), NodeBuilder::new(level, writer.position));
            for BuiltNode { first, bytes } in nodes {
                let offset = writer.position;
                if parent.is_full(&first) {
                    above.push(std::mem::replace(&mut parent, NodeBuilder::new(level, offset)).build());
                }
                let (length, digest) = writer.block(&bytes)?;
                root = Some(Block { offset, length, digest });
                parent.push(&first, length, digest)?;
            }
            if is_root {
                break;
            }
            above.push(parent.build());
            nodes = above;
        }
        writer.trees.push((entries, root));
        Ok(())
    }
}

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
