//! Which association is to be requested, as Python says it.

use super::peer_error::PeerError;
use crate::tls::{TlsSettings, TlsSpec};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use vna_dicom::{IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME};
use vna_ul::limits::MAX_PDU_BYTES;
use vna_ul::{
    AssociateRq, ContextProposal, DICOM_APPLICATION_CONTEXT, ExtendedNegotiation, RoleSelection,
    UserIdentity, UserInformation,
};

/// Presentation contexts of one association: their ids are odd, 1 to 255 (PS3.8 §9.3.2.2).
pub(super) const MAX_CONTEXTS: usize = 128;

/// Longest that anything may be waited for: a day.
const MAX_TIMEOUT_S: f64 = 86_400.0;

/// A remote node, and what is to be asked of it.
#[derive(Debug, Clone, Deserialize)]
pub struct PeerSpec {
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Who we say that we are.
    pub calling_ae_title: String,
    /// Whom we want to reach.
    pub called_ae_title: String,
    /// How long the peer may take for each step: to accept the connection and the association, to go on taking what we
    /// send, and to answer.
    #[serde(default = "default_timeout_s")]
    pub timeout_s: f64,
    /// What is proposed.
    #[serde(default)]
    pub contexts: Vec<ContextSpec>,
    /// Service-class-application-information by SOP class (PS3.7 §D.3.3.5).
    #[serde(default)]
    pub extended: BTreeMap<String, Vec<u8>>,
    /// Whose part of the archive what comes goes to, and what goes comes from.
    #[serde(default = "default_tenant")]
    pub tenant: i64,
    /// Who asks (PS3.7 §D.3.3.7).
    #[serde(default)]
    pub user: Option<UserSpec>,
    /// Our Maximum Length Received.
    #[serde(default = "default_max_pdu_bytes")]
    pub max_pdu_bytes: u32,
    /// TLS, and what of it differs from the settings; `None` for a connection in the clear.
    #[serde(default)]
    pub tls: Option<TlsSpec>,
    /// The settings of TLS.
    #[serde(skip)]
    pub tls_settings: TlsSettings,
}

/// A presentation context, or several where the transfer syntaxes are to be answered one by one.
#[derive(Debug, Clone, Deserialize)]
pub struct ContextSpec {
    /// The abstract syntax.
    pub sop_class_uid: String,
    /// In the order that we like them.
    pub transfer_syntaxes: Vec<String>,
    /// We send requests.
    #[serde(default = "yes")]
    pub scu: bool,
    /// We take requests.
    #[serde(default)]
    pub scp: bool,
}

/// A user identity.
#[derive(Clone, Deserialize)]
pub struct UserSpec {
    /// 1 user name, 2 user name and passcode, 3 Kerberos, 4 SAML, 5 JSON web token.
    #[serde(rename = "type")]
    pub identity_type: u8,
    /// User name, ticket, assertion or token.
    pub primary: String,
    /// Passcode, for type 2.
    #[serde(default)]
    pub secondary: String,
    /// Whether the peer is to confirm it.
    #[serde(default)]
    pub response: bool,
}

impl std::fmt::Debug for UserSpec {
    /// The type alone: the rest is secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserSpec")
            .field("identity_type", &self.identity_type)
            .finish_non_exhaustive()
    }
}

fn default_timeout_s() -> f64 {
    10.0
}

fn default_tenant() -> i64 {
    crate::archive::DEFAULT_TENANT
}

fn default_max_pdu_bytes() -> u32 {
    MAX_PDU_BYTES
}

fn yes() -> bool {
    true
}

impl PeerSpec {
    /// Reads a specification. Keys of others are left to them. `tls` is what holds where it says nothing else.
    ///
    /// # Errors
    ///
    /// [`PeerError::Spec`].
    pub fn read(json: &[u8], tls: &TlsSettings) -> Result<PeerSpec, PeerError> {
        let wrong = |problem: String| PeerError::Spec { problem };
        let mut spec: PeerSpec =
            serde_json::from_slice(json).map_err(|error| wrong(format!("peer: {error}")))?;
        if !(spec.timeout_s > 0.0 && spec.timeout_s <= MAX_TIMEOUT_S) {
            return Err(wrong(format!(
                "timeout_s is {}, it must be above 0 and at most {MAX_TIMEOUT_S}",
                spec.timeout_s
            )));
        }
        for (name, title) in [
            ("calling_ae_title", &spec.calling_ae_title),
            ("called_ae_title", &spec.called_ae_title),
        ] {
            if title.trim().is_empty() || title.len() > 16 {
                return Err(wrong(format!(
                    "{name} is {title:?}, an AE title has 1 to 16 characters"
                )));
            }
        }
        if spec.contexts.len() > MAX_CONTEXTS {
            return Err(wrong(format!(
                "{} presentation contexts, one association has at most {MAX_CONTEXTS}",
                spec.contexts.len()
            )));
        }
        spec.tls_settings = tls.clone();
        Ok(spec)
    }

    /// [`PeerSpec::timeout_s`].
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_secs_f64(self.timeout_s)
    }

    /// Host and port, for messages.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The A-ASSOCIATE-RQ that proposes `contexts`, of which there are at most 128.
    #[must_use]
    pub fn request(&self, contexts: &[ContextSpec]) -> AssociateRq {
        let ids = (1..=u8::MAX).step_by(2);
        let proposals = ids
            .zip(contexts)
            .map(|(context_id, context)| ContextProposal {
                context_id,
                abstract_syntax: context.sop_class_uid.clone(),
                transfer_syntaxes: context.transfer_syntaxes.clone(),
            });
        AssociateRq {
            protocol_version: 1,
            called_ae_title: self.called_ae_title.clone(),
            calling_ae_title: self.calling_ae_title.clone(),
            application_context: DICOM_APPLICATION_CONTEXT.into(),
            contexts: proposals.collect(),
            user: UserInformation {
                max_pdu_bytes: self.max_pdu_bytes,
                implementation_class_uid: Some(IMPLEMENTATION_CLASS_UID.into()),
                implementation_version_name: Some(IMPLEMENTATION_VERSION_NAME.into()),
                roles: roles(contexts),
                extended: self
                    .extended
                    .iter()
                    .map(|(sop_class_uid, information)| ExtendedNegotiation {
                        sop_class_uid: sop_class_uid.clone(),
                        information: information.clone(),
                    })
                    .collect(),
                user_identity: self.user.as_ref().map(|user| UserIdentity {
                    identity_type: user.identity_type,
                    positive_response_requested: user.response,
                    primary: user.primary.clone().into_bytes(),
                    secondary: user.secondary.clone().into_bytes(),
                }),
                ..UserInformation::default()
            },
        }
    }
}

/// Role selections, one for each SOP class whose roles are not the usual ones (PS3.7 §D.3.3.4).
fn roles(contexts: &[ContextSpec]) -> Vec<RoleSelection> {
    let mut told = BTreeSet::new();
    contexts
        .iter()
        .filter(|context| (context.scu, context.scp) != (true, false))
        .filter(|context| told.insert(&context.sop_class_uid))
        .map(|context| RoleSelection {
            sop_class_uid: context.sop_class_uid.clone(),
            scu: context.scu,
            scp: context.scp,
        })
        .collect()
}
