//! Keys from a URL, with an issuer whose answer each test sets.

#![cfg(feature = "jwks-url")]
#![expect(clippy::unwrap_used, reason = "a failure here is the test's failure")]

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use authorizer::{
    fault::JwksFault,
    jwks_url::{JwksTiming, JwksUrl},
    jwt::KeySource,
    log,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use device_auth::jwt::keys::{Keys, KeysError};
use rustls::{RootCertStore, ServerConfig, pki_types::PrivateKeyDer};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;
use tracing::Level;

/// Long enough for a slow machine.
const PATIENT: JwksTiming = JwksTiming { time_limit: Duration::from_secs(30), ..JwksTiming::DEFAULT };
const IMPATIENT: JwksTiming = JwksTiming { time_limit: Duration::from_millis(20), ..JwksTiming::DEFAULT };

/// An issuer on its own port. With `None` it accepts requests and never answers.
struct Issuer {
    port: u16,
    answer: Arc<Mutex<Option<String>>>,
    asked: Arc<AtomicUsize>,
}

impl Issuer {
    async fn new(answer: Option<String>) -> Self {
        Self::start(answer, None).await
    }

    async fn start(answer: Option<String>, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer = Arc::new(Mutex::new(answer));
        let asked = Arc::new(AtomicUsize::new(0));
        let issuer = Self { port, answer: Arc::clone(&answer), asked: Arc::clone(&asked) };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, asked, tls) = (Arc::clone(&answer), Arc::clone(&asked), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, &answer, &asked).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => serve(stream, &answer, &asked).await,
                            Err(_) => Ok(()),
                        },
                    }
                });
            }
        });
        issuer
    }

    fn says(&self, answer: String) {
        *self.answer.lock().unwrap() = Some(answer);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn source(&self, timing: JwksTiming) -> KeySource {
        let address = format!("http://127.0.0.1:{}/jwks.json", self.port).parse().unwrap();
        KeySource::Url(Box::new(JwksUrl::new(address, timing).unwrap()))
    }

    fn tls_source(&self, roots: RootCertStore) -> KeySource {
        let address = format!("https://localhost:{}/jwks.json", self.port).parse().unwrap();
        KeySource::Url(Box::new(JwksUrl::trusting(address, PATIENT, roots).unwrap()))
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: &Mutex<Option<String>>,
    asked: &AtomicUsize,
) -> io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    asked.fetch_add(1, Ordering::SeqCst);
    let answer = answer.lock().unwrap().clone();
    match answer {
        Some(answer) => stream.write_all(answer.as_bytes()).await?,
        None => std::future::pending().await,
    }
    stream.shutdown().await
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn keys(keys: &[Value]) -> String {
    ok(&json!({"keys": keys}).to_string())
}

/// An Ed25519 key; its bytes are those of `RFC 8032`'s first test.
fn key(kid: &str) -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
}

fn token(kid: &str) -> String {
    format!("{}.e30.AA", URL_SAFE_NO_PAD.encode(json!({"alg": "EdDSA", "kid": kid}).to_string()))
}

async fn count(source: &KeySource, kid: &str) -> Result<usize, JwksFault> {
    source.keys_for(&token(kid)).await.map(|keys| keys.count())
}

/// Advances the clock. It is paused only for that, because a paused clock jumps while a test waits for a socket.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn keys_are_fetched_once_and_again_after_their_time() {
    let issuer = Issuer::new(Some(keys(&[key("a")]))).await;
    let source = issuer.source(PATIENT);
    for _ in 0..3 {
        assert_eq!(count(&source, "a").await, Ok(1));
    }
    assert_eq!(issuer.asked(), 1);
    pass(Duration::from_secs(3_500)).await;
    assert_eq!((count(&source, "a").await, issuer.asked()), (Ok(1), 1));
    pass(Duration::from_secs(100)).await;
    assert_eq!((count(&source, "a").await, issuer.asked()), (Ok(1), 2));
}

#[tokio::test]
async fn concurrent_attempts_share_a_fetch() {
    for (answer, expected) in
        [(keys(&[key("a")]), Ok(1)), ("HTTP/1.1 503 x\r\n\r\n".to_owned(), Err(JwksFault::Status(503)))]
    {
        let issuer = Issuer::new(Some(answer)).await;
        let source = Arc::new(issuer.source(PATIENT));
        let tasks = (0..20).map(|_| {
            let source = Arc::clone(&source);
            tokio::spawn(async move { count(&source, "a").await })
        });
        for task in tasks.collect::<Vec<_>>() {
            assert_eq!(task.await.unwrap(), expected);
        }
        assert_eq!(issuer.asked(), 1);
    }
}

