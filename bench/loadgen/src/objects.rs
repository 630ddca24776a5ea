//! The kinds of object that the generator sends.

use crate::element::{DataSet, Identity, Object};
use crate::pdu::Offer;
use crate::population::Population;
use crate::random::{Random, Stream, mix, uid};
use crate::template::Template;

/// Explicit VR Little Endian.
pub const EXPLICIT_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1";
pub const CT_IMAGE: &str = "1.2.840.10008.5.1.4.1.1.2";
const MR_IMAGE: &str = "1.2.840.10008.5.1.4.1.1.4";

/// How images of one kind are spread over studies and series.
#[derive(Clone, Copy)]
pub struct Shape {
    pub instances_per_series: u64,
    pub series_per_study: u64,
}

/// Where objects come from. Object number `index` is the same in every run with the same seed.
pub struct Source {
    kind: Kind,
    seed: u64,
    shape: Shape,
    /// What many objects end in: the pixel data.
    pub tails: Vec<Vec<u8>>,
}

enum Kind {
    Ct,
    Small,
    Files(Vec<Template>),
    Headers(Population),
}

impl Source {
    /// CT images, 512x512x16 bit, about 0.5 MB.
    pub fn ct(seed: u64, shape: Shape) -> Self {
        let tails = vec![pixel_element(seed, 512)];
        Self {
            kind: Kind::Ct,
            seed,
            shape,
            tails,
        }
    }

    /// MR images, 32x32x16 bit, about 3 KB.
    pub fn small(seed: u64, shape: Shape) -> Self {
        let tails = vec![pixel_element(seed, 32)];
        Self {
            kind: Kind::Small,
            seed,
            shape,
            tails,
        }
    }

    /// Copies of files, each with UIDs of its own.
    pub fn files(seed: u64, shape: Shape, mut templates: Vec<Template>) -> Self {
        let tails = templates
            .iter_mut()
            .map(|t| std::mem::take(&mut t.tail))
            .collect();
        Self {
            kind: Kind::Files(templates),
            seed,
            shape,
            tails,
        }
    }

    /// Headers without pixel data, from a large population.
    pub fn headers(seed: u64) -> Self {
        let shape = Shape {
            instances_per_series: 1,
            series_per_study: 1,
        };
        Self {
            kind: Kind::Headers(Population::new(seed)),
            seed,
            shape,
            tails: Vec::new(),
        }
    }

    /// The presentation contexts that these objects need.
    pub fn offers(&self) -> Vec<Offer> {
        let mut offers: Vec<Offer> = match &self.kind {
            Kind::Ct => vec![(CT_IMAGE, EXPLICIT_LITTLE_ENDIAN)],
            Kind::Small => vec![(MR_IMAGE, EXPLICIT_LITTLE_ENDIAN)],
            Kind::Files(templates) => templates
                .iter()
                .map(|t| (t.sop_class_uid, t.transfer_syntax_uid))
                .collect(),
            Kind::Headers(population) => population.offers(),
        };
        offers.sort_unstable();
        offers.dedup();
        offers
    }

    /// Calls `visit` with the objects `first..first + count`.
    pub fn each(&self, first: u64, count: u64, mut visit: impl FnMut(Object)) {
        match &self.kind {
            Kind::Headers(population) => population.each(first, count, visit),
            Kind::Ct => (first..first + count).for_each(|i| visit(self.image(i, CT_IMAGE, 512))),
            Kind::Small => (first..first + count).for_each(|i| visit(self.image(i, MR_IMAGE, 32))),
            Kind::Files(templates) => (first..first + count).for_each(|i| {
                let number = usize::try_from(i).expect("a count in memory") % templates.len();
                let identity = self.identity(i);
                visit(templates[number].object(identity, number));
            }),
        }
    }

    fn identity(&self, index: u64) -> Identity {
        let series = index / self.shape.instances_per_series;
        let study = series / self.shape.series_per_study;
        Identity {
            patient_id: format!("LG{:010}", mix(self.seed, study) % 10_000_000_000),
            study_instance_uid: uid(self.seed, Stream::Study, study),
            series_instance_uid: uid(self.seed, Stream::Series, series),
            sop_instance_uid: uid(self.seed, Stream::Instance, index),
        }
    }

