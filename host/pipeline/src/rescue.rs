//! How an adapter is asked to have the host's renderer draw pages on which it dies itself: by its own setting `renderer`,
//! where it has one that knows `pdfium`.
//!
//! An adapter that notices that it can't draw a page falls back by itself. This is for those that notice nothing any
//! more: they ran into a limit, or trapped. It is the setting that counts and not who the adapter is, so anybody's
//! adapter may have it.

use crate::plan::AdapterPlan;
use crate::text_layer::TextLayerMode;
use ocr_document::{Diagnostic, Severity};
use ocr_runtime::Context;
use serde_json::{Map, Value};

/// The setting, the value that leaves it to the adapter, and the one that names the host's renderer.
const RENDERER: &str = "renderer";
const AUTO: &str = "auto";
const PDFIUM: &str = "pdfium";

/// The setting for the words of a page.
const TEXT_LAYER: &str = "text-layer";

/// What an adapter is opened with.
#[derive(Debug)]
pub(crate) struct Config {
    text: String,
    /// The same with the host's renderer, for adapters that have it and were left the choice.
    rescue: Option<String>,
    asks_for_renderer: bool,
}

impl Config {
    pub fn of(adapter: &AdapterPlan, text_layer: TextLayerMode) -> Self {
        let manifest = adapter.plugin.manifest();
        let known = manifest.config_properties();
        let mut config: Map<String, Value> = serde_json::from_str(&adapter.config).unwrap_or_default();
        let value = Value::from(text_layer.wanted_of_adapter());
        if text_layer != TextLayerMode::Ignore && takes(known, TEXT_LAYER, &value) {
            config.insert(TEXT_LAYER.into(), value);
        }
        let text = Value::Object(config.clone()).to_string();
        let is_free = config.get(RENDERER).is_none_or(|chosen| chosen == AUTO);
        let rescue = (is_free && takes(known, RENDERER, &PDFIUM.into())).then(|| {
            config.insert(RENDERER.into(), PDFIUM.into());
            Value::Object(config).to_string()
        });
        Self {
            text,
            rescue,
            asks_for_renderer: manifest.asks().pdf_render,
        }
    }

    /// As the operator wants it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// With the host's renderer, where that is possible.
    pub fn rescue_text(&self) -> &str {
        self.rescue.as_deref().unwrap_or(&self.text)
    }

    /// Whether the host's renderer can be asked for under `context`.
    pub fn has_rescue(&self, context: &Context) -> bool {
        let may = self.asks_for_renderer && context.grants.pdf_render;
        may && context.services.pdf.is_some() && self.rescue.is_some()
    }

    /// The rest of the document is the host's renderer's.
    pub fn rescue_from_now_on(&mut self) {
        if let Some(rescue) = self.rescue.take() {
            self.text = rescue;
        }
    }
}

/// Whether a schema's property `name` is a choice that `value` is among.
fn takes(properties: Option<&Map<String, Value>>, name: &str, value: &Value) -> bool {
    let property = properties.and_then(|p| p.get(name));
    let allowed = property.and_then(|p| p.get("enum")).and_then(Value::as_array);
    allowed.is_some_and(|allowed| allowed.contains(value))
}

/// Says that the host's renderer has drawn a page, or all of them.
pub(crate) fn note(why: &str) -> Diagnostic {
    let message = format!("drawn by the host's renderer (pdfium): {why}");
    Diagnostic::new(Severity::Note, "rendered-by", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_choice_that_has_the_value_takes_it() {
        let schema: Map<String, Value> = serde_json::from_str(
            r#"{"renderer":{"type":"string","enum":["auto","pdfium"]},"text-layer":{"type":"string"}}"#,
        )
        .unwrap();
        assert!(takes(Some(&schema), RENDERER, &PDFIUM.into()));
        assert!(!takes(Some(&schema), RENDERER, &"skia".into()));
        assert!(
            !takes(Some(&schema), TEXT_LAYER, &"all".into()),
            "it names no values"
        );
        assert!(!takes(None, RENDERER, &PDFIUM.into()));
    }
}
