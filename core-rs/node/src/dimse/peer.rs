//! An association that we request and on which others ask: requests go out, responses come back one at a time, and what
//! the peer requests of us meanwhile too. Instances that it sends (C-GET) go to the sink without anybody being asked.
//!
//! A task has the association. It reads only as far ahead as [`MAX_AHEAD`] says, so that a peer that answers faster than
//! it is asked waits.

use super::contexts::{AcceptedContext, Contexts};
use super::counters::Counters;
use super::peer_error::PeerError;
use super::peer_spec::PeerSpec;
use super::receiving::{Complete, Receiving, Tally};
use super::requestor::{NegotiatedContext, Requestor};
use super::service::is_response;
use super::services::Service;
use super::sink::{InstanceSink, Origin, status};
use super::socket::Read;
use super::spool::SpoolPool;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};
use vna_ul::command::{NO_DATA_SET, element};
use vna_ul::{AssociateAc, CommandField, CommandSet, Indication, Received};

/// Longest data set of a message that is handed on; as of `data_set_to_json`.
const MAX_DATA_SET_BYTES: usize = 4 << 20;

/// Messages, and bytes of their data sets, that wait to be asked for.
const MAX_AHEAD: (usize, usize) = (64, 4 << 20);

/// Numbers of associations that we request, for the origin of what comes on them.
static ASSOCIATIONS: AtomicU64 = AtomicU64::new(0);

/// What became of an ask.
type Asked<T> = Result<T, PeerError>;

/// What the peer agreed to.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The accepted contexts.
    pub contexts: Vec<OpenedContext>,
    /// All that the peer answered.
    pub answer: AssociateAc,
}

/// An accepted context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedContext {
    /// Odd, 1 to 255.
    pub context_id: u8,
    /// Its abstract syntax.
    pub sop_class_uid: String,
    /// How its data sets are encoded.
    pub transfer_syntax_uid: String,
}

/// A request that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Requested {
    /// What its responses refer to.
    pub message_id: u16,
    /// The context that it was sent on.
    pub context_id: u8,
}

/// A message of the peer's.
#[derive(Debug, Clone)]
pub struct Message {
    /// The context that it came on.
    pub context_id: u8,
    /// How its data set is encoded.
    pub transfer_syntax_uid: String,
    /// The command set.
    pub command: CommandSet,
    /// The data set; empty if there is none.
    pub data_set: Vec<u8>,
}

enum Ask {
    Open(oneshot::Sender<Asked<Opened>>),
    Request {
        sop_class_uid: String,
        command: CommandSet,
        data_set: Option<Vec<u8>>,
        reply: oneshot::Sender<Asked<Requested>>,
    },
    Response {
        patience: Duration,
        reply: oneshot::Sender<Asked<Message>>,
    },
    Cancel {
        message_id: u16,
        reply: oneshot::Sender<Asked<()>>,
    },
    Release(oneshot::Sender<Asked<()>>),
}

/// The association, as those who ask have it. Dropped, it is aborted.
pub struct Peer {
    asks: mpsc::UnboundedSender<Ask>,
    aborted: watch::Sender<bool>,
    tally: Arc<Mutex<Tally>>,
}

/// Where instances go that the peer sends.
pub struct Intake<S> {
    /// What takes them.
    pub sink: Arc<S>,
    /// Where they wait for it.
    pub pool: SpoolPool,
    /// Those above this many bytes are handed on in parts.
    pub spool_most_bytes: usize,
}

impl Peer {
    /// A peer that is not yet connected to; its task runs on the threads of `handle`.
    pub fn new<S: InstanceSink>(handle: &Handle, spec: PeerSpec, intake: Intake<S>) -> Peer {
        let (asks, asked) = mpsc::unbounded_channel();
        let (aborted, mut abortion) = watch::channel(false);
        let tally = Arc::<Mutex<Tally>>::default();
        let run = run(spec, intake, asked, Arc::clone(&tally));
        handle.spawn(async move {
            tokio::select! {
                () = run => {}
                // Also when the peer is dropped. What runs is dropped with the association, which aborts it.
                _ = abortion.wait_for(|aborted| *aborted) => {}
            }
        });
        Peer {
            asks,
            aborted,
            tally,
        }
    }

