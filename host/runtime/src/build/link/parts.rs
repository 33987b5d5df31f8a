//! A component in its entries, and which of them are modules' instances that can be merged.

use super::module::{Module, Sort};
use super::sections::{Renumber, Sections};
use super::{Linked, linked, take};
use std::collections::{HashMap, HashSet};
use wasm_encoder::reencode::Error as Unwritable;
use wasmparser::{
    CanonicalFunction, ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind,
    ComponentType, ComponentTypeRef, ComponentTypeSectionReader, Instance, Parser, Payload,
};

/// The index spaces that linking moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Space {
    Of(Sort),
    Module,
    Instance,
}

pub(super) type Index = (Space, u32);

/// One entry of a component's sections.
pub(super) enum Item<'a> {
    /// A section that neither refers to what moves nor is referred to by it.
    Other {
        id: u8,
        data: &'a [u8],
    },
    /// Types of which one has a destructor, which is a core function.
    Types(ComponentTypeSectionReader<'a>),
    Nested(Vec<u8>),
    Module(&'a [u8]),
    Instance(Instance<'a>),
    Alias(ComponentAlias<'a>),
    Canonical(CanonicalFunction),
}

#[derive(Default)]
pub(super) struct Parts<'a> {
    pub(super) items: Vec<Item<'a>>,
    /// What each item refers to.
    uses: Vec<Vec<Index>>,
    /// Which item makes a thing.
    pub(super) made_by: HashMap<Index, usize>,
    /// How many there are of each.
    counts: HashMap<Space, u32>,
    pub(super) nested_changed: bool,
}

impl<'a> Parts<'a> {
    pub(super) fn read(component: &'a [u8]) -> Result<Self, String> {
        let mut parts = Self::default();
        // How many modules and components are around what is read.
        let mut depth = 0;
        for payload in Parser::new(0).parse_all(component) {
            let payload = payload.map_err(|e| e.to_string())?;
            match &payload {
                Payload::ModuleSection { unchecked_range, .. } => {
                    if depth == 0 {
                        parts.push(Item::Module(&component[unchecked_range.clone()]))?;
                    }
                    depth += 1;
                }
                Payload::ComponentSection { unchecked_range, .. } => {
                    if depth == 0 {
                        parts.nested(&component[unchecked_range.clone()])?;
                    }
                    depth += 1;
                }
                Payload::End(_) if depth > 0 => depth -= 1,
                _ if depth == 0 => parts.section(component, payload)?,
                _ => {}
            }
        }
        Ok(parts)
    }

    fn nested(&mut self, component: &[u8]) -> Result<(), String> {
        // It may take a module of this one by its number, from any depth.
        for payload in Parser::new(0).parse_all(component) {
            if let Payload::ComponentAliasSection(aliases) = payload.map_err(|e| e.to_string())? {
                for alias in aliases {
                    let alias = alias.map_err(|e| e.to_string())?;
                    if let ComponentAlias::Outer {
                        kind: ComponentOuterAliasKind::CoreModule,
                        ..
                    } = alias
                    {
                        return Err("a component inside has a module from elsewhere".into());
                    }
                }
            }
        }
        let linked = linked(component.to_vec());
        self.nested_changed |= linked != component;
        self.push(Item::Nested(linked))
    }

    fn section(&mut self, component: &'a [u8], payload: Payload<'a>) -> Result<(), String> {
        let section = payload.as_section();
        let said = |e: wasmparser::Error| e.to_string();
        match payload {
            Payload::InstanceSection(instances) => {
                for instance in instances {
                    self.push(Item::Instance(instance.map_err(said)?))?;
                }
                return Ok(());
            }
            Payload::ComponentAliasSection(aliases) => {
                for alias in aliases {
                    self.push(Item::Alias(alias.map_err(said)?))?;
                }
                return Ok(());
            }
            Payload::ComponentCanonicalSection(functions) => {
                for function in functions {
                    self.push(Item::Canonical(function.map_err(said)?))?;
                }
                return Ok(());
            }
            Payload::ComponentTypeSection(types) => {
                for ty in types.clone() {
                    if let ComponentType::Resource { dtor: Some(_), .. } = ty.map_err(said)? {
                        return self.push(Item::Types(types));
                    }
                }
            }
            // Modules that come or go by another way than by their numbers.
            Payload::ComponentImportSection(imports) => {
                for import in imports {
                    if let ComponentTypeRef::Module(_) = import.map_err(said)?.ty {
                        return Err("it imports a module".into());
                    }
                }
            }
            Payload::ComponentExportSection(exports) => {
                for export in exports {
                    if export.map_err(said)?.kind == ComponentExternalKind::Module {
                        return Err("it exports a module".into());
                    }
                }
            }
            Payload::ComponentInstanceSection(instances) => {
                for instance in instances {
                    let hands_over = match instance.map_err(said)? {
                        ComponentInstance::Instantiate { args, .. } => {
                            args.iter().any(|a| a.kind == ComponentExternalKind::Module)
                        }
                        ComponentInstance::FromExports(exports) => {
                            exports.iter().any(|e| e.kind == ComponentExternalKind::Module)
                        }
                    };
                    if hands_over {
                        return Err("it hands a module over".into());
                    }
                }
            }
            // It names things by numbers that do not hold any more.
            Payload::CustomSection(section) if section.name() == "component-name" => return Ok(()),
            _ => {}
        }
        if let Some((id, range)) = section {
            self.push(Item::Other {
                id,
                data: &component[range],
            })?;
        }
        Ok(())
    }

    fn push(&mut self, item: Item<'a>) -> Result<(), String> {
        let at = self.items.len();
        let mut seen = Renumber::default();
        if let Item::Types(_) | Item::Instance(_) | Item::Alias(_) | Item::Canonical(_) = &item {
            let written = Sections::default().item(&item, &mut seen);
            written.map_err(|e| e.to_string())?;
        }
        self.uses.push(seen.seen);
        let makes = match &item {
            Item::Module(_) => Some(Space::Module),
            Item::Instance(_) => Some(Space::Instance),
            Item::Alias(ComponentAlias::CoreInstanceExport { kind, .. }) => Some(Space::Of(Sort::of(*kind)?)),
            Item::Alias(ComponentAlias::Outer {
                kind: ComponentOuterAliasKind::CoreModule,
                ..
            })
            | Item::Alias(ComponentAlias::InstanceExport {
                kind: ComponentExternalKind::Module,
                ..
            }) => return Err("it has a module from elsewhere".into()),
            Item::Canonical(CanonicalFunction::Lift { .. }) => None,
            Item::Canonical(_) => Some(Space::Of(Sort::Function)),
            Item::Alias(_) | Item::Types(_) | Item::Nested(_) | Item::Other { .. } => None,
        };
        if let Some(space) = makes {
            let count = self.counts.entry(space).or_default();
            self.made_by.insert((space, *count), at);
            *count += 1;
        }
        self.items.push(item);
        Ok(())
    }

    pub(super) fn makers(&self, item: usize) -> impl Iterator<Item = usize> {
        self.uses[item]
            .iter()
            .filter_map(|index| self.made_by.get(index).copied())
    }

    pub(super) fn maker(&self, index: Index) -> Result<&Item<'a>, String> {
        let item = self
            .made_by
            .get(&index)
            .ok_or("it refers to what it does not have")?;
        Ok(&self.items[*item])
    }

    pub(super) fn module(&self, index: u32) -> Result<&'a [u8], String> {
        match self.maker((Space::Module, index))? {
            Item::Module(bytes) => Ok(bytes),
            _ => Err("a module is none".into()),
        }
    }

    /// The items that instantiate modules which can be merged: all that don't need what the component makes of one of them.
    pub(super) fn members(&self) -> Vec<usize> {
        let mut members = Vec::new();
        // Items that need a member, and those of them that are more than its exports in another order.
        let (mut behind, mut beyond) = (HashSet::new(), HashSet::new());
        for (at, item) in self.items.iter().enumerate() {
            let needs_beyond = self.makers(at).any(|maker| beyond.contains(&maker));
            let needs = self
                .makers(at)
                .any(|maker| behind.contains(&maker) || members.contains(&maker));
            let is_member = match item {
                Item::Instance(Instance::Instantiate { module_index, .. }) if !needs_beyond => self
                    .module(*module_index)
                    .and_then(Module::read)
                    .is_ok_and(|module| !module.is_shim()),
                _ => false,
            };
            match item {
                _ if is_member => members.push(at),
                Item::Instance(Instance::FromExports(_)) | Item::Alias(_) if needs && !needs_beyond => {
                    behind.insert(at);
                }
                _ if needs => {
                    behind.insert(at);
                    beyond.insert(at);
                }
                _ => {}
            }
        }
        members
    }

    /// Writes the component, with its modules linked where that is wished.
    pub(super) fn write(&mut self, linked: Option<Linked>) -> Result<Vec<u8>, String> {
        let mut sections = Sections::default();
        let mut renumber = Renumber {
            moved: linked.is_some().then(HashMap::new),
            ..Renumber::default()
        };
        let mut made = HashMap::new();
        let said = |e: Unwritable<String>| e.to_string();
        let Some(linked) = linked else {
            for item in &self.items {
                sections.item(item, &mut renumber).map_err(said)?;
            }
            return Ok(sections.finish());
        };
        // An item's old numbers, to be told what its new one is.
        let old: HashMap<usize, Index> = self.made_by.iter().map(|(index, item)| (*item, *index)).collect();
        let last = linked.members[linked.members.len() - 1];
        let mut order: Vec<usize> = (0..last).filter(|at| !linked.behind.contains(at)).collect();
        let place = order.len();
        order.extend((0..last).filter(|at| linked.behind.contains(at)));
        order.extend(last + 1..self.items.len());
        for (position, at) in order.into_iter().enumerate() {
            if position == place {
                linked.instantiate(&mut sections, &mut made, &mut renumber)?;
            }
            if linked.live[at] {
                linked.item(self, at, &mut sections, &mut made, &mut renumber)?;
                if let Some(index) = old.get(&at) {
                    renumber.number(*index, take(&mut made, index.0));
                }
            }
        }
        Ok(sections.finish())
    }
}
