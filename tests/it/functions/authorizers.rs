//! Which authorizer a connection gets, and what keeps its function from being called.

use bytes::BytesMut;
use gateway::{
    custom_auth::{
        admission::DefaultAuthorizer,
        authorizer::{AuthorizerName, AuthorizerStatus},
        signing::Signing,
    },
    gateway::StartError,
};
use integration::{
    canary::{Canary, Writings},
    captured_log::words,
    eventually::eventually,
    http_client::{BINARY, HttpClient, frame},
    mqtt_client::{MqttClient, connect},
    programs::program,
    running::Running,
    script::{Script, Step, allow_all},
    test_gateway::{Start, TestGateway},
    token_signer::{TokenSigner, signed_by, url_encoded},
};
use mqtt::{Codec, ConnectReasonCode, Packet, Version};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio_util::codec::Encoder;

const KEY: &str = "TokenKeyName";
/// Characters that mean something in a query string are among those of a token.
const TOKEN: &str = "a+b/c=&?%41";
const NAMES: [Option<&str>; 4] =
    [Some("latchkey"), None, Some("other"), Some("latchkey?SDK=Java&Platform=Android")];
const TOKENS: [Option<&str>; 3] = [Some(TOKEN), Some("another"), None];

/// How the authorizer treats tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tokens {
    Unknown,
    Passed,
    Signed,
}

/// What a client presents in addition to the name and the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signature {
    Absent,
    Good,
    OfAnotherKey,
    Garbage,
    Empty,
}

const SIGNATURES: [Signature; 5] =
    [Signature::Absent, Signature::Good, Signature::OfAnotherKey, Signature::Garbage, Signature::Empty];

/// One CONNECT.
#[derive(Clone, Copy, Debug)]
struct Case {
    tokens: Tokens,
    status: AuthorizerStatus,
    name: Option<&'static str>,
    token: Option<&'static str>,
    signature: Signature,
}

impl Case {
    fn user_name(self, signer: &TokenSigner, other: &TokenSigner) -> String {
        let signature = match self.signature {
            Signature::Absent => None,
            Signature::Good => Some(signer.sign(TOKEN)),
            Signature::OfAnotherKey => Some(other.sign(TOKEN)),
            Signature::Garbage => Some("no base64!".to_owned()),
            Signature::Empty => Some(String::new()),
        };
        let parameters = [
            signature.map(|value| format!("x-amz-customauthorizer-signature={}", url_encoded(&value))),
            self.token.map(|value| format!("{KEY}={}", url_encoded(value))),
            self.name.map(|value| format!("x-amz-customauthorizer-name={value}")),
        ];
        format!("dev?{}", parameters.into_iter().flatten().collect::<Vec<_>>().join("&"))
    }

    /// What the function is told of the token, or the reason for which it isn't called.
    fn expected(self) -> Result<(Value, Value), &'static str> {
        if !matches!(self.name, None | Some("latchkey")) || self.status == AuthorizerStatus::Inactive {
            return Err("CUSTOM_AUTHORIZER_NOT_FOUND");
        }
        match (self.tokens, self.token, self.signature) {
            (Tokens::Unknown, ..) | (Tokens::Passed, None, _) => Ok((Value::Null, json!(false))),
            (Tokens::Passed, Some(token), _) => Ok((json!(token), json!(false))),
            (Tokens::Signed, None, _)
            | (Tokens::Signed, _, Signature::Absent | Signature::Garbage | Signature::Empty) => {
                Err("CUSTOM_AUTHORIZER_PARAMETER_INVALID")
            }
            (Tokens::Signed, Some(TOKEN), Signature::Good) => Ok((json!(TOKEN), json!(true))),
            (Tokens::Signed, ..) => Err("NOT_AUTHENTICATED"),
        }
    }
}

/// Why a client was not authenticated.
async fn reason(gateway: &TestGateway, client_id: &str) -> Value {
    gateway.logged_with(&[("eventType", "Connection.AuthNError"), ("clientId", client_id)]).await
}

