//! RGB pictures of PNG files, decoded in half of the usual time.
//!
//! A page's first token waits for its file, and most of a PNG's decoding is to undo the filters: a byte wants the one of the
//! pixel before, so a row is one long chain of dependent steps. Rows need not wait for each other, though: once a row is a
//! pixel ahead, the next can follow. So four rows are undone together, each a pixel behind the one above, their pixels side by
//! side in a vector; meanwhile another thread inflates the rows to come.
//!
//! Takes 8-bit RGB without transparency, interlacing, animation or orientation, and nothing that is damaged or small: for
//! everything else a general decoder is to be asked, which has the words for what is wrong as well.
#![forbid(unsafe_code)]

use fdeflate::Decompressor;
use ocr_document::{PageImage, PixelFormat};
use std::sync::mpsc::{SyncSender, sync_channel};

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
/// Chunks before the picture that say nothing about its pixels, or nothing that is heeded.
const HARMLESS: [&[u8; 4]; 11] = [
    b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"pHYs", b"hIST", b"tIME", b"tEXt", b"zTXt", b"iTXt",
];
/// Bytes of pixels below which a thread is not worth its start.
const LEAST_BYTES: u64 = 256 << 10;
/// Longest row that is read here, bytes: 43,690 pixels.
const MOST_ROW_BYTES: usize = 128 << 10;
/// Bytes that deflate may refer back to.
const HISTORY: usize = 32 << 10;
/// Bytes that are inflated at a time at least; with their history they stay in a core's cache.
const AT_A_TIME: usize = 128 << 10;
/// Blocks of them that may wait.
const AHEAD: usize = 4;
/// Bytes of a pixel.
const RGB: usize = 3;
/// Rows that are undone together: a register of SSE2 holds as many pixels of four bytes.
const TOGETHER: usize = 4;

/// The picture of a PNG whose pixels take at most `most_bytes`; `None`: it is not of the kind that is read here.
///
/// ```
/// assert!(ocr_png::read(b"GIF89a", 1 << 30).is_none());
/// ```
pub fn read(file: &[u8], most_bytes: u64) -> Option<PageImage> {
    read_unless(file, most_bytes, &|| false)
}

/// The same, unless `is_late` says that nobody waits for it any more; it is asked every few hundred microseconds.
pub fn read_unless(file: &[u8], most_bytes: u64, is_late: &dyn Fn() -> bool) -> Option<PageImage> {
    let mut chunks = Chunks(file.strip_prefix(SIGNATURE)?);
    let (b"IHDR", &[a, b, c, d, e, f, g, h, 8, 2, 0, 0, 0]) = chunks.next()? else {
        return None;
    };
    let (width, height) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
    let bytes = (u64::from(width) * u64::from(height)).checked_mul(RGB as u64)?;
    let row = width as usize * RGB;
    // What is held besides the pixels is some rows; those of a picture that is one line of millions would be too much.
    if !(LEAST_BYTES..=most_bytes).contains(&bytes) || row > MOST_ROW_BYTES {
        return None;
    }
    let data = picture(chunks)?;
    let mut pixels = vec![0; usize::try_from(bytes).ok()?];
    undo(&data, row, &mut pixels, is_late)?;
    PageImage::new(width, height, PixelFormat::Rgb8, pixels).ok()
}

/// What is left of a file: its chunks by name, those that are whole.
struct Chunks<'a>(&'a [u8]);

impl<'a> Iterator for Chunks<'a> {
    type Item = (&'a [u8; 4], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (length, rest) = self.0.split_first_chunk()?;
        let length = u32::from_be_bytes(*length) as usize;
        let named = rest.get(..length.checked_add(4)?)?;
        let (sum, rest) = rest[named.len()..].split_first_chunk()?;
        if crc32fast::hash(named) != u32::from_be_bytes(*sum) {
            return None;
        }
        self.0 = rest;
        named.split_first_chunk()
    }
}

/// The picture's deflated bytes; `None` where something else than [`HARMLESS`] stands before them.
fn picture(mut chunks: Chunks<'_>) -> Option<Vec<u8>> {
    let mut data = Vec::new();
    loop {
        match chunks.next()? {
            (b"IDAT", part) => data.extend_from_slice(part),
            _ if !data.is_empty() => return Some(data),
            (name, _) if HARMLESS.contains(&name) => {}
            _ => return None,
        }
    }
}

