//! Links the core modules of a component into one.
//!
//! Interpreters come as a dozen of modules, libraries that find each other when they are instantiated: componentize-py 0.25 makes
//! 36 instances and fills a table with some 5,900 functions each time, and those are a third of what a fresh instance of a Python
//! plugin costs. What they will find is known beforehand. As one module, calls are calls, addresses that were looked up in globals
//! are constants, the table is filled where it is used, and what nothing calls is left out.
//!
//! Only modules that need nothing of the component's own are merged: what has to be lowered first (functions of the host that use the
//! module's memory, and the table that they are put into) stays beside it. A component that is made in any other way stays as it is.

mod merge;
mod module;
mod parts;
mod sections;
#[cfg(test)]
mod tests;

use merge::{Given, Member, Merged, OUTSIDE};
use module::{Module, Place, Sort};
use parts::{Index, Item, Parts, Space};
use sections::{Renumber, Sections};
use std::collections::{BTreeSet, HashMap, HashSet};
use wasm_encoder as enc;
use wasm_encoder::reencode::{Error as Unwritable, Reencode, ReencodeComponent};
use wasmparser::{CanonicalFunction, ComponentAlias, Instance, TypeRef, Validator};

/// The component with its modules linked, or as it was; nested ones as well.
pub(super) fn linked(component: Vec<u8>) -> Vec<u8> {
    // What is not valid before can't be reasoned about; what is not valid afterwards would be of no use to anybody.
    let is_valid = |component: &[u8]| Validator::new().validate_all(component).is_ok();
    if !is_valid(&component) {
        return component;
    }
    match link(&component) {
        Ok(Some(linked)) if is_valid(&linked) => linked,
        _ => component,
    }
}

/// `None` where there is nothing to link; why not where it can't be done.
fn link(component: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let mut parts = Parts::read(component)?;
    let members = match parts.members() {
        members if members.len() < 2 => Vec::new(),
        members => members,
    };
    match (members.is_empty(), parts.nested_changed) {
        (true, false) => Ok(None),
        (true, true) => parts.write(None).map(Some),
        (false, _) => match Linked::new(&parts, members) {
            Ok(linked) => parts.write(Some(linked)).map(Some),
            Err(_) if parts.nested_changed => parts.write(None).map(Some),
            Err(why) => Err(why),
        },
    }
}

/// The next number of a space.
fn take(made: &mut HashMap<Space, u32>, space: Space) -> u32 {
    let next = made.entry(space).or_default();
    *next += 1;
    *next - 1
}

/// What is to be written instead of the members.
struct Linked {
    merged: Merged,
    /// The items that made the members, in order.
    members: Vec<usize>,
    /// The members' numbers as instances.
    instances: HashMap<u32, usize>,
    /// What the merged module exports a thing as.
    names: HashMap<Place, String>,
    /// Items that need a member: they go behind the merged module.
    behind: HashSet<usize>,
    /// Items that are still needed.
    live: Vec<bool>,
    /// For an item that instantiates a module with members: what it imports of them.
    direct: HashMap<usize, Vec<Direct>>,
}

/// An argument of an instance that is a member, and what is imported of it.
struct Direct {
    argument: String,
    places: Vec<(String, Place)>,
}