    /// Connects and associates.
    ///
    /// # Errors
    ///
    /// [`PeerError`]; so for all of these.
    pub fn open(&self) -> impl Future<Output = Asked<Opened>> + Send + 'static {
        self.ask(Ask::Open)
    }

    /// Sends a request, or the response to one of the peer's, on the context of `sop_class_uid`. What follows from the
    /// association and the data set need not be in the command. Completes when the peer took it.
    pub fn request(
        &self,
        sop_class_uid: String,
        command: CommandSet,
        data_set: Option<Vec<u8>>,
    ) -> impl Future<Output = Asked<Requested>> + Send + 'static {
        self.ask(|reply| Ask::Request {
            sop_class_uid,
            command,
            data_set,
            reply,
        })
    }

    /// The next message of the peer's. `patience` is how long nothing may come.
    pub fn response(
        &self,
        patience: Duration,
    ) -> impl Future<Output = Asked<Message>> + Send + 'static {
        self.ask(move |reply| Ask::Response { patience, reply })
    }

    /// Tells the peer to end what was requested as `message_id` (C-CANCEL).
    pub fn cancel(&self, message_id: u16) -> impl Future<Output = Asked<()>> + Send + 'static {
        self.ask(move |reply| Ask::Cancel { message_id, reply })
    }

    /// Releases the association.
    pub fn release(&self) -> impl Future<Output = Asked<()>> + Send + 'static {
        self.ask(Ask::Release)
    }

    /// Ends the association at once.
    pub fn abort(&self) {
        self.aborted.send_replace(true);
    }

    /// Instances that the peer sent.
    #[must_use]
    pub fn tally(&self) -> Tally {
        *self.tally.lock()
    }

    fn ask<T>(
        &self,
        ask: impl FnOnce(oneshot::Sender<Asked<T>>) -> Ask,
    ) -> impl Future<Output = Asked<T>> + Send + 'static
    where
        T: Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        // Nobody there to be asked drops it, and `reply` with it.
        let _ = self.asks.send(ask(reply));
        async move { answer.await.unwrap_or(Err(PeerError::NotOpen)) }
    }
}

/// Serves asks until nobody is left who could ask.
async fn run<S: InstanceSink>(
    spec: PeerSpec,
    intake: Intake<S>,
    mut asks: mpsc::UnboundedReceiver<Ask>,
    tally: Arc<Mutex<Tally>>,
) {
    let mut over = PeerError::NotOpen;
    let mut intake = Some(intake);
    while let Some(ask) = asks.recv().await {
        let Ask::Open(reply) = ask else {
            refuse(ask, &over);
            continue;
        };
        // Once only: a peer that is to be asked again is another one.
        let Some(intake) = intake.take() else {
            let _ = reply.send(Err(over.clone()));
            continue;
        };
        over = match Requestor::open(&spec, &spec.contexts).await {
            Err(error) => {
                let _ = reply.send(Err(error.clone()));
                error
            }
            Ok(requestor) => {
                let task = Task::new(requestor, &spec, intake, Arc::clone(&tally));
                let _ = reply.send(Ok(task.opened()));
                task.serve(&mut asks).await
            }
        };
    }
}

fn refuse(ask: Ask, over: &PeerError) {
    let over = over.clone();
    // Whoever asked may have gone.
    match ask {
        Ask::Open(reply) => drop(reply.send(Err(over))),
        Ask::Request { reply, .. } => drop(reply.send(Err(over))),
        Ask::Response { reply, .. } => drop(reply.send(Err(over))),
        Ask::Cancel { reply, .. } | Ask::Release(reply) => drop(reply.send(Err(over))),
    }
}

