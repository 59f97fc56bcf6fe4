//! Reads a file.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    Block, DIGEST_BYTES, Damage, Digest, HEADER_BYTES, IndexedFileError, MAGIC, MAX_TREES, MAX_VALUE_BYTES,
    NODE_BYTES, Part, SEALED_BYTES, Source, VERSION,
    node::{Node, take},
};

/// How many verified nodes above the leaves, and how many leaves, stay in memory: at most 512 KiB together.
const KEPT_NODES: usize = 96;
const KEPT_LEAVES: usize = 32;

/// A file that was opened. It reads and verifies only what a look-up needs.
pub struct Reader<S> {
    source: S,
    digest: Digest,
    trees: Vec<Tree>,
    kept: Mutex<Kept>,
}

/// An entry of a whole file: its key and its value, or what is damaged.
pub type Scanned<'a> = Result<(&'a [u8], Vec<u8>), (Option<&'a [u8]>, Damage)>;

/// The key and the value of an entry.
pub type KeyAndValue = (Vec<u8>, Vec<u8>);

struct Tree {
    entries: u64,
    root: Option<Block>,
}

/// Nodes that are verified already, by their digests. The first ones stay: every look-up needs those near the roots.
#[derive(Default)]
struct Kept {
    nodes: HashMap<Digest, Arc<[u8]>>,
    leaves: HashMap<Digest, Arc<[u8]>>,
}

impl<S: Source> Reader<S> {
    /// Opens a file, whose digest must be `pinned` if one is given, and verifies its header and the root of each tree.
    ///
    /// # Errors
    ///
    /// When it is not such a file, not the one that is pinned, or when a part that was read is damaged.
    pub fn open(source: S, pinned: Option<Digest>) -> Result<Self, IndexedFileError> {
        let length = source.length()?;
        let header = read_header(&source).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => IndexedFileError::NotIndexed,
            _ => IndexedFileError::Io(error),
        })?;
        let whole = Damage { part: Part::Header, offset: 0, length: header_length() };
        let (sealed, stored) = header.split_at_checked(SEALED_BYTES).ok_or(whole)?;
        let mut rest = sealed;
        if take(&mut rest) != Some(MAGIC) {
            return Err(IndexedFileError::NotIndexed);
        }
        let version = u32::from_le_bytes(take(&mut rest).ok_or(whole)?);
        if version != VERSION {
            return Err(IndexedFileError::Version { found: version });
        }
        let digest = Digest::of(sealed);
        if stored != digest.as_bytes() {
            return Err(whole.into());
        }
        if let Some(pinned) = pinned.filter(|pinned| *pinned != digest) {
            return Err(IndexedFileError::OtherDigest { found: digest, pinned });
        }
        let written = u64::from_le_bytes(take(&mut rest).ok_or(whole)?);
        if written != length {
            return Err(IndexedFileError::Length { found: length, written });
        }
        let trees = read_trees(rest).ok_or(whole)?;
        let reader = Self { source, digest, trees, kept: Mutex::default() };
        for root in reader.trees.iter().filter_map(|tree| tree.root) {
            reader.node(root, None)?;
        }
        Ok(reader)
    }

    /// The digest of the file.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// How many entries a tree has.
    #[must_use]
    pub fn entries(&self, tree: usize) -> u64 {
        self.trees.get(tree).map_or(0, |tree| tree.entries)
    }

    /// The value of a key, or `None` if the tree does not have the key: both are verified.
    ///
    /// # Errors
    ///
    /// When something that the look-up needs can't be read or is damaged.
    pub fn get(&self, tree: usize, key: &[u8]) -> Result<Option<Vec<u8>>, IndexedFileError> {
        let Some(mut block) = self.root(tree)? else { return Ok(None) };
        let mut above = None;
        loop {
            let bytes = self.node(block, above)?;
            let (node, damage) = (parsed(&bytes, block)?, damage(Part::Index, block));
            let mut found = None;
            for entry in node.entries() {
                let entry = entry.ok_or(damage)?;
                if entry.key > key {
                    break;
                }
                found = Some(entry);
            }
            let Some(entry) = found else { return Ok(None) };
            if node.level == 0 {
                return if entry.key == key { self.value(entry.block).map(Some) } else { Ok(None) };
            }
            (block, above) = (entry.block, Some(node.level));
        }
    }

    /// The first entry whose key is `key` or after it.
    ///
    /// # Errors
    ///
    /// When something that the look-up needs can't be read or is damaged.
    pub fn at_or_after(&self, tree: usize, key: &[u8]) -> Result<Option<KeyAndValue>, IndexedFileError> {
        let Some(root) = self.root(tree)? else { return Ok(None) };
        let Some((key, block)) = self.first_from(root, None, key)? else { return Ok(None) };
        Ok(Some((key, self.value(block)?)))
    }

    /// Visits all entries of a tree in their order, and verifies everything. A damaged node is reported once, without a key,
    /// in place of the entries below it; a damaged value with its key.
    ///
    /// # Errors
    ///
    /// When the file can't be read, or `visit` fails.
    pub fn scan<E: From<IndexedFileError>>(
        &self,
        tree: usize,
        mut visit: impl FnMut(Scanned<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        match self.root(tree)? {
            Some(root) => self.scan_node(root, None, &mut visit),
            None => Ok(()),
        }
    }

    fn root(&self, tree: usize) -> Result<Option<Block>, IndexedFileError> {
        self.trees.get(tree).map(|tree| tree.root).ok_or(IndexedFileError::NoTree(tree))
    }

    /// The first entry of a node and those below it whose key is `key` or after it.
    fn first_from(
        &self,
        block: Block,
        above: Option<u8>,
        key: &[u8],
    ) -> Result<Option<(Vec<u8>, Block)>, IndexedFileError> {
        let bytes = self.node(block, above)?;
        let (node, damage) = (parsed(&bytes, block)?, damage(Part::Index, block));
        let mut before = None;
        for entry in node.entries() {
            let entry = entry.ok_or(damage)?;
            if node.level == 0 {
                if entry.key >= key {
                    return Ok(Some((entry.key.to_vec(), entry.block)));
                }
            } else if entry.key < key {
                before = Some(entry.block);
            } else {
                // The node before it may end with keys that are after `key`.
                if let Some(before) = before
                    && let Some(found) = self.first_from(before, Some(node.level), key)?
                {
                    return Ok(Some(found));
                }
                return self.first_from(entry.block, Some(node.level), key);
            }
        }
        match before {
            Some(before) => self.first_from(before, Some(node.level), key),
            None => Ok(None),
        }
    }

    fn scan_node<E: From<IndexedFileError>>(
        &self,
        block: Block,
        above: Option<u8>,
        visit: &mut impl FnMut(Scanned<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let bytes = match self.read_node(block, above) {
            Ok(bytes) => bytes,
            Err(IndexedFileError::Damaged(damage)) => return visit(Err((None, damage))),
            Err(error) => return Err(error.into()),
        };
        let node = parsed(&bytes, block)?;
        for entry in node.entries() {
            let Some(entry) = entry else { return visit(Err((None, damage(Part::Index, block)))) };
            if node.level > 0 {
                self.scan_node(entry.block, Some(node.level), visit)?;
                continue;
            }
            match self.value(entry.block) {
                Ok(value) => visit(Ok((entry.key, value)))?,
                Err(IndexedFileError::Damaged(damage)) => visit(Err((Some(entry.key), damage)))?,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// A node, verified, from memory or from the file.
    fn node(&self, block: Block, above: Option<u8>) -> Result<Arc<[u8]>, IndexedFileError> {
        let known = self.kept().of(block.digest);
        if let Some(bytes) = known {
            check_level(&bytes, block, above)?;
            return Ok(bytes);
        }
        let bytes = Arc::<[u8]>::from(self.read_node(block, above)?);
        let is_leaf = parsed(&bytes, block)?.level == 0;
        self.kept().keep(block.digest, &bytes, is_leaf);
        Ok(bytes)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A node of the file, verified.
    fn read_node(&self, block: Block, above: Option<u8>) -> Result<Vec<u8>, IndexedFileError> {
        let bytes = self.read(block, Part::Index, NODE_BYTES)?;
        check_level(&bytes, block, above)?;
        Ok(bytes)
    }

    fn value(&self, block: Block) -> Result<Vec<u8>, IndexedFileError> {
        self.read(block, Part::Value, MAX_VALUE_BYTES)
    }

    /// A block of the file, verified.
    fn read(&self, block: Block, part: Part, most: usize) -> Result<Vec<u8>, IndexedFileError> {
        let damage = damage(part, block);
        let length = usize::try_from(block.length).ok().filter(|length| *length <= most).ok_or(damage)?;
        let mut bytes = vec![0; length];
        match self.source.read_at(block.offset, &mut bytes) {
            Ok(()) if Digest::of(&bytes) == block.digest => Ok(bytes),
            Ok(()) => Err(damage.into()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(damage.into()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Kept {
    fn of(&self, digest: Digest) -> Option<Arc<[u8]>> {
        self.nodes.get(&digest).or_else(|| self.leaves.get(&digest)).map(Arc::clone)
    }

    fn keep(&mut self, digest: Digest, bytes: &Arc<[u8]>, is_leaf: bool) {
        let (kept, most) =
            if is_leaf { (&mut self.leaves, KEPT_LEAVES) } else { (&mut self.nodes, KEPT_NODES) };
        if kept.len() < most {
            kept.insert(digest, Arc::clone(bytes));
        }
    }
}

/// Checks that a node is one level below the node that refers to it, so that every look-up ends.
fn check_level(bytes: &[u8], block: Block, above: Option<u8>) -> Result<(), IndexedFileError> {
    let level = parsed(bytes, block)?.level;
    match above {
        Some(above) if level.checked_add(1) != Some(above) => Err(damage(Part::Index, block).into()),
        _ => Ok(()),
    }
}

fn parsed(bytes: &[u8], block: Block) -> Result<Node<'_>, IndexedFileError> {
    Ok(Node::parse(bytes).ok_or_else(|| damage(Part::Index, block))?)
}

fn damage(part: Part, block: Block) -> Damage {
    Damage { part, offset: block.offset, length: u64::from(block.length) }
}

fn header_length() -> u64 {
    u64::try_from(HEADER_BYTES).unwrap_or(u64::MAX)
}

fn read_header(source: &impl Source) -> io::Result<[u8; HEADER_BYTES]> {
    let mut header = [0; HEADER_BYTES];
    source.read_at(0, &mut header)?;
    Ok(header)
}

/// The trees in the rest of a header.
fn read_trees(mut rest: &[u8]) -> Option<Vec<Tree>> {
    let count = usize::try_from(u32::from_le_bytes(take(&mut rest)?)).ok()?;
    if count > MAX_TREES {
        return None;
    }
    let mut trees = Vec::with_capacity(count);
    for _ in 0..count {
        let entries = u64::from_le_bytes(take(&mut rest)?);
        let offset = u64::from_le_bytes(take(&mut rest)?);
        let length = u32::from_le_bytes(take(&mut rest)?);
        let digest = Digest(take::<DIGEST_BYTES>(&mut rest)?);
        let root = (length > 0).then_some(Block { offset, length, digest });
        trees.push(Tree { entries, root });
    }
    Some(trees)
}
