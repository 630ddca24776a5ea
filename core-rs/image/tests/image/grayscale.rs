//! From stored values to gray (PS3.4 §N.2.1).

use proptest::prelude::*;
use vna_dicom::{Tag, Vr, tags};
use vna_image::{Fallback, Mode, RenderOptions, VoiFunction, Window};

use crate::common::*;

fn rendered() -> RenderOptions<'static> {
    RenderOptions::default()
}

fn preview() -> RenderOptions<'static> {
    RenderOptions {
        mode: Mode::Preview,
        ..RenderOptions::default()
    }
}

#[test]
fn a_linear_window_follows_the_formula_of_the_standard() {
    // PS3.3 §C.11.2.1.2.1: black up to c - 0.5 - (w-1)/2, white above c - 0.5 + (w-1)/2.
    let header = row8(8).window("4", "5");
    let found = grays(&header, &[0, 1, 2, 3, 4, 5, 6, 7], &rendered());
    assert_eq!(found, [0, 0, 31, 95, 159, 223, 255, 255]);
    // Of width 1 it is a threshold.
    let found = grays(&row8(4).window("2", "1"), &[0, 1, 2, 3], &rendered());
    assert_eq!(found, [0, 0, 255, 255]);
    // Of all values it changes none.
    let all: Vec<u8> = (0..=255).collect();
    assert_eq!(
        grays(&row8(256).window("128", "256"), &all, &rendered()),
        all
    );
}

#[test]
fn an_exact_window_and_a_sigmoid_follow_theirs() {
    // PS3.3 §C.11.2.1.3.2, §C.11.2.1.3.1.
    let exact = row8(6)
        .window("4", "4")
        .cs(VOI_LUT_FUNCTION, "LINEAR_EXACT");
    assert_eq!(
        grays(&exact, &[1, 2, 3, 4, 5, 6], &rendered()),
        [0, 0, 63, 127, 191, 255]
    );
    let sigmoid = row8(3).window("4", "4").cs(VOI_LUT_FUNCTION, "SIGMOID");
    assert_eq!(grays(&sigmoid, &[0, 4, 8], &rendered()), [4, 127, 250]);
}

#[test]
fn a_window_is_in_values_after_the_rescale() {
    let header = row16(3, 12, false)
        .ds(RESCALE_SLOPE, "2")
        .ds(RESCALE_INTERCEPT, "-1024")
        .window("0.5", "2");
    assert_eq!(
        grays(&header, &words(&[511, 512, 513]), &rendered()),
        [0, 127, 255]
    );
}

#[test]
fn a_slope_of_0_is_1() {
    let header = row8(2).ds(RESCALE_SLOPE, "0").window("128", "256");
    assert_eq!(grays(&header, &[3, 9], &rendered()), [3, 9]);
}

#[test]
fn the_first_window_counts_unless_another_view_or_window_is_asked_for() {
    let header = row8(2).window("128\\1.5", "256\\2").sq(
        VOI_LUT_SEQUENCE,
        vec![
            Header::default()
                .us(LUT_DESCRIPTOR, &[2, 8, 8])
                .us(LUT_DATA, &[7, 77]),
        ],
    );
    let view = |view| grays(&header, &[8, 9], &RenderOptions { view, ..rendered() });
    assert_eq!(view(0), [8, 9]);
    assert_eq!(view(1), [255, 255]);
    assert_eq!(view(2), [7, 77]);
    assert_eq!(view(3), [8, 9]);
    let window = Window {
        center: 8.5,
        width: 1.0,
        function: VoiFunction::Linear,
    };
    let options = RenderOptions {
        window: Some(window),
        view: 2,
        ..rendered()
    };
    assert_eq!(grays(&header, &[8, 9], &options), [0, 255]);
    let description = header.describe().expect("an image");
    assert_eq!(description.window(0), Window::from((128.0, 256.0)));
    assert!(description.has_voi(0) && !row8(2).describe().expect("an image").has_voi(0));
}

#[test]
fn without_a_window_all_values_of_bits_stored_are_shown_or_those_of_the_frame() {
    let header = row16(3, 12, false);
    let samples = words(&[0, 1000, 4095]);
    assert_eq!(grays(&header, &samples, &rendered()), [0, 62, 255]);
    let options = RenderOptions {
        fallback: Fallback::FrameValues,
        ..rendered()
    };
    assert_eq!(
        grays(&header, &words(&[100, 110, 120]), &options),
        [0, 127, 255]
    );
    let padded = header.us(PIXEL_PADDING_VALUE, &[4000]);
    assert_eq!(
        grays(&padded, &words(&[100, 4000, 120]), &options),
        [0, 0, 255]
    );
}

