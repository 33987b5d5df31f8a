//! Input adapters: a file in, page images out.

pub use crate::bindings::host::text_layer::{Layer as TextLayer, LayerWord};
use crate::image::Image;
use crate::source::Source;
use crate::{Config, DocInfo, Result};

/// Turns an input into page images. One value lives as long as one document.
pub trait Adapter: Sized {
    /// How sure this adapter is that it can read the input, 0 ..= 100, judged by the file's name and its first bytes
    /// (at least 4 KiB, or all there are). 0 means no.
    fn sniff(name: &str, head: &[u8]) -> u8;

    /// Opens a document.
    fn open(source: Source, options: OpenOptions) -> Result<Self>;

    /// What is known of the document.
    fn info(&self) -> DocInfo;

    /// The item at `index` (from 0), drawn at `dpi` where the source has no pixels of its own; `None` past the last.
    /// Asked for in rising order, with gaps when the user chose pages. An error costs that item alone.
    fn read(&mut self, index: u32, dpi: f32) -> Result<Option<Item>>;
}

/// What the user gave to open a document with.
#[derive(Debug, Default)]
pub struct OpenOptions {
    /// The adapter's settings.
    pub config: Config,
    /// The document's password.
    pub password: Option<String>,
}

/// One part of a document.
#[derive(Debug)]
pub enum Item {
    /// A page.
    Page(InputPage),
    /// A document inside the document (a mail's attachment); the host finds an adapter for it.
    Embedded(Source),
}

/// A page to be recognised.
#[derive(Debug)]
pub struct InputPage {
    /// Its pixels, upright.
    pub image: Image,
    /// Their resolution.
    pub dpi: f32,
    /// Page width as displayed, points.
    pub width_points: f32,
    /// Page height as displayed, points.
    pub height_points: f32,
    /// Text that the page already carries, in pixels of `image`.
    pub text_layer: Option<TextLayer>,
}

/// Makes an [`Adapter`] the component's export.
#[macro_export]
macro_rules! export_adapter {
    ($adapter:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Component;
            impl $crate::bindings::input_adapter::adapter::Guest for Component {
                type Document = $crate::glue::AdapterDocument<$adapter>;
                fn sniff(name: String, head: Vec<u8>) -> u8 {
                    <$adapter as $crate::adapter::Adapter>::sniff(&name, &head)
                }
            }
            $crate::bindings::input_adapter::export!(
                Component with_types_in $crate::bindings::input_adapter
            );
        };
        // Outside a component there is nothing to export to; the type is used all the same.
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn($crate::source::Source, $crate::adapter::OpenOptions) -> $crate::Result<$adapter> =
            <$adapter as $crate::Adapter>::open;
    };
}
