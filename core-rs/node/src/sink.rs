//! From C-STORE to the archive: what the DIMSE server hands its instances to.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use vna_dicom::{FileMetaFields, HeaderReader, Instance, Progress, read_instance, write_file_meta};
use vna_index::Origin;
use vna_store::{LargeBlobWriter, StoreError};

use crate::archive::{Archive, DEFAULT_TENANT};
use crate::committer::{Answer, File};
use crate::dimse::{InstanceSink, InstanceStream, ReceivedDataSet, ReceivedHeader, Spool, status};
use crate::error::ArchiveError;

/// A streamed object's head is kept in memory until it is read. No head of a real object comes near; one
/// that does is refused rather than held.
const MAX_HEAD_BYTES: usize = 16 << 20;

/// The heads that are held at one time, all associations together: one of the longest, or hundreds of the usual ones.
/// Without it each of 256 hostile associations could hold [`MAX_HEAD_BYTES`] beside the spool's budget.
const HEADS_BUDGET_BYTES: usize = MAX_HEAD_BYTES;

/// Stores what C-STORE brings.
#[derive(Clone)]
pub struct ArchiveSink {
    archive: Arc<Archive>,
    /// Bytes that heads may still take, of [`HEADS_BUDGET_BYTES`].
    heads: Arc<Semaphore>,
}

impl ArchiveSink {
    /// A sink of `archive`'s default tenant.
    pub fn new(archive: Arc<Archive>) -> Self {
        Self {
            archive,
            heads: Arc::new(Semaphore::new(HEADS_BUDGET_BYTES)),
        }
    }
}

impl InstanceSink for ArchiveSink {
    type Stream = LargeInstance;

    fn prefix(&self, header: &ReceivedHeader, out: &mut Vec<u8>) {
        out.extend_from_slice(&file_meta(header));
    }

    async fn store(&self, received: ReceivedDataSet) -> u16 {
        let ReceivedDataSet { header, spool } = received;
        let instance = match read_instance(&spool).map_err(ArchiveError::from) {
            Ok(instance) => instance,
            Err(error) => return refuse(&header, &error),
        };
        if let Err(error) = check_uids(&header, &instance) {
            return refuse(&header, &error);
        }
        let (reply, answer) = oneshot::channel();
        // The receiver is gone only if the server ended without waiting: then nobody is answered.
        let reply = Box::new(move |answer: Answer| drop(reply.send(answer)));
        let file = File::in_memory(spool);
        self.archive
            .store(instance, file, DEFAULT_TENANT, origin(&header), reply);
        status_of(&header, answer.await.ok())
    }

    async fn open_stream(&self, header: ReceivedHeader) -> Result<LargeInstance, u16> {
        let archive = Arc::clone(&self.archive);
        let opened = tokio::task::spawn_blocking(move || archive.log().new_large_blob()).await;
        match opened {
            Ok(Ok(writer)) => Ok(LargeInstance {
                archive: Arc::clone(&self.archive),
                header,
                writer: Some(writer),
                head: Head::Reading {
                    reader: Box::new(HeaderReader::for_file()),
                    prefix: Vec::new(),
                    share: None,
                },
                heads: Arc::clone(&self.heads),
            }),
            Ok(Err(error)) => Err(refuse(&header, &error.into())),
            Err(_) => Err(status::OUT_OF_RESOURCES),
        }
    }
}

/// An instance that arrives in parts, into a file of its own.
pub struct LargeInstance {
    archive: Arc<Archive>,
    header: ReceivedHeader,
    /// `None` only while a thread writes with it.
    writer: Option<LargeBlobWriter>,
    head: Head,
    heads: Arc<Semaphore>,
}

enum Head {
    Reading {
        reader: Box<HeaderReader>,
        prefix: Vec<u8>,
        /// What the prefix takes of the budget of all heads.
        share: Option<OwnedSemaphorePermit>,
    },
    Known(Box<Instance>),
}

impl Head {
    /// Takes room for the next part from the budget of all heads, if it is held at all. False if others have it.
    fn reserve(&mut self, part: &[u8], heads: &Arc<Semaphore>) -> bool {
        let Head::Reading { share, .. } = self else {
            return true;
        };
        let Ok(count) = u32::try_from(part.len()) else {
            return false;
        };
        match (Arc::clone(heads).try_acquire_many_owned(count), share) {
            (Ok(more), Some(share)) => share.merge(more),
            (Ok(more), share @ None) => *share = Some(more),
            (Err(_), _) => return false,
        }
        true
    }

    /// Takes the next part; reads on while the head is not known.
    fn advance(&mut self, part: &[u8], complete: bool) -> Result<(), ArchiveError> {
        let Head::Reading { reader, prefix, .. } = self else {
            return Ok(());
        };
        prefix.extend_from_slice(part);
        match reader.advance(prefix, complete)? {
            Progress::Done(instance) => *self = Head::Known(Box::new(instance)),
            Progress::NeedMore { .. } if prefix.len() > MAX_HEAD_BYTES => {
                return Err(ArchiveError::HeadTooLarge {
                    limit: MAX_HEAD_BYTES,
                });
            }
            Progress::NeedMore { .. } => {}
        }
        Ok(())
    }
}