/// Somebody waits for a message.
struct Waiting {
    reply: oneshot::Sender<Asked<Message>>,
    patience: Duration,
    until: Instant,
    /// Bytes received when the time began.
    from: u64,
}

/// The open association.
struct Task<S: InstanceSink> {
    requestor: Requestor,
    receiving: Receiving<S>,
    /// The data set that is collected belongs to a response, which nobody can be answered to.
    collects_response: bool,
    arrived: VecDeque<Message>,
    arrived_bytes: usize,
    waiting: Option<Waiting>,
    last_message_id: u16,
    /// The context of the last request.
    last_context: Option<u8>,
    tally: Arc<Mutex<Tally>>,
}

enum Wake {
    Asked(Option<Ask>),
    Readable(bool),
    Late,
}

impl<S: InstanceSink> Task<S> {
    fn new(
        requestor: Requestor,
        spec: &PeerSpec,
        intake: Intake<S>,
        tally: Arc<Mutex<Tally>>,
    ) -> Task<S> {
        let Intake {
            sink,
            pool,
            spool_most_bytes,
        } = intake;
        let mut receiving =
            Receiving::new(sink, pool, spool_most_bytes, Arc::<Counters>::default());
        let origin = Origin {
            calling_ae_title: spec.called_ae_title.clone(),
            called_ae_title: spec.calling_ae_title.clone(),
            remote_address: requestor.address,
            association: ASSOCIATIONS.fetch_add(1, Ordering::Relaxed) + 1,
            tenant: spec.tenant,
            label: None,
            user: String::new(),
        };
        receiving.associated(Arc::new(origin), contexts(&requestor, spec));
        Task {
            requestor,
            receiving,
            collects_response: false,
            arrived: VecDeque::new(),
            arrived_bytes: 0,
            waiting: None,
            last_message_id: 0,
            last_context: None,
            tally,
        }
    }

    fn opened(&self) -> Opened {
        let contexts = self.requestor.contexts.iter();
        Opened {
            contexts: contexts
                .map(|context| OpenedContext {
                    context_id: context.context_id,
                    sop_class_uid: context.sop_class_uid.clone(),
                    transfer_syntax_uid: context.transfer_syntax_uid.clone(),
                })
                .collect(),
            answer: (*self.requestor.answer).clone(),
        }
    }

    /// Serves asks until the association is over, and says why it is.
    async fn serve(mut self, asks: &mut mpsc::UnboundedReceiver<Ask>) -> PeerError {
        let over = loop {
            match self.step(asks).await {
                Ok(None) => {}
                Ok(Some(reply)) => {
                    let _ = reply.send(self.requestor.release().await);
                    return PeerError::NotOpen;
                }
                Err(error) => break error,
            }
        };
        // What came before the end is still to be had.
        self.deliver();
        while !self.arrived.is_empty() && self.waiting.is_none() {
            match asks.recv().await {
                None => return over,
                Some(Ask::Response { reply, .. }) => {
                    if let Some(message) = self.arrived.pop_front() {
                        let _ = reply.send(Ok(message));
                    }
                }
                Some(ask) => refuse(ask, &over),
            }
        }
        if let Some(waiting) = self.waiting {
            let _ = waiting.reply.send(Err(over.clone()));
        }
        over
    }

