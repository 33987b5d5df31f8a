//! What the model sees of a page: one square view of all of it and, in Gundam, tiles of 640 px.
//!
//! Follows upstream's `process` functions and Pillow's `ImageOps.pad` to the pixel; `tests/preprocess.rs` compares.

use crate::mode::Mode;
use crate::resize::{Resized, Rgb};
use ocr_document::PageImage;
use rayon::prelude::*;

/// Side of a tile, px. Upstream's code has it in place of `image_size`, whatever that is.
pub const TILE_PX: u32 = 640;
/// Px of a page for each visual token of a view's side: SAM's patches of 16, shrunk by 4.
const PX_PER_TOKEN: u32 = 64;
/// What surrounds a padded page, each channel: upstream's `int(0.5 * 255)`.
const GREY: u8 = 127;

/// A square RGB image as it goes to the towers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Side, px.
    pub side: u32,
    /// `side * side` pixels of 3 bytes, rows from the top.
    pub pixels: Vec<u8>,
}

/// All views of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Views {
    /// The whole page.
    pub global: View,
    /// Its parts, row by row; none where `grid` is (1, 1).
    pub tiles: Vec<View>,
    /// Columns and rows of tiles.
    pub grid: (u32, u32),
}

/// The views of `image` in `mode`, in Gundam with at most `max_crops` tiles.
pub fn views(image: &PageImage, mode: Mode, max_crops: usize) -> Views {
    let image = image.to_rgb();
    let rgb = Rgb {
        width: image.width() as usize,
        height: image.height() as usize,
        pixels: image.pixels(),
    };
    let grid = match mode {
        Mode::Gundam => choose_grid(image.width(), image.height(), max_crops),
        _ => (1, 1),
    };
    let side = mode.base_px();
    let (global, tiles) = rayon::join(
        || match mode {
            Mode::Tiny | Mode::Small => stretched(rgb, side),
            Mode::Base | Mode::Large | Mode::Gundam => padded(rgb, side),
        },
        || match grid {
            (1, 1) => Vec::new(),
            grid => tiles(rgb, grid),
        },
    );
    Views { global, tiles, grid }
}

/// Tokens that a page with this grid of tiles takes in a prompt: each row of the stitched tiles and of the global view
/// with a row end, and one separator.
pub fn image_tokens(mode: Mode, grid: (u32, u32)) -> usize {
    let rows = |width: u32, height: u32| (height * (width + 1)) as usize;
    let (global, tile) = (mode.base_px() / PX_PER_TOKEN, TILE_PX / PX_PER_TOKEN);
    let local = match grid {
        (1, 1) => 0,
        (columns, tall) => rows(columns * tile, tall * tile),
    };
    local + rows(global, global) + 1
}

/// Columns and rows of tiles for an image: the nearest aspect ratio, and of two equally near the later candidate where
/// the image has pixels for half of its area.
fn choose_grid(width: u32, height: u32, max_crops: usize) -> (u32, u32) {
    if width <= TILE_PX && height <= TILE_PX {
        return (1, 1);
    }
    let aspect = f64::from(width) / f64::from(height);
    let area = f64::from(width) * f64::from(height);
    let (mut best, mut least) = ((1, 1), f64::INFINITY);
    for (columns, rows) in grids(max_crops) {
        let difference = (aspect - f64::from(columns) / f64::from(rows)).abs();
        let tiles_area = f64::from(TILE_PX * TILE_PX) * f64::from(columns * rows);
        if difference < least || (difference == least && area > 0.5 * tiles_area) {
            (best, least) = ((columns, rows), difference);
        }
    }
    best
}

/// Candidate (columns, rows) of 2 to `max_crops` tiles, by area.
///
/// Upstream sorts a Python set by area alone, which leaves candidates of one area in the order of their hashes. That
/// order decides only if two of them are equally near and nothing is nearer. From four crops on something always is
/// (a test goes through all pairs); with two or three, (1, 2) and (2, 1) can tie, and the set yields (1, 2) first, as
/// here.
fn grids(max_crops: usize) -> Vec<(u32, u32)> {
    let most = max_crops as u32;
    let mut all: Vec<_> = (1..=most)
        .flat_map(|columns| (1..=most / columns).map(move |rows| (columns, rows)))
        .filter(|(columns, rows)| columns * rows >= 2)
        .collect();
    all.sort_by_key(|&(columns, rows)| (columns * rows, columns));
    all
}

/// The image as a square, its aspect lost.
fn stretched(image: Rgb, side: u32) -> View {
    let full = side as usize;
    let mut pixels = vec![0; full * full * 3];
    Resized::new(image, full, full).draw(0..full, 0, &mut pixels, full * 3, 0);
    View { side, pixels }
}

