//! One page's items.

use crate::json::Name;
use crate::schema::{
    BBox, Floating, Group, ImageRef, Incident, Item, Node, Picture, Prov, Ref, Size, Table, Text,
};
use crate::{Counts, table};
use ocr_plugin::image::Encoding;
use ocr_plugin::{BlockKind, Diagnostic, HostError, Outcome, Page, Rect, Severity, Span, list, log, output};

/// A page's items, and what each span became.
pub struct Built<'p> {
    pub texts: Vec<Text<'p>>,
    pub tables: Vec<Table<'p>>,
    pub pictures: Vec<Picture>,
    pub groups: Vec<Group>,
    /// Children of the document's body.
    pub body: Vec<Item>,
    /// By span.
    pub items: Vec<Item>,
    pub counts: Counts,
}

/// What is to be said about a page that is not whole.
pub fn incident(page: &Page, number: u32) -> Option<Incident> {
    let info = page.info();
    let outcome = match info.outcome {
        Outcome::Complete => return None,
        Outcome::Truncated => "truncated",
        Outcome::Repetition => "repetition",
        Outcome::Failed => "failed",
    };
    let messages = info.diagnostics.iter().map(|d| d.message.clone()).collect();
    Some(Incident {
        page_no: number,
        outcome,
        messages,
    })
}

/// Turns a page into items numbered from `counts` on; `cut` writes pictures to files of their own.
pub fn build<'p>(page: &'p Page<'_>, number: u32, counts: Counts, cut: bool) -> Built<'p> {
    let mut builder = Builder {
        page,
        number,
        start: counts,
        built: Built {
            texts: Vec::with_capacity(page.spans().len()),
            tables: Vec::new(),
            pictures: Vec::new(),
            groups: Vec::new(),
            body: Vec::new(),
            items: vec![Item::Body; page.spans().len()],
            counts,
        },
        lists: Vec::new(),
    };
    for (index, span) in page.reading_order() {
        builder.add(index, span);
    }
    builder.attach_captions();
    if cut {
        builder.cut_pictures();
    }
    builder.built
}

struct Builder<'p, 'h> {
    page: &'p Page<'h>,
    number: u32,
    start: Counts,
    built: Built<'p>,
    /// Open lists, outermost first: the group, and its last item.
    lists: Vec<(u32, u32)>,
}

