//! Codecs in processes of their own, since C libraries read what strangers wrote.
//!
//! A helper is a process that knows its socket and a piece of memory, and does one frame after the other. What always holds:
//!
//! 1. Samples and codestreams lie in memory that both processes map; only messages of some hundred bytes go through the socket.
//! 2. A helper that crashes, is killed, takes too long or answers nonsense costs the frame that it had, and is replaced.
//! 3. Nothing that a helper says is believed: lengths are checked against the room that there was, formats against what was asked.
//! 4. A helper can compute and answer, no more: no files, no sockets, no processes, no more memory than its frame is granted
//!    (`confine`, `seccomp`). It dies with the archive's process, even if that is killed (`keeper`).

mod arena;
mod confine;
mod helper;
mod keeper;
mod message;
mod process;
mod seccomp;

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

pub(crate) use arena::Arena;
pub use helper::{Work, run_helper, run_helper_with};
pub(crate) use keeper::Keeper;
pub(crate) use message::Request;
pub(crate) use process::{Helper, Lost};

/// Waits until `socket` has something to read, or is closed; false if that took too long.
fn wait_readable(socket: impl AsFd, timeout: Duration) -> io::Result<bool> {
    let deadline = Instant::now() + timeout;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(&socket, PollFlags::IN)], Some(&left)) {
            Ok(ready) => return Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
