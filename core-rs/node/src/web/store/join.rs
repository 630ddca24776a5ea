//! Instances of metadata and bulk data (PS3.18 §10.5.1.4).

use std::sync::Arc;

use vna_dicom::edit::{EditedFile, MadeFile};
use vna_dicom::{
    CharacterSet, DataElement, DataSet, Model, ReadAt, StoredValue, Tag, Value, Vr, json_extents,
    read_model_with_meta, tags,
};

use super::bulk::{BulkByUri, BulkData, BulkPart};
use super::media::{file_syntax, media_type};
use super::part::check_study;
use super::pictures::Room;
use super::pixels::{Pixels, pixel_data};
use crate::error::ArchiveError;
use crate::ingest::UploadError;
use crate::ingest::object::Ingest;
use crate::ingest::pending::{Entry, Subject};
use crate::transcode::Spool;

/// So many bytes may be made of any bulk data; beyond them it is bounded by `uploads.max_ratio`, since many instances can
/// refer to the same.
const FREE_BYTES: u64 = 1 << 20;

const ENCAPSULATED_DOCUMENT: Tag = Tag(0x0042, 0x0011);
const MIME_TYPE_OF_ENCAPSULATED_DOCUMENT: Tag = Tag(0x0042, 0x0012);
const ENCAPSULATED_DOCUMENT_LENGTH: Tag = Tag(0x0042, 0x0015);

/// A part of metadata: where its text is.
pub(super) struct Metadata {
    model: Model,
    offset: u64,
    pub length: u64,
    pub entry: Entry,
}

impl Metadata {
    pub fn new(model: Model, offset: u64, entry: Entry) -> Self {
        Metadata {
            model,
            offset,
            length: 0,
            entry,
        }
    }
}

/// Makes the instances of one request.
pub(super) struct Joiner<'a> {
    ingest: &'a Arc<Ingest>,
    study: Option<&'a str>,
    bulk: BulkByUri,
    /// Bytes of files that were made.
    made: u64,
    /// Whether metadata could not be read, or made no instance.
    has_failed: bool,
}

/// Where the bytes of a file are: in the spool, and behind its end what is made of it.
struct Source {
    spool: Arc<Spool>,
    pixels: Option<MadeFile<Arc<Spool>>>,
}

impl ReadAt for Source {
    type Error = ArchiveError;

    fn size(&self) -> u64 {
        self.spool.size() + self.pixels.as_ref().map_or(0, ReadAt::size)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, ArchiveError> {
        match (offset.checked_sub(self.spool.size()), &self.pixels) {
            (Some(within), Some(pixels)) => pixels.read_at(buffer, within),
            _ => self.spool.read_at(buffer, offset),
        }
    }
}

impl<'a> Joiner<'a> {
    /// Of a request; `has_failed` says whether metadata of it could not be used already.
    pub fn new(
        ingest: &'a Arc<Ingest>,
        study: Option<&'a str>,
        bulk: BulkData,
        has_failed: bool,
    ) -> Self {
        Joiner {
            ingest,
            study,
            bulk: bulk.found_by_uri(),
            made: 0,
            has_failed,
        }
    }

    /// Stores what the metadata describes.
    ///
    /// # Errors
    ///
    /// What ends the whole request. What is wrong with one instance is told of that instance.
    pub fn join(mut self, metadata: Vec<Metadata>) -> Result<(), Arc<ArchiveError>> {
        for part in metadata {
            self.part(part)?;
        }
        // What nobody refers to is lost to who sent it, unless he hears of it. Where metadata could not be used, that says it.
        if !self.has_failed {
            for part in self.bulk.unused() {
                let error = unused(part);
                self.ingest.pending.refuse(part.entry(), error)?;
            }
        }
        Ok(())
    }

    fn part(&mut self, part: Metadata) -> Result<(), Arc<ArchiveError>> {
        let mut text = vec![0; usize::try_from(part.length).unwrap_or(0)];
        self.bulk.spool.read_at(&mut text, part.offset)?;
        match part.model {
            Model::Xml => self.instance(&text, Model::Xml, part.entry),
            Model::Json => match json_extents(&text) {
                Err(error) => self.refuse(part.entry, error.into()),
                Ok(extents) => {
                    for (number, extent) in (part.entry.number..).zip(extents) {
                        self.ingest.count_entries(1).map_err(ArchiveError::from)?;
                        let entry = Entry {
                            number,
                            ..part.entry.clone()
                        };
                        self.instance(&text[extent], Model::Json, entry)?;
                    }
                    Ok(())
                }
            },
        }
    }

