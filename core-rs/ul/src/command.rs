//! DIMSE command sets (PS3.7 §6.3, §E): group 0000 in Implicit VR Little Endian.

use crate::error::{UlError, UlErrorKind};
use crate::limits::MAX_COMMAND_BYTES;
use crate::read;

/// Element numbers of group 0000 (PS3.7 Table E.1-1).
#[allow(missing_docs, reason = "the names are the keywords of the standard")]
pub mod element {
    pub const COMMAND_GROUP_LENGTH: u16 = 0x0000;
    pub const AFFECTED_SOP_CLASS_UID: u16 = 0x0002;
    pub const REQUESTED_SOP_CLASS_UID: u16 = 0x0003;
    pub const COMMAND_FIELD: u16 = 0x0100;
    pub const MESSAGE_ID: u16 = 0x0110;
    pub const MESSAGE_ID_BEING_RESPONDED_TO: u16 = 0x0120;
    pub const MOVE_DESTINATION: u16 = 0x0600;
    pub const PRIORITY: u16 = 0x0700;
    pub const COMMAND_DATA_SET_TYPE: u16 = 0x0800;
    pub const STATUS: u16 = 0x0900;
    pub const OFFENDING_ELEMENT: u16 = 0x0901;
    pub const ERROR_COMMENT: u16 = 0x0902;
    pub const ERROR_ID: u16 = 0x0903;
    pub const AFFECTED_SOP_INSTANCE_UID: u16 = 0x1000;
    pub const REQUESTED_SOP_INSTANCE_UID: u16 = 0x1001;
    pub const EVENT_TYPE_ID: u16 = 0x1002;
    pub const ATTRIBUTE_IDENTIFIER_LIST: u16 = 0x1005;
    pub const ACTION_TYPE_ID: u16 = 0x1008;
    pub const NUMBER_OF_REMAINING_SUBOPERATIONS: u16 = 0x1020;
    pub const NUMBER_OF_COMPLETED_SUBOPERATIONS: u16 = 0x1021;
    pub const NUMBER_OF_FAILED_SUBOPERATIONS: u16 = 0x1022;
    pub const NUMBER_OF_WARNING_SUBOPERATIONS: u16 = 0x1023;
    pub const MOVE_ORIGINATOR_AE_TITLE: u16 = 0x1030;
    pub const MOVE_ORIGINATOR_MESSAGE_ID: u16 = 0x1031;
}
use element::*;

/// How the value of a command element is encoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Encoding {
    Us,
    Uid,
    AeTitle,
    Text,
    Tags,
}

#[rustfmt::skip]
const FIELDS: [(u16, Encoding); 23] = [
    (AFFECTED_SOP_CLASS_UID, Encoding::Uid),
    (REQUESTED_SOP_CLASS_UID, Encoding::Uid),
    (COMMAND_FIELD, Encoding::Us),
    (MESSAGE_ID, Encoding::Us),
    (MESSAGE_ID_BEING_RESPONDED_TO, Encoding::Us),
    (MOVE_DESTINATION, Encoding::AeTitle),
    (PRIORITY, Encoding::Us),
    (COMMAND_DATA_SET_TYPE, Encoding::Us),
    (STATUS, Encoding::Us),
    (OFFENDING_ELEMENT, Encoding::Tags),
    (ERROR_COMMENT, Encoding::Text),
    (ERROR_ID, Encoding::Us),
    (AFFECTED_SOP_INSTANCE_UID, Encoding::Uid),
    (REQUESTED_SOP_INSTANCE_UID, Encoding::Uid),
    (EVENT_TYPE_ID, Encoding::Us),
    (ATTRIBUTE_IDENTIFIER_LIST, Encoding::Tags),
    (ACTION_TYPE_ID, Encoding::Us),
    (NUMBER_OF_REMAINING_SUBOPERATIONS, Encoding::Us),
    (NUMBER_OF_COMPLETED_SUBOPERATIONS, Encoding::Us),
    (NUMBER_OF_FAILED_SUBOPERATIONS, Encoding::Us),
    (NUMBER_OF_WARNING_SUBOPERATIONS, Encoding::Us),
    (MOVE_ORIGINATOR_AE_TITLE, Encoding::AeTitle),
    (MOVE_ORIGINATOR_MESSAGE_ID, Encoding::Us),
];

fn encoding(element: u16) -> Option<Encoding> {
    FIELDS
        .iter()
        .find(|(known, _)| *known == element)
        .map(|&(_, encoding)| encoding)
}

/// Command Data Set Type: no data set follows. Any other value announces one (PS3.7 §E.1).
pub const NO_DATA_SET: u16 = 0x0101;

