//! Host functions in any sequence, with any values and any handles.
#![no_main]

#[path = "../../../runtime/tests/skeleton/mod.rs"]
mod skeleton;

use libfuzzer_sys::fuzz_target;
use ocr_document::{Page, PageBuilder, PageImage, PageInfo, PixelFormat, Rect, SpanKind};
use ocr_runtime::{
    AdapterSession, Cause, Context, DocInfo, FormatterOutput, FormatterSession, Limits, OpenOptions, Plugin,
    PluginFailure, Runtime, Source, World, sniff,
};
use skeleton::random::{as_options, puppet};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

struct Puppets {
    formatter: Arc<Plugin>,
    adapter: Arc<Plugin>,
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
    let load = |world| runtime.load("puppet", &puppet(world).build()).expect("a puppet loads");
    let mut page = PageBuilder::new(PageInfo::new(0, 7, 40, 30));
    let area = Rect::new(0, 0, 20, 10);
    page.push_span(SpanKind::Paragraph, "text", 0, area, Some(0.5), "all is well");
    page.raster(PageImage::new(40, 30, PixelFormat::Gray8, vec![128; 1200]).expect("it has its size"));
    Puppets {
        formatter: load(World::OutputFormatter),
        adapter: load(World::InputAdapter),
        page: Arc::new(page.finish()),
        context: Context {
            limits,
            grants: everything(),
            ..Context::default()
        },
    }
});

fn everything() -> ocr_runtime::Grants {
    ocr_runtime::Grants {
        page_raster: true,
        image_rows: true,
        ..Default::default()
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((world, program)) = data.split_first() else {
        return;
    };
    let puppets = &*PUPPETS;
    let ended = match world & 1 {
        0 => format(puppets, program),
        _ => read(puppets, program),
    };
    if let Err(failure) = ended {
        // Whatever it was, it has a cause that can be told, and no end that the host brought about itself.
        assert!(!failure.to_string().is_empty());
        assert!(!matches!(failure.cause, Cause::Cancelled));
    }
});

fn format(puppets: &Puppets, program: &[u8]) -> Result<(), PluginFailure> {
    let output = FormatterOutput::stream("x", Box::new(std::io::sink()));
    let (document, options) = (DocInfo::default(), as_options(program));
    let mut session = FormatterSession::open(&puppets.formatter, &puppets.context, &document, &options, output)?;
    session.add_page(&puppets.page)?;
    session.finish().map(drop)
}

fn read(puppets: &Puppets, program: &[u8]) -> Result<(), PluginFailure> {
    sniff(&puppets.adapter, &puppets.context, "x", program)?;
    let source = Source::from_bytes("x", program.to_vec());
    let mut session = AdapterSession::open(&puppets.adapter, &puppets.context, &source, &OpenOptions::default())?;
    session.info()?;
    session.read(0, 100.0).map(drop)
}
