//! Base64 (RFC 4648 §4), in which DICOM JSON and XML give binary values (PS3.18 §F.2.7, PS3.19 §A.1.5).

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// What a byte of the text stands for; `OTHER` where it is none of the alphabet.
static VALUES: [u8; 256] = values();
const OTHER: u8 = 0xFF;

const fn values() -> [u8; 256] {
    let mut table = [OTHER; 256];
    let mut i = 0;
    while i < 64 {
        #[allow(clippy::cast_possible_truncation, reason = "counts to 64")]
        let value = i as u8;
        table[ALPHABET[i] as usize] = value;
        i += 1;
    }
    table
}

/// Appends `bytes`, padded.
pub(crate) fn encode(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len().div_ceil(3) * 4);
    let digit = |bits: u32| ALPHABET[(bits & 63) as usize];
    let mut groups = bytes.chunks_exact(3);
    for group in &mut groups {
        let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        out.extend_from_slice(&[
            digit(bits >> 18),
            digit(bits >> 12),
            digit(bits >> 6),
            digit(bits),
        ]);
    }
    match *groups.remainder() {
        [] => {}
        [one] => {
            let bits = u32::from(one) << 4;
            out.extend_from_slice(&[digit(bits >> 6), digit(bits), b'=', b'=']);
        }
        [one, two, ..] => {
            let bits = (u32::from(one) << 8 | u32::from(two)) << 2;
            out.extend_from_slice(&[digit(bits >> 12), digit(bits >> 6), digit(bits), b'=']);
        }
    }
}

/// The bytes of a text; white space in it counts for nothing, and padding may be left out. `None` if it is no Base64.
#[must_use]
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 3);
    let (mut bits, mut digits, mut padding) = (0u32, 0usize, 0usize);
    for &byte in text {
        match VALUES[usize::from(byte)] {
            OTHER if byte.is_ascii_whitespace() => {}
            OTHER if byte == b'=' => padding += 1,
            OTHER => return None,
            _ if padding > 0 => return None,
            value => {
                bits = bits << 6 | u32::from(value);
                digits += 1;
                if digits == 4 {
                    out.extend_from_slice(&bits.to_be_bytes()[1..]);
                    (bits, digits) = (0, 0);
                }
            }
        }
    }
    // What is left of a group that is not whole: 12 or 18 bits, of which those beyond the last byte are none.
    match (digits, padding) {
        (0, 0) => {}
        (2, 0 | 2) if bits & 0xF == 0 => out.extend_from_slice(&(bits >> 4).to_be_bytes()[3..]),
        (3, 0 | 1) if bits & 3 == 0 => out.extend_from_slice(&(bits >> 2).to_be_bytes()[2..]),
        _ => return None,
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        encode(&mut out, bytes);
        String::from_utf8(out).expect("Base64 is ASCII")
    }

    #[test]
    fn the_examples_of_the_rfc_are_met() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encoded(bytes.as_bytes()), text);
            assert_eq!(decode(text.as_bytes()).as_deref(), Some(bytes.as_bytes()));
            let bare = text.trim_end_matches('=');
            assert_eq!(decode(bare.as_bytes()).as_deref(), Some(bytes.as_bytes()));
        }
        assert_eq!(decode(b" Zm9v\n\tYg = =").as_deref(), Some(&b"foob"[..]));
    }

    #[test]
    fn what_is_no_base64_is_refused() {
        for text in [
            "Z", "Zm9vY", "Zg=", "Zg===", "Z===", "Zg==Zg==", "Zm9v=", "Zm-_", "Zh==", "Zm9=",
        ] {
            assert_eq!(decode(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn bytes_survive(bytes: Vec<u8>) {
            prop_assert_eq!(decode(encoded(&bytes).as_bytes()), Some(bytes));
        }
    }
}
