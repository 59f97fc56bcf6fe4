//! The parameters that a client may append to its MQTT user name.
//!
//! Source: AWS IoT Core developer guide, `custom-auth`.

/// The parameter, or the HTTP header, that names the authorizer.
pub(super) const AUTHORIZER_NAME: &str = "x-amz-customauthorizer-name";

/// The authorizer that the user name asks for, exactly as it stands there.
///
/// Everything behind the first `?` is the query string. A second `?` spoils what it stands in, so that no
/// authorizer has that name: AWS calls no function then, and neither does this gateway.
#[must_use]
pub fn authorizer(user_name: &str) -> Option<&str> {
    let (_, query) = user_name.split_once('?')?;
    query.split('&').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        (name == AUTHORIZER_NAME).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_taken_as_it_stands() {
        let cases = [
            ("dev", None),
            ("dev?", None),
            ("dev?SDK=Python", None),
            ("dev?x-amz-customauthorizer-name=latchkey", Some("latchkey")),
            ("dev?SDK=Python&x-amz-customauthorizer-name=a=b&Platform=x", Some("a=b")),
            ("dev?x-amz-customauthorizer-name=latchkey?SDK=Java", Some("latchkey?SDK=Java")),
            ("dev?x-amz-customauthorizer-name=", Some("")),
            ("dev?X-AMZ-CUSTOMAUTHORIZER-NAME=latchkey", None),
        ];
        for (user_name, name) in cases {
            assert_eq!(authorizer(user_name), name, "{user_name}");
        }
    }
}
