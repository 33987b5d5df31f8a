//! What a confined process can't do any more, tried by one that confines itself: this program, as its first argument says.

use ocr_confine::{FILTERS_SYSTEM_CALLS, Fence, enter, in_words, without_core_dumps};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// The program's own allocator, which asks the system for other things than the C library's does.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MIB: u64 = 1 << 20;

/// Exit codes of a probe.
const DONE: i32 = 0;
const REFUSED: i32 = 7;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [probe, what] if probe == "probe" => self::probe(what),
        [free, what] if free == "unconfined" => end(memory::is_made_code(what)),
        _ if arguments.iter().any(|a| a == "--list") => println!("probe: test"),
        _ => {
            what_is_not_needed_is_refused_or_ends_it();
            memory_can_not_be_made_code();
            what_is_needed_goes_on();
            memory_and_time_are_bounded();
            println!("test result: ok");
        }
    }
}

/// Confines itself, does one thing, and says by its exit code whether that was done.
fn probe(what: &str) {
    let parent = std::os::unix::process::parent_id() as i32;
    let (ask, asked) = mpsc::channel::<()>();
    let (answer, answered) = mpsc::channel::<usize>();
    // Begun before, as threads have to be: a thread that begins asks for more than it may later.
    let (begin, has_begun) = mpsc::channel::<()>();
    std::thread::spawn(move || {
        let _ = begin.send(());
        for () in asked {
            let _ = answer.send(vec![1u8; 4 << 20].into_iter().map(usize::from).sum());
        }
    });
    has_begun.recv().unwrap();
    without_core_dumps().unwrap();
    let fence = Fence {
        addresses: 256 * MIB,
        data: Some(64 * MIB),
        cpu: Duration::from_secs(1),
    };
    enter(&fence).unwrap();
    let folder = std::env::temp_dir();
    let done = match what {
        "nothing" => true,
        "other-thread" => ask.send(()).is_ok() && answered.recv() == Ok(4 << 20),
        "large-memory" => vec![1u8; 40 << 20].into_iter().map(usize::from).sum::<usize>() == 40 << 20,
        "hash" => std::collections::HashSet::from([1, 2]).len() == 2,
        "wait" => {
            std::thread::sleep(Duration::from_millis(2));
            true
        }
        "write-pipe" => std::io::Write::write_all(&mut std::io::stdout(), b"x").is_ok(),
        "open" => std::fs::File::open("/etc/passwd").is_ok(),
        "write" => std::fs::write(folder.join("ocr-confine-probe"), b"x").is_ok(),
        "list" => std::fs::read_dir("/").is_ok(),
        "stat" => std::fs::metadata("/etc/passwd").is_ok(),
        "socket" => std::net::UdpSocket::bind("127.0.0.1:0").is_ok(),
        "connect" => std::net::TcpStream::connect("127.0.0.1:1").is_ok(),
        "socket-pair" => std::os::unix::net::UnixStream::pair().is_ok(),
        "pipe" => std::io::pipe().is_ok(),
        "process" => Command::new("/bin/true").status().is_ok(),
        "program" => Command::new("/bin/true").exec().raw_os_error().is_none(),
        "thread" => std::thread::Builder::new().spawn(|| ()).is_ok(),
        "remove" => std::fs::remove_file("/tmp/ocr-confine-nothing").is_ok(),
        "folder" => std::fs::create_dir(folder.join("ocr-confine-probe")).is_ok(),
        "change-folder" => std::env::set_current_dir("/").is_ok(),
        "signal-parent" => signal(parent),
        "signal-everyone" => signal(-1),
        "signal-group" => signal(0),
        "abort" => std::process::abort(),
        "memory" => Vec::<u8>::new().try_reserve_exact(4 << 30).is_ok(),
        "time" => {
            let started = Instant::now();
            while started.elapsed() < Duration::from_secs(20) {
                std::hint::black_box(started.elapsed());
            }
            true
        }
        "constant" => memory::is_made_constant(),
        what => memory::is_made_code(what),
    };
    end(done);
}

fn end(done: bool) {
    std::process::exit(if done { DONE } else { REFUSED });
}

/// Sends a signal that would do no harm.
fn signal(to: i32) -> bool {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(to), nix::sys::signal::Signal::SIGCONT).is_ok()
}

