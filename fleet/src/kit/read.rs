//! A printed kit, read back: the doctor finds out with it why the device can't connect.

use clap::ValueEnum as _;
use serde_json::Value;

use super::platform::Platform;

/// The values of a configuration that [`super::run`] printed, by their names in the template; `password` only if it was
/// printed, and `ca` as PEM. Nothing if the text is not such a configuration.
#[must_use]
pub fn values(text: &str) -> Option<Vec<(String, String)>> {
    let read = |platform: &Platform| {
        let (values, missed) = read_as(*platform, text);
        let is_whole = ["client_id", "user_name"].iter().all(|name| values.iter().any(|(it, _)| it == name));
        is_whole.then_some((missed, values))
    };
    let best = Platform::value_variants().iter().filter_map(read).min_by_key(|(missed, _)| *missed);
    let (_, mut values) = best?;
    if let Some(pem) = certificates(text) {
        values.push(("ca".to_owned(), pem));
    }
    Some(values)
}

/// The values that the lines of a platform's template find in a text, and how many lines of the template are not there.
fn read_as(platform: Platform, text: &str) -> (Vec<(String, String)>, usize) {
    let (mut values, mut missed) = (Vec::<(String, String)>::new(), 0);
    for template in platform.template().lines() {
        let found = text.lines().find_map(|line| matched(template, line));
        // Without ALPN a kit has none of its lines.
        let is_optional = template.to_ascii_lowercase().contains("alpn") || template.contains("@ca");
        match found {
            Some(found) => {
                for (name, written) in found {
                    let value =
                        if name == "password" { password(&written, platform) } else { unquoted(&written) };
                    if let Some(value) = value.filter(|_| values.iter().all(|(known, _)| *known != name)) {
                        values.push((name, value));
                    }
                }
            }
            None if is_optional => {}
            None => missed += 1,
        }
    }
    (values, missed)
}

/// The values of a template's line in a line of the same form.
fn matched(template: &str, line: &str) -> Option<Vec<(String, String)>> {
    let parts = template.split('@').collect::<Vec<_>>();
    let (first, rest) = parts.split_first()?;
    let mut line = line.strip_prefix(first)?;
    let mut values = Vec::new();
    for pair in rest.chunks(2) {
        let [name, literal] = pair else { return None };
        let end = if literal.is_empty() { line.len() } else { line.find(literal)? };
        let (value, after) = line.split_at_checked(end)?;
        line = after.strip_prefix(literal)?;
        values.push((name.trim_matches(['"', '\'']).to_owned(), value.to_owned()));
    }
    line.is_empty().then_some(values)
}

/// A value without the quotes that its platform has around it.
fn unquoted(written: &str) -> Option<String> {
    let shell = written.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    match (shell, written.starts_with('"')) {
        (Some(text), _) => Some(text.replace(r"'\''", "'")),
        (None, true) => serde_json::from_str::<Value>(written).ok()?.as_str().map(str::to_owned),
        (None, false) => Some(written.to_owned()),
    }
}

/// The password, unless the kit has a reference to it in its place.
fn password(written: &str, platform: Platform) -> Option<String> {
    if written == platform.password().0 {
        return None;
    }
    unquoted(written.strip_prefix('b').filter(|rest| rest.starts_with('"')).unwrap_or(written))
}

/// The certificates in a text, without what their platform writes around each line.
fn certificates(text: &str) -> Option<String> {
    let (mut pem, mut is_inside) = (String::new(), false);
    for line in text.lines() {
        let begin = line.find("-----BEGIN CERTIFICATE-----");
        let line = begin.and_then(|at| line.get(at..)).unwrap_or(line);
        is_inside |= begin.is_some();
        if is_inside {
            let line = line.trim().trim_end_matches([';', ',']).trim_matches(['"', '`']);
            let line = line.strip_suffix("\\n").unwrap_or(line);
            let end = line.find("-----END CERTIFICATE-----");
            let line = end.and_then(|at| line.get(..at + "-----END CERTIFICATE-----".len())).unwrap_or(line);
            pem.push_str(line);
            pem.push('\n');
            is_inside = end.is_none();
        }
    }
    (!pem.is_empty()).then_some(pem)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CA: &str = "-----BEGIN CERTIFICATE-----\nAAAA\nBBBB\n-----END CERTIFICATE-----\n";

    /// A template with these values, as `Values::fill` writes them.
    fn filled(platform: Platform, password: &str) -> String {
        let mut text = String::new();
        for (index, part) in platform.template().split('@').enumerate() {
            let name = part.trim_matches(['"', '\'']);
            let value = match name {
                _ if index % 2 == 0 => part.to_owned(),
                "host" | "sni" => "iot.test".to_owned(),
                "url" => "mqtts://iot.test:443".to_owned(),
                "port" => "443".to_owned(),
                "alpn" => "mqtt".to_owned(),
                "client_id" => "hall-1".to_owned(),
                "user_name" => "hall-1?x-amz-customauthorizer-name=l".to_owned(),
                "ca" => CA.to_owned(),
                "ca_c" => CA.lines().map(|line| format!("    \"{line}\\n\"")).collect::<Vec<_>>().join("\n"),
                "ca_indented" => CA.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n"),
                "password" => password.to_owned(),
                other => format!("the-{other}"),
            };
            let quoted = match part.chars().next() {
                Some('"') if index % 2 == 1 => Value::from(value).to_string(),
                Some('\'') if index % 2 == 1 => format!("'{value}'"),
                _ => value,
            };
            text.push_str(&quoted);
        }
        text
    }

    #[test]
    fn every_kit_with_a_user_name_is_read_back() {
        let mut read = 0;
        for platform in Platform::value_variants() {
            let Some(values) = values(&filled(*platform, platform.password().0)) else { continue };
            let value =
                |name: &str| values.iter().find(|(it, _)| it == name).map(|(_, value)| value.as_str());
            assert_eq!(value("client_id"), Some("hall-1"), "{platform:?}");
            assert_eq!(value("user_name"), Some("hall-1?x-amz-customauthorizer-name=l"), "{platform:?}");
            assert!(value("host") == Some("iot.test") || value("url").is_some(), "{platform:?}: {values:?}");
            assert_eq!(value("password"), None, "{platform:?}");
            if platform.template().contains("@ca@") || platform.template().contains("@ca_") {
                assert!(value("ca") == Some(CA) || value("ca_file").is_some(), "{platform:?}: {values:?}");
            }
            read += 1;
        }
        assert!(read >= 10, "{read}");
    }

    #[test]
    fn a_password_that_was_printed_is_read_and_other_text_is_not_a_kit() {
        let kit = filled(Platform::EspIdf, r#""a \"pass\\word\"""#);
        let values_of = values(&kit).unwrap();
        let password = values_of.iter().find(|(name, _)| name == "password");
        assert_eq!(password.map(|(_, value)| value.as_str()), Some(r#"a "pass\word""#));
        for text in ["", "hello", "host = 1\nuser = 2\n"] {
            assert_eq!(values(text), None);
        }
    }
}
