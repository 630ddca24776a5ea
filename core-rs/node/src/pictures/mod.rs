//! Pictures and arrays of stored frames.
//!
//! 1. All that is made for requests that run at once has a bound in bytes (invariant 6 of ARCHITECTURE.md): who finds
//!    no room waits, without a thread.
//! 2. A picture is of the blob that its reader holds open, whatever happens to the instance meanwhile.
//! 3. Decoding and rendering are on threads that may wait; beside them others can still read the disk.

mod animation;
mod arrays;
mod cache;
pub(crate) mod headers;
mod icons;
mod matlab;
mod npy;
mod opened;
mod problem;
mod raw;
mod render;
mod reports;
mod representative;
mod request;
mod room;
mod slices;
mod stream;
mod thumbnails;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use vna_codec::Codecs;

use crate::error::ArchiveError;
use headers::Headers;
pub(crate) use room::Lent;
use room::Room;

pub use arrays::{ArrayForm, ArrayRequest};
pub(crate) use cache::ThumbnailCache;
pub use icons::{IconRequest, icon};
pub(crate) use opened::{absence, refuse_frames_elsewhere};
pub use problem::PictureProblem;
pub use raw::{StoredFrame, promised_frames};
pub(crate) use raw::{is_video, stored_bytes, video};
pub use render::{PictureFile, PictureSource, count_frames, render_object};
pub use reports::ReportRequest;
pub use representative::representative;
pub use request::{PictureColours, PictureForm, PictureMode, PictureRequest};
pub use slices::{OrderedSlices, Slice, ordered_slices};
pub use stream::MadeStream;
pub use thumbnails::ThumbnailRequest;

/// Pictures in the making are at most so many for each place that codecs have: while one waits for the disk, another
/// decodes.
const PLACES_PER_CODEC: usize = 2;

/// More would leave none of the threads that may wait to others.
const MAX_PLACES: usize = 8;

/// Which part of the memory for pictures headers may take beside it: 4 MiB of the usual 256.
const HEADERS_PART: u64 = 64;

/// How long a request waits for others to be done.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// What makes pictures of an archive's frames.
pub struct Pictures {
    codecs: Arc<Codecs>,
    places: Arc<Semaphore>,
    room: Room,
    thumbnails: Arc<ThumbnailCache>,
    headers: Headers,
    rendered: AtomicU64,
}

/// What has happened since the start, and what is held now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[allow(missing_docs, reason = "named after the metrics that they are")]
pub struct PictureCounters {
    pub rendered: u64,
    pub memory_used_bytes: u64,
    pub memory_budget_bytes: u64,
    pub memory_waits: u64,
    pub header_hits: u64,
    pub header_cache_bytes: u64,
    pub header_cache_budget_bytes: u64,
    pub thumbnail_hits: u64,
    pub thumbnail_misses: u64,
    pub thumbnails_evicted: u64,
    pub thumbnail_failures: u64,
    pub thumbnail_cache_bytes: u64,
    pub thumbnail_cache_budget_bytes: u64,
}

impl Pictures {
    /// Pictures made with `codecs`, in so many bytes of memory.
    pub(crate) fn new(
        codecs: Arc<Codecs>,
        thumbnails: Arc<ThumbnailCache>,
        memory_bytes: u64,
    ) -> Self {
        let places = codecs.settings().parallel * PLACES_PER_CODEC;
        Pictures {
            places: Arc::new(Semaphore::new(places.clamp(1, MAX_PLACES))),
            codecs,
            room: Room::new(memory_bytes),
            thumbnails,
            headers: Headers::new(memory_bytes / HEADERS_PART),
            rendered: AtomicU64::new(0),
        }
    }

    /// What frames are decoded with.
    pub(crate) fn codecs(&self) -> &Arc<Codecs> {
        &self.codecs
    }

    /// Lends memory for what is made of frames, as soon as it is there.
    ///
    /// # Errors
    ///
    /// [`PictureProblem::TooLarge`], [`PictureProblem::Busy`].
    pub(crate) async fn lend(&self, bytes: u64) -> Result<Lent, ArchiveError> {
        self.room.lend(bytes).await
    }

    /// Waits for one of the places.
    async fn place(&self) -> Result<OwnedSemaphorePermit, ArchiveError> {
        let place = Arc::clone(&self.places).acquire_owned();
        match tokio::time::timeout(MAX_WAIT, place).await {
            Ok(Ok(place)) => Ok(place),
            _ => Err(PictureProblem::Busy.into()),
        }
    }

    /// Does work of a picture, on a thread that may wait, beside a few others of its kind at most.
    ///
    /// # Errors
    ///
    /// [`PictureProblem::Busy`], and what the work says.
    pub async fn on_a_place<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, ArchiveError> + Send + 'static,
    ) -> Result<T, ArchiveError> {
        let place = self.place().await?;
        blocking(move || {
            let done = work();
            drop(place);
            done
        })
        .await
    }

    /// What has happened since the start, and what is held now.
    pub fn counters(&self) -> PictureCounters {
        let kept = self.thumbnails.counters();
        PictureCounters {
            rendered: self.rendered.load(Ordering::Relaxed),
            memory_used_bytes: self.room.used(),
            memory_budget_bytes: self.room.total(),
            memory_waits: self.room.waits(),
            header_hits: self.headers.hits(),
            header_cache_bytes: self.headers.bytes(),
            header_cache_budget_bytes: self.headers.limit(),
            thumbnail_hits: kept.hits.load(Ordering::Relaxed),
            thumbnail_misses: kept.misses.load(Ordering::Relaxed),
            thumbnails_evicted: kept.evicted.load(Ordering::Relaxed),
            thumbnail_failures: kept.failures.load(Ordering::Relaxed),
            thumbnail_cache_bytes: self.thumbnails.bytes(),
            thumbnail_cache_budget_bytes: self.thumbnails.limit(),
        }
    }
}

/// Runs `work` on a thread that may wait.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ArchiveError> + Send + 'static,
) -> Result<T, ArchiveError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(ended) => match ended.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(ArchiveError::Stopped),
        },
    }
}
