//! Gives stored files another form while the store writes a pack again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use vna_codec::CodecError;
use vna_store::{
    BlobReader, Encoding, Recoded, Recoder, Record, RecordKind, Replacement, StoreError,
};

use super::container::{Container, ContainerWriter, PIECE_BYTES};
use super::source::Source;
use super::{GivingUp, Method};
use crate::arrival::ArrivalHeader;
use crate::error::ArchiveError;
use crate::stored_file::{StoredFile, StoredFiles};

/// A form that does not save at least this part of what is there is not worth decoding, in percent.
const WORTH_PERCENT: u64 = 5;

/// What was done; counts grow while it works.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Files in another form.
    pub files: AtomicU64,
    /// Files looked at that stay as they are.
    pub unchanged: AtomicU64,
    /// Their bytes.
    pub unchanged_bytes: AtomicU64,
    /// Bytes of the first before.
    pub bytes_before: AtomicU64,
    /// And after.
    pub bytes_after: AtomicU64,
}

/// A recompression of some packs.
pub(crate) struct Recompression<'a> {
    pub files: &'a Arc<StoredFiles>,
    pub method: Method,
    /// Of what arrived up to then, in microseconds since 1970.
    pub until_us: i64,
    /// Whether others go first: it then rests as long as it works.
    pub is_in_background: bool,
    /// If what was received is given up: then it is about encapsulated pixel data alone.
    pub giving_up: Option<GivingUp>,
    /// It is to end soon.
    pub stopping: &'a AtomicBool,
    pub counts: &'a Counts,
}

impl Recoder for Recompression<'_> {
    fn encoding(&self) -> Encoding {
        match &self.giving_up {
            None => self.method.encoding(),
            Some(_) => self.method.encoding_instead(),
        }
    }

    fn kind(&self) -> RecordKind {
        RecordKind::ARRIVAL
    }

    fn parallel(&self) -> usize {
        match self.is_in_background {
            true => 1,
            false => self.files.codecs().settings().parallel,
        }
    }

    fn recode(
        &self,
        record: &Record<'_>,
        source: &BlobReader,
        into: &mut Replacement,
    ) -> Result<Recoded, StoreError> {
        if self.stopping.load(Ordering::Acquire) {
            return Err(StoreError::Io(std::io::ErrorKind::Interrupted.into()));
        }
        let Ok(header) = serde_json::from_slice::<ArrivalHeader>(record.header) else {
            return Ok(Recoded::Unchanged); // not one of ours
        };
        if header.at_us > self.until_us {
            return Ok(Recoded::Later);
        }
        let began = Instant::now();
        let is_smaller = match &self.giving_up {
            None => self.convert(source, into),
            Some(giving_up) => self.replace(giving_up, source, into),
        };
        if self.is_in_background {
            std::thread::sleep(began.elapsed());
        }
        let add = |counter: &AtomicU64, amount| counter.fetch_add(amount, Ordering::Relaxed);
        match is_smaller {
            Ok(true) => {
                add(&self.counts.files, 1);
                add(&self.counts.bytes_before, source.stored_size());
                add(&self.counts.bytes_after, into.size());
                Ok(Recoded::Replaced)
            }
            Ok(false) => {
                add(&self.counts.unchanged, 1);
                add(&self.counts.unchanged_bytes, source.stored_size());
                Ok(Recoded::Unchanged)
            }
            // Damaged, or gone meanwhile: copying it tells.
            Err(ArchiveError::Store(StoreError::Damaged(_) | StoreError::Gone { .. })) => {
                Ok(Recoded::Later)
            }
            Err(ArchiveError::Store(error)) => Err(error),
            Err(error) => {
                add(&self.counts.unchanged, 1);
                add(&self.counts.unchanged_bytes, source.stored_size());
                let is_passing = matches!(error, ArchiveError::Codec(CodecError::Helper { .. }));
                tracing::warn!(lsn = record.lsn, "not recompressed: {error}");
                Ok(match is_passing {
                    true => Recoded::Later,
                    false => Recoded::Unchanged,
                })
            }
        }
    }
}

impl Recompression<'_> {
    /// Writes the file that is to take the place of what was received, and compares the two; false if it does not pay, is
    /// not asked for, or is not the same instance.
    fn replace(
        &self,
        giving_up: &GivingUp,
        source: &BlobReader,
        into: &mut Replacement,
    ) -> Result<bool, ArchiveError> {
        let file = Arc::new(self.files.of_reader(source.clone())?);
        let codecs = self.files.codecs();
        let most = source.stored_size() / 100 * (100 - WORTH_PERCENT);
        if !giving_up.write(&file, self.method, most, codecs, into)? {
            return Ok(false);
        }
        file.verify()?; // what takes the place of damaged bytes would hide the damage
        let is_same = GivingUp::is_same(&file, into, codecs)?;
        if !is_same {
            tracing::warn!(
                "a transcoded file is not the same instance without loss: the original is kept"
            );
        }
        Ok(is_same)
    }

    /// Writes the other form, and reads the file back from it; false if it does not pay or is not the file.
    fn convert(&self, source: &BlobReader, into: &mut Replacement) -> Result<bool, ArchiveError> {
        let file = self.files.of_reader(source.clone())?;
        let codecs = self.files.codecs();
        let frames = match (Source::of(&file)?, self.method) {
            (Source::Compressed, _) => return Ok(false),
            (Source::Other, _) | (_, Method::Deflate) => None,
            (
                Source::Frames {
                    offset,
                    count,
                    layout,
                },
                _,
            ) => Some((offset, count, layout)),
        };
        let layout = frames.map(|(_, _, layout)| layout);
        let mut writer = ContainerWriter::new(into, codecs, self.method, layout);
        let mut at = 0;
        if let Some((offset, count, layout)) = frames {
            copy(&file, 0, offset, &mut writer)?;
            at = offset;
            let length = layout.frame_bytes().unwrap_or(0);
            let mut native = Vec::new();
            for _ in 0..count {
                if length > codecs.settings().max_frame_bytes {
                    break;
                }
                native.resize(usize::try_from(length).unwrap_or(0), 0);
                file.read_once_at(&mut native, at)?;
                writer.frame(&native)?;
                at += length;
            }
        }
        copy(&file, at, file.size(), &mut writer)?;
        let written = writer.finish()?;
        if into.size() * 100 > source.stored_size() * (100 - WORTH_PERCENT) {
            return Ok(false);
        }
        // Read back as a reader will: table, parts, codestreams.
        let container = Container::open(into, file.size())?;
        let is_it = container == written && container.digest(into, codecs)? == file.blob().digest;
        if !is_it {
            tracing::error!(
                "a recompressed file was not the one that it was made of: it is kept as it was"
            );
        }
        Ok(is_it)
    }
}

/// Copies bytes of the file that are no frames.
fn copy(
    file: &StoredFile,
    from: u64,
    to: u64,
    writer: &mut ContainerWriter<'_>,
) -> Result<(), ArchiveError> {
    let mut piece = vec![0; PIECE_BYTES.min(usize::try_from(to - from).unwrap_or(PIECE_BYTES))];
    let mut at = from;
    while at < to {
        let length = usize::try_from(to - at).map_or(piece.len(), |left| left.min(piece.len()));
        file.read_once_at(&mut piece[..length], at)?;
        writer.bytes(&piece[..length])?;
        at += length as u64;
    }
    Ok(())
}
