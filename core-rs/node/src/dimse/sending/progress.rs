//! How far a batch is, and what failed of it.

use super::super::peer_error::PeerError;
use parking_lot::Mutex;
use serde::Serialize;
use std::sync::Arc;
use tokio::sync::watch;

/// How far a batch is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SendProgress {
    /// Not yet done.
    pub remaining: usize,
    /// Stored by the peer.
    pub completed: usize,
    /// Stored by the peer with a warning.
    pub warning: usize,
    /// Not stored by the peer.
    pub failed: usize,
    /// Nothing more will happen.
    pub done: bool,
    /// It was cancelled before all was done.
    pub cancelled: bool,
    /// Bytes of all data sets sent.
    pub bytes: u64,
    /// What failed.
    pub failures: Vec<Failure>,
    /// What ended the last association that was lost, or kept one from being opened.
    pub error: Option<Loss>,
}

/// An instance that the peer did not store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Its public id.
    pub id: String,
    /// (0008,0018), if it is known.
    pub sop_instance_uid: String,
    /// As the peer answered; `None` if it was not asked.
    pub status: Option<u16>,
    /// In words.
    #[serde(serialize_with = "as_str")]
    pub reason: Arc<str>,
}

fn as_str<S: serde::Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

/// Why an association was lost or not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Loss {
    /// Of [`PeerError::code`].
    pub code: &'static str,
    /// In words.
    pub message: String,
    /// Whether it may go well if it is tried again.
    pub transient: bool,
}

/// What became of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    Completed,
    Warning,
}

/// Counts, for all associations of a batch.
pub(super) struct Record {
    progress: Mutex<SendProgress>,
    /// How many are done, and whether all that will be are.
    changed: watch::Sender<(usize, bool)>,
}

/// Ends the batch when it is dropped.
pub(super) struct Ends(Arc<Record>);

impl Record {
    pub fn new(instances: usize) -> Record {
        Record {
            progress: Mutex::new(SendProgress {
                remaining: instances,
                ..SendProgress::default()
            }),
            changed: watch::channel((0, false)).0,
        }
    }

    pub fn progress(&self) -> SendProgress {
        self.progress.lock().clone()
    }

    pub fn remaining(&self) -> usize {
        self.progress.lock().remaining
    }

    pub fn ends(self: &Arc<Self>) -> Ends {
        Ends(Arc::clone(self))
    }

    pub fn wait(&self, seen: usize) -> impl Future<Output = ()> + Send + 'static {
        let mut changed = self.changed.subscribe();
        async move {
            // The record gone is the end too.
            let _ = changed.wait_for(|(done, all)| *done > seen || *all).await;
        }
    }

    /// The peer stored one.
    pub fn stored(&self, how: Done, bytes: u64) {
        self.change(|progress| {
            progress.bytes += bytes;
            match how {
                Done::Completed => progress.completed += 1,
                Done::Warning => progress.warning += 1,
            }
        });
    }

    /// One will not be stored.
    pub fn failed(&self, id: String, sop_instance_uid: String, status: Option<u16>, reason: &str) {
        self.change(|progress| {
            progress.failed += 1;
            // The same reason many times, as a rule: it is held once.
            let reason = match progress.failures.last() {
                Some(last) if *last.reason == *reason => Arc::clone(&last.reason),
                _ => reason.into(),
            };
            progress.failures.push(Failure {
                id,
                sop_instance_uid,
                status,
                reason,
            });
        });
    }

    /// An association was lost, or could not be opened.
    pub fn lost(&self, error: &PeerError) {
        self.progress.lock().error = Some(Loss {
            code: error.code(),
            message: error.to_string(),
            transient: error.is_transient(),
        });
    }

    /// The batch was cut off.
    pub fn cancelled(&self) {
        let mut progress = self.progress.lock();
        progress.cancelled = progress.remaining > 0;
    }

    fn change(&self, change: impl FnOnce(&mut SendProgress)) {
        let mut progress = self.progress.lock();
        progress.remaining = progress.remaining.saturating_sub(1);
        change(&mut progress);
        let done = progress.completed + progress.warning + progress.failed;
        self.changed.send_replace((done, false));
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        let mut progress = self.0.progress.lock();
        progress.done = true;
        self.0.changed.send_modify(|(_, all)| *all = true);
    }
}