async fn refused(gateway: &TestGateway, client_id: &str, user_name: &str) -> Value {
    let (mut client, ack) =
        MqttClient::connect(gateway, connect(Version::V5, client_id, user_name, "p")).await;
    assert_eq!(ack.unwrap().code, ConnectReasonCode::NotAuthorized, "{client_id}");
    assert_eq!(client.ended().await, None);
    reason(gateway, client_id).await
}

async fn let_in(gateway: &TestGateway, client_id: &str, user_name: &str) {
    MqttClient::connected(gateway, connect(Version::V5, client_id, user_name, "p")).await;
}

#[tokio::test]
async fn no_forbidden_combination_reaches_the_function() {
    let (signer, other) = (TokenSigner::generate(), TokenSigner::generate());
    let mut reached = 0;
    for tokens in [Tokens::Unknown, Tokens::Passed, Tokens::Signed] {
        for status in [AuthorizerStatus::Active, AuthorizerStatus::Inactive] {
            let signing = match tokens {
                Tokens::Unknown => Signing::Disabled(None),
                Tokens::Passed => Signing::Disabled(Some(KEY.try_into().unwrap())),
                Tokens::Signed => signed_by(KEY, &[&signer]),
            };
            let (start, script) = Start::with_script(&Step::Answer(allow_all()));
            let start = start.signing(signing).with(|settings| settings.authorizers[0].status = status);
            let gateway = start.run().await;
            let presented = NAMES.into_iter().flat_map(|name| {
                TOKENS.into_iter().flat_map(move |token| SIGNATURES.map(|signature| (name, token, signature)))
            });
            for (n, (name, token, signature)) in presented.enumerate() {
                let case = Case { tokens, status, name, token, signature };
                let (user_name, calls) = (case.user_name(&signer, &other), script.calls());
                let id = format!("case-{n}");
                match case.expected() {
                    Ok((token, verified)) => {
                        let_in(&gateway, &id, &user_name).await;
                        let event = script.events().pop().unwrap();
                        assert_eq!((&event["token"], &event["signatureVerified"]), (&token, &verified));
                        assert_eq!(event.get("token").is_some(), !token.is_null(), "{case:?}");
                        assert_eq!(event["protocolData"]["mqtt"]["username"], user_name.as_str());
                        assert_eq!(script.calls(), calls + 1, "{case:?}");
                        reached += 1;
                    }
                    Err(wanted) => {
                        assert_eq!(refused(&gateway, &id, &user_name).await["reason"], wanted, "{case:?}");
                        assert_eq!(script.calls(), calls, "{case:?}");
                    }
                }
            }
        }
    }
    assert_eq!(reached, 62, "30 where tokens are unknown, 30 where they are passed, 2 where they are signed");
}

#[tokio::test]
async fn a_duplicate_too_long_or_invalid_parameter_calls_no_function() {
    let signer = TokenSigner::generate();
    let (start, script) = Start::with_script(&Step::Answer(allow_all()));
    let gateway = start.signing(signed_by(KEY, &[&signer])).run().await;
    let signature = url_encoded(&signer.sign("t"));
    let proof = format!("x-amz-customauthorizer-signature={signature}");
    let with_plus = (0..100).map(|n| signer.sign(&n.to_string())).find(|signature| signature.contains('+'));
    let unencoded = with_plus.unwrap();
    let long = "t".repeat(6_145);
    let cases = [
        (
            "x-amz-customauthorizer-name=latchkey&x-amz-customauthorizer-name=latchkey".to_owned(),
            "`x-amz-customauthorizer-name` is there more than once",
        ),
        (format!("{KEY}=t&{KEY}=t&{proof}"), "the token is there more than once"),
        (format!("{KEY}=t&{proof}&{proof}"), "`x-amz-customauthorizer-signature` is there more than once"),
        (format!("{KEY}={long}&{proof}"), "the token is longer than 6144 characters"),
        (
            format!("{KEY}=t&x-amz-customauthorizer-signature={}", "A".repeat(2_561)),
            "`x-amz-customauthorizer-signature` is longer than 2560 characters",
        ),
        (format!("{KEY}=%ff&{proof}"), "the token is not UTF-8 after percent-decoding"),
        (format!("tokenkeyname=t&{proof}"), "the token is absent, and the authorizer has signing enabled"),
        (
            format!("{KEY}=t&x-amz-customauthorizer-signature={unencoded}"),
            "`x-amz-customauthorizer-signature` is not base64, URL-encoded: a `+` has to be sent as `%2B`",
        ),
    ];
    for (n, (query, details)) in cases.iter().enumerate() {
        let line = refused(&gateway, &format!("case-{n}"), &format!("dev?{query}")).await;
        assert_eq!(line["reason"], "CUSTOM_AUTHORIZER_PARAMETER_INVALID");
        assert_eq!(line["explanation"], format!("{details}; the function was not called"));
    }
    assert_eq!(script.calls(), 0);
    let_in(&gateway, "good", &format!("dev?{KEY}=t&{proof}")).await;
}

