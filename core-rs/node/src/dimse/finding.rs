//! C-FIND as SCP: pages of answers from the index to the peer, without anybody asked for each.

use super::service::{Over, Progress, Responder, ServiceRequest};
use super::sink::status;
use crate::archive::Archive;
use crate::cfind::{AnswerPage, CFind, CFindOptions};
use crate::error::ArchiveError;
use serde::Serialize;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use vna_ul::CommandSet;
use vna_ul::command::element;

/// What became of a query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// Pending responses that were sent.
    pub answers: u64,
    /// How it ended.
    pub end: FindEnd,
}

/// How the answers to a query end; the last response is still to be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FindEnd {
    /// There are no more.
    Done,
    /// The peer cancelled.
    Cancelled,
    /// There are more than may be given.
    Limit,
    /// The association is over.
    Ended,
}

/// Answers the C-FIND of `request` with all that matches. Each page is searched for with one of `places`, while the peer
/// takes the one before; between two pages it is looked whether the peer cancelled.
///
/// # Errors
///
/// As [`CFind::open`]; [`crate::find_status`] has the status of the last response then.
pub async fn find(
    archive: Arc<Archive>,
    request: &ServiceRequest,
    options: CFindOptions,
    places: Arc<Semaphore>,
) -> Result<Found, ArchiveError> {
    let responder = &request.responder;
    let identifier = request.data_set.clone();
    let transfer_syntax_uid = Arc::clone(&request.context.transfer_syntax_uid);
    let search = Search {
        archive,
        places,
        responder: responder.clone(),
    };
    let opened = search.run(move |archive| {
        let find = CFind::open(archive, &identifier, &transfer_syntax_uid, &options)?;
        turn(archive, find)
    });
    let Some((mut find, mut next)) = opened.await? else {
        return Ok(interrupted(responder, 0));
    };
    let pending = if find.unsupported_optional_keys() {
        status::PENDING_WITH_WARNING
    } else {
        status::PENDING
    };
    let command = CommandSet::default().with_us(element::STATUS, pending);
    let mut answers = 0;
    let end = loop {
        let Some(page) = next else {
            break if find.is_limited() {
                FindEnd::Limit
            } else {
                FindEnd::Done
            };
        };
        if responder.progress() != Progress::Running {
            return Ok(interrupted(responder, answers));
        }
        let count = page.ends.len() as u64;
        let taken = async {
            if count == 0 {
                return Ok(());
            }
            responder.page(command.clone(), page).await
        };
        let (taken, turned) = tokio::join!(taken, search.run(|archive| turn(archive, find)));
        if taken == Err(Over) {
            break FindEnd::Ended;
        }
        answers += count;
        let Some(turned) = turned? else {
            return Ok(interrupted(responder, answers));
        };
        (find, next) = turned;
    };
    Ok(Found { answers, end })
}

/// What became of a query that is not to be answered any more.
fn interrupted(responder: &Responder, answers: u64) -> Found {
    let end = match responder.progress() {
        Progress::Cancelled => FindEnd::Cancelled,
        Progress::Running | Progress::Ended => FindEnd::Ended,
    };
    Found { answers, end }
}

/// A query and its next page.
type Turned = (CFind, Option<AnswerPage>);

fn turn(archive: &Archive, mut find: CFind) -> Result<Turned, ArchiveError> {
    let page = find.next_page(archive)?;
    Ok((find, page))
}

/// Where and with what right it is searched.
struct Search {
    archive: Arc<Archive>,
    places: Arc<Semaphore>,
    responder: Responder,
}

impl Search {
    /// Does `work` when there is a place for it; nothing, if the query is not to be answered any more by then.
    async fn run(
        &self,
        work: impl FnOnce(&Archive) -> Result<Turned, ArchiveError> + Send + 'static,
    ) -> Result<Option<Turned>, ArchiveError> {
        let place = tokio::select! {
            place = Arc::clone(&self.places).acquire_owned() => place,
            _ = self.responder.interrupted() => return Ok(None),
        };
        let place = place.map_err(|_| ArchiveError::Stopped)?;
        let archive = Arc::clone(&self.archive);
        let done = spawn_blocking(move || {
            let done = work(&archive);
            drop(place);
            done
        });
        let done = done.await.map_err(|_| ArchiveError::Stopped)?;
        done.map(Some)
    }
}
