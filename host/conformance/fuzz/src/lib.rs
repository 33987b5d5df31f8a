//! What strangers' bytes must not break. Each target takes bytes, makes of them what its module says, and panics where
//! something does not hold that has to.
//!
//! Two drivers call the targets: `tests/targets.rs` with the seeds and a fixed sequence of random inputs, in each test run,
//! and `guided/main.rs` for as long as one likes, led by what code the inputs reach. See the README.

pub mod edits;
pub mod grounding;
pub mod host_calls;
pub mod inputs;
pub mod manifest;
pub mod names;
pub mod pictures;
pub mod schema;
#[allow(missing_docs)]
#[path = "../../../runtime/tests/skeleton/mod.rs"]
mod skeleton;

/// Something that takes a stranger's bytes.
pub struct Target {
    /// As its module and its folder of seeds are called.
    pub name: &'static str,
    /// Holds one input; panics where something does not hold.
    pub run: fn(&[u8]),
    /// Random inputs of a test run: a second's worth.
    pub inputs: usize,
}

/// All targets.
pub const TARGETS: [Target; 7] = [
    Target {
        name: "edits",
        run: edits::run,
        inputs: 20_000,
    },
    Target {
        name: "grounding",
        run: grounding::run,
        inputs: 3_000,
    },
    Target {
        name: "host_calls",
        run: host_calls::run,
        inputs: 2_000,
    },
    Target {
        name: "manifest",
        run: manifest::run,
        inputs: 50_000,
    },
    Target {
        name: "names",
        run: names::run,
        inputs: 200_000,
    },
    Target {
        name: "pictures",
        run: pictures::run,
        inputs: 2_000,
    },
    Target {
        name: "schema",
        run: schema::run,
        inputs: 20_000,
    },
];
