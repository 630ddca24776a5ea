//! One of the associations of a batch: opened, filled, resumed.

use super::super::outgoing::{
    ASK_EVERY, OPENED_AHEAD, OpenError, OutgoingInstance, PieceBuffers, SendError, Unsendable,
    choose_context,
};
use super::super::peer_error::PeerError;
use super::super::peer_spec::{ContextSpec, PeerSpec};
use super::super::requestor::{NegotiatedContext, Requestor};
use super::Item;
use super::plan::Lot;
use super::progress::{Done, Record};
use crate::archive::Archive;
use crate::error::ArchiveError;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;
use vna_ul::CommandSet;
use vna_ul::command::element;

/// Pause before a lost association is opened anew; it doubles each time, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// An instance that was on its way this often when the association was lost is not sent again: it may be what the peer
/// cannot stand.
const MAX_LOSSES: u8 = 3;

/// What the associations of a batch share.
pub(super) struct Common {
    pub archive: Arc<Archive>,
    pub spec: Arc<PeerSpec>,
    pub record: Arc<Record>,
    pub move_originator: Option<(String, u16)>,
    pub preferred: Option<String>,
    pub transcoding: bool,
    pub retries: u32,
    pub permissive: bool,
    pub cancelled: watch::Receiver<bool>,
    pub queue: Mutex<Queue>,
}

/// What remains to be sent.
#[derive(Default)]
pub(super) struct Queue {
    pub lots: Vec<Lot>,
    /// Nothing more is to be sent.
    ended: bool,
    /// Associations that are open.
    open: usize,
    /// An association was opened once.
    reached: bool,
    /// Associations that were lost, or not opened, since an instance went through.
    losses: u32,
}

/// Sends on one association at a time.
pub(super) struct Worker {
    common: Arc<Common>,
    buffers: PieceBuffers,
}

/// An instance that is being opened.
struct Opening {
    item: Item,
    task: JoinHandle<Result<OutgoingInstance, OpenError>>,
}

/// The association is counted as open for as long as this lives.
struct Open<'a>(&'a Common);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.queue.lock().open -= 1;
    }
}

impl Common {
    /// Whether nothing more is to be sent.
    fn has_ended(&self) -> bool {
        *self.cancelled.borrow() || self.queue.lock().ended
    }

    /// The lot that is next, and its contexts.
    fn next_lot(&self) -> Option<(usize, Vec<ContextSpec>)> {
        if self.has_ended() {
            return None;
        }
        let queue = self.queue.lock();
        let at = queue.lots.iter().position(|lot| !lot.items.is_empty())?;
        Some((at, queue.lots[at].contexts.clone()))
    }

    fn next_item(&self, lot: usize) -> Option<Item> {
        if self.has_ended() {
            return None;
        }
        self.queue.lock().lots[lot].items.pop_front()
    }

    fn give_back(&self, lot: usize, item: Item) {
        self.queue.lock().lots[lot].items.push_front(item);
    }

    fn is_open(&self) -> Open<'_> {
        let mut queue = self.queue.lock();
        queue.open += 1;
        queue.reached = true;
        Open(self)
    }

    /// An instance was answered.
    fn went_through(&self) {
        self.queue.lock().losses = 0;
    }

    /// An instance failed for good.
    fn fail(&self, item: Item, sop_instance_uid: String, status: Option<u16>, reason: &str) {
        self.record
            .failed(item.id.to_string(), sop_instance_uid, status, reason);
        if !self.permissive {
            self.queue.lock().ended = true;
        }
    }

    /// The association was lost: after which pause to go on; `None` if not at all.
    fn pause_after(&self, error: &PeerError, was_open: bool) -> Option<Duration> {
        self.record.lost(error);
        let mut queue = self.queue.lock();
        if !was_open && queue.open > 0 {
            return None; // the others go on with what is left
        }
        queue.losses += 1;
        // Who was never reached is for the caller to ask again; who answered once is likely to be back soon.
        let patient = queue.reached || matches!(error, PeerError::Rejected(_));
        if !error.is_transient() && !was_open || !patient || queue.losses > self.retries {
            self.give_up(&mut queue, &error.to_string());
            return None;
        }
        let doubled = FIRST_PAUSE * 2_u32.pow((queue.losses - 1).min(16));
        Some(doubled.min(LONGEST_PAUSE))
    }

    /// What remains fails.
    fn give_up(&self, queue: &mut Queue, reason: &str) {
        queue.ended = true;
        for lot in &mut queue.lots {
            for item in lot.items.drain(..) {
                self.record
                    .failed(item.id.to_string(), String::new(), None, reason);
            }
        }
    }
}

