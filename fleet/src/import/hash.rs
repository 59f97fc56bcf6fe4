//! Hashes of passwords as other programs write them, as verifiers.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};
use device_auth::verifier::{Verifier, VerifierError};

/// Why a text is not the hash of a password. No message repeats it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HashError {
    #[error("the hash is {0}, which the function can't check: set a new password for this user")]
    Unsupported(&'static str),
    #[error("the user has no usable password: set one, or leave the user out")]
    Unusable,
    #[error(
        "it is not a hash in a form that is known: a password in plain text goes into CSV with a column `password`, and \
         docs/records.md has the forms"
    )]
    Unknown,
    #[error("the hash has not the form {0}")]
    Form(&'static str),
    #[error(transparent)]
    Verifier(#[from] VerifierError),
}

/// How EMQX hashes passwords. Its export does not say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmqxHash {
    /// bcrypt, and else SHA-256 or SHA-512 over salt and password, by the length of the hash.
    ByForm,
    /// SHA-256 or SHA-512 over password and salt.
    Suffix,
    /// PBKDF2 with SHA-256 or SHA-512, by the length of the hash.
    Pbkdf2 {
        /// The number of iterations.
        iterations: u32,
    },
    /// The passwords themselves.
    Plain,
}

/// A text that is not an [`EmqxHash`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it should be `prefix`, `suffix`, `pbkdf2:ITERATIONS` or `plain`")]
pub struct EmqxHashError;

impl std::str::FromStr for EmqxHash {
    type Err = EmqxHashError;

    fn from_str(text: &str) -> Result<Self, EmqxHashError> {
        match (text, text.strip_prefix("pbkdf2:")) {
            ("prefix", _) => Ok(Self::ByForm),
            ("suffix", _) => Ok(Self::Suffix),
            ("plain", _) => Ok(Self::Plain),
            (_, Some(iterations)) => {
                iterations.parse().map(|iterations| Self::Pbkdf2 { iterations }).map_err(|_| EmqxHashError)
            }
            _ => Err(EmqxHashError),
        }
    }
}

const DJANGO_PBKDF2: &str = "`pbkdf2_sha256$ITERATIONS$SALT$HASH`, as Django writes it";
const GO_AUTH: &str = "`PBKDF2$sha512$ITERATIONS$SALT$HASH`, as mosquitto-go-auth writes it";

/// The beginnings of hashes that can't be checked, and their names.
const UNSUPPORTED: [(&str, &str); 18] = [
    ("$apr1$", "Apache's MD5"),
    ("$1$", "crypt's MD5"),
    ("$5$", "crypt's SHA-256"),
    ("$6$rounds=", "crypt's SHA-512"),
    ("$y$", "yescrypt"),
    ("$scrypt$", "scrypt"),
    ("$bcrypt-sha256$", "passlib's bcrypt over SHA-256"),
    ("$pbkdf2$", "PBKDF2 with SHA-1"),
    ("$pbkdf2-sha1$", "PBKDF2 with SHA-1"),
    ("$argon2d$", "Argon2d"),
    ("{", "an LDAP hash, such as SHA-1"),
    ("bcrypt_sha256$", "Django's bcrypt over SHA-256"),
    ("pbkdf2_sha1$", "PBKDF2 with SHA-1"),
    ("scrypt$", "scrypt"),
    ("md5$", "MD5"),
    ("sha1$", "SHA-1"),
    ("unsalted_", "a hash without a salt"),
    ("PBKDF2$sha1$", "PBKDF2 with SHA-1"),
];

/// The verifier of a hash that names its own form.
pub(super) fn verifier(text: &str) -> Result<Verifier, HashError> {
    if text.is_empty() || text.starts_with(['!', '*']) {
        return Err(HashError::Unusable);
    }
    if let Some((_, name)) = UNSUPPORTED.iter().find(|(start, _)| text.starts_with(start)) {
        return Err(HashError::Unsupported(name));
    }
    if let Some(fields) = text.strip_prefix("PBKDF2$") {
        return go_auth(fields);
    }
    if let Some(fields) = text.strip_prefix("pbkdf2_sha256$") {
        return django_pbkdf2(fields);
    }
    let inner = text.strip_prefix("argon2").filter(|rest| rest.starts_with("$argon2"));
    let inner = inner.or_else(|| text.strip_prefix("bcrypt$"));
    let text = inner.unwrap_or(text);
    if !text.starts_with('$') {
        return Err(HashError::Unknown);
    }
    let is_crypt = |verifier: Result<Verifier, VerifierError>| match verifier {
        // mosquitto's own form has another alphabet, and padding.
        Err(_) if text.starts_with("$6$") => Err(HashError::Unsupported("crypt's SHA-512")),
        other => Ok(other?),
    };
    is_crypt(Verifier::try_from(text.to_owned()))
}

fn go_auth(fields: &str) -> Result<Verifier, HashError> {
    let fields = fields.split('$').collect::<Vec<_>>();
    let [hash @ ("sha256" | "sha512"), iterations, salt, digest] = fields.as_slice() else {
        return Err(HashError::Form(GO_AUTH));
    };
    let decoded = STANDARD.decode(salt).ok().zip(STANDARD.decode(digest).ok());
    let (salt, digest) = decoded.ok_or(HashError::Form(GO_AUTH))?;
    pbkdf2(hash, iterations, &salt, &digest)
}

fn django_pbkdf2(fields: &str) -> Result<Verifier, HashError> {
    let fields = fields.split('$').collect::<Vec<_>>();
    let [iterations, salt, digest] = fields.as_slice() else { return Err(HashError::Form(DJANGO_PBKDF2)) };
    let digest = STANDARD.decode(digest).map_err(|_| HashError::Form(DJANGO_PBKDF2))?;
    pbkdf2("sha256", iterations, salt.as_bytes(), &digest)
}

/// A PHC string.
fn pbkdf2(hash: &str, iterations: &str, salt: &[u8], digest: &[u8]) -> Result<Verifier, HashError> {
    let (length, salt, digest) = (digest.len(), STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(digest));
    Ok(Verifier::try_from(format!("$pbkdf2-{hash}$i={iterations},l={length}${salt}${digest}"))?)
}

/// The verifier of a hash in an export of EMQX. Its salt is a text.
pub(super) fn of_emqx(hash: &str, salt: &str, form: EmqxHash) -> Result<Verifier, HashError> {
    if hash.starts_with('$') {
        return verifier(hash);
    }
    let digest = hex::decode(hash).map_err(|_| HashError::Unknown)?;
    let name = match digest.len() {
        32 => "sha256",
        64 => "sha512",
        16 => return Err(HashError::Unsupported("MD5")),
        20 => return Err(HashError::Unsupported("SHA-1")),
        _ => return Err(HashError::Unknown),
    };
    if salt.is_empty() {
        return Err(HashError::Unsupported("without a salt"));
    }
    let side = match form {
        EmqxHash::Pbkdf2 { iterations } => {
            return pbkdf2(name, &iterations.to_string(), salt.as_bytes(), &digest);
        }
        EmqxHash::Suffix => "-suffix",
        EmqxHash::ByForm | EmqxHash::Plain => "",
    };
    let (salt, digest) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(digest));
    Ok(Verifier::try_from(format!("${name}{side}${salt}${digest}"))?)
}
