//! The step from a record's sealed secrets to secrets that signatures are checked with.

use credentials::{Secret, SecretError};
use zeroize::Zeroizing;

use super::document::SecretDocument;
use crate::{
    credential::vendor_secret::{LiveSecret, VendorSecret},
    device_name::DeviceName,
    record::Unsealing,
    scheme::Scheme,
    seal::{Keyring, SealedSecret},
};

/// Opens the secrets of the device called `name`, and checks that each is of a kind that the scheme has.
pub(super) fn load(
    name: &DeviceName,
    scheme: Scheme,
    documents: Vec<SecretDocument>,
    unsealing: &Unsealing,
) -> Result<Vec<LiveSecret>, String> {
    let mut secrets = Vec::new();
    for document in documents {
        let expires_at = document.expires_at;
        let kind = Kind::of(document, scheme)?;
        if let Unsealing::With(keyring) = unsealing {
            secrets.push(LiveSecret { secret: kind.open(keyring, name)?, expires_at });
        }
    }
    Ok(secrets)
}

enum Kind {
    DeviceSecret(SealedSecret),
    DeviceToken(SealedSecret, DeviceName),
    Psk(SealedSecret),
}

impl Kind {
    fn of(document: SecretDocument, scheme: Scheme) -> Result<Self, &'static str> {
        let SecretDocument { device_secret, device_token, id, psk, expires_at: _ } = document;
        match (scheme, device_secret, device_token, id, psk) {
            (Scheme::Alibaba, Some(sealed), None, None, None) => Ok(Self::DeviceSecret(sealed)),
            (Scheme::Alibaba, None, Some(sealed), Some(id), None) => Ok(Self::DeviceToken(sealed, id)),
            (Scheme::Tencent, None, None, None, Some(sealed)) => Ok(Self::Psk(sealed)),
            (Scheme::Tencent, ..) => Err("a secret of the scheme `tencent` has `psk` and nothing else"),
            _ => Err("a secret of the scheme `alibaba` has `device_secret`, or `device_token` with its `id`"),
        }
    }

    fn open(self, keyring: &Keyring, name: &DeviceName) -> Result<VendorSecret, String> {
        let open = |sealed: &SealedSecret| keyring.open(sealed, name).map_err(|error| error.to_string());
        let secret = |bytes: &[u8]| Secret::try_from(bytes).map_err(|error| error.to_string());
        Ok(match self {
            Self::DeviceSecret(sealed) => VendorSecret::DeviceSecret(secret(&open(&sealed)?)?),
            Self::DeviceToken(sealed, id) => {
                VendorSecret::DeviceToken { token: secret(&open(&sealed)?)?, id: id.client_id().clone() }
            }
            Self::Psk(sealed) => VendorSecret::Psk(psk(&open(&sealed)?).map_err(|error| error.to_string())?),
        })
    }
}

/// The vendor gives a `psk` as base64 and signs with what that decodes to.
fn psk(opened: &Zeroizing<Vec<u8>>) -> Result<Secret, SecretError> {
    let text = std::str::from_utf8(opened).map_err(|_| SecretError::NotBase64)?;
    Secret::from_base64(text)
}