#[test]
fn a_modality_lut_maps_before_the_window_and_clamps_at_its_ends() {
    // PS3.3 §C.11.1.1.1.
    let lut = Header::default()
        .us(LUT_DESCRIPTOR, &[3, 10, 16])
        .us(LUT_DATA, &[100, 300, 200]);
    let header = row8(5)
        .sq(MODALITY_LUT_SEQUENCE, vec![lut])
        .ds(RESCALE_SLOPE, "9")
        .window("200.5", "201");
    let found = grays(&header, &[0, 10, 11, 12, 99], &rendered());
    assert_eq!(found, [0, 0, 255, 127, 127]);
}

#[test]
fn lut_data_of_bytes_and_bits_that_are_wrong_are_put_right() {
    let voi = |descriptor: &[u16], vr, data: &[u8]| {
        let lut = Header::default()
            .us(LUT_DESCRIPTOR, descriptor)
            .bytes(LUT_DATA, vr, data);
        let header = row8(3).sq(VOI_LUT_SEQUENCE, vec![lut]);
        grays(&header, &[0, 1, 2], &rendered())
    };
    assert_eq!(voi(&[3, 0, 8], Vr::OW, &[1, 2, 255, 0]), [1, 2, 255]);
    // Bytes, though it says 16 bits.
    assert_eq!(voi(&[3, 0, 16], Vr::OW, &[1, 2, 255, 0]), [1, 2, 255]);
    assert_eq!(
        voi(&[3, 0, 12], Vr::US, &words(&[0, 2048, 4095])),
        [0, 127, 255]
    );
    // Twelve bits, though it says 8.
    assert_eq!(
        voi(&[3, 0, 8], Vr::US, &words(&[0, 2048, 4095])),
        [0, 127, 255]
    );
}

#[test]
fn the_first_value_of_a_lut_is_negative_where_values_are() {
    let lut = Header::default()
        .us(LUT_DESCRIPTOR, &[2, 0xFFFF, 8])
        .us(LUT_DATA, &[10, 20]);
    let header = row16(2, 16, true).sq(VOI_LUT_SEQUENCE, vec![lut.clone()]);
    assert_eq!(grays(&header, &words(&[0xFFFF, 0]), &rendered()), [10, 20]);
    let rescaled = row16(2, 16, false)
        .ds(RESCALE_INTERCEPT, "-1")
        .sq(VOI_LUT_SEQUENCE, vec![lut.clone()]);
    assert_eq!(grays(&rescaled, &words(&[0, 1]), &rendered()), [10, 20]);
    let unsigned = row16(2, 16, false).sq(VOI_LUT_SEQUENCE, vec![lut]);
    assert_eq!(
        grays(&unsigned, &words(&[0xFFFE, 0xFFFF]), &rendered()),
        [10, 10]
    );
}

#[test]
fn a_broken_voi_lut_is_an_error_only_when_it_is_used() {
    let lut = Header::default()
        .us(LUT_DESCRIPTOR, &[300, 0, 8])
        .us(LUT_DATA, &[1, 2]);
    let header = row8(1).sq(VOI_LUT_SEQUENCE, vec![lut.clone()]);
    let error = picture(&header, &[1], &rendered()).expect_err("too few entries");
    assert_eq!(
        error.to_string(),
        "(0028,3006): has fewer entries than its descriptor says"
    );
    assert_eq!(grays(&header.window("128", "256"), &[1], &rendered()), [1]);
    let modality = row8(1).sq(MODALITY_LUT_SEQUENCE, vec![lut]);
    assert_eq!(
        modality.describe().expect_err("needed").code(),
        "image.table"
    );
}

#[test]
fn monochrome1_and_an_inverse_shape_turn_black_and_white() {
    let window = |header: Header| header.window("128", "256");
    let one = window(row8(2).cs(tags::PHOTOMETRIC_INTERPRETATION, "MONOCHROME1"));
    let inverse = window(row8(2).cs(PRESENTATION_LUT_SHAPE, "INVERSE"));
    let both = one.clone().cs(PRESENTATION_LUT_SHAPE, "INVERSE");
    let identity = one.clone().cs(PRESENTATION_LUT_SHAPE, "IDENTITY");
    for header in [one, inverse, both, identity] {
        assert_eq!(grays(&header, &[0, 200], &rendered()), [255, 55]);
    }
}

#[test]
fn a_presentation_lut_maps_all_grays_over_all_its_entries() {
    let lut = Header::default()
        .us(LUT_DESCRIPTOR, &[3, 0, 8])
        .us(LUT_DATA, &[5, 50, 200]);
    let header = row8(3)
        .window("128", "256")
        .sq(Tag(0x2050, 0x0010), vec![lut]);
    assert_eq!(grays(&header, &[0, 128, 255], &rendered()), [5, 50, 200]);
}