/// Inflates `data` and undoes the filters of its rows of `row` bytes.
fn undo(data: &[u8], row: usize, pixels: &mut [u8], is_late: &dyn Fn() -> bool) -> Option<()> {
    let rows = pixels.len() / row;
    std::thread::scope(|scope| {
        let (give, blocks) = sync_channel(AHEAD);
        let work = move || inflate(data, row + 1, rows, &give);
        let thread = std::thread::Builder::new().name("ocr-png".into());
        let thread = thread.spawn_scoped(scope, work).ok()?;
        let mut above = vec![0; row];
        let mut rest = pixels;
        for block in blocks {
            if is_late() {
                return None;
            }
            let (to, left) = rest.split_at_mut(block.len() / (row + 1) * row);
            let lines = block.chunks(TOGETHER * (row + 1));
            for (lines, to) in lines.zip(to.chunks_mut(TOGETHER * row)) {
                undo_rows(lines, &above, to)?;
                above.copy_from_slice(&to[to.len() - row..]);
            }
            rest = left;
        }
        // A panic in there is a file for the general decoder too.
        thread.join().ok()?;
        rest.is_empty().then_some(())
    })
}

/// Inflates `rows` rows of `stride` bytes and gives them away by the block, each of [`TOGETHER`] rows or some times as many, but
/// for the last. Ends early where that can't be done, or nobody wants them.
fn inflate(data: &[u8], stride: usize, rows: usize, give: &SyncSender<Vec<u8>>) -> Option<()> {
    let mut inflater = Decompressor::new();
    // As the general decoder: what is damaged shows in the chunks' own sums.
    inflater.ignore_adler32();
    let mut window = vec![0; HISTORY + AT_A_TIME.max(2 * TOGETHER * stride)];
    // Bytes of `data` that are used, and of `window`: those that are given, and those that are there.
    let (mut used, mut given, mut there) = (0, 0, 0);
    let mut left = rows;
    while left > 0 {
        let (read, written) = inflater.read(&data[used..], &mut window, there, true).ok()?;
        used += read;
        there += written;
        let whole = ((there - given) / stride).min(left);
        let take = match whole == left {
            true => whole,
            false => whole / TOGETHER * TOGETHER,
        };
        if take == 0 {
            return None;
        }
        let block = &window[given..][..take * stride];
        give.send(block.to_vec()).ok()?;
        given += block.len();
        left -= take;
        // What bytes to come refer to goes to the front, with what is not given yet.
        let kept = given.min(there.saturating_sub(HISTORY));
        window.copy_within(kept..there, 0);
        (given, there) = (given - kept, there - kept);
    }
    Some(())
}

/// Undoes the filters of up to [`TOGETHER`] rows, below the row `above`; each line begins with its filter's number. `None`: there
/// is no such filter.
fn undo_rows(lines: &[u8], above: &[u8], to: &mut [u8]) -> Option<()> {
    let (row, stride) = (above.len(), above.len() + 1);
    #[cfg(target_arch = "x86_64")]
    if let Some(filters) = together::filters(lines, stride)
        && row > together::LEAST
        && let Some(sse2) = pulp::core_arch::x86::Sse2::try_new()
    {
        together::undo(sse2, filters, lines, above, to);
        return Some(());
    }
    let mut above = above;
    for (line, to) in lines.chunks_exact(stride).zip(to.chunks_exact_mut(row)) {
        undo_row(line[0], &line[1..], above, to)?;
        above = to;
    }
    Some(())
}

/// Undoes a row's filter; `None`: there is no such filter.
fn undo_row(filter: u8, line: &[u8], above: &[u8], to: &mut [u8]) -> Option<()> {
    match filter {
        0 => to.copy_from_slice(line),
        1 => undo_guess(line, above, to, |left, _, _| left),
        2 => {
            for (to, (byte, up)) in to.iter_mut().zip(line.iter().zip(above)) {
                *to = byte.wrapping_add(*up);
            }
        }
        3 => undo_guess(line, above, to, |left, up, _| {
            ((u16::from(left) + u16::from(up)) / 2) as u8
        }),
        4 => undo_guess(line, above, to, nearest),
        _ => return None,
    }
    Some(())
}