impl Linked {
    fn new(parts: &Parts<'_>, items: Vec<usize>) -> Result<Self, String> {
        let old: HashMap<usize, Index> = parts
            .made_by
            .iter()
            .map(|(index, item)| (*item, *index))
            .collect();
        let instances: HashMap<u32, usize> = items.iter().enumerate().map(|(n, at)| (old[at].1, n)).collect();
        let mut members = Vec::new();
        for at in &items {
            let Item::Instance(Instance::Instantiate { module_index, args }) = &parts.items[*at] else {
                return Err("an instance is none".into());
            };
            let module = Module::read(parts.module(*module_index)?)?;
            let mut given = Vec::new();
            for import in &module.imports {
                let argument = args.iter().find(|a| a.name == import.module);
                let argument =
                    argument.ok_or_else(|| format!("no `{}` is given to a module", import.module))?;
                given.push(resolve(parts, &instances, &members, argument.index, import.name)?);
            }
            members.push(Member { module, given });
        }

        let mut linked = Self {
            merged: Merged {
                module: Vec::new(),
                imports: Vec::new(),
            },
            behind: HashSet::new(),
            live: vec![false; parts.items.len()],
            names: HashMap::new(),
            direct: HashMap::new(),
            members: items,
            instances,
        };
        linked.sort_items(parts)?;
        linked.keep(
            parts,
            (0..parts.items.len())
                .filter(|at| linked.is_root(parts, *at))
                .collect(),
        );
        let exports = linked.exports(parts, &members)?;
        linked.merged = merge::merge(&members, &exports)?;
        let functions = linked
            .merged
            .imports
            .iter()
            .map(|n| (Space::Of(Sort::Function), *n));
        let makers = functions
            .filter_map(|index| parts.made_by.get(&index).copied())
            .collect();
        linked.keep(parts, makers);
        Ok(linked)
    }

    /// Finds what has to go behind the merged module.
    fn sort_items(&mut self, parts: &Parts<'_>) -> Result<(), String> {
        let last = self.members[self.members.len() - 1];
        for (at, item) in parts.items.iter().enumerate() {
            let needs = parts
                .makers(at)
                .any(|maker| self.behind.contains(&maker) || self.members.contains(&maker));
            if !needs || self.members.contains(&at) {
                continue;
            }
            // Components' own numbers must not change.
            let moves = match item {
                Item::Instance(_) | Item::Alias(ComponentAlias::CoreInstanceExport { .. }) => true,
                Item::Canonical(function) => !matches!(function, CanonicalFunction::Lift { .. }),
                _ => false,
            };
            if at < last && !moves {
                return Err("something of the component is made between its modules".into());
            }
            if at < last {
                self.can_wait(parts, item)?;
            }
            self.behind.insert(at);
        }
        Ok(())
    }

    /// Whether what comes before a member's instance may come behind all of them: it starts nothing, and fills nothing of theirs.
    fn can_wait(&self, parts: &Parts<'_>, item: &Item<'_>) -> Result<(), String> {
        let Item::Instance(Instance::Instantiate { module_index, args }) = item else {
            return Ok(());
        };
        let module = Module::read(parts.module(*module_index)?)?;
        if module.starts {
            return Err("a module between has a start function".into());
        }
        for import in module.imports.iter().filter(|_| module.fills()) {
            let argument = args.iter().find(|a| a.name == import.module);
            let argument = argument.ok_or_else(|| format!("no `{}` is given to a module", import.module))?;
            let is_filled = matches!(import.ty, TypeRef::Table(_) | TypeRef::Memory(_));
            if is_filled && self.is_of_a_member(parts, argument.index, import.name)? {
                return Err("a module between fills a memory or table of another".into());
            }
        }
        Ok(())
    }

    fn is_of_a_member(&self, parts: &Parts<'_>, instance: u32, name: &str) -> Result<bool, String> {
        if self.instances.contains_key(&instance) {
            return Ok(true);
        }
        match parts.maker((Space::Instance, instance))? {
            Item::Instance(Instance::FromExports(exports)) => {
                let export = exports.iter().find(|e| e.name == name);
                let export = export.ok_or_else(|| format!("an instance has no `{name}`"))?;
                match parts.maker((Space::Of(Sort::of(export.kind)?), export.index))? {
                    Item::Alias(ComponentAlias::CoreInstanceExport {
                        instance_index, name, ..
                    }) => self.is_of_a_member(parts, *instance_index, name),
                    _ => Ok(false),
                }
            }
            _ => Ok(false),
        }
    }

