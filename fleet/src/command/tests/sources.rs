//! Users and access rules of other programs. The hashes were made by the programs themselves, of the password `pw`.

use super::*;

const MOSQUITTO: &str = "$7$101$31Fsuq1+kKVX96j+$aq/nJtZbOR3Pn3aVTullQBV9X9SUv8jAeScpf2zpuh/3lxe77V5QfT0Fut6R//K9XYHmYjqwqDkDy6Cy8Dwy4A==";
const GO_AUTH: &str = "PBKDF2$sha512$1000$AAECAwQFBgcICQoLDA0ODw==$a09spXPezVeEZW9b6Ta6WbhrzOk1dKuNdFg3k1Haqxi5b2mW53i2msnnQK2CyFYwUCGYdbPh4r4CwICTbfskBg==";
const HTPASSWD: &str = "$2y$05$nm8x6mH6CL1.jth/FFZ8HetWhnkafRbrZpqnjgTLGxHiUH8y1JEZG";
const PASSLIB: [&str; 4] = [
    "$pbkdf2-sha256$1000$p1Qq5RzjXAthbO19T8lZSw$shwqG0n0MXPvxXE9N/kLWKbnC.W9AZmyhv/SV9FIJQM",
    "$pbkdf2-sha512$1000$HOOcU.qd0zqHMOb837s3Rg$P.vz/WbvaxvaQf5WMjWXVcFZO8hzS/2z9NeAavTog8mazYTZle2sxD7MuG7ZuMWNkzzGQvhJJqXTKB.ec92Bcg",
    "$2b$05$IZ78VtK9rBbP.fofVPLixulIIVJeJapjfNMXk18BxJCWSstyfcsny",
    "$argon2id$v=19$m=64,t=1,p=1$K2WMEeK8955TqlUKYSwFwA$PIrJH4LzBkjwoeTa3TkTDV9lTfbacvitdc/b9+Smcp0",
];
const DJANGO: [&str; 3] = [
    "pbkdf2_sha256$1000$1XSQmLo8FSMz9uw5iw60Yd$kRur53M+5Sg8lg6Y+dhzOZiFMYgDyBeaBCiHkCZNmf0=",
    "argon2$argon2id$v=19$m=64,t=1,p=1$MVQwR2E1NWhHRldteFI5M29TYzUwSA$yU/Bn1FeP6cgBdclGPDHSAflE8n81DImUT9Xax+Jn6c",
    "bcrypt$$2b$05$30ddu/B9TEL1/kszrlPVk.VzeS60fYnZTsXi7KJKG7hyyQUVt.gd6",
];
const EMQX_SALT: &str = "de1024f462fb83910fd13151bd4bd235";
const EMQX_PREFIX: &str = "5bbff45c96ea883abe167b5322cad3d274cb6a5da47687df157c690d533cfd99";
const EMQX_SUFFIX: &str = "595133954830b1a22b901eaf2513708cc6705404bd905bab1258fbae8e5c24e2";
const EMQX_PBKDF2: &str = "51e99522c283f60b28057815c5ce5dc12f32b6ca37c1f2c67c8d4da2e8fb2f1b34ee920a1707e6dd163386d6e2dbc0da85a076b69bc1ec87dbdfa126fb373453";

impl Folder {
    /// Imports a text, with access rules if there are any.
    fn bring(&self, text: &str, acl: Option<&str>, words: &[&str]) -> anyhow::Result<String> {
        let (users, rules) = (self.file("users"), self.file("rules"));
        fs::write(&users, text)?;
        fs::write(&rules, acl.unwrap_or_default())?;
        let mut all = vec!["import", users.to_str().unwrap()];
        if acl.is_some() {
            all.extend(["--acl", rules.to_str().unwrap()]);
        }
        self.fleet(&[&all, words].concat(), "")
    }

    fn bring_refusal(&self, text: &str, acl: Option<&str>, words: &[&str]) -> String {
        let message = format!("{:#}", self.bring(text, acl, words).unwrap_err());
        assert!(!self.file("devices.json").exists(), "{message}");
        message
    }

    fn records(&self) -> device_auth::store::document::StoreDocument {
        StoreFile::read(&self.file("devices.json")).unwrap()
    }

    fn grant_of(&self, device: &str) -> Value {
        let records = self.records();
        let name = &records.devices[device].grant;
        serde_json::to_value(&records.grants[name]).unwrap()
    }
}