    /// Handles what came, then waits for what comes next. `Some` if the association is to be released.
    async fn step(
        &mut self,
        asks: &mut mpsc::UnboundedReceiver<Ask>,
    ) -> Result<Option<oneshot::Sender<Asked<()>>>, PeerError> {
        self.handle_unread().await?;
        self.requestor.flush("take our answer").await?;
        self.deliver();
        // What was read is handled first: there is one buffer.
        let unread = !self.requestor.socket.unread().is_empty();
        if !self.is_full() && (unread || self.read().await?) {
            return Ok(None);
        }
        let late = self.waiting.as_ref().map(|waiting| waiting.until);
        let wake = tokio::select! {
            ask = asks.recv() => Wake::Asked(ask),
            readable = self.requestor.readable(), if !self.is_full() => Wake::Readable(readable.is_ok()),
            () = sleep_until(late.unwrap_or_else(Instant::now)), if late.is_some() => Wake::Late,
        };
        match wake {
            Wake::Readable(true) => Ok(None),
            Wake::Readable(false) => Err(self.requestor.closed("answer the request")),
            Wake::Late => {
                self.late();
                Ok(None)
            }
            // Nobody is left who could ask.
            Wake::Asked(None) => Err(PeerError::NotOpen),
            Wake::Asked(Some(ask)) => self.asked(ask).await,
        }
    }

    async fn asked(&mut self, ask: Ask) -> Result<Option<oneshot::Sender<Asked<()>>>, PeerError> {
        match ask {
            Ask::Open(reply) => {
                let _ = reply.send(Ok(self.opened()));
            }
            Ask::Release(reply) => return Ok(Some(reply)),
            Ask::Response { patience, reply } => {
                let taken = self.waiting.as_ref();
                if taken.is_some_and(|waiting| !waiting.reply.is_closed()) {
                    let problem = "somebody waits for the next message already".to_owned();
                    let _ = reply.send(Err(PeerError::Spec { problem }));
                    return Ok(None);
                }
                let now = Instant::now();
                self.waiting = Some(Waiting {
                    reply,
                    patience,
                    until: now + patience,
                    from: self.requestor.socket.received(),
                });
            }
            Ask::Cancel { message_id, reply } => {
                let sent = self.cancel(message_id).await;
                return settle(sent, reply).map(|()| None);
            }
            Ask::Request {
                sop_class_uid,
                command,
                data_set,
                reply,
            } => {
                let sent = self.request(&sop_class_uid, command, data_set).await;
                if let Err(error @ (PeerError::ContextRefused { .. } | PeerError::Spec { .. })) =
                    sent
                {
                    let _ = reply.send(Err(error)); // nothing was sent: the association is as it was
                    return Ok(None);
                }
                return settle(sent, reply).map(|()| None);
            }
        }
        Ok(None)
    }

    async fn cancel(&mut self, message_id: u16) -> Result<(), PeerError> {
        // On the context of what is cancelled; that is the one used last, as a rule the only one.
        let context = self.requestor.contexts.first().ok_or(PeerError::NotOpen)?;
        let context_id = self.last_context.unwrap_or(context.context_id);
        self.requestor
            .association
            .send_command(context_id, &CommandSet::cancel_request(message_id))?;
        self.requestor.flush("take the C-CANCEL").await
    }

    async fn request(
        &mut self,
        sop_class_uid: &str,
        command: CommandSet,
        data_set: Option<Vec<u8>>,
    ) -> Result<Requested, PeerError> {
        let context = self.requestor.contexts.iter();
        let context_id = context
            .filter(|context| context.sop_class_uid == sop_class_uid)
            .map(|context| context.context_id)
            .next()
            .ok_or_else(|| PeerError::ContextRefused {
                sop_class_uid: sop_class_uid.to_owned(),
            })?;
        let command = self.complete(sop_class_uid, command, data_set.is_some())?;
        let message_id = command
            .us(element::MESSAGE_ID)
            .or_else(|| command.us(element::MESSAGE_ID_BEING_RESPONDED_TO))
            .unwrap_or(0);
        let association = &mut self.requestor.association;
        association.send_command(context_id, &command)?;
        let doing = "take the request";
        if let Some(data_set) = &data_set {
            let fragments = association.data_set_fragments(context_id, data_set.len(), true)?;
            let (socket, patience) = (&mut self.requestor.socket, self.requestor.timeout);
            socket
                .send_fragments(association, fragments, data_set, patience)
                .await
                .map_err(|error| PeerError::write(error, doing, patience))?;
        }
        self.requestor.flush(doing).await?;
        self.last_context = Some(context_id);
        Ok(Requested {
            message_id,
            context_id,
        })
    }

