//! The URL at which a function answers Lambda's Invoke call.

use std::{fmt, str::FromStr};

use hyper::Uri;
use iot_policy::loopback::is_loopback;

/// An `https` URL, or an `http` URL of this machine, because the event contains a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvokeUrl(Uri);

/// Why a text is not an [`InvokeUrl`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvokeUrlError {
    /// It is not a URL with a scheme, a host and a path.
    #[error(
        "not an Invoke URL; it should read `http://127.0.0.1:9000/2015-03-31/functions/NAME/invocations`"
    )]
    NotUrl,
    /// It is neither `https` nor `http` to this machine.
    #[error(
        "the events hold passwords, so `http` goes to `localhost`, `127.0.0.1` and `[::1]` only; use `https`, or \
         forward a port of this machine, for example with `ssh -L 9000:127.0.0.1:9000 HOST`"
    )]
    NotHttps,
    /// It holds a user name or a password.
    #[error("a URL with a user name or a password in it, which the gateway does not send")]
    UserInfo,
}

impl InvokeUrl {
    pub(super) fn uri(&self) -> &Uri {
        &self.0
    }

    pub(super) fn is_https(&self) -> bool {
        self.0.scheme_str() == Some("https")
    }
}

/// Scheme, host and port: the path may be secret.
impl fmt::Display for InvokeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.0.scheme_str().unwrap_or_default();
        write!(f, "{scheme}://{}", self.0.authority().map_or("", hyper::http::uri::Authority::as_str))
    }
}

impl FromStr for InvokeUrl {
    type Err = InvokeUrlError;

    fn from_str(text: &str) -> Result<Self, InvokeUrlError> {
        let uri = Uri::from_str(text).map_err(|_| InvokeUrlError::NotUrl)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(InvokeUrlError::NotUrl);
        };
        if authority.as_str().contains('@') {
            return Err(InvokeUrlError::UserInfo);
        }
        match scheme {
            _ if authority.host().is_empty() || uri.path() == "/" => Err(InvokeUrlError::NotUrl),
            "https" => Ok(Self(uri)),
            "http" if is_loopback(authority.host()) => Ok(Self(uri)),
            "http" => Err(InvokeUrlError::NotHttps),
            _ => Err(InvokeUrlError::NotUrl),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_anywhere_and_http_to_this_machine() {
        for url in [
            "http://127.0.0.1:9000/2015-03-31/functions/latchkey-authorizer/invocations",
            "http://localhost:9000/lambda",
            "HTTP://LOCALHOST/x",
            "http://[::1]:8080/2015-03-31/functions/function/invocations",
            "https://example.com/2015-03-31/functions/f/invocations?Qualifier=1",
        ] {
            assert!(url.parse::<InvokeUrl>().is_ok(), "{url}");
        }
        for (url, error) in [
            ("", InvokeUrlError::NotUrl),
            ("127.0.0.1:9000", InvokeUrlError::NotUrl),
            ("localhost:9000/2015-03-31/functions/f/invocations", InvokeUrlError::NotUrl),
            ("http://127.0.0.1:9000", InvokeUrlError::NotUrl),
            ("http://127.0.0.1:9000/", InvokeUrlError::NotUrl),
            ("https:///path", InvokeUrlError::NotUrl),
            ("ftp://127.0.0.1/path", InvokeUrlError::NotUrl),
            ("http://example.com/f", InvokeUrlError::NotHttps),
            ("http://localhost.example.com/f", InvokeUrlError::NotHttps),
            ("http://10.0.0.1:9000/f", InvokeUrlError::NotHttps),
            ("http://0.0.0.0:9000/f", InvokeUrlError::NotHttps),
            ("http://[::ffff:10.0.0.1]/f", InvokeUrlError::NotHttps),
            ("https://user:secret@example.com/f", InvokeUrlError::UserInfo),
            ("http://localhost@example.com/f", InvokeUrlError::UserInfo),
        ] {
            assert_eq!(url.parse::<InvokeUrl>(), Err(error), "{url}");
        }
    }

    #[test]
    fn only_where_it_leads_is_shown() {
        let url = "https://example.com:8443/secret?token=secret".parse::<InvokeUrl>().unwrap();
        assert_eq!(url.to_string(), "https://example.com:8443");
    }
}