/// Adds to each byte what is guessed of it from those on the left, above, and left above.
#[inline(always)]
fn undo_guess(line: &[u8], above: &[u8], to: &mut [u8], guess: impl Fn(u8, u8, u8) -> u8) {
    let (mut left, mut left_above) = ([0u8; RGB], [0u8; RGB]);
    let pixels = line.as_chunks::<RGB>().0.iter().zip(above.as_chunks::<RGB>().0);
    for (to, (pixel, up)) in to.as_chunks_mut::<RGB>().0.iter_mut().zip(pixels) {
        left = std::array::from_fn(|n| pixel[n].wrapping_add(guess(left[n], up[n], left_above[n])));
        left_above = *up;
        *to = left;
    }
}

/// Which of `left`, `up` and `left_above` is nearest to `left + up - left_above`, of equally near ones the first: the Paeth
/// filter's guess, in bytes alone.
fn nearest(left: u8, up: u8, left_above: u8) -> u8 {
    let (to_left, to_up) = (up.abs_diff(left_above), left.abs_diff(left_above));
    // On the same side of it, both are nearer than it is.
    let to_left_above = match (left < left_above) == (up < left_above) {
        true => u8::MAX,
        false => to_left.abs_diff(to_up),
    };
    if to_left <= to_up && to_left <= to_left_above {
        left
    } else if to_up <= to_left_above {
        up
    } else {
        left_above
    }
}

/// Four rows at a time, in a register of SSE2, which every x86-64 processor has.
#[cfg(target_arch = "x86_64")]
mod together {
    use super::{RGB, TOGETHER};
    use pulp::core_arch::x86::Sse2;
    use std::arch::x86_64::__m128i;

    /// Bytes for each row's pixel; the fourth is its neighbour's, without effect.
    const LANES: usize = 4;
    /// Bytes that a row has to have more of, so that all four are inside at once.
    pub(super) const LEAST: usize = LANES * TOGETHER;

    /// What rows of filters 0, 1, 2 and 4 have left behind.
    struct Rows {
        sse2: Sse2,
        left: __m128i,
        left_above: __m128i,
        /// Lanes of the rows that guess nothing, the pixel on the left, and that above.
        guess_nothing: __m128i,
        guess_left: __m128i,
        guess_up: __m128i,
    }

    /// The filters of four lines, where some of them make chains; no others are worth it, and the mean is not done here.
    pub(super) fn filters(lines: &[u8], stride: usize) -> Option<[u8; TOGETHER]> {
        if lines.len() != TOGETHER * stride {
            return None;
        }
        let filters: [u8; TOGETHER] = std::array::from_fn(|n| lines[n * stride]);
        let are_known = filters.iter().all(|filter| matches!(filter, 0..=2 | 4));
        (are_known && filters.contains(&4)).then_some(filters)
    }

    /// Undoes the filters of four rows. At a step each takes the pixel behind that of the row above it: what is above a pixel
    /// was made one step before.
    pub(super) fn undo(sse2: Sse2, filters: [u8; TOGETHER], lines: &[u8], above: &[u8], to: &mut [u8]) {
        let (row, stride, width) = (above.len(), above.len() + 1, above.len() / RGB);
        let mut rows = Rows::new(sse2, filters);
        let from: [&[u8]; TOGETHER] = std::array::from_fn(|n| &lines[n * stride + 1..][..row]);
        let (first, rest) = to.split_at_mut(row);
        let (second, rest) = rest.split_at_mut(row);
        let (third, fourth) = rest.split_at_mut(row);
        let mut into = [first, second, third, fourth];
        // All rows are inside, and so are four bytes from each one's pixel on.
        let (middle, end) = (TOGETHER - 1, (row - LANES) / RGB + 1);
        for step in 0..middle {
            rows.step_at_edge(step, width, from, above, &mut into);
        }
        for step in middle..end {
            let [a, b, c, d] = [step, step - 1, step - 2, step - 3].map(|pixel| pixel * RGB);
            let pixels = [
                word(from[0], a),
                word(from[1], b),
                word(from[2], c),
                word(from[3], d),
            ];
            let made = rows.step(pixels, word(above, a));
            // What is written behind a pixel is written over in the next steps.
            write(into[0], a, made[0]);
            write(into[1], b, made[1]);
            write(into[2], c, made[2]);
            write(into[3], d, made[3]);
        }
        for step in end..width + TOGETHER - 1 {
            rows.step_at_edge(step, width, from, above, &mut into);
        }
    }

