//! `vna._core.Selection` and `vna._core.Answer`: what UIDs name, and what DICOMweb sends of it.

use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use vna_index::UidPath;
use vna_node::web::{Answer, Outline, Selection, Wanted};
use vna_node::{Archive, ArchiveError, now_us};

use crate::archive::{CoreArchive, parse};
use crate::completions::Completions;
use crate::errors::BoundaryError;
use crate::http::CoreExchange;
use crate::leaving::Leaving;

/// Adds the classes to the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<CoreSelection>()?;
    m.add_class::<CoreAnswer>()
}

/// UIDs of a path.
struct Named {
    study: String,
    series: Option<String>,
    instance: Option<String>,
}

#[pymethods]
impl CoreArchive {
    /// What UIDs name; it is found by `open`.
    #[pyo3(signature = (tenant, study, series = None, instance = None))]
    fn select(
        &self,
        tenant: i64,
        study: String,
        series: Option<String>,
        instance: Option<String>,
    ) -> PyResult<CoreSelection> {
        Ok(CoreSelection {
            archive: self.archive()?,
            tenant,
            named: Arc::new(Named {
                study,
                series,
                instance,
            }),
            found: Arc::default(),
            completions: Arc::clone(&self.completions),
            handle: self.handle.clone(),
        })
    }
}

/// See the module.
#[pyclass(frozen, name = "Selection", module = "vna._core")]
pub(crate) struct CoreSelection {
    archive: Arc<Archive>,
    tenant: i64,
    named: Arc<Named>,
    /// `None` before it is opened.
    found: Arc<Mutex<Option<Selection>>>,
    completions: Arc<Completions>,
    handle: tokio::runtime::Handle,
}

#[pymethods]
impl CoreSelection {
    /// Finds it; completes with what is there as JSON.
    fn open(&self) -> u64 {
        let (handle, promise) = self.completions.promise();
        let (archive, tenant) = (Arc::clone(&self.archive), self.tenant);
        let (named, found) = (Arc::clone(&self.named), Arc::clone(&self.found));
        self.handle.spawn_blocking(move || {
            let path = UidPath {
                study: &named.study,
                series: named.series.as_deref(),
                instance: named.instance.as_deref(),
            };
            let find = || -> Result<Vec<u8>, ArchiveError> {
                let selection = Selection::find(&archive, tenant, &path)?;
                let was_deleted = selection.is_empty()
                    && Selection::was_deleted(&archive, tenant, &path, now_us())?;
                let facts = facts(&selection, was_deleted);
                *found.lock() = Some(selection);
                Ok(facts)
            };
            promise.keep(find().map_err(BoundaryError::from));
        });
        handle
    }

    /// What is known of an answer before it is prepared: its entity tag, and what stands between its parts.
    fn outline(&self, wanted_json: PyBackedBytes) -> PyResult<(String, Option<String>)> {
        let wanted: Wanted = parse(&wanted_json, "wanted_json")?;
        let Outline { boundary, etag } = Outline::of(&self.found()?, &wanted);
        Ok((etag, boundary))
    }

    /// An answer of it, to be prepared.
    fn answer(&self, wanted_json: PyBackedBytes) -> PyResult<CoreAnswer> {
        let wanted: Wanted = parse(&wanted_json, "wanted_json")?;
        Ok(CoreAnswer {
            begin: Mutex::new(Some((self.found()?, wanted))),
            answer: Leaving::new(&self.completions, &self.handle),
        })
    }
}

impl CoreSelection {
    fn found(&self) -> Result<Selection, BoundaryError> {
        let found = self.found.lock().clone();
        found.ok_or_else(|| BoundaryError::Argument("open comes first".to_owned()))
    }
}

fn facts(selection: &Selection, was_deleted: bool) -> Vec<u8> {
    let syntaxes: serde_json::Map<String, serde_json::Value> = selection
        .transfer_syntaxes()
        .into_iter()
        .map(|(uid, count)| (uid.to_owned(), count.into()))
        .collect();
    let version: String = selection
        .version()
        .0
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    serde_json::json!({
        "instances": selection.len(),
        "bytes": selection.bytes(),
        "transfer_syntaxes": syntaxes,
        "version": version,
        "modified_s": selection.modified_s(now_us()),
        "was_deleted": was_deleted,
    })
    .to_string()
    .into_bytes()
}

/// Its calls are made one after the other; `close` comes at any time.
#[pyclass(frozen, name = "Answer", module = "vna._core")]
pub(crate) struct CoreAnswer {
    begin: Mutex<Option<(Selection, Wanted)>>,
    answer: Leaving<Answer>,
}

#[pymethods]
impl CoreAnswer {
    /// Prepares it up to its first part; completes with `{"length": ..., "is_empty": ...}`: the length is null if it is
    /// not known.
    fn prepare(&self) -> PyResult<u64> {
        let begin = self.begin.lock().take();
        let (selection, wanted) =
            begin.ok_or_else(|| BoundaryError::Argument("prepare comes once".to_owned()))?;
        let answer = self.answer.place();
        Ok(self.answer.run(async move {
            let prepared = Answer::prepare(&selection, wanted).await?;
            let facts = serde_json::json!({
                "length": prepared.length(),
                "is_empty": prepared.is_empty(),
            });
            *answer.lock().await = Some(prepared);
            Ok(facts.to_string().into_bytes())
        }))
    }

    /// Gives only bytes `first` to `end` of it.
    fn restrict(&self, first: u64, end: u64) -> u64 {
        let answer = self.answer.place();
        self.answer.run(async move {
            if let Some(answer) = &mut *answer.lock().await {
                answer.restrict(first, end);
            }
            Ok(Vec::new())
        })
    }

    /// The next bytes; nothing at the end.
    fn read(&self) -> u64 {
        self.answer.read()
    }

    /// Answers an HTTP request with it; completes at its end.
    fn respond(
        &self,
        exchange: &CoreExchange,
        status: u16,
        headers: Vec<(PyBackedBytes, PyBackedBytes)>,
    ) -> PyResult<u64> {
        Ok(self.answer.respond(exchange, status, headers)?)
    }

    /// Ends it, whatever it is at.
    fn close(&self) {
        self.answer.close();
    }
}
