//! Properties of every device, and of everything that a peer can send.

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use credentials::{Secret, SignMethod, alibaba, tencent};
    use proptest::{
        prelude::*,
        sample::{Index, select},
    };

    /// The parts that a signature covers, and the secret. One flipped bit in any of them makes the signature wrong.
    #[derive(Clone, Debug)]
    struct Alibaba {
        id: String,
        device_name: String,
        product_key: String,
        timestamp: Option<String>,
        method: SignMethod,
        secret: Vec<u8>,
    }

    #[derive(Clone, Debug)]
    struct Tencent {
        product_id: String,
        device_name: String,
        sdk_app_id: String,
        conn_id: String,
        expiry: u64,
        method: tencent::SignMethod,
        psk: Vec<u8>,
    }

    impl Alibaba {
        fn connect(&self) -> (String, String, String) {
            let identity = alibaba::Identity::new(&self.id, &self.device_name, &self.product_key).unwrap();
            let device = alibaba::Device::new(identity).with_sign_method(self.method);
            let device = match &self.timestamp {
                Some(timestamp) => device.with_timestamp(timestamp.parse().unwrap()),
                None => device,
            };
            let password = device.sign(&secret(&self.secret)).as_str().to_owned();
            (device.client_id().to_string(), device.user_name().to_string(), password)
        }

        fn client_id(&self) -> String {
            let timestamp = self.timestamp.iter().map(|timestamp| format!(",timestamp={timestamp}"));
            let timestamp: String = timestamp.collect();
            format!("{}|signmethod={}{timestamp}|", self.id, self.method)
        }

        /// The device with one bit flipped, once in each part that is still UTF-8 afterwards.
        fn flipped_parts(&self, at: Index) -> impl Iterator<Item = (&'static str, Self)> {
            let text = |text: &str| flipped_text(text, at);
            let other = || self.clone();
            let timestamp = self.timestamp.as_deref();
            let parts = [
                ("id", text(&self.id).map(|id| Self { id, ..other() })),
                ("device name", text(&self.device_name).map(|device_name| Self { device_name, ..other() })),
                ("product key", text(&self.product_key).map(|product_key| Self { product_key, ..other() })),
                ("timestamp", timestamp.and_then(text).map(|text| Self { timestamp: Some(text), ..other() })),
                ("no timestamp", timestamp.map(|_| Self { timestamp: None, ..other() })),
                ("secret", Some(Self { secret: flipped(&self.secret, at), ..other() })),
            ];
            parts.into_iter().filter_map(|(part, device)| Some((part, device?)))
        }

        fn accepts(&self, password: &[u8]) -> bool {
            let (client_id, user_name) =
                (self.client_id(), format!("{}&{}", self.device_name, self.product_key));
            accepts_alibaba(&client_id, &user_name, &self.secret, password)
        }
    }

    impl Tencent {
        fn connect(&self) -> (String, String, String) {
            let identity = tencent::Identity::new(&self.product_id, &self.device_name).unwrap();
            let device = tencent::Device::new(identity, &self.conn_id, self.expiry).unwrap();
            let device = device.with_sdk_app_id(&self.sdk_app_id).unwrap();
            let password = device.sign(&secret(&self.psk), self.method).as_str().to_owned();
            (device.client_id().to_string(), device.user_name().to_string(), password)
        }
    }

    fn secret(bytes: &[u8]) -> Secret {
        Secret::try_from(bytes).unwrap()
    }

    fn accepts_alibaba(client_id: &str, user_name: &str, key: &[u8], password: &[u8]) -> bool {
        let Ok(login) = alibaba::Login::parse(client_id, user_name) else { return false };
        login.verify(alibaba::Key::DeviceSecret(&secret(key)), password).is_ok_and(bool::from)
    }

    fn accepts_tencent(user_name: &str, psk: &[u8], password: &[u8]) -> bool {
        let Ok(login) = tencent::Login::parse(user_name) else { return false };
        login.verify(&secret(psk), password).is_ok_and(bool::from)
    }

    /// `bytes` with one bit flipped.
    fn flipped(bytes: impl AsRef<[u8]>, at: Index) -> Vec<u8> {
        let mut bytes = bytes.as_ref().to_vec();
        let bit = at.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        bytes
    }

    /// The same for a text; `None` if the result is not UTF-8.
    fn flipped_text(text: &str, at: Index) -> Option<String> {
        String::from_utf8(flipped(text, at)).ok()
    }

    fn secrets() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(any::<u8>(), 1..100)
    }

    prop_compose! {
        fn any_alibaba()(
            id in "[^|]{1,64}",
            device_name in "[A-Za-z0-9_@.:-]{1,32}",
            product_key in "[A-Za-z0-9]{1,20}",
            timestamp in prop::option::of(any::<u64>().prop_map(|ms| ms.to_string())),
            method in select(&SignMethod::ALL[..]),
            secret in secrets(),
        ) -> Alibaba {
            Alibaba { id, device_name, product_key, timestamp, method, secret }
        }
    }

    prop_compose! {
        fn any_tencent()(
            product_id in "[A-Z0-9]{10}",
            device_name in "[A-Za-z0-9:_-]{1,48}",
            sdk_app_id in "[0-9]{1,10}",
            conn_id in "[A-Za-z0-9]{1,8}",
            expiry: u64,
            method in select(&tencent::SignMethod::ALL[..]),
            psk in secrets(),
        ) -> Tencent {
            Tencent { product_id, device_name, sdk_app_id, conn_id, expiry, method, psk }
        }
    }

    proptest! {
        #[test]
        fn alibaba_verifies_what_it_signs(device in any_alibaba()) {
            let (client_id, user_name, password) = device.connect();
            prop_assert!(accepts_alibaba(&client_id, &user_name, &device.secret, password.as_bytes()));
            prop_assert!(accepts_alibaba(&client_id, &user_name, &device.secret, password.to_uppercase().as_bytes()));
            prop_assert!(device.accepts(password.as_bytes()));
        }

        #[test]
        fn alibaba_refuses_a_flipped_bit_in_any_part(device in any_alibaba(), at: Index) {
            let (_, _, password) = device.connect();
            let password = password.as_bytes();
            for (part, other) in device.flipped_parts(at) {
                prop_assert!(!other.accepts(password), "{part}");
            }
            let flipped = flipped(password, at);
            // The other case of a digit is the same digit.
            prop_assert_eq!(device.accepts(&flipped), flipped.eq_ignore_ascii_case(password));
        }

        #[test]
        fn alibaba_accepts_parameters_in_any_order(
            device in any_alibaba(),
            order in Just(vec![0, 1, 2, 3, 4]).prop_shuffle(),
            conn in "[^|,]{0,8}",
            comma in prop::bool::ANY,
        ) {
            let (_, user_name, password) = device.connect();
            let timestamp = device.timestamp.as_ref();
            let all = [
                format!("signmethod={}", device.method),
                timestamp.map_or("lan=C".to_owned(), |timestamp| format!("timestamp={timestamp}")),
                "securemode=2".to_owned(),
                format!("_conn={conn}"),
                "ext=1".to_owned(),
            ];
            let parameters: Vec<&str> = order.iter().map(|at: &usize| all[*at].as_str()).collect();
            let end = if comma { ",|" } else { "|" };
            let client_id = format!("{}|{}{end}", device.id, parameters.join(","));
            prop_assert!(accepts_alibaba(&client_id, &user_name, &device.secret, password.as_bytes()));
            let repeated = format!("{}|{},{}|", device.id, parameters.join(","), parameters[0]);
            prop_assert_eq!(
                alibaba::Login::parse(&repeated, &user_name),
                Err(alibaba::ParametersError::Repeated(6).into())
            );
        }

        #[test]
        fn alibaba_never_panics(
            client_id in any_text("[a|=,&]{0,12}", "1\\|(securemode=-?[23],|authType=connwl,|a=,|\\PC){0,4}\\|"),
            user_name in any_text("[a&;]{0,6}", "[a-z]{0,9}&[a-z]{0,9}"),
            password in prop::collection::vec(any::<u8>(), 0..80),
            now: u64,
            window: u64,
        ) {
            if let Ok(login) = alibaba::Login::parse(&client_id, &user_name) {
                let _any = login.freshness(now, window);
                let secret = secret(b"s");
                for key in [alibaba::Key::DeviceSecret(&secret), alibaba::Key::DeviceToken(&secret)] {
                    let token = login.authentication() == alibaba::Authentication::DeviceToken
                        && matches!(key, alibaba::Key::DeviceToken(_))
                        && password == b"s";
                    prop_assert_eq!(login.verify(key, &password).is_ok_and(bool::from), token);
                }
                let identity = login.identity();
                prop_assert_eq!(client_id.split('|').next(), Some(identity.id()));
                prop_assert_eq!(identity.to_string(), user_name);
            }
        }

        #[test]
        fn tencent_verifies_what_it_signs(device in any_tencent()) {
            let (client_id, user_name, password) = device.connect();
            prop_assert!(accepts_tencent(&user_name, &device.psk, password.as_bytes()));
            let login = tencent::Login::parse(&user_name).unwrap();
            prop_assert_eq!(login.check_client_id(&client_id), Ok(()));
        }

        #[test]
        fn tencent_refuses_a_flipped_bit_in_any_part(device in any_tencent(), at: Index) {
            let (_, user_name, password) = device.connect();
            let user_name_refused = flipped_text(&user_name, at)
                .is_none_or(|other| !accepts_tencent(&other, &device.psk, password.as_bytes()));
            prop_assert!(user_name_refused);
            prop_assert!(!accepts_tencent(&user_name, &flipped(&device.psk, at), password.as_bytes()));
            let flipped = flipped(&password, at);
            let (hex, method) = password.split_at(password.find(';').unwrap());
            let same = flipped.ends_with(method.as_bytes())
                && flipped.eq_ignore_ascii_case(format!("{hex}{method}").as_bytes());
            prop_assert_eq!(accepts_tencent(&user_name, &device.psk, &flipped), same);
        }

        #[test]
        fn tencent_never_panics(
            user_name in any_text("[A-Z0-9]{9,11}é?[a;]{0,12}", "[A-Z0-9]{10}[a-z]{1,9};[0-9]{1,3};a;[0-9]{0,60}"),
            password in prop::collection::vec(any::<u8>(), 0..80),
            client_id: String,
        ) {
            if let Ok(login) = tencent::Login::parse(&user_name) {
                prop_assert_eq!(login.check_client_id(&client_id).is_ok(), client_id == login.client_id());
                prop_assert!(!login.verify(&secret(b"s"), &password).is_ok_and(bool::from));
                prop_assert_eq!(login.identity().to_string(), login.client_id());
            }
        }

        #[test]
        fn from_base64_decodes_the_bytes(bytes in secrets(), device in any_tencent()) {
            let psk = Secret::from_base64(&STANDARD.encode(&bytes)).unwrap();
            let device = Tencent { psk: bytes, ..device };
            let (_, user_name, password) = device.connect();
            let login = tencent::Login::parse(&user_name).unwrap();
            prop_assert!(login.verify(&psk, password.as_bytes()).is_ok_and(bool::from));
        }

        #[test]
        fn from_base64_accepts_what_another_decoder_accepts(text in any_text("[A-Za-z0-9+/]{0,20}={0,3}", "[A=]{330,350}")) {
            let decoded = STANDARD.decode(&text).is_ok_and(|bytes| (1..=256).contains(&bytes.len()));
            prop_assert_eq!(Secret::from_base64(&text).is_ok(), decoded);
        }
    }

    /// Any text, and texts that are similar to the scheme's.
    fn any_text(near: &'static str, nearer: &'static str) -> impl Strategy<Value = String> {
        prop_oneof![any::<String>(), near, nearer]
    }
}
