//! Checkpoints: moving the write-ahead log into the database, beside the writer.
//!
//! A thread with its own connection copies pages and syncs, while the writer goes on appending. Only when the
//! log has passed its bound does the writer finish the copy itself: little is left by then, and nothing can be
//! appended meanwhile, so the next transaction starts the log from its beginning. A reader that stays in one
//! snapshot can hold that up; then the log grows until it ends.

use super::connection::{self, Mode};
use crate::IndexError;
use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

/// Where the thread begins to copy, as a share of the bound.
const START_SHARE: u64 = 4;

#[derive(Default)]
struct Signal {
    wanted: bool,
    stop: bool,
}

/// The thread that checkpoints.
pub(crate) struct Checkpointer {
    signal: Arc<(Mutex<Signal>, Condvar)>,
    thread: Option<JoinHandle<()>>,
    bound_bytes: u64,
}

impl Checkpointer {
    pub(crate) fn start(
        path: &Path,
        vfs: Option<&str>,
        bound_bytes: u64,
    ) -> Result<Checkpointer, IndexError> {
        // Checkpoints read and write pages once: a small cache does.
        let connection = connection::open(path, vfs, Mode::Write, 1 << 20)?;
        let signal = Arc::new((Mutex::new(Signal::default()), Condvar::new()));
        let shared = Arc::clone(&signal);
        let thread = std::thread::Builder::new()
            .name("vna-checkpoint".into())
            .spawn(move || run(&connection, &shared))
            .map_err(|source| IndexError::Io {
                doing: "starting the checkpoint thread",
                source,
            })?;
        Ok(Checkpointer {
            signal,
            thread: Some(thread),
            bound_bytes,
        })
    }

    /// Called by the writer after a commit, with the pages in the log as SQLite told its hook.
    pub(crate) fn committed(&self, writer: &Connection, wal_bytes: u64) {
        if wal_bytes >= self.bound_bytes {
            // A failure here is one of syncing or of a full disk: the log is kept, and the next one tries again.
            let _ = passive(writer);
        } else if wal_bytes >= self.bound_bytes / START_SHARE {
            let (signal, wake) = &*self.signal;
            signal.lock().wanted = true;
            wake.notify_one();
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        let (signal, wake) = &*self.signal;
        signal.lock().stop = true;
        wake.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(connection: &Connection, signal: &(Mutex<Signal>, Condvar)) {
    let (signal, wake) = signal;
    loop {
        let mut state = signal.lock();
        while !state.wanted && !state.stop {
            wake.wait(&mut state);
        }
        if state.stop {
            return;
        }
        state.wanted = false;
        drop(state);
        let _ = passive(connection); // see `committed`
    }
}

/// Copies what no reader needs from the log, without waiting for anyone.
pub(crate) fn passive(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}
