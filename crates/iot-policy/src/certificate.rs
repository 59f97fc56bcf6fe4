//! The certificate that a client presented, and the policy variables that ask for it (AWS IoT Core developer guide,
//! `cert-policy-variables` and `use-policy-variables`).

mod field;

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

pub use field::{AlternativeName, CertificateField, NameAttribute, Party};

/// Values of one field that AWS looks at, at most (`use-policy-variables`).
const MAX_VALUES: usize = 5;
/// Characters of a value that AWS puts in a variable's place, at most (`use-policy-variables`).
const MAX_VALUE_LENGTH: usize = 1024;

/// A client certificate's fields.
///
/// Values are written as AWS writes them: a serial number in decimal, a special character in a name with a
/// backslash before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    values: BTreeMap<CertificateField, Vec<String>>,
}

impl Certificate {
    /// A certificate of which nothing is known.
    #[must_use]
    pub fn empty() -> Self {
        Self { values: BTreeMap::new() }
    }

    /// Appends a value to a field. AWS looks at the first five.
    #[must_use]
    pub fn with(mut self, field: CertificateField, value: impl Into<String>) -> Self {
        let values = self.values.entry(field).or_default();
        if values.len() < MAX_VALUES {
            values.push(value.into());
        }
        self
    }

    pub(crate) fn values(&self, field: CertificateField) -> &[String] {
        self.values.get(&field).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn value(&self, variable: CertificateVariable) -> Option<&str> {
        self.values(variable.field).get(variable.index).map(String::as_str)
    }
}

/// One value of one field: the first, or with the suffix `.1` the second, and so on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CertificateVariable {
    field: CertificateField,
    index: usize,
}

impl CertificateVariable {
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        if let Some(field) = CertificateField::from_name(name) {
            return Some(Self { field, index: 0 });
        }
        let (name, index) = name.rsplit_once('.')?;
        let field = CertificateField::from_name(name).filter(|field| field.may_have_several())?;
        Some(Self { field, index: read_index(index)? })
    }

    /// Whether AWS puts this value in the variable's place: not if it holds a wildcard's character or is too long.
    ///
    /// AWS then leaves the variable's own text in the policy, which no value can be meant to match; a condition that asks
    /// for the field as its key sees the value as it is *(guess: no variable has it, a condition's key does)*.
    pub(crate) fn accepts(value: &str) -> bool {
        !value.contains(['*', '$', '+', '?', '#']) && value.chars().count() <= MAX_VALUE_LENGTH
    }
}

impl Display for CertificateVariable {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.field.fmt(f)?;
        if self.index == 0 { Ok(()) } else { write!(f, ".{}", self.index) }
    }
}

impl CertificateField {
    /// The field that a name with the suffix `.List` asks for as a whole.
    pub(crate) fn of_list(name: &str) -> Option<Self> {
        let (name, suffix) = name.rsplit_once('.')?;
        Self::from_name(name).filter(|field| field.may_have_several() && suffix.eq_ignore_ascii_case("List"))
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::all().find(|field| field.to_string().eq_ignore_ascii_case(name))
    }

    fn all() -> impl Iterator<Item = Self> {
        let named = Party::ALL.into_iter().flat_map(|party| {
            let names = NameAttribute::ALL.iter().map(move |&name| Self::Name(party, name));
            names.chain(AlternativeName::ALL.iter().map(move |&name| Self::AlternativeName(party, name)))
        });
        [Self::Id, Self::SerialNumber].into_iter().chain(named)
    }

    fn may_have_several(self) -> bool {
        !matches!(self, Self::Id | Self::SerialNumber)
    }
}

impl Display for CertificateField {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id => f.write_str("iot:CertificateId"),
            Self::SerialNumber => f.write_str("iot:Certificate.SerialNumber"),
            Self::Name(party, name) => write!(f, "iot:Certificate.{}.{}", party.as_str(), name.as_str()),
            Self::AlternativeName(party, name) => {
                write!(f, "iot:Certificate.{}.AlternativeName.{}", party.as_str(), name.as_str())
            }
        }
    }
}

/// From `1`, the second value, on; one that never has a value is as good as any other.
fn read_index(text: &str) -> Option<usize> {
    let is_plain = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTRY: CertificateField = CertificateField::Name(Party::Subject, NameAttribute::Country);

    #[test]
    fn every_field_is_read_by_its_name() {
        assert_eq!(CertificateField::all().count(), 2 + 2 * (13 + 5));
        for field in CertificateField::all() {
            let name = field.to_string();
            let variable = CertificateVariable::from_name(&name.to_ascii_uppercase()).unwrap();
            assert_eq!(variable, CertificateVariable { field, index: 0 });
            assert_eq!(variable.to_string(), name);
        }
    }

    #[test]
    fn a_suffix_asks_for_another_value() {
        let second = CertificateVariable::from_name("iot:Certificate.Subject.Country.1").unwrap();
        assert_eq!(second, CertificateVariable { field: COUNTRY, index: 1 });
        assert_eq!(second.to_string(), "iot:Certificate.Subject.Country.1");
        assert_eq!(CertificateField::of_list("iot:certificate.subject.country.list"), Some(COUNTRY));
        for name in [
            "iot:Certificate",
            "iot:Certificate.AvailableKeys",
            "iot:Certificate.SerialNumber.1",
            "iot:CertificateId.1",
            "iot:Certificate.Subject",
            "iot:Certificate.Subject.Locality",
            "iot:Certificate.Subject.Country.",
            "iot:Certificate.Subject.Country.0",
            "iot:Certificate.Subject.Country.01",
            "iot:Certificate.Subject.Country.+1",
            "iot:Certificate.Subject.Country.1.1",
            "iot:Certificate.Subject.Country.99999999999999999999",
            "iot:Certificate.Subject.DNSName",
            "iot:Certificate.Subject.AlternativeName.Country",
        ] {
            assert_eq!(CertificateVariable::from_name(name), None, "{name}");
            assert_eq!(CertificateField::of_list(name), None, "{name}");
        }
        assert_eq!(CertificateField::of_list("iot:Certificate.SerialNumber.List"), None);
    }

    #[test]
    fn values_stand_in_their_order_and_the_sixth_is_ignored() {
        let full = (1..=6).fold(Certificate::empty(), |all, number| all.with(COUNTRY, number.to_string()));
        assert_eq!(full.values(COUNTRY), ["1", "2", "3", "4", "5"]);
        assert_eq!(full.value(CertificateVariable { field: COUNTRY, index: 1 }), Some("2"));
        assert_eq!(full.value(CertificateVariable { field: COUNTRY, index: 5 }), None);
        assert_eq!(full.value(CertificateVariable { field: CertificateField::Id, index: 0 }), None);
    }

    #[test]
    fn wildcards_and_long_values_stay_out_of_variables() {
        let longest = "é".repeat(1024);
        for value in ["", "a b\\,c", "100%", &longest] {
            assert!(CertificateVariable::accepts(value), "{value}");
        }
        let too_long = "a".repeat(1025);
        for value in ["*", "a$", "a+b", "?", "#1", &too_long] {
            assert!(!CertificateVariable::accepts(value), "{value}");
        }
    }
}
