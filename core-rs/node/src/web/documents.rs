//! Metadata of instances as text, a chunk of some instances at a time.

use std::sync::Arc;

use bytes::Bytes;
use flate2::{Crc, Decompress, FlushDecompress};
use vna_dicom::{Model, ModelOptions};
use vna_index::{Located, PickedInstance, PickedSeries};

use super::multipart::{Boundary, PART_END};
use super::selection::{Selection, location};
use crate::archives::deflate::{deflate, store};
use crate::error::ArchiveError;
use crate::forms::{first_bytes, stored_model};

/// Instances whose metadata is written at once.
pub(super) const CHUNK: usize = 64;

/// Text of a chunk beyond which no further instance is added.
const ENOUGH_BYTES: usize = 1 << 20;

/// Texts of headers are alike, so the fastest level finds most of what there is to save.
const DEFLATE_LEVEL: u32 = 1;

/// How metadata is written.
#[derive(Clone, Debug)]
pub(super) struct Style {
    /// The address of the service, without a slash at its end.
    pub root: String,
    /// Longest value in bytes that is given in place.
    pub bulk_threshold: u64,
    pub form: Form,
}

/// The form of an answer.
#[derive(Clone, Debug)]
pub(super) enum Form {
    /// One array (PS3.18 §F.2.1).
    Json,
    /// A part for each instance (PS3.19 §A.1).
    Xml(Boundary),
}

impl Form {
    /// What stands before the first instance, between two chunks, and behind the last one.
    pub fn frame(&self) -> [Vec<u8>; 3] {
        match self {
            Form::Json => [b"[".to_vec(), b",".to_vec(), b"]".to_vec()],
            Form::Xml(boundary) => [Vec::new(), Vec::new(), boundary.end()],
        }
    }
}

/// The metadata of some instances of a series.
#[derive(Clone)]
pub(super) struct Chunk {
    /// Of how many instances, those that went meanwhile among them.
    pub instances: usize,
    pub text: Bytes,
}

/// The same, deflated so that it can stand behind another one.
#[derive(Clone)]
pub(super) struct Packed {
    pub instances: usize,
    deflated: Bytes,
    crc: Arc<Crc>,
    plain_bytes: usize,
}

impl Chunk {
    /// Writes the metadata of as many of `instances` as make a chunk, at least one. Waits for the disk.
    ///
    /// # Errors
    ///
    /// What index and store say. An instance whose header cannot be read is described by what the index knows, unless it
    /// is the only one.
    pub fn write(
        selection: &Selection,
        series: &PickedSeries,
        instances: &[PickedInstance],
        style: &Style,
    ) -> Result<Chunk, ArchiveError> {
        let wanted = &instances[..instances.len().min(CHUNK)];
        let located = selection.locate(wanted)?;
        for located in wanted.iter().filter_map(|one| located.get(&one.instance)) {
            let bytes = first_bytes(located, false);
            selection.archive().will_read(located, bytes);
        }
        let mut text = Vec::new();
        let mut done = 0;
        for instance in wanted {
            done += 1;
            // What has no row any more was deleted, and its time is over.
            let Some(located) = located.get(&instance.instance) else {
                continue;
            };
            let document = match document(selection, series, instance, located, style) {
                Err(error) if error.is_of_one_file() && selection.len() > 1 => {
                    let instance = located.instance.to_string();
                    tracing::warn!(error = %error, instance, "the header of an instance cannot be read");
                    known(series, located, &style.form)
                }
                document => document?,
            };
            match &style.form {
                Form::Json => {
                    if !text.is_empty() {
                        text.push(b',');
                    }
                    text.extend_from_slice(&document);
                }
                Form::Xml(boundary) => {
                    let location = location(&style.root, series, &located.sop_instance_uid);
                    let location = format!("{location}/metadata");
                    text.extend(boundary.part("application/dicom+xml", &location, None));
                    text.extend_from_slice(&document);
                    text.extend_from_slice(PART_END);
                }
            }
            if text.len() >= ENOUGH_BYTES {
                break;
            }
        }
        Ok(Chunk {
            instances: done,
            text: Bytes::from(text),
        })
    }

    /// Deflates it.
    ///
    /// # Errors
    ///
    /// What the library says.
    pub fn pack(&self) -> Result<Packed, ArchiveError> {
        let deflated = match deflate(&self.text, DEFLATE_LEVEL, false)? {
            Some(deflated) => deflated,
            None => store(&self.text, false),
        };
        let mut crc = Crc::new();
        crc.update(&self.text);
        Ok(Packed {
            instances: self.instances,
            deflated: Bytes::from(deflated),
            crc: Arc::new(crc),
            plain_bytes: self.text.len(),
        })
    }
}

fn document(
    selection: &Selection,
    series: &PickedSeries,
    instance: &PickedInstance,
    located: &Located,
    style: &Style,
) -> Result<Vec<u8>, ArchiveError> {
    let reader = selection.open(instance.instance, located)?;
    write(located, &reader, series, style)
}

