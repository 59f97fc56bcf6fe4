//! Credentials in every place of an HTTP request and of a WebSocket's upgrade, and those of other schemes.

use bytes::BytesMut;
use integration::{
    canary::Canary,
    http_client::{BINARY, HttpClient, basic, frame, upgrade},
    mqtt_client::{connect, tls},
    programs::program,
    running::Running,
    token_signer::TokenSigner,
};
use mqtt::{Codec, Packet};
use tokio_util::codec::Encoder as _;

use super::*;

/// The name of the file of keys in the gateway's folder.
const KEYRING: &str = "keyring.json";

/// Secrets that only HTTP has a place for.
struct InRequests {
    header: Canary,
    parameter: Canary,
}

async fn http(gateway: &GatewayProcess) -> HttpClient {
    HttpClient::over(tls(gateway, "localhost", &[]).await.unwrap())
}

/// The query string of a request with a token.
fn query_with_token(planted: &Planted, authorizer: &str) -> String {
    let user_name = planted.user_name("");
    user_name.trim_start_matches('?').replace("name=latchkey", &format!("name={authorizer}"))
}

/// Publishes in each way that has another outcome. The result is each status.
async fn publish_in_every_way(
    gateway: &GatewayProcess,
    planted: &Planted,
    in_requests: &InRequests,
) -> Vec<u16> {
    let (right, wrong) = (planted.password.secret(), planted.wrong.secret());
    let (header, parameter) = (in_requests.header.secret(), in_requests.parameter.secret());
    let token = query_with_token(planted, "latchkey");
    let no_headers = Vec::new();
    let authorization = |value: String| vec![("Authorization", value), ("Cookie", header.to_owned())];
    let requests = [
        ("hall-1/a?qos=1".to_owned(), authorization(basic("hall-1", right))),
        (format!("hall-1/a?username=hall-1&password={right}"), no_headers.clone()),
        ("elsewhere".to_owned(), authorization(basic("hall-1", right))),
        ("hall-1/a".to_owned(), authorization(basic("hall-1", wrong))),
        ("hall-1/a".to_owned(), authorization(basic(header, right))),
        (format!("hall-1/a?username=hall-1&password={wrong}"), no_headers.clone()),
        (format!("hall-1/a?username={parameter}&password={right}"), no_headers.clone()),
        (format!("hall-1/a?password={right}&password={parameter}&username=hall-1"), no_headers.clone()),
        (format!("hall-1/a?access_token={parameter}"), no_headers.clone()),
        (format!("hall-1/a?{token}"), no_headers.clone()),
        (format!("hall-1/a?{}", query_with_token(planted, parameter)), no_headers.clone()),
        (format!("hall-1/a?qos={parameter}"), authorization(basic("hall-1", right))),
        ("hall-1/a".to_owned(), authorization(format!("Bearer {header}"))),
        ("hall-1/a".to_owned(), authorization(format!("Basic {header}"))),
        ("hall-1/a".to_owned(), authorization(header.to_owned())),
        (
            "hall-1/a".to_owned(),
            vec![
                ("x-amz-customauthorizer-name", header.to_owned()),
                ("x-amz-customauthorizer-signature", planted.signature().to_owned()),
                ("TokenKeyName", planted.token.secret().to_owned()),
            ],
        ),
    ];
    let mut statuses = Vec::new();
    for (target, headers) in requests {
        let headers = headers.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>();
        let mut client = http(gateway).await;
        statuses.push(client.request("POST", &format!("/topics/{target}"), &headers, "x").await.status);
    }
    statuses
}

/// Connects over WebSocket with secrets in the upgrade and in the CONNECT. The result is whether each was accepted.
async fn upgrade_in_every_way(
    gateway: &GatewayProcess,
    planted: &Planted,
    in_requests: &InRequests,
    version: Version,
) -> Vec<bool> {
    let header = in_requests.header.secret();
    let (named, other) =
        (query_with_token(planted, "latchkey"), query_with_token(planted, in_requests.parameter.secret()));
    let mut outcomes = Vec::new();
    for (query, password) in
        [(&named, &planted.password), (&named, &planted.wrong), (&other, &planted.password)]
    {
        let mut client = http(gateway).await;
        let headers = [("X-Api-Key", header), ("Cookie", header), ("Authorization", header)];
        client.send(upgrade(&format!("/mqtt?{query}"), &headers).as_bytes()).await;
        assert_eq!(client.answer().await.unwrap().status, 101);
        let mut bytes = BytesMut::new();
        let connect = connect(version, "hall-1", "hall-1", password.secret());
        Codec::client(version, 1 << 20).encode(Packet::Connect(Box::new(connect)), &mut bytes).unwrap();
        client.send(&frame(true, BINARY, &bytes)).await;
        let answer = client.frame().await.filter(|frame| frame.opcode == BINARY);
        outcomes.push(answer.is_some_and(|answer| answer.payload[3] == 0));
    }
    outcomes
}

