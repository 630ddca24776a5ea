//! The fields of a C-STORE request.

use crate::command::element::*;
use crate::command::{CommandField, CommandSet};
use crate::error::{UlError, UlErrorKind};

/// A C-STORE request (PS3.7 §9.3.1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreRequest {
    /// Chosen by the requestor, returned in the response.
    pub message_id: u16,
    /// SOP class of the instance that follows.
    pub affected_sop_class_uid: String,
    /// SOP instance that follows.
    pub affected_sop_instance_uid: String,
    /// 0 medium, 1 high, 2 low.
    pub priority: u16,
    /// AE title and Message ID of the C-MOVE request that caused this one.
    pub move_originator: Option<(String, u16)>,
}

impl StoreRequest {
    /// Takes the fields out of a command set.
    ///
    /// # Errors
    ///
    /// [`UlErrorKind::CommandMissing`] without Message ID, UIDs or data set.
    pub fn from_command(command: &CommandSet) -> Result<StoreRequest, UlError> {
        if !command.has_data_set() {
            let (element, command) = (COMMAND_DATA_SET_TYPE, command.field_number());
            return Err(UlErrorKind::CommandMissing { element, command }.into());
        }
        let originator = command.text(MOVE_ORIGINATOR_AE_TITLE);
        Ok(StoreRequest {
            message_id: command.require_us(MESSAGE_ID)?,
            affected_sop_class_uid: command.require_text(AFFECTED_SOP_CLASS_UID)?.to_owned(),
            affected_sop_instance_uid: command.require_text(AFFECTED_SOP_INSTANCE_UID)?.to_owned(),
            priority: command.us(PRIORITY).unwrap_or(0),
            move_originator: originator.map(|title| {
                (
                    title.to_owned(),
                    command.us(MOVE_ORIGINATOR_MESSAGE_ID).unwrap_or(0),
                )
            }),
        })
    }

    /// The command set.
    #[must_use]
    pub fn to_command(&self) -> CommandSet {
        let command = CommandSet::new(CommandField::CStoreRq)
            .with_text(AFFECTED_SOP_CLASS_UID, &self.affected_sop_class_uid)
            .with_us(MESSAGE_ID, self.message_id)
            .with_us(PRIORITY, self.priority)
            .with_us(COMMAND_DATA_SET_TYPE, 1)
            .with_text(AFFECTED_SOP_INSTANCE_UID, &self.affected_sop_instance_uid);
        match &self.move_originator {
            Some((ae_title, message_id)) => command
                .with_text(MOVE_ORIGINATOR_AE_TITLE, ae_title)
                .with_us(MOVE_ORIGINATOR_MESSAGE_ID, *message_id),
            None => command,
        }
    }
}
