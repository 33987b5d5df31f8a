//! A plugin's description of itself: JSON in the component's custom section `ocr-host:manifest`, read without
//! running or compiling anything.

pub mod limits;
pub mod schema;

use crate::grants::{Capability, Grants};
use crate::manifest::limits::WishedLimits;
use crate::manifest::schema::Schema;
use crate::state::{clean, shorten};
use crate::suggest;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Name of the custom section.
pub const SECTION: &str = "ocr-host:manifest";

/// Longest manifest that is read; a config schema of a few hundred keys fits.
const MANIFEST_BYTES: usize = 256 << 10;

/// Longest description that is shown, bytes.
const DESCRIPTION_BYTES: usize = 1000;

/// Longest media type that is shown, bytes (RFC 6838 allows 255).
const MEDIA_TYPE_BYTES: usize = 255;

/// Longest complaint about a manifest, bytes: it may quote what is in it.
const COMPLAINT_BYTES: usize = 500;

/// What a component can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum World {
    /// Turns an input's bytes into pages.
    InputAdapter,
    /// Edits recognised pages.
    PageProcessor,
    /// Turns pages into files.
    OutputFormatter,
}

impl World {
    /// As WIT and messages name it.
    pub fn name(self) -> &'static str {
        match self {
            World::InputAdapter => "input-adapter",
            World::PageProcessor => "page-processor",
            World::OutputFormatter => "output-formatter",
        }
    }

    /// The same in a sentence: `a page-processor`.
    pub fn with_article(self) -> &'static str {
        match self {
            World::InputAdapter => "an input-adapter",
            World::PageProcessor => "a page-processor",
            World::OutputFormatter => "an output-formatter",
        }
    }
}

/// What becomes of a page that a processor fails on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// It goes on as it was.
    #[default]
    Keep,
    /// It goes on empty and failed: for processors that take away what nobody may see.
    Withhold,
}

/// A plugin's description of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Manifest {
    /// Name, as `--to` and messages use it: `markdown-out`.
    pub id: String,
    /// The plugin's own version.
    pub version: String,
    /// What it is.
    pub world: World,
    /// Version of the contract it was built against.
    pub wit: String,
    /// One line for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Further names for `--to`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// What an adapter reads, or a formatter writes (first).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media_types: Vec<String>,
    /// File name extensions without the dot; a formatter's main file gets the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<String>,
    /// Capabilities it asks for: `page.raster`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<Capability>,
    /// What becomes of a page that a processor fails on; `keep` where it says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<OnFailure>,
    /// Limits it wishes for: `memory = "1 GiB"`.
    #[serde(default, skip_serializing_if = "WishedLimits::is_empty")]
    pub limits: WishedLimits,
    /// JSON Schema (2020-12) of its configuration; an object with `properties`. What may stand in it is in [`schema`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Value>,
}

/// Why a component's manifest is unusable.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ManifestError {
    /// Not a component at all.
    #[error("{0}")]
    NotAComponent(&'static str),
    /// No section.
    #[error("the component has no `{SECTION}` section; build it with `ocr-host plugin build`")]
    Missing,
    /// Section longer than it may be.
    #[error("its manifest takes {0} bytes, over the limit of {MANIFEST_BYTES}")]
    TooLong(usize),
    /// Section is no manifest.
    #[error("its manifest is wrong: {0}")]
    Invalid(String),
}

impl Manifest {
    /// Reads the manifest of a component's bytes.
    pub fn read(component: &[u8]) -> Result<Manifest, ManifestError> {
        let section = custom_section(component, SECTION)?.ok_or(ManifestError::Missing)?;
        if section.len() > MANIFEST_BYTES {
            return Err(ManifestError::TooLong(section.len()));
        }
        let mut manifest: Manifest = serde_json::from_slice(section).map_err(|e| invalid(&e.to_string()))?;
        manifest.check()?;
        manifest.tidy();
        Ok(manifest)
    }

    /// Makes text for people fit to be shown to them.
    fn tidy(&mut self) {
        self.description = clean(shorten(&self.description, DESCRIPTION_BYTES));
        for media_type in &mut self.media_types {
            *media_type = clean(shorten(media_type, MEDIA_TYPE_BYTES));
        }
    }

