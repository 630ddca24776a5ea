//! How many connections and associations are open, in total and from each address.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Connections that may be open beside the allowed associations: those that wait for their request, are being rejected
/// or are closing. Each takes a read buffer of 64 KiB, for the time of ARTIM at most.
const SPARE_CONNECTIONS: usize = 64;

/// The same from one address, so that one host cannot take all spare ones.
const SPARE_CONNECTIONS_PER_PEER: usize = 16;

/// The open ones.
#[derive(Default)]
pub(super) struct Registry {
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    total: Numbers,
    peers: HashMap<IpAddr, Numbers>,
}

#[derive(Default, Clone, Copy)]
struct Numbers {
    connections: usize,
    associations: usize,
}

/// An open connection; counted until dropped.
pub(super) struct Connection {
    registry: Arc<Registry>,
    address: IpAddr,
    associated: bool,
}

impl Registry {
    /// Counts a new connection, unless there are too many.
    pub fn connect(
        self: &Arc<Self>,
        address: IpAddr,
        max_associations: usize,
        max_associations_per_peer: usize,
    ) -> Option<Connection> {
        let mut open = self.open.lock();
        if open.total.connections >= max_associations.saturating_add(SPARE_CONNECTIONS) {
            return None;
        }
        let of_peer = open.peers.get(&address).map_or(0, |peer| peer.connections);
        if of_peer >= max_associations_per_peer.saturating_add(SPARE_CONNECTIONS_PER_PEER) {
            return None;
        }
        open.total.connections += 1;
        open.peers.entry(address).or_default().connections += 1;
        Some(Connection {
            registry: Arc::clone(self),
            address,
            associated: false,
        })
    }

    /// Open connections and associations.
    pub fn numbers(&self) -> (usize, usize) {
        let open = self.open.lock();
        (open.total.connections, open.total.associations)
    }
}

impl Connection {
    /// Counts the connection's association, unless there are too many.
    pub fn associate(&mut self, max_associations: usize, max_associations_per_peer: usize) -> bool {
        let mut open = self.registry.open.lock();
        let of_peer = open
            .peers
            .get(&self.address)
            .map_or(0, |peer| peer.associations);
        if open.total.associations >= max_associations || of_peer >= max_associations_per_peer {
            return false;
        }
        open.total.associations += 1;
        open.peers.entry(self.address).or_default().associations += 1;
        self.associated = true;
        true
    }

    /// The association has ended; the connection may linger.
    pub fn dissociate(&mut self) {
        if std::mem::take(&mut self.associated) {
            let mut open = self.registry.open.lock();
            open.total.associations -= 1;
            if let Some(peer) = open.peers.get_mut(&self.address) {
                peer.associations -= 1;
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.dissociate();
        let mut open = self.registry.open.lock();
        open.total.connections -= 1;
        if let Some(peer) = open.peers.get_mut(&self.address) {
            peer.connections -= 1;
            if peer.connections == 0 {
                open.peers.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_in_total_and_per_peer_and_end_with_the_connection() {
        let registry = Arc::new(Registry::default());
        let [a, b, c]: [IpAddr; 3] =
            ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(|text| text.parse().unwrap());
        let connect = |address| {
            let mut connection = registry.connect(address, 3, 2).unwrap();
            (connection.associate(3, 2), connection)
        };
        let (ok, first) = connect(a);
        let (ok2, _second) = connect(a);
        assert!(ok && ok2);
        let (third, mut waiting) = connect(a);
        assert!(!third, "the third of one peer");
        let (ok, _other) = connect(b);
        assert!(ok);
        assert!(!connect(c).0, "the fourth in total");
        drop(first);
        assert!(waiting.associate(3, 2));
        waiting.dissociate();
        waiting.dissociate();
        assert_eq!(registry.numbers().1, 2);
        drop(waiting);
        assert_eq!(registry.numbers(), (2, 2));
    }

    #[test]
    fn connections_are_bounded_before_they_say_anything() {
        let registry = Arc::new(Registry::default());
        let address = IpAddr::from([10, 0, 0, 1]);
        let of_one: Vec<_> = std::iter::from_fn(|| registry.connect(address, 100, 4))
            .take(1000)
            .collect();
        assert_eq!(of_one.len(), 4 + SPARE_CONNECTIONS_PER_PEER);
        drop(of_one);
        assert!(registry.open.lock().peers.is_empty(), "peers are forgotten");
    }
}
