//! The answer to an association request that is let in: contexts, roles, and what else the two sides agree on.

use super::pattern::any;
use super::{Policy, QuerySupport};
use crate::dimse::contexts::AcceptedContext;
use crate::dimse::services::{Service, ServiceSet};
use crate::dimse::storage_sop_classes::is_storage_sop_class;
use crate::dimse::transfer_syntaxes;
use std::sync::Arc;
use vna_ul::limits::MAX_PDU_BYTES;
use vna_ul::{
    AssociateAc, AssociateRq, ContextAnswer, ContextProposal, ContextResult,
    DICOM_APPLICATION_CONTEXT, ExtendedNegotiation, RoleSelection, UserInformation,
};

/// The root of all UIDs that the standard assigns; everything else is private (PS3.5 §9).
const STANDARD_ROOT: &str = "1.2.840.10008.";

/// Below it the standard has its storage classes, and hardly anything else.
const STORAGE_ROOT: &str = "1.2.840.10008.5.1.4.1.1.";

/// What we are to storage (PS3.4 §B.3.1): all elements are kept (level 2), so that signatures stay valid (level 3), and
/// nothing is coerced.
const STORAGE_INFORMATION: [u8; 6] = [2, 0, 3, 0, 0, 0];

/// Who acts as what of a SOP class, as seen from the requestor (PS3.7 §D.3.3.4).
#[derive(Clone, Copy)]
struct Roles {
    scu: bool,
    scp: bool,
}

impl Policy {
    /// Answers the proposed presentation contexts for a caller who may do `services`. An association without an
    /// accepted one is let in all the same, as the standard wants it: the answers tell the requestor why, which a
    /// rejection could not.
    #[must_use]
    pub fn negotiate(
        &self,
        request: &AssociateRq,
        services: ServiceSet,
    ) -> (AssociateAc, Vec<AcceptedContext>) {
        let mut accepted = Vec::new();
        let mut contexts = Vec::with_capacity(request.contexts.len());
        for proposal in &request.contexts {
            let judged = self.judge(proposal, request, services);
            let result = judged
                .as_ref()
                .err()
                .map_or(ContextResult::Acceptance, |result| *result);
            // Of a refused context the transfer syntax is not significant, but there must be one (PS3.8 §9.3.3.2).
            let transfer_syntax = match &judged {
                Ok(context) => context.transfer_syntax_uid.to_string(),
                Err(_) => proposal
                    .transfer_syntaxes
                    .first()
                    .cloned()
                    .unwrap_or_default(),
            };
            contexts.push(ContextAnswer {
                context_id: proposal.context_id,
                result,
                transfer_syntax,
            });
            accepted.extend(judged.ok());
        }
        let answer = AssociateAc {
            protocol_version: 1,
            called_ae_title: request.called_ae_title.clone(),
            calling_ae_title: request.calling_ae_title.clone(),
            application_context: DICOM_APPLICATION_CONTEXT.into(),
            contexts,
            user: self.user_information(request, &accepted),
        };
        (answer, accepted)
    }

    fn judge(
        &self,
        proposal: &ContextProposal,
        request: &AssociateRq,
        services: ServiceSet,
    ) -> Result<AcceptedContext, ContextResult> {
        let uid = proposal.abstract_syntax.as_str();
        let service = self
            .service(uid)
            .ok_or(ContextResult::AbstractSyntaxNotSupported)?;
        let roles = agreed_roles(service, proposed_roles(request, uid), services);
        if !roles.scu && !roles.scp {
            return Err(ContextResult::UserRejection);
        }
        let offered: Vec<&str> = proposal
            .transfer_syntaxes
            .iter()
            .map(String::as_str)
            .collect();
        let transfer_syntax = self
            .transfer_syntax(service, &offered)
            .ok_or(ContextResult::TransferSyntaxesNotSupported)?;
        let extended = request
            .user
            .extended
            .iter()
            .find(|extended| extended.sop_class_uid == uid)
            .map(|extended| self.extended(service, &extended.information));
        Ok(AcceptedContext {
            context_id: proposal.context_id,
            sop_class_uid: Arc::from(uid),
            transfer_syntax_uid: Arc::from(transfer_syntax),
            service,
            peer_is_scu: roles.scu,
            peer_is_scp: roles.scp,
            extended: extended.unwrap_or_default().into(),
        })
    }

    fn service(&self, uid: &str) -> Option<Service> {
        match Service::of(uid) {
            Some(Service::Echo) => Some(Service::Echo),
            Some(service) => self
                .served
                .iter()
                .any(|served| served == uid)
                .then_some(service),
            None => self.stores(uid).then_some(Service::Store),
        }
    }

