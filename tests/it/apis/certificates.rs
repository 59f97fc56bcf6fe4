//! Certificates, the Things and policies that they are attached to, and what they let a device do at once.

use gateway::door::route::Port;
use integration::{
    aws_api::{answers, call, error, output, with},
    device_certificate::{DeviceCertificate, Knock},
    mqtt_client::MqttClient,
    test_gateway::TestGateway,
};
use mqtt::{Connect, ConnectReasonCode, Packet, PubAckCode, QoS, Version};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

const ARN: &str = "arn:aws:iot:us-east-1:123456789012";

/// What a client with the certificate reads at the port for AWS's 8883; nothing if the handshake fails.
async fn connect(
    gateway: &TestGateway,
    certificate: &DeviceCertificate,
    id: &str,
) -> Option<(MqttClient, ConnectReasonCode)> {
    let versions = rustls::DEFAULT_VERSIONS;
    let certificate = Some(certificate);
    let knock = Knock { port: Port::P8883, server_name: "localhost", alpn: &[], certificate, versions };
    let mut client = MqttClient::over(knock.tls(gateway).await.ok()?, Version::V5);
    if !client.try_send(Packet::Connect(Box::new(Connect::new(Version::V5, id)))).await {
        return None;
    }
    match client.receive().await {
        Some(Packet::ConnAck(ack)) => Some((client, ack.code)),
        _ => None,
    }
}

async fn one(gateway: &TestGateway, operation: &str, input: Value) -> Value {
    output(gateway.folder.path(), call(operation, input)).await
}

fn policy(actions: &[&str], resource: &str) -> String {
    let statement = json!({"Effect": "Allow", "Action": actions, "Resource": format!("{ARN}:{resource}")});
    json!({"Version": "2012-10-17", "Statement": statement}).to_string()
}

#[tokio::test]
async fn what_is_created_attached_and_deactivated_rules_the_next_connection() {
    let gateway = TestGateway::open_to_all().await;
    let created = one(&gateway, "CreateKeysAndCertificate", json!({"setAsActive": true})).await;
    let (arn, id) = (created["certificateArn"].clone(), created["certificateId"].clone());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let device = DeviceCertificate {
        pem: text(&created["certificatePem"]),
        key: text(&created["keyPair"]["PrivateKey"]),
    };
    assert!(created["keyPair"]["PublicKey"].as_str().unwrap().starts_with("-----BEGIN PUBLIC KEY-----"));
    let refused = |code| code == ConnectReasonCode::NotAuthorized;
    assert!(refused(connect(&gateway, &device, "sht20").await.unwrap().1), "without a policy");

    let document = policy(&["iot:Connect"], "client/${iot:Connection.Thing.ThingName}");
    one(&gateway, "CreatePolicy", json!({"policyName": "p", "policyDocument": document})).await;
    one(&gateway, "AttachPolicy", json!({"policyName": "p", "target": arn})).await;
    assert!(refused(connect(&gateway, &device, "sht20").await.unwrap().1), "without a Thing");
    one(&gateway, "CreateThing", json!({"thingName": "sht20"})).await;
    one(&gateway, "AttachThingPrincipal", json!({"thingName": "sht20", "principal": arn})).await;
    let (mut client, code) = connect(&gateway, &device, "sht20").await.unwrap();
    assert_eq!(code, ConnectReasonCode::Success);
    let publish = client.publish("t", "x", QoS::AtLeastOnce).await.unwrap();
    assert_eq!(publish.code, PubAckCode::NotAuthorized);

    // The policy of a group of the Thing counts too.
    let document = policy(&["iot:Publish"], "topic/t");
    one(&gateway, "CreatePolicy", json!({"policyName": "of-group", "policyDocument": document})).await;
    one(&gateway, "CreateThingGroup", json!({"thingGroupName": "g"})).await;
    one(&gateway, "AttachPolicy", json!({"policyName": "of-group", "target": format!("{ARN}:thinggroup/g")}))
        .await;
    one(&gateway, "AddThingToThingGroup", json!({"thingGroupName": "g", "thingName": "sht20"})).await;
    let (mut client, _) = connect(&gateway, &device, "sht20").await.unwrap();
    let publish = client.publish("t", "x", QoS::AtLeastOnce).await.unwrap();
    assert!(matches!(publish.code, PubAckCode::Success | PubAckCode::NoMatchingSubscribers), "{publish:?}");

    let effective =
        one(&gateway, "GetEffectivePolicies", json!({"principal": arn, "thingName": "sht20"})).await;
    let names =
        effective["effectivePolicies"].as_array().unwrap().iter().map(|policy| policy["policyName"].clone());
    assert_eq!(names.collect::<Vec<_>>(), ["p", "of-group"]);

    one(&gateway, "UpdateCertificate", json!({"certificateId": id, "newStatus": "INACTIVE"})).await;
    assert!(connect(&gateway, &device, "sht20").await.is_none(), "{}", gateway.log.text());
    one(&gateway, "UpdateCertificate", json!({"certificateId": id, "newStatus": "ACTIVE"})).await;
    one(&gateway, "DetachPolicy", json!({"policyName": "p", "target": arn})).await;
    assert!(refused(connect(&gateway, &device, "sht20").await.unwrap().1), "without its policy");
}