/// The image as large as fits, in the middle of a grey square.
fn padded(image: Rgb, side: u32) -> View {
    let (width, height) = contained(image.width, image.height, side);
    let full = side as usize;
    let middle = |inner: usize| ((full - inner) as f64 * 0.5).round_ties_even() as usize;
    let stride = full * 3;
    let mut pixels = vec![GREY; full * stride];
    let inside = &mut pixels[middle(height) * stride..][..height * stride];
    Resized::new(image, width, height).draw(0..width, 0, inside, stride, middle(width) * 3);
    View { side, pixels }
}

/// Size of the image once it fits a square. Pillow rounds the shorter side to even on a tie; where it rounds to nothing
/// Pillow fails, here one row or column stays.
fn contained(width: usize, height: usize, side: u32) -> (usize, usize) {
    let shorter = |over: usize, under: usize| {
        let exact = over as f64 / under as f64 * f64::from(side);
        (exact.round_ties_even() as usize).max(1)
    };
    let side = side as usize;
    match width.cmp(&height) {
        std::cmp::Ordering::Greater => (side, shorter(height, width)),
        std::cmp::Ordering::Equal => (side, side),
        std::cmp::Ordering::Less => (shorter(width, height), side),
    }
}

/// The image stretched over the grid and cut, row by row.
fn tiles(image: Rgb, (columns, rows): (u32, u32)) -> Vec<View> {
    let (columns, rows, side) = (columns as usize, rows as usize, TILE_PX as usize);
    let stretched = Resized::new(image, columns * side, rows * side);
    let tile = |n: usize| {
        let (left, top) = (n % columns * side, n / columns * side);
        let mut pixels = vec![0; side * side * 3];
        stretched.draw(left..left + side, top, &mut pixels, side * 3, 0);
        View {
            side: TILE_PX,
            pixels,
        }
    };
    (0..columns * rows).into_par_iter().map(tile).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocr_document::PixelFormat;

    #[test]
    fn tokens_are_those_of_the_paper_with_row_ends() {
        let counts =
            [Mode::Tiny, Mode::Small, Mode::Base, Mode::Large].map(|mode| image_tokens(mode, (1, 1)));
        assert_eq!(counts, [73, 111, 273, 421]);
        let gundam =
            [(1, 1), (1, 2), (2, 2), (2, 3), (3, 3), (1, 9)].map(|grid| image_tokens(Mode::Gundam, grid));
        assert_eq!(gundam, [273, 493, 693, 903, 1203, 1263]);
    }

    #[test]
    fn of_one_area_no_two_grids_are_nearest_from_four_crops_on() {
        for most in 4..=9 {
            let all = grids(most);
            let ratio = |(columns, rows): (u32, u32)| f64::from(columns) / f64::from(rows);
            for (n, &one) in all.iter().enumerate() {
                for &other in all[n + 1..]
                    .iter()
                    .filter(|other| other.0 * other.1 == one.0 * one.1)
                {
                    let middle = (ratio(one) + ratio(other)) / 2.0;
                    let tie = (ratio(one) - middle).abs();
                    let nearer = all.iter().any(|&grid| (ratio(grid) - middle).abs() < tie - 1e-9);
                    assert!(nearer, "{one:?} and {other:?} of {most}");
                }
            }
        }
    }

    #[test]
    fn ties_go_to_the_later_grid_of_a_large_image() {
        // 5 : 4 lies between 1 : 2 and 2 : 1 where only two tiles are allowed.
        assert_eq!(choose_grid(800, 640, 2), (2, 1));
        assert_eq!(choose_grid(645, 516, 2), (1, 2));
        // Squares: 2 x 2 and 3 x 3 are equally near; half of nine tiles are 1,843,200 px.
        assert_eq!(choose_grid(1357, 1357, 9), (2, 2));
        assert_eq!(choose_grid(1358, 1358, 9), (3, 3));
    }

    #[test]
    fn halves_round_to_even() {
        assert_eq!(
            contained(2, 4096, 1024),
            (1, 1024),
            "0.5 rounds to 0, one column stays"
        );
        assert_eq!(contained(6, 4096, 1024), (2, 1024), "1.5");
        assert_eq!(contained(4096, 10, 1024), (1024, 2), "2.5");
        assert_eq!(contained(50_000, 1, 1024), (1024, 1));
    }

    #[test]
    fn grey_pages_are_seen_in_colour() {
        let grey = PageImage::new(3, 2, PixelFormat::Gray8, vec![0, 50, 100, 150, 200, 250]).unwrap();
        for mode in [Mode::Tiny, Mode::Base] {
            assert_eq!(views(&grey, mode, 9), views(&grey.to_rgb(), mode, 9));
        }
    }
}
