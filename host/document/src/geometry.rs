//! Rectangles, points and transforms, in pixels of a named raster unless a name says otherwise.

use serde::{Deserialize, Serialize};

/// A half-open pixel rectangle: `x0 <= x < x1`, `y0 <= y < y1`; never inverted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rect {
    /// Left edge, px.
    pub x0: u32,
    /// Top edge, px.
    pub y0: u32,
    /// Right edge, px, exclusive.
    pub x1: u32,
    /// Bottom edge, px, exclusive.
    pub y1: u32,
}

impl Rect {
    /// The rectangle between two corners, in either order.
    pub fn new(x0: u32, y0: u32, x1: u32, y1: u32) -> Self {
        Self {
            x0: x0.min(x1),
            y0: y0.min(y1),
            x1: x0.max(x1),
            y1: y0.max(y1),
        }
    }

    /// The smallest pixel rectangle around `points`, cut to `width` x `height`.
    pub fn around(points: &[Point], width: u32, height: u32) -> Self {
        let fold = |f: fn(f32, f32) -> f32, start: f32, get: fn(&Point) -> f32| {
            points.iter().map(get).fold(start, f)
        };
        let cut = |v: f32, max: u32| {
            if v.is_finite() {
                v.clamp(0.0, max as f32) as u32
            } else {
                0
            }
        };
        let (left, top) = (
            fold(f32::min, f32::MAX, |p| p.x),
            fold(f32::min, f32::MAX, |p| p.y),
        );
        let (right, bottom) = (fold(f32::max, 0.0, |p| p.x), fold(f32::max, 0.0, |p| p.y));
        Self::new(
            cut(left.floor(), width),
            cut(top.floor(), height),
            cut(right.ceil(), width),
            cut(bottom.ceil(), height),
        )
    }

    /// Width, px.
    pub fn width(&self) -> u32 {
        self.x1 - self.x0
    }

    /// Height, px.
    pub fn height(&self) -> u32 {
        self.y1 - self.y0
    }

    /// Area, px².
    pub fn area(&self) -> u64 {
        u64::from(self.width()) * u64::from(self.height())
    }

    /// Whether the rectangle holds no pixel.
    pub fn is_empty(&self) -> bool {
        self.area() == 0
    }

    /// The common part, empty where there is none; it lies inside `other` even then.
    pub fn intersect(&self, other: &Rect) -> Rect {
        let (x0, y0) = (
            self.x0.max(other.x0).min(other.x1),
            self.y0.max(other.y0).min(other.y1),
        );
        Rect {
            x0,
            y0,
            x1: self.x1.min(other.x1).max(x0),
            y1: self.y1.min(other.y1).max(y0),
        }
    }

    /// The smallest rectangle around both.
    pub fn union(&self, other: &Rect) -> Rect {
        Rect {
            x0: self.x0.min(other.x0),
            y0: self.y0.min(other.y0),
            x1: self.x1.max(other.x1),
            y1: self.y1.max(other.y1),
        }
    }

    /// Whether the pixel lies inside.
    pub fn contains(&self, x: u32, y: u32) -> bool {
        (self.x0..self.x1).contains(&x) && (self.y0..self.y1).contains(&y)
    }
}

/// A position in pixels; the origin is the raster's top left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Rightwards, px.
    pub x: f32,
    /// Downwards, px.
    pub y: f32,
}

/// Four corners, clockwise from the text's own top left; they carry skew and rotation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Quad {
    /// The text's top left.
    pub a: Point,
    /// Its top right.
    pub b: Point,
    /// Its bottom right.
    pub c: Point,
    /// Its bottom left.
    pub d: Point,
}

impl Quad {
    /// The upright quad of a rectangle.
    pub fn from_rect(r: Rect) -> Self {
        let p = |x: u32, y: u32| Point {
            x: x as f32,
            y: y as f32,
        };
        Self {
            a: p(r.x0, r.y0),
            b: p(r.x1, r.y0),
            c: p(r.x1, r.y1),
            d: p(r.x0, r.y1),
        }
    }

    /// The corners in order.
    pub fn corners(&self) -> [Point; 4] {
        [self.a, self.b, self.c, self.d]
    }

    /// The quad on a raster that is `factor` times as large.
    pub fn scaled(&self, factor: f32) -> Self {
        let p = |p: Point| Point {
            x: p.x * factor,
            y: p.y * factor,
        };
        Self {
            a: p(self.a),
            b: p(self.b),
            c: p(self.c),
            d: p(self.d),
        }
    }

    /// The smallest pixel rectangle around the quad, cut to `width` x `height`.
    pub fn bounds(&self, width: u32, height: u32) -> Rect {
        Rect::around(&self.corners(), width, height)
    }
}

