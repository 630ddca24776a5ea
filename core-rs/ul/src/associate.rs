//! A-ASSOCIATE-RQ and A-ASSOCIATE-AC (PS3.8 §9.3.2, §9.3.3).

use crate::error::{UlError, UlErrorKind};
use crate::limits::{MAX_ASSOCIATE_BYTES, MAX_TRANSFER_SYNTAXES};
use crate::pdu::{PDU_HEADER_BYTES, PduKind};
use crate::read::{Reader, ae_title};
use crate::user_information::UserInformation;

/// The only application context name of DICOM (PS3.7 §A.2.1).
pub const DICOM_APPLICATION_CONTEXT: &str = "1.2.840.10008.3.1.1.1";

const APPLICATION_CONTEXT: u8 = 0x10;
const CONTEXT_RQ: u8 = 0x20;
const CONTEXT_AC: u8 = 0x21;
const ABSTRACT_SYNTAX: u8 = 0x30;
const TRANSFER_SYNTAX: u8 = 0x40;
const USER_INFORMATION: u8 = 0x50;

/// A-ASSOCIATE-RQ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssociateRq {
    /// A bit for each protocol version; bit 0 is the only one there is.
    pub protocol_version: u16,
    /// Whom the requestor wants to reach.
    pub called_ae_title: String,
    /// Who the requestor says that it is.
    pub calling_ae_title: String,
    /// [`DICOM_APPLICATION_CONTEXT`].
    pub application_context: String,
    /// What the requestor wants to do.
    pub contexts: Vec<ContextProposal>,
    /// About the requestor.
    pub user: UserInformation,
}

/// A proposed presentation context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextProposal {
    /// Odd, 1 to 255.
    pub context_id: u8,
    /// The SOP class.
    pub abstract_syntax: String,
    /// At least one, in the requestor's order.
    pub transfer_syntaxes: Vec<String>,
}

/// A-ASSOCIATE-AC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssociateAc {
    /// As in the request.
    pub protocol_version: u16,
    /// As in the request; not tested by its receiver.
    pub called_ae_title: String,
    /// As in the request; not tested by its receiver.
    pub calling_ae_title: String,
    /// [`DICOM_APPLICATION_CONTEXT`].
    pub application_context: String,
    /// One answer for each proposal.
    pub contexts: Vec<ContextAnswer>,
    /// About the acceptor.
    pub user: UserInformation,
}

/// The answer to a proposed presentation context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextAnswer {
    /// As proposed.
    pub context_id: u8,
    /// Accepted, or why not.
    pub result: ContextResult,
    /// The one chosen; not significant unless accepted.
    pub transfer_syntax: String,
}

/// Result of a presentation context negotiation (PS3.8 Table 9-18).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContextResult {
    /// 0
    Acceptance,
    /// 1
    UserRejection,
    /// 2
    NoReason,
    /// 3
    AbstractSyntaxNotSupported,
    /// 4
    TransferSyntaxesNotSupported,
    /// Any other number.
    Reserved(u8),
}

impl ContextResult {
    fn from_byte(byte: u8) -> ContextResult {
        match byte {
            0 => ContextResult::Acceptance,
            1 => ContextResult::UserRejection,
            2 => ContextResult::NoReason,
            3 => ContextResult::AbstractSyntaxNotSupported,
            4 => ContextResult::TransferSyntaxesNotSupported,
            other => ContextResult::Reserved(other),
        }
    }

    fn to_byte(self) -> u8 {
        match self {
            ContextResult::Acceptance => 0,
            ContextResult::UserRejection => 1,
            ContextResult::NoReason => 2,
            ContextResult::AbstractSyntaxNotSupported => 3,
            ContextResult::TransferSyntaxesNotSupported => 4,
            ContextResult::Reserved(other) => other,
        }
    }
}

