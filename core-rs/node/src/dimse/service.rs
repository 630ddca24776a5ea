//! Requests that somebody else answers: handed over with a [`Responder`], through which the answers come back to the
//! task of the association.
//!
//! The task goes on reading meanwhile, so that a C-CANCEL or the end of the association is known at once to who serves.
//! Whoever serves waits until the peer took what he said before he says more: that is all that holds him back, and
//! all that is held for a peer that does not read.

use super::contexts::{AcceptedContext, Contexts};
use super::outgoing::OutgoingInstance;
use super::sink::{Origin, status};
use crate::cfind::AnswerPage;
use std::future::Future;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};
use vna_ul::command::{RESPONSE_BIT, element};
use vna_ul::{CommandSet, UserIdentity};

/// Longest data set of a request that is handed over: a C-MOVE that names 10,000 instances takes 0.6 MB, and a commitment of
/// as many 1.3 MB.
pub(super) const MAX_REQUEST_BYTES: usize = 4 << 20;

/// Takes what the DIMSE server does not answer itself. It must not wait.
pub trait Services: Send + Sync + 'static {
    /// A request. Dropped unanswered it is answered with 0110.
    fn take(&self, request: ServiceRequest);

    /// Somebody who says who he is. Dropped unanswered he is rejected.
    fn identify(&self, claim: IdentityClaim);
}

/// Nobody serves: for a server that stores alone.
#[derive(Debug, Clone, Copy)]
pub struct NoServices;

impl Services for NoServices {
    fn take(&self, request: ServiceRequest) {
        drop(request);
    }

    fn identify(&self, claim: IdentityClaim) {
        drop(claim);
    }
}

/// A user identity of type 1 or 2 (PS3.7 §D.3.3.7), to be checked before the association is let in.
#[derive(Debug)]
pub struct IdentityClaim {
    /// Who asks; no user yet.
    pub origin: Arc<Origin>,
    /// User name, and passcode with type 2.
    pub identity: UserIdentity,
    /// The name of the user that it is, or that it is none.
    pub answer: oneshot::Sender<Option<String>>,
}

/// A request, and the way to answer it.
#[derive(Debug)]
pub struct ServiceRequest {
    /// Who asks.
    pub origin: Arc<Origin>,
    /// The presentation context that it came on.
    pub context: AcceptedContext,
    /// All contexts of the association.
    pub contexts: Contexts,
    /// The command set.
    pub command: CommandSet,
    /// The data set; empty if there is none.
    pub data_set: Vec<u8>,
    /// The way back.
    pub responder: Responder,
    /// The way to the peer for what comes of it later.
    pub reporter: Reporter,
}

/// What a request is answered with, bit by bit.
#[derive(Debug)]
pub struct Response {
    /// Elements beyond those that follow from the request: the status, and what else there is to say.
    pub command: CommandSet,
    /// In the transfer syntax of the context.
    pub data_set: Option<Vec<u8>>,
}

/// How far a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It is to be served.
    Running,
    /// The peer, or the end of the server, cancelled it: it is to be ended with what is done.
    Cancelled,
    /// It was answered, or its association is over: nobody waits.
    Ended,
}

/// The association is over, or the request was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Over;

/// Answers one request; clones speak for the same one.
#[derive(Debug, Clone)]
pub struct Responder {
    said: mpsc::UnboundedSender<Said>,
    progress: watch::Receiver<Progress>,
}

/// What the task of the association is to do next. `taken` is told when the peer took it.
pub(super) enum Said {
    /// One response; `last` ends the request.
    Response {
        response: Response,
        last: bool,
        taken: oneshot::Sender<()>,
    },
    /// Responses that differ in their data sets alone.
    Page {
        command: CommandSet,
        page: AnswerPage,
        taken: oneshot::Sender<()>,
    },
    /// A C-STORE sub-operation (PS3.4 §C.4.3.3).
    Store {
        instance: Box<OutgoingInstance>,
        answer: oneshot::Sender<CommandSet>,
    },
}

