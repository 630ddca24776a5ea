//! The textual forms of stored instances: tags as JSON, DICOM JSON and XML, and one place of a data set.
//!
//! A file is read in parts, no further than the form needs, and long values are stepped over: memory does not grow with
//! the file, but with the elements and short values of it.

use serde::Deserialize;
use vna_dicom::{
    Content, ContentStream, DicomError, ElementPath, Level, Model, ModelOptions, ModelStream,
    PublicId, SharedTags, Tag, TagsForm, TagsOptions, TagsStream, TransferSyntax, header_json,
    module_tags,
};
use vna_index::{Located, Page};

use crate::archive::Archive;
use crate::error::ArchiveError;
use crate::stored_file::StoredFile;

/// The longest header of a data element, in bytes (PS3.5 §7.1.2).
const ELEMENT_HEADER_BYTES: u64 = 12;

/// Bytes that are read at once: few heads are longer, and stepping over a value costs no more than this.
const READ_BYTES: u64 = 64 << 10;

/// Instances that are located at once.
const PAGE: u64 = 1000;

/// Which tags of a resource, and how.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct TagsRequest {
    /// Which.
    #[serde(default)]
    pub of: TagsOf,
    /// How.
    #[serde(default)]
    pub form: Form,
    /// Tags, as numbers, that are given however long their values are.
    #[serde(default)]
    pub ignore_length: Vec<u32>,
    /// Also what stands behind the pixel data.
    #[serde(default)]
    pub whole: bool,
}

/// Which tags of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum TagsOf {
    /// The data set of an instance.
    #[default]
    DataSet,
    /// Its File Meta Information.
    Header,
    /// The module that describes the resource, as one of its instances has it.
    Module,
    /// The module that describes its patient.
    PatientModule,
    /// What all its instances have alike.
    Shared,
}

/// The form of tags; see [`TagsForm`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names of TagsForm")]
pub enum Form {
    #[default]
    Full,
    Short,
    Simplified,
}

/// The tags of a resource as JSON; of one above instances they are those of an instance of it, or of all.
///
/// # Errors
///
/// [`ArchiveError::NotFound`], or as [`stored_tags_json`].
pub fn tags_json(
    archive: &Archive,
    tenant: i64,
    level: Level,
    id: &PublicId,
    request: &TagsRequest,
) -> Result<Vec<u8>, ArchiveError> {
    let ignore_length: Vec<Tag> = request
        .ignore_length
        .iter()
        .copied()
        .map(Tag::from_u32)
        .collect();
    let only = match request.of {
        TagsOf::Module => Some(module_tags(level)),
        TagsOf::PatientModule => Some(module_tags(Level::Patient)),
        TagsOf::DataSet | TagsOf::Header | TagsOf::Shared => None,
    };
    let options = TagsOptions {
        form: match request.form {
            Form::Full => TagsForm::Full,
            Form::Short => TagsForm::Short,
            Form::Simplified => TagsForm::Simplified,
        },
        ignore_length: &ignore_length,
        whole: request.whole,
        only,
        ..TagsOptions::default()
    };
    if request.of == TagsOf::Shared {
        return shared_tags_json(archive, tenant, level, id, &options);
    }
    let (located, reader) = open_first(archive, tenant, level, id)?;
    if request.of == TagsOf::Header {
        return stored_header_json(&located, &reader, &options);
    }
    stored_tags_json(&located, &reader, &options)
}

/// An instance, or the first that arrived of a resource above.
fn open_first(
    archive: &Archive,
    tenant: i64,
    level: Level,
    id: &PublicId,
) -> Result<(Located, StoredFile), ArchiveError> {
    let not_found = || ArchiveError::NotFound {
        level,
        public_id: *id,
    };
    if level == Level::Instance {
        return archive.open_file(tenant, id)?.ok_or_else(not_found);
    }
    // The first may be deleted before it is open; then another is.
    loop {
        let first = archive
            .index()
            .locate_below(tenant, level, id, Page { since: 0, limit: 1 })?;
        let first = first.and_then(|found| found.into_iter().next());
        let first = first.ok_or_else(not_found)?;
        if let Some(opened) = archive.open_file(tenant, &first.instance)? {
            return Ok(opened);
        }
    }
}

/// What all instances below a resource have alike.
fn shared_tags_json(
    archive: &Archive,
    tenant: i64,
    level: Level,
    id: &PublicId,
    options: &TagsOptions<'_>,
) -> Result<Vec<u8>, ArchiveError> {
    let mut shared = SharedTags::default();
    let mut since = 0;
    while !shared.is_empty() {
        let page = Page { since, limit: PAGE };
        let located = archive.index().locate_below(tenant, level, id, page)?;
        let located = located.ok_or_else(|| ArchiveError::NotFound {
            level,
            public_id: *id,
        })?;
        for instance in &located {
            // What was deleted meanwhile has nothing in common with the others.
            if let Some((located, reader)) = archive.open_file(tenant, &instance.instance)? {
                let mut stream = TagsStream::new(options);
                read_parts(&located, &reader, options.whole, &mut stream)?;
                shared.add(stream)?;
            }
        }
        since += PAGE;
        if located.len() as u64 != PAGE {
            break;
        }
    }
    Ok(shared.finish())
}

