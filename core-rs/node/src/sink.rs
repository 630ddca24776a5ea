//! From C-STORE to the archive: what the DIMSE server hands its instances to.
//!
//! An instance that is handed on in parts goes to a file of its own as it comes, and its head is read from the parts
//! without keeping them. Beside the part at hand, which counts to the spool budget, an instance that is being received
//! holds some tens of kB, whatever it is and however long the elements before its pixel data are.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;
use vna_dicom::{FileMetaFields, HeaderStream, Instance, Level, read_instance, write_file_meta};
use vna_index::{Ids, NoteId, Origin, Outcome};
use vna_store::{Digest, LargeBlobWriter};

use crate::archive::Archive;
use crate::arriving::ArrivedBytes;
use crate::committer::{Answer, File};
use crate::dimse::{InstanceSink, InstanceStream, ReceivedDataSet, ReceivedHeader, Spool, status};
use crate::error::ArchiveError;

/// Stores what C-STORE brings.
#[derive(Clone)]
pub struct ArchiveSink {
    archive: Arc<Archive>,
}

impl ArchiveSink {
    /// A sink of `archive`: of the tenant to whom the called AE title belongs.
    pub fn new(archive: Arc<Archive>) -> Self {
        Self { archive }
    }
}

impl InstanceSink for ArchiveSink {
    type Stream = LargeInstance;

    fn prefix(&self, header: &ReceivedHeader, out: &mut Vec<u8>) {
        out.extend_from_slice(&file_meta(header));
    }

    async fn store(&self, received: ReceivedDataSet) -> u16 {
        let started = Instant::now();
        let status = self.store_received(received).await;
        self.archive.c_stores.record(started.elapsed());
        status
    }

    async fn open_stream(&self, header: ReceivedHeader) -> Result<LargeInstance, u16> {
        if let Err(error) = self.archive.check_writable() {
            return Err(refuse(&header, &error));
        }
        let archive = Arc::clone(&self.archive);
        let started = Instant::now();
        let opened = tokio::task::spawn_blocking(move || archive.log().new_large_blob()).await;
        match opened {
            Ok(Ok(writer)) => Ok(LargeInstance {
                archive: Arc::clone(&self.archive),
                header,
                started,
                arriving: Some(Box::new(Arriving {
                    writer,
                    head: HeaderStream::for_file(),
                })),
            }),
            Ok(Err(error)) => Err(refuse(&header, &error.into())),
            Err(_) => Err(status::OUT_OF_RESOURCES),
        }
    }
}

impl ArchiveSink {
    async fn store_received(&self, received: ReceivedDataSet) -> u16 {
        let ReceivedDataSet { header, spool } = received;
        if let Err(error) = self.archive.check_writable() {
            return refuse(&header, &error);
        }
        if spool.len() as u64 > self.archive.settings().storage.large_object_bytes {
            return self.store_large(header, spool).await;
        }
        let instance = match read_instance(&spool).map_err(ArchiveError::from) {
            Ok(instance) => instance,
            Err(error) => return refuse(&header, &error),
        };
        if let Err(error) = check_head(&header, &instance) {
            return refuse(&header, &error);
        }
        keep(&self.archive, instance, ArrivedBytes::held(spool), &header).await
    }

    /// Gives an instance a file of its own that was small enough to be held, but is not small to the archive.
    async fn store_large(&self, header: ReceivedHeader, spool: Spool) -> u16 {
        let mut stream = match self.open_stream(header).await {
            Ok(stream) => stream,
            Err(status) => return status,
        };
        match stream.write(spool).await {
            Ok(()) => stream.kept().await,
            Err(status) => status,
        }
    }
}

/// An instance that arrives in parts, into a file of its own.
pub struct LargeInstance {
    archive: Arc<Archive>,
    header: ReceivedHeader,
    started: Instant,
    /// `None` only while a thread works on it, and after an error.
    arriving: Option<Box<Arriving>>,
}

/// What has arrived of an instance.
struct Arriving {
    writer: LargeBlobWriter,
    head: HeaderStream,
}

impl InstanceStream for LargeInstance {
    async fn write(&mut self, part: Spool) -> Result<(), u16> {
        let Some(mut arriving) = self.arriving.take() else {
            return Err(status::OUT_OF_RESOURCES);
        };
        // On a thread that may wait for the disk, and take its time over a part that is all small elements.
        let done = tokio::task::spawn_blocking(move || {
            arriving.head.push(&part)?;
            arriving.writer.write(&part)?;
            Ok::<_, ArchiveError>(arriving)
        });
        match done.await {
            Ok(Ok(arriving)) => {
                self.arriving = Some(arriving);
                Ok(())
            }
            Ok(Err(error)) => Err(refuse(&self.header, &error)),
            Err(_) => Err(status::OUT_OF_RESOURCES),
        }
    }

    async fn finish(self) -> u16 {
        let (archive, started) = (Arc::clone(&self.archive), self.started);
        let status = self.kept().await;
        archive.c_stores.record(started.elapsed());
        status
    }
}

