//! The examples of the help are commands.

use super::*;

/// The words of a line as a shell splits it, with quotes, up to `<`.
fn words(line: &str) -> Vec<String> {
    let line = line.split(" < ").next().unwrap();
    let mut words = Vec::new();
    for (count, part) in line.split('\'').enumerate() {
        if count % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

#[test]
fn every_example_is_a_command() {
    let mut count = 0;
    for command in [
        "add",
        "import",
        "rotate",
        "reseal",
        "list",
        "set",
        "grants",
        "check",
        "provision",
        "push",
        "smoke",
        "check-migration",
    ] {
        for option in ["-h", "--help"] {
            let help = Cli::try_parse_from(["fleet", command, option]).err().unwrap().to_string();
            // A line that ends in a backslash goes on in the next one.
            let help = help.replace("\\\n", " ");
            for line in help.lines().map(str::trim).filter(|line| line.starts_with("latchkey fleet ")) {
                let parsed = Cli::try_parse_from(words(line).into_iter().skip(1));
                assert!(parsed.is_ok(), "{line}: {}", parsed.err().unwrap());
                count += 1;
            }
        }
    }
    assert_eq!(count, 62);
}

#[test]
fn words_are_split_as_a_shell_does() {
    assert_eq!(words("a 'b&c d' --e < f"), ["a", "b&c d", "--e"]);
}
