//! Headers that lie: named errors and bounded memory, never a panic.

use proptest::prelude::*;
use vna_dicom::{DataElement, DataSet, Tag, Vr};
use vna_image::{ClippedTo, Fallback, Mode, PresentationState, RenderOptions};

use crate::common::*;

/// Tags that this crate reads.
const TAGS: &[Tag] = &[
    Tag(0x0028, 0x0002),
    Tag(0x0028, 0x0004),
    Tag(0x0028, 0x0006),
    Tag(0x0028, 0x0008),
    Tag(0x0028, 0x0030),
    Tag(0x0028, 0x0034),
    Tag(0x0028, 0x0101),
    Tag(0x0028, 0x0102),
    Tag(0x0028, 0x0103),
    Tag(0x0028, 0x0120),
    Tag(0x0028, 0x0121),
    Tag(0x0028, 0x1050),
    Tag(0x0028, 0x1051),
    Tag(0x0028, 0x1052),
    Tag(0x0028, 0x1053),
    Tag(0x0028, 0x1056),
    Tag(0x0028, 0x1101),
    Tag(0x0028, 0x1102),
    Tag(0x0028, 0x1103),
    Tag(0x0028, 0x1201),
    Tag(0x0028, 0x1202),
    Tag(0x0028, 0x1203),
    Tag(0x0028, 0x1221),
    Tag(0x0028, 0x3000),
    Tag(0x0028, 0x3002),
    Tag(0x0028, 0x3006),
    Tag(0x0028, 0x3010),
    Tag(0x2050, 0x0010),
    Tag(0x2050, 0x0020),
    Tag(0x5200, 0x9229),
    Tag(0x5200, 0x9230),
    Tag(0x0028, 0x9145),
    Tag(0x0028, 0x9132),
    Tag(0x0028, 0x9110),
    Tag(0x6000, 0x0010),
    Tag(0x6000, 0x0011),
    Tag(0x6000, 0x0015),
    Tag(0x6000, 0x0050),
    Tag(0x6000, 0x0051),
    Tag(0x6000, 0x0100),
    Tag(0x6000, 0x0102),
    Tag(0x6000, 0x3000),
    Tag(0x6000, 0x1001),
    Tag(0x0018, 0x1600),
    Tag(0x0018, 0x1602),
    Tag(0x0018, 0x1604),
    Tag(0x0018, 0x1606),
    Tag(0x0018, 0x1608),
    Tag(0x0018, 0x1610),
    Tag(0x0018, 0x1612),
    Tag(0x0018, 0x1620),
    Tag(0x0018, 0x1622),
    Tag(0x0018, 0x1623),
    Tag(0x0018, 0x1624),
    Tag(0x0028, 0x3110),
    Tag(0x0070, 0x0001),
    Tag(0x0070, 0x0002),
    Tag(0x0070, 0x0005),
    Tag(0x0070, 0x0006),
    Tag(0x0070, 0x0008),
    Tag(0x0070, 0x0009),
    Tag(0x0070, 0x0010),
    Tag(0x0070, 0x0022),
    Tag(0x0070, 0x0023),
    Tag(0x0070, 0x0024),
    Tag(0x0070, 0x0041),
    Tag(0x0070, 0x0042),
    Tag(0x0070, 0x0052),
    Tag(0x0070, 0x0053),
    Tag(0x0070, 0x005A),
    Tag(0x0070, 0x0060),
    Tag(0x0070, 0x0100),
    Tag(0x0070, 0x0103),
    Tag(0x0008, 0x9205),
];

const TEXTS: &[&str] = &[
    "",
    "0",
    "1",
    "-1",
    "1\\1",
    "-2147483648\\2147483647",
    "1e308\\-1e308",
    "NaN",
    "1.5\\2.5\\-3",
    "MONOCHROME1",
    "PALETTE COLOR",
    "RGB",
    "YBR_FULL",
    "SIGMOID",
    "INVERSE",
    "COLOR",
    "RECTANGULAR\\CIRCULAR\\POLYGONAL\\BITMAP",
    "POLYLINE",
    "CIRCLE",
    "ELLIPSE",
    "POINT",
    "INTERPOLATED",
    "Y",
    "MAGNIFY",
    "90",
    "270",
    "DISPLAY",
    "1\\1\\9\\1\\9\\9",
    "text\r\nof two lines",
];

