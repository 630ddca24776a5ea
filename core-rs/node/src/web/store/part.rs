//! The parts of a Store request, one after the other.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use vna_dicom::{Identity, Model};

use super::bulk::{BulkData, BulkPart};
use super::join::{Joiner, Metadata};
use super::media::{PartKind, kind_of};
use crate::error::ArchiveError;
use crate::ingest::UploadError;
use crate::ingest::multipart::PartHeader;
use crate::ingest::object::{Ingest, Object};
use crate::ingest::pending::{Entry, Subject};
use crate::transcode::SpoolSettings;

/// Bytes of one part of metadata, which is held while it is read. What is long in a data set is bulk data.
const MAX_METADATA_BYTES: u64 = 64 << 20;

/// Numbers for the instances of one part of metadata, so that those of several keep their order.
const NUMBERS_PER_PART: u64 = 1 << 32;

/// Takes the parts in.
pub(super) struct Receiver {
    ingest: Arc<Ingest>,
    /// The study that all instances must be of.
    study: Option<String>,
    /// What a part is that does not say it.
    parts_are: Option<PartKind>,
    /// Parts so far.
    count: u64,
    open: Option<Open>,
    bulk: BulkData,
    metadata: Vec<Metadata>,
    /// Whether there was metadata that cannot be used, to which bulk data may belong.
    has_lost_metadata: bool,
}

/// The part that arrives.
enum Open {
    File(Object, Entry),
    Metadata(Metadata),
    Bulk(BulkPart),
    /// What is wrong with it was told; the rest of it is for nobody.
    Refused,
}

impl Receiver {
    pub fn new(ingest: &Arc<Ingest>, study: Option<String>, parts_are: Option<PartKind>) -> Self {
        Receiver {
            ingest: Arc::clone(ingest),
            study,
            parts_are,
            count: 0,
            open: None,
            bulk: BulkData::new(&spool_settings(ingest)),
            metadata: Vec::new(),
            has_lost_metadata: false,
        }
    }

    /// Whether there is any metadata.
    pub fn has_metadata(&self) -> bool {
        !self.metadata.is_empty()
    }

    /// A part begins.
    pub fn begin(&mut self, header: PartHeader) -> Result<(), ArchiveError> {
        self.ingest.count_entries(1)?;
        let entry = Entry {
            number: self.count * NUMBERS_PER_PART,
            name: header.location.clone(),
            subject: None,
        };
        self.count += 1;
        if !matches!(
            header.transfer_encoding.as_str(),
            "" | "binary" | "8bit" | "7bit"
        ) {
            let problem = format!(
                "Content-Transfer-Encoding {} is not read; binary is",
                header.transfer_encoding
            );
            let code = "multipart.encoding";
            return self.refuse(entry, UploadError::Unsupported { code, problem }.into());
        }
        let at = self.bulk.size();
        self.open = Some(match kind_of(&header.content_type, self.parts_are) {
            PartKind::File => Open::File(Object::new(&self.ingest), entry),
            PartKind::Json => Open::Metadata(Metadata::new(Model::Json, at, entry)),
            PartKind::Xml => Open::Metadata(Metadata::new(Model::Xml, at, entry)),
            PartKind::Bulk => Open::Bulk(BulkPart::new(header, at, entry.number)),
        });
        Ok(())
    }

    /// The next bytes of it.
    pub fn bytes(&mut self, bytes: Cow<'_, [u8]>) -> Result<(), ArchiveError> {
        let taken = match &mut self.open {
            Some(Open::File(object, _)) => object.push(bytes),
            Some(Open::Metadata(metadata)) => {
                metadata.length += bytes.len() as u64;
                let (length, limit) = (metadata.length, MAX_METADATA_BYTES);
                self.ingest.count_bytes(bytes.len() as u64)?;
                match length > limit {
                    true => Err(UploadError::MetadataBytes { limit }.into()),
                    false => self.bulk.append(&bytes),
                }
            }
            Some(Open::Bulk(part)) => {
                part.length += bytes.len() as u64;
                let (length, limit) = (part.length, self.ingest.bounds().max_object_bytes);
                self.ingest.count_bytes(bytes.len() as u64)?;
                match length > limit {
                    true => Err(UploadError::ObjectBytes { limit }.into()),
                    false => self.bulk.append(&bytes),
                }
            }
            Some(Open::Refused) | None => Ok(()),
        };
        self.go_on(taken)
    }

