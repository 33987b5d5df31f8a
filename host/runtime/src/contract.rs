//! What a component imports and exports, beside what the contract has: says why one does not fit, and how to mend it.
//!
//! Whether a component fits is decided by wasmtime, which compares types. This module is asked afterwards, and finds
//! words: which interface is of another version, which function is missing, what the manifest says and the component does
//! not do.

use crate::api::WIT_VERSION;
use crate::grants::Capability;
use crate::manifest::World;
use crate::state::{clean, shorten};
use crate::suggest;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

/// The contract's package.
const PACKAGE: &str = "ocr-host:plugin";

/// Problems that are told of; a component that has more needs rebuilding anyway.
const TOLD: usize = 8;

/// Bytes of a name that a message shows.
const NAME_BYTES: usize = 120;

macro_rules! contract {
    ($($name:literal),* $(,)?) => {
        [$((concat!($name, ".wit"), include_str!(concat!("../../../wit/v0.1.0/", $name, ".wit")))),*]
    };
}

/// The contract's text, which also tells which functions it has.
const TEXT: [(&str, &str); 14] = contract![
    "adapter",
    "control",
    "formatter",
    "image",
    "log",
    "ocr",
    "output",
    "page",
    "pdf",
    "processor",
    "source",
    "text-layer",
    "types",
    "worlds",
];

/// Functions of the contract, by interface.
static CONTRACT: LazyLock<BTreeMap<String, BTreeSet<String>>> = LazyLock::new(|| {
    let mut sources = wit_parser::SourceMap::default();
    for (file, text) in TEXT {
        sources.push_str(file, text);
    }
    let Ok(package) = sources.parse() else {
        unreachable!("the bindings are generated from the same text");
    };
    let mut resolve = wit_parser::Resolve::default();
    resolve
        .push_group(package)
        .expect("the bindings are generated from the same text");
    let interfaces = resolve.interfaces.iter().filter_map(|(_, interface)| {
        let functions = interface.functions.keys().cloned().collect();
        Some((interface.name.clone()?, functions))
    });
    interfaces.collect()
});

/// What a component imports or exports under one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// `ocr-host:plugin/page@0.1.0`.
    pub name: String,
    /// Its functions, as components spell them: `[method]page.raster`.
    pub functions: Vec<String>,
}

impl Interface {
    /// Name and version of an interface of the contract.
    fn of_contract(&self) -> Option<(&str, &str)> {
        let rest = self.name.strip_prefix(PACKAGE)?.strip_prefix('/')?;
        Some(rest.split_once('@').unwrap_or((rest, "")))
    }
}

/// What a component imports.
pub(crate) fn imports(engine: &Engine, component: &Component) -> Vec<Interface> {
    let kind = component.component_type();
    kind.imports(engine)
        .map(|(name, item)| interface(engine, name, &item.ty))
        .collect()
}

fn exports(engine: &Engine, component: &Component) -> Vec<Interface> {
    let kind = component.component_type();
    kind.exports(engine)
        .map(|(name, item)| interface(engine, name, &item.ty))
        .collect()
}

fn interface(engine: &Engine, name: &str, item: &ComponentItem) -> Interface {
    let functions = match item {
        ComponentItem::ComponentInstance(instance) => {
            let functions = instance.exports(engine);
            let functions = functions.filter(|(_, item)| matches!(item.ty, ComponentItem::ComponentFunc(_)));
            functions.map(|(name, _)| name.to_owned()).collect()
        }
        _ => Vec::new(),
    };
    Interface {
        name: name.to_owned(),
        functions,
    }
}

/// The capabilities that imports can reach, whether they are granted or not.
pub fn capabilities(imports: &[Interface]) -> Vec<Capability> {
    let asks = |interface: &str, function: &str| {
        imports.iter().any(|import| {
            let named = import.of_contract().is_some_and(|(name, _)| name == interface);
            named
                && import
                    .functions
                    .iter()
                    .any(|f| function.is_empty() || f == function)
        })
    };
    let table = [
        (Capability::PageRaster, "page", "[method]page.raster"),
        (Capability::ImageRows, "image", "[method]image.read-rows"),
        (Capability::PdfRender, "pdf", ""),
        (Capability::OcrRecognize, "ocr", "recognize"),
    ];
    table
        .into_iter()
        .filter(|(_, interface, function)| asks(interface, function))
        .map(|(capability, ..)| capability)
        .collect()
}

