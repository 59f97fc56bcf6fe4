//! AWS Signature Version 4: whether a request was signed with the gateway's key.
//!
//! Source: AWS IAM user guide, `reference_sigv-create-signed-request` and `reference_sigv-troubleshooting`. Only the form with
//! an `Authorization` header is accepted, which is the one that the SDKs and the AWS CLI send; so the body is always signed.

use aws_lc_rs::{
    digest::{SHA256, digest},
    hmac,
};
use hyper::{HeaderMap, Method, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use time::{
    OffsetDateTime, PrimitiveDateTime, format_description::BorrowedFormatItem, macros::format_description,
};

use super::key::AccessKey;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// By how much a client's clock may differ. AWS's message names this time.
const CLOCK_SKEW: time::Duration = time::Duration::minutes(5);
const DATE_TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[year][month][day]T[hour][minute][second]Z");
/// What a canonical URI and query have as it is: letters, digits and `-._~`.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const PATH: &AsciiSet = &UNRESERVED.remove(b'/');

/// The `Authorization` header of a request, and its date.
#[derive(Debug)]
pub struct Signature {
    date_time: String,
    scope: String,
    date: String,
    region: String,
    /// The service that the request was signed for, such as `iot`.
    pub service: String,
    signed_headers: Vec<String>,
    bytes: Vec<u8>,
}

/// A request that is not signed as it has to be. No message says what the right signature would be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// There is no signature.
    #[error("Missing Authentication Token")]
    Missing,
    /// A part of the signature is missing or malformed.
    #[error("{0}")]
    Incomplete(&'static str),
    /// The key's id is not the gateway's.
    #[error("The security token included in the request is invalid.")]
    UnknownKey,
    /// The request was signed for another region or service.
    #[error("{0}")]
    Scope(String),
    /// The request's date is too far from now.
    #[error("{0}")]
    Expired(String),
    /// The signature is not that of the request and the key.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and \
         signing method. Consult the service documentation for details."
    )]
    Mismatch,
}