    /// Checks what types alone don't: names that end up in file names and messages.
    pub fn check(&self) -> Result<(), ManifestError> {
        let plain = |s: &str| {
            (1..=64).contains(&s.len())
                && s.bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
                && !s.starts_with('-')
        };
        let wrong = |what: String| Err(invalid(&what));
        if !plain(&self.id) {
            return wrong(format!("id {:?} is not 1 to 64 of a-z, 0-9, - and _", self.id));
        }
        if let Some(bad) = self.aliases.iter().chain(&self.extensions).find(|s| !plain(s)) {
            return wrong(format!("{bad:?} is not 1 to 64 of a-z, 0-9, - and _"));
        }
        // `NAME.files` and `NAME.partial` are folders that the host makes.
        if let Some(kept) = self
            .extensions
            .iter()
            .find(|e| ["files", "partial"].contains(&e.as_str()))
        {
            return wrong(format!(
                "the extension {kept:?} is kept for the host's own folders"
            ));
        }
        if self.version.len() > 64 || self.version.chars().any(char::is_control) {
            return wrong("version is over 64 bytes or has control characters".into());
        }
        if self.world == World::OutputFormatter && self.extensions.is_empty() {
            return wrong("an output formatter needs an extension for its main file".into());
        }
        if self.on_failure.is_some() && self.world != World::PageProcessor {
            return wrong("on-failure is for page processors alone".into());
        }
        match self.schema() {
            Ok(_) => Ok(()),
            Err(why) => wrong(why),
        }
    }

    /// The schema of its configuration, an object that takes the named options and no others.
    fn schema(&self) -> Result<Schema, String> {
        let Some(config) = &self.config else {
            return Ok(Schema::default());
        };
        let schema = Schema::new(config, "config").map_err(|e| e.to_string())?;
        let kind = config.get("type").is_none_or(|kind| kind == "object");
        let closed = config
            .get("additionalProperties")
            .is_none_or(|others| others == false);
        match (kind, closed) {
            (false, _) => {
                Err("config: the options are an object; leave `type` out or make it `object`".into())
            }
            (_, false) => {
                Err("config: the options are those in `properties`; make `additionalProperties` false".into())
            }
            _ => Ok(schema),
        }
    }

    /// The same of a manifest that was checked.
    pub fn options(&self) -> Schema {
        self.schema().unwrap_or_default()
    }

    /// The capabilities it asks for.
    pub fn asks(&self) -> Grants {
        self.capabilities.iter().copied().collect()
    }

    /// What becomes of a page that it fails on, where it is a processor.
    pub fn on_failure(&self) -> OnFailure {
        self.on_failure.unwrap_or_default()
    }

    /// Whether `--to NAME` means this plugin.
    pub fn answers_to(&self, name: &str) -> bool {
        self.id == name || self.aliases.iter().any(|a| a == name)
    }

    /// The properties that its configuration knows.
    pub fn config_properties(&self) -> Option<&Map<String, Value>> {
        self.config.as_ref()?.get("properties")?.as_object()
    }

    /// What its configuration is where the user says nothing.
    pub fn config_defaults(&self) -> Map<String, Value> {
        let mut defaults = Value::Object(Map::new());
        self.options().complete(&mut defaults);
        match defaults {
            Value::Object(defaults) => defaults,
            _ => Map::new(),
        }
    }

    /// The same as the JSON text that a session is opened with.
    pub fn default_config(&self) -> String {
        Value::Object(self.config_defaults()).to_string()
    }

    /// Reads the option `key` from text and checks it against the schema.
    pub fn config_value(&self, key: &str, text: &str) -> Result<Value, String> {
        let options = self.options();
        let schema = self.option(&options, key)?;
        schema
            .read(text)
            .map_err(|mismatch| self.complaint(key, &mismatch))
    }

    /// Checks a value of the option `key` against the schema.
    pub fn check_config_value(&self, key: &str, value: &Value) -> Result<(), String> {
        let options = self.options();
        let schema = self.option(&options, key)?;
        schema
            .fit(value)
            .map_err(|mismatch| self.complaint(key, &mismatch))
    }

    /// Completes a configuration with the defaults and checks that nothing is missing in it.
    pub fn complete_config(&self, config: Map<String, Value>) -> Result<Map<String, Value>, String> {
        let options = self.options();
        let mut config = Value::Object(config);
        options.complete(&mut config);
        let Value::Object(config) = config else {
            return Ok(Map::new());
        };
        match options.required().iter().find(|name| !config.contains_key(*name)) {
            None => Ok(config),
            Some(missing) => {
                let words = options
                    .properties()
                    .get(missing)
                    .map_or("any value".into(), Schema::words);
                Err(format!(
                    "plugin `{id}` needs its option `{missing}`, {words}; give it with --plugin-opt {id}.{missing}=...",
                    id = self.id
                ))
            }
        }
    }

