//! Host functions in any sequence, with any values and any handles, all capabilities granted.

use crate::skeleton::random::{as_options, puppet};
use ocr_document::{
    LayerWord, Page, PageBuilder, PageImage, PageInfo, PixelFormat, Quad, Rect, SpanKind, TextLayer,
};
use ocr_runtime::services::{ReadRegions, Recognition, Region, RegionError, Services, Until};
use ocr_runtime::{
    AdapterSession, Capability, Cause, Context, DocInfo, FormatterOutput, FormatterSession, Limits,
    OpenOptions, PdfDocument, PdfError, PdfRenderer, Plugin, PluginFailure, ProcessorSession, Runtime,
    Source, World, sniff,
};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

struct Puppets {
    formatter: Arc<Plugin>,
    adapter: Arc<Plugin>,
    processor: Arc<Plugin>,
    page: Arc<Page>,
    context: Context,
}

static PUPPETS: LazyLock<Puppets> = LazyLock::new(|| {
    let limits = Limits {
        memory: 8 << 20,
        time: Duration::from_secs(2),
        handles: 50,
        call_bytes: 1 << 20,
        host_calls: 1000,
        output_bytes: 1 << 20,
        file_bytes: 1 << 20,
        image_bytes: 4 << 20,
        ..Limits::default()
    };
    let runtime = Runtime::new(None, &limits).expect("the runtime starts");
    let load = |world| {
        let mut puppet = puppet(world);
        puppet.manifest.capabilities = Capability::ALL.to_vec();
        runtime.load("puppet", &puppet.build()).expect("a puppet loads")
    };
    let mut services = Services::reading(Arc::new(Reader));
    services.pdf = Some(Arc::new(Papers));
    let mut page = PageBuilder::new(PageInfo::new(0, 7, 40, 30));
    let area = Rect::new(0, 0, 20, 10);
    page.push_span(SpanKind::Paragraph, "text", 0, area, Some(0.5), "all is well");
    page.raster(PageImage::new(40, 30, PixelFormat::Gray8, vec![128; 1200]).expect("it has its size"));
    Puppets {
        formatter: load(World::OutputFormatter),
        adapter: load(World::InputAdapter),
        processor: load(World::PageProcessor),
        page: Arc::new(page.finish()),
        context: Context {
            limits,
            grants: Capability::ALL.into_iter().collect(),
            services,
            ..Context::default()
        },
    }
});

/// An engine that reads everything at once.
struct Reader;

impl ReadRegions for Reader {
    fn read(
        &self,
        image: &PageImage,
        regions: &[Region],
        _: &Until,
    ) -> Vec<Result<Recognition, RegionError>> {
        let read = |region: &Region| {
            assert!(!region.area.is_empty() && region.area.intersect(&image.bounds()) == region.area);
            Ok(Recognition {
                text: "x".repeat(region.area.width() as usize),
                spans: Vec::new(),
                tokens: region.area.height(),
            })
        };
        regions.iter().map(read).collect()
    }
}

/// PDFs of three pages, the sizes of which are what their first bytes say.
struct Papers;

struct Paper(Vec<u8>);

impl PdfRenderer for Papers {
    fn open(
        &self,
        source: &Source,
        password: Option<&str>,
        _: &Until,
    ) -> Result<Box<dyn PdfDocument>, PdfError> {
        match password {
            Some("") => Err(PdfError::WrongPassword),
            _ => source
                .read_at(0, 8)
                .map(|bytes| Box::new(Paper(bytes)) as _)
                .map_err(|e| PdfError::Failed(e.to_string())),
        }
    }
}

impl PdfDocument for Paper {
    fn page_count(&self) -> u32 {
        3
    }

    fn page_size(&mut self, _: u32, _: &Until) -> Result<(f32, f32), PdfError> {
        let number = |at: usize| {
            self.0
                .get(at..at + 4)
                .map_or(72.0, |b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        };
        Ok((number(0), number(4)))
    }

    fn render(&mut self, page: u32, width: u32, height: u32, _: &Until) -> Result<PageImage, PdfError> {
        assert!(page < 3 && width > 0 && height > 0);
        let pixels = vec![7; width as usize * height as usize * 3];
        PageImage::new(width, height, PixelFormat::Rgb8, pixels).map_err(|e| PdfError::Failed(e.to_string()))
    }

    fn text_layer(&mut self, page: u32, _: &Until) -> Result<TextLayer, PdfError> {
        let word = LayerWord {
            text: "word".into(),
            outline: Quad::from_rect(Rect::new(0, 0, 9, 9)),
        };
        Ok(TextLayer {
            words: vec![word; page as usize],
        })
    }
}

/// The first byte is the world, the rest says what its plugin calls.
pub fn run(data: &[u8]) {
    let Some((world, program)) = data.split_first() else {
        return;
    };
    let puppets = &*PUPPETS;
    let ended = match world % 3 {
        0 => format(puppets, program),
        1 => read(puppets, program),
        _ => process(puppets, program),
    };
    if let Err(failure) = ended {
        // Whatever it was, it has a cause that can be told, and no end that the host brought about itself.
        assert!(!failure.to_string().is_empty());
        assert!(!matches!(failure.cause, Cause::Cancelled));
    }
}

fn process(puppets: &Puppets, program: &[u8]) -> Result<(), PluginFailure> {
    let (document, options) = (DocInfo::default(), as_options(program));
    let mut session = ProcessorSession::open(&puppets.processor, &puppets.context, &document, &options)?;
    session.edit_document()?;
    let edits = session.process(&puppets.page)?;
    let _ = puppets.page.edited(&edits);
    Ok(())
}

fn format(puppets: &Puppets, program: &[u8]) -> Result<(), PluginFailure> {
    let output = FormatterOutput::stream("x", Box::new(std::io::sink()));
    let (document, options) = (DocInfo::default(), as_options(program));
    let mut session =
        FormatterSession::open(&puppets.formatter, &puppets.context, &document, &options, output)?;
    session.add_page(&puppets.page)?;
    session.finish().map(drop)
}

fn read(puppets: &Puppets, program: &[u8]) -> Result<(), PluginFailure> {
    sniff(&puppets.adapter, &puppets.context, "x", program)?;
    let source = Source::from_bytes("x", program.to_vec());
    let mut session = AdapterSession::open(
        &puppets.adapter,
        &puppets.context,
        &source,
        &OpenOptions::default(),
    )?;
    session.info()?;
    session.read(0, 100.0).map(drop)
}