    /// What of a command follows from the association and the data set (PS3.7 §9.3, §10.3).
    fn complete(
        &mut self,
        sop_class_uid: &str,
        mut command: CommandSet,
        has_data_set: bool,
    ) -> Result<CommandSet, PeerError> {
        use CommandField::{
            CFindRq, CGetRq, CMoveRq, CStoreRq, NActionRq, NDeleteRq, NGetRq, NSetRq,
        };
        let Some(field) = command.field() else {
            return Err(PeerError::Spec {
                problem: "the command has no CommandField of the standard".to_owned(),
            });
        };
        let class = match field {
            NGetRq | NSetRq | NActionRq | NDeleteRq => element::REQUESTED_SOP_CLASS_UID,
            _ => element::AFFECTED_SOP_CLASS_UID,
        };
        if command.get(class).is_none() {
            command = command.with_text(class, sop_class_uid);
        }
        if matches!(field, CFindRq | CGetRq | CMoveRq | CStoreRq)
            && command.get(element::PRIORITY).is_none()
        {
            command = command.with_us(element::PRIORITY, 0);
        }
        if !is_response(&command) {
            let next = self.last_message_id.checked_add(1).unwrap_or(1);
            let message_id = command.us(element::MESSAGE_ID).unwrap_or(next);
            self.last_message_id = message_id;
            command = command.with_us(element::MESSAGE_ID, message_id);
        }
        let kind = if has_data_set { 1 } else { NO_DATA_SET };
        Ok(command.with_us(element::COMMAND_DATA_SET_TYPE, kind))
    }

    /// So much has come that nobody asked for that no more is read.
    fn is_full(&self) -> bool {
        self.arrived.len() >= MAX_AHEAD.0 || self.arrived_bytes >= MAX_AHEAD.1
    }

    async fn handle_unread(&mut self) -> Result<(), PeerError> {
        while !self.is_full() && !self.requestor.socket.unread().is_empty() {
            let Requestor {
                association,
                socket,
                ..
            } = &mut self.requestor;
            let (used, received) = association.receive(socket.unread());
            match received {
                None => socket.consume(used),
                Some(Received::Data { bytes, last, .. }) => {
                    self.receiving.append(bytes).await;
                    socket.consume(used);
                    if last {
                        self.data_set_complete().await?;
                    }
                }
                Some(Received::Indication(indication)) => {
                    socket.consume(used);
                    self.handle(indication).await?;
                }
            }
        }
        Ok(())
    }

    /// Reads what is there. False if nothing is.
    async fn read(&mut self) -> Result<bool, PeerError> {
        tokio::task::consume_budget().await;
        let room = self
            .receiving
            .room(self.requestor.association.direct_bytes());
        match self.requestor.socket.try_read(room) {
            Read::Empty => Ok(false),
            Read::Closed => {
                self.requestor.association.transport_closed();
                Err(self.requestor.closed("answer the request"))
            }
            Read::Direct(0) => Ok(true),
            Read::Direct(count) => {
                self.receiving.fill(count);
                match self.requestor.association.took_direct(count) {
                    Some(Received::Data { last: true, .. }) => self.data_set_complete().await?,
                    Some(Received::Data { last: false, .. }) | None => {}
                    Some(Received::Indication(indication)) => self.handle(indication).await?,
                }
                Ok(true)
            }
        }
    }