    #[inline(always)]
    fn word(row: &[u8], at: usize) -> i32 {
        i32::from_le_bytes(*row[at..].first_chunk().expect("four bytes lie inside the row"))
    }

    #[inline(always)]
    fn write(row: &mut [u8], at: usize, pixel: i32) {
        row[at..][..LANES].copy_from_slice(&pixel.to_le_bytes());
    }

    /// All bits of the rows' lanes that are named.
    fn lanes(sse2: Sse2, rows: [bool; TOGETHER]) -> __m128i {
        let [a, b, c, d] = rows.map(|is_named| -i32::from(is_named));
        sse2._mm_set_epi32(d, c, b, a)
    }

    impl Rows {
        fn new(sse2: Sse2, filters: [u8; TOGETHER]) -> Self {
            let under = |filter: u8| lanes(sse2, filters.map(|of| of == filter));
            Self {
                sse2,
                left: sse2._mm_setzero_si128(),
                left_above: sse2._mm_setzero_si128(),
                guess_nothing: under(0),
                guess_left: under(1),
                guess_up: under(2),
            }
        }

        /// Makes a pixel of each row; `top` is above the first's.
        #[inline(always)]
        fn step(&mut self, [a, b, c, d]: [i32; TOGETHER], top: i32) -> [i32; TOGETHER] {
            let sse2 = self.sse2;
            let up = sse2._mm_or_si128(sse2._mm_slli_si128::<4>(self.left), sse2._mm_cvtsi32_si128(top));
            // Where left above is as the pixel above, left is the nearest, and where it is as that on the left, up is.
            let left_above = blend(
                sse2,
                self.guess_left,
                up,
                blend(sse2, self.guess_up, self.left, self.left_above),
            );
            let guess = sse2._mm_andnot_si128(self.guess_nothing, nearest(sse2, self.left, up, left_above));
            self.left = sse2._mm_add_epi8(sse2._mm_set_epi32(d, c, b, a), guess);
            self.left_above = up;
            [
                sse2._mm_cvtsi128_si32(self.left),
                sse2._mm_cvtsi128_si32(sse2._mm_shuffle_epi32::<1>(self.left)),
                sse2._mm_cvtsi128_si32(sse2._mm_shuffle_epi32::<2>(self.left)),
                sse2._mm_cvtsi128_si32(sse2._mm_shuffle_epi32::<3>(self.left)),
            ]
        }

        /// The same where some rows have not begun, or have ended.
        fn step_at_edge(
            &mut self,
            step: usize,
            width: usize,
            from: [&[u8]; TOGETHER],
            above: &[u8],
            into: &mut [&mut [u8]; TOGETHER],
        ) {
            let pixel = |row: &[u8], x: usize| {
                let at = x * RGB;
                i32::from_le_bytes([row[at], row[at + 1], row[at + 2], 0])
            };
            let inside: [bool; TOGETHER] = std::array::from_fn(|n| step >= n && step < width + n);
            let pixels = std::array::from_fn(|n| match inside[n] {
                true => pixel(from[n], step - n),
                false => 0,
            });
            let made = self.step(pixels, if inside[0] { pixel(above, step) } else { 0 });
            // Left of a row is nothing.
            self.left = self.sse2._mm_and_si128(lanes(self.sse2, inside), self.left);
            for n in (0..TOGETHER).filter(|&n| inside[n]) {
                into[n][(step - n) * RGB..][..RGB].copy_from_slice(&made[n].to_le_bytes()[..RGB]);
            }
        }
    }

