//! Page processors in the sandbox: what they answer becomes edits, and what they may ask for is decided by what their
//! manifests ask for and operators grant together.

#[path = "common/guest.rs"]
mod guest;

use guest::{Act, Call, Processor, pdf_asker};
use ocr_document::{
    CellKind, Edit, NewCell, Page, PageBuilder, PageImage, PageInfo, PixelFormat, Rect, SpanKind,
};
use ocr_runtime::services::{ReadRegions, Recognition, Region, RegionError, Services, Until};
use ocr_runtime::{
    AdapterSession, Capability, Cause, Context, DocInfo, DocumentEdit, Grants, Limits, OpenOptions, Plugin,
    PluginFailure, ProcessorSession, Quota, Runtime, Source,
};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new(None, &Limits::default()).unwrap());

fn page() -> Arc<Page> {
    let mut page = PageBuilder::new(PageInfo::new(0, 7, 100, 80));
    page.push_span(
        SpanKind::Paragraph,
        "text",
        0,
        Rect::new(0, 0, 50, 10),
        None,
        "all is well",
    );
    page.raster(PageImage::new(100, 80, PixelFormat::Gray8, vec![128; 8000]).unwrap());
    Arc::new(page.finish())
}

fn context() -> Context {
    Context {
        limits: Limits {
            time: Duration::from_millis(300),
            gpu: 3,
            ..Limits::default()
        },
        ..Context::default()
    }
}

fn open(processor: &Processor, context: &Context) -> ProcessorSession {
    let plugin = RUNTIME.load(processor.id, &processor.build()).unwrap();
    ProcessorSession::open(&plugin, context, &DocInfo::default(), "{}").unwrap()
}

fn process(acts: Vec<Act>) -> Result<Vec<Edit>, PluginFailure> {
    open(&Processor::new("tidy", acts), &context()).process(&page())
}

#[test]
fn every_edit_comes_across_as_it_is() {
    let cell = NewCell {
        kind: CellKind::RowHeader,
        row: 1,
        column: 2,
        row_span: 3,
        column_span: 4,
        area: Some(Rect::new(5, 6, 7, 8)),
        text: "zelle".into(),
    };
    let edits = vec![
        Edit::SetText(1, "größe".into()),
        Edit::ReflowText(2, "two".into()),
        Edit::SetMarkup(3, "<b>".into()),
        Edit::SetKind(4, SpanKind::Header),
        Edit::SetLevel(5, 6),
        Edit::SetOrder(7, 8),
        Edit::SetParent(9, Some(10)),
        Edit::SetParent(9, None),
        Edit::SetArea(11, Rect::new(1, 2, 3, 4)),
        Edit::SetCell(12, "cell".into()),
        Edit::SetCells(13, vec![cell.clone(), NewCell { area: None, ..cell }]),
        Edit::DropSpan(14),
        Edit::Insert(15, SpanKind::Heading, Rect::new(1, 2, 3, 4), "new".into()),
        Edit::RedactArea(Rect::new(9, 9, 10, 11)),
        Edit::RedactText(16, 17),
    ];
    assert_eq!(process(vec![Act::Edits(edits.clone())]).unwrap(), edits);
}

#[test]
fn a_session_goes_from_page_to_page_and_names_the_document() {
    let acts = vec![
        Act::Edits(vec![Edit::DropSpan(0)]),
        Act::Fail("not this one"),
        Act::Edits(Vec::new()),
    ];
    let processor = Processor {
        title: Some("Another title"),
        ..Processor::new("tidy", acts)
    };
    let mut session = open(&processor, &context());
    let mut document = DocInfo::default();
    for edit in session.edit_document().unwrap() {
        assert_eq!(edit, DocumentEdit::SetTitle(Some("Another title".into())));
        edit.apply(&mut document);
    }
    assert_eq!(document.title.as_deref(), Some("Another title"));
    assert_eq!(session.process(&page()).unwrap(), [Edit::DropSpan(0)]);
    let refused = session.process(&page()).unwrap_err();
    assert!(
        refused.to_string().contains("on page 7: not this one"),
        "{refused}"
    );
    assert!(!session.is_dead());
    assert_eq!(session.process(&page()).unwrap(), []);
}

