//! Compiling strangers: in a child process of this program that may take so much time and memory and no more.
//!
//! A component of a few kilobytes can keep a compiler at work for hours, and what goes wrong inside a compiler should not
//! go wrong inside the host. The child is the running file itself, called with arguments that lead to [`compile_child`].
//! It gets an environment with nothing of this one's, starts its threads, confines itself (`ocr-confine`: memory, processor time, no files, no
//! processes, and where the system knows it a list of system calls), and only then reads the component from standard
//! input; it writes code to standard output. The parent looks at the clock and kills.
//!
//! What comes back is loaded like code made here (`cache.rs`): it is what this program's own compiler made, unless a
//! component has taken that over from inside. Such a one could do nothing in the child, and what it answers would run in
//! the host. A fault of the compiler's own is contained as far as crashing, hanging and eating memory go.

use crate::cache::CompiledCode;
use crate::limits::{COMPONENT_BYTES, Limits};
use ocr_confine::{Fence, in_words, is_out_of_time};
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

/// Most bytes of code that are taken back: Python's 18 MB make 40.
const CODE_BYTES: u64 = 1 << 30;

/// Most bytes that are read of what the child complains.
const COMPLAINT_BYTES: u64 = 16 << 10;

/// Has the program's allocator ask the system for memory when it needs it, and not for a gibibyte ahead, page by page:
/// what it has set apart already would be no memory that the limit counts. Taken up by mimalloc; other allocators know
/// nothing of it and do so anyway.
const COUNTED: [(&str, &str); 2] = [
    ("MIMALLOC_ARENA_EAGER_COMMIT", "0"),
    ("MIMALLOC_PAGE_COMMIT_ON_DEMAND", "1"),
];

/// Address space beyond the memory that it may use: what allocators reserve ahead for each thread.
const RESERVED_BYTES: u64 = 1536 << 20;

/// How often the parent looks whether the child has ended.
const LOOK: Duration = Duration::from_millis(5);

/// The exit code of a child that says why the component does not compile.
const REFUSED: u8 = 3;

/// What stands before the code: that it is code, and that the child did not end midway.
const MARK: &[u8; 8] = b"ocr-code";

/// From here on the user is told that compiling takes its time.
pub(crate) const SLOW: Duration = Duration::from_secs(2);

/// Bytes of a component's code that a core compiles in a second: QuickJS's 1.3 MB took 2.0 s of one, CPython's 6.6 MB
/// 10.9 s (350 MiB of memory). A machine with a core to spare is quicker, a busy one slower.
const CODE_PER_SECOND: f64 = 600_000.0;

/// How deep code is looked for in a component.
const LEVELS: usize = 8;

/// The program that compiles, and its first arguments.
#[derive(Debug, Clone)]
pub struct CompileChild {
    program: OsString,
    arguments: Vec<OsString>,
}

impl CompileChild {
    /// The running program itself, which has to call [`compile_child`] when it is given these arguments and more.
    pub fn this_program(arguments: impl IntoIterator<Item = &'static str>) -> io::Result<Self> {
        // The file that runs, also when another has been put in its place since.
        let program = match cfg!(target_os = "linux") {
            true => "/proc/self/exe".into(),
            false => std::env::current_exe()?.into_os_string(),
        };
        Ok(Self {
            program,
            arguments: arguments.into_iter().map(OsString::from).collect(),
        })
    }

    /// Compiles `component` for the engine that `limits` give.
    pub(crate) fn compile(&self, component: &[u8], limits: &Limits) -> Result<CompiledCode, CompileError> {
        let mut child = self
            .start(limits)
            .map_err(|e| CompileError::Child(e.to_string()))?;
        let deadline = Instant::now() + limits.compile_time;
        let (mut stdin, stdout, stderr) = (
            child.stdin.take().expect("it is a pipe"),
            child.stdout.take().expect("it is a pipe"),
            child.stderr.take().expect("it is a pipe"),
        );
        std::thread::scope(|scope| {
            // A child that ends early reads no further; its status says why.
            scope.spawn(move || {
                let _ = stdin.write_all(component);
            });
            let code = scope.spawn(move || read(stdout, CODE_BYTES));
            let complaint = scope.spawn(move || read(stderr, COMPLAINT_BYTES));
            let ended = wait(&mut child, deadline);
            let mut code = code.join().expect("reading does not panic");
            let complaint = complaint.join().expect("reading does not panic");
            let complaint = String::from_utf8_lossy(&complaint);
            match ended.map_err(|e| CompileError::Child(e.to_string()))? {
                None => Err(CompileError::Time(limits.compile_time)),
                Some(status) if status.success() && code.starts_with(MARK) => {
                    Ok(CompiledCode::of_child(code.split_off(MARK.len())))
                }
                Some(status) => Err(meaning(status, &complaint, limits)),
            }
        })
    }