#[tokio::test]
async fn either_of_two_keys_verifies_a_token() {
    let (old, new, stranger) = (TokenSigner::generate(), TokenSigner::generate(), TokenSigner::generate());
    let (start, _script) = Start::with_script(&Step::Answer(allow_all()));
    let gateway = start.signing(signed_by(KEY, &[&old, &new])).run().await;
    let user_name = |signer: &TokenSigner| {
        format!("dev?{KEY}=t&x-amz-customauthorizer-signature={}", url_encoded(&signer.sign("t")))
    };
    let_in(&gateway, "old", &user_name(&old)).await;
    let_in(&gateway, "new", &user_name(&new)).await;
    assert_eq!(refused(&gateway, "stranger", &user_name(&stranger)).await["reason"], "NOT_AUTHENTICATED");
}

#[tokio::test]
async fn several_authorizers_serve_their_own_clients() {
    let (start, first) = Start::with_script(&Step::Answer(allow_all()));
    let (start, second) = start.and_script("second=one,@2", &Step::Answer(allow_all()));
    let gateway = start.run().await;
    let calls = |(first, second): (&Script, &Script)| (first.calls(), second.calls());
    let_in(&gateway, "a", "dev").await;
    let_in(&gateway, "b", "dev?x-amz-customauthorizer-name=latchkey").await;
    assert_eq!(calls((&first, &second)), (2, 0));
    let_in(&gateway, "c", "dev?x-amz-customauthorizer-name=second=one,@2").await;
    let_in(&gateway, "d", "dev?x-amz-customauthorizer-name=second%3Done%2C%402").await;
    assert_eq!(calls((&first, &second)), (2, 2));
    first.set(&Step::Crash);
    refused(&gateway, "e", "dev").await;
    let_in(&gateway, "f", "dev?x-amz-customauthorizer-name=second=one,@2").await;
    assert_eq!(calls((&first, &second)), (3, 3), "each has instances of its own");
}

#[tokio::test]
async fn without_a_default_authorizer_a_client_has_to_name_one() {
    let (start, script) = Start::with_script(&Step::Answer(allow_all()));
    let gateway = start.with(|settings| settings.default_authorizer = None).run().await;
    assert_eq!(refused(&gateway, "a", "dev").await["reason"], "CUSTOM_AUTHORIZER_NOT_FOUND");
    assert_eq!(script.calls(), 0);
    let_in(&gateway, "b", "dev?x-amz-customauthorizer-name=latchkey").await;
}

/// A gateway whose only authorizer is the default because nobody set any, or because somebody set it.
async fn with_default(default: fn(AuthorizerName) -> DefaultAuthorizer) -> TestGateway {
    let (start, _script) = Start::with_script(&Step::Answer(allow_all()));
    start.with(|settings| settings.default_authorizer = Some(default(AuthorizerName::latchkey()))).run().await
}

/// The details of this client's successful connects so far, after the one with this number.
async fn details(gateway: &TestGateway, client_id: &str, number: usize) -> Vec<Value> {
    let connects = || {
        let lines = gateway.log.lines().into_iter();
        let lines = lines.filter(|line| line["eventType"] == "Connect" && line["clientId"] == client_id);
        let details = lines.map(|line| line["details"].clone()).collect::<Vec<_>>();
        (details.len() == number).then_some(details)
    };
    eventually("the connect's line", connects).await
}

