//! C-STORE as SCU: a batch of stored instances goes to a remote node.
//!
//! 1. Each instance is counted exactly once: completed, warning or failed; or it remains, if the batch was cancelled.
//! 2. What was on its way when an association was lost is sent again on the next one; nothing that was answered is.
//! 3. Held are the ids of the instances that remain, what failed, and two pieces of an instance for each association.
//! 4. A peer that does not go on holds nothing but its own tasks, which end at its timeout or when the batch is cancelled.

mod plan;
mod progress;
mod worker;

pub use progress::{Failure, SendProgress};

use super::outgoing::{OutgoingInstance, PieceBuffers, choose_context};
use super::peer_error::PeerError;
use super::peer_spec::PeerSpec;
use super::requestor::{NegotiatedContext, Requestor};
use crate::archive::Archive;
use plan::plan;
use progress::Record;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;
use vna_dicom::PublicId;
use vna_ul::command::element;
use worker::{Worker, reason_of};

/// How long what runs may still take to end in good order when the batch is cancelled.
const CANCEL_GRACE: Duration = Duration::from_millis(500);

/// Associations of one batch at a time.
const MAX_PARALLEL: usize = 64;

/// What is to be sent, beside the [`PeerSpec`] that says whereto.
#[derive(Debug, Deserialize)]
pub struct SendBatch {
    /// Public ids.
    pub instances: Vec<String>,
    /// The C-MOVE request that this is done for.
    #[serde(default)]
    pub move_originator: Option<MoveOriginator>,
    /// Associations at a time.
    #[serde(default = "one")]
    pub parallel: usize,
    /// In which uncompressed instances are sent, if the peer takes it.
    #[serde(default)]
    pub preferred_transfer_syntax: Option<String>,
    /// Whether instances may be sent in another transfer syntax than they are stored in.
    #[serde(default = "yes")]
    pub transcoding: bool,
    /// How often in a row the batch is resumed after its association was lost, without an instance going through.
    #[serde(default = "default_retries")]
    pub retries: u32,
    /// Whether the batch goes on after an instance failed.
    #[serde(default = "yes")]
    pub permissive: bool,
}

/// Who sent a C-MOVE request (PS3.7 §9.1.1.1.6).
#[derive(Debug, Clone, Deserialize)]
pub struct MoveOriginator {
    /// Its AE title.
    pub ae_title: String,
    /// Of the request.
    pub message_id: u16,
}

fn one() -> usize {
    1
}

fn default_retries() -> u32 {
    5
}

fn yes() -> bool {
    true
}

/// A batch that is being sent.
pub struct Sending {
    record: Arc<Record>,
    cancelled: watch::Sender<bool>,
}

impl Sending {
    /// Begins to send, on the threads of `handle`.
    ///
    /// # Errors
    ///
    /// [`PeerError::Spec`].
    pub fn start(
        handle: &Handle,
        archive: Arc<Archive>,
        batch_json: &[u8],
    ) -> Result<Sending, PeerError> {
        let spec = PeerSpec::read(batch_json, &archive.settings().tls)?;
        let batch: SendBatch =
            serde_json::from_slice(batch_json).map_err(|error| PeerError::Spec {
                problem: format!("batch: {error}"),
            })?;
        let (cancelled, cancellation) = watch::channel(false);
        let record = Arc::new(Record::new(batch.instances.len()));
        let run = run(
            archive,
            Arc::new(spec),
            batch,
            Arc::clone(&record),
            cancellation,
        );
        handle.spawn(run);
        Ok(Sending { record, cancelled })
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> SendProgress {
        self.record.progress()
    }

    /// Waits until more than `seen` instances are done, or all that will be.
    pub fn wait(&self, seen: usize) -> impl Future<Output = ()> + Send + 'static {
        self.record.wait(seen)
    }

    /// Sends nothing more; what is on its way has half a second to be answered.
    pub fn cancel(&self) {
        self.cancelled.send_replace(true);
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.cancel();
    }
}