impl Signature {
    /// Reads the headers of a request, and checks what needs no body: the key's id, the region and the date.
    ///
    /// # Errors
    ///
    /// When the request can't be one that was signed with `key` for `region` in the last minutes.
    pub fn read(
        headers: &HeaderMap,
        key: &AccessKey,
        region: &str,
        now: OffsetDateTime,
    ) -> Result<Self, SignatureError> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let authorization = text("authorization").ok_or(SignatureError::Missing)?;
        let parameters = authorization.strip_prefix(ALGORITHM).ok_or(SignatureError::Incomplete(
            "Authorization header requires the algorithm 'AWS4-HMAC-SHA256'.",
        ))?;
        let parameter = |wanted: &str| {
            let all = parameters.split(',').filter_map(|parameter| parameter.trim().split_once('='));
            all.filter(|(name, _)| *name == wanted).map(|(_, value)| value).next()
        };
        let missing = SignatureError::Incomplete;
        let credential = parameter("Credential")
            .ok_or(missing("Authorization header requires 'Credential' parameter."))?;
        let signed_headers = parameter("SignedHeaders")
            .ok_or(missing("Authorization header requires 'SignedHeaders' parameter."))?;
        let signature =
            parameter("Signature").ok_or(missing("Authorization header requires 'Signature' parameter."))?;
        let date_time = text("x-amz-date").ok_or(missing(
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.",
        ))?;
        let (id, scope) = credential.split_once('/').unwrap_or((credential, ""));
        let parts = scope.split('/').collect::<Vec<_>>();
        let [date, scope_region, service, "aws4_request"] = *parts else {
            return Err(missing(
                "Credential must have 5 slash-delimited elements that end with 'aws4_request'.",
            ));
        };
        if id != key.id {
            return Err(SignatureError::UnknownKey);
        }
        if scope_region != region {
            return Err(SignatureError::Scope(format!(
                "Credential should be scoped to a valid region. The region of this gateway is {region}."
            )));
        }
        let at = PrimitiveDateTime::parse(date_time, DATE_TIME)
            .map_err(|_| missing("Date must be in ISO-8601 'basic format', such as 20261130T120000Z."))?
            .assume_utc();
        check_date(at, now)?;
        if !date_time.starts_with(date) {
            return Err(SignatureError::Scope(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP."
                    .to_owned(),
            ));
        }
        let signed_headers = signed_headers.split(';').map(str::to_owned).collect::<Vec<_>>();
        for needed in ["host", "x-amz-date"] {
            if !signed_headers.iter().any(|name| name == needed) {
                return Err(missing("'host' and 'x-amz-date' must be among the signed headers."));
            }
        }
        Ok(Self {
            date_time: date_time.to_owned(),
            scope: scope.to_owned(),
            date: date.to_owned(),
            region: scope_region.to_owned(),
            service: service.to_owned(),
            signed_headers,
            bytes: hex::decode(signature).map_err(|_| SignatureError::Mismatch)?,
        })
    }

    /// Checks that this is the signature of the request under `key`.
    ///
    /// # Errors
    ///
    /// [`SignatureError::Mismatch`] if it is not.
    pub fn verify(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: &[u8],
        key: &AccessKey,
    ) -> Result<(), SignatureError> {
        let payload = hex::encode(digest(&SHA256, body));
        if headers.get("x-amz-content-sha256").is_some_and(|claimed| claimed.as_bytes() != payload.as_bytes())
        {
            return Err(SignatureError::Mismatch);
        }
        let mut request = format!("{method}\n{}\n{}\n", canonical_path(uri.path()), canonical_query(uri));
        for name in &self.signed_headers {
            let values = headers.get_all(name).iter().map(|value| value.to_str().map(one_space));
            let values = values.collect::<Result<Vec<_>, _>>().map_err(|_| SignatureError::Mismatch)?;
            request.extend([name, ":", &values.join(","), "\n"]);
        }
        request.extend(["\n", &self.signed_headers.join(";"), "\n", &payload]);
        let request = hex::encode(digest(&SHA256, request.as_bytes()));
        let text = format!("{ALGORITHM}\n{}\n{}\n{request}", self.date_time, self.scope);
        hmac::verify(&self.signing_key(key), text.as_bytes(), &self.bytes)
            .map_err(|_| SignatureError::Mismatch)
    }

    /// The key of the day, region and service.
    fn signing_key(&self, key: &AccessKey) -> hmac::Key {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, format!("AWS4{}", key.secret.as_str()).as_bytes());
        let parts = [&*self.date, &self.region, &self.service, "aws4_request"];
        parts.into_iter().fold(secret, |key, part| {
            hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref())
        })
    }
}

fn check_date(at: OffsetDateTime, now: OffsetDateTime) -> Result<(), SignatureError> {
    let text = |date: OffsetDateTime| date.format(DATE_TIME).unwrap_or_default();
    let (earliest, latest) = (now - CLOCK_SKEW, now + CLOCK_SKEW);
    if at < earliest {
        return Err(SignatureError::Expired(format!(
            "Signature expired: {} is now earlier than {} ({} - 5 min.)",
            text(at),
            text(earliest),
            text(now)
        )));
    }
    if at > latest {
        return Err(SignatureError::Expired(format!(
            "Signature not yet current: {} is still later than {} ({} + 5 min.)",
            text(at),
            text(latest),
            text(now)
        )));
    }
    Ok(())
}

/// The path without empty and dot segments, and each byte that is not unreserved encoded once more.
fn canonical_path(path: &str) -> String {
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => _ = segments.pop(),
            segment => segments.push(segment),
        }
    }
    let slash = if path.ends_with('/') && !segments.is_empty() { "/" } else { "" };
    utf8_percent_encode(&format!("/{}{slash}", segments.join("/")), PATH).to_string()
}

