//! Memory of all frames in work together (invariant 6).

use std::collections::VecDeque;

use parking_lot::{Condvar, Mutex};

use crate::CodecError;

/// For what a frame takes memory, in the order in which it does.
///
/// Each has a part of the budget of its own, and a lease takes from them in this order only: who waits for one holds
/// nothing of it or of those behind it, so whoever holds some will go on, and no two leases wait for each other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Stage {
    /// The input: a codestream, or samples to be encoded.
    Input,
    /// What is decoded, and what the codec needs for that.
    Decoding,
    /// What is encoded, and what the codec needs for that.
    Encoding,
}

/// Bytes by stage.
#[derive(Debug)]
pub(crate) struct Budget {
    parts: [Part; 3],
}

#[derive(Debug)]
struct Part {
    bytes: u64,
    taken: Mutex<Taken>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Taken {
    bytes: u64,
    /// Who waits, in order of arrival: a large frame is not overtaken for ever by small ones.
    waiting: VecDeque<u64>,
    last: u64,
}

impl Budget {
    /// A quarter for input, the rest by halves for what is decoded and encoded.
    pub(crate) fn new(bytes: u64) -> Self {
        let input = bytes / 4;
        let rest = (bytes - input) / 2;
        let part = |bytes| Part {
            bytes,
            taken: Mutex::default(),
            changed: Condvar::new(),
        };
        Budget {
            parts: [part(input), part(rest), part(rest)],
        }
    }

    /// All bytes that are taken.
    pub(crate) fn taken(&self) -> u64 {
        self.parts.iter().map(|part| part.taken.lock().bytes).sum()
    }

    /// Most bytes that one frame can have of a stage.
    pub(crate) fn most(&self, stage: Stage) -> u64 {
        self.parts[stage as usize].bytes
    }

    /// Waits until `bytes` are free.
    ///
    /// # Errors
    ///
    /// [`CodecError::Limit`] if there are not that many at all.
    pub(crate) fn take(&self, stage: Stage, bytes: u64) -> Result<(), CodecError> {
        let part = &self.parts[stage as usize];
        if bytes > part.bytes {
            return Err(CodecError::Limit {
                what: "bytes of memory for a frame",
                found: bytes,
                limit: part.bytes,
            });
        }
        let mut taken = part.taken.lock();
        taken.last += 1;
        let me = taken.last;
        taken.waiting.push_back(me);
        while taken.waiting.front() != Some(&me) || part.bytes - taken.bytes < bytes {
            part.changed.wait(&mut taken);
        }
        taken.waiting.pop_front();
        taken.bytes += bytes;
        if !taken.waiting.is_empty() {
            part.changed.notify_all();
        }
        Ok(())
    }

    /// Gives `bytes` back.
    pub(crate) fn give(&self, stage: Stage, bytes: u64) {
        let part = &self.parts[stage as usize];
        let mut taken = part.taken.lock();
        taken.bytes -= bytes;
        if !taken.waiting.is_empty() {
            part.changed.notify_all();
        }
    }
}

/// What one lease has of a budget; goes back when it is dropped.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    budget: &'a Budget,
    bytes: [u64; 3],
}

impl<'a> Held<'a> {
    pub(crate) fn new(budget: &'a Budget) -> Self {
        Held {
            budget,
            bytes: [0; 3],
        }
    }

    /// Has `bytes` of `stage`, and nothing any more of it and of those behind it.
    pub(crate) fn take(&mut self, stage: Stage, bytes: u64) -> Result<(), CodecError> {
        for later in [Stage::Encoding, Stage::Decoding, Stage::Input] {
            if later >= stage {
                self.give(later);
            }
        }
        self.budget.take(stage, bytes)?;
        self.bytes[stage as usize] = bytes;
        Ok(())
    }

    /// Gives back what it has of `stage`.
    pub(crate) fn give(&mut self, stage: Stage) {
        let bytes = std::mem::take(&mut self.bytes[stage as usize]);
        if bytes > 0 {
            self.budget.give(stage, bytes);
        }
    }

    /// Gives back all but `bytes` of `stage`.
    pub(crate) fn keep(&mut self, stage: Stage, bytes: u64) {
        let held = &mut self.bytes[stage as usize];
        let surplus = held.saturating_sub(bytes);
        *held -= surplus;
        if surplus > 0 {
            self.budget.give(stage, surplus);
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        for stage in [Stage::Input, Stage::Decoding, Stage::Encoding] {
            self.give(stage);
        }
    }
}
