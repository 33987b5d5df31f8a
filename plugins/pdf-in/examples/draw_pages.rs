//! Draws the pages of a PDF as the component does, natively, for comparisons with other renderers.
//!
//! `draw_pages FILE DPI [MOST_PAGES]` writes to standard output, for each page, a line of JSON (its size in pixels, what
//! could not be drawn, milliseconds) and then its pixels, RGB.

use pdf_in::content;
use pdf_in::document::Document;
use std::io::Write;
use std::time::Instant;

/// As the component's own setting has it.
const MAX_PIXELS: f64 = 40e6;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(file), Some(dpi)) = (arguments.next(), arguments.next()) else {
        return Err("draw_pages FILE DPI [MOST_PAGES]".into());
    };
    let dpi: f32 = dpi.parse()?;
    let most: u32 = arguments.next().map_or(Ok(u32::MAX), |most| most.parse())?;
    let bytes = std::fs::read(file)?;
    let end = content::end(&bytes);
    let mut document = Document::open(bytes, None, true).map_err(|e| format!("{e:?}"))?;
    let mut out = std::io::stdout().lock();
    for index in 0..document.page_count().min(most) {
        let plan = document.plan(index, dpi, MAX_PIXELS).ok_or("no such page")?;
        let started = Instant::now();
        let mut pixels = Vec::new();
        let drawn = document.draw(index, &plan, |_, rows| {
            pixels.extend_from_slice(rows);
            Ok::<(), ()>(())
        });
        let Ok(Ok(findings)) = drawn else {
            return Err("no memory".into());
        };
        let ms = started.elapsed().as_secs_f64() * 1e3;
        let content = document.content(index);
        let lost = document.lost(index);
        let giant = document.giant_image(index).is_some();
        writeln!(
            out,
            r#"{{"width":{},"height":{},"fonts":{},"images":{},"annotations":{},"lost":{},"lost_fonts":{},"lost_pictures":{},"lost_others":{},"giant":{giant},"end":"{:?}","ms":{ms:.1}}}"#,
            plan.width,
            plan.height,
            findings.fonts,
            findings.images,
            findings.annotations,
            content.lost,
            lost.fonts,
            lost.pictures,
            lost.others,
            end
        )?;
        out.write_all(&pixels)?;
    }
    Ok(())
}