    /// [`nearest`](super::nearest) in each lane.
    #[inline(always)]
    fn nearest(sse2: Sse2, left: __m128i, up: __m128i, left_above: __m128i) -> __m128i {
        let (to_left, to_up) = (apart(sse2, up, left_above), apart(sse2, left, left_above));
        let is_same_side = sse2._mm_cmpeq_epi8(
            is_at_most(sse2, left_above, left),
            is_at_most(sse2, left_above, up),
        );
        let to_left_above = sse2._mm_or_si128(apart(sse2, to_left, to_up), is_same_side);
        let is_left = is_at_most(sse2, to_left, sse2._mm_min_epu8(to_up, to_left_above));
        let is_up = is_at_most(sse2, to_up, to_left_above);
        blend(sse2, is_left, left, blend(sse2, is_up, up, left_above))
    }

    #[inline(always)]
    fn apart(sse2: Sse2, a: __m128i, b: __m128i) -> __m128i {
        sse2._mm_or_si128(sse2._mm_subs_epu8(a, b), sse2._mm_subs_epu8(b, a))
    }

    #[inline(always)]
    fn is_at_most(sse2: Sse2, a: __m128i, b: __m128i) -> __m128i {
        sse2._mm_cmpeq_epi8(sse2._mm_subs_epu8(a, b), sse2._mm_setzero_si128())
    }

