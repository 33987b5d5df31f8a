//! Plugins of a few lines: a component for each world whose function bodies are WAT.
//!
//! The skeleton declares every import of the world that the bodies name, exports what the world exports, allocates, and
//! turns what the bodies answer into the contract's results. Bodies call `$output.create`, `$file.write-text`,
//! `$image.crop`: interface or resource, dot, function; `$image.drop` gives a handle back. What comes before the
//! parser reads them:
//!
//! - `@"text"` is the address and the length of a text that the skeleton keeps for the body (`\n`, `\"`, `\\`, `\hh`);
//! - `RET` is where imports are told to leave what they answer, and `HANDLE` the handle that they left there;
//! - `CHECK` returns from the body with the error that an import left there, if it did.

// Each test takes what it needs of it.
#![allow(dead_code)]

pub mod random;

use ocr_runtime::{Manifest, World, encode};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::LazyLock;
use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::abi::WasmType;
use wit_parser::{
    Function, FunctionKind, Handle, LiftLowerAbi, ManglingAndAbi, PackageId, Resolve, ResourceIntrinsic,
    Type, TypeDefKind, WasmExport, WasmExportKind, WasmImport, WorldItem,
};

/// Names and calling conventions as toolchains leave them.
const ABI: ManglingAndAbi = ManglingAndAbi::Legacy(LiftLowerAbi::Sync);

/// Where imports leave what they answer.
pub const RET: usize = 1024;
/// Where exports leave what they answer.
pub const AREA: usize = 2048;
/// Where texts of the bodies are kept.
const TEXTS: usize = 4096;
/// Where memory that is handed out begins.
pub const HEAP: usize = 131_072;

/// The contract, as the plugins are built against it.
static CONTRACT: LazyLock<(Resolve, PackageId)> = LazyLock::new(|| {
    // This file is built into crates of different depths.
    let crate_folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut above = crate_folder.ancestors().map(|folder| folder.join("wit/v0.1.0"));
    let folder = above
        .find(|folder| folder.is_dir())
        .expect("the contract is above");
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(folder).expect("the contract parses");
    (resolve, package)
});

/// A plugin to be made.
#[derive(Clone)]
pub struct Skeleton {
    pub world: World,
    /// Bodies by the name of their function, see [`defaults`].
    bodies: BTreeMap<&'static str, String>,
    /// Further fields of the module: functions, memories, `(start ..)`.
    fields: String,
    /// First memory, pages of 64 KiB.
    pub pages: u32,
    pub strings: StringEncoding,
    /// Further interfaces: a package's text and the name of what is imported.
    further: Vec<(String, String)>,
    /// Imports of the module itself: the component model's own functions.
    core_imports: String,
    pub manifest: Manifest,
}

/// The functions that a world's plugin has, with their parameters and what they do where nobody says it. A body that
/// has a result answers 0 where all is well and otherwise the address of an import's error, `RET`; `read` and
/// `process` may answer `AREA` after they have filled it themselves.
fn functions(world: World) -> &'static [(&'static str, &'static str, &'static str)] {
    match world {
        World::OutputFormatter => &[
            (
                "open",
                "(param $config i32) (param $len i32) (param $name i32) (param $name_len i32) (result i32)",
                "(i32.const 0)",
            ),
            ("page", "(param $page i32) (result i32)", "(i32.const 0)"),
            ("finish", "(param $session i32) (result i32)", "(i32.const 0)"),
            ("destroy", "", ""),
            ("after", "", ""),
        ],
        World::InputAdapter => &[
            (
                "sniff",
                "(param $name i32) (param $name_len i32) (param $head i32) (param $len i32) (result i32)",
                "(i32.const 90)",
            ),
            ("open", "(param $source i32) (result i32)", "(i32.const 0)"),
            ("info", "", ""),
            (
                "read",
                "(param $index i32) (param $dpi f32) (result i32)",
                "(i32.const 0)",
            ),
            ("destroy", "", ""),
            ("after", "", ""),
        ],
        World::PageProcessor => &[
            (
                "open",
                "(param $config i32) (param $len i32) (result i32)",
                "(i32.const 0)",
            ),
            ("edit_document", "(result i32)", "(i32.const 0)"),
            ("process", "(param $page i32) (result i32)", "(i32.const 0)"),
            ("destroy", "", ""),
            ("after", "", ""),
        ],
    }
}

