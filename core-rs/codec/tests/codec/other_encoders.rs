//! Codestreams that another encoder made give the samples that its decoder gives (`data/README.md`).

use vna_codec::{Colour, FrameFormat, Photometric, Sample, codec};

macro_rules! data {
    ($name:literal) => {
        &include_bytes!(concat!("../data/", $name))[..]
    };
}

fn grey(bits_stored: u16) -> FrameFormat {
    FrameFormat {
        rows: 17,
        columns: 23,
        samples_per_pixel: 1,
        bits_allocated: bits_stored.next_multiple_of(8),
        bits_stored,
        sample: Sample::Unsigned,
        planar: false,
        photometric: Photometric::Monochrome2,
    }
}

fn assert_decodes(
    transfer_syntax_uid: &str,
    codestream: &[u8],
    format: FrameFormat,
    expected: &[u8],
) {
    let mut found = vec![0; expected.len()];
    let codec = codec(transfer_syntax_uid).unwrap();
    let found_format = codec
        .decode(codestream, &format, Colour::AsStored, &mut found)
        .unwrap();
    assert_eq!(found_format, format);
    assert!(found == expected, "{transfer_syntax_uid}: samples differ");
}

#[test]
fn jpeg_of_every_process_is_decoded() {
    let rgb = FrameFormat {
        samples_per_pixel: 3,
        photometric: Photometric::Rgb,
        ..grey(8)
    };
    for (uid, codestream, format, expected) in [
        (
            "1.2.840.10008.1.2.4.51",
            data!("extended_12.jpg"),
            grey(12),
            data!("lossy_12.raw"),
        ),
        (
            "1.2.840.10008.1.2.4.53",
            data!("spectral_12.jpg"),
            grey(12),
            data!("lossy_12.raw"),
        ),
        (
            "1.2.840.10008.1.2.4.55",
            data!("progressive_12.jpg"),
            grey(12),
            data!("lossy_12.raw"),
        ),
        (
            "1.2.840.10008.1.2.4.55",
            data!("progressive_8.jpg"),
            grey(8),
            data!("lossy_8.raw"),
        ),
        (
            "1.2.840.10008.1.2.4.57",
            data!("lossless_6_rgb.jpg"),
            rgb,
            data!("rgb.raw"),
        ),
    ] {
        assert_decodes(uid, codestream, format, expected);
    }
}

#[test]
fn jpeg_ls_of_every_interleave_mode_is_decoded() {
    let rgb = FrameFormat {
        samples_per_pixel: 3,
        photometric: Photometric::Rgb,
        ..grey(8)
    };
    for codestream in [data!("line.jls"), data!("sample.jls"), data!("none.jls")] {
        assert_decodes("1.2.840.10008.1.2.4.80", codestream, rgb, data!("rgb.raw"));
    }
    assert_decodes(
        "1.2.840.10008.1.2.4.81",
        data!("near_3.jls"),
        grey(12),
        data!("near_3.raw"),
    );
}

#[test]
fn a_progressive_codestream_that_lacks_scans_is_an_error() {
    let codestream = data!("progressive_8.jpg");
    let starts: Vec<usize> = (0..codestream.len() - 1)
        .filter(|at| codestream[*at..][..2] == [0xFF, 0xDA])
        .collect();
    assert!(starts.len() > 3);
    let codec = codec("1.2.840.10008.1.2.4.55").unwrap();
    for start in starts {
        let mut out = vec![0; 17 * 23];
        let found = codec.decode(&codestream[..start], &grey(8), Colour::AsStored, &mut out);
        assert_eq!(found.unwrap_err().code(), "codec.corrupt");
    }
}
