//! Device records that `fleet` would not write.

use std::path::Path;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use device_auth::{
    scheme::Scheme,
    seal::SealedSecret,
    store::document::{RecordDocument, SecretDocument, StoreDocument},
    verifier::{LiveVerifier, Verifier},
};
use fleet::store_file::StoreFile;
use serde_json::json;

use crate::device_certificate::DeviceCertificate;

/// The name of the grant of [`add_viewer`].
const VIEWER: &str = "viewer";

/// Adds a device with a password of the test's choice, any bytes.
pub fn add(folder: &Path, name: &str, grant: &str, password: &[u8]) {
    change(folder, |document| insert(document, name, grant, password));
}

/// Adds a device that needs this certificate besides its password.
pub fn add_guarded(folder: &Path, name: &str, password: &[u8], certificate: &DeviceCertificate) {
    let id = certificate.registered().id().as_str().to_string();
    change(folder, |document| {
        insert(document, name, "own-topics", password);
        document.devices.get_mut(name).unwrap().certificates = vec![id.try_into().unwrap()];
    });
}

/// Adds a device that may see every SHT20's temperature.
pub fn add_viewer(folder: &Path, name: &str, password: &[u8]) {
    let grant = json!({
        "publish": [], "subscribe": ["sensor/+/temperature"], "receive": ["sensor/*/temperature"], "retain": [],
        "last_will": false, "persistent_session": false,
    });
    change(folder, |document| {
        document.grants.insert(VIEWER.to_owned(), serde_json::from_value(grant).unwrap());
        insert(document, name, VIEWER, password);
    });
}

/// Adds a vendor's device with the grant of its scheme and this client id.
pub fn add_vendors(folder: &Path, name: &str, scheme: Scheme, secret: SecretDocument, client_id: &str) {
    let record = RecordDocument {
        secrets: vec![secret],
        client_ids: Some(vec![client_id.to_owned().try_into().unwrap()]),
        ..RecordDocument::new(scheme, scheme.as_str().to_owned())
    };
    change(folder, |document| _ = document.devices.insert(name.try_into().unwrap(), record));
}

/// Adds a device that presents a token which IoT Core has checked.
pub fn add_token(folder: &Path, name: &str) {
    let record = RecordDocument::new(Scheme::Token, "own-topics".to_owned());
    change(folder, |document| _ = document.devices.insert(name.try_into().unwrap(), record));
}

/// A secret in plain text, as a record holds it.
pub fn plain(secret: &str) -> SealedSecret {
    let text = format!("$plain${}", STANDARD_NO_PAD.encode(secret));
    SealedSecret::try_from(text).unwrap()
}

/// Refuses a device from now on.
pub fn disable(folder: &Path, name: &str) {
    change(folder, |document| document.devices.get_mut(name).unwrap().enabled = false);
}

fn change(folder: &Path, change: impl FnOnce(&mut StoreDocument)) {
    let mut file = StoreFile::open(&folder.join("devices.json")).unwrap();
    change(file.document_mut());
    file.save().unwrap();
}

fn insert(document: &mut StoreDocument, name: &str, grant: &str, password: &[u8]) {
    let verifier = Verifier::of_generated(password, [7; 16]);
    let record = RecordDocument {
        verifiers: vec![LiveVerifier { verifier, expires_at: None }],
        ..RecordDocument::new(Scheme::Password, grant.to_owned())
    };
    document.devices.insert(name.try_into().unwrap(), record);
}
