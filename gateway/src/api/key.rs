//! The key pair that signs requests to the API port, and the file that says where the port is.
//!
//! `api.json` in the data folder is readable by its owner alone. The key is made at the first start and stays; the address is
//! that of the last start.

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use aws_lc_rs::rand;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::certificate::write_private;

/// The file's name in the data folder.
pub const FILE: &str = "api.json";
/// The characters of an id, as those of AWS's keys.
const ID_CHARACTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// The characters of a secret. None has a meaning in a shell.
const SECRET_CHARACTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";

/// An access key.
#[derive(Clone, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessKey {
    /// `AWS_ACCESS_KEY_ID`. Its beginning shows that it is not a key of AWS's.
    #[serde(rename = "accessKeyId")]
    pub id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    #[serde(rename = "secretAccessKey")]
    pub secret: Zeroizing<String>,
}

/// What `api.json` says.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiFile {
    /// The address of the API port, such as `http://127.0.0.1:14566`.
    pub endpoint: String,
    /// The region for which requests are signed.
    pub region: String,
    /// The key.
    #[serde(flatten)]
    pub key: AccessKey,
}

impl AccessKey {
    /// A new key of random characters.
    ///
    /// # Errors
    ///
    /// When the system gives no random numbers.
    pub fn generate() -> anyhow::Result<Self> {
        let mut bytes = Zeroizing::new([0; 52]);
        rand::fill(bytes.as_mut_slice()).ok().context("the system gives no random numbers")?;
        let (id, secret) = bytes.split_at(12);
        Ok(Self {
            id: format!("LATCHKEY{}", characters(id, ID_CHARACTERS)),
            secret: Zeroizing::new(characters(secret, SECRET_CHARACTERS)),
        })
    }
}

impl ApiFile {
    /// The path of the file in a data folder.
    #[must_use]
    pub fn path(data: &Path) -> PathBuf {
        data.join(FILE)
    }

    /// Reads the file.
    ///
    /// # Errors
    ///
    /// When it can't be read, or others can read it too.
    pub fn read(data: &Path) -> anyhow::Result<Self> {
        let path = Self::path(data);
        let text = cli::private_file::read(&path, "API key", cli::private_file::Readers::Owner)?;
        // The parser's own message could repeat the secret.
        let file = serde_json::from_str(&text).ok();
        file.with_context(|| {
            format!(
                "`{}` is not what the gateway wrote; delete it and start the gateway again",
                path.display()
            )
        })
    }

    /// Writes where the port is, with the key that is there already or a new one.
    ///
    /// # Errors
    ///
    /// When the file can't be read or written.
    pub fn update(data: &Path, address: SocketAddr, region: &str) -> anyhow::Result<Self> {
        let path = Self::path(data);
        let key = if path.exists() { Self::read(data)?.key } else { AccessKey::generate()? };
        let file = Self { endpoint: format!("http://{address}"), region: region.to_owned(), key };
        write_private(&path, &Zeroizing::new(serde_json::to_string_pretty(&file)?))?;
        Ok(file)
    }
}

/// One character for each byte; the number of characters divides 256, so each is as likely as the others.
fn characters<const N: usize>(bytes: &[u8], of: &[u8; N]) -> String {
    bytes.iter().filter_map(|byte| of.get(usize::from(*byte) % N)).map(|byte| char::from(*byte)).collect()
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKey").field("id", &self.id).finish_non_exhaustive()
    }
}
