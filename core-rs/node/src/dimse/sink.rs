//! What the DIMSE server hands received instances to.

use super::spool::Spool;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

/// Statuses of responses that the data plane gives (PS3.4 §B.2.3, PS3.7 §C).
pub mod status {
    /// Done; stored.
    pub const SUCCESS: u16 = 0x0000;
    /// Failed: whoever serves the request gave no answer.
    pub const PROCESSING_FAILURE: u16 = 0x0110;
    /// Refused: the SOP class of an N-service is not the one of the presentation context.
    pub const NO_SUCH_SOP_CLASS: u16 = 0x0118;
    /// Refused: the SOP class is not the one of the presentation context, or the context was never accepted, or is
    /// one of Verification.
    pub const SOP_CLASS_NOT_SUPPORTED: u16 = 0x0122;
    /// Refused: unrecognized operation.
    pub const UNRECOGNIZED_OPERATION: u16 = 0x0211;
    /// Refused: the Message ID is the one of a request that runs.
    pub const DUPLICATE_INVOCATION: u16 = 0x0210;
    /// Refused: the command lacks its Message ID.
    pub const MISTYPED_ARGUMENT: u16 = 0x0212;
    /// Refused: another request runs on the association, or the data set of this one is too long.
    pub const RESOURCE_LIMITATION: u16 = 0x0213;
    /// More answers follow.
    pub const PENDING: u16 = 0xFF00;
    /// The same, and a key of the identifier is not supported.
    pub const PENDING_WITH_WARNING: u16 = 0xFF01;
    /// Refused: not authorized (PS3.7 C.5.25).
    pub const NOT_AUTHORIZED: u16 = 0x0124;
    /// Refused: out of resources.
    pub const OUT_OF_RESOURCES: u16 = 0xA700;
    /// Error: the data set does not match the SOP class or instance of the command.
    pub const DATA_SET_MISMATCH: u16 = 0xA900;
    /// Error: cannot understand.
    pub const CANNOT_UNDERSTAND: u16 = 0xC000;
}

/// Who sends, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// AE title that the peer gave as its own.
    pub calling_ae_title: String,
    /// AE title that the peer called.
    pub called_ae_title: String,
    /// Where the connection comes from.
    pub remote_address: SocketAddr,
    /// Number of the association since the server was started.
    pub association: u64,
    /// Whose archive the called AE title is.
    pub tenant: i64,
    /// The label whose view the called AE title is: what it receives gets it, what it shows has it.
    pub label: Option<String>,
    /// Who the peer proved to be; empty for nobody.
    pub user: String,
}

/// What is known of an instance before its data set.
#[derive(Debug, Clone)]
pub struct ReceivedHeader {
    /// Who sends it.
    pub origin: Arc<Origin>,
    /// Of its presentation context: the encoding of the data set.
    pub transfer_syntax_uid: Arc<str>,
    /// (0000,0002) of the command.
    pub affected_sop_class_uid: String,
    /// (0000,1000) of the command.
    pub affected_sop_instance_uid: String,
    /// AE title and Message ID of the C-MOVE that caused it.
    pub move_originator: Option<(String, u16)>,
}

/// What a finished C-STORE hands over.
#[derive(Debug)]
pub struct ReceivedDataSet {
    /// What came before the data set.
    pub header: ReceivedHeader,
    /// The sink's own prefix, then the data set exactly as received. Dropping it makes room for others.
    pub spool: Spool,
}

/// Takes instances. A status is the answer to the C-STORE: a refusal is a normal answer.
pub trait InstanceSink: Send + Sync + 'static {
    /// An instance that is too large to be held in memory.
    type Stream: InstanceStream;

    /// Appends what is to precede the data set in the spool, such as a file meta group, so that nobody needs to copy
    /// the data set behind it. At most a few KiB.
    fn prefix(&self, header: &ReceivedHeader, out: &mut Vec<u8>);

    /// Stores an instance. The answer is sent when this returns. It may be dropped before, when the server ends
    /// without waiting any longer.
    fn store(&self, received: ReceivedDataSet) -> impl Future<Output = u16> + Send;

    /// Begins an instance that arrives in parts: it is too large to be held, or memory is short. The first part that
    /// is written begins with the prefix.
    ///
    /// # Errors
    ///
    /// The status to answer with; what arrives of the instance is then dropped.
    fn open_stream(
        &self,
        header: ReceivedHeader,
    ) -> impl Future<Output = Result<Self::Stream, u16>> + Send;

    /// An association has ended.
    fn association_ended(&self, summary: AssociationSummary) {
        let _ = summary;
    }
}

/// An instance that arrives in parts. Dropped without [`InstanceStream::finish`] it is given up, with all that was
/// written.
pub trait InstanceStream: Send {
    /// Writes the next part. Nothing is read from the peer until this returns.
    ///
    /// # Errors
    ///
    /// The status to answer with; the stream is dropped then.
    fn write(&mut self, part: Spool) -> impl Future<Output = Result<(), u16>> + Send;

    /// All parts were written: stores the instance, and returns the status to answer with.
    fn finish(self) -> impl Future<Output = u16> + Send;
}

/// What an association did, for audit and log.
#[derive(Debug, Clone)]
pub struct AssociationSummary {
    /// Who it was.
    pub origin: Arc<Origin>,
    /// How it ended: `released`, `peer.aborted`, `peer.closed`, `timeout.idle`, or a code of [`vna_ul::UlError`].
    pub end: &'static str,
    /// Instances answered with success or a warning.
    pub stored: u64,
    /// Instances answered with another status.
    pub refused: u64,
    /// Bytes of all data sets.
    pub bytes: u64,
}
