//! A keyring that KMS has encrypted.
//!
//! The keyring is encrypted as a whole, so that a start makes one call, whatever the number of keys. KMS accepts up to 4,096
//! bytes (API reference, Encrypt), which is about 70 keys.

use std::{error::Error, path::Path, time::Duration};

use aws_config::{BehaviorVersion, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_kms::{
    Client, config,
    error::{ProvideErrorMetadata as _, SdkError},
    operation::decrypt::DecryptError,
    primitives::Blob,
};
use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, general_purpose::NO_PAD},
};
use device_auth::seal::{Keyring, KeyringError};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::error::KeyringSourceError;

/// Base64 with or without padding: AWS's command line writes it, other tools do not.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, NO_PAD.with_decode_padding_mode(DecodePaddingMode::Indifferent));
const VERSION: u32 = 1;
/// The most bytes of a KMS ciphertext (API reference, Decrypt, `CiphertextBlob`).
const MOST_CIPHERTEXT_BYTES: usize = 6_144;
/// The encryption context. A ciphertext for another purpose does not decrypt with it, and a key policy can require it.
const CONTEXT: (&str, &str) = ("latchkey", "keyring");

/// A start may last ten seconds (Lambda developer guide, `lambda-runtime-environment`), and a device waits for it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const READ_TIMEOUT: Duration = Duration::from_secs(1);
/// The limit for all attempts together.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(2);
const ATTEMPTS: u32 = 2;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    version: u32,
    kms_ciphertext: String,
}

/// The AWS configuration of the environment.
pub(super) async fn environment() -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest()).load().await
}

/// Decrypts the keyring in `text`, which is the file at `path`.
pub(super) async fn decrypt_keyring(
    path: &Path,
    text: &str,
    aws: &SdkConfig,
) -> Result<Keyring, KeyringSourceError> {
    let ciphertext =
        ciphertext(text).ok_or_else(|| KeyringSourceError::Envelope { path: path.to_owned() })?;
    let json = decrypt(path, aws, ciphertext).await?;
    // Bytes that are not UTF-8 are reported as a syntax error at the beginning.
    let keyring = std::str::from_utf8(&json).map_err(|_| KeyringError::Syntax { line: 1, column: 1 });
    let keyring = keyring.and_then(Keyring::parse);
    keyring.map_err(|error| KeyringSourceError::Keyring { path: path.to_owned(), error })
}

fn ciphertext(text: &str) -> Option<Vec<u8>> {
    let envelope =
        serde_json::from_str::<Envelope>(text).ok().filter(|envelope| envelope.version == VERSION)?;
    let bytes = BASE64.decode(&envelope.kms_ciphertext).ok()?;
    (1..=MOST_CIPHERTEXT_BYTES).contains(&bytes.len()).then_some(bytes)
}

async fn decrypt(
    path: &Path,
    aws: &SdkConfig,
    ciphertext: Vec<u8>,
) -> Result<Zeroizing<Vec<u8>>, KeyringSourceError> {
    let (name, value) = CONTEXT;
    let call = client(aws).decrypt().ciphertext_blob(Blob::new(ciphertext)).encryption_context(name, value);
    let answer = call.send().await.map_err(|error| fault(path, &error))?;
    let json = answer.plaintext.map(Blob::into_inner).unwrap_or_default();
    Ok(Zeroizing::new(json))
}

fn client(aws: &SdkConfig) -> Client {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build();
    let retries = RetryConfig::standard().with_max_attempts(ATTEMPTS);
    Client::from_conf(config::Builder::from(aws).timeout_config(timeouts).retry_config(retries).build())
}

fn fault(path: &Path, error: &SdkError<DecryptError>) -> KeyringSourceError {
    let Some(code) = error.as_service_error().and_then(|error| error.code()) else {
        return KeyringSourceError::KmsUnreachable { reason: reason(error) };
    };
    KeyringSourceError::KmsRefused { path: path.to_owned(), code: code.to_owned(), cure: cure(code) }
}

/// What went wrong before an answer came. An unreadable answer is not quoted, because it may be the keyring.
fn reason(error: &SdkError<DecryptError>) -> String {
    match error {
        SdkError::DispatchFailure(_) | SdkError::ConstructionFailure(_) => {
            let causes = std::iter::successors(Some(error as &dyn Error), |error| (*error).source());
            causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
        }
        SdkError::TimeoutError(_) => format!("no answer within {} s", OPERATION_TIMEOUT.as_secs()),
        _ => "its answer can't be read".to_owned(),
    }
}

/// The codes are those of the API reference, Decrypt, and of its common errors.
fn cure(code: &str) -> &'static str {
    match code {
        "AccessDeniedException" => "allow the function's role `kms:Decrypt` on the key",
        "InvalidCiphertextException" | "IncorrectKeyException" => {
            "encrypt the keyring again, in this account and region and with the encryption context `latchkey=keyring`"
        }
        "NotFoundException" => "its key was deleted, or is in another account or region",
        "DisabledException" | "KMSInvalidStateException" => "enable the key, or cancel its deletion",
        "UnrecognizedClientException" | "InvalidClientTokenId" | "ExpiredTokenException" => {
            "the credentials are not valid, or have expired"
        }
        _ => "see Decrypt in KMS's API reference for its meaning",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_has_a_version_and_a_ciphertext() {
        let read = |text: &str| ciphertext(text);
        assert_eq!(read(r#"{"version":1,"kms_ciphertext":"AQI="}"#), Some(vec![1, 2]));
        assert_eq!(read(r#"{"version":1,"kms_ciphertext":"AQI"}"#), Some(vec![1, 2]));
        let longest = format!(r#"{{"version":1,"kms_ciphertext":"{}"}}"#, BASE64.encode([7; 6_144]));
        assert_eq!(read(&longest).map(|bytes| bytes.len()), Some(6_144));
        for text in [
            "",
            "{}",
            r#"{"version":2,"kms_ciphertext":"AQI="}"#,
            r#"{"version":1,"kms_ciphertext":""}"#,
            r#"{"version":1,"kms_ciphertext":"AQ I="}"#,
            r#"{"version":1,"kms_ciphertext":"AQI=","kms_ciphertext":"AQI="}"#,
            r#"{"version":1,"kms_ciphertext":"AQI=","key":"k"}"#,
            &format!(r#"{{"version":1,"kms_ciphertext":"{}"}}"#, BASE64.encode([7; 6_145])),
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
