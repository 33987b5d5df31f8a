//! The views of 56 images against Pillow's, by the sha256 of their bytes.
//!
//! The images are made by the formula that `host/conformance/deepseek_ocr/README.md` states, in all of Pillow's modes
//! and turned in all ways that EXIF knows; their own sums are checked first.

use ocr_document::{PageImage, PixelFormat};
use ocr_model_deepseek::{Mode, View, image_tokens, views};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Fixture {
    grids_9: Vec<(u32, u32)>,
    grids_6: Vec<(u32, u32)>,
    patches: Vec<Patch>,
    images: Vec<Entry>,
}

#[derive(Deserialize)]
struct Patch {
    image: usize,
    view: String,
    #[serde(rename = "box")]
    area: [usize; 4],
    file: String,
}

#[derive(Deserialize)]
struct Entry {
    mode: String,
    width: usize,
    height: usize,
    seed: u64,
    orientation: u8,
    source_sha256: String,
    rgb_sha256: String,
    views: BTreeMap<String, String>,
    crops_9: Crops,
    crops_6: Crops,
}

#[derive(Deserialize)]
struct Crops {
    columns: u32,
    rows: u32,
    sha256: String,
}

fn fixture() -> Fixture {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/preprocess.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn sha256<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hasher = Sha256::new();
    parts.into_iter().for_each(|part| hasher.update(part));
    hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn mix64(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The top byte of each word of a stream.
fn noise(name: &str, seed: u64) -> impl Fn(usize) -> u8 {
    let hash = name.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3)
    });
    let key = mix64(hash ^ mix64(seed));
    move |i| (mix64(key.wrapping_add((i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15))) >> 56) as u8
}

impl Entry {
    fn channels(&self) -> usize {
        match self.mode.as_str() {
            "L" | "P" | "1" | "I;16" => 1,
            "LA" => 2,
            "RGB" => 3,
            "RGBA" | "CMYK" => 4,
            other => panic!("no formula for mode {other}"),
        }
    }

    /// Bytes by the formula, one a channel.
    fn values(&self) -> Vec<u8> {
        let (channels, noise) = (self.channels(), noise("picture", self.seed));
        let mut values = Vec::with_capacity(self.width * self.height * channels);
        for y in 0..self.height {
            for x in 0..self.width {
                for c in 0..channels {
                    let grain = noise(values.len());
                    let ramp = (((x * (3 + c) + y * (5 + 2 * c) + 40 * c) >> 2) & 255) as u8;
                    values.push(match ((x >> 5) + 3 * (y >> 4) + c) % 7 {
                        0 => 255,
                        1 => 0,
                        2 => grain,
                        _ => ramp ^ (grain >> 5),
                    });
                }
            }
        }
        values
    }

    /// The bytes that Pillow keeps of the image.
    fn source(&self, values: &[u8]) -> Vec<u8> {
        match self.mode.as_str() {
            "1" => values
                .chunks(self.width)
                .flat_map(|row| row.chunks(8))
                .map(|bits| {
                    (0..8).fold(0, |byte, n| {
                        (byte << 1) | u8::from(bits.get(n).is_some_and(|&v| v >= 128))
                    })
                })
                .collect(),
            "I;16" => {
                let noise = noise("picture", self.seed);
                values
                    .iter()
                    .enumerate()
                    .flat_map(|(i, &value)| [noise(i), value])
                    .collect()
            }
            _ => values.to_vec(),
        }
    }

    /// The image as upstream sees it: RGB, upright.
    fn rgb(&self, values: &[u8]) -> PageImage {
        let (palette, grain) = (noise("palette", self.seed), noise("picture", self.seed));
        let pixels = values
            .chunks_exact(self.channels())
            .enumerate()
            .flat_map(|(i, pixel)| match self.mode.as_str() {
                "RGB" | "RGBA" => [pixel[0], pixel[1], pixel[2]],
                "P" => [0, 1, 2].map(|c| palette(usize::from(pixel[0]) * 3 + c)),
                "1" => [if pixel[0] >= 128 { 255 } else { 0 }; 3],
                // 256 times the value, plus noise, clipped.
                "I;16" => [if pixel[0] > 0 { 255 } else { grain(i) }; 3],
                "CMYK" => {
                    let light = 255 - i32::from(pixel[3]);
                    [0, 1, 2].map(|c| (light - over_255(i32::from(pixel[c]) * light)).clamp(0, 255) as u8)
                }
                _ => [pixel[0]; 3],
            })
            .collect();
        let (width, height) = (self.width as u32, self.height as u32);
        turned(
            &PageImage::new(width, height, PixelFormat::Rgb8, pixels).unwrap(),
            self.orientation,
        )
    }
}

