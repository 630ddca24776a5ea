//! The data sets that the peer sends, and C-STORE as SCP of an association, whichever side requested it.

use super::contexts::Contexts;
use super::counters::{Counters, count};
use super::incoming::Incoming;
use super::services::Service;
use super::sink::{InstanceSink, Origin, ReceivedHeader, status};
use super::spool::{Spool, SpoolPool};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use vna_ul::{CommandField, CommandSet, StoreRequest};

/// What was received since the association began.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    /// Instances answered with success or a warning.
    pub stored: u64,
    /// Instances answered with another status.
    pub refused: u64,
    /// Bytes of all data sets.
    pub bytes: u64,
}

/// A message whose data set is complete.
pub(super) enum Complete {
    /// To be answered with this response.
    Answer(u8, CommandSet),
    /// To be acted on by whoever asked for the data set to be collected.
    Collected(u8, CommandSet, Spool),
}

/// Receives the data sets of one association, and stores those of C-STORE requests.
pub(super) struct Receiving<S: InstanceSink> {
    counters: Arc<Counters>,
    incoming: Incoming<S>,
    /// Who sends; there is none before the association.
    origin: Option<Arc<Origin>>,
    contexts: Contexts,
    /// The command whose data set is being received, and its context.
    command: Option<(u8, CommandSet)>,
    pub tally: Tally,
}

impl<S: InstanceSink> Receiving<S> {
    /// Objects above `spool_most_bytes` are handed on in parts.
    pub fn new(
        sink: Arc<S>,
        pool: SpoolPool,
        spool_most_bytes: usize,
        counters: Arc<Counters>,
    ) -> Receiving<S> {
        Receiving {
            counters,
            incoming: Incoming::new(sink, pool, spool_most_bytes),
            origin: None,
            contexts: Contexts::default(),
            command: None,
            tally: Tally::default(),
        }
    }

    /// The association is there.
    pub fn associated(&mut self, origin: Arc<Origin>, contexts: Contexts) {
        (self.origin, self.contexts) = (Some(origin), contexts);
    }

    /// Who sends.
    pub fn origin(&self) -> Option<&Arc<Origin>> {
        self.origin.as_ref()
    }

    /// Takes a C-STORE request. The response, if it is refused and no data set follows; else the data set is awaited.
    pub async fn store(&mut self, context_id: u8, command: CommandSet) -> Option<CommandSet> {
        match self.header(context_id, &command) {
            Ok(header) => {
                self.incoming.begin(header).await;
                self.command = Some((context_id, command));
                None
            }
            Err(status) => self.refuse(context_id, command, status),
        }
    }

    /// Refuses a request. The response, if no data set follows; else it comes behind the data set.
    pub fn refuse(
        &mut self,
        context_id: u8,
        command: CommandSet,
        status: u16,
    ) -> Option<CommandSet> {
        if !command.has_data_set() {
            return Some(command.response(status));
        }
        self.incoming.drop_next(status);
        self.command = Some((context_id, command));
        None
    }

    /// Awaits the data set of a request; longer than `most_bytes` it is answered with `too_long`.
    pub async fn collect(
        &mut self,
        context_id: u8,
        command: CommandSet,
        most_bytes: usize,
        too_long: u16,
    ) {
        self.incoming.collect(most_bytes, too_long).await;
        self.command = Some((context_id, command));
    }

    /// The data set is complete: stores it or hands it back.
    pub async fn complete(&mut self) -> Option<Complete> {
        let finished = self.incoming.finish().await;
        let (context_id, command) = self.command.take()?;
        let counters = &self.counters;
        counters
            .data_set_bytes
            .fetch_add(finished.bytes, Ordering::Relaxed);
        self.tally.bytes += finished.bytes;
        if let Some(spool) = finished.collected {
            return Some(Complete::Collected(context_id, command, spool));
        }
        if command.field() == Some(CommandField::CStoreRq) {
            // Warnings (Bxxx) mean that it was stored all the same (PS3.7 §C).
            if finished.status == status::SUCCESS || finished.status & 0xF000 == 0xB000 {
                self.tally.stored += 1;
                count(&counters.stored);
            } else {
                self.tally.refused += 1;
                count(&counters.refused);
            }
            if finished.streamed {
                count(&counters.streamed);
            }
        }
        let response = command.response(finished.status);
        Some(Complete::Answer(context_id, response))
    }

    /// What is known of the instance that a C-STORE request announces; else the status to refuse it with.
    fn header(&self, context_id: u8, command: &CommandSet) -> Result<ReceivedHeader, u16> {
        let request = StoreRequest::from_command(command).map_err(|_| status::CANNOT_UNDERSTAND)?;
        // Another SOP class than the context's was not negotiated, whatever the policy would say to it.
        let context = self
            .contexts
            .get(context_id)
            .filter(|context| {
                context.service == Service::Store
                    && context.peer_is_scu
                    && *context.sop_class_uid == request.affected_sop_class_uid
            })
            .ok_or(status::SOP_CLASS_NOT_SUPPORTED)?;
        let origin = self.origin.as_ref().ok_or(status::OUT_OF_RESOURCES)?;
        Ok(ReceivedHeader {
            origin: Arc::clone(origin),
            transfer_syntax_uid: Arc::clone(&context.transfer_syntax_uid),
            affected_sop_class_uid: request.affected_sop_class_uid,
            affected_sop_instance_uid: request.affected_sop_instance_uid,
            move_originator: request.move_originator,
        })
    }

    /// Takes bytes of the data set that were read elsewhere.
    pub async fn append(&mut self, bytes: &[u8]) {
        self.incoming.append(bytes).await;
    }

    /// Where up to `most` of the next bytes can be put.
    pub fn room(&mut self, most: usize) -> &mut [u8] {
        self.incoming.room(most)
    }

    /// So many bytes were put there.
    pub fn fill(&mut self, count: usize) {
        self.incoming.fill(count);
    }

    /// Whether a data set is expected or being received.
    pub fn expects(&self) -> bool {
        self.incoming.expects()
    }

    /// Hands on what is held, if others wait for the budget. For a peer that stalls.
    pub async fn yield_budget(&mut self) {
        self.incoming.yield_budget().await;
    }

    /// The association is over: gives the present data set up, and tells whose it was.
    pub fn end(&mut self) -> Option<Arc<Origin>> {
        self.incoming.give_up();
        self.command = None;
        self.origin.take()
    }
}
