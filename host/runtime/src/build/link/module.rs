//! A core module in its parts.

use std::collections::HashMap;
use wasm_encoder as enc;
use wasmparser::{
    Data, DataKind, Element, ElementKind, ExternalKind, FuncType, FunctionBody, Global, Import, KnownCustom,
    MemoryType, Name, Parser, Payload, Table, TypeRef,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Sort {
    Function,
    Table,
    Memory,
    Global,
}

impl Sort {
    pub(super) fn of(kind: ExternalKind) -> Result<Self, String> {
        match kind {
            ExternalKind::Func | ExternalKind::FuncExact => Ok(Self::Function),
            ExternalKind::Table => Ok(Self::Table),
            ExternalKind::Memory => Ok(Self::Memory),
            ExternalKind::Global => Ok(Self::Global),
            ExternalKind::Tag => Err("a module hands over a tag".into()),
        }
    }

    pub(super) fn of_import(ty: TypeRef) -> Result<Self, String> {
        match ty {
            TypeRef::Func(_) | TypeRef::FuncExact(_) => Ok(Self::Function),
            TypeRef::Table(_) => Ok(Self::Table),
            TypeRef::Memory(_) => Ok(Self::Memory),
            TypeRef::Global(_) => Ok(Self::Global),
            TypeRef::Tag(_) => Err("a module imports a tag".into()),
        }
    }

    pub(super) fn kind(self) -> enc::ExportKind {
        match self {
            Self::Function => enc::ExportKind::Func,
            Self::Table => enc::ExportKind::Table,
            Self::Memory => enc::ExportKind::Memory,
            Self::Global => enc::ExportKind::Global,
        }
    }
}

/// Something of a member, in the member's own numbering.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) member: usize,
    pub(super) sort: Sort,
    pub(super) index: u32,
}

/// A core module's parts.
#[derive(Default)]
pub(super) struct Module<'a> {
    pub(super) types: Vec<FuncType>,
    pub(super) imports: Vec<Import<'a>>,
    /// The types of the functions that it defines.
    pub(super) functions: Vec<u32>,
    pub(super) tables: Vec<Table<'a>>,
    pub(super) memories: Vec<MemoryType>,
    pub(super) globals: Vec<Global<'a>>,
    exports: HashMap<&'a str, (Sort, u32)>,
    pub(super) elements: Vec<Element<'a>>,
    pub(super) bodies: Vec<FunctionBody<'a>>,
    pub(super) data: Vec<Data<'a>>,
    pub(super) names: HashMap<u32, &'a str>,
    pub(super) starts: bool,
}

impl<'a> Module<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let mut module = Self::default();
        for payload in Parser::new(0).parse_all(bytes) {
            module.take(payload.map_err(said)?)?;
        }
        Ok(module)
    }

    fn take(&mut self, payload: Payload<'a>) -> Result<(), String> {
        match payload {
            Payload::TypeSection(section) => {
                for ty in section.into_iter_err_on_gc_types() {
                    self.types.push(ty.map_err(said)?);
                }
            }
            Payload::ImportSection(section) => self.imports = all(section.into_imports())?,
            Payload::FunctionSection(section) => self.functions = all(section)?,
            Payload::TableSection(section) => self.tables = all(section)?,
            Payload::MemorySection(section) => self.memories = all(section)?,
            Payload::GlobalSection(section) => self.globals = all(section)?,
            Payload::ElementSection(section) => self.elements = all(section)?,
            Payload::DataSection(section) => self.data = all(section)?,
            Payload::CodeSectionEntry(body) => self.bodies.push(body),
            Payload::StartSection { .. } => self.starts = true,
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export.map_err(said)?;
                    self.exports
                        .insert(export.name, (Sort::of(export.kind)?, export.index));
                }
            }
            Payload::CustomSection(section) => {
                if let KnownCustom::Name(names) = section.as_known() {
                    // Names are for people: what can't be read of them is left out.
                    for name in names.into_iter().map_while(Result::ok) {
                        if let Name::Function(functions) = name {
                            let named = functions.into_iter().map_while(Result::ok);
                            self.names.extend(named.map(|naming| (naming.index, naming.name)));
                        }
                    }
                }
            }
            Payload::Version { .. }
            | Payload::CodeSectionStart { .. }
            | Payload::DataCountSection { .. }
            | Payload::End(_) => {}
            _ => return Err("a module has a section of an unknown kind".into()),
        }
        Ok(())
    }

    /// What it exports under a name.
    pub(super) fn export(&self, name: &str) -> Option<(Sort, u32)> {
        self.exports.get(name).copied()
    }

    /// Nothing but a table and functions that call through it: what others import before they can be given the functions meant.
    pub(super) fn is_shim(&self) -> bool {
        self.imports.is_empty() && self.memories.is_empty() && !self.tables.is_empty()
    }

    /// Whether it writes into a table or a memory when it is instantiated.
    pub(super) fn fills(&self) -> bool {
        let is_active = |e: &Element<'_>| matches!(e.kind, ElementKind::Active { .. });
        self.elements.iter().any(is_active)
            || self
                .data
                .iter()
                .any(|d| matches!(d.kind, DataKind::Active { .. }))
    }

    /// Positions of the imports of a sort.
    pub(super) fn imported(&self, sort: Sort) -> Result<Vec<usize>, String> {
        let mut found = Vec::new();
        for (at, import) in self.imports.iter().enumerate() {
            if Sort::of_import(import.ty)? == sort {
                found.push(at);
            }
        }
        Ok(found)
    }
}

pub(super) fn all<T>(items: impl IntoIterator<Item = wasmparser::Result<T>>) -> Result<Vec<T>, String> {
    items.into_iter().collect::<wasmparser::Result<_>>().map_err(said)
}

pub(super) fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}
