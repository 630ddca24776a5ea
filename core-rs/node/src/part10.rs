//! What a stored file lacks to be one of PS3.10 §7.1. Bytes are kept as they came, and data sets come without File Meta
//! Information, or without a preamble; what leaves as a DICOM file has both.

use vna_dicom::{FileMetaFields, write_file_meta};
use vna_index::Located;

use crate::error::ArchiveError;
use crate::stored_file::StoredFile;

const PREAMBLE: usize = 128;
const PREFIX: &[u8; 4] = b"DICM";

/// Preamble, prefix, and the elements of group 2 that every file has, without its UIDs: group length and version, and the
/// headers of (0002,0003) and (0002,0010). Those of the SOP Class and of the implementation are left out, as some
/// writers do; they are longer than what else a group without a preamble before it may have.
const LEAST_BYTES: u64 = (PREAMBLE + PREFIX.len()) as u64 + 12 + 14 + 8 + 8;

/// The beginning of a file, as it leaves.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Head {
    /// What is written before the stored bytes.
    pub written: Vec<u8>,
    /// Stored bytes that it takes the place of.
    pub instead_of: u64,
}

impl Head {
    /// How long a file of `size` stored bytes is with it.
    pub fn length(&self, size: u64) -> u64 {
        self.written.len() as u64 + size.saturating_sub(self.instead_of)
    }

    /// Of a stored file.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub fn of(located: &Located, file: &StoredFile) -> Result<Head, ArchiveError> {
        let uids = [&located.sop_instance_uid, &located.transfer_syntax_uid];
        let uid_bytes = uids.iter().map(|uid| uid.len() as u64).sum();
        if !may_lack(located.data_set_offset, uid_bytes) {
            return Ok(Head::default());
        }
        let mut beginning = [0; PREAMBLE + PREFIX.len()];
        let read = file.read_at(&mut beginning, 0)?;
        Ok(Head::after(located, &beginning[..read]))
    }

    /// Of a file that begins so.
    fn after(located: &Located, beginning: &[u8]) -> Head {
        // What stands before the data set or group 2.
        let before = match beginning {
            _ if located.data_set_offset == 0 => 0,
            whole if whole.len() > PREAMBLE && whole.ends_with(PREFIX) => whole.len(),
            bare if bare.starts_with(PREFIX) => PREFIX.len(),
            _ => 0,
        };
        if located.data_set_offset == before as u64 {
            return Head {
                written: write_file_meta(&FileMetaFields {
                    media_storage_sop_class_uid: &located.sop_class_uid,
                    media_storage_sop_instance_uid: &located.sop_instance_uid,
                    transfer_syntax_uid: &located.transfer_syntax_uid,
                    source_application_entity_title: "",
                }),
                instead_of: before as u64,
            };
        }
        let mut written = Vec::new();
        if before <= PREFIX.len() {
            written.resize(PREAMBLE, 0);
        }
        if before == 0 {
            written.extend_from_slice(PREFIX);
        }
        Head {
            written,
            instead_of: 0,
        }
    }
}

/// Whether a file may lack something, as far as that is known without reading it: its data set begins at
/// `data_set_offset`, and `uid_bytes` are those of its SOP Instance UID and transfer syntax. What this is false of leaves
/// as it is stored.
pub(crate) fn may_lack(data_set_offset: u64, uid_bytes: u64) -> bool {
    data_set_offset < LEAST_BYTES + uid_bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by us, so that all of group 2 is there.
    fn whole_file() -> (Located, Vec<u8>) {
        let mut located = located();
        let mut file = write_file_meta(&FileMetaFields {
            media_storage_sop_class_uid: &located.sop_class_uid,
            media_storage_sop_instance_uid: &located.sop_instance_uid,
            transfer_syntax_uid: &located.transfer_syntax_uid,
            source_application_entity_title: "",
        });
        located.data_set_offset = file.len() as u64;
        file.extend_from_slice(b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 192");
        (located, file)
    }

    fn located() -> Located {
        Located {
            instance: vna_dicom::PublicId([0; 20]),
            blob: vna_index::BlobRow::default(),
            file_size: 0,
            sop_instance_uid: "1.2.826.0.1.3680043.10.1.3".to_owned(),
            sop_class_uid: "1.2.840.10008.5.1.4.1.1.7".to_owned(),
            transfer_syntax_uid: "1.2.840.10008.1.2.1".to_owned(),
            data_set_offset: 0,
            pixel_data_offset: None,
            number_of_frames: 1,
            received_us: 0,
        }
    }

    /// What leaves of a file of which the first `cut` bytes are not there.
    fn leaving(file: &[u8], cut: usize, located: &Located) -> Vec<u8> {
        let stored = &file[cut..];
        let mut located = located.clone();
        located.data_set_offset -= cut as u64;
        let uid_bytes = located.sop_instance_uid.len() + located.transfer_syntax_uid.len();
        assert!(may_lack(located.data_set_offset, uid_bytes as u64));
        let beginning = &stored[..stored.len().min(PREAMBLE + PREFIX.len())];
        let head = Head::after(&located, beginning);
        let left = &stored[usize::try_from(head.instead_of).unwrap()..];
        assert_eq!(
            head.length(stored.len() as u64),
            (head.written.len() + left.len()) as u64
        );
        [&head.written, left].concat()
    }

    #[test]
    fn what_lacks_its_beginning_leaves_with_one() {
        let (located, file) = whole_file();
        let uid_bytes = located.sop_instance_uid.len() + located.transfer_syntax_uid.len();
        assert!(!may_lack(located.data_set_offset, uid_bytes as u64));
        let meta = usize::try_from(located.data_set_offset).unwrap();
        for cut in [PREAMBLE, PREAMBLE + PREFIX.len(), meta] {
            assert_eq!(
                leaving(&file, cut, &located),
                file,
                "{cut} bytes are missing"
            );
        }
        // Preamble and prefix with a data set behind them at once, and the prefix alone.
        for kept in [
            0..PREAMBLE + PREFIX.len(),
            PREAMBLE..PREAMBLE + PREFIX.len(),
        ] {
            let mut located = located.clone();
            located.data_set_offset = kept.len() as u64;
            let stored = [&file[kept], &file[meta..]].concat();
            assert_eq!(leaving(&stored, 0, &located), file);
        }
    }
}
