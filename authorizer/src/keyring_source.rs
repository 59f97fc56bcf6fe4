//! Loads the keyring: from a file, or from a file that KMS decrypts.

pub mod error;
#[cfg(feature = "kms")]
mod kms;

use std::path::Path;

#[cfg(feature = "kms")]
use aws_config::SdkConfig;
use cli::private_file::{self, Readers};
use device_auth::{location::KeyringLocation, seal::Keyring};

use self::error::KeyringSourceError;

/// The keyring at `location`. For `kms:PATH` this is one call of KMS, with the AWS settings of the environment
/// (`AWS_REGION`, credentials, `AWS_ENDPOINT_URL_KMS`).
///
/// `root` is the function's own folder, if it has one (`LAMBDA_TASK_ROOT`). A keyring file in it may be readable for all
/// users: every file of a function's package is, and only the function can access the package.
///
/// # Errors
///
/// When the file can't be read, is malformed or is readable for other users, or KMS does not decrypt it.
#[cfg_attr(not(feature = "kms"), expect(clippy::unused_async, reason = "only a call of KMS waits"))]
pub async fn load(location: &KeyringLocation, root: Option<&Path>) -> Result<Keyring, KeyringSourceError> {
    match location {
        KeyringLocation::None => Ok(Keyring::empty()),
        KeyringLocation::File(path) => load_file(path, root),
        #[cfg(feature = "kms")]
        KeyringLocation::Kms(path) => load_kms(path, &kms::environment().await).await,
        #[cfg(not(feature = "kms"))]
        KeyringLocation::Kms(_) => Err(KeyringSourceError::NoKms),
    }
}

/// The keyring that KMS has encrypted in the file at `path`, with the caller's own AWS settings.
///
/// # Errors
///
/// As [`load`].
#[cfg(feature = "kms")]
pub async fn load_kms(path: &Path, aws: &SdkConfig) -> Result<Keyring, KeyringSourceError> {
    // Only KMS can decrypt it, so all users may read it.
    let text = private_file::read(path, "keyring", Readers::Everybody)?;
    kms::decrypt_keyring(path, &text, aws).await
}

/// Reads a keyring file. Outside the function's package only its owner may have access.
fn load_file(path: &Path, root: Option<&Path>) -> Result<Keyring, KeyringSourceError> {
    // As they are on the disk, without links and `..`.
    let in_package = match (path.canonicalize(), root.map(Path::canonicalize)) {
        (Ok(path), Some(Ok(root))) => path.starts_with(root),
        _ => false,
    };
    let readers = if in_package { Readers::Everybody } else { Readers::Owner };
    let text = private_file::read(path, "keyring", readers)?;
    Keyring::parse(&text).map_err(|error| KeyringSourceError::Keyring { path: path.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const KEYRING: &str =
        r#"{"version":1,"current":"k","keys":{"k":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}}"#;

    fn load_error(path: &Path, root: Option<&Path>) -> String {
        load_file(path, root).err().unwrap().to_string()
    }

    #[cfg(unix)]
    #[test]
    fn file_readable_for_others_is_refused_outside_the_package() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        let (inside, outside) = (folder.path().join("task"), folder.path().join("keyring.json"));
        fs::create_dir(&inside).unwrap();
        for path in [&outside, &inside.join("keyring.json")] {
            fs::write(path, KEYRING).unwrap();
        }
        for mode in [0o640, 0o604, 0o620, 0o601, 0o777] {
            fs::set_permissions(&outside, fs::Permissions::from_mode(mode)).unwrap();
            let error = load_error(&outside, None);
            assert!(
                error.contains(&format!("mode is {mode:o}")) && error.contains("`chmod 600 /"),
                "{error}"
            );
            assert!(load_error(&inside.join("../keyring.json"), Some(&inside)).contains("chmod"));
            let there = inside.join("keyring.json");
            fs::set_permissions(&there, fs::Permissions::from_mode(mode)).unwrap();
            assert!(load_file(&there, Some(&inside)).is_ok());
            assert!(load_file(&there, Some(Path::new(""))).is_err());
        }
        fs::set_permissions(&outside, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(load_file(&outside, None).unwrap().current().unwrap().as_str(), "k");
    }

    #[test]
    fn malformed_keyring_is_reported_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let root = Some(folder.path());
        let path = folder.path().join("keyring.json");
        assert!(load_error(&path, root).contains("can't read the keyring `/"));
        assert!(load_error(folder.path(), root).contains("can't read the keyring `/"));
        let larger = " ".repeat(private_file::MAX_BYTES);
        for (bytes, error) in [
            (larger.as_bytes(), "more than 65536 bytes"),
            (b"\xff", "can't read the keyring"),
            (b"{", "keyring.json`: the keyring is not JSON"),
        ] {
            fs::write(&path, bytes).unwrap();
            assert!(load_error(&path, root).contains(error), "{}", load_error(&path, root));
        }
    }
}