/// Each way to memory that can be run as code.
const CODE: [&str; 5] = [
    "mapped-code",
    "mapped-writable-code",
    "data-made-code",
    "data-made-code-by-key",
    "all-that-is-read-is-code",
];

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod memory {
    use libc::{MAP_ANONYMOUS, MAP_PRIVATE, PROT_EXEC, PROT_READ, PROT_WRITE};

    /// Bytes of the smallest piece that has rights of its own, on every such processor.
    const PIECE: usize = 65_536;

    /// Tries one of the ways in `CODE`.
    pub fn is_made_code(how: &str) -> bool {
        match how {
            "mapped-code" => fresh(PROT_READ | PROT_EXEC).is_some(),
            "mapped-writable-code" => fresh(PROT_READ | PROT_WRITE | PROT_EXEC).is_some(),
            "data-made-code" => changed(libc::SYS_mprotect, PROT_READ | PROT_EXEC),
            "data-made-code-by-key" => changed(libc::SYS_pkey_mprotect, PROT_READ | PROT_EXEC),
            // SAFETY: it changes how later mappings are made, and this process ends without one.
            "all-that-is-read-is-code" => unsafe { libc::personality(libc::READ_IMPLIES_EXEC as _) != -1 },
            other => panic!("no probe {other}"),
        }
    }

    /// Makes memory that is written to read-only, as allocators and compilers do.
    pub fn is_made_constant() -> bool {
        changed(libc::SYS_mprotect, PROT_READ)
    }

    /// Memory with these rights that nobody else has.
    fn fresh(rights: i32) -> Option<*mut libc::c_void> {
        // SAFETY: no address is named, so nothing that is there is replaced.
        let piece = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                PIECE,
                rights,
                MAP_PRIVATE | MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        (piece != libc::MAP_FAILED).then_some(piece)
    }

    /// Whether memory that can be written gets other rights by this call; the last argument is no key at all.
    fn changed(call: libc::c_long, rights: i32) -> bool {
        let piece = fresh(PROT_READ | PROT_WRITE).expect("there is memory");
        // SAFETY: the memory is this function's own, and nobody reads, writes or runs it.
        unsafe { libc::syscall(call, piece, PIECE, rights, -1) == 0 }
    }
}

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
mod memory {
    pub fn is_made_code(how: &str) -> bool {
        panic!("no probe {how}")
    }

    pub fn is_made_constant() -> bool {
        true
    }
}

fn run(what: &str) -> ExitStatus {
    run_as("probe", what)
}

fn run_as(how: &str, what: &str) -> ExitStatus {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([how, what]).stdout(Stdio::null());
    command.stderr(Stdio::null()).status().unwrap()
}

/// The compiler's child hands its code on as bytes, so neither child ever needs it.
fn memory_can_not_be_made_code() {
    if !FILTERS_SYSTEM_CALLS {
        return println!("skipped: system calls are not filtered on this system");
    }
    for what in CODE {
        let free = run_as("unconfined", what);
        if free.code() != Some(DONE) {
            println!("skipped: {what} is refused on this system to everybody ({free})");
            continue;
        }
        let status = run(what);
        if cfg!(target_arch = "x86_64") {
            assert!(in_words(status).contains("SIGSYS"), "{what}: {status}");
        } else {
            assert_eq!(status.code(), Some(REFUSED), "{what}: {status}");
        }
    }
}

fn what_is_not_needed_is_refused_or_ends_it() {
    if !FILTERS_SYSTEM_CALLS {
        return println!("skipped: system calls are not filtered on this system");
    }
    for what in ["open", "write", "list", "stat"] {
        assert_eq!(run(what).code(), Some(REFUSED), "{what} is refused");
    }
    for what in [
        "socket",
        "connect",
        "socket-pair",
        "pipe",
        "process",
        "program",
        "thread",
        "remove",
        "folder",
        "change-folder",
        "signal-parent",
        "signal-everyone",
        "signal-group",
    ] {
        let status = run(what);
        if cfg!(target_arch = "x86_64") {
            assert!(in_words(status).contains("SIGSYS"), "{what}: {status}");
        } else {
            assert_ne!(status.code(), Some(DONE), "{what}: {status}");
        }
    }
}

fn what_is_needed_goes_on() {
    for what in [
        "nothing",
        "other-thread",
        "large-memory",
        "hash",
        "wait",
        "write-pipe",
        "constant",
    ] {
        let status = run(what);
        assert_eq!(status.code(), Some(DONE), "{what}: {status}");
    }
    assert_eq!(run("abort").signal(), Some(6), "it may signal itself");
}

fn memory_and_time_are_bounded() {
    if cfg!(target_os = "linux") {
        assert_eq!(
            run("memory").code(),
            Some(REFUSED),
            "an allocator may have 1 GiB set apart, not 4"
        );
    }
    let status = run("time");
    assert!(in_words(status).contains("SIGXCPU"), "{status}");
}
