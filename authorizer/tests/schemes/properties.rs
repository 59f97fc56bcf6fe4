//! Properties of any device of a vendor's scheme, and of any text of a client.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use credentials::{Secret, SignMethod, alibaba, tencent};
use device_auth::deny_reason::DenyReason;
use proptest::{
    prelude::*,
    sample::{Index, select},
};
use serde_json::{Value, json};

use super::attempt::{Attempts, connect, plain, resources, resources_with};

#[derive(Clone, Debug)]
struct Alibaba {
    id: String,
    device: String,
    product: String,
    method: SignMethod,
    timestamp: Option<u64>,
    secret: Vec<u8>,
}

#[derive(Clone, Debug)]
struct Tencent {
    product: String,
    device: String,
    sdk_app_id: String,
    conn_id: String,
    expiry: u64,
    method: tencent::SignMethod,
    psk: Vec<u8>,
}

impl Alibaba {
    fn user_name(&self) -> String {
        format!("{}&{}", self.device, self.product)
    }

    fn password(&self) -> String {
        let identity = alibaba::Identity::new(&self.id, &self.device, &self.product).unwrap();
        let device = alibaba::Device::new(identity).with_sign_method(self.method);
        let device = self.timestamp.map_or(device, |timestamp| device.with_timestamp(timestamp));
        device.sign(&Secret::try_from(self.secret.as_slice()).unwrap()).as_str().to_owned()
    }

    /// The client id with its parameters in this order, and with an unknown one.
    fn client_id(&self, order: [usize; 4], unsigned: &str) -> String {
        let timestamp = self.timestamp.map(|timestamp| format!("timestamp={timestamp}"));
        let all = [
            Some("securemode=2".to_owned()),
            Some(format!("signmethod={}", self.method)),
            timestamp,
            Some(format!("_x={unsigned}")),
        ];
        let parameters = order.iter().filter_map(|at| all[*at].clone()).collect::<Vec<_>>();
        format!("{}|{}|", self.id, parameters.join(","))
    }

    fn event(&self, password: impl AsRef<[u8]>) -> Value {
        connect(&self.client_id([0, 1, 2, 3], ""), &self.user_name(), password)
    }

    fn attempts(&self) -> Attempts {
        let record = json!({"scheme": "alibaba", "secrets": [{"device_secret": plain(&self.secret)}],
            "grant": "alibaba", "client_ids": [self.id]});
        Attempts::with(&json!({self.user_name(): record}))
    }

    fn resources(&self, client_id: &str) -> BTreeSet<String> {
        let Self { device, product, .. } = self;
        let topics = [format!("/{product}/{device}/user/*"), format!("/sys/{product}/{device}/*")];
        let topics =
            topics.iter().flat_map(|topic| [format!("topic/{topic}"), format!("topicfilter/{topic}")]);
        topics.chain([format!("client/{client_id}")]).collect()
    }
}

impl Tencent {
    fn client_id(&self) -> String {
        format!("{}{}", self.product, self.device)
    }

    fn user_name(&self) -> String {
        format!("{};{};{};{}", self.client_id(), self.sdk_app_id, self.conn_id, self.expiry)
    }

    fn password(&self) -> String {
        let identity = tencent::Identity::new(&self.product, &self.device).unwrap();
        let device = tencent::Device::new(identity, &self.conn_id, self.expiry).unwrap();
        let device = device.with_sdk_app_id(&self.sdk_app_id).unwrap();
        assert_eq!(device.user_name().to_string(), self.user_name());
        device.sign(&Secret::try_from(self.psk.as_slice()).unwrap(), self.method).as_str().to_owned()
    }

    fn event(&self, password: impl AsRef<[u8]>) -> Value {
        connect(&self.client_id(), &self.user_name(), password)
    }

    fn attempts(&self) -> Attempts {
        let record = json!({"scheme": "tencent", "secrets": [{"psk": plain(STANDARD.encode(&self.psk))}],
            "grant": "tencent"});
        Attempts::with(&json!({self.client_id(): record}))
    }

