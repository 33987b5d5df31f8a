//! What a page needs and its file lacks: fonts, pictures and forms that its content names and that are not there.
//!
//! The renderer takes Helvetica in place of a font that is gone, so it draws other letters than were meant, and leaves out
//! pictures; it says nothing of either. Files that were cut off look like this: objects lie anywhere in a PDF, and many
//! writers put fonts behind the pages.
//!
//! Counted is only what the content of the page names, directly or by forms: many writers give all pages one list of
//! everything in the file. A name that no list has is the writer's mistake, and nothing is lost; a reference that leads
//! nowhere is. What can't be seen here: a later state of the page of which the file has not a byte any more, and that the
//! file was encrypted where what said so is gone.

use crate::content::decodes;
use hayro::hayro_syntax::content::TypedIter;
use hayro::hayro_syntax::content::ops::TypedInstruction;
use hayro::hayro_syntax::object::{Dict, MaybeRef, Name, Object, ObjectIdentifier, Stream};
use hayro::hayro_syntax::page::Page;
use hayro::hayro_syntax::xref::XRef;
use std::collections::HashSet;

/// Content within content (forms, tiles, letters); deeper is not looked into.
const NESTED: u32 = 16;
/// Nodes of the page tree above a page; more are a circle.
const TREE_DEPTH: u32 = 64;
/// Objects that one font or picture consists of; what has more is not looked through.
const MOST_OBJECTS: u32 = 2_000;

/// A font's programs, by kind (ISO 32000-1, table 126).
const PROGRAMS: [&str; 3] = ["FontFile", "FontFile2", "FontFile3"];
/// What fonts, pictures and patterns refer to that drawing them needs. A map from codes to text, for instance, is none.
const NEEDED: [&str; 15] = [
    // Fonts.
    "FontDescriptor",
    "DescendantFonts",
    "Encoding",
    "Differences",
    "CIDToGIDMap",
    "FontFile",
    "FontFile2",
    "FontFile3",
    // Pictures.
    "SMask",
    "Mask",
    // Patterns, shadings and states.
    "Shading",
    "Function",
    "Functions",
    "Font",
    "G",
];

/// How many things a page names that its file lacks or holds in part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lost {
    /// Fonts, or their letters' shapes or order: other letters may be drawn than were meant.
    pub fonts: u32,
    /// Pictures and forms: they are not drawn.
    pub pictures: u32,
    /// Colours, patterns and the like, and what pages inherit.
    pub others: u32,
}

/// What a page names that can't be found.
pub fn lost(page: &Page<'_>) -> Lost {
    let mut search = Search {
        xref: page.xref(),
        lost: Lost::default(),
        seen: HashSet::new(),
    };
    search.annotations(page);
    let inherited = Inherited::of(page);
    if inherited.size_is_lost {
        search.lost.others += 1;
    }
    if let Some(content) = page.page_stream() {
        search.content(content, &inherited.lists, NESTED);
    }
    search.lost
}

/// Whether the root of the page tree is there. Where it is not, pages are taken as they lie in the file, and inherit nothing.
pub fn has_page_tree(xref: &XRef) -> bool {
    let catalog: Option<Dict<'_>> = xref.get(xref.root_id());
    catalog.is_some_and(|catalog| catalog.get::<Dict<'_>>("Pages").is_some())
}

/// Lists of what content may name.
#[derive(Clone)]
enum Lists<'a> {
    /// They are there, or the writer gave none.
    There(Dict<'a>),
    /// There were some.
    Lost,
}

impl<'a> Lists<'a> {
    /// Those that a page, a node above pages, a form or a font has.
    fn of(dict: &Dict<'a>) -> Self {
        dict.get("Resources").map_or(Lists::Lost, Lists::There)
    }

    /// The same, where it has any; forms and fonts without their own use those around them.
    fn own_or(dict: &Dict<'a>, around: &Self) -> Self {
        match dict.contains_key("Resources") {
            true => Self::of(dict),
            false => around.clone(),
        }
    }
}

/// What a page has, or gets from the nodes above it.
struct Inherited<'a> {
    lists: Lists<'a>,
    size_is_lost: bool,
}

