//! What the settings name, read: certificates, private keys, versions, cipher suites.

use super::TlsProblem;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{CipherSuite, RootCertStore, SupportedProtocolVersion, version};
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Longest file that is read: a bundle of all public certificate authorities is 0.2 MB.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// `[tls]`; `vna/settings.py` documents each key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct TlsSettings {
    /// Our certificate and those between it and its authority, PEM; empty for none.
    pub certificate: PathBuf,
    /// The key to it, PEM; empty for none.
    pub private_key: PathBuf,
    /// Authorities, or certificates themselves, that peers may prove to be with, PEM; empty for none.
    pub trusted_certificates: PathBuf,
    /// `1.2` or `1.3`; empty for the least that is safe.
    pub minimum_version: String,
    /// Names of cipher suites, in RFC or OpenSSL form; empty for all that are safe.
    pub ciphers: Vec<String>,
}

/// Whether who connects has to prove who he is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientCertificates {
    /// Nobody is asked.
    #[default]
    None,
    /// Who shows a certificate must show a trusted one.
    Optional,
    /// Who shows none is refused.
    Required,
}

/// The suites that BCP 195 leaves, of those that rustls has. Each has its name in RFC form and in OpenSSL's.
const SUITES: [(&str, &str, CipherSuite); 9] = [
    (
        "TLS_AES_256_GCM_SHA384",
        "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_AES_256_GCM_SHA384,
    ),
    (
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_128_GCM_SHA256,
    ),
    (
        "TLS_CHACHA20_POLY1305_SHA256",
        "TLS_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    (
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        "ECDHE-RSA-CHACHA20-POLY1305",
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
];

/// The versions that are safe, the newest first.
static VERSIONS: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];

impl TlsSettings {
    /// Certificate chain and key.
    pub(super) fn identity(
        &self,
    ) -> Result<Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>, TlsProblem> {
        match (is_set(&self.certificate), is_set(&self.private_key)) {
            (false, false) => Ok(None),
            (true, false) => Err(problem("tls.certificate is set, tls.private_key is not")),
            (false, true) => Err(problem("tls.private_key is set, tls.certificate is not")),
            (true, true) => {
                let chain = certificates("tls.certificate", &self.certificate)?;
                let path = &self.private_key;
                let key = PrivateKeyDer::from_pem_slice(&read("tls.private_key", path)?)
                    .map_err(|error| {
                        problem(format!(
                            "tls.private_key: {} holds no private key in PEM without a passphrase: {error}",
                            path.display()
                        ))
                    })?;
                Ok(Some((chain, key)))
            }
        }
    }

    /// What peers may prove to be with.
    pub(super) fn trusted(&self) -> Result<Trusted, TlsProblem> {
        let name = "tls.trusted_certificates";
        if !is_set(&self.trusted_certificates) {
            return Err(problem(format!(
                "{name} is not set: it names the certificates of those that may be trusted"
            )));
        }
        let certificates = certificates(name, &self.trusted_certificates)?;
        let mut roots = RootCertStore::empty();
        for certificate in &certificates {
            roots.add(certificate.clone()).map_err(|error| {
                let path = self.trusted_certificates.display();
                problem(format!(
                    "{name}: {path} holds no usable certificate: {error}"
                ))
            })?;
        }
        Ok(Trusted {
            certificates,
            roots: Arc::new(roots),
        })
    }

    pub(super) fn provider(&self) -> Result<Arc<CryptoProvider>, TlsProblem> {
        let mut provider = ring::default_provider();
        if !self.ciphers.is_empty() {
            let wanted: Vec<CipherSuite> = self
                .ciphers
                .iter()
                .map(|name| suite(name))
                .collect::<Result<_, _>>()?;
            provider
                .cipher_suites
                .retain(|suite| wanted.contains(&suite.suite()));
        }
        Ok(Arc::new(provider))
    }

    pub(super) fn versions(
        &self,
    ) -> Result<&'static [&'static SupportedProtocolVersion], TlsProblem> {
        match self.minimum_version.as_str() {
            "" | "1.2" => Ok(&VERSIONS),
            "1.3" => Ok(&VERSIONS[..1]),
            other => Err(problem(format!(
                "tls.minimum_version is {other:?}, it must be 1.2 or 1.3"
            ))),
        }
    }

    /// The files that are read.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        let paths = [
            &self.certificate,
            &self.private_key,
            &self.trusted_certificates,
        ];
        paths
            .into_iter()
            .map(PathBuf::as_path)
            .filter(|path| is_set(path))
    }
}

/// Whom we trust.
pub(super) struct Trusted {
    pub certificates: Vec<CertificateDer<'static>>,
    pub roots: Arc<RootCertStore>,
}

pub(super) fn problem(text: impl Into<String>) -> TlsProblem {
    TlsProblem(text.into())
}

fn is_set(path: &Path) -> bool {
    !path.as_os_str().is_empty()
}

fn suite(name: &str) -> Result<CipherSuite, TlsProblem> {
    let is_named = |(rfc, openssl, _): &&(&str, &str, CipherSuite)| {
        rfc.eq_ignore_ascii_case(name) || openssl.eq_ignore_ascii_case(name)
    };
    let found = SUITES.iter().find(is_named);
    found.map(|(.., suite)| *suite).ok_or_else(|| {
        let known: Vec<_> = SUITES.iter().map(|(rfc, ..)| *rfc).collect();
        problem(format!(
            "tls.ciphers has {name:?}, which is none of {}",
            known.join(", ")
        ))
    })
}

pub(super) fn read(name: &str, path: &Path) -> Result<Vec<u8>, TlsProblem> {
    let refused =
        |error: &dyn std::fmt::Display| problem(format!("{name}: {}: {error}", path.display()));
    let length = fs::metadata(path).map_err(|error| refused(&error))?.len();
    if length > MAX_FILE_BYTES {
        return Err(refused(&format!(
            "it has {length} bytes, at most {MAX_FILE_BYTES} are read"
        )));
    }
    fs::read(path).map_err(|error| refused(&error))
}

fn certificates(name: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsProblem> {
    let bytes = read(name, path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(problem(format!(
            "{name}: {} holds no certificate in PEM",
            path.display()
        ))),
        Err(error) => Err(problem(format!("{name}: {}: {error}", path.display()))),
    }
}