    /// An image. All values but two have a fixed length, so that heads differ little in length and
    /// few framed tails serve all of them.
    fn image(&self, index: u64, sop_class_uid: &'static str, side: u16) -> Object {
        let identity = self.identity(index);
        let number = index % self.shape.instances_per_series + 1;
        let series = index / self.shape.instances_per_series % self.shape.series_per_study + 1;
        let ct = sop_class_uid == CT_IMAGE;
        let mut set = DataSet::default();
        study_elements(&mut set, &identity, sop_class_uid, ct);
        acquisition_elements(&mut set, ct);
        set.text((0x0020, 0x000D), "UI", &identity.study_instance_uid)
            .text((0x0020, 0x000E), "UI", &identity.series_instance_uid)
            .text((0x0020, 0x0010), "SH", "4711")
            .text((0x0020, 0x0011), "IS", &series.to_string())
            .text((0x0020, 0x0012), "IS", "1")
            .text((0x0020, 0x0013), "IS", &number.to_string())
            .text(
                (0x0020, 0x0032),
                "DS",
                &format!("-172.500\\-172.500\\{}", position(number)),
            )
            .text(
                (0x0020, 0x0037),
                "DS",
                "1.000000\\0.000000\\0.000000\\0.000000\\1.000000\\0.000000",
            )
            .text((0x0020, 0x0052), "UI", &frame_of_reference(&identity))
            .text((0x0020, 0x1040), "LO", "SN")
            .text((0x0020, 0x1041), "DS", &position(number));
        pixel_elements(&mut set, side, ct);
        Object {
            sop_class_uid,
            transfer_syntax_uid: EXPLICIT_LITTLE_ENDIAN,
            identity,
            head: set.into_bytes(),
            tail: Some(0),
        }
    }
}

fn position(number: u64) -> String {
    let tenths = number * 6;
    format!("{:6}.{:03}", tenths / 10, tenths % 10 * 100)
}

fn frame_of_reference(identity: &Identity) -> String {
    let study = &identity.study_instance_uid;
    format!("{}1", &study[..study.len() - 1])
}

fn study_elements(set: &mut DataSet, identity: &Identity, sop_class_uid: &str, ct: bool) {
    let image_type = if ct {
        "ORIGINAL\\PRIMARY\\AXIAL\\CT_SOM5 SPI"
    } else {
        "DERIVED\\SECONDARY"
    };
    let mut request = DataSet::default();
    request
        .text((0x0008, 0x0100), "SH", "CTTHX")
        .text((0x0008, 0x0102), "SH", "99LOCAL")
        .text((0x0008, 0x0104), "LO", "CT thorax with contrast");
    set.text((0x0008, 0x0005), "CS", "ISO_IR 100")
        .text((0x0008, 0x0008), "CS", image_type)
        .text((0x0008, 0x0012), "DA", "20240611")
        .text((0x0008, 0x0013), "TM", "101530.484000")
        .text((0x0008, 0x0016), "UI", sop_class_uid)
        .text((0x0008, 0x0018), "UI", &identity.sop_instance_uid)
        .text((0x0008, 0x0020), "DA", "20240611")
        .text((0x0008, 0x0021), "DA", "20240611")
        .text((0x0008, 0x0022), "DA", "20240611")
        .text((0x0008, 0x0023), "DA", "20240611")
        .text((0x0008, 0x0030), "TM", "100312.250000")
        .text((0x0008, 0x0031), "TM", "101206.109000")
        .text((0x0008, 0x0032), "TM", "101522.921000")
        .text((0x0008, 0x0033), "TM", "101522.921000")
        .text((0x0008, 0x0050), "SH", &identity.patient_id)
        .text((0x0008, 0x0060), "CS", if ct { "CT" } else { "MR" })
        .text((0x0008, 0x0070), "LO", "Generated")
        .text((0x0008, 0x0080), "LO", "University Hospital North")
        .text((0x0008, 0x0081), "ST", "1 Harbour Road, 20000 Northport")
        .text((0x0008, 0x0090), "PN", "Referring^Physician^^Dr.")
        .text((0x0008, 0x1010), "SH", "CT54321")
        .text((0x0008, 0x1030), "LO", "Thorax^1_Routine (Adult)")
        .sequence((0x0008, 0x1032), request)
        .text((0x0008, 0x103E), "LO", "Thorax 0.6 B70f lung")
        .text((0x0008, 0x1040), "LO", "Radiology")
        .text((0x0008, 0x1050), "PN", "Performing^Physician")
        .text((0x0008, 0x1070), "PN", "Operator^Name")
        .text((0x0008, 0x1090), "LO", "Sensation 64")
        .text(
            (0x0010, 0x0010),
            "PN",
            &format!("Load^Generator {}", &identity.patient_id),
        )
        .text((0x0010, 0x0020), "LO", &identity.patient_id)
        .text((0x0010, 0x0030), "DA", "19610418")
        .text((0x0010, 0x0040), "CS", "F")
        .text((0x0010, 0x1010), "AS", "063Y")
        .text((0x0010, 0x1020), "DS", "1.68")
        .text((0x0010, 0x1030), "DS", "71");
}

