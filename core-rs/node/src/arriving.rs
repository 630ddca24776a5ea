//! What arrives, until the archive has it: held or written to a file of its own, and kept in another transfer syntax than
//! it came in where the operator wants that (`storage.ingest_transcoding`).
//!
//! 1. Nothing is lost on the way: an instance that cannot be brought into that transfer syntax is stored as it came.
//! 2. Nothing is taken away: the settings name only transfer syntaxes without loss.

use std::sync::Arc;

use vna_codec::{Compression, pixel_syntax};
use vna_dicom::{EXPLICIT_VR_LITTLE_ENDIAN, HeaderStream, Instance, ReadAt, is_uncompressed};
use vna_store::{Digest, LargeBlobWriter, WrittenBytes};

use crate::archive::Archive;
use crate::committer::File;
use crate::error::ArchiveError;
use crate::settings::StorageSettings;
use crate::transcode::{TranscodeOptions, TranscodeProblem, Transcoded, is_possible};

/// Bytes that are written at once: large enough to go past the page cache.
const WRITE_BYTES: usize = 1 << 20;

/// The bytes of a PS3.10 file that has arrived.
pub(crate) enum ArrivedBytes {
    /// In memory.
    Held(Arc<dyn AsRef<[u8]> + Send + Sync>),
    /// In a file of its own, not synced yet.
    Written(Box<LargeBlobWriter>),
}

impl ArrivedBytes {
    /// Bytes in memory.
    pub fn held(bytes: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        ArrivedBytes::Held(Arc::new(bytes))
    }

    /// How many there are.
    pub fn size(&self) -> u64 {
        match self {
            Self::Held(bytes) => (**bytes).as_ref().len() as u64,
            Self::Written(writer) => writer.size(),
        }
    }

    /// Their digest.
    pub fn digest(&self) -> Digest {
        match self {
            Self::Held(bytes) => Digest::of((**bytes).as_ref()),
            Self::Written(writer) => writer.digest(),
        }
    }

    /// As the committer takes them; `digest` is theirs. Waits for the disk if they are in a file.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub fn into_file(self, digest: Digest) -> Result<File, ArchiveError> {
        match self {
            Self::Held(bytes) => Ok(File::with_digest(Shared(bytes), digest)),
            Self::Written(writer) => Ok(File::Large(writer.finish()?)),
        }
    }

    fn source(&self) -> Source {
        match self {
            Self::Held(bytes) => Source::Held(Arc::clone(bytes)),
            Self::Written(writer) => Source::Written(writer.written()),
        }
    }
}

/// Bytes that may still be read while the committer has them.
struct Shared(Arc<dyn AsRef<[u8]> + Send + Sync>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        (*self.0).as_ref()
    }
}

/// The same bytes, to be read at any position.
#[derive(Clone)]
enum Source {
    Held(Arc<dyn AsRef<[u8]> + Send + Sync>),
    Written(WrittenBytes),
}

impl ReadAt for Source {
    type Error = ArchiveError;

    fn size(&self) -> u64 {
        match self {
            Self::Held(bytes) => (**bytes).as_ref().len() as u64,
            Self::Written(written) => written.size(),
        }
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, ArchiveError> {
        match self {
            Self::Held(bytes) => Ok((**bytes).as_ref().read_at(buffer, offset)?),
            Self::Written(written) => Ok(written.read_at(buffer, offset)?),
        }
    }
}

impl Archive {
    /// The transfer syntax that an instance is to be kept in, if it is not the one that it came in.
    pub(crate) fn ingest_transfer_syntax(&self, instance: &Instance) -> Option<&str> {
        let storage = &self.settings().storage;
        let wanted = storage.ingest_transcoding.as_str();
        let stored = instance.transfer_syntax_uid.as_str();
        let of_kind = if is_uncompressed(stored) {
            storage.ingest_transcoding_of_uncompressed
        } else {
            storage.ingest_transcoding_of_compressed
        };
        let goes = of_kind && !wanted.is_empty() && stored != wanted && is_possible(stored, wanted);
        (goes && instance.pixel_data.is_some()).then_some(wanted)
    }

