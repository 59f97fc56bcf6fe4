//! The fields of a certificate that policies can ask for, by AWS's names.

/// A field of a client certificate, as `cert-policy-variables` lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CertificateField {
    /// `iot:CertificateId`: the registry's id of the certificate.
    Id,
    /// `iot:Certificate.SerialNumber`, in decimal.
    SerialNumber,
    /// `iot:Certificate.Issuer.…` and `iot:Certificate.Subject.…`.
    Name(Party, NameAttribute),
    /// `iot:Certificate.Issuer.AlternativeName.…` and `iot:Certificate.Subject.AlternativeName.…`.
    AlternativeName(Party, AlternativeName),
}

/// Whose name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Party {
    /// The party that signed the certificate.
    Issuer,
    /// Whom the certificate is about.
    Subject,
}

impl Party {
    pub(super) const ALL: [Self; 2] = [Self::Issuer, Self::Subject];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Issuer => "Issuer",
            Self::Subject => "Subject",
        }
    }
}

/// Defines an enum whose variants are spelt as AWS spells them.
macro_rules! names {
    ($(#[$doc:meta])* $enum:ident { $($(#[$variant_doc:meta])* $variant:ident,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $enum {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $enum {
            pub(super) const ALL: &[Self] = &[$(Self::$variant,)*];

            pub(super) fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($variant),)*
                }
            }
        }
    };
}

names! {
    /// An attribute of an issuer's or a subject's distinguished name.
    NameAttribute {
        /// `dnQualifier`.
        DistinguishedNameQualifier,
        /// `C`.
        Country,
        /// `O`.
        Organization,
        /// `OU`.
        OrganizationalUnit,
        /// `ST`.
        State,
        /// `CN`.
        CommonName,
        /// `serialNumber`: the name's own, not the certificate's.
        SerialNumber,
        /// `title`.
        Title,
        /// `SN`.
        Surname,
        /// `GN`.
        GivenName,
        /// `initials`.
        Initials,
        /// `pseudonym`.
        Pseudonym,
        /// `generationQualifier`.
        GenerationQualifier,
    }
}

names! {
    /// A kind of alternative name.
    AlternativeName {
        /// An e-mail address.
        RFC822Name,
        /// A host name.
        DNSName,
        /// A distinguished name, such as `cn=a,o=b,c=US`.
        DirectoryName,
        /// A URI.
        UniformResourceIdentifier,
        /// An IP address.
        IPAddress,
    }
}
