//! WASI for components whose toolchain asks for it: it is there, empty, and the same in each run.
//!
//! No arguments, environment or folders; standard streams are closed. Clocks stand still at zero and what waits for
//! them is ready at once, so that no plugin can sleep while the host waits. Randomness is the same for every document:
//! a plugin is a function of its input. Sockets and HTTP are refused when a component is loaded (`runtime.rs`).

use crate::state::State;
use std::sync::LazyLock;
use std::time::Duration;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::clocks::WasiClocksView;
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock::Host;
use wasmtime_wasi::{Deterministic, HostMonotonicClock, HostWallClock, WasiCtx};

/// The instance in which waiting is defined anew, by the version that wasmtime-wasi speaks.
const CLOCK: &str = "wasi:clocks/monotonic-clock@0.2.12";

/// Most random bytes of one call; a seed takes 32.
const RANDOM_BYTES: u64 = 1 << 20;

/// Bytes after which the randomness repeats.
const NOISE_BYTES: u64 = 1024;

static NOISE: LazyLock<Vec<u8>> = LazyLock::new(|| (0..NOISE_BYTES).map(noise).collect());

/// SplitMix64 (Steele, Lea and Flood 2014), of which one byte is taken.
fn noise(n: u64) -> u8 {
    let mut z = (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z >> 56) as u8
}

/// A clock that stands still.
struct Still;

impl HostWallClock for Still {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

impl HostMonotonicClock for Still {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        0
    }
}

/// What WASI a plugin's store has.
pub(crate) fn context() -> WasiCtx {
    WasiCtx::builder()
        .wall_clock(Still)
        .monotonic_clock(Still)
        .secure_random(Deterministic::new(NOISE.clone()))
        .insecure_random(Deterministic::new(NOISE.clone()))
        .insecure_random_seed(0)
        .max_random_size(RANDOM_BYTES)
        .allow_tcp(false)
        .allow_udp(false)
        .build()
}

/// Adds it to the contract's own functions.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_sync(linker)?;
    let ready =
        |mut store: StoreContextMut<'_, State>, _: (u64,)| -> wasmtime::Result<(Resource<DynPollable>,)> {
            Ok((store.data_mut().clocks().subscribe_duration(0)?,))
        };
    linker.allow_shadowing(true);
    let mut clock = linker.instance(CLOCK)?;
    clock.func_wrap("subscribe-instant", ready)?;
    clock.func_wrap("subscribe-duration", ready)?;
    linker.allow_shadowing(false);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Context;
    use std::time::Instant;
    use wasmtime::component::Component;
    use wasmtime::{Engine, Store};

    /// Sleeps for an hour, then answers the time and eight random bytes.
    const SLEEPER: &str = r#"(component
        (import "wasi:io/poll@0.2.0" (instance $poll
            (export "pollable" (type $p (sub resource)))
            (export "[method]pollable.block" (func (param "self" (borrow $p))))))
        (alias export $poll "pollable" (type $pollable))
        (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
            (alias outer 1 $pollable (type $outer))
            (export "pollable" (type $p (eq $outer)))
            (export "now" (func (result u64)))
            (export "subscribe-duration" (func (param "when" u64) (result (own $p))))))
        (import "wasi:random/random@0.2.0" (instance $random (export "get-random-u64" (func (result u64)))))
        (core func $now (canon lower (func $clock "now")))
        (core func $subscribe (canon lower (func $clock "subscribe-duration")))
        (core func $block (canon lower (func $poll "[method]pollable.block")))
        (core func $random (canon lower (func $random "get-random-u64")))
        (core module $m
            (import "h" "now" (func $now (result i64)))
            (import "h" "subscribe" (func $subscribe (param i64) (result i32)))
            (import "h" "block" (func $block (param i32)))
            (import "h" "random" (func $random (result i64)))
            (func (export "run") (result i64)
                (call $block (call $subscribe (i64.const 3600000000000)))
                (i64.add (call $now) (call $random))))
        (core instance $i (instantiate $m (with "h" (instance
            (export "now" (func $now)) (export "subscribe" (func $subscribe))
            (export "block" (func $block)) (export "random" (func $random))))))
        (func (export "run") (result u64) (canon lift (core func $i "run"))))"#;

    #[test]
    fn nobody_sleeps_and_nothing_differs() {
        let engine = Engine::default();
        let mut linker = Linker::new(&engine);
        add_to_linker(&mut linker).unwrap();
        let component = Component::new(&engine, SLEEPER).unwrap();
        let manifest = r#"{"id":"sleeper","version":"1.0.0","world":"page-processor","wit":"0.1.0"}"#;
        let manifest: crate::Manifest = serde_json::from_str(manifest).unwrap();
        let started = Instant::now();
        let answers = [(); 2].map(|()| {
            let mut store = Store::new(&engine, State::new(&manifest, &Context::default(), None));
            let sleeper = linker.instantiate(&mut store, &component).unwrap();
            let run = sleeper.get_typed_func::<(), (u64,)>(&mut store, "run").unwrap();
            run.call(&mut store, ()).unwrap().0
        });
        assert!(answers[0] == answers[1] && answers[0] != 0, "{answers:?}");
        assert!(started.elapsed() < Duration::from_secs(60));
    }
}
