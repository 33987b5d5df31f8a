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
#[cfg(test)]
mod tests;

use merge::{Given, Member, Merged, Module, OUTSIDE, Place, Sort};
use std::collections::{BTreeSet, HashMap, HashSet};
use wasm_encoder as enc;
use wasm_encoder::reencode::{Error as Unwritable, Reencode, ReencodeComponent};
use wasmparser::{
    CanonicalFunction, ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind,
    ComponentType, ComponentTypeRef, ComponentTypeSectionReader, Instance, Parser, Payload, TypeRef,
    Validator,
};

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

/// The index spaces that linking moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Space {
    Of(Sort),
    Module,
    Instance,
}

type Index = (Space, u32);

/// One entry of a component's sections.
enum Item<'a> {
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
struct Parts<'a> {
    items: Vec<Item<'a>>,
    /// What each item refers to.
    uses: Vec<Vec<Index>>,
    /// Which item makes a thing.
    made_by: HashMap<Index, usize>,
    /// How many there are of each.
    counts: HashMap<Space, u32>,
    nested_changed: bool,
}

impl<'a> Parts<'a> {
    fn read(component: &'a [u8]) -> Result<Self, String> {
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

    fn makers(&self, item: usize) -> impl Iterator<Item = usize> {
        self.uses[item]
            .iter()
            .filter_map(|index| self.made_by.get(index).copied())
    }

    fn maker(&self, index: Index) -> Result<&Item<'a>, String> {
        let item = self
            .made_by
            .get(&index)
            .ok_or("it refers to what it does not have")?;
        Ok(&self.items[*item])
    }

    fn module(&self, index: u32) -> Result<&'a [u8], String> {
        match self.maker((Space::Module, index))? {
            Item::Module(bytes) => Ok(bytes),
            _ => Err("a module is none".into()),
        }
    }

    /// The items that instantiate modules which can be merged: all that don't need what the component makes of one of them.
    fn members(&self) -> Vec<usize> {
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
    fn write(&mut self, linked: Option<Linked>) -> Result<Vec<u8>, String> {
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
    /// For an item that instantiates a module with members: what it imports of them, by argument.
    direct: HashMap<usize, Vec<(String, Vec<(String, Place)>)>>,
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
                        direct.push((argument.name.to_owned(), places));
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
                for (argument, places) in &self.direct[&at] {
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

/// Sees what an item refers to, and writes it with other numbers.
#[derive(Default)]
struct Renumber {
    seen: Vec<Index>,
    /// New numbers; `None` leaves all as they are.
    moved: Option<HashMap<Index, u32>>,
    /// What was referred to and has no new number.
    missing: Vec<Index>,
}

impl Renumber {
    fn number(&mut self, old: Index, new: u32) {
        if let Some(moved) = &mut self.moved {
            moved.insert(old, new);
        }
    }

    fn number_of(&self, old: Index) -> Option<u32> {
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
struct Sections {
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

    fn instances(&mut self) -> &mut enc::InstanceSection {
        if !matches!(self.open, Open::Instances(_)) {
            self.close();
            self.open = Open::Instances(enc::InstanceSection::new());
        }
        match &mut self.open {
            Open::Instances(section) => section,
            _ => unreachable!("it was opened"),
        }
    }

    fn aliases(&mut self) -> &mut enc::ComponentAliasSection {
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

    fn module(&mut self, module: &[u8]) {
        self.raw(enc::ComponentSectionId::CoreModule.into(), module);
    }

    fn item(&mut self, item: &Item<'_>, renumber: &mut Renumber) -> Result<(), Unwritable<String>> {
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

    fn finish(mut self) -> Vec<u8> {
        self.close();
        self.component.finish()
    }
}
