//! The nine authorizer operations, and what they rule at the doors. Messages and codes are those that were measured.

use aws_sdk_iot::{
    Client,
    error::ProvideErrorMetadata as _,
    primitives::Blob,
    types::{AuthorizerStatus, HttpContext, MqttContext, TlsContext},
};
use gateway::custom_auth::admission::DefaultAuthorizer;
use integration::{
    aws_api::{answers, call, configuration, with},
    mqtt_client::{MqttClient, connect},
    script::{Script, Step, allow_all},
    test_gateway::{Start, TestGateway},
    token_signer::{TokenSigner, url_encoded},
};
use mqtt::{ConnectReasonCode, Version};
use serde_json::{Value, json};

const FUNCTION: &str = "arn:aws:lambda:us-east-1:123456789012:function:scripted";

/// A gateway without a default authorizer, where the function `scripted` does as the script says.
async fn start() -> (TestGateway, Script) {
    let (start, _own) = Start::with_script(&Step::Answer(allow_all()));
    let (start, script) = start.function("scripted", &Step::Answer(allow_all()));
    (start.with(|settings| settings.default_authorizer = None).run().await, script)
}

fn client(gateway: &TestGateway) -> Client {
    Client::new(&configuration(gateway.folder.path()))
}

fn create(name: &str, more: &Value) -> Value {
    let mut input =
        json!({"authorizerName": name, "authorizerFunctionArn": FUNCTION, "signingDisabled": true});
    for (member, value) in more.as_object().unwrap() {
        match value {
            Value::Null => _ = input.as_object_mut().unwrap().remove(member),
            _ => input[member] = value.clone(),
        }
    }
    call("CreateAuthorizer", input)
}

fn named(operation: &str, name: &str) -> Value {
    call(operation, json!({"authorizerName": name}))
}

#[expect(clippy::needless_pass_by_value, reason = "a call reads as one expression with its input")]
fn update(name: &str, more: Value) -> Value {
    call("UpdateAuthorizer", with(json!({"authorizerName": name}), &more))
}

fn error(name: &str, status: u16, message: impl Into<String>) -> Result<Value, (String, u16, String)> {
    Err((name.to_owned(), status, message.into()))
}

fn outcome(answer: &Value) -> Result<Value, (String, u16, String)> {
    match answer["error"].as_str() {
        None => Ok(answer["output"].clone()),
        Some(name) => {
            let status = u16::try_from(answer["status"].as_u64().unwrap()).unwrap();
            Err((name.to_owned(), status, answer["message"].as_str().unwrap_or_default().to_owned()))
        }
    }
}

