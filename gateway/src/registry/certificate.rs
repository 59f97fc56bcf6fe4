//! A registered certificate.

mod fields;

use std::{collections::BTreeSet, fmt, sync::Arc};

use anyhow::Context as _;
use aws_lc_rs::digest::{SHA256, digest};
use iot_policy::PolicyDocument;
use rustls::{
    pki_types::{CertificateDer, UnixTime, pem::PemObject},
    server::ParsedCertificate,
};
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

/// AWS's `certificateId`: the SHA-256 of the certificate's DER, as 64 hex digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CertificateId(Arc<str>);

/// The status of a certificate (API reference, `API_UpdateCertificate`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateStatus {
    /// The certificate may be used.
    Active,
    /// The certificate may not be used for now.
    Inactive,
    /// The certificate may never be used again.
    Revoked,
}

/// A certificate that the registry knows.
#[derive(Clone, Debug)]
pub struct Certificate {
    id: CertificateId,
    pem: String,
    fields: iot_policy::Certificate,
    not_before: i64,
    not_after: i64,
    /// The status.
    pub status: CertificateStatus,
    /// The policies of a client with the certificate's key.
    pub policies: Arc<[PolicyDocument]>,
    /// The names of the Things that the certificate is attached to.
    pub things: BTreeSet<String>,
}

/// A registered certificate that can't be used now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCertificate {
    /// The status is not ACTIVE.
    #[error("the client's certificate is {0}: activate it, or give the device another")]
    Status(CertificateStatus),
    /// The certificate has expired.
    #[error("the client's certificate has expired: give the device a new one")]
    Expired,
    /// The certificate is not valid yet.
    #[error(
        "the client's certificate is not valid yet: look at this machine's clock and at the certificate's"
    )]
    NotYetValid,
}

impl CertificateId {
    /// The id of a certificate in DER form.
    #[must_use]
    pub fn of(der: &[u8]) -> Self {
        Self(hex::encode(digest(&SHA256, der)).into())
    }

    /// The id with these hex digits.
    #[must_use]
    pub fn named(digits: &str) -> Self {
        Self(digits.to_ascii_lowercase().into())
    }

    /// The 64 hex digits.
    #[must_use]
    pub fn as_str(&self) -> &Arc<str> {
        &self.0
    }
}

impl CertificateStatus {
    /// The status that AWS calls so.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        match text {
            "ACTIVE" => Some(Self::Active),
            "INACTIVE" => Some(Self::Inactive),
            "REVOKED" => Some(Self::Revoked),
            _ => None,
        }
    }
}

impl Certificate {
    /// The first certificate of a PEM file: active, with no policy and no Thing.
    ///
    /// # Errors
    ///
    /// When the text has no certificate that TLS can use.
    pub fn from_pem(text: &str) -> anyhow::Result<Self> {
        let der = CertificateDer::from_pem_slice(text.as_bytes()).context("it holds no PEM certificate")?;
        let usable = ParsedCertificate::try_from(&der).map(|_| ());
        usable.context("TLS can't use its certificate; one of X.509 version 3 is needed")?;
        let (_, parsed) = X509Certificate::from_der(&der).context("its certificate can't be read")?;
        let id = CertificateId::of(&der);
        Ok(Self {
            fields: fields::read(&id, &parsed),
            id,
            pem: pem(&der),
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
            status: CertificateStatus::Active,
            policies: Arc::from([]),
            things: BTreeSet::new(),
        })
    }

    /// The certificate's id.
    #[must_use]
    pub fn id(&self) -> &CertificateId {
        &self.id
    }

    /// The certificate as PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The fields that policies can name.
    #[must_use]
    pub fn fields(&self) -> &iot_policy::Certificate {
        &self.fields
    }

    /// When the certificate begins and ends to be valid, in seconds since 1970.
    #[must_use]
    pub fn validity(&self) -> (i64, i64) {
        (self.not_before, self.not_after)
    }