#[test]
fn edits_that_break_the_contract_are_refused() {
    let many = vec![Edit::SetLevel(0, 1); 100_001];
    let refused = process(vec![Act::Edits(many)]).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("100001 edits of a page are more than 100000"),
        "{refused}"
    );
    let inverted = Rect {
        x0: 5,
        y0: 0,
        x1: 4,
        y1: 9,
    };
    let refused = process(vec![Act::Edits(vec![
        Edit::DropSpan(0),
        Edit::RedactArea(inverted),
    ])])
    .unwrap_err();
    assert_eq!(refused.code(), "invalid-edit");
    assert!(
        refused
            .to_string()
            .contains("edit 1: the area (5, 0) to (4, 9) is inverted"),
        "{refused}"
    );
}

#[test]
fn a_crash_and_an_endless_loop_end_the_session_alone() {
    let mut session = open(&Processor::new("tidy", vec![Act::Trap]), &context());
    assert!(matches!(
        session.process(&page()).unwrap_err().cause,
        Cause::Trap(_)
    ));
    assert!(session.is_dead());
    let refused = process(vec![Act::Spin]).unwrap_err();
    assert!(
        matches!(
            refused.cause,
            Cause::Limit {
                quota: Quota::Time,
                ..
            }
        ),
        "{refused}"
    );
    assert_eq!(
        process(vec![Act::Edits(vec![Edit::DropSpan(0)])]).unwrap().len(),
        1
    );
}

/// Reads every region as its place.
struct Places;

impl ReadRegions for Places {
    fn read(&self, _: &PageImage, regions: &[Region], _: &Until) -> Vec<Result<Recognition, RegionError>> {
        let read = |region: &Region| match region.hint.as_deref() {
            Some("fail") => Err(RegionError::Failed("smudged".into())),
            _ => Ok(Recognition {
                text: format!("{:?} at {},{}", region.task, region.area.x1, region.area.y1),
                spans: Vec::new(),
                tokens: 0,
            }),
        };
        regions.iter().map(read).collect()
    }
}

const ONE: Call = Call::Recognize(&[(
    Rect {
        x0: 0,
        y0: 0,
        x1: 900,
        y1: 10,
    },
    0,
    None,
)]);

/// A processor that calls the host.
fn asker(call: Call, asks: &[Capability]) -> Arc<Plugin> {
    let processor = Processor {
        asks: asks.to_vec(),
        ..Processor::new("asker", vec![Act::Ask(call)])
    };
    RUNTIME.load("asker", &processor.build()).unwrap()
}

/// What the host answers it.
fn asked(plugin: &Arc<Plugin>, grants: Grants) -> String {
    let context = Context {
        grants,
        services: Services::reading(Arc::new(Places)),
        ..context()
    };
    let mut session = ProcessorSession::open(plugin, &context, &DocInfo::default(), "{}").unwrap();
    match &session.process(&page()).unwrap()[..] {
        [Edit::SetKind(0, SpanKind::Paragraph), Edit::SetText(0, answer)] => answer.clone(),
        other => panic!("{other:?}"),
    }
}

/// The same of an adapter that calls `pdf.document.open`.
fn asked_for_pdf(plugin: &Arc<Plugin>, grants: Grants) -> String {
    let context = Context {
        grants,
        ..Context::default()
    };
    let source = Source::from_bytes("a.bin", b"no pdf".to_vec());
    match AdapterSession::open(plugin, &context, &source, &OpenOptions::default()) {
        Ok(_) => panic!("it opens nothing"),
        Err(failure) => failure.to_string(),
    }
}