    /// Whether instances of a SOP class are stored.
    fn stores(&self, uid: &str) -> bool {
        let known = is_storage_sop_class(uid);
        // Of other classes of the standard we know that they are none of storage, whatever a pattern says.
        let candidate = known || !uid.starts_with(STANDARD_ROOT) || uid.starts_with(STORAGE_ROOT);
        let named = &self.accepted_sop_classes;
        let accepted = any(named, uid)
            || (known && named.is_empty())
            || (!known && self.accept_unknown_sop_classes);
        candidate && accepted && !any(&self.rejected_sop_classes, uid)
    }

    fn transfer_syntax<'a>(&self, service: Service, offered: &[&'a str]) -> Option<&'a str> {
        match service {
            Service::Store => {}
            Service::Echo => return transfer_syntaxes::choose(offered),
            _ => return transfer_syntaxes::choose_readable(offered),
        }
        let named = &self.accepted_transfer_syntaxes;
        let offered: Vec<&str> = offered
            .iter()
            .copied()
            .filter(|uid| {
                transfer_syntaxes::is_accepted(uid) && (named.is_empty() || any(named, uid))
            })
            .collect();
        let preferred = self
            .preferred_transfer_syntaxes
            .iter()
            .find_map(|pattern| offered.iter().find(|uid| pattern.matches(uid)));
        preferred
            .copied()
            .or_else(|| transfer_syntaxes::choose(&offered))
    }

    /// Answers service-class-application-information; empty if there is nothing to say.
    fn extended(&self, service: Service, proposed: &[u8]) -> Vec<u8> {
        let QuerySupport {
            relational,
            date_time,
            fuzzy,
            timezone,
        } = self.query;
        let supported: &[bool] = match service {
            Service::Find => &[relational, date_time, fuzzy, timezone],
            Service::Move | Service::Get => &[relational],
            Service::Store if proposed.len() >= STORAGE_INFORMATION.len() => {
                return STORAGE_INFORMATION.to_vec();
            }
            _ => return Vec::new(),
        };
        let agreed = proposed.iter().zip(supported);
        agreed
            .map(|(proposed, supported)| u8::from(*proposed == 1 && *supported))
            .collect()
    }

    fn user_information(
        &self,
        request: &AssociateRq,
        accepted: &[AcceptedContext],
    ) -> UserInformation {
        let context = |uid: &str| accepted.iter().find(|c| *c.sop_class_uid == *uid);
        let roles = request.user.roles.iter().filter_map(|role| {
            let context = context(&role.sop_class_uid)?;
            Some(RoleSelection {
                sop_class_uid: role.sop_class_uid.clone(),
                scu: context.peer_is_scu,
                scp: context.peer_is_scp,
            })
        });
        let extended = request.user.extended.iter().filter_map(|extended| {
            let information = &context(&extended.sop_class_uid)?.extended;
            (!information.is_empty()).then(|| ExtendedNegotiation {
                sop_class_uid: extended.sop_class_uid.clone(),
                information: information.to_vec(),
            })
        });
        UserInformation {
            max_pdu_bytes: self.max_pdu_bytes.min(MAX_PDU_BYTES),
            implementation_class_uid: Some(vna_dicom::IMPLEMENTATION_CLASS_UID.into()),
            implementation_version_name: Some(vna_dicom::IMPLEMENTATION_VERSION_NAME.into()),
            // One operation at a time, whatever was proposed (PS3.7 §D.3.3.3).
            async_window: request.user.async_window.map(|_| (1, 1)),
            roles: roles.collect(),
            extended: extended.collect(),
            ..UserInformation::default()
        }
    }
}

/// What the requestor proposes to be; without a word he is SCU.
fn proposed_roles(request: &AssociateRq, sop_class_uid: &str) -> Roles {
    let proposed = request
        .user
        .roles
        .iter()
        .find(|role| role.sop_class_uid == sop_class_uid);
    proposed.map_or(
        Roles {
            scu: true,
            scp: false,
        },
        |role| Roles {
            scu: role.scu,
            scp: role.scp,
        },
    )
}

/// What of it there is a use for, and allowed.
fn agreed_roles(service: Service, proposed: Roles, services: ServiceSet) -> Roles {
    let allowed = services.has(service);
    let scp = match service {
        // Instances go to him in C-GET.
        Service::Store => services.has(Service::Get),
        // He reports what he committed to.
        Service::Commitment => allowed,
        _ => false,
    };
    Roles {
        scu: proposed.scu && allowed,
        scp: proposed.scp && scp,
    }
}