    /// Not only a name or a collection of names for something.
    fn is_root(&self, parts: &Parts<'_>, at: usize) -> bool {
        !self.members.contains(&at)
            && !matches!(
                parts.items[at],
                Item::Module(_)
                    | Item::Instance(Instance::FromExports(_))
                    | Item::Alias(ComponentAlias::CoreInstanceExport { .. })
            )
    }

    /// Marks what these items need.
    fn keep(&mut self, parts: &Parts<'_>, mut ahead: Vec<usize>) {
        while let Some(at) = ahead.pop() {
            if !self.members.contains(&at) && !self.live[at] {
                self.live[at] = true;
                ahead.extend(parts.makers(at));
            }
        }
    }

    /// What is needed of the members, each under a name.
    fn exports(&mut self, parts: &Parts<'_>, members: &[Member<'_>]) -> Result<Vec<(Place, String)>, String> {
        let mut wanted: Vec<(Place, String)> = Vec::new();
        let mut taken = BTreeSet::new();
        let mut want = |place: Place, name: &str| {
            if wanted.iter().all(|(known, _)| *known != place) {
                let mut unique = name.to_owned();
                while !taken.insert(unique.clone()) {
                    unique.push('\'');
                }
                wanted.push((place, unique));
            }
        };
        let exported = |member: usize, name: &str| -> Result<Place, String> {
            let export = members[member].module.export(name);
            let (sort, index) = export.ok_or_else(|| format!("a module has no `{name}`"))?;
            Ok(Place { member, sort, index })
        };
        for (at, item) in parts.items.iter().enumerate().filter(|(at, _)| self.live[*at]) {
            match item {
                Item::Alias(ComponentAlias::CoreInstanceExport {
                    instance_index, name, ..
                }) => {
                    if let Some(&member) = self.instances.get(instance_index) {
                        want(exported(member, name)?, name);
                    }
                }
                Item::Instance(Instance::Instantiate { module_index, args }) => {
                    let of_members = args.iter().filter(|a| self.instances.contains_key(&a.index));
                    for argument in of_members {
                        let member = self.instances[&argument.index];
                        let module = Module::read(parts.module(*module_index)?)?;
                        let mut places = Vec::new();
                        for import in module.imports.iter().filter(|i| i.module == argument.name) {
                            let place = exported(member, import.name)?;
                            want(place, import.name);
                            places.push((import.name.to_owned(), place));
                        }
                        let direct = self.direct.entry(at).or_default();
                        direct.push(Direct {
                            argument: argument.name.to_owned(),
                            places,
                        });
                    }
                }
                _ => {}
            }
        }
        self.names = wanted.iter().cloned().collect();
        Ok(wanted)
    }

    /// Writes the merged module and its instance.
    fn instantiate(
        &self,
        sections: &mut Sections,
        made: &mut HashMap<Space, u32>,
        renumber: &mut Renumber,
    ) -> Result<(), String> {
        let said = |e: Unwritable<String>| e.to_string();
        let mut functions = Vec::new();
        for number in &self.merged.imports {
            let function = renumber.function_index(*number).map_err(said)?;
            functions.push((number.to_string(), enc::ExportKind::Func, function));
        }
        sections.module(&self.merged.module);
        let outside = take(made, Space::Instance);
        sections.instances().export_items(functions);
        let module = take(made, Space::Module);
        sections
            .instances()
            .instantiate(module, [(OUTSIDE, enc::ModuleArg::Instance(outside))]);
        let instance = take(made, Space::Instance);
        for number in self.instances.keys() {
            renumber.number((Space::Instance, *number), instance);
        }
        Ok(())
    }

    /// Writes an item: where it took something of a member, it takes it of the merged module.
    fn item(
        &self,
        parts: &Parts<'_>,
        at: usize,
        sections: &mut Sections,
        made: &mut HashMap<Space, u32>,
        renumber: &mut Renumber,
    ) -> Result<(), String> {
        let said = |e: Unwritable<String>| e.to_string();
        match &parts.items[at] {
            Item::Alias(ComponentAlias::CoreInstanceExport {
                instance_index,
                kind,
                name,
            }) if self.instances.contains_key(instance_index) => {
                let place = self.place(parts, *instance_index, name)?;
                let instance = renumber.instance_index(*instance_index);
                sections.aliases().alias(enc::Alias::CoreInstanceExport {
                    instance,
                    kind: Sort::of(*kind)?.kind(),
                    name: &self.names[&place],
                });
            }
            Item::Instance(Instance::Instantiate { module_index, args }) if self.direct.contains_key(&at) => {
                let mut given = Vec::new();
                for Direct { argument, places } in &self.direct[&at] {
                    let mut items = Vec::new();
                    for (name, place) in places {
                        let instance = renumber.number_of((Space::Instance, self.any_instance()));
                        sections.aliases().alias(enc::Alias::CoreInstanceExport {
                            instance: instance.ok_or("the merged module is not there yet")?,
                            kind: place.sort.kind(),
                            name: &self.names[place],
                        });
                        items.push((
                            name.as_str(),
                            place.sort.kind(),
                            take(made, Space::Of(place.sort)),
                        ));
                    }
                    sections.instances().export_items(items);
                    given.push((argument.as_str(), take(made, Space::Instance)));
                }
                for argument in args.iter().filter(|a| !self.instances.contains_key(&a.index)) {
                    given.push((argument.name, renumber.instance_index(argument.index)));
                }
                let module = renumber.module_index(*module_index);
                let given = given
                    .into_iter()
                    .map(|(name, n)| (name, enc::ModuleArg::Instance(n)));
                sections.instances().instantiate(module, given);
            }
            item => sections.item(item, renumber).map_err(said)?,
        }
        match renumber.missing.pop() {
            Some(missing) => Err(format!("{missing:?} is not there")),
            None => Ok(()),
        }
    }

    fn any_instance(&self) -> u32 {
        *self.instances.keys().next().expect("there are members")
    }

    fn place(&self, parts: &Parts<'_>, instance: u32, name: &str) -> Result<Place, String> {
        let member = self.instances[&instance];
        let Item::Instance(Instance::Instantiate { module_index, .. }) = &parts.items[self.members[member]]
        else {
            return Err("an instance is none".into());
        };
        let module = Module::read(parts.module(*module_index)?)?;
        let (sort, index) = module
            .export(name)
            .ok_or_else(|| format!("a module has no `{name}`"))?;
        Ok(Place { member, sort, index })
    }
}