async fn run(
    archive: Arc<Archive>,
    spec: Arc<PeerSpec>,
    batch: SendBatch,
    record: Arc<Record>,
    mut cancelled: watch::Receiver<bool>,
) {
    // However it ends, whoever waits is told.
    let _ended = record.ends();
    let parallel = batch.parallel.clamp(1, MAX_PARALLEL);
    let preferred = batch.preferred_transfer_syntax.clone();
    let planned = tokio::task::spawn_blocking({
        let (archive, record, tenant) = (Arc::clone(&archive), Arc::clone(&record), spec.tenant);
        move || {
            plan(
                &archive,
                tenant,
                &batch.instances,
                preferred.as_deref(),
                &record,
            )
        }
    });
    let mut common = Some(worker::Common {
        archive,
        spec,
        record: Arc::clone(&record),
        move_originator: batch
            .move_originator
            .map(|originator| (originator.ae_title, originator.message_id)),
        preferred: batch.preferred_transfer_syntax,
        transcoding: batch.transcoding,
        retries: batch.retries,
        permissive: batch.permissive,
        cancelled: cancelled.clone(),
        queue: parking_lot::Mutex::default(),
    });
    let work = async {
        let Ok(lots) = planned.await else { return };
        let Some(common) = common.take() else { return };
        common.queue.lock().lots = lots;
        let common = Arc::new(common);
        let mut workers = tokio::task::JoinSet::new();
        for _ in 0..parallel.min(record.remaining().max(1)) {
            workers.spawn(Worker::new(Arc::clone(&common)).run());
        }
        while workers.join_next().await.is_some() {}
    };
    let cut_off = async {
        // The sender gone is a cancellation too.
        let _ = cancelled.wait_for(|cancelled| *cancelled).await;
        tokio::time::sleep(CANCEL_GRACE).await;
    };
    tokio::select! {
        () = work => {}
        () = cut_off => record.cancelled(),
    }
}

/// What became of a file that was sent without being stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentFile {
    /// (0008,0016)
    pub sop_class_uid: String,
    /// (0008,0018)
    pub sop_instance_uid: String,
    /// As the peer answered.
    pub status: u16,
    /// In words; empty for success.
    pub reason: String,
}

/// Why a file that is not stored could not be sent.
#[derive(Debug)]
pub enum SendFileError {
    /// It is no DICOM file.
    File(crate::ArchiveError),
    /// The peer did not take it.
    Peer(PeerError),
    /// The peer takes no instance such as this one.
    Unsendable(super::outgoing::Unsendable),
}

impl From<PeerError> for SendFileError {
    fn from(error: PeerError) -> Self {
        Self::Peer(error)
    }
}

/// Sends a PS3.10 file that is not stored.
///
/// # Errors
///
/// [`SendFileError`]. A status of the peer's that means failure is no error, but what is returned.
pub async fn send_file(
    archive: Arc<Archive>,
    spec: &PeerSpec,
    file: Vec<u8>,
) -> Result<SentFile, SendFileError> {
    use super::outgoing::OpenError;
    let file = Arc::new(file);
    let instance = vna_dicom::read_instance(file.as_slice())
        .map_err(|error| SendFileError::File(error.into()))?;
    let contexts = plan::contexts_of(
        &instance.identity.sop_class_uid,
        std::iter::once(instance.transfer_syntax_uid.as_str()),
        None,
    );
    let mut requestor = Requestor::open(spec, &contexts).await?;
    let contexts = requestor.contexts.clone();
    // On a thread that may take its time over a codec.
    let opened = tokio::task::spawn_blocking(move || {
        OutgoingInstance::of_file(
            &archive,
            &file,
            &PieceBuffers::default(),
            |class, stored| {
                let contexts = contexts.iter().map(NegotiatedContext::for_sending);
                let context = choose_context(contexts, class, stored, None)?;
                Ok((context.context_id, context.transfer_syntax_uid.to_owned()))
            },
        )
    });
    let opened = opened.await.unwrap_or(Err(OpenError::Gone));
    let outgoing = match opened {
        Ok(outgoing) => outgoing,
        Err(error) => {
            let _ = requestor.release().await;
            return Err(match error {
                OpenError::Unsendable { why, .. } => SendFileError::Unsendable(why),
                OpenError::Archive { error, .. } => SendFileError::File(error),
                OpenError::Gone => SendFileError::File(crate::ArchiveError::Stopped),
            });
        }
    };
    let (sop_class_uid, sop_instance_uid) = (
        outgoing.sop_class_uid.clone(),
        outgoing.sop_instance_uid.clone(),
    );
    let sent = outgoing
        .send(
            &mut requestor.association,
            &mut requestor.socket,
            1,
            None,
            requestor.timeout,
        )
        .await;
    if let Err(error) = sent {
        return Err(worker::lost(error, requestor.timeout)
            .map_or_else(SendFileError::File, SendFileError::Peer));
    }
    let response = requestor.response(1).await?;
    let _ = requestor.release().await;
    Ok(SentFile {
        sop_class_uid,
        sop_instance_uid,
        status: response.us(element::STATUS).unwrap_or(0xC000),
        reason: reason_of(&response),
    })
}

/// An instance that remains to be sent.
#[derive(Debug, Clone, Copy)]
struct Item {
    id: PublicId,
    /// Associations that were lost while it was on its way.
    losses: u8,
}
