//! Structured reports as documents.

use std::sync::Arc;

use serde::Deserialize;
use vna_dicom::ReadAt;
use vna_report::{MAX_DOCUMENT_BYTES, ReportForm};

use super::Pictures;
use super::opened::whole;
use super::problem::PictureProblem;
use crate::error::ArchiveError;
use crate::reencode::StoredBlob;
use crate::stored_file::StoredFile;

/// Longest report that is shown: long ones are of computer-aided detection, and have some megabytes.
const MAX_REPORT_BYTES: u64 = 32 << 20;

/// A report takes about so much more memory than bytes of its file: each element is on its own, then each item.
const PARSED_FACTOR: u64 = 12;

/// How long a document is at most, by the length of the file: most of a file are tags, codes and UIDs.
const DOCUMENT_FACTOR: u64 = 8;

/// Which document of a report is wanted.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportRequest {
    /// Its form.
    pub form: DocumentForm,
    /// The address of the studies service, below which links to images go.
    pub root_url: String,
}

/// See [`ReportForm`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names of ReportForm")]
pub enum DocumentForm {
    Html,
    Xml,
    Text,
}

impl DocumentForm {
    fn to_form(self) -> ReportForm {
        match self {
            DocumentForm::Html => ReportForm::Html,
            DocumentForm::Xml => ReportForm::Xml,
            DocumentForm::Text => ReportForm::Text,
        }
    }
}

impl Pictures {
    /// The document of a report, in UTF-8.
    ///
    /// # Errors
    ///
    /// [`PictureProblem::Report`] if the object is none, or longer than those that are shown; [`PictureProblem::TooLarge`];
    /// what the store and the scanner say.
    pub async fn report(
        self: &Arc<Self>,
        reader: Arc<StoredFile>,
        request: ReportRequest,
    ) -> Result<Vec<u8>, ArchiveError> {
        let source = StoredBlob::new(reader);
        let length = source.size().min(MAX_REPORT_BYTES);
        let document = length
            .saturating_mul(DOCUMENT_FACTOR)
            .min(MAX_DOCUMENT_BYTES as u64);
        let bytes = length.saturating_mul(PARSED_FACTOR) + document;
        let lent = match self.room.try_lend(bytes)? {
            Some(lent) => lent,
            None => self.room.lend(bytes).await?,
        };
        self.on_a_place(move || {
            let file = whole(&source, MAX_REPORT_BYTES)?;
            let made =
                vna_report::document(&file.data_set, request.form.to_form(), &request.root_url);
            drop(lent);
            Ok(made.map_err(PictureProblem::from)?.into_bytes())
        })
        .await
    }
}
