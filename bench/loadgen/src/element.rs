//! A writer of data sets in Explicit VR Little Endian, as small as the generator needs.

/// A data set under construction. Elements are appended in the order of the calls, which must be
/// the ascending order of their tags.
#[derive(Default)]
pub struct DataSet {
    bytes: Vec<u8>,
}

impl DataSet {
    /// The encoded bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The header of an element with a 32-bit length field (PS3.5 §7.1.2), for a value that the
    /// caller appends elsewhere.
    pub fn long_header(&mut self, tag: (u16, u16), vr: &str, length: usize) -> &mut Self {
        self.tag(tag, vr);
        self.bytes.extend_from_slice(&[0, 0]);
        let length = u32::try_from(length).expect("values of the generator stay below 4 GiB");
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self
    }

    /// An element with a text value, padded to even length as its VR asks.
    pub fn text(&mut self, tag: (u16, u16), vr: &str, value: &str) -> &mut Self {
        self.raw(tag, vr, value.as_bytes())
    }

    /// An element whose value is already encoded; padded to even length as its VR asks.
    pub fn raw(&mut self, tag: (u16, u16), vr: &str, value: &[u8]) -> &mut Self {
        let padded = value.len() + value.len() % 2;
        if matches!(vr, "OB" | "OW" | "SQ" | "UN" | "UT" | "UC" | "UR") {
            self.long_header(tag, vr, padded);
        } else {
            self.tag(tag, vr);
            let length = u16::try_from(padded).expect("short values stay below 64 KiB");
            self.bytes.extend_from_slice(&length.to_le_bytes());
        }
        self.bytes.extend_from_slice(value);
        if padded > value.len() {
            // PS3.5 §6.2: UID and byte values end in NUL, text in a space.
            self.bytes.push(if matches!(vr, "UI" | "OB" | "UN") {
                0
            } else {
                b' '
            });
        }
        self
    }

    /// A US element.
    pub fn us(&mut self, tag: (u16, u16), value: u16) -> &mut Self {
        self.raw(tag, "US", &value.to_le_bytes())
    }

    /// A sequence of one item of defined length.
    pub fn sequence(&mut self, tag: (u16, u16), item: DataSet) -> &mut Self {
        let length = item.bytes.len();
        self.long_header(tag, "SQ", length + 8);
        self.bytes.extend_from_slice(b"\xFE\xFF\x00\xE0");
        let length = u32::try_from(length).expect("items of the generator stay below 4 GiB");
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(&item.bytes);
        self
    }

    fn tag(&mut self, (group, element): (u16, u16), vr: &str) {
        self.bytes.extend_from_slice(&group.to_le_bytes());
        self.bytes.extend_from_slice(&element.to_le_bytes());
        self.bytes.extend_from_slice(vr.as_bytes());
    }
}

/// Identity of one object, as all kinds of the generator know it.
#[derive(Clone)]
pub struct Identity {
    pub patient_id: String,
    pub study_instance_uid: String,
    pub series_instance_uid: String,
    pub sop_instance_uid: String,
}

/// One object to send: its data set is `head` followed by the source's tail number `tail`.
pub struct Object {
    pub sop_class_uid: &'static str,
    pub transfer_syntax_uid: &'static str,
    pub identity: Identity,
    pub head: Vec<u8>,
    pub tail: Option<usize>,
}