    /// `yes` where the bits of `which` are set, `no` elsewhere.
    #[inline(always)]
    fn blend(sse2: Sse2, which: __m128i, yes: __m128i, no: __m128i) -> __m128i {
        sse2._mm_or_si128(sse2._mm_and_si128(which, yes), sse2._mm_andnot_si128(which, no))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::codecs::png::{CompressionType, FilterType, PngEncoder};
    use image::{ExtendedColorType, ImageEncoder};

    const MOST: u64 = 1 << 30;

    /// Text on paper, with a soft picture in its middle.
    fn drawn(width: usize, height: usize) -> Vec<u8> {
        let value = |i: usize| {
            let (x, y, c) = (i / 3 % width, i / 3 / width, i % 3);
            let is_ink = ((x * 7) ^ ((y / 2) * 13)) % 11 < 4 && y % 24 < 12;
            match (y * 3 / height, is_ink) {
                (1, _) => (x * (2 + c) + y * 3 + ((x * y) >> 6)) as u8,
                (_, true) => 20 + 10 * c as u8,
                _ => 250 - 5 * c as u8,
            }
        };
        (0..width * height * 3).map(value).collect()
    }

    fn file(pixels: &[u8], width: usize, how: ExtendedColorType, filter: FilterType) -> Vec<u8> {
        let mut file = Vec::new();
        let height = pixels.len() * 8 / usize::from(how.bits_per_pixel()) / width;
        PngEncoder::new_with_quality(&mut file, CompressionType::Default, filter)
            .write_image(pixels, width as u32, height as u32, how)
            .unwrap();
        file
    }

    fn rgb(width: usize, height: usize, filter: FilterType) -> Vec<u8> {
        file(&drawn(width, height), width, ExtendedColorType::Rgb8, filter)
    }

    /// The file with a chunk behind its header.
    fn with_chunk(file: &[u8], name: &[u8; 4], content: &[u8]) -> Vec<u8> {
        let named = [&name[..], content].concat();
        let length = (content.len() as u32).to_be_bytes();
        let sum = crc32fast::hash(&named).to_be_bytes();
        [&file[..33], &length, &named, &sum, &file[33..]].concat()
    }

    #[test]
    fn a_picture_that_is_one_long_line_is_left_to_others() {
        let wide = |width| read(&rgb(width, 8, FilterType::Sub), u64::MAX).is_some();
        assert!(wide(MOST_ROW_BYTES / RGB) && !wide(MOST_ROW_BYTES / RGB + 1));
    }

    #[test]
    fn every_filter_and_size_is_undone() {
        use FilterType::{Adaptive, Avg, NoFilter, Paeth, Sub, Up};
        // 6 bytes a row are too few for four rows; 40,000 more than are inflated at a time.
        for (width, height) in [(301, 299), (2, 44_000), (5, 18_001), (1241, 130), (40_000, 5)] {
            for filter in [NoFilter, Sub, Up, Avg, Paeth, Adaptive] {
                let got = read(&rgb(width, height, filter), MOST).expect("it is of the kind");
                assert_eq!((got.width() as usize, got.height() as usize), (width, height));
                assert!(
                    got.pixels() == drawn(width, height),
                    "{width} x {height}, {filter:?}"
                );
            }
        }
    }

    #[test]
    fn rows_of_different_filters_go_together() {
        // Each row's filter by its number: all there are, beside all others.
        let (width, height) = (90, 1100);
        let (row, pixels) = (width * 3, drawn(90, 1100));
        let filters: Vec<u8> = (0..height).map(|y| ((y * y / 3 + y) % 5) as u8).collect();
        let mut lines = Vec::new();
        for (y, &filter) in filters.iter().enumerate() {
            lines.push(filter);
            for x in 0..row {
                let at = |dx: usize, dy: usize| match x >= dx && y >= dy {
                    true => pixels[(y - dy) * row + x - dx],
                    false => 0,
                };
                let (left, up, left_above) = (at(3, 0), at(0, 1), at(3, 1));
                let guess = match filter {
                    0 => 0,
                    1 => left,
                    2 => up,
                    3 => ((u16::from(left) + u16::from(up)) / 2) as u8,
                    _ => nearest(left, up, left_above),
                };
                lines.push(at(0, 0).wrapping_sub(guess));
            }
        }
        let mut found = vec![0; pixels.len()];
        undo(&fdeflate::compress_to_vec(&lines), row, &mut found, &|| false).unwrap();
        assert!(found == pixels);
        lines[500 * (row + 1)] = 5;
        assert!(undo(&fdeflate::compress_to_vec(&lines), row, &mut found, &|| false).is_none());
    }

    #[test]
    fn the_nearest_in_bytes_is_the_nearest() {
        for at in 0..1 << 24 {
            let [_, left, up, left_above] = u32::to_be_bytes(at);
            let [a, b, c] = [left, up, left_above].map(i32::from);
            let guess = a + b - c;
            let [to_a, to_b, to_c] = [a, b, c].map(|of| (guess - of).abs());
            let wanted = if to_a <= to_b && to_a <= to_c {
                left
            } else if to_b <= to_c {
                up
            } else {
                left_above
            };
            assert_eq!(nearest(left, up, left_above), wanted, "{a} {b} {c}");
        }
    }

    #[test]
    fn what_says_nothing_of_the_pixels_is_passed_over_and_all_else_declined() {
        let good = rgb(301, 299, FilterType::Adaptive);
        assert!(read(&with_chunk(&good, b"pHYs", &[0; 9]), MOST).is_some());
        for name in [b"tRNS", b"eXIf", b"acTL", b"PLTE"] {
            assert!(
                read(&with_chunk(&good, name, &[0; 6]), MOST).is_none(),
                "{name:?}"
            );
        }
        let grey: Vec<u8> = drawn(301, 299);
        for how in [
            ExtendedColorType::L8,
            ExtendedColorType::La8,
            ExtendedColorType::Rgba8,
        ] {
            let width = 301 * 3 * 8 / usize::from(how.bits_per_pixel());
            let whole = grey.len() / width / 4 * 4 * width;
            assert!(
                read(&file(&grey[..whole], width, how, FilterType::Paeth), MOST).is_none(),
                "{how:?}"
            );
        }
        assert!(
            read(&rgb(200, 200, FilterType::Paeth), MOST).is_none(),
            "it is small"
        );
        assert!(read(&good, 301 * 299 * 3 - 1).is_none(), "its pixels take more");
    }

    #[test]
    fn what_is_damaged_is_declined() {
        let good = rgb(301, 299, FilterType::Adaptive);
        for end in [0, 7, 30, 40, good.len() / 2, good.len() - 13] {
            assert!(read(&good[..end], MOST).is_none(), "cut at {end}");
        }
        // The end chunk is not needed.
        for at in (8..good.len() - 12).step_by(37) {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            assert!(read(&bad, MOST).is_none(), "byte {at}");
        }
    }
}
