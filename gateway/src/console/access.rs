//! Who may use the console: whoever has its token, from this machine, and from no other page.
//!
//! `console.json` in the data folder has the token, and only its owner can read it. It is made at the first start and stays, so a
//! page that is open goes on working after a restart. The link has it as a parameter; the page's requests then have it in a cookie,
//! which no script can read and which no other site's page can have sent.

use std::{fmt, net::SocketAddr, path::Path};

use anyhow::Context as _;
use aws_lc_rs::{constant_time, rand};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hyper::{
    HeaderMap, Method,
    header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, ORIGIN},
    http::request::Parts,
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{certificate::write_private, custom_auth::http_request::is_for_this_machine};

/// The file's name in the data folder.
pub const FILE: &str = "console.json";
/// The parameter of the link.
const PARAMETER: &str = "token";
const SEC_FETCH_SITE: &str = "sec-fetch-site";
const SEC_FETCH_MODE: &str = "sec-fetch-mode";

/// The console's token, and where the console is.
pub struct Access {
    token: Zeroizing<String>,
    /// Browsers send a cookie to every port of a host, so its name has the port.
    cookie: String,
    /// The link that opens the console.
    link: Zeroizing<String>,
}

/// What `console.json` says.
#[derive(Deserialize, Serialize)]
pub struct ConsoleFile {
    /// The link that opens the console, with the token.
    pub link: Zeroizing<String>,
    /// The token alone, for `Authorization: Bearer`.
    pub token: Zeroizing<String>,
}

/// How a request that is admitted came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// By the link: the answer sets the cookie.
    Link,
    /// By the cookie, or by a script's header.
    Token,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is for another host.
    #[error("the Host header has to be localhost, 127.0.0.1 or [::1]")]
    Host,
    /// It comes from another page.
    #[error("pages of other origins can't use the console")]
    Origin,
    /// It has no token, or a wrong one.
    #[error(
        "the console needs its token: open the link that `latchkey local` prints; `{FILE}` in the data folder has it too"
    )]
    Token,
    /// It changes something, and its body is not JSON.
    #[error("a request that changes something needs `Content-Type: application/json`")]
    ContentType,
}

impl ConsoleFile {
    /// Reads the file of a data folder.
    ///
    /// # Errors
    ///
    /// When it can't be read, or others can read it too.
    pub fn read(data: &Path) -> anyhow::Result<Self> {
        let path = data.join(FILE);
        let text = cli::private_file::read(&path, "console's token", cli::private_file::Readers::Owner)?;
        // The parser's own message could repeat the token.
        serde_json::from_str(&text).ok().with_context(|| {
            format!(
                "`{}` is not what the gateway wrote; delete it and start the gateway again",
                path.display()
            )
        })
    }
}