impl Responder {
    /// One more pending response. Returns when the peer took it.
    ///
    /// # Errors
    ///
    /// [`Over`]; so for all of these.
    pub async fn respond(&self, response: Response) -> Result<(), Over> {
        self.begin_response(response, false).await
    }

    /// The last response.
    ///
    /// # Errors
    ///
    /// [`Over`].
    pub async fn finish(&self, response: Response) -> Result<(), Over> {
        self.begin_response(response, true).await
    }

    /// A response, `last` or pending. It is said when this returns, and the future says when the peer took it; so that
    /// the order is that of the calls.
    pub fn begin_response(
        &self,
        response: Response,
        last: bool,
    ) -> impl Future<Output = Result<(), Over>> + Send + use<> {
        let (taken, when_taken) = oneshot::channel();
        let said = Said::Response {
            response,
            last,
            taken,
        };
        self.say(said, when_taken)
    }

    /// Pending responses with these data sets, in one go. Returns when the peer took them.
    ///
    /// # Errors
    ///
    /// [`Over`].
    pub async fn page(&self, command: CommandSet, page: AnswerPage) -> Result<(), Over> {
        let (taken, when_taken) = oneshot::channel();
        let said = Said::Page {
            command,
            page,
            taken,
        };
        self.say(said, when_taken).await
    }

    /// Sends an instance to the peer and returns the status that he answers.
    ///
    /// # Errors
    ///
    /// [`Over`].
    pub async fn store(&self, instance: OutgoingInstance) -> Result<u16, Over> {
        let (answer, when_answered) = oneshot::channel();
        let instance = Box::new(instance);
        let answered = self.say(Said::Store { instance, answer }, when_answered);
        // Without a status it says nothing.
        let status = answered.await?.us(element::STATUS);
        Ok(status.unwrap_or(status::PROCESSING_FAILURE))
    }

    /// How far the request is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        // The task gone without a word was ended with the server.
        match self.progress.has_changed() {
            Ok(_) => *self.progress.borrow(),
            Err(_) => Progress::Ended,
        }
    }

    /// Waits until the request is not to be served any more.
    pub fn interrupted(&self) -> impl Future<Output = Progress> + Send + use<> {
        let mut progress = self.progress.clone();
        async move {
            let changed = progress.wait_for(|progress| *progress != Progress::Running);
            changed.await.map_or(Progress::Ended, |progress| *progress)
        }
    }

    fn say<T: Send>(
        &self,
        said: Said,
        when_done: oneshot::Receiver<T>,
    ) -> impl Future<Output = Result<T, Over>> + Send + use<T> {
        // Nobody to hear it drops it, and with it who would tell that it was done.
        let _ = self.said.send(said);
        async move { when_done.await.map_err(|_| Over) }
    }
}

/// A running request, as the task of its association has it.
pub(super) struct Running {
    pub context_id: u8,
    pub request: CommandSet,
    said: mpsc::UnboundedReceiver<Said>,
    progress: watch::Sender<Progress>,
}

/// Sends reports to the peer of a request on its association, also after the request was answered.
#[derive(Debug, Clone)]
pub struct Reporter {
    context_id: u8,
    reports: mpsc::UnboundedSender<Report>,
}

/// An N-EVENT-REPORT that is to be sent.
#[derive(Debug)]
pub(super) struct Report {
    pub context_id: u8,
    pub command: CommandSet,
    pub data_set: Vec<u8>,
    pub answer: oneshot::Sender<CommandSet>,
}

impl Reporter {
    /// Sends an N-EVENT-REPORT request with `command`, completed, and returns the response.
    ///
    /// # Errors
    ///
    /// [`Over`] if the association is over before the peer has answered.
    pub fn report(
        &self,
        command: CommandSet,
        data_set: Vec<u8>,
    ) -> impl Future<Output = Result<CommandSet, Over>> + Send + use<> {
        let (answer, when_answered) = oneshot::channel();
        let _ = self.reports.send(Report {
            context_id: self.context_id,
            command,
            data_set,
            answer,
        });
        async move { when_answered.await.map_err(|_| Over) }
    }
}

