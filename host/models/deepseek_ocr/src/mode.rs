//! The ways in which the model sees a page.

use std::str::FromStr;

/// How a page is turned into views (upstream's resolution modes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// One view of 512 x 512, stretched: 64 visual tokens.
    Tiny,
    /// One view of 640 x 640, stretched: 100 visual tokens.
    Small,
    /// One view of 1024 x 1024, padded: 256 visual tokens.
    Base,
    /// One view of 1280 x 1280, padded: 400 visual tokens.
    Large,
    /// A padded view of 1024 x 1024 and up to nine tiles of 640 x 640: 256 + 100 a tile.
    Gundam,
}

impl Mode {
    /// All modes, from the fewest tokens to the most.
    pub const ALL: [Mode; 5] = [Mode::Tiny, Mode::Small, Mode::Base, Mode::Large, Mode::Gundam];

    /// Its name, lower case.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Tiny => "tiny",
            Mode::Small => "small",
            Mode::Base => "base",
            Mode::Large => "large",
            Mode::Gundam => "gundam",
        }
    }

    /// Side of the global view, px.
    pub fn base_px(self) -> u32 {
        match self {
            Mode::Tiny => 512,
            Mode::Small => 640,
            Mode::Base | Mode::Gundam => 1024,
            Mode::Large => 1280,
        }
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Mode::ALL
            .into_iter()
            .find(|mode| mode.name() == text)
            .ok_or_else(|| {
                format!("there is no mode `{text}`; there are tiny, small, base, large and gundam")
            })
    }
}