impl LargeInstance {
    /// Runs `work` with the writer on a thread that may wait for the disk.
    async fn with_writer<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut LargeBlobWriter) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, u16> {
        let Some(mut writer) = self.writer.take() else {
            return Err(status::OUT_OF_RESOURCES);
        };
        let done = tokio::task::spawn_blocking(move || {
            let done = work(&mut writer);
            (writer, done)
        });
        match done.await {
            Ok((writer, Ok(value))) => {
                self.writer = Some(writer);
                Ok(value)
            }
            Ok((_, Err(error))) => Err(refuse(&self.header, &error.into())),
            Err(_) => Err(status::OUT_OF_RESOURCES),
        }
    }
}

impl InstanceStream for LargeInstance {
    async fn write(&mut self, part: Spool) -> Result<(), u16> {
        if !self.head.reserve(&part, &self.heads) {
            tracing::warn!(
                code = "busy",
                limit = HEADS_BUDGET_BYTES,
                association = self.header.origin.association,
                "the heads of large instances take all memory that they may; one is refused"
            );
            return Err(status::OUT_OF_RESOURCES);
        }
        if let Err(error) = self.head.advance(&part, false) {
            return Err(refuse(&self.header, &error));
        }
        self.with_writer(move |writer| writer.write(&part)).await
    }

    async fn finish(mut self) -> u16 {
        if let Err(error) = self.head.advance(&[], true) {
            return refuse(&self.header, &error);
        }
        let Head::Known(instance) = self.head else {
            return refuse(
                &self.header,
                &ArchiveError::HeadTooLarge {
                    limit: MAX_HEAD_BYTES,
                },
            );
        };
        let Some(writer) = self.writer.take() else {
            return status::OUT_OF_RESOURCES;
        };
        // The head was read before its pixel data was all here.
        let whole = instance
            .check_length(writer.size())
            .map_err(ArchiveError::from);
        if let Err(error) = whole.and_then(|()| check_uids(&self.header, &instance)) {
            return refuse(&self.header, &error);
        }
        let blob = match tokio::task::spawn_blocking(move || writer.finish()).await {
            Ok(Ok(blob)) => blob,
            Ok(Err(error)) => return refuse(&self.header, &error.into()),
            Err(_) => return status::OUT_OF_RESOURCES,
        };
        let (reply, answer) = oneshot::channel();
        let reply = Box::new(move |answer: Answer| drop(reply.send(answer)));
        let origin = origin(&self.header);
        self.archive
            .store(*instance, File::Large(blob), DEFAULT_TENANT, origin, reply);
        status_of(&self.header, answer.await.ok())
    }
}

fn file_meta(header: &ReceivedHeader) -> Vec<u8> {
    write_file_meta(&FileMetaFields {
        media_storage_sop_class_uid: &header.affected_sop_class_uid,
        media_storage_sop_instance_uid: &header.affected_sop_instance_uid,
        transfer_syntax_uid: &header.transfer_syntax_uid,
        source_application_entity_title: &header.origin.calling_ae_title,
    })
}

fn origin(header: &ReceivedHeader) -> Origin {
    Origin {
        way_in: "DicomProtocol".into(),
        calling_ae_title: header.origin.calling_ae_title.clone(),
        called_ae_title: header.origin.called_ae_title.clone(),
        address: header.origin.remote_address.ip().to_string(),
        user: String::new(),
    }
}

/// The data set must be what the command says it is (PS3.4 §B.2.3): A900 otherwise.
fn check_uids(header: &ReceivedHeader, instance: &Instance) -> Result<(), ArchiveError> {
    let identity = &instance.identity;
    let pairs = [
        (
            "SOP Class UID",
            &header.affected_sop_class_uid,
            &identity.sop_class_uid,
        ),
        (
            "SOP Instance UID",
            &header.affected_sop_instance_uid,
            &identity.sop_instance_uid,
        ),
    ];
    match pairs
        .into_iter()
        .find(|(_, command, data_set)| command != data_set)
    {
        None => Ok(()),
        Some((attribute, command, data_set)) => Err(ArchiveError::UidMismatch {
            attribute,
            command: command.clone(),
            data_set: data_set.clone(),
        }),
    }
}

fn status_of(header: &ReceivedHeader, answer: Option<Answer>) -> u16 {
    match answer {
        Some(Ok(_)) => status::SUCCESS,
        Some(Err(error)) => refuse(header, &error),
        None => status::OUT_OF_RESOURCES,
    }
}

/// The status that says why, and a log line that says it in words. UIDs only: no patient data.
fn refuse(header: &ReceivedHeader, error: &ArchiveError) -> u16 {
    let status = match error {
        ArchiveError::UidMismatch { .. } => status::DATA_SET_MISMATCH,
        ArchiveError::Dicom(_) | ArchiveError::HeadTooLarge { .. } => status::CANNOT_UNDERSTAND,
        _ => status::OUT_OF_RESOURCES,
    };
    tracing::warn!(
        code = error.code(),
        status = format_args!("{status:04X}H"),
        sop_instance_uid = header.affected_sop_instance_uid,
        calling_ae_title = header.origin.calling_ae_title,
        association = header.origin.association,
        "instance refused: {error}"
    );
    status
}