#[tokio::test]
async fn unknown_kid_fetches_once_in_five_minutes() {
    let issuer = Issuer::new(Some(keys(&[key("a")]))).await;
    let source = issuer.source(PATIENT);
    assert_eq!((count(&source, "new").await, issuer.asked()), (Ok(1), 1));
    issuer.says(keys(&[key("a"), key("new")]));
    assert_eq!((count(&source, "new").await, issuer.asked()), (Ok(2), 2));
    issuer.says(keys(&[key("b")]));
    for kid in ["b", "c", "d"] {
        assert_eq!((count(&source, kid).await, issuer.asked()), (Ok(2), 2), "{kid}");
    }
    pass(Duration::from_mins(5)).await;
    assert_eq!((count(&source, "a").await, issuer.asked()), (Ok(2), 2));
    assert_eq!((count(&source, "b").await, issuer.asked()), (Ok(1), 3));
    assert_eq!((count(&source, "a").await, issuer.asked()), (Ok(1), 3));
}

#[tokio::test]
async fn malformed_token_fetches_nothing() {
    let issuer = Issuer::new(Some(keys(&[key("a")]))).await;
    let source = issuer.source(PATIENT);
    let none = format!("{}.e30.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#));
    for token in ["", "a.b", "not.base64!.x", &none, &"A".repeat(9_000)] {
        assert_eq!(source.keys_for(token).await.map(|keys| keys.count()), Ok(0), "{token}");
    }
    assert_eq!(issuer.asked(), 0);
}

#[tokio::test]
async fn malformed_answer_is_a_fault() {
    let long = "x".repeat(64 * 1024);
    let chunked =
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n10001\r\n{long}x\r\n0\r\n\r\n");
    let garbage = JwksFault::NotJwks(KeysError::NotJwks { line: 1, column: 1 });
    let table = [
        (ok("garbage"), garbage.clone()),
        (ok(""), garbage.clone()),
        (ok("[]"), garbage),
        (keys(&[]), JwksFault::NotJwks(KeysError::NoKeys)),
        (
            keys(&[json!({"kty": "oct", "k": "A".repeat(64), "kid": "a"})]),
            JwksFault::NotJwks(KeysError::NoKeys),
        ),
        (ok(&format!("{long}x")), JwksFault::TooLarge),
        (chunked, JwksFault::TooLarge),
        ("HTTP/1.1 500 x\r\ncontent-length: 0\r\n\r\n".to_owned(), JwksFault::Status(500)),
        ("HTTP/1.1 204 x\r\n\r\n".to_owned(), JwksFault::Status(204)),
    ];
    for (answer, expected) in table {
        let issuer = Issuer::new(Some(answer.clone())).await;
        assert_eq!(count(&issuer.source(PATIENT), "a").await, Err(expected), "{answer:.200}");
    }
    for answer in ["not HTTP", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{}"] {
        let issuer = Issuer::new(Some(answer.to_owned())).await;
        let fault = count(&issuer.source(PATIENT), "a").await;
        assert!(matches!(fault, Err(JwksFault::Unreachable(_))), "{answer}: {fault:?}");
    }
}

#[tokio::test]
async fn redirect_is_not_followed() {
    let other = Issuer::new(Some(keys(&[key("a")]))).await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("location: http://127.0.0.1:{}/", other.port);
        let issuer = Issuer::new(Some(format!("HTTP/1.1 {status} x\r\n{location}\r\n\r\n"))).await;
        assert_eq!(count(&issuer.source(PATIENT), "a").await, Err(JwksFault::Status(status)));
    }
    assert_eq!(other.asked(), 0);
}

#[tokio::test]
async fn silent_issuer_is_a_fault_after_the_time_limit() {
    let silent = Issuer::new(None).await;
    assert_eq!(count(&silent.source(IMPATIENT), "a").await, Err(JwksFault::TimedOut));
    // The operating system accepts the connection, but the program never does.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let source = KeySource::Url(Box::new(JwksUrl::new(address, IMPATIENT).unwrap()));
    assert_eq!(count(&source, "a").await, Err(JwksFault::TimedOut));
}

#[tokio::test]
async fn failed_first_fetch_is_repeated_after_five_seconds() {
    let issuer = Issuer::new(Some("HTTP/1.1 500 x\r\n\r\n".to_owned())).await;
    let source = issuer.source(PATIENT);
    assert_eq!(count(&source, "a").await, Err(JwksFault::Status(500)));
    issuer.says(keys(&[key("a")]));
    // Not every token may cause a fetch while the issuer is down.
    pass(Duration::from_millis(4_900)).await;
    assert_eq!(count(&source, "a").await, Err(JwksFault::Status(500)));
    assert_eq!(issuer.asked(), 1);
    pass(Duration::from_millis(200)).await;
    assert_eq!(count(&source, "a").await, Ok(1));
}