/// The breaking line of a version: 0.1 of 0.1.3, 2 of 2.0.1.
pub(crate) fn line(version: &str) -> String {
    let mut parts = version.split('.');
    match (parts.next(), parts.next()) {
        (Some("0"), Some(minor)) => format!("0.{minor}"),
        (Some(major), _) => major.to_owned(),
        (None, _) => String::new(),
    }
}

/// What to do about a plugin of another version.
pub(crate) fn versions(wanted: &str) -> String {
    let (wanted, spoken) = (line(wanted), line(WIT_VERSION));
    format!(
        "it needs {PACKAGE} {}, this host has {spoken}; upgrade ocr-host, or rebuild the plugin with the SDK of \
         {spoken}",
        clean(shorten(&wanted, 40))
    )
}

/// What a component imports and plugins don't get; empty where wasmtime has reasons that only it can tell.
pub(crate) fn unknown_imports(engine: &Engine, component: &Component) -> Vec<String> {
    let found = imports(engine, component);
    found.iter().flat_map(unknown_import).take(TOLD).collect()
}

fn unknown_import(import: &Interface) -> Vec<String> {
    if let Some(why) = unknown_name(import) {
        return vec![why];
    }
    let known = import
        .of_contract()
        .and_then(|(interface, _)| CONTRACT.get(interface));
    let missing = import
        .functions
        .iter()
        .filter(|f| known.is_some_and(|known| !known.contains(*f)));
    let missing = missing.map(|function| {
        format!(
            "it imports the function `{}` of `{}`, which this host lacks; upgrade ocr-host, or rebuild the plugin with \
             the SDK of {WIT_VERSION}",
            clean(shorten(function, NAME_BYTES)),
            clean(shorten(&import.name, NAME_BYTES))
        )
    });
    missing.collect()
}

/// Why there is nothing by this name for plugins. Interfaces of the contract are named like its files.
pub(crate) fn unknown_name(import: &Interface) -> Option<String> {
    let name = clean(shorten(&import.name, NAME_BYTES));
    if let Some((interface, version)) = import.of_contract() {
        if line(version) != line(WIT_VERSION) {
            return Some(format!("it imports `{name}`: {}", versions(version)));
        }
        let known = TEXT
            .iter()
            .filter_map(|(file, _)| file.strip_suffix(".wit"))
            .filter(|name| *name != "worlds");
        let known: Vec<&str> = known.collect();
        return (!known.contains(&interface)).then(|| {
            let near = suggest::hint(interface, known);
            format!(
                "it imports `{name}`, an interface that this host does not have{near}; where a later version has it, \
                 upgrade ocr-host"
            )
        });
    }
    if REFUSED.iter().any(|refused| import.name.starts_with(refused)) {
        return Some(format!(
            "it imports `{name}`, which plugins don't get: they have no network; {WITHOUT_WASI}"
        ));
    }
    match import.name.strip_prefix("wasi:") {
        Some(wasi) if is_known_wasi(wasi) => None,
        Some(_) => Some(format!(
            "it imports `{name}`; of WASI, plugins find version 0.2 and nothing in it; {WITHOUT_WASI}"
        )),
        None => Some(format!(
            "it imports `{name}`, which plugins don't get: they have {PACKAGE} and nothing else; leave out the \
             dependency that asks for it"
        )),
    }
}

/// How a plugin is built so that it does not ask for what it does not get.
const WITHOUT_WASI: &str =
    "build it without: Rust for wasm32-unknown-unknown, Python and JavaScript with `ocr-host plugin build`";

/// What reaches outside is refused; the rest of WASI is there and empty (`wasi.rs`).
const REFUSED: [&str; 2] = ["wasi:sockets/", "wasi:http/"];

fn is_known_wasi(rest: &str) -> bool {
    let packages = ["cli/", "clocks/", "filesystem/", "io/", "random/"];
    rest.contains("@0.2.") && packages.iter().any(|package| rest.starts_with(package))
}