impl AssociateRq {
    /// Reads the bytes behind the PDU header.
    ///
    /// Unknown items are skipped. The protocol version and the application context are not judged here: a wrong one
    /// is a reason to reject, not to abort.
    ///
    /// # Errors
    ///
    /// What is cut short, missing, doubled, over budget or against the rules for context ids and UIDs.
    pub fn read(body: &[u8]) -> Result<AssociateRq, UlError> {
        let mut contexts: Vec<ContextProposal> = Vec::new();
        let fixed = read_associate(body, CONTEXT_RQ, |value| {
            let proposal = read_proposal(value)?;
            check_context_id(proposal.context_id, contexts.iter().map(|c| c.context_id))?;
            contexts.push(proposal);
            Ok(())
        })?;
        if contexts.is_empty() {
            let error = UlErrorKind::ItemCount {
                what: "presentation contexts",
                found: 0,
                expected: "1 to 128",
            };
            return Err(error.into());
        }
        Ok(AssociateRq {
            protocol_version: fixed.protocol_version,
            called_ae_title: fixed.called_ae_title,
            calling_ae_title: fixed.calling_ae_title,
            application_context: fixed.application_context,
            contexts,
            user: fixed.user,
        })
    }

    /// Appends the whole PDU.
    ///
    /// # Errors
    ///
    /// [`UlErrorKind::Unencodable`] if something is too long for its length field; `out` is then as before.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), UlError> {
        let titles = [
            self.called_ae_title.as_str(),
            self.calling_ae_title.as_str(),
        ];
        write_associate(
            out,
            PduKind::AssociateRq,
            self.protocol_version,
            titles,
            |out| {
                write_uid(
                    out,
                    APPLICATION_CONTEXT,
                    "application context",
                    &self.application_context,
                )?;
                for context in &self.contexts {
                    write_item(out, CONTEXT_RQ, "presentation context", |out| {
                        out.extend_from_slice(&[context.context_id, 0, 0, 0]);
                        write_uid(
                            out,
                            ABSTRACT_SYNTAX,
                            "abstract syntax",
                            &context.abstract_syntax,
                        )?;
                        context.transfer_syntaxes.iter().try_for_each(|uid| {
                            write_uid(out, TRANSFER_SYNTAX, "transfer syntax", uid)
                        })
                    })?;
                }
                write_item(out, USER_INFORMATION, "user information", |out| {
                    self.user.write(out)
                })
            },
        )
    }
}

impl AssociateAc {
    /// Reads the bytes behind the PDU header.
    ///
    /// # Errors
    ///
    /// As [`AssociateRq::read`].
    pub fn read(body: &[u8]) -> Result<AssociateAc, UlError> {
        let mut contexts: Vec<ContextAnswer> = Vec::new();
        let fixed = read_associate(body, CONTEXT_AC, |value| {
            let answer = read_answer(value)?;
            check_context_id(answer.context_id, contexts.iter().map(|c| c.context_id))?;
            contexts.push(answer);
            Ok(())
        })?;
        Ok(AssociateAc {
            protocol_version: fixed.protocol_version,
            called_ae_title: fixed.called_ae_title,
            calling_ae_title: fixed.calling_ae_title,
            application_context: fixed.application_context,
            contexts,
            user: fixed.user,
        })
    }

    /// Appends the whole PDU.
    ///
    /// # Errors
    ///
    /// [`UlErrorKind::Unencodable`] if something is too long for its length field; `out` is then as before.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), UlError> {
        let titles = [
            self.called_ae_title.as_str(),
            self.calling_ae_title.as_str(),
        ];
        write_associate(
            out,
            PduKind::AssociateAc,
            self.protocol_version,
            titles,
            |out| {
                write_uid(
                    out,
                    APPLICATION_CONTEXT,
                    "application context",
                    &self.application_context,
                )?;
                for context in &self.contexts {
                    write_item(out, CONTEXT_AC, "presentation context", |out| {
                        out.extend_from_slice(&[
                            context.context_id,
                            0,
                            context.result.to_byte(),
                            0,
                        ]);
                        write_uid(
                            out,
                            TRANSFER_SYNTAX,
                            "transfer syntax",
                            &context.transfer_syntax,
                        )
                    })?;
                }
                write_item(out, USER_INFORMATION, "user information", |out| {
                    self.user.write(out)
                })
            },
        )
    }
}

