//! The host's pages as the SDK's tests have them.

use ocr_document as doc;
use ocr_plugin as sdk;

fn rect(r: doc::Rect) -> sdk::Rect {
    sdk::Rect {
        x0: r.x0,
        y0: r.y0,
        x1: r.x1,
        y1: r.y1,
    }
}

fn quad(q: doc::Quad) -> sdk::Quad {
    let p = |p: doc::Point| sdk::Point { x: p.x, y: p.y };
    sdk::Quad {
        a: p(q.a),
        b: p(q.b),
        c: p(q.c),
        d: p(q.d),
    }
}

fn slice(s: doc::Slice) -> sdk::Slice {
    sdk::Slice {
        start: s.start,
        len: s.len,
    }
}

fn kind(kind: doc::SpanKind) -> sdk::BlockKind {
    use doc::SpanKind as K;
    use sdk::BlockKind as B;
    match kind {
        K::Title => B::Title,
        K::Heading => B::Heading,
        K::Paragraph => B::Paragraph,
        K::ListItem => B::ListItem,
        K::Table => B::Table,
        K::Formula => B::Formula,
        K::Figure => B::Figure,
        K::Caption => B::Caption,
        K::Header => B::Header,
        K::Footer => B::Footer,
        K::PageNumber => B::PageNumber,
        K::Footnote => B::Footnote,
        K::Code => B::Code,
        K::Other => B::Other,
    }
}

fn cell_kind(kind: doc::CellKind) -> sdk::CellKind {
    match kind {
        doc::CellKind::Data => sdk::CellKind::Data,
        doc::CellKind::ColumnHeader => sdk::CellKind::ColumnHeader,
        doc::CellKind::RowHeader => sdk::CellKind::RowHeader,
        doc::CellKind::RowSection => sdk::CellKind::RowSection,
    }
}

fn diagnostic(d: &doc::Diagnostic) -> sdk::Diagnostic {
    sdk::Diagnostic {
        severity: match d.severity {
            doc::Severity::Note => sdk::Severity::Note,
            doc::Severity::Warning => sdk::Severity::Warning,
            doc::Severity::Error => sdk::Severity::Error,
        },
        code: d.code.clone(),
        message: d.message.clone(),
        page: d.page,
        area: d.area.map(rect),
    }
}

fn info(i: &doc::PageInfo) -> sdk::PageInfo {
    let [a, b, c, d, e, f] = i.to_source.0;
    sdk::PageInfo {
        index: i.index,
        number: i.number,
        part: i.part.clone(),
        outcome: match i.outcome {
            doc::Outcome::Complete => sdk::Outcome::Complete,
            doc::Outcome::Truncated => sdk::Outcome::Truncated,
            doc::Outcome::Repetition => sdk::Outcome::Repetition,
            doc::Outcome::Failed => sdk::Outcome::Failed,
        },
        recovery: match i.recovery {
            doc::Recovery::None => sdk::Recovery::None,
            doc::Recovery::Retried => sdk::Recovery::Retried,
            doc::Recovery::Fallback => sdk::Recovery::Fallback,
        },
        width: i.width,
        height: i.height,
        width_points: i.width_points,
        height_points: i.height_points,
        to_source: (a, b, c, d, e, f),
        language: i.language.clone(),
        engine: i.engine.clone(),
        diagnostics: i.diagnostics.iter().map(diagnostic).collect(),
    }
}

/// A document of which name and title are known.
pub fn doc_info(name: &str, title: Option<&str>, pages: u32) -> sdk::DocInfo {
    sdk::DocInfo {
        title: title.map(str::to_owned),
        pages: Some(pages),
        selected: Some(pages),
        ..sdk::DocInfo::new(name, "application/pdf")
    }
}

/// A page as a native plugin is handed it.
pub fn page_data(page: &doc::Page) -> sdk::PageData {
    let line = |l: &doc::Line| sdk::Line {
        span: l.span,
        outline: quad(l.outline),
        confidence: l.confidence,
        text: slice(l.text),
    };
    let word = |w: &doc::Word| sdk::Word {
        line: w.line,
        outline: quad(w.outline),
        confidence: w.confidence,
        text: slice(w.text),
    };
    let cell = |c: &doc::Cell| sdk::Cell {
        table: c.table,
        kind: cell_kind(c.kind),
        row: c.row,
        column: c.column,
        row_span: c.row_span,
        column_span: c.column_span,
        area: c.area.map(rect),
        confidence: c.confidence,
        text: slice(c.text),
    };
    let span = |s: &doc::Span| sdk::Span {
        kind: kind(s.kind),
        label: s.label,
        level: s.level,
        order: s.order,
        parent: s.parent,
        area: rect(s.area),
        confidence: s.confidence,
        text: slice(s.text),
        markup: slice(s.markup),
    };
    let anchor = |a: &doc::Anchor| sdk::Anchor {
        span: a.span,
        start: a.start,
        len: a.len,
    };
    let raster = |image: &doc::PageImage| sdk::Raster {
        width: image.width(),
        height: image.height(),
        format: match image.format() {
            doc::PixelFormat::Gray8 => sdk::image::PixelFormat::Gray8,
            doc::PixelFormat::Rgb8 => sdk::image::PixelFormat::Rgb8,
        },
        pixels: image.pixels().to_vec(),
    };
    sdk::PageData {
        info: Some(info(page.info())),
        text: page.text().to_owned(),
        labels: page.labels().to_vec(),
        spans: page.spans().iter().map(span).collect(),
        lines: page.lines().iter().map(line).collect(),
        words: page.words().iter().map(word).collect(),
        cells: page.cells().iter().map(cell).collect(),
        markdown: page.markdown().to_owned(),
        anchors: page.anchors().iter().map(anchor).collect(),
        raw: page.raw().to_owned(),
        raster: page.raster().map(raster),
    }
}