impl Worker {
    pub fn new(common: Arc<Common>) -> Worker {
        Worker {
            common,
            buffers: PieceBuffers::default(),
        }
    }

    /// Sends until nothing remains, or nothing more can be sent.
    pub async fn run(self) {
        while let Some((lot, contexts)) = self.common.next_lot() {
            let (error, was_open) = match Requestor::open(&self.common.spec, &contexts).await {
                Err(error) => (error, false),
                Ok(mut requestor) => {
                    let open = self.common.is_open();
                    match self.send_lot(&mut requestor, lot).await {
                        Ok(()) => {
                            let _ = requestor.release().await;
                            continue;
                        }
                        Err(error) => {
                            drop(open);
                            (error, true)
                        }
                    }
                }
            };
            match self.common.pause_after(&error, was_open) {
                None => return,
                Some(pause) => tokio::time::sleep(pause).await,
            }
        }
    }

    /// Sends the instances of a lot, until there are none. The next ones are read while the peer stores the last one.
    async fn send_lot(&self, requestor: &mut Requestor, lot: usize) -> Result<(), PeerError> {
        let contexts: Arc<[NegotiatedContext]> = requestor.contexts.clone().into();
        let mut message_id = 0_u16;
        let mut ahead = VecDeque::new();
        let mut buffers = self.buffers.clone();
        let _wanted = buffers.while_wanted();
        self.open_ahead(&mut ahead, lot, &contexts, &buffers);
        while let Some(Opening { item, mut task }) = ahead.pop_front() {
            // What has to be compressed first may take long.
            let mut opened = None;
            while opened.is_none() && !self.common.has_ended() {
                opened = timeout(ASK_EVERY, &mut task).await.ok();
            }
            let outgoing = match opened {
                Some(Ok(Ok(outgoing))) if !self.common.has_ended() => outgoing,
                None | Some(Ok(Ok(_))) => {
                    self.give_back_ahead(lot, ahead);
                    self.common.give_back(lot, item);
                    return Ok(());
                }
                Some(failed) => {
                    self.cannot_open(item, failed.ok().and_then(Result::err));
                    self.open_ahead(&mut ahead, lot, &contexts, &buffers);
                    continue;
                }
            };
            self.open_ahead(&mut ahead, lot, &contexts, &buffers);
            message_id = message_id.checked_add(1).unwrap_or(1);
            let sop_instance_uid = outgoing.sop_instance_uid.clone();
            let sent = outgoing.send(
                &mut requestor.association,
                &mut requestor.socket,
                message_id,
                self.common.move_originator.clone(),
                requestor.timeout,
            );
            let bytes = match sent.await {
                Ok(bytes) => bytes,
                Err(error) => {
                    self.give_back_ahead(lot, ahead);
                    return Err(match lost(error, requestor.timeout) {
                        Ok(error) => self.lost(lot, item, sop_instance_uid, error),
                        Err(error) => {
                            let reason = error.to_string();
                            self.common.fail(item, sop_instance_uid, None, &reason);
                            PeerError::NotOpen
                        }
                    });
                }
            };
            match requestor.response(message_id).await {
                Ok(response) => self.answered(item, sop_instance_uid, &response, bytes),
                Err(error) => {
                    self.give_back_ahead(lot, ahead);
                    return Err(self.lost(lot, item, sop_instance_uid, error));
                }
            }
        }
        Ok(())
    }

    /// Begins to open the next instances of the lot.
    fn open_ahead(
        &self,
        ahead: &mut VecDeque<Opening>,
        lot: usize,
        contexts: &Arc<[NegotiatedContext]>,
        buffers: &PieceBuffers,
    ) {
        while ahead.len() < OPENED_AHEAD {
            let Some(opening) = self.open_next(lot, contexts, buffers) else {
                return;
            };
            ahead.push_back(opening);
        }
    }

    /// What was opened is for another association.
    fn give_back_ahead(&self, lot: usize, ahead: VecDeque<Opening>) {
        for opening in ahead.into_iter().rev() {
            self.common.give_back(lot, opening.item);
        }
    }

