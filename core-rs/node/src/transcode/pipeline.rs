//! Frames worked on by several threads, given in their order.
//!
//! 1. At most `window` frames are begun and not given yet, so memory does not grow with the number of frames, and a reader
//!    that stalls stops the work.
//! 2. A thread that waits holds no lease: places of codecs are for those who have work.
//! 3. Dropped, it begins no more frames; what is being worked on is let go.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use vna_codec::CodecError;

use super::spool::Lent;
use crate::error::ArchiveError;

type Work<T> = dyn Fn(usize) -> Result<T, ArchiveError> + Send + Sync;

/// Gives what becomes of frame 0, 1, ...
pub(super) struct Pipeline<T> {
    shared: Arc<Shared<T>>,
    /// Whether no threads were needed.
    inline: bool,
    /// Memory for the frames that wait to be given.
    _lent: Option<Lent>,
}

struct Shared<T> {
    work: Box<Work<T>>,
    frames: usize,
    window: usize,
    state: Mutex<State<T>>,
    /// A frame is done.
    done: Condvar,
    /// A frame was given, or all is over.
    given: Condvar,
}

struct State<T> {
    next: usize,
    given: usize,
    done: BTreeMap<usize, Result<T, ArchiveError>>,
}

impl<T: Send + 'static> Pipeline<T> {
    /// Begins with frame `first` of `frames`, on `parallel` threads; `window` may come with the memory for it.
    pub fn start(
        first: usize,
        frames: usize,
        parallel: usize,
        (window, lent): (usize, Option<Lent>),
        work: impl Fn(usize) -> Result<T, ArchiveError> + Send + Sync + 'static,
    ) -> Result<Self, ArchiveError> {
        let shared = Arc::new(Shared {
            work: Box::new(work),
            frames,
            window: window.max(1),
            state: Mutex::new(State {
                next: first,
                given: first,
                done: BTreeMap::new(),
            }),
            done: Condvar::new(),
            given: Condvar::new(),
        });
        let threads = parallel.min(frames.saturating_sub(first));
        let inline = threads < 2;
        let pipeline = Pipeline {
            shared,
            inline,
            _lent: lent,
        };
        for _ in 0..if inline { 0 } else { threads } {
            let shared = Arc::clone(&pipeline.shared);
            std::thread::Builder::new()
                .name("vna-frames".to_owned())
                .spawn(move || shared.run())
                .map_err(|source| ArchiveError::Io {
                    doing: "starting a thread for frames",
                    source,
                })?;
        }
        Ok(pipeline)
    }

    /// The next frame; `None` behind the last.
    pub fn next(&self) -> Option<Result<T, ArchiveError>> {
        let shared = &self.shared;
        let mut state = shared.state.lock();
        let index = state.given;
        if index >= shared.frames {
            return None;
        }
        state.given += 1;
        shared.given.notify_all();
        if self.inline {
            drop(state);
            return Some((shared.work)(index));
        }
        loop {
            if let Some(done) = state.done.remove(&index) {
                return Some(done);
            }
            shared.done.wait(&mut state);
        }
    }
}

impl<T> Shared<T> {
    fn run(&self) {
        let mut state = self.state.lock();
        while state.next < self.frames {
            if state.next >= state.given.saturating_add(self.window) {
                self.given.wait(&mut state);
                continue;
            }
            let index = state.next;
            state.next += 1;
            drop(state);
            // Whoever waits for the frame must learn of it.
            let done = catch_unwind(AssertUnwindSafe(|| (self.work)(index)))
                .unwrap_or_else(|_| Err(panicked()));
            state = self.state.lock();
            if done.is_err() {
                state.next = self.frames; // nobody asks for what is behind
            }
            state.done.insert(index, done);
            self.done.notify_all();
        }
        self.given.notify_all();
    }
}

fn panicked() -> ArchiveError {
    ArchiveError::Codec(CodecError::Helper {
        reason: "panicked".to_owned(),
    })
}

impl<T> Drop for Pipeline<T> {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.next = self.shared.frames;
        state.done.clear();
        self.shared.given.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn frames_come_in_their_order_and_no_more_are_begun_than_the_window_has() {
        static BEGUN: AtomicUsize = AtomicUsize::new(0);
        let pipeline = Pipeline::start(1, 50, 4, (3, None), |index| {
            BEGUN.fetch_add(1, Ordering::SeqCst);
            Ok(index)
        });
        let pipeline = pipeline.expect("threads");
        for index in 1..50 {
            assert_eq!(pipeline.next().expect("a frame").expect("done"), index);
            assert!(BEGUN.load(Ordering::SeqCst) <= index + 3);
        }
        assert!(pipeline.next().is_none());
    }

    #[test]
    fn a_frame_that_fails_or_panics_is_told_in_its_turn() {
        let pipeline = Pipeline::start(0, 9, 3, (9, None), |index| match index {
            4 => panic!("frame 4"),
            index => Ok(index),
        });
        let pipeline = pipeline.expect("threads");
        let before: Vec<_> = (0..4).map(|_| pipeline.next().expect("a frame")).collect();
        assert!(before.iter().all(Result::is_ok));
        let error = pipeline.next().expect("a frame").expect_err("it panicked");
        assert_eq!(error.code(), "codec.helper");
    }
}
