//! A component as it is written again, with other numbers.

use super::module::Sort;
use super::parts::{Index, Item, Space};
use std::collections::HashMap;
use wasm_encoder as enc;
use wasm_encoder::reencode::{Error as Unwritable, Reencode, ReencodeComponent};

/// Sees what an item refers to, and writes it with other numbers.
#[derive(Default)]
pub(super) struct Renumber {
    pub(super) seen: Vec<Index>,
    /// New numbers; `None` leaves all as they are.
    pub(super) moved: Option<HashMap<Index, u32>>,
    /// What was referred to and has no new number.
    pub(super) missing: Vec<Index>,
}

impl Renumber {
    pub(super) fn number(&mut self, old: Index, new: u32) {
        if let Some(moved) = &mut self.moved {
            moved.insert(old, new);
        }
    }

    pub(super) fn number_of(&self, old: Index) -> Option<u32> {
        self.moved.as_ref().and_then(|moved| moved.get(&old).copied())
    }

    fn refer(&mut self, space: Space, index: u32) -> u32 {
        self.seen.push((space, index));
        if self.moved.is_none() {
            return index;
        }
        self.number_of((space, index)).unwrap_or_else(|| {
            self.missing.push((space, index));
            index
        })
    }
}

impl Reencode for Renumber {
    type Error = String;

    fn function_index(&mut self, index: u32) -> Result<u32, Unwritable<String>> {
        Ok(self.refer(Space::Of(Sort::Function), index))
    }
    fn table_index(&mut self, index: u32) -> Result<u32, Unwritable<String>> {
        Ok(self.refer(Space::Of(Sort::Table), index))
    }
    fn memory_index(&mut self, index: u32) -> Result<u32, Unwritable<String>> {
        Ok(self.refer(Space::Of(Sort::Memory), index))
    }
    fn global_index(&mut self, index: u32) -> Result<u32, Unwritable<String>> {
        Ok(self.refer(Space::Of(Sort::Global), index))
    }
}

impl ReencodeComponent for Renumber {
    fn module_index(&mut self, index: u32) -> u32 {
        self.refer(Space::Module, index)
    }
    fn instance_index(&mut self, index: u32) -> u32 {
        self.refer(Space::Instance, index)
    }
}

/// A component as it is written: entries of one kind share a section.
#[derive(Default)]
pub(super) struct Sections {
    component: enc::Component,
    open: Open,
}

#[derive(Default)]
enum Open {
    #[default]
    Nothing,
    Instances(enc::InstanceSection),
    Aliases(enc::ComponentAliasSection),
    Functions(enc::CanonicalFunctionSection),
}

impl Sections {
    fn close(&mut self) {
        match std::mem::take(&mut self.open) {
            Open::Nothing => {}
            Open::Instances(section) => _ = self.component.section(&section),
            Open::Aliases(section) => _ = self.component.section(&section),
            Open::Functions(section) => _ = self.component.section(&section),
        }
    }

    pub(super) fn instances(&mut self) -> &mut enc::InstanceSection {
        if !matches!(self.open, Open::Instances(_)) {
            self.close();
            self.open = Open::Instances(enc::InstanceSection::new());
        }
        match &mut self.open {
            Open::Instances(section) => section,
            _ => unreachable!("it was opened"),
        }
    }

    pub(super) fn aliases(&mut self) -> &mut enc::ComponentAliasSection {
        if !matches!(self.open, Open::Aliases(_)) {
            self.close();
            self.open = Open::Aliases(enc::ComponentAliasSection::new());
        }
        match &mut self.open {
            Open::Aliases(section) => section,
            _ => unreachable!("it was opened"),
        }
    }

    fn functions(&mut self) -> &mut enc::CanonicalFunctionSection {
        if !matches!(self.open, Open::Functions(_)) {
            self.close();
            self.open = Open::Functions(enc::CanonicalFunctionSection::new());
        }
        match &mut self.open {
            Open::Functions(section) => section,
            _ => unreachable!("it was opened"),
        }
    }

    fn raw(&mut self, id: u8, data: &[u8]) {
        self.close();
        self.component.section(&enc::RawSection { id, data });
    }

    pub(super) fn module(&mut self, module: &[u8]) {
        self.raw(enc::ComponentSectionId::CoreModule.into(), module);
    }

    pub(super) fn item(
        &mut self,
        item: &Item<'_>,
        renumber: &mut Renumber,
    ) -> Result<(), Unwritable<String>> {
        match item {
            Item::Other { id, data } => self.raw(*id, data),
            Item::Module(bytes) => self.module(bytes),
            Item::Nested(bytes) => self.raw(enc::ComponentSectionId::Component.into(), bytes),
            Item::Types(types) => {
                self.close();
                let mut section = enc::ComponentTypeSection::new();
                renumber.parse_component_type_section(&mut section, types.clone())?;
                self.component.section(&section);
            }
            Item::Instance(instance) => renumber.parse_instance(self.instances(), instance.clone())?,
            Item::Alias(alias) => {
                let alias = renumber.component_alias(alias.clone())?;
                self.aliases().alias(alias);
            }
            Item::Canonical(function) => {
                renumber.parse_component_canonical(self.functions(), function.clone())?;
            }
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.close();
        self.component.finish()
    }
}