#[tokio::test]
async fn a_certificate_is_deleted_only_when_nothing_uses_it() {
    let gateway = TestGateway::open_to_all().await;
    let device = DeviceCertificate::new("device");
    let registered = device.registered();
    let id = registered.id().as_str().to_string();
    let arn = format!("{ARN}:cert/{id}");
    let on = |operation: &str| call(operation, json!({"certificateId": id}));
    let status = |status: &str| call("UpdateCertificate", json!({"certificateId": id, "newStatus": status}));
    let register = |status: &str| {
        call("RegisterCertificateWithoutCA", json!({"certificatePem": device.pem, "status": status}))
    };
    let thing = |operation: &str| call(operation, json!({"thingName": "t", "principal": arn}));
    let exclusive = |thing: &str| {
        call(
            "AttachThingPrincipal",
            json!({"thingName": thing, "principal": arn, "thingPrincipalType": "EXCLUSIVE_THING"}),
        )
    };
    let calls = [
        register("PENDING_ACTIVATION"),
        register("ACTIVE"),
        register("ACTIVE"),
        call("RegisterCertificateWithoutCA", json!({"certificatePem": "x"})),
        on("DescribeCertificate"),
        call("CreateThing", json!({"thingName": "t"})),
        call("CreateThing", json!({"thingName": "u"})),
        thing("AttachThingPrincipal"),
        exclusive("u"),
        exclusive("t"),
        call("AttachThingPrincipal", json!({"thingName": "u", "principal": arn})),
        call("ListThingPrincipals", json!({"thingName": "t"})),
        call("ListThingPrincipalsV2", json!({"thingName": "t"})),
        call("ListPrincipalThings", json!({"principal": arn})),
        call("ListPrincipalThingsV2", json!({"principal": arn, "thingPrincipalType": "NON_EXCLUSIVE_THING"})),
        on("DeleteCertificate"),
        status("PENDING_TRANSFER"),
        status("INACTIVE"),
        on("DeleteCertificate"),
        call("DeleteCertificate", json!({"certificateId": id, "forceDelete": true})),
        call("DeleteThing", json!({"thingName": "t"})),
        thing("DetachThingPrincipal"),
        thing("DetachThingPrincipal"),
        call(
            "CreatePolicy",
            json!({"policyName": "p", "policyDocument": policy(&["iot:Connect"], "client/t")}),
        ),
        call("AttachPolicy", json!({"policyName": "p", "target": arn})),
        on("DeleteCertificate"),
        call("DeleteCertificate", json!({"certificateId": id, "forceDelete": true})),
        on("DescribeCertificate"),
        call("ListTargetsForPolicy", json!({"policyName": "p"})),
        status("ACTIVE"),
    ];
    let answered = answers(gateway.folder.path(), &calls).await;
    let output = |n: usize| &answered[n]["output"];
    assert_eq!(error(&answered[0]), ("CertificateStateException", 406));
    assert_eq!(output(1), &json!({"certificateArn": arn, "certificateId": id}));
    assert_eq!(error(&answered[2]), ("ResourceAlreadyExistsException", 409));
    assert_eq!(answered[2]["members"]["resourceArn"], arn);
    assert_eq!(error(&answered[3]).1, 400);
    let description = &output(4)["certificateDescription"];
    assert_eq!(
        (&description["status"], &description["certificateMode"]),
        (&json!("ACTIVE"), &json!("SNI_ONLY"))
    );
    for refused in [8, 10] {
        assert_eq!(error(&answered[refused]), ("InvalidRequestException", 400), "{}", answered[refused]);
    }
    assert_eq!(output(9), &json!({}), "the only one becomes exclusive");
    assert_eq!(output(11), &json!({"principals": [arn]}));
    let object = json!({"principal": arn, "thingPrincipalType": "EXCLUSIVE_THING"});
    assert_eq!(output(12), &json!({"thingPrincipalObjects": [object]}));
    assert_eq!(output(13), &json!({"things": ["t"]}));
    assert_eq!(output(14), &json!({"principalThingObjects": []}));
    assert_eq!(error(&answered[15]), ("CertificateStateException", 406), "it is active");
    assert_eq!(error(&answered[16]), ("CertificateStateException", 406));
    assert_eq!(error(&answered[18]), ("DeleteConflictException", 409), "it is attached to a Thing");
    assert_eq!(error(&answered[19]), ("DeleteConflictException", 409), "even by force");
    assert_eq!(error(&answered[20]), ("InvalidRequestException", 400), "the Thing is attached");
    assert_eq!((error(&answered[21]).0, error(&answered[22]).1), ("none", 404));
    assert_eq!(error(&answered[25]), ("DeleteConflictException", 409), "it has a policy");
    assert_eq!(error(&answered[26]), ("none", 200));
    assert_eq!(error(&answered[27]), ("ResourceNotFoundException", 404));
    assert_eq!(output(28), &json!({"targets": []}));
    assert_eq!(error(&answered[29]), ("ResourceNotFoundException", 404));
}