    /// What arrived, as it is to be kept. Waits for codecs and for the disk if [`Archive::ingest_transfer_syntax`] says
    /// that it is kept otherwise than it came; what cannot be brought into that transfer syntax is kept as it came.
    pub(crate) fn as_kept(
        &self,
        instance: Instance,
        bytes: ArrivedBytes,
    ) -> (Instance, ArrivedBytes) {
        let Some(wanted) = self.ingest_transfer_syntax(&instance) else {
            return (instance, bytes);
        };
        match self.transcode_arrival(bytes.source(), wanted) {
            Ok(kept) => kept,
            Err(error) => {
                // Float pixel data has no other form: nothing to be told.
                if !matches!(
                    error,
                    ArchiveError::Transcode(TranscodeProblem::FloatPixelData { .. })
                ) {
                    tracing::warn!(
                        code = error.code(),
                        sop_instance_uid = instance.identity.sop_instance_uid,
                        "stored in the transfer syntax it came in: {error}"
                    );
                }
                (instance, bytes)
            }
        }
    }

    fn transcode_arrival(
        &self,
        source: Source,
        wanted: &str,
    ) -> Result<(Instance, ArrivedBytes), ArchiveError> {
        let options = TranscodeOptions {
            spool: self.spool_settings(),
            ..TranscodeOptions::default()
        };
        let mut transcoded = Transcoded::of(source, wanted, &options, self.codecs())?;
        self.gather(|buffer| transcoded.read(buffer))
    }

    /// Takes a file in that is made as it is read: held as long as it is small, else written to a file of its own.
    ///
    /// # Errors
    ///
    /// What `read` says; what is wrong with its head; what the store says.
    pub(crate) fn gather(
        &self,
        mut read: impl FnMut(&mut [u8]) -> Result<usize, ArchiveError>,
    ) -> Result<(Instance, ArrivedBytes), ArchiveError> {
        let mut head = HeaderStream::for_file();
        let mut held = Vec::new();
        let mut writer: Option<Box<LargeBlobWriter>> = None;
        let mut piece = vec![0; WRITE_BYTES];
        loop {
            let count = read(&mut piece)?;
            if count == 0 {
                break;
            }
            head.push(&piece[..count])?;
            held.extend_from_slice(&piece[..count]);
            let large = self.settings().storage.large_object_bytes;
            if writer.is_none() && held.len() as u64 > large {
                writer = Some(Box::new(self.log().new_large_blob()?));
            }
            if let Some(writer) = writer.as_mut().filter(|_| held.len() >= WRITE_BYTES) {
                writer.write(&held)?;
                held.clear();
            }
        }
        let instance = head.finish()?;
        match writer {
            None => Ok((instance, ArrivedBytes::held(held))),
            Some(mut writer) => {
                writer.write(&held)?;
                Ok((instance, ArrivedBytes::Written(writer)))
            }
        }
    }
}

/// Checks that instances may be kept in the transfer syntax that a setting names: uncompressed, or compressed without
/// loss by a codec that we have.
///
/// # Errors
///
/// [`ArchiveError::Setting`].
pub(crate) fn check_ingest_transcoding(storage: &StorageSettings) -> Result<(), ArchiveError> {
    let uid = storage.ingest_transcoding.as_str();
    let compression = pixel_syntax(uid).map(|syntax| syntax.compression);
    let lossless = matches!(compression, Some(Compression::None | Compression::Lossless));
    if uid.is_empty() || (lossless && is_possible(EXPLICIT_VR_LITTLE_ENDIAN, uid)) {
        return Ok(());
    }
    Err(ArchiveError::Setting {
        key: "storage.ingest_transcoding",
        problem: format!("is {uid}, which is no transfer syntax that we write without loss"),
    })
}

#[cfg(test)]
mod tests {
    use vna_dicom::{FileMetaFields, read_instance, write_file_meta};
    use vna_io::{CutDisk, Disk};

    use super::*;
    use crate::settings::Settings;

    const RLE: &str = "1.2.840.10008.1.2.5";
    /// What the log keeps back by default.
    const RESERVE: u64 = 64 << 20;