fn write(
    located: &Located,
    reader: &crate::stored_file::StoredFile,
    series: &PickedSeries,
    style: &Style,
) -> Result<Vec<u8>, ArchiveError> {
    let bulk_uri = bulk_uri(style, series, located);
    let options = options(style, &bulk_uri);
    let model = match style.form {
        Form::Json => Model::Json,
        Form::Xml(_) => Model::Xml,
    };
    stored_model(located, reader, model, &options)
}

/// What addresses of values begin with.
pub(super) fn bulk_uri(style: &Style, series: &PickedSeries, located: &Located) -> String {
    let instance = location(&style.root, series, &located.sop_instance_uid);
    format!("{instance}/bulkdata")
}

pub(super) fn options<'a>(style: &Style, bulk_uri: &'a str) -> ModelOptions<'a> {
    ModelOptions {
        bulk_threshold: style.bulk_threshold,
        bulk_uri,
        documents_by_uri: true,
        whole: false,
    }
}

/// What the index knows of an instance. UIDs have no character that JSON or XML would escape, but what was stored as a UID
/// may have.
fn known(series: &PickedSeries, located: &Located, form: &Form) -> Vec<u8> {
    use vna_dicom::{DataElement, DataSet, Vr, tags, write_data_set};
    let mut data_set = DataSet::new();
    for (tag, uid) in [
        (tags::SOP_CLASS_UID, &located.sop_class_uid),
        (tags::SOP_INSTANCE_UID, &located.sop_instance_uid),
        (tags::STUDY_INSTANCE_UID, &series.study_instance_uid),
        (tags::SERIES_INSTANCE_UID, &series.series_instance_uid),
    ] {
        data_set.insert(DataElement::new(tag, Vr::UI, uid.as_bytes().to_vec()));
    }
    let model = match form {
        Form::Json => Model::Json,
        Form::Xml(_) => Model::Xml,
    };
    write_data_set(&data_set, model, &ModelOptions::default())
}

impl Packed {
    /// Bytes that it takes in memory.
    pub fn bytes(&self) -> u64 {
        (self.deflated.len() + size_of::<Self>()) as u64
    }

    /// How long its text is.
    pub fn plain_bytes(&self) -> usize {
        self.plain_bytes
    }

    /// Its text.
    ///
    /// # Errors
    ///
    /// If it is not what was packed.
    pub fn unpack(&self) -> Result<Bytes, ArchiveError> {
        let damaged = || ArchiveError::Io {
            doing: "unpacking metadata",
            source: std::io::ErrorKind::InvalidData.into(),
        };
        let mut inflate = Decompress::new(false);
        let mut text = Vec::with_capacity(self.plain_bytes);
        while text.len() < self.plain_bytes {
            let at = usize::try_from(inflate.total_in()).unwrap_or(usize::MAX);
            let rest = self.deflated.get(at..).ok_or_else(damaged)?;
            let before = (at, text.len());
            inflate
                .decompress_vec(rest, &mut text, FlushDecompress::Sync)
                .map_err(|_| damaged())?;
            let read = usize::try_from(inflate.total_in()).unwrap_or(usize::MAX);
            if (read, text.len()) == before {
                return Err(damaged());
            }
        }
        Ok(Bytes::from(text))
    }
}

/// Puts packed chunks together as one gzip file (RFC 1952).
pub(super) struct Gzip {
    crc: Crc,
}

impl Gzip {
    const HEADER: [u8; 10] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 4, 0xFF];

    pub fn new() -> (Gzip, Vec<u8>) {
        (Gzip { crc: Crc::new() }, Self::HEADER.to_vec())
    }

    /// A chunk behind those before it.
    pub fn packed(&mut self, packed: &Packed) -> Bytes {
        self.crc.combine(&packed.crc);
        packed.deflated.clone()
    }

    /// A few bytes as they are.
    pub fn plain(&mut self, text: &[u8], is_last: bool) -> Vec<u8> {
        self.crc.update(text);
        store(text, is_last)
    }

    /// What stands behind the last one.
    pub fn trailer(&self) -> [u8; 8] {
        let [a, b, c, d] = self.crc.sum().to_le_bytes();
        let [e, f, g, h] = self.crc.amount().to_le_bytes();
        [a, b, c, d, e, f, g, h]
    }

    /// How long a file of such chunks is: `plain` are the lengths of what stands between them as it is.
    pub fn length(packed: &[Packed], plain: impl Iterator<Item = usize>) -> u64 {
        let chunks: usize = packed.iter().map(|one| one.deflated.len()).sum();
        let between: usize = plain
            .map(|length| store(&vec![0; length], false).len())
            .sum();
        (Self::HEADER.len() + chunks + between + 8) as u64
    }
}
