//! The user information item of A-ASSOCIATE-RQ and -AC (PS3.8 §D, PS3.7 §D.3.3).

use crate::associate::{write_item, write_sized};
use crate::error::{UlError, UlErrorKind};
use crate::limits::{MAX_USER_ITEMS, MIN_PEER_PDU_BYTES};
use crate::read::Reader;

/// What the two sides tell each other about themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserInformation {
    /// Maximum Length Received: the longest P-DATA-TF, in bytes after its header, that the sender of this item
    /// accepts; 0 for no limit.
    pub max_pdu_bytes: u32,
    /// Implementation Class UID. PS3.7 demands it, some peers leave it out.
    pub implementation_class_uid: Option<String>,
    /// Implementation Version Name, at most 16 characters.
    pub implementation_version_name: Option<String>,
    /// Asynchronous operations window: operations invoked and performed, 0 for no limit. Absent means (1, 1).
    pub async_window: Option<(u16, u16)>,
    /// SCP/SCU role selection.
    pub roles: Vec<RoleSelection>,
    /// SOP Class Extended Negotiation.
    pub extended: Vec<ExtendedNegotiation>,
    /// SOP Class Common Extended Negotiation; A-ASSOCIATE-RQ only.
    pub common_extended: Vec<CommonExtendedNegotiation>,
    /// User identity; A-ASSOCIATE-RQ only.
    pub user_identity: Option<UserIdentity>,
    /// The server's response to a user identity; A-ASSOCIATE-AC only.
    pub user_identity_response: Option<Vec<u8>>,
}

/// SCP/SCU role selection for one SOP class (PS3.7 §D.3.3.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleSelection {
    /// The SOP class.
    pub sop_class_uid: String,
    /// The requestor acts as SCU (proposed in RQ, accepted in AC).
    pub scu: bool,
    /// The requestor acts as SCP.
    pub scp: bool,
}

/// SOP Class Extended Negotiation (PS3.7 §D.3.3.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtendedNegotiation {
    /// The SOP class.
    pub sop_class_uid: String,
    /// Service class application information, defined by the service class.
    pub information: Vec<u8>,
}

/// SOP Class Common Extended Negotiation (PS3.7 §D.3.3.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommonExtendedNegotiation {
    /// The SOP class.
    pub sop_class_uid: String,
    /// Its service class.
    pub service_class_uid: String,
    /// Related general SOP classes.
    pub related_general_sop_class_uids: Vec<String>,
}

/// User identity negotiation (PS3.7 §D.3.3.7).
#[derive(Clone, PartialEq, Eq)]
pub struct UserIdentity {
    /// 1 user name, 2 user name and passcode, 3 Kerberos, 4 SAML, 5 JSON web token.
    pub identity_type: u8,
    /// The requestor wants an answer.
    pub positive_response_requested: bool,
    /// User name, ticket, assertion or token.
    pub primary: Vec<u8>,
    /// Passcode, for type 2.
    pub secondary: Vec<u8>,
}

impl std::fmt::Debug for UserIdentity {
    /// Shows the type and sizes alone: the values are secrets, and logs print this.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserIdentity")
            .field("identity_type", &self.identity_type)
            .field("primary_bytes", &self.primary.len())
            .field("secondary_bytes", &self.secondary.len())
            .finish_non_exhaustive()
    }
}

const MAXIMUM_LENGTH: u8 = 0x51;
const IMPLEMENTATION_CLASS_UID: u8 = 0x52;
const ASYNC_WINDOW: u8 = 0x53;
const ROLE_SELECTION: u8 = 0x54;
const IMPLEMENTATION_VERSION_NAME: u8 = 0x55;
const EXTENDED: u8 = 0x56;
const COMMON_EXTENDED: u8 = 0x57;
const USER_IDENTITY_RQ: u8 = 0x58;
const USER_IDENTITY_AC: u8 = 0x59;

impl UserInformation {
    pub(crate) fn read(mut items: Reader<'_>) -> Result<UserInformation, UlError> {
        let mut user = UserInformation::default();
        let mut count = 0;
        while !items.is_empty() {
            count += 1;
            if count > MAX_USER_ITEMS {
                let error = UlErrorKind::TooMany {
                    what: "user information items",
                    limit: MAX_USER_ITEMS,
                };
                return Err(error.at(items.offset()));
            }
            let (item_type, value) = items.item("user information item")?;
            user.read_item(item_type, value)?;
        }
        Ok(user)
    }

