//! The signer of devices' tokens: an RSA key made for one test.

use std::collections::BTreeMap;

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_SHA256},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use gateway::custom_auth::signing::{Signing, SigningKey, SigningKeys};

/// A private key of 2,048 bits.
pub struct TokenSigner(KeyPair);

impl TokenSigner {
    /// A new key.
    pub fn generate() -> Self {
        Self(KeyPair::generate(KeySize::Rsa2048).unwrap())
    }

    /// The token's signature, as base64.
    pub fn sign(&self, token: &str) -> String {
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), token.as_bytes(), &mut signature).unwrap();
        STANDARD.encode(signature)
    }

    /// The public key, as PEM.
    pub fn public_pem(&self) -> String {
        let der: PublicKeyX509Der = self.0.public_key().as_der().unwrap();
        let base64 = STANDARD.encode(der.as_ref());
        let lines = base64.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap());
        let lines = lines.collect::<Vec<_>>().join("\n");
        format!("-----BEGIN PUBLIC KEY-----\n{lines}\n-----END PUBLIC KEY-----\n")
    }
}

/// Signing by any of these, with the token under `key`.
pub fn signed_by(key: &str, signers: &[&TokenSigner]) -> Signing {
    let public = |signer: &&TokenSigner| SigningKey::from_pem(&signer.public_pem()).unwrap();
    let keys: BTreeMap<_, _> =
        signers.iter().enumerate().map(|(n, signer)| (format!("key-{n}"), public(signer))).collect();
    Signing::Enabled(key.try_into().unwrap(), SigningKeys::new(keys).unwrap())
}

/// A value as a URL takes it, every character encoded that could mean something.
pub fn url_encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
