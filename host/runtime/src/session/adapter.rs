//! An input adapter at work: a source goes in, pages come out one at a time, asked for by index.
//!
//! A component's memory never shrinks. An adapter that a page has made large is given up once the page is taken over,
//! and started afresh when it is asked for the next one.

use super::{Context, DocInfo, Guest, Usage};
use crate::api::latest::adapter::InputAdapter;
use crate::api::latest::adapter::exports::ocr_host::plugin::adapter as wit;
use crate::error::{Cause, Phase, PluginFailure};
use crate::pixels;
use crate::plugin::{Entry, Plugin};
use crate::source::Source;
use ocr_document::{LayerWord, PageImage, TextLayer};
use std::sync::Arc;
use wasmtime::component::ResourceAny;

/// Resolutions that are believed, dots per inch.
const DPI: std::ops::RangeInclusive<f32> = 20.0..=4800.0;

/// Page sizes that are believed, points: PDF's own bound is 14,400 units of up to 75,000 points in theory; a mile
/// is 4.6 million points.
const MAX_POINTS: f32 = 5e6;

/// Most words of a page's text layer that are kept; a dense broadsheet page has 10,000.
const MAX_LAYER_WORDS: usize = 200_000;

/// Most pixels of a page that is recognised; a larger one is scaled down. A4 at 600 dpi has 35 million, an A0 sheet is
/// still read at 160 dpi. Memory and time of a page are bounded by it.
pub const MAX_PAGE_PIXELS: u64 = 40_000_000;

/// How a document is to be opened.
#[derive(Debug, Clone, Default)]
pub struct OpenOptions {
    /// A JSON object that fits the adapter's schema.
    pub config: String,
    /// Opens encrypted documents.
    pub password: Option<String>,
}

/// One page of an input.
#[derive(Debug, Clone)]
pub struct InputPage {
    /// Its pixels.
    pub image: PageImage,
    /// Their resolution, dots per inch.
    pub dpi: f32,
    /// Width and height, points.
    pub size_points: (f32, f32),
    /// Width and height that the adapter gave, where the page was scaled down, px.
    pub scaled_from: Option<(u32, u32)>,
    /// Text that the source carries.
    pub text_layer: Option<TextLayer>,
}

/// What an adapter finds at an index.
#[derive(Debug)]
pub enum InputItem {
    /// A page.
    Page(InputPage),
    /// A document inside the document.
    Embedded(Source),
}

/// An adapter with the document it reads.
pub struct AdapterSession {
    plugin: Arc<Plugin>,
    context: Context,
    source: Source,
    options: OpenOptions,
    /// `None` between a page that made it large and the next one.
    pub(super) open: Option<OpenDocument>,
    /// What the sandboxes that were given up have used.
    pub(super) used: Usage,
}

/// The document inside the sandbox.
pub(super) struct OpenDocument {
    pub(super) guest: Guest,
    bindings: InputAdapter,
    document: ResourceAny,
    /// Whether opening alone made it large; starting afresh then helps nothing.
    born_large: bool,
}

fn start(plugin: &Arc<Plugin>, context: &Context) -> Result<(Guest, InputAdapter), PluginFailure> {
    let mut guest = Guest::new(plugin, context, None);
    guest.store.data_mut().take_turns();
    let Entry::Adapter(pre) = &plugin.entry else {
        let why = format!("it is {} and reads no inputs", plugin.world().with_article());
        return Err(guest.failure(Phase::Instantiate, Cause::Trap(why), Vec::new()));
    };
    let bindings = guest.call(Phase::Instantiate, |store| pre.instantiate(store).map(Ok))?;
    Ok((guest, bindings))
}

/// How sure `plugin` is that it can read an input that begins with `head`, 0 ..= 100.
pub fn sniff(plugin: &Arc<Plugin>, context: &Context, name: &str, head: &[u8]) -> Result<u8, PluginFailure> {
    let (mut guest, bindings) = start(plugin, context)?;
    guest.store.data_mut().meter.mute = true;
    let sure = guest.call(Phase::Sniff, |store| {
        bindings
            .ocr_host_plugin_adapter()
            .call_sniff(store, name, head)
            .map(Ok)
    })?;
    Ok(sure.min(100))
}

impl AdapterSession {
    /// Starts `plugin` on a source.
    pub fn open(
        plugin: &Arc<Plugin>,
        context: &Context,
        source: &Source,
        options: &OpenOptions,
    ) -> Result<Self, PluginFailure> {
        let mut session = Self {
            plugin: plugin.clone(),
            context: context.clone(),
            source: source.clone(),
            options: options.clone(),
            open: None,
            used: Usage::default(),
        };
        session.open = Some(session.start()?);
        Ok(session)
    }