    fn read_item(&mut self, item_type: u8, mut value: Reader<'_>) -> Result<(), UlError> {
        match item_type {
            MAXIMUM_LENGTH => {
                let at = value.offset();
                let length = value.u32("Maximum Length Received")?;
                if length != 0 && length < MIN_PEER_PDU_BYTES {
                    return Err(UlErrorKind::MaximumLengthTooSmall { length }.at(at));
                }
                self.max_pdu_bytes = length;
            }
            IMPLEMENTATION_CLASS_UID => {
                self.implementation_class_uid = Some(value.uid("Implementation Class UID")?);
            }
            IMPLEMENTATION_VERSION_NAME => {
                // Shown to people only, so what is not ASCII is replaced rather than refused.
                let name = value.rest().iter().take(16);
                let name: String = name
                    .map(|&b| {
                        if b.is_ascii_graphic() || b == b' ' {
                            char::from(b)
                        } else {
                            '?'
                        }
                    })
                    .collect();
                self.implementation_version_name = Some(name.trim().to_owned());
            }
            ASYNC_WINDOW => {
                let invoked = value.u16("asynchronous operations window")?;
                self.async_window = Some((invoked, value.u16("asynchronous operations window")?));
            }
            ROLE_SELECTION => self.roles.push(RoleSelection {
                sop_class_uid: value.sized_uid("SOP class UID of a role selection")?,
                scu: value.u8("SCU role")? == 1,
                scp: value.u8("SCP role")? == 1,
            }),
            EXTENDED => self.extended.push(ExtendedNegotiation {
                sop_class_uid: value.sized_uid("SOP class UID of an extended negotiation")?,
                information: value.rest().to_vec(),
            }),
            COMMON_EXTENDED => self.common_extended.push(read_common_extended(value)?),
            USER_IDENTITY_RQ => self.user_identity = Some(read_user_identity(value)?),
            USER_IDENTITY_AC => {
                let length = value.u16("user identity response")?;
                self.user_identity_response = Some(
                    value
                        .bytes(length.into(), "user identity response")?
                        .to_vec(),
                );
            }
            // Unknown items come from later editions and are skipped (PS3.8 §9.3.1).
            _ => {}
        }
        Ok(())
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) -> Result<(), UlError> {
        write_item(out, MAXIMUM_LENGTH, "Maximum Length Received", |out| {
            out.extend_from_slice(&self.max_pdu_bytes.to_be_bytes());
            Ok(())
        })?;
        if let Some(uid) = &self.implementation_class_uid {
            write_text(
                out,
                IMPLEMENTATION_CLASS_UID,
                "Implementation Class UID",
                uid,
            )?;
        }
        if let Some((invoked, performed)) = self.async_window {
            write_item(out, ASYNC_WINDOW, "asynchronous operations window", |out| {
                out.extend_from_slice(&invoked.to_be_bytes());
                out.extend_from_slice(&performed.to_be_bytes());
                Ok(())
            })?;
        }
        for role in &self.roles {
            write_item(out, ROLE_SELECTION, "role selection", |out| {
                write_sized(out, "SOP class UID", role.sop_class_uid.as_bytes())?;
                out.extend_from_slice(&[u8::from(role.scu), u8::from(role.scp)]);
                Ok(())
            })?;
        }
        if let Some(name) = &self.implementation_version_name {
            write_text(
                out,
                IMPLEMENTATION_VERSION_NAME,
                "Implementation Version Name",
                name,
            )?;
        }
        for extended in &self.extended {
            write_item(out, EXTENDED, "extended negotiation", |out| {
                write_sized(out, "SOP class UID", extended.sop_class_uid.as_bytes())?;
                out.extend_from_slice(&extended.information);
                Ok(())
            })?;
        }
        for common in &self.common_extended {
            write_item(out, COMMON_EXTENDED, "common extended negotiation", |out| {
                write_common_extended(out, common)
            })?;
        }
        if let Some(identity) = &self.user_identity {
            write_item(out, USER_IDENTITY_RQ, "user identity", |out| {
                out.extend_from_slice(&[
                    identity.identity_type,
                    u8::from(identity.positive_response_requested),
                ]);
                write_sized(out, "primary field", &identity.primary)?;
                write_sized(out, "secondary field", &identity.secondary)
            })?;
        }
        if let Some(response) = &self.user_identity_response {
            write_item(out, USER_IDENTITY_AC, "user identity response", |out| {
                write_sized(out, "server response", response)
            })?;
        }
        Ok(())
    }
}

fn read_common_extended(mut value: Reader<'_>) -> Result<CommonExtendedNegotiation, UlError> {
    let sop_class_uid = value.sized_uid("SOP class UID of a common extended negotiation")?;
    let service_class_uid = value.sized_uid("service class UID")?;
    let length = value.u16("related general SOP classes")?;
    let mut related = value.part(length.into(), "related general SOP classes")?;
    let mut related_general_sop_class_uids = Vec::new();
    while !related.is_empty() {
        related_general_sop_class_uids.push(related.sized_uid("related general SOP class UID")?);
    }
    Ok(CommonExtendedNegotiation {
        sop_class_uid,
        service_class_uid,
        related_general_sop_class_uids,
    })
}

fn write_common_extended(
    out: &mut Vec<u8>,
    common: &CommonExtendedNegotiation,
) -> Result<(), UlError> {
    write_sized(out, "SOP class UID", common.sop_class_uid.as_bytes())?;
    write_sized(
        out,
        "service class UID",
        common.service_class_uid.as_bytes(),
    )?;
    let mut related = Vec::new();
    for uid in &common.related_general_sop_class_uids {
        write_sized(
            &mut related,
            "related general SOP class UID",
            uid.as_bytes(),
        )?;
    }
    write_sized(out, "related general SOP classes", &related)
}

fn read_user_identity(mut value: Reader<'_>) -> Result<UserIdentity, UlError> {
    let identity_type = value.u8("user identity type")?;
    let positive_response_requested = value.u8("positive response requested")? == 1;
    let length = value.u16("primary field")?;
    let primary = value.bytes(length.into(), "primary field")?.to_vec();
    let length = value.u16("secondary field")?;
    let secondary = value.bytes(length.into(), "secondary field")?.to_vec();
    Ok(UserIdentity {
        identity_type,
        positive_response_requested,
        primary,
        secondary,
    })
}

fn write_text(
    out: &mut Vec<u8>,
    item_type: u8,
    what: &'static str,
    text: &str,
) -> Result<(), UlError> {
    write_item(out, item_type, what, |out| {
        out.extend_from_slice(text.as_bytes());
        Ok(())
    })
}
