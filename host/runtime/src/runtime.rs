//! The process-wide half: one wasmtime engine, its clock, the linkers, and the road from bytes to a [`Plugin`].

use crate::api::latest::imports::Imports;
use crate::api::{WIT_VERSION, latest};
use crate::cache::CodeCache;
use crate::error::LoadError;
use crate::limits::{COMPONENT_BYTES, Limits};
use crate::manifest::{Manifest, World};
use crate::plugin::{Entry, Plugin};
use crate::state::State;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use wasmtime::component::{Component, HasSelf, InstancePre, Linker};
use wasmtime::{Config, Engine};

/// How often running plugins look at their deadline. A call is ended at most this late.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// Loads plugins. One a process: code of one engine does not run in another.
pub struct Runtime {
    engine: Engine,
    linker: Linker<State>,
    wasi_linker: Linker<State>,
    cache: CodeCache,
}

impl Runtime {
    /// Starts the engine. Compiled code is kept in `cache`, a folder of the user's own; `None` keeps none. Plugins get the
    /// stack that `limits` has; its other limits are a session's own.
    pub fn new(cache: Option<PathBuf>, limits: &Limits) -> wasmtime::Result<Self> {
        let engine = Engine::new(&config(usize::try_from(limits.stack)?))?;
        let clock = engine.weak();
        std::thread::Builder::new()
            .name("ocr-plugin-clock".into())
            .spawn(move || {
                while let Some(engine) = clock.upgrade() {
                    engine.increment_epoch();
                    drop(engine);
                    std::thread::sleep(TICK);
                }
            })?;
        let mut linker = Linker::new(&engine);
        Imports::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)?;
        let mut wasi_linker = linker.clone();
        crate::wasi::add_to_linker(&mut wasi_linker)?;
        let cache = CodeCache::new(cache, &engine);
        Ok(Self {
            engine,
            linker,
            wasi_linker,
            cache,
        })
    }

    /// Loads the component in a file.
    pub fn load_file(&self, path: &Path) -> Result<Arc<Plugin>, LoadError> {
        let plugin = path.display().to_string();
        let read = |error| LoadError::Read {
            plugin: plugin.clone(),
            error,
        };
        let bytes = std::fs::metadata(path).map_err(read)?.len();
        if bytes > COMPONENT_BYTES {
            return Err(LoadError::TooLarge {
                plugin,
                bytes,
                limit: COMPONENT_BYTES,
            });
        }
        let component = std::fs::read(path).map_err(read)?;
        self.load(&plugin, &component)
    }

    /// Loads a component; `name` is what messages call it until its manifest is read.
    pub fn load(&self, name: &str, component: &[u8]) -> Result<Arc<Plugin>, LoadError> {
        let plugin = name.to_owned();
        let manifest = Manifest::read(component).map_err(|error| LoadError::Manifest {
            plugin: plugin.clone(),
            error,
        })?;
        if manifest.wit != WIT_VERSION {
            return Err(LoadError::Version {
                plugin,
                wanted: manifest.wit,
                spoken: WIT_VERSION,
            });
        }
        let digest: [u8; 32] = Sha256::digest(component).into();
        let wrong = |e: wasmtime::Error| LoadError::Component {
            plugin: plugin.clone(),
            reason: format!("{e:#}"),
        };
        let compiled = self.cache.load(&self.engine, component, &digest).map_err(wrong)?;
        let pre = self.link(&compiled).map_err(wrong)?;
        let entry = match manifest.world {
            World::OutputFormatter => latest::formatter::OutputFormatterPre::new(pre).map(Entry::Formatter),
            World::InputAdapter => latest::adapter::InputAdapterPre::new(pre).map(Entry::Adapter),
            World::PageProcessor => {
                return Err(LoadError::Component {
                    plugin,
                    reason: "page processors are not run by this version; use an output formatter".into(),
                });
            }
        };
        let entry = entry.map_err(|e| LoadError::Component {
            plugin: plugin.clone(),
            reason: format!("it says that it is an {}, but {e:#}", manifest.world.name()),
        })?;
        let imports = compiled
            .component_type()
            .imports(&self.engine)
            .map(|(name, _)| name.to_owned())
            .collect();
        Ok(Arc::new(Plugin::new(
            self.engine.clone(),
            manifest,
            digest,
            imports,
            entry,
        )))
    }

    /// Links the contract alone where that is enough, so that a plugin without WASI has no way to it.
    fn link(&self, component: &Component) -> wasmtime::Result<InstancePre<State>> {
        // What reaches outside is refused; the rest of WASI is there and empty (`wasi.rs`).
        const REFUSED: [&str; 2] = ["wasi:sockets/", "wasi:http/"];
        let kind = component.component_type();
        let names: Vec<&str> = kind.imports(&self.engine).map(|(name, _)| name).collect();
        if let Some(name) = names
            .iter()
            .find(|name| REFUSED.iter().any(|refused| name.starts_with(refused)))
        {
            return Err(wasmtime::Error::msg(format!(
                "it imports `{name}`, which plugins don't get; build it for wasm32-unknown-unknown"
            )));
        }
        let imports_wasi = names.iter().any(|name| name.starts_with("wasi:"));
        let linker = if imports_wasi {
            &self.wasi_linker
        } else {
            &self.linker
        };
        linker.instantiate_pre(component)
    }
}

/// The engine's settings; code compiled under others is not loaded from the cache.
fn config(stack: usize) -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .max_wasm_stack(stack)
        // Has to be larger, though nothing here runs on a stack of its own.
        .async_stack_size(stack + (1 << 20))
        .wasm_memory64(false)
        // Without it, components whose toolchain adds async intrinsics don't even parse.
        .concurrency_support(true);
    config
}
