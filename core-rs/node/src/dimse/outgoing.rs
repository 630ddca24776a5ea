//! One stored instance as a C-STORE request (PS3.7 §9.1.1): read in pieces, in the transfer syntax of its presentation
//! context, and sent from where the pieces were read to. The next piece is read while the peer takes the last one.
//!
//! Held are two pieces, however long the instance is.

use super::socket::{Socket, WriteError};
use crate::archive::Archive;
use crate::error::ArchiveError;
use crate::stored_file::StoredFile;
use crate::transcode::{Abandoned, TranscodeOptions, Transcoded, is_possible};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::spawn_blocking;
use vna_dicom::{
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, DicomError, EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, PublicId, ReadAt, is_uncompressed,
};
use vna_ul::{Association, StoreRequest, UlError};

/// Bytes that are read at once; even, as fragments have to be. A CT image with its header is read in one go.
const PIECE_BYTES: usize = 1 << 20;

/// Instances of an association that are opened, and their first pieces read, while the peer stores another one: a disk
/// takes two at a time in little more than the time of one, and more buffers only fall out of the processor's caches.
pub(super) const OPENED_AHEAD: usize = 2;

/// Into which an instance is brought that the peer does not take as it is stored, the best first. Uncompressed ones
/// need no encoder and suit every instance: VRs are kept, nothing is swapped. Of the lossless ones those come first
/// that take every depth of pixels and are the quickest to make. None loses anything: that would make another instance
/// (PS3.3 §C.7.6.1.1.5), which nobody asked for.
const FALLBACKS: [&str; 13] = [
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    "1.2.840.10008.1.2.4.201", // HTJ2K, then the same in order of resolution
    "1.2.840.10008.1.2.4.202",
    "1.2.840.10008.1.2.4.80", // JPEG-LS
    "1.2.840.10008.1.2.4.70", // JPEG lossless, first-order prediction, then any
    "1.2.840.10008.1.2.4.57",
    "1.2.840.10008.1.2.4.90", // JPEG 2000
    "1.2.840.10008.1.2.5",    // RLE
    "1.2.840.10008.1.2.8.1",  // deflated frames
    "1.2.840.10008.1.2.1.98", // encapsulated, uncompressed
];

/// Whether an instance may be sent in `transfer_syntax_uid` as a matter of preference, or because nothing else is taken.
#[must_use]
pub fn keeps_everything(transfer_syntax_uid: &str) -> bool {
    FALLBACKS.contains(&transfer_syntax_uid)
}

/// A presentation context that the peer takes instances on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendingContext<'a> {
    /// Odd, 1 to 255.
    pub context_id: u8,
    /// Its abstract syntax.
    pub sop_class_uid: &'a str,
    /// How its data sets are encoded.
    pub transfer_syntax_uid: &'a str,
}

/// Why no context of an association can carry an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unsendable {
    /// The peer accepted no context for the SOP class.
    SopClass {
        /// The SOP class.
        sop_class_uid: String,
    },
    /// The peer accepted the SOP class, but not as it is stored, and no codec leads to what it accepted without loss.
    TransferSyntax {
        /// As it is stored.
        stored: String,
        /// What the peer accepted.
        accepted: Vec<String>,
    },
    /// The peer accepted the SOP class, but not as it is stored, and it may not be sent otherwise.
    NotAsStored {
        /// As it is stored.
        stored: String,
        /// What the peer accepted.
        accepted: String,
    },
}

impl std::fmt::Display for Unsendable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::SopClass { sop_class_uid } => {
                write!(f, "the peer does not accept the SOP class {sop_class_uid}")
            }
            Self::TransferSyntax { stored, accepted } => write!(
                f,
                "it is stored in {stored}, the peer accepts {}, and nothing leads there without loss",
                accepted.join(", ")
            ),
            Self::NotAsStored { stored, accepted } => write!(
                f,
                "it is stored in {stored}, the peer accepts {accepted}, and it may not be re-encoded"
            ),
        }
    }
}

