//! `ocr-host:plugin@0.1.0`: generated bindings, conversions, and the host's side of every imported function.

pub mod convert;
mod edits;
mod host;
mod lists;

pub(crate) use lists::add_to_linker as add_lists_to_linker;

/// What plugins import.
pub mod imports {
    wasmtime::component::bindgen!({
        path: "../../wit/v0.1.0",
        inline: "
            package ocr-host:host;
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
            }",
        world: "ocr-host:host/imports",
        imports: { default: trappable },
        with: {
            "ocr-host:plugin/image.image": crate::state::ImageHandle,
            "ocr-host:plugin/image.canvas": crate::state::CanvasHandle,
            "ocr-host:plugin/image.decoder": crate::state::DecoderHandle,
            "ocr-host:plugin/source.source": crate::source::Source,
            "ocr-host:plugin/page.page": crate::state::PageHandle,
            "ocr-host:plugin/output.file": crate::output::OutputFile,
            "ocr-host:plugin/pdf.document": crate::pdf::PdfHandle,
        },
    });
    pub use self::ocr_host::plugin::*;
}

/// The world of output formatters.
pub mod formatter {
    wasmtime::component::bindgen!({
        path: "../../wit/v0.1.0",
        world: "ocr-host:plugin/output-formatter",
        with: {
            "ocr-host:plugin/types": super::imports::types,
            "ocr-host:plugin/log": super::imports::log,
            "ocr-host:plugin/control": super::imports::control,
            "ocr-host:plugin/image": super::imports::image,
            "ocr-host:plugin/source": super::imports::source,
            "ocr-host:plugin/page": super::imports::page,
            "ocr-host:plugin/ocr": super::imports::ocr,
            "ocr-host:plugin/output": super::imports::output,
        },
    });
}

/// The world of input adapters.
pub mod adapter {
    wasmtime::component::bindgen!({
        path: "../../wit/v0.1.0",
        world: "ocr-host:plugin/input-adapter",
        with: {
            "ocr-host:plugin/types": super::imports::types,
            "ocr-host:plugin/log": super::imports::log,
            "ocr-host:plugin/control": super::imports::control,
            "ocr-host:plugin/image": super::imports::image,
            "ocr-host:plugin/source": super::imports::source,
            "ocr-host:plugin/text-layer": super::imports::text_layer,
            "ocr-host:plugin/pdf": super::imports::pdf,
        },
    });
}

/// The world of page processors.
pub mod processor {
    wasmtime::component::bindgen!({
        path: "../../wit/v0.1.0",
        world: "ocr-host:plugin/page-processor",
        with: {
            "ocr-host:plugin/types": super::imports::types,
            "ocr-host:plugin/log": super::imports::log,
            "ocr-host:plugin/control": super::imports::control,
            "ocr-host:plugin/image": super::imports::image,
            "ocr-host:plugin/source": super::imports::source,
            "ocr-host:plugin/page": super::imports::page,
            "ocr-host:plugin/ocr": super::imports::ocr,
        },
    });
}