#[test]
fn hashes_of_every_source_accept_their_password() {
    let lines = |hashes: &[&str]| {
        let lines = hashes.iter().zip(1..).map(|(hash, number)| format!("u{number}:{hash}\n"));
        lines.collect::<String>()
    };
    let dynsec = MOSQUITTO.split('$').collect::<Vec<_>>();
    let dynsec = json!({"clients": [
        {"username": "u1", "iterations": 101, "salt": dynsec[3], "password": dynsec[4], "roles": []},
        {"username": "u2", "encoded_password": MOSQUITTO},
    ], "roles": []});
    let emqx = |hash: &str| json!([{"user_id": "u1", "password_hash": hash, "salt": EMQX_SALT, "is_superuser": false}]);
    let emqx_csv = format!("user_id,password_hash,salt,is_superuser\nu1,{EMQX_PREFIX},{EMQX_SALT},false\n");
    let django =
        |hash: &str| json!({"model": "auth.user", "pk": 1, "fields": {"username": "u1", "password": hash}});
    let django_csv =
        format!("id,password,username\n1,{},u1\n2,\"{}\",u2\n3,{},u3\n", DJANGO[0], DJANGO[1], DJANGO[2]);
    for (source, text, users, more) in [
        ("mosquitto", lines(&[MOSQUITTO]), 1, &[][..]),
        ("mosquitto-go-auth", lines(&[GO_AUTH, PASSLIB[3]]), 2, &[]),
        ("passlib", lines(&PASSLIB), 4, &[]),
        ("htpasswd", lines(&[HTPASSWD]), 1, &[]),
        ("mosquitto-dynsec", dynsec.to_string(), 2, &[]),
        ("emqx", emqx(EMQX_PREFIX).to_string(), 1, &[]),
        ("emqx", emqx_csv, 1, &[]),
        ("emqx", emqx(EMQX_SUFFIX).to_string(), 1, &["--emqx-hash", "suffix"]),
        ("emqx", emqx(EMQX_PBKDF2).to_string(), 1, &["--emqx-hash", "pbkdf2:1000"]),
        ("emqx", emqx(HTPASSWD).to_string(), 1, &[]),
        ("emqx", emqx("pw").to_string(), 1, &["--emqx-hash", "plain"]),
        ("django", json!([django(DJANGO[0])]).to_string(), 1, &[]),
        ("django", django_csv, 3, &[]),
        ("csv", "username,password\nu1,pw\n".to_owned(), 1, &[]),
    ] {
        let folder = Folder::new();
        let printed = folder.bring(&text, None, &[&["--from", source], more].concat()).unwrap();
        assert!(printed.contains(&format!("imported {users} device")), "{source}: {printed}");
        let records = folder.records();
        assert_eq!(records.devices.len(), users, "{source}");
        for (name, record) in &records.devices {
            let verifier = &record.verifiers[0].verifier;
            assert!(bool::from(verifier.matches(b"pw")), "{source} {name}");
            assert!(!bool::from(verifier.matches(b"other")), "{source} {name}");
        }
    }
}

#[test]
fn file_of_another_source_is_told_apart() {
    let texts = [
        ("mosquitto", format!("u:{MOSQUITTO}\n")),
        ("mosquitto-dynsec", "{\"defaultACLAccess\":{},\n\"clients\":[],\"roles\":[]}".to_owned()),
        ("emqx", "user_id,password_hash\nu,x\n".to_owned()),
        ("emqx", "[{\"user_id\":\"u\",\"password_hash\":\"x\"}]".to_owned()),
        ("django", format!("username,password\nu,{}\n", DJANGO[0])),
        ("django", "[{\"model\":\"auth.user\",\"fields\":{}}]".to_owned()),
        ("alibaba", "DeviceName,DeviceSecret,ProductKey\n".to_owned()),
        ("tencent", "DeviceName,DevicePsk,ProductID\n".to_owned()),
        ("csv", "username,verifier\nu,x\n".to_owned()),
    ];
    for (source, text) in &texts {
        for (other, _) in texts.iter().filter(|(other, _)| other != source) {
            let message = Folder::new().bring_refusal(text, None, &["--from", other]);
            assert!(message.contains(&format!("use `--from {source}`")), "{source} as {other}: {message}");
        }
        let message = Folder::new().bring_refusal(text, None, &[]);
        assert!(message.contains(&format!("use `--from {source}`")), "{source}: {message}");
    }
    for (text, of) in [
        ("# rules\nuser a\ntopic read b\n", "the access rules of mosquitto"),
        ("%% rules\n{allow, all}.\n", "the access rules of EMQX"),
        ("[{\"username\":\"a\",\"rules\":[]}]", "the access rules of EMQX"),
    ] {
        let message = Folder::new().bring_refusal(text, None, &["--from", "mosquitto"]);
        assert!(message.contains(of) && message.contains("name it with `--acl`"), "{message}");
    }
    let message = Folder::new().bring_refusal("hello\n", None, &[]);
    assert!(message.contains("it is not a file that is known: name its source with `--from`"), "{message}");
}

