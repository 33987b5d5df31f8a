//! What the child takes from itself before it sees a stranger's byte.
//!
//! Everywhere on Unix: limits on address space, processor time, files and processes, and no core dumps. On Linux besides:
//! no privileges by way of other programs, and on x86-64 a list of system calls; any other ends the process at once. No
//! call on the list names a file, an address or another process. Libraries look for files of the system now and then (how
//! many processors there are, a font), so calls that open or look at files are refused and do not end it. Elsewhere the
//! list is missing, and [`enter`] says so.
//!
//! Limits of address space and processor time are kept by the kernel as well as by the parent, so that a child whose
//! parent has gone does not go on for ever.

use std::time::Duration;

/// How much the child may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// Bytes of address space beyond what it has when it enters.
    pub memory: u64,
    /// Processor time of its whole life.
    pub cpu: Duration,
}

/// Whether system calls are filtered on this system.
pub const FILTERS_SYSTEM_CALLS: bool = cfg!(all(target_os = "linux", target_arch = "x86_64"));

/// Enters for good; answers whether system calls are filtered. All threads are to be running already.
pub fn enter(fence: &Fence) -> Result<bool, String> {
    limits::set(fence)?;
    filter::apply()?;
    Ok(FILTERS_SYSTEM_CALLS)
}

/// Lets nobody see what was in memory when the process crashes.
pub fn without_core_dumps() -> Result<(), String> {
    limits::without_core_dumps()
}

/// Ends this process once the other end of standard input has gone, whatever it is at. Called before [`enter`].
pub fn end_with_parent() -> Result<(), String> {
    limits::end_with_parent()
}

#[cfg(unix)]
mod limits {
    use super::Fence;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use nix::sys::resource::{Resource, setrlimit};
    use std::os::fd::AsFd;

    /// Standard input, output and error; `poll` wants the limit to be no less than what it is given.
    const FILES: u64 = 3;

    fn set_one(resource: Resource, most: u64) -> Result<(), String> {
        setrlimit(resource, most, most).map_err(|e| format!("{resource:?} can't be set to {most}: {e}"))
    }

    pub fn set(fence: &Fence) -> Result<(), String> {
        // Whole seconds, at least one: 0 would end it at once.
        set_one(Resource::RLIMIT_CPU, fence.cpu.as_secs().max(1))?;
        set_one(Resource::RLIMIT_FSIZE, 0)?;
        #[cfg(target_os = "linux")]
        {
            set_one(Resource::RLIMIT_NPROC, 0)?;
            set_one(Resource::RLIMIT_AS, address_space()?.saturating_add(fence.memory))?;
            nix::sys::prctl::set_no_new_privs().map_err(|e| format!("privileges can't be given up: {e}"))?;
        }
        set_one(Resource::RLIMIT_NOFILE, FILES)
    }

