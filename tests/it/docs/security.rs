//! SECURITY.md: each line that claims a protection names the tests that hold it, and they exist.

use std::{collections::BTreeSet, fs};

use integration::files;

/// Lines that say what is not protected, what to do, or how something is held without a test, by their beginnings.
const NO_CLAIMS: [&str; 39] = [
    "The console shows every attempt",
    "Browsers send a cookie to every port",
    "AWS warns of two ways",
    "What response times still reveal",
    "A password for a vendor's device",
    "A signature in the wrong format",
    "A JSON Web Token is verified before the look-up",
    "In DynamoDB the decoy",
    "The authorizer is stateless",
    "IoT Core limits one client id",
    "That slows down no attacker",
    "Watch the `decision` lines",
    "Connections are not limited by address",
    "`latchkey.toml` names programs",
    "An HMAC is checked with the secret itself",
    "An attacker who can write the records",
    "An [indexed file](docs/stores.md#indexed-file) is the exception",
    "Without `LATCHKEY_STORE_DIGEST`",
    "An Alibaba device signs only",
    "So one credential is any number",
    "None of them gets other topics",
    "What is left is a few hundred",
    "A record of any scheme whose `client_ids`",
    "With `LATCHKEY_ALIBABA_SESSIONS=any`",
    "A vendor's signature can be replayed",
    "Assertions on the templates",
    "All devices share one metric",
    "Revocation is not checked",
    "The chip's flash",
    "The gateway is made for developers' machines",
    "Anyone who has the key",
    "`latchkey local env` prints it",
    "The gateway does not limit connections",
    // cargo-deny and the compiler hold these two.
    "One TLS stack",
    "`unsafe` is forbidden",
    "So a package that was replaced",
    "cargo-lambda and zig from PyPI",
    "| ",
    "|---",
];

/// The names of the tests of Rust, and the titles of those of the deployment.
fn tests() -> BTreeSet<String> {
    let root = files::root();
    let sources = files::rust_code(&[
        "authorizer",
        "bridge",
        "crates",
        "device-sim",
        "firmware",
        "fleet",
        "gateway",
        "latchkey",
        "tests",
    ]);
    let mut names = BTreeSet::new();
    for after in sources.split("test]").skip(1) {
        // Other attributes may follow before the function.
        let head = after.get(..after.find('{').unwrap_or(after.len())).unwrap();
        names.extend(head.split("fn ").nth(1).and_then(|name| name.split('(').next()).map(str::to_owned));
    }
    for entry in fs::read_dir(root.join("infra/test")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "ts") {
            let text = fs::read_to_string(path).unwrap();
            names.extend(
                text.split("test('").skip(1).map(|title| title.split('\'').next().unwrap().to_owned()),
            );
        }
    }
    names
}

#[test]
fn each_claim_names_tests_that_exist() {
    let (root, tests) = (files::root(), tests());
    let page = fs::read_to_string(root.join("SECURITY.md")).unwrap();
    let (mut claims, mut begun) = (0, BTreeSet::<&str>::new());
    let lines = page.split("\n## ").skip(1).flat_map(|section| section.lines().skip(1));
    for line in lines.map(|line| line.trim_start_matches("- ")).filter(|line| !line.is_empty()) {
        let mut holders = 0;
        for name in line.split('`').skip(1).step_by(2) {
            let is_path = name.contains('/') && root.join(name.split('/').next().unwrap()).is_dir();
            assert!(!is_path || root.join(name).exists(), "`{name}` does not exist: {line}");
            let looks_like_a_test = name.matches('_').count() >= 3
                && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
            assert!(!looks_like_a_test || tests.contains(name), "there is no test `{name}`: {line}");
            holders += usize::from(tests.contains(name));
        }
        let beginning = NO_CLAIMS.iter().find(|beginning| line.starts_with(*beginning));
        assert!(holders > 0 || beginning.is_some(), "names no test that holds it: {line}");
        begun.extend(beginning.filter(|_| holders == 0));
        claims += usize::from(holders > 0);
    }
    assert!(claims > 55, "{claims}");
    for beginning in NO_CLAIMS {
        assert!(begun.contains(&beginning), "no line without a test begins with `{beginning}`");
    }
}
