//! The WebAssembly engine: what is compiled, how, and the clock that stops endless loops.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig, Strategy};

use crate::error::HostError;
use crate::limits::Limits;

/// How often the epoch moves on, which is how exactly a deadline is kept.
pub(crate) const TICK: Duration = Duration::from_millis(5);

/// What a guest's call stack may take, in bytes.
pub(crate) const STACK_BYTES: usize = 512 * 1024;

/// Memory that a pooled slot keeps between instances, so that a fresh one faults in fewer pages.
/// More than this was measured to hold on to a gigabyte after a thousand instances.
const KEEP_RESIDENT_BYTES: usize = 256 * 1024;

/// Linear memories of one component. Adapters and runtimes in several modules need more than one.
const MEMORIES_PER_COMPONENT: u32 = 4;

/// Tables of one component.
const TABLES_PER_COMPONENT: u32 = 20;

/// The engine and its ticker. Dropping it stops the ticker.
pub(crate) struct Engine {
    pub(crate) wasm: wasmtime::Engine,
    _ticker: Ticker,
}

impl Engine {
    /// An engine for at most `slots` instances at a time.
    pub(crate) fn new(limits: &Limits, slots: u32) -> Result<Self, HostError> {
        let wasm = wasmtime::Engine::new(&config(limits, slots))
            .map_err(|error| HostError::Engine { text: format!("{error:#}") })?;
        let ticker = Ticker::start(wasm.clone()).map_err(|source| HostError::Threads { source })?;
        Ok(Self { wasm, _ticker: ticker })
    }
}

/// Ticks until a deadline of `limit` has certainly passed.
pub(crate) fn ticks(limit: Duration) -> u64 {
    // The tick under way may end at once, so it does not count.
    u64::try_from(limit.as_micros().div_ceil(TICK.as_micros())).unwrap_or(u64::MAX - 1) + 1
}

fn config(limits: &Limits, slots: u32) -> Config {
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        .epoch_interruption(true)
        .max_wasm_stack(STACK_BYTES)
        .wasm_component_model(true)
        // Threads, GC, exceptions and asynchronous components are not even compiled in; these are
        // the ones that would be on otherwise.
        .wasm_memory64(false)
        .wasm_relaxed_simd(false)
        // One bit pattern for what is not a number, so that a text is the same on every machine.
        .cranelift_nan_canonicalization(true)
        // Guests report their panics on standard error; frames would only cost time.
        .wasm_backtrace_max_frames(None);
    let mut pool = PoolingAllocationConfig::new();
    let core_instances = u32::try_from(limits.core_instances).unwrap_or(u32::MAX);
    pool.total_component_instances(slots)
        .max_core_instances_per_component(core_instances)
        .total_core_instances(slots.saturating_mul(core_instances))
        .max_memories_per_component(MEMORIES_PER_COMPONENT)
        .total_memories(slots.saturating_mul(MEMORIES_PER_COMPONENT))
        .max_tables_per_component(TABLES_PER_COMPONENT)
        .max_tables_per_module(TABLES_PER_COMPONENT)
        .total_tables(slots.saturating_mul(TABLES_PER_COMPONENT))
        .table_elements(limits.table_elements)
        .max_memory_size(limits.renderer_memory_bytes.max(limits.carrier_memory_bytes))
        .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
        .table_keep_resident(KEEP_RESIDENT_BYTES);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

/// One thread that moves the epoch on, always at the same pace.
struct Ticker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    fn start(engine: wasmtime::Engine) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread =
            std::thread::Builder::new().name("plugin-epoch".to_owned()).spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    std::thread::sleep(TICK);
                    engine.increment_epoch();
                }
            })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It only sleeps and counts; it cannot have panicked.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_never_shorter_than_asked() {
        assert_eq!(ticks(Duration::from_millis(50)), 11);
        assert_eq!(ticks(Duration::from_millis(1)), 2);
        assert_eq!(ticks(Duration::ZERO), 1);
    }
}
