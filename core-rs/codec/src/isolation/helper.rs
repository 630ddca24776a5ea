//! The helper's side: one frame after the other until the socket is closed.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, recv, recvmsg, send,
};

use super::arena::Arena;
use super::confine::Confined;
use super::message::{Greeting, REQUEST_BYTES, Request, answer_to_bytes};
use super::wait_readable;
use crate::memory::give_back_free_memory;
use crate::syntax::codec_at;
use crate::task::{Done, Task};
use crate::{CodecError, FrameCodec, FrameFormat, Photometric, Sample};

/// What does a frame's work: [`Task::run`], but in tests of what happens when it does not.
pub type Work<'a> =
    &'a dyn Fn(&Task, &dyn FrameCodec, &[u8], &mut [u8]) -> Result<Done, CodecError>;

/// After this long without a frame, the allocator gives back what it kept.
const REST: Duration = Duration::from_secs(1);

/// Works as a helper on standard input, which is a socket to the archive's process, until that is closed. Gives the
/// status to exit with.
#[must_use]
pub fn run_helper() -> i32 {
    run_helper_with(&|task, codec, input, output| task.run(codec, input, output))
}

/// As [`run_helper`], with something else than [`Task::run`].
#[must_use]
pub fn run_helper_with(work: Work<'_>) -> i32 {
    let served = io::stdin().as_fd().try_clone_to_owned();
    match served.and_then(|socket| serve(&socket, work)) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("helper for codecs: {error}");
            1
        }
    }
}

fn serve(socket: &OwnedFd, work: Work<'_>) -> io::Result<()> {
    // A panic is answered as an error of its frame; nobody reads what it prints.
    std::panic::set_hook(Box::new(|_| {}));
    let Some((greeting, memory)) = greeted(socket)? else {
        return Ok(());
    };
    let mut confined = Confined::new(&greeting, [socket, &memory])?;
    let mut arena = Arena::over(memory, greeting.buffer_bytes);
    answer(socket, &Ok(ready()))?;
    while let Some(request) = next_request(socket)? {
        let Some(request) = Request::from_bytes(&request) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        confined.allow(request.work_bytes)?;
        let done = frame(&mut arena, &request, work);
        answer(socket, &done)?;
    }
    Ok(())
}

/// What is answered to a greeting.
fn ready() -> Done {
    Done {
        length: 0,
        format: FrameFormat {
            rows: 0,
            columns: 0,
            samples_per_pixel: 0,
            bits_allocated: 0,
            bits_stored: 0,
            sample: Sample::Unsigned,
            planar: false,
            photometric: Photometric::Monochrome2,
        },
    }
}

fn frame(arena: &mut Arena, request: &Request, work: Work<'_>) -> Result<Done, CodecError> {
    let out_of_bounds = || CodecError::Helper {
        reason: "was asked for a frame out of bounds".to_owned(),
    };
    let codec = codec_at(request.syntax.into()).ok_or_else(out_of_bounds)?;
    let input_buffer = usize::from(request.input_buffer & 1);
    let most = arena.buffer_bytes();
    let length = |bytes: u64| {
        let bytes = usize::try_from(bytes).ok().filter(|_| bytes <= most);
        bytes.ok_or_else(out_of_bounds)
    };
    let (input, output) = (length(request.input_bytes)?, length(request.output_bytes)?);
    for (buffer, bytes) in [(input_buffer, input), (1 - input_buffer, output)] {
        arena
            .reserve(buffer, bytes)
            .map_err(|error| CodecError::Unavailable {
                reason: format!("cannot map {bytes} bytes: {error}"),
            })?;
    }
    let (input, output) = arena.both(input_buffer, input, output);
    work(&request.task, codec, input, output)
}

fn greeted(socket: &OwnedFd) -> io::Result<Option<(Greeting, OwnedFd)>> {
    let mut bytes = [0; REQUEST_BYTES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let message = recvmsg(
        socket,
        &mut [IoSliceMut::new(&mut bytes)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    if message.bytes == 0 {
        return Ok(None);
    }
    let memory = ancillary.drain().find_map(|each| match each {
        RecvAncillaryMessage::ScmRights(mut files) => files.next(),
        _ => None,
    });
    match (Greeting::from_bytes(&bytes), memory) {
        (Some(greeting), Some(memory)) => Ok(Some((greeting, memory))),
        _ => Err(io::Error::other("was greeted by another version of vna")),
    }
}

/// Waits for a frame; `None` when there will be no more.
fn next_request(socket: &OwnedFd) -> io::Result<Option<[u8; REQUEST_BYTES]>> {
    if !wait_readable(socket, REST)? {
        give_back_free_memory();
    }
    let mut bytes = [0; REQUEST_BYTES];
    loop {
        match recv(socket, &mut bytes, RecvFlags::empty()) {
            Ok((REQUEST_BYTES, _)) => return Ok(Some(bytes)),
            Ok(_) => return Ok(None),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn answer(socket: &OwnedFd, answer: &Result<Done, CodecError>) -> io::Result<()> {
    loop {
        match send(socket, &answer_to_bytes(answer), SendFlags::NOSIGNAL) {
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