const INVALID: &str = "InvalidRequestException";
const NOT_FOUND: &str = "ResourceNotFoundException";
const EXISTS: &str = "ResourceAlreadyExistsException";
const SHORT_KEY: &str = "-----BEGIN PUBLIC KEY-----\nMIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCwKkMjzozpQvjUq7fw/gK/r+gp\n\
    S/pC7tOZeNVBW3RhCeA0QVCDN3Y5cYp7BId6ANjo1zDCpzOdmD3Ub6byiJgtvRhR\n\
    5dDg5YXuNjbtnxnjDZqHgDS/8G7s1QOSmv+2Sku8N1/jCpVOZ/HiCBR4o9FiQN5J\nbe7Y03cseEXJgHclwwIDAQAB\n\
    -----END PUBLIC KEY-----\n";

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table of AWS's answers")]
async fn the_control_plane_refuses_in_awss_words() {
    let (gateway, _script) = start().await;
    let pem = TokenSigner::generate().public_pem();
    let other = TokenSigner::generate().public_pem();
    let signed =
        |keys: Value| json!({"signingDisabled": null, "tokenKeyName": "tok", "tokenSigningPublicKeys": keys});
    let not_found = |name: &str| error(NOT_FOUND, 404, format!("Authorizer {name} not found"));
    let arn = |name: &str| format!("arn:aws:iot:us-east-1:123456789012:authorizer/{name}");
    let made = |name: &str| Ok(json!({"authorizerName": name, "authorizerArn": arn(name)}));
    let cases = [
        (named("DescribeAuthorizer", "a"), not_found("a")),
        (
            call("TestInvokeAuthorizer", json!({"authorizerName": "a", "mqttContext": {"clientId": "c"}})),
            not_found("a"),
        ),
        (update("a", json!({"status": "ACTIVE"})), not_found("a")),
        (named("DeleteAuthorizer", "a"), not_found("a")),
        (
            create("a", &json!({"signingDisabled": null})),
            error(INVALID, 400, "Token key name for authorizer a cannot be null"),
        ),
        (
            create("a", &json!({"tokenKeyName": "tok", "tokenSigningPublicKeys": {"k1": pem}})),
            error(
                INVALID,
                400,
                "Token signing keys map must be null for authorizer a if using optional signature header",
            ),
        ),
        (
            create("a", &signed(json!({"k1": pem, "k2": other, "k3": pem}))),
            error(INVALID, 400, "Token signing keys map for authorizer a cannot contain more than 2 keys"),
        ),
        (
            create("a", &signed(json!({"k1": "not-a-pem"}))),
            error(INVALID, 400, "Authorizer a public key for key name k1 not a valid RSA key"),
        ),
        (
            create("a", &signed(json!({"k1": SHORT_KEY}))),
            error(
                INVALID,
                400,
                "Authorizer a public key for key name k1 invalid: Key must be 2048 bits but was 1024 bits",
            ),
        ),
        (
            create("bad name!", &json!({})),
            error(
                INVALID,
                400,
                "1 validation error detected: Value at 'authorizerName' failed to satisfy constraint: Member must satisfy \
                 regular expression pattern: [\\w=,@-]+",
            ),
        ),
        (
            create("a", &json!({"authorizerFunctionArn": "not-an-arn"})),
            error(INVALID, 400, "Lambda function arn for authorizer a is not in proper ARN syntax"),
        ),
        (named("DescribeAuthorizer", "a"), not_found("a")),
        (create("a", &json!({})), made("a")),
        (
            create("a", &json!({"status": "ACTIVE"})),
            error(EXISTS, 409, "Authorizer a already exist for this account"),
        ),
        (create("s", &signed(json!({"k1": pem}))), made("s")),
        (update("s", json!({"tokenSigningPublicKeys": {"k2": other}})), made("s")),
        (
            update("s", json!({"tokenSigningPublicKeys": {"k3": pem}})),
            error(
                INVALID,
                400,
                "Number of signing keys for authorizer s must neither be zero nor greater than 2",
            ),
        ),
        (create("active", &json!({"status": "ACTIVE"})), made("active")),
        (
            named("DeleteAuthorizer", "active"),
            error(
                INVALID,
                400,
                "Cannot delete authorizer active in ACTIVE status. Update status to INACTIVE and delete.",
            ),
        ),
        (update("active", json!({"status": "INACTIVE"})), made("active")),
        (named("DeleteAuthorizer", "active"), Ok(json!({}))),
        (named("DescribeAuthorizer", "active"), not_found("active")),
        (call("DescribeDefaultAuthorizer", json!({})), error(NOT_FOUND, 404, "Default authorizer not found")),
        (call("ClearDefaultAuthorizer", json!({})), error(NOT_FOUND, 404, "Default authorizer not found")),
        (named("SetDefaultAuthorizer", "nobody"), not_found("nobody")),
        (named("SetDefaultAuthorizer", "a"), made("a")),
        (
            named("SetDefaultAuthorizer", "a"),
            error(EXISTS, 409, "Duplicate default authorizer a already configured for this account"),
        ),
        (named("SetDefaultAuthorizer", "s"), made("s")),
        (
            named("DeleteAuthorizer", "s"),
            error(
                "DeleteConflictException",
                409,
                "Cannot delete default authorizer s. Change default and retry delete.",
            ),
        ),
        (call("ClearDefaultAuthorizer", json!({})), Ok(json!({}))),
        (named("DeleteAuthorizer", "s"), Ok(json!({}))),
    ];
    let calls = cases.iter().map(|(call, _)| call.clone()).collect::<Vec<_>>();
    let answered = answers(gateway.folder.path(), &calls).await;
    for (answer, (call, expected)) in answered.iter().zip(cases) {
        assert_eq!(outcome(answer), expected, "{call}");
    }
    // What the settings define is changed there.
    let own = [
        update("latchkey", json!({"status": "INACTIVE"})),
        named("DeleteAuthorizer", "latchkey"),
        create("latchkey", &json!({})),
    ];
    for (answer, part) in answers(gateway.folder.path(), &own).await.iter().zip([
        "the settings file `latchkey.toml` defines the authorizer `latchkey`",
        "the settings file `latchkey.toml` defines the authorizer `latchkey`",
        "already exist for this account",
    ]) {
        assert!(answer["message"].as_str().unwrap().contains(part), "{answer}");
    }
}

