//! A list of system calls, for all threads of the process. No call on it names a file, an address or another process.
//!
//! Libraries look for files of the system now and then (how many processors there are, a font), so calls that open or look
//! at files are refused and do not end the process. Any other call ends it at once on x86-64. On AArch64, whose list is
//! compiled and has never been run, any other call is refused instead: as tight, and what a C library there asks for
//! besides does not cost the process.

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(crate) use linux::apply;

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod linux {
    use seccompiler::{
        BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
        SeccompRule, TargetArch, apply_filter_all_threads,
    };
    use std::collections::BTreeMap;

    #[cfg(target_arch = "x86_64")]
    const ARCH: TargetArch = TargetArch::x86_64;
    #[cfg(target_arch = "aarch64")]
    const ARCH: TargetArch = TargetArch::aarch64;

    /// Calls that are let through whatever their arguments: memory, the pipes that are open, clocks, waiting, ending.
    const FREE: [i64; 30] = [
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
    const REFUSED: [i64; 12] = [
        libc::SYS_openat,
        libc::SYS_newfstatat,
        libc::SYS_statx,
        libc::SYS_faccessat,
        libc::SYS_faccessat2,
        libc::SYS_readlinkat,
        libc::SYS_getcwd,
        libc::SYS_uname,
        libc::SYS_ioctl,
        libc::SYS_fcntl,
        libc::SYS_prlimit64,
        libc::SYS_sched_getaffinity,
    ];

    /// Older forms of the same calls, which later architectures do not have.
    #[cfg(target_arch = "x86_64")]
    const OLD_FREE: [i64; 1] = [libc::SYS_poll];
    #[cfg(target_arch = "x86_64")]
    const OLD_REFUSED: [i64; 5] = [
        libc::SYS_open,
        libc::SYS_stat,
        libc::SYS_lstat,
        libc::SYS_access,
        libc::SYS_readlink,
    ];
    #[cfg(target_arch = "aarch64")]
    const OLD_FREE: [i64; 0] = [];
    #[cfg(target_arch = "aarch64")]
    const OLD_REFUSED: [i64; 0] = [];

    /// What becomes of a call that is on no list.
    fn other() -> SeccompAction {
        match ARCH {
            TargetArch::x86_64 => SeccompAction::KillProcess,
            _ => SeccompAction::Errno(libc::EPERM as u32),
        }
    }

    /// Calls that are let through where an argument (by number) is as given: memory that can't be run as code, names for
    /// one's own memory, which the program's allocator gives, and signals to oneself, which is how a process aborts.
    fn conditional() -> Result<Vec<(i64, SeccompCondition)>, seccompiler::Error> {
        let exec = libc::PROT_EXEC as u64;
        let me = u64::from(std::process::id());
        let no_code = || {
            let masked = SeccompCmpOp::MaskedEq(exec);
            SeccompCondition::new(2, SeccompCmpArgLen::Qword, masked, 0)
        };
        let names_memory = libc::PR_SET_VMA as u64;
        let naming = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, names_memory)?;
        let myself = || SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, me);
        Ok(vec![
            (libc::SYS_mmap, no_code()?),
            (libc::SYS_mprotect, no_code()?),
            (libc::SYS_prctl, naming),
            (libc::SYS_tgkill, myself()?),
            (libc::SYS_kill, myself()?),
        ])
    }

    type Rules = BTreeMap<i64, Vec<SeccompRule>>;

    fn whatever(lists: &[&[i64]]) -> Rules {
        lists
            .concat()
            .into_iter()
            .map(|call| (call, Vec::new()))
            .collect()
    }

    /// The list outside of which nothing is let through.
    fn allowed() -> Result<BpfProgram, seccompiler::Error> {
        let mut rules = whatever(&[&FREE, &OLD_FREE, &REFUSED, &OLD_REFUSED]);
        for (call, condition) in conditional()? {
            rules.insert(call, vec![SeccompRule::new(vec![condition])?]);
        }
        program(rules, other(), SeccompAction::Allow)
    }

    /// Of two filters the stricter answer counts.
    fn refused() -> Result<BpfProgram, seccompiler::Error> {
        let denied = SeccompAction::Errno(libc::EACCES as u32);
        program(whatever(&[&REFUSED, &OLD_REFUSED]), SeccompAction::Allow, denied)
    }

    fn program(
        rules: Rules,
        other: SeccompAction,
        listed: SeccompAction,
    ) -> Result<BpfProgram, seccompiler::Error> {
        Ok(SeccompFilter::new(rules, other, listed, ARCH)?.try_into()?)
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

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
pub(crate) fn apply() -> Result<(), String> {
    Ok(())
}