/// How each world's exports call the bodies.
fn exports(world: World) -> &'static [(&'static str, &'static str)] {
    match world {
        World::OutputFormatter => &[
            (
                "open",
                "(call $answer_handle (call $on_open (local.get 14) (local.get 15) (local.get 0) (local.get 1)))",
            ),
            (
                "add-page",
                "(call $answer_page (call $on_page (local.get 1)) (local.get 1))",
            ),
            ("finish", "(call $answer (call $on_finish (local.get 0)))"),
        ],
        World::InputAdapter => &[
            (
                "sniff",
                "(call $on_sniff (local.get 0) (local.get 1) (local.get 2) (local.get 3))",
            ),
            ("open", "(call $answer_handle (call $on_open (local.get 0)))"),
            ("info", "(call $empty) (call $on_info) (i32.const 2048)"),
            (
                "read",
                "(call $answer (call $on_read (local.get 1) (local.get 2)))",
            ),
        ],
        World::PageProcessor => &[
            (
                "open",
                "(call $answer_handle (call $on_open (local.get 14) (local.get 15)))",
            ),
            ("edit-document", "(call $answer (call $on_edit_document))"),
            (
                "process",
                "(call $answer_page (call $on_process (local.get 1)) (local.get 1))",
            ),
        ],
    }
}

/// What turns answers of bodies into results of the contract. `plugin-error.host` is case 3 and wraps a `host-error` of
/// 32 bytes; both start at a multiple of 8.
const ANSWERS: &str = "
(global $heap (mut i32) (i32.const 131072))
(global $at (mut i32) (i32.const 0))
(func $empty (memory.fill (i32.const 2048) (i32.const 0) (i32.const 512)) (global.set $heap (i32.const 131072)))
(func $answer (param $said i32) (result i32)
  (if (i32.eq (local.get $said) (i32.const 2048)) (then (return (local.get $said))))
  (call $empty)
  (if (local.get $said) (then
    (i32.store8 (i32.const 2048) (i32.const 1))
    (i32.store8 (i32.const 2056) (i32.const 3))
    (memory.copy (i32.const 2064) (i32.add (local.get $said) (i32.const 8)) (i32.const 32))))
  (i32.const 2048))
(func $answer_handle (param $said i32) (result i32)
  (if (i32.eq (local.get $said) (i32.const 2048)) (then (return (local.get $said))))
  (drop (call $answer (local.get $said)))
  (if (i32.eqz (local.get $said)) (then (i32.store (i32.const 2056) (call $new (i32.const 1)))))
  (i32.const 2048))
(func $alloc (param $old i32) (param $old_len i32) (param $align i32) (param $len i32) (result i32)
  (local $at i32) (local $end i32)
  (local.set $at (i32.and (i32.add (global.get $heap) (i32.sub (local.get $align) (i32.const 1)))
                          (i32.sub (i32.const 0) (local.get $align))))
  (local.set $end (i32.add (local.get $at) (local.get $len)))
  (if (i32.lt_u (local.get $end) (local.get $at)) (then (unreachable)))
  (if (i32.gt_u (local.get $end) (i32.shl (memory.size) (i32.const 16))) (then
    (if (i32.eq (i32.const -1) (memory.grow (i32.add (i32.const 1)
        (i32.shr_u (i32.sub (local.get $end) (i32.shl (memory.size) (i32.const 16))) (i32.const 16)))))
      (then (unreachable)))))
  (memory.copy (local.get $at) (local.get $old) (local.get $old_len))
  (global.set $heap (local.get $end))
  (local.get $at))
";

impl Skeleton {
    pub fn new(id: &str, world: World) -> Self {
        let manifest = serde_json::json!({
            "id": id, "version": "0.1.0", "world": world.name(), "wit": "0.1.0", "extensions": ["bad"],
            "media-types": ["text/plain"],
            "capabilities": ["page.raster", "image.rows"],
        });
        Self {
            world,
            bodies: BTreeMap::new(),
            fields: String::new(),
            pages: 4,
            strings: StringEncoding::UTF8,
            further: Vec::new(),
            core_imports: String::new(),
            manifest: serde_json::from_value(manifest).expect("it is a manifest"),
        }
    }

    pub fn body(mut self, name: &'static str, wat: &str) -> Self {
        assert!(
            name == "realloc" || functions(self.world).iter().any(|(known, ..)| *known == name),
            "{name} is no function of the world"
        );
        self.bodies.insert(name, wat.to_owned());
        self
    }

    pub fn fields(mut self, wat: &str) -> Self {
        self.fields.push_str(wat);
        self
    }

    pub fn strings(mut self, encoding: StringEncoding) -> Self {
        self.strings = encoding;
        self
    }