/// A product of two bytes over 255, rounded as Pillow's `MULDIV255`.
fn over_255(product: i32) -> i32 {
    let sum = product + 128;
    ((sum >> 8) + sum) >> 8
}

/// An image upright that was stored in an EXIF orientation.
fn turned(image: &PageImage, orientation: u8) -> PageImage {
    match orientation {
        1 => image.clone(),
        2 => mirrored(image),
        3 => image.rotate(2),
        4 => mirrored(&image.rotate(2)),
        5 => mirrored(&image.rotate(1)),
        6 => image.rotate(1),
        7 => mirrored(&image.rotate(3)),
        8 => image.rotate(3),
        other => panic!("EXIF knows no orientation {other}"),
    }
}

/// Left for right.
fn mirrored(image: &PageImage) -> PageImage {
    let pixels = (0..image.height())
        .flat_map(|y| image.row(y).chunks_exact(3).rev().flatten().copied())
        .collect();
    PageImage::new(image.width(), image.height(), PixelFormat::Rgb8, pixels).unwrap()
}

fn pixels(tiles: &[View]) -> impl Iterator<Item = &[u8]> {
    tiles.iter().map(|tile| tile.pixels.as_slice())
}

#[test]
fn every_view_is_pillows_to_the_pixel() {
    let fixture = fixture();
    assert_eq!(fixture.images.len(), 56);
    let mut wrong = Vec::new();
    for (number, entry) in fixture.images.iter().enumerate() {
        let values = entry.values();
        assert_eq!(
            sha256([&*entry.source(&values)]),
            entry.source_sha256,
            "image {number}, the formula"
        );
        let image = entry.rgb(&values);
        assert_eq!(
            sha256([image.pixels()]),
            entry.rgb_sha256,
            "image {number}, upstream's way to RGB"
        );
        for (name, expected) in &entry.views {
            let seen = views(&image, name.parse().unwrap(), 9);
            assert!(seen.tiles.is_empty() && seen.grid == (1, 1));
            if sha256([&*seen.global.pixels]) != *expected {
                wrong.push(format!("image {number}, {name}"));
            }
        }
        for (max_crops, crops) in [(9, &entry.crops_9), (6, &entry.crops_6)] {
            let seen = views(&image, Mode::Gundam, max_crops);
            assert_eq!(
                seen.grid,
                (crops.columns, crops.rows),
                "image {number}, {max_crops} crops"
            );
            if sha256(pixels(&seen.tiles)) != crops.sha256 {
                wrong.push(format!("image {number}, tiles of {max_crops}"));
            }
            if sha256([&*seen.global.pixels]) != entry.views["base"] {
                wrong.push(format!("image {number}, gundam's global view"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ: {wrong:?}", wrong.len());
}

/// Where a sum differs, this shows by how much.
#[test]
fn patches_of_views_are_pillows() {
    let fixture = fixture();
    for patch in &fixture.patches {
        let entry = &fixture.images[patch.image];
        let view = views(&entry.rgb(&entry.values()), patch.view.parse().unwrap(), 9).global;
        let path = format!("{}/tests/data/{}", env!("CARGO_MANIFEST_DIR"), patch.file);
        let expected = image::open(path).unwrap().to_rgb8();
        let [left, top, right, bottom] = patch.area;
        let stride = view.side as usize * 3;
        let worst = (top..bottom)
            .flat_map(|y| &view.pixels[y * stride + left * 3..y * stride + right * 3])
            .zip(expected.as_raw())
            .map(|(&ours, &theirs)| ours.abs_diff(theirs))
            .max();
        assert_eq!(worst, Some(0), "{}", patch.file);
    }
}

/// The grids that upstream's code tries, whatever their order, give the grids that are chosen here.
#[test]
fn grids_are_upstreams() {
    let fixture = fixture();
    for (max_crops, grids) in [(6, &fixture.grids_6), (9, &fixture.grids_9)] {
        for (columns, rows) in grids {
            // An image of just that shape, and large, so that of grids of one shape the largest is chosen.
            let image = PageImage::new(
                columns * 700,
                rows * 700,
                PixelFormat::Gray8,
                vec![0; (columns * rows * 490_000) as usize],
            );
            let seen = views(&image.unwrap(), Mode::Gundam, max_crops);
            assert_eq!(
                seen.grid.0 * rows,
                seen.grid.1 * columns,
                "{columns} x {rows} of {max_crops}"
            );
            assert_eq!(seen.tiles.len(), (seen.grid.0 * seen.grid.1) as usize);
            let stitched = 10 * seen.grid.1 as usize * (10 * seen.grid.0 as usize + 1);
            assert_eq!(image_tokens(Mode::Gundam, seen.grid), 273 + stitched);
        }
    }
}