    /// Checks that the certificate may be used now.
    ///
    /// # Errors
    ///
    /// The status or the date that forbids it.
    pub fn usable(&self, now: UnixTime) -> Result<(), InvalidCertificate> {
        if self.status != CertificateStatus::Active {
            return Err(InvalidCertificate::Status(self.status));
        }
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        if now < self.not_before {
            return Err(InvalidCertificate::NotYetValid);
        }
        if now > self.not_after { Err(InvalidCertificate::Expired) } else { Ok(()) }
    }
}

fn pem(der: &[u8]) -> String {
    pem::encode_config(
        &pem::Pem::new("CERTIFICATE", der),
        pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF),
    )
}

impl fmt::Display for CertificateStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Active => "ACTIVE",
            Self::Inactive => "INACTIVE",
            Self::Revoked => "REVOKED",
        })
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};
    use std::time::Duration;

    use super::*;

    fn certificate() -> Certificate {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "sht20");
        (params.not_before, params.not_after) =
            (rcgen::date_time_ymd(2026, 1, 1), rcgen::date_time_ymd(2027, 1, 1));
        let signed = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        Certificate::from_pem(&signed.pem()).unwrap()
    }

    #[test]
    fn the_id_is_the_sha256_of_the_der_form() {
        let certificate = certificate();
        let der = CertificateDer::from_pem_slice(certificate.pem().as_bytes()).unwrap();
        assert_eq!(certificate.id(), &CertificateId::of(&der));
        assert_eq!(
            &**CertificateId::of(b"abc").as_str(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn its_fields_are_what_policies_see() {
        use iot_policy::{
            AlternativeName, Certificate as Fields, CertificateField as Field, NameAttribute, Party,
        };
        use rcgen::{SanType, SerialNumber, string::Ia5String};
        let mut params =
            CertificateParams::new(vec!["a.example.com".to_owned(), "192.0.2.1".to_owned()]).unwrap();
        params.serial_number = Some(SerialNumber::from(4_660));
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "sht20");
        params.distinguished_name.push(DnType::OrganizationName, "Example");
        params.subject_alt_names.push(SanType::Rfc822Name(Ia5String::try_from("a@example.com").unwrap()));
        let signed = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let certificate = Certificate::from_pem(&signed.pem()).unwrap();
        let names = |fields: Fields, party| {
            fields
                .with(Field::Name(party, NameAttribute::CommonName), "sht20")
                .with(Field::Name(party, NameAttribute::Organization), "Example")
        };
        let expected =
            Fields::empty().with(Field::Id, &**certificate.id().as_str()).with(Field::SerialNumber, "4660");
        let alternative = |kind| Field::AlternativeName(Party::Subject, kind);
        let expected = names(names(expected, Party::Subject), Party::Issuer)
            .with(alternative(AlternativeName::DNSName), "a.example.com")
            .with(alternative(AlternativeName::IPAddress), "192.0.2.1")
            .with(alternative(AlternativeName::RFC822Name), "a@example.com");
        assert_eq!(certificate.fields(), &expected);
    }

    #[test]
    fn status_and_dates_decide_whether_it_may_be_used() {
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let (begins, ends) = (1_767_225_600, 1_798_761_600);
        let mut certificate = certificate();
        for (now, expected) in [
            (begins - 1, Err(InvalidCertificate::NotYetValid)),
            (begins, Ok(())),
            (ends, Ok(())),
            (ends + 1, Err(InvalidCertificate::Expired)),
            (u64::MAX, Err(InvalidCertificate::Expired)),
        ] {
            assert_eq!(certificate.usable(at(now)), expected, "{now}");
        }
        for status in [CertificateStatus::Inactive, CertificateStatus::Revoked] {
            certificate.status = status;
            assert_eq!(certificate.usable(at(begins)), Err(InvalidCertificate::Status(status)));
        }
    }

    #[test]
    fn text_without_a_certificate_is_refused() {
        for text in ["", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            assert!(Certificate::from_pem(text).is_err(), "{text}");
        }
    }
}
