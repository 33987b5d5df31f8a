//! The parts of Docling's document schema, version 1.10.0, that recognised pages fill
//! (<https://github.com/docling-project/docling-core>, `docs/DoclingDocument.json`).

use serde::Serialize;

/// The schema's name and version.
pub const NAME: &str = "DoclingDocument";
/// See [`NAME`].
pub const VERSION: &str = "1.10.0";

/// Where an item stands in the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    Body,
    Text(u32),
    Table(u32),
    Picture(u32),
    Group(u32),
}

impl Item {
    /// The JSON pointer by which others refer to it.
    pub fn pointer(self) -> String {
        match self {
            Item::Body => "#/body".to_owned(),
            Item::Text(i) => format!("#/texts/{i}"),
            Item::Table(i) => format!("#/tables/{i}"),
            Item::Picture(i) => format!("#/pictures/{i}"),
            Item::Group(i) => format!("#/groups/{i}"),
        }
    }
}

/// A reference to an item.
#[derive(Debug, Serialize)]
pub struct Ref {
    #[serde(rename = "$ref")]
    pointer: String,
}

impl From<Item> for Ref {
    fn from(item: Item) -> Self {
        Self {
            pointer: item.pointer(),
        }
    }
}

/// What all items have.
#[derive(Debug, Serialize)]
pub struct Node {
    pub self_ref: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<Ref>,
    pub children: Vec<Ref>,
    pub content_layer: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

/// What the schema has no field for; custom names carry a prefix. Readers print what they find here as if it were text
/// of the document, so it hangs on the furniture, which they leave out.
#[derive(Debug, Serialize)]
pub struct Meta {
    #[serde(rename = "ocr_host__pages")]
    pub pages: Vec<Incident>,
}

/// A page whose text is not whole.
#[derive(Debug, Serialize)]
pub struct Incident {
    pub page_no: u32,
    pub outcome: &'static str,
    pub messages: Vec<String>,
}

/// A place in points from the page's bottom left.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct BBox {
    pub l: f64,
    pub t: f64,
    pub r: f64,
    pub b: f64,
    pub coord_origin: &'static str,
}

/// Which part of which page an item came from.
#[derive(Debug, Serialize)]
pub struct Prov {
    pub page_no: u32,
    pub bbox: BBox,
    pub charspan: (usize, usize),
}

#[derive(Debug, Serialize)]
pub struct Text<'p> {
    #[serde(flatten)]
    pub node: Node,
    pub label: &'static str,
    pub prov: [Prov; 1],
    pub orig: &'p str,
    pub text: &'p str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enumerated: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub marker: Option<&'p str>,
}

/// What tables and pictures have besides.
#[derive(Debug, Default, Serialize)]
pub struct Floating {
    pub captions: Vec<Ref>,
    pub references: Vec<Ref>,
    pub footnotes: Vec<Ref>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageRef>,
}

#[derive(Debug, Serialize)]
pub struct ImageRef {
    pub mimetype: &'static str,
    pub dpi: u32,
    pub size: Size,
    pub uri: String,
}

#[derive(Debug, Serialize)]
pub struct Size {
    pub width: f64,
    pub height: f64,
}

#[derive(Debug, Serialize)]
pub struct Picture {
    #[serde(flatten)]
    pub node: Node,
    pub label: &'static str,
    pub prov: [Prov; 1],
    #[serde(flatten)]
    pub floating: Floating,
    pub annotations: [(); 0],
}

#[derive(Debug, Serialize)]
pub struct Table<'p> {
    #[serde(flatten)]
    pub node: Node,
    pub label: &'static str,
    pub prov: [Prov; 1],
    #[serde(flatten)]
    pub floating: Floating,
    pub data: TableData<'p>,
    pub annotations: [(); 0],
}

#[derive(Debug, Serialize)]
pub struct TableData<'p> {
    pub table_cells: Vec<TableCell<'p>>,
    pub num_rows: u32,
    pub num_cols: u32,
    pub orientation: &'static str,
    pub grid: Vec<Vec<TableCell<'p>>>,
}

#[derive(Debug, Clone, Serialize)]
pub struct TableCell<'p> {
    #[serde(skip_serializing_if = "Option::is_none")]
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

#[derive(Debug, Serialize)]
pub struct Group {
    #[serde(flatten)]
    pub node: Node,
    pub name: &'static str,
    pub label: &'static str,
}

#[derive(Debug, Serialize)]
pub struct PageItem {
    pub size: Size,
    pub page_no: u32,
}

#[derive(Debug, Serialize)]
pub struct Origin<'d> {
    pub mimetype: &'static str,
    pub binary_hash: u64,
    pub filename: &'d str,
}