/// What an instance gives under a name.
fn resolve(
    parts: &Parts<'_>,
    instances: &HashMap<u32, usize>,
    members: &[Member<'_>],
    mut instance: u32,
    name: &str,
) -> Result<Given, String> {
    let mut name = name.to_owned();
    loop {
        if let Some(&member) = instances.get(&instance) {
            let module = members.get(member).map(|m| &m.module);
            let export = module.and_then(|m| m.export(&name));
            let (sort, index) = export.ok_or_else(|| format!("`{name}` is not there yet"))?;
            return Ok(Given::Member(Place { member, sort, index }));
        }
        let Item::Instance(Instance::FromExports(exports)) = parts.maker((Space::Instance, instance))? else {
            return Err(format!("`{name}` is of a module that is not merged"));
        };
        let export = exports.iter().find(|e| e.name == name);
        let export = export.ok_or_else(|| format!("an instance has no `{name}`"))?;
        let sort = Sort::of(export.kind)?;
        match parts.maker((Space::Of(sort), export.index))? {
            Item::Alias(ComponentAlias::CoreInstanceExport {
                instance_index,
                name: there,
                ..
            }) if instances.contains_key(instance_index)
                || matches!(
                    parts.maker((Space::Instance, *instance_index))?,
                    Item::Instance(Instance::FromExports(_))
                ) =>
            {
                instance = *instance_index;
                name = (*there).to_owned();
            }
            _ if sort == Sort::Function => return Ok(Given::Outside(export.index)),
            _ => return Err(format!("`{name}` is from outside")),
        }
    }
}
