//! Runs every row of `tests/vectors/*.json`: a CONNECT of each scheme with the secret that makes it valid. Each row is
//! verified, and a device signs exactly the same. No row is from a real device.

#[cfg(test)]
mod tests {
    use credentials::{Secret, alibaba, tencent};
    use serde::Deserialize;

    const ALIBABA: &str = include_str!("vectors/alibaba.json");
    const TENCENT: &str = include_str!("vectors/tencent.json");

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Vector {
        description: String,
        #[serde(alias = "device_secret", alias = "psk")]
        secret: String,
        client_id: String,
        user_name: String,
        password: String,
    }

    fn vectors(json: &str, count: usize) -> Vec<Vector> {
        let vectors: Vec<Vector> = serde_json::from_str(json).unwrap();
        assert_eq!(vectors.len(), count);
        vectors
    }

    #[test]
    fn alibaba_vectors_are_verified() {
        for Vector { description, secret, client_id, user_name, password } in vectors(ALIBABA, 12) {
            let secret = Secret::try_from(secret.as_bytes()).unwrap();
            let login = alibaba::Login::parse(&client_id, &user_name).unwrap();
            for password in [password.to_lowercase(), password.to_uppercase(), password] {
                let key = alibaba::Key::DeviceSecret(&secret);
                assert!(bool::from(login.verify(key, password.as_bytes()).unwrap()), "{description}");
            }
        }
    }

    #[test]
    fn alibaba_device_signs_the_vectors() {
        for Vector { description, secret, client_id, user_name, password } in vectors(ALIBABA, 12) {
            let secret = Secret::try_from(secret.as_bytes()).unwrap();
            let login = alibaba::Login::parse(&client_id, &user_name).unwrap();
            let device = alibaba::Device::new(login.identity()).with_sign_method(login.sign_method());
            let device = match login.timestamp() {
                Some(timestamp) => device.with_timestamp(timestamp.parse().unwrap()),
                None => device,
            };
            assert_eq!(device.client_id().to_string(), client_id, "{description}");
            assert_eq!(device.user_name().to_string(), user_name, "{description}");
            assert_eq!(device.sign(&secret).as_str(), password.to_lowercase(), "{description}");
        }
    }

    #[test]
    fn tencent_vectors_are_verified() {
        for Vector { description, secret, client_id, user_name, password } in vectors(TENCENT, 8) {
            let psk = Secret::from_base64(&secret).unwrap();
            let login = tencent::Login::parse(&user_name).unwrap();
            assert_eq!(login.check_client_id(&client_id), Ok(()));
            let verified = login.verify(&psk, password.as_bytes()).unwrap();
            assert!(bool::from(verified), "{description}");
        }
    }

    #[test]
    fn tencent_device_signs_the_vectors() {
        for Vector { description, secret, client_id, user_name, password } in vectors(TENCENT, 8) {
            let psk = Secret::from_base64(&secret).unwrap();
            let login = tencent::Login::parse(&user_name).unwrap();
            let expiry = user_name.rsplit(';').next().unwrap().parse().unwrap();
            let device = tencent::Device::new(login.identity(), login.conn_id(), expiry)
                .and_then(|device| device.with_sdk_app_id(login.sdk_app_id()))
                .unwrap();
            let method = password.rsplit(';').next().unwrap().parse().unwrap();
            assert_eq!(device.client_id().to_string(), client_id, "{description}");
            assert_eq!(device.user_name().to_string(), user_name, "{description}");
            assert_eq!(device.sign(&psk, method).as_str(), password, "{description}");
        }
    }
}