impl<'a> Inherited<'a> {
    fn of(page: &Page<'a>) -> Self {
        let has_tree = has_page_tree(page.xref());
        let mut node = page.raw().clone();
        let (mut lists, mut has_size, mut is_cut) = (None, false, false);
        for _ in 0..TREE_DEPTH {
            if lists.is_none() && node.contains_key("Resources") {
                lists = Some(Lists::of(&node));
            }
            has_size |= node.contains_key("MediaBox");
            if lists.is_some() && has_size || !node.contains_key("Parent") {
                break;
            }
            match node.get("Parent").filter(|_| has_tree) {
                Some(parent) => node = parent,
                None => {
                    is_cut = true;
                    break;
                }
            }
        }
        let nothing = match is_cut {
            true => Lists::Lost,
            false => Lists::There(Dict::empty()),
        };
        Self {
            lists: lists.unwrap_or(nothing),
            size_is_lost: is_cut && !has_size,
        }
    }
}

/// Looks for what content names.
struct Search<'a> {
    xref: &'a XRef,
    lost: Lost,
    /// Names, with the list and the object that it is part of, so that each is looked for once.
    seen: HashSet<(&'static str, Vec<u8>, Option<ObjectIdentifier>)>,
}

impl<'a> Search<'a> {
    /// Annotations that are not there, and those whose drawing is not.
    fn annotations(&mut self, page: &Page<'a>) {
        let raw = page.raw();
        if !raw.contains_key("Annots") {
            return;
        }
        let annotations = match self.resolved(raw.get_raw("Annots")) {
            Some(Object::Array(annotations)) => annotations,
            Some(_) => return,
            None => {
                self.lost.others += 1;
                return;
            }
        };
        for annotation in annotations.raw_iter() {
            let annotation = self.resolved(Some(annotation));
            let is_there = annotation.is_some_and(|a| a.into_dict().is_none_or(|a| self.has_looks(&a)));
            self.lost.others += u32::from(!is_there);
        }
    }