#[tokio::test]
async fn requests_and_upgrades_show_no_secret() {
    for json in [true, false] {
        let planted = Planted::new();
        let in_requests =
            InRequests { header: Canary::new("a header"), parameter: Canary::new("a parameter of a query") };
        let folder = folder_with_devices(&planted);
        let gateway = GatewayProcess::start(folder.path(), "latchkey-authorizer", json, &LOUD).await;
        let statuses = publish_in_every_way(&gateway, &planted, &in_requests).await;
        assert_eq!(statuses[..3], [200, 200, 403]);
        assert!(statuses[3..].iter().all(|status| (400..500).contains(status)), "{statuses:?}");
        for version in BOTH {
            let outcomes = upgrade_in_every_way(&gateway, &planted, &in_requests, version).await;
            assert_eq!(outcomes, [true, false, false]);
        }
        let writings = written(gateway, folder.path()).await;
        for reason in
            ["wrong_password", "http_credentials_twice", "jwt_not_configured", "authorization_invalid"]
        {
            writings.assert_says(reason);
        }
        writings.assert_free_of(&planted.all());
        writings.assert_free_of(&[&in_requests.header, &in_requests.parameter]);
    }
}

#[tokio::test]
async fn failing_function_shows_no_secret_of_a_request() {
    for step in [Step::Error, Step::Crash, Step::Answer(json!({"isAuthenticated": "yes"}))] {
        let planted = Planted::new();
        let in_requests =
            InRequests { header: Canary::new("a header"), parameter: Canary::new("a parameter of a query") };
        let (folder, scripts) = (tempdir().unwrap(), tempdir().unwrap());
        let gateway = scripted(folder.path(), scripts.path(), &step, true).await;
        let statuses = publish_in_every_way(&gateway, &planted, &in_requests).await;
        assert!(!statuses.contains(&200), "{statuses:?}");
        let outcomes = upgrade_in_every_way(&gateway, &planted, &in_requests, Version::V5).await;
        assert_eq!(outcomes, [false; 3]);
        let writings = written(gateway, folder.path()).await;
        writings.assert_says("\"status\":\"Failure\"");
        writings.assert_free_of(&planted.all());
        writings.assert_free_of(&[&in_requests.header, &in_requests.parameter]);
    }
}

/// The operator's tool with the keys and the records of this folder.
async fn fleet(folder: &Path, words: &[&str], input: &str, writings: &mut Writings) -> Option<i32> {
    let mut command = Command::new(program("latchkey"));
    command.arg("fleet").args(words).envs(LOUD).arg("--keyring").arg(folder.join(KEYRING));
    command.arg("--store").arg(folder.join("devices.json"));
    let mut running = Running::start(command);
    running.input(input.as_bytes()).await;
    let finished = running.finish().await;
    writings.add(format!("standard output of {}", words.join(" ")), finished.out);
    writings.add(format!("standard error of {}", words.join(" ")), finished.err);
    finished.code
}

/// A device's password, as Alibaba Cloud IoT defines it.
fn signed(secret: &str) -> String {
    use aws_lc_rs::hmac;
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    hex::encode(hmac::sign(&key, b"clientIdhall-1deviceNamehall-1productKeypk"))
}

