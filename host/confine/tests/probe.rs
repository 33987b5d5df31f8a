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
        _ if arguments.iter().any(|a| a == "--list") => println!("probe: test"),
        _ => {
            what_is_not_needed_is_refused_or_ends_it();
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
        other => panic!("no probe {other}"),
    };
    std::process::exit(if done { DONE } else { REFUSED });
}

/// Sends a signal that would do no harm.
fn signal(to: i32) -> bool {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(to), nix::sys::signal::Signal::SIGCONT).is_ok()
}

fn run(what: &str) -> ExitStatus {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["probe", what]).stdout(Stdio::null());
    command.stderr(Stdio::null()).status().unwrap()
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
