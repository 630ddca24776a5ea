//! What a frame costs more in a helper process than in this one, by codec and size. Both take turns in one run; the figures are
//! lower quartiles of many frames, so that what the machine does meanwhile counts little.

use std::time::{Duration, Instant};

use vna_codec::{
    CodecSettings, Codecs, Colour, EncodeOptions, FrameFormat, Lease, Photometric, Sample,
    pixel_syntax, run_helper,
};

const SYNTAXES: [&str; 6] = [
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.57",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.201",
];
/// How long both are measured.
const TIME: Duration = Duration::from_millis(700);

fn main() {
    if std::env::args().nth(1).as_deref() == Some("helper") {
        std::process::exit(run_helper());
    }
    let me = std::env::current_exe().expect("this program has a path");
    let me = me.to_str().expect("a path in UTF-8").to_owned();
    let here = Codecs::new(CodecSettings::default());
    let there = Codecs::new(CodecSettings {
        helper_command: Some(vec![me, "helper".to_owned()]),
        ..CodecSettings::default()
    });
    println!(
        "{:<20} {:>6} {:>9} {:>9} {:>9} {:>7}",
        "", "side", "here", "there", "more", ""
    );
    for syntax in SYNTAXES {
        let Some(codec) = vna_codec::codec(syntax) else {
            continue;
        };
        let bits = if syntax.ends_with(".50") { 8 } else { 16 };
        let name = pixel_syntax(syntax).map_or(syntax, |known| known.name);
        assert!(codec.needs_helper(), "{name} never runs in a helper");
        for side in [512, 2048] {
            let (format, samples) = picture(side, bits);
            let mut lease = here.lease().expect("a place");
            lease
                .input(samples.len() as u64)
                .expect("room")
                .copy_from_slice(&samples);
            let options = EncodeOptions::default();
            let (codestream, _) = lease.encode(syntax, &format, &options).expect("encoded");
            let codestream = codestream.to_vec();
            drop(lease);

            let (mut times_here, mut times_there) = (Vec::new(), Vec::new());
            let mut leases = (
                here.lease().expect("a place"),
                there.lease().expect("a place"),
            );
            let begun = Instant::now();
            while begun.elapsed() < TIME || times_here.len() < 5 {
                times_here.push(decode(&mut leases.0, syntax, &format, &codestream));
                times_there.push(decode(&mut leases.1, syntax, &format, &codestream));
            }
            let (one, other) = (quartile(times_here), quartile(times_there));
            let more = other - one;
            println!(
                "{name:<20} {side:>6} {:>6.3} ms {:>6.3} ms {:>6.0} us {:>5.1} %",
                one * 1e3,
                other * 1e3,
                more * 1e6,
                100.0 * more / one
            );
        }
    }
}

fn decode(lease: &mut Lease<'_>, syntax: &str, format: &FrameFormat, codestream: &[u8]) -> f64 {
    let begun = Instant::now();
    let input = lease.input(codestream.len() as u64).expect("room");
    input.copy_from_slice(codestream);
    let decoded = lease.decode(syntax, format, Colour::Rgb).expect("decoded");
    // Every sample is looked at, as whoever wanted the frame would do.
    let sum = decoded
        .samples
        .iter()
        .fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    std::hint::black_box(sum);
    begun.elapsed().as_secs_f64()
}

fn quartile(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 4]
}

/// A disc with soft tissue's noise on a black ground, as CT has it.
fn picture(side: u32, bits: u16) -> (FrameFormat, Vec<u8>) {
    let format = FrameFormat {
        rows: side,
        columns: side,
        samples_per_pixel: 1,
        bits_allocated: bits,
        bits_stored: if bits == 8 { 8 } else { 12 },
        sample: Sample::Unsigned,
        planar: false,
        photometric: Photometric::Monochrome2,
    };
    let mut state = 1u32;
    let mut samples = Vec::new();
    let middle = f64::from(side) / 2.0;
    for row in 0..side {
        for column in 0..side {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (y, x) = (f64::from(row) - middle, f64::from(column) - middle);
            let is_inside = x.hypot(y) < 0.8 * middle;
            let value = if is_inside {
                1000 + (state >> 27) + column % 97
            } else {
                0
            };
            let value = u16::try_from(value).expect("12 bits");
            match bits {
                8 => samples.push(value.to_le_bytes()[0]),
                _ => samples.extend(value.to_le_bytes()),
            }
        }
    }
    (format, samples)
}
