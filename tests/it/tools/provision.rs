//! `latchkey fleet provision`, the real program, in an account that moto plays.

use std::{collections::HashMap, fs};

use aws_sdk_dynamodb::types::AttributeValue;
use device_sim::credentials_file::{self, Row};
use gateway::api::key::ApiFile;
use integration::{
    aws_api,
    cloud::{Cloud, TABLE, THING_GROUP, THING_TYPE, outputs},
    eventually::until,
    fake_aws::{Act, FakeAws},
    refusing::{Refusal, Refusing},
    running::{Finished, Running},
    test_gateway::TestGateway,
};
use serde_json::{Value, json};

const PASSWORDS: &str = ".latchkey/credentials-dev.csv";

fn words<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["fleet", "--json", "provision", "--rate", "100"], more].concat()
}

async fn provision(cloud: &Cloud, more: &[&str]) -> (Option<i32>, Value, Finished) {
    let finished = cloud.latchkey(&words(more)).finish().await;
    let report = serde_json::from_slice(&finished.out).unwrap_or(Value::Null);
    (finished.code, report, finished)
}

fn rows(cloud: &Cloud) -> Vec<Row> {
    credentials_file::read_if_exists(&cloud.file(PASSWORDS)).unwrap()
}

type Record = HashMap<String, AttributeValue>;

/// Whether the record lets the password in, by what the authorizer reads of it.
fn takes(record: &Record, password: &[u8]) -> bool {
    let list = record["verifiers"].as_l().unwrap();
    let text = |it: &AttributeValue| it.as_m().unwrap()["verifier"].as_s().unwrap().clone();
    let verifier = |it| device_auth::verifier::Verifier::try_from(text(it)).unwrap();
    list.iter().any(|it| verifier(it).matches(password).into())
}

/// Every row's password opens its record, and there is no record without a row.
async fn check_whole(cloud: &Cloud, devices: usize) {
    let (rows, records) = (rows(cloud), cloud.records().await);
    assert_eq!((rows.len(), records.len(), cloud.things().await.len()), (devices, devices, devices));
    for row in rows {
        assert!(takes(&records[&row.device], row.password.expose()), "{}", row.device);
        assert!(row.client_id == row.device && row.user_name == row.device);
    }
}

#[tokio::test]
async fn each_device_gets_one_thing_one_password_and_one_record() {
    let cloud = Cloud::start().await;
    let (code, report, finished) = provision(&cloud, &["--count", "3", "--name", "hall-##"]).await;
    assert_eq!(code, Some(0), "{}", finished.err());
    assert!(
        finished.err().starts_with("using the stage `dev` of `cdk-outputs.json`: "),
        "{}",
        finished.err()
    );
    assert!(finished.err().contains("3 of 3 devices tried"));
    assert_eq!(report["things"], json!({"made": 3, "completed": 0, "present": 0}));
    assert_eq!(report["records"], json!({"written": 3, "present": 0}));
    assert_eq!((&report["complete"], &report["credentials"]), (&json!(true), &json!(PASSWORDS)));
    check_whole(&cloud, 3).await;
    for row in rows(&cloud) {
        let password = String::from_utf8(row.password.expose().to_vec()).unwrap();
        assert!(!finished.out().contains(&password) && !finished.err().contains(&password));
    }
    let thing = cloud.iot().describe_thing().thing_name("hall-02").send().await.unwrap();
    assert_eq!(thing.thing_type_name(), Some(THING_TYPE));
    assert_eq!(thing.attributes().unwrap()["grant"], "own-topics");
    let group = cloud.iot().list_things_in_thing_group().thing_group_name(THING_GROUP).send().await.unwrap();
    assert_eq!(group.things().len(), 3);

    let before = (cloud.records().await, fs::read(cloud.file(PASSWORDS)).unwrap());
    let (code, report, _) = provision(&cloud, &["--count", "3", "--name", "hall-##"]).await;
    assert_eq!(code, Some(0));
    assert_eq!(report["things"], json!({"made": 0, "completed": 0, "present": 3}));
    assert_eq!(report["records"], json!({"written": 0, "present": 3}));
    assert_eq!((cloud.records().await, fs::read(cloud.file(PASSWORDS)).unwrap()), before);
}

