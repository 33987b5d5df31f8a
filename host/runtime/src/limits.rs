//! What a plugin may use, each limit with its default and the name by which an operator raises it.

use crate::suggest;
use std::time::Duration;

/// One mebibyte.
const MIB: u64 = 1 << 20;

/// Most stack that a plugin can be given: threads are made with room for it.
const MAX_STACK: u64 = 256 * MIB;

/// What the host's own functions need of a thread's stack below the plugin's.
const HOST_STACK: u64 = 8 * MIB;

/// The limits of compiling a component, beside those of running it ([`Quota`]).
pub const OF_COMPILATION: [&str; 2] = ["compile-time", "compile-memory"];

/// Largest component that is compiled at all: a Python component takes about 20 MB.
pub const COMPONENT_BYTES: u64 = 64 * MIB;

/// Elements that a function table may have for each handle that is allowed.
pub(crate) const TABLE_PER_HANDLE: u64 = 16;

/// A call that keeps the host at work for this many times its own limit ends as well.
pub const HOST_TIME: u32 = 4;

/// Limits of one plugin session (one plugin, one document).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// WASM stack of a call, bytes. 512 KiB is wasmtime's own default; 10,000 recursive frames fit. A property of the
    /// engine: the same for all plugins of a [`Runtime`](crate::Runtime).
    pub stack: u64,
    /// Linear memory, bytes. 768 MiB: a PDF whose page holds an uncompressed 80-megapixel scan takes 561.
    pub memory: u64,
    /// Time one call into the plugin may take, host work excluded; with it, [`HOST_TIME`] times as long.
    pub time: Duration,
    /// Open handles; each function table may have 16 times as many elements.
    pub handles: u64,
    /// Bytes that one call may hand over in either direction.
    pub call_bytes: u64,
    /// Host functions called within one call into the plugin.
    pub host_calls: u64,
    /// Bytes of all files a formatter writes for one document.
    pub output_bytes: u64,
    /// Files a formatter writes for one document.
    pub output_files: u64,
    /// Bytes of one file.
    pub file_bytes: u64,
    /// Bytes of log messages for one document.
    pub log_bytes: u64,
    /// Bytes of pixels that the host keeps alive for the plugin.
    pub image_bytes: u64,
    /// Time that compiling a plugin may take which the program did not bring along. Python's 18 MB take 11 s of a
    /// core and 350 MiB. Like the stack, the same for all plugins of a [`Runtime`](crate::Runtime).
    pub compile_time: Duration,
    /// Memory that compiling it may take, bytes: what the compiler's process can write beyond the some 10 MB that it has
    /// when it begins.
    pub compile_memory: u64,
    /// Regions that the engine reads again for one document.
    pub gpu: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            stack: 512 << 10,
            memory: 768 * MIB,
            time: Duration::from_secs(30),
            handles: 4096,
            call_bytes: 16 * MIB,
            host_calls: 1_000_000,
            output_bytes: 1024 * MIB,
            output_files: 10_000,
            file_bytes: 1024 * MIB,
            log_bytes: MIB,
            image_bytes: 384 * MIB,
            compile_time: Duration::from_secs(300),
            compile_memory: 2048 * MIB,
            gpu: 1_000,
        }
    }
}

/// A limit by name, as flags, configuration, messages and the WIT use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Quota {
    /// Linear memory.
    Memory,
    /// Time of a call.
    Time,
    /// Depth of calls.
    Stack,
    /// Handles.
    Handles,
    /// Bytes handed over in one call.
    CallBytes,
    /// Host functions called.
    HostCalls,
    /// Bytes of all files.
    OutputBytes,
    /// Number of files.
    OutputFiles,
    /// Bytes of one file.
    FileBytes,
    /// Bytes of log.
    LogBytes,
    /// Bytes of pixels.
    ImageBytes,
    /// Regions read again.
    Gpu,
}

