//! The accepted presentation contexts of an association.

use super::services::Service;
use std::sync::Arc;

/// What an accepted presentation context is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedContext {
    /// Odd, 1 to 255.
    pub context_id: u8,
    /// Its abstract syntax.
    pub sop_class_uid: Arc<str>,
    /// How its data sets are encoded.
    pub transfer_syntax_uid: Arc<str>,
    /// What its SOP class belongs to.
    pub service: Service,
    /// The peer may send requests as SCU of the SOP class (PS3.7 §D.3.3.4).
    pub peer_is_scu: bool,
    /// The peer takes requests as SCP of the SOP class: we may send.
    pub peer_is_scp: bool,
    /// Service-class-application-information that holds for the SOP class; empty if none was negotiated.
    pub extended: Arc<[u8]>,
}

/// The accepted contexts, shared by all who serve the association.
#[derive(Debug, Clone, Default)]
pub struct Contexts(Arc<[AcceptedContext]>);

impl Contexts {
    /// The context of that number.
    #[must_use]
    pub fn get(&self, context_id: u8) -> Option<&AcceptedContext> {
        self.0
            .iter()
            .find(|context| context.context_id == context_id)
    }

    /// All of them, in the order of their answers.
    pub fn iter(&self) -> impl Iterator<Item = &AcceptedContext> {
        self.0.iter()
    }
}

impl From<Vec<AcceptedContext>> for Contexts {
    fn from(contexts: Vec<AcceptedContext>) -> Contexts {
        Contexts(contexts.into())
    }
}