/// Command Field (PS3.7 Table E.1-1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are those of the standard")]
#[repr(u16)]
pub enum CommandField {
    CStoreRq = 0x0001,
    CStoreRsp = 0x8001,
    CGetRq = 0x0010,
    CGetRsp = 0x8010,
    CFindRq = 0x0020,
    CFindRsp = 0x8020,
    CMoveRq = 0x0021,
    CMoveRsp = 0x8021,
    CEchoRq = 0x0030,
    CEchoRsp = 0x8030,
    NEventReportRq = 0x0100,
    NEventReportRsp = 0x8100,
    NGetRq = 0x0110,
    NGetRsp = 0x8110,
    NSetRq = 0x0120,
    NSetRsp = 0x8120,
    NActionRq = 0x0130,
    NActionRsp = 0x8130,
    NCreateRq = 0x0140,
    NCreateRsp = 0x8140,
    NDeleteRq = 0x0150,
    NDeleteRsp = 0x8150,
    CCancelRq = 0x0FFF,
}

impl CommandField {
    /// All fields.
    #[rustfmt::skip]
    pub const ALL: [CommandField; 23] = {
        use CommandField::*;
        [
            CStoreRq, CStoreRsp, CGetRq, CGetRsp, CFindRq, CFindRsp, CMoveRq, CMoveRsp, CEchoRq, CEchoRsp,
            NEventReportRq, NEventReportRsp, NGetRq, NGetRsp, NSetRq, NSetRsp, NActionRq, NActionRsp,
            NCreateRq, NCreateRsp, NDeleteRq, NDeleteRsp, CCancelRq,
        ]
    };

    /// The field with this number, if the standard has one.
    #[must_use]
    pub fn from_number(number: u16) -> Option<CommandField> {
        CommandField::ALL
            .into_iter()
            .find(|field| *field as u16 == number)
    }
}

/// Bit of the Command Field that tells a response from a request.
pub const RESPONSE_BIT: u16 = 0x8000;

/// The value of a command element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// VR US.
    Us(u16),
    /// VR UI, AE or LO, without padding.
    Text(String),
    /// VR AT, one or more.
    Tags(Vec<(u16, u16)>),
}

/// A command set: the known elements of group 0000 in ascending order, without its group length, which is computed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandSet {
    elements: Vec<(u16, Value)>,
}

impl CommandSet {
    /// An empty command set with its Command Field.
    #[must_use]
    pub fn new(field: CommandField) -> CommandSet {
        CommandSet::default().with(COMMAND_FIELD, Value::Us(field as u16))
    }

    /// Sets an element, replacing one that is there.
    #[must_use]
    pub fn with(mut self, element: u16, value: Value) -> CommandSet {
        match self
            .elements
            .binary_search_by_key(&element, |(known, _)| *known)
        {
            Ok(at) => self.elements[at].1 = value,
            Err(at) => self.elements.insert(at, (element, value)),
        }
        self
    }

    /// Sets an element of VR US.
    #[must_use]
    pub fn with_us(self, element: u16, value: u16) -> CommandSet {
        self.with(element, Value::Us(value))
    }

    /// Sets an element of VR UI, AE or LO.
    #[must_use]
    pub fn with_text(self, element: u16, value: &str) -> CommandSet {
        self.with(element, Value::Text(value.to_owned()))
    }

    /// The elements, in ascending order.
    #[must_use]
    pub fn elements(&self) -> &[(u16, Value)] {
        &self.elements
    }

    /// An element's value.
    #[must_use]
    pub fn get(&self, element: u16) -> Option<&Value> {
        let at = self
            .elements
            .binary_search_by_key(&element, |(known, _)| *known)
            .ok()?;
        Some(&self.elements[at].1)
    }

    /// The value of an element of VR US.
    #[must_use]
    pub fn us(&self, element: u16) -> Option<u16> {
        match self.get(element) {
            Some(Value::Us(value)) => Some(*value),
            _ => None,
        }
    }

    /// The value of an element of VR UI, AE or LO.
    #[must_use]
    pub fn text(&self, element: u16) -> Option<&str> {
        match self.get(element) {
            Some(Value::Text(value)) => Some(value),
            _ => None,
        }
    }

    /// Number of the Command Field; 0, which is no command, if there is none.
    #[must_use]
    pub fn field_number(&self) -> u16 {
        self.us(COMMAND_FIELD).unwrap_or(0)
    }

    /// The Command Field, if the standard has it.
    #[must_use]
    pub fn field(&self) -> Option<CommandField> {
        CommandField::from_number(self.field_number())
    }

    /// Whether a data set follows.
    #[must_use]
    pub fn has_data_set(&self) -> bool {
        self.us(COMMAND_DATA_SET_TYPE)
            .is_some_and(|kind| kind != NO_DATA_SET)
    }

