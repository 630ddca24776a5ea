//! DICOM encoding without I/O: scanner, identity, character sets, JSON, frame tables.
//!
//! Everything here takes bytes and gives values; no sockets, no files, no clock. All input is hostile: a length
//! in it is a claim until it is checked against the bytes at hand, no allocation is sized by one, and what
//! grows with the input has a budget below.

#![forbid(unsafe_code)]

mod ambiguous;
mod attribute;
mod base64;
mod charset;
mod content;
mod data_set;
mod deflate;
mod dictionary;
pub mod edit;
mod element;
mod element_stream;
mod encode;
mod error;
mod extra;
mod frames;
mod head;
mod header;
mod image;
mod input;
mod instance;
mod json;
mod json_stream;
mod level;
mod meta;
mod model;
mod partial;
mod parts;
mod private;
mod public_id;
mod reencode;
mod scan;
mod select;
mod stream;
mod syntax;
mod tag;
mod text;
mod vr;
mod walk;

pub use attribute::attribute_level;
pub use base64::decode as decode_base64;
pub use charset::{CharacterSet, TextSet};
pub use content::{Content, ContentStream, ElementPath, ParsePathError, ValuePlace};
pub use data_set::{DataElement, DataSet, DataSetWriter, DicomFile, StoredValue, Value};
pub use dictionary::{Entry, Repeats, dictionary_vr, entry, keyword, tag_for_keyword};
pub use element::Element;
pub use element_stream::ElementStream;
pub use encode::swap as swap_byte_order;
pub use error::{Budget, DicomError, EncodeProblem, FrameProblem};
pub use extra::{ExtraTagError, MAX_EXTRA_TAGS, extra_generation, extra_tags, set_extra_tags};
pub use frames::{Fragment, FrameTable, frame_table};
pub use header::{HeaderReader, Progress, read_instance, read_instance_with};
pub use image::ImageFile;
pub use instance::{Identity, Instance, PixelData};
pub use json::{LONGEST_JSON_VALUE, TagsForm, TagsOptions, header_json, scan_json, tags_json};
pub use json_stream::{SharedTags, TagsStream};
pub use level::{Level, main_tags, module_tags};
pub use meta::{
    FileMeta, FileMetaFields, IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, meta_elements,
    read_file_meta, write_file_meta,
};
pub use model::{
    DEFAULT_BULK_THRESHOLD, Model, ModelOptions, ModelProblem, ModelStream, RowValue, json_extents,
    read_json_list, read_model, read_model_with_meta, write_data_set, write_model, write_row,
    write_scan,
};
pub use private::{PrivateDictionaryError, PrivateElement, private_entry, set_private_dictionary};
pub use public_id::{ParsePublicIdError, PublicId};
pub use reencode::{
    NewPixelData, PixelStream, ReadAt, Reencoded, Revision, reencode, transfer_syntax_uid,
};
pub use scan::{Extent, Scan, scan, scan_damaged, scan_data_set};
pub use select::{MAX_SELECTED_BYTES, MAX_SELECTED_VALUE_BYTES, SelectStream, Selected};
pub use stream::HeaderStream;
pub use syntax::{
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN,
    Encoding, IMPLICIT_VR_LITTLE_ENDIAN, TransferSyntax, is_uncompressed,
};
pub use tag::{Tag, tags};
pub use vr::Vr;

/// Deepest nesting of sequences. Structured reports reach about 20; each level costs a few words of state, so
/// the number only has to stop inputs that are nothing but nesting.
pub const MAX_DEPTH: usize = 128;

/// Most elements and items of one data set. Enhanced multi-frame objects of 50,000 frames have about
/// 3,000,000; a table of this many takes 256 MB, and a header holds far fewer.
pub const MAX_ELEMENTS: usize = 8_000_000;

/// Longest value that the index takes. PS3.5 §6.2 allows 10,240 characters in LT, the longest of the indexed
/// VRs, of up to four bytes each.
pub const MAX_INDEXED_VALUE_BYTES: usize = 40_960;

/// Most bytes of all values together that the index takes of one instance; the usual ones have less than 1 kB. It
/// bounds what an instance that is being received, or waits for its commit, holds beside its bytes.
pub const MAX_INDEXED_BYTES: usize = 4 * MAX_INDEXED_VALUE_BYTES;

/// Most bytes that the tags of one instance take while they wait to be written as JSON: elements, and values that are
/// short enough to be given. An enhanced multi-frame object of 50,000 frames, about the largest there is, has 3,000,000
/// elements of 32 bytes and values of some ten each.
pub const MAX_TAGS_BYTES: usize = 128 << 20;

/// Most bytes before the pixel data of an image whose header is read as a whole. An enhanced multi-frame object of 50,000
/// frames has some 60 MB there.
pub const MAX_HEADER_BYTES: usize = 128 << 20;

/// Most bytes of File Meta Information. It holds UIDs, AE titles and, rarely, private information; without a
/// bound a stream could send group 2 for ever.
pub const MAX_META_BYTES: usize = 1 << 20;

/// Most bytes that a deflated data set may inflate to, pixel data left out where it is not asked for. The largest
/// that are sent deflated are structured reports and structure sets of some ten MB; pixel data has its
/// own compressions.
pub const MAX_INFLATED_BYTES: u64 = 256 << 20;

/// Most inflated bytes for each deflated one, after a first MiB. Deflate reaches 1032 on zeros alone; black image
/// borders and empty masks stay below 500 with any header at all.
pub const MAX_INFLATE_RATIO: u64 = 600;

/// Most frames of one instance. Number of Frames is an IS of up to 2^31 - 1; whole slide levels reach about
/// 1,000,000 tiles.
pub const MAX_FRAMES: usize = 4_000_000;