    fn start(&self, limits: &Limits) -> io::Result<Child> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .arg(limits.stack.to_string())
            .arg(limits.compile_time.as_secs().max(1).to_string())
            .arg(limits.compile_memory.to_string())
            .env_clear()
            .envs(COUNTED)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // Where the program finds the libraries that it is linked against.
        if let Some(path) = std::env::var_os("LD_LIBRARY_PATH") {
            command.env("LD_LIBRARY_PATH", path);
        }
        command.spawn()
    }
}

fn read(from: impl Read, limit: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = from.take(limit).read_to_end(&mut bytes);
    bytes
}

/// Waits for the child until `deadline`; `None` where it had to be killed.
fn wait(child: &mut Child, deadline: Instant) -> io::Result<Option<std::process::ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(LOOK);
    }
}

/// Why a component was not compiled.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CompileError {
    /// It took longer than this.
    Time(Duration),
    /// It took more than so many bytes.
    Memory(u64),
    /// It is no sound component.
    Refused(String),
    /// The child could not be started, or broke.
    Child(String),
}

impl std::fmt::Display for CompileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            CompileError::Time(limit) => {
                let seconds = limit.as_secs_f64();
                let more = (limit.as_secs().max(1)) * 4;
                write!(
                    f,
                    "compiling it reached the limit `compile-time` of {seconds} s; raise it with --plugin-limit \
                     compile-time={more}s"
                )
            }
            CompileError::Memory(limit) => {
                let mib = limit >> 20;
                write!(
                    f,
                    "compiling it reached the limit `compile-memory` of {mib} MiB; raise it with --plugin-limit \
                     compile-memory={}MiB",
                    mib * 4
                )
            }
            CompileError::Refused(why) => f.write_str(why),
            CompileError::Child(why) => write!(f, "the compiler's process failed on it: {why}"),
        }
    }
}

/// What a child that did not succeed ended of.
fn meaning(status: std::process::ExitStatus, complaint: &str, limits: &Limits) -> CompileError {
    let starved = [
        "memory allocation of",
        "Cannot allocate memory",
        "os error 12",
        "out of memory",
    ];
    if starved.iter().any(|text| complaint.contains(text)) {
        return CompileError::Memory(limits.compile_memory);
    }
    if status.code() == Some(i32::from(REFUSED)) {
        return CompileError::Refused(crate::state::clean(complaint));
    }
    if is_out_of_time(status) {
        return CompileError::Time(limits.compile_time);
    }
    let last = complaint
        .lines()
        .rfind(|l| !l.trim().is_empty())
        .unwrap_or_default();
    CompileError::Child(crate::state::clean(&format!("it {} {last}", in_words(status))))
}

/// The child's side: `arguments` are what stands behind the program's own.
pub fn compile_child(arguments: &[String]) -> ExitCode {
    match compile_here(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            REFUSED.into()
        }
    }
}

fn compile_here(arguments: &[String]) -> Result<(), String> {
    let numbers: Vec<u64> = arguments.iter().filter_map(|a| a.parse().ok()).collect();
    let [stack, seconds, memory] = numbers[..] else {
        return Err("the compiler is started by the program itself: STACK SECONDS BYTES".into());
    };
    let stack = usize::try_from(stack).map_err(|e| e.to_string())?;
    let engine = wasmtime::Engine::new(&crate::runtime::config(stack)).map_err(|e| format!("{e:#}"))?;
    confine(seconds, memory).map_err(|e| format!("the compiler can't be confined: {e}"))?;
    let mut component = Vec::new();
    io::stdin()
        .take(COMPONENT_BYTES + 1)
        .read_to_end(&mut component)
        .map_err(|e| format!("the component can't be read: {e}"))?;
    let code = engine
        .precompile_component(&component)
        .map_err(|e| format!("{e:#}"))?;
    let mut out = io::stdout().lock();
    out.write_all(MARK)
        .and_then(|()| out.write_all(&code))
        .and_then(|()| out.flush())
        .map_err(|e| format!("the code can't be handed back: {e}"))
}

/// Takes from this process what compiling does not need; there is no way back.
fn confine(seconds: u64, memory: u64) -> Result<(), String> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .map_err(|e| format!("it can't be made to end with its parent: {e}"))?;
    // The compiler's threads, all of them: none can be started later.
    rayon::broadcast(|_| ());
    ocr_confine::without_core_dumps()?;
    ocr_confine::enter(&Fence {
        addresses: memory.saturating_add(RESERVED_BYTES),
        data: Some(memory),
        // The parent looks at the clock; this is for a child whose parent is gone.
        cpu: Duration::from_secs(seconds.saturating_mul(rayon::current_num_threads() as u64)),
    })?;
    Ok(())
}

