//! What is done with each command: C-ECHO and C-STORE here, other requests by whoever serves them.
//!
//! One request at a time is handed over; C-ECHO and C-STORE are answered beside it. So PS3.7 is read:
//!
//! - A request that its context was not accepted for is refused: 0122 or 0118 for another SOP class, 0211 for an
//!   operation that the SOP class does not have. An unknown context is an abort (`vna-ul`).
//! - A second request to hand over while one runs is refused with 0213, or with 0210 if it has the same Message ID:
//!   the asynchronous operations window is 1. After its last response a Message ID may be used again.
//! - C-CANCEL counts if its Message ID is the one of the request that runs, on whatever context; else it is ignored,
//!   for it may cross the last response.
//! - A response to nothing is an abort: the peer has lost count.

use super::Task;
use crate::dimse::contexts::AcceptedContext;
use crate::dimse::counters::count;
use crate::dimse::receiving::Complete;
use crate::dimse::service::{
    MAX_REQUEST_BYTES, Response, Running, Said, ServiceRequest, is_response,
};
use crate::dimse::services::Service;
use crate::dimse::sink::{InstanceSink, status};
use std::sync::Arc;
use vna_ul::command::element;
use vna_ul::{CommandField, CommandSet};

impl<S: InstanceSink> Task<S> {
    pub(super) async fn handle_command(&mut self, context_id: u8, command: CommandSet) {
        if is_response(&command) {
            return self.response(command);
        }
        match command.field() {
            Some(CommandField::CCancelRq) => self.cancel(&command),
            Some(CommandField::CStoreRq) => {
                let refused = self.receiving.store(context_id, command).await;
                self.send_response(context_id, refused);
            }
            field => match self.judge(context_id, field, &command) {
                Ok(Service::Echo) => {
                    count(&self.common.counters.echoes);
                    self.refuse(context_id, command, status::SUCCESS);
                }
                Ok(_) => self.collect(context_id, command).await,
                Err(status) => self.refuse(context_id, command, status),
            },
        }
    }

    /// The service that a request is for; else the status to refuse it with.
    fn judge(
        &self,
        context_id: u8,
        field: Option<CommandField>,
        command: &CommandSet,
    ) -> Result<Service, u16> {
        let (context, field) = self
            .contexts
            .get(context_id)
            .zip(field)
            .filter(|(context, field)| context.service.takes(*field))
            .ok_or(status::UNRECOGNIZED_OPERATION)?;
        if context.service == Service::Echo {
            return Ok(Service::Echo);
        }
        let class = command
            .text(element::AFFECTED_SOP_CLASS_UID)
            .or_else(|| command.text(element::REQUESTED_SOP_CLASS_UID));
        if class != Some(&context.sop_class_uid) || !may_send(context, field) {
            return Err(match context.service {
                Service::Commitment | Service::Mpps => status::NO_SUCH_SOP_CLASS,
                _ => status::SOP_CLASS_NOT_SUPPORTED,
            });
        }
        let message_id = command.us(element::MESSAGE_ID);
        match (&self.running, message_id) {
            (_, None) => Err(status::MISTYPED_ARGUMENT),
            (Some(running), id) if running.message_id() == id => Err(status::DUPLICATE_INVOCATION),
            (Some(_), _) => Err(status::RESOURCE_LIMITATION),
            (None, _) => Ok(context.service),
        }
    }

    async fn collect(&mut self, context_id: u8, command: CommandSet) {
        if command.has_data_set() {
            self.receiving
                .collect(
                    context_id,
                    command,
                    MAX_REQUEST_BYTES,
                    status::RESOURCE_LIMITATION,
                )
                .await;
        } else {
            self.hand_over(context_id, command, Vec::new());
        }
    }

    pub(super) async fn data_set_complete(&mut self) {
        match self.receiving.complete().await {
            Some(Complete::Answer(context_id, response)) => {
                self.send_response(context_id, Some(response));
            }
            Some(Complete::Collected(context_id, command, data_set)) => {
                // A copy of its length: the spool is for data sets that are on their way.
                self.hand_over(context_id, command, data_set.to_vec());
            }
            None => {}
        }
    }

    fn hand_over(&mut self, context_id: u8, command: CommandSet, data_set: Vec<u8>) {
        let (context, origin) = (self.contexts.get(context_id), self.receiving.origin());
        let Some((context, origin)) = context.zip(origin) else {
            return;
        };
        let (running, responder) = Running::new(context_id, command.clone());
        if self.stopping {
            running.cancel();
        }
        let request = ServiceRequest {
            origin: Arc::clone(origin),
            context: context.clone(),
            contexts: self.contexts.clone(),
            command,
            data_set,
            responder,
            reporter: self.reports.reporter(context_id),
        };
        count(&self.common.counters.requests);
        self.running = Some(running);
        self.services.take(request);
        self.clock.message_done();
    }

    fn cancel(&mut self, command: &CommandSet) {
        let id = command.us(element::MESSAGE_ID_BEING_RESPONDED_TO);
        if let Some(running) = self.running.as_ref().filter(|r| r.message_id() == id) {
            running.cancel();
        }
        self.clock.message_done();
    }

    /// Does what the one who serves says.
    pub(super) async fn act_on(&mut self, said: Said) {
        let Some(running) = self.running.take() else {
            return;
        };
        match said {
            Said::Response {
                response,
                last,
                taken,
            } => {
                let Response { command, data_set } = response;
                let command = running.response(&command, data_set.is_some());
                self.send(running.context_id, &command, data_set.as_deref());
                self.when_sent.push(taken);
                if last {
                    self.clock.message_done();
                    return;
                }
            }
            Said::Page {
                command,
                page,
                taken,
            } => {
                let command = running.response(&command, true);
                for data_set in page.answers() {
                    self.send(running.context_id, &command, Some(data_set));
                }
                self.when_sent.push(taken);
            }
            Said::Store { instance, answer } => {
                if let Err(end) = self.send_instance(*instance, answer).await {
                    return self.abort(end);
                }
            }
        }
        self.running = Some(running);
    }

    /// Answers a request of whose data set nothing is wanted.
    fn refuse(&mut self, context_id: u8, command: CommandSet, status: u16) {
        let response = self.receiving.refuse(context_id, command, status);
        self.send_response(context_id, response);
    }

    fn send_response(&mut self, context_id: u8, response: Option<CommandSet>) {
        if let Some(response) = response {
            self.send(context_id, &response, None);
            self.clock.message_done();
        }
    }

    pub(super) fn send(&mut self, context_id: u8, command: &CommandSet, data_set: Option<&[u8]>) {
        // It is not possible only after an abort, when nobody waits for an answer.
        let sent = self.association.send_command(context_id, command);
        if let (Ok(()), Some(data_set)) = (sent, data_set) {
            let _ = self.association.send_data_set(context_id, data_set);
        }
    }
}

/// Whether the roles allow it. A report of a commitment comes from the SCP; peers that leave the negotiation of roles
/// out are understood all the same (PS3.4 §J.3.3).
fn may_send(context: &AcceptedContext, field: CommandField) -> bool {
    context.peer_is_scu || field == CommandField::NEventReportRq
}
