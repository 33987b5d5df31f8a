//! Output formatters: pages in, files out.

use crate::{Config, DocInfo, Page, Result};

/// Turns recognised pages into files. One value lives as long as one document.
pub trait Formatter: Sized {
    /// Starts a document. Settings that are wrong belong in [`Error::Config`](crate::Error::Config), which
    /// [`Config::parse`] makes.
    fn open(doc: &DocInfo, config: Config) -> Result<Self>;

    /// Takes the next page, in the order of the document. Failed pages come too, empty and with their diagnostics:
    /// say so in the output.
    fn page(&mut self, page: &Page) -> Result<()>;

    /// Ends the document. The host commits the files when this has succeeded.
    fn finish(self) -> Result<()>;
}

/// Makes a [`Formatter`] the component's export.
#[macro_export]
macro_rules! export_formatter {
    ($formatter:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Component;
            impl $crate::bindings::output_formatter::formatter::Guest for Component {
                type Session = $crate::glue::FormatterSession<$formatter>;
            }
            $crate::bindings::output_formatter::export!(
                Component with_types_in $crate::bindings::output_formatter
            );
        };
        // Outside a component there is nothing to export to; the type is used all the same.
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn(&$crate::DocInfo, $crate::Config) -> $crate::Result<$formatter> =
            <$formatter as $crate::Formatter>::open;

        /// The native build of this plugin at work, for those who compare it with its component.
        #[cfg(not(target_arch = "wasm32"))]
        #[doc(hidden)]
        pub fn format_natively(
            doc: &$crate::DocInfo,
            config_json: &str,
            pages: Vec<$crate::PageData>,
        ) -> $crate::testing::Run {
            $crate::testing::format::<$formatter>(doc, config_json, pages)
        }
    };
}