/// Does `work`, and calls `tell` where that is not done in `time`. How long compiling takes is a guess beforehand, and a
/// machine with cores to spare needs no excuse.
pub(crate) fn unless_done_in<T>(time: Duration, tell: impl FnOnce() + Send, work: impl FnOnce() -> T) -> T {
    std::thread::scope(|scope| {
        let (working, done) = mpsc::channel::<()>();
        scope.spawn(move || {
            if done.recv_timeout(time) == Err(RecvTimeoutError::Timeout) {
                tell();
            }
        });
        let made = work();
        drop(working);
        made
    })
}

/// A component that is compiled and takes its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiling {
    /// Its id.
    pub plugin: String,
    /// Its size.
    pub bytes: u64,
    /// About how long it will take.
    pub expected: Duration,
    /// Whether the code is kept for the next time.
    pub kept: bool,
}

impl Compiling {
    /// `None` where it is done before anybody wonders.
    pub(crate) fn slow(plugin: &str, component: &[u8], kept: bool) -> Option<Self> {
        let expected = Duration::from_secs_f64(code_bytes(component, LEVELS) as f64 / CODE_PER_SECOND);
        (expected > SLOW).then(|| Self {
            plugin: plugin.to_owned(),
            bytes: component.len() as u64,
            expected,
            kept,
        })
    }
}

impl std::fmt::Display for Compiling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            plugin,
            bytes,
            expected,
            kept,
        } = self;
        let after = match kept {
            true => "once; kept afterwards",
            false => "each time, since there is no folder to keep it in",
        };
        let megabytes = (*bytes as f64 / 1e6).max(0.1);
        let size = if megabytes < 10.0 {
            format!("{megabytes:.1}")
        } else {
            format!("{megabytes:.0}")
        };
        write!(
            f,
            "compiling plugin `{plugin}` ({size} MB), about {} s, {after}",
            expected.as_secs_f64().round()
        )
    }
}

/// Bytes of functions in all modules of a component; data and names cost nothing to compile. Toolchains put modules into
/// components, and components into those, and go no deeper than `levels`.
fn code_bytes(wasm: &[u8], levels: usize) -> u64 {
    const MODULE: u8 = 1;
    const COMPONENT: u8 = 4;
    const CODE: u8 = 10;
    let is_component = wasm.get(4..8) == Some(&[0x0d, 0, 1, 0]);
    let mut rest = wasm.get(8..).unwrap_or_default();
    let mut sum = 0;
    while let Some((&id, after)) = rest.split_first() {
        let Some((size, body)) = crate::manifest::leb128(after) else {
            return sum;
        };
        let Some((body, next)) = body.split_at_checked(size) else {
            return sum;
        };
        sum += match (is_component, id) {
            (false, CODE) => body.len() as u64,
            (true, MODULE | COMPONENT) if levels > 0 => code_bytes(body, levels - 1),
            _ => 0,
        };
        rest = next;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn code_is_counted_and_data_is_not() {
        let data = "x".repeat(100_000);
        let text = format!(
            "(component (core module (memory 2) (data (i32.const 0) \"{data}\") (func nop)) (component (core module (func nop))))"
        );
        let bytes = code_bytes(&wat::parse_str(text).unwrap(), LEVELS);
        assert!((6..40).contains(&bytes), "{bytes}");
        assert_eq!(code_bytes(b"\0asm", LEVELS), 0);
    }

    #[test]
    fn only_what_is_slow_is_told_of() {
        let told = AtomicBool::new(false);
        let tell = || told.store(true, Ordering::Relaxed);
        assert_eq!(unless_done_in(Duration::from_secs(60), tell, || 1), 1);
        assert!(!told.load(Ordering::Relaxed), "it was done long before");
        let wait = || {
            while !told.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
        };
        unless_done_in(Duration::from_millis(1), tell, wait);
    }

    #[test]
    fn messages_name_the_limit_and_the_flag() {
        let time = CompileError::Time(Duration::from_secs(300)).to_string();
        assert!(
            time.contains("`compile-time` of 300 s") && time.ends_with("compile-time=1200s"),
            "{time}"
        );
        let memory = CompileError::Memory(2 << 30).to_string();
        assert!(
            memory.ends_with("--plugin-limit compile-memory=8192MiB"),
            "{memory}"
        );
        let slow = Compiling {
            plugin: "summary".into(),
            bytes: 18_600_000,
            expected: Duration::from_secs(20),
            kept: true,
        };
        assert_eq!(
            slow.to_string(),
            "compiling plugin `summary` (19 MB), about 20 s, once; kept afterwards"
        );
    }
}
