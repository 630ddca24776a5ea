//! Where codecs run, and how much memory they get.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::budget::{Budget, Held, Stage};
use crate::counts::{CodecCounts, Counters, count};
use crate::isolation::{Arena, Helper, Keeper, Lost, Request};
use crate::syntax::codec_index;
use crate::task::{Action, Done, Task};
use crate::{
    CodecError, Colour, DEFAULT_MAX_FRAME_BYTES, DEFAULT_MEMORY_BYTES, EncodeOptions, FrameCodec,
    FrameFormat, codec, native, pixel_syntax,
};

/// What a buffer of a helper at rest keeps of its memory, for the next frame.
const REST_BYTES: usize = 8 << 20;
/// What a buffer without a helper keeps: a radiograph of two megapixels, or a colour image of one.
const SPARE_BYTES: usize = 4 << 20;

/// Bounds of the codecs, and where they run.
#[derive(Clone, Debug)]
pub struct CodecSettings {
    /// The command that starts a process for codecs, which calls [`crate::run_helper`]; its standard input is the socket.
    /// Without one, codecs run in this process.
    pub helper_command: Option<Vec<String>>,
    /// How many frames are worked on at once; at most as many helpers run.
    pub parallel: usize,
    /// Most bytes of one frame, encoded or decoded.
    pub max_frame_bytes: u64,
    /// How long one frame may take, in seconds, before its helper is ended.
    pub frame_timeout_s: u32,
    /// Most bytes of all frames in work together: what goes in, what comes out, and what codecs allocate meanwhile.
    pub memory_bytes: u64,
    /// After how long without a frame a helper is ended, in seconds.
    pub helper_rest_s: u32,
}

impl Default for CodecSettings {
    fn default() -> Self {
        CodecSettings {
            helper_command: None,
            parallel: std::thread::available_parallelism().map_or(1, usize::from),
            max_frame_bytes: DEFAULT_MAX_FRAME_BYTES,
            frame_timeout_s: 60,
            memory_bytes: DEFAULT_MEMORY_BYTES,
            helper_rest_s: 60,
        }
    }
}

/// All codecs, with bounded memory. Shared by everything in the process that decodes.
#[derive(Debug)]
pub struct Codecs {
    settings: CodecSettings,
    budget: Budget,
    counters: Arc<Counters>,
    keeper: Option<Keeper>,
    leases: Mutex<usize>,
    returned: Condvar,
    /// Memory of leases that needed no helper, for the next ones, with when it was used last: mapping it anew costs as
    /// much as a small native frame.
    spare: Mutex<Vec<(Instant, Arena)>>,
}

/// A place to decode or encode frames one after the other: dropped, it is free for the next. Calls block; a lease is
/// used on a thread that may wait. A thread has one lease at a time, and drops it before it waits for anything but the disk:
/// others wait for it.
#[derive(Debug)]
pub struct Lease<'a> {
    codecs: &'a Codecs,
    held: Held<'a>,
    /// There until the lease is dropped.
    arena: Option<Arena>,
    helper: Option<Helper>,
    /// Whether a helper has, or had, the memory too.
    is_shared: bool,
    /// Which buffer of the arena has the input.
    input_buffer: usize,
    input_bytes: usize,
    output_bytes: usize,
}

/// A decoded frame, in memory that the lease owns.
#[derive(Debug)]
pub struct Decoded<'a> {
    /// Interleaved samples, little endian.
    pub samples: &'a [u8],
    /// What they are.
    pub format: FrameFormat,
}

impl Codecs {
    /// Codecs with these bounds. Nothing is started before the first frame.
    #[must_use]
    pub fn new(settings: CodecSettings) -> Self {
        let rest = Duration::from_secs(settings.helper_rest_s.into());
        let keeper = settings.helper_command.clone();
        Codecs {
            // What helpers at rest keep is not for frames.
            budget: Budget::new(settings.memory_bytes.saturating_sub(rest_bytes(&settings))),
            counters: Arc::default(),
            keeper: keeper.map(|command| Keeper::new(command, rest)),
            leases: Mutex::new(0),
            returned: Condvar::new(),
            spare: Mutex::default(),
            settings,
        }
    }

    /// The bounds.
    #[must_use]
    pub fn settings(&self) -> &CodecSettings {
        &self.settings
    }

    /// What became of frames until now, and what is in use.
    #[must_use]
    pub fn counts(&self) -> CodecCounts {
        CodecCounts {
            used_bytes: self.budget.taken(),
            budget_bytes: self.settings.memory_bytes,
            idle_bytes: self.keeper.as_ref().map_or(0, Keeper::mapped_bytes) + self.spare_bytes(),
            ..self.counters.read()
        }
    }