    /// The value of an element of VR US that this command needs.
    ///
    /// # Errors
    ///
    /// [`UlErrorKind::CommandMissing`].
    pub fn require_us(&self, element: u16) -> Result<u16, UlError> {
        let command = self.field_number();
        self.us(element)
            .ok_or_else(|| UlErrorKind::CommandMissing { element, command }.into())
    }

    /// The value of an element of VR UI, AE or LO that this command needs.
    ///
    /// # Errors
    ///
    /// [`UlErrorKind::CommandMissing`].
    pub fn require_text(&self, element: u16) -> Result<&str, UlError> {
        let command = self.field_number();
        self.text(element)
            .ok_or_else(|| UlErrorKind::CommandMissing { element, command }.into())
    }

    /// Reads a command set. Elements of group 0000 that the standard does not know (or has retired) are skipped, the
    /// group length is not tested, elements may come in any order.
    ///
    /// # Errors
    ///
    /// Elements of other groups, doubled ones, values that do not fit their VR, and a missing Command Field or
    /// Command Data Set Type: without them nobody knows what follows.
    pub fn read(bytes: &[u8]) -> Result<CommandSet, UlError> {
        if bytes.len() > MAX_COMMAND_BYTES {
            return Err(UlErrorKind::CommandTooLong {
                limit: MAX_COMMAND_BYTES,
            }
            .into());
        }
        let mut command = CommandSet {
            elements: Vec::with_capacity(8),
        };
        let mut at = 0;
        while at < bytes.len() {
            at = command.read_element(bytes, at)?;
        }
        command.require_us(COMMAND_FIELD)?;
        command.require_us(COMMAND_DATA_SET_TYPE)?;
        Ok(command)
    }

    /// Reads the element at `at`; returns where the next one starts.
    fn read_element(&mut self, bytes: &[u8], at: usize) -> Result<usize, UlError> {
        let left = &bytes[at..];
        let Some((&[g0, g1, e0, e1, l0, l1, l2, l3], left)) = left.split_first_chunk::<8>() else {
            return Err(UlErrorKind::CommandTruncated {
                needed: 8,
                left: left.len(),
            }
            .at(at));
        };
        let (group, element) = (u16::from_le_bytes([g0, g1]), u16::from_le_bytes([e0, e1]));
        if group != 0 {
            return Err(UlErrorKind::CommandGroup { group, element }.at(at));
        }
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let Some(value) = left.get(..length) else {
            return Err(UlErrorKind::CommandTruncated {
                needed: length,
                left: left.len(),
            }
            .at(at + 8));
        };
        if let Some(encoding) = encoding(element) {
            let value = read_value(element, encoding, value, at + 8)?;
            match self.elements.last() {
                // Elements nearly always ascend, so this is an append.
                Some(&(last, _)) if last >= element => {
                    match self
                        .elements
                        .binary_search_by_key(&element, |(known, _)| *known)
                    {
                        Ok(_) => return Err(UlErrorKind::CommandDuplicate { element }.at(at)),
                        Err(place) => self.elements.insert(place, (element, value)),
                    }
                }
                _ => self.elements.push((element, value)),
            }
        }
        Ok(at + 8 + length)
    }

