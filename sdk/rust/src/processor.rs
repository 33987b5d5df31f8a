//! Page processors: a page in, edits out.
//!
//! ```
//! use ocr_plugin::testing::{self, PageBuilder};
//! use ocr_plugin::{BlockKind, Config, DocInfo, Edit, Page, Processor, Result};
//!
//! /// Takes page numbers out of the text.
//! struct NoNumbers;
//!
//! impl Processor for NoNumbers {
//!     fn open(_: &DocInfo, _: Config) -> Result<Self> {
//!         Ok(NoNumbers)
//!     }
//!
//!     fn process(&mut self, page: &Page) -> Result<Vec<Edit>> {
//!         let numbers = page.reading_order().filter(|(_, span)| span.kind == BlockKind::PageNumber);
//!         Ok(numbers.map(|(index, _)| Edit::DropSpan(index as u32)).collect())
//!     }
//! }
//!
//! ocr_plugin::export_processor!(NoNumbers);
//!
//! let page = PageBuilder::new(1).span(BlockKind::Paragraph, "Once").span(BlockKind::PageNumber, "7").build();
//! let run = testing::process::<NoNumbers>(&DocInfo::new("a.png", "image/png"), "{}", vec![page]);
//! assert_eq!(run.pages, [Ok(vec![Edit::DropSpan(1)])]);
//! ```
//!
//! Edits name spans and cells as the page was lent, whatever edits come before them, and are made all or none. Whoever
//! takes away what nobody may see says `on-failure = "withhold"` in the manifest, and redacts ([`Edit::RedactText`],
//! [`Edit::RedactArea`]): a replaced text alone leaves pixels and the model's raw output as they were.

pub use crate::bindings::page_processor::processor::{DocumentEdit, Edit, NewCell};
use crate::{Config, DocInfo, Page, Result};

/// Improves recognised pages. One value lives as long as one document, so it can carry what it learnt from page to
/// page (running headers, say).
pub trait Processor: Sized {
    /// Starts a document.
    fn open(doc: &DocInfo, config: Config) -> Result<Self>;

    /// The changes to make to what formatters are told of the document; asked for once, before its first page.
    fn edit_document(&mut self) -> Result<Vec<DocumentEdit>> {
        Ok(Vec::new())
    }

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