    fn open_next(
        &self,
        lot: usize,
        contexts: &Arc<[NegotiatedContext]>,
        buffers: &PieceBuffers,
    ) -> Option<Opening> {
        let item = self.common.next_item(lot)?;
        let (common, contexts) = (Arc::clone(&self.common), Arc::clone(contexts));
        let buffers = buffers.clone();
        let task = spawn_blocking(move || {
            let tenant = common.spec.tenant;
            let (archive, preferred) = (&common.archive, common.preferred.as_deref());
            OutgoingInstance::open(archive, tenant, &item.id, &buffers, |class, stored| {
                let contexts = contexts.iter().map(NegotiatedContext::for_sending);
                let context = choose_context(contexts, class, stored, preferred)?;
                if !common.transcoding && context.transfer_syntax_uid != stored {
                    return Err(Unsendable::NotAsStored {
                        stored: stored.to_owned(),
                        accepted: context.transfer_syntax_uid.to_owned(),
                    });
                }
                Ok((context.context_id, context.transfer_syntax_uid.to_owned()))
            })
        });
        Some(Opening { item, task })
    }

    fn cannot_open(&self, item: Item, error: Option<OpenError>) {
        let (sop_instance_uid, reason) = match error {
            None => (String::new(), "the archive is stopping".to_owned()),
            Some(OpenError::Gone) => (String::new(), "no instance has the id".to_owned()),
            Some(OpenError::Unsendable {
                sop_instance_uid,
                why,
            }) => (sop_instance_uid, why.to_string()),
            Some(OpenError::Archive {
                sop_instance_uid,
                error,
            }) => (sop_instance_uid, error.to_string()),
        };
        self.common.fail(item, sop_instance_uid, None, &reason);
    }

    fn answered(&self, item: Item, sop_instance_uid: String, response: &CommandSet, bytes: u64) {
        self.common.went_through();
        match response.us(element::STATUS) {
            Some(0x0000) => self.common.record.stored(Done::Completed, bytes),
            // Bxxx, and the general ones of PS3.7 §C.
            Some(0x0001 | 0x0107 | 0x0116 | 0xB000..=0xBFFF) => {
                self.common.record.stored(Done::Warning, bytes);
            }
            status => {
                let reason = reason_of(response);
                self.common.fail(item, sop_instance_uid, status, &reason);
            }
        }
    }

    /// The association was lost while the instance was on its way.
    fn lost(
        &self,
        lot: usize,
        item: Item,
        sop_instance_uid: String,
        error: PeerError,
    ) -> PeerError {
        let losses = item.losses + 1;
        if losses < MAX_LOSSES {
            self.common.give_back(lot, Item { losses, ..item });
        } else {
            let reason = error.to_string();
            self.common.fail(item, sop_instance_uid, None, &reason);
        }
        error
    }
}

/// Who is to blame that an instance was not sent to its end: the peer, or else the archive.
pub(super) fn lost(error: SendError, patience: Duration) -> Result<PeerError, ArchiveError> {
    match error {
        SendError::Write(error) => Ok(PeerError::write(error, "take the instance", patience)),
        SendError::Association(error) => Ok(PeerError::Protocol(error)),
        SendError::Read(error) => Err(error),
    }
}

/// What a status means (PS3.4 §B.2.3, PS3.7 §C), and what the peer says to it.
pub(super) fn reason_of(response: &CommandSet) -> String {
    let status = response.us(element::STATUS);
    let meaning = match status {
        Some(0x0000) => return String::new(),
        None => "a response without a status",
        Some(0x0110) => "processing failure",
        Some(0x0111) => "duplicate SOP instance",
        Some(0x0117) => "invalid SOP instance",
        Some(0x0122) => "SOP class not supported",
        Some(0x0124) => "not authorized",
        Some(0x0210) => "duplicate invocation",
        Some(0x0211) => "unrecognized operation",
        Some(0x0212) => "mistyped argument",
        Some(0x0213) => "resource limitation",
        Some(0xA700..=0xA7FF) => "out of resources",
        Some(0xA900..=0xA9FF) => "data set does not match SOP class",
        Some(0xC000..=0xCFFF) => "cannot understand",
        Some(0xB000) => "coercion of data elements",
        Some(0xB006) => "elements discarded",
        Some(0xB007) => "data set does not match SOP class",
        Some(_) => "a status that the standard does not name",
    };
    let number = status.map_or(String::new(), |status| format!(" ({status:04X})"));
    match response.text(element::ERROR_COMMENT).map(str::trim) {
        Some(comment) if !comment.is_empty() => format!("{meaning}{number}: {comment}"),
        _ => format!("{meaning}{number}"),
    }
}
