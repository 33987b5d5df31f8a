//! The process-wide half: one wasmtime engine, its clock, the linkers, and the road from bytes to a [`Plugin`].

use crate::api::latest::imports::Imports;
use crate::api::{WIT_VERSION, latest};
use crate::cache::{CodeCache, CompiledCode, Key};
use crate::compile::{CompileChild, CompileError, Compiling, SLOW, unless_done_in};
use crate::contract::{self, Interface};
use crate::error::LoadError;
use crate::limits::Limits;
use crate::manifest::{Manifest, ManifestError, World};
use crate::plugin::{Entry, Plugin};
use crate::pool;
use crate::state::{State, clean, shorten};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use wasmtime::component::{Component, HasSelf, InstancePre, Linker};
use wasmtime::{Config, Engine};

/// How often running plugins look at their deadline. A call is ended at most this late.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// Longest reason for not loading a component, bytes.
const REASON_BYTES: usize = 1000;

/// Loads plugins. One a process: code of one engine does not run in another.
pub struct Runtime {
    engine: Engine,
    linker: Linker<State>,
    wasi_linker: Linker<State>,
    cache: CodeCache,
    limits: Limits,
    /// Compiles what the program did not bring along; `None` compiles all here.
    child: Option<CompileChild>,
    counts_fuel: bool,
    slow: Option<HearsCompiling>,
}

/// Is told before a component is compiled that takes more than a moment.
type HearsCompiling = Box<dyn Fn(&Compiling) + Send + Sync>;

/// Whose component is loaded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    BuiltIn,
    Stranger,
}

/// What a component is, and what is wrong with it.
#[derive(Debug, Default)]
pub struct Checked {
    /// What it says of itself, where that can be read.
    pub manifest: Option<Manifest>,
    /// What it imports; empty where it does not compile.
    pub imports: Vec<Interface>,
    /// Why it can't be loaded; empty where it can.
    pub errors: Vec<String>,
}

impl Runtime {
    /// Starts the engine. Compiled code is kept in `cache`, a folder of the user's own; `None` keeps none. Plugins get the
    /// stack and are compiled within the limits that `limits` has; its other limits are a session's own.
    pub fn new(cache: Option<PathBuf>, limits: &Limits) -> wasmtime::Result<Self> {
        Self::with(cache, pool::engine(limits)?, limits, false)
    }

    /// One that counts instructions, for measurements: plugins run at half their speed, and their code is kept nowhere.
    pub fn counting_fuel(limits: &Limits) -> wasmtime::Result<Self> {
        let mut config = config(usize::try_from(limits.stack)?);
        config.consume_fuel(true);
        Self::with(None, Engine::new(&config)?, limits, true)
    }

    fn with(
        cache: Option<PathBuf>,
        engine: Engine,
        limits: &Limits,
        counts_fuel: bool,
    ) -> wasmtime::Result<Self> {
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
        latest::add_lists_to_linker(&mut linker)?;
        let mut wasi_linker = linker.clone();
        crate::wasi::add_to_linker(&mut wasi_linker)?;
        let cache = CodeCache::new(cache, &engine);
        Ok(Self {
            engine,
            linker,
            wasi_linker,
            cache,
            limits: limits.clone(),
            child: None,
            slow: None,
            counts_fuel,
        })
    }

    /// Compiles components in a process of their own, but for those that the program brings along.
    pub fn compile_in(mut self, child: CompileChild) -> Self {
        self.child = Some(child);
        self
    }

    /// Tells `hear` of a component that is being compiled for more than a moment and will be for a while.
    pub fn on_slow_compile(mut self, hear: impl Fn(&Compiling) + Send + Sync + 'static) -> Self {
        self.slow = Some(Box::new(hear));
        self
    }

    /// Loads the component in a file.
    pub fn load_file(&self, path: &Path) -> Result<Arc<Plugin>, LoadError> {
        let component = crate::read_component(path)?;
        self.load(&path.display().to_string(), &component)
    }

    /// Loads a component; `name` is what messages call it until its manifest is read.
    pub fn load(&self, name: &str, component: &[u8]) -> Result<Arc<Plugin>, LoadError> {
        self.load_from(Origin::Stranger, name, component)
    }

    /// Loads a component that the program brings along: it is compiled in this process.
    pub fn load_built_in(&self, name: &str, component: &[u8]) -> Result<Arc<Plugin>, LoadError> {
        self.load_from(Origin::BuiltIn, name, component)
    }

