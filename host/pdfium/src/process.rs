//! One child, from outside: started, asked, watched, and ended for certain.
//!
//! Invariants: a child that was started is waited for, so none stays behind as a zombie; after an answer that did not
//! come whole it is asked nothing more.

use crate::error::RenderError;
use crate::protocol::{Answer, Request, pass_on};
use ocr_confine::{Fence, in_words};
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How often it is looked whether the answer is still wanted.
const LOOK: Duration = Duration::from_millis(20);

/// How the child is started.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The program.
    program: PathBuf,
    /// Arguments that make it the child; the library and its limits come behind them.
    arguments: Vec<OsString>,
    /// libpdfium.
    library: PathBuf,
}

impl Launch {
    /// `program` as the child.
    pub fn new<A: Into<OsString>>(
        program: impl Into<PathBuf>,
        arguments: impl IntoIterator<Item = A>,
        library: impl Into<PathBuf>,
    ) -> Self {
        Self {
            program: program.into(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            library: library.into(),
        }
    }

    /// The file that is running as the child. On Linux that is the very file, also after another was put in its place.
    pub fn this_program<A: Into<OsString>>(
        arguments: impl IntoIterator<Item = A>,
        library: impl Into<PathBuf>,
    ) -> Self {
        let program = match cfg!(target_os = "linux") {
            true => "/proc/self/exe".into(),
            false => std::env::current_exe().unwrap_or_default(),
        };
        Self::new(program, arguments, library)
    }

    /// libpdfium.
    pub fn library(&self) -> &std::path::Path {
        &self.library
    }

    /// The child sees nothing of this process's environment but where libraries are.
    fn command(&self, fence: &Fence) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .arg("--library")
            .arg(&self.library)
            .args(["--memory", &fence.addresses.to_string()])
            .args(["--cpu", &fence.cpu.as_secs().max(1).to_string()])
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        for kept in ["LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SystemRoot"] {
            if let Some(value) = std::env::var_os(kept) {
                command.env(kept, value);
            }
        }
        command
    }
}

/// How long an answer may take, and whether it is still wanted.
#[derive(Clone, Copy)]
pub struct Allowance<'a> {
    started: Instant,
    deadline: Instant,
    is_cancelled: &'a (dyn Fn() -> bool + Sync),
}

impl<'a> Allowance<'a> {
    /// From now on for `time`.
    pub fn of(time: Duration) -> Self {
        Self::until(Instant::now() + time, &|| false)
    }

    /// Until `deadline`, or until `is_cancelled` says so.
    pub fn until(deadline: Instant, is_cancelled: &'a (dyn Fn() -> bool + Sync)) -> Self {
        Self {
            started: Instant::now(),
            deadline,
            is_cancelled,
        }
    }

    /// Why to stop now, if there is a reason.
    pub(crate) fn ended(&self) -> Option<RenderError> {
        if (self.is_cancelled)() {
            return Some(RenderError::Cancelled);
        }
        let whole = self.deadline.saturating_duration_since(self.started);
        (Instant::now() >= self.deadline).then_some(RenderError::Overdue(whole))
    }
}

/// A child that is running.
pub(crate) struct Process {
    child: Arc<Mutex<Child>>,
    to: ChildStdin,
    from: ChildStdout,
    is_filtered: bool,
}

impl Process {
    /// Starts a child and waits until it is ready.
    pub fn start(launch: &Launch, fence: &Fence, allowance: &Allowance<'_>) -> Result<Self, RenderError> {
        let start = |why: String| RenderError::Start(why);
        let mut child = launch.command(fence).spawn().map_err(|e| start(e.to_string()))?;
        let (Some(to), Some(from)) = (child.stdin.take(), child.stdout.take()) else {
            unreachable!("both are piped");
        };
        let mut process = Self {
            child: Arc::new(Mutex::new(child)),
            to,
            from,
            is_filtered: false,
        };
        match process.exchange(allowance, |_| Ok(()))? {
            Answer::Ready { is_filtered } => process.is_filtered = is_filtered,
            Answer::Failed { message, .. } => return Err(start(message)),
            _ => return Err(process.nonsense()),
        }
        Ok(process)
    }

