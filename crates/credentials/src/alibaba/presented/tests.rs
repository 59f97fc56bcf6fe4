use super::*;

fn secret(text: &str) -> Secret {
    Secret::try_from(text.as_bytes()).unwrap()
}

fn verified(
    client_id: &str,
    user_name: &str,
    key: Key<'_>,
    password: impl AsRef<[u8]>,
) -> Result<bool, PasswordError> {
    Presented::parse(client_id, user_name).unwrap().verify(key, password.as_ref()).map(bool::from)
}

#[test]
fn all_that_was_sent_is_there() {
    let client_id = "pk.dev|_conn=tls,timestamp=0789,securemode=3,signmethod=hmacsha1,lan=C,|";
    let presented = Presented::parse(client_id, "dev@1.a:b_c-d&pk").unwrap();
    let identity = presented.identity();
    assert_eq!(
        (identity.id(), identity.device_name(), identity.product_key()),
        ("pk.dev", "dev@1.a:b_c-d", "pk")
    );
    assert_eq!(presented.authentication(), Authentication::DeviceSecret);
    assert_eq!(presented.sign_method(), SignMethod::HmacSha1);
    assert_eq!(presented.timestamp(), Some("0789"));
    assert_eq!(presented.secure_mode(), Some("3"));
    assert_eq!(presented.parameters().get("_conn"), Some("tls"));
    assert_eq!(presented.freshness(1_000, 10), Freshness::Stale);
}

#[test]
fn what_is_absent_has_its_default() {
    for client_id in ["1||", "1|lan=C|", "1|SignMethod=hmacsha1|"] {
        let presented = Presented::parse(client_id, "d&k").unwrap();
        assert_eq!(presented.sign_method(), SignMethod::HmacMd5);
        assert_eq!(presented.authentication(), Authentication::DeviceSecret);
        assert_eq!((presented.timestamp(), presented.secure_mode()), (None, None));
        assert_eq!(presented.freshness(1_000, 10), Freshness::Absent);
    }
}

#[test]
fn every_refusal_has_its_reason() {
    let refused = [
        ("", "d&k", ParseError::NoParameters),
        ("1", "d&k", ParseError::NoParameters),
        ("1|", "d&k", ParseError::Unclosed),
        ("1|securemode=2", "d&k", ParseError::Unclosed),
        ("1||x", "d&k", ParseError::AfterParameters),
        ("1|||", "d&k", ParseError::AfterParameters),
        ("1|a|", "d&k", ParseError::Parameters(ParametersError::NoValue(1))),
        (
            "1|signmethod=hmacmd5,signmethod=hmacmd5|",
            "d&k",
            ParseError::Parameters(ParametersError::Repeated(2)),
        ),
        ("1|timestamp=1,a=,timestamp=2|", "d&k", ParseError::Parameters(ParametersError::Repeated(3))),
        ("1|signmethod=|", "d&k", ParseError::SignMethod),
        ("1|signmethod=HMACSHA1|", "d&k", ParseError::SignMethod),
        ("1|signmethod=sha256|", "d&k", ParseError::SignMethod),
        ("1|timestamp=|", "d&k", ParseError::Timestamp),
        ("1|timestamp=-1|", "d&k", ParseError::Timestamp),
        ("1|timestamp=+1|", "d&k", ParseError::Timestamp),
        ("1|timestamp=١|", "d&k", ParseError::Timestamp),
        ("1|securemode=|", "d&k", ParseError::SecureMode),
        ("1|securemode=4|", "d&k", ParseError::SecureMode),
        ("1|authType=connwl|", "d&k", ParseError::Authentication),
        ("1|securemode=2,authType=connwl|", "d&k", ParseError::Authentication),
        ("1|securemode=-2|", "d&k", ParseError::Authentication),
        ("1|securemode=2,authType=register|", "d&k", ParseError::Registration),
        ("1|securemode=-2,authType=regnwl|", "d&k", ParseError::Registration),
        ("1|authType=id2|", "d&k", ParseError::AuthType),
        ("1||", "", ParseError::NoProductKey),
        ("1||", "dk", ParseError::NoProductKey),
        ("1||", "d&k&", ParseError::SecondAmpersand),
        ("1||", "d&&k", ParseError::SecondAmpersand),
        ("||", "d&k", ParseError::Identity(IdentityError::IdEmpty)),
        ("1||", "&k", ParseError::Identity(IdentityError::DeviceNameEmpty)),
        ("1||", "d&", ParseError::Identity(IdentityError::ProductKeyEmpty)),
        ("1||", "d/&k", ParseError::Identity(IdentityError::DeviceNameCharacter(1))),
        ("1||", "d&k?SDK=x", ParseError::Identity(IdentityError::ProductKeyCharacter(1))),
    ];
    for (client_id, user_name, error) in refused {
        assert_eq!(Presented::parse(client_id, user_name), Err(error), "{client_id} {user_name}");
    }
}