#[test]
fn padding_stays_black_and_a_range_of_it_too() {
    let header = row16(4, 16, true)
        .window("0", "10")
        .us(PIXEL_PADDING_VALUE, &[30000])
        .cs(tags::PHOTOMETRIC_INTERPRETATION, "MONOCHROME1");
    let samples = words(&[30000, 29000, 28999, 0x8000]);
    assert_eq!(grays(&header, &samples, &rendered()), [0, 0, 0, 255]);
    let range = header.us(PIXEL_PADDING_RANGE_LIMIT, &[0x8000]);
    assert_eq!(grays(&range, &samples, &rendered()), [0, 0, 0, 0]);
}

#[test]
fn cells_are_read_from_their_high_bit_unless_that_cannot_be() {
    let header = row16(3, 12, false)
        .us(HIGH_BIT, &[15])
        .window("2048", "4096");
    // Twelve upper bits; what is below them is not the value.
    assert_eq!(
        grays(&header, &words(&[0xFFF0, 0x8000, 0x000F]), &rendered()),
        [255, 127, 0]
    );
    // Values of a codec, or a wrong High Bit.
    assert_eq!(
        grays(&header, &words(&[0x0FFF, 0x0800, 0x000F]), &rendered()),
        [255, 127, 0]
    );
    let beyond = row16(1, 12, false)
        .us(HIGH_BIT, &[40])
        .window("2048", "4096");
    assert_eq!(grays(&beyond, &words(&[0x0800]), &rendered()), [127]);
}

#[test]
fn bits_that_are_not_stored_are_not_shown() {
    let header = row16(2, 12, false);
    assert_eq!(
        grays(&header, &words(&[0xF000, 0x1FFF]), &preview()),
        [0, 255]
    );
}

#[test]
fn a_preview_stretches_what_the_frame_has() {
    assert_eq!(
        grays(&row16(3, 16, true), &words(&[0xFFFF, 0, 1]), &preview()),
        [0, 127, 255]
    );
    let inverted = row8(3)
        .cs(tags::PHOTOMETRIC_INTERPRETATION, "MONOCHROME1")
        .window("1", "1");
    assert_eq!(grays(&inverted, &[0, 5, 10], &preview()), [255, 128, 0]);
    assert_eq!(grays(&row8(2), &[7, 7], &preview()), [0, 0]);
}

#[test]
fn samples_of_32_and_64_bits_and_floats_are_shown() {
    let wide = gray(1, 3, 32, 32, true);
    let samples: Vec<u8> = [-5_000_000i32, 0, 5_000_000]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    assert_eq!(grays(&wide, &samples, &preview()), [0, 127, 255]);
    assert_eq!(grays(&wide, &samples, &rendered()), [0, 127, 255]);
    let float = gray(1, 4, 32, 32, false).bytes(tags::FLOAT_PIXEL_DATA, Vr::OF, &[]);
    let samples: Vec<u8> = [0.25f32, f32::NAN, 0.5, 0.75]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    assert_eq!(grays(&float, &samples, &preview()), [0, 0, 127, 255]);
    assert_eq!(
        grays(
            &float
                .window("0.5", "0.5")
                .cs(VOI_LUT_FUNCTION, "LINEAR_EXACT"),
            &samples,
            &rendered()
        ),
        [0, 0, 127, 255]
    );
    let double = gray(1, 2, 64, 64, false).bytes(tags::DOUBLE_FLOAT_PIXEL_DATA, Vr::OD, &[]);
    let samples: Vec<u8> = [1e300f64, 2e300]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    assert_eq!(grays(&double, &samples, &preview()), [0, 255]);
}

#[test]
fn one_bit_pixels_are_black_and_white() {
    let header = gray(2, 3, 1, 1, false);
    assert_eq!(
        grays(&header, &[0b0010_1010], &preview()),
        [0, 255, 0, 255, 0, 255]
    );
    assert_eq!(
        grays(&header, &[0b0010_1010], &rendered()),
        [0, 255, 0, 255, 0, 255]
    );
}