#[tokio::test]
async fn a_client_that_names_no_authorizer_is_reported_once_unless_somebody_set_a_default() {
    let gateway = with_default(DefaultAuthorizer::Implied).await;
    let cases = [
        ("a", "dev", "named no authorizer; AWS needs a default or a domain for this"),
        ("b", "dev?SDK=x", "add `?x-amz-customauthorizer-name=latchkey` to the user name"),
        (
            "c",
            "dev?x-amz-customauthorizername=latchkey",
            "its parameter `x-amz-customauthorizername` should be `x-amz-customauthorizer-name`",
        ),
    ];
    for (client_id, user_name, text) in cases {
        for number in [1, 2] {
            let_in(&gateway, client_id, user_name).await;
            let details = details(&gateway, client_id, number).await;
            assert!(details[0].as_str().unwrap().contains(text), "{user_name}: {details:?}");
            assert!(details[1..].iter().all(Value::is_null), "{user_name}: {details:?}");
        }
    }
    let_in(&gateway, "d", "dev?x-amz-customauthorizer-name=latchkey").await;
    assert_eq!(details(&gateway, "d", 1).await, [Value::Null]);
    // The other doors. A request over HTTPS has no client id, so its principal is the device.
    let mut bytes = BytesMut::new();
    let connect = Packet::Connect(Box::new(connect(Version::V5, "w", "dev", "p")));
    Codec::client(Version::V5, 1_024).encode(connect, &mut bytes).unwrap();
    HttpClient::websocket(&gateway, "/mqtt", &[]).await.send(&frame(true, BINARY, &bytes)).await;
    assert!(details(&gateway, "w", 1).await[0].as_str().unwrap().contains("named no authorizer"));
    for (target, is_reported) in [
        ("/topics/named?x-amz-customauthorizer-name=latchkey", false),
        ("/topics/first", true),
        ("/topics/second", false),
    ] {
        assert_eq!(HttpClient::open(&gateway).await.request("POST", target, &[], "x").await.status, 200);
        let topic = target.trim_start_matches("/topics/").split('?').next().unwrap();
        let line = gateway.logged_with(&[("eventType", "Publish-In"), ("topicName", topic)]).await;
        assert_eq!(words(&line).contains("named no authorizer"), is_reported, "{line}");
    }

    let gateway = with_default(DefaultAuthorizer::Set).await;
    let_in(&gateway, "a", "dev").await;
    assert_eq!(details(&gateway, "a", 1).await, [Value::Null]);
}

#[tokio::test]
async fn authorizers_that_contradict_each_other_end_the_start() {
    let error = async |change: fn(&mut gateway::settings::Settings)| {
        let (start, _script) = Start::with_script(&Step::Answer(allow_all()));
        match start.with(change).try_run().await {
            Err(StartError::Other(error)) => format!("{error:#}"),
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("it starts"),
        }
    };
    let doubled = error(|settings| settings.authorizers.push(settings.authorizers[0].clone())).await;
    assert!(doubled.ends_with("there are two authorizers with the name `latchkey`"), "{doubled}");
    let missing = error(|settings| {
        settings.default_authorizer = Some(DefaultAuthorizer::Set("other".try_into().unwrap()));
    })
    .await;
    assert!(missing.ends_with("the default authorizer `other` does not exist"), "{missing}");
}

#[tokio::test]
async fn the_real_authorizer_accepts_a_device_with_a_signed_token() {
    let signer = TokenSigner::generate();
    let start = Start::with_authorizer().signing(signed_by(KEY, &[&signer]));
    integration::devices::add_token(start.folder(), "tok");
    let gateway = start.run().await;
    let user_name = |signature: &str| {
        format!("tok?{KEY}=tok&x-amz-customauthorizer-signature={}", url_encoded(signature))
    };
    let mut connect = connect(Version::V5, "tok", &user_name(&signer.sign("tok")), "");
    connect.password = None;
    MqttClient::connected(&gateway, connect).await;
    let stranger = TokenSigner::generate().sign("tok");
    assert_eq!(refused(&gateway, "tok", &user_name(&stranger)).await["reason"], "NOT_AUTHENTICATED");
}