#[test]
fn hashes_that_no_function_can_check_are_named() {
    for (hash, part) in [
        ("$apr1$vTp1OPn3$1Fx/xXaGwGQRHG3vHFQ3I.", "line 1: the hash is Apache's MD5, which"),
        ("{SHA}GpHWL3ymc5liWkNopqtdSjuqYHM=", "line 1: the hash is an LDAP hash"),
        ("$6$cLEeJIiXcLjC0CO3$pKudFeHrrf7PZbrA3Efsvyhd2ABr17oclRXFSibpoKTdFv3Bz", "crypt's SHA-512"),
        ("$bcrypt-sha256$v=2,t=2b,r=12$x$y", "passlib's bcrypt over SHA-256"),
        ("scrypt$16384$tIo7Szb7iJ3PmyrkXew3bL$8$5$fXZn", "the hash is scrypt"),
        ("!nC7zKELKqPIcDQn8VUU1GElAKgBjeYy6n7yBkull", "no usable password"),
        ("", "no usable password"),
        ("hunter2", "it is not a hash in a form that is known"),
        ("PBKDF2$sha512$x", "has not the form `PBKDF2$sha512$"),
        ("pbkdf2_sha256$1000$x", "has not the form `pbkdf2_sha256$"),
        ("pbkdf2_sha256$99999999$saltsalt$kRur53M+5Sg8lg6Y+dhzOZiFMYgDyBeaBCiHkCZNmf0=", "at most 10000000"),
    ] {
        let message = Folder::new().bring_refusal(&format!("u:{hash}\n"), None, &["--from", "passlib"]);
        assert!(message.contains(part) && !message.contains("hunter2"), "{hash}: {message}");
    }
    let slow = format!("u:{}\n", PASSLIB[2].replace("$05$", "$14$"));
    let message = Folder::new().bring_refusal(&slow, None, &["--from", "htpasswd", "--memory", "512"]);
    assert!(
        message.contains("line 1: checking its verifiers would take about 3400 ms with 512 MB"),
        "{message}"
    );
    assert!(Folder::new().bring(&slow, None, &["--from", "htpasswd", "--memory", "1769"]).is_ok());
}

#[test]
fn users_of_one_kind_share_a_grant_and_others_have_their_own() {
    let folder = Folder::new();
    let users = ["pump-1", "pump-2", "pump-3", "dashboard"];
    let text = users.map(|user| format!("{user}:{MOSQUITTO}\n")).concat();
    let acl = "pattern write plant/%u/data\n\
               pattern read plant/%c/command/#\n\
               user pump-1\ntopic write own/pump-1/x\n\
               user pump-2\ntopic write own/pump-2/x\n\
               user dashboard\ntopic read plant/+/data\ntopic read plant/pump-3/log\n";
    let printed = folder.bring(&text, Some(acl), &["--from", "mosquitto"]).unwrap();
    assert!(
        printed.contains("grants     `dashboard` for 1 device, `mosquitto` for 2 devices, `pump-3` for 1\n           device\n"),
        "{printed}"
    );
    assert!(
        printed.contains("note       line 8: `plant/+/data`: a client has to subscribe to this filter as\n"),
        "{printed}"
    );
    let pump = json!({
        "publish": ["own/{device}/x", "plant/{device}/data"], "retain": ["own/{device}/x", "plant/{device}/data"],
        "subscribe": ["plant/{client_id}/command", "plant/{client_id}/command/*"],
        "receive": ["plant/{client_id}/command", "plant/{client_id}/command/*"],
        "last_will": true, "persistent_session": true,
    });
    assert_eq!(folder.grant_of("pump-1"), pump);
    assert_eq!(folder.grant_of("pump-2"), pump);
    // Another grant names its topics as text.
    assert_eq!(folder.grant_of("pump-3")["publish"], json!(["plant/pump-3/data"]));
    let dashboard = folder.grant_of("dashboard");
    assert_eq!(dashboard["receive"][0], "plant/*/data");
    assert_eq!(dashboard["subscribe"][0], "plant/+/data");
}