fn element() -> impl Strategy<Value = DataElement> {
    let vr = prop_oneof![
        Just(Vr::US),
        Just(Vr::SS),
        Just(Vr::DS),
        Just(Vr::IS),
        Just(Vr::CS),
        Just(Vr::OW),
        Just(Vr::FL),
        Just(Vr::FD),
        Just(Vr::UN),
        Just(Vr::ST),
        Just(Vr::SL)
    ];
    let bytes = prop_oneof![
        proptest::sample::select(TEXTS).prop_map(|text| text.as_bytes().to_vec()),
        proptest::collection::vec(any::<u8>(), 0..24),
        proptest::collection::vec(prop_oneof![Just(0u8), Just(1), Just(2), Just(255)], 0..16),
    ];
    (proptest::sample::select(TAGS), vr, bytes)
        .prop_map(|(tag, vr, bytes)| DataElement::new(tag, vr, bytes))
}

fn data_set() -> impl Strategy<Value = DataSet> {
    let flat = proptest::collection::vec(element(), 0..12).prop_map(DataSet::from_iter);
    flat.prop_recursive(4, 64, 4, |inner| {
        let sequence = (
            proptest::sample::select(TAGS),
            proptest::collection::vec(inner, 0..3),
        )
            .prop_map(|(tag, items)| DataElement::sequence(tag, items));
        let elements = proptest::collection::vec(prop_oneof![3 => element(), 2 => sequence], 0..16);
        elements.prop_map(DataSet::from_iter)
    })
}

/// What is needed for there to be a picture at all, unless the hostile header has it otherwise.
fn with_basics(hostile: DataSet, bits: u16) -> DataSet {
    let basics = gray(4, 5, bits, bits, false).0;
    let uid = DataElement::new(Tag(0x0008, 0x0018), Vr::UI, "1.2.3");
    hostile.into_iter().chain([uid]).chain(basics).collect()
}

fn state(hostile: DataSet, sop_class: &str) -> Result<PresentationState, vna_image::ImageError> {
    let image = Header::default().text(Tag(0x0008, 0x1155), Vr::UI, "1.2.3");
    let series = Header::default().sq(Tag(0x0008, 0x1140), vec![image]);
    let basics = Header::default()
        .text(Tag(0x0008, 0x0016), Vr::UI, sop_class)
        .sq(Tag(0x0008, 0x1115), vec![series]);
    PresentationState::read(&basics.0.into_iter().chain(hostile).collect())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("VNA_HOSTILE_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(1500),
        max_shrink_iters: 2000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_header_and_no_presentation_state_makes_more_than_an_error(
        header in data_set(),
        presentation in data_set(),
        kind in 1..=3,
        bits in prop_oneof![Just(1u16), Just(8), Just(16), Just(24), Just(32), Just(64)],
        samples in proptest::collection::vec(any::<u8>(), 480),
        mode in prop_oneof![
            4 => Just(Mode::Rendered), 1 => Just(Mode::Preview), 1 => Just(Mode::Clipped(ClippedTo::UInt8)),
            1 => Just(Mode::Clipped(ClippedTo::UInt16)), 1 => Just(Mode::Clipped(ClippedTo::Int16))
        ],
        (width, height) in (proptest::option::of(0u32..40), proptest::option::of(0u32..40)),
        (smooth, overlays, square_pixels, frame_values) in any::<(bool, bool, bool, bool)>(),
        view in 0usize..3,
    ) {
        let Ok(description) = vna_image::ImageDescription::read(&with_basics(header, bits)) else {
            return Ok(());
        };
        let sop_class = format!("1.2.840.10008.5.1.4.1.1.11.{kind}");
        let state = state(presentation, &sop_class);
        let options = RenderOptions {
            mode, width, height, smooth, overlays, square_pixels, view,
            fallback: if frame_values { Fallback::FrameValues } else { Fallback::BitsStored },
            presentation_state: state.as_ref().ok(),
            max_pixels: 100_000,
            ..RenderOptions::default()
        };
        let frame = decoded(&samples, description.format);
        if let Ok(picture) = description.render(0, &frame, &options) {
            prop_assert!(u64::from(picture.width) * u64::from(picture.height) <= 100_000);
            prop_assert!(!picture.to_png(None).expect("a file").is_empty());
        }
        let mut array = Vec::new();
        let _ = description.array(0, &frame, true, &mut array);
        prop_assert!(array.len() <= 8 * 3 * 480);
    }
}