    fn option<'a>(&self, options: &'a Schema, key: &str) -> Result<&'a Schema, String> {
        let known = options.properties();
        known.get(key).ok_or_else(|| match known.is_empty() {
            true => format!("plugin `{}` has no options", self.id),
            false => {
                let names: Vec<&str> = known.keys().map(String::as_str).collect();
                let near = suggest::hint(key, names.iter().copied());
                format!(
                    "plugin `{}` has no option `{key}`; it knows {}{near}",
                    self.id,
                    names.join(", ")
                )
            }
        })
    }

    fn complaint(&self, key: &str, mismatch: &schema::Mismatch) -> String {
        format!("plugin `{}`: option `{key}`: {mismatch}", self.id)
    }
}

/// A complaint that may quote a stranger's words.
fn invalid(why: &str) -> ManifestError {
    ManifestError::Invalid(clean(shorten(why, COMPLAINT_BYTES)))
}

const BROKEN: ManifestError = ManifestError::NotAComponent("its sections are cut off or overlong");

/// The bytes of a component's top-level custom section.
pub(crate) fn custom_section<'a>(component: &'a [u8], name: &str) -> Result<Option<&'a [u8]>, ManifestError> {
    let not = |why| Err(ManifestError::NotAComponent(why));
    match component.get(..8) {
        Some([0, b'a', b's', b'm', 0x0d, 0, 1, 0]) => {}
        Some([0, b'a', b's', b'm', 1, 0, 0, 0]) => {
            return not("it is a core WASM module, not a component; build it with `ocr-host plugin build`");
        }
        Some([0x7f, b'E', b'L', b'F', ..]) => {
            return not("it is native code; ahead-of-time compiled plugins are not accepted, give the .wasm");
        }
        _ => return not("it is no WASM component"),
    }
    let (mut rest, mut found) = (&component[8..], None);
    while let Some((&id, after)) = rest.split_first() {
        let (size, body) = leb128(after).ok_or(BROKEN)?;
        if body.len() < size {
            return Err(BROKEN);
        }
        let (body, next) = body.split_at(size);
        if id == 0 {
            let (length, after) = leb128(body).ok_or(BROKEN)?;
            if after.len() >= length && &after[..length] == name.as_bytes() {
                if found.is_some() {
                    // Whoever looks for the last one would see another plugin than we do.
                    return Err(ManifestError::Invalid(format!("there are two `{name}` sections")));
                }
                found = Some(&after[length..]);
            }
        }
        rest = next;
    }
    Ok(found)
}

