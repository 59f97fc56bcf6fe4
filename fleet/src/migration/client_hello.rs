//! The first message of a TLS client (RFC 8446, 4.1.2).

/// What a client offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ClientHello {
    /// The name in SNI.
    pub(super) server_name: Option<String>,
    /// The protocols in ALPN.
    pub(super) alpn: Vec<String>,
    /// The newest version: 0x0303 is TLS 1.2, 0x0304 TLS 1.3.
    pub(super) newest: u16,
}

/// What became of bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// More bytes are needed.
    Incomplete,
    /// They are not such a message.
    Other,
    Hello(ClientHello),
}

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;

/// Reads the first bytes of a connection. The message may be in several records.
pub(super) fn parse(bytes: &[u8]) -> Parsed {
    let (mut rest, mut message) = (bytes, Vec::new());
    loop {
        match rest {
            [HANDSHAKE, 3, _, high, low, after @ ..] => {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                let fragment = after.get(..length.min(after.len())).unwrap_or_default();
                message.extend_from_slice(fragment);
                match message.as_slice() {
                    [CLIENT_HELLO, a, b, c, body @ ..] => {
                        let wanted =
                            usize::try_from(u32::from_be_bytes([0, *a, *b, *c])).unwrap_or(usize::MAX);
                        if let Some(body) = body.get(..wanted) {
                            return hello(body).map_or(Parsed::Other, Parsed::Hello);
                        }
                    }
                    [] | [CLIENT_HELLO, ..] => {}
                    _ => return Parsed::Other,
                }
                let Some(next) = after.get(length..) else { return Parsed::Incomplete };
                rest = next;
            }
            [] | [HANDSHAKE] | [HANDSHAKE, 3] | [HANDSHAKE, 3, _] | [HANDSHAKE, 3, _, _] => {
                return Parsed::Incomplete;
            }
            _ => return Parsed::Other,
        }
    }
}

fn hello(body: &[u8]) -> Option<ClientHello> {
    let mut reader = Reader(body);
    let mut hello = ClientHello { newest: reader.u16()?, ..ClientHello::default() };
    reader.take(32)?;
    reader.vector8()?;
    reader.vector16()?;
    reader.vector8()?;
    // TLS 1.2 and older may have none.
    let mut extensions = Reader(reader.vector16().unwrap_or_default());
    while !extensions.0.is_empty() {
        let (kind, mut content) = (extensions.u16()?, Reader(extensions.vector16()?));
        match kind {
            SERVER_NAME => {
                let mut names = Reader(content.vector16()?);
                while let Some(kind) = names.take(1) {
                    let name = names.vector16()?;
                    if kind == [0] {
                        hello.server_name = Some(String::from_utf8_lossy(name).into_owned());
                    }
                }
            }
            ALPN => {
                let mut protocols = Reader(content.vector16()?);
                while !protocols.0.is_empty() {
                    hello.alpn.push(String::from_utf8_lossy(protocols.vector8()?).into_owned());
                }
            }
            SUPPORTED_VERSIONS => {
                let mut versions = Reader(content.vector8()?);
                while let Some(version) = versions.u16() {
                    // GREASE (RFC 8701) and drafts are not versions.
                    if (0x0300..=0x0304).contains(&version) {
                        hello.newest = hello.newest.max(version);
                    }
                }
            }
            _ => {}
        }
    }
    Some(hello)
}

struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        let bytes = <[u8; 2]>::try_from(self.take(2)?).ok()?;
        Some(u16::from_be_bytes(bytes))
    }

    /// Bytes after their number in one byte.
    fn vector8(&mut self) -> Option<&'b [u8]> {
        let length = usize::from(*self.take(1)?.first()?);
        self.take(length)
    }

    /// Bytes after their number in two bytes.
    fn vector16(&mut self) -> Option<&'b [u8]> {
        let length = usize::from(self.u16()?);
        self.take(length)
    }
}
