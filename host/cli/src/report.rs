//! `report.json` and the table of stages.

use crate::workflow::Used;
use ocr_pipeline::DocumentReport;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

/// Stages in the order in which a page passes them; others follow by name.
const STAGES: &[&str] = &[
    "render",
    "orientation",
    "detect",
    "recognize",
    "layout",
    "tables",
    "assemble",
    "preprocess",
    "vision",
    "prefill",
    "decode",
    "format",
];

/// What is in `report.json`.
#[derive(Serialize)]
pub struct RunReport<'a> {
    /// Name and version of this program.
    pub tool: String,
    /// The workflow that ran, if one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow: Option<&'a str>,
    /// For whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<&'a str>,
    /// What the run has used for the tenant, and the bounds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota: Option<BTreeMap<&'static str, Used>>,
    /// Engine and mode.
    pub engine: &'a str,
    /// The code that the program ends with.
    pub exit_code: u8,
    /// Milliseconds from the first flag to the last file.
    pub ms: f64,
    /// Every document, in the order given.
    pub documents: &'a [DocumentReport],
}

impl RunReport<'_> {
    /// Writes it as `report.json`, all at once.
    pub fn write(&self, folder: &Path) -> std::io::Result<()> {
        std::fs::create_dir_all(folder)?;
        let mut builder = tempfile::Builder::new();
        // Readable as other files of the user are; temporary files are private by default.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut file = builder.tempfile_in(folder)?;
        serde_json::to_writer_pretty(&mut file, self)?;
        file.write_all(b"\n")?;
        file.persist(folder.join("report.json"))?;
        Ok(())
    }
}

/// A table of the stages over all pages: calls, total, median and worst a page, milliseconds.
pub fn timings(documents: &[DocumentReport]) -> String {
    let mut stages: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (stage, &ms) in documents
        .iter()
        .flat_map(|d| &d.pages)
        .flat_map(|p| &p.timings_ms)
    {
        stages.entry(stage).or_default().push(ms);
    }
    let rank = |stage: &str| STAGES.iter().position(|s| *s == stage).unwrap_or(STAGES.len());
    let mut rows: Vec<(&str, Vec<f64>)> = stages.into_iter().collect();
    rows.sort_by_key(|(stage, _)| rank(stage));
    let mut table = format!(
        "{:<12} {:>6} {:>11} {:>11} {:>11}\n",
        "stage", "pages", "total ms", "median ms", "worst ms"
    );
    for (stage, mut ms) in rows {
        ms.sort_by(f64::total_cmp);
        let (total, median, worst) = (ms.iter().sum::<f64>(), ms[ms.len() / 2], ms[ms.len() - 1]);
        table += &format!(
            "{stage:<12} {:>6} {total:>11.1} {median:>11.2} {worst:>11.2}\n",
            ms.len()
        );
    }
    let first = documents
        .iter()
        .filter_map(|d| d.first_page_ms)
        .fold(f64::NAN, f64::min);
    table + &format!("first page after {first:.0} ms\n")
}