    /// Whether an annotation's drawings are there, where it has any: one, or one for each state.
    fn has_looks(&mut self, annotation: &Dict<'a>) -> bool {
        let Some(looks) = annotation.get_raw::<Object<'a>>("AP") else {
            return true;
        };
        let Some(Object::Dict(looks)) = self.resolved(Some(looks)) else {
            return false;
        };
        let Some(normal) = looks.get_raw::<Object<'a>>("N") else {
            return true;
        };
        let drawings = match self.resolved(Some(normal)) {
            Some(Object::Dict(states)) => states.entries().map(|(_, s)| self.resolved(Some(s))).collect(),
            drawing => vec![drawing],
        };
        let mut are_there = true;
        for drawing in drawings {
            are_there &= match drawing {
                Some(Object::Stream(form)) => self.form(&form, &Lists::There(Dict::empty()), NESTED),
                Some(_) => true,
                None => false,
            };
        }
        are_there
    }

    fn content(&mut self, content: &[u8], lists: &Lists<'a>, depth: u32) {
        let mut operators = TypedIter::new(content);
        while let Some(operator) = operators.next() {
            match operator {
                TypedInstruction::TextFont(font) => self.font(lists, font.0, depth),
                TypedInstruction::XObject(shown) => self.x_object(lists, shown.0, depth),
                TypedInstruction::SetGraphicsState(state) => self.other(lists, "ExtGState", state.0, depth),
                TypedInstruction::Shading(shading) => self.other(lists, "Shading", shading.0, depth),
                TypedInstruction::ColorSpaceStroke(space) => self.other(lists, "ColorSpace", space.0, depth),
                TypedInstruction::ColorSpaceNonStroke(space) => {
                    self.other(lists, "ColorSpace", space.0, depth);
                }
                TypedInstruction::StrokeColorNamed(color) => {
                    color
                        .1
                        .into_iter()
                        .for_each(|name| self.other(lists, "Pattern", name, depth));
                }
                TypedInstruction::NonStrokeColorNamed(color) => {
                    color
                        .1
                        .into_iter()
                        .for_each(|name| self.other(lists, "Pattern", name, depth));
                }
                _ => {}
            }
        }
    }

    /// Looks for what a form, a tile or a letter names. Whether it has content of its own.
    fn form(&mut self, form: &Stream<'a>, around: &Lists<'a>, depth: u32) -> bool {
        if depth == 0 {
            return true;
        }
        let Ok(content) = form.decoded_data() else {
            return false;
        };
        self.content(&content, &Lists::own_or(form.dict(), around), depth - 1);
        true
    }

    fn font(&mut self, lists: &Lists<'a>, name: &Name<'_>, depth: u32) {
        let Some(found) = self.named(lists, "Font", name) else {
            return;
        };
        let is_whole = found.is_some_and(|font| {
            // A font whose letters are content of their own.
            if let Object::Dict(font) = &font
                && let Some(letters) = font.get::<Dict<'a>>("CharProcs")
            {
                let lists = Lists::own_or(font, lists);
                for (_, letter) in letters.entries() {
                    let letter = self.resolved(Some(letter)).and_then(Object::into_stream);
                    if !letter.is_some_and(|letter| self.form(&letter, &lists, depth)) {
                        return false;
                    }
                }
            }
            self.is_whole(font)
        });
        self.lost.fonts += u32::from(!is_whole);
    }

    fn x_object(&mut self, lists: &Lists<'a>, name: &Name<'_>, depth: u32) {
        let is_whole = match self.named(lists, "XObject", name) {
            None | Some(Some(Object::Null(_))) => return,
            Some(Some(Object::Stream(shown))) => match shown.dict().get::<Name<'_>>("Subtype").as_deref() {
                Some(b"Form") => self.form(&shown, lists, depth),
                _ => self.is_whole(Object::Stream(shown)),
            },
            Some(_) => false,
        };
        self.lost.pictures += u32::from(!is_whole);
    }

    fn other(&mut self, lists: &Lists<'a>, list: &'static str, name: &Name<'_>, depth: u32) {
        let is_whole = match self.named(lists, list, name) {
            None => return,
            Some(None) => false,
            Some(Some(Object::Stream(tile))) if list == "Pattern" => self.form(&tile, lists, depth),
            Some(Some(object)) => {
                let mask = match &object {
                    Object::Dict(state) => state.get::<Dict<'a>>("SMask"),
                    _ => None,
                };
                let form = mask.and_then(|mask| mask.get::<Stream<'a>>("G"));
                form.is_none_or(|form| self.form(&form, lists, depth)) && self.is_whole(object)
            }
        };
        self.lost.others += u32::from(!is_whole);
    }

    /// What a list has under a name that was not looked for yet, and is not the writer's mistake: the object, or none where it
    /// is lost.
    fn named(
        &mut self,
        lists: &Lists<'a>,
        list: &'static str,
        name: &Name<'_>,
    ) -> Option<Option<Object<'a>>> {
        let dict = match lists {
            Lists::There(dict) => Some(dict),
            Lists::Lost => None,
        };
        let part_of = dict.and_then(Dict::obj_id);
        if !self.seen.insert((list, name.as_ref().to_vec(), part_of)) {
            return None;
        }
        let Some(dict) = dict else {
            // Many names of colours stand for themselves.
            return (list != "ColorSpace").then_some(None);
        };
        if !dict.contains_key(list) {
            return None;
        }
        let Some(list) = dict.get::<Dict<'a>>(list) else {
            return Some(None);
        };
        let named = list.contains_key(name.as_ref());
        named.then(|| self.resolved(list.get_raw(name.as_ref())))
    }

    /// An object, or none where it is lost: a reference that leads nowhere, or a stream's head without the stream.
    fn resolved(&self, object: Option<MaybeRef<Object<'a>>>) -> Option<Object<'a>> {
        let object = match object? {
            MaybeRef::Ref(reference) => self.xref.get(reference.into())?,
            MaybeRef::NotRef(object) => object,
        };
        match object {
            Object::Dict(dict) if dict.contains_key("Length") => None,
            object => Some(object),
        }
    }

    /// Whether all that something needs to be drawn as it was meant is there.
    fn is_whole(&self, object: Object<'a>) -> bool {
        let mut waiting = vec![object];
        for _ in 0..MOST_OBJECTS {
            let Some(object) = waiting.pop() else {
                return true;
            };
            let needs: Vec<MaybeRef<Object<'a>>> = match &object {
                Object::Array(array) => array.raw_iter().collect(),
                Object::Dict(dict) if has_torn_program(dict) => return false,
                Object::Dict(dict) => needed(dict),
                Object::Stream(stream) => needed(stream.dict()),
                _ => continue,
            };
            for need in needs {
                match self.resolved(Some(need)) {
                    Some(need) => waiting.push(need),
                    None => return false,
                }
            }
        }
        true
    }
}

