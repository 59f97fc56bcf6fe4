//! The headers and the query string of an HTTPS publish or of an upgrade to WebSocket, which an authorizer sees.
//!
//! Source: AWS IoT Core developer guide, `custom-auth` and `custom-auth-lambda`.

use std::collections::BTreeMap;

use hyper::{
    HeaderMap,
    header::{CONTENT_LENGTH, HOST},
    http::{request::Parts, uri::Authority},
};
use zeroize::Zeroizing;

use super::parameters::Parameters;
use crate::settings::LOCAL_NAMES;

/// The headers' values by their names, which are in lower case. The values of a duplicate name are joined
/// with commas, as in RFC 9110 section 5.3 *(guess: a duplicate header is one value with a comma)*.
pub type Headers = BTreeMap<String, Zeroizing<String>>;

/// An HTTP request without its body. It has no `Debug` and is wiped when dropped.
pub struct HttpRequest {
    headers: Headers,
    query_string: Zeroizing<String>,
}

/// A header's value that is not text.
#[derive(Debug, thiserror::Error)]
#[error("the value of the header `{0}` is not UTF-8")]
pub struct NotText(String);

impl HttpRequest {
    /// Reads the headers and the query string.
    ///
    /// # Errors
    ///
    /// When a header's value is not UTF-8: an event is text.
    pub fn read(parts: &Parts) -> Result<Self, NotText> {
        let mut headers = Headers::new();
        for (name, value) in &parts.headers {
            let value = std::str::from_utf8(value.as_bytes()).map_err(|_| NotText(name.to_string()))?;
            headers
                .entry(name.as_str().to_owned())
                .and_modify(|earlier| {
                    earlier.push_str(", ");
                    earlier.push_str(value);
                })
                .or_insert_with(|| Zeroizing::new(value.to_owned()));
        }
        let query_string = Zeroizing::new(parts.uri.query().unwrap_or_default().to_owned());
        Ok(Self { headers, query_string })
    }

    /// The headers.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The query string as sent, without its `?`; empty if there is none.
    #[must_use]
    pub fn query_string(&self) -> &str {
        &self.query_string
    }

    /// The host name or address in the `Host` header, without its port.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        without_port(self.headers.get(HOST.as_str())?)
    }

    /// The bytes of the headers and the query string.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len());
        headers.sum::<usize>() + self.query_string.len()
    }

    /// Whether another request has the same query string and the same headers, except for `Content-Length`.
    #[must_use]
    pub fn presents_the_same(&self, other: &Self) -> bool {
        fn headers(of: &HttpRequest) -> impl Iterator<Item = (&String, &Zeroizing<String>)> {
            of.headers.iter().filter(|(name, _)| *name != CONTENT_LENGTH.as_str())
        }
        self.query_string == other.query_string && headers(self).eq(headers(other))
    }

    /// The parameters that choose the authorizer and carry the token.
    #[must_use]
    pub fn parameters(&self) -> Parameters<'_> {
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        Parameters::default().with_query(&self.query_string).with_headers(headers)
    }
}

/// The host name or address in the `Host` header, without its port.
#[must_use]
pub fn host(headers: &HeaderMap) -> Option<&str> {
    without_port(headers.get(HOST)?.to_str().ok()?)
}

/// Whether the `Host` header names this machine, as it has to at the ports that are open to this machine only.
#[must_use]
pub fn is_for_this_machine(headers: &HeaderMap) -> bool {
    let name = host(headers).unwrap_or_default().trim_matches(['[', ']']);
    LOCAL_NAMES.iter().any(|local| name.eq_ignore_ascii_case(local))
}

fn without_port(host: &str) -> Option<&str> {
    let authority = host.parse::<Authority>().ok().filter(|_| !host.contains('@'))?;
    // The parsed value is a copy, so the name is taken from the header.
    host.get(..authority.host().len()).filter(|host| !host.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(uri: &str, headers: &[(&str, &[u8])]) -> Result<HttpRequest, NotText> {
        let mut request = hyper::Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        HttpRequest::read(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn authorizer_is_named_in_a_header_or_in_the_query_string() {
        let header: &[(&str, &[u8])] = &[("X-Amz-CustomAuthorizer-Name", b"h")];
        let name = |uri: &str, headers| {
            let request = read(uri, headers).unwrap();
            request.parameters().authorizer().map(|name| name.map(|name| name.to_string()))
        };
        let cases = [
            ("/mqtt", &[][..], None),
            ("/mqtt?", &[], None),
            ("/mqtt?a=b", &[], None),
            ("/mqtt?x-amz-customauthorizer-name=a", &[], Some("a")),
            ("/mqtt?a=b&x-amz-customauthorizer-name=a%40b%3D&c", &[], Some("a@b=")),
            ("/mqtt?X-AMZ-CUSTOMAUTHORIZER-NAME=a", &[], None),
            ("/mqtt", header, Some("h")),
        ];
        for (uri, headers, expected) in cases {
            assert_eq!(name(uri, headers), Ok(expected.map(str::to_owned)), "{uri}");
        }
        assert!(name("/mqtt?x-amz-customauthorizer-name=h", header).is_err(), "it is a duplicate");
    }

    #[test]
    fn requests_that_differ_in_their_content_length_present_the_same() {
        let [a, b, empty] = [&b"a"[..], b"b", b""];
        let one = read("/topics/a?qos=1", &[("authorization", a), ("content-length", b"1")]).unwrap();
        let same = read("/topics/b?qos=1", &[("content-length", b"22"), ("authorization", a)]).unwrap();
        assert!(one.presents_the_same(&same));
        let others: [(_, &[_]); 4] = [
            ("/topics/a", &[("authorization", a)]),
            ("/topics/a?qos=1", &[("authorization", b)]),
            ("/topics/a?qos=1", &[]),
            ("/topics/a?qos=1", &[("authorization", a), ("x", empty)]),
        ];
        for (uri, headers) in others {
            assert!(!one.presents_the_same(&read(uri, headers).unwrap()), "{uri} {headers:?}");
        }
    }

    #[test]
    fn host_is_without_its_port() {
        for (host, name) in [
            ("iot.example.com", Some("iot.example.com")),
            ("iot.example.com:443", Some("iot.example.com")),
            ("[::1]:443", Some("[::1]")),
            ("", None),
            ("a b", None),
            ("user@host", None),
        ] {
            assert_eq!(read("/", &[("Host", host.as_bytes())]).unwrap().host(), name, "{host}");
        }
        assert_eq!(read("/", &[]).unwrap().host(), None);
    }

    #[test]
    fn header_that_is_not_text_is_an_error_without_its_value() {
        let error = read("/", &[("authorization", b"secret\xff")]).err().unwrap().to_string();
        assert_eq!(error, "the value of the header `authorization` is not UTF-8");
    }
}
