//! What the host keeps for one instance.

use wasmtime::Store;

use crate::deadline::Deadline;
use crate::keyed::Keys;
use crate::limits::Limiter;
use crate::log::LogSink;
use crate::registry::PluginKind;
use crate::session::Setting;
use crate::wasi::Neutral;

/// A store's data.
pub(crate) struct State {
    pub(crate) limiter: Limiter,
    pub(crate) deadline: Deadline,
    pub(crate) wasi: Neutral,
    pub(crate) log: LogSink,
    pub(crate) keys: Keys,
}

/// A fresh store for an instance, which goes on with its batch's log.
pub(crate) fn store(setting: &Setting<'_>, log: LogSink) -> Store<State> {
    let Setting { engine, limits, kind, now, secrets, .. } = *setting;
    let (memory, deadline) = match kind {
        PluginKind::Renderer => (limits.renderer_memory_bytes, limits.render_deadline),
        PluginKind::Carrier => (limits.carrier_memory_bytes, limits.carrier_deadline),
    };
    let state = State {
        limiter: Limiter::new(limits, memory),
        deadline: Deadline::new(deadline),
        wasi: Neutral::new(now),
        log,
        keys: Keys::new(secrets.clone()),
    };
    let mut store = Store::new(&engine.wasm, state);
    store.limiter(|state| &mut state.limiter);
    store.set_hostcall_fuel(limits.output_bytes);
    store.set_max_component_handles(limits.handles);
    store.epoch_deadline_callback(|mut store| store.data_mut().deadline.passed());
    start_call(&mut store);
    store
}

/// Gives the next call its whole time.
pub(crate) fn start_call(store: &mut Store<State>) {
    let ticks = store.data_mut().deadline.restart();
    store.set_epoch_deadline(ticks);
}