#[tokio::test]
async fn token_and_signature_are_not_logged() {
    let (signer, stranger) = (TokenSigner::generate(), TokenSigner::generate());
    let (token, wrong) = (Canary::new("a token"), Canary::new("a token with a wrong signature"));
    let (good, bad) = (signer.sign(token.secret()), stranger.sign(wrong.secret()));
    let signatures = [Canary::of("a signature", &good), Canary::of("a wrong signature", &bad)];
    let start = Start::with_authorizer().signing(signed_by(KEY, &[&signer]));
    integration::devices::add_token(start.folder(), "tok");
    let gateway = start.run().await;
    for (n, (token, signature)) in
        [(&token, good.as_str()), (&wrong, bad.as_str()), (&wrong, "!"), (&wrong, "")].into_iter().enumerate()
    {
        let encoded = url_encoded(signature);
        let query = format!("{KEY}={}&x-amz-customauthorizer-signature={encoded}", token.secret());
        for query in [query.clone(), format!("{query}&{query}"), format!("{query}%ff")] {
            let (_, ack) = MqttClient::connect(
                &gateway,
                connect(Version::V5, &format!("c-{n}"), &format!("tok?{query}"), "p"),
            )
            .await;
            assert_eq!(ack.unwrap().code, ConnectReasonCode::NotAuthorized, "no such device");
        }
        reason(&gateway, &format!("c-{n}")).await;
    }
    let mut writings = Writings::default();
    writings.add("the log", gateway.log.text());
    writings.assert_says("NOT_AUTHENTICATED");
    writings.assert_says("CUSTOM_AUTHORIZER_PARAMETER_INVALID");
    writings.assert_free_of(&[&token, &wrong, &signatures[0], &signatures[1]]);
}

/// What a gateway says that does not start with this `latchkey.toml` in its working folder.
async fn fails(file: &str, flags: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("latchkey.toml"), file).unwrap();
    let mut command = Command::new(program("latchkey-gateway"));
    command.args(["--json", "--port", "0", "--data", "data"]).args(flags).current_dir(folder.path());
    let finished = Running::start(command).finish().await;
    assert_eq!(finished.code, Some(64));
    String::from_utf8(finished.err).unwrap()
}

#[tokio::test]
async fn a_settings_file_configures_authorizers_and_a_flag_wins() {
    let file = "[[authorizer]]\nname = 'a'\nprogram = '/no/such/program'\n";
    let error = fails(file, &[]).await;
    assert!(error.contains("can't start the authorizer `/no/such/program`"), "{error}");
    let error = fails(file, &["--authorizer", "/no/such/flag"]).await;
    assert!(error.contains("can't start the authorizer `/no/such/flag`"), "{error}");
    let error = fails("[[authorizer]]\nnmae = 'a'\n", &[]).await;
    assert!(error.contains("the settings file `latchkey.toml`") && error.contains("line 2"), "{error}");
    let error = fails(file, &["--config", "other.toml"]).await;
    assert!(error.contains("the settings file `other.toml`"), "{error}");
    let error = fails(&format!("default_authorizer = 'b'\n{file}status = 'INACTIVE'\n"), &[]).await;
    assert!(error.contains("the default authorizer `b` does not exist"), "{error}");
}

#[tokio::test]
async fn a_setting_that_was_removed_is_an_error_with_its_reason() {
    let error = fails("region = 'eu-west-1'\nclose_refused = true\n", &[]).await;
    assert!(error.contains("line 2: `close_refused` was removed: AWS was measured to close"), "{error}");
    let error = fails("", &["--denied-publish-disconnects"]).await;
    assert!(error.contains("`--denied-publish-disconnects` was removed: AWS was measured"), "{error}");
}
