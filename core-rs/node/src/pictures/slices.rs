//! The order of the frames of a series.

use std::collections::HashMap;
use std::fmt::Write as _;

use vna_dicom::{Level, PublicId, Tag, tags};
use vna_index::Query;

use crate::archive::Archive;
use crate::error::ArchiveError;

/// Cosines of an angle of a hundredth of a degree apart count as one direction: headers have six digits.
const SAME_DIRECTION: f64 = 1e-4;

/// Positions of slices nearer than this, in millimetres, are one.
const SAME_POSITION_MM: f64 = 1e-4;

/// The frames of a series in an order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OrderedSlices {
    /// Whether the order is that of parallel planes in space, rather than that of the numbers of the instances.
    pub is_volume: bool,
    /// Instances in their order.
    pub slices: Vec<Slice>,
}

/// An instance of a series, and its frames.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Slice {
    /// Its public id.
    pub instance: PublicId,
    /// Number of Frames (0028,0008).
    pub frames: u64,
}

/// What the order follows from.
struct Candidate {
    slice: Slice,
    number: Option<i64>,
    plane: Option<Plane>,
}

/// Where a slice is in space (PS3.3 §C.7.6.2).
struct Plane {
    normal: [f64; 3],
    distance: f64,
}

const POSITION: Tag = Tag(0x0020, 0x0032);
const ORIENTATION: Tag = Tag(0x0020, 0x0037);
const IMAGE_INDEX: Tag = Tag(0x0054, 0x1330);
const VALUES: [Tag; 6] = [
    tags::SOP_INSTANCE_UID,
    tags::INSTANCE_NUMBER,
    IMAGE_INDEX,
    tags::NUMBER_OF_FRAMES,
    POSITION,
    ORIENTATION,
];

/// The frames of a series: of a volume in the order of their distances from the origin along the normal, else in that
/// of the numbers of the instances.
///
/// # Errors
///
/// [`ArchiveError::NotFound`] if there is no such series; what the index says.
pub fn ordered_slices(
    archive: &Archive,
    tenant: i64,
    series: &PublicId,
) -> Result<OrderedSlices, ArchiveError> {
    let mut candidates = candidates(archive, tenant, series)?;
    let is_volume = is_volume(&candidates);
    candidates.sort_by(|one, other| {
        let by_distance = |candidate: &Candidate| {
            let plane = candidate.plane.as_ref().filter(|_| is_volume);
            plane.map_or(0.0, |plane| plane.distance)
        };
        let by_number = |candidate: &Candidate| candidate.number.unwrap_or(i64::MAX);
        by_distance(one)
            .total_cmp(&by_distance(other))
            .then_with(|| by_number(one).cmp(&by_number(other)))
            .then_with(|| one.slice.instance.cmp(&other.slice.instance))
    });
    let slices = candidates.into_iter().map(|candidate| candidate.slice);
    Ok(OrderedSlices {
        is_volume,
        slices: slices.collect(),
    })
}

fn candidates(
    archive: &Archive,
    tenant: i64,
    series: &PublicId,
) -> Result<Vec<Candidate>, ArchiveError> {
    let index = archive.index();
    let mut query = Query::all(tenant, Level::Instance);
    query.parents = vec![(Level::Series, *series)];
    let found = index.find(&query)?.resources;
    if found.is_empty() {
        return Err(ArchiveError::NotFound {
            level: Level::Series,
            public_id: *series,
        });
    }
    let instances = index.instances(Level::Instance, &found, None)?;
    let ids: HashMap<&str, PublicId> = instances
        .iter()
        .map(|instance| (instance.sop_instance_uid.as_str(), instance.public_id))
        .collect();
    let values = index.values(Level::Instance, &found, &VALUES, None)?;
    let candidate = |row: vna_index::ValueRow<'_>| {
        let number = |at| row.get(at).and_then(|text| text.trim().parse().ok());
        Some(Candidate {
            slice: Slice {
                instance: *ids.get(row.get(0)?)?,
                frames: number(3)
                    .and_then(|n: i64| n.try_into().ok())
                    .unwrap_or(1)
                    .max(1),
            },
            number: number(1).or_else(|| number(2)),
            plane: plane(row.get(4), row.get(5)),
        })
    };
    Ok(values.rows().filter_map(candidate).collect())
}

