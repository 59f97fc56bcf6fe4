//! A public key in PEM form (RFC 7468). Its algorithm follows from its type.

use super::{
    key::Key,
    keys_error::{KeyError, KeysError},
};

/// The one key in `text`. Words before and after the block are passed over, as RFC 7468 has it.
pub(super) fn key(text: &str) -> Result<Key, KeysError> {
    // Looked for in the text itself, so that a private key is called one even where its block is damaged.
    if text.contains("PRIVATE KEY-----") {
        return Err(KeysError::PrivatePem);
    }
    let blocks = pem::parse_many(text).map_err(|_| KeysError::NoPem)?;
    let [block] = blocks.as_slice() else {
        return Err(if blocks.is_empty() { KeysError::NoPem } else { KeysError::SeveralPem(blocks.len()) });
    };
    match block.tag() {
        "PUBLIC KEY" => of_some_type(block.contents()).map_err(KeysError::Key),
        "RSA PUBLIC KEY" => Key::rsa(block.contents()).map_err(KeysError::Key),
        "CERTIFICATE" => Err(KeysError::Certificate),
        _ => Err(KeysError::OtherPem),
    }
}

/// The types are tried in turn: each reads the type's own identifier first and takes no other's.
fn of_some_type(der: &[u8]) -> Result<Key, KeyError> {
    match Key::ec(der).or_else(|_| Key::ed25519(der)).or_else(|_| Key::rsa(der)) {
        Err(KeyError::Invalid) => Err(KeyError::UnknownType),
        result => result,
    }
}