fn acquisition_elements(set: &mut DataSet, ct: bool) {
    if !ct {
        set.text((0x0018, 0x0020), "CS", "SE")
            .text((0x0018, 0x0021), "CS", "SK\\SP")
            .text((0x0018, 0x0050), "DS", "0.6")
            .text((0x0018, 0x0080), "DS", "520")
            .text((0x0018, 0x0081), "DS", "11")
            .text((0x0018, 0x0087), "DS", "1.494");
        return;
    }
    set.text((0x0018, 0x0010), "LO", "APPLIED")
        .text((0x0018, 0x0015), "CS", "CHEST")
        .text((0x0018, 0x0022), "CS", "HELIX")
        .text((0x0018, 0x0050), "DS", "0.6")
        .text((0x0018, 0x0060), "DS", "120")
        .text((0x0018, 0x0090), "DS", "500")
        .text((0x0018, 0x1000), "LO", "54321")
        .text((0x0018, 0x1020), "LO", "syngo CT 2012B")
        .text((0x0018, 0x1030), "LO", "1_Routine")
        .text((0x0018, 0x1100), "DS", "345")
        .text((0x0018, 0x1110), "DS", "1040")
        .text((0x0018, 0x1111), "DS", "570")
        .text((0x0018, 0x1120), "DS", "0")
        .text((0x0018, 0x1130), "DS", "170.5")
        .text((0x0018, 0x1140), "CS", "CW")
        .text((0x0018, 0x1150), "IS", "500")
        .text((0x0018, 0x1151), "IS", "182")
        .text((0x0018, 0x1152), "IS", "91")
        .text((0x0018, 0x1160), "SH", "0")
        .text((0x0018, 0x1170), "IS", "22")
        .text((0x0018, 0x1190), "DS", "1.2")
        .text((0x0018, 0x1210), "SH", "B70f")
        .text((0x0018, 0x5100), "CS", "HFS")
        .raw((0x0018, 0x9306), "FD", &0.6_f64.to_le_bytes())
        .raw((0x0018, 0x9311), "FD", &1.2_f64.to_le_bytes())
        .raw((0x0018, 0x9345), "FD", &6.84_f64.to_le_bytes())
        .text((0x0019, 0x0010), "LO", "SIEMENS CT VA0  COAD")
        .text((0x0019, 0x10B0), "DS", "500")
        .raw((0x0019, 0x10C1), "OB", &[0x5A; 256]);
}

