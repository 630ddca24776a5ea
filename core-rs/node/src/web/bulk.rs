//! Values that metadata gives by a URI, as parts: all of them, or only pixel data.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use vna_codec::OCTET_STREAM;
use vna_dicom::{
    Content, DataSet, ElementPath, Model, ModelOptions, TransferSyntax, Value, ValuePlace,
    read_model, tags,
};
use vna_index::{Located, PickedInstance};

use super::Form;
use super::frames::{self, FrameParts, Frames};
use super::parts::{Body, Part};
use super::selection::{Selection, location};
use crate::error::ArchiveError;
use crate::forms::{stored_content, stored_model};
use crate::pictures::{PictureProblem, StoredFrame, blocking};
use crate::stored_file::StoredFile;

/// See the module.
pub(super) struct BulkParts {
    selection: Selection,
    root: String,
    /// Of frames, by the transfer syntax that they are stored in.
    forms: HashMap<String, Form>,
    /// Longest value that metadata gives in place; `None`: only pixel data is wanted.
    bulk_threshold: Option<u64>,
    next: usize,
    /// Parts of the instance whose turn it is.
    values: VecDeque<(String, ValuePlace, Arc<StoredFile>)>,
    pixels: Option<Pixels>,
}

/// Pixel data, whose frames are opened in their turn.
enum Pixels {
    Waiting(Arc<Located>, Arc<StoredFile>, String),
    Open(Box<FrameParts>),
    /// Native: one value.
    Joined(Box<Part>),
}

impl BulkParts {
    pub fn new(
        selection: Selection,
        root: String,
        forms: HashMap<String, Form>,
        bulk_threshold: Option<u64>,
    ) -> Self {
        BulkParts {
            selection,
            root,
            forms,
            bulk_threshold,
            next: 0,
            values: VecDeque::new(),
            pixels: None,
        }
    }

    /// The next part.
    pub async fn next(&mut self) -> Result<Option<Part>, ArchiveError> {
        loop {
            if let Some((location, place, file)) = self.values.pop_front() {
                return Ok(Some(value_part(location, place, file)));
            }
            match self.pixels.take() {
                Some(Pixels::Open(mut parts)) => {
                    if let Some(part) = parts.next().await? {
                        self.pixels = Some(Pixels::Open(parts));
                        return Ok(Some(part));
                    }
                }
                Some(Pixels::Waiting(located, file, location)) => {
                    self.pixels = self.open_pixels(located, file, location).await?;
                }
                Some(Pixels::Joined(part)) => return Ok(Some(*part)),
                None if !self.open_next().await? => return Ok(None),
                None => {}
            }
        }
    }

    /// Types, places and lengths of all parts, if they are of one instance and leave as they are stored. It comes first.
    pub async fn outline(&mut self) -> Result<Option<Vec<(String, String, u64)>>, ArchiveError> {
        if self.selection.len() != 1 || !self.open_next().await? {
            return Ok(None);
        }
        if let Some(Pixels::Waiting(located, file, location)) = self.pixels.take() {
            self.pixels = self.open_pixels(located, file, location).await?;
        }
        let values = self.values.iter();
        let mut parts: Vec<_> = values
            .map(|(location, place, _)| (OCTET_STREAM.to_owned(), location.clone(), place.length))
            .collect();
        let pixels = match &self.pixels {
            None => Some(Vec::new()),
            Some(Pixels::Open(frames)) => frames.outline(),
            Some(Pixels::Joined(part)) => part.outline().map(|part| vec![part]),
            Some(Pixels::Waiting(..)) => None,
        };
        Ok(pixels.map(|pixels| {
            parts.extend(pixels);
            parts
        }))
    }

    /// Opens the pixel data of an instance; `None` if none of it is given.
    async fn open_pixels(
        &mut self,
        located: Arc<Located>,
        file: Arc<StoredFile>,
        location: String,
    ) -> Result<Option<Pixels>, ArchiveError> {
        let stored_in = located.transfer_syntax_uid.trim_end_matches(['\0', ' ']);
        let Some(form) = self.forms.get(stored_in).cloned() else {
            return Ok(None);
        };
        let archive = Arc::clone(self.selection.archive());
        let opened = frames::open(&archive, Arc::clone(&located), file).await;
        let frames: Frames = match opened {
            // Whether what is deflated has pixel data is known when it was read.
            Err(ArchiveError::Picture(PictureProblem::NoImage { .. }))
                if located.pixel_data_offset.is_none() =>
            {
                return Ok(None);
            }
            // One of many whose frames nothing tells apart.
            Err(error) if error.is_of_one_file() && self.selection.len() > 1 => {
                let instance = located.instance.to_string();
                tracing::warn!(error = %error, instance, "the frames of an instance cannot be read");
                return Ok(None);
            }
            opened => opened?,
        };
        let mut parts = FrameParts::new(archive, frames, &[], location, form)?;
        Ok(Some(match parts.joined() {
            Some(part) => Pixels::Joined(Box::new(part)),
            None => Pixels::Open(Box::new(parts)),
        }))
    }