    /// Bytes of address space that this process has.
    #[cfg(target_os = "linux")]
    fn address_space() -> Result<u64, String> {
        let status = std::fs::read_to_string("/proc/self/status")
            .map_err(|e| format!("/proc/self/status can't be read: {e}"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
        kib.map(|kib| kib << 10)
            .ok_or_else(|| "/proc/self/status tells no VmSize".into())
    }

    pub fn without_core_dumps() -> Result<(), String> {
        set_one(Resource::RLIMIT_CORE, 0)
    }

    pub fn end_with_parent() -> Result<(), String> {
        let (begun, has_begun) = std::sync::mpsc::channel();
        let watch = move || {
            let _ = begun.send(());
            let input = std::io::stdin();
            loop {
                let mut one = [PollFd::new(input.as_fd(), PollFlags::empty())];
                // Nothing is waited for, so it answers when the other end is closed and not before.
                match poll(&mut one, PollTimeout::NONE) {
                    Err(nix::errno::Errno::EINTR) => {}
                    _ => std::process::abort(),
                }
            }
        };
        let thread = std::thread::Builder::new().name("ocr-parent".into());
        let started = thread.stack_size(64 << 10).spawn(watch);
        started.map_err(|e| format!("no thread can be started: {e}"))?;
        // What a thread does to begin is more than it may do later.
        has_begun.recv().map_err(|_| "the thread has ended".into())
    }
}

#[cfg(not(unix))]
mod limits {
    use super::Fence;

    pub fn set(_: &Fence) -> Result<(), String> {
        Ok(())
    }

    pub fn without_core_dumps() -> Result<(), String> {
        Ok(())
    }

    pub fn end_with_parent() -> Result<(), String> {
        Ok(())
    }
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod filter {
    use seccompiler::{
        BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
        SeccompRule, TargetArch, apply_filter_all_threads,
    };
    use std::collections::BTreeMap;

    /// Calls that are let through whatever their arguments: memory, the pipes that are open, clocks, waiting, ending.
    const FREE: [i64; 31] = [
        libc::SYS_read,
        libc::SYS_write,
        libc::SYS_readv,
        libc::SYS_writev,
        libc::SYS_close,
        libc::SYS_fstat,
        libc::SYS_lseek,
        libc::SYS_brk,
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_madvise,
        libc::SYS_futex,
        libc::SYS_poll,
        libc::SYS_ppoll,
        libc::SYS_clock_gettime,
        libc::SYS_clock_nanosleep,
        libc::SYS_nanosleep,
        libc::SYS_gettimeofday,
        libc::SYS_getrandom,
        libc::SYS_getpid,
        libc::SYS_gettid,
        libc::SYS_sched_yield,
        libc::SYS_getcpu,
        libc::SYS_sysinfo,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sigaltstack,
        libc::SYS_exit,
        libc::SYS_exit_group,
        libc::SYS_restart_syscall,
    ];

    /// Calls that are answered with "permission denied".
    const REFUSED: [i64; 17] = [
        libc::SYS_open,
        libc::SYS_openat,
        libc::SYS_stat,
        libc::SYS_lstat,
        libc::SYS_newfstatat,
        libc::SYS_statx,
        libc::SYS_access,
        libc::SYS_faccessat,
        libc::SYS_faccessat2,
        libc::SYS_readlink,
        libc::SYS_readlinkat,
        libc::SYS_getcwd,
        libc::SYS_uname,
        libc::SYS_ioctl,
        libc::SYS_fcntl,
        libc::SYS_prlimit64,
        libc::SYS_sched_getaffinity,
    ];

    /// Calls that are let through where an argument (by number) is as given: memory that can't be run as code, and
    /// signals to oneself, which is how a process aborts.
    fn conditional() -> Result<Vec<(i64, SeccompCondition)>, seccompiler::Error> {
        let exec = libc::PROT_EXEC as u64;
        let me = u64::from(std::process::id());
        let no_code = || {
            let masked = SeccompCmpOp::MaskedEq(exec);
            SeccompCondition::new(2, SeccompCmpArgLen::Qword, masked, 0)
        };
        let myself = || SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, me);
        Ok(vec![
            (libc::SYS_mmap, no_code()?),
            (libc::SYS_mprotect, no_code()?),
            (libc::SYS_tgkill, myself()?),
            (libc::SYS_kill, myself()?),
        ])
    }

    type Rules = BTreeMap<i64, Vec<SeccompRule>>;

    fn whatever(calls: &[i64]) -> Rules {
        calls.iter().map(|&call| (call, Vec::new())).collect()
    }

    /// The list that ends the process over anything else.
    fn allowed() -> Result<BpfProgram, seccompiler::Error> {
        let mut rules = whatever(&[&FREE[..], &REFUSED[..]].concat());
        for (call, condition) in conditional()? {
            rules.insert(call, vec![SeccompRule::new(vec![condition])?]);
        }
        program(rules, SeccompAction::KillProcess, SeccompAction::Allow)
    }

    /// Of two filters the stricter answer counts.
    fn refused() -> Result<BpfProgram, seccompiler::Error> {
        let denied = SeccompAction::Errno(libc::EACCES as u32);
        program(whatever(&REFUSED), SeccompAction::Allow, denied)
    }

    fn program(
        rules: Rules,
        other: SeccompAction,
        listed: SeccompAction,
    ) -> Result<BpfProgram, seccompiler::Error> {
        let filter = SeccompFilter::new(rules, other, listed, TargetArch::x86_64)?;
        Ok(filter.try_into()?)
    }

    /// In all threads at once. The list comes last: it does not let another filter in.
    pub fn apply() -> Result<(), String> {
        let applied = || {
            apply_filter_all_threads(&refused()?)?;
            apply_filter_all_threads(&allowed()?)
        };
        applied().map_err(|e: seccompiler::Error| format!("system calls can't be filtered: {e}"))
    }
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
mod filter {
    pub fn apply() -> Result<(), String> {
        Ok(())
    }
}
