//! The contract, one module a version; `latest` is what new plugins are built against.

pub(crate) mod v0_1_0;

pub(crate) use v0_1_0 as latest;

/// Version of the contract, as manifests name it.
pub const WIT_VERSION: &str = "0.1.0";