    /// Finds the values of the next instance; `false` if there is none.
    async fn open_next(&mut self) -> Result<bool, ArchiveError> {
        let Some(instance) = self.selection.instances().get(self.next).copied() else {
            return Ok(false);
        };
        self.next += 1;
        let (selection, root) = (self.selection.clone(), self.root.clone());
        let threshold = self.bulk_threshold;
        let found = move || find(&selection, &root, &instance, threshold);
        let found = blocking(found).await?;
        let Some(Found {
            located,
            file,
            location,
            places,
        }) = found
        else {
            return Ok(true);
        };
        for (path, place) in places {
            let location = format!("{location}/bulkdata{path}");
            self.values.push_back((location, place, Arc::clone(&file)));
        }
        if may_have_pixels(&located) {
            self.pixels = Some(Pixels::Waiting(located, file, location));
        }
        Ok(true)
    }
}

fn may_have_pixels(located: &Located) -> bool {
    located.pixel_data_offset.is_some()
        || TransferSyntax::from_uid(&located.transfer_syntax_uid).deflated
}

struct Found {
    located: Arc<Located>,
    file: Arc<StoredFile>,
    location: String,
    places: Vec<(ElementPath, ValuePlace)>,
}

fn find(
    selection: &Selection,
    root: &str,
    instance: &PickedInstance,
    threshold: Option<u64>,
) -> Result<Option<Found>, ArchiveError> {
    let located = selection.locate(&[*instance])?.remove(&instance.instance);
    let (Some(located), Some(series)) = (located, selection.series(instance)) else {
        return Ok(None); // deleted, and its time is over
    };
    let file = Arc::new(selection.open(instance.instance, &located)?);
    let mut places = Vec::new();
    if let Some(bulk_threshold) = threshold {
        for path in bulk_paths(&located, &file, bulk_threshold)? {
            if let Some(Content::Value(place)) = stored_content(&located, &file, path.clone())? {
                places.push((path, place));
            }
        }
    }
    let location = location(root, series, &located.sop_instance_uid);
    Ok(Some(Found {
        located: Arc::new(located),
        file,
        location,
        places,
    }))
}

/// Where the values are that metadata gives by a URI, but for pixel data.
fn bulk_paths(
    located: &Located,
    file: &StoredFile,
    bulk_threshold: u64,
) -> Result<Vec<ElementPath>, ArchiveError> {
    let options = ModelOptions {
        bulk_threshold,
        bulk_uri: "",
        documents_by_uri: true,
        whole: false,
    };
    let text = stored_model(located, file, Model::Json, &options)?;
    let mut paths = Vec::new();
    collect(&read_model(&text, Model::Json)?, &mut paths);
    Ok(paths)
}

fn collect(data_set: &DataSet, paths: &mut Vec<ElementPath>) {
    for element in data_set.elements() {
        match &element.value {
            Value::BulkDataUri(_) if is_frames(element.tag) => {}
            Value::BulkDataUri(uri) => paths.extend(uri.parse::<ElementPath>()),
            Value::Items(items) => items.iter().for_each(|item| collect(item, paths)),
            Value::Bytes(_) | Value::Fragments(_) | Value::Stored(_) => {}
        }
    }
}

fn is_frames(tag: vna_dicom::Tag) -> bool {
    [
        tags::PIXEL_DATA,
        tags::FLOAT_PIXEL_DATA,
        tags::DOUBLE_FLOAT_PIXEL_DATA,
    ]
    .contains(&tag)
}

fn value_part(location: String, place: ValuePlace, file: Arc<StoredFile>) -> Part {
    let range = place.offset..place.offset + place.length;
    let body = match place.held {
        Some(held) => Body::Held(Bytes::from(held)),
        None => Body::Stored(StoredFrame::of_value(file, range, place.swap_unit)),
    };
    Part {
        content_type: OCTET_STREAM.to_owned(),
        location,
        length: Some(place.length),
        body,
    }
}
