//! The fields of a certificate that policies can name.
//!
//! Source: AWS IoT Core developer guide, `cert-policy-variables`.

use std::net::{Ipv4Addr, Ipv6Addr};

use iot_policy::{AlternativeName, Certificate, CertificateField, NameAttribute, Party};
use x509_parser::{
    certificate::X509Certificate,
    der_parser::oid,
    extensions::{GeneralName, ParsedExtension},
    oid_registry::{
        OID_X509_COMMON_NAME, OID_X509_COUNTRY_NAME, OID_X509_DN_QUALIFIER, OID_X509_GENERATION_QUALIFIER,
        OID_X509_GIVEN_NAME, OID_X509_INITIALS, OID_X509_ORGANIZATION_NAME, OID_X509_ORGANIZATIONAL_UNIT,
        OID_X509_SERIALNUMBER, OID_X509_STATE_OR_PROVINCE_NAME, OID_X509_SURNAME, OID_X509_TITLE, Oid,
    },
    x509::X509Name,
};

use super::CertificateId;

/// The fields of a certificate with this id, without names that are not text.
pub(super) fn read(id: &CertificateId, certificate: &X509Certificate<'_>) -> Certificate {
    let mut fields = Certificate::empty()
        .with(CertificateField::Id, &**id.as_str())
        .with(CertificateField::SerialNumber, certificate.tbs_certificate.serial.to_string());
    for (party, name) in [(Party::Subject, certificate.subject()), (Party::Issuer, certificate.issuer())] {
        fields = with_name(fields, party, name);
    }
    for extension in certificate.extensions() {
        let (party, names) = match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(names) => (Party::Subject, &names.general_names),
            ParsedExtension::IssuerAlternativeName(names) => (Party::Issuer, &names.general_names),
            _ => continue,
        };
        for (kind, value) in names.iter().filter_map(alternative_name) {
            fields = fields.with(CertificateField::AlternativeName(party, kind), value);
        }
    }
    fields
}

fn with_name(mut fields: Certificate, party: Party, name: &X509Name<'_>) -> Certificate {
    for attribute in name.iter_attributes() {
        if let (Some(kind), Ok(value)) = (name_attribute(attribute.attr_type()), attribute.as_str()) {
            fields = fields.with(CertificateField::Name(party, kind), value);
        }
    }
    fields
}

fn name_attribute(oid: &Oid<'_>) -> Option<NameAttribute> {
    let known = [
        (OID_X509_DN_QUALIFIER, NameAttribute::DistinguishedNameQualifier),
        (OID_X509_COUNTRY_NAME, NameAttribute::Country),
        (OID_X509_ORGANIZATION_NAME, NameAttribute::Organization),
        (OID_X509_ORGANIZATIONAL_UNIT, NameAttribute::OrganizationalUnit),
        (OID_X509_STATE_OR_PROVINCE_NAME, NameAttribute::State),
        (OID_X509_COMMON_NAME, NameAttribute::CommonName),
        (OID_X509_SERIALNUMBER, NameAttribute::SerialNumber),
        (OID_X509_TITLE, NameAttribute::Title),
        (OID_X509_SURNAME, NameAttribute::Surname),
        (OID_X509_GIVEN_NAME, NameAttribute::GivenName),
        (OID_X509_INITIALS, NameAttribute::Initials),
        (oid!(2.5.4.65), NameAttribute::Pseudonym),
        (OID_X509_GENERATION_QUALIFIER, NameAttribute::GenerationQualifier),
    ];
    known.into_iter().find(|(known, _)| known == oid).map(|(_, attribute)| attribute)
}

fn alternative_name(name: &GeneralName<'_>) -> Option<(AlternativeName, String)> {
    Some(match name {
        GeneralName::RFC822Name(text) => (AlternativeName::RFC822Name, (*text).to_owned()),
        GeneralName::DNSName(text) => (AlternativeName::DNSName, (*text).to_owned()),
        GeneralName::URI(text) => (AlternativeName::UniformResourceIdentifier, (*text).to_owned()),
        GeneralName::DirectoryName(name) => (AlternativeName::DirectoryName, name.to_string()),
        GeneralName::IPAddress(bytes) => (AlternativeName::IPAddress, address(bytes)?),
        _ => return None,
    })
}

fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(bytes).to_string());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|bytes| Ipv6Addr::from(bytes).to_string())
}
