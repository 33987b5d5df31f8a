//! Page processors: a page in, edits out.

pub use crate::bindings::page_processor::processor::Edit;
use crate::{Config, DocInfo, Page, Result};

/// Improves recognised pages. One value lives as long as one document, so it can carry what it learnt from page to
/// page (running headers, say).
pub trait Processor: Sized {
    /// Starts a document.
    fn open(doc: &DocInfo, config: Config) -> Result<Self>;

    /// The changes to make to a page; the host makes them in their order, and all or none.
    fn process(&mut self, page: &Page) -> Result<Vec<Edit>>;
}

/// Makes a [`Processor`] the component's export.
#[macro_export]
macro_rules! export_processor {
    ($processor:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Component;
            impl $crate::bindings::page_processor::processor::Guest for Component {
                type Session = $crate::glue::ProcessorSession<$processor>;
            }
            $crate::bindings::page_processor::export!(
                Component with_types_in $crate::bindings::page_processor
            );
        };
        // Outside a component there is nothing to export to; the type is used all the same.
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn(&$crate::DocInfo, $crate::Config) -> $crate::Result<$processor> =
            <$processor as $crate::Processor>::open;
    };
}