#[test]
fn refusals_say_what_to_do() {
    let messages: [(ParseError, &str); 13] = [
        (ParseError::NoParameters, "the client id has no `|`, its form is `id|key=value,…|`"),
        (ParseError::Unclosed, "the client id's parameters do not end with `|`"),
        (ParseError::AfterParameters, "something stands behind the client id's second `|`"),
        (ParametersError::NoValue(1).into(), "parameter 1 of the client id has no `=`"),
        (ParseError::SignMethod, "the parameter `signmethod` is not `hmacsha256`, `hmacsha1` or `hmacmd5`"),
        (ParseError::Timestamp, "the parameter `timestamp` is not a number of milliseconds"),
        (ParseError::SecureMode, "the parameter `securemode` is not `2`, `3` or `-2`"),
        (ParseError::AuthType, "the parameter `authType` is not `connwl`"),
        (
            ParseError::Registration,
            "the device asks to be registered, which is not supported, give it its secret first",
        ),
        (ParseError::Authentication, "`securemode=-2` and `authType=connwl` go together"),
        (ParseError::NoProductKey, "the user name has no `&`, its form is `deviceName&productKey`"),
        (ParseError::SecondAmpersand, "the user name has more than one `&`"),
        (IdentityError::DeviceNameEmpty.into(), "the device name is empty"),
    ];
    for (error, message) in messages {
        assert_eq!(error.to_string(), message);
    }
    assert_eq!(PasswordError::EmptyToken.to_string(), "the device token is empty");
    let hex = PasswordError::from(HexError::OddLength(3));
    assert_eq!(hex.to_string(), "the signature has 3 hex digits, an odd number");
}

#[test]
fn a_password_is_hex_of_either_case() {
    let (client_id, user_name, secret) = ("zero|signmethod=hmacsha1|", "zero&pk", secret("k158"));
    let key = Key::DeviceSecret(&secret);
    let lower = "007002a897592d1f16952ff54dfa6f8a2446920e";
    let mixed = lower.replacen('a', "A", 1);
    for password in [lower, &lower.to_uppercase(), &mixed] {
        assert_eq!(verified(client_id, user_name, key, password), Ok(true), "{password}");
    }
    // The zeros in front belong to it.
    let hex = |error| Err(PasswordError::Hex(error));
    let method = SignMethod::HmacSha1;
    assert_eq!(verified(client_id, user_name, key, lower.replacen('0', "", 1)), hex(HexError::OddLength(39)));
    assert_eq!(
        verified(client_id, user_name, key, lower.replacen("00", "", 1)),
        hex(HexError::Length { found: 38, method })
    );
    assert_eq!(verified(client_id, user_name, key, ""), hex(HexError::Length { found: 0, method }));
    assert_eq!(verified(client_id, user_name, key, b"\xff\xfe"), hex(HexError::Character(0)));
    assert_eq!(verified(client_id, user_name, key, lower.replace('0', " ")), hex(HexError::Character(0)));
    assert_eq!(verified(client_id, user_name, key, lower.replace('7', "8")), Ok(false));
}

#[test]
fn a_timestamp_is_signed_as_it_is_written() {
    let secret = secret("secret");
    let password = "FAFD82A3D602B37FB0FA8B7892F24A477F851A14";
    let key = Key::DeviceSecret(&secret);
    assert_eq!(verified("12345|signmethod=hmacsha1,timestamp=789|", "device&pk", key, password), Ok(true));
    for timestamp in ["0789", "7890", "788"] {
        let client_id = format!("12345|signmethod=hmacsha1,timestamp={timestamp}|");
        assert_eq!(verified(&client_id, "device&pk", key, password), Ok(false), "{timestamp}");
    }
    assert_eq!(verified("12345|signmethod=hmacsha1|", "device&pk", key, password), Ok(false));
}

#[test]
fn a_token_is_compared_as_it_is() {
    let token = secret("^1^Token");
    let key = Key::DeviceToken(&token);
    let client_id = "1|securemode=-2,authType=connwl,_ss=1|";
    let presented = Presented::parse(client_id, "d&k").unwrap();
    assert_eq!(presented.authentication(), Authentication::DeviceToken);
    assert_eq!(verified(client_id, "d&k", key, "^1^Token"), Ok(true));
    for password in ["^1^token", "^1^Toke", "^1^Token ", "^1^Token\0", "x"] {
        assert_eq!(verified(client_id, "d&k", key, password), Ok(false), "{password:?}");
    }
    assert_eq!(verified(client_id, "d&k", key, ""), Err(PasswordError::EmptyToken));
}

#[test]
fn a_key_opens_only_its_own_authentication() {
    let secret = secret("secret");
    let signed = "12345|signmethod=hmacsha1,timestamp=789|";
    let password = "FAFD82A3D602B37FB0FA8B7892F24A477F851A14";
    assert_eq!(verified(signed, "device&pk", Key::DeviceSecret(&secret), password), Ok(true));
    assert_eq!(verified(signed, "device&pk", Key::DeviceToken(&secret), password), Ok(false));
    let token = "12345|securemode=-2,authType=connwl|";
    assert_eq!(verified(token, "device&pk", Key::DeviceToken(&secret), "secret"), Ok(true));
    assert_eq!(verified(token, "device&pk", Key::DeviceSecret(&secret), "secret"), Ok(false));
}