impl Quota {
    /// All limits.
    pub const ALL: [Quota; 12] = [
        Quota::Memory,
        Quota::Time,
        Quota::Stack,
        Quota::Handles,
        Quota::CallBytes,
        Quota::HostCalls,
        Quota::OutputBytes,
        Quota::OutputFiles,
        Quota::FileBytes,
        Quota::LogBytes,
        Quota::ImageBytes,
        Quota::Gpu,
    ];

    /// Its name in `--plugin-limit NAME=VALUE` and in the configuration's `[plugin-limit]`.
    pub fn name(self) -> &'static str {
        match self {
            Quota::Memory => "memory",
            Quota::Time => "time",
            Quota::Stack => "stack",
            Quota::Handles => "handles",
            Quota::CallBytes => "call-bytes",
            Quota::HostCalls => "host-calls",
            Quota::OutputBytes => "output-bytes",
            Quota::OutputFiles => "output-files",
            Quota::FileBytes => "file-bytes",
            Quota::LogBytes => "log-bytes",
            Quota::ImageBytes => "image-bytes",
            Quota::Gpu => "gpu",
        }
    }

    /// The limit called `name`.
    pub fn named(name: &str) -> Result<Quota, String> {
        Quota::ALL.into_iter().find(|q| q.name() == name).ok_or_else(|| {
            let names = Quota::ALL.map(Quota::name);
            let all = names.into_iter().chain(OF_COMPILATION);
            let near = suggest::hint(name, all);
            format!(
                "there is no plugin limit `{name}`; the limits are {}, {}{near}",
                names.join(", "),
                OF_COMPILATION.join(", ")
            )
        })
    }

    /// An amount of it as people write it: `768 MiB`, `30 s`, `4096`.
    pub fn shown(self, amount: u64) -> String {
        match self {
            Quota::Time => format!("{} s", amount as f64 / 1e3),
            Quota::Handles | Quota::HostCalls | Quota::OutputFiles | Quota::Gpu => amount.to_string(),
            _ => {
                let units = [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
                let unit = units
                    .into_iter()
                    .find(|(_, size)| amount >= *size && amount.is_multiple_of(*size));
                match unit {
                    Some((unit, size)) => format!("{} {unit}", amount / size),
                    None => format!("{amount} bytes"),
                }
            }
        }
    }
}

impl Limits {
    /// Stack of a thread that calls plugins, bytes.
    pub fn thread_stack(&self) -> usize {
        usize::try_from(self.stack + HOST_STACK).expect("a stack is checked when it is set")
    }

    /// What one limit is: bytes, counts or milliseconds.
    pub fn get(&self, quota: Quota) -> u64 {
        match quota {
            Quota::Memory => self.memory,
            Quota::Time => u64::try_from(self.time.as_millis()).unwrap_or(u64::MAX),
            Quota::Stack => self.stack,
            Quota::Handles => self.handles,
            Quota::CallBytes => self.call_bytes,
            Quota::HostCalls => self.host_calls,
            Quota::OutputBytes => self.output_bytes,
            Quota::OutputFiles => self.output_files,
            Quota::FileBytes => self.file_bytes,
            Quota::LogBytes => self.log_bytes,
            Quota::ImageBytes => self.image_bytes,
            Quota::Gpu => self.gpu,
        }
    }

    /// Makes one limit `amount`: bytes, counts or milliseconds.
    pub fn put(&mut self, quota: Quota, amount: u64) {
        match quota {
            Quota::Memory => self.memory = amount,
            Quota::Time => self.time = Duration::from_millis(amount),
            Quota::Stack => self.stack = amount,
            Quota::Handles => self.handles = amount,
            Quota::CallBytes => self.call_bytes = amount,
            Quota::HostCalls => self.host_calls = amount,
            Quota::OutputBytes => self.output_bytes = amount,
            Quota::OutputFiles => self.output_files = amount,
            Quota::FileBytes => self.file_bytes = amount,
            Quota::LogBytes => self.log_bytes = amount,
            Quota::ImageBytes => self.image_bytes = amount,
            Quota::Gpu => self.gpu = amount,
        }
    }