#[tokio::test]
async fn a_signing_request_gets_a_certificate_for_its_key_and_certificates_are_listed_by_age() {
    let gateway = TestGateway::open_to_all().await;
    let key = KeyPair::generate().unwrap();
    let request = CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap();
    let create = |request: &str| {
        call("CreateCertificateFromCsr", json!({"certificateSigningRequest": request, "setAsActive": true}))
    };
    let list = |more: Value| call("ListCertificates", more);
    let first =
        answers(gateway.folder.path(), &[create(&request), create("x"), create(&request.replace('A', "B"))])
            .await;
    for refused in &first[1..] {
        assert_eq!(error(refused), ("InvalidRequestException", 400), "{refused}");
    }
    let pem = first[0]["output"]["certificatePem"].as_str().unwrap().to_owned();
    let id = first[0]["output"]["certificateId"].clone();
    let described = one(&gateway, "DescribeCertificate", json!({"certificateId": id})).await;
    // 2049-12-31T23:59:59Z.
    assert_eq!(described["certificateDescription"]["validity"]["notAfter"], 2_524_607_999.0);
    let device = DeviceCertificate { pem, key: key.serialize_pem() };
    let (_, code) = connect(&gateway, &device, "a").await.unwrap();
    assert_eq!(code, ConnectReasonCode::NotAuthorized, "the handshake is the key's, and there is no policy");
    let others = ["b", "c"].map(|name| {
        call("RegisterCertificateWithoutCA", json!({"certificatePem": DeviceCertificate::new(name).pem}))
    });
    let others = answers(gateway.folder.path(), &others).await;
    let oldest_first =
        [&first[0], &others[0], &others[1]].map(|answer| answer["output"]["certificateId"].clone());
    let listed = answers(
        gateway.folder.path(),
        &[
            list(json!({"ascendingOrder": true})),
            list(json!({"ascendingOrder": false})),
            list(json!({"pageSize": 2, "ascendingOrder": true})),
        ],
    )
    .await;
    let ids = |answer: &Value| {
        let certificates = answer["output"]["certificates"].as_array().unwrap();
        certificates.iter().map(|certificate| certificate["certificateId"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&listed[0]), oldest_first);
    assert_eq!(ids(&listed[1]), oldest_first.iter().rev().cloned().collect::<Vec<_>>());
    let marker = &listed[2]["output"]["nextMarker"];
    let rest = list(json!({"pageSize": 2, "ascendingOrder": true, "marker": marker}));
    let rest = answers(gateway.folder.path(), &[rest]).await;
    assert_eq!(ids(&rest[0]), oldest_first[2..]);
    assert_eq!(
        others[0]["output"]["certificateArn"],
        format!("{ARN}:cert/{}", oldest_first[1].as_str().unwrap())
    );
}

#[tokio::test]
async fn test_authorization_decides_as_the_doors_do_and_names_the_near_miss() {
    let gateway = TestGateway::open_to_all().await;
    let device = DeviceCertificate::new("device");
    let registered = json!({"certificatePem": device.pem, "status": "ACTIVE"});
    let arn = one(&gateway, "RegisterCertificateWithoutCA", registered).await["certificateArn"].clone();
    let statements = json!([
        {"Effect": "Allow", "Action": "iot:Publish", "Resource": format!("{ARN}:topic/a/*")},
        {"Effect": "Deny", "Action": "iot:Publish", "Resource": format!("{ARN}:topic/a/secret")},
        {"Effect": "Allow", "Action": "iot:Subscribe", "Resource": format!("{ARN}:topic/b")},
    ]);
    let document = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
    one(&gateway, "CreatePolicy", json!({"policyName": "p", "policyDocument": document})).await;
    one(
        &gateway,
        "CreatePolicy",
        json!({"policyName": "connect", "policyDocument": policy(&["iot:Connect"], "client/c")}),
    )
    .await;
    one(&gateway, "AttachPolicy", json!({"policyName": "p", "target": arn})).await;
    let ask = |action: &str, resource: &str| json!({"actionType": action, "resources": [format!("{ARN}:{resource}")]});
    let infos = json!([
        ask("PUBLISH", "topic/a/b"),
        ask("PUBLISH", "topic/a/secret"),
        ask("SUBSCRIBE", "topicfilter/b"),
        ask("CONNECT", "client/c"),
        ask("RECEIVE", "topic/z"),
    ]);
    let test = |more: Value| {
        let input = json!({"principal": arn, "clientId": "c", "authInfos": infos});
        call("TestAuthorization", with(input, &more))
    };
    let calls = [
        test(json!({})),
        test(json!({"policyNamesToAdd": ["connect"], "policyNamesToSkip": ["p"]})),
        test(json!({"policyNamesToAdd": ["no-such"]})),
        test(json!({"authInfos": []})),
        test(json!({"authInfos": [{"actionType": "PUBLISH", "resources": ["topic/a"]}]})),
        test(json!({"principal": format!("{ARN}:cert/{}", "a".repeat(64))})),
    ];
    let answered = answers(gateway.folder.path(), &calls).await;
    let decisions = |answer: &Value| {
        let results = answer["output"]["authResults"].as_array().unwrap();
        results.iter().map(|result| result["authDecision"].clone()).collect::<Vec<_>>()
    };
    let (allowed, implicit) = ("ALLOWED", "IMPLICIT_DENY");
    assert_eq!(decisions(&answered[0]), [allowed, "EXPLICIT_DENY", implicit, implicit, implicit]);
    let results = &answered[0]["body"]["authResults"];
    assert_eq!(results[0]["allowed"]["policies"][0]["policyName"], "p");
    assert_eq!(results[1]["denied"]["explicitDeny"]["policies"][0]["policyName"], "p");
    let near = results[2]["latchkeyNearMiss"].as_str().unwrap();
    assert!(near.contains("topicfilter"), "{near}");
    assert!(answered[0]["output"]["authResults"][2]["latchkeyNearMiss"].is_null(), "SDKs ignore it");
    assert!(results[4]["latchkeyNearMiss"].is_null());
    assert_eq!(decisions(&answered[1]), [implicit, implicit, implicit, allowed, implicit]);
    assert_eq!(error(&answered[2]), ("ResourceNotFoundException", 404));
    assert_eq!((error(&answered[3]).1, error(&answered[4]).1), (400, 400));
    assert_eq!(error(&answered[5]), ("ResourceNotFoundException", 404));
}

#[tokio::test]
async fn a_certificate_that_is_registered_without_a_status_is_inactive() {
    let gateway = TestGateway::open_to_all().await;
    let pem = DeviceCertificate::new("device").pem;
    let created = one(&gateway, "RegisterCertificateWithoutCA", json!({"certificatePem": pem})).await;
    let described =
        one(&gateway, "DescribeCertificate", json!({"certificateId": created["certificateId"]})).await;
    assert_eq!(described["certificateDescription"]["status"], "INACTIVE");
}
