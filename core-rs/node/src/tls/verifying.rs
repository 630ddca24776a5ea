//! Who is trusted: what an authority that we trust has signed, and certificates that are trusted themselves.
//!
//! Departments exchange self-signed certificates, which most tools mark as authorities by default. A path to such a one
//! is not valid for who shows it (RFC 5280 §4.2.1.9), but that very certificate was named as trusted: it is accepted
//! while it has not expired.

use super::files::{TlsSettings, Trusted};
use super::{ClientCertificates, TlsProblem};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig,
    SignatureScheme,
};
use serde::Deserialize;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// TLS with one peer: what differs from `[tls]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsSpec {
    /// As of [`TlsSettings`].
    pub certificate: Option<PathBuf>,
    /// As of [`TlsSettings`].
    pub private_key: Option<PathBuf>,
    /// As of [`TlsSettings`].
    pub trusted_certificates: Option<PathBuf>,
    /// As of [`TlsSettings`].
    pub minimum_version: Option<String>,
    /// As of [`TlsSettings`].
    pub ciphers: Option<Vec<String>>,
    /// Whether the certificate has to be for the host that we connect to.
    pub verify_host_name: bool,
}

impl TlsSpec {
    /// The settings for the peer.
    #[must_use]
    pub fn over(&self, settings: &TlsSettings) -> TlsSettings {
        fn or<T: Clone>(own: Option<&T>, general: &T) -> T {
            own.unwrap_or(general).clone()
        }
        TlsSettings {
            certificate: or(self.certificate.as_ref(), &settings.certificate),
            private_key: or(self.private_key.as_ref(), &settings.private_key),
            trusted_certificates: or(
                self.trusted_certificates.as_ref(),
                &settings.trusted_certificates,
            ),
            minimum_version: or(self.minimum_version.as_ref(), &settings.minimum_version),
            ciphers: or(self.ciphers.as_ref(), &settings.ciphers),
        }
    }
}

/// What a listener needs.
pub(super) fn server_config(
    settings: &TlsSettings,
    clients: ClientCertificates,
) -> Result<ServerConfig, TlsProblem> {
    let (chain, key) = settings.identity()?.ok_or_else(|| {
        TlsProblem("tls.certificate and tls.private_key have to be set for a listener".to_owned())
    })?;
    let provider = settings.provider()?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(settings.versions()?)
        .map_err(|error| TlsProblem(format!("tls.ciphers: {error}")))?;
    let builder = match clients {
        ClientCertificates::None => builder.with_no_client_auth(),
        ClientCertificates::Optional | ClientCertificates::Required => {
            let trusted = settings.trusted()?;
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::clone(&trusted.roots), provider);
            let verifier = if clients == ClientCertificates::Optional {
                verifier.allow_unauthenticated()
            } else {
                verifier
            };
            let verifier = verifier
                .build()
                .map_err(|error| TlsProblem(format!("tls.trusted_certificates: {error}")))?;
            builder.with_client_cert_verifier(Arc::new(TrustedClients {
                by_path: verifier,
                trusted: trusted.certificates,
            }))
        }
    };
    builder
        .with_single_cert(chain, key)
        .map_err(|error| unfit(settings, &error))
}

/// What a requestor needs.
pub(super) fn client_config(
    settings: &TlsSettings,
    verify_host_name: bool,
) -> Result<ClientConfig, TlsProblem> {
    let provider = settings.provider()?;
    let Trusted {
        certificates,
        roots,
    } = settings.trusted()?;
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
        .build()
        .map_err(|error| TlsProblem(format!("tls.trusted_certificates: {error}")))?;
    let builder = ClientConfig::builder_with_provider(Arc::<CryptoProvider>::clone(&provider))
        .with_protocol_versions(settings.versions()?)
        .map_err(|error| TlsProblem(format!("tls.ciphers: {error}")))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TrustedServers {
            by_path: verifier,
            trusted: certificates,
            verify_host_name,
        }));
    match settings.identity()? {
        None => Ok(builder.with_no_client_auth()),
        Some((chain, key)) => builder
            .with_client_auth_cert(chain, key)
            .map_err(|error| unfit(settings, &error)),
    }
}

fn unfit(settings: &TlsSettings, error: &Error) -> TlsProblem {
    TlsProblem(format!(
        "tls.certificate {} and tls.private_key {} do not go together: {error}",
        settings.certificate.display(),
        settings.private_key.display()
    ))
}

/// Whether an error is only about the place of a certificate in a path, which a certificate that is trusted itself does
/// not need.
fn is_of_the_path(error: &Error) -> bool {
    matches!(
        error,
        Error::InvalidCertificate(
            CertificateError::Other(_)
                | CertificateError::UnknownIssuer
                | CertificateError::InvalidPurpose
                | CertificateError::InvalidPurposeContext { .. }
        )
    )
}

struct TrustedClients {
    by_path: Arc<dyn ClientCertVerifier>,
    trusted: Vec<CertificateDer<'static>>,
}

impl fmt::Debug for TrustedClients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustedClients").finish_non_exhaustive()
    }
}

impl ClientCertVerifier for TrustedClients {
    fn offer_client_auth(&self) -> bool {
        self.by_path.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.by_path.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.by_path.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match self
            .by_path
            .verify_client_cert(end_entity, intermediates, now)
        {
            Err(error) if is_of_the_path(&error) && self.trusted.contains(end_entity) => {
                Ok(ClientCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by_path.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by_path.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.by_path.supported_verify_schemes()
    }
}

struct TrustedServers {
    by_path: Arc<WebPkiServerVerifier>,
    trusted: Vec<CertificateDer<'static>>,
    verify_host_name: bool,
}

impl fmt::Debug for TrustedServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustedServers").finish_non_exhaustive()
    }
}

impl ServerCertVerifier for TrustedServers {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.by_path.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match verified {
            Err(error) if is_of_the_path(&error) && self.trusted.contains(end_entity) => {
                Ok(ServerCertVerified::assertion())
            }
            // Names are looked at last: all else was in order.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.verify_host_name => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by_path.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by_path.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.by_path.supported_verify_schemes()
    }
}
