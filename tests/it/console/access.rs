//! Who may use the console.

use gateway::console::access;
use integration::{
    console_client::ConsoleClient,
    http_client::plain_get,
    script::{Step, allow_all},
    test_gateway::{Start, TestGateway},
};

/// Paths of each kind: the page, a file of it, and the API.
const PATHS: [&str; 4] = ["/", "/main.js", "/console/v1/attempts", "/console/v1/events?of=attempts"];

#[tokio::test]
async fn no_token_an_old_one_another_origin_and_another_host_are_refused() {
    let gateway = TestGateway::open_to_all().await;
    let console = ConsoleClient::new(&gateway);
    let (cookie, origin) = (console.cookie(), console.origin());
    let old = cookie.replace(&console.token, &"x".repeat(console.token.len()));
    let foreign = format!("http://localhost:{}", console.address.port() ^ 1);
    let cases: [&[(&str, &str)]; 9] = [
        &[],
        &[("Cookie", &old)],
        &[("Authorization", "Bearer ")],
        &[("Cookie", &cookie), ("Origin", "http://evil.example")],
        &[("Cookie", &cookie), ("Origin", &foreign)],
        &[("Cookie", &cookie), ("Origin", "null")],
        &[("Cookie", &cookie), ("Sec-Fetch-Site", "same-site")],
        &[("Cookie", &cookie), ("Host", "evil.example")],
        &[
            ("Cookie", &cookie),
            ("Host", "localhost.evil.example"),
            ("Origin", "http://localhost.evil.example"),
        ],
    ];
    for path in PATHS {
        for headers in cases {
            let answer = console.send("GET", path, headers, "").await;
            assert_eq!(answer.status, 403, "{path} {headers:?}: {answer:?}");
            assert!(!answer.body.contains(&console.token) && answer.header("set-cookie").is_none());
        }
    }
    let json = ("Content-Type", "application/json");
    let body = r#"{"topic":"t","payload":""}"#;
    for (headers, status) in [
        (&[("Cookie", &*cookie), ("Origin", &*origin), json][..], 200),
        (&[("Cookie", &cookie), json], 403),
        (&[("Cookie", &cookie), ("Origin", &origin), ("Content-Type", "text/plain")], 403),
        (&[("Cookie", &cookie), ("Origin", "http://evil.example"), json], 403),
    ] {
        let answer = console.send("POST", "/console/v1/publish", headers, body).await;
        assert_eq!(answer.status, status, "{headers:?}: {answer:?}");
    }
}

#[tokio::test]
async fn link_opens_the_page_and_every_answer_is_strict() {
    let gateway = TestGateway::open_to_all().await;
    let console = ConsoleClient::new(&gateway);
    let link = format!("/?token={}", console.token);
    let answer = console.send("GET", &link, &[], "").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict"), "{cookie}");
    assert_eq!(cookie.split(';').next().unwrap(), console.cookie());
    assert!(!answer.body.contains(&console.token), "no script could read it");
    let own = console.cookie();
    for (path, headers) in [
        (&*link, &[][..]),
        ("/main.js", &[("Cookie", &*own)]),
        ("/console/v1/attempts", &[("Cookie", &own)]),
        ("/none", &[("Cookie", &own)]),
        ("/", &[]),
    ] {
        let answer = console.send("GET", path, headers, "").await;
        let policy = answer.header("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"),
            "{path}: {policy}"
        );
        assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
        assert!(answer.header("access-control-allow-origin").is_none());
    }
}

#[tokio::test]
async fn token_lasts_over_a_restart_until_its_file_is_deleted() {
    let gateway = TestGateway::open_to_all().await;
    let first = ConsoleClient::new(&gateway);
    assert!(first.get("").await["instance"].is_string());
    let start = gateway.stop().await;
    let file = start.folder().join(access::FILE);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let gateway = start.run().await;
    assert_eq!(ConsoleClient::new(&gateway).token, first.token);
    let start = gateway.stop().await;
    std::fs::remove_file(file).unwrap();
    let gateway = start.run().await;
    let now = ConsoleClient::new(&gateway);
    let old = ("Authorization", &*format!("Bearer {}", first.token));
    assert_eq!(now.send("GET", "/console/v1", &[old], "").await.status, 403);
    assert_ne!(now.token, first.token);
}

#[tokio::test]
async fn console_can_be_off_and_metrics_need_no_token() {
    let (start, _script) = Start::with_script(&Step::Answer(allow_all()));
    let gateway = start.with(|settings| settings.console.events = 0).run().await;
    let status = gateway.addresses.status.unwrap();
    assert!(!gateway.folder.path().join(access::FILE).exists());
    assert_eq!(plain_get(status, "/").await.0, 404);
    assert_eq!(plain_get(status, "/metrics").await.0, 200);
    let gateway = TestGateway::open_to_all().await;
    assert_eq!(plain_get(gateway.addresses.status.unwrap(), "/metrics").await.0, 200);
}
