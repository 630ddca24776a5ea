//! Lists, resources, searches and metadata of an open archive.

use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use tokio::sync::OwnedSemaphorePermit;
use vna_dicom::{Level, PublicId};
use vna_index::{Page, Shape};
use vna_node::{Archive, ArchiveError, BulkContent, ListOptions, MetadataForm};

use crate::archive::{CoreArchive, id_of, level_of, not_found, parse};
use crate::completions::Outcome;
use crate::errors::BoundaryError;

/// Searches that run at a time: half of the threads that may wait for the disk.
pub(crate) const MAX_SEARCHES: usize = crate::archive::MAX_BLOCKING_THREADS / 2;

/// How long a search waits for a place.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// Levels in one request that shows resources: of the one that is named, and of those that are shown.
type Levels = (Level, Level);

#[pymethods]
impl CoreArchive {
    /// The plainest request, answered inline.
    fn resource<'py>(
        &self,
        py: Python<'py>,
        tenant: i64,
        level: &str,
        public_id: &str,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let level = level_of(level)?;
        let Ok(id) = public_id.parse::<PublicId>() else {
            return Ok(None);
        };
        let archive = self.archive()?;
        let json = py.detach(|| {
            let index = archive.index();
            index.resource_json(tenant, level, &id, &Shape::whole())
        });
        let json = json.map_err(|error| BoundaryError::from(ArchiveError::from(error)))?;
        Ok(json.map(|json| PyBytes::new(py, &json)))
    }

    fn list(
        &self,
        tenant: i64,
        level: &str,
        since: u64,
        limit: u64,
        options_json: PyBackedBytes,
    ) -> PyResult<u64> {
        let level = level_of(level)?;
        let options: ListOptions = parse(&options_json, "options_json")?;
        let page = Page { since, limit };
        let handle = self.search(move |archive| {
            let json = vna_node::list_json(archive, tenant, level, page, &options);
            Ok(json?)
        })?;
        Ok(handle)
    }

    fn related(
        &self,
        tenant: i64,
        level: &str,
        public_id: &str,
        related_level: &str,
        options_json: PyBackedBytes,
    ) -> PyResult<u64> {
        let (level, related): Levels = (level_of(level)?, level_of(related_level)?);
        let options: ListOptions = parse(&options_json, "options_json")?;
        let id = public_id.to_owned();
        let handle = self.search(move |archive| {
            let id = id_of(level, &id)?;
            let json = vna_node::related_json(archive, tenant, level, &id, related, &options);
            Ok(json?)
        })?;
        Ok(handle)
    }

    fn query(&self, tenant: i64, query_json: PyBackedBytes) -> PyResult<u64> {
        let handle = self.search(move |archive| {
            let json = vna_node::find_json(archive, tenant, &query_json);
            Ok(json?)
        })?;
        Ok(handle)
    }

    fn count(&self, tenant: i64, query_json: PyBackedBytes) -> PyResult<u64> {
        let handle =
            self.search(move |archive| Ok(vna_node::count_json(archive, tenant, &query_json)?))?;
        Ok(handle)
    }

    fn bulk_content(&self, tenant: i64, request_json: PyBackedBytes) -> PyResult<u64> {
        let wanted: BulkContent = parse(&request_json, "request_json")?;
        let handle =
            self.search(move |archive| Ok(vna_node::bulk_content_json(archive, tenant, &wanted)?))?;
        Ok(handle)
    }

    fn clear_changes(&self, tenant: i64) -> PyResult<u64> {
        let handle = self.spawn(move |archive| {
            let cleared = archive.index().clear_changes(tenant);
            cleared.map_err(ArchiveError::from)?;
            Ok(Vec::new())
        })?;
        Ok(handle)
    }

    fn lookup(&self, tenant: i64, identifier: &str) -> PyResult<u64> {
        let identifier = identifier.to_owned();
        let handle = self.spawn(move |archive| {
            let json = archive.index().lookup_json(tenant, &identifier);
            Ok(json.map_err(ArchiveError::from)?)
        })?;
        Ok(handle)
    }

    fn resource_statistics(&self, tenant: i64, level: &str, public_id: &str) -> PyResult<u64> {
        let level = level_of(level)?;
        let id = public_id.to_owned();
        let handle = self.spawn(move |archive| {
            let id = id_of(level, &id)?;
            let index = archive.index();
            let json = index.resource_statistics_json(tenant, level, &id);
            json.map_err(ArchiveError::from)?
                .ok_or_else(|| not_found(level, id))
        })?;
        Ok(handle)
    }

    fn metadata(
        &self,
        tenant: i64,
        level: &str,
        public_id: &str,
        expand: bool,
        numeric: bool,
    ) -> PyResult<u64> {
        let level = level_of(level)?;
        let id = public_id.to_owned();
        let handle = self.spawn(move |archive| {
            let id = id_of(level, &id)?;
            let form = MetadataForm { expand, numeric };
            Ok(vna_node::metadata_json(archive, tenant, level, &id, form)?)
        })?;
        Ok(handle)
    }

    fn metadata_value(
        &self,
        tenant: i64,
        level: &str,
        public_id: &str,
        name: &str,
    ) -> PyResult<u64> {
        let level = level_of(level)?;
        let (id, name) = (public_id.to_owned(), name.to_owned());
        let handle = self.spawn(move |archive| {
            let id = id_of(level, &id)?;
            Ok(vna_node::metadata_value(
                archive, tenant, level, &id, &name,
            )?)
        })?;
        Ok(handle)
    }
}

impl CoreArchive {
    /// Runs what may take long on a thread that may wait for the disk, beside a few others of its kind at most: who
    /// wants to read a file does not wait behind searches.
    pub(crate) fn search(
        &self,
        work: impl FnOnce(&Archive) -> Outcome + Send + 'static,
    ) -> Result<u64, BoundaryError> {
        let archive = self.archive()?;
        let (handle, promise) = self.completions.promise();
        let run = move |place: OwnedSemaphorePermit| {
            tokio::task::spawn_blocking(move || {
                promise.keep(work(&archive));
                drop(place);
            });
        };
        if let Ok(place) = Arc::clone(&self.searches).try_acquire_owned() {
            let _runtime = self.handle.enter();
            run(place);
            return Ok(handle);
        }
        let places = Arc::clone(&self.searches);
        self.handle.spawn(async move {
            // Places are never closed; whoever waits too long lets go of its promise, which answers that it is busy.
            if let Ok(Ok(place)) = tokio::time::timeout(MAX_WAIT, places.acquire_owned()).await {
                run(place);
            }
        });
        Ok(handle)
    }
}