impl Access {
    /// Reads the token of a data folder, or makes one there, and writes the link.
    ///
    /// # Errors
    ///
    /// When the file can't be read or written.
    pub fn open(data: &Path, address: SocketAddr) -> anyhow::Result<Self> {
        let path = data.join(FILE);
        let token = if path.exists() {
            ConsoleFile::read(data)?.token
        } else {
            let mut bytes = Zeroizing::new([0; 32]);
            rand::fill(bytes.as_mut_slice()).ok().context("the system gives no random numbers")?;
            Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()))
        };
        let link = Zeroizing::new(format!("http://{address}/?{PARAMETER}={}", token.as_str()));
        let file = ConsoleFile { link: link.clone(), token: token.clone() };
        write_private(&path, &Zeroizing::new(serde_json::to_string_pretty(&file)?))?;
        Ok(Self { token, cookie: format!("latchkey_console_{}", address.port()), link })
    }

    /// The link that opens the console.
    #[must_use]
    pub fn link(&self) -> &str {
        &self.link
    }

    /// The cookie that the page's further requests present.
    #[must_use]
    pub fn set_cookie(&self) -> String {
        format!("{}={}; Path=/; HttpOnly; SameSite=Strict", self.cookie, self.token.as_str())
    }

    /// Whether a request may be carried out.
    ///
    /// # Errors
    ///
    /// When it may not.
    pub fn admit(&self, parts: &Parts) -> Result<Admission, Refusal> {
        let headers = &parts.headers;
        // A web page's own name may have been made to point here (DNS rebinding).
        if !is_for_this_machine(headers) {
            return Err(Refusal::Host);
        }
        let is_link =
            parts.method == Method::GET && parts.uri.path() == "/" && self.has_link(parts.uri.query());
        let navigates = text(headers, SEC_FETCH_MODE).is_none_or(|mode| mode == "navigate");
        let site = text(headers, SEC_FETCH_SITE);
        let is_own_page = match text(headers, ORIGIN.as_str()) {
            Some(origin) => text(headers, HOST.as_str()).is_some_and(|host| {
                origin.strip_prefix("http://").is_some_and(|it| it.eq_ignore_ascii_case(host))
            }),
            None => matches!(site, None | Some("same-origin" | "none")) || (is_link && navigates),
        };
        if !is_own_page || (!is_link && matches!(site, Some("same-site" | "cross-site"))) {
            return Err(Refusal::Origin);
        }
        if is_link {
            return Ok(Admission::Link);
        }
        let by_script = self.has_bearer(headers);
        if !by_script && !self.has_cookie(headers) {
            return Err(Refusal::Token);
        }
        if !matches!(parts.method, Method::GET | Method::HEAD) {
            // A browser names the origin of every such request. A form of another page can't have this type of body.
            if !by_script && !headers.contains_key(ORIGIN) && site != Some("same-origin") {
                return Err(Refusal::Origin);
            }
            let content_type = text(headers, CONTENT_TYPE.as_str()).unwrap_or_default();
            if content_type.split(';').next().map(str::trim) != Some("application/json") {
                return Err(Refusal::ContentType);
            }
        }
        Ok(Admission::Token)
    }

    fn has_link(&self, query: Option<&str>) -> bool {
        form_urlencoded::parse(query.unwrap_or_default().as_bytes())
            .any(|(name, value)| name == PARAMETER && self.is_token(&value))
    }

    fn has_bearer(&self, headers: &HeaderMap) -> bool {
        let bearer = text(headers, AUTHORIZATION.as_str()).and_then(|value| value.strip_prefix("Bearer "));
        bearer.is_some_and(|token| self.is_token(token))
    }

    fn has_cookie(&self, headers: &HeaderMap) -> bool {
        let values = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        values
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .any(|(name, value)| name == self.cookie && self.is_token(value))
    }

    fn is_token(&self, text: &str) -> bool {
        constant_time::verify_slices_are_equal(text.as_bytes(), self.token.as_bytes()).is_ok()
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap_or_default())
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("cookie", &self.cookie).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Headers<'a> = &'a [(&'a str, &'a str)];
    type Admitted = Result<Admission, Refusal>;

    fn access() -> (Access, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let access = Access::open(folder.path(), "127.0.0.1:19090".parse().unwrap()).unwrap();
        (access, folder)
    }

    fn admit(
        access: &Access,
        method: &str,
        uri: &str,
        headers: &[(&str, &str)],
    ) -> Result<Admission, Refusal> {
        let mut request = hyper::Request::builder().method(method).uri(uri);
        let mut all = vec![("host", "127.0.0.1:19090")];
        all.retain(|(name, _)| headers.iter().all(|(other, _)| other != name));
        for (name, value) in all.iter().chain(headers) {
            request = request.header(*name, *value);
        }
        access.admit(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn only_requests_of_the_own_page_with_the_token_are_admitted() {
        let (access, _folder) = access();
        let cookie = format!("a=b; latchkey_console_19090={}", access.token.as_str());
        let (cookie, bearer) = (("cookie", &*cookie), format!("Bearer {}", access.token.as_str()));
        let bearer = ("authorization", &*bearer);
        let (json, own) = (("content-type", "application/json"), ("origin", "http://127.0.0.1:19090"));
        let link = access.link.strip_prefix("http://127.0.0.1:19090").unwrap();
        let cases: &[(&str, &str, Headers<'_>, Admitted)] = &[
            ("GET", link, &[], Ok(Admission::Link)),
            (
                "GET",
                link,
                &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")],
                Ok(Admission::Link),
            ),
            (
                "GET",
                link,
                &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")],
                Err(Refusal::Origin),
            ),
            ("GET", link, &[("origin", "http://evil.example")], Err(Refusal::Origin)),
            ("GET", link, &[("host", "evil.example")], Err(Refusal::Host)),
            ("POST", link, &[json], Err(Refusal::Token)),
            ("GET", "/", &[], Err(Refusal::Token)),
            ("GET", "/?token=old", &[], Err(Refusal::Token)),
            ("GET", "/a", &[cookie], Ok(Admission::Token)),
            ("GET", "/a", &[bearer], Ok(Admission::Token)),
            ("GET", "/a", &[("authorization", "Bearer old")], Err(Refusal::Token)),
            ("GET", "/a", &[("cookie", "latchkey_console_19090=old")], Err(Refusal::Token)),
            ("GET", "/a", &[("cookie", "latchkey_console_1=old")], Err(Refusal::Token)),
            ("GET", "/a", &[cookie, ("sec-fetch-site", "same-origin")], Ok(Admission::Token)),
            // Another port of this machine is the same site.
            ("GET", "/a", &[cookie, ("sec-fetch-site", "same-site")], Err(Refusal::Origin)),
            ("GET", "/a", &[cookie, ("origin", "http://127.0.0.1:3000")], Err(Refusal::Origin)),
            ("GET", "/a", &[cookie, ("origin", "https://127.0.0.1:19090")], Err(Refusal::Origin)),
            ("GET", "/a", &[cookie, ("origin", "null")], Err(Refusal::Origin)),
            ("GET", "/a", &[cookie, own], Ok(Admission::Token)),
            ("GET", "/a", &[cookie, ("host", "localhost.evil.example")], Err(Refusal::Host)),
            ("GET", "/a", &[bearer, ("host", "")], Err(Refusal::Host)),
            ("POST", "/a", &[cookie, own, json], Ok(Admission::Token)),
            ("POST", "/a", &[cookie, json], Err(Refusal::Origin)),
            ("POST", "/a", &[cookie, json, ("sec-fetch-site", "same-origin")], Ok(Admission::Token)),
            ("POST", "/a", &[bearer, json], Ok(Admission::Token)),
            ("POST", "/a", &[cookie, own, ("content-type", "text/plain")], Err(Refusal::ContentType)),
            ("DELETE", "/a", &[cookie, own], Err(Refusal::ContentType)),
        ];
        for (method, uri, headers, expected) in cases {
            assert_eq!(admit(&access, method, uri, headers), *expected, "{method} {uri} {headers:?}");
        }
    }

    #[test]
    fn token_stays_until_its_file_is_deleted() {
        let (first, folder) = access();
        let open = || Access::open(folder.path(), "127.0.0.1:1".parse().unwrap()).unwrap();
        assert_eq!(open().token, first.token);
        std::fs::remove_file(folder.path().join(FILE)).unwrap();
        assert_ne!(open().token, first.token);
        assert_eq!(first.token.len(), 43);
        assert!(!format!("{first:?}").contains(first.token.as_str()));
    }
}
