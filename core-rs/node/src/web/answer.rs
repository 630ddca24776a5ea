//! One answer: prepared until its first part is there, then written as it leaves.

use std::sync::Arc;

use bytes::Bytes;

use super::bulk::BulkParts;
use super::documents::{Form as TextForm, Style};
use super::frames::{self, FrameParts, Frames};
use super::instances::InstanceParts;
use super::metadata::MetadataStream;
use super::multipart::Boundary;
use super::parts::{PartsStream, Source};
use super::selection::{Selection, location};
use super::{Outline, Wanted, What};
use crate::archives::MakingProblem;
use crate::error::ArchiveError;
use crate::transcode::{Abandoned, TranscodeOptions};

/// See the module.
pub struct Answer(Stream);

enum Stream {
    Metadata(Box<MetadataStream>),
    Parts(Box<PartsStream>),
}

impl Answer {
    /// Prepares an answer up to its first part.
    ///
    /// # Errors
    ///
    /// What index, store, scanner and codecs say: [`ArchiveError::Picture`] if there are no such frames.
    pub async fn prepare(selection: &Selection, wanted: Wanted) -> Result<Answer, ArchiveError> {
        let archive = Arc::clone(selection.archive());
        let web = archive.web();
        let boundary = Outline::of(selection, &wanted).boundary.map(Boundary::new);
        let (root, forms) = (wanted.root, wanted.forms);
        let abandoned = Abandoned::default();
        let source = match wanted.what {
            What::Metadata => {
                let style = Style {
                    root,
                    bulk_threshold: web.bulk_threshold,
                    form: boundary.map_or(TextForm::Json, TextForm::Xml),
                };
                let sidecars = Arc::clone(&web.sidecars);
                let mut stream = MetadataStream::new(sidecars, selection, style, wanted.gzip);
                stream.prepare().await?;
                return Ok(Answer(Stream::Metadata(Box::new(stream))));
            }
            What::Instances => {
                let options = TranscodeOptions {
                    spool: archive.spool_settings(),
                    abandoned: abandoned.clone(),
                    ..TranscodeOptions::default()
                };
                let parts = InstanceParts::new(selection.clone(), root, forms, options);
                Source::Instances(Box::new(parts))
            }
            What::Frames(numbers) => {
                let parts = frame_parts(selection, &numbers, root, &forms).await?;
                Source::Frames(Box::new(parts))
            }
            What::BulkData => {
                let threshold = Some(web.bulk_threshold);
                let parts = BulkParts::new(selection.clone(), root, forms, threshold);
                Source::Bulk(Box::new(parts))
            }
            What::PixelData => {
                let parts = BulkParts::new(selection.clone(), root, forms, None);
                Source::Bulk(Box::new(parts))
            }
        };
        let buffers = Arc::clone(&web.buffers);
        let mut stream = PartsStream::new(source, boundary, buffers, abandoned);
        stream.prepare().await?;
        Ok(Answer(Stream::Parts(Box::new(stream))))
    }

    /// How long it is, if that is known.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        match &self.0 {
            Stream::Metadata(stream) => stream.length(),
            Stream::Parts(stream) => stream.length(),
        }
    }

    /// Whether nothing is there to be given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match &self.0 {
            Stream::Metadata(_) => false,
            Stream::Parts(stream) => stream.is_empty(),
        }
    }

    /// Whether it is one part that is stored: all that is held of it is a piece.
    #[must_use]
    pub(crate) fn is_one_stored(&self) -> bool {
        matches!(&self.0, Stream::Parts(stream) if stream.is_one_stored())
    }

    /// Gives only bytes `first` to `end` of it. Metadata is given whole.
    pub fn restrict(&mut self, first: u64, end: u64) {
        if let Stream::Parts(stream) = &mut self.0 {
            stream.restrict(first, end);
        }
    }

    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    ///
    /// What index, store, scanner and codecs say.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ArchiveError> {
        match &mut self.0 {
            Stream::Metadata(stream) => stream.next().await,
            Stream::Parts(stream) => stream.next().await,
        }
    }
}

async fn frame_parts(
    selection: &Selection,
    numbers: &[u64],
    root: String,
    forms: &std::collections::HashMap<String, super::Form>,
) -> Result<FrameParts, ArchiveError> {
    let gone = || ArchiveError::Making(MakingProblem::RowGone);
    let instance = *selection.instances().first().ok_or_else(gone)?;
    let form = forms.get(selection.transfer_syntax(&instance));
    let form = form.cloned().ok_or_else(gone)?;
    let place = selection.series(&instance).cloned().ok_or_else(gone)?;
    let located = selection.locate(&[instance])?.remove(&instance.instance);
    let located = located.ok_or_else(gone)?;
    let reader = Arc::new(selection.open(instance.instance, &located)?);
    let archive = Arc::clone(selection.archive());
    let sop_instance_uid = located.sop_instance_uid.clone();
    let frames = match Frames::at_hand(&located, &reader, &archive.web().tables) {
        Some(frames) => frames,
        None => frames::open(&archive, Arc::new(located), reader).await?,
    };
    let location = location(&root, &place, &sop_instance_uid);
    FrameParts::new(archive, frames, numbers, location, form)
}
