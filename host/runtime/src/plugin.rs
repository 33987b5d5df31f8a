//! A loaded plugin: compiled, linked, shareable between threads; sessions are opened from it.

use crate::api::latest::{
    adapter::InputAdapterPre, formatter::OutputFormatterPre, processor::PageProcessorPre,
};
use crate::contract::Interface;
use crate::manifest::{Manifest, World};
use crate::state::State;
use sha2::{Digest, Sha256};
use wasmtime::Engine;

/// A compiled and linked plugin.
pub struct Plugin {
    pub(crate) engine: Engine,
    manifest: Manifest,
    digest: [u8; 32],
    imports: Vec<Interface>,
    pub(crate) entry: Entry,
    /// Whether the engine counts its instructions.
    pub(crate) counts_fuel: bool,
}

/// The exports of a plugin's world.
pub(crate) enum Entry {
    Formatter(OutputFormatterPre<State>),
    Adapter(InputAdapterPre<State>),
    Processor(PageProcessorPre<State>),
}

impl Plugin {
    pub(crate) fn new(
        engine: Engine,
        manifest: Manifest,
        digest: [u8; 32],
        imports: Vec<Interface>,
        entry: Entry,
    ) -> Self {
        Self {
            engine,
            manifest,
            digest,
            imports,
            entry,
            counts_fuel: false,
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
    pub fn imports(&self) -> &[Interface] {
        &self.imports
    }

    /// SHA-256 of the component, in hexadecimal digits.
    pub fn digest(&self) -> String {
        hexadecimal(&self.digest)
    }
}

/// SHA-256 of a component, in hexadecimal digits, as [`Plugin::digest`] has it.
pub fn digest(component: &[u8]) -> String {
    hexadecimal(&Sha256::digest(component))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Plugin({} {})", self.manifest.id, self.manifest.version)
    }
}
