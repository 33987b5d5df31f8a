//! What a child takes from itself before it sees a stranger's byte. Two children do: the one that draws with pdfium, and
//! the one that compiles components.
//!
//! Everywhere on Unix: limits on processor time and files, and no core dumps. On Linux besides: limits on memory and
//! processes, no privileges by way of other programs, and on x86-64 and AArch64 a list of system calls (`filter.rs`).
//! Elsewhere the list is missing, and [`enter`] says so.
//!
//! Limits of memory and processor time are kept by the kernel as well as by the parent, so that a child whose parent has
//! gone does not go on for ever.
//!
//! ```no_run
//! use ocr_confine::{Fence, enter, without_core_dumps};
//! use std::time::Duration;
//!
//! without_core_dumps()?;
//! let is_filtered = enter(&Fence {
//!     addresses: 2 << 30,
//!     data: Some(256 << 20),
//!     cpu: Duration::from_secs(60),
//! })?;
//! # Ok::<(), String>(())
//! ```
#![forbid(unsafe_code)]

mod filter;
mod limits;

pub use limits::{end_with_parent, without_core_dumps};

use std::process::ExitStatus;
use std::time::Duration;

/// How much the child may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// Bytes of address space beyond what it has when it enters.
    pub addresses: u64,
    /// Bytes of memory that it can write, beyond what it has when it enters; `None` where `addresses` bounds it closely
    /// enough. An allocator that reserves addresses ahead of their use wants both.
    pub data: Option<u64>,
    /// Processor time of its whole life, of all threads together.
    pub cpu: Duration,
}

/// Whether system calls are filtered on this system.
pub const FILTERS_SYSTEM_CALLS: bool = cfg!(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
));

/// Enters for good; answers whether system calls are filtered. All threads are to be running already.
pub fn enter(fence: &Fence) -> Result<bool, String> {
    limits::set(fence)?;
    filter::apply()?;
    Ok(FILTERS_SYSTEM_CALLS)
}

/// How a child ended that was confined, to stand behind "it".
#[cfg(unix)]
pub fn in_words(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match status.signal() {
        Some(SIGSYS) => "was ended: it asked the system for something that it may not (SIGSYS)".into(),
        Some(SIGXCPU) => "was ended: it used up its processor time (SIGXCPU)".into(),
        Some(signal @ (9 | 15)) => format!("was ended from outside (signal {signal}); memory may be short"),
        Some(signal) => format!("crashed (signal {signal}), or had no memory left"),
        None => format!("ended by itself ({status})"),
    }
}

/// How a child ended, to stand behind "it".
#[cfg(not(unix))]
pub fn in_words(status: ExitStatus) -> String {
    format!("ended by itself ({status})")
}

/// Whether the kernel ended it over its processor time.
pub fn is_out_of_time(status: ExitStatus) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt;
        status.signal() == Some(SIGXCPU)
    }
    #[cfg(not(unix))]
    {
        let _ = status;
        false
    }
}

#[cfg(unix)]
const SIGSYS: i32 = nix::libc::SIGSYS;
#[cfg(unix)]
const SIGXCPU: i32 = nix::libc::SIGXCPU;
