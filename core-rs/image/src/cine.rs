//! How long frames are seen when they are shown one after the other (PS3.3 §C.7.6.5).

use std::ops::RangeInclusive;

use vna_dicom::{DataSet, Tag};

use crate::attributes::Attributes;

const RECOMMENDED_DISPLAY_FRAME_RATE: Tag = Tag(0x0008, 0x2144);
const CINE_RATE: Tag = Tag(0x0018, 0x0040);
const FRAME_TIME: Tag = Tag(0x0018, 0x1063);
const FRAME_TIME_VECTOR: Tag = Tag(0x0018, 0x1065);

/// Of frames of which nothing is said.
const USUAL_MS: f64 = 100.0;

/// Shorter than what any camera takes, longer than anyone looks at a frame of a film; what is claimed beyond is wrong.
const SENSIBLE_MS: RangeInclusive<f64> = 0.1..=60_000.0;

/// How long the frames of an image are seen.
#[derive(Clone, PartialEq, Debug)]
pub struct FrameTimes {
    /// Milliseconds from the frame before, of each frame; empty if it is the same of all.
    steps: Vec<f64>,
    /// Milliseconds of each frame of which `steps` says nothing.
    usual: f64,
}

impl FrameTimes {
    /// Reads them: the rate at which an image is to be displayed, else that at which it was taken.
    #[must_use]
    pub fn read(data_set: &DataSet) -> Self {
        let sensible = |ms: &f64| SENSIBLE_MS.contains(ms);
        let rate = |tag| {
            let rate = data_set.decimal(tag).filter(|rate| *rate > 0.0);
            rate.map(|rate| 1000.0 / rate).filter(sensible)
        };
        let rate = rate(RECOMMENDED_DISPLAY_FRAME_RATE).or_else(|| rate(CINE_RATE));
        let time = rate.or_else(|| data_set.decimal(FRAME_TIME).filter(sensible));
        let steps = match time {
            Some(_) => Vec::new(),
            None => data_set.decimals(FRAME_TIME_VECTOR),
        };
        FrameTimes {
            steps,
            usual: time.unwrap_or(USUAL_MS),
        }
    }

    /// Milliseconds for which frame `frame`, counted from 0, is seen before the next one.
    #[must_use]
    pub fn milliseconds(&self, frame: usize) -> f64 {
        let step = self.steps.get(frame.saturating_add(1)).copied();
        let step = step.filter(|ms| SENSIBLE_MS.contains(ms));
        step.unwrap_or(self.usual)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vna_dicom::{DataElement, Vr};

    fn times(elements: &[(Tag, Vr, &str)]) -> FrameTimes {
        let mut data_set = DataSet::new();
        for (tag, vr, value) in elements {
            data_set.insert(DataElement::new(*tag, *vr, value.as_bytes()));
        }
        FrameTimes::read(&data_set)
    }

    #[test]
    fn frames_are_seen_as_long_as_the_header_wants() {
        let time = (FRAME_TIME, Vr::DS, "33.3");
        assert_eq!(times(&[time]).milliseconds(5), 33.3);
        let displayed = (RECOMMENDED_DISPLAY_FRAME_RATE, Vr::IS, "20");
        let taken = (CINE_RATE, Vr::IS, "25");
        assert_eq!(times(&[time, taken]).milliseconds(0), 40.0);
        assert_eq!(times(&[time, taken, displayed]).milliseconds(0), 50.0);
    }

    #[test]
    fn each_frame_may_have_its_own_time() {
        let found = times(&[(FRAME_TIME_VECTOR, Vr::DS, "0\\40\\-1\\80 ")]);
        let seen: Vec<_> = (0..5).map(|frame| found.milliseconds(frame)).collect();
        assert_eq!(seen, [40.0, USUAL_MS, 80.0, USUAL_MS, USUAL_MS]);
    }

    #[test]
    fn what_makes_no_sense_is_as_if_it_were_not_said() {
        for wrong in ["0", "-5", "abc", "", "1e300", "NaN"] {
            let found = times(&[(FRAME_TIME, Vr::DS, wrong), (CINE_RATE, Vr::IS, wrong)]);
            assert_eq!(found.milliseconds(usize::MAX), USUAL_MS, "{wrong}");
        }
    }
}
