//! Data sets as proptest makes them.

use proptest::collection::vec;
use proptest::prelude::*;
use vna_dicom::{DataElement, DataSet, Tag, Value, Vr, dictionary_vr};

/// A few elements of each VR; those of odd groups and UN are unknown to the dictionary.
fn tag_and_vr() -> impl Strategy<Value = (Tag, Vr)> {
    let standard = [
        0x0008_0005,
        0x0020_0052,
        0x0008_0020,
        0x0008_0030,
        0x0008_0060,
        0x0010_0010,
        0x0010_0020,
        0x0010_1010,
        0x0018_0050,
        0x0018_1147,
        0x0020_0013,
        0x0020_4000,
        0x0028_0009,
        0x0028_0010,
        0x0018_6020,
        0x0018_9810,
        0x0028_1101,
        0x0028_1201,
        0x0040_A160,
        0x0008_0119,
        0x0008_0120,
        0x0070_0022,
        0x0066_0040,
        0x7FE0_0001,
        0x0018_605A,
        0x6000_3000,
        0x0042_0011,
        0x0018_9087,
        0x0008_0001,
    ];
    prop_oneof![
        prop::sample::select(standard.map(Tag::from_u32).to_vec())
            .prop_map(|tag| (tag, dictionary_vr(tag))),
        (0x1000_u16..0x1010).prop_map(|element| (Tag(0x0009, element), Vr::UN)),
    ]
}

/// A value that reads as it was written: whole units, and no padding where padding is taken away.
fn value(vr: Vr) -> BoxedStrategy<Value> {
    let unit = vr.unit();
    let short = vec(any::<u8>(), 0..40).boxed();
    // Long enough for an extent of its own, for more than one piece, and for no 16-bit length field.
    let lengths = prop::sample::select(vec![4095_usize, 4096, 4097, 9_001, 65_534, 140_000]);
    let long = (lengths, any::<u8>()).prop_map(|(length, seed)| {
        let byte = |at: usize| (at * 7 + at / 251).to_le_bytes()[0] ^ seed;
        (0..length).map(byte).collect()
    });
    let bytes = prop_oneof![20 => short, 1 => long].prop_map(move |mut bytes: Vec<u8>| {
        if vr.is_text() {
            while matches!(bytes.last(), Some(b' ' | 0)) {
                bytes.pop();
            }
        } else {
            let unit = unit.unwrap_or(1).max(2);
            bytes.truncate(bytes.len() / unit * unit);
        }
        Value::Bytes(bytes)
    });
    bytes.boxed()
}

fn elements(inner: BoxedStrategy<Value>) -> impl Strategy<Value = DataSet> {
    let plain = tag_and_vr().prop_flat_map(|(tag, vr)| {
        (Just(tag), Just(vr), value(vr)).prop_map(|(tag, vr, value)| DataElement { tag, vr, value })
    });
    let sequence = (
        prop::sample::select(vec![0x0008_1140_u32, 0x0040_A730]),
        inner,
    );
    let sequence = sequence.prop_map(|(tag, value)| DataElement {
        tag: Tag::from_u32(tag),
        vr: Vr::SQ,
        value,
    });
    vec(prop_oneof![4 => plain, 1 => sequence], 0..12).prop_map(DataSet::from_iter)
}

/// Data sets of all VRs, nested and with values of all sizes.
pub fn data_set() -> impl Strategy<Value = DataSet> {
    let leaf = elements(Just(Value::Items(Vec::new())).boxed()).boxed();
    let item = leaf.prop_recursive(4, 40, 3, |item| {
        elements(vec(item, 0..3).prop_map(Value::Items).boxed())
    });
    elements(vec(item, 0..3).prop_map(Value::Items).boxed())
}
