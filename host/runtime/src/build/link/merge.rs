//! One core module out of several that import each other.

use super::module::{Module, Place, Sort, all, said};
use std::collections::{HashMap, HashSet};
use wasm_encoder as enc;
use wasm_encoder::reencode::{Error as Unwritable, Reencode};
use wasmparser::{ElementItems, FuncType, Operator, OperatorsReader, TableInit, TypeRef};

/// Where the merged module imports functions from.
pub(super) const OUTSIDE: &str = "outside";

/// What a member's import is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Given {
    /// A function from outside, by its number there.
    Outside(u32),
    /// What a member before it exports.
    Member(Place),
}

/// A module to be merged, and what each of its imports is, in their order.
pub(super) struct Member<'a> {
    pub(super) module: Module<'a>,
    pub(super) given: Vec<Given>,
}

pub(super) struct Merged {
    pub(super) module: Vec<u8>,
    /// Functions from outside that it imports, by their numbers there; each is imported under its number.
    pub(super) imports: Vec<u32>,
}

/// A global's value that never changes.
#[derive(Debug, Clone, Copy)]
enum Value {
    I32(i32),
    I64(i64),
}

/// What a place of a member is in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Root {
    Outside(u32),
    /// Defined by a member: its own imports are not counted in `index`.
    Defined {
        member: usize,
        index: usize,
    },
}

/// Merges the members, which were instantiated in this order. `exports` are the places that are wanted, under their names.
pub(super) fn merge(members: &[Member<'_>], exports: &[(Place, String)]) -> Result<Merged, String> {
    if members.iter().any(|m| m.module.starts) {
        return Err("a module has a start function".into());
    }
    if members.iter().map(|m| m.module.memories.len()).sum::<usize>() > 1 {
        return Err("its modules have several memories".into());
    }
    Merge::new(members)?.write(exports)
}

struct Merge<'m, 'a> {
    members: &'m [Member<'a>],
    /// For each member, the positions of its imported functions, tables, memories and globals.
    imported: Vec<[Vec<usize>; 4]>,
}

/// What can be reached from the exports and the tables.
#[derive(Default)]
struct Reached {
    /// Functions from outside, in the order found.
    outside: Vec<(u32, FuncType)>,
    /// Functions that members define.
    defined: HashSet<(usize, usize)>,
    /// Globals that are written.
    written: HashSet<(usize, usize)>,
}

