//! The local certificate authority and the server's certificate.
//!
//! The CA is made once and kept in the data folder, and devices trust its `ca.pem`. The server's certificate is issued at
//! each start, so it always has the current names and does not expire.

use std::{fs, path::Path};

use anyhow::Context as _;
use cli::private_file::{self, Readers};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::{
    crypto::aws_lc_rs,
    pki_types::{
        CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer,
        pem::{self, PemObject},
    },
    sign::CertifiedKey,
};
use time::{Duration, OffsetDateTime, macros::datetime};

const CA_FILE: &str = "ca.pem";
const CA_KEY_FILE: &str = "ca.key";
const CA_LOCK_FILE: &str = "ca.lock";
const CA_LIFE: Duration = Duration::days(3_650);
/// The longest life that the strictest clients accept is 398 days.
const SERVER_LIFE: Duration = Duration::days(397);
/// A certificate with fewer days left is a problem: about the time in which a fleet gets another one.
const SOON_DAYS: i64 = 30;
const SECONDS_A_DAY: i64 = 86_400;
/// For devices whose clocks are slow.
const CLOCK_SKEW: Duration = Duration::days(1);

/// The local certificate authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    /// Reads the CA from `folder`, or makes it there. Only the owner can read the key.
    ///
    /// # Errors
    ///
    /// When the files can't be read or written, or only one of the two is there.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        let (certificate, key) = (folder.join(CA_FILE), folder.join(CA_KEY_FILE));
        let lock = folder.join(CA_LOCK_FILE);
        let about = || format!("can't use `{}`", lock.display());
        // Of two gateways that start for the first time, one makes the CA, and the other waits and reads it.
        let lock = fs::File::create(&lock).with_context(about)?;
        lock.lock().with_context(about)?;
        match (certificate.exists(), key.exists()) {
            (true, true) => Self::read(&certificate, &key),
            (false, false) => Self::make(&certificate, &key),
            (has_certificate, _) => {
                let (found, missing) =
                    if has_certificate { (certificate, CA_KEY_FILE) } else { (key, CA_FILE) };
                anyhow::bail!(
                    "`{}` is there without {missing}; delete it and start again to get both, and give your devices \
                     the new {CA_FILE}",
                    found.display()
                )
            }
        }
    }

    /// The certificate that devices must trust, as PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A new P-256 certificate for `names` (host names and addresses), with its key.
    ///
    /// # Errors
    ///
    /// When a certificate can't have a name.
    pub fn issue(&self, names: &[String]) -> anyhow::Result<CertifiedKey> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names.to_vec()).context("a server name is not valid")?;
        set_life(&mut params, SERVER_LIFE);
        params.distinguished_name = name("Latchkey local gateway");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let chain = vec![CertificateDer::from(certificate)];
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Ok(CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())?)
    }

    /// A certificate for a device with a new RSA key of 2,048 bits: the certificate and the key.
    ///
    /// # Errors
    ///
    /// When the system can't make a key.
    pub fn issue_device(&self) -> anyhow::Result<(String, KeyPair)> {
        let key = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048)?;
        let certificate = device_params().signed_by(&key, &self.issuer)?;
        Ok((certificate.pem(), key))
    }

    /// A certificate for the key of a device's signing request, which is checked.
    ///
    /// # Errors
    ///
    /// When the request can't be read or is not signed by its key.
    pub fn issue_for_request(&self, request: &str) -> anyhow::Result<String> {
        let mut request = CertificateSigningRequestParams::from_pem(request)?;
        let subject = std::mem::take(&mut request.params.distinguished_name);
        request.params = device_params();
        if subject.iter().next().is_some() {
            request.params.distinguished_name = subject;
        }
        Ok(request.signed_by(&self.issuer)?.pem())
    }

    fn make(certificate: &Path, key: &Path) -> anyhow::Result<Self> {
        let pair = KeyPair::generate()?;
        let params = authority_params();
        let pem = params.self_signed(&pair)?.pem();
        write_private(key, &pair.serialize_pem())?;
        fs::write(certificate, &pem).with_context(|| format!("can't write `{}`", certificate.display()))?;
        Ok(Self { issuer: Issuer::new(params, pair), pem })
    }

    fn read(certificate: &Path, key: &Path) -> anyhow::Result<Self> {
        let opened = || {
            // Another one's certificate would be trusted by devices that this key's server then can't convince.
            read(certificate, key)?;
            let read = |path: &Path| {
                fs::read_to_string(path).with_context(|| format!("can't read `{}`", path.display()))
            };
            let pair = KeyPair::from_pem(&read(key)?)
                .with_context(|| format!("`{}` is not a key that can sign certificates", key.display()))?;
            anyhow::Ok(Self { issuer: Issuer::new(authority_params(), pair), pem: read(certificate)? })
        };
        opened().map_err(|error| {
            anyhow::anyhow!(
                "{}; put back {CA_FILE} and {CA_KEY_FILE} that belong together, or delete both and start again, and give \
                 your devices the new {CA_FILE}",
                cli::error_text(error.as_ref())
            )
        })
    }
}

