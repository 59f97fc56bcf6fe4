//! A `ClientHello` byte by byte, as old, broken or differently configured TLS libraries send it.

/// The parts of a `ClientHello`.
pub(crate) struct ClientHello {
    /// The record's content type; a handshake has 22.
    pub(crate) content_type: u8,
    /// The handshake message's type; a `ClientHello` has 1.
    pub(crate) message_type: u8,
    /// The highest version without the extension for it; TLS 1.2 is 0x0303.
    pub(crate) version: u16,
    /// The cipher suites.
    pub(crate) suites: Vec<u16>,
    /// The compression methods; TLS has only 0.
    pub(crate) compression: Vec<u8>,
    /// The extensions: their numbers and contents.
    pub(crate) extensions: Vec<(u16, Vec<u8>)>,
}

/// Numbers of extensions.
pub(crate) const GROUPS: u16 = 10;
pub(crate) const POINT_FORMATS: u16 = 11;
pub(crate) const SIGNATURE_SCHEMES: u16 = 13;
pub(crate) const ALPN: u16 = 16;
pub(crate) const VERSIONS: u16 = 43;
pub(crate) const KEY_SHARES: u16 = 51;

impl ClientHello {
    /// TLS 1.2 with all that the gateway needs.
    pub(crate) fn of_tls_1_2() -> Self {
        Self {
            content_type: 22,
            message_type: 1,
            version: 0x0303,
            // ECDHE-ECDSA with AES-128-GCM, ECDHE-RSA with AES-128-GCM.
            suites: vec![0xc02b, 0xc02f],
            compression: vec![0],
            extensions: vec![
                (0, b"\x00\x0c\x00\x00\x09localhost".to_vec()),
                (ALPN, b"\x00\x05\x04mqtt".to_vec()),
                (GROUPS, vec![0, 2, 0, 23]),
                (POINT_FORMATS, vec![1, 0]),
                (SIGNATURE_SCHEMES, vec![0, 4, 4, 3, 4, 1]),
            ],
        }
    }

    /// As a device with an old TLS library sends it, but with server name and ALPN as they should be.
    pub(crate) fn of_tls_1_1() -> Self {
        Self { version: 0x0302, suites: vec![0xc009, 0x002f], ..Self::of_tls_1_2() }
    }

    /// With another content of an extension, which it may not have had.
    pub(crate) fn with(mut self, extension: u16, content: &[u8]) -> Self {
        self = self.without(extension);
        self.extensions.push((extension, content.to_vec()));
        self
    }

    /// Without an extension.
    pub(crate) fn without(mut self, extension: u16) -> Self {
        self.extensions.retain(|(number, _)| *number != extension);
        self
    }

    /// The bytes of the record.
    pub(crate) fn record(&self) -> Vec<u8> {
        let suites = self.suites.iter().flat_map(|suite| suite.to_be_bytes()).collect::<Vec<_>>();
        let extensions = self
            .extensions
            .iter()
            .flat_map(|(number, content)| [&number.to_be_bytes()[..], &length(content), content].concat());
        let extensions = extensions.collect::<Vec<_>>();
        let body = [
            &self.version.to_be_bytes()[..],
            &[7; 32],
            &[0],
            &length(&suites),
            &suites,
            &[u8::try_from(self.compression.len()).unwrap()],
            &self.compression,
            &length(&extensions),
            &extensions,
        ]
        .concat();
        let message = [&[self.message_type, 0][..], &length(&body), &body].concat();
        [&[self.content_type, 3, 1][..], &length(&message), &message].concat()
    }
}

fn length(bytes: &[u8]) -> [u8; 2] {
    u16::try_from(bytes.len()).unwrap().to_be_bytes()
}
