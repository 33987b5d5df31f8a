//! Limits that the kernel keeps for a whole process.

use crate::Fence;

#[cfg(unix)]
pub(crate) use unix::set;
#[cfg(unix)]
pub use unix::{end_with_parent, without_core_dumps};

#[cfg(unix)]
mod unix {
    use super::Fence;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use nix::sys::resource::{Resource, setrlimit};
    use std::os::fd::AsFd;

    /// Standard input, output and error; `poll` wants the limit to be no less than what it is given.
    const FILES: u64 = 3;

    fn set_one(resource: Resource, soft: u64, hard: u64) -> Result<(), String> {
        setrlimit(resource, soft, hard).map_err(|e| format!("{resource:?} can't be set to {soft}: {e}"))
    }

    pub fn set(fence: &Fence) -> Result<(), String> {
        let set = |resource, most| set_one(resource, most, most);
        // Whole seconds, at least one: 0 would end it at once. A second later the kernel ends it without saying why.
        let seconds = fence.cpu.as_secs().max(1);
        set_one(Resource::RLIMIT_CPU, seconds, seconds.saturating_add(1))?;
        set(Resource::RLIMIT_FSIZE, 0)?;
        #[cfg(target_os = "linux")]
        {
            set(Resource::RLIMIT_NPROC, 0)?;
            let has = Has::look()?;
            set(Resource::RLIMIT_AS, has.addresses.saturating_add(fence.addresses))?;
            if let Some(data) = fence.data {
                set(Resource::RLIMIT_DATA, has.data.saturating_add(data))?;
            }
            nix::sys::prctl::set_no_new_privs().map_err(|e| format!("privileges can't be given up: {e}"))?;
        }
        set(Resource::RLIMIT_NOFILE, FILES)
    }

    /// What this process has, bytes.
    #[cfg(target_os = "linux")]
    struct Has {
        addresses: u64,
        data: u64,
    }

    #[cfg(target_os = "linux")]
    impl Has {
        fn look() -> Result<Self, String> {
            let status = std::fs::read_to_string("/proc/self/status")
                .map_err(|e| format!("/proc/self/status can't be read: {e}"))?;
            let kib = |name: &str| {
                let line = status.lines().find_map(|line| line.strip_prefix(name));
                let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
                kib.map(|kib| kib << 10)
                    .ok_or_else(|| format!("/proc/self/status tells no {name}"))
            };
            Ok(Self {
                addresses: kib("VmSize:")?,
                data: kib("VmData:")?,
            })
        }
    }

    /// Lets nobody see what was in memory when the process crashes.
    pub fn without_core_dumps() -> Result<(), String> {
        set_one(Resource::RLIMIT_CORE, 0, 0)
    }

    /// Ends this process once the other end of standard input has gone, whatever it is at. Called before
    /// [`enter`](crate::enter).
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
pub(crate) fn set(_: &Fence) -> Result<(), String> {
    Ok(())
}

/// Lets nobody see what was in memory when the process crashes.
#[cfg(not(unix))]
pub fn without_core_dumps() -> Result<(), String> {
    Ok(())
}

/// Ends this process once the other end of standard input has gone.
#[cfg(not(unix))]
pub fn end_with_parent() -> Result<(), String> {
    Ok(())
}
