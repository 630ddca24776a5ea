//! Configurations that follow their files: looked at when a connection begins, at most once a second. New files that do
//! not do are told of in the log, and the old ones go on.

use super::files::{TlsSettings, read};
use super::verifying::{client_config, server_config};
use super::{ClientCertificates, TlsProblem};
use parking_lot::Mutex;
use rustls::{ClientConfig, ServerConfig};
use std::hash::{DefaultHasher, Hasher};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often the files are looked at, at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Requestor configurations that are kept for the next association.
const MAX_CLIENTS: usize = 64;

/// Of each file a hash of what is in it, since time and length may stay when it changes; `None` if it cannot be read.
type Stamp = Vec<Option<u64>>;

/// What is used until the files change.
struct Current<C> {
    config: Arc<C>,
    stamp: Stamp,
    looked: Instant,
}

impl<C> Current<C> {
    fn load(
        settings: &TlsSettings,
        load: impl FnOnce() -> Result<C, TlsProblem>,
    ) -> Result<Self, TlsProblem> {
        // Before they are read: what changes while they are is read once more.
        let stamp = stamp(settings);
        Ok(Current {
            config: Arc::new(load()?),
            stamp,
            looked: Instant::now(),
        })
    }

    fn follow(&mut self, settings: &TlsSettings, load: impl FnOnce() -> Result<C, TlsProblem>) {
        if self.looked.elapsed() < LOOK_EVERY {
            return;
        }
        self.looked = Instant::now();
        let stamp = stamp(settings);
        if stamp == self.stamp {
            return;
        }
        self.stamp = stamp;
        match load() {
            Ok(config) => {
                self.config = Arc::new(config);
                tracing::info!("the files of TLS have changed and were read again");
            }
            Err(problem) => {
                let problem = problem.to_string();
                tracing::error!(
                    problem,
                    "the files of TLS have changed and do not do; the old ones are used on"
                );
            }
        }
    }
}

fn stamp(settings: &TlsSettings) -> Stamp {
    let stamp = |path: &Path| {
        let mut hasher = DefaultHasher::new();
        hasher.write(&read("", path).ok()?);
        Some(hasher.finish())
    };
    settings.paths().map(stamp).collect()
}

/// TLS of a listener.
pub struct Server {
    settings: TlsSettings,
    clients: ClientCertificates,
    current: Mutex<Current<ServerConfig>>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Reads what the settings name.
    ///
    /// # Errors
    ///
    /// What of it is not there, or not fit.
    pub fn new(settings: &TlsSettings, clients: ClientCertificates) -> Result<Server, TlsProblem> {
        let current = Current::load(settings, || server_config(settings, clients))?;
        Ok(Server {
            settings: settings.clone(),
            clients,
            current: Mutex::new(current),
        })
    }

    /// What the next connection is to use.
    pub fn config(&self) -> Arc<ServerConfig> {
        let mut current = self.current.lock();
        current.follow(&self.settings, || {
            server_config(&self.settings, self.clients)
        });
        Arc::clone(&current.config)
    }
}

/// TLS of a requestor.
pub(crate) struct Client;

/// Of each way to be a client, what is used.
static CLIENTS: Mutex<Vec<(TlsSettings, bool, Current<ClientConfig>)>> = Mutex::new(Vec::new());

impl Client {
    /// What the next connection is to use.
    pub fn config(
        settings: &TlsSettings,
        verify_host_name: bool,
    ) -> Result<Arc<ClientConfig>, TlsProblem> {
        let load = || client_config(settings, verify_host_name);
        let mut clients = CLIENTS.lock();
        let known = clients
            .iter_mut()
            .find(|(known, names, _)| known == settings && *names == verify_host_name);
        if let Some((.., current)) = known {
            current.follow(settings, load);
            return Ok(Arc::clone(&current.config));
        }
        let current = Current::load(settings, load)?;
        let config = Arc::clone(&current.config);
        if clients.len() >= MAX_CLIENTS {
            clients.remove(0);
        }
        clients.push((settings.clone(), verify_host_name, current));
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};

    #[test]
    fn a_file_that_changes_is_read_again_though_its_time_and_length_stay() {
        let name = format!("vna-reloading-{}.pem", std::process::id());
        let certificate = std::env::temp_dir().join(name);
        fs::write(&certificate, "old").unwrap();
        let time = fs::metadata(&certificate).unwrap().modified().unwrap();
        let settings = TlsSettings {
            certificate: certificate.clone(),
            ..TlsSettings::default()
        };
        let load = || Ok(fs::read_to_string(&certificate).unwrap());
        let mut current = Current::load(&settings, load).unwrap();
        fs::write(&certificate, "new").unwrap();
        let file = File::options().write(true).open(&certificate).unwrap();
        file.set_modified(time).unwrap();
        current.follow(&settings, load);
        assert_eq!(*current.config, "old"); // it was looked at a moment ago
        current.looked -= 2 * LOOK_EVERY;
        current.follow(&settings, load);
        assert_eq!(*current.config, "new");
        fs::remove_file(&certificate).unwrap();
    }
}
