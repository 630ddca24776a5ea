//! The system calls that a helper may make: memory, its socket, its own end. Anything else is refused with EPERM.

use std::io;

/// Calls that are always allowed.
const ALLOWED: &[libc::c_long] = &[
    libc::SYS_recvfrom,
    libc::SYS_sendto,
    libc::SYS_ppoll,
    libc::SYS_futex,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_clock_gettime,
    libc::SYS_sched_yield,
    libc::SYS_getrandom,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_close,
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
];

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: Option<u32> = Some(0xC000_003E);
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: Option<u32> = Some(0xC000_00B7);
/// On others a helper has only its limits: the numbers of their calls are not ours to guess.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const ARCHITECTURE: Option<u32> = None;

// Offsets in the kernel's `struct seccomp_data`; arguments are 64 bits, of which the lower half comes first.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const fn argument(index: u32) -> u32 {
    16 + 8 * index
}

/// Installs the filter, for good.
pub(super) fn install() -> io::Result<()> {
    let Some(architecture) = ARCHITECTURE else {
        return Ok(());
    };
    let mut filter = filter(architecture);
    let program = libc::sock_fprog {
        len: u16::try_from(filter.len()).expect("a short filter"),
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: the program and the filter that it points to live until the kernel has copied them.
    let status = unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            &raw const program,
        )
    };
    if status == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn filter(architecture: u32) -> Vec<libc::sock_filter> {
    let refuse = give_back(libc::SECCOMP_RET_ERRNO | libc::EPERM.unsigned_abs());
    let allow = give_back(libc::SECCOMP_RET_ALLOW);
    let mut code = vec![
        load(ARCH),
        // Calls of another architecture have other numbers.
        jump(libc::BPF_JEQ, architecture, 1, 0),
        give_back(libc::SECCOMP_RET_KILL_PROCESS),
        load(NUMBER),
    ];
    for number in ALLOWED {
        code.extend([jump(libc::BPF_JEQ, call(*number), 0, 1), allow]);
    }
    // No memory that can be executed.
    for number in [libc::SYS_mmap, libc::SYS_mprotect] {
        code.extend([
            jump(libc::BPF_JEQ, call(number), 0, 4),
            load(argument(2)),
            jump(libc::BPF_JSET, libc::PROT_EXEC.unsigned_abs(), 0, 1),
            refuse,
            allow,
        ]);
    }
    // Limits and signals of this process alone.
    let me = std::process::id();
    for (number, whose) in [(libc::SYS_prlimit64, 0), (libc::SYS_tgkill, me)] {
        code.extend([
            jump(libc::BPF_JEQ, call(number), 0, 4),
            load(argument(0)),
            jump(libc::BPF_JEQ, whose, 1, 0),
            refuse,
            allow,
        ]);
    }
    code.push(refuse);
    code
}

fn call(number: libc::c_long) -> u32 {
    u32::try_from(number).expect("numbers of system calls are small")
}

fn instruction(code: u32, jump_true: u8, jump_false: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter {
        code: u16::try_from(code).expect("codes have 16 bits"),
        jt: jump_true,
        jf: jump_false,
        k,
    }
}

fn load(offset: u32) -> libc::sock_filter {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, offset)
}

/// Compares what was loaded; skips as many instructions as said for each outcome.
fn jump(how: u32, with: u32, jump_true: u8, jump_false: u8) -> libc::sock_filter {
    instruction(
        libc::BPF_JMP | how | libc::BPF_K,
        jump_true,
        jump_false,
        with,
    )
}

fn give_back(verdict: u32) -> libc::sock_filter {
    instruction(libc::BPF_RET | libc::BPF_K, 0, 0, verdict)
}