/// What a component of `world` has to export.
fn export_of(world: World) -> &'static str {
    match world {
        World::InputAdapter => "adapter",
        World::PageProcessor => "processor",
        World::OutputFormatter => "formatter",
    }
}

/// Why a component does not export what `world` does; `None` where the name is there and only its types differ.
pub(crate) fn wrong_exports(engine: &Engine, component: &Component, world: World) -> Option<String> {
    let found = exports(engine, component);
    let wanted = export_of(world);
    let says = format!("its manifest says {}", world.name());
    let ours: Vec<(&str, &str)> = found.iter().filter_map(Interface::of_contract).collect();
    if let Some((_, version)) = ours.iter().find(|(name, _)| *name == wanted) {
        return match line(version) == line(WIT_VERSION) {
            true => None,
            false => Some(versions(version)),
        };
    }
    let worlds = [World::InputAdapter, World::PageProcessor, World::OutputFormatter];
    let other = worlds
        .into_iter()
        .find(|&w| ours.iter().any(|(name, _)| *name == export_of(w)));
    Some(match other {
        Some(other) => format!(
            "{says}, but it exports what {} does; make it `world = \"{}\"`, or export {}",
            other.with_article(),
            other.name(),
            if wanted == "adapter" {
                "an adapter".to_owned()
            } else {
                format!("a {wanted}")
            }
        ),
        None => format!(
            "{says}, but it exports no `{PACKAGE}/{wanted}@{WIT_VERSION}`; export it with the SDK, in Rust by \
             `ocr_plugin::export_{wanted}!`"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn import(name: &str, functions: &[&str]) -> Interface {
        Interface {
            name: name.to_owned(),
            functions: functions.iter().map(|f| (*f).to_owned()).collect(),
        }
    }

    fn said(name: &str, functions: &[&str]) -> String {
        unknown_import(&import(name, functions)).join("; ")
    }

    #[test]
    fn unknown_imports_are_named_with_the_remedy() {
        assert_eq!(said("ocr-host:plugin/page@0.1.0", &["[method]page.text"]), "");
        assert_eq!(
            said("wasi:io/streams@0.2.6", &["[method]output-stream.write"]),
            ""
        );
        for (name, functions, words) in [
            (
                "ocr-host:plugin/page@0.2.0",
                vec![],
                "it needs ocr-host:plugin 0.2, this host has 0.1; upgrade ocr-host, or rebuild",
            ),
            ("ocr-host:plugin/pages@0.1.0", vec![], "did you mean `page`?"),
            (
                "ocr-host:plugin/page@0.1.0",
                vec!["[method]page.shine"],
                "the function `[method]page.shine`",
            ),
            ("wasi:http/outgoing-handler@0.2.0", vec![], "they have no network"),
            ("wasi:io/streams@0.3.0", vec![], "version 0.2"),
            ("wasi:keyvalue/store@0.2.0", vec![], "nothing in it"),
            ("env", vec![], "leave out the dependency"),
        ] {
            let said = said(name, &functions);
            assert!(said.contains(words), "{name}: {said}");
        }
    }

    #[test]
    fn capabilities_follow_from_imports() {
        let asks = |imports: &[Interface]| capabilities(imports);
        assert!(asks(&[import("ocr-host:plugin/page@0.1.0", &["[method]page.text"])]).is_empty());
        assert_eq!(
            asks(&[
                import("ocr-host:plugin/page@0.1.0", &["[method]page.raster"]),
                import("ocr-host:plugin/pdf@0.1.0", &["[static]document.open"]),
            ]),
            [Capability::PageRaster, Capability::PdfRender]
        );
        // The table names functions that the contract has.
        for (interface, function) in [
            ("page", "[method]page.raster"),
            ("image", "[method]image.read-rows"),
            ("ocr", "recognize"),
        ] {
            assert!(CONTRACT[interface].contains(function), "{function}");
        }
    }

    #[test]
    fn versions_break_in_lines() {
        assert_eq!(
            (line("0.1.3"), line("0.2.0"), line("1.4.2")),
            ("0.1".into(), "0.2".into(), "1".into())
        );
    }
}