    /// Imports `import` as well, which stands in the package `text`.
    pub fn import(mut self, text: &str, import: &str) -> Self {
        self.further.push((text.to_owned(), import.to_owned()));
        self
    }

    /// Imports one of the component model's own functions, as toolchains name it: `[waitable-set-new]`.
    pub fn core_import(mut self, field: &str, func: &str) -> Self {
        let _ = writeln!(self.core_imports, "(import \"$root\" {field:?} (func {func}))");
        self
    }

    /// The component.
    pub fn build(&self) -> Vec<u8> {
        let (module, resolve, world) = self.module();
        let mut module = wat::parse_str(&module).unwrap_or_else(|e| panic!("{e}"));
        embed_component_metadata(&mut module, &resolve, world, self.strings).expect("its world is known");
        encode(&module, &self.manifest).unwrap_or_else(|e| panic!("{}: {e}", self.manifest.id))
    }

    /// Functions that its world imports and that it does not call.
    pub fn unused_imports(&self) -> Vec<String> {
        let (module, resolve, world) = self.module();
        let every = every_import(&resolve, world)
            .into_iter()
            .map(|import| import.name);
        every.filter(|name| !calls(&module, name)).collect()
    }

    fn module(&self) -> (String, Resolve, wit_parser::WorldId) {
        let (mut resolve, package) = CONTRACT.clone();
        let mut world = resolve
            .select_world(&[package], Some(self.world.name()))
            .expect("the contract has it");
        if !self.further.is_empty() {
            let mut text = format!(
                "package zoo:beast;\nworld beast {{\n  include ocr-host:plugin/{}@0.1.0;\n",
                self.world.name()
            );
            for (_, import) in &self.further {
                let _ = writeln!(text, "  import {import};");
            }
            text.push_str("}\n");
            for (i, (further, _)) in self.further.iter().enumerate() {
                if !further.is_empty() {
                    resolve
                        .push_str(format!("further-{i}.wit"), further)
                        .unwrap_or_else(|e| panic!("{e:#}"));
                }
            }
            let beast = resolve
                .push_str("beast.wit", &text)
                .unwrap_or_else(|e| panic!("{e:#}"));
            world = resolve.select_world(&[beast], None).expect("it has one world");
        }
        let mut text = String::new();
        for (name, parameters, default) in functions(self.world) {
            let body = self.bodies.get(name).map_or(*default, String::as_str);
            let _ = writeln!(text, "(func $on_{name} {parameters} {body})");
        }
        text.push_str(&self.fields);
        text.push_str(&exported(&resolve, world, self));
        let realloc = self.bodies.get("realloc").map_or(
            "(call $alloc (local.get 0) (local.get 1) (local.get 2) (local.get 3))",
            |b| b,
        );
        let _ = writeln!(
            text,
            "(func (export \"cabi_realloc\") (param $old i32) (param $old_len i32) (param $align i32) (param $len i32) \
             (result i32) {realloc})"
        );
        let lend = match self.world {
            World::InputAdapter => "",
            _ => {
                "(func $answer_page (param $said i32) (param $page i32) (result i32)
                   (call $give_back (local.get $page))
                   (call $answer (local.get $said)))
                 (func $give_back (param $page i32)
                   (if (i32.eqz (global.get $kept)) (then (call $page.drop (local.get $page)))))
                 (global $kept (mut i32) (i32.const 0))\n"
            }
        };
        text.push_str(lend);
        let (text, data) = expand(&text);
        let imports = imported(&resolve, world, &format!("{ANSWERS}{text}"));
        let module = format!(
            "(module\n{imports}{}(memory (export \"memory\") {})\n{ANSWERS}{text}{data})",
            self.core_imports, self.pages
        );
        (module, resolve, world)
    }
}

/// A function that a module may import.
struct Import {
    module: String,
    field: String,
    /// As bodies call it.
    name: String,
    types: String,
    parameters: Vec<WasmType>,
    /// The resources of the handles that it takes first.
    takes: Vec<String>,
    /// The resource of the handle that it answers, and whether alone or where all went well.
    gives: Option<String>,
    /// Whether the last parameter is where the answer goes.
    answers_in_memory: bool,
    results: usize,
}

