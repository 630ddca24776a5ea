//! Who may ask without the application: those whom it knew a moment ago.
//!
//! Held is a keyed hash of what stood in the Authorization header, never the header. The key is random and of this
//! process, so neither does a look into memory tell a password, nor the time that a look-up takes.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::header::HeaderValue;
use parking_lot::RwLock;

/// Clients that are remembered at a time. One that is not costs the way through the application.
const MOST_KNOWN: usize = 4096;

/// The scheme of Authorization of the owner's commands.
const LOCAL_SCHEME: &[u8] = b"VNA-Local ";

/// What the application remembered of clients. Until it says otherwise, everybody must be known.
#[derive(Debug)]
pub struct Credentials {
    keys: (RandomState, RandomState),
    state: RwLock<State>,
}

#[derive(Debug)]
struct State {
    required: bool,
    known: HashMap<u128, Known>,
}

#[derive(Debug, Clone)]
struct Known {
    client: Client,
    until: Instant,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Whose part of the archive it is.
    pub tenant: i64,
    /// His name, if he must be known.
    pub user: Option<Arc<str>>,
    /// Whether he may store.
    pub may_store: bool,
}

impl Default for Credentials {
    fn default() -> Self {
        Self {
            keys: (RandomState::new(), RandomState::new()),
            state: RwLock::new(State {
                required: true,
                known: HashMap::new(),
            }),
        }
    }
}

impl Credentials {
    /// Sets whether clients must be known, and forgets all that were.
    pub fn require(&self, required: bool) {
        let mut state = self.state.write();
        state.required = required;
        state.known.clear();
    }

    /// Lets who sends this Authorization header do as he may, for a time.
    pub fn remember(&self, authorization: &[u8], client: Client, time: Duration) {
        let now = Instant::now();
        let Some(until) = now.checked_add(time) else {
            return;
        };
        let mut state = self.state.write();
        if state.known.len() >= MOST_KNOWN {
            state.known.retain(|_, known| known.until > now);
        }
        if state.known.len() >= MOST_KNOWN {
            state.known.clear();
        }
        state
            .known
            .insert(self.keyed(authorization), Known { client, until });
    }

    /// Whose request it is: anybody's, of this tenant, if nobody must be known; `None` if the application has to find out.
    pub(super) fn client(
        &self,
        authorization: Option<&HeaderValue>,
        anybodys: i64,
    ) -> Option<Client> {
        let state = self.state.read();
        if !state.required {
            // The owner of the folder may act for any tenant, which the application has to look at.
            let names_a_tenant = authorization.is_some_and(|header| {
                let words = header.as_bytes().split(|byte| *byte == b' ');
                header.as_bytes().starts_with(LOCAL_SCHEME) && words.count() > 2
            });
            return (!names_a_tenant).then_some(Client {
                tenant: anybodys,
                user: None,
                may_store: true,
            });
        }
        let known = state.known.get(&self.keyed(authorization?.as_bytes()))?;
        (known.until > Instant::now()).then(|| known.client.clone())
    }

    fn keyed(&self, text: &[u8]) -> u128 {
        let (first, second) = &self.keys;
        u128::from(first.hash_one(text)) << 64 | u128::from(second.hash_one(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn header(text: &'static str) -> HeaderValue {
        HeaderValue::from_static(text)
    }

    fn client(tenant: i64) -> Client {
        Client {
            tenant,
            user: Some(Arc::from("ann")),
            may_store: false,
        }
    }

    fn tenant(credentials: &Credentials, text: &'static str) -> Option<i64> {
        let found = credentials.client(Some(&header(text)), 1);
        found.map(|found| found.tenant)
    }

    #[test]
    fn until_told_otherwise_everybody_is_the_applications() {
        let credentials = Credentials::default();
        assert_eq!(credentials.client(None, 1), None);
        credentials.require(false);
        let anybody = credentials.client(None, 1).unwrap();
        assert!(anybody.tenant == 1 && anybody.user.is_none() && anybody.may_store);
        for (text, read) in [
            ("VNA-Local x", Some(1)),
            ("VNA-Local x 2", None),
            ("Basic YTpi", Some(1)),
        ] {
            assert_eq!(tenant(&credentials, text), read, "{text}");
        }
    }

    #[test]
    fn who_was_remembered_reads_what_his_tenant_has_until_his_time_is_over() {
        let credentials = Credentials::default();
        credentials.remember(b"Basic YTpi", client(7), MINUTE);
        credentials.remember(b"Basic old", client(7), Duration::ZERO);
        let known = credentials.client(Some(&header("Basic YTpi")), 1);
        assert_eq!(known, Some(client(7)));
        for other in ["Basic YTpj", "Basic old", ""] {
            assert_eq!(tenant(&credentials, other), None, "{other}");
        }
        assert_eq!(credentials.client(None, 1), None);
        credentials.require(true);
        assert_eq!(tenant(&credentials, "Basic YTpi"), None);
    }

    #[test]
    fn no_more_are_remembered_than_there_is_room_for() {
        let credentials = Credentials::default();
        for number in 0..3 * MOST_KNOWN {
            credentials.remember(number.to_string().as_bytes(), client(1), MINUTE);
            assert!(credentials.state.read().known.len() <= MOST_KNOWN);
        }
        let last = (3 * MOST_KNOWN - 1).to_string();
        let last = HeaderValue::try_from(last).unwrap();
        assert!(credentials.client(Some(&last), 1).is_some());
    }
}