#[tokio::test]
async fn old_keys_are_used_for_a_day_while_fetches_fail() {
    let issuer = Issuer::new(Some(keys(&[key("a")]))).await;
    let source = issuer.source(PATIENT);
    assert_eq!(count(&source, "a").await, Ok(1));
    issuer.says("HTTP/1.1 503 x\r\n\r\n".to_owned());
    pass(Duration::from_hours(1)).await;
    for _ in 0..3 {
        assert_eq!((count(&source, "a").await, issuer.asked()), (Ok(1), 2));
    }
    pass(Duration::from_secs(30)).await;
    assert_eq!((count(&source, "a").await, issuer.asked()), (Ok(1), 3));
    pass(Duration::from_hours(23)).await;
    assert_eq!((count(&source, "a").await, issuer.asked()), (Err(JwksFault::Status(503)), 4));
    issuer.says(keys(&[key("a"), key("b")]));
    pass(Duration::from_secs(30)).await;
    assert_eq!((count(&source, "a").await, issuer.asked()), (Ok(2), 5));
}

#[tokio::test]
async fn unusable_published_keys_are_skipped() {
    let published = [
        json!({"kty": "oct", "k": "A".repeat(64), "kid": "secret"}),
        json!({"kty": "EC", "crv": "P-521", "kid": "curve"}),
        json!({"kty": "new", "kid": "type"}),
        json!("not an object"),
        json!({"kty": "OKP", "crv": "Ed25519", "x": key("a").get("x"), "kid": "enc", "use": "enc"}),
        json!({"kty": "OKP", "crv": "Ed25519", "x": key("a").get("x")}),
        key("a"),
        key("a"),
        key("b"),
    ];
    let issuer = Issuer::new(Some(keys(&published))).await;
    assert_eq!(count(&issuer.source(PATIENT), "a").await, Ok(2));
}

#[tokio::test]
async fn warning_of_a_failed_fetch_has_no_part_of_the_token() {
    let lines = Lines::default();
    let writer = lines.clone();
    let guard = tracing::subscriber::set_default(log::subscriber(Level::TRACE, move || writer.clone()));
    let issuer = Issuer::new(Some("HTTP/1.1 500 x\r\n\r\n".to_owned())).await;
    let token = token("a-kid-to-look-for");
    assert!(issuer.source(PATIENT).keys_for(&token).await.is_err());
    drop(guard);
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(
        text.contains("WARN") && text.contains("JWKS fetch failed") && text.contains("status 500"),
        "{text}"
    );
    assert!(
        !text.contains("a-kid-to-look-for")
            && token.split('.').all(|part| part.len() < 4 || !text.contains(part))
    );
}

#[tokio::test]
async fn untrusted_issuer_is_a_fault() {
    let (localhost, other) = (certificate("localhost"), certificate("other.example"));
    for (served, trusted, expected) in
        [(&localhost, &localhost, true), (&localhost, &other, false), (&other, &other, false)]
    {
        let issuer = Issuer::start(Some(keys(&[key("a")])), Some(acceptor(served))).await;
        let mut roots = RootCertStore::empty();
        roots.add(trusted.cert.der().clone()).unwrap();
        let answer = count(&issuer.tls_source(roots), "a").await;
        assert_eq!(answer.is_ok(), expected, "{answer:?}");
        assert!(matches!(answer, Ok(1) | Err(JwksFault::Unreachable(_))), "{answer:?}");
        assert_eq!(issuer.asked(), usize::from(expected));
    }
}

#[tokio::test]
async fn fixed_keys_never_change() {
    let fixed =
        Arc::new(Keys::from_jwks(&json!({"keys": [key("a")]}).to_string()).unwrap_or_else(|e| panic!("{e}")));
    let source = KeySource::Fixed(Arc::clone(&fixed));
    assert!(Arc::ptr_eq(&source.keys_for("").await.unwrap_or_else(|e| panic!("{e}")), &fixed));
}

type Certified = rcgen::CertifiedKey<rcgen::KeyPair>;

fn certificate(name: &str) -> Certified {
    rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap()
}

fn acceptor(certified: &Certified) -> TlsAcceptor {
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config =
        builder.with_no_client_auth().with_single_cert(vec![certified.cert.der().clone()], key).unwrap();
    TlsAcceptor::from(Arc::new(config))
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