/// What the world imports, `drop` of each resource included.
fn every_import(resolve: &Resolve, world: wit_parser::WorldId) -> Vec<Import> {
    let mut every = Vec::new();
    for (key, item) in &resolve.worlds[world].imports {
        let WorldItem::Interface { id, .. } = item else {
            continue;
        };
        let interface = &resolve.interfaces[*id];
        let of = interface.name.clone().unwrap_or_default();
        for function in interface.functions.values() {
            let import = WasmImport::Func {
                interface: Some(key),
                func: function,
            };
            let (module, field) = resolve.wasm_import_name(ABI, import);
            let signature = resolve.wasm_signature(ABI.import_variant(), function);
            every.push(Import {
                module,
                field,
                name: short_name(&of, function, resolve),
                types: types("param", &signature.params) + &types("result", &signature.results),
                parameters: signature.params,
                takes: function
                    .params
                    .iter()
                    .map_while(|p| handle(resolve, &p.ty))
                    .collect(),
                gives: function.result.as_ref().and_then(|t| given(resolve, t)),
                answers_in_memory: signature.retptr,
                results: signature.results.len(),
            });
        }
        for (name, id) in &interface.types {
            if matches!(resolve.types[*id].kind, TypeDefKind::Resource) {
                let import = WasmImport::ResourceIntrinsic {
                    interface: Some(key),
                    resource: *id,
                    intrinsic: ResourceIntrinsic::ImportedDrop,
                };
                let (module, field) = resolve.wasm_import_name(ABI, import);
                every.push(Import {
                    module,
                    field,
                    name: format!("{name}.drop"),
                    types: " (param i32)".into(),
                    parameters: vec![WasmType::I32],
                    takes: vec![name.clone()],
                    gives: None,
                    answers_in_memory: false,
                    results: 0,
                });
            }
        }
    }
    every
}

/// What a module may do with the resource that it exports.
fn own_resource(resolve: &Resolve, world: wit_parser::WorldId) -> Vec<Import> {
    let mut every = Vec::new();
    for (key, item) in &resolve.worlds[world].exports {
        let WorldItem::Interface { id, .. } = item else {
            continue;
        };
        for id in resolve.interfaces[*id].types.values() {
            if !matches!(resolve.types[*id].kind, TypeDefKind::Resource) {
                continue;
            }
            for (name, intrinsic, types) in [
                ("new", ResourceIntrinsic::ExportedNew, " (param i32) (result i32)"),
                ("rep", ResourceIntrinsic::ExportedRep, " (param i32) (result i32)"),
                ("drop", ResourceIntrinsic::ExportedDrop, " (param i32)"),
            ] {
                let import = WasmImport::ResourceIntrinsic {
                    interface: Some(key),
                    resource: *id,
                    intrinsic,
                };
                let (module, field) = resolve.wasm_import_name(ABI, import);
                every.push(Import {
                    module,
                    field,
                    name: name.into(),
                    types: types.into(),
                    parameters: vec![WasmType::I32],
                    takes: Vec::new(),
                    gives: None,
                    answers_in_memory: false,
                    results: usize::from(name != "drop"),
                });
            }
        }
    }
    every
}

/// The resource that a type is a handle of.
fn handle(resolve: &Resolve, ty: &Type) -> Option<String> {
    let Type::Id(id) = ty else {
        return None;
    };
    match &resolve.types[*id].kind {
        TypeDefKind::Handle(Handle::Own(resource) | Handle::Borrow(resource)) => {
            resolve.types[*resource].name.clone()
        }
        TypeDefKind::Type(ty) => handle(resolve, ty),
        _ => None,
    }
}

/// The resource that a result hands over.
fn given(resolve: &Resolve, ty: &Type) -> Option<String> {
    let Type::Id(id) = ty else {
        return None;
    };
    match &resolve.types[*id].kind {
        TypeDefKind::Result(result) => handle(resolve, result.ok.as_ref()?),
        _ => None,
    }
}

/// Declarations of the imports that `text` calls.
fn imported(resolve: &Resolve, world: wit_parser::WorldId, text: &str) -> String {
    let every = every_import(resolve, world)
        .into_iter()
        .chain(own_resource(resolve, world));
    let declare = |i: Import| {
        format!(
            "(import {:?} {:?} (func ${}{}))\n",
            i.module, i.field, i.name, i.types
        )
    };
    every.filter(|i| calls(text, &i.name)).map(declare).collect()
}

fn calls(text: &str, name: &str) -> bool {
    [' ', ')', '\n']
        .iter()
        .any(|end| text.contains(&format!("call ${name}{end}")))
}

/// `output.create`, `file.write-text`.
fn short_name(interface: &str, function: &Function, resolve: &Resolve) -> String {
    let bare = function.name.rsplit('.').next().unwrap_or(&function.name);
    match function.kind {
        FunctionKind::Method(id) | FunctionKind::Static(id) | FunctionKind::Constructor(id) => {
            let resource = resolve.types[id].name.clone().unwrap_or_default();
            format!("{resource}.{bare}")
        }
        _ => format!("{interface}.{bare}"),
    }
}

