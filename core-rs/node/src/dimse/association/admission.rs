//! The beginning of an association: who is it, is he let in, and for what.

use super::Task;
use crate::dimse::contexts::Contexts;
use crate::dimse::policy::{Admission, Policy, Rejected, UserIdentityRule};
use crate::dimse::service::IdentityClaim;
use crate::dimse::sink::{InstanceSink, Origin};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;
use vna_ul::{AssociateRq, UserIdentity};

/// How long the name of a host is looked up; a name that takes longer is none.
const LOOK_UP: Duration = Duration::from_secs(2);

impl<S: InstanceSink> Task<S> {
    pub(super) async fn associate(&mut self, request: &AssociateRq) {
        let policy = Arc::clone(&self.policy);
        let (admission, origin) = match self.admit(&policy, request).await {
            Ok(admitted) => admitted,
            Err(rejected) => {
                // The operator's first question when a modality does not send.
                tracing::warn!(
                    reason = rejected.reason,
                    calling_ae_title = request.calling_ae_title,
                    called_ae_title = request.called_ae_title,
                    address = %self.address,
                    "association rejected"
                );
                let _ = self.association.reject(rejected.rejection);
                return self.rejected(rejected);
            }
        };
        let (mut answer, accepted) = policy.negotiate(request, admission.services);
        if accepted.is_empty() {
            tracing::warn!(
                calling_ae_title = request.calling_ae_title,
                called_ae_title = request.called_ae_title,
                address = %self.address,
                sop_class_uid = request.contexts.first().map(|c| c.abstract_syntax.as_str()),
                "association without an accepted context"
            );
        }
        if !origin.user.is_empty() && wants_response(request) {
            // Of a user name nothing is answered but that it was accepted (PS3.7 §D.3.3.7.2).
            answer.user.user_identity_response = Some(Vec::new());
        }
        if let Err(error) = self.association.accept(&answer) {
            self.abort(error.code());
            return;
        }
        self.contexts = Contexts::from(accepted);
        self.receiving
            .associated(Arc::new(origin), self.contexts.clone());
        self.clock.message_done();
    }

    async fn admit<'a>(
        &mut self,
        policy: &'a Policy,
        request: &AssociateRq,
    ) -> Result<(Admission<'a>, Origin), Rejected> {
        if self.stopping {
            return Err(Rejected::STOPPING);
        }
        let address = self.address.ip();
        let names = policy.host_names(&request.calling_ae_title, address);
        let names = names_of(names, address).await;
        let admission = policy.admit(request, address, &names)?;
        let counted = self
            .connection
            .associate(policy.max_associations, policy.max_associations_per_peer);
        if !counted {
            return Err(Rejected::LIMIT);
        }
        let mut origin = Origin {
            calling_ae_title: request.calling_ae_title.clone(),
            called_ae_title: request.called_ae_title.clone(),
            remote_address: self.address,
            association: self.common.next_association(),
            tenant: admission.entity.tenant,
            label: admission.entity.label.clone(),
            user: String::new(),
        };
        match (policy.user_identity, &request.user.user_identity) {
            (UserIdentityRule::Ignore, _) => {}
            (_, Some(identity)) if is_name(identity) => {
                origin.user = self.identify(policy, &origin, identity).await?;
            }
            (UserIdentityRule::Check, _) => {}
            (UserIdentityRule::Require, _) => return Err(Rejected::USER_IDENTITY),
        }
        self.common
            .counters
            .accepted
            .fetch_add(1, Ordering::Relaxed);
        Ok((admission, origin))
    }

    /// Asks whose user identity it is.
    async fn identify(
        &mut self,
        policy: &Policy,
        origin: &Origin,
        identity: &UserIdentity,
    ) -> Result<String, Rejected> {
        let (answer, answered) = oneshot::channel();
        self.services.identify(IdentityClaim {
            origin: Arc::new(origin.clone()),
            identity: identity.clone(),
            answer,
        });
        match timeout(policy.artim_timeout, answered).await {
            Ok(Ok(Some(user))) => Ok(user),
            _ => Err(Rejected::USER_IDENTITY),
        }
    }

    pub(super) fn rejected(&mut self, rejected: Rejected) {
        self.common.counters.rejected(rejected.reason);
        self.ended("rejected");
    }
}

/// Whether it is a user name, with passcode or without.
fn is_name(identity: &UserIdentity) -> bool {
    matches!(identity.identity_type, 1 | 2)
}

fn wants_response(request: &AssociateRq) -> bool {
    let identity = request.user.user_identity.as_ref();
    identity.is_some_and(|identity| identity.positive_response_requested)
}

/// Those of the names that mean the address.
async fn names_of(names: Vec<&str>, address: IpAddr) -> Vec<&str> {
    let mut found = Vec::new();
    for name in names {
        let looked_up = timeout(LOOK_UP, tokio::net::lookup_host((name, 0))).await;
        if let Ok(Ok(mut addresses)) = looked_up {
            if addresses.any(|found| found.ip().to_canonical() == address) {
                found.push(name);
            }
        }
    }
    found
}
