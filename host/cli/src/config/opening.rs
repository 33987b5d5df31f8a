//! What a plugin itself says of its options: it is opened with them, in its sandbox, over no document.
//!
//! A schema says that a pattern is a text; whether it is one that can be searched for, the plugin alone knows.

use ocr_runtime::{
    AdapterSession, Context, DocInfo, FormatterOutput, FormatterSession, Limits, OpenOptions, Places, Plugin,
    PluginFailure, ProcessorSession, Source, World,
};
use std::sync::Arc;

/// The code of what a plugin says of its options.
const OPTIONS: &str = "plugin-config";

/// Why a plugin does not open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It does not take its options.
    Options(String),
    /// It crashed or reached a limit, which may be the document's doing where there is one.
    Stopped(String),
}

/// Opens a plugin with its options, a JSON object that fits its schema, given at some places. What it says of anything but
/// its options is about a document that there is not.
pub fn open(plugin: &Arc<Plugin>, config: &str, limits: &Limits, places: &Places) -> Result<(), Refusal> {
    let context = Context {
        limits: limits.clone(),
        places: places.clone(),
        ..Context::default()
    };
    let document = DocInfo {
        name: "document.pdf".into(),
        media_type: "application/pdf".into(),
        pages: Some(1),
        selected: Some(1),
        ..DocInfo::default()
    };
    let opened = match plugin.world() {
        World::OutputFormatter => {
            let output = FormatterOutput::stream("document", Box::new(std::io::sink()));
            FormatterSession::open(plugin, &context, &document, config, output).map(drop)
        }
        World::PageProcessor => ProcessorSession::open(plugin, &context, &document, config).map(drop),
        World::InputAdapter => {
            let options = OpenOptions {
                config: config.to_owned(),
                password: None,
            };
            let nothing = Source::from_bytes("document", Vec::new());
            AdapterSession::open(plugin, &context, &nothing, &options).map(drop)
        }
    };
    match opened.err().and_then(|failure| refusal(&failure)) {
        Some(refusal) => Err(refusal),
        None => Ok(()),
    }
}

fn refusal(failure: &PluginFailure) -> Option<Refusal> {
    let why = format!("plugin `{}`: {}", failure.plugin, failure.cause);
    match failure.code() {
        OPTIONS => Some(Refusal::Options(why)),
        _ if failure.is_trap_or_limit() => Some(Refusal::Stopped(why)),
        _ => None,
    }
}
