//! A loaded plugin: compiled, linked, shareable between threads; sessions are opened from it.

use crate::api::latest::{adapter::InputAdapterPre, formatter::OutputFormatterPre};
use crate::manifest::{Manifest, World};
use crate::state::State;
use wasmtime::Engine;

/// A compiled and linked plugin.
pub struct Plugin {
    pub(crate) engine: Engine,
    manifest: Manifest,
    digest: [u8; 32],
    imports: Vec<String>,
    pub(crate) entry: Entry,
}

/// The exports of a plugin's world.
pub(crate) enum Entry {
    Formatter(OutputFormatterPre<State>),
    Adapter(InputAdapterPre<State>),
}

impl Plugin {
    pub(crate) fn new(
        engine: Engine,
        manifest: Manifest,
        digest: [u8; 32],
        imports: Vec<String>,
        entry: Entry,
    ) -> Self {
        Self {
            engine,
            manifest,
            digest,
            imports,
            entry,
        }
    }

    /// What it says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What it is.
    pub fn world(&self) -> World {
        self.manifest.world
    }

    /// The interfaces that it imports: what it can ask of the host at all.
    pub fn imports(&self) -> Vec<String> {
        self.imports.clone()
    }

    /// SHA-256 of the component, in hexadecimal digits.
    pub fn digest(&self) -> String {
        self.digest.iter().map(|b| format!("{b:02x}")).collect()
    }
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Plugin({} {})", self.manifest.id, self.manifest.version)
    }
}