/// Every set of the four that `bits` can name.
fn set(bits: u32) -> Vec<Capability> {
    let named = Capability::ALL.into_iter().enumerate();
    named
        .filter(|(at, _)| bits & (1 << at) != 0)
        .map(|(_, c)| c)
        .collect()
}

#[test]
fn a_capability_is_had_where_it_is_asked_for_and_granted() {
    use Capability::{ImageRows, OcrRecognize, PageRaster, PdfRender};
    let mut pairs = 0;
    for asks in (0..16).map(set) {
        let raster = asker(Call::Raster, &asks);
        let rows = asker(Call::ReadRows, &asks);
        let regions = asker(ONE, &asks);
        let pdf = RUNTIME.load("pdf-asker", &pdf_asker(&asks)).unwrap();
        for granted in (0..16).map(set) {
            let grants: Grants = granted.iter().copied().collect();
            let has = |capability| asks.contains(&capability) && granted.contains(&capability);
            for capability in Capability::ALL {
                let answer = match capability {
                    PageRaster => asked(&raster, grants),
                    ImageRows => asked(&rows, grants),
                    PdfRender => asked_for_pdf(&pdf, grants),
                    // The region is one of the raster.
                    OcrRecognize if !has(PageRaster) => continue,
                    OcrRecognize => asked(&regions, grants),
                };
                let refused = answer.contains(&format!("the capability `{capability}` is not granted"));
                let what = format!("{capability}, asks {asks:?}, granted {granted:?}: {answer}");
                assert_eq!(refused, !has(capability), "{what}");
                match capability {
                    PageRaster | ImageRows if !refused => assert_eq!(answer, "done", "{what}"),
                    OcrRecognize if !refused => assert_eq!(answer, "Text at 100,10", "{what}"),
                    _ => {}
                }
                pairs += 1;
            }
        }
    }
    assert_eq!(pairs, 16 * 16 * 3 + 8 * 8);
}

#[test]
fn regions_are_checked_one_by_one_and_counted_together() {
    let asks = [Capability::PageRaster, Capability::OcrRecognize];
    let one = |area: Rect, task: u8, hint: Option<&'static str>| -> String {
        let region: &'static [_] = Box::leak(Box::new([(area, task, hint)]));
        asked(&asker(Call::Recognize(region), &asks), Grants::ALL)
    };
    let area = Rect::new(0, 0, 10, 10);
    assert_eq!(one(area, 5, Some("total")), "Locate at 10,10");
    assert!(one(area, 5, None).contains("locate needs the words"));
    assert!(one(area, 2, Some("de")).contains("a hint is for"));
    assert!(one(Rect::new(500, 500, 600, 600), 0, None).contains("nothing of the area"));
    assert_eq!(one(area, 0, Some("fail")), "smudged");
    // Three are allowed for a document, and a call that would pass that is refused whole.
    const FOUR: Call = Call::Recognize(
        &[(
            Rect {
                x0: 0,
                y0: 0,
                x1: 9,
                y1: 9,
            },
            0,
            None,
        ); 4],
    );
    let processor = Processor {
        asks: asks.to_vec(),
        ..Processor::new("asker", vec![Act::Ask(ONE), Act::Ask(FOUR)])
    };
    let context = Context {
        grants: Grants::ALL,
        services: Services::reading(Arc::new(Places)),
        ..context()
    };
    let mut session = open(&processor, &context);
    session.process(&page()).unwrap();
    let failure = session.process(&page()).unwrap_err();
    assert!(
        failure
            .to_string()
            .contains("limit `gpu` of 3; raise it with --plugin-limit gpu=12"),
        "{failure}"
    );
    // A session that is started afresh for the same document goes on counting.
    let mut again = open(&processor, &context);
    again.process(&page()).unwrap();
    let mut third = open(
        &Processor {
            acts: vec![Act::Ask(ONE)],
            ..processor
        },
        &context,
    );
    third.process(&page()).unwrap();
    assert!(third.process(&page()).is_err());
}