    fn resources(&self) -> BTreeSet<String> {
        let own = format!("{}/{}", self.product, self.device);
        let topics =
            [format!("topic/{own}/event"), format!("topic/{own}/data"), format!("topic/{own}/control")];
        let filters = [format!("topicfilter/{own}/control"), format!("topicfilter/{own}/data")];
        topics.into_iter().chain(filters).chain([format!("client/{}", self.client_id())]).collect()
    }
}

fn flipped(password: &str, at: Index) -> Vec<u8> {
    let mut bytes = password.as_bytes().to_vec();
    let bit = at.index(bytes.len() * 8);
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}

fn with_first(letter: &str, text: &str) -> String {
    letter.chars().chain(text.chars().skip(1)).collect()
}

/// Each letter in upper or lower case, by the bits.
fn in_either_case(hex: &str, bits: u64) -> String {
    let case = |(at, letter): (usize, char)| {
        if bits >> (at % 64) & 1 == 1 { letter.to_ascii_uppercase() } else { letter }
    };
    hex.chars().enumerate().map(case).collect()
}

fn order() -> impl Strategy<Value = [usize; 4]> {
    Just([0, 1, 2, 3]).prop_shuffle()
}

fn secrets() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 1..100)
}

prop_compose! {
    fn any_alibaba()(
        id in "[A-Za-z0-9_.:@=,&~-]{1,30}",
        device in "[A-Z0-9_@.:-]{1,32}",
        product in "[A-Z0-9]{1,20}",
        method in select(&SignMethod::ALL[..]),
        timestamp in prop::option::of(any::<u64>()),
        secret in secrets(),
    ) -> Alibaba {
        Alibaba { id, device, product, method, timestamp, secret }
    }
}

