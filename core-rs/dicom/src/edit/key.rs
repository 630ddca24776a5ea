//! What new UIDs and other made-up values are made from.

use sha1::{Digest, Sha1};
use std::fmt;

/// A secret that new values are functions of: with the same key and old value they are the same ones, and nobody who lacks
/// the key learns the old value from the new one, nor which new ones belong together.
///
/// The function is HMAC-SHA-1 (RFC 2104), which the known collisions of SHA-1 do not touch.
///
/// ```
/// # use vna_dicom::edit::Key;
/// let key = Key::from_hex("00112233445566778899aabbccddeeff").expect("is one");
/// let uid = key.uid("1.2.840.113619.2.1");
/// assert!(uid.starts_with("2.25.") && uid == key.uid("1.2.840.113619.2.1"));
/// ```
#[derive(Clone)]
pub struct Key {
    inner: Sha1,
    outer: Sha1,
}

/// Fewest bytes of a key: as many as a UUID has, so that none is guessed.
const MIN_KEY_BYTES: usize = 16;

/// Bytes of a block of SHA-1.
const BLOCK_BYTES: usize = 64;

impl Key {
    /// A key from 16 to 64 bytes in hexadecimal digits; `None` if it is none.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Key> {
        let digits = text.as_bytes();
        let mut secret = [0; BLOCK_BYTES];
        if digits.len() % 2 != 0 || !(2 * MIN_KEY_BYTES..=2 * BLOCK_BYTES).contains(&digits.len()) {
            return None;
        }
        for (byte, pair) in secret.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).ok()?;
            *byte = u8::from_str_radix(pair, 16)
                .ok()
                .filter(|_| !pair.starts_with('+'))?;
        }
        Some(Key {
            inner: Sha1::new_with_prefix(secret.map(|byte| byte ^ 0x36)),
            outer: Sha1::new_with_prefix(secret.map(|byte| byte ^ 0x5C)),
        })
    }

    /// 128 bits for a value, others for each `purpose`.
    #[must_use]
    pub fn digest(&self, purpose: &str, value: &[u8]) -> [u8; 16] {
        let mut inner = self.inner.clone();
        inner.update(purpose);
        inner.update([0]); // so that no purpose and value run into each other
        inner.update(value);
        let mut outer = self.outer.clone();
        outer.update(inner.finalize());
        let digest = outer.finalize();
        let mut first = [0; 16];
        first.copy_from_slice(&digest[..16]);
        first
    }

    /// The UID that takes the place of another: the decimal form of a UUID (PS3.5 §B.2), whose 122 free bits are a
    /// function of the other.
    #[must_use]
    pub fn uid(&self, old: &str) -> String {
        let mut bits = u128::from_be_bytes(self.digest("uid", old.as_bytes()));
        bits = bits & !(0xF << 76) | 0x4 << 76; // version 4: nothing but random bits
        bits = bits & !(0x3 << 62) | 0x2 << 62; // the variant of RFC 9562
        format!("2.25.{bits}")
    }
}

impl fmt::Debug for Key {
    /// Says nothing of the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_hmac_sha_1() {
        // RFC 2202, test case 4: a key of 25 bytes. Purpose and value are made to give its 50 bytes of data.
        let key =
            Key::from_hex("0102030405060708090a0b0c0d0e0f10111213141516171819").expect("is one");
        let mut outer = key.outer.clone();
        let mut inner = key.inner.clone();
        inner.update([0xCD; 50]);
        outer.update(inner.finalize());
        let digest: String = outer
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(digest, "4c9007f4026250c6bc8414f9bf50c86c2d7235da");
        assert_ne!(key.digest("a", b"bc"), key.digest("ab", b"c"));
    }

    #[test]
    fn a_key_is_some_bytes_in_hexadecimal_digits() {
        assert!(
            Key::from_hex(&"0".repeat(32)).is_some() && Key::from_hex(&"F".repeat(128)).is_some()
        );
        for text in [
            "",
            "00",
            &"0".repeat(31),
            &"0".repeat(33),
            &"0".repeat(130),
            &"+1".repeat(16),
            &"zz".repeat(16),
        ] {
            assert!(Key::from_hex(text).is_none(), "{text}");
        }
    }

    #[test]
    fn new_uids_are_uuids_of_version_4() {
        let key = Key::from_hex("00112233445566778899aabbccddeeff").expect("is one");
        for old in ["1.2", "1.2.3", ""] {
            let uid = key.uid(old);
            let bits: u128 = uid
                .strip_prefix("2.25.")
                .expect("a UUID")
                .parse()
                .expect("a number");
            assert_eq!((bits >> 76 & 0xF, bits >> 62 & 0x3), (4, 2));
            assert!(uid.len() <= 64);
        }
    }
}
