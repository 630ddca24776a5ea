//! Pieces of work: a part of an instance read, and packed if that pays.

use std::sync::{Arc, Weak};

use flate2::Crc;
use parking_lot::Mutex;
use vna_codec::{Compression, pixel_syntax};
use vna_index::Located;

use super::buffers::{Buffer, Buffers};
use super::deflate::{deflate, store};
use super::dicomdir::{About, read_about};
use super::zip::Method;
use super::{MakingProblem, Transcoding};
use crate::archive::Archive;
use crate::error::ArchiveError;
use crate::part10::Head;
use crate::stored_file::StoredFile;
use crate::transcode::Transcoded;

/// Bytes of a file that are read and packed at once. A CT image fits, and the memory of a unit stays small.
pub(super) const UNIT_BYTES: usize = 1 << 20;

/// An instance whose turn has come.
pub(super) struct Instance {
    pub number: i64,
    pub located: Located,
    pub name: String,
    pub above: [i64; 3],
    /// Held open from its first unit on: what is deleted or moved meanwhile can still be read.
    file: Mutex<Option<Arc<StoredFile>>>,
}

/// What is needed to make units, the same for all of an archive.
pub(super) struct Making {
    pub archive: Weak<Archive>,
    pub buffers: Arc<Buffers>,
    /// 0: nothing is deflated.
    pub level: u32,
    pub media: bool,
    pub transcoding: Option<Transcoding>,
}

/// A part of an entry, ready to be given.
pub(super) struct Made {
    pub data: Data,
    /// Of the plain bytes.
    pub crc: Crc,
    pub method: Method,
    /// Whether it is all of the entry, or the last part of it.
    pub is_whole: bool,
    pub is_last: bool,
    /// What the directory of the medium says, with the first part.
    pub about: Option<About>,
    /// UIDs of what was transcoded, with the first part.
    pub transcoded: Option<TranscodedUids>,
    /// What is left of a transcoded file.
    pub rest: Option<Box<Rest>>,
    /// It could not be transcoded and leaves as it is.
    pub is_left: bool,
}

/// UIDs of a transcoded file.
pub(super) struct TranscodedUids {
    /// Bytes of the file, if that is known.
    pub length: Option<u64>,
    pub transfer_syntax_uid: String,
    /// If it is another instance.
    pub sop_instance_uid: Option<String>,
}

/// Bytes to give.
pub(super) enum Data {
    /// As they were read.
    Read(Buffer),
    /// Written anew.
    Written(Vec<u8>),
}

impl Data {
    pub fn bytes(&self) -> &[u8] {
        match self {
            Data::Read(buffer) => buffer.as_ref(),
            Data::Written(bytes) => bytes,
        }
    }
}

/// A file that is read on where it was left: one that was transcoded, or that could not be.
pub(super) struct Rest {
    source: Source,
    /// How it begins.
    head: Head,
    packs: bool,
}

enum Source {
    Transcoded(Box<Transcoded>),
    /// From this offset on.
    Stored(Arc<StoredFile>, u64),
}

impl Source {
    /// Fills a buffer; tells how far, and whether that was the end.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<(usize, bool), ArchiveError> {
        match self {
            Source::Transcoded(transcoded) => {
                let mut filled = 0;
                while filled < buffer.len() {
                    match transcoded.read(&mut buffer[filled..])? {
                        0 => return Ok((filled, true)),
                        more => filled += more,
                    }
                }
                Ok((filled, false))
            }
            Source::Stored(file, at) => {
                let left = usize::try_from(file.size() - *at).unwrap_or(usize::MAX);
                let wanted = left.min(buffer.len());
                let filled = file.read_once_at(&mut buffer[..wanted], *at)?;
                *at += filled as u64;
                Ok((filled, *at >= file.size()))
            }
        }
    }
}

impl Instance {
    pub fn new(number: i64, located: Located, name: String, above: [i64; 3]) -> Self {
        Instance {
            number,
            located,
            name,
            above,
            file: Mutex::new(None),
        }
    }

    fn open(&self, archive: &Archive) -> Result<Arc<StoredFile>, ArchiveError> {
        let mut file = self.file.lock();
        if let Some(open) = &*file {
            return Ok(Arc::clone(open));
        }
        let opened = archive.open_member(self.number, &self.located)?;
        let opened = Arc::new(opened.ok_or_else(|| self.gone())?);
        // An operator may have given the original up for a shorter form: parts of it were begun by its former length.
        if opened.size() != self.located.file_size {
            return Err(self.gone());
        }
        *file = Some(Arc::clone(&opened));
        Ok(opened)
    }

    fn gone(&self) -> ArchiveError {
        let id = self.located.instance;
        ArchiveError::Making(MakingProblem::InstanceGone { id })
    }

    /// Whether deflate is tried: not on what is compressed already.
    fn may_pack(&self, transfer_syntax_uid: &str) -> bool {
        const DEFLATED: &str = "1.2.840.10008.1.2.1.99";
        const RLE: &str = "1.2.840.10008.1.2.5";
        let compression = pixel_syntax(transfer_syntax_uid).map(|syntax| syntax.compression);
        let has_pixels = self.located.pixel_data_offset.is_some();
        transfer_syntax_uid != DEFLATED
            && (!has_pixels
                || transfer_syntax_uid == RLE
                || matches!(compression, None | Some(Compression::None)))
    }
}

