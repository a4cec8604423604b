//! One plugin's instance over the calls of one batch.

use chrono::{DateTime, Utc};
use wasmtime::{Store, Trap};

use crate::deadline::OutOfTime;
use crate::egress::Secrets;
use crate::engine::{Engine, STACK_BYTES};
use crate::error::PluginError;
use crate::limits::{Limits, Refusal};
use crate::log::{LogSink, Speaker};
use crate::outcome::{REASON_CHARS, masked};
use crate::registry::PluginKind;
use crate::state::{self, State};

/// What one batch needs to know about its plugin.
#[derive(Clone, Copy)]
pub(crate) struct Setting<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) limits: &'a Limits,
    pub(crate) plugin: &'a str,
    pub(crate) kind: PluginKind,
    pub(crate) now: DateTime<Utc>,
    /// What it may sign and verify with, without ever seeing it.
    pub(crate) secrets: &'a Secrets,
    /// Whose lines are its lines.
    pub(crate) speaker: Speaker<'a>,
}

/// A plugin's instance, made when it is first called and dropped with the batch. After a failure the
/// next call gets a fresh one: a guest that trapped may have left anything behind.
pub(crate) struct Session<'a, P, I> {
    setting: Setting<'a>,
    instantiate: I,
    live: Option<(Store<State>, P)>,
    /// What the batch has logged so far, while no instance has it.
    log: Option<LogSink>,
    failures_in_a_row: u32,
    cost_in_a_row: u32,
}

/// A call that used up its whole time costs its neighbours as much as this many that failed at once.
const COST_OF_A_DEADLINE: u32 = 4;

impl<'a, P, I> Session<'a, P, I>
where
    I: Fn(&mut Store<State>) -> wasmtime::Result<P>,
{
    pub(crate) fn new(setting: Setting<'a>, instantiate: I) -> Self {
        let log = Some(LogSink::new(setting.speaker, setting.limits));
        Self { setting, instantiate, live: None, log, failures_in_a_row: 0, cost_in_a_row: 0 }
    }

    /// How many calls have failed since one last worked.
    pub(crate) fn failures_in_a_row(&self) -> u32 {
        self.failures_in_a_row
    }

    /// The same, with each that ran out of time counted as several.
    pub(crate) fn cost_in_a_row(&self) -> u32 {
        self.cost_in_a_row
    }

    /// Calls `function` with its whole time. Everything random in it depends on `seed`.
    pub(crate) fn call<T>(
        &mut self,
        function: &'static str,
        seed: &str,
        call: impl FnOnce(&mut Store<State>, &P) -> wasmtime::Result<T>,
    ) -> Result<T, PluginError> {
        let result = self.try_call(function, seed, call);
        match &result {
            Ok(_) => (self.failures_in_a_row, self.cost_in_a_row) = (0, 0),
            Err(error) => {
                let is_late = matches!(error, PluginError::Deadline { .. });
                self.failures_in_a_row += 1;
                self.cost_in_a_row += if is_late { COST_OF_A_DEADLINE } else { 1 };
            }
        }
        result
    }

    fn try_call<T>(
        &mut self,
        function: &'static str,
        seed: &str,
        call: impl FnOnce(&mut Store<State>, &P) -> wasmtime::Result<T>,
    ) -> Result<T, PluginError> {
        // Taken out, so that after a failure nothing is left to put back.
        let (mut store, instance) = match self.live.take() {
            Some(live) => live,
            None => self.instantiate()?,
        };
        store.data_mut().wasi.seed(seed);
        store.data_mut().keys.proved = false;
        state::start_call(&mut store);
        match call(&mut store, &instance) {
            Ok(value) => {
                self.live = Some((store, instance));
                Ok(value)
            }
            Err(error) => Err(self.fail(function, &error, store)),
        }
    }

    fn instantiate(&mut self) -> Result<(Store<State>, P), PluginError> {
        let log = self.log.take().expect("whoever dropped the last instance has kept its log");
        let mut store = state::store(&self.setting, log);
        match (self.instantiate)(&mut store) {
            Ok(instance) => Ok((store, instance)),
            Err(error) => Err(self.fail("start", &error, store)),
        }
    }

    /// Drops an instance, and keeps its log for the next one: what a batch may log does not begin anew with each.
    fn fail(
        &mut self,
        function: &'static str,
        error: &wasmtime::Error,
        store: Store<State>,
    ) -> PluginError {
        let state = store.into_data();
        let failure = plugin_error(self.setting, function, error, &state);
        self.log = Some(state.log);
        failure
    }
}

/// What went wrong, in the words of the limits rather than of the engine.
fn plugin_error(
    setting: Setting<'_>,
    function: &'static str,
    error: &wasmtime::Error,
    state: &State,
) -> PluginError {
    let plugin = setting.plugin.to_owned();
    if error.is::<OutOfTime>() {
        return PluginError::Deadline { plugin, function, limit: state.deadline.limit() };
    }
    match state.limiter.refusal() {
        Some(Refusal::Memory { limit, wanted }) => {
            return PluginError::Memory {
                plugin,
                function,
                limit_bytes: limit,
                wanted_bytes: wanted,
            };
        }
        Some(Refusal::Table { limit, wanted }) => {
            return PluginError::Table { plugin, function, limit, wanted };
        }
        None => {}
    }
    if error.downcast_ref() == Some(&Trap::StackOverflow) {
        return PluginError::Stack { plugin, function, limit_bytes: STACK_BYTES };
    }
    let cause = error.root_cause().to_string();
    // The engine has no type for it. A test holds the text fast.
    if cause.contains("fuel allocated for hostcalls") {
        return PluginError::Output { plugin, function, limit_bytes: setting.limits.output_bytes };
    }
    let message = match state.wasi.last_line() {
        Some(printed) => format!("{cause}; it printed: {printed}"),
        None => cause,
    };
    PluginError::Trap { plugin, function, message: masked(&message, REASON_CHARS) }
}
