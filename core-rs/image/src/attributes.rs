//! Values of a data set as numbers, read by what they are rather than by the VR that a writer gave them.

use vna_dicom::{CharacterSet, DataSet, Tag, Value, Vr, dictionary_vr};

/// Reads attributes of a data set. An attribute that is absent, empty or unreadable is `None`: what of them is needed,
/// its reader says.
pub(crate) trait Attributes {
    /// The bytes of the value.
    fn bytes(&self, tag: Tag) -> Option<&[u8]>;
    /// The first value, as a number without sign.
    fn number(&self, tag: Tag) -> Option<u32>;
    /// All values, whether decimal texts or binary numbers; empty if there are none or one is no number.
    fn decimals(&self, tag: Tag) -> Vec<f64>;
    /// The first value.
    fn decimal(&self, tag: Tag) -> Option<f64>;
    /// The value as text, without padding.
    fn text(&self, tag: Tag) -> Option<String>;
    /// The items of a sequence.
    fn items(&self, tag: Tag) -> &[DataSet];
    /// The first item of a sequence.
    fn item(&self, tag: Tag) -> Option<&DataSet>;
}

impl Attributes for DataSet {
    fn bytes(&self, tag: Tag) -> Option<&[u8]> {
        match &self.get(tag)?.value {
            Value::Bytes(bytes) if !bytes.is_empty() => Some(bytes),
            _ => None,
        }
    }

    fn number(&self, tag: Tag) -> Option<u32> {
        let number = self.decimal(tag)?;
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "in range, as the comparison says"
        )]
        (0.0..=f64::from(u32::MAX))
            .contains(&number)
            .then_some(number as u32)
    }

    fn decimals(&self, tag: Tag) -> Vec<f64> {
        let Some(bytes) = self.bytes(tag) else {
            return Vec::new();
        };
        decimals(vr_of(self, tag), bytes).unwrap_or_default()
    }

    fn decimal(&self, tag: Tag) -> Option<f64> {
        self.decimals(tag).first().copied()
    }

    fn text(&self, tag: Tag) -> Option<String> {
        let text = self.get(tag)?.text(&CharacterSet::default())?;
        let text = text.trim_matches([' ', '\0']);
        (!text.is_empty()).then(|| text.to_owned())
    }

    fn items(&self, tag: Tag) -> &[DataSet] {
        match self.get(tag).map(|element| &element.value) {
            Some(Value::Items(items)) => items,
            _ => &[],
        }
    }

    fn item(&self, tag: Tag) -> Option<&DataSet> {
        self.items(tag).first()
    }
}

/// The VR that an element is read with: as written, or of the dictionary if that says nothing.
fn vr_of(data_set: &DataSet, tag: Tag) -> Vr {
    match data_set.get(tag).map(|element| element.vr) {
        Some(vr) if vr.is_known() && vr != Vr::UN => vr,
        _ => dictionary_vr(tag),
    }
}

/// The numbers of a value; `None` if one of them is none. Bytes beyond the last whole number are left out.
fn decimals(vr: Vr, bytes: &[u8]) -> Option<Vec<f64>> {
    macro_rules! numbers {
        ($type:ty) => {
            bytes
                .chunks_exact(size_of::<$type>())
                .map(|number| {
                    let number = <$type>::from_le_bytes(number.try_into().unwrap_or_default());
                    #[allow(
                        clippy::cast_precision_loss,
                        clippy::cast_lossless,
                        reason = "pixel attributes are far below 2^53"
                    )]
                    let number = number as f64;
                    number
                })
                .collect()
        };
    }
    Some(match &vr.0 {
        b"US" | b"OW" => numbers!(u16),
        b"SS" => numbers!(i16),
        b"UL" | b"OL" => numbers!(u32),
        b"SL" => numbers!(i32),
        b"UV" => numbers!(u64),
        b"SV" => numbers!(i64),
        b"FL" | b"OF" => numbers!(f32),
        b"FD" | b"OD" => numbers!(f64),
        b"OB" => numbers!(u8),
        _ => {
            let text = std::str::from_utf8(bytes).ok()?;
            let values = text.trim_end_matches(['\0', ' ', '\\']).split('\\');
            let values = values.map(|value| decimal(value.trim_matches(['\0', ' ', '\t'])));
            values.collect::<Option<_>>()?
        }
    })
}

/// A decimal string (PS3.5 §6.2), with a comma for the point where a writer took that from its locale.
fn decimal(text: &str) -> Option<f64> {
    let number: f64 = match text.parse() {
        Ok(number) => number,
        Err(_) => text.replace(',', ".").parse().ok()?,
    };
    number.is_finite().then_some(number)
}
