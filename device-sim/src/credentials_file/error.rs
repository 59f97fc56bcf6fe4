//! What can be wrong with a credentials file. Messages name the line, and repeat no field but the client id.

use std::io;
use std::path::{Path, PathBuf};

use device_core::ClientIdError;

use super::HEADER;
use super::place::Place;

const ADD: &str = "`latchkey fleet add NAME --grant sht20 --credentials FILE` writes one";
const PROVISION: &str = "`latchkey fleet provision --count 1` writes one";

/// Why a credentials file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// It does not exist.
    #[error("there is no credentials file `{}`: {cure}, or pass another with `--credentials`", path.display())]
    Missing {
        /// Its path.
        path: PathBuf,
        /// The command that makes it.
        cure: &'static str,
    },
    /// Its folder does not exist, and is not the default one.
    #[error("there is no folder `{}` for the credentials file: make it first", .0.display())]
    NoFolder(PathBuf),
    /// The operating system refuses.
    #[error("cannot use the credentials file `{path}`: {error}", path = .0.display(), error = .1)]
    Io(PathBuf, io::Error),
    /// It has a header and no row.
    #[error("the credentials file `{}` has no devices", .0.display())]
    Empty(PathBuf),
    /// A line is wrong.
    #[error("{place} of the credentials file `{}`: {why}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, and the column where one character is wrong.
        place: Place,
        /// What is wrong. It is not the error's source, because the message has it already.
        why: RowError,
    },
}

impl CredentialsError {
    pub(super) fn open(path: &Path, error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::NotFound {
            Self::Missing { path: path.to_owned(), cure: ADD }
        } else {
            Self::Io(path.to_owned(), error)
        }
    }

    /// The same error, with `latchkey fleet provision` as the command that makes a missing file.
    pub(crate) fn with_provision(self) -> Self {
        match self {
            Self::Missing { path, .. } => Self::Missing { path, cure: PROVISION },
            other => other,
        }
    }

    pub(super) fn at(path: &Path, place: Place, why: RowError) -> Self {
        match why {
            RowError::Io(kind) => Self::Io(path.to_owned(), kind.into()),
            why => Self::Line { path: path.to_owned(), place, why },
        }
    }
}

/// What can be wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// The first line is not the header.
    #[error("the header must be `{}`", HEADER.join(","))]
    Header,
    /// Too few or too many fields.
    #[error("a row has {wanted} fields, this one has {0}", wanted = HEADER.len())]
    Fields(usize),
    /// A field is empty.
    #[error("`{0}` is empty")]
    EmptyField(&'static str),
    /// The client id can't be part of a topic.
    #[error(transparent)]
    ClientId(ClientIdError),
    /// Two devices with one client id would take the connection from each other.
    #[error("the client id `{client_id}` is on line {first} already")]
    Repeated {
        /// The client id.
        client_id: String,
        /// Where it was first.
        first: u64,
    },
    /// The last line has no end, so it may be half a row.
    #[error(
        "it has no line end, so it may be half a row: add the line end, or delete the row, and run this again"
    )]
    NoEnd,
    /// The line is not UTF-8.
    #[error("not UTF-8")]
    Utf8,
    /// The line is not CSV.
    #[error("not CSV")]
    Csv,
    /// Reading failed.
    #[error("cannot be read: {0}")]
    Io(io::ErrorKind),
}