    /// The same of bytes that need not be copied.
    pub fn shared(&mut self, bytes: Bytes) -> Result<(), ArchiveError> {
        match &mut self.open {
            Some(Open::File(object, _)) => {
                let taken = object.push_shared(bytes);
                self.go_on(taken)
            }
            _ => self.bytes(Cow::Borrowed(&bytes)),
        }
    }

    /// Refuses the part whose bytes could not be taken.
    fn go_on(&mut self, taken: Result<(), ArchiveError>) -> Result<(), ArchiveError> {
        let Err(error) = taken else {
            return Ok(());
        };
        match self.open.replace(Open::Refused) {
            Some(Open::File(object, mut entry)) => {
                entry.subject = subject_of_file(&object);
                self.refuse(entry, error)
            }
            Some(Open::Metadata(metadata)) => {
                self.has_lost_metadata = true;
                self.refuse(metadata.entry, error)
            }
            Some(Open::Bulk(part)) => self.refuse(part.entry(), error),
            Some(Open::Refused) | None => Ok(()),
        }
    }

    /// It ends.
    pub fn end(&mut self) -> Result<(), ArchiveError> {
        match self.open.take() {
            Some(Open::File(object, entry)) => self.file(object, entry),
            Some(Open::Metadata(metadata)) => {
                self.metadata.push(metadata);
                Ok(())
            }
            Some(Open::Bulk(part)) => {
                self.bulk.push(part);
                Ok(())
            }
            Some(Open::Refused) | None => Ok(()),
        }
    }

    /// All parts are there: makes instances of metadata and bulk data.
    pub fn join(&mut self) -> Result<(), Arc<ArchiveError>> {
        let settings = spool_settings(&self.ingest);
        let bulk = std::mem::replace(&mut self.bulk, BulkData::new(&settings));
        let metadata = std::mem::take(&mut self.metadata);
        let study = self.study.as_deref();
        Joiner::new(&self.ingest, study, bulk, self.has_lost_metadata).join(metadata)
    }

    fn file(&mut self, mut object: Object, mut entry: Entry) -> Result<(), ArchiveError> {
        let (instance, arrived) = match object.whole() {
            Ok(whole) => whole,
            Err(error) => {
                entry.subject = subject_of_file(&object);
                return self.refuse(entry, error);
            }
        };
        entry.subject = Some(Box::new(subject_of(&instance.identity)));
        let found = &instance.identity.study_instance_uid;
        if let Err(error) = check_study(self.study.as_deref(), found) {
            return self.refuse(entry, error.into());
        }
        let kept = entry.clone();
        match self.ingest.store(entry, instance, arrived) {
            Err(error) => self.refuse(kept, error),
            Ok(()) => Ok(()),
        }
    }

    fn refuse(&mut self, entry: Entry, error: ArchiveError) -> Result<(), ArchiveError> {
        let refused = self.ingest.pending.refuse(entry, error);
        refused.map_err(ArchiveError::Shared)
    }
}

/// Memory of its own, as much as one object may take while it arrives: [`Ingest::max_held_bytes`] counts it.
fn spool_settings(ingest: &Ingest) -> SpoolSettings {
    let large = ingest.archive.settings().storage.large_object_bytes;
    ingest.archive.spool_settings().with_memory(large)
}

/// Whether an instance is of the study of the path (PS3.18 §10.5.1.1.1).
pub(super) fn check_study(wanted: Option<&str>, found: &str) -> Result<(), UploadError> {
    match wanted {
        Some(wanted) if wanted != found => Err(UploadError::OtherStudy {
            wanted: wanted.to_owned(),
            found: found.to_owned(),
        }),
        _ => Ok(()),
    }
}

fn subject_of(identity: &Identity) -> Subject {
    Subject {
        study_instance_uid: identity.study_instance_uid.clone(),
        series_instance_uid: identity.series_instance_uid.clone(),
        sop_class_uid: identity.sop_class_uid.clone(),
        sop_instance_uid: identity.sop_instance_uid.clone(),
    }
}

/// What a file that cannot be read says of itself in its File Meta Information.
fn subject_of_file(object: &Object) -> Option<Box<Subject>> {
    let (sop_class_uid, sop_instance_uid) = object.media_storage_uids()?;
    Some(Box::new(Subject {
        sop_class_uid,
        sop_instance_uid,
        ..Subject::default()
    }))
}
