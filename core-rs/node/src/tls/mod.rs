//! TLS for DICOM and HTTP, in and out: BCP 195 as PS3.15 §B.9 wants it, that is TLS 1.2 or 1.3 with forward secrecy and
//! authenticated encryption. Certificates are read again when their files change.

mod files;
mod reloading;
mod verifying;

pub use files::{ClientCertificates, TlsSettings};
pub(crate) use reloading::Client;
pub use reloading::Server;
pub use verifying::TlsSpec;

use std::fmt;

/// What keeps TLS from being used: which setting or file is wrong, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsProblem(pub String);

impl fmt::Display for TlsProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TlsProblem {}