/// The only place of a sealed secret's key is the file of keys, and the secret itself has none.
#[tokio::test]
async fn vendors_secrets_keys_and_tokens_show_no_secret() {
    const CLIENT_ID: &str = "hall-1|securemode=2,signmethod=hmacsha256|";
    let (secret, second, token) =
        (Canary::new("a device secret"), Canary::new("its next secret"), Canary::new("a JSON Web Token"));
    let psk = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, second.secret());
    let (folder, mut writings) = (tempdir().unwrap(), Writings::default());
    fs::write(folder.path().join("latchkey.toml"), integration::gateway_process::AT_ANY_RATE).unwrap();
    let alibaba = ["hall-1&pk", "--scheme", "alibaba", "--secret-stdin"];
    let commands: [(&[&str], &str, i32); 8] = [
        (&["keys", "new", "k1"], "", 0),
        (&[&["add"][..], &alibaba].concat(), secret.secret(), 0),
        (&[&["add"][..], &alibaba].concat(), second.secret(), 1),
        (&["add", "AB12CD34EFhall", "--scheme", "tencent", "--secret-stdin"], &psk, 0),
        (&["add", "AB12CD34EFroof", "--scheme", "tencent", "--secret-stdin"], second.secret(), 1),
        (&["keys", "rotate", "k2"], "", 0),
        (&["keys", "show"], "", 0),
        (&["reseal"], "", 0),
    ];
    for (words, input, code) in commands {
        let ended = fleet(folder.path(), words, input, &mut writings).await;
        assert_eq!(ended == Some(0), code == 0, "{words:?} ended with {ended:?}");
    }
    let keyring = folder.path().join(KEYRING);
    let keys = fs::read_to_string(&keyring).unwrap();
    let parsed = serde_json::from_str::<Value>(&keys).unwrap();
    let keys_of_keyring =
        parsed["keys"].as_object().unwrap().values().map(|key| Canary::of("a key", key.as_str().unwrap()));
    let keys_of_keyring = keys_of_keyring.collect::<Vec<_>>();
    let [first, _] = &keys_of_keyring[..] else { panic!("there are two keys") };
    let (public, right) =
        (folder.path().join("public.pem"), Canary::of("a signature", &signed(secret.secret())));
    fs::write(&public, TokenSigner::generate().public_pem()).unwrap();
    let variables = [
        ("LATCHKEY_DATA_KEYS", format!("file:{}", keyring.display())),
        ("LATCHKEY_JWT_KEYS", format!("pem:{}", public.display())),
    ];
    let variables = variables.iter().map(|(name, value)| (*name, value.as_str()));
    let variables = LOUD.into_iter().chain(variables).collect::<Vec<_>>();
    let gateway = GatewayProcess::start(folder.path(), "latchkey-authorizer", true, &variables).await;
    let jwt = format!("eyJ{0}.{0}.{0}", token.secret());
    for version in BOTH {
        let connect = async |client_id, user_name, password: &str| {
            gateway.connect(version, client_id, user_name, password.as_bytes()).await.is_ok()
        };
        assert!(connect(CLIENT_ID, "hall-1&pk", right.secret()).await);
        assert!(!connect(CLIENT_ID, "hall-1&pk", &signed(second.secret())).await);
        assert!(!connect(CLIENT_ID, "hall-1&pk", secret.secret()).await);
        assert!(!connect("AB12CD34EFhall", "AB12CD34EFhall;1;2;3", &psk).await);
        assert!(!connect("hall-1", "hall-1", &jwt).await);
    }
    // The last usable keys stay in force, and the broken ones are not quoted.
    for broken in [
        keys.replace("\"keys\"", "\"key\""),
        keys[..keys.len() / 2].to_owned(),
        keys.replace(first.secret(), &first.secret()[1..]),
    ] {
        fs::write(&keyring, broken).unwrap();
        assert!(
            gateway.connect(Version::V5, CLIENT_ID, "hall-1&pk", right.secret().as_bytes()).await.is_ok()
        );
        assert_ne!(fleet(folder.path(), &["reseal"], "", &mut writings).await, Some(0));
    }
    fs::remove_file(&keyring).unwrap();
    let finished = gateway.stop().await;
    writings.add("the gateway's standard output", finished.out);
    writings.add("the gateway's standard error", finished.err);
    writings.add_folder(folder.path());
    for reason in ["\"outcome\":\"allow\"", "signature", "jwt_", "records_not_usable"] {
        writings.assert_says(reason);
    }
    writings.assert_free_of(&[&secret, &second, &token, &right]);
    writings.assert_free_of(&keys_of_keyring.iter().collect::<Vec<_>>());
}
