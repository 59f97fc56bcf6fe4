//! The client id, user name and password of one CONNECT.

use core::fmt::Write as _;

use credentials::{Password, tencent};
use heapless::String;
use rand_core::Rng;

use crate::clock::UnixTime;
use crate::configuration::{Identity, MAX_CLIENT_ID, MAX_USER_NAME};

/// What one CONNECT contains. No `Debug`: one field is the password.
pub(crate) struct Login<'a> {
    pub(crate) client_id: String<MAX_CLIENT_ID>,
    pub(crate) user_name: Option<String<MAX_USER_NAME>>,
    password: PasswordField<'a>,
}

enum PasswordField<'a> {
    /// A device with a client certificate sends none.
    Empty,
    Plain(&'a str),
    Signature(Password),
}

impl<'a> Login<'a> {
    /// The login of this identity now. Tencent's is signed again for each connection, because it expires.
    ///
    /// `None` only if a text is longer than its field, which the [configuration](crate::configuration) has ruled out.
    pub(crate) fn new(identity: &'a Identity<'a>, now: UnixTime, random: &mut impl Rng) -> Option<Self> {
        Some(match identity {
            Identity::Password { client_id, user_name, password } => Self {
                client_id: text(client_id)?,
                user_name: Some(user_name.clone()),
                password: PasswordField::Plain(password),
            },
            Identity::Alibaba { device, secret } => Self {
                client_id: text(device.client_id())?,
                user_name: Some(text(device.user_name())?),
                password: PasswordField::Signature(device.sign(secret)),
            },
            Identity::Tencent { identity, method, psk } => {
                let conn_id: String<8> = text(format_args!("{:08x}", random.next_u32()))?;
                let expiry = now.seconds().saturating_add(EXPIRY_SECONDS);
                let device = tencent::Device::new(*identity, &conn_id, expiry).ok()?;
                Self {
                    client_id: text(device.client_id())?,
                    user_name: Some(text(device.user_name())?),
                    password: PasswordField::Signature(device.sign(psk, *method)),
                }
            }
            Identity::Certificate { client_id, .. } => {
                Self { client_id: text(client_id)?, user_name: None, password: PasswordField::Empty }
            }
        })
    }

    pub(crate) fn password(&self) -> &[u8] {
        match &self.password {
            PasswordField::Empty => &[],
            PasswordField::Plain(text) => text.as_bytes(),
            PasswordField::Signature(password) => password.as_bytes(),
        }
    }
}

/// How long a Tencent signature is valid: IoT Core checks the same CONNECT again at each refresh of the connection.
const EXPIRY_SECONDS: u64 = 7 * 86_400;

fn text<const N: usize>(value: impl core::fmt::Display) -> Option<String<N>> {
    let mut text = String::new();
    write!(text, "{value}").ok()?;
    Some(text)
}

#[cfg(test)]
pub(crate) mod tests {
    use core::convert::Infallible;

    use credentials::Secret;

    use super::*;

    /// Random numbers that are always the same one.
    pub(crate) struct ConstantRng(pub(crate) u64);

    impl rand_core::TryRng for ConstantRng {
        type Error = Infallible;

        fn try_next_u32(&mut self) -> Result<u32, Infallible> {
            Ok(u32::try_from(self.0).unwrap())
        }

        fn try_next_u64(&mut self) -> Result<u64, Infallible> {
            Ok(self.0)
        }

        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
            bytes.fill(self.0.to_le_bytes()[0]);
            Ok(())
        }
    }

    #[test]
    fn tencent_login_is_signed_again_for_each_connection() {
        let identity = Identity::Tencent {
            identity: tencent::Identity::new("AB12CD34EF", "hall").unwrap(),
            method: tencent::SignMethod::HmacSha256,
            psk: Secret::try_from(b"secret".as_slice()).unwrap(),
        };
        let login = |number| Login::new(&identity, UnixTime::EARLIEST, &mut ConstantRng(number)).unwrap();
        let (first, second) = (login(1), login(2));
        assert_eq!(first.client_id, "AB12CD34EFhall");
        assert_eq!(first.user_name.as_deref(), Some("AB12CD34EFhall;12010126;00000001;1767830400"));
        assert_ne!(first.password(), second.password());
    }
}