    fn instance(
        &mut self,
        text: &[u8],
        model: Model,
        mut entry: Entry,
    ) -> Result<(), Arc<ArchiveError>> {
        self.ingest.pending.check()?;
        let (meta, data_set) = match read_model_with_meta(text, model) {
            Ok(read) => read,
            Err(error) => return self.refuse(entry, error.into()),
        };
        let subject = subject_of(&data_set);
        let is_named = !subject.sop_instance_uid.is_empty();
        let study = check_study(self.study, &subject.study_instance_uid);
        entry.subject = is_named.then(|| Box::new(subject));
        let made = match study {
            Ok(()) => self.store(&meta, data_set, entry.clone()),
            Err(other) => Err(other.into()),
        };
        match made {
            Ok(()) => Ok(()),
            Err(error) => self.refuse(entry, error),
        }
    }

    fn refuse(&mut self, entry: Entry, error: ArchiveError) -> Result<(), Arc<ArchiveError>> {
        self.has_failed = true;
        self.ingest.pending.refuse(entry, error)
    }

    /// Makes the file of an instance and hands it to the archive.
    fn store(
        &mut self,
        meta: &DataSet,
        mut data_set: DataSet,
        entry: Entry,
    ) -> Result<(), ArchiveError> {
        let pixels = self.pixel_data(meta, &mut data_set)?;
        self.document(&mut data_set);
        if self.resolve(&mut data_set)? && data_set.get(tags::SPECIFIC_CHARACTER_SET).is_none() {
            let utf_8 = DataElement::new(tags::SPECIFIC_CHARACTER_SET, Vr::CS, *b"ISO_IR 192");
            data_set.insert(utf_8);
        }
        let edited = EditedFile {
            transfer_syntax_uid: file_syntax(pixels.transfer_syntax_uid).to_owned(),
            meta: DataSet::new(),
            data_set,
        };
        let source = Source {
            spool: Arc::clone(&self.bulk.spool),
            pixels: pixels.made,
        };
        let file = edited.into_made(source, false)?;
        self.count(file.size())?;
        let mut at = 0;
        let (instance, arrived) = self.ingest.archive.gather(|buffer| {
            let count = file.read_at(buffer, at)?;
            at += count as u64;
            Ok(count)
        })?;
        self.ingest.store(entry, instance, arrived)
    }

    fn count(&mut self, bytes: u64) -> Result<(), ArchiveError> {
        self.check(bytes)?;
        self.made = self.made.saturating_add(bytes);
        Ok(())
    }

    /// Refuses to make so many bytes more than the bounds of uploads allow.
    fn check(&self, bytes: u64) -> Result<(), ArchiveError> {
        let bounds = self.ingest.bounds();
        if bytes > bounds.max_object_bytes {
            let limit = bounds.max_object_bytes;
            return Err(UploadError::ObjectBytes { limit }.into());
        }
        let made = self.made.saturating_add(bytes);
        let sent = self.bulk.spool.size();
        let allowed = sent.saturating_mul(bounds.max_ratio);
        match made > allowed.saturating_add(FREE_BYTES) {
            true => Err(UploadError::Ratio {
                packed: sent,
                limit: bounds.max_ratio,
            }
            .into()),
            false => Ok(()),
        }
    }

    /// Takes the pixel data out of its parts.
    fn pixel_data(&self, meta: &DataSet, data_set: &mut DataSet) -> Result<Pixels, ArchiveError> {
        let Some(DataElement {
            value: Value::BulkDataUri(uri),
            ..
        }) = data_set.get(tags::PIXEL_DATA)
        else {
            return Ok(Pixels::default());
        };
        let uri = uri.clone();
        let told = text(meta, tags::TRANSFER_SYNTAX_UID);
        let told = (!told.is_empty()).then_some(told.as_str());
        let room = Room {
            codecs: self.ingest.archive.codecs(),
            check: &|bytes| self.check(bytes),
        };
        pixel_data(&self.bulk, &uri, data_set, told, &room)
    }