/// An affine map: `x' = a x + c y + e`, `y' = b x + d y + f`, as `[a, b, c, d, e, f]` (the PDF order).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Affine(pub [f64; 6]);

impl Affine {
    /// The map that changes nothing.
    pub const IDENTITY: Affine = Affine([1.0, 0.0, 0.0, 1.0, 0.0, 0.0]);

    /// From pixels of a `width` x `height` raster (origin top left) to points of a page of `width_points` x
    /// `height_points` (origin bottom left).
    pub fn raster_to_points(width: u32, height: u32, width_points: f32, height_points: f32) -> Self {
        let (sx, sy) = (
            f64::from(width_points) / f64::from(width.max(1)),
            f64::from(height_points) / f64::from(height.max(1)),
        );
        Affine([sx, 0.0, 0.0, -sy, 0.0, f64::from(height_points)])
    }

    /// From pixels of a raster that was turned clockwise by `quarters` back to pixels of the raster before, whose
    /// size was `width` x `height`.
    pub fn undo_quarter_turns(quarters: u8, width: u32, height: u32) -> Self {
        let (w, h) = (f64::from(width), f64::from(height));
        match quarters % 4 {
            0 => Self::IDENTITY,
            1 => Affine([0.0, -1.0, 1.0, 0.0, 0.0, h]),
            2 => Affine([-1.0, 0.0, 0.0, -1.0, w, h]),
            _ => Affine([0.0, 1.0, -1.0, 0.0, w, 0.0]),
        }
    }

    /// First `self`, then `next`.
    pub fn then(&self, next: &Affine) -> Affine {
        let ([a, b, c, d, e, f], [p, q, r, s, t, u]) = (self.0, next.0);
        Affine([
            a * p + b * r,
            a * q + b * s,
            c * p + d * r,
            c * q + d * s,
            e * p + f * r + t,
            e * q + f * s + u,
        ])
    }

    /// Where the map sends a point.
    pub fn apply(&self, x: f64, y: f64) -> (f64, f64) {
        let [a, b, c, d, e, f] = self.0;
        (a * x + c * y + e, b * x + d * y + f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_to_an_area_lies_in_it() {
        let area = Rect::new(10, 10, 100, 80);
        assert_eq!(
            Rect::new(0, 20, 50, 200).intersect(&area),
            Rect::new(10, 20, 50, 80)
        );
        for outside in [
            Rect::new(102, 70, 300, 75),
            Rect::new(0, 0, 5, 5),
            Rect::new(20, u32::MAX, 30, u32::MAX),
        ] {
            let cut = outside.intersect(&area);
            assert!(
                cut.is_empty() && cut.intersect(&area) == cut,
                "{outside:?}: {cut:?}"
            );
            assert!(cut.x1 <= 100 && cut.y1 <= 80, "{outside:?}: {cut:?}");
        }
    }

    #[test]
    fn raster_corners_land_on_page_corners() {
        let map = Affine::raster_to_points(1224, 1584, 612.0, 792.0);
        assert_eq!(map.apply(0.0, 0.0), (0.0, 792.0));
        assert_eq!(map.apply(1224.0, 1584.0), (612.0, 0.0));
    }

    #[test]
    fn quarter_turns_are_undone() {
        // A 30 x 20 raster: where its top-left corner lies after a clockwise turn, and back.
        for (quarters, turned) in [
            (0, (0.0, 0.0)),
            (1, (20.0, 0.0)),
            (2, (30.0, 20.0)),
            (3, (0.0, 30.0)),
        ] {
            let map = Affine::undo_quarter_turns(quarters, 30, 20);
            assert_eq!(map.apply(turned.0, turned.1), (0.0, 0.0), "{quarters} quarters");
        }
    }

    #[test]
    fn composition_applies_left_to_right() {
        let turn = Affine::undo_quarter_turns(1, 30, 20);
        let scale = Affine::raster_to_points(30, 20, 60.0, 40.0);
        assert_eq!(turn.then(&scale).apply(20.0, 0.0), (0.0, 40.0));
    }

    #[test]
    fn inverted_corners_are_put_in_order() {
        assert_eq!(
            Rect::new(9, 8, 1, 2),
            Rect {
                x0: 1,
                y0: 2,
                x1: 9,
                y1: 8
            }
        );
    }

    #[test]
    fn bounds_of_a_wild_quad_stay_inside_the_raster() {
        let p = |x, y| Point { x, y };
        let q = Quad {
            a: p(-5.0, f32::NAN),
            b: p(1e9, 3.0),
            c: p(1e9, 50.0),
            d: p(2.0, 50.0),
        };
        assert_eq!(
            q.bounds(100, 40),
            Rect {
                x0: 0,
                y0: 3,
                x1: 100,
                y1: 40
            }
        );
    }
}
