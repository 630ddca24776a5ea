//! A connection, plain or under TLS, read and written without waiting.
//!
//! Under TLS what was written may wait in the session: [`Stream::try_flush`] says when all of it is on its way.

use crate::tls::TlsProblem;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::sync::Arc;
use tokio::net::TcpStream;

/// Bytes that wait in a session until they are encrypted and sent: a piece of an instance and its headers.
const SESSION_BYTES: usize = 1 << 20;

/// A connection.
pub(super) enum Stream {
    /// Bytes as they are.
    Plain(TcpStream),
    /// Under TLS.
    Tls(Box<Tls>),
}

/// A connection under TLS.
pub(super) struct Tls {
    stream: TcpStream,
    session: Connection,
    /// What broke the session.
    fault: Option<String>,
}

impl Stream {
    /// Begins TLS as the one that was connected to. It is there when this returns.
    pub async fn accept(
        stream: TcpStream,
        config: Arc<ServerConfig>,
    ) -> Result<Stream, TlsProblem> {
        let session = ServerConnection::new(config).map_err(|error| problem(&error))?;
        Tls::begin(stream, Connection::Server(session)).await
    }

    /// Begins TLS as the one that connected to `host`.
    pub async fn connect(
        stream: TcpStream,
        config: Arc<ClientConfig>,
        host: &str,
    ) -> Result<Stream, TlsProblem> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| TlsProblem(format!("{host:?} is neither a DNS name nor an address")))?;
        let session = ClientConnection::new(config, name).map_err(|error| problem(&error))?;
        Tls::begin(stream, Connection::Client(session)).await
    }

    /// What broke TLS, if that was it.
    pub fn fault(&self) -> Option<&str> {
        match self {
            Stream::Plain(_) => None,
            Stream::Tls(tls) => tls.fault.as_deref(),
        }
    }

    fn tcp(&self) -> &TcpStream {
        match self {
            Stream::Plain(stream) => stream,
            Stream::Tls(tls) => &tls.stream,
        }
    }

    /// Waits until there may be something to read. What a session holds was read already when there was nothing.
    pub async fn readable(&self) -> io::Result<()> {
        self.tcp().readable().await
    }

    /// Waits until something may be written.
    pub async fn writable(&self) -> io::Result<()> {
        self.tcp().writable().await
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub fn acknowledge(&self) {
        let _ = self.tcp().set_quickack(true);
    }

    /// Reads what is there.
    pub fn try_read_vectored(&mut self, slices: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.try_read_vectored(slices),
            Stream::Tls(tls) => tls.read(slices),
        }
    }

    /// Takes what it can of the bytes.
    pub fn try_write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.try_write_vectored(slices),
            Stream::Tls(tls) => tls.write(slices),
        }
    }

    /// Sends what the session holds.
    pub fn try_flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(_) => Ok(()),
            Stream::Tls(tls) => tls.flush(),
        }
    }
}

impl Tls {
    async fn begin(stream: TcpStream, mut session: Connection) -> Result<Stream, TlsProblem> {
        session.set_buffer_limit(Some(SESSION_BYTES));
        let mut tls = Tls {
            stream,
            session,
            fault: None,
        };
        loop {
            match tls.flush() {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    tls.stream
                        .writable()
                        .await
                        .map_err(|error| broken(&error))?;
                    continue;
                }
                Err(error) => return Err(broken(&error)),
            }
            if !tls.session.is_handshaking() {
                return Ok(Stream::Tls(Box::new(tls)));
            }
            match tls.fill() {
                Ok(0) => {
                    return Err(TlsProblem(
                        "the peer closed the connection in the middle of the handshake: it may not speak TLS, or \
                         refuse our certificate"
                            .to_owned(),
                    ));
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    tls.stream
                        .readable()
                        .await
                        .map_err(|error| broken(&error))?;
                }
                Err(error) => {
                    let _ = tls.flush(); // the alert tells the peer why
                    return Err(TlsProblem(tls.fault.unwrap_or_else(|| error.to_string())));
                }
            }
        }
    }

    /// Reads records from the connection; 0 at its end.
    fn fill(&mut self) -> io::Result<usize> {
        let count = self.session.read_tls(&mut Direct(&self.stream))?;
        if let Err(error) = self.session.process_new_packets() {
            self.fault = Some(describe(&error));
            return Err(io::Error::new(ErrorKind::InvalidData, error));
        }
        Ok(count)
    }

    fn read(&mut self, slices: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        loop {
            let mut total = 0;
            for slice in slices.iter_mut().filter(|slice| !slice.is_empty()) {
                // As much as there is; 0 when the peer has ended the session.
                match self.session.reader().read(slice) {
                    Ok(0) if total == 0 => return Ok(0),
                    Ok(count) => {
                        total += count;
                        if count < slice.len() {
                            break;
                        }
                    }
                    Err(error) if total == 0 && error.kind() != ErrorKind::WouldBlock => {
                        return Err(error);
                    }
                    Err(_) => break,
                }
            }
            if total > 0 {
                return Ok(total);
            }
            if self.fill()? == 0 {
                return Ok(0);
            }
        }
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let taken = self.session.writer().write_vectored(slices)?;
        match self.flush() {
            Err(error) if error.kind() == ErrorKind::WouldBlock && taken > 0 => Ok(taken),
            Err(error) => Err(error),
            // Full before, and empty now.
            Ok(()) if taken == 0 => self.session.writer().write_vectored(slices),
            Ok(()) => Ok(taken),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            self.session.write_tls(&mut Direct(&self.stream))?;
        }
        Ok(())
    }
}

/// The connection as the session reads and writes it.
struct Direct<'a>(&'a TcpStream);

impl Read for Direct<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Direct<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn problem(error: &rustls::Error) -> TlsProblem {
    TlsProblem(describe(error))
}

fn broken(error: &io::Error) -> TlsProblem {
    TlsProblem(format!("the connection broke in the handshake: {error}"))
}

/// What went wrong, and whose fault it is.
fn describe(error: &rustls::Error) -> String {
    use rustls::Error::{
        AlertReceived, InvalidCertificate, InvalidMessage, NoCertificatesPresented,
    };
    match error {
        AlertReceived(alert) => format!("the peer refused: {alert:?}"),
        InvalidCertificate(why) => format!("the peer's certificate is not trusted: {why}"),
        NoCertificatesPresented => "the peer showed no certificate, and has to".to_owned(),
        InvalidMessage(why) => format!("what the peer sent is no TLS: {why:?}"),
        other => other.to_string(),
    }
}
