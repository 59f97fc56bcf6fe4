//! A file of sorted entries that is written once, and whose look-ups are verified against one digest.
//!
//! A file has several trees, each from keys to values, and each a B+ tree whose references are SHA-256 digests (a Merkle
//! tree). A look-up reads one node of each level and one value, and compares each with the digest in the node above it;
//! the header has the digests of the roots, and the digest of the header is the [`Digest`] of the file. So one digest
//! covers every byte, the cost of opening a file does not grow with it, and an entry can't be changed, exchanged, added or
//! removed without a look-up of it failing.
//!
//! # Format
//!
//! All numbers are little-endian.
//!
//! | part | content |
//! |---|---|
//! | header, 512 bytes | `LATCHKEY` `INDEXED\n`, version (`u32`), length of the file (`u64`), number of trees (`u32`), the trees, zeros, and in the last 32 bytes the digest of all before |
//! | a tree in it | number of entries (`u64`), offset (`u64`), length (`u32`) and digest (32 bytes) of the root, whose length is 0 without entries |
//! | a node | level (`u8`, 0 for a leaf), number of entries (`u16`), offset of the first block (`u64`), the entries |
//! | an entry | length of the key (`u8`), length of the block (`u32`), digest of the block (32 bytes), the key |
//!
//! A leaf's blocks are values; those of other nodes are nodes of the level below, each with its first key.
//! The blocks of one node follow each other in the file. Keys are in ascending order.

mod node;
mod reader;
mod source;
mod writer;

use std::{fmt, io, str::FromStr};

use sha2::{Digest as _, Sha256};

pub use self::{
    reader::{KeyAndValue, Reader, Scanned},
    source::Source,
    writer::{TreeWriter, Writer},
};

/// The version of the format that this code reads and writes.
pub const VERSION: u32 = 1;
/// The length of a header in bytes.
pub const HEADER_BYTES: usize = 512;
/// The longest key in bytes.
pub const MAX_KEY_BYTES: usize = 255;
/// The longest value in bytes.
pub const MAX_VALUE_BYTES: usize = 16 * 1024 * 1024;
/// The most trees of a file.
pub const MAX_TREES: usize = 8;

const MAGIC: [u8; 16] = *b"LATCHKEYINDEXED\n";
/// A node is closed before it gets longer than this, a page of common systems.
const NODE_BYTES: usize = 4096;
/// Where a header's own digest is.
const SEALED_BYTES: usize = HEADER_BYTES - DIGEST_BYTES;
const DIGEST_BYTES: usize = 32;

/// The digest of a whole file: SHA-256 of its header, which has the digests of everything else. Written as 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; DIGEST_BYTES]);

/// A text that is not a [`Digest`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a digest, which has 64 hex digits")]
pub struct DigestError(String);

/// A part of a file that does not have its digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{part} is damaged: bytes {offset} to {} don't have their digest", offset.saturating_add(*length))]
pub struct Damage {
    /// What is in that part.
    pub part: Part,
    /// Where it begins.
    pub offset: u64,
    /// How long it is.
    pub length: u64,
}

/// What a part of a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The header.
    Header,
    /// A node of a tree, which many look-ups need.
    Index,
    /// One entry's value, which only that entry's look-up needs.
    Value,
}

/// Why a file can't be read.
#[derive(Debug, thiserror::Error)]
pub enum IndexedFileError {
    /// The operating system said so.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is a file of another kind, or an empty one.
    #[error("it is not an indexed file")]
    NotIndexed,
    /// It has another version of the format.
    #[error("the format's version is {found}, this program reads {VERSION}")]
    Version {
        /// The version of the file.
        found: u32,
    },
    /// It was cut off, or something was appended.
    #[error("it has {found} bytes and was written with {written}")]
    Length {
        /// How long it is.
        found: u64,
        /// How long it was.
        written: u64,
    },
    /// It is another file than the one that was meant.
    #[error("its digest is {found}, and {pinned} is pinned")]
    OtherDigest {
        /// The digest of the file.
        found: Digest,
        /// The digest of the file that was meant.
        pinned: Digest,
    },
    /// A part of it is damaged.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// It has fewer trees than the reader asks for.
    #[error("it has no tree {0}")]
    NoTree(usize),
}

/// Why a file can't be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The operating system said so.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A key or a value is longer than the format allows.
    #[error("{what} has {bytes} bytes, at most {most} are possible")]
    TooLong {
        /// Which.
        what: &'static str,
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        most: usize,
    },
    /// A key does not follow the one before it.
    #[error("the keys are not in ascending order")]
    Order,
    /// There are more trees than the header has room for.
    #[error("a file has at most {MAX_TREES} trees")]
    Trees,
}

/// Where bytes are in a file, and their digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Block {
    offset: u64,
    length: u32,
    digest: Digest,
}

impl Digest {
    fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest as bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; DIGEST_BYTES] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let mut bytes = [0; DIGEST_BYTES];
        match hex::decode_to_slice(text, &mut bytes) {
            Ok(()) => Ok(Self(bytes)),
            Err(_) => Err(DigestError(text.to_owned())),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "the header",
            Self::Index => "the index",
            Self::Value => "the entry",
        })
    }
}