/// The registry is the gateway's, the table moto's.
#[tokio::test]
async fn devices_are_provisioned_in_the_gateways_registry_with_only_the_endpoint_changed() {
    let (cloud, gateway) = tokio::join!(Cloud::start(), TestGateway::open_to_all());
    let iot = aws_sdk_iot::Client::new(&aws_api::configuration(gateway.folder.path()));
    iot.create_thing_type().thing_type_name(THING_TYPE).send().await.unwrap();
    iot.create_thing_group().thing_group_name(THING_GROUP).send().await.unwrap();
    let ApiFile { endpoint, key, .. } = ApiFile::read(gateway.folder.path()).unwrap();
    for (made, present) in [(2, 0), (0, 2)] {
        let mut command = cloud.command(cloud.endpoint(), &words(&["--count", "2", "--name", "hall-##"]));
        command.env("AWS_ENDPOINT_URL_IOT", &endpoint);
        command.env("AWS_ACCESS_KEY_ID", &key.id).env("AWS_SECRET_ACCESS_KEY", key.secret.as_str());
        let finished = Running::start(command).finish().await;
        assert_eq!(finished.code, Some(0), "{}", finished.err());
        let report = serde_json::from_slice::<Value>(&finished.out).unwrap();
        assert_eq!(report["things"], json!({"made": made, "completed": 0, "present": present}));
    }
    assert!(cloud.things().await.is_empty(), "nothing in moto's registry");
    assert_eq!(cloud.records().await.len(), 2);
    let thing = iot.describe_thing().thing_name("hall-02").send().await.unwrap();
    assert_eq!(thing.thing_type_name(), Some(THING_TYPE));
    assert_eq!(thing.attributes().unwrap()["grant"], "own-topics");
    let group = iot.list_things_in_thing_group().thing_group_name(THING_GROUP).send().await.unwrap();
    assert_eq!(group.things().len(), 2);
}

