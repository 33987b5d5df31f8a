//! The parts of Docling's document schema, version 1.10.0, that recognised pages fill
//! (<https://github.com/docling-project/docling-core>, `docs/DoclingDocument.json`).

use crate::json::{Json, Name, Value, object};
use ocr_plugin::push;

/// The schema's name and version.
pub const NAME: &str = "DoclingDocument";
/// See [`NAME`].
pub const VERSION: &str = "1.10.0";

/// Where an item stands in the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    Body,
    Furniture,
    Text(u32),
    Table(u32),
    Picture(u32),
    Group(u32),
}

/// The JSON pointer by which others refer to it.
impl Value for Item {
    fn write(&self, json: &mut Json) {
        let (list, index) = match self {
            Item::Body => return Name("#/body").write(json),
            Item::Furniture => return Name("#/furniture").write(json),
            Item::Text(i) => ("texts", i),
            Item::Table(i) => ("tables", i),
            Item::Picture(i) => ("pictures", i),
            Item::Group(i) => ("groups", i),
        };
        push!(json.out, "\"#/", list, "/", index, "\"");
    }
}

/// A reference to an item.
#[derive(Debug)]
pub struct Ref {
    pointer: Item,
}

object!(plain Ref: pointer as "$ref");

impl From<Item> for Ref {
    fn from(pointer: Item) -> Self {
        Self { pointer }
    }
}

/// What all items have.
#[derive(Debug)]
pub struct Node {
    pub self_ref: Item,
    pub parent: Option<Ref>,
    pub children: Vec<Ref>,
    pub content_layer: Name,
    pub meta: Option<Meta>,
}

object!(part Node: self_ref, parent, children, content_layer, meta);

/// What the schema has no field for; custom names carry a prefix. Readers print what they find here as if it were text
/// of the document, so it hangs on the furniture, which they leave out.
#[derive(Debug)]
pub struct Meta {
    pub pages: Vec<Incident>,
}

object!(plain Meta: pages as "ocr_host__pages");

/// A page whose text is not whole.
#[derive(Debug)]
pub struct Incident {
    pub page_no: u32,
    pub outcome: &'static str,
    pub messages: Vec<String>,
}

object!(plain Incident: page_no, outcome, messages);

/// A place in points from the page's bottom left.
#[derive(Debug, Clone, Copy)]
pub struct BBox {
    pub l: f64,
    pub t: f64,
    pub r: f64,
    pub b: f64,
    pub coord_origin: Name,
}

object!(plain BBox: l, t, r, b, coord_origin);

/// Which part of which page an item came from.
#[derive(Debug)]
pub struct Prov {
    pub page_no: u32,
    pub bbox: BBox,
    pub charspan: [usize; 2],
}

object!(plain Prov: page_no, bbox, charspan);

#[derive(Debug)]
pub struct Text<'p> {
    pub node: Node,
    pub label: Name,
    pub prov: [Prov; 1],
    pub orig: &'p str,
    pub text: &'p str,
    pub level: Option<u8>,
    pub enumerated: Option<bool>,
    pub marker: Option<&'p str>,
}

object!(Text: node, label, prov, orig, text, level, enumerated, marker);

/// What tables and pictures have besides.
#[derive(Debug, Default)]
pub struct Floating {
    pub captions: Vec<Ref>,
    pub references: Vec<Ref>,
    pub footnotes: Vec<Ref>,
    pub image: Option<ImageRef>,
}

object!(part Floating: captions, references, footnotes, image);

#[derive(Debug)]
pub struct ImageRef {
    pub mimetype: &'static str,
    pub dpi: u32,
    pub size: Size,
    pub uri: String,
}

object!(plain ImageRef: mimetype, dpi, size, uri);

#[derive(Debug)]
pub struct Size {
    pub width: f64,
    pub height: f64,
}

object!(plain Size: width, height);

#[derive(Debug)]
pub struct Picture {
    pub node: Node,
    pub label: Name,
    pub prov: [Prov; 1],
    pub floating: Floating,
    pub annotations: [u32; 0],
}

object!(plain Picture: node, label, prov, floating, annotations);

#[derive(Debug)]
pub struct Table<'p> {
    pub node: Node,
    pub label: Name,
    pub prov: [Prov; 1],
    pub floating: Floating,
    pub data: TableData<'p>,
    pub annotations: [u32; 0],
}

object!(Table: node, label, prov, floating, data, annotations);

#[derive(Debug)]
pub struct TableData<'p> {
    pub table_cells: Vec<TableCell<'p>>,
    pub num_rows: u32,
    pub num_cols: u32,
    pub orientation: &'static str,
    pub grid: Vec<Vec<TableCell<'p>>>,
}

object!(TableData: table_cells, num_rows, num_cols, orientation, grid);

#[derive(Debug, Clone)]
pub struct TableCell<'p> {
    pub bbox: Option<BBox>,
    pub row_span: u32,
    pub col_span: u32,
    pub start_row_offset_idx: u32,
    pub end_row_offset_idx: u32,
    pub start_col_offset_idx: u32,
    pub end_col_offset_idx: u32,
    pub text: &'p str,
    pub column_header: bool,
    pub row_header: bool,
    pub row_section: bool,
    pub fillable: bool,
}

object!(TableCell: bbox, row_span, col_span, start_row_offset_idx, end_row_offset_idx, start_col_offset_idx,
    end_col_offset_idx, text, column_header, row_header, row_section, fillable);

#[derive(Debug)]
pub struct Group {
    pub node: Node,
    pub name: &'static str,
    pub label: Name,
}

object!(plain Group: node, name, label);

#[derive(Debug)]
pub struct PageItem {
    pub size: Size,
    pub page_no: u32,
}

object!(plain PageItem: size, page_no);

#[derive(Debug)]
pub struct Origin<'d> {
    pub mimetype: &'static str,
    pub binary_hash: u64,
    pub filename: &'d str,
}

object!(Origin: mimetype, binary_hash, filename);
