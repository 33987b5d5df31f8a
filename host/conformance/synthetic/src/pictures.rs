//! Images by formula, whole numbers only.

use crate::formula::{key, word};

/// A harsh RGB picture, `width * height * 3` bytes: edges, ramps, noise.
pub fn picture(width: usize, height: usize, seed: u64) -> Vec<u8> {
    let key = key("picture", seed);
    let mut pixels = Vec::with_capacity(width * height * 3);
    for (y, x, c) in places(width, height) {
        let noise = (word(key, pixels.len() as u64) >> 56) as usize;
        let ramp = ((x * (3 + c) + y * (5 + 2 * c) + 40 * c) >> 2) & 255;
        let value = match ((x >> 5) + 3 * (y >> 4) + c) % 7 {
            0 => 255,
            1 => 0,
            2 => noise,
            _ => ramp ^ (noise >> 5),
        };
        pixels.push(value as u8);
    }
    pixels
}

/// An RGB page: lines of 24 px of random 7 x 6 glyphs, every ninth line a strip of ramps, margins of 40 px.
pub fn page(width: usize, height: usize, seed: u64) -> Vec<u8> {
    let key = key("page", seed);
    let mut pixels = Vec::with_capacity(width * height * 3);
    for (y, x, c) in places(width, height) {
        let (line, row, cell, column) = (y / 24, y % 24, x / 9, x % 9);
        let inside = x >= 40 && x + 40 < width && y >= 40 && y + 40 < height;
        let value = if line % 9 == 8 && inside {
            ((x * (3 + c) + y * (5 + 2 * c)) >> 2) & 255
        } else if inside && (5..17).contains(&row) && column < 7 {
            let glyph = word(key, (line * 4096 + cell) as u64);
            let bit = column + 7 * ((row - 5) / 2);
            let ink = (glyph >> (8 + bit)) & 1 == 1 && glyph & 7 != 0;
            if ink { 20 + 10 * c } else { paper(x, y, c) }
        } else {
            paper(x, y, c)
        };
        pixels.push(value as u8);
    }
    pixels
}

fn paper(x: usize, y: usize, c: usize) -> usize {
    250 - 5 * c - (((x + y) >> 6) & 7)
}

fn places(width: usize, height: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..height).flat_map(move |y| (0..width).flat_map(move |x| (0..3).map(move |c| (y, x, c))))
}