    /// Appends the encoded command set, its group length first.
    pub fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0]);
        for (element, value) in &self.elements {
            let [e0, e1] = element.to_le_bytes();
            out.extend_from_slice(&[0, 0, e0, e1, 0, 0, 0, 0]);
            let value_at = out.len();
            write_value(out, *element, value);
            set_length(out, value_at);
        }
        let (group_at, length_at) = (start + 12, start + 8);
        let length = out.len() - group_at;
        out[length_at..group_at]
            .copy_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    }

    /// A response to this request without a data set: its Command Field with the response bit, its Message ID, its
    /// SOP class and instance, and `status` (PS3.7 §9.3, §10.3).
    #[must_use]
    pub fn response(&self, status: u16) -> CommandSet {
        let mut elements = Vec::with_capacity(6);
        let class = self
            .get(AFFECTED_SOP_CLASS_UID)
            .or_else(|| self.get(REQUESTED_SOP_CLASS_UID));
        elements.extend(class.map(|uid| (AFFECTED_SOP_CLASS_UID, uid.clone())));
        elements.push((COMMAND_FIELD, Value::Us(self.field_number() | RESPONSE_BIT)));
        let message_id = self.us(MESSAGE_ID).unwrap_or(0);
        elements.push((MESSAGE_ID_BEING_RESPONDED_TO, Value::Us(message_id)));
        elements.push((COMMAND_DATA_SET_TYPE, Value::Us(NO_DATA_SET)));
        elements.push((STATUS, Value::Us(status)));
        let instance = self
            .get(AFFECTED_SOP_INSTANCE_UID)
            .or_else(|| self.get(REQUESTED_SOP_INSTANCE_UID));
        elements.extend(instance.map(|uid| (AFFECTED_SOP_INSTANCE_UID, uid.clone())));
        CommandSet { elements }
    }

    /// A C-ECHO request (PS3.7 §9.3.5.1).
    #[must_use]
    pub fn echo_request(message_id: u16, sop_class_uid: &str) -> CommandSet {
        CommandSet::new(CommandField::CEchoRq)
            .with_text(AFFECTED_SOP_CLASS_UID, sop_class_uid)
            .with_us(MESSAGE_ID, message_id)
            .with_us(COMMAND_DATA_SET_TYPE, NO_DATA_SET)
    }

    /// A C-CANCEL request for the request `message_id` (PS3.7 §9.3.2.3).
    #[must_use]
    pub fn cancel_request(message_id: u16) -> CommandSet {
        CommandSet::new(CommandField::CCancelRq)
            .with_us(MESSAGE_ID_BEING_RESPONDED_TO, message_id)
            .with_us(COMMAND_DATA_SET_TYPE, NO_DATA_SET)
    }

    /// A C-FIND, C-GET or C-MOVE request whose identifier follows as data set (PS3.7 §9.3.2 to §9.3.4).
    /// `move_destination` belongs to C-MOVE alone.
    #[must_use]
    pub fn query_request(
        field: CommandField,
        message_id: u16,
        sop_class_uid: &str,
        move_destination: Option<&str>,
    ) -> CommandSet {
        let command = CommandSet::new(field)
            .with_text(AFFECTED_SOP_CLASS_UID, sop_class_uid)
            .with_us(MESSAGE_ID, message_id)
            .with_us(PRIORITY, 0)
            .with_us(COMMAND_DATA_SET_TYPE, 1);
        match move_destination {
            Some(ae_title) => command.with_text(MOVE_DESTINATION, ae_title),
            None => command,
        }
    }
}

fn read_value(element: u16, encoding: Encoding, bytes: &[u8], at: usize) -> Result<Value, UlError> {
    let wrong = |why| UlErrorKind::CommandValue { element, why }.at(at);
    match encoding {
        Encoding::Us => match bytes.first_chunk() {
            Some(value) if bytes.len() == 2 => Ok(Value::Us(u16::from_le_bytes(*value))),
            _ => Err(wrong("VR US needs 2 bytes")),
        },
        Encoding::Uid => read::uid(bytes)
            .map(Value::Text)
            .ok_or_else(|| wrong("not a UID of 1 to 64 printable characters")),
        Encoding::AeTitle => read::ae_title(bytes, "AE title", at)
            .ok()
            .filter(|title| title.len() <= 16)
            .map(Value::Text)
            .ok_or_else(|| wrong("not an AE title of at most 16 characters")),
        Encoding::Text => {
            let text = String::from_utf8_lossy(bytes);
            Ok(Value::Text(text.trim_end_matches(['\0', ' ']).to_owned()))
        }
        Encoding::Tags => {
            let tags = bytes.chunks_exact(4);
            if !tags.remainder().is_empty() {
                return Err(wrong("VR AT needs a multiple of 4 bytes"));
            }
            let tag = |t: &[u8]| {
                (
                    u16::from_le_bytes([t[0], t[1]]),
                    u16::from_le_bytes([t[2], t[3]]),
                )
            };
            Ok(Value::Tags(tags.map(tag).collect()))
        }
    }
}

fn write_value(out: &mut Vec<u8>, element: u16, value: &Value) {
    match value {
        Value::Us(value) => out.extend_from_slice(&value.to_le_bytes()),
        Value::Text(text) => {
            out.extend_from_slice(text.as_bytes());
            if text.len() % 2 == 1 {
                // UIDs are padded with NUL, other text with a space (PS3.5 §6.2).
                out.push(if encoding(element) == Some(Encoding::Uid) {
                    0
                } else {
                    b' '
                });
            }
        }
        Value::Tags(tags) => {
            for (group, element) in tags {
                out.extend_from_slice(&group.to_le_bytes());
                out.extend_from_slice(&element.to_le_bytes());
            }
        }
    }
}

/// Sets the length field that ends at `value_at` to the bytes behind it.
fn set_length(out: &mut [u8], value_at: usize) {
    let length = u32::try_from(out.len() - value_at).unwrap_or(u32::MAX);
    out[value_at - 4..value_at].copy_from_slice(&length.to_le_bytes());
}
