//! Base64 that leaves nothing behind in memory.

use base64::{
    Engine as _, alphabet, decoded_len_estimate,
    engine::{
        DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig,
        general_purpose::{NO_PAD, STANDARD_NO_PAD},
    },
};
use zeroize::Zeroizing;

/// Without padding; with or without when it is read.
const LENIENT: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, PADDING_OR_NOT);
const PADDING_OR_NOT: GeneralPurposeConfig = NO_PAD.with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// Base64 without padding.
pub(super) fn encode(bytes: &[u8]) -> String {
    STANDARD_NO_PAD.encode(bytes)
}

/// The bytes of base64 without padding, which has one spelling for them only.
pub(super) fn decode(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    decode_with(&STANDARD_NO_PAD, text)
}

/// The same, also with padding: as `openssl rand -base64` and AWS's command line write it.
pub(super) fn decode_lenient(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    decode_with(&LENIENT, text)
}

/// Into a buffer that is wiped, also when the text turns out to be wrong halfway.
fn decode_with(engine: &GeneralPurpose, text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; decoded_len_estimate(text.len())]);
    let length = engine.decode_slice(text, bytes.as_mut_slice()).ok()?;
    bytes.truncate(length);
    Some(bytes)
}