/// The reports that an association is to send; nothing until somebody may have one.
#[derive(Default)]
pub(super) struct Reports(
    Option<(
        mpsc::UnboundedSender<Report>,
        mpsc::UnboundedReceiver<Report>,
    )>,
);

impl Reports {
    pub fn reporter(&mut self, context_id: u8) -> Reporter {
        let (sender, _) = self.0.get_or_insert_with(mpsc::unbounded_channel);
        Reporter {
            context_id,
            reports: sender.clone(),
        }
    }

    /// The next report.
    pub async fn next(&mut self) -> Report {
        match &mut self.0 {
            // We have a sender ourselves, so that it never ends.
            Some((_, reports)) => match reports.recv().await {
                Some(report) => report,
                None => std::future::pending().await,
            },
            None => std::future::pending().await,
        }
    }
}

impl Running {
    pub fn new(context_id: u8, request: CommandSet) -> (Running, Responder) {
        let (sender, said) = mpsc::unbounded_channel();
        let (progress, watched) = watch::channel(Progress::Running);
        let running = Running {
            context_id,
            request,
            said,
            progress,
        };
        let responder = Responder {
            said: sender,
            progress: watched,
        };
        (running, responder)
    }

    pub fn message_id(&self) -> Option<u16> {
        self.request.us(element::MESSAGE_ID)
    }

    pub fn cancel(&self) {
        let first = |progress: &mut Progress| {
            let running = *progress == Progress::Running;
            if running {
                *progress = Progress::Cancelled;
            }
            running
        };
        self.progress.send_if_modified(first);
    }

    /// What was said and not done yet, if there is something. A request that was dropped unanswered is answered.
    pub fn try_next(&mut self) -> Option<Said> {
        match self.said.try_recv() {
            Ok(said) => Some(said),
            Err(mpsc::error::TryRecvError::Empty) => None,
            Err(mpsc::error::TryRecvError::Disconnected) => Some(dropped()),
        }
    }

    /// The same, waiting for it.
    pub async fn next(&mut self) -> Said {
        self.said.recv().await.unwrap_or_else(dropped)
    }

    /// The command of a response: what follows from the request, and over it what was said (PS3.7 §9.3, §10.3).
    pub fn response(&self, said: &CommandSet, has_data_set: bool) -> CommandSet {
        let status = said.us(element::STATUS).unwrap_or(status::SUCCESS);
        let mut response = self.request.response(status);
        for element in [element::ACTION_TYPE_ID, element::EVENT_TYPE_ID] {
            if let Some(value) = self.request.get(element) {
                response = response.with(element, value.clone());
            }
        }
        for (element, value) in said.elements() {
            if !FROM_THE_REQUEST.contains(element) {
                response = response.with(*element, value.clone());
            }
        }
        let kind = if has_data_set {
            1
        } else {
            vna_ul::command::NO_DATA_SET
        };
        response.with_us(element::COMMAND_DATA_SET_TYPE, kind)
    }
}

/// Elements of a response that who serves does not choose.
const FROM_THE_REQUEST: [u16; 4] = [
    element::COMMAND_FIELD,
    element::MESSAGE_ID,
    element::MESSAGE_ID_BEING_RESPONDED_TO,
    element::COMMAND_DATA_SET_TYPE,
];

impl Drop for Running {
    fn drop(&mut self) {
        self.progress.send_replace(Progress::Ended);
    }
}

fn dropped() -> Said {
    let command = CommandSet::default().with_us(element::STATUS, status::PROCESSING_FAILURE);
    let response = Response {
        command,
        data_set: None,
    };
    Said::Response {
        response,
        last: true,
        taken: oneshot::channel().0,
    }
}

/// Whether a command is an answer to something.
pub(super) fn is_response(command: &CommandSet) -> bool {
    command.field_number() & RESPONSE_BIT != 0
}