    /// An image of 16 bits whose pixels are noise, so that no codec makes it short.
    fn noise() -> Vec<u8> {
        let mut file = write_file_meta(&FileMetaFields {
            media_storage_sop_class_uid: "1.2.840.10008.5.1.4.1.1.7",
            media_storage_sop_instance_uid: "1.2.3",
            transfer_syntax_uid: EXPLICIT_VR_LITTLE_ENDIAN,
            source_application_entity_title: "",
        });
        let mut put = |group: u16, element: u16, vr: &[u8; 2], value: &[u8]| {
            file.extend(group.to_le_bytes());
            file.extend(element.to_le_bytes());
            file.extend(vr);
            match vr {
                b"OW" => file.extend(u64::to_le_bytes((value.len() as u64) << 16)),
                _ => file.extend(u16::try_from(value.len()).unwrap().to_le_bytes()),
            }
            file.extend(value);
        };
        let number = |number: u16| number.to_le_bytes();
        put(0x0008, 0x0016, b"UI", b"1.2.840.10008.5.1.4.1.1.7\0");
        put(0x0008, 0x0018, b"UI", b"1.2.3\0");
        put(0x0010, 0x0020, b"LO", b"P1");
        put(0x0020, 0x000D, b"UI", b"1.2\0");
        put(0x0020, 0x000E, b"UI", b"1.21");
        put(0x0028, 0x0002, b"US", &number(1));
        put(0x0028, 0x0004, b"CS", b"MONOCHROME2 ");
        put(0x0028, 0x0010, b"US", &number(200));
        put(0x0028, 0x0011, b"US", &number(200));
        put(0x0028, 0x0100, b"US", &number(16));
        put(0x0028, 0x0101, b"US", &number(16));
        put(0x0028, 0x0103, b"US", &number(0));
        let mut noise = 1_u32;
        let mut next = || {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            noise.to_be_bytes()[0]
        };
        let pixels: Vec<u8> = (0..80_000).map(|_| next()).collect();
        put(0x7FE0, 0x0010, b"OW", &pixels);
        file
    }

    fn archive(disk: &CutDisk, held_bytes: u64) -> Archive {
        let settings = serde_json::json!({
            "storage": {
                "root": "/archive",
                "segment_bytes": 1 << 20,
                "large_object_bytes": 1 << 20,
                "duplicates": "if-changed",
                "patient_issuers": false,
                "duplicate_retention_days": 0,
                "undelete_hours": 0,
                "ingest_transcoding": RLE,
                "ingest_transcoding_of_uncompressed": true,
            },
            "limits": {"spool_bytes": 1 << 20, "index_cache_bytes": 1 << 20, "unpacked_cache_bytes": 1 << 20},
            "uploads": {"max_entries": 1, "max_object_bytes": 1, "max_unpacked_bytes": 1, "max_ratio": 1},
            "dictionary": {"private": []},
            "codecs": {"held_bytes": held_bytes},
        });
        let settings: Settings = serde_json::from_value(settings).expect("settings");
        let disk: Arc<dyn Disk> = Arc::new(disk.clone());
        Archive::open(disk, settings).expect("opens")
    }

    #[test]
    fn what_no_room_is_left_for_while_it_is_encoded_is_stored_as_it_came() {
        let (disk, file) = (CutDisk::new(), noise());
        let arrived = || {
            let instance = read_instance(&file).expect("a DICOM file");
            (instance, ArrivedBytes::held(file.clone()))
        };
        let roomy = archive(&disk, 1 << 20);
        let (instance, bytes) = arrived();
        let (kept, _) = roomy.as_kept(instance, bytes);
        assert_eq!(kept.transfer_syntax_uid, RLE);
        drop(roomy);
        // Nothing may wait in memory, and for a file there is no room beside what deletions need.
        let full = archive(&disk, 0);
        disk.set_capacity(Some(disk.used_bytes() + RESERVE + 1_000));
        let refused = full.spool_settings();
        let refused = crate::transcode::Spool::new(&refused).append(&[0; 2_000]);
        assert_eq!(refused.unwrap_err().code(), "store.full");
        let (instance, bytes) = arrived();
        let (kept, bytes) = full.as_kept(instance, bytes);
        assert_eq!(kept.transfer_syntax_uid, EXPLICIT_VR_LITTLE_ENDIAN);
        assert_eq!(bytes.digest(), Digest::of(&file));
    }

    #[test]
    fn what_nobody_waits_for_is_not_encoded() {
        let codecs = Arc::new(vna_codec::Codecs::new(vna_codec::CodecSettings::default()));
        let options = TranscodeOptions::default();
        options.abandoned.set();
        let source = Source::Held(Arc::new(noise()));
        let Err(error) = Transcoded::of(source, RLE, &options, &codecs) else {
            panic!("it was encoded");
        };
        assert_eq!(error.code(), "transcode.abandoned");
        assert_eq!(codecs.counts().encoded, 0);
    }
}