/// Chooses the context that carries an instance best: as it is stored, unless it is uncompressed and an uncompressed
/// `preferred` is accepted; else in `preferred`; else in what [`FALLBACKS`] has first.
///
/// # Errors
///
/// [`Unsendable`].
pub fn choose_context<'a>(
    contexts: impl Iterator<Item = SendingContext<'a>>,
    sop_class_uid: &str,
    stored: &str,
    preferred: Option<&str>,
) -> Result<SendingContext<'a>, Unsendable> {
    let accepted: Vec<_> = contexts
        .filter(|context| context.sop_class_uid == sop_class_uid)
        .collect();
    let of = |uid: &str| {
        let mut accepted = accepted.iter().copied();
        accepted.find(|context| context.transfer_syntax_uid == uid)
    };
    let suits = |uid: &&str| keeps_everything(uid) && is_possible(stored, uid);
    let preferred = preferred.filter(suits);
    // Where headers alone are written anew a preference costs nothing; a codec is only for what has to be.
    let at_once = preferred.filter(|uid| is_uncompressed(stored) && is_uncompressed(uid));
    let fallbacks = || FALLBACKS.into_iter().filter(suits).find_map(of);
    if let Some(context) = at_once
        .and_then(of)
        .or_else(|| of(stored))
        .or_else(|| preferred.and_then(of))
        .or_else(fallbacks)
    {
        return Ok(context);
    }
    if accepted.is_empty() {
        return Err(Unsendable::SopClass {
            sop_class_uid: sop_class_uid.to_owned(),
        });
    }
    Err(Unsendable::TransferSyntax {
        stored: stored.to_owned(),
        accepted: accepted
            .iter()
            .map(|context| context.transfer_syntax_uid.to_owned())
            .collect(),
    })
}

/// Why an instance cannot be opened to be sent.
#[derive(Debug)]
pub enum OpenError {
    /// There is no such instance any more.
    Gone,
    /// The peer does not take it.
    Unsendable {
        /// (0008,0018) of the instance.
        sop_instance_uid: String,
        /// Why not.
        why: Unsendable,
    },
    /// It cannot be read.
    Archive {
        /// (0008,0018) of the instance, if that is known.
        sop_instance_uid: String,
        /// Why not.
        error: ArchiveError,
    },
}

/// Why an instance could not be sent to its end. What is sent of it cannot be taken back, so the association is to be
/// aborted.
#[derive(Debug)]
pub(super) enum SendError {
    /// The peer takes nothing more.
    Write(WriteError),
    /// The association is not there any more.
    Association(UlError),
    /// The rest of it cannot be read.
    Read(ArchiveError),
}

/// Buffers of pieces, for one association after the other instance.
#[derive(Clone, Default)]
pub struct PieceBuffers {
    free: Arc<Mutex<Vec<Vec<u8>>>>,
    /// Whether somebody waits for what is opened with them.
    abandoned: Abandoned,
}

/// Until it is dropped, somebody waits for what is opened with the buffers that it is of. Who compresses it ends then.
pub(super) struct Wanted(Abandoned);

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.set();
    }
}

/// How often it is asked, while an instance is being opened, whether it is still wanted.
pub(super) const ASK_EVERY: Duration = Duration::from_millis(200);

impl PieceBuffers {
    /// From now on for what is wanted no longer than what this gives is kept.
    pub(super) fn while_wanted(&mut self) -> Wanted {
        self.abandoned = Abandoned::default();
        Wanted(self.abandoned.clone())
    }

    fn take(&self) -> Vec<u8> {
        self.free.lock().pop().unwrap_or_default()
    }

    fn give(&self, buffer: Vec<u8>) {
        let mut buffers = self.free.lock();
        if buffers.len() < OPENED_AHEAD + 2 {
            buffers.push(buffer);
        }
    }
}

/// An instance that is about to be sent: its first piece is read.
pub struct OutgoingInstance {
    /// (0008,0016)
    pub sop_class_uid: String,
    /// (0008,0018)
    pub sop_instance_uid: String,
    /// The context that was chosen for it.
    pub context_id: u8,
    buffers: PieceBuffers,
    piece: Piece,
    /// What is left; `None` when all was read.
    reading: Option<Reading>,
}

