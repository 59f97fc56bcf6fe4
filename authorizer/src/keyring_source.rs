//! Where the keyring comes from.

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
/// `root` is the function's own folder, if there is one (`LAMBDA_TASK_ROOT`). A keyring file in it may be readable by
/// everybody: everything in a function's package is, and only the function sees it.
///
/// # Errors
///
/// When a file can't be read, is not what it should be or can be read by others, or KMS doesn't decrypt it.
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
    // Only KMS can decrypt it, so everybody may read it.
    let text = private_file::read(path, "keyring", Readers::Everybody)?;
    kms::decrypt_keyring(path, &text, aws).await
}

/// What is in a function's package everybody can read, and only the function sees it; any other file has to be its
/// owner's alone.
fn load_file(path: &Path, root: Option<&Path>) -> Result<Keyring, KeyringSourceError> {
    let readers =
        if root.is_some_and(|root| lies_under(path, root)) { Readers::Everybody } else { Readers::Owner };
    let text = private_file::read(path, "keyring", readers)?;
    Keyring::parse(&text).map_err(|error| KeyringSourceError::Keyring { path: path.to_owned(), error })
}

/// As they are on the disk, without links and `..`.
fn lies_under(path: &Path, root: &Path) -> bool {
    match (path.canonicalize(), root.canonicalize()) {
        (Ok(path), Ok(root)) => path.starts_with(root),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const KEYRING: &str =
        r#"{"version":1,"current":"k","keys":{"k":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}}"#;

    fn told(path: &Path, root: Option<&Path>) -> String {
        load_file(path, root).err().unwrap().to_string()
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_can_read_is_refused_unless_it_comes_with_the_function() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        let (inside, outside) = (folder.path().join("task"), folder.path().join("keyring.json"));
        fs::create_dir(&inside).unwrap();
        for path in [&outside, &inside.join("keyring.json")] {
            fs::write(path, KEYRING).unwrap();
        }
        for mode in [0o640, 0o604, 0o620, 0o601, 0o777] {
            fs::set_permissions(&outside, fs::Permissions::from_mode(mode)).unwrap();
            let error = told(&outside, None);
            assert!(
                error.contains(&format!("mode is {mode:o}")) && error.contains("`chmod 600 /"),
                "{error}"
            );
            assert!(told(&inside.join("../keyring.json"), Some(&inside)).contains("chmod"));
            let there = inside.join("keyring.json");
            fs::set_permissions(&there, fs::Permissions::from_mode(mode)).unwrap();
            assert!(load_file(&there, Some(&inside)).is_ok());
            assert!(load_file(&there, Some(Path::new(""))).is_err());
        }
        fs::set_permissions(&outside, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(load_file(&outside, None).unwrap().current().unwrap().as_str(), "k");
    }

    #[test]
    fn what_is_no_keyring_is_told_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let root = Some(folder.path());
        let path = folder.path().join("keyring.json");
        assert!(told(&path, root).contains("can't read the keyring `/"));
        assert!(told(folder.path(), root).contains("can't read the keyring `/"));
        let larger = " ".repeat(private_file::MAX_BYTES);
        for (bytes, error) in [
            (larger.as_bytes(), "more than 65536 bytes"),
            (b"\xff", "can't read the keyring"),
            (b"{", "keyring.json`: the keyring is not JSON"),
        ] {
            fs::write(&path, bytes).unwrap();
            assert!(told(&path, root).contains(error), "{}", told(&path, root));
        }
    }
}
