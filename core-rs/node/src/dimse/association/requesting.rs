//! Requests of ours on an association that the peer requested: sub-operations of C-GET, and reports.

use super::{Task, end_of};
use crate::dimse::outgoing::{OutgoingInstance, SendError};
use crate::dimse::service::Report;
use crate::dimse::sink::InstanceSink;
use tokio::sync::oneshot;
use tokio::time::Instant;
use vna_ul::command::{RESPONSE_BIT, element};
use vna_ul::{CommandField, CommandSet};

/// A request of ours that is to be answered.
pub(super) struct Awaited {
    message_id: u16,
    /// Of the response.
    field_number: u16,
    pub since: Instant,
    answer: oneshot::Sender<CommandSet>,
}

impl<S: InstanceSink> Task<S> {
    /// Sends an instance; else says how the association ends, for half an instance cannot be taken back.
    pub(super) async fn send_instance(
        &mut self,
        instance: OutgoingInstance,
        answer: oneshot::Sender<CommandSet>,
    ) -> Result<(), &'static str> {
        let message_id = self.next_message_id();
        let patience = self.policy.message_timeout;
        let (association, socket) = (&mut self.association, &mut self.socket);
        let sent = instance.send(association, socket, message_id, None, patience);
        match sent.await {
            Ok(_) => {
                self.awaits(CommandField::CStoreRq, message_id, answer);
                Ok(())
            }
            Err(SendError::Write(error)) => Err(end_of(&error)),
            Err(SendError::Association(error)) => Err(error.code()),
            Err(SendError::Read(error)) => {
                tracing::error!(code = error.code(), "an instance cannot be read: {error}");
                Err("store.unreadable")
            }
        }
    }

    /// Sends an N-EVENT-REPORT (PS3.7 §10.3.1).
    pub(super) fn send_report(&mut self, report: Report) {
        let message_id = self.next_message_id();
        let command = report
            .command
            .with_us(element::COMMAND_FIELD, CommandField::NEventReportRq as u16)
            .with_us(element::MESSAGE_ID, message_id)
            .with_us(element::COMMAND_DATA_SET_TYPE, 1);
        self.send(report.context_id, &command, Some(&report.data_set));
        self.awaits(CommandField::NEventReportRq, message_id, report.answer);
        self.clock.message_done();
    }

    /// The answer to a request of ours.
    pub(super) fn response(&mut self, command: CommandSet) {
        let id = command.us(element::MESSAGE_ID_BEING_RESPONDED_TO);
        let at = self.awaited.iter().position(|awaited| {
            Some(awaited.message_id) == id && awaited.field_number == command.field_number()
        });
        match at {
            Some(at) => {
                // Who waited may have gone.
                let _ = self.awaited.swap_remove(at).answer.send(command);
                self.clock.message_done();
            }
            None => self.abort("command.unexpected_response"),
        }
    }

    fn awaits(
        &mut self,
        request: CommandField,
        message_id: u16,
        answer: oneshot::Sender<CommandSet>,
    ) {
        self.awaited.push(Awaited {
            message_id,
            field_number: request as u16 | RESPONSE_BIT,
            since: Instant::now(),
            answer,
        });
    }

    /// Those of one side are its own (PS3.7 §9.1.1.1.1); 0 is allowed, and taken for none by some.
    fn next_message_id(&mut self) -> u16 {
        self.message_id = self.message_id.checked_add(1).unwrap_or(1);
        self.message_id
    }
}
