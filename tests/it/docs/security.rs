//! SECURITY.md: each claim names the test or the file that holds it, and they exist.

use std::fs;

use integration::files;

/// Bullets that say what is not protected, or what to do, by their beginnings.
const NO_CLAIMS: [&str; 9] = [
    "A password for a vendor's device",
    "A signature in the wrong format",
    "A JSON Web Token is verified before the look-up",
    "In DynamoDB the decoy",
    "An HTTPS request may carry its password",
    "All devices share one metric",
    "Revocation is not checked",
    "The chip's flash",
    "`latchkey.toml` names programs",
];

/// Sections that have no claim.
const NO_CLAIM_SECTIONS: [&str; 0] = [];

#[test]
fn each_claim_names_a_test_or_a_file_that_exists() {
    let root = files::root();
    let page = fs::read_to_string(root.join("SECURITY.md")).unwrap();
    let sources = files::rust_code(&[
        "authorizer",
        "crates",
        "device-sim",
        "firmware",
        "fleet",
        "gateway",
        "latchkey",
        "tests",
    ]);
    let names_a_holder = |text: &str| {
        let names = text.split('`').skip(1).step_by(2).filter(|name| is_holder(name)).collect::<Vec<_>>();
        for name in &names {
            let is_test = !name.contains('/') && sources.contains(&format!("fn {name}("));
            assert!(is_test || root.join(name).exists(), "`{name}` does not exist: {text}");
        }
        !names.is_empty()
    };
    let mut sections = page.split("\n## ").skip(1).peekable();
    assert!(sections.peek().is_some());
    let mut bullets = 0;
    for section in sections {
        let title = section.lines().next().unwrap();
        assert!(
            names_a_holder(section) || NO_CLAIM_SECTIONS.contains(&title),
            "`{title}` names nothing that holds it"
        );
        for bullet in section.lines().filter_map(|line| line.strip_prefix("- ")) {
            let has_no_claim = NO_CLAIMS.iter().any(|beginning| bullet.starts_with(beginning));
            assert!(names_a_holder(bullet) || has_no_claim, "names nothing that holds it: {bullet}");
            bullets += 1;
        }
    }
    assert!(bullets > 40, "{bullets}");
    for beginning in NO_CLAIMS {
        assert!(page.contains(&format!("\n- {beginning}")), "no bullet begins with `{beginning}`");
    }
}

/// Whether a text between backticks is a path of the project or a test's name.
fn is_holder(name: &str) -> bool {
    let is_path =
        ["tests/", "crates/", "authorizer/", "gateway/", "fleet/", "device-sim/", "firmware/", "infra/"]
            .iter()
            .any(|folder| name.starts_with(folder));
    let is_test = name.matches('_').count() >= 3
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    (is_path && name.len() > "infra/".len()) || is_test
}