#[tokio::test]
async fn a_file_says_which_devices_and_what_their_things_have() {
    let cloud = Cloud::start().await;
    fs::write(cloud.file("d.csv"), "device,attribute room,grant\na,hall,\nb,,own-topics\n").unwrap();
    let (code, _, finished) = provision(&cloud, &["--from", "d.csv"]).await;
    assert_eq!(code, Some(0), "{}", finished.err());
    check_whole(&cloud, 2).await;
    let thing = cloud.iot().describe_thing().thing_name("a").send().await.unwrap();
    assert_eq!(thing.attributes().unwrap()["room"], "hall");
    assert_eq!(cloud.records().await["b"]["grant"].as_s().unwrap(), "own-topics");
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_made_and_makes_nothing() {
    let cloud = Cloud::start().await;
    let more = ["--count", "2", "--name", "hall-#", "--dry-run"];
    let (code, report, finished) = provision(&cloud, &more).await;
    assert_eq!((code, &report["dry_run"]), (Some(0), &json!(true)), "{}", finished.err());
    assert_eq!(report["things"], json!({"made": 2, "completed": 0, "present": 0}));
    assert_eq!(report["records"], json!({"written": 2, "present": 0}));
    assert!(cloud.things().await.is_empty() && cloud.records().await.is_empty());
    assert!(fs::read_dir(cloud.file(".latchkey")).unwrap().next().is_none(), "no file and no lock");

    provision(&cloud, &["--count", "1", "--name", "hall-#"]).await;
    let (_, report, _) = provision(&cloud, &more).await;
    assert_eq!(report["things"], json!({"made": 1, "completed": 0, "present": 1}));
    assert_eq!(report["records"], json!({"written": 1, "present": 1}));
    check_whole(&cloud, 1).await;
    let (code, _, finished) = provision(&cloud, &[&more[..], &["--grant", "none"]].concat()).await;
    assert!(code == Some(64) && finished.err().contains("grant `none` does not exist"), "{}", finished.err());
}

#[tokio::test]
async fn a_file_with_a_bad_line_makes_nothing() {
    let cloud = Cloud::start().await;
    fs::write(cloud.file("d.csv"), "device\na\nb c\nd.e\na\n").unwrap();
    let (code, _, finished) = provision(&cloud, &["--from", "d.csv"]).await;
    assert_eq!((code, finished.out().as_str()), (Some(64), ""));
    for part in [
        "has 3 bad rows",
        "line 3: `b c` can't be",
        "line 4: `d.e` can't be",
        "line 5: a duplicate of line 2",
    ] {
        assert!(finished.err().contains(part), "{part}: {}", finished.err());
    }
    fs::write(cloud.file("d.csv"), "device,grant\na,sht02\n").unwrap();
    let (code, _, finished) = provision(&cloud, &["--from", "d.csv"]).await;
    assert!(
        code == Some(64) && finished.err().contains("device `a`: grant `sht02` does not exist"),
        "{}",
        finished.err()
    );
    assert!(cloud.things().await.is_empty() && cloud.records().await.is_empty());
    assert!(!cloud.file(PASSWORDS).exists());
}

#[tokio::test]
async fn a_run_that_was_killed_goes_on_and_loses_no_password() {
    let cloud = Cloud::start().await;
    let running = cloud.latchkey(&["fleet", "provision", "--count", "6", "--rate", "4"]);
    until("a record", async || !cloud.records().await.is_empty()).await;
    drop(running);
    let (written, records) = (rows(&cloud), cloud.records().await);
    assert!(written.len() < 6, "it was over before it was killed");
    for (device, record) in &records {
        let row = written.iter().find(|row| row.device == *device);
        let row = row.unwrap_or_else(|| panic!("the password of `{device}` is lost"));
        assert!(takes(record, row.password.expose()));
    }
    let (code, report, finished) = provision(&cloud, &["--count", "6"]).await;
    assert_eq!(code, Some(0), "{}", finished.err());
    assert!(report["records"]["present"].as_u64().unwrap() >= 1, "{report}");
    check_whole(&cloud, 6).await;
    assert!(rows(&cloud).starts_with(&written), "passwords that were there are as they were");
}

#[tokio::test]
async fn a_password_without_a_record_is_used_and_a_record_without_a_password_is_left_alone() {
    let cloud = Cloud::start().await;
    let (code, ..) = provision(&cloud, &["--count", "2", "--credentials", "elsewhere.csv"]).await;
    assert_eq!(code, Some(0));
    let before = cloud.records().await;
    // After a run that ended between the password and the record; and with another password.
    let row = |name: &str, password: &str| Row {
        device: name.to_owned(),
        client_id: name.to_owned(),
        user_name: name.to_owned(),
        password: password.into(),
    };
    let (generated, chosen) = ("A".repeat(43), "correct horse");
    let written = [row("device-0002", "another"), row("device-0003", &generated), row("device-0004", chosen)];
    credentials_file::append(&cloud.file(PASSWORDS), &written).unwrap();
    let (code, report, _) = provision(&cloud, &["--count", "4"]).await;
    assert_eq!((code, &report["complete"]), (Some(1), &json!(false)), "two passwords are lost");
    assert_eq!(report["no_password"], json!(["device-0001"]));
    assert_eq!(report["other_password"], json!(["device-0002"]));
    let after = cloud.records().await;
    assert!(before.iter().all(|(name, record)| after[name] == *record));
    assert!(
        takes(&after["device-0003"], generated.as_bytes()) && takes(&after["device-0004"], chosen.as_bytes())
    );
    assert!(rows(&cloud) == written, "nothing was added");
    let again = cloud.latchkey(&["fleet", "provision", "--count", "4"]).finish().await;
    let cure = "cure find the file of passwords with which the records were made, and name it with `--credentials`; \
                or remove the records (docs/operations.md says how)";
    let printed = again.out().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(again.code == Some(1) && printed.contains(cure), "{}", again.out());
    // What a person chose is not kept by a fast hash.
    assert!(format!("{:?}", after["device-0004"]).contains("$argon2id$"));
}

#[tokio::test]
async fn a_password_is_written_down_before_its_record_is_made() {
    let cloud = Cloud::start().await;
    let refusal =
        Refusal { part: "DynamoDB_20120810.PutItem", times: usize::MAX, code: "AccessDeniedException" };
    let refusing = Refusing::start(cloud.endpoint(), refusal).await;
    let finished = cloud.latchkey_at(refusing.endpoint(), &words(&["--count", "2"])).finish().await;
    let report = serde_json::from_slice::<Value>(&finished.out).unwrap();
    assert_eq!((finished.code, &report["complete"]), (Some(1), &json!(false)));
    let why = report["stopped"].as_str().unwrap();
    assert!(why.contains("may not dynamodb:PutItem (AccessDeniedException): docs/deploy.md has"), "{why}");
    let written = rows(&cloud);
    assert!(cloud.records().await.is_empty() && written.len() == refusing.refused(), "{report}");
    let (code, ..) = provision(&cloud, &["--count", "2"]).await;
    assert_eq!(code, Some(0));
    check_whole(&cloud, 2).await;
    assert!(rows(&cloud).starts_with(&written));
}

#[tokio::test]
async fn a_record_that_is_made_at_the_same_time_stays() {
    let cloud = Cloud::start().await;
    let code = "ConditionalCheckFailedException";
    let refusal = Refusal { part: "DynamoDB_20120810.PutItem", times: 1, code };
    let refusing = Refusing::start(cloud.endpoint(), refusal).await;
    let finished = cloud.latchkey_at(refusing.endpoint(), &words(&["--count", "2"])).finish().await;
    let report = serde_json::from_slice::<Value>(&finished.out).unwrap();
    assert_eq!((finished.code, &report["records"]["written"]), (Some(1), &json!(1)), "{report}");
    let why = report["failed"][0]["why"].as_str().unwrap();
    assert!(why.starts_with("somebody else wrote its record at the same time"), "{why}");
    assert_eq!(cloud.records().await.len(), 1);
}

#[cfg(unix)]
#[tokio::test]
async fn ctrl_c_ends_a_run_and_the_output_names_the_next_command() {
    let cloud = Cloud::start().await;
    let running = cloud.latchkey(&["fleet", "provision", "--count", "60", "--rate", "2"]);
    until("a record", async || !cloud.records().await.is_empty()).await;
    running.interrupt();
    let finished = running.finish().await;
    assert_eq!(finished.code, Some(130), "{}{}", finished.out(), finished.err());
    assert!(finished.err().contains("stopping after the devices that are being made"), "{}", finished.err());
    assert!(finished.out().contains("next       the same command again"), "{}", finished.out());
    let devices = cloud.records().await.len();
    check_whole(&cloud, devices).await;
    assert!(
        finished.out().contains(&format!("devices    {devices} of 60, in the table `{TABLE}`")),
        "{}",
        finished.out()
    );
}

#[tokio::test]
async fn a_throttled_account_is_waited_for() {
    let cloud = Cloud::start().await;
    let refusal = Refusal { part: "POST /things/", times: 3, code: "ThrottlingException" };
    let throttled = Refusing::start(cloud.endpoint(), refusal).await;
    let finished = cloud.latchkey_at(throttled.endpoint(), &words(&["--count", "3"])).finish().await;
    assert_eq!(finished.code, Some(0), "{}{}", finished.out(), finished.err());
    assert_eq!(throttled.refused(), 3);
    check_whole(&cloud, 3).await;
}

/// 128 refusals at the same time: the SDK's own allowance of retries, which all calls share, is used up by a hundred.
#[tokio::test]
async fn a_whole_fleet_that_is_throttled_gets_through() {
    let cloud = Cloud::start().await;
    let refusal = Refusal { part: "GET /things/", times: 4, code: "ThrottlingException" };
    let throttled = Refusing::start_each(cloud.endpoint(), refusal).await;
    let finished = cloud.latchkey_at(throttled.endpoint(), &words(&["--count", "32"])).finish().await;
    assert_eq!(finished.code, Some(0), "{}{}", finished.out(), finished.err());
    assert_eq!(throttled.refused(), 32 * 4);
    check_whole(&cloud, 32).await;
}

#[tokio::test]
async fn a_thing_of_another_type_is_its_devices_trouble_alone() {
    let cloud = Cloud::start().await;
    let iot = cloud.iot();
    iot.create_thing_type().thing_type_name("valve").send().await.unwrap();
    iot.create_thing().thing_name("device-0001").thing_type_name("valve").send().await.unwrap();
    // As CloudFormation makes one: without a type.
    iot.create_thing().thing_name("device-0002").send().await.unwrap();
    let (code, report, _) = provision(&cloud, &["--count", "3"]).await;
    assert_eq!(code, Some(1));
    assert_eq!(report["things"], json!({"made": 1, "completed": 1, "present": 0}));
    let [failed] = report["failed"].as_array().unwrap().as_slice() else { panic!("{report}") };
    assert_eq!(failed["device"], "device-0001");
    let why = failed["why"].as_str().unwrap();
    assert!(
        why.starts_with("its Thing exists already and has the type `valve`, not `latchkey-dev-sht20`: "),
        "{why}"
    );
    assert!(
        why.contains("`aws iot update-thing --thing-name device-0001 --thing-type-name latchkey-dev-sht20`"),
        "{why}"
    );
    let thing = iot.describe_thing().thing_name("device-0001").send().await.unwrap();
    assert_eq!(thing.thing_type_name(), Some("valve"));
    assert_eq!((rows(&cloud).len(), cloud.records().await.len()), (2, 2));
    let thing = iot.describe_thing().thing_name("device-0002").send().await.unwrap();
    assert_eq!(
        (thing.thing_type_name(), &*thing.attributes().unwrap()["scheme"]),
        (Some(THING_TYPE), "password")
    );
}

#[tokio::test]
async fn a_file_and_a_secret_are_written_as_a_whole() {
    let cloud = Cloud::start().await;
    let secrets = aws_sdk_secretsmanager::Client::new(&cloud.aws);
    let empty = json!({"version": 1, "devices": {}}).to_string();
    secrets.create_secret().name("latchkey-dev/devices").secret_string(empty).send().await.unwrap();
    let text = async || {
        let secret = secrets.get_secret_value().secret_id("latchkey-dev/devices");
        let secret = secret.version_stage("AWSCURRENT").send().await.unwrap();
        secret.secret_string.unwrap()
    };
    let file = async || fs::read_to_string(cloud.file("devices.json")).unwrap();
    let mut texts = Vec::new();
    for (store, passwords) in [("secretsmanager:latchkey-dev/devices", "s.csv"), ("devices.json", "f.csv")] {
        let more = ["--count", "3", "--store", store, "--credentials", passwords];
        for written in [3, 0] {
            let (code, report, finished) = provision(&cloud, &more).await;
            assert_eq!(
                (code, &report["records"]["written"]),
                (Some(0), &json!(written)),
                "{}",
                finished.err()
            );
        }
        let stored = if store == "devices.json" { file().await } else { text().await };
        let stored = serde_json::from_str::<Value>(&stored).unwrap();
        assert_eq!(stored["devices"].as_object().unwrap().len(), 3);
        assert_eq!(credentials_file::read(&cloud.file(passwords), None).unwrap().len(), 3);
        texts.push(stored);
    }
    let more = ["--count", "1", "--credentials", "f.csv", "--store", "devices.json"];
    let (code, report, finished) = provision(&cloud, &more).await;
    assert!(code == Some(0) && report["store"] == "devices.json", "{report}");
    assert!(
        finished.err().contains("\nbut the records go to the file `devices.json`, as `--store` says"),
        "{}",
        finished.err()
    );
    let inherited = Running::start({
        let mut command =
            cloud.command(cloud.endpoint(), &words(&["--count", "1", "--credentials", "f.csv"]));
        command.env("LATCHKEY_STORE", "file:devices.json");
        command
    });
    let inherited = inherited.finish().await;
    let refusal =
        "LATCHKEY_STORE names the file `devices.json`, and the records of the stage `dev` are in the table";
    assert!(inherited.code == Some(64) && inherited.err().contains(refusal), "{}", inherited.err());
    assert!(cloud.records().await.is_empty(), "a store that is named is the only one");
    assert_ne!(texts[0], texts[1]);
}

#[tokio::test]
async fn errors_before_the_run_have_their_cure() {
    let cloud = Cloud::start().await;
    let two = [outputs("dev"), outputs("prod")].into_iter().fold(json!({}), |mut all, one| {
        all.as_object_mut().unwrap().extend(one.as_object().unwrap().clone());
        all
    });
    fs::write(cloud.file("two.json"), two.to_string()).unwrap();
    let bare = ["--count", "1", "--store", "dynamodb:no-such-table", "--credentials", "x.csv"];
    let cases: [(&[&str], &str); 8] = [
        (
            &["--count", "1", "--outputs", "two.json"],
            "`two.json` has the stages `dev`, `prod`: name one with `--stage`",
        ),
        (&["--count", "1", "--stage", "test"], "has no stage `test` but `dev`: `make deploy STAGE=test`"),
        (&["--count", "1", "--outputs", "none.json"], "there is no `none.json`: `make deploy` writes it"),
        (&["--count", "100", "--name", "d##"], "`d##` has no room for the number 100: add more `#`"),
        (
            &["--count", "1", "--thing-type", "valve"],
            "there is no thing type `valve`: `make deploy` makes it",
        ),
        (
            &["--count", "1", "--thing-group", "hall"],
            "there is no thing group `hall`: `make deploy` makes it",
        ),
        (&bare, "there is no table `no-such-table` in this account and region"),
        (
            &["--count", "1", "--outputs", "two.json", "--stage", "prod"],
            "there is no thing type `latchkey-prod-sht20`",
        ),
    ];
    for (more, part) in cases {
        let (code, _, finished) = provision(&cloud, more).await;
        assert_eq!((code, finished.out().as_str()), (Some(64), ""), "{part}");
        assert!(finished.err().contains(part), "{part}: {}", finished.err());
    }
    let mut command = cloud.command(cloud.endpoint(), &words(&["--count", "1"]));
    command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    let finished = Running::start(command).finish().await;
    assert!(
        finished.err().contains("there are no AWS credentials: set AWS_PROFILE, or "),
        "{}",
        finished.err()
    );
    assert!(cloud.things().await.is_empty() && cloud.records().await.is_empty());
}

#[tokio::test]
async fn who_may_not_call_is_told_which_permission_is_missing() {
    let cloud = Cloud::start().await;
    for (code, part) in [
        (
            "AccessDeniedException",
            "may not iot:DescribeThingType (AccessDeniedException): docs/deploy.md has",
        ),
        (
            "UnrecognizedClientException",
            "AWS does not accept the credentials (UnrecognizedClientException): sign in",
        ),
    ] {
        let fake = FakeAws::start([Act::error(403, code)]).await;
        let finished = cloud.latchkey_at(fake.endpoint(), &words(&["--count", "1"])).finish().await;
        assert_eq!(finished.code, Some(64));
        assert!(finished.err().contains(part), "{part}: {}", finished.err());
    }
}
