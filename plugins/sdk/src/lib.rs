//! SDK.
mod carrier;
#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod edge;
pub mod http;
pub mod log;
mod manifest;
pub mod redact;
mod renderer;
mod settings;

pub use carrier::{Accepted, Attribute, Carrier, Failure, FailureClass, Outgoing};
pub use http::{Credential, Request, Response};
pub use manifest::{Atom, DuplicateClass, Manifest, SegmentRules, Setting};
pub use redact::Sensitive;
pub use renderer::{Fields, Problem, RenderError, Renderer};
pub use settings::Settings;

/// Makes the component of this crate a carrier. Once, in the crate's root.
#[macro_export]
macro_rules! export_carrier {
    ($carrier:ty) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            type Edge = $crate::edge::CarrierEdge<$carrier>;
    $crate::edge::carrier_world::export!(Edge with_types_in $crate::edge::carrier_world);
        };
    };
}

/// Makes the component of this crate a renderer. Once, in the crate's root.
#[macro_export]
macro_rules! export_renderer {
    ($renderer:ty) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            type Edge = $crate::edge::RendererEdge<$renderer>;
    $crate::edge::renderer_world::export!(Edge with_types_in $crate::edge::renderer_world);
        };
    };
}