impl Making {
    fn archive(&self) -> Result<Arc<Archive>, ArchiveError> {
        self.archive.upgrade().ok_or(ArchiveError::Stopped)
    }

    /// Whether an instance is begun as a whole: what is rewritten has no parts that are known before.
    pub fn is_one_unit(&self, instance: &Instance) -> bool {
        self.rewriting(instance).is_some()
    }

    /// The part of an instance that begins at `offset`. It takes processor time and waits for the disk.
    ///
    /// # Errors
    ///
    /// [`MakingProblem::InstanceGone`]; what store, codecs and scanner say.
    pub fn unit(&self, instance: &Instance, offset: u64) -> Result<Made, ArchiveError> {
        let archive = self.archive()?;
        let file = instance.open(&archive)?;
        let mut is_left = false;
        if let Some(wanted) = self.rewriting(instance) {
            let (source, codecs) = (Arc::clone(&file), archive.codecs());
            let to = &wanted.transfer_syntax_uid;
            match Transcoded::new(source, to, &wanted.options, codecs) {
                Ok(transcoded) => return self.begin(instance, &file, transcoded),
                // What there is no way for leaves as it is.
                Err(error) if error.is_of_one_file() => is_left = true,
                Err(error) => return Err(error),
            }
        }
        let packs = instance.may_pack(&instance.located.transfer_syntax_uid);
        let head = match offset {
            // On a medium all are files of PS3.10 §7.1.
            0 if self.media => Head::of(&instance.located, &file)?,
            _ => Head::default(),
        };
        let rest = Rest {
            source: Source::Stored(Arc::clone(&file), offset),
            head,
            packs,
        };
        let mut made = self.read_on(Box::new(rest), offset == 0)?;
        made.is_left = is_left;
        if !is_left {
            made.rest = None; // its parts are units of their own
        }
        if offset == 0 {
            made.about = self.about(instance, &file)?;
        }
        Ok(made)
    }

    fn about(&self, instance: &Instance, file: &StoredFile) -> Result<Option<About>, ArchiveError> {
        if !self.media {
            return Ok(None);
        }
        let Instance { located, .. } = instance;
        let is_image = located.pixel_data_offset.is_some();
        let received_us = located.received_us;
        read_about(file, &located.sop_class_uid, is_image, received_us).map(Some)
    }

    /// How a file is to be written anew; `None` if it leaves as it is stored.
    fn rewriting(&self, instance: &Instance) -> Option<&Transcoding> {
        let stored = &instance.located.transfer_syntax_uid;
        let wanted = self.transcoding.as_ref();
        wanted.filter(|wanted| wanted.transfer_syntax_uid != *stored)
    }

    fn begin(
        &self,
        instance: &Instance,
        file: &StoredFile,
        transcoded: Transcoded,
    ) -> Result<Made, ArchiveError> {
        let uids = TranscodedUids {
            length: transcoded.length(),
            transfer_syntax_uid: transcoded.transfer_syntax_uid().to_owned(),
            sop_instance_uid: transcoded.sop_instance_uid().map(str::to_owned),
        };
        let packs = instance.may_pack(&uids.transfer_syntax_uid);
        let source = Source::Transcoded(Box::new(transcoded));
        let mut made = self.read_on(
            Box::new(Rest {
                source,
                head: Head::default(),
                packs,
            }),
            true,
        )?;
        made.about = self.about(instance, file)?;
        made.transcoded = Some(uids);
        Ok(made)
    }

    /// The next part of a file.
    ///
    /// # Errors
    ///
    /// As [`unit`](Self::unit).
    pub fn read_on(&self, mut rest: Box<Rest>, is_first: bool) -> Result<Made, ArchiveError> {
        let mut buffer = self.buffers.take(UNIT_BYTES);
        let (filled, is_last) = rest.source.fill(buffer.bytes_mut())?;
        buffer.truncate(filled);
        let mut head = std::mem::take(&mut rest.head);
        let plain = if head.written.is_empty() {
            Data::Read(buffer)
        } else {
            let stored = buffer.as_ref().iter();
            let instead_of = usize::try_from(head.instead_of).unwrap_or(usize::MAX);
            head.written.extend(stored.skip(instead_of));
            Data::Written(head.written)
        };
        let mut made = self.pack(plain, rest.packs, is_first && is_last, is_last)?;
        made.rest = (!is_last).then_some(rest);
        Ok(made)
    }

    fn pack(
        &self,
        plain: Data,
        packs: bool,
        is_whole: bool,
        is_last: bool,
    ) -> Result<Made, ArchiveError> {
        let mut crc = Crc::new();
        crc.update(plain.bytes());
        let packed = match self.level {
            level if level > 0 && packs => deflate(plain.bytes(), level, is_last)?,
            _ => None,
        };
        let (method, data) = match packed {
            Some(packed) => (Method::Deflated, Data::Written(packed)),
            None if is_whole => (Method::Stored, plain),
            None => (
                Method::Deflated,
                Data::Written(store(plain.bytes(), is_last)),
            ),
        };
        Ok(Made {
            data,
            crc,
            method,
            is_whole,
            is_last,
            about: None,
            transcoded: None,
            rest: None,
            is_left: false,
        })
    }
}