/// The world's exports, each calling its body.
fn exported(resolve: &Resolve, world: wit_parser::WorldId, skeleton: &Skeleton) -> String {
    let mut text = String::new();
    for (key, item) in &resolve.worlds[world].exports {
        let WorldItem::Interface { id, .. } = item else {
            continue;
        };
        let interface = &resolve.interfaces[*id];
        for function in interface.functions.values() {
            let signature = resolve.wasm_signature(ABI.export_variant(), function);
            let name = |kind| {
                resolve.wasm_export_name(
                    ABI,
                    WasmExport::Func {
                        interface: Some(key),
                        func: function,
                        kind,
                    },
                )
            };
            let bare = function.name.rsplit('.').next().unwrap_or(&function.name);
            let (_, call) = exports(skeleton.world)
                .iter()
                .find(|(known, _)| *known == bare)
                .unwrap_or_else(|| panic!("nothing answers {bare}"));
            let _ = writeln!(
                text,
                "(func (export {:?}){}{} {call})",
                name(WasmExportKind::Normal),
                types("param", &signature.params),
                types("result", &signature.results)
            );
            if skeleton.bodies.contains_key("after") {
                let _ = writeln!(
                    text,
                    "(func (export {:?}){} (call $on_after))",
                    name(WasmExportKind::PostReturn),
                    types("param", &signature.results)
                );
            }
        }
        for id in interface.types.values() {
            if matches!(resolve.types[*id].kind, TypeDefKind::Resource)
                && skeleton.bodies.contains_key("destroy")
            {
                let name = resolve.wasm_export_name(
                    ABI,
                    WasmExport::ResourceDtor {
                        interface: key,
                        resource: *id,
                    },
                );
                let _ = writeln!(text, "(func (export {name:?}) (param i32) (call $on_destroy))");
            }
        }
    }
    text
}

fn types(what: &str, types: &[WasmType]) -> String {
    let name = |t: &WasmType| match t {
        WasmType::I32 | WasmType::Pointer | WasmType::Length => "i32",
        WasmType::I64 | WasmType::PointerOrI64 => "i64",
        WasmType::F32 => "f32",
        WasmType::F64 => "f64",
    };
    match types {
        [] => String::new(),
        types => format!(
            " ({what} {})",
            types.iter().map(name).collect::<Vec<_>>().join(" ")
        ),
    }
}

/// Puts in what bodies leave out; answers the text and the data that belongs to it.
fn expand(text: &str) -> (String, String) {
    let text = text
        .replace(
            "CHECK",
            "(if (i32.load8_u (i32.const 1024)) (then (return (i32.const 1024))))",
        )
        .replace("HANDLE", "(i32.load (i32.const 1032))")
        .replace("RET", "(i32.const 1024)")
        .replace("AREA", "(i32.const 2048)");
    let (mut out, mut data, mut at) = (String::new(), String::new(), TEXTS);
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once("@\"") {
        out.push_str(before);
        let (bytes, after) = unescape(after);
        let _ = write!(out, "(i32.const {at}) (i32.const {})", bytes.len());
        let _ = write!(data, "(data (i32.const {at}) \"");
        bytes.iter().for_each(|b| {
            let _ = write!(data, "\\{b:02x}");
        });
        data.push_str("\")\n");
        at += bytes.len();
        rest = after;
    }
    assert!(at < HEAP, "the texts take {at} bytes");
    out.push_str(rest);
    (out, data)
}

/// The bytes of a text up to its closing quote, and what follows.
fn unescape(text: &str) -> (Vec<u8>, &str) {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    loop {
        match rest {
            [b'"', ..] => return (bytes, &text[text.len() - rest.len() + 1..]),
            [b'\\', b'n', after @ ..] => {
                bytes.push(b'\n');
                rest = after;
            }
            [b'\\', c @ (b'"' | b'\\'), after @ ..] => {
                bytes.push(*c);
                rest = after;
            }
            [b'\\', a, b, after @ ..] => {
                let digits = std::str::from_utf8(&[*a, *b])
                    .map(str::to_owned)
                    .expect("two digits");
                bytes.push(u8::from_str_radix(&digits, 16).expect("two hexadecimal digits"));
                rest = after;
            }
            [c, after @ ..] => {
                bytes.push(*c);
                rest = after;
            }
            [] => panic!("a text has no end"),
        }
    }
}