    /// Whether its system calls are filtered.
    pub fn is_filtered(&self) -> bool {
        self.is_filtered
    }

    /// Its process number.
    pub fn id(&self) -> u32 {
        self.lock().id()
    }

    /// Asks and waits for the answer.
    pub fn ask(&mut self, request: &Request, allowance: &Allowance<'_>) -> Result<Answer, RenderError> {
        self.exchange(allowance, |to| request.write(to))
    }

    /// Sends a document.
    pub fn open(
        &mut self,
        password: Option<&str>,
        bytes: u64,
        read_at: &dyn Fn(u64, usize) -> io::Result<Vec<u8>>,
        allowance: &Allowance<'_>,
    ) -> Result<Answer, RenderError> {
        let request = Request::Open {
            password: password.map(str::to_owned),
            bytes,
        };
        let mut unreadable = None;
        let answer = self.exchange(allowance, |to| {
            request.write(to)?;
            pass_on(bytes, to, |at, len| {
                read_at(at, len).inspect_err(|e| unreadable = Some(e.to_string()))
            })
        });
        match unreadable {
            Some(why) => Err(RenderError::Source(why)),
            None => answer,
        }
    }

    /// An answer that fits no question.
    pub fn nonsense(&self) -> RenderError {
        RenderError::Protocol("it answers something else".into())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Child> {
        self.child
            .lock()
            .expect("no thread panics while it holds the child")
    }

    /// Says something and hears the answer, while someone else looks at the clock.
    fn exchange(
        &mut self,
        allowance: &Allowance<'_>,
        say: impl FnOnce(&mut ChildStdin) -> io::Result<()>,
    ) -> Result<Answer, RenderError> {
        if let Some(ended) = allowance.ended() {
            return Err(ended);
        }
        let (done, wait) = channel::<()>();
        let child = self.child.clone();
        let (to, from) = (&mut self.to, &mut self.from);
        let (answer, ended) = std::thread::scope(|scope| {
            let watch = scope.spawn(move || {
                loop {
                    match wait.recv_timeout(LOOK) {
                        Err(RecvTimeoutError::Timeout) => {}
                        _ => return None,
                    }
                    if let Some(ended) = allowance.ended() {
                        let mut child = child.lock().expect("no thread panics while it holds the child");
                        let _ = child.kill();
                        return Some(ended);
                    }
                }
            });
            let said = say(to).and_then(|()| to.flush());
            // A child that refuses before it has heard all says why before it goes.
            let answer = match (said, Answer::read(from)) {
                (Err(said), Err(_)) => Err(said),
                (_, answer) => answer,
            };
            drop(done);
            (answer, watch.join().unwrap_or(None))
        });
        match (answer, ended) {
            (_, Some(ended)) => Err(ended),
            (Ok(answer), None) => Ok(answer),
            (Err(e), None) if e.kind() == io::ErrorKind::InvalidData => {
                Err(RenderError::Protocol(e.to_string()))
            }
            (Err(e), None) if e.kind() == io::ErrorKind::OutOfMemory => {
                Err(RenderError::Refused("there is no memory for its answer".into()))
            }
            (Err(_), None) => Err(RenderError::Died(self.how_it_ended())),
        }
    }

    /// How it ended; it is ended where it has not yet.
    fn how_it_ended(&self) -> String {
        let mut child = self.lock();
        // Its pipes are closed, so it is on its way out; one that closed them and stays is ended.
        let patience = Instant::now() + Duration::from_secs(1);
        loop {
            match child.try_wait() {
                Ok(Some(status)) => return in_words(status),
                Ok(None) if Instant::now() < patience => std::thread::sleep(Duration::from_millis(1)),
                _ => {
                    let _ = child.kill();
                    let _ = child.wait();
                    return "went silent and was ended".into();
                }
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let mut child = self.lock();
        let _ = child.kill();
        let _ = child.wait();
    }
}