    async fn handle(&mut self, indication: Indication) -> Result<(), PeerError> {
        let Indication::Command {
            context_id,
            command,
        } = self.requestor.judge(indication).await?
        else {
            return Ok(());
        };
        if command.field() == Some(CommandField::CStoreRq) {
            if let Some(response) = self.receiving.store(context_id, command).await {
                self.requestor
                    .association
                    .send_command(context_id, &response)?;
            }
        } else if command.has_data_set() {
            self.collects_response = is_response(&command);
            let too_long = status::RESOURCE_LIMITATION;
            let collected =
                self.receiving
                    .collect(context_id, command, MAX_DATA_SET_BYTES, too_long);
            collected.await;
        } else {
            self.arrive(context_id, command, Vec::new());
        }
        Ok(())
    }

    async fn data_set_complete(&mut self) -> Result<(), PeerError> {
        match self.receiving.complete().await {
            None => {}
            Some(Complete::Collected(context_id, command, spool)) => {
                self.arrive(context_id, command, spool.to_vec());
            }
            Some(Complete::Answer(..)) if self.collects_response => {
                return Err(PeerError::DataSetTooLong {
                    limit: MAX_DATA_SET_BYTES,
                });
            }
            Some(Complete::Answer(context_id, response)) => {
                *self.tally.lock() = self.receiving.tally;
                self.requestor
                    .association
                    .send_command(context_id, &response)?;
            }
        }
        self.collects_response = false;
        Ok(())
    }

    fn arrive(&mut self, context_id: u8, command: CommandSet, data_set: Vec<u8>) {
        let mut contexts = self.requestor.contexts.iter();
        let context = contexts.find(|context| context.context_id == context_id);
        self.arrived_bytes += data_set.len();
        self.arrived.push_back(Message {
            context_id,
            transfer_syntax_uid: context
                .map(|context| context.transfer_syntax_uid.clone())
                .unwrap_or_default(),
            command,
            data_set,
        });
    }

    /// Hands the next message to who waits for it. If whoever waited has gone, it is for who comes next.
    fn deliver(&mut self) {
        if self.arrived.is_empty() {
            return;
        }
        let waiting = self.waiting.take().filter(|one| !one.reply.is_closed());
        let Some(waiting) = waiting else { return };
        if let Some(message) = self.arrived.pop_front() {
            self.arrived_bytes -= message.data_set.len();
            let _ = waiting.reply.send(Ok(message));
        }
    }

    /// Nothing was answered in time; unless something is on its way.
    fn late(&mut self) {
        let received = self.requestor.socket.received();
        let Some(waiting) = &mut self.waiting else {
            return;
        };
        if received > waiting.from {
            (waiting.from, waiting.until) = (received, Instant::now() + waiting.patience);
            return;
        }
        let error = PeerError::TimedOut {
            doing: "answer the request",
            after: waiting.patience,
        };
        if let Some(waiting) = self.waiting.take() {
            let _ = waiting.reply.send(Err(error));
        }
    }
}

/// Tells who asked, and whether the association is over.
fn settle<T>(done: Asked<T>, reply: oneshot::Sender<Asked<T>>) -> Result<(), PeerError> {
    let over = done.as_ref().err().cloned();
    let _ = reply.send(done);
    over.map_or(Ok(()), Err)
}

/// The contexts as the receiving side has them: those on which the peer may send instances.
fn contexts(requestor: &Requestor, spec: &PeerSpec) -> Contexts {
    let accepted = requestor.contexts.iter().map(|context| {
        let proposed = spec
            .contexts
            .iter()
            .find(|proposed| proposed.sop_class_uid == context.sop_class_uid);
        accepted_context(context, proposed.is_some_and(|proposed| proposed.scp))
    });
    Contexts::from(accepted.collect::<Vec<_>>())
}

fn accepted_context(context: &NegotiatedContext, peer_is_scu: bool) -> AcceptedContext {
    AcceptedContext {
        context_id: context.context_id,
        sop_class_uid: context.sop_class_uid.as_str().into(),
        transfer_syntax_uid: context.transfer_syntax_uid.as_str().into(),
        service: Service::of(&context.sop_class_uid).unwrap_or(Service::Store),
        peer_is_scu,
        peer_is_scp: true,
        extended: Arc::from([]),
    }
}
