//! What one CONNECT presents.

use core::fmt::Write as _;

use credentials::{Password, tencent};
use heapless::String;
use rand_core::Rng;

use crate::clock::UnixTime;
use crate::configuration::{Identity, MAX_CLIENT_ID, MAX_USER_NAME};

/// Client id, user name and password of one CONNECT. No `Debug`.
pub(crate) struct Login<'a> {
    pub(crate) client_id: String<MAX_CLIENT_ID>,
    pub(crate) user_name: Option<String<MAX_USER_NAME>>,
    secret: Presented<'a>,
}

enum Presented<'a> {
    Nothing,
    Text(&'a str),
    Signature(Password),
}

impl<'a> Login<'a> {
    /// What this identity presents now. A vendor's signature is made anew for each connection.
    ///
    /// `None` only if a text outgrows its room, which the configuration has ruled out.
    pub(crate) fn new(identity: &'a Identity<'a>, now: UnixTime, random: &mut impl Rng) -> Option<Self> {
        Some(match identity {
            Identity::Password { client_id, user_name, password } => Self {
                client_id: text(client_id)?,
                user_name: Some(user_name.clone()),
                secret: Presented::Text(password),
            },
            Identity::Alibaba { device, secret } => Self {
                client_id: text(device.client_id())?,
                user_name: Some(text(device.user_name())?),
                secret: Presented::Signature(device.sign(secret)),
            },
            Identity::Tencent { identity, method, psk } => {
                let conn_id: String<8> = text(format_args!("{:08x}", random.next_u32()))?;
                let expiry = now.seconds().saturating_add(EXPIRY_SECONDS);
                let device = tencent::Device::new(*identity, &conn_id, expiry).ok()?;
                Self {
                    client_id: text(device.client_id())?,
                    user_name: Some(text(device.user_name())?),
                    secret: Presented::Signature(device.sign(psk, *method)),
                }
            }
            Identity::Certificate { client_id, .. } => {
                Self { client_id: text(client_id)?, user_name: None, secret: Presented::Nothing }
            }
        })
    }

    pub(crate) fn password(&self) -> &[u8] {
        match &self.secret {
            Presented::Nothing => &[],
            Presented::Text(text) => text.as_bytes(),
            Presented::Signature(password) => password.as_bytes(),
        }
    }
}

/// A signature outlives the connection's refreshes, at each of which the same CONNECT is judged again.
const EXPIRY_SECONDS: u64 = 7 * 86_400;

fn text<const N: usize>(value: impl core::fmt::Display) -> Option<String<N>> {
    let mut text = String::new();
    write!(text, "{value}").ok()?;
    Some(text)
}
