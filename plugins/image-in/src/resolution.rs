//! How large a page is in points, when all that is certain is its pixels.

/// The long side beyond which a stated resolution is not believed: many programs write 72 when they do not know.
const LONGEST_INCHES: f32 = 40.0;
/// A page of unknown size is taken to be no longer than a sheet of letter paper ...
const SHEET_INCHES: f32 = 11.0;
/// ... and no coarser than a screen.
const SCREEN_DPI: f32 = 96.0;
/// Short and long sides of A4 and letter paper, inches.
const SHEETS: [(f32, f32); 2] = [(8.268, 11.693), (8.5, 11.0)];

/// The resolution to use for an image of `width` x `height` px whose file states `stated`:
///
/// 1. the stated one, when it lies in 30 ..= 2400 and makes the page no longer than 40 inches;
/// 2. for an image in the shape of A4 or letter paper (to 1.5 %) and at least 700 px long: the one that makes it
///    such a sheet;
/// 3. otherwise 96, or more where the page would be longer than 11 inches.
pub fn choose(width: u32, height: u32, stated: Option<f32>) -> f32 {
    let (short, long) = (width.min(height).max(1) as f32, width.max(height).max(1) as f32);
    if let Some(dpi) = stated.filter(|dpi| (30.0..=2400.0).contains(dpi) && long / dpi <= LONGEST_INCHES) {
        return dpi;
    }
    let shaped_like = |&&(w, h): &&(f32, f32)| ((long / short) / (h / w) - 1.0).abs() < 0.015;
    match SHEETS.iter().find(shaped_like) {
        Some((_, sheet)) if long >= 700.0 => long / sheet,
        _ => SCREEN_DPI.max(long / SHEET_INCHES),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plausible_statement_is_believed() {
        assert_eq!(choose(2480, 3508, Some(300.0)), 300.0);
        assert_eq!(choose(500, 300, Some(72.0)), 72.0);
    }

    #[test]
    fn paper_is_told_by_its_shape() {
        assert_eq!(choose(2480, 3508, Some(72.0)).round(), 300.0);
        assert_eq!(choose(3300, 2550, None).round(), 300.0);
        assert_eq!(choose(2480, 3508, Some(0.0)).round(), 300.0);
    }

    #[test]
    fn other_images_get_a_page_of_usual_size() {
        assert_eq!(choose(640, 300, None), 96.0);
        assert_eq!(choose(4400, 3300, Some(f32::NAN)), 400.0);
        assert_eq!(choose(0, 0, None), 96.0);
    }
}
