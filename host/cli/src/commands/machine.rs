//! What the machine has: its processor, and its GPUs as far as the driver tells without being linked.

use serde::Serialize;
use std::fmt;
use std::path::{Path, PathBuf};

/// The processor.
#[derive(Debug, Serialize)]
pub struct Processor {
    /// Cores that this program may use.
    pub cores: usize,
    /// Vector instructions that the engines have code for.
    pub simd: Vec<&'static str>,
}

impl fmt::Display for Processor {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let simd = match self.simd[..] {
            [] => "no vector instructions".into(),
            _ => self.simd.join(", "),
        };
        write!(f, "{} cores; {simd}", self.cores)
    }
}

/// Looks at the processor.
pub fn processor() -> Processor {
    Processor {
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        simd: simd(),
    }
}

#[cfg(target_arch = "x86_64")]
fn simd() -> Vec<&'static str> {
    let all = [
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("f16c", is_x86_feature_detected!("f16c")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("avx512vnni", is_x86_feature_detected!("avx512vnni")),
    ];
    all.iter()
        .filter(|(_, has)| *has)
        .map(|(name, _)| *name)
        .collect()
}

#[cfg(target_arch = "aarch64")]
fn simd() -> Vec<&'static str> {
    let all = [
        ("neon", std::arch::is_aarch64_feature_detected!("neon")),
        ("dotprod", std::arch::is_aarch64_feature_detected!("dotprod")),
        ("i8mm", std::arch::is_aarch64_feature_detected!("i8mm")),
    ];
    all.iter()
        .filter(|(_, has)| *has)
        .map(|(name, _)| *name)
        .collect()
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn simd() -> Vec<&'static str> {
    Vec::new()
}

/// What is known of CUDA.
#[derive(Debug, Serialize)]
pub struct Cuda {
    /// Whether this program has CUDA code.
    pub is_built: bool,
    /// Version of the kernel's driver.
    pub driver: Option<String>,
    /// The driver's `libcuda.so.1`.
    pub library: Option<PathBuf>,
    /// The GPUs.
    pub devices: Vec<Gpu>,
}

/// A GPU.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Gpu {
    /// As the driver calls it.
    pub name: String,
    /// Its memory, where CUDA could be asked.
    pub memory_bytes: Option<u64>,
    /// `9.0` is sm_90; where CUDA could be asked.
    pub compute_capability: Option<String>,
}

impl fmt::Display for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(bytes) = self.memory_bytes {
            write!(f, ", {:.1} GiB", bytes as f64 / f64::from(1 << 30))?;
        }
        match &self.compute_capability {
            Some(version) => write!(f, ", compute capability {version}"),
            None => Ok(()),
        }
    }
}

/// The driver's own files.
const DRIVER: &str = "/proc/driver/nvidia";

/// Looks for the driver and its GPUs.
pub fn cuda() -> Cuda {
    let version = std::fs::read_to_string(Path::new(DRIVER).join("version"));
    Cuda {
        is_built: cfg!(feature = "cuda"),
        driver: version.ok().and_then(|text| driver_version(&text)),
        library: library_folders()
            .map(|f| f.join("libcuda.so.1"))
            .find(|path| path.exists()),
        devices: listed_gpus(&Path::new(DRIVER).join("gpus")),
    }
}

/// The version in the driver's own words: `NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar 5 ...`.
fn driver_version(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with("NVRM version:"))?;
    let is_version =
        |word: &&str| word.contains('.') && word.split('.').all(|part| part.parse::<u32>().is_ok());
    line.split_whitespace().find(is_version).map(str::to_owned)
}

/// GPUs as the kernel's driver lists them, one folder each; it knows their names alone.
fn listed_gpus(folder: &Path) -> Vec<Gpu> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path().join("information")).collect();
    paths.sort();
    let texts = paths.iter().filter_map(|path| std::fs::read_to_string(path).ok());
    texts
        .filter_map(|text| {
            let name = text.lines().find_map(|line| line.strip_prefix("Model:"))?.trim();
            Some(Gpu {
                name: name.to_owned(),
                memory_bytes: None,
                compute_capability: None,
            })
        })
        .collect()
}

/// Where the dynamic linker finds the driver's library on the usual systems: LD_LIBRARY_PATH, Debian, Fedora and
/// containers, WSL, NixOS.
fn library_folders() -> impl Iterator<Item = PathBuf> {
    let own = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let own: Vec<PathBuf> = std::env::split_paths(&own)
        .filter(|p| !p.as_os_str().is_empty())
        .collect();
    let usual = [
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/lib/x86_64-linux-gnu",
        "/usr/lib64",
        "/usr/lib",
        "/usr/local/nvidia/lib64",
        "/usr/local/cuda/compat",
        "/usr/lib/wsl/lib",
        "/run/opengl-driver/lib",
    ];
    own.into_iter().chain(usual.map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drivers_version_is_found_in_both_forms() {
        let closed = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\n\
                      GCC version:  gcc version 12.2.0 (Debian 12.2.0-14)\n";
        assert_eq!(driver_version(closed).as_deref(), Some("550.54.15"));
        let open =
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build  (x@y)\n";
        assert_eq!(driver_version(open).as_deref(), Some("580.95.05"));
        assert_eq!(driver_version("GCC version:  gcc version 12.2.0"), None);
    }

    #[test]
    fn gpus_are_listed_by_name() {
        let folder = tempfile::tempdir().unwrap();
        for (bus, name) in [
            ("0000:02:00.0", "NVIDIA L4"),
            ("0000:01:00.0", "NVIDIA H100 80GB HBM3"),
        ] {
            std::fs::create_dir(folder.path().join(bus)).unwrap();
            let text = format!("Model: \t\t {name}\nIRQ:   \t\t 99\n");
            std::fs::write(folder.path().join(bus).join("information"), text).unwrap();
        }
        let names: Vec<String> = listed_gpus(folder.path()).iter().map(Gpu::to_string).collect();
        assert_eq!(names, ["NVIDIA H100 80GB HBM3", "NVIDIA L4"]);
        assert!(listed_gpus(Path::new("/nowhere")).is_empty());
    }
}