    /// Waits for a free place.
    ///
    /// # Errors
    ///
    /// [`CodecError::Unavailable`] if the system gives no memory to share.
    pub fn lease(&self) -> Result<Lease<'_>, CodecError> {
        let mut leases = self.leases.lock();
        while *leases >= self.settings.parallel.max(1) {
            self.returned.wait(&mut leases);
        }
        *leases += 1;
        drop(leases);
        // From here on, dropping it gives the place back.
        let mut lease = Lease {
            codecs: self,
            held: Held::new(&self.budget),
            arena: None,
            helper: None,
            is_shared: false,
            input_buffer: 0,
            input_bytes: 0,
            output_bytes: 0,
        };
        if let Some((arena, helper)) = self.keeper.as_ref().and_then(Keeper::take) {
            lease.arena = Some(arena);
            lease.helper = Some(helper);
            lease.is_shared = true;
        } else {
            // What was used last, so that the others have a chance to go.
            let spare = self.spare.lock().pop();
            let arena =
                spare.map_or_else(|| Arena::new(self.buffer_bytes()), |(_, arena)| Ok(arena));
            lease.arena = Some(arena.map_err(no_memory)?);
        }
        Ok(lease)
    }

    fn spare_bytes(&self) -> u64 {
        let spare = self.spare.lock();
        spare.iter().map(|(_, arena)| arena.mapped_bytes()).sum()
    }

    /// Gives back memory that no frame has needed for as long as a helper may rest. To be called now and then.
    pub fn give_back_idle(&self) {
        let rest = Duration::from_secs(self.settings.helper_rest_s.into());
        let idle: Vec<_> = {
            let mut spare = self.spare.lock();
            // In the order in which they were used.
            let idle = spare.partition_point(|(used, _)| used.elapsed() >= rest);
            spare.drain(..idle).collect()
        };
        drop(idle); // without the lock: unmapping takes a while
    }

    /// Most bytes of a buffer: samples, or the longest codestream of noise.
    fn buffer_bytes(&self) -> u64 {
        self.settings.max_frame_bytes.saturating_mul(2).max(1 << 20)
    }

    /// Most bytes that a codec may allocate, however large the frame.
    fn most_work_bytes(&self) -> u64 {
        self.budget.most(Stage::Decoding)
    }

    fn checked(&self, length: u64) -> Result<usize, CodecError> {
        let limit = self.settings.max_frame_bytes;
        usize::try_from(length)
            .ok()
            .filter(|_| length <= limit)
            .ok_or(CodecError::Limit {
                what: "bytes of a frame",
                found: length,
                limit,
            })
    }
}

/// What all leases that are not taken may keep: as many as there may be, with a helper or without.
fn rest_bytes(settings: &CodecSettings) -> u64 {
    let of_one = match settings.helper_command {
        Some(_) => REST_BYTES + SPARE_BYTES,
        None => SPARE_BYTES,
    };
    2 * of_one as u64 * settings.parallel as u64
}