/// What a device's certificate says; its end was measured, its subject was not *(guess: the subject of a certificate that AWS
/// IoT issues)*.
fn device_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = name("AWS IoT Certificate");
    params.not_before = OffsetDateTime::now_utc() - CLOCK_SKEW;
    params.not_after = datetime!(2049-12-31 23:59:59 UTC);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params
}

/// Reads a certificate, followed by its issuers', and its key from PEM files.
///
/// # Errors
///
/// When they can't be read, or the key is not the certificate's.
pub fn read(certificate: &Path, key: &Path) -> anyhow::Result<CertifiedKey> {
    let unusable = |path: &Path, what: &str, error: &pem::Error| match error {
        pem::Error::Io(error) => anyhow::anyhow!("can't read `{}`: {error}", path.display()),
        pem::Error::NoItemsFound => anyhow::anyhow!("`{}` has no {what} in PEM form", path.display()),
        other => anyhow::anyhow!("`{}` is not in PEM form: {other}", path.display()),
    };
    let of_chain = |error| unusable(certificate, "certificate", &error);
    let chain = CertificateDer::pem_file_iter(certificate).map_err(of_chain)?;
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(of_chain)?;
    if chain.is_empty() {
        return Err(of_chain(pem::Error::NoItemsFound));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, "private key", &error))?;
    CertifiedKey::from_der(chain, private, &aws_lc_rs::default_provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            anyhow::anyhow!("`{}` is not the key of `{}`", key.display(), certificate.display())
        }
        error => anyhow::anyhow!(
            "`{}` and `{}` can't be used by TLS ({error}): it needs X.509 version 3, and a key of RSA, P-256, P-384 or \
             Ed25519",
            certificate.display(),
            key.display()
        ),
    })
}

/// What is wrong with the CA in a data folder, which need not be there. Nothing is made or locked.
#[must_use]
pub fn problems_of_authority(folder: &Path, now: OffsetDateTime) -> Vec<String> {
    let (certificate, key) = (folder.join(CA_FILE), folder.join(CA_KEY_FILE));
    match (certificate.exists(), key.exists()) {
        (false, false) => Vec::new(),
        (true, true) => {
            let mut problems = problems(&certificate, &key, now);
            // A reader of the key can make servers that every device of this CA trusts.
            if let Err(error) = private_file::read(&key, "key of the CA", Readers::Owner) {
                problems.push(error.to_string());
            }
            problems
        }
        (has_certificate, _) => {
            let (found, missing) = if has_certificate { (certificate, CA_KEY_FILE) } else { (key, CA_FILE) };
            vec![format!(
                "`{}` is there without {missing}: delete it, and the gateway makes both",
                found.display()
            )]
        }
    }
}

