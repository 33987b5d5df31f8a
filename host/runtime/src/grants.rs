//! What plugins may do beyond their own page: capabilities, by name, asked for in manifests and granted by operators.
//!
//! A plugin has a capability where its manifest asks for it and the operator grants it; [`Grants::and`] is that rule, and
//! a session applies it whatever its caller says (`state.rs`). Everything else is answered with `denied`.

use crate::suggest;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// Something that a plugin does not get by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Capability {
    /// The pixels of recognised pages.
    PageRaster,
    /// Copies of pixels inside the plugin.
    ImageRows,
    /// The host's own PDF renderer.
    PdfRender,
    /// Reading regions again on the host's engine.
    OcrRecognize,
}

impl Capability {
    /// All capabilities.
    pub const ALL: [Capability; 4] = [
        Capability::PageRaster,
        Capability::ImageRows,
        Capability::PdfRender,
        Capability::OcrRecognize,
    ];

    /// As manifests, flags, configuration and messages name it.
    pub fn name(self) -> &'static str {
        match self {
            Capability::PageRaster => "page.raster",
            Capability::ImageRows => "image.rows",
            Capability::PdfRender => "pdf.render",
            Capability::OcrRecognize => "ocr.recognize",
        }
    }

    /// What it lets a plugin do, for people who decide about it.
    pub fn meaning(self) -> &'static str {
        match self {
            Capability::PageRaster => "see the pictures of pages",
            Capability::ImageRows => "copy pixels into its own memory",
            Capability::PdfRender => "draw PDFs with the host's own renderer",
            Capability::OcrRecognize => "have the host's engine read regions again",
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Capability {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Capability::ALL.into_iter().find(|c| c.name() == text);
        found.ok_or_else(|| {
            let names = Capability::ALL.map(Capability::name);
            format!(
                "there is no capability {text:?}; {}",
                suggest::among(text, &names)
            )
        })
    }
}

impl Serialize for Capability {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Capability {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A set of capabilities; the default is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Grants {
    /// `page.raster`.
    pub page_raster: bool,
    /// `image.rows`.
    pub image_rows: bool,
    /// `pdf.render`.
    pub pdf_render: bool,
    /// `ocr.recognize`.
    pub ocr_recognize: bool,
}

impl Grants {
    /// Every capability: what the components inside the program are granted, so that they have what they ask for.
    pub const ALL: Grants = Grants {
        page_raster: true,
        image_rows: true,
        pdf_render: true,
        ocr_recognize: true,
    };

    /// Whether `capability` is among them.
    pub fn has(&self, capability: Capability) -> bool {
        match capability {
            Capability::PageRaster => self.page_raster,
            Capability::ImageRows => self.image_rows,
            Capability::PdfRender => self.pdf_render,
            Capability::OcrRecognize => self.ocr_recognize,
        }
    }

    /// Adds one.
    pub fn add(&mut self, capability: Capability) {
        match capability {
            Capability::PageRaster => self.page_raster = true,
            Capability::ImageRows => self.image_rows = true,
            Capability::PdfRender => self.pdf_render = true,
            Capability::OcrRecognize => self.ocr_recognize = true,
        }
    }

    /// Those that both have.
    pub fn and(self, other: Grants) -> Grants {
        self.iter().filter(|&c| other.has(c)).collect()
    }

    /// Those that the other lacks.
    pub fn without(self, other: Grants) -> Grants {
        self.iter().filter(|&c| !other.has(c)).collect()
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self == Grants::default()
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        Capability::ALL.into_iter().filter(move |&c| self.has(c))
    }
}

impl FromIterator<Capability> for Grants {
    fn from_iter<I: IntoIterator<Item = Capability>>(capabilities: I) -> Self {
        let mut grants = Grants::default();
        capabilities.into_iter().for_each(|c| grants.add(c));
        grants
    }
}

impl fmt::Display for Grants {
    /// `page.raster,image.rows`, as a flag takes them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.iter().map(Capability::name).collect();
        f.write_str(&names.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_capabilities_and_wrong_ones_to_a_suggestion() {
        for capability in Capability::ALL {
            assert_eq!(capability.name().parse(), Ok(capability));
        }
        let wrong = "page.rasters".parse::<Capability>().unwrap_err();
        assert_eq!(
            wrong,
            "there is no capability \"page.rasters\"; did you mean `page.raster`?"
        );
        let wild = "network".parse::<Capability>().unwrap_err();
        assert!(
            wild.ends_with("there are page.raster, image.rows, pdf.render, ocr.recognize"),
            "{wild}"
        );
    }

    #[test]
    fn sets_meet() {
        let both = [Capability::PageRaster, Capability::OcrRecognize];
        let grants: Grants = both.into_iter().collect();
        assert_eq!(Grants::ALL.and(grants), grants);
        assert_eq!(grants.and(Grants::default()), Grants::default());
        assert_eq!(Grants::ALL.without(grants).to_string(), "image.rows,pdf.render");
        assert_eq!(grants.to_string(), "page.raster,ocr.recognize");
    }
}