    fn load_from(&self, origin: Origin, name: &str, component: &[u8]) -> Result<Arc<Plugin>, LoadError> {
        let plugin = name.to_owned();
        let manifest = Manifest::read(component).map_err(|error| LoadError::Manifest {
            plugin: plugin.clone(),
            error,
        })?;
        if contract::line(&manifest.wit) != contract::line(WIT_VERSION) {
            return Err(LoadError::Version {
                plugin,
                wanted: manifest.wit,
            });
        }
        let digest: [u8; 32] = Sha256::digest(component).into();
        let wrong = |e: wasmtime::Error| LoadError::Component {
            plugin: plugin.clone(),
            reason: in_words(&e),
        };
        let compiled = self
            .compiled(origin, &manifest.id, component, Key(digest))
            .map_err(|error| match error {
                CompileError::Refused(reason) => LoadError::Component {
                    plugin: plugin.clone(),
                    reason,
                },
                error => LoadError::Compile {
                    plugin: plugin.clone(),
                    reason: error.to_string(),
                },
            })?;
        let imports = contract::imports(&self.engine, &compiled);
        let unknown: Vec<String> = imports.iter().filter_map(contract::unknown_name).collect();
        if !unknown.is_empty() {
            return Err(wrong(wasmtime::Error::msg(unknown.join("; "))));
        }
        let pre = self.link(&compiled).map_err(|error| {
            let unknown = contract::unknown_imports(&self.engine, &compiled);
            match unknown.is_empty() {
                true => wrong(error),
                false => wrong(wasmtime::Error::msg(unknown.join("; "))),
            }
        })?;
        let entry = match manifest.world {
            World::OutputFormatter => latest::formatter::OutputFormatterPre::new(pre).map(Entry::Formatter),
            World::InputAdapter => latest::adapter::InputAdapterPre::new(pre).map(Entry::Adapter),
            World::PageProcessor => latest::processor::PageProcessorPre::new(pre).map(Entry::Processor),
        };
        let entry = entry.map_err(|e| LoadError::Component {
            plugin: plugin.clone(),
            reason: contract::wrong_exports(&self.engine, &compiled, manifest.world).unwrap_or_else(|| {
                format!("it says that it is {}, but {e:#}", manifest.world.with_article())
            }),
        })?;
        let mut plugin = Plugin::new(self.engine.clone(), manifest, digest, imports, entry);
        plugin.counts_fuel = self.counts_fuel;
        Ok(Arc::new(plugin))
    }

    /// The compiled component: from the cache, or made and kept there.
    fn compiled(
        &self,
        origin: Origin,
        id: &str,
        component: &[u8],
        key: Key,
    ) -> Result<Component, CompileError> {
        if let Some(compiled) = self.cache.find(&self.engine, &key) {
            return Ok(compiled);
        }
        let code = self.compile(origin, id, component)?;
        let kept = self.cache.keep(&self.engine, &key, &code);
        kept.map_err(|e| CompileError::Refused(in_words(&e)))
    }

    /// The component's code.
    fn compile(&self, origin: Origin, id: &str, component: &[u8]) -> Result<CompiledCode, CompileError> {
        let compile = || match &self.child {
            Some(child) if origin == Origin::Stranger => child.compile(component, &self.limits),
            _ => CompiledCode::here(&self.engine, component),
        };
        let slow = Compiling::slow(id, component, self.cache.keeps());
        match (&self.slow, slow) {
            (Some(hear), Some(slow)) => unless_done_in(SLOW, || hear(&slow), compile),
            _ => compile(),
        }
    }

    /// Looks at a component as [`load`](Self::load) does, and tells everything that is wrong with it. Nothing of it is
    /// run.
    pub fn check(&self, component: &[u8]) -> Checked {
        let mut checked = Checked::default();
        match Manifest::read(component) {
            Ok(manifest) => checked.manifest = Some(manifest),
            Err(error @ ManifestError::NotAComponent(_)) => {
                checked.errors.push(error.to_string());
                return checked;
            }
            Err(error) => checked.errors.push(error.to_string()),
        }
        let digest: [u8; 32] = Sha256::digest(component).into();
        let id = checked.manifest.as_ref().map_or("plugin", |m| m.id.as_str());
        let compiled = match self.compiled(Origin::Stranger, id, component, Key(digest)) {
            Ok(compiled) => compiled,
            Err(error) => {
                checked.errors.push(format!("it does not compile: {error}"));
                return checked;
            }
        };
        checked.imports = contract::imports(&self.engine, &compiled);
        checked
            .errors
            .extend(contract::unknown_imports(&self.engine, &compiled));
        if let Some(manifest) = &checked.manifest {
            if contract::line(&manifest.wit) != contract::line(WIT_VERSION) {
                checked.errors.push(contract::versions(&manifest.wit));
            }
            checked
                .errors
                .extend(contract::wrong_exports(&self.engine, &compiled, manifest.world));
        }
        // What has no words above has wasmtime's.
        if checked.errors.is_empty()
            && let Err(error) = self.load("", component)
        {
            let error = error.to_string();
            checked
                .errors
                .push(error.trim_start_matches("plugin ``: ").to_owned());
        }
        checked
    }

    /// Links the contract alone where that is enough, so that a plugin without WASI has no way to it. What reaches
    /// outside was refused before.
    fn link(&self, component: &Component) -> wasmtime::Result<InstancePre<State>> {
        let kind = component.component_type();
        let imports_wasi = kind
            .imports(&self.engine)
            .any(|(name, _)| name.starts_with("wasi:"));
        let linker = if imports_wasi {
            &self.wasi_linker
        } else {
            &self.linker
        };
        linker.instantiate_pre(component)
    }
}

/// Why wasmtime does not take a component. It may quote the component's own words.
pub(crate) fn in_words(error: &wasmtime::Error) -> String {
    let why = format!("{error:#}");
    pool::misfit(&why).unwrap_or_else(|| clean(shorten(&why, REASON_BYTES)))
}

/// The engine's settings; code compiled under others is not loaded from the cache. How memory is handed out is not among
/// them: that comes on top (`pool.rs`).
pub(crate) fn config(stack: usize) -> Config {
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
