//! The predictor of a lossless codestream (ISO/IEC 10918-1 Table H.1).

/// Pairs of rows that are looked at.
const PAIRS: usize = 64;
/// Differences have 0 to 16 bits.
const CATEGORIES: usize = 17;

/// How many differences of each length every predictor leaves.
type Counts = [[u32; CATEGORIES]; 7];

/// The predictor that codes a frame shortest, judged by some of its rows. Samples are bytes or 16-bit words, `row` of them
/// a row, `components` a pixel.
pub(super) fn best(samples: &[u8], width: usize, row: usize, components: usize) -> i32 {
    let rows: Vec<&[u8]> = samples.chunks_exact((row * width).max(1)).collect();
    let step = rows.len().div_ceil(PAIRS).max(1);
    let mut counts = Counts::default();
    for pair in rows.windows(2).step_by(step) {
        if width == 1 {
            count(pair, row, components, |row, at| row[at].into(), &mut counts);
        } else {
            let word = |row: &[u8], at: usize| u16::from_le_bytes([row[2 * at], row[2 * at + 1]]);
            count(
                pair,
                row,
                components,
                |row, at| word(row, at).into(),
                &mut counts,
            );
        }
    }
    let lengths = counts.map(|counts| bits(&counts));
    let shortest = (1..)
        .zip(lengths)
        .min_by(|(_, one), (_, other)| one.total_cmp(other));
    shortest.map_or(1, |(predictor, _)| predictor)
}

/// Counts the differences of a row, the second of `pair`, from what predictors make of it and the one above.
fn count(
    pair: &[&[u8]],
    row: usize,
    components: usize,
    read: impl Fn(&[u8], usize) -> i32,
    counts: &mut Counts,
) {
    for at in components..row {
        let (left, above) = (read(pair[1], at - components), read(pair[0], at));
        let corner = read(pair[0], at - components);
        let sample = read(pair[1], at);
        let predicted = [
            left,
            above,
            corner,
            left + above - corner,
            left + ((above - corner) >> 1),
            above + ((left - corner) >> 1),
            (left + above) >> 1,
        ];
        for (counts, predicted) in counts.iter_mut().zip(predicted) {
            let length = 32 - (sample - predicted).unsigned_abs().leading_zeros();
            counts[(length as usize).min(CATEGORIES - 1)] += 1;
        }
    }
}

/// Bits of so many differences: their own, and those of the best possible codes of their lengths.
fn bits(counts: &[u32; CATEGORIES]) -> f64 {
    let all: u32 = counts.iter().sum();
    let bits = (0u32..).zip(counts).map(|(length, count)| {
        let count = f64::from(*count);
        let code = if count > 0.0 {
            (f64::from(all) / count).log2()
        } else {
            0.0
        };
        count * (f64::from(length) + code)
    });
    bits.sum()
}