/// What RQ and AC share.
struct Fixed {
    protocol_version: u16,
    called_ae_title: String,
    calling_ae_title: String,
    application_context: String,
    user: UserInformation,
}

fn read_associate<'a>(
    body: &'a [u8],
    context_item: u8,
    mut read_context: impl FnMut(Reader<'a>) -> Result<(), UlError>,
) -> Result<Fixed, UlError> {
    let mut reader = Reader::new(body);
    let protocol_version = reader.u16("protocol version")?;
    reader.bytes(2, "reserved field")?;
    let called = reader.array::<16>("called AE title")?;
    let calling = reader.array::<16>("calling AE title")?;
    reader.bytes(32, "reserved field")?;
    let mut application_context = Vec::new();
    let mut user = Vec::new();
    while !reader.is_empty() {
        match reader.item("item")? {
            (APPLICATION_CONTEXT, mut value) => {
                application_context.push(value.uid("application context")?)
            }
            (USER_INFORMATION, value) => user.push(UserInformation::read(value)?),
            (item, value) if item == context_item => read_context(value)?,
            // Unknown items come from later editions and are skipped (PS3.8 §9.3.1).
            _ => {}
        }
    }
    Ok(Fixed {
        protocol_version,
        called_ae_title: ae_title(&called, "called AE title", 4)?,
        calling_ae_title: ae_title(&calling, "calling AE title", 20)?,
        application_context: only_one(application_context, "application context")?,
        user: only_one(user, "user information")?,
    })
}

fn only_one<T>(mut items: Vec<T>, what: &'static str) -> Result<T, UlError> {
    match (items.pop(), items.len()) {
        (Some(item), 0) => Ok(item),
        (item, others) => {
            let found = others + usize::from(item.is_some());
            Err(UlErrorKind::ItemCount {
                what,
                found,
                expected: "1",
            }
            .into())
        }
    }
}

fn check_context_id(context_id: u8, mut others: impl Iterator<Item = u8>) -> Result<(), UlError> {
    if context_id % 2 == 0 {
        return Err(UlErrorKind::EvenContextId { context_id }.into());
    }
    if others.any(|other| other == context_id) {
        return Err(UlErrorKind::DuplicateContextId { context_id }.into());
    }
    Ok(())
}

fn read_proposal(mut value: Reader<'_>) -> Result<ContextProposal, UlError> {
    let at = value.offset();
    let [context_id, _, _, _] = value.array("presentation context")?;
    let mut abstract_syntax = Vec::new();
    let mut transfer_syntaxes = Vec::new();
    while !value.is_empty() {
        match value.item("presentation context sub-item")? {
            (ABSTRACT_SYNTAX, mut uid) => abstract_syntax.push(uid.uid("abstract syntax")?),
            (TRANSFER_SYNTAX, mut uid) => transfer_syntaxes.push(uid.uid("transfer syntax")?),
            _ => {}
        }
        if transfer_syntaxes.len() > MAX_TRANSFER_SYNTAXES {
            let what = "transfer syntaxes in a presentation context";
            return Err(UlErrorKind::TooMany {
                what,
                limit: MAX_TRANSFER_SYNTAXES,
            }
            .at(at));
        }
    }
    if transfer_syntaxes.is_empty() {
        let what = "transfer syntaxes in a presentation context";
        return Err(UlErrorKind::ItemCount {
            what,
            found: 0,
            expected: "1 or more",
        }
        .at(at));
    }
    let abstract_syntax = only_one(abstract_syntax, "abstract syntax")?;
    Ok(ContextProposal {
        context_id,
        abstract_syntax,
        transfer_syntaxes,
    })
}

