//! Our side of a helper.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags,
    SocketType, recv, send, sendmsg, socketpair,
};

use super::arena::Arena;
use super::keeper::Keeper;
use super::message::{ANSWER_BYTES, Greeting, Request, answer_from_bytes};
use super::wait_readable;
use crate::CodecError;
use crate::counts::Counters;
use crate::task::Done;

/// Time for an interpreter to start and load the core, on a slow and busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A running helper; ended when it is dropped.
#[derive(Debug)]
pub(crate) struct Helper {
    child: Child,
    socket: OwnedFd,
    counters: Arc<Counters>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Lost {
    /// It had ended before it got the frame: another one can have it.
    Before,
    /// It ended in the middle, or answered nonsense.
    Crashed(String),
    /// It took too long.
    TimedOut,
}

impl Helper {
    /// Starts a helper that shares `arena`.
    pub(crate) fn start(
        keeper: &Keeper,
        arena: &Arena,
        work_bytes: u64,
        counters: &Arc<Counters>,
    ) -> Result<Self, CodecError> {
        let failed = |reason: String| CodecError::Unavailable {
            reason: format!("could not be started: {reason}"),
        };
        let (ours, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .map_err(|error| failed(error.to_string()))?;
        let child = keeper
            .spawn(theirs)
            .map_err(|error| failed(error.to_string()))?;
        counters.helper_started();
        let mut helper = Helper {
            child,
            socket: ours,
            counters: Arc::clone(counters),
        };
        let greeting = Greeting {
            buffer_bytes: arena.buffer_bytes(),
            work_bytes,
        };
        let answer = helper.greet(greeting, arena);
        match answer.and_then(|()| helper.answer(START_TIMEOUT)) {
            Ok(_) => Ok(helper),
            Err(Lost::TimedOut) => Err(failed(format!(
                "it said nothing for {} s",
                START_TIMEOUT.as_secs()
            ))),
            Err(Lost::Before) => Err(failed(format!("it {}", helper.how_it_ended()))),
            Err(Lost::Crashed(how)) => Err(failed(format!("it {how}"))),
        }
    }

    fn greet(&self, greeting: Greeting, arena: &Arena) -> Result<(), Lost> {
        let files = [arena.file()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        ancillary.push(SendAncillaryMessage::ScmRights(&files));
        let bytes = greeting.to_bytes();
        sendmsg(
            &self.socket,
            &[IoSlice::new(&bytes)],
            &mut ancillary,
            SendFlags::NOSIGNAL,
        )
        .map(|_| ())
        .map_err(|_| Lost::Before)
    }

    /// Lets it do one frame. `codec` is the name of what does it.
    pub(crate) fn ask(
        &mut self,
        request: &Request,
        codec: &'static str,
        timeout: Duration,
    ) -> Result<Result<Done, CodecError>, Lost> {
        send(&self.socket, &request.to_bytes(), SendFlags::NOSIGNAL).map_err(|_| Lost::Before)?;
        let bytes = self.answer(timeout)?;
        answer_from_bytes(&bytes, codec)
            .ok_or_else(|| Lost::Crashed("answered out of bounds".to_owned()))
    }

    fn answer(&mut self, timeout: Duration) -> Result<[u8; ANSWER_BYTES], Lost> {
        let crashed = |error: io::Error| Lost::Crashed(format!("cannot be heard: {error}"));
        if !wait_readable(self.socket.as_fd(), timeout).map_err(crashed)? {
            return Err(Lost::TimedOut);
        }
        let mut bytes = [0; ANSWER_BYTES];
        match recv(
            &self.socket,
            &mut bytes,
            RecvFlags::DONTWAIT | RecvFlags::TRUNC,
        ) {
            Ok((_, ANSWER_BYTES)) => Ok(bytes),
            Ok((_, 0)) | Err(rustix::io::Errno::CONNRESET) => {
                Err(Lost::Crashed(self.how_it_ended()))
            }
            Ok(_) => Err(Lost::Crashed("answered out of bounds".to_owned())),
            Err(error) => Err(crashed(error.into())),
        }
    }

    /// Ends it, if it has not ended, and says how that was.
    pub(crate) fn how_it_ended(&mut self) -> String {
        // It closed its socket, so it ends by itself; what does not is not worth waiting for.
        for _ in 0..100 {
            match self.child.try_wait() {
                Ok(Some(status)) => return describe(status),
                Ok(None) => std::thread::sleep(Duration::from_millis(1)),
                Err(_) => break,
            }
        }
        "closed its socket".to_owned()
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("was ended by signal {signal}"),
        (None, code) => format!("ended with status {}", code.unwrap_or_default()),
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.counters.helper_ended();
    }
}