    /// What is to be said of a document that a part has, where the metadata does not (PS3.3 §C.24.2): its media type, and
    /// its length if that is odd, since its value is padded.
    fn document(&self, data_set: &mut DataSet) {
        let Some(Value::BulkDataUri(uri)) = data_set.get(ENCAPSULATED_DOCUMENT).map(|it| &it.value)
        else {
            return;
        };
        let parts = self.bulk.parts_of(uri);
        let [part] = parts[..] else {
            return;
        };
        let mut missing = Vec::new();
        if !part.content_type.is_empty() {
            let media_type = media_type(&part.content_type).into_bytes();
            missing.push(DataElement::new(
                MIME_TYPE_OF_ENCAPSULATED_DOCUMENT,
                Vr::LO,
                media_type,
            ));
        }
        if let (1, Ok(length)) = (part.length % 2, u32::try_from(part.length)) {
            missing.push(DataElement::new(
                ENCAPSULATED_DOCUMENT_LENGTH,
                Vr::UL,
                length.to_le_bytes(),
            ));
        }
        for element in missing {
            if data_set
                .get(element.tag)
                .is_none_or(|it| it.value.is_empty())
            {
                data_set.insert(element);
            }
        }
    }

    /// Puts extents of the spool in the place of URIs; tells whether texts are among them.
    fn resolve(&self, data_set: &mut DataSet) -> Result<bool, ArchiveError> {
        let mut has_text = false;
        for (tag, vr, value) in data_set.elements_mut() {
            match value {
                Value::BulkDataUri(uri) => {
                    let parts = self.bulk.parts_of(uri);
                    let (offset, length) = match parts[..] {
                        [part] => part.extent(),
                        [] => return Err(missing(tag, uri)),
                        _ => return Err(several(tag, uri, parts.len())),
                    };
                    has_text |= vr.uses_character_set();
                    *value = Value::Stored(StoredValue {
                        offset,
                        length,
                        encapsulated: false,
                    });
                }
                Value::Items(items) => {
                    for item in items {
                        has_text |= self.resolve(item)?;
                    }
                }
                Value::Bytes(_) | Value::Fragments(_) | Value::Stored(_) => {}
            }
        }
        Ok(has_text)
    }
}

fn subject_of(data_set: &DataSet) -> Subject {
    Subject {
        study_instance_uid: text(data_set, tags::STUDY_INSTANCE_UID),
        series_instance_uid: text(data_set, tags::SERIES_INSTANCE_UID),
        sop_class_uid: text(data_set, tags::SOP_CLASS_UID),
        sop_instance_uid: text(data_set, tags::SOP_INSTANCE_UID),
    }
}

/// The text of an element; empty if it has none.
pub(super) fn text(data_set: &DataSet, tag: Tag) -> String {
    let element = data_set.get(tag);
    let text = element.and_then(|element| element.text(&CharacterSet::default()));
    text.unwrap_or_default()
}

/// What keeps metadata and bulk data from being an instance.
pub(super) fn unjoined(code: &'static str, problem: String) -> ArchiveError {
    UploadError::Unjoined { code, problem }.into()
}

pub(super) fn missing(tag: Tag, uri: &str) -> ArchiveError {
    unjoined(
        "bulk_data.missing",
        format!(
            "{tag} has the BulkDataURI {}, and no part has that Content-Location",
            short(uri)
        ),
    )
}

fn several(tag: Tag, uri: &str, count: usize) -> ArchiveError {
    unjoined(
        "bulk_data.several",
        format!(
            "{tag} has the BulkDataURI {}, and {count} parts have that Content-Location",
            short(uri)
        ),
    )
}

fn unused(part: &BulkPart) -> ArchiveError {
    let name = part.entry().name;
    unjoined(
        "bulk_data.unused",
        format!(
            "no metadata refers to the part with Content-Location {:?}",
            short(&name)
        ),
    )
}

fn short(uri: &str) -> &str {
    let end = uri.char_indices().nth(200).map_or(uri.len(), |(at, _)| at);
    &uri[..end]
}