impl OutgoingInstance {
    /// Opens a stored instance. `choose` is given its SOP class and the transfer syntax that it is stored in, and says
    /// on which context it is to be sent, and in which transfer syntax. Waits for the disk.
    ///
    /// # Errors
    ///
    /// [`OpenError`].
    pub fn open(
        archive: &Archive,
        tenant: i64,
        id: &PublicId,
        buffers: &PieceBuffers,
        choose: impl FnOnce(&str, &str) -> Result<(u8, String), Unsendable>,
    ) -> Result<OutgoingInstance, OpenError> {
        let opened = archive.open_file(tenant, id);
        let archived = |sop_instance_uid: &str, error| OpenError::Archive {
            sop_instance_uid: sop_instance_uid.to_owned(),
            error,
        };
        let (located, reader) = opened
            .map_err(|error| archived("", error))?
            .ok_or(OpenError::Gone)?;
        let file = InstanceFile {
            bytes: FileBytes::Stored(Arc::new(reader)),
            data_set_offset: located.data_set_offset,
            transfer_syntax_uid: &located.transfer_syntax_uid,
            sop_class_uid: located.sop_class_uid.clone(),
            sop_instance_uid: located.sop_instance_uid.clone(),
        };
        file.open(archive, buffers, choose)
    }

    /// Opens an instance that is not stored, held as a PS3.10 file.
    ///
    /// # Errors
    ///
    /// [`OpenError`].
    pub fn of_file(
        archive: &Archive,
        file: &Arc<Vec<u8>>,
        buffers: &PieceBuffers,
        choose: impl FnOnce(&str, &str) -> Result<(u8, String), Unsendable>,
    ) -> Result<OutgoingInstance, OpenError> {
        let instance =
            vna_dicom::read_instance(file.as_slice()).map_err(|error| OpenError::Archive {
                sop_instance_uid: String::new(),
                error: error.into(),
            })?;
        let file = InstanceFile {
            bytes: FileBytes::Held(Arc::clone(file)),
            data_set_offset: instance.data_set_offset,
            transfer_syntax_uid: &instance.transfer_syntax_uid,
            sop_class_uid: instance.identity.sop_class_uid.clone(),
            sop_instance_uid: instance.identity.sop_instance_uid.clone(),
        };
        file.open(archive, buffers, choose)
    }

    /// Sends it as a C-STORE request and returns how many bytes its data set had; the response is still to come.
    /// `patience` is how long the peer may take nothing.
    ///
    /// # Errors
    ///
    /// [`SendError`]; the association is to be aborted then.
    pub(super) async fn send(
        self,
        association: &mut Association,
        socket: &mut Socket,
        message_id: u16,
        move_originator: Option<(String, u16)>,
        patience: Duration,
    ) -> Result<u64, SendError> {
        let request = StoreRequest {
            message_id,
            affected_sop_class_uid: self.sop_class_uid,
            affected_sop_instance_uid: self.sop_instance_uid,
            priority: 0,
            move_originator,
        };
        let context_id = self.context_id;
        association
            .send_command(context_id, &request.to_command())
            .map_err(SendError::Association)?;
        let (mut piece, mut reading, mut sent) = (self.piece, self.reading, 0);
        loop {
            let ahead = reading.take().map(|mut reading| {
                let buffer = self.buffers.take();
                spawn_blocking(move || {
                    let piece = reading.next(buffer)?;
                    Ok::<_, ArchiveError>((reading, piece))
                })
            });
            let bytes = piece.bytes();
            let fragments = association
                .data_set_fragments(context_id, bytes.len(), piece.last)
                .map_err(SendError::Association)?;
            socket
                .send_fragments(association, fragments, bytes, patience)
                .await
                .map_err(SendError::Write)?;
            sent += bytes.len() as u64;
            self.buffers.give(piece.buffer);
            let Some(ahead) = ahead else {
                return Ok(sent);
            };
            let (rest, next) = ahead
                .await
                .map_err(|_| SendError::Read(ArchiveError::Stopped))?
                .map_err(SendError::Read)?;
            reading = (!next.last).then_some(rest);
            piece = next;
        }
    }
}

/// What is known of an instance's file before anything of its data set is read.
struct InstanceFile<'a> {
    bytes: FileBytes,
    data_set_offset: u64,
    transfer_syntax_uid: &'a str,
    sop_class_uid: String,
    sop_instance_uid: String,
}

