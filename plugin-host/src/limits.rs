//! What a plugin may use, and the memory of what it was refused.

use std::time::Duration;

/// Mebibytes in bytes.
const MIB: usize = 1024 * 1024;

/// What a plugin may use. Hitting a limit is a typed error that carries its number.
///
/// The settings of an installation say memories, deadlines, `output_bytes`, `file_bytes` and `compile_timeout`. The others
/// are as they stand below, for every installation alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of one renderer instance, in bytes.
    pub renderer_memory_bytes: usize,
    /// Linear memory of one carrier instance, in bytes.
    pub carrier_memory_bytes: usize,
    /// CPU time of one call of a carrier.
    pub carrier_deadline: Duration,
    /// CPU time of one call of a renderer, which renders up to [`Limits::render_chunk`] contacts.
    pub render_deadline: Duration,
    /// Contacts in one call of a renderer. Larger audiences are split.
    pub render_chunk: usize,
    /// One rendered text, in bytes.
    pub text_bytes: usize,
    /// The body of a request that a carrier builds, in bytes. Its headers together may have as much.
    pub request_bytes: usize,
    /// What a plugin may hand to the host in one call, in bytes.
    pub output_bytes: usize,
    /// Elements of one table.
    pub table_elements: usize,
    /// Core instances inside one component.
    pub core_instances: usize,
    /// Live component handles.
    pub handles: usize,
    /// A plugin's file, in bytes.
    pub file_bytes: usize,
    /// Time to compile one plugin.
    pub compile_timeout: Duration,
    /// Lines that one batch may log; more are counted and dropped.
    pub log_lines: u32,
    /// Bytes of one logged line; the rest is cut off.
    pub log_line_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            renderer_memory_bytes: 32 * MIB,
            carrier_memory_bytes: 64 * MIB,
            carrier_deadline: Duration::from_millis(50),
            render_deadline: Duration::from_millis(100),
            render_chunk: 500,
            text_bytes: 64 * 1024,
            request_bytes: 256 * 1024,
            output_bytes: 2 * MIB,
            table_elements: 100_000,
            core_instances: 200,
            handles: 1_000,
            file_bytes: 32 * MIB,
            compile_timeout: Duration::from_mins(1),
            log_lines: 20,
            log_line_bytes: 2 * 1024,
        }
    }
}

/// What a plugin asked for and did not get. A refused growth reaches the guest as a failed
/// allocation and the host as a bare `unreachable`, so it is remembered here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Memory { limit: usize, wanted: usize },
    Table { limit: usize, wanted: usize },
}

/// Limits one store: all its memories together, and each of its tables.
#[derive(Debug)]
pub(crate) struct Limiter {
    memory_limit: usize,
    memory_used: usize,
    table_limit: usize,
    instances: usize,
    refusal: Option<Refusal>,
}

impl Limiter {
    pub(crate) fn new(limits: &Limits, memory_limit: usize) -> Self {
        Self {
            memory_limit,
            memory_used: 0,
            table_limit: limits.table_elements,
            instances: limits.core_instances,
            refusal: None,
        }
    }

    /// The last refusal.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.refusal
    }
}

impl wasmtime::ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let wanted = self.memory_used.saturating_add(desired.saturating_sub(current));
        if wanted > self.memory_limit {
            self.refusal = Some(Refusal::Memory { limit: self.memory_limit, wanted });
            return Ok(false);
        }
        self.memory_used = wanted;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > self.table_limit {
            self.refusal = Some(Refusal::Table { limit: self.table_limit, wanted: desired });
            return Ok(false);
        }
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.instances
    }
}