    fn start(&self) -> Result<OpenDocument, PluginFailure> {
        let (mut guest, bindings) = start(&self.plugin, &self.context)?;
        let Self { options, source, .. } = self;
        let options = wit::OpenOptions {
            config_json: options.config.clone(),
            password: options.password.clone(),
        };
        let document = guest.call(Phase::Open, |store| {
            let source = store.data_mut().table.push(source.clone())?;
            bindings
                .ocr_host_plugin_adapter()
                .document()
                .call_open(store, source, &options)
        })?;
        Ok(OpenDocument {
            born_large: guest.is_large(),
            guest,
            bindings,
            document,
        })
    }

    /// The open document, started afresh where it was given up.
    fn opened(&mut self) -> Result<&mut OpenDocument, PluginFailure> {
        let open = match self.open.take() {
            Some(open) => open,
            None => self.start()?,
        };
        Ok(self.open.insert(open))
    }

    /// What the adapter knows of the document.
    pub fn info(&mut self) -> Result<DocInfo, PluginFailure> {
        use crate::api::latest::convert::cut;
        let open = self.opened()?;
        let document = open.document;
        let info = open.guest.call(Phase::Open, |store| {
            open.bindings
                .ocr_host_plugin_adapter()
                .document()
                .call_info(store, document)
                .map(Ok)
        })?;
        Ok(DocInfo {
            name: cut(&info.name, 255),
            media_type: cut(&info.media_type, 255),
            pages: info.pages,
            selected: info.selected,
            sha256: info.sha256.map(|s| cut(&s, 64)),
            title: info.title.map(|s| cut(&s, 1024)),
        })
    }

    /// Reads the item at `index` (from 0), drawn at `dpi` where the adapter draws; `None` past the last one.
    pub fn read(&mut self, index: u32, dpi: f32) -> Result<Option<InputItem>, PluginFailure> {
        let phase = Phase::Page(index + 1);
        let open = self.opened()?;
        let document = open.document;
        let item = open.guest.call_and_keep_room(phase, |store| {
            open.bindings
                .ocr_host_plugin_adapter()
                .document()
                .call_read(store, document, index, dpi)
        });
        let taken = item.and_then(|item| open.guest.take(phase, item));
        if open.guest.is_large() && !open.born_large && !open.guest.is_dead() {
            // Its room goes with it, so that nobody else's memory comes beside it.
            self.used = self.usage();
            self.open = None;
        } else {
            open.guest.store.data_mut().room.release();
        }
        taken
    }

    /// Whether the plugin was stopped; a fresh session can go on with the next page.
    pub fn is_dead(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.guest.is_dead())
    }
}

impl Guest {
    /// Takes over what the adapter has read.
    fn take(&mut self, phase: Phase, item: Option<wit::Item>) -> Result<Option<InputItem>, PluginFailure> {
        let table = &mut self.store.data_mut().table;
        let taken = match item {
            None => return Ok(None),
            Some(wit::Item::Embedded(source)) => table.delete(source).map(InputItem::Embedded),
            Some(wit::Item::Page(page)) => table.delete(page.image).map(|handle| {
                let image = if handle.area == handle.image.bounds() {
                    Ok(handle.image)
                } else {
                    handle.image.crop(handle.area)
                };
                let image = image.expect("a view is never empty");
                InputItem::Page(believe(
                    image,
                    page.dpi,
                    page.width_points,
                    page.height_points,
                    page.text_layer.map(Into::into),
                ))
            }),
        };
        match taken {
            Ok(item) => Ok(Some(item)),
            Err(error) => Err(self.failure(phase, Cause::Trap(error.to_string()), Vec::new())),
        }
    }
}

/// A page with a resolution and a size that make sense, whatever the plugin said.
fn believe(image: PageImage, dpi: f32, width: f32, height: f32, text_layer: Option<TextLayer>) -> InputPage {
    let dpi = if DPI.contains(&dpi) { dpi } else { 72.0 };
    let sane = |v: f32| v.is_finite() && v > 0.0 && v <= MAX_POINTS;
    let size_points = match sane(width) && sane(height) {
        true => (width, height),
        false => (
            image.width() as f32 * 72.0 / dpi,
            image.height() as f32 * 72.0 / dpi,
        ),
    };
    let from = (image.width(), image.height());
    let image = pixels::at_most(image, MAX_PAGE_PIXELS);
    let scale = image.width() as f32 / from.0 as f32;
    let words = |mut layer: TextLayer| {
        layer.words.truncate(MAX_LAYER_WORDS);
        let sound = |w: &LayerWord| {
            w.outline
                .corners()
                .iter()
                .all(|p| p.x.is_finite() && p.y.is_finite())
        };
        layer.words.retain(sound);
        layer
            .words
            .iter_mut()
            .for_each(|w| w.outline = w.outline.scaled(scale));
        layer
    };
    InputPage {
        text_layer: text_layer.map(words),
        dpi: dpi * scale,
        size_points,
        scaled_from: (scale < 1.0).then_some(from),
        image,
    }
}