/// What is wrong with a certificate, those of its issuers and its key in PEM files: they can't be read, the key is another
/// one's, or one of them is not valid now or soon.
#[must_use]
pub fn problems(certificate: &Path, key: &Path, now: OffsetDateTime) -> Vec<String> {
    let certified = match read(certificate, key) {
        Ok(certified) => certified,
        Err(error) => return vec![cli::error_text(error.as_ref())],
    };
    let path = certificate.display();
    let lives = certified.cert.iter().enumerate().filter_map(|(index, der)| {
        let Ok((_, parsed)) = x509_parser::parse_x509_certificate(der) else {
            return Some(format!("`{path}`: certificate {index} is not one of X.509"));
        };
        let (begin, end) = (parsed.validity().not_before, parsed.validity().not_after);
        let days = (end.timestamp().saturating_sub(now.unix_timestamp())) / SECONDS_A_DAY;
        if begin.timestamp() > now.unix_timestamp() {
            Some(format!("`{path}`: certificate {index} is not valid before {begin}"))
        } else if end.timestamp() <= now.unix_timestamp() {
            Some(format!("`{path}`: certificate {index} has expired, on {end}: replace it"))
        } else if days < SOON_DAYS {
            Some(format!("`{path}`: certificate {index} expires in {days} days, on {end}: replace it"))
        } else {
            None
        }
    });
    lives.collect()
}

/// The CA's own parameters; its name and key are the same at each start.
fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    set_life(&mut params, CA_LIFE);
    params.distinguished_name = name("Latchkey local CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn set_life(params: &mut CertificateParams, life: Duration) {
    let now = OffsetDateTime::now_utc();
    params.not_before = now - CLOCK_SKEW;
    params.not_after = now + life;
}

fn name(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "Latchkey");
    name.push(DnType::CommonName, common_name);
    name
}

/// Writes a file that only its owner can read: a temporary file has that permission, and keeps it when it is renamed.
pub(crate) fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    let folder = path.parent().context("a key file needs a folder")?;
    let mut file = tempfile::NamedTempFile::new_in(folder)
        .with_context(|| format!("can't write into `{}`", folder.display()))?;
    let about = || format!("can't write `{}`", path.display());
    std::io::Write::write_all(&mut file, text.as_bytes()).with_context(about)?;
    file.persist(path).with_context(about)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authority_stays_and_half_of_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let first = Authority::open(folder.path()).unwrap();
        assert_eq!(Authority::open(folder.path()).unwrap().pem(), first.pem());
        fs::remove_file(folder.path().join(CA_KEY_FILE)).unwrap();
        let error = Authority::open(folder.path()).err().unwrap();
        assert!(error.to_string().contains("ca.pem` is there without ca.key; delete it"), "{error}");
    }

    #[test]
    fn problems_of_a_certificate_are_its_life_and_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let now = OffsetDateTime::now_utc();
        assert_eq!(problems_of_authority(folder.path(), now), Vec::<String>::new());
        Authority::open(folder.path()).unwrap();
        let (certificate, key) = (folder.path().join(CA_FILE), folder.path().join(CA_KEY_FILE));
        for (moment, problem) in [
            (now, None),
            (now - Duration::days(2), Some("certificate 0 is not valid before")),
            (now + CA_LIFE - Duration::days(20) + Duration::hours(1), Some("expires in 19 days")),
            (now + CA_LIFE + Duration::days(1), Some("certificate 0 has expired, on")),
        ] {
            let found = problems_of_authority(folder.path(), moment);
            assert_eq!(found.len(), usize::from(problem.is_some()), "{found:?}");
            assert!(problem.is_none_or(|problem| found[0].contains(problem)), "{found:?}");
        }
        let other = tempfile::tempdir().unwrap();
        Authority::open(other.path()).unwrap();
        let found = problems(&certificate, &other.path().join(CA_KEY_FILE), now);
        assert!(found.len() == 1 && found[0].contains("is not the key of"), "{found:?}");
        fs::remove_file(key).unwrap();
        let found = problems_of_authority(folder.path(), now);
        assert!(found.len() == 1 && found[0].contains("without ca.key: delete it"), "{found:?}");
    }

    #[test]
    fn first_starts_at_the_same_moment_have_one_authority() {
        let folder = tempfile::tempdir().unwrap();
        let start = || Authority::open(folder.path()).unwrap();
        let authorities = std::thread::scope(|scope| {
            let starts = [(); 8].map(|()| scope.spawn(start));
            starts.map(|start| start.join().unwrap())
        });
        assert!(authorities.iter().all(|authority| authority.pem() == authorities[0].pem()));
        // The key is the certificate's: what it signs is trusted.
        read(&folder.path().join(CA_FILE), &folder.path().join(CA_KEY_FILE)).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_the_key() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        Authority::open(folder.path()).unwrap();
        let mode = fs::metadata(folder.path().join(CA_KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }
}