#[test]
fn functional_groups_speak_for_their_frames_the_data_set_for_the_others() {
    let transformation = |slope: &str, intercept: &str| {
        Header::default().sq(
            Tag(0x0028, 0x9145),
            vec![
                Header::default()
                    .ds(RESCALE_SLOPE, slope)
                    .ds(RESCALE_INTERCEPT, intercept),
            ],
        )
    };
    let voi = |header: Header, center: &str, width: &str| {
        header.sq(
            Tag(0x0028, 0x9132),
            vec![Header::default().window(center, width)],
        )
    };
    let header = row8(2)
        .text(tags::NUMBER_OF_FRAMES, Vr::IS, "3")
        .window("128", "256")
        .sq(
            SHARED_FUNCTIONAL_GROUPS_SEQUENCE,
            vec![transformation("2", "0")],
        )
        .sq(
            PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE,
            vec![
                Header::default(),
                transformation("1", "10"),
                voi(Header::default(), "21", "1"),
            ],
        );
    let description = header.describe().expect("an image");
    let frame = |frame| {
        let decoded = decoded(&[10, 11], description.format);
        description
            .render(frame, &decoded, &rendered())
            .expect("a picture")
            .pixels
    };
    use vna_image::Pixels::Gray8;
    assert_eq!(frame(0), Gray8(vec![20, 22]));
    assert_eq!(frame(1), Gray8(vec![20, 21]));
    assert_eq!(frame(2), Gray8(vec![0, 255]));
    assert_eq!(description.rescale(1), Some((1.0, 10.0)));
    assert_eq!(description.window(2), Window::from((21.0, 1.0)));
}

/// The straightforward way, in the words of the standard.
struct Oracle {
    bits_stored: u32,
    shift: u32,
    signed: bool,
    slope: f64,
    intercept: f64,
    window: Window,
    inverted: bool,
}

impl Oracle {
    fn stored(&self, word: u16) -> f64 {
        let value = (i64::from(word) >> self.shift) % (1 << self.bits_stored);
        let negative = self.signed && value >= 1 << (self.bits_stored - 1);
        (if negative {
            value - (1 << self.bits_stored)
        } else {
            value
        }) as f64
    }

    fn level(&self, word: u16) -> f64 {
        let x = self.stored(word) * self.slope + self.intercept;
        let Window {
            center: c,
            width: w,
            function,
        } = self.window;
        let unit = match function {
            VoiFunction::Linear if x <= c - 0.5 - (w - 1.0) / 2.0 => 0.0,
            VoiFunction::Linear if x > c - 0.5 + (w - 1.0) / 2.0 => 1.0,
            VoiFunction::Linear => (x - (c - 0.5)) / (w - 1.0) + 0.5,
            VoiFunction::LinearExact if x <= c - w / 2.0 => 0.0,
            VoiFunction::LinearExact if x > c + w / 2.0 => 1.0,
            VoiFunction::LinearExact => (x - c) / w + 0.5,
            VoiFunction::Sigmoid => 1.0 / (1.0 + (-4.0 * (x - c) / w).exp()),
        };
        255.0 * if self.inverted { 1.0 - unit } else { unit }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_gray_is_within_a_level_of_the_formula(
        samples in proptest::collection::vec(any::<u16>(), 1..300),
        (bits_stored, shift) in (1u32..=16).prop_flat_map(|bits| (Just(bits), 0..=16 - bits)),
        signed in any::<bool>(),
        slope in prop_oneof![Just(1.0), -3.0..3.0f64],
        intercept in -2000i32..2000,
        center in -3000i32..3000,
        width in 1i32..6000,
        function in prop_oneof![Just("LINEAR"), Just("LINEAR_EXACT"), Just("SIGMOID")],
        inverted in any::<bool>(),
    ) {
        let slope = if slope == 0.0 { 1.0 } else { slope };
        let columns = u16::try_from(samples.len()).expect("few");
        let header = gray(1, columns, 16, u16::try_from(bits_stored).expect("few"), signed)
            .us(HIGH_BIT, &[u16::try_from(bits_stored + shift - 1).expect("few")])
            .ds(RESCALE_SLOPE, &slope.to_string())
            .ds(RESCALE_INTERCEPT, &intercept.to_string())
            .window(&center.to_string(), &width.to_string())
            .cs(VOI_LUT_FUNCTION, function)
            .cs(tags::PHOTOMETRIC_INTERPRETATION, if inverted { "MONOCHROME1" } else { "MONOCHROME2" });
        // That the High Bit is believed.
        let mut samples = samples;
        samples[0] |= 0x8000;
        let used = samples.iter().fold(0, |bits, word| bits | word);
        prop_assume!(u32::from(used) >> bits_stored != 0 || shift == 0);
        let window = Window {
            center: center.into(),
            width: width.into(),
            function: match function {
                "SIGMOID" => VoiFunction::Sigmoid,
                "LINEAR_EXACT" => VoiFunction::LinearExact,
                _ => VoiFunction::Linear,
            },
        };
        let oracle = Oracle {
            bits_stored, shift, signed, slope, intercept: intercept.into(), window, inverted,
        };
        let found = grays(&header, &words(&samples), &rendered());
        for (word, level) in samples.iter().zip(found) {
            let wanted = oracle.level(*word);
            prop_assert!((f64::from(level) - wanted).abs() <= 1.0 + 1e-5, "{word:#x}: {level} for {wanted}");
        }
    }
}