/// The tags of a stored file. Reads no further than the pixel data, unless all is asked for.
///
/// # Errors
///
/// What the store says, or the scanner of what is stored; `budget.tags` if there is more to give than
/// [`vna_dicom::MAX_TAGS_BYTES`].
pub fn stored_tags_json(
    located: &Located,
    reader: &StoredFile,
    options: &TagsOptions<'_>,
) -> Result<Vec<u8>, ArchiveError> {
    let mut stream = TagsStream::new(options);
    read_parts(located, reader, options.whole, &mut stream)?;
    Ok(stream.finish()?)
}

/// The same if it need not wait for the disk; `None` if it would have to.
///
/// # Errors
///
/// As [`stored_tags_json`].
pub fn cached_tags_json(
    located: &Located,
    reader: &StoredFile,
    options: &TagsOptions<'_>,
) -> Result<Option<Vec<u8>>, ArchiveError> {
    let mut stream = TagsStream::new(options);
    let read = |buffer: &mut [u8], at| reader.read_cached_at(buffer, at);
    if !feed(located, options.whole, &mut stream, read)? {
        return Ok(None);
    }
    Ok(Some(stream.finish()?))
}

/// The File Meta Information of a stored file.
fn stored_header_json(
    located: &Located,
    reader: &StoredFile,
    options: &TagsOptions<'_>,
) -> Result<Vec<u8>, ArchiveError> {
    // What the index says was read from the file, in which it is at most MAX_META_BYTES.
    let mut head = vec![0; usize::try_from(located.data_set_offset).unwrap_or(0)];
    let read = reader.read_at(&mut head, 0)?;
    Ok(header_json(&head[..read], options)?)
}

/// A stored file in DICOM JSON or XML.
///
/// # Errors
///
/// As [`stored_tags_json`].
pub fn stored_model(
    located: &Located,
    reader: &StoredFile,
    model: Model,
    options: &ModelOptions<'_>,
) -> Result<Vec<u8>, ArchiveError> {
    let mut stream = ModelStream::new(model, options);
    read_parts(located, reader, options.whole, &mut stream)?;
    Ok(stream.finish()?)
}

/// What is at a place of a stored file; `None` if there is no such place. A value of a deflated data set is held: it has
/// no place in the file.
///
/// # Errors
///
/// As [`stored_tags_json`].
pub fn stored_content(
    located: &Located,
    reader: &StoredFile,
    path: ElementPath,
) -> Result<Option<Content>, ArchiveError> {
    let hold = TransferSyntax::from_uid(&located.transfer_syntax_uid).deflated;
    let mut stream = ContentStream::new(path, hold);
    read_parts(located, reader, true, &mut stream)?;
    Ok(stream.finish()?)
}

/// Reads a file in parts.
trait Parts {
    fn push(&mut self, part: &[u8]) -> Result<(), DicomError>;
    fn is_done(&self) -> bool;
    fn skip(&mut self, file_bytes: u64) -> u64;
}

macro_rules! parts {
    ($($stream:ty),*) => {$(
        impl Parts for $stream {
            fn push(&mut self, part: &[u8]) -> Result<(), DicomError> {
                self.push(part)
            }

            fn is_done(&self) -> bool {
                self.is_done()
            }

            fn skip(&mut self, file_bytes: u64) -> u64 {
                self.skip(file_bytes)
            }
        }
    )*};
}

parts!(TagsStream<'_>, ModelStream<'_>, ContentStream);

fn read_parts(
    located: &Located,
    reader: &StoredFile,
    whole: bool,
    stream: &mut impl Parts,
) -> Result<(), ArchiveError> {
    let read = |buffer: &mut [u8], at| reader.read_at(buffer, at).map(Some);
    // Nothing but a read that does not wait is given up.
    feed(located, whole, stream, read).map(|_| ())
}

/// How much of a file is read at first for what stands before its pixel data, or for all.
pub(crate) fn first_bytes(located: &Located, whole: bool) -> u64 {
    let end = located.file_size;
    let head = located
        .pixel_data_offset
        .filter(|_| !whole)
        .map_or(end, |offset| end.min(offset + ELEMENT_HEADER_BYTES));
    head.min(READ_BYTES)
}

/// Gives the stream what it needs of the file, and tells whether it could: `read` may give up.
fn feed(
    located: &Located,
    whole: bool,
    stream: &mut impl Parts,
    mut read: impl FnMut(&mut [u8], u64) -> Result<Option<usize>, ArchiveError>,
) -> Result<bool, ArchiveError> {
    let end = located.file_size;
    let bytes = first_bytes(located, whole);
    let mut buffer = vec![0; usize::try_from(bytes).unwrap_or(usize::MAX)];
    let mut at = 0;
    while at < end && !stream.is_done() {
        let Some(read) = read(&mut buffer, at)? else {
            return Ok(false);
        };
        if read == 0 {
            break;
        }
        stream.push(&buffer[..read])?;
        at = stream.skip(end);
    }
    Ok(true)
}
