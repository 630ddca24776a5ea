//! What a helper may no longer do once it knows its memory: everything but computing and answering.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal};

use super::message::Greeting;
use crate::memory::{MemoryInUse, give_back_free_memory, memory_in_use};

/// Files that a helper may have open: its socket, the shared memory, three standard ones and a few to spare.
const OPEN_FILES: u64 = 8;

/// The confinement of this process, for good.
pub(super) struct Confined {
    /// Private memory that was in use before the first frame.
    base_bytes: u64,
    most_work_bytes: u64,
    work_bytes: u64,
}

impl Confined {
    /// Confines this process to what it was told, with no other files than `files`.
    pub(super) fn new(greeting: &Greeting, files: [&OwnedFd; 2]) -> io::Result<Self> {
        // If the machine runs out of memory, a helper goes rather than the archive. Not every system lets us say so.
        let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
        let MemoryInUse {
            address_space_bytes: all_bytes,
            data_bytes: base_bytes,
            ..
        } = memory_in_use()?;
        // Who ends us does so by closing the socket, in his own time: signals to a whole process group or control
        // group are for him. SIGKILL still is for us, and comes if he dies.
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
            // SAFETY: ignoring a signal installs no handler.
            unsafe { libc::signal(signal, libc::SIG_IGN) };
        }
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
        rustix::thread::set_no_new_privs(true)?;
        close_all_but(files);
        limit(Resource::Core, 0)?;
        limit(Resource::Fsize, 0)?;
        limit(Resource::Nofile, OPEN_FILES)?;
        let work_bytes = greeting.work_bytes;
        // Both buffers may be mapped anew while they are mapped; allocators leave gaps.
        let address_space = all_bytes + 4 * greeting.buffer_bytes + 2 * work_bytes;
        limit(Resource::As, address_space)?;
        limit(Resource::Data, base_bytes + work_bytes)?;
        super::seccomp::install()?;
        Ok(Confined {
            base_bytes,
            most_work_bytes: work_bytes,
            work_bytes,
        })
    }

    /// Bounds what is allocated from now on.
    pub(super) fn allow(&mut self, work_bytes: u64) -> io::Result<()> {
        // In steps, so that frames of about one size need no system call.
        let work_bytes = work_bytes.next_multiple_of(32 << 20);
        let work_bytes = work_bytes.min(self.most_work_bytes);
        if work_bytes != self.work_bytes {
            // What the allocator kept of larger frames counts.
            give_back_free_memory();
            let limits = Rlimit {
                current: Some(self.base_bytes + work_bytes),
                maximum: Some(self.base_bytes + self.most_work_bytes),
            };
            rustix::process::setrlimit(Resource::Data, limits)?;
            self.work_bytes = work_bytes;
        }
        Ok(())
    }
}

fn limit(resource: Resource, value: u64) -> io::Result<()> {
    let limits = Rlimit {
        current: Some(value),
        maximum: Some(value),
    };
    Ok(rustix::process::setrlimit(resource, limits)?)
}

/// Closes what was inherited by chance; messages of C libraries go nowhere.
fn close_all_but(files: [&OwnedFd; 2]) {
    if let Ok(null) = std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
    {
        let _ = rustix::stdio::dup2_stdin(&null);
        let _ = rustix::stdio::dup2_stdout(&null);
        let _ = rustix::stdio::dup2_stderr(&null);
    }
    let mut first = 3;
    let mut ours = files.map(|file| file.as_raw_fd().unsigned_abs());
    ours.sort_unstable();
    for last in ours.iter().map(|file| file - 1).chain([libc::c_uint::MAX]) {
        if first <= last {
            // SAFETY: nothing in this process uses another file: it has done nothing yet but start. A kernel before 5.9
            // refuses the call, and they stay open.
            unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
        }
        first = last.wrapping_add(2);
    }
}