impl InstanceFile<'_> {
    fn open(
        self,
        archive: &Archive,
        buffers: &PieceBuffers,
        choose: impl FnOnce(&str, &str) -> Result<(u8, String), Unsendable>,
    ) -> Result<OutgoingInstance, OpenError> {
        let (context_id, to) = match choose(&self.sop_class_uid, self.transfer_syntax_uid) {
            Ok(chosen) => chosen,
            Err(why) => {
                return Err(OpenError::Unsendable {
                    sop_instance_uid: self.sop_instance_uid,
                    why,
                });
            }
        };
        let read = || {
            let mut reading = if to == self.transfer_syntax_uid {
                Reading::as_it_is(self.bytes, self.data_set_offset)
            } else {
                Reading::transcoded(archive, self.bytes, &to, &buffers.abandoned)?
            };
            let piece = reading.next(buffers.take())?;
            Ok((piece, reading))
        };
        match read() {
            Ok((piece, reading)) => Ok(OutgoingInstance {
                sop_class_uid: self.sop_class_uid,
                sop_instance_uid: self.sop_instance_uid,
                context_id,
                buffers: buffers.clone(),
                reading: (!piece.last).then_some(reading),
                piece,
            }),
            Err(error) => Err(OpenError::Archive {
                sop_instance_uid: self.sop_instance_uid,
                error,
            }),
        }
    }
}

/// A PS3.10 file.
#[derive(Clone)]
enum FileBytes {
    Stored(Arc<StoredFile>),
    Held(Arc<Vec<u8>>),
}

impl ReadAt for FileBytes {
    type Error = ArchiveError;

    fn size(&self) -> u64 {
        match self {
            Self::Stored(reader) => reader.size(),
            Self::Held(bytes) => bytes.len() as u64,
        }
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, ArchiveError> {
        match self {
            Self::Stored(reader) => Ok(reader.read_at(buffer, offset)?),
            Self::Held(bytes) => Ok(bytes.as_slice().read_at(buffer, offset)?),
        }
    }
}

/// Some bytes of a data set.
struct Piece {
    buffer: Vec<u8>,
    /// How many of the buffer are of it.
    length: usize,
    /// The data set ends with them.
    last: bool,
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

/// A data set that is read from its beginning to its end.
struct Reading {
    source: Source,
    /// Bytes still to come; `None` if only the end will tell.
    left: Option<u64>,
    /// A byte that was read to know whether more comes.
    ahead: Option<u8>,
}

enum Source {
    /// As it is, from here on.
    File(FileBytes, u64),
    Transcoded(Box<Transcoded<FileBytes>>),
}

impl Reading {
    fn as_it_is(bytes: FileBytes, data_set_offset: u64) -> Reading {
        let left = bytes.size().saturating_sub(data_set_offset);
        Reading {
            source: Source::File(bytes, data_set_offset),
            left: Some(left),
            ahead: None,
        }
    }

    fn transcoded(
        archive: &Archive,
        bytes: FileBytes,
        transfer_syntax_uid: &str,
        abandoned: &Abandoned,
    ) -> Result<Reading, ArchiveError> {
        let options = TranscodeOptions {
            spool: archive.spool_settings(),
            abandoned: abandoned.clone(),
            ..TranscodeOptions::default()
        };
        let codecs = archive.codecs();
        let transcoded = Transcoded::data_set_of(bytes, transfer_syntax_uid, &options, codecs)?;
        Ok(Reading {
            left: transcoded.length(),
            source: Source::Transcoded(Box::new(transcoded)),
            ahead: None,
        })
    }

    /// Reads the next piece. `buffer` may be one that was used before, so that it need not be cleared.
    fn next(&mut self, mut buffer: Vec<u8>) -> Result<Piece, ArchiveError> {
        let left = self.left.map_or(usize::MAX, |left| {
            usize::try_from(left).unwrap_or(usize::MAX)
        });
        let wanted = PIECE_BYTES.min(left);
        if buffer.len() < wanted {
            buffer.resize(wanted, 0);
        }
        let mut length = 0;
        if let Some(ahead) = self.ahead.take() {
            buffer[0] = ahead;
            length = 1;
        }
        length += self.read(&mut buffer[length..wanted])?;
        let last = match &mut self.left {
            Some(left) if length < wanted => return Err(shorter(*left, length)),
            Some(left) => {
                *left -= length as u64;
                *left == 0
            }
            None if length < wanted => true,
            None => {
                let mut one = [0];
                let more = self.read(&mut one)? > 0;
                self.ahead = more.then_some(one[0]);
                !more
            }
        };
        Ok(Piece {
            buffer,
            length,
            last,
        })
    }

