//! Devices from another cloud: their names, and the secrets that they have from there.

use anyhow::{Context as _, bail};
use credentials::{Secret, alibaba, tencent};
use device_auth::{
    device_name::DeviceName, grant::built_in, scheme::Scheme, store::document::SecretDocument,
};

use crate::sealing::Sealing;

/// A cloud whose devices sign with a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vendor {
    /// Alibaba Cloud IoT Platform.
    Alibaba,
    /// Tencent Cloud IoT Hub.
    Tencent,
}

/// A secret that has the vendor's form.
pub struct VendorSecret<'a> {
    vendor: Vendor,
    text: &'a str,
    token_id: Option<DeviceName>,
}

impl Vendor {
    /// The vendor whose devices use a scheme. Other schemes have none.
    #[must_use]
    pub fn of(scheme: Scheme) -> Option<Self> {
        match scheme {
            Scheme::Alibaba => Some(Self::Alibaba),
            Scheme::Tencent => Some(Self::Tencent),
            Scheme::Password | Scheme::Jwt | Scheme::Token => None,
        }
    }

    /// The scheme that its devices use.
    #[must_use]
    pub fn scheme(self) -> Scheme {
        match self {
            Self::Alibaba => Scheme::Alibaba,
            Self::Tencent => Scheme::Tencent,
        }
    }

    /// The name of a device's record. The product is part of `name`, unless it is given.
    ///
    /// # Errors
    ///
    /// Which part is wrong by the vendor's own rules, and why. No part is repeated.
    pub fn name(self, name: &str, product: Option<&str>) -> anyhow::Result<DeviceName> {
        let name = match (self, product) {
            (Self::Alibaba, None) => {
                let (device, product) = name.split_once('&').context(
                    "the name of an Alibaba device is `deviceName&productKey`; put it in quotes, because `&` means \
                     something else to the shell, or set `--product KEY`",
                )?;
                alibaba::Identity::new("1", device, product)?.to_string()
            }
            (Self::Alibaba, Some(product)) => alibaba::Identity::new("1", name, product)?.to_string(),
            (Self::Tencent, None) => {
                let known = tencent::Identity::try_from(name);
                let how = "the name of a Tencent device is its product id and its device name in one word";
                known.context(how)?.to_string()
            }
            (Self::Tencent, Some(product)) => tencent::Identity::new(product, name)?.to_string(),
        };
        Ok(DeviceName::try_from(name)?)
    }

    /// Checks that a secret has the vendor's form. With a `token_id` it is a `DeviceToken` of Alibaba's.
    ///
    /// # Errors
    ///
    /// What is wrong with it. The secret is not repeated.
    pub fn secret(self, text: &str, token_id: Option<DeviceName>) -> anyhow::Result<VendorSecret<'_>> {
        match self {
            Self::Alibaba if text.contains(char::is_whitespace) => bail!("the secret has white space in it"),
            Self::Alibaba => Secret::try_from(text.as_bytes()).map(drop)?,
            Self::Tencent if token_id.is_some() => bail!("`--device-token-id` is for the scheme `alibaba`"),
            Self::Tencent => Secret::from_base64(text).map(drop).context("Tencent's psk")?,
        }
        Ok(VendorSecret { vendor: self, text, token_id })
    }
}

impl VendorSecret<'_> {
    /// Seals it for the record of `device`.
    ///
    /// # Errors
    ///
    /// When it can't be sealed.
    pub fn sealed(self, device: &DeviceName, sealing: &Sealing) -> anyhow::Result<SecretDocument> {
        let sealed = Some(sealing.seal(self.text.as_bytes(), device)?);
        let none = SecretDocument::default();
        Ok(match (self.vendor, self.token_id) {
            (Vendor::Alibaba, None) => SecretDocument { device_secret: sealed, ..none },
            (Vendor::Alibaba, id) => SecretDocument { device_token: sealed, id, ..none },
            (Vendor::Tencent, _) => SecretDocument { psk: sealed, ..none },
        })
    }
}

/// The grant of a device for which none is named.
#[must_use]
pub fn default_grant(scheme: Scheme) -> &'static str {
    match Vendor::of(scheme) {
        Some(Vendor::Alibaba) => built_in::ALIBABA,
        Some(Vendor::Tencent) => built_in::TENCENT,
        None => built_in::OWN_TOPICS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_vendors_rules() {
        let name = |vendor: Vendor, name, product| match vendor.name(name, product) {
            Ok(name) => name.to_string(),
            Err(error) => cli::error_text(error.as_ref()),
        };
        for (vendor, text, product, printed) in [
            (Vendor::Alibaba, "d&pk", None, "d&pk"),
            (Vendor::Alibaba, "d", Some("pk"), "d&pk"),
            (Vendor::Tencent, "AB12CD34EFd", None, "AB12CD34EFd"),
            (Vendor::Tencent, "d", Some("AB12CD34EF"), "AB12CD34EFd"),
            (Vendor::Alibaba, "d", None, "put it in quotes"),
            (Vendor::Alibaba, "d&", None, "the product key is empty"),
            (
                Vendor::Alibaba,
                "d&p&k",
                None,
                "the product key has something other than letters and digits at byte 1",
            ),
            (Vendor::Alibaba, "d&pk", Some("pk"), "the device name has something other"),
            (Vendor::Alibaba, &"d".repeat(33), Some("pk"), "33 bytes, at most 32"),
            (Vendor::Alibaba, "d", Some(&"k".repeat(127)), "up to 128"),
            (Vendor::Tencent, "d", None, "in one word: the product id has 1 bytes"),
            (Vendor::Tencent, "AB12CD34EF", None, "the device name is empty"),
            (Vendor::Tencent, "d", Some("AB12"), "the product id has 4 bytes, it must have 10"),
        ] {
            let found = name(vendor, text, product);
            assert!(found.contains(printed), "{text} {product:?}: {found}");
        }
    }

    #[test]
    fn secrets_are_checked_and_never_repeated() {
        let id = || DeviceName::try_from("id").ok();
        assert!(Vendor::Alibaba.secret("c2VjcmV0", id()).is_ok());
        assert!(Vendor::Tencent.secret("c2VjcmV0", None).is_ok());
        for (vendor, text, id, printed) in [
            (Vendor::Alibaba, "", None, "the secret is empty"),
            (Vendor::Alibaba, "sec ret", None, "white space"),
            (Vendor::Alibaba, &"s".repeat(257), None, "257 bytes"),
            (Vendor::Tencent, "", None, "empty"),
            (Vendor::Tencent, "secre", None, "not standard base64"),
            (Vendor::Tencent, "c2VjcmV0", id(), "`--device-token-id`"),
        ] {
            let error = cli::error_text(vendor.secret(text, id).err().unwrap().as_ref());
            assert!(error.contains(printed) && !error.contains("secre "), "{error}");
        }
    }
}