/// The parameters, encoded again and sorted.
fn canonical_query(uri: &Uri) -> String {
    let encoded = |text: &str| {
        let decoded = percent_decode_str(text).collect::<Vec<_>>();
        percent_encoding::percent_encode(&decoded, UNRESERVED).to_string()
    };
    let parameters = uri.query().unwrap_or_default().split('&').filter(|parameter| !parameter.is_empty());
    let mut parameters = parameters
        .map(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            (encoded(name), encoded(value))
        })
        .collect::<Vec<_>>();
    parameters.sort();
    let parameters = parameters.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
    parameters.join("&")
}

/// A header's value without space around it, and with one space wherever there are several.
fn one_space(value: &str) -> String {
    value.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;
    use time::macros::datetime;
    use zeroize::Zeroizing;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2015-08-30 12:36:00 UTC);

    /// The key of AWS's published examples (`aws-sig-v4-test-suite`).
    fn key() -> AccessKey {
        let secret = Zeroizing::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned());
        AccessKey { id: "AKIDEXAMPLE".to_owned(), secret }
    }

    fn headers(signature: &str) -> HeaderMap {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature={signature}"
        );
        [
            ("host", "example.amazonaws.com"),
            ("x-amz-date", "20150830T123600Z"),
            ("authorization", &authorization),
        ]
        .into_iter()
        .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap()))
        .collect()
    }

    fn verify(
        method: &Method,
        uri: &str,
        signature: &str,
        now: OffsetDateTime,
    ) -> Result<(), SignatureError> {
        let (headers, uri) = (headers(signature), uri.parse().unwrap());
        let read = Signature::read(&headers, &key(), "us-east-1", now)?;
        read.verify(method, &uri, &headers, b"", &key())
    }

    #[test]
    fn awss_published_examples_are_accepted_and_nothing_else() {
        let examples = [
            (Method::GET, "/", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
            (Method::POST, "/", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
            (
                Method::GET,
                "/?Param2=value2&Param1=value1",
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
        ];
        for (method, uri, signature) in &examples {
            assert_eq!(verify(method, uri, signature, NOW), Ok(()), "{method} {uri}");
            for (other_method, other_uri, other) in &examples {
                if other != signature {
                    let verified = verify(other_method, other_uri, signature, NOW);
                    assert_eq!(verified, Err(SignatureError::Mismatch), "{other_method} {other_uri}");
                }
            }
            let changed = signature.replace('a', "b");
            assert_eq!(verify(method, uri, &changed, NOW), Err(SignatureError::Mismatch));
            for malformed in ["", "xy", signature.trim_end_matches(|c| c != 'f'), "0"] {
                assert_eq!(verify(method, uri, malformed, NOW), Err(SignatureError::Mismatch), "{malformed}");
            }
        }
    }

    /// So a request can be replayed for as long.
    #[test]
    fn a_signature_counts_for_five_minutes_around_its_date() {
        let signature = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
        for (seconds, accepted) in [(0, true), (300, true), (301, false), (-300, true), (-301, false)] {
            let verified = verify(&Method::GET, "/", signature, NOW + time::Duration::seconds(seconds));
            assert_eq!(verified.is_ok(), accepted, "{seconds}: {verified:?}");
        }
    }

    #[test]
    fn paths_are_encoded_twice_and_queries_are_sorted() {
        for (path, canonical) in [
            ("/", "/"),
            ("/things/a%2Fb", "/things/a%252Fb"),
            ("//things/./x/../a", "/things/a"),
            ("/topics/a/", "/topics/a/"),
            ("/../..", "/"),
        ] {
            assert_eq!(canonical_path(path), canonical, "{path}");
        }
        let query = |text: &str| canonical_query(&format!("/?{text}").parse().unwrap());
        assert_eq!(query("b=2&a=1&a=0&c"), "a=0&a=1&b=2&c=");
        assert_eq!(query("a=%2f+~"), "a=%2F%2B~");
    }
}
