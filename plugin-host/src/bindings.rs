//! What `wasmtime` generates from the contract in `plugins/wit`.
//!
//! The worlds share the contract's interfaces, so the carrier's world uses the renderer's `log`, and what
//! carriers may export besides uses the carrier's types.

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

/// What a carrier exports that can be asked.
pub(crate) mod lookup {
    wasmtime::component::bindgen!({
        path: "../plugins/wit",
        world: "lookup-plugin",
        ownership: Borrowing { duplicate_if_necessary: true },
        with: {
            "dripline:plugin/http": super::carrier::dripline::plugin::http,
            "dripline:plugin/carrier-types": super::carrier::dripline::plugin::carrier_types,
        },
    });
}

/// What a carrier exports that fetches tokens.
pub(crate) mod token {
    wasmtime::component::bindgen!({
        path: "../plugins/wit",
        world: "token-plugin",
        ownership: Borrowing { duplicate_if_necessary: true },
        with: {
            "dripline:plugin/http": super::carrier::dripline::plugin::http,
            "dripline:plugin/carrier-types": super::carrier::dripline::plugin::carrier_types,
        },
    });
}

/// What a carrier exports that reports. Its types are its own: the generator gives a type a lifetime or not
/// by what its world does with it.
pub(crate) mod webhook {
    wasmtime::component::bindgen!({
        path: "../plugins/wit",
        world: "webhook-plugin",
    });
}

/// What a carrier may import besides `log`.
pub(crate) mod imports {
    wasmtime::component::bindgen!({
        path: "../plugins/wit",
        world: "carrier-imports",
    });
}