#[tokio::test]
async fn a_description_has_what_was_set_and_a_list_begins_with_the_newest() {
    let (gateway, _script) = start().await;
    let (pem, other) = (TokenSigner::generate().public_pem(), TokenSigner::generate().public_pem());
    let list = |more: Value| call("ListAuthorizers", more);
    let calls = [
        create("one", &json!({})),
        named("DescribeAuthorizer", "one"),
        create(
            "two",
            &json!({"signingDisabled": null, "tokenKeyName": "tok", "tokenSigningPublicKeys": {"k1": pem}}),
        ),
        named("DescribeAuthorizer", "two"),
        update("one", json!({"status": "ACTIVE"})),
        update("one", json!({"enableCachingForHttp": true})),
        update("one", json!({"authorizerFunctionArn": format!("{FUNCTION}:live")})),
        named("DescribeAuthorizer", "one"),
        update("two", json!({"tokenSigningPublicKeys": {"k2": other}, "tokenKeyName": "key"})),
        named("DescribeAuthorizer", "two"),
        list(json!({})),
        list(json!({"ascendingOrder": true})),
        list(json!({"status": "INACTIVE"})),
        list(json!({"pageSize": 1})),
        list(json!({"pageSize": 0})),
        list(json!({"status": "OFF"})),
    ];
    let answered = answers(gateway.folder.path(), &calls).await;
    let description = |n: usize| answered[n]["output"]["authorizerDescription"].clone();
    let fields = |of: &Value, names: &[&str]| names.iter().map(|name| of[name].clone()).collect::<Vec<_>>();
    let first = description(1);
    let names =
        ["status", "signingDisabled", "enableCachingForHttp", "tokenKeyName", "tokenSigningPublicKeys"];
    assert_eq!(
        fields(&first, &names),
        [json!("INACTIVE"), json!(true), json!(false), Value::Null, Value::Null]
    );
    assert_eq!(first["creationDate"], first["lastModifiedDate"]);
    let keys = json!({"k1": pem});
    assert_eq!(
        fields(&description(3), &names),
        [json!("INACTIVE"), json!(false), json!(false), json!("tok"), keys]
    );
    let changed = description(7);
    assert_eq!(fields(&changed, &names[..3]), [json!("ACTIVE"), json!(true), json!(true)]);
    assert_eq!(changed["authorizerFunctionArn"], format!("{FUNCTION}:live"));
    assert_eq!(changed["creationDate"], first["creationDate"]);
    assert_eq!(description(9)["tokenSigningPublicKeys"], json!({"k1": pem, "k2": other}));
    let listed = |n: usize| {
        let all = answered[n]["output"]["authorizers"].as_array().unwrap().iter();
        all.map(|it| it["authorizerName"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(listed(10), ["two", "one", "latchkey"]);
    assert_eq!(listed(11), ["latchkey", "one", "two"]);
    assert_eq!(listed(12), ["two"]);
    assert_eq!(listed(13), ["two"]);
    let marker = answered[13]["output"]["nextMarker"].clone();
    // The last one of the first page is gone before the second one is asked for.
    let calls = [named("DeleteAuthorizer", "two"), list(json!({"marker": marker, "pageSize": 2}))];
    let rest = answers(gateway.folder.path(), &calls).await.remove(1);
    assert_eq!(rest["output"]["authorizers"].as_array().unwrap().len(), 2, "{rest}");
    assert_eq!(rest["output"]["nextMarker"], Value::Null, "the last page");
    assert_eq!((&answered[14]["error"], &answered[15]["error"]), (&json!(INVALID), &json!(INVALID)));
}

async fn code(gateway: &TestGateway, client_id: &str, user_name: &str) -> ConnectReasonCode {
    let connect = connect(Version::V5, client_id, user_name, "p");
    MqttClient::connect(gateway, connect).await.1.unwrap().code
}

#[tokio::test]
async fn an_authorizer_of_the_api_rules_the_next_connect_and_survives_a_restart() {
    let (gateway, script) = start().await;
    let api = client(&gateway);
    let (allowed, refused) = (ConnectReasonCode::Success, ConnectReasonCode::NotAuthorized);
    let named = "u?x-amz-customauthorizer-name=made";
    assert_eq!(code(&gateway, "a", named).await, refused);
    let create = api.create_authorizer().authorizer_name("made").authorizer_function_arn(FUNCTION);
    create.signing_disabled(true).status(AuthorizerStatus::Active).send().await.unwrap();
    assert_eq!((code(&gateway, "b", named).await, script.calls()), (allowed, 1));
    assert_eq!(code(&gateway, "c", "u").await, refused, "it is not the default one");
    api.set_default_authorizer().authorizer_name("made").send().await.unwrap();
    assert_eq!((code(&gateway, "d", "u").await, script.calls()), (allowed, 2));
    let update = api.update_authorizer().authorizer_name("made");
    update.status(AuthorizerStatus::Inactive).send().await.unwrap();
    assert_eq!((code(&gateway, "e", named).await, code(&gateway, "f", "u").await), (refused, refused));
    let update = api.update_authorizer().authorizer_name("made");
    update.status(AuthorizerStatus::Active).send().await.unwrap();

    let gateway = gateway.stop().await.run().await;
    assert_eq!((code(&gateway, "g", "u").await, script.calls()), (allowed, 3));
    let api = client(&gateway);
    api.clear_default_authorizer().send().await.unwrap();
    assert_eq!(code(&gateway, "h", "u").await, refused);
    // A function that the settings do not have is accepted, as on AWS, and the log says what to do.
    let update = api.update_authorizer().authorizer_name("made");
    let absent = "arn:aws:lambda:us-east-1:123456789012:function:absent";
    update.authorizer_function_arn(absent).send().await.unwrap();
    assert_eq!(code(&gateway, "i", named).await, refused);
    let line = gateway.logged_with(&[("clientId", "i")]).await;
    assert!(line["explanation"].as_str().unwrap().contains("`[[function]]`"), "{line}");

    // The settings file may not define it too.
    let mut start = gateway.stop().await;
    let (with_both, _script) = start_with(&mut start, "made");
    let refused = with_both.try_run().await.err().unwrap().to_string();
    assert!(refused.contains("`made`") && refused.contains("and so did an API call"), "{refused}");
}

fn start_with(start: &mut Start, name: &str) -> (Start, Script) {
    let taken = std::mem::replace(start, Start::with_authorizer());
    taken.and_script(name, &Step::Answer(allow_all()))
}

#[tokio::test]
async fn a_default_of_the_settings_is_not_changed_by_calls() {
    let (start, _script) = Start::with_script(&Step::Answer(allow_all()));
    let set = |settings: &mut gateway::settings::Settings| {
        settings.default_authorizer = Some(DefaultAuthorizer::Set("latchkey".try_into().unwrap()));
    };
    let gateway = start.with(set).run().await;
    let calls = [
        create("made", &json!({})),
        call("DescribeDefaultAuthorizer", json!({})),
        named("SetDefaultAuthorizer", "made"),
        call("ClearDefaultAuthorizer", json!({})),
    ];
    let answered = answers(gateway.folder.path(), &calls).await;
    assert_eq!(answered[1]["output"]["authorizerDescription"]["authorizerName"], "latchkey");
    for answer in &answered[2..] {
        assert_eq!(answer["error"], INVALID);
        assert!(answer["message"].as_str().unwrap().contains("change it there"), "{answer}");
    }
}

/// A gateway with an authorizer `plain`, one `signed` by two keys, and an INACTIVE one.
async fn with_authorizers() -> (TestGateway, Script, Client, [TokenSigner; 2]) {
    let (gateway, script) = start().await;
    let api = client(&gateway);
    let signers = [TokenSigner::generate(), TokenSigner::generate()];
    for (name, status) in [("plain", AuthorizerStatus::Active), ("inactive", AuthorizerStatus::Inactive)] {
        let create = api.create_authorizer().authorizer_name(name).authorizer_function_arn(FUNCTION);
        create.signing_disabled(true).status(status).send().await.unwrap();
    }
    let create = api.create_authorizer().authorizer_name("signed").authorizer_function_arn(FUNCTION);
    let keys = signers.iter().enumerate().map(|(n, signer)| (format!("k{n}"), signer.public_pem()));
    let create = create.token_key_name("tok").set_token_signing_public_keys(Some(keys.collect()));
    create.status(AuthorizerStatus::Active).send().await.unwrap();
    (gateway, script, api, signers)
}

fn mqtt(user_name: &str, password: Option<&str>) -> MqttContext {
    let context = MqttContext::builder().client_id("c").username(user_name);
    context.set_password(password.map(Blob::new)).build()
}

#[tokio::test]
async fn test_invoke_holds_an_answer_against_awss_rules() {
    let (_gateway, script, api, _signers) = with_authorizers().await;
    let policy = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:Connect", "Resource": "*"}]});
    let text = policy.to_string();
    let invoke = async |name: &str| {
        let call = api.test_invoke_authorizer().authorizer_name(name).mqtt_context(mqtt("u", Some("secret")));
        call.send().await.map_err(|error| {
            let status = error.raw_response().unwrap().status().as_u16();
            (
                error.code().unwrap_or_default().to_owned(),
                status,
                error.message().unwrap_or_default().to_owned(),
            )
        })
    };
    let answer =
        |documents: Value| json!({"isAuthenticated": true, "principalId": "p", "policyDocuments": documents});
    script.set(&Step::Answer(answer(json!([text]))));
    for name in ["plain", "inactive"] {
        let answer = invoke(name).await.unwrap();
        assert_eq!((answer.is_authenticated(), answer.principal_id()), (Some(true), Some("p")), "{name}");
        assert_eq!(answer.policy_documents(), std::slice::from_ref(&text));
        assert_eq!(
            (answer.refresh_after_in_seconds(), answer.disconnect_after_in_seconds()),
            (Some(300), Some(86_400))
        );
    }
    script.set(&Step::Answer(answer(json!([policy]))));
    assert_eq!(invoke("plain").await.unwrap().policy_documents().len(), 1);
    script.set(&Step::Answer(answer(json!([]))));
    assert!(invoke("plain").await.unwrap().policy_documents().is_empty());
    assert_eq!(
        invoke("nobody").await.unwrap_err(),
        (NOT_FOUND.to_owned(), 404, "Authorizer nobody not found".to_owned())
    );
    let principal =
        "null at principalId failed to satisfy constraint: Member must satisfy ([a-zA-Z0-9]){1,128}";
    for (step, message) in [
        (Step::Answer(json!({"isAuthenticated": false})), principal),
        (Step::Answer(json!({"foo": 1})), "Lambda invocation result is in invalid format"),
        (
            Step::Answer(json!({"isAuthenticated": true, "principalId": "p"})),
            "policyDocuments failed to satisfy constraint: List of policies cannot be null.",
        ),
        (
            Step::Error,
            "Lambda function encountered error in execution: the script says so: an error without a type",
        ),
    ] {
        script.set(&step);
        let expected = ("InvalidResponseException".to_owned(), 400, message.to_owned());
        assert_eq!(invoke("plain").await.unwrap_err(), expected);
    }
}

#[tokio::test]
async fn test_invoke_sends_the_event_of_the_contexts_and_checks_tokens() {
    let (_gateway, script, api, [one, two]) = with_authorizers().await;
    let call = |name: &str| api.test_invoke_authorizer().authorizer_name(name);
    let last = || {
        let mut event = script.events().pop().unwrap();
        let id = event["connectionMetadata"]["id"].take();
        assert!(
            id.as_str().unwrap().len() == 36 && event["connectionMetadata"].as_object().unwrap().len() == 1
        );
        event.as_object_mut().unwrap().remove("connectionMetadata");
        event
    };
    let fields = json!({"username": "u", "password": "cA==", "clientId": "c"});
    call("plain").mqtt_context(mqtt("u", Some("p"))).send().await.unwrap();
    let expected =
        json!({"protocols": ["mqtt"], "protocolData": {"mqtt": fields}, "signatureVerified": false});
    assert_eq!(last(), expected);
    let tls = TlsContext::builder().server_name("shape.example.com").build();
    call("plain").mqtt_context(mqtt("u", Some("p"))).tls_context(tls).send().await.unwrap();
    let data = json!({"tls": {"serverName": "shape.example.com"}, "mqtt": fields});
    assert_eq!(
        last(),
        json!({"protocols": ["tls", "mqtt"], "protocolData": data, "signatureVerified": false})
    );
    let http = HttpContext::builder().headers("X-Mixed-Case", "Value").query_string("?a=b&c=d").build();
    call("plain").http_context(http).send().await.unwrap();
    let data = json!({"http": {"headers": {"X-Mixed-Case": "Value"}, "queryString": "?a=b&c=d"}});
    assert_eq!(last(), json!({"protocols": ["http"], "protocolData": data, "signatureVerified": false}));
    for signer in [&one, &two] {
        call("signed").token("t").token_signature(signer.sign("t")).send().await.unwrap();
        assert_eq!(last(), json!({"token": "t", "signatureVerified": true}));
    }
    let user_name = format!("u?x-amz-customauthorizer-signature={}&tok=t", url_encoded(&one.sign("t")));
    call("signed").mqtt_context(mqtt(&user_name, None)).send().await.unwrap();
    let data = json!({"mqtt": {"username": user_name, "clientId": "c"}});
    let expected =
        json!({"protocols": ["mqtt"], "protocolData": data, "token": "t", "signatureVerified": true});
    assert_eq!(last(), expected);

    let calls = script.calls();
    let wrong = TokenSigner::generate().sign("t");
    let query = |text: &str| HttpContext::builder().headers("a", "b").query_string(text).build();
    for (call, message) in [
        (call("plain").token("t"), "Request must provide both token and tokenSignature together."),
        (
            call("plain").token("t").token_signature(one.sign("t")),
            "Token and token signature provided but signing is disabled for the authorizer.",
        ),
        (
            call("signed").token("t").token_signature(one.sign("t")).mqtt_context(mqtt("u", Some("p"))),
            "Request cannot have token and Http/Mqtt/Tls context.",
        ),
        (call("plain"), "Request must have Http/Mqtt/Tls context."),
        (call("plain").http_context(query("a=b")), "Invalid arguments in the call"),
        (
            call("plain").http_context(query("")),
            "1 validation error detected: Value at 'httpContext.queryString' failed to satisfy constraint: Member must have \
             length greater than or equal to 1",
        ),
        (
            call("signed").token("t").token_signature("not base64!"),
            "1 validation error detected: Value at 'tokenSignature' failed to satisfy constraint: Member must satisfy regular \
             expression pattern: [A-Za-z0-9+/]+={0,2}",
        ),
        (
            call("signed").token("t").token_signature(one.sign("other")),
            "Token signature mismatch for authorizer signed",
        ),
        (call("signed").token("t").token_signature(wrong), "Token signature mismatch for authorizer signed"),
        (call("signed").mqtt_context(mqtt("u", Some("p"))), ""),
    ] {
        let refused = call.send().await.unwrap_err();
        assert_eq!((refused.code(), refused.message().unwrap_or_default()), (Some(INVALID), message));
    }
    assert_eq!(script.calls(), calls, "the function was not called");
}

#[tokio::test]
async fn limits_of_the_api_are_awss() {
    let (gateway, _script) = start().await;
    let created = |n: usize, status: &str| create(&format!("a{n}"), &json!({"status": status}));
    // The gateway's own is one of each.
    let calls = (1..=32).map(|n| created(n, "ACTIVE")).chain((33..=101).map(|n| created(n, "INACTIVE")));
    let answered = answers(gateway.folder.path(), &calls.collect::<Vec<_>>()).await;
    let refused = answered.iter().enumerate().filter(|(_, answer)| !answer["error"].is_null());
    let refused =
        refused.map(|(n, answer)| (n + 1, answer["error"].as_str().unwrap(), answer["status"].clone()));
    let limit = |n| (n, "LimitExceededException", json!(410));
    assert_eq!(refused.collect::<Vec<_>>(), [limit(32), limit(101)]);
}
