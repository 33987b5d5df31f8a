//! What wit-bindgen makes of `wit/v0.1.0`: the host's interfaces once, and one module a world that exports.
//!
//! Nothing here is for plugin authors; the other modules wrap it. All unsafe code of a plugin is in here.

#![allow(missing_docs)]

/// Everything a host offers. Imports that a plugin leaves unused vanish when its component is made.
pub mod host {
    wit_bindgen::generate!({
        path: "../../wit/v0.1.0",
        inline: "
            package ocr-host:sdk;
            world imports {
                import ocr-host:plugin/types@0.1.0;
                import ocr-host:plugin/log@0.1.0;
                import ocr-host:plugin/control@0.1.0;
                import ocr-host:plugin/image@0.1.0;
                import ocr-host:plugin/source@0.1.0;
                import ocr-host:plugin/text-layer@0.1.0;
                import ocr-host:plugin/pdf@0.1.0;
                import ocr-host:plugin/page@0.1.0;
                import ocr-host:plugin/ocr@0.1.0;
                import ocr-host:plugin/output@0.1.0;
            }
        ",
        world: "ocr-host:sdk/imports",
        additional_derives: [PartialEq],
        generate_unused_types: true,
        generate_all,
    });
    pub use ocr_host::plugin::*;
}

pub mod output_formatter {
    wit_bindgen::generate!({
        path: "../../wit/v0.1.0",
        world: "output-formatter",
        pub_export_macro: true,
        runtime_path: "ocr_plugin::wit_bindgen::rt",
        with: {
            "ocr-host:plugin/types@0.1.0": crate::bindings::host::types,
            "ocr-host:plugin/log@0.1.0": crate::bindings::host::log,
            "ocr-host:plugin/control@0.1.0": crate::bindings::host::control,
            "ocr-host:plugin/source@0.1.0": crate::bindings::host::source,
            "ocr-host:plugin/image@0.1.0": crate::bindings::host::image,
            "ocr-host:plugin/page@0.1.0": crate::bindings::host::page,
            "ocr-host:plugin/ocr@0.1.0": crate::bindings::host::ocr,
            "ocr-host:plugin/output@0.1.0": crate::bindings::host::output,
        },
    });
    pub use exports::ocr_host::plugin::formatter;
}

pub mod input_adapter {
    wit_bindgen::generate!({
        path: "../../wit/v0.1.0",
        world: "input-adapter",
        pub_export_macro: true,
        runtime_path: "ocr_plugin::wit_bindgen::rt",
        with: {
            "ocr-host:plugin/types@0.1.0": crate::bindings::host::types,
            "ocr-host:plugin/log@0.1.0": crate::bindings::host::log,
            "ocr-host:plugin/control@0.1.0": crate::bindings::host::control,
            "ocr-host:plugin/source@0.1.0": crate::bindings::host::source,
            "ocr-host:plugin/image@0.1.0": crate::bindings::host::image,
            "ocr-host:plugin/text-layer@0.1.0": crate::bindings::host::text_layer,
            "ocr-host:plugin/pdf@0.1.0": crate::bindings::host::pdf,
        },
    });
    pub use exports::ocr_host::plugin::adapter;
}

pub mod page_processor {
    wit_bindgen::generate!({
        path: "../../wit/v0.1.0",
        world: "page-processor",
        pub_export_macro: true,
        runtime_path: "ocr_plugin::wit_bindgen::rt",
        additional_derives: [PartialEq],
        with: {
            "ocr-host:plugin/types@0.1.0": crate::bindings::host::types,
            "ocr-host:plugin/log@0.1.0": crate::bindings::host::log,
            "ocr-host:plugin/control@0.1.0": crate::bindings::host::control,
            "ocr-host:plugin/source@0.1.0": crate::bindings::host::source,
            "ocr-host:plugin/image@0.1.0": crate::bindings::host::image,
            "ocr-host:plugin/page@0.1.0": crate::bindings::host::page,
            "ocr-host:plugin/ocr@0.1.0": crate::bindings::host::ocr,
        },
    });
    pub use exports::ocr_host::plugin::processor;
}
