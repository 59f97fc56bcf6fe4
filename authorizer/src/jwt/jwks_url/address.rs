//! The URL of a JWKS.

use std::{net::IpAddr, str::FromStr};

use hyper::Uri;

/// An `https` URL, or an `http` one to this machine, which tests and a local gateway use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwksAddress(Uri);

/// Why a text is not a [`JwksAddress`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwksAddressError {
    /// It is not a URL with a scheme and a host.
    #[error("not a URL; it should read `https://HOST/PATH`")]
    NotUrl,
    /// It is neither `https` nor `http` to this machine.
    #[error("not an `https` URL; `http` goes to `localhost`, `127.0.0.1` and `[::1]` only")]
    NotHttps,
    /// It holds a user name or a password.
    #[error("a URL with a user name or a password in it; keys are public and need none")]
    UserInfo,
}

impl JwksAddress {
    pub(super) fn uri(&self) -> &Uri {
        &self.0
    }

    pub(super) fn host(&self) -> &str {
        self.0.host().unwrap_or_default()
    }

    pub(super) fn is_https(&self) -> bool {
        self.0.scheme_str() == Some("https")
    }
}

impl FromStr for JwksAddress {
    type Err = JwksAddressError;

    fn from_str(text: &str) -> Result<Self, JwksAddressError> {
        let uri = Uri::from_str(text).map_err(|_| JwksAddressError::NotUrl)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(JwksAddressError::NotUrl);
        };
        if authority.as_str().contains('@') {
            return Err(JwksAddressError::UserInfo);
        }
        match scheme {
            _ if authority.host().is_empty() => Err(JwksAddressError::NotUrl),
            "https" => Ok(Self(uri)),
            "http" if is_this_machine(authority.host()) => Ok(Self(uri)),
            _ => Err(JwksAddressError::NotHttps),
        }
    }
}

fn is_this_machine(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_anywhere_and_http_to_this_machine() {
        for url in [
            "https://example.com/.well-known/jwks.json",
            "https://example.com:8443/keys?a=b",
            "HTTPS://example.com/",
            "http://localhost:8080/jwks.json",
            "http://LOCALHOST/",
            "http://127.0.0.1:1/",
            "http://127.1.2.3/",
            "http://[::1]:8080/",
        ] {
            assert!(url.parse::<JwksAddress>().is_ok(), "{url}");
        }
        for (url, error) in [
            ("", JwksAddressError::NotUrl),
            ("/jwks.json", JwksAddressError::NotUrl),
            ("example.com", JwksAddressError::NotUrl),
            ("https://", JwksAddressError::NotUrl),
            ("https://exa mple.com/", JwksAddressError::NotUrl),
            ("http://example.com/", JwksAddressError::NotHttps),
            ("http://localhost.example.com/", JwksAddressError::NotHttps),
            ("http://10.0.0.1/", JwksAddressError::NotHttps),
            ("http://0.0.0.0/", JwksAddressError::NotHttps),
            ("http://169.254.169.254/latest/meta-data", JwksAddressError::NotHttps),
            ("http://[::ffff:10.0.0.1]/", JwksAddressError::NotHttps),
            ("ftp://example.com/", JwksAddressError::NotHttps),
            ("file:///etc/passwd", JwksAddressError::NotUrl),
            ("https://user:secret@example.com/", JwksAddressError::UserInfo),
            ("http://localhost@example.com/", JwksAddressError::UserInfo),
        ] {
            assert_eq!(url.parse::<JwksAddress>(), Err(error), "{url}");
        }
    }
}