impl<'m, 'a> Merge<'m, 'a> {
    fn new(members: &'m [Member<'a>]) -> Result<Self, String> {
        let sorts = [Sort::Function, Sort::Table, Sort::Memory, Sort::Global];
        let mut imported = Vec::new();
        for member in members {
            let [functions, tables, memories, globals] = sorts.map(|sort| member.module.imported(sort));
            imported.push([functions?, tables?, memories?, globals?]);
        }
        Ok(Self { members, imported })
    }

    fn imported(&self, member: usize, sort: Sort) -> &[usize] {
        &self.imported[member][sort as usize]
    }

    /// Follows imports to where a thing is defined.
    fn root(&self, mut place: Place) -> Result<Root, String> {
        loop {
            let imported = self.imported(place.member, place.sort);
            let index = place.index as usize;
            let Some(&at) = imported.get(index) else {
                return Ok(Root::Defined {
                    member: place.member,
                    index: index - imported.len(),
                });
            };
            place = match self.members[place.member].given[at] {
                Given::Member(given) if given.member < place.member && given.sort == place.sort => given,
                Given::Outside(number) if place.sort == Sort::Function => return Ok(Root::Outside(number)),
                _ => return Err("a module imports something that is not there yet".into()),
            };
        }
    }

    fn function_type(&self, place: Place) -> Result<&FuncType, String> {
        let module = &self.members[place.member].module;
        let imported = self.imported(place.member, Sort::Function);
        let index = place.index as usize;
        let ty = match imported.get(index).map(|&at| module.imports[at].ty) {
            Some(TypeRef::Func(ty) | TypeRef::FuncExact(ty)) => Some(ty),
            Some(_) => None,
            None => module.functions.get(index - imported.len()).copied(),
        };
        ty.and_then(|ty| module.types.get(ty as usize))
            .ok_or_else(|| "a function has no type".into())
    }

    /// Walks from what is wanted to what that calls.
    fn reach(&self, exports: &[(Place, String)]) -> Result<Reached, String> {
        let mut reached = Reached::default();
        let mut ahead: Vec<Place> = exports.iter().map(|(place, _)| *place).collect();
        for (member, Member { module, .. }) in self.members.iter().enumerate() {
            let mut constants = Vec::new();
            constants.extend(module.globals.iter().map(|g| g.init_expr.clone()));
            for table in &module.tables {
                if let TableInit::Expr(expression) = &table.init {
                    constants.push(expression.clone());
                }
            }
            for element in &module.elements {
                match element.items.clone() {
                    ElementItems::Functions(functions) => {
                        for index in functions {
                            let index = index.map_err(said)?;
                            ahead.push(Place {
                                member,
                                sort: Sort::Function,
                                index,
                            });
                        }
                    }
                    ElementItems::Expressions(_, expressions) => constants.extend(all(expressions)?),
                }
            }
            for expression in constants {
                self.follow(
                    member,
                    expression.get_operators_reader(),
                    &mut ahead,
                    &mut reached,
                )?;
            }
        }
        while let Some(place) = ahead.pop() {
            if place.sort != Sort::Function {
                continue;
            }
            match self.root(place)? {
                Root::Outside(number) => {
                    if reached.outside.iter().all(|(known, _)| *known != number) {
                        reached.outside.push((number, self.function_type(place)?.clone()));
                    }
                }
                Root::Defined { member, index } => {
                    if reached.defined.insert((member, index)) {
                        let body = self.members[member].module.bodies.get(index);
                        let body = body.ok_or("a function has no body")?;
                        let operators = body.get_operators_reader().map_err(said)?;
                        self.follow(member, operators, &mut ahead, &mut reached)?;
                    }
                }
            }
        }
        reached.outside.sort_by_key(|(number, _)| *number);
        Ok(reached)
    }

    fn follow(
        &self,
        member: usize,
        mut operators: OperatorsReader<'_>,
        ahead: &mut Vec<Place>,
        reached: &mut Reached,
    ) -> Result<(), String> {
        while !operators.eof() {
            match operators.read().map_err(said)? {
                Operator::Call {
                    function_index: index,
                }
                | Operator::ReturnCall {
                    function_index: index,
                }
                | Operator::RefFunc {
                    function_index: index,
                } => ahead.push(Place {
                    member,
                    sort: Sort::Function,
                    index,
                }),
                Operator::GlobalSet { global_index: index } => {
                    let place = Place {
                        member,
                        sort: Sort::Global,
                        index,
                    };
                    if let Root::Defined { member, index } = self.root(place)? {
                        reached.written.insert((member, index));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The value of a global that nobody can change.
    fn value(&self, place: Place, changeable: &HashSet<(usize, usize)>) -> Result<Option<Value>, String> {
        let Root::Defined { member, index } = self.root(place)? else {
            return Ok(None);
        };
        let globals = &self.members[member].module.globals;
        let global = globals.get(index).ok_or("there is no such global")?;
        if global.ty.mutable && changeable.contains(&(member, index)) {
            return Ok(None);
        }
        let mut operators = global.init_expr.get_operators_reader();
        let value = match operators.read().map_err(said)? {
            Operator::I32Const { value } => Some(Value::I32(value)),
            Operator::I64Const { value } => Some(Value::I64(value)),
            // Only of globals before it.
            Operator::GlobalGet { global_index }
                if (global_index as usize) < self.imported(member, Sort::Global).len() =>
            {
                self.value(
                    Place {
                        member,
                        sort: Sort::Global,
                        index: global_index,
                    },
                    changeable,
                )?
            }
            _ => None,
        };
        let ends = matches!(operators.read().map_err(said)?, Operator::End);
        Ok(value.filter(|_| ends))
    }

    fn write(&self, exports: &[(Place, String)]) -> Result<Merged, String> {
        let reached = self.reach(exports)?;
        let mut changeable = reached.written.clone();
        for (place, _) in exports.iter().filter(|(place, _)| place.sort == Sort::Global) {
            if let Root::Defined { member, index } = self.root(*place)? {
                changeable.insert((member, index));
            }
        }
        let numbers = Numbers::new(self, &reached, &changeable)?;
        let mut types = Types::default();
        let mut parts = Parts::default();
        for (number, ty) in &reached.outside {
            let ty = types.of(ty);
            parts
                .imports
                .import(OUTSIDE, &number.to_string(), enc::EntityType::Function(ty));
        }
        for (member, Member { module, .. }) in self.members.iter().enumerate() {
            let mut renumber = numbers.of(self, member, &mut types)?;
            parts
                .add(
                    module,
                    &mut renumber,
                    |index| reached.defined.contains(&(member, index)),
                    &changeable,
                    member,
                )
                .map_err(said)?;
            let imported = self.imported(member, Sort::Function).len();
            for (&index, name) in &module.names {
                // An import has its name where it is defined.
                if let Some(Some(number)) = renumber
                    .functions
                    .get(index as usize)
                    .filter(|_| index as usize >= imported)
                {
                    parts.names.push((*number, name));
                }
            }
        }
        let mut exported = enc::ExportSection::new();
        for (place, name) in exports {
            let renumber = numbers.of(self, place.member, &mut types)?;
            let index = renumber.number(*place).ok_or("an export is not there")?;
            exported.export(name, place.sort.kind(), index);
        }
        Ok(Merged {
            module: parts.finish(&types.section, &exported),
            imports: reached.outside.into_iter().map(|(number, _)| number).collect(),
        })
    }
}

/// Function types, each once.
#[derive(Default)]
struct Types {
    section: enc::TypeSection,
    known: HashMap<FuncType, u32>,
}

impl Types {
    fn of(&mut self, ty: &FuncType) -> u32 {
        let next = self.section.len();
        *self.known.entry(ty.clone()).or_insert_with(|| {
            let ty = enc::reencode::RoundtripReencoder.func_type(ty.clone());
            self.section
                .ty()
                .func_type(&ty.expect("no type refers to another"));
            next
        })
    }
}

/// The merged module's numbering of what members define.
struct Numbers {
    outside: HashMap<u32, u32>,
    functions: HashMap<(usize, usize), u32>,
    globals: HashMap<(usize, usize), Slot>,
    /// The numbers of each member's first table, memory, element segment and data segment.
    first: Vec<[u32; 4]>,
}

#[derive(Debug, Clone, Copy)]
enum Slot {
    Number(u32),
    Always(Value),
}

impl Numbers {
    fn new(
        merge: &Merge<'_, '_>,
        reached: &Reached,
        changeable: &HashSet<(usize, usize)>,
    ) -> Result<Self, String> {
        let outside: HashMap<u32, u32> = reached
            .outside
            .iter()
            .map(|(number, _)| *number)
            .zip(0..)
            .collect();
        let mut next_function = outside.len() as u32;
        let mut next_global = 0;
        let mut numbers = Self {
            outside,
            functions: HashMap::new(),
            globals: HashMap::new(),
            first: Vec::new(),
        };
        let mut first = [0; 4];
        for (member, Member { module, .. }) in merge.members.iter().enumerate() {
            for index in 0..module.functions.len() {
                if reached.defined.contains(&(member, index)) {
                    numbers.functions.insert((member, index), next_function);
                    next_function += 1;
                }
            }
            let imported = merge.imported(member, Sort::Global).len();
            for index in 0..module.globals.len() {
                let place = Place {
                    member,
                    sort: Sort::Global,
                    index: (imported + index) as u32,
                };
                let slot = match merge.value(place, changeable)? {
                    Some(value) if !changeable.contains(&(member, index)) => Slot::Always(value),
                    _ => {
                        next_global += 1;
                        Slot::Number(next_global - 1)
                    }
                };
                numbers.globals.insert((member, index), slot);
            }
            numbers.first.push(first);
            let counts = [
                module.tables.len(),
                module.memories.len(),
                module.elements.len(),
                module.data.len(),
            ];
            first
                .iter_mut()
                .zip(counts)
                .for_each(|(n, count)| *n += count as u32);
        }
        Ok(numbers)
    }

    fn of(&self, merge: &Merge<'_, '_>, member: usize, types: &mut Types) -> Result<Renumber, String> {
        let module = &merge.members[member].module;
        let roots = |sort: Sort, defined: usize| {
            let count = merge.imported(member, sort).len() + defined;
            (0..count as u32).map(move |index| merge.root(Place { member, sort, index }))
        };
        let mut functions = Vec::new();
        for root in roots(Sort::Function, module.functions.len()) {
            functions.push(match root? {
                Root::Outside(number) => self.outside.get(&number).copied(),
                Root::Defined { member, index } => self.functions.get(&(member, index)).copied(),
            });
        }
        let mut globals = Vec::new();
        for root in roots(Sort::Global, module.globals.len()) {
            globals.push(match root? {
                Root::Outside(_) => None,
                Root::Defined { member, index } => self.globals.get(&(member, index)).copied(),
            });
        }
        let numbered = |sort: Sort, defined: usize, which: usize| -> Result<Vec<u32>, String> {
            roots(sort, defined)
                .map(|root| match root? {
                    Root::Outside(_) => Err("a table or memory is from outside".to_owned()),
                    Root::Defined { member, index } => Ok(self.first[member][which] + index as u32),
                })
                .collect()
        };
        Ok(Renumber {
            tables: numbered(Sort::Table, module.tables.len(), 0)?,
            memories: numbered(Sort::Memory, module.memories.len(), 1)?,
            types: module.types.iter().map(|ty| types.of(ty)).collect(),
            functions,
            globals,
            first_element: self.first[member][2],
            first_data: self.first[member][3],
        })
    }
}

/// Writes a member's code in the merged module's numbers.
struct Renumber {
    types: Vec<u32>,
    /// `None` is a function that nothing calls.
    functions: Vec<Option<u32>>,
    tables: Vec<u32>,
    memories: Vec<u32>,
    globals: Vec<Option<Slot>>,
    first_element: u32,
    first_data: u32,
}

impl Renumber {
    fn number(&self, place: Place) -> Option<u32> {
        let index = place.index as usize;
        match place.sort {
            Sort::Function => self.functions.get(index).copied().flatten(),
            Sort::Table => self.tables.get(index).copied(),
            Sort::Memory => self.memories.get(index).copied(),
            Sort::Global => match self.globals.get(index).copied().flatten() {
                Some(Slot::Number(number)) => Some(number),
                _ => None,
            },
        }
    }

    fn find(&self, sort: Sort, index: u32) -> Result<u32, Unwritable<String>> {
        let place = Place {
            member: 0,
            sort,
            index,
        };
        self.number(place)
            .ok_or_else(|| Unwritable::UserError(format!("{sort:?} {index} is not there")))
    }
}

impl Reencode for Renumber {
    type Error = String;

    fn type_index(&mut self, index: u32) -> Result<u32, Unwritable<String>> {
        let ty = self.types.get(index as usize).copied();
        ty.ok_or_else(|| Unwritable::UserError(format!("type {index} is not there")))
    }
    fn function_index(&mut self, index: u32) -> Result<u32, Unwritable<String>> {
        self.find(Sort::Function, index)
    }
    fn table_index(&mut self, index: u32) -> Result<u32, Unwritable<String>> {
        self.find(Sort::Table, index)
    }
    fn memory_index(&mut self, index: u32) -> Result<u32, Unwritable<String>> {
        self.find(Sort::Memory, index)
    }
    fn global_index(&mut self, index: u32) -> Result<u32, Unwritable<String>> {
        self.find(Sort::Global, index)
    }
    fn element_index(&mut self, index: u32) -> Result<u32, Unwritable<String>> {
        Ok(self.first_element + index)
    }
    fn data_index(&mut self, index: u32) -> Result<u32, Unwritable<String>> {
        Ok(self.first_data + index)
    }
    fn parse_instruction<'a>(
        &mut self,
        operators: &mut OperatorsReader<'a>,
    ) -> Result<enc::Instruction<'a>, Unwritable<String>> {
        let operator = operators.read()?;
        if let Operator::GlobalGet { global_index } = operator {
            match self.globals.get(global_index as usize) {
                Some(Some(Slot::Always(Value::I32(value)))) => return Ok(enc::Instruction::I32Const(*value)),
                Some(Some(Slot::Always(Value::I64(value)))) => return Ok(enc::Instruction::I64Const(*value)),
                _ => {}
            }
        }
        self.instruction(operator)
    }
}

/// The merged module's sections.
#[derive(Default)]
struct Parts<'a> {
    imports: enc::ImportSection,
    functions: enc::FunctionSection,
    tables: enc::TableSection,
    memories: enc::MemorySection,
    globals: enc::GlobalSection,
    elements: enc::ElementSection,
    code: enc::CodeSection,
    data: enc::DataSection,
    names: Vec<(u32, &'a str)>,
}

impl<'a> Parts<'a> {
    fn add(
        &mut self,
        module: &Module<'a>,
        renumber: &mut Renumber,
        is_reached: impl Fn(usize) -> bool,
        changeable: &HashSet<(usize, usize)>,
        member: usize,
    ) -> Result<(), Unwritable<String>> {
        for (index, (&ty, body)) in module.functions.iter().zip(&module.bodies).enumerate() {
            if is_reached(index) {
                self.functions.function(renumber.type_index(ty)?);
                renumber.parse_function_body(&mut self.code, body.clone())?;
            }
        }
        for table in &module.tables {
            renumber.parse_table(&mut self.tables, table.clone())?;
        }
        for memory in &module.memories {
            self.memories.memory(renumber.memory_type(*memory)?);
        }
        let imported = renumber.globals.len() - module.globals.len();
        for (index, global) in module.globals.iter().enumerate() {
            if let Some(Some(Slot::Number(_))) = renumber.globals.get(imported + index) {
                let mut ty = renumber.global_type(global.ty)?;
                ty.mutable &= changeable.contains(&(member, index));
                self.globals
                    .global(ty, &renumber.const_expr(global.init_expr.clone())?);
            }
        }
        for element in &module.elements {
            renumber.parse_element(&mut self.elements, element.clone())?;
        }
        for data in &module.data {
            renumber.parse_data(&mut self.data, data.clone())?;
        }
        Ok(())
    }

    fn finish(mut self, types: &enc::TypeSection, exports: &enc::ExportSection) -> Vec<u8> {
        let mut module = enc::Module::new();
        module
            .section(types)
            .section(&self.imports)
            .section(&self.functions)
            .section(&self.tables)
            .section(&self.memories)
            .section(&self.globals)
            .section(exports)
            .section(&self.elements)
            .section(&enc::DataCountSection {
                count: self.data.len(),
            })
            .section(&self.code)
            .section(&self.data);
        if !self.names.is_empty() {
            self.names.sort_unstable_by_key(|(number, _)| *number);
            let mut map = enc::NameMap::new();
            self.names
                .iter()
                .for_each(|(number, name)| map.append(*number, name));
            let mut names = enc::NameSection::new();
            names.functions(&map);
            module.section(&names);
        }
        module.finish()
    }
}