fn read_answer(mut value: Reader<'_>) -> Result<ContextAnswer, UlError> {
    let [context_id, _, result, _] = value.array("presentation context")?;
    let result = ContextResult::from_byte(result);
    let mut transfer_syntax = String::new();
    while !value.is_empty() {
        match value.item("presentation context sub-item")? {
            // Of a refused context it may be empty or anything (PS3.8 §9.3.3.2).
            (TRANSFER_SYNTAX, mut uid) if result == ContextResult::Acceptance => {
                transfer_syntax = uid.uid("transfer syntax")?;
            }
            _ => {}
        }
    }
    if result == ContextResult::Acceptance && transfer_syntax.is_empty() {
        let what = "transfer syntax in an accepted context";
        return Err(UlErrorKind::ItemCount {
            what,
            found: 0,
            expected: "1",
        }
        .into());
    }
    Ok(ContextAnswer {
        context_id,
        result,
        transfer_syntax,
    })
}

fn write_associate(
    out: &mut Vec<u8>,
    kind: PduKind,
    protocol_version: u16,
    ae_titles: [&str; 2],
    items: impl FnOnce(&mut Vec<u8>) -> Result<(), UlError>,
) -> Result<(), UlError> {
    let start = out.len();
    let written = (|| {
        out.extend_from_slice(&[kind as u8, 0, 0, 0, 0, 0]);
        out.extend_from_slice(&protocol_version.to_be_bytes());
        out.extend_from_slice(&[0; 2]);
        for title in ae_titles {
            let length = title.len();
            if length > 16 {
                return Err(UlErrorKind::Unencodable {
                    what: "AE title",
                    length,
                    limit: 16,
                }
                .into());
            }
            out.extend_from_slice(title.as_bytes());
            out.resize(out.len() + 16 - length, b' ');
        }
        out.extend_from_slice(&[0; 32]);
        items(out)?;
        let length = out.len() - start - PDU_HEADER_BYTES;
        match u32::try_from(length) {
            Ok(length) if length <= MAX_ASSOCIATE_BYTES => {
                out[start + 2..start + 6].copy_from_slice(&length.to_be_bytes());
                Ok(())
            }
            _ => {
                let limit = MAX_ASSOCIATE_BYTES as usize;
                Err(UlErrorKind::Unencodable {
                    what: "association PDU",
                    length,
                    limit,
                }
                .into())
            }
        }
    })();
    if written.is_err() {
        out.truncate(start);
    }
    written
}

/// Writes an item: type, reserved byte, 16-bit length, and the value that `value` appends.
pub(crate) fn write_item(
    out: &mut Vec<u8>,
    item_type: u8,
    what: &'static str,
    value: impl FnOnce(&mut Vec<u8>) -> Result<(), UlError>,
) -> Result<(), UlError> {
    out.extend_from_slice(&[item_type, 0, 0, 0]);
    let start = out.len();
    value(out)?;
    let length = field_length(what, out.len() - start)?;
    out[start - 2..start].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// Writes bytes behind their 16-bit length.
pub(crate) fn write_sized(
    out: &mut Vec<u8>,
    what: &'static str,
    bytes: &[u8],
) -> Result<(), UlError> {
    out.extend_from_slice(&field_length(what, bytes.len())?.to_be_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}

fn write_uid(
    out: &mut Vec<u8>,
    item_type: u8,
    what: &'static str,
    uid: &str,
) -> Result<(), UlError> {
    write_item(out, item_type, what, |out| {
        out.extend_from_slice(uid.as_bytes());
        Ok(())
    })
}

fn field_length(what: &'static str, length: usize) -> Result<u16, UlError> {
    u16::try_from(length).map_err(|_| {
        UlErrorKind::Unencodable {
            what,
            length,
            limit: u16::MAX.into(),
        }
        .into()
    })
}