impl LargeInstance {
    /// Stores what has arrived, which is all.
    async fn kept(self) -> u16 {
        let Some(arriving) = self.arriving else {
            return status::OUT_OF_RESOURCES;
        };
        let Arriving { writer, head } = *arriving;
        let instance = match head.finish().map_err(ArchiveError::from) {
            Ok(instance) => instance,
            Err(error) => return refuse(&self.header, &error),
        };
        if let Err(error) = check_head(&self.header, &instance) {
            return refuse(&self.header, &error);
        }
        let bytes = ArrivedBytes::Written(Box::new(writer));
        keep(&self.archive, instance, bytes, &self.header).await
    }
}

/// Stores what arrived, in the transfer syntax that it is to be kept in, and gives the status to answer with.
async fn keep(
    archive: &Arc<Archive>,
    mut instance: Instance,
    mut bytes: ArrivedBytes,
    header: &ReceivedHeader,
) -> u16 {
    if archive.ingest_transfer_syntax(&instance).is_some() {
        let keeper = Arc::clone(archive);
        let kept = tokio::task::spawn_blocking(move || keeper.as_kept(instance, bytes));
        let Ok(kept) = kept.await else {
            return status::OUT_OF_RESOURCES;
        };
        (instance, bytes) = kept;
    }
    let same = (bytes.digest(), bytes.size());
    if let Some(status) = known(archive, &instance, same, header).await {
        return status; // a file of its own goes with its writer
    }
    let file = match bytes {
        held @ ArrivedBytes::Held(_) => held.into_file(same.0),
        written @ ArrivedBytes::Written(_) => {
            match tokio::task::spawn_blocking(move || written.into_file(same.0)).await {
                Ok(file) => file,
                Err(_) => return status::OUT_OF_RESOURCES,
            }
        }
    };
    match file {
        Ok(file) => commit(archive, instance, file, header).await,
        Err(error) => refuse(header, &error),
    }
}

/// The status to answer with if the very same is stored already: then nothing is written.
async fn known(
    archive: &Arc<Archive>,
    instance: &Instance,
    (digest, size): (Digest, u64),
    header: &ReceivedHeader,
) -> Option<u16> {
    match archive.stored_twin(header.origin.tenant, &instance.identity, digest, size) {
        Ok(None) => None,
        Ok(Some(ids)) => Some(labelled(archive, &ids, header).await),
        Err(error) => Some(refuse(header, &error)),
    }
}

/// Hands an instance to the archive, and waits for the status to answer with.
async fn commit(
    archive: &Arc<Archive>,
    instance: Instance,
    file: File,
    header: &ReceivedHeader,
) -> u16 {
    let (reply, answer) = oneshot::channel();
    // The receiver is gone only if the server ended without waiting: then nobody is answered.
    let reply = Box::new(move |answer: Answer| drop(reply.send(answer)));
    let tenant = header.origin.tenant;
    archive.store(instance, file, tenant, origin(header), reply);
    match answer.await {
        Ok(Ok(outcome)) => match ids_of(&outcome) {
            Some(ids) => labelled(archive, &ids, header).await,
            None => status::SUCCESS,
        },
        Ok(Err(error)) => refuse(header, &error),
        Err(_) => status::OUT_OF_RESOURCES,
    }
}

/// Where an instance is that was stored.
fn ids_of(outcome: &Outcome) -> Option<Ids> {
    match outcome {
        Outcome::Stored { ids, .. }
        | Outcome::AlreadyStored { ids, .. }
        | Outcome::KeptAsVersion { ids, .. }
        | Outcome::Superseded { ids, .. } => Some(*ids),
        _ => None,
    }
}

/// What comes to an AE title that is a view gets its label, on the study, before it is answered. That the study has
/// gone meanwhile is none of the sender's.
async fn labelled(archive: &Arc<Archive>, ids: &Ids, header: &ReceivedHeader) -> u16 {
    let Some(label) = &header.origin.label else {
        return status::SUCCESS;
    };
    let label = NoteId::label(header.origin.tenant, Level::Study, ids.study, label);
    let archive = Arc::clone(archive);
    match tokio::task::spawn_blocking(move || archive.put_label(&label)).await {
        Ok(Err(error)) if !matches!(*error, ArchiveError::NotFound { .. }) => {
            refuse(header, &error)
        }
        Ok(_) => status::SUCCESS,
        Err(_) => status::OUT_OF_RESOURCES,
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
        user: header.origin.user.clone(),
    }
}

/// The data set must be what the command says it is (PS3.4 §B.2.3): A900 otherwise. It begins where our meta information
/// ends.
fn check_head(header: &ReceivedHeader, instance: &Instance) -> Result<(), ArchiveError> {
    let meta_bytes = file_meta(header).len() as u64;
    if instance.data_set_offset != meta_bytes {
        return Err(ArchiveError::MetaInDataSet {
            bytes: instance.data_set_offset.saturating_sub(meta_bytes),
        });
    }
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

/// The status that says why, and a log line that says it in words. UIDs only: no patient data.
fn refuse(header: &ReceivedHeader, error: &ArchiveError) -> u16 {
    let status = match error {
        ArchiveError::UidMismatch { .. } => status::DATA_SET_MISMATCH,
        ArchiveError::ReadOnly => status::NOT_AUTHORIZED,
        ArchiveError::Dicom(_) | ArchiveError::MetaInDataSet { .. } => status::CANNOT_UNDERSTAND,
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
