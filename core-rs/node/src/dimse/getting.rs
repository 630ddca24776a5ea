//! C-GET as SCP: C-STORE sub-operations on the association of the request (PS3.4 §C.4.3).

use super::contexts::Contexts;
use super::outgoing::{
    OPENED_AHEAD, OpenError, OutgoingInstance, PieceBuffers, SendingContext, Unsendable,
    choose_context,
};
use super::service::{Over, Progress, Response, ServiceRequest};
use super::services::Service;
use super::sink::status;
use crate::archive::Archive;
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::{JoinHandle, spawn_blocking};
use vna_dicom::PublicId;
use vna_ul::CommandSet;
use vna_ul::command::element;

/// Pending responses are this far apart at least: they tell people how far it is, and cost a peer as much as a small
/// instance does.
const PENDING_EVERY: Duration = Duration::from_millis(200);

/// What became of the sub-operations.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Got {
    /// Answered with success.
    pub completed: usize,
    /// Answered with a failure, or not sent.
    pub failed: usize,
    /// Answered with a warning.
    pub warning: usize,
    /// SOP Instance UIDs of those that failed, as far as they are known.
    pub failed_uids: Vec<String>,
    /// Public ids of those that failed.
    pub failed_ids: Vec<String>,
    /// The peer cancelled before all were sent.
    pub cancelled: bool,
}

/// Sends instances to the peer that asked for them, with pending responses. Each goes on the context that suits it best;
/// those after it are opened while the peer has the one before.
///
/// # Errors
///
/// [`Over`] if the association is over before the last one was answered.
pub async fn get(
    archive: Arc<Archive>,
    request: &ServiceRequest,
    tenant: i64,
    instances: Vec<PublicId>,
) -> Result<Got, Over> {
    let responder = &request.responder;
    let mut buffers = PieceBuffers::default();
    let _wanted = buffers.while_wanted();
    let opening = Opening {
        archive,
        tenant,
        contexts: request.contexts.clone(),
        buffers,
    };
    let mut got = Got::default();
    let mut told = Instant::now();
    let mut left = instances.iter();
    let mut ahead: VecDeque<_> = left
        .by_ref()
        .take(OPENED_AHEAD)
        .map(|id| opening.open(*id))
        .collect();
    for (at, id) in instances.iter().enumerate() {
        let Some(opened) = ahead.pop_front() else {
            break;
        };
        // What has to be compressed first may take long.
        let opened = tokio::select! {
            biased;
            progress = responder.interrupted() => {
                got.cancelled = progress == Progress::Cancelled;
                return if got.cancelled { Ok(got) } else { Err(Over) };
            }
            opened = opened => opened,
        };
        ahead.extend(left.next().map(|id| opening.open(*id)));
        match opened {
            Ok(Ok(instance)) => {
                let sop_instance_uid = instance.sop_instance_uid.clone();
                match responder.store(instance).await? {
                    status::SUCCESS => got.completed += 1,
                    // It was stored all the same (PS3.7 §C).
                    warning if warning & 0xF000 == 0xB000 || warning == 1 => got.warning += 1,
                    refused => {
                        tracing::warn!(
                            status = format_args!("{refused:04X}H"),
                            sop_instance_uid,
                            "a sub-operation of C-GET was refused"
                        );
                        got.fail(id, sop_instance_uid);
                    }
                }
            }
            Ok(Err(error)) => got.fail(id, unopened(error)),
            Err(_) => got.fail(id, String::new()),
        }
        let remaining = instances.len() - at - 1;
        if remaining > 0 && told.elapsed() >= PENDING_EVERY {
            told = Instant::now();
            // Its place is before the next instance; nobody need wait for it.
            drop(responder.begin_response(got.pending(remaining), false));
        }
    }
    Ok(got)
}

impl Got {
    fn fail(&mut self, id: &PublicId, sop_instance_uid: String) {
        self.failed += 1;
        self.failed_ids.push(id.to_string());
        if !sop_instance_uid.is_empty() {
            self.failed_uids.push(sop_instance_uid);
        }
    }

    fn pending(&self, remaining: usize) -> Response {
        let number = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
        let command = CommandSet::default()
            .with_us(element::STATUS, status::PENDING)
            .with_us(
                element::NUMBER_OF_REMAINING_SUBOPERATIONS,
                number(remaining),
            )
            .with_us(
                element::NUMBER_OF_COMPLETED_SUBOPERATIONS,
                number(self.completed),
            )
            .with_us(element::NUMBER_OF_FAILED_SUBOPERATIONS, number(self.failed))
            .with_us(
                element::NUMBER_OF_WARNING_SUBOPERATIONS,
                number(self.warning),
            );
        Response {
            command,
            data_set: None,
        }
    }
}

/// Tells why an instance is not sent, and returns its SOP Instance UID if it is known.
fn unopened(error: OpenError) -> String {
    match error {
        OpenError::Gone => String::new(),
        OpenError::Unsendable {
            sop_instance_uid,
            why,
        } => {
            tracing::warn!(sop_instance_uid, "an instance cannot be sent: {why}");
            sop_instance_uid
        }
        OpenError::Archive {
            sop_instance_uid,
            error,
        } => {
            let code = error.code();
            tracing::error!(
                code,
                sop_instance_uid,
                "an instance cannot be read: {error}"
            );
            sop_instance_uid
        }
    }
}

/// How instances are opened.
struct Opening {
    archive: Arc<Archive>,
    tenant: i64,
    contexts: Contexts,
    buffers: PieceBuffers,
}

impl Opening {
    /// Opens an instance on a thread that may wait for the disk.
    fn open(&self, id: PublicId) -> JoinHandle<Result<OutgoingInstance, OpenError>> {
        let (archive, tenant) = (Arc::clone(&self.archive), self.tenant);
        let (contexts, buffers) = (self.contexts.clone(), self.buffers.clone());
        spawn_blocking(move || {
            let choose = |class: &str, stored: &str| choose(&contexts, class, stored);
            OutgoingInstance::open(&archive, tenant, &id, &buffers, choose)
        })
    }
}

/// The context for an instance, among those on which the peer is SCP.
fn choose(
    contexts: &Contexts,
    sop_class_uid: &str,
    stored: &str,
) -> Result<(u8, String), Unsendable> {
    let taking = contexts
        .iter()
        .filter(|context| context.service == Service::Store && context.peer_is_scp)
        .map(|context| SendingContext {
            context_id: context.context_id,
            sop_class_uid: &context.sop_class_uid,
            transfer_syntax_uid: &context.transfer_syntax_uid,
        });
    let context = choose_context(taking, sop_class_uid, stored, None)?;
    Ok((context.context_id, context.transfer_syntax_uid.to_owned()))
}
