//! Octets as text, as signatures and digests are written.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Base64 with padding (RFC 4648, section 4).
pub fn base64(octets: &[u8]) -> String {
    STANDARD.encode(octets)
}

/// The octets of base64 with padding; `None` when it is none.
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Hexadecimal in lower case.
pub fn hex(octets: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(octets.len() * 2);
    for octet in octets {
        text.push(char::from(DIGITS[usize::from(octet >> 4)]));
        text.push(char::from(DIGITS[usize::from(octet & 15)]));
    }
    text
}

/// The octets of hexadecimal in either case; `None` when it is none.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |octet: u8| char::from(octet).to_digit(16).and_then(|d| u8::try_from(d).ok());
    if !text.len().is_multiple_of(2) {
        return None;
    }
    text.as_bytes().chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways() {
        assert_eq!(base64(b"\xff\x00a"), "/wBh");
        assert_eq!(from_base64("/wBh").expect("base64"), b"\xff\x00a");
        assert_eq!(from_base64("/wB"), None);
        assert_eq!(hex(b"\xff\x00a"), "ff0061");
        assert_eq!(from_hex("fF0061").expect("hex"), b"\xff\x00a");
        assert_eq!((from_hex("f"), from_hex("zz"), from_hex("é")), (None, None, None));
    }
}