#[test]
fn one_user_may_have_many_client_ids() {
    let folder = Folder::new();
    let text = format!("line:{MOSQUITTO}\n");
    let rules = "pattern readwrite line/%u/#\npattern write id/%c\n";
    let words = ["--from", "mosquitto", "--client-id", "%u", "--client-id", "%u-*"];
    folder.bring(&text, Some(rules), &words).unwrap();
    let store = serde_json::from_str::<Value>(&folder.store()).unwrap();
    assert_eq!(store["devices"]["line"]["client_ids"], json!(["line", "line-*"]));
    assert_eq!(folder.grant_of("line")["publish"][2], "id/{client_id}");
    let part = "pattern write id/x-%c\n";
    let message = Folder::new().bring_refusal(&text, Some(part), &words);
    assert!(message.contains("line 1: `id/x-%c`: the client id is a part of a level"), "{message}");
    let both = format!("{text}line-2:{MOSQUITTO}\n");
    let message = Folder::new().bring_refusal(&both, Some(rules), &words);
    assert!(message.contains("each id may belong to one device only"), "{message}");
}

#[test]
fn rules_without_a_grant_are_named_with_their_lines() {
    let text = format!("a:{MOSQUITTO}\nc:{MOSQUITTO}\n");
    let acl = "topic read public/#\n\
               user c\n\
               topic readwrite #\n\
               user a\n\
               topic read $SYS/#\n\
               topic write a/+/c\n\
               topic write 1/2/3/4/5/6/7/8/9\n\
               topic write b/#\n\
               topic deny b/secret\n\
               topic read x y\n\
               topic write d/e\n\
               topic deny d/e\n\
               user nobody\n\
               topic read f\n\
               pattern deny d/f\n";
    let folder = Folder::new();
    let message = folder.bring_refusal(&text, Some(acl), &["--from", "mosquitto"]);
    for part in [
        "has 8 unusable rules\n",
        "line 1: `public/#` comes before the first `user`",
        "line 3: `#`: a grant can't allow every topic",
        "line 5: `$SYS/#`: AWS reserves topics that begin with `$`",
        "line 6: `a/+/c`: a grant has no wildcard for one level",
        "line 7: `1/2/3/4/5/6/7/8/9`: a topic has at most 7 slashes on AWS",
        "line 8: line 9 denies a part of `b/#`",
        "line 10: `x y`: a topic in a grant is visible ASCII",
        "line 11: `d/e` is allowed here and denied in line 12",
        "`--skip-rules` imports without the unusable rules\n  nothing was imported",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let printed = folder.bring(&text, Some(acl), &["--from", "mosquitto", "--skip-rules"]).unwrap();
    assert!(
        printed.contains("left out   `") && printed.contains("note       line 13: user `nobody`"),
        "{printed}"
    );
    let wide = json!({"subscribe": ["#"], "receive": ["*"], "last_will": true, "persistent_session": true});
    assert_eq!(folder.grant_of("c"), wide);
}

#[test]
fn bad_lines_of_access_rules_have_line_and_column() {
    let text = format!("a:{MOSQUITTO}\n");
    let acl = "usr a\nuser\ntopic\ntopic reed a/b\ntopic read a/#/b\n  topic write a+\ntopic read\n";
    let message = Folder::new().bring_refusal(&text, Some(acl), &["--from", "mosquitto"]);
    for part in [
        "has 6 bad lines\n",
        "line 1: column 1: `usr` is not `user`, `topic` or `pattern`",
        "line 2: the line has no user name",
        "line 3: the line has no topic",
        "line 4: column 7: `reed` is not `read`",
        "line 5: column 12: `#` is allowed as the last level only",
        "line 6: column 15: a wildcard is a whole level",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let emqx = format!("user_id,password_hash,salt\na,{EMQX_PREFIX},{EMQX_SALT}\n");
    for (acl, part) in [
        (
            "{allow, all}.\n{allow, {user, \"a\"}, publish, [\"t/#/x\"]}.\n",
            "line 2: `t/#/x`: `#` is allowed as the last",
        ),
        ("{allow, all}.\n{allow {user}}.\n", "line 2, column 9: a comma or a closing bracket is missing"),
        ("{allow, all, pub}.", "line 1: `pub` is not `publish`, `subscribe` or `all`"),
        ("{allow, all, publish, [\"t/%u\"]}.", "EMQX 5 has no placeholder `%u`"),
        (
            "[{\"username\":\"a\",\n\"rules\":[\n{\"topic\":\"t\",\"action\":\"publish\",\"permission\":\"yes\"}]}]",
            "line 3: `permission`",
        ),
        ("[{\"username\":\"a\"", "line 1, column 16: it is not JSON with EMQX's rules"),
    ] {
        let message = Folder::new().bring_refusal(&emqx, Some(acl), &["--from", "emqx"]);
        assert!(message.contains(part), "{part}: {message}");
    }
}

#[test]
fn roles_of_dynamic_security_become_grants() {
    let client = |name: &str, more: Value| {
        let mut client = json!({"username": name, "encoded_password": MOSQUITTO});
        client.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        client
    };
    let acl = |kind: &str, topic: &str, priority: i64, allow: bool| json!({"acltype": kind, "topic": topic, "priority": priority, "allow": allow});
    let file = json!({
        "defaultACLAccess": {"publishClientSend": false, "publishClientReceive": true, "subscribe": false, "unsubscribe": true},
        "clients": [
            client("s1", json!({"clientid": "s1-id", "roles": [{"rolename": "sensor"}]})),
            client("s2", json!({"disabled": true})),
            client("view", json!({"roles": [{"rolename": "viewer", "priority": 5}, {"rolename": "sensor"}]})),
        ],
        "groups": [{"groupname": "hall", "roles": [{"rolename": "sensor"}], "clients": [{"username": "s2"}]}],
        "roles": [
            {"rolename": "sensor", "acls": [
                acl("publishClientSend", "hall/%u/#", 0, true),
                acl("publishClientSend", "hall/all/x", 0, true),
                acl("subscribePattern", "hall/%c/cmd", 0, true),
                acl("unsubscribePattern", "#", 0, true),
            ]},
            {"rolename": "viewer", "acls": [
                acl("subscribeLiteral", "hall/#", 1, true),
                acl("publishClientSend", "hall/all/x", 2, true),
                acl("publishClientSend", "hall/#", 1, false),
            ]},
        ],
    });
    let folder = Folder::new();
    let text = serde_json::to_string_pretty(&file).unwrap();
    let printed = folder.bring(&text, None, &["--from", "mosquitto-dynsec"]).unwrap();
    // The role of a higher priority denies what another allows.
    assert!(
        printed.contains("imported 3 devices") && printed.contains("`hall/%u/#` has no effect"),
        "{printed}"
    );
    let sensor = folder.grant_of("s1");
    assert_eq!(sensor["publish"], json!(["hall/{device}", "hall/{device}/*", "hall/all/x"]));
    assert_eq!(sensor["subscribe"], json!(["hall/{client_id}/cmd"]));
    let records = folder.records();
    assert_eq!(records.devices["s1"].grant, records.devices["s2"].grant);
    assert_eq!((records.devices["s1"].enabled, records.devices["s2"].enabled), (true, false));
    assert_eq!(serde_json::to_value(&records.devices["s1"].client_ids).unwrap(), json!(["s1-id"]));
    let view = folder.grant_of("view");
    assert_eq!(view["publish"], json!(["hall/all/x"]));
    assert_eq!((&view["subscribe"][0], &view["receive"][1]), (&json!("hall/#"), &json!("hall/*")));
    // mosquitto 2.0 has no placeholders, and writes passwords in another form.
    let fields = MOSQUITTO.split('$').collect::<Vec<_>>();
    let user = json!({
        "username": "a", "iterations": 101, "salt": fields[3], "password": fields[4], "roles": [{"rolename": "r"}],
    });
    let role = json!({"rolename": "r", "acls": [acl("publishClientSend", "x/%u", 0, true)]});
    let folder = Folder::new();
    let old = json!({"clients": [user], "roles": [role]}).to_string();
    let printed = folder.bring(&old, None, &["--from", "mosquitto-dynsec"]).unwrap();
    assert!(printed.contains("note       line 1: `x/%u`: mosquitto 2.0 wrote this file"), "{printed}");
    assert_eq!(folder.grant_of("a")["publish"], json!(["x/%u"]));
    let unknown =
        json!({"clients": [client("a", json!({"roles": [{"rolename": "none"}]}))], "roles": []}).to_string();
    let message = Folder::new().bring_refusal(&unknown, None, &["--from", "mosquitto-dynsec"]);
    assert!(message.contains("client `a` has the role `none`, which does not exist"), "{message}");
}

#[test]
fn rules_of_emqx_become_grants() {
    let users = format!(
        "user_id,password_hash,salt,is_superuser\na,{EMQX_PREFIX},{EMQX_SALT},false\nb,{EMQX_PREFIX},{EMQX_SALT},false\n"
    );
    let acl = "%% comment\n\
               {allow, {username, \"a\"}, subscribe, [\"$SYS/#\", \"all/news\"]}.\n\
               {allow, {ipaddr, \"127.0.0.1\"}, all, [\"c/#\"]}.\n\
               {deny, all, subscribe, [{eq, \"#\"}]}.\n\
               {allow, all, publish, [\"up/${username}/#\"]}.\n\
               {allow, all, {publish, [{retain, false}]}, [\"state/${clientid}\"]}.\n\
               {allow, {'or', [{user, \"b\"}, {clientid, \"z\"}]}, all, [{eq, \"b/x\"}]}.\n\
               {allow, {username, {re, \"^a\"}}, all, [\"r/#\"]}.\n\
               {deny, all}.\n";
    let folder = Folder::new();
    let message = folder.bring_refusal(&users, Some(acl), &["--from", "emqx"]);
    for part in [
        "line 2: `$SYS/#`: AWS reserves",
        "line 3: `c/#`: a grant can't depend on the address",
        "line 8: `r/#`: whether a regular expression matches",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    folder.bring(&users, Some(acl), &["--from", "emqx", "--skip-rules"]).unwrap();
    let (a, b) = (folder.grant_of("a"), folder.grant_of("b"));
    assert_eq!(a["publish"], json!(["up/{device}", "up/{device}/*", "state/{client_id}"]));
    assert_eq!(a["retain"], json!(["up/{device}", "up/{device}/*"]));
    assert_eq!(a["subscribe"], json!(["all/news"]));
    assert_eq!(b["publish"][3], "{device}/x");
    let json = json!({"data": [
        {"username": "a", "rules": [
            {"topic": "t/${username}", "action": "all", "permission": "allow"},
            {"topic": "eq t/b", "action": "subscribe", "permission": "allow"},
        ]},
        {"rules": [{"topic": "#", "action": "all", "permission": "deny"}]},
    ], "meta": {"count": 2}});
    let folder = Folder::new();
    folder.bring(&users, Some(&json.to_string()), &["--from", "emqx"]).unwrap();
    assert_eq!(folder.grant_of("a")["subscribe"], json!(["t/{device}", "t/b"]));
    assert_eq!(folder.grant_of("b"), json!({"last_will": true, "persistent_session": true}));
    let root = users.replace("a,", "root,").replacen("false", "true", 1);
    let message = Folder::new().bring_refusal(&root, None, &["--from", "emqx"]);
    assert!(message.contains("line 2: the user is a superuser"), "{message}");
}

#[test]
fn dry_run_checks_everything_and_writes_nothing() {
    let folder = Folder::new();
    let words = ["--from", "mosquitto", "--dry-run", "--json"];
    let printed = folder.bring(&format!("a:{MOSQUITTO}\n"), Some("pattern write %u/x\n"), &words).unwrap();
    let printed = serde_json::from_str::<Value>(&printed).unwrap();
    assert_eq!((&printed["imported"], &printed["grants"]), (&json!(1), &json!({"mosquitto": 1})));
    assert!(!folder.file("devices.json").exists());
    let twice = format!("a:{MOSQUITTO}\na:{MOSQUITTO}\n");
    assert!(folder.bring_refusal(&twice, None, &words).contains("line 2: a duplicate of line 1"));
}
