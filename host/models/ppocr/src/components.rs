//! Connected regions of a mask and the smallest rectangle, of any angle, around each.
//!
//! A region is gathered as horizontal runs; the ends of its runs are all its hull needs.

/// A rectangle of any angle: its centre, the unit vector of its first side, and both sides' lengths.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct TiltedRect {
    pub cx: f32,
    pub cy: f32,
    /// Direction of the side `width`.
    pub along: (f32, f32),
    pub width: f32,
    pub height: f32,
}

impl TiltedRect {
    /// The four corners, going round.
    pub fn corners(&self) -> [(f32, f32); 4] {
        let (ax, ay) = (self.along.0 * self.width / 2.0, self.along.1 * self.width / 2.0);
        let (bx, by) = (
            -self.along.1 * self.height / 2.0,
            self.along.0 * self.height / 2.0,
        );
        [(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)]
            .map(|(s, t)| (self.cx + s * ax + t * bx, self.cy + s * ay + t * by))
    }

    /// The rectangle with `by` more on all four sides.
    pub fn grown(self, by: f32) -> Self {
        Self {
            width: self.width + 2.0 * by,
            height: self.height + 2.0 * by,
            ..self
        }
    }
}

/// One horizontal run of set pixels, `x0 ..= x1`.
#[derive(Clone, Copy)]
struct Run {
    y: u32,
    x0: u32,
    x1: u32,
}

/// The extreme points of each 8-connected region of set pixels in a mask of rows of `width`.
pub(crate) fn regions(mask: &[bool], width: usize) -> Vec<Vec<(f32, f32)>> {
    let mut runs: Vec<Run> = Vec::new();
    let mut root: Vec<u32> = Vec::new();
    let mut above = 0..0;
    for (y, row) in mask.chunks_exact(width).enumerate() {
        let first = runs.len();
        let mut x = 0;
        while let Some(start) = row[x..].iter().position(|&set| set).map(|n| x + n) {
            let end = row[start..]
                .iter()
                .position(|&set| !set)
                .map_or(width, |n| start + n);
            let run = Run {
                y: y as u32,
                x0: start as u32,
                x1: end as u32 - 1,
            };
            let index = runs.len() as u32;
            root.push(index);
            for other in above.clone() {
                let upper: Run = runs[other];
                if upper.x0 <= run.x1 + 1 && run.x0 <= upper.x1 + 1 {
                    join(&mut root, other as u32, index);
                }
            }
            runs.push(run);
            x = end;
        }
        above = first..runs.len();
    }
    let mut place = vec![usize::MAX; runs.len()];
    let mut out: Vec<Vec<(f32, f32)>> = Vec::new();
    for (index, run) in runs.iter().enumerate() {
        let of = find(&mut root, index as u32) as usize;
        if place[of] == usize::MAX {
            place[of] = out.len();
            out.push(Vec::new());
        }
        out[place[of]].extend([(run.x0 as f32, run.y as f32), (run.x1 as f32, run.y as f32)]);
    }
    out
}

fn find(root: &mut [u32], mut of: u32) -> u32 {
    while root[of as usize] != of {
        root[of as usize] = root[root[of as usize] as usize];
        of = root[of as usize];
    }
    of
}

fn join(root: &mut [u32], a: u32, b: u32) {
    let (a, b) = (find(root, a), find(root, b));
    root[a.max(b) as usize] = a.min(b);
}

/// The convex hull, going round without repeats (Andrew's monotone chain).
fn hull(points: &mut Vec<(f32, f32)>) -> Vec<(f32, f32)> {
    points.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    points.dedup();
    if points.len() < 3 {
        return points.clone();
    }
    let turn =
        |o: (f32, f32), a: (f32, f32), b: (f32, f32)| (a.0 - o.0) * (b.1 - o.1) - (a.1 - o.1) * (b.0 - o.0);
    let chain = |points: &mut dyn Iterator<Item = (f32, f32)>| {
        let mut side: Vec<(f32, f32)> = Vec::new();
        for p in points {
            while side.len() >= 2 && turn(side[side.len() - 2], side[side.len() - 1], p) <= 0.0 {
                side.pop();
            }
            side.push(p);
        }
        side.pop();
        side
    };
    let mut out = chain(&mut points.iter().copied());
    out.extend(chain(&mut points.iter().rev().copied()));
    out
}

