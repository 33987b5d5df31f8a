//! Hands pages and sessions to JavaScript in the way that its toolchain can take them.
//!
//! Two handles of the contract are more than componentize-qjs 0.4.5 can do. A page is lent for one call, `borrow<page>`, and has to be
//! given back before the call returns; the toolchain gives borrowed handles back in the call's post-return function, after the
//! host has looked and ended the call in a trap. And `finish` consumes its session; the toolchain takes an owned handle
//! of the component's own resource for that resource's number, and finds nothing by it.
//!
//! So JavaScript is told of other types (`understood`): that it owns the page, which the SDK gives back when the plugin's method is
//! done, and that `finish` takes some foreign resource, which the SDK keeps and never touches: an instance has one session. For the
//! machine code these are the same numbers in the same table. In the finished component the types are set to what the
//! contract says (`as_agreed`), one byte for each place that writes one.

use std::fs;
use std::path::Path;
use wasmparser::{
    ComponentAlias, ComponentDefinedType, ComponentExternalKind, ComponentOuterAliasKind, ComponentType,
    ComponentTypeRef, ComponentValType, Encoding, Parser, Payload,
};

/// What the contract says, and what JavaScript is told instead.
const RETOLD: [(&str, &str); 3] = [
    ("add-page: func(p: borrow<page>)", "add-page: func(p: page)"),
    ("process: func(p: borrow<page>)", "process: func(p: page)"),
    (
        "finish: static func(this: session) -> result<_, plugin-error>;\n  }",
        "finish: static func(this: decoder) -> result<_, plugin-error>;\n  }\n  use image.{decoder};",
    ),
];

/// Parameters by which functions hand over a page, a session for good, and a session for a call.
const PAGE: &str = "p";
const CONSUMED: &str = "this";
const CALLED: &str = "self";

/// How the binary format begins these types; the resource's index follows.
const OWN: u8 = 0x69;
const BORROW: u8 = 0x68;

/// Copies the contract from one folder to another, as JavaScript is told of it.
pub(super) fn understood(contract: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(contract)? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|e| e == "wit") {
            let mut text = fs::read_to_string(entry.path())?;
            for (agreed, told) in RETOLD {
                text = text.replace(agreed, told);
            }
            fs::write(to.join(entry.file_name()), text)?;
        }
    }
    Ok(())
}

/// Sets the types of a component made with `understood` to those of the contract.
pub(super) fn as_agreed(component: &mut [u8]) -> Result<(), String> {
    let places = told(component).map_err(|e| format!("the component can't be read: {e}"))?;
    for (place, before, after) in places {
        match component.get_mut(place) {
            Some(byte) if *byte == before => *byte = after,
            _ => return Err("the component writes a page's or a session's type in an unknown way".into()),
        }
    }
    Ok(())
}

/// A type in a component's index space.
#[derive(Clone, Copy)]
enum Kind {
    /// A resource that is handed over for good; where that is written.
    Own {
        place: usize,
        resource: u32,
    },
    /// A resource that is lent.
    Borrow {
        resource: u32,
    },
    Other,
}

/// The bytes that write the types of these parameters: where, what stands there, what has to.
fn told(component: &[u8]) -> Result<Vec<(usize, u8, u8)>, String> {
    let mut found = Vec::new();
    // One index space for each component that encloses the present place; `None` for a module, which has none.
    let mut scopes: Vec<Option<Scope>> = Vec::new();
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload.map_err(|e| e.to_string())?;
        match &payload {
            Payload::Version { encoding, .. } => {
                scopes.push((*encoding == Encoding::Component).then(Scope::default));
            }
            Payload::End(_) => {
                scopes.pop();
            }
            _ => {
                if let Some(Some(scope)) = scopes.last_mut() {
                    scope.read(payload, &mut found)?;
                }
            }
        }
    }
    Ok(found)
}

/// A component's types so far.
#[derive(Default)]
struct Scope {
    types: Vec<Kind>,
    /// The resource whose methods were written last.
    session: Option<u32>,
}

