//! Black rectangles on a raster, each pixel painted once however many rectangles cover it.

use crate::{PageImage, Rect};

/// The image with every area black.
pub(super) fn blacken(image: &PageImage, areas: &[Rect]) -> PageImage {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let bytes = image.format().bytes();
    // Per row, areas that begin and end there; `covers` counts along the row where areas begin (+) and end (-).
    let mut starts: Vec<Vec<usize>> = vec![Vec::new(); height];
    let mut ends: Vec<Vec<usize>> = vec![Vec::new(); height + 1];
    let bounds = image.bounds();
    let areas: Vec<Rect> = areas.iter().map(|area| area.intersect(&bounds)).collect();
    for (at, area) in areas.iter().enumerate().filter(|(_, area)| !area.is_empty()) {
        starts[area.y0 as usize].push(at);
        ends[area.y1 as usize].push(at);
    }
    let mut covers = vec![0i32; width + 1];
    let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
    let mut pixels = image.pixels().to_vec();
    for (y, row) in pixels.chunks_exact_mut(width * bytes).enumerate() {
        let changes = !starts[y].is_empty() || !ends[y].is_empty();
        for (list, step) in [(&starts[y], 1), (&ends[y], -1)] {
            for area in list.iter().map(|&at| &areas[at]) {
                covers[area.x0 as usize] += step;
                covers[area.x1 as usize] -= step;
            }
        }
        if changes {
            runs = covered(&covers[..width]);
        }
        for run in &runs {
            row[run.start * bytes..run.end * bytes].fill(0);
        }
    }
    PageImage::new(image.width(), image.height(), image.format(), pixels).expect("its size stays")
}

/// Where the sum of what begins and ends is over zero.
fn covered(covers: &[i32]) -> Vec<std::ops::Range<usize>> {
    let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
    let mut depth = 0;
    for (x, change) in covers.iter().enumerate() {
        depth += change;
        match runs.last_mut() {
            Some(last) if depth > 0 && last.end == x => last.end = x + 1,
            _ if depth > 0 => runs.push(x..x + 1),
            _ => {}
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PixelFormat;

    #[test]
    fn what_is_covered_is_black_and_nothing_else() {
        let image = PageImage::new(7, 5, PixelFormat::Rgb8, vec![9; 7 * 5 * 3]).unwrap();
        let areas = [
            Rect::new(1, 1, 4, 3),
            Rect::new(3, 2, 6, 4),
            Rect::new(1, 1, 4, 3),
            Rect::new(5, 4, 90, 90),
            Rect::new(2, 2, 2, 4),
        ];
        let painted = blacken(&image, &areas);
        for y in 0..5 {
            for x in 0..7 {
                let black = areas.iter().any(|a| a.contains(x, y));
                let at = (y * 7 + x) as usize * 3;
                let expected = if black { [0; 3] } else { [9; 3] };
                assert_eq!(painted.pixels()[at..at + 3], expected, "{x}, {y}");
            }
        }
        assert_eq!(blacken(&image, &[]), image);
    }
}
