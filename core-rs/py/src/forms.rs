//! The textual forms of what is stored, for Python.

use std::fmt::Write as _;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use vna_dicom::{Content, ElementPath, Level, Model, ModelOptions, ParsePathError};
use vna_node::TagsRequest;

use crate::archive::{CoreArchive, CoreFile, argument, id_of, level_of, not_found, parse};
use crate::errors::BoundaryError;

#[pymethods]
impl CoreArchive {
    fn tags(
        &self,
        tenant: i64,
        level: &str,
        public_id: &str,
        request_json: PyBackedBytes,
    ) -> PyResult<u64> {
        let level = level_of(level)?;
        let request: TagsRequest = parse(&request_json, "request_json")?;
        let id = public_id.to_owned();
        let handle = self.spawn(move |archive| {
            let id = id_of(level, &id)?;
            Ok(vna_node::tags_json(archive, tenant, level, &id, &request)?)
        })?;
        Ok(handle)
    }

    fn model(
        &self,
        tenant: i64,
        public_id: &str,
        model: &str,
        bulk_threshold: u64,
        bulk_uri: String,
    ) -> PyResult<u64> {
        let model = match model {
            "json" => Model::Json,
            "xml" => Model::Xml,
            other => return Err(argument("model", other, "json or xml").into()),
        };
        let id = public_id.to_owned();
        let handle = self.spawn(move |archive| {
            let id = id_of(Level::Instance, &id)?;
            let Some((located, reader)) = archive.open_file(tenant, &id)? else {
                return Err(not_found(Level::Instance, id));
            };
            let options = ModelOptions {
                bulk_threshold,
                bulk_uri: &bulk_uri,
                documents_by_uri: false,
                whole: false,
            };
            Ok(vna_node::stored_model(&located, &reader, model, &options)?)
        })?;
        Ok(handle)
    }
}

#[pymethods]
impl CoreFile {
    /// Finds a place of the data set; `vna/_core.pyi` tells what the result looks like.
    #[pyo3(signature = (path, *, pixels = false))]
    fn locate(&self, path: &str, pixels: bool) -> PyResult<u64> {
        let path: ElementPath = path
            .parse()
            .map_err(|error: ParsePathError| BoundaryError::Argument(error.to_string()))?;
        let (handle, promise) = self.completions.promise();
        let (reader, located) = (Arc::clone(&self.reader), Arc::clone(&self.located));
        self.handle.spawn_blocking(move || {
            let found = vna_node::stored_content(&located, &reader, path);
            promise.keep(
                found
                    .map(|found| described(found, pixels))
                    .map_err(Into::into),
            );
        });
        Ok(handle)
    }
}

fn described(content: Option<Content>, pixels: bool) -> Vec<u8> {
    let numbers = |count: usize| list(count, 8, |out, i| write!(out, "\"{i}\""));
    match content {
        None => b"null".to_vec(),
        Some(Content::Elements(tags)) => list(tags.len(), 12, |out, i| {
            write!(out, "\"{:04x}-{:04x}\"", tags[i].0, tags[i].1)
        }),
        Some(Content::Items(count) | Content::Fragments(count)) => numbers(count),
        Some(Content::NativePixelData(_)) if !pixels => numbers(1),
        Some(Content::Value(place) | Content::NativePixelData(place)) => {
            let mut text = format!(
                "{{\"Offset\":{},\"Length\":{},\"SwapUnit\":{}}}",
                place.offset, place.length, place.swap_unit
            )
            .into_bytes();
            if let Some(value) = place.held {
                text.push(b'\n');
                text.extend(value);
            }
            text
        }
    }
}

/// A JSON array of `count` strings of about `size` bytes.
fn list(
    count: usize,
    size: usize,
    mut one: impl FnMut(&mut String, usize) -> std::fmt::Result,
) -> Vec<u8> {
    let mut out = String::with_capacity(count * size + 2);
    out.push('[');
    for i in 0..count {
        out.push_str(if i == 0 { "" } else { "," });
        // Writing to a String does not fail.
        let _ = one(&mut out, i);
    }
    out.push(']');
    out.into_bytes()
}