/// The smallest rectangle around the points (one side lies on a side of their hull); `None` for no points.
pub(crate) fn smallest_rectangle(points: &mut Vec<(f32, f32)>) -> Option<TiltedRect> {
    let hull = hull(points);
    let &first = hull.first()?;
    if hull.len() < 2 {
        return Some(TiltedRect {
            cx: first.0,
            cy: first.1,
            along: (1.0, 0.0),
            width: 0.0,
            height: 0.0,
        });
    }
    let mut best: Option<(f32, TiltedRect)> = None;
    for (n, &a) in hull.iter().enumerate() {
        let b = hull[(n + 1) % hull.len()];
        let length = (b.0 - a.0).hypot(b.1 - a.1);
        if length == 0.0 {
            continue;
        }
        let along = ((b.0 - a.0) / length, (b.1 - a.1) / length);
        let (mut u0, mut u1, mut v0, mut v1) = (f32::MAX, f32::MIN, f32::MAX, f32::MIN);
        for &(x, y) in &hull {
            let (u, v) = (x * along.0 + y * along.1, y * along.0 - x * along.1);
            (u0, u1, v0, v1) = (u0.min(u), u1.max(u), v0.min(v), v1.max(v));
        }
        let area = (u1 - u0) * (v1 - v0);
        if best.is_none_or(|(least, _)| area < least) {
            let (u, v) = ((u0 + u1) / 2.0, (v0 + v1) / 2.0);
            let (cx, cy) = (u * along.0 - v * along.1, u * along.1 + v * along.0);
            best = Some((
                area,
                TiltedRect {
                    cx,
                    cy,
                    along,
                    width: u1 - u0,
                    height: v1 - v0,
                },
            ));
        }
    }
    best.map(|(_, rect)| rect)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(rows: &[&str]) -> (Vec<bool>, usize) {
        (
            rows.iter().flat_map(|r| r.bytes().map(|b| b == b'#')).collect(),
            rows[0].len(),
        )
    }

    #[test]
    fn diagonal_neighbours_are_one_region_and_gaps_part() {
        let (m, w) = mask(&["#..#", ".#..", "...#"]);
        assert_eq!(regions(&m, w).len(), 3);
        let (m, w) = mask(&["#.#", "###"]);
        assert_eq!(regions(&m, w).len(), 1, "arms that meet below are one region");
    }

    #[test]
    fn upright_rectangle_is_found() {
        let mut points = vec![(2.0, 1.0), (8.0, 1.0), (8.0, 4.0), (2.0, 4.0), (5.0, 2.0)];
        let r = smallest_rectangle(&mut points).unwrap();
        assert_eq!((r.cx, r.cy), (5.0, 2.5));
        let mut sides = [r.width, r.height];
        sides.sort_by(f32::total_cmp);
        assert_eq!(sides, [3.0, 6.0]);
    }

    #[test]
    fn tilted_rectangle_is_no_larger_than_itself() {
        let truth = TiltedRect {
            cx: 50.0,
            cy: 40.0,
            along: (0.8, 0.6),
            width: 40.0,
            height: 10.0,
        };
        let r = smallest_rectangle(&mut truth.corners().to_vec()).unwrap();
        assert!((r.width * r.height - 400.0).abs() < 0.5, "{r:?}");
        assert!((r.cx - 50.0).abs() < 1e-3 && (r.cy - 40.0).abs() < 1e-3);
    }

    #[test]
    fn a_single_point_and_a_line_have_no_area() {
        assert_eq!(smallest_rectangle(&mut vec![(3.0, 3.0)]).unwrap().width, 0.0);
        let line = smallest_rectangle(&mut vec![(0.0, 0.0), (9.0, 0.0), (4.0, 0.0)]).unwrap();
        assert_eq!(line.width.max(line.height), 9.0);
        assert!(smallest_rectangle(&mut Vec::new()).is_none());
    }
}