/// An unsigned LEB128 number of at most 32 bits and what follows it.
pub(crate) fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0u64;
    for (i, &byte) in bytes.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(value).ok()?, &bytes[i + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: [u8; 8] = [0, b'a', b's', b'm', 0x0d, 0, 1, 0];

    fn with_section(name: &str, body: &str) -> Vec<u8> {
        let mut content = vec![name.len() as u8];
        content.extend_from_slice(name.as_bytes());
        content.extend_from_slice(body.as_bytes());
        let mut bytes = EMPTY.to_vec();
        bytes.push(0);
        bytes.push((content.len() & 0x7f) as u8 | 0x80);
        bytes.push((content.len() >> 7) as u8);
        bytes.extend(content);
        bytes
    }

    const GOOD: &str = r#"{"id":"tidy","version":"1.0.0","world":"output-formatter","wit":"0.1.0",
        "extensions":["txt"],"config":{"properties":{"wrap":{"type":"integer"},"style":{"enum":["a","b"]}}}}"#;

    #[test]
    fn manifest_is_read_from_its_section() {
        let manifest = Manifest::read(&with_section(SECTION, GOOD)).unwrap();
        assert_eq!(
            (manifest.id.as_str(), manifest.world),
            ("tidy", World::OutputFormatter)
        );
    }

    #[test]
    fn what_is_no_component_is_told_apart() {
        let core = Manifest::read(&[0, b'a', b's', b'm', 1, 0, 0, 0])
            .unwrap_err()
            .to_string();
        assert!(core.contains("core WASM module"), "{core}");
        let elf = Manifest::read(b"\x7fELF\x02\x01\x01\x00")
            .unwrap_err()
            .to_string();
        assert!(elf.contains("native code"), "{elf}");
        assert_eq!(Manifest::read(&EMPTY), Err(ManifestError::Missing));
        assert!(Manifest::read(b"hello").is_err());
    }

    #[test]
    fn truncated_and_lying_sections_are_refused() {
        let whole = with_section(SECTION, GOOD);
        for end in 8..whole.len() {
            assert!(Manifest::read(&whole[..end]).is_err(), "cut at {end}");
        }
        let hostile = GOOD.replace("tidy", "../../etc");
        assert!(Manifest::read(&with_section(SECTION, &hostile)).is_err());
    }

    #[test]
    fn capabilities_and_failures_are_known_words() {
        let manifest = |replacement: &str| {
            let text = GOOD.replace(r#""extensions":["txt"]"#, replacement);
            Manifest::read(&with_section(SECTION, &text))
        };
        let asks =
            manifest(r#""extensions":["txt"],"capabilities":["page.raster","ocr.recognize"]"#).unwrap();
        assert_eq!(asks.asks().to_string(), "page.raster,ocr.recognize");
        let wrong = manifest(r#""extensions":["txt"],"capabilities":["page.rastr"]"#).unwrap_err();
        assert!(
            wrong.to_string().contains("did you mean `page.raster`"),
            "{wrong}"
        );
        let misplaced = manifest(r#""extensions":["txt"],"on-failure":"withhold""#).unwrap_err();
        assert!(misplaced.to_string().contains("processors alone"), "{misplaced}");
        let processor = GOOD.replace("output-formatter", "page-processor");
        let silent = Manifest::read(&with_section(SECTION, &processor)).unwrap();
        assert_eq!(silent.on_failure(), OnFailure::Keep);
        let strict = processor.replace(r#""wit""#, r#""on-failure":"withhold","wit""#);
        let strict = Manifest::read(&with_section(SECTION, &strict)).unwrap();
        assert_eq!(strict.on_failure(), OnFailure::Withhold);
    }

    #[test]
    fn options_are_checked_against_the_schema() {
        let manifest = Manifest::read(&with_section(SECTION, GOOD)).unwrap();
        assert_eq!(manifest.config_value("wrap", "80"), Ok(Value::from(80)));
        assert!(
            manifest
                .config_value("wrap", "wide")
                .unwrap_err()
                .contains("it takes a whole number")
        );
        assert!(
            manifest
                .config_value("style", "c")
                .unwrap_err()
                .contains("`a` or `b`")
        );
        assert!(
            manifest
                .config_value("colour", "c")
                .unwrap_err()
                .contains("it knows style, wrap")
        );
        assert!(
            manifest
                .config_value("styel", "a")
                .unwrap_err()
                .ends_with("did you mean `style`?")
        );
        assert!(manifest.check_config_value("wrap", &Value::from(80)).is_ok());
        assert!(manifest.check_config_value("wrap", &Value::from("80")).is_err());
    }

    #[test]
    fn a_schema_that_is_not_enforced_whole_is_refused() {
        let refused = |config: &str| {
            let json = GOOD.replace(
                r#"{"properties":{"wrap":{"type":"integer"},"style":{"enum":["a","b"]}}}"#,
                config,
            );
            Manifest::read(&with_section(SECTION, &json))
                .unwrap_err()
                .to_string()
        };
        let error = refused(r#"{"properties":{"mail":{"type":"string","format":"email"}}}"#);
        assert!(
            error.contains("config.mail: the keyword `format` is not enforced"),
            "{error}"
        );
        assert!(
            refused(r#"{"properties":{"a":{"type":"integer","default":"b"}}}"#)
                .contains("its default does not fit")
        );
        assert!(refused(r#"{"type":"array"}"#).contains("the options are an object"));
        assert!(refused(r#"{"additionalProperties":true}"#).contains("`additionalProperties` false"));
        assert!(refused("[]").contains("a schema is an object"));
    }

    #[test]
    fn required_options_are_asked_for() {
        let json = GOOD.replace(
            r#"{"properties":{"wrap""#,
            r#"{"required":["wrap"],"properties":{"wrap""#,
        );
        let manifest = Manifest::read(&with_section(SECTION, &json)).unwrap();
        let error = manifest.complete_config(Map::new()).unwrap_err();
        assert!(
            error.contains("--plugin-opt tidy.wrap=") && error.contains("a whole number"),
            "{error}"
        );
    }
}
