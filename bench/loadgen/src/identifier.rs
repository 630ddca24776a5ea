//! Identifiers of C-FIND, C-MOVE and C-GET in Implicit VR Little Endian.

/// An attribute and what it must match; empty for one that is only asked for.
#[derive(Clone)]
struct Key {
    tag: (u16, u16),
    value: Vec<u8>,
}

/// Scheduled Procedure Step Sequence (PS3.4 §K.6.1.2.2).
const SCHEDULED_PROCEDURE_STEP_SEQUENCE: (u16, u16) = (0x0040, 0x0100);

/// Encodes keys written `GGGGEEEE=value`. In a worklist those of a scheduled procedure step, (0040,0001) to (0040,0020)
/// and Modality, go into its sequence.
pub fn encode(keys: &[String], worklist: bool) -> Result<Vec<u8>, String> {
    let mut own = Vec::new();
    let mut step = Vec::new();
    for text in keys {
        let key = parse(text)?;
        let of_step = key.tag == (0x0008, 0x0060) || (key.tag.0 == 0x0040 && key.tag.1 <= 0x0020);
        if worklist && of_step {
            step.push(key);
        } else {
            own.push(key);
        }
    }
    if worklist {
        let mut item = Vec::new();
        elements(&mut step, &mut item);
        let mut value = vec![0xFE, 0xFF, 0x00, 0xE0];
        value.extend_from_slice(&length(&item));
        value.extend(item);
        own.push(Key {
            tag: SCHEDULED_PROCEDURE_STEP_SEQUENCE,
            value,
        });
    }
    let mut out = Vec::new();
    elements(&mut own, &mut out);
    Ok(out)
}

fn parse(text: &str) -> Result<Key, String> {
    let wrong = || format!("--key {text}: GGGGEEEE=value");
    let (tag, value) = text.split_once('=').ok_or_else(wrong)?;
    let number = u32::from_str_radix(tag, 16)
        .ok()
        .filter(|_| tag.len() == 8)
        .ok_or_else(wrong)?;
    let mut value = value.as_bytes().to_vec();
    let halves = |n: u32| ((n >> 16) as u16, (n & 0xFFFF) as u16);
    if value.len() % 2 == 1 {
        // UIDs are padded with NUL, texts with a space (PS3.5 §6.2).
        let is_uid =
            value.iter().all(|b| b.is_ascii_digit() || *b == b'.') && value.contains(&b'.');
        value.push(if is_uid { 0 } else { b' ' });
    }
    Ok(Key {
        tag: halves(number),
        value,
    })
}

fn elements(keys: &mut [Key], out: &mut Vec<u8>) {
    keys.sort_by_key(|key| key.tag);
    for key in keys {
        out.extend_from_slice(&key.tag.0.to_le_bytes());
        out.extend_from_slice(&key.tag.1.to_le_bytes());
        out.extend_from_slice(&length(&key.value));
        out.extend_from_slice(&key.value);
    }
}

fn length(value: &[u8]) -> [u8; 4] {
    u32::try_from(value.len())
        .expect("identifiers are short")
        .to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_order_and_padded() {
        let keys = ["0020000D=1.2.3", "00080052=STUDY"].map(str::to_owned);
        let expected = b"\x08\0\x52\0\x06\0\0\0STUDY \x20\0\x0D\0\x06\0\0\x001.2.3\0";
        assert_eq!(encode(&keys, false).unwrap(), expected);
        assert!(encode(&["0020=1".to_owned()], false).is_err());
    }

    #[test]
    fn keys_of_a_scheduled_procedure_step_stand_in_its_sequence() {
        let keys = ["00400002=20200101", "00100010="].map(str::to_owned);
        let expected = b"\x10\0\x10\0\0\0\0\0\x40\0\0\x01\x18\0\0\0\xFE\xFF\0\xE0\x10\0\0\0\x40\0\x02\0\x08\0\0\x0020200101";
        assert_eq!(encode(&keys, true).unwrap(), expected);
    }
}