impl<'p> Builder<'p, '_> {
    fn add(&mut self, index: usize, span: &'p Span) {
        if span.kind != BlockKind::ListItem && !span.kind.is_furniture() {
            self.lists.clear();
        }
        let item = match span.kind {
            BlockKind::Table => self.table(index, span),
            BlockKind::Figure => self.picture(span),
            BlockKind::ListItem => self.list_item(span),
            _ => self.text(span, Item::Body),
        };
        self.built.items[index] = item;
    }

    fn text(&mut self, span: &'p Span, parent: Item) -> Item {
        let item = Item::Text(self.built.counts.texts);
        self.built.counts.texts += 1;
        let (orig, latex) = (span.text(self.page), span.markup(self.page));
        let is_formula = span.kind == BlockKind::Formula;
        let text = if is_formula && !latex.is_empty() {
            latex
        } else {
            orig
        };
        let text = Text {
            node: self.node(item, parent, span),
            label: Name(label(span, self.page)),
            prov: [self.prov(span, text)],
            orig,
            text,
            level: (span.kind == BlockKind::Heading).then(|| span.level.max(1)),
            enumerated: None,
            marker: None,
        };
        self.built.texts.push(text);
        if parent == Item::Body {
            self.built.body.push(item);
        }
        item
    }

    fn list_item(&mut self, span: &'p Span) -> Item {
        self.lists.truncate(usize::from(span.level.max(1)));
        if usize::from(span.level.max(1)) > self.lists.len() {
            // Engines skip levels; a list is never more than one deeper than the item above it.
            let parent = self
                .lists
                .last()
                .map_or(Item::Body, |&(_, item)| Item::Text(item));
            let group = self.built.counts.groups;
            self.built.counts.groups += 1;
            let node = Node {
                self_ref: Item::Group(group),
                parent: Some(parent.into()),
                children: Vec::new(),
                content_layer: Name("body"),
                meta: None,
            };
            self.built.groups.push(Group {
                node,
                name: "list",
                label: Name("list"),
            });
            match parent {
                Item::Text(above) => self.text_at(above).node.children.push(Item::Group(group).into()),
                _ => self.built.body.push(Item::Group(group)),
            }
            self.lists.push((group, 0));
        }
        let Some(&(group, _)) = self.lists.last() else {
            return Item::Body;
        };
        let item = self.text(span, Item::Group(group));
        let Item::Text(number) = item else { return item };
        if let Some(open) = self.lists.last_mut() {
            open.1 = number;
        }
        let place = (group - self.start.groups) as usize;
        self.built.groups[place].node.children.push(item.into());
        let (marker, enumerated, text) = list::split_marker(span.text(self.page));
        let entry = self.text_at(number);
        (entry.text, entry.enumerated, entry.marker) = (text, Some(enumerated), Some(marker.unwrap_or("-")));
        item
    }

    fn table(&mut self, index: usize, span: &'p Span) -> Item {
        let item = Item::Table(self.built.counts.tables);
        self.built.counts.tables += 1;
        let text = span.text(self.page);
        let table = Table {
            node: self.node(item, Item::Body, span),
            label: Name("table"),
            prov: [self.prov(span, "")],
            floating: Floating::default(),
            data: table::data(self.page, index, text, |area| bbox(self.page, area)),
            annotations: [],
        };
        self.built.tables.push(table);
        self.built.body.push(item);
        item
    }

    fn picture(&mut self, span: &'p Span) -> Item {
        let number = self.built.counts.pictures;
        let item = Item::Picture(number);
        self.built.counts.pictures += 1;
        let mut node = self.node(item, Item::Body, span);
        self.built.body.push(item);
        // Text inside a picture hangs below it.
        if !span.text(self.page).is_empty() {
            node.children.push(self.text(span, item).into());
        }
        let prov = [self.prov(span, "")];
        let floating = Floating::default();
        self.built.pictures.push(Picture {
            node,
            label: Name("picture"),
            prov,
            floating,
            annotations: [],
        });
        item
    }

    fn attach_captions(&mut self) {
        for (index, span) in self.page.reading_order() {
            let Some(owner) = span.parent.and_then(|p| self.built.items.get(p as usize)) else {
                continue;
            };
            let reference: Ref = self.built.items[index].into();
            let floating = match *owner {
                Item::Table(t) => &mut self.built.tables[(t - self.start.tables) as usize].floating,
                Item::Picture(p) => &mut self.built.pictures[(p - self.start.pictures) as usize].floating,
                _ => continue,
            };
            match span.kind {
                BlockKind::Caption => floating.captions.push(reference),
                BlockKind::Footnote => floating.footnotes.push(reference),
                _ => {}
            }
        }
    }

    fn cut_pictures(&mut self) {
        for (index, span) in self.page.reading_order() {
            let Item::Picture(number) = self.built.items[index] else {
                continue;
            };
            let place = (number - self.start.pictures) as usize;
            match self.cut(span, place) {
                Ok(image) => self.built.pictures[place].floating.image = Some(image),
                Err(e) => {
                    let message = format!("picture {} is not cut out: {}", place + 1, e.message());
                    let diagnostic = Diagnostic::new(Severity::Warning, "picture-omitted", message);
                    log::report(&diagnostic.on_page(self.number));
                }
            }
        }
    }

    fn cut(&self, span: &Span, place: usize) -> Result<ImageRef, HostError> {
        let picture = self.page.raster()?.crop(span.area)?;
        let name = format!("page-{}-picture-{}.png", self.number, place + 1);
        let file = output::create(&name, Encoding::Png.media_type())?;
        file.write_image(&picture, Encoding::Png, 100)?;
        let info = self.page.info();
        let dpi = info.width as f32 * 72.0 / info.width_points.max(1.0);
        Ok(ImageRef {
            mimetype: Encoding::Png.media_type(),
            dpi: dpi.round().max(1.0) as u32,
            size: Size {
                width: picture.width().into(),
                height: picture.height().into(),
            },
            uri: file.name(),
        })
    }

    fn text_at(&mut self, number: u32) -> &mut Text<'p> {
        &mut self.built.texts[(number - self.start.texts) as usize]
    }

    fn node(&self, item: Item, parent: Item, span: &Span) -> Node {
        Node {
            self_ref: item,
            parent: Some(parent.into()),
            children: Vec::new(),
            content_layer: Name(if span.kind.is_furniture() {
                "furniture"
            } else {
                "body"
            }),
            meta: None,
        }
    }

    fn prov(&self, span: &Span, text: &str) -> Prov {
        let charspan = [0, text.chars().count()];
        Prov {
            page_no: self.number,
            bbox: bbox(self.page, span.area),
            charspan,
        }
    }
}

/// Docling's name for a block of text.
fn label(span: &Span, page: &Page) -> &'static str {
    match span.kind {
        BlockKind::Title => "title",
        BlockKind::Heading => "section_header",
        BlockKind::ListItem => "list_item",
        BlockKind::Formula => "formula",
        BlockKind::Caption => "caption",
        BlockKind::Header => "page_header",
        BlockKind::Footer => "page_footer",
        // Docling has no page numbers; they stand in the header or in the footer.
        BlockKind::PageNumber if span.area.y1 < page.info().height / 2 => "page_header",
        BlockKind::PageNumber => "page_footer",
        BlockKind::Footnote => "footnote",
        BlockKind::Code => "code",
        BlockKind::Paragraph | BlockKind::Table | BlockKind::Figure | BlockKind::Other => "text",
    }
}

/// A raster area in points from the page's bottom left.
pub fn bbox(page: &Page, area: Rect) -> BBox {
    let (l, b, r, t) = page.info().rect_to_points(area);
    let at = |v: f64| round(v, 1e3);
    BBox {
        l: at(l),
        t: at(t),
        r: at(r),
        b: at(b),
        coord_origin: Name("BOTTOMLEFT"),
    }
}

/// `value` to a fraction of one; numbers that JSON cannot write become 0.
pub fn round(value: f64, steps: f64) -> f64 {
    let rounded = (value * steps).round() / steps;
    if rounded.is_finite() { rounded } else { 0.0 }
}