prop_compose! {
    fn any_tencent()(
        product in "[A-Za-z0-9]{10}",
        device in "[A-Za-z0-9:_-]{1,48}",
        sdk_app_id in "[0-9]{1,10}",
        conn_id in "[A-Za-z0-9]{1,8}",
        expiry: u64,
        method in select(&tencent::SignMethod::ALL[..]),
        psk in secrets(),
    ) -> Tencent {
        Tencent { product, device, sdk_app_id, conn_id, expiry, method, psk }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn alibaba_accepts_what_a_device_signs(device in any_alibaba(), order in order(), bits: u64) {
        let client_id = device.client_id(order, "");
        let password = in_either_case(&device.password(), bits);
        let answer = device.attempts().decide(&connect(&client_id, &device.user_name(), password), 0).unwrap();
        let resources = resources(&answer).into_iter().collect::<BTreeSet<_>>();
        prop_assert_eq!(resources, device.resources(&client_id));
    }

    #[test]
    fn alibaba_refuses_one_flipped_bit(device in any_alibaba(), at: Index) {
        let password = device.password();
        let wrong = flipped(&password, at);
        let outcome = device.attempts().outcome(&device.event(&wrong));
        // A bit of a letter is its case.
        prop_assert_eq!(outcome.is_ok(), wrong.eq_ignore_ascii_case(password.as_bytes()), "{:?}", outcome);
    }

    #[test]
    fn alibaba_refuses_another_signed_part(device in any_alibaba(), letter in "[a-z]", stamp: u64) {
        let password = device.password();
        let other = |change: fn(&mut Alibaba, &str)| {
            let mut other = device.clone();
            change(&mut other, &letter);
            other
        };
        let timestamps = [None, Some(stamp)].into_iter().filter(|timestamp| *timestamp != device.timestamp);
        let others = [
            other(|device, letter| device.id += letter),
            other(|device, letter| device.device.replace_range(..1, letter)),
            other(|device, letter| device.product.replace_range(..1, letter)),
        ];
        let others = others.into_iter().chain(timestamps.map(|timestamp| Alibaba { timestamp, ..device.clone() }));
        for other in others {
            let attempts = other.attempts();
            prop_assert_eq!(attempts.outcome(&other.event(other.password())), Ok(()));
            prop_assert_eq!(attempts.outcome(&other.event(&password)), Err(DenyReason::WrongSignature));
        }
        for method in SignMethod::ALL.into_iter().filter(|method| *method != device.method) {
            let other = Alibaba { method, ..device.clone() };
            let outcome = device.attempts().outcome(&other.event(&password));
            prop_assert_eq!(outcome, Err(DenyReason::SignatureLength));
        }
    }

    /// An eavesdropper may present a password again with other unsigned parameters, so they must not change the answer.
    #[test]
    fn alibaba_grants_nothing_for_what_is_not_signed(
        device in any_alibaba(), one in "[A-Za-z0-9_.:@=~-]{0,12}", other in "[A-Za-z0-9_.:@=~-]{0,12}",
        orders in (order(), order()),
    ) {
        let attempts = device.attempts();
        let answer = |order, unsigned: &str| {
            let client_id = device.client_id(order, unsigned);
            let answer = attempts.decide(&connect(&client_id, &device.user_name(), device.password()), 0);
            answer.unwrap().to_string().replace(&format!("client/{client_id}\""), "client/ID\"")
        };
        prop_assert_eq!(answer(orders.0, &one), answer(orders.1, &other));
    }

    #[test]
    fn tencent_accepts_what_a_device_signs(device in any_tencent(), bits: u64) {
        let password = device.password();
        let (hex, method) = password.split_once(';').unwrap();
        let event = device.event(format!("{};{method}", in_either_case(hex, bits)));
        let answer = device.attempts().decide(&event, 0).unwrap();
        prop_assert_eq!(resources(&answer).into_iter().collect::<BTreeSet<_>>(), device.resources());
    }

    #[test]
    fn tencent_refuses_one_flipped_bit(device in any_tencent(), at: Index) {
        let password = device.password();
        let (wrong, hex) = (flipped(&password, at), password.split_once(';').unwrap().0.len());
        let outcome = device.attempts().outcome(&device.event(&wrong));
        let same = wrong[..hex].eq_ignore_ascii_case(&password.as_bytes()[..hex])
            && wrong[hex..] == password.as_bytes()[hex..];
        prop_assert_eq!(outcome.is_ok(), same, "{:?}", outcome);
    }

    #[test]
    fn tencent_refuses_another_user_name(device in any_tencent(), digit in "[0-9]", letter in "[a-z]") {
        let password = device.password();
        let others = [
            Tencent { sdk_app_id: device.sdk_app_id.clone() + &digit, ..device.clone() },
            Tencent { conn_id: device.conn_id.clone() + &letter, ..device.clone() },
            Tencent { expiry: device.expiry ^ 1, ..device.clone() },
            Tencent { product: with_first(&letter, &device.product), ..device.clone() },
            Tencent { device: with_first(&letter, &device.device), ..device.clone() },
        ];
        for other in others.iter().filter(|other| other.user_name() != device.user_name()) {
            let outcome = other.attempts().outcome(&other.event(&password));
            prop_assert_eq!(outcome, Err(DenyReason::WrongSignature));
        }
    }

    /// The client id is any text, and the signature is right.
    #[test]
    fn no_text_of_a_client_widens_its_policy(id in "[ -~]{1,12}", unsigned in "[ -~&&[^|,]]{0,12}", secret in secrets()) {
        prop_assume!(!id.contains('|'));
        let device = Alibaba {
            id, device: "dev".to_owned(), product: "PK".to_owned(), method: SignMethod::HmacSha256, timestamp: None, secret,
        };
        let client_id = device.client_id([0, 1, 2, 3], &unsigned);
        let record = json!({"dev&PK": {"scheme": "alibaba", "secrets": [{"device_secret": plain(&device.secret)}],
            "grant": "own-topics", "client_ids": ["a*", "b*", "c*", "0*", "1*", "A*", "B*", "-*", "=*"]}});
        let event = connect(&client_id, &device.user_name(), device.password());
        if let Ok(answer) = Attempts::with(&record).decide(&event, 0) {
            prop_assert!(!client_id.contains(['*', '?', '+', '#', '$', '/', '{', '}']), "{}", client_id);
            let own = [format!("client/{client_id}"), format!("topic/{client_id}/*"), format!("topicfilter/{client_id}/*")];
            // A client id with a parameter of the device's own choice may not have a persistent session.
            prop_assert_eq!(resources_with(&answer, "Deny"), &own[..1]);
            prop_assert_eq!(resources_with(&answer, "Allow"), own);
        }
    }
}
