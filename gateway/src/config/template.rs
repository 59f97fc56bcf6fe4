//! What `latchkey local init` writes: a settings file that explains itself.

/// The file. Every key stands in it with its default, behind a `#`; nothing in it changes anything until one is taken
/// away.
pub const TEMPLATE: &str = include_str!("template.toml");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::File;

    /// The lines that are settings, without their `# `; prose begins with `##`.
    fn settings() -> String {
        let lines = TEMPLATE.lines().filter(|line| !line.starts_with("##"));
        lines.map(|line| line.strip_prefix("# ").unwrap_or(line)).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn it_changes_nothing_as_it_is() {
        let table: toml::Table = toml::from_str(TEMPLATE).unwrap();
        assert!(table.is_empty(), "{table:?}");
    }

    #[test]
    fn every_line_of_it_can_be_used() {
        toml::from_str::<File>(&settings()).unwrap_or_else(|error| panic!("{error}"));
    }

    #[test]
    fn no_key_is_missing() {
        let said = settings();
        // What serde names when it is asked for a key that is not there.
        for table in [
            "",
            "[ports]\n",
            "[limits]\n",
            "[quotas]\n",
            "[[authorizer]]\n",
            "[[domain]]\n",
            "[[thing]]\n",
            "[[certificate]]\n",
            "[[policy]]\n",
        ] {
            let error =
                toml::from_str::<File>(&format!("{table}no_such_key = 1\n")).err().unwrap().to_string();
            let (_, expected) =
                error.split_once("expected one of ").or_else(|| error.split_once("expected ")).unwrap();
            for key in expected
                .split(['`', ','])
                .map(str::trim)
                .filter(|key| !matches!(*key, "" | "or") && !key.contains(' '))
            {
                let there = said.lines().any(|line| {
                    line.split(['=', ' ', '{'])
                        .next()
                        .is_some_and(|name| name.trim().trim_matches(['"', '[', ']']) == key)
                });
                assert!(there, "`{key}` of `{}`", table.trim());
            }
        }
    }
}
