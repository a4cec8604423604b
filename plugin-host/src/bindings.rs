//! What `wasmtime` generates from the contract in `plugins/wit`.
//!
//! Both worlds share the contract's interfaces, so the carrier's world uses the renderer's `log`.

/// The renderer's world.
pub(crate) mod renderer {
    wasmtime::component::bindgen!({
        path: "../plugins/wit",
        world: "renderer-plugin",
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}

/// The carrier's world.
pub(crate) mod carrier {
    wasmtime::component::bindgen!({
        path: "../plugins/wit",
        world: "carrier-plugin",
        ownership: Borrowing { duplicate_if_necessary: true },
        with: { "dripline:plugin/log": super::renderer::dripline::plugin::log },
    });
}