fn plane(position: Option<&str>, orientation: Option<&str>) -> Option<Plane> {
    let position: [f64; 3] = numbers(position?)?;
    let [a, b, c, d, e, f] = numbers(orientation?)?;
    let normal = [b * f - c * e, c * d - a * f, a * e - b * d];
    let length = normal.iter().map(|part| part * part).sum::<f64>().sqrt();
    if !length.is_finite() || length < 0.5 {
        return None; // no two directions at a right angle
    }
    let normal = normal.map(|part| part / length);
    let distance = normal.iter().zip(position).map(|(n, p)| n * p).sum::<f64>();
    distance.is_finite().then_some(Plane { normal, distance })
}

fn numbers<const N: usize>(text: &str) -> Option<[f64; N]> {
    let parsed: Option<Vec<f64>> = text.split('\\').map(|n| n.trim().parse().ok()).collect();
    parsed?.try_into().ok()
}

/// Whether instances are parallel planes, one frame each, no two at one place.
fn is_volume(candidates: &[Candidate]) -> bool {
    let planes: Option<Vec<&Plane>> = candidates.iter().map(|c| c.plane.as_ref()).collect();
    let Some(planes) = planes.filter(|planes| planes.len() > 1) else {
        return false;
    };
    let first = planes[0].normal;
    let are_parallel = planes.iter().all(|plane| {
        let cosine: f64 = plane.normal.iter().zip(first).map(|(n, p)| n * p).sum();
        cosine > 1.0 - SAME_DIRECTION
    });
    let mut distances: Vec<f64> = planes.iter().map(|plane| plane.distance).collect();
    distances.sort_by(f64::total_cmp);
    let are_apart = distances
        .windows(2)
        .all(|two| two[1] - two[0] > SAME_POSITION_MM);
    let are_single = candidates
        .iter()
        .all(|candidate| candidate.slice.frames == 1);
    are_parallel && are_apart && are_single
}

impl OrderedSlices {
    /// As `GET /series/{id}/ordered-slices` answers.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = String::from("{\"Dicom\":[");
        // Writing to a String cannot fail.
        let mut separator = "";
        for slice in &self.slices {
            let _ = write!(json, "{separator}\"/instances/{}/file\"", slice.instance);
            separator = ",";
        }
        json.push_str("],\"Slices\":[");
        separator = "";
        for slice in &self.slices {
            for frame in 0..slice.frames {
                let instance = slice.instance;
                let _ = write!(json, "{separator}\"/instances/{instance}/frames/{frame}\"");
                separator = ",";
            }
        }
        json.push_str("],\"SlicesShort\":[");
        separator = "";
        for slice in &self.slices {
            let _ = write!(
                json,
                "{separator}[\"{}\",0,{}]",
                slice.instance, slice.frames
            );
            separator = ",";
        }
        let kind = if self.is_volume { "Volume" } else { "Sequence" };
        let _ = write!(json, "],\"Type\":\"{kind}\"}}");
        json.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AXIAL: &str = "1\\0\\0\\0\\1\\0";

    fn at(position: &str, orientation: &str) -> Candidate {
        let instance = "00000000-00000000-00000000-00000000-00000000";
        Candidate {
            slice: Slice {
                instance: instance.parse().unwrap(),
                frames: 1,
            },
            number: None,
            plane: plane(Some(position), Some(orientation)),
        }
    }

    #[test]
    fn parallel_planes_apart_from_each_other_are_a_volume() {
        let volume = [at("0\\0\\5", AXIAL), at("0\\0\\-2.5", AXIAL)];
        assert!(is_volume(&volume));
        assert_eq!(volume[1].plane.as_ref().unwrap().distance, -2.5);
        assert!(!is_volume(&[at("0\\0\\5", AXIAL), at("9\\9\\5", AXIAL)]));
        assert!(!is_volume(&[
            at("0\\0\\5", AXIAL),
            at("0\\0\\6", "0\\1\\0\\0\\0\\-1")
        ]));
        assert!(!is_volume(&[at("0\\0\\5", AXIAL)]));
        assert!(!is_volume(&[at("0\\0\\5", AXIAL), at("0\\0", AXIAL)]));
        assert!(!is_volume(&[at("0\\0\\5", AXIAL), at("0\\0\\nan", AXIAL)]));
    }

    #[test]
    fn directions_that_are_none_are_no_plane() {
        assert!(plane(Some("0\\0\\0"), Some("1\\0\\0\\1\\0\\0")).is_none());
        assert!(plane(Some("0\\0\\0"), Some("inf\\0\\0\\0\\1\\0")).is_none());
        assert!(plane(None, Some(AXIAL)).is_none());
    }
}
