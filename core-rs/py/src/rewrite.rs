//! `vna._core.Rewriting`: stored instances written anew by a recipe, and stored or given back as files.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use vna_dicom::edit::Recipe;
use vna_node::{Archive, Caller, RewriteRequest, Rewriting, Rewritten};

use crate::archive::{CoreArchive, parse};
use crate::completions::{Completions, Outcome};
use crate::errors::BoundaryError;

/// Adds the classes and the function to the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<CoreRewriting>()?;
    m.add_class::<CoreRewritten>()?;
    m.add_function(wrap_pyfunction!(check_recipe, m)?)
}

/// Compiles a recipe and forgets it: raises what is wrong with it.
#[pyfunction]
#[pyo3(signature = (recipe_json, /))]
fn check_recipe(recipe_json: &[u8]) -> Result<(), BoundaryError> {
    Recipe::from_json(recipe_json).map_err(vna_node::ArchiveError::from)?;
    Ok(())
}

#[pymethods]
impl CoreArchive {
    fn rewriting(
        &self,
        caller_json: PyBackedBytes,
        recipe_json: PyBackedBytes,
        request_json: PyBackedBytes,
    ) -> PyResult<CoreRewriting> {
        let caller: Caller = parse(&caller_json, "caller_json")?;
        let request = RewriteRequest::from_json(&request_json).map_err(BoundaryError::from)?;
        Ok(CoreRewriting {
            archive: self.archive()?,
            asked: Arc::new(Asked {
                caller,
                recipe: recipe_json.to_vec(),
                request,
            }),
            state: Arc::default(),
            completions: Arc::clone(&self.completions),
            handle: self.handle.clone(),
        })
    }

    /// The file that an instance becomes, whole.
    fn rewrite_one(
        &self,
        caller_json: PyBackedBytes,
        recipe_json: PyBackedBytes,
        public_id: String,
    ) -> PyResult<u64> {
        let caller: Caller = parse(&caller_json, "caller_json")?;
        let request = RewriteRequest {
            instances: vec![public_id],
            resources: Vec::new(),
            overwrite: false,
            lossy_quality: None,
        };
        let handle = self.spawn(move |archive| {
            let rewriting = Rewriting::open(archive, caller, &recipe_json, &request)?;
            let mut made = rewriting.file(archive, 0)?;
            let (mut file, mut piece) = (Vec::new(), vec![0; PIECE_BYTES]);
            loop {
                let count = made.read(&mut piece)?;
                if count == 0 {
                    return Ok(file);
                }
                file.extend_from_slice(&piece[..count]);
            }
        })?;
        Ok(handle)
    }
}

/// Bytes that are read at once.
const PIECE_BYTES: usize = 1 << 20;

struct Asked {
    caller: Caller,
    recipe: Vec<u8>,
    request: RewriteRequest,
}

/// Steps may be made one after the other only.
#[pyclass(frozen, name = "Rewriting", module = "vna._core")]
pub(crate) struct CoreRewriting {
    archive: Arc<Archive>,
    asked: Arc<Asked>,
    /// `None` before it is opened.
    state: Arc<Mutex<Option<Arc<Rewriting>>>>,
    completions: Arc<Completions>,
    handle: tokio::runtime::Handle,
}

#[pymethods]
impl CoreRewriting {
    /// Compiles the recipe and finds the instances; completes with `{"total": ...}`.
    fn open(&self) -> u64 {
        let (state, asked) = (Arc::clone(&self.state), Arc::clone(&self.asked));
        self.spawn(move |archive| {
            let Asked {
                caller,
                recipe,
                request,
            } = &*asked;
            let rewriting = Rewriting::open(archive, caller.clone(), recipe, request)?;
            let total = serde_json::json!({ "total": rewriting.total() });
            *state.lock() = Some(Arc::new(rewriting));
            Ok(total.to_string().into_bytes())
        })
    }

    /// Writes up to `count` instances anew from number `position` on, and stores them; completes with a list of what
    /// became of each. None is begun when it has taken `patience_s`.
    #[pyo3(signature = (position, count, patience_s = f64::INFINITY))]
    fn step(&self, position: usize, count: usize, patience_s: f64) -> u64 {
        let state = Arc::clone(&self.state);
        let patience = Duration::try_from_secs_f64(patience_s).unwrap_or(Duration::MAX);
        self.spawn(move |archive| {
            let rewriting = opened(&state)?;
            Ok(rewriting.step(archive, position, count, patience)?)
        })
    }

    /// The file that instance number `number` becomes, to be opened and read; nothing is stored.
    fn file(&self, number: usize) -> CoreRewritten {
        CoreRewritten {
            archive: Arc::clone(&self.archive),
            rewriting: Arc::clone(&self.state),
            number,
            state: Arc::default(),
            completions: Arc::clone(&self.completions),
            handle: self.handle.clone(),
        }
    }
}

impl CoreRewriting {
    fn spawn(&self, work: impl FnOnce(&Archive) -> Outcome + Send + 'static) -> u64 {
        let (handle, promise) = self.completions.promise();
        let archive = Arc::clone(&self.archive);
        self.handle.spawn_blocking(move || {
            let outcome = work(&archive);
            drop(archive); // before the answer, after which the archive may be closed
            promise.keep(outcome);
        });
        handle
    }
}

fn opened(state: &Mutex<Option<Arc<Rewriting>>>) -> Result<Arc<Rewriting>, BoundaryError> {
    let opened = state.lock().clone();
    opened.ok_or_else(|| BoundaryError::Argument("open comes first".to_owned()))
}

/// Its calls are made one after the other: each goes on where the one before ended.
#[pyclass(frozen, name = "Rewritten", module = "vna._core")]
pub(crate) struct CoreRewritten {
    archive: Arc<Archive>,
    rewriting: Arc<Mutex<Option<Arc<Rewriting>>>>,
    number: usize,
    /// `None` before it is opened.
    state: Arc<Mutex<Option<Rewritten>>>,
    completions: Arc<Completions>,
    handle: tokio::runtime::Handle,
}

#[pymethods]
impl CoreRewritten {
    /// Applies the recipe; completes with `{"length": ..., "burned_in": ...}`: the length is null if it is known only at the
    /// end; what the source says of text in its pixels is `YES`, `UNSAID` or null.
    fn open(&self) -> u64 {
        let (handle, promise) = self.completions.promise();
        let (state, rewriting) = (Arc::clone(&self.state), Arc::clone(&self.rewriting));
        let (archive, number) = (Arc::clone(&self.archive), self.number);
        self.handle.spawn_blocking(move || {
            let made = opened(&rewriting).and_then(|rewriting| {
                let made = rewriting.file(&archive, number)?;
                let told = serde_json::json!({
                    "length": made.length(),
                    "burned_in": made.burned_in().told(),
                });
                *state.lock() = Some(made);
                Ok(told.to_string().into_bytes())
            });
            drop(archive);
            promise.keep(made);
        });
        handle
    }

    /// Reads on; completes with fewer bytes than `length` only at the end.
    fn read(&self, length: usize) -> u64 {
        let (handle, promise) = self.completions.promise();
        let state = Arc::clone(&self.state);
        self.handle.spawn_blocking(move || {
            let mut buffer = vec![0; length];
            promise.keep(match &mut *state.lock() {
                None => Err(BoundaryError::Argument("read comes before open".to_owned())),
                Some(made) => match made.read(&mut buffer) {
                    Ok(count) => {
                        buffer.truncate(count);
                        Ok(buffer)
                    }
                    Err(error) => Err(error.into()),
                },
            });
        });
        handle
    }
}