    /// Fewer bytes than `buffer` takes only at the end.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ArchiveError> {
        match &mut self.source {
            Source::File(bytes, at) => {
                let count = match bytes {
                    FileBytes::Stored(reader) => reader.read_once_at(buffer, *at)?,
                    held @ FileBytes::Held(_) => held.read_at(buffer, *at)?,
                };
                *at += count as u64;
                Ok(count)
            }
            Source::Transcoded(transcoded) => transcoded.read(buffer),
        }
    }
}

/// The file is not as long as it was.
fn shorter(needed: u64, available: usize) -> ArchiveError {
    DicomError::Truncated {
        what: "data set",
        offset: 0,
        needed,
        available: available as u64,
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
    const J2K: &str = "1.2.840.10008.1.2.4.90";
    const JPEG_LOSSLESS: &str = "1.2.840.10008.1.2.4.70";
    const JPEG_BASELINE: &str = "1.2.840.10008.1.2.4.50";
    const VIDEO: &str = "1.2.840.10008.1.2.4.102";

    fn context(context_id: u8, transfer_syntax_uid: &str) -> SendingContext<'_> {
        SendingContext {
            context_id,
            sop_class_uid: CT,
            transfer_syntax_uid,
        }
    }

    #[test]
    fn what_is_stored_goes_first_and_else_the_best_that_loses_nothing() {
        let all = [
            context(1, IMPLICIT_VR_LITTLE_ENDIAN),
            context(3, EXPLICIT_VR_LITTLE_ENDIAN),
            context(5, J2K),
            context(7, JPEG_LOSSLESS),
            context(9, JPEG_BASELINE),
        ];
        let chosen = |contexts: &[SendingContext<'static>], stored: &str, preferred| {
            choose_context(contexts.iter().copied(), CT, stored, preferred)
                .map(|context| context.context_id)
        };
        assert_eq!(chosen(&all, J2K, None), Ok(5));
        assert_eq!(chosen(&all, IMPLICIT_VR_LITTLE_ENDIAN, None), Ok(1));
        assert_eq!(chosen(&all, EXPLICIT_VR_BIG_ENDIAN, None), Ok(3));
        assert_eq!(chosen(&all[..1], EXPLICIT_VR_LITTLE_ENDIAN, None), Ok(1));
        assert_eq!(chosen(&all[..2], J2K, None), Ok(3), "decompressed");
        assert_eq!(chosen(&all[2..], IMPLICIT_VR_LITTLE_ENDIAN, None), Ok(7));
        assert_eq!(chosen(&all, JPEG_BASELINE, None), Ok(9), "lossy already");
        let preferred = Some(EXPLICIT_VR_LITTLE_ENDIAN);
        assert_eq!(chosen(&all, IMPLICIT_VR_LITTLE_ENDIAN, preferred), Ok(3));
        assert_eq!(chosen(&all, J2K, preferred), Ok(5), "as stored before");
        assert_eq!(chosen(&all[2..], VIDEO, None).ok(), None);
        assert_eq!(chosen(&all[..2], JPEG_LOSSLESS, Some(J2K)), Ok(3));
        assert_eq!(chosen(&all[..3], JPEG_LOSSLESS, Some(J2K)), Ok(5));
        let why = chosen(&all[4..], EXPLICIT_VR_LITTLE_ENDIAN, Some(JPEG_BASELINE)).unwrap_err();
        assert_eq!(
            why.to_string(),
            "it is stored in 1.2.840.10008.1.2.1, the peer accepts 1.2.840.10008.1.2.4.50, \
             and nothing leads there without loss"
        );
        assert_eq!(
            choose_context(all.into_iter(), "1.2", J2K, None),
            Err(Unsendable::SopClass {
                sop_class_uid: "1.2".into()
            })
        );
    }
}
