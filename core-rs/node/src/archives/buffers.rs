//! Buffers that go from piece to piece: fresh memory costs more than what is done with it.

use std::sync::Arc;

use parking_lot::Mutex;

/// Buffers that are kept for the next piece.
const IDLE: usize = 8;

/// Buffers of one length.
pub(crate) struct Buffers {
    bytes: usize,
    idle: Mutex<Vec<Vec<u8>>>,
}

impl Buffers {
    pub fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Buffers {
            bytes,
            idle: Mutex::default(),
        })
    }

    /// A buffer of `length` bytes, at most the common length.
    pub fn take(self: &Arc<Self>, length: usize) -> Buffer {
        let idle = self.idle.lock().pop();
        Buffer {
            bytes: idle.unwrap_or_else(|| vec![0; self.bytes]),
            length: length.min(self.bytes),
            home: Arc::clone(self),
        }
    }
}

/// A buffer with bytes of a file.
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    length: usize,
    home: Arc<Buffers>,
}

impl Buffer {
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.length]
    }

    pub fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut idle = self.home.idle.lock();
        if idle.len() < IDLE {
            idle.push(std::mem::take(&mut self.bytes));
        }
    }
}