impl Scope {
    fn read(&mut self, payload: Payload<'_>, found: &mut Vec<(usize, u8, u8)>) -> Result<(), String> {
        let broken = |e: wasmparser::BinaryReaderError| e.to_string();
        // Whatever else brings in a type takes an index.
        let mut others = 0;
        match payload {
            Payload::ComponentTypeSection(section) => {
                for item in section.into_iter_with_offsets() {
                    let (place, item) = item.map_err(broken)?;
                    self.types.push(match &item {
                        ComponentType::Defined(ComponentDefinedType::Own(resource)) => Kind::Own {
                            place,
                            resource: *resource,
                        },
                        ComponentType::Defined(ComponentDefinedType::Borrow(resource)) => {
                            Kind::Borrow { resource: *resource }
                        }
                        _ => Kind::Other,
                    });
                    if let ComponentType::Func(function) = item {
                        for (name, kind) in &function.params {
                            found.extend(self.parameter(name, *kind)?);
                        }
                    }
                }
            }
            Payload::ComponentAliasSection(section) => {
                for alias in section {
                    others += usize::from(match alias.map_err(broken)? {
                        ComponentAlias::InstanceExport { kind, .. } => kind == ComponentExternalKind::Type,
                        ComponentAlias::Outer { kind, .. } => kind == ComponentOuterAliasKind::Type,
                        ComponentAlias::CoreInstanceExport { .. } => false,
                    });
                }
            }
            Payload::ComponentImportSection(section) => {
                for import in section {
                    others += usize::from(matches!(import.map_err(broken)?.ty, ComponentTypeRef::Type(_)));
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section {
                    others += usize::from(export.map_err(broken)?.kind == ComponentExternalKind::Type);
                }
            }
            _ => {}
        }
        self.types.extend(std::iter::repeat_n(Kind::Other, others));
        Ok(())
    }

    /// What has to be changed so that a parameter's type is the contract's.
    fn parameter(&mut self, name: &str, kind: ComponentValType) -> Result<Option<(usize, u8, u8)>, String> {
        let ComponentValType::Type(index) = kind else {
            return Ok(None);
        };
        let kind = self.types.get(index as usize).copied().unwrap_or(Kind::Other);
        Ok(match (name, kind) {
            (CALLED, Kind::Borrow { resource }) => {
                self.session = Some(resource);
                None
            }
            (PAGE, Kind::Own { place, .. }) => Some((place, OWN, BORROW)),
            (CONSUMED, Kind::Own { place, resource }) => {
                // An index below 128 is one byte; a component of this contract has fewer types.
                let short = |index: u32| u8::try_from(index).ok().filter(|byte| *byte < 0x80);
                let session = self.session.and_then(short).zip(short(resource));
                let (session, told) = session.ok_or("a session's type stands where none is looked for")?;
                Some((place + 1, told, session))
            }
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As componentize-qjs makes them: functions in an inner component, behind types of several kinds.
    const TOLD: &str = r#"(component
        (import "host" (instance $host (export "page" (type (sub resource))) (export "decoder" (type (sub resource)))))
        (alias export $host "page" (type $page))
        (component $inner
            (import "page" (type $page (sub resource)))
            (import "decoder" (type $decoder (sub resource)))
            (import "session" (type $session (sub resource)))
            (type $called (borrow $session))
            (type $taken (own $page))
            (type $kept (own $page))
            (type $consumed (own $decoder))
            (type $f (func (param "self" $called) (param "p" $taken) (result $kept)))
            (type $g (func (param "this" $consumed)))
            (import "f" (func (type $f)))
            (import "g" (func (type $g))))
    )"#;

    #[test]
    fn types_become_the_contracts() {
        let told = wat::parse_str(TOLD).unwrap();
        let agreed = TOLD
            .replace("$taken (own", "$taken (borrow")
            .replace("$consumed (own $decoder)", "$consumed (own $session)");
        let mut component = told.clone();
        as_agreed(&mut component).unwrap();
        assert!(component == wat::parse_str(agreed).unwrap() && component != told);
    }

    #[test]
    fn damaged_components_are_refused() {
        let told = wat::parse_str(TOLD).unwrap();
        for end in [0, 9, told.len() / 2, told.len() - 1] {
            assert!(as_agreed(&mut told[..end].to_vec()).is_err(), "cut at {end}");
        }
        let strange = TOLD.replace(r#"(param "self" $called) "#, "");
        assert!(as_agreed(&mut wat::parse_str(strange).unwrap()).is_err());
    }

    #[test]
    fn the_contract_says_what_is_retold() {
        let contract = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit/v0.1.0");
        let text: String = ["formatter.wit", "processor.wit"]
            .map(|name| fs::read_to_string(contract.join(name)).unwrap())
            .concat();
        for (agreed, _) in RETOLD {
            assert_eq!(text.matches(agreed).count(), 1, "{agreed}");
        }
    }
}