fn pixel_elements(set: &mut DataSet, side: u16, ct: bool) {
    set.us((0x0028, 0x0002), 1)
        .text((0x0028, 0x0004), "CS", "MONOCHROME2")
        .us((0x0028, 0x0010), side)
        .us((0x0028, 0x0011), side)
        .text((0x0028, 0x0030), "DS", "0.673828\\0.673828")
        .us((0x0028, 0x0100), 16)
        .us((0x0028, 0x0101), 12)
        .us((0x0028, 0x0102), 11)
        .us((0x0028, 0x0103), 0)
        .us((0x0028, 0x0106), 0)
        .us((0x0028, 0x0107), 4095)
        .text((0x0028, 0x1050), "DS", "-600\\40")
        .text((0x0028, 0x1051), "DS", "1200\\400")
        .text((0x0028, 0x1052), "DS", "-1024")
        .text((0x0028, 0x1053), "DS", "1");
    if ct {
        let mut attributes = DataSet::default();
        attributes
            .text((0x0040, 0x0007), "LO", "CT thorax with contrast")
            .text((0x0040, 0x0009), "SH", "SPS0001")
            .text((0x0040, 0x1001), "SH", "RP0001");
        set.text((0x0028, 0x1055), "LO", "WINDOW1\\WINDOW2")
            .text((0x0032, 0x1060), "LO", "CT thorax with contrast")
            .text((0x0040, 0x0244), "DA", "20240611")
            .text((0x0040, 0x0245), "TM", "100312.250000")
            .sequence((0x0040, 0x0275), attributes);
    }
}

/// (7FE0,0010) Pixel Data: a round body in air, with as much noise in its 12 bits as a thin slice
/// has, so that no compression on the way makes it much smaller.
fn pixel_element(seed: u64, side: u16) -> Vec<u8> {
    let mut random = Random::new(seed, Stream::Pixels, u64::from(side));
    let (size, radius) = (i32::from(side), i32::from(side) * 2 / 5);
    let mut pixels = Vec::with_capacity(usize::from(side) * usize::from(side) * 2);
    for y in -size / 2..size / 2 {
        for x in -size / 2..size / 2 {
            let (level, noise) = if x * x + y * y < radius * radius {
                (1_064, 9)
            } else {
                (64, 7)
            };
            let value = level + (random.next() >> (64 - noise));
            pixels.extend_from_slice(&u16::try_from(value).expect("12 bits").to_le_bytes());
        }
    }
    let mut set = DataSet::default();
    set.long_header((0x7FE0, 0x0010), "OW", pixels.len());
    let mut element = set.into_bytes();
    element.extend_from_slice(&pixels);
    element
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::top_level;
    use std::collections::HashSet;

    const SHAPE: Shape = Shape {
        instances_per_series: 200,
        series_per_study: 2,
    };

    #[test]
    fn heads_of_images_have_few_lengths_and_their_tags_ascend() {
        for (source, bytes) in [
            (Source::ct(1, SHAPE), 520_000..530_000),
            (Source::small(1, SHAPE), 2_900..4_000),
        ] {
            let mut lengths = HashSet::new();
            source.each(150, 700, |object| {
                lengths.insert(object.head.len());
                let tail = &source.tails[object.tail.unwrap()];
                let set = [object.head.as_slice(), tail].concat();
                assert!(bytes.contains(&set.len()), "{} bytes", set.len());
                let tags: Vec<_> = top_level(&set, true)
                    .unwrap()
                    .iter()
                    .map(|e| e.tag)
                    .collect();
                assert!(tags.is_sorted(), "{tags:X?}");
                assert_eq!(tags.last(), Some(&(0x7FE0, 0x0010)));
            });
            assert!(lengths.len() <= 2, "{lengths:?}");
        }
    }

    #[test]
    fn instances_are_spread_over_series_and_studies() {
        let source = Source::small(1, SHAPE);
        let (mut studies, mut series, mut instances) =
            (HashSet::new(), HashSet::new(), HashSet::new());
        source.each(0, 1_000, |object| {
            studies.insert(object.identity.study_instance_uid);
            series.insert(object.identity.series_instance_uid);
            instances.insert(object.identity.sop_instance_uid);
        });
        assert_eq!(
            (studies.len(), series.len(), instances.len()),
            (3, 5, 1_000)
        );
    }
}
