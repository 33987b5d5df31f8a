//! Whether a component is what its manifest says: its imports and exports, read without running it.

use crate::manifest::World;
use wit_component::DecodedWasm;

/// The package whose interfaces a plugin speaks.
const PACKAGE: &str = "ocr-host:plugin/";

impl World {
    /// The interface that a plugin of this world exports.
    fn export(self) -> &'static str {
        match self {
            World::InputAdapter => "adapter",
            World::PageProcessor => "processor",
            World::OutputFormatter => "formatter",
        }
    }
}

/// Checks that a component exports what `world` asks for. What else it exports is its toolchain's own.
pub(super) fn check(component: &[u8], world: World) -> Result<(), String> {
    let decoded =
        wit_component::decode(component).map_err(|e| format!("the component can't be read: {e:#}"))?;
    let DecodedWasm::Component(resolve, id) = decoded else {
        return Err("it is a WIT package, not a component".into());
    };
    let exports: Vec<String> = resolve.worlds[id]
        .exports
        .keys()
        .map(|key| resolve.name_world_key(key))
        .collect();
    let wanted = format!("{PACKAGE}{}@{}", world.export(), crate::WIT_VERSION);
    if exports.contains(&wanted) {
        return Ok(());
    }
    let other = [World::InputAdapter, World::PageProcessor, World::OutputFormatter]
        .into_iter()
        .find(|other| {
            exports
                .iter()
                .any(|e| e.starts_with(&format!("{PACKAGE}{}@", other.export())))
        });
    Err(match other {
        Some(other) if other != world => format!(
            "its metadata says `world = \"{}\"`, but what it exports makes it an `{}`; change the one or the other",
            world.name(),
            other.name()
        ),
        Some(_) => format!("it exports another version of {wanted}; take this program's own SDK"),
        None => format!(
            "it does not export `{wanted}`; export the plugin (`ocr_plugin::export_{}!` in Rust, `@export` in Python, \
             `export default` in JavaScript)",
            world.export()
        ),
    })
}