    /// Elements that a function table may have. Those of ordinary components have a few thousand, interpreters' some ten
    /// thousand.
    pub(crate) fn table_elements(&self) -> u64 {
        self.handles.saturating_mul(TABLE_PER_HANDLE)
    }

    /// Sets one limit from its name and value: `memory=1GiB`, `time=90s`, `handles=10000`.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        // These two are no quotas of a session: nothing that runs can meet them.
        match name {
            "compile-time" => {
                self.compile_time = parse_duration(value)?;
                return Ok(());
            }
            "compile-memory" => {
                self.compile_memory = parse_bytes(value)?;
                return Ok(());
            }
            _ => {}
        }
        let quota = Quota::named(name)?;
        match quota {
            Quota::Time => self.time = parse_duration(value)?,
            Quota::Memory => self.memory = parse_bytes(value)?,
            Quota::CallBytes => self.call_bytes = parse_bytes(value)?,
            Quota::OutputBytes => self.output_bytes = parse_bytes(value)?,
            Quota::FileBytes => self.file_bytes = parse_bytes(value)?,
            Quota::LogBytes => self.log_bytes = parse_bytes(value)?,
            Quota::ImageBytes => self.image_bytes = parse_bytes(value)?,
            Quota::Handles => self.handles = parse_count(value)?,
            Quota::HostCalls => self.host_calls = parse_count(value)?,
            Quota::OutputFiles => self.output_files = parse_count(value)?,
            Quota::Gpu => self.gpu = parse_count(value)?,
            Quota::Stack => {
                self.stack = parse_bytes(value)?;
                if !(64 << 10..=MAX_STACK).contains(&self.stack) {
                    return Err(format!(
                        "`{value}` is no stack; it is 64KiB to {}MiB",
                        MAX_STACK / MIB
                    ));
                }
            }
        }
        Ok(())
    }
}

fn parse_count(text: &str) -> Result<u64, String> {
    text.replace('_', "")
        .parse()
        .map_err(|_| format!("`{text}` is no whole number"))
}

/// Reads `512MiB`, `2 GB`, `4096`.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    let unit = text[digits.len()..].trim().to_ascii_lowercase();
    let factor: u64 = match unit.as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        _ => return Err(format!("`{text}` is no size; write for example 512MiB or 2GB")),
    };
    let number = digits
        .parse::<u64>()
        .map_err(|_| format!("`{text}` is no size; write for example 512MiB"))?;
    number
        .checked_mul(factor)
        .ok_or_else(|| format!("`{text}` is too large"))
}

/// Reads `90s`, `2m`, `500ms`; a bare number is seconds.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let wrong = || format!("`{text}` is no time; write for example 90s, 2m or 500ms");
    let number = digits.parse::<f64>().map_err(|_| wrong())?;
    let seconds = match &text[digits.len()..] {
        "" | "s" => number,
        "ms" => number / 1e3,
        "m" | "min" => number * 60.0,
        "h" => number * 3600.0,
        _ => return Err(wrong()),
    };
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_set_by_name() {
        let mut limits = Limits::default();
        limits.set("memory", "1GiB").unwrap();
        limits.set("time", "1.5m").unwrap();
        limits.set("handles", "10_000").unwrap();
        assert_eq!(
            (limits.memory, limits.time.as_secs(), limits.handles),
            (1 << 30, 90, 10_000)
        );
    }

    #[test]
    fn wrong_limits_say_what_would_be_right() {
        let mut limits = Limits::default();
        assert!(limits.set("ram", "1").unwrap_err().contains("memory, time"));
        assert!(limits.set("memory", "lots").unwrap_err().contains("512MiB"));
        assert!(
            limits
                .set("memory", "99999999999GiB")
                .unwrap_err()
                .contains("too large")
        );
        assert!(limits.set("time", "-3s").unwrap_err().contains("90s"));
        assert!(limits.set("stack", "1TiB").is_err());
        assert!(limits.set("stack", "1GiB").unwrap_err().contains("256MiB"));
    }
}
