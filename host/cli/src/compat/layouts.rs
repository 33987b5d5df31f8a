//! `NAME_layouts.pdf`: a PDF of one JPEG a page, written as pages come, so that its size costs no memory.
//!
//! Objects are made by `pdf-writer`, one at a time; what its own document would keep in memory, the table of offsets,
//! is kept here.

use pdf_writer::{Chunk, Content, Filter, Finish, Name, Rect, Ref};
use std::io::{self, Write};

const CATALOG: Ref = Ref::new(1);
const PAGES: Ref = Ref::new(2);

/// A PDF under way.
pub struct Layouts<W> {
    out: W,
    written: u64,
    /// Where each object begins, by its number from 1; 0 while it is not written.
    offsets: Vec<u64>,
    pages: Vec<Ref>,
}

impl<W: Write> Layouts<W> {
    /// Begins a PDF in `out`.
    pub fn new(out: W) -> io::Result<Self> {
        let mut layouts = Self {
            out,
            written: 0,
            offsets: vec![0, 0],
            pages: Vec::new(),
        };
        // The second line tells programs that the file is not text.
        layouts.write(b"%PDF-1.7\n%\x80\x80\x80\x80\n")?;
        Ok(layouts)
    }

    /// Adds a page of `points` (1/72 inch) that a JPEG of `px` fills.
    pub fn page(&mut self, jpeg: &[u8], px: (u32, u32), points: (f32, f32)) -> io::Result<()> {
        let [image, content, page] = [(); 3].map(|()| self.number());
        let mut chunk = Chunk::new();
        let mut object = chunk.image_xobject(image, jpeg);
        object
            .width(px.0 as i32)
            .height(px.1 as i32)
            .bits_per_component(8);
        object.color_space().device_rgb();
        object.filter(Filter::DctDecode);
        object.finish();
        self.object(image, &chunk)?;

        let (width, height) = points;
        let mut drawing = Content::new();
        drawing
            .transform([width, 0.0, 0.0, height, 0.0, 0.0])
            .x_object(Name(b"P"));
        let mut chunk = Chunk::new();
        chunk.stream(content, &drawing.finish()).finish();
        self.object(content, &chunk)?;

        let mut chunk = Chunk::new();
        let mut object = chunk.page(page);
        object
            .parent(PAGES)
            .media_box(Rect::new(0.0, 0.0, width, height))
            .contents(content);
        object.resources().x_objects().pair(Name(b"P"), image);
        object.finish();
        self.object(page, &chunk)?;
        self.pages.push(page);
        Ok(())
    }

    /// Writes what leads to the pages.
    pub fn finish(mut self) -> io::Result<()> {
        let mut chunk = Chunk::new();
        chunk
            .pages(PAGES)
            .kids(self.pages.iter().copied())
            .count(self.pages.len() as i32)
            .finish();
        self.object(PAGES, &chunk)?;
        let mut chunk = Chunk::new();
        chunk
            .indirect(CATALOG)
            .dict()
            .pair(Name(b"Type"), Name(b"Catalog"))
            .pair(Name(b"Pages"), PAGES);
        self.object(CATALOG, &chunk)?;
        let (start, size) = (self.written, self.offsets.len() + 1);
        let mut table = format!("xref\n0 {size}\n0000000000 65535 f \n");
        for offset in &self.offsets {
            table += &format!("{offset:010} 00000 n \n");
        }
        table += &format!("trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n");
        self.write(table.as_bytes())?;
        self.out.flush()
    }

    fn number(&mut self) -> Ref {
        self.offsets.push(0);
        Ref::new(self.offsets.len() as i32)
    }

    fn object(&mut self, number: Ref, chunk: &Chunk) -> io::Result<()> {
        self.offsets[number.get() as usize - 1] = self.written;
        self.write(chunk.as_bytes())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_offset_leads_to_its_object() {
        let mut bytes = Vec::new();
        let mut layouts = Layouts::new(&mut bytes).unwrap();
        for _ in 0..2 {
            layouts.page(b"not really a JPEG", (10, 20), (5.0, 10.0)).unwrap();
        }
        layouts.finish().unwrap();
        let text = String::from_utf8_lossy(&bytes).replace('\u{fffd}', "?");
        let table = text
            .split_once("xref\n0 9\n")
            .expect("8 objects and the free one")
            .1;
        for (number, line) in (1..9).zip(table.lines().skip(1)) {
            let offset: usize = line[..10].parse().unwrap();
            let found = String::from_utf8_lossy(&bytes[offset..]).into_owned();
            assert!(
                found.starts_with(&format!("{number} 0 obj")),
                "object {number} at {offset}"
            );
        }
        let start: usize = text
            .split("startxref\n")
            .nth(1)
            .unwrap()
            .lines()
            .next()
            .unwrap()
            .parse()
            .unwrap();
        assert!(bytes[start..].starts_with(b"xref"));
        assert!(text.contains("/Count 2"));
    }
}
