//! A keyring that KMS has encrypted, against moto's KMS or LocalStack's.

use std::{fs, path::PathBuf};

use authorizer::keyring_source::{self, error::KeyringSourceError};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_kms::{
    Client,
    config::{Credentials, SharedCredentialsProvider},
    primitives::Blob,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use device_auth::seal::{KeyId, Keyring};
use integration::emulator::Emulator;
use serde_json::json;
use tempfile::TempDir;

/// A KMS with one key, and a folder for files.
struct Kms {
    _emulator: Emulator,
    aws: SdkConfig,
    key: String,
    folder: TempDir,
}

impl Kms {
    async fn start() -> Self {
        let emulator = Emulator::start().await;
        let aws = aws(emulator.endpoint());
        let made = Client::new(&aws).create_key().send().await.unwrap();
        let key = made.key_metadata.unwrap().key_id;
        Self { _emulator: emulator, aws, key, folder: tempfile::tempdir().unwrap() }
    }

    /// A file with what KMS made of `plaintext`.
    async fn encrypted(&self, plaintext: &[u8], context: &str) -> PathBuf {
        let call = Client::new(&self.aws).encrypt().key_id(&self.key).plaintext(Blob::new(plaintext));
        let answer = call.encryption_context("latchkey", context).send().await.unwrap();
        let ciphertext = answer.ciphertext_blob.unwrap();
        envelope(&self.folder, ciphertext.as_ref())
    }

    async fn load(&self, path: PathBuf) -> Result<Keyring, KeyringSourceError> {
        keyring_source::load_kms(&path, &self.aws).await
    }
}

#[tokio::test]
async fn encrypted_keyring_is_loaded() {
    let kms = Kms::start().await;
    let keyring = Keyring::generate(id("2025-01")).unwrap().rotate(id("2026-11")).unwrap();
    let file = kms.encrypted(keyring.to_json().unwrap().as_bytes(), "keyring").await;
    let loaded = kms.load(file).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(loaded.to_json(), keyring.to_json());
}

#[tokio::test]
async fn refusal_of_kms_is_reported_with_a_cure() {
    let kms = Kms::start().await;
    let json = Keyring::generate(id("k")).unwrap().to_json().unwrap();
    let other_purpose = kms.encrypted(json.as_bytes(), "backup").await;
    let error = load_error(kms.load(other_purpose).await);
    assert!(
        error.contains("(InvalidCiphertextException)") && error.contains("context `latchkey=keyring`"),
        "{error}"
    );

    let nothing_of_kms = envelope(&kms.folder, &[7; 100]);
    let error = load_error(kms.load(nothing_of_kms).await);
    assert!(error.contains("LATCHKEY_DATA_KEYS: KMS doesn't decrypt the keyring `/"), "{error}");
}

#[tokio::test]
async fn plaintext_that_is_not_a_keyring_is_never_quoted() {
    let kms = Kms::start().await;
    for plaintext in [b"canary".as_slice(), b"\xff", br#"{"version":1,"current":"k","keys":"canary"}"#] {
        let file = kms.encrypted(plaintext, "keyring").await;
        let error = kms.load(file).await.err().unwrap();
        assert!(matches!(error, KeyringSourceError::Keyring { .. }), "{error}");
        assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
    }
}

#[tokio::test]
async fn file_without_a_ciphertext_makes_no_call() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keyring.json");
    fs::write(&path, r#"{"version":1,"current":"k","keys":{"k":"canary"}}"#).unwrap();
    let error = load_error(keyring_source::load_kms(&path, &nowhere()).await);
    assert!(error.contains("should read `{\"version\":1,\"kms_ciphertext\":\"BASE64\"}`"), "{error}");
    assert!(!error.contains("canary"), "{error}");
}

#[tokio::test]
async fn silent_kms_is_an_error_after_the_time_limit() {
    let folder = tempfile::tempdir().unwrap();
    let path = envelope(&folder, b"ciphertext");
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = aws(&format!("http://{}", silent.local_addr().unwrap()));
    for aws in [nowhere(), silent] {
        let error = load_error(
            integration::eventually::within("giving up", Box::pin(keyring_source::load_kms(&path, &aws)))
                .await,
        );
        assert!(error.starts_with("LATCHKEY_DATA_KEYS: KMS doesn't answer ("), "{error}");
    }
}

fn aws(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new("key", "secret", None, None, "test");
    let builder = SdkConfig::builder().behavior_version(BehaviorVersion::latest());
    let builder = builder.credentials_provider(SharedCredentialsProvider::new(credentials));
    builder.region(Region::from_static("us-east-1")).endpoint_url(endpoint).build()
}

/// Port 1 has no listener.
fn nowhere() -> SdkConfig {
    aws("http://127.0.0.1:1")
}

fn envelope(folder: &TempDir, ciphertext: &[u8]) -> PathBuf {
    let path = folder.path().join("keyring.kms.json");
    fs::write(&path, json!({"version": 1, "kms_ciphertext": STANDARD.encode(ciphertext)}).to_string())
        .unwrap();
    path
}

fn id(text: &str) -> KeyId {
    text.try_into().unwrap()
}

fn load_error(loaded: Result<Keyring, KeyringSourceError>) -> String {
    loaded.err().unwrap().to_string()
}