impl Lease<'_> {
    /// Room for `length` bytes of input, which the caller fills: a codestream, or samples. What was there before is gone.
    ///
    /// # Errors
    ///
    /// [`CodecError::Limit`] if it is more than a frame may have, [`CodecError::Unavailable`] if the system gives no memory.
    pub fn input(&mut self, length: u64) -> Result<&mut [u8], CodecError> {
        let bytes = self.codecs.checked(length)?;
        (self.input_bytes, self.output_bytes) = (0, 0);
        self.held.take(Stage::Input, length)?;
        let buffer = self.input_buffer;
        let arena = self.arena();
        arena.reserve(buffer, bytes).map_err(no_memory)?;
        self.input_bytes = bytes;
        Ok(self.arena().bytes_mut(buffer, bytes))
    }

    /// Decodes what [`Lease::input`] was filled with, in `transfer_syntax_uid`: a codestream, or a native frame.
    ///
    /// # Errors
    ///
    /// As [`crate::FrameCodec::decode`]; [`CodecError::Limit`], [`CodecError::Helper`], [`CodecError::Unavailable`].
    pub fn decode(
        &mut self,
        transfer_syntax_uid: &str,
        format: &FrameFormat,
        colour: Colour,
    ) -> Result<Decoded<'_>, CodecError> {
        let room = self.codecs.checked(format.frame_bytes()?)?;
        let task = Task {
            action: Action::Decode(colour),
            format: *format,
        };
        let done = match codec(transfer_syntax_uid) {
            Some(codec) => self.run(&task, transfer_syntax_uid, codec, Stage::Decoding, room),
            None if is_native(transfer_syntax_uid) => self.decode_native(
                &task,
                native::is_big_endian(transfer_syntax_uid),
                colour,
                room,
            ),
            None => Err(unsupported(transfer_syntax_uid)),
        };
        let done = self.counted(done, &self.codecs.counters.decoded, room)?;
        Ok(Decoded {
            samples: self.output(),
            format: done.format,
        })
    }

    /// As [`Lease::decode`], into memory of the caller's, which is as long as the frame. What needs no helper is decoded
    /// there at once.
    ///
    /// # Errors
    ///
    /// As [`Lease::decode`]; [`CodecError::Mismatch`] if `out` is of another length. It is undefined after an error.
    pub fn decode_into(
        &mut self,
        transfer_syntax_uid: &str,
        format: &FrameFormat,
        colour: Colour,
        out: &mut [u8],
    ) -> Result<FrameFormat, CodecError> {
        let length = self.codecs.checked(format.frame_bytes()?)?;
        if out.len() != length {
            return Err(CodecError::Mismatch {
                what: "bytes of memory for a frame",
                expected: length as u64,
                found: out.len() as u64,
            });
        }
        let codec = match codec(transfer_syntax_uid) {
            Some(codec) if self.codecs.keeper.is_none() || !codec.needs_helper() => codec,
            _ => {
                let decoded = self.decode(transfer_syntax_uid, format, colour)?;
                out.copy_from_slice(decoded.samples);
                return Ok(decoded.format);
            }
        };
        let task = Task {
            action: Action::Decode(colour),
            format: *format,
        };
        self.output_bytes = 0;
        let most = self.codecs.budget.most(Stage::Decoding);
        self.held
            .take(Stage::Decoding, codec.work_bytes(format).min(most))?;
        let arena = self.arena.as_ref().expect("a lease has an arena");
        let input = arena.bytes(self.input_buffer, self.input_bytes);
        let done = task.run(codec, input, out);
        self.held.give(Stage::Decoding);
        self.counted(done, &self.codecs.counters.decoded, 0)
            .map(|done| done.format)
    }

    /// Encodes the samples that [`Lease::input`] was filled with; gives the codestream and its format.
    ///
    /// # Errors
    ///
    /// [`CodecError::Unsupported`] if the format contradicts itself; as [`crate::FrameCodec::encode`]; [`CodecError::Limit`], [`CodecError::Helper`], [`CodecError::Unavailable`].
    pub fn encode(
        &mut self,
        transfer_syntax_uid: &str,
        format: &FrameFormat,
        options: &EncodeOptions,
    ) -> Result<(&[u8], FrameFormat), CodecError> {
        let codec = codec(transfer_syntax_uid).ok_or_else(|| unsupported(transfer_syntax_uid))?;
        format.check()?;
        // No codestream is longer than a buffer; a codec that finds no room for its own says so.
        let room = codec.max_encoded_bytes(format);
        let room = room.min(self.codecs.buffer_bytes());
        let room = usize::try_from(room).map_err(|_| CodecError::Limit {
            what: "bytes of a codestream",
            found: room,
            limit: self.codecs.settings.max_frame_bytes,
        })?;
        let task = Task {
            action: Action::Encode(*options),
            format: *format,
        };
        let done = self.run(&task, transfer_syntax_uid, codec, Stage::Encoding, room);
        let done = self.counted(done, &self.codecs.counters.encoded, room)?;
        Ok((self.output(), done.format))
    }

    /// Makes what was decoded last the input of the next [`Lease::encode`].
    pub fn output_as_input(&mut self) {
        self.input_buffer = 1 - self.input_buffer;
        self.input_bytes = std::mem::take(&mut self.output_bytes);
        self.held.give(Stage::Input);
    }

    fn output(&self) -> &[u8] {
        let arena = self.arena.as_ref().expect("a lease has an arena");
        arena.bytes(1 - self.input_buffer, self.output_bytes)
    }

    fn arena(&mut self) -> &mut Arena {
        self.arena.as_mut().expect("a lease has an arena")
    }

    /// A native frame, in this process.
    fn decode_native(
        &mut self,
        task: &Task,
        big_endian: bool,
        colour: Colour,
        room: usize,
    ) -> Result<Done, CodecError> {
        // Samples in the other byte order are turned in a copy.
        let copy = if big_endian { room as u64 } else { 0 };
        self.make_room(Stage::Decoding, room, copy)?;
        let (buffer, length) = (self.input_buffer, self.input_bytes);
        let (input, output) = self.arena().both(buffer, length, room);
        let format = native::decode(input, &task.format, colour, big_endian, output)?;
        self.held.keep(Stage::Decoding, room as u64);
        let length = room as u64;
        Ok(Done { length, format })
    }

    fn run(
        &mut self,
        task: &Task,
        transfer_syntax_uid: &str,
        codec: &'static dyn FrameCodec,
        stage: Stage,
        room: usize,
    ) -> Result<Done, CodecError> {
        // A codec that needs more than there is for one frame gets what there is: it may do.
        let left = self.codecs.budget.most(stage).saturating_sub(room as u64);
        let work = codec.work_bytes(&task.format).min(left);
        self.make_room(stage, room, work)?;
        let (buffer, length) = (self.input_buffer, self.input_bytes);
        let done = match (&self.codecs.keeper, codec_index(transfer_syntax_uid)) {
            (Some(keeper), Some(syntax)) if codec.needs_helper() => {
                let request = Request {
                    syntax,
                    task: *task,
                    input_buffer: u8::from(buffer == 1),
                    input_bytes: length as u64,
                    output_bytes: room as u64,
                    work_bytes: work,
                };
                let done = self.ask(keeper, &request, codec.name())?;
                task.check(&done, room)?;
                done
            }
            _ => {
                let (input, output) = self.arena().both(buffer, length, room);
                task.run(codec, input, output)?
            }
        };
        self.held.keep(stage, done.length);
        Ok(done)
    }

    /// Waits until there is memory for the output and for the codec.
    fn make_room(&mut self, stage: Stage, room: usize, work: u64) -> Result<(), CodecError> {
        self.output_bytes = 0;
        self.held.take(stage, room as u64 + work)?;
        let buffer = 1 - self.input_buffer;
        self.arena().reserve(buffer, room).map_err(no_memory)
    }

    /// Lets a helper do a frame. One that does not is no longer there for the next.
    fn ask(
        &mut self,
        keeper: &Keeper,
        request: &Request,
        codec: &'static str,
    ) -> Result<Done, CodecError> {
        let counters = &self.codecs.counters;
        let timeout = self.codecs.settings.frame_timeout_s;
        let lost = |counter, reason| {
            count(counter);
            Err(CodecError::Helper { reason })
        };
        loop {
            let is_new = self.helper.is_none();
            let mut helper = match self.helper.take() {
                Some(helper) => helper,
                None => {
                    self.is_shared = true;
                    let arena = self.arena.as_ref().expect("a lease has an arena");
                    let work_bytes = self.codecs.most_work_bytes();
                    Helper::start(keeper, arena, work_bytes, counters)
                        .inspect_err(|_| count(&counters.not_started))?
                }
            };
            match helper.ask(request, codec, Duration::from_secs(timeout.into())) {
                Ok(answer) => {
                    self.helper = Some(helper);
                    return answer;
                }
                // It ended while it had nothing to do: the frame is whole, another helper can have it.
                Err(Lost::Before) if !is_new => {}
                Err(Lost::Before) => return lost(&counters.crashed, helper.how_it_ended()),
                Err(Lost::Crashed(how)) => return lost(&counters.crashed, how),
                Err(Lost::TimedOut) => {
                    let reason = format!("was ended: the frame took longer than {timeout} s");
                    return lost(&counters.timed_out, reason);
                }
            }
        }
    }

    /// Keeps account of a frame, and of what is in the output, which had `room`.
    fn counted(
        &mut self,
        done: Result<Done, CodecError>,
        good: &std::sync::atomic::AtomicU64,
        room: usize,
    ) -> Result<Done, CodecError> {
        match &done {
            Ok(done) => {
                count(good);
                self.output_bytes = usize::try_from(done.length).unwrap_or(0).min(room);
            }
            // Those are counted where they are lost.
            Err(CodecError::Helper { .. } | CodecError::Unavailable { .. }) => {}
            Err(_) => count(&self.codecs.counters.refused),
        }
        done
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        // Memory that cannot be given back goes with its helper, or alone.
        let arena = self.arena.take();
        let shrunk = |to| arena.and_then(|mut arena| arena.shrink(to).ok().map(|()| arena));
        match self.helper.take() {
            Some(helper) => {
                if let (Some(keeper), Some(arena)) = (&self.codecs.keeper, shrunk(REST_BYTES)) {
                    keeper.put(arena, helper);
                }
            }
            None if self.is_shared => {} // who lost it may still have it
            None => {
                let spare = shrunk(SPARE_BYTES).map(|arena| (Instant::now(), arena));
                self.codecs.spare.lock().extend(spare);
            }
        }
        *self.codecs.leases.lock() -= 1;
        self.codecs.returned.notify_one();
    }
}

fn is_native(transfer_syntax_uid: &str) -> bool {
    pixel_syntax(transfer_syntax_uid)
        .is_some_and(|syntax| syntax.compression == crate::Compression::None)
}

fn no_memory(error: rustix::io::Errno) -> CodecError {
    CodecError::Unavailable {
        reason: format!("gets no memory to share: {error}"),
    }
}

fn unsupported(transfer_syntax_uid: &str) -> CodecError {
    CodecError::Unsupported {
        what: format!("transfer syntax {transfer_syntax_uid}"),
    }
}
