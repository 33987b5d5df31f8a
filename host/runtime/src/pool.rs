//! Room for instances, set apart beforehand: a fresh instance takes a place of the pool instead of asking the system for
//! memory, and is a third as expensive.
//!
//! The pool reserves addresses, not memory. Where the system does not even give those (a container with a bound on
//! addresses, say), instances are made on demand: slower, otherwise the same. A place that is given back is cleaned before
//! it is used again: what of a memory was written is set to zero, a little of it in place ([`KEPT_BYTES`]), the rest by
//! giving the pages back.

use crate::limits::{Limits, TABLE_PER_HANDLE};
use crate::runtime::config;
use wasmtime::{Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

/// Sessions that can be open at a time. A document has an adapter and a handful of processors and formatters.
const SESSIONS: u32 = 512;

/// Modules that a plugin is made of: an SDK's has three, an interpreter's six.
pub(crate) const MODULES: u32 = 64;

/// Memories of a plugin. Toolchains make one.
pub(crate) const MEMORIES: u32 = 4;

/// Tables of a plugin. Toolchains make two or three.
pub(crate) const TABLES: u32 = 32;

/// Elements of a table that there is room for, also where the limit of handles allows fewer.
const TABLE_ELEMENTS: usize = 65_536;

/// Bytes at the start of a memory that stay with its place, cleaned by writing zeros over what was touched. An SDK's
/// formatter touches some 100 KiB for a document; giving pages back and taking them anew costs 3 us each.
const KEPT_BYTES: usize = 512 << 10;

/// Places that keep their pages while nobody uses them.
const WARM: u32 = 32;

/// An engine with a pool, or one without where there is no room for it.
pub(crate) fn engine(limits: &Limits) -> wasmtime::Result<Engine> {
    match pooled(limits) {
        Ok(engine) => Ok(engine),
        Err(_) => Engine::new(&config(usize::try_from(limits.stack)?)),
    }
}

fn pooled(limits: &Limits) -> wasmtime::Result<Engine> {
    let mut config = config(usize::try_from(limits.stack)?);
    let places = places(usize::try_from(limits.table_elements())?.max(TABLE_ELEMENTS));
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(places));
    Engine::new(&config)
}

fn places(table_elements: usize) -> PoolingAllocationConfig {
    let mut places = PoolingAllocationConfig::new();
    places
        .total_component_instances(SESSIONS)
        .max_component_instance_size(16 << 20)
        // As many of each as all sessions together may have, so that none can take another's.
        .total_core_instances(SESSIONS * MODULES)
        .max_core_instances_per_component(MODULES)
        .max_core_instance_size(16 << 20)
        .total_memories(SESSIONS * MEMORIES)
        .max_memories_per_component(MEMORIES)
        .max_memories_per_module(MEMORIES)
        .total_tables(SESSIONS * TABLES)
        .max_tables_per_component(TABLES)
        .max_tables_per_module(TABLES)
        .table_elements(table_elements)
        // Calls run on the caller's stack.
        .total_stacks(1)
        .linear_memory_keep_resident(KEPT_BYTES)
        .table_keep_resident(64 << 10)
        .max_unused_warm_slots(WARM)
        // Where the system can tell which pages were touched, only those are cleaned.
        .pagemap_scan(Enabled::Auto);
    places
}

/// What wasmtime says of a component that fits into no place, in the host's words.
pub(crate) fn misfit(error: &str) -> Option<String> {
    let (_, why) = error.split_once("does not fit in pooling allocator requirements: ")?;
    // The one that an operator can do something about.
    if let Some((_, elements)) = why.split_once("minimum element size of ") {
        let elements: u64 = elements.split(' ').next()?.parse().ok()?;
        return Some(format!(
            "it has a table of {elements} elements, over its limit `handles` of which each allows {TABLE_PER_HANDLE}; raise it \
             with --plugin-limit handles={}",
            elements.div_ceil(TABLE_PER_HANDLE)
        ));
    }
    Some(format!(
        "it is made of more than a plugin may be ({MODULES} modules, {MEMORIES} memories, {TABLES} tables): {why}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::{DefaultHasher, Hash, Hasher};

    #[test]
    #[cfg(target_os = "linux")]
    fn there_is_room_for_the_pool_and_code_fits_both_kinds_of_engine() {
        let hash = |engine: &Engine| {
            let mut hasher = DefaultHasher::new();
            engine.precompile_compatibility_hash().hash(&mut hasher);
            hasher.finish()
        };
        let limits = Limits::default();
        let pooled = pooled(&limits).expect("this machine gives the addresses");
        // The compiler's process has no pool, and its code has to run in one.
        let plain = Engine::new(&config(limits.stack as usize)).unwrap();
        assert_eq!(hash(&pooled), hash(&plain));
    }
}