fn needed<'a>(dict: &Dict<'a>) -> Vec<MaybeRef<Object<'a>>> {
    NEEDED.iter().filter_map(|key| dict.get_raw(key)).collect()
}

/// Whether a font's description holds a font program that can't be unpacked whole.
fn has_torn_program(description: &Dict<'_>) -> bool {
    let mut programs = PROGRAMS
        .iter()
        .filter_map(|key| description.get::<Stream<'_>>(key));
    programs.any(|program| !decodes(&program))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hayro::hayro_syntax::Pdf;

    const CATALOG: &str = "1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n";
    const TREE: &str =
        "2 0 obj\n<< /Type /Pages /Kids [3 0 R] /Count 1 /MediaBox [0 0 9 9] /Resources 4 0 R >>\nendobj\n";

    fn stream(number: u32, dict: &str, data: &str) -> String {
        format!(
            "{number} 0 obj\n<< /Length {} {dict} >>\nstream\n{data}\nendstream\nendobj\n",
            data.len()
        )
    }

    /// What is lost on the page that is object 3 of a file of these objects. It has no table of objects; the parser finds
    /// them all the same.
    fn lost_of(objects: &[&str]) -> (u32, u32, u32) {
        let file = format!(
            "%PDF-1.7\n{}trailer\n<< /Size 20 /Root 1 0 R >>\n",
            objects.concat()
        );
        let pdf = Pdf::new(file.into_bytes()).unwrap();
        let lost = lost(&pdf.pages()[0]);
        (lost.fonts, lost.pictures, lost.others)
    }

    /// The same for content with these lists and further objects from number 6 on.
    fn lost_by(content: &str, lists: &str, objects: &[&str]) -> (u32, u32, u32) {
        let page = "3 0 obj\n<< /Type /Page /Parent 2 0 R /Contents 5 0 R >>\nendobj\n";
        let lists = format!("4 0 obj\n<< {lists} >>\nendobj\n");
        let content = stream(5, "", content);
        lost_of(&[&[CATALOG, TREE, page, &lists, &content], objects].concat())
    }

    #[test]
    fn a_reference_that_leads_nowhere_is_lost_where_content_uses_it() {
        let lists = "/Font << /A 6 0 R /B 9 0 R >> /XObject << /X 9 0 R >>";
        let font = "6 0 obj\n<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>\nendobj\n";
        assert_eq!(lost_by("/A 9 Tf (x) Tj /A 9 Tf", lists, &[font]), (0, 0, 0));
        assert_eq!(lost_by("/B 9 Tf (x) Tj /B 9 Tf", lists, &[font]), (1, 0, 0));
        assert_eq!(lost_by("/X Do /B 9 Tf", lists, &[font]), (1, 1, 0));
        assert_eq!(
            lost_by("/C 9 Tf /Y Do /DeviceRGB cs", lists, &[font]),
            (0, 0, 0),
            "named nowhere"
        );
        assert_eq!(
            lost_by("/B 9 Tf", "/Font 9 0 R", &[]),
            (1, 0, 0),
            "the list itself"
        );
        assert_eq!(
            lost_by(
                "/G gs /P scn",
                "/ExtGState << /G 9 0 R >> /Pattern << /P 9 0 R >>",
                &[]
            ),
            (0, 0, 2)
        );
    }

    #[test]
    fn a_font_needs_its_program_and_its_order() {
        let lists = "/Font << /A 6 0 R >>";
        let font = |more: &str| format!("6 0 obj\n<< /Type /Font /Subtype /TrueType {more} >>\nendobj\n");
        let find = |more: &str, program: &str| {
            let descriptor = "7 0 obj\n<< /Type /FontDescriptor /FontFile2 8 0 R >>\nendobj\n";
            lost_by("/A 9 Tf", lists, &[&font(more), descriptor, program]).0
        };
        let whole = stream(8, "", "a font");
        let described = "/FontDescriptor 7 0 R";
        assert_eq!(find(described, &whole), 0);
        assert_eq!(find(described, ""), 1);
        assert_eq!(find("/DescendantFonts [<< /FontDescriptor 7 0 R >>]", ""), 1);
        assert_eq!(find("/FontDescriptor 7 0 R /Encoding 9 0 R", &whole), 1);
        assert_eq!(
            find("/FontDescriptor 7 0 R /ToUnicode 9 0 R", &whole),
            0,
            "it is not drawn with"
        );
        // The file ends in the program, before and behind its first byte; and one that can't be unpacked whole.
        assert_eq!(find(described, "8 0 obj\n<< /Length 900 >>"), 1);
        assert_eq!(find(described, "8 0 obj\n<< /Length 900 >>\nstream\na fon"), 1);
        assert_eq!(
            find(
                described,
                &stream(8, "/Filter /FlateDecode", "this was never compressed")
            ),
            1
        );
    }

    #[test]
    fn forms_and_letters_that_are_content_are_looked_into() {
        let lists = "/XObject << /X 6 0 R >> /Font << /T 7 0 R >>";
        let form = stream(
            6,
            "/Subtype /Form /Resources << /Font << /B 9 0 R >> >>",
            "/B 9 Tf",
        );
        let letters = "7 0 obj\n<< /Subtype /Type3 /CharProcs << /a 8 0 R >> /Resources << /XObject << /I 9 0 R >> >> >>\nendobj\n";
        let letter = stream(8, "", "/I Do");
        assert_eq!(lost_by("/X Do", lists, &[&form]), (1, 0, 0));
        assert_eq!(lost_by("/T 9 Tf", lists, &[letters, &letter]), (0, 1, 0));
        assert_eq!(lost_by("/T 9 Tf", lists, &[letters]), (1, 0, 0));
        let around = stream(6, "/Subtype /Form", "/T 9 Tf");
        assert_eq!(
            lost_by("/X Do", lists, &[&around]),
            (1, 0, 0),
            "it uses the page's"
        );
        let circle = stream(6, "/Subtype /Form", "/X Do");
        assert_eq!(lost_by("/X Do", lists, &[&circle]), (0, 0, 0));
    }

    #[test]
    fn pictures_need_their_masks_and_annotations_their_drawings() {
        let lists = "/XObject << /X 6 0 R >>";
        let picture = stream(6, "/Subtype /Image /SMask 9 0 R", "x");
        assert_eq!(lost_by("/X Do", lists, &[&picture]), (0, 1, 0));
        let with = |annotations: &str| {
            let page = format!("3 0 obj\n<< /Type /Page /Parent 2 0 R /Annots {annotations} >>\nendobj\n");
            let drawing = stream(
                6,
                "/Subtype /Form /Resources << /Font << /B 9 0 R >> >>",
                "/B 9 Tf",
            );
            lost_of(&[CATALOG, TREE, &page, &drawing])
        };
        assert_eq!(with("[<< /Subtype /Link >>]"), (0, 0, 0));
        assert_eq!(with("9 0 R"), (0, 0, 1));
        assert_eq!(with("[9 0 R << /AP << /N 9 0 R >> >>]"), (0, 0, 2));
        assert_eq!(with("[<< /AP << /N << /On 9 0 R >> >> >>]"), (0, 0, 1));
        assert_eq!(with("[<< /AP << /N 6 0 R >> >>]"), (1, 0, 0), "its font");
    }

    #[test]
    fn what_pages_inherit_is_lost_with_the_nodes_above_them() {
        let content = stream(5, "", "/A 9 Tf");
        let page = "3 0 obj\n<< /Type /Page /Parent 2 0 R /Contents 5 0 R >>\nendobj\n";
        assert_eq!(lost_of(&[CATALOG, page, &content]), (1, 0, 1));
        let complete = "3 0 obj\n<< /Type /Page /Parent 2 0 R /Contents 5 0 R /MediaBox [0 0 9 9] /Resources << >> >>\nendobj\n";
        assert_eq!(lost_of(&[CATALOG, complete, &content]), (0, 0, 0));
    }
}
