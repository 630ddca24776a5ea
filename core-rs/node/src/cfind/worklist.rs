//! C-FIND over data sets that Python holds: worklists (PS3.4 §K.4.1).

use vna_dicom::{CharacterSet, DataSet, EXPLICIT_VR_LITTLE_ENDIAN};
use vna_index::Case;

use super::answer::{Answers, Column, Place, Sources};
use super::headers::{Header, Headers};
use super::identifier::Identifier;
use super::keys::{Keys, character_set};
use crate::error::ArchiveError;

/// The data sets that match an identifier, as answers with what it asks for: for each its number among `items`, its
/// length, both as four bytes, least significant first, and its bytes.
///
/// `items` are in Explicit VR Little Endian. The rules are those of a query; there is no level.
///
/// # Errors
///
/// [`ArchiveError::Identifier`] names what is wrong with the identifier, [`ArchiveError::Dicom`] if an item cannot be read.
pub fn match_data_sets(
    identifier: &[u8],
    transfer_syntax_uid: &str,
    items: &[impl AsRef<[u8]>],
    answer_transfer_syntax_uid: &str,
) -> Result<Vec<u8>, ArchiveError> {
    let identifier = Identifier::read(identifier, transfer_syntax_uid)?;
    let mut keys = Keys::requested(&identifier.keys, Case::Standard);
    let columns = identifier
        .keys
        .iter()
        .map(|key| Column::of_key(key, Place::Own));
    let answers = Answers::new(&identifier, columns.collect(), answer_transfer_syntax_uid);
    let mut out = Vec::new();
    for (number, item) in items.iter().enumerate() {
        let data_set = DataSet::read(item.as_ref(), EXPLICIT_VR_LITTLE_ENDIAN)?;
        let charset = character_set(&data_set, &CharacterSet::default());
        if !keys.match_all(&data_set, &charset) {
            continue;
        }
        let headers = Headers {
            own: Some(Header { data_set, charset }),
            below: None,
        };
        let sources = Sources {
            row: None,
            headers: &headers,
        };
        let start = out.len();
        out.extend_from_slice(&u32_bytes(number));
        out.extend_from_slice(&[0; 4]);
        answers.write(sources, &[], &mut out)?;
        let length = u32_bytes(out.len() - start - 8);
        out[start + 4..start + 8].copy_from_slice(&length);
    }
    Ok(out)
}

fn u32_bytes(number: usize) -> [u8; 4] {
    u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes()
}
