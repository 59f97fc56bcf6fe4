//! The signature algorithms that are known.

/// A signature algorithm by its name in RFC 7518 and RFC 8037.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// `EdDSA` on Ed25519; Ed448 has the same name and is not known here.
    EdDsa,
    /// HMAC with SHA-256.
    Hs256,
}

impl Algorithm {
    /// The algorithm with this name. Names are case-sensitive (RFC 7515, section 4.1.1).
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "ES256" => Some(Self::Es256),
            "RS256" => Some(Self::Rs256),
            "EdDSA" => Some(Self::EdDsa),
            "HS256" => Some(Self::Hs256),
            _ => None,
        }
    }

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
            Self::EdDsa => "EdDSA",
            Self::Hs256 => "HS256",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_exact() {
        for algorithm in [Algorithm::Es256, Algorithm::Rs256, Algorithm::EdDsa, Algorithm::Hs256] {
            assert_eq!(Algorithm::named(algorithm.as_str()), Some(algorithm));
            assert_eq!(Algorithm::named(&algorithm.as_str().to_lowercase()), None);
        }
        for other in ["", "none", "None", "nOnE", "NONE", "HS384", "HS512", "ES384", "PS256", "RS1", " ES256"]
        {
            assert_eq!(Algorithm::named(other), None, "{other}");
        }
    }
}
