//! What the fixtures were made of: each calls every function that its world imports.

use crate::skeleton::Skeleton;
use ocr_runtime::World;

/// What every world has.
const BASE: &str = r#"
    (call $log.write (i32.const 0) @"hello")
    (call $log.report (i32.const 0) @"frozen" @"as it was" (i32.const 1) (i32.const 7)
      (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 9) (i32.const 9))
    (call $control.checkpoint RET) CHECK
    (call $control.progress (i32.const 1) (i32.const 1) (i32.const 2))"#;

/// Images, with one of 8 x 6 px on hand in `$image`; a decoder of what is no picture.
const IMAGES: &str = r#"
    (call $canvas.create (i32.const 8) (i32.const 6) (i32.const 0) RET) CHECK (global.set $canvas HANDLE)
    (call $canvas.write-rows (global.get $canvas) (i32.const 1) (i32.const 131072) (i32.const 16) RET) CHECK
    (call $canvas.finish (global.get $canvas) RET) CHECK (global.set $image HANDLE)
    (if (i32.ne (call $image.width (global.get $image)) (i32.const 8)) (then (unreachable)))
    (if (i32.ne (call $image.height (global.get $image)) (i32.const 6)) (then (unreachable)))
    (call $image.crop (global.get $image) (i32.const 1) (i32.const 1) (i32.const 5) (i32.const 5) RET) CHECK
    (call $image.drop HANDLE)
    (call $image.resize (global.get $image) (i32.const 4) (i32.const 3) RET) CHECK (call $image.drop HANDLE)
    (call $image.rotate (global.get $image) (i32.const 1) RET) CHECK (call $image.drop HANDLE)
    (call $image.read-rows (global.get $image) (i32.const 0) (i32.const 6) (i32.const 0) RET) CHECK
    (call $source.from-bytes @"x" @"no picture" RET) CHECK (global.set $source HANDLE)
    (call $decoder.open (global.get $source) RET) (if (i32.eqz (i32.load8_u RET)) (then (unreachable)))
    (call $source.name (global.get $source) RET)
    (if (i64.ne (call $source.len (global.get $source)) (i64.const 10)) (then (unreachable)))
    (call $source.read-at (global.get $source) (i64.const 3) (i32.const 4) RET) CHECK
    (call $source.window (global.get $source) @"w" (i64.const 3) (i64.const 4) RET) CHECK (call $source.drop HANDLE)
    (call $source.drop (global.get $source))"#;

/// Never reached: what needs a handle that these fixtures don't get.
const OUT_OF_REACH: &str = "
    (if (i32.eq (memory.size) (i32.const 0)) (then
      (drop (call $decoder.frames (i32.const 0))) (call $decoder.frame (i32.const 0) (i32.const 0) RET)
      (call $decoder.dpi (i32.const 0) (i32.const 0) RET) (call $decoder.drop (i32.const 0))
      (call $canvas.drop (i32.const 0))))";

const GLOBALS: &str = "(global $canvas (mut i32) (i32.const 0)) (global $image (mut i32) (i32.const 0))
    (global $source (mut i32) (i32.const 0)) (global $out (mut i32) (i32.const 0))";

pub fn all() -> Vec<(&'static str, Skeleton)> {
    vec![
        ("formatter-0.1.0", formatter()),
        ("adapter-0.1.0", adapter()),
        ("processor-0.1.0", processor()),
    ]
}

fn named(id: &str, world: World) -> Skeleton {
    let mut skeleton = Skeleton::new(id, world);
    skeleton.manifest.description = "Built when 0.1.0 was published, and never again".into();
    skeleton.fields(GLOBALS)
}

/// Asks a page for all that it has.
const ASKING: &str = "
    (call $page.info (local.get $page) RET)
    (call $page.labels (local.get $page) RET) (call $page.spans (local.get $page) RET)
    (call $page.lines (local.get $page) RET) (call $page.words (local.get $page) RET)
    (call $page.cells (local.get $page) RET) (call $page.markdown (local.get $page) RET)
    (call $page.raw (local.get $page) RET) (call $page.text (local.get $page) RET)
    (call $page.raster (local.get $page) RET) CHECK (global.set $image HANDLE)
    (call $ocr.recognize (global.get $image) (i32.const 131072) (i32.const 0) RET)
    (call $image.drop (global.get $image))";

fn formatter() -> Skeleton {
    let page = r#"
        (call $page.text (local.get $page) RET)
        (call $file.write-text (global.get $out) (i32.load RET) (i32.load (i32.const 1028)) RET) CHECK
        (call $output.create @"pictures/a.png" @"image/png" RET) CHECK (global.set $source HANDLE)
        (call $file.name (global.get $source) RET)
        (call $file.write-image (global.get $source) (global.get $kept_image) (i32.const 0) (i32.const 90) RET) CHECK
        (if (i64.eqz (call $file.len (global.get $source))) (then (unreachable)))
        (call $file.drop (global.get $source))
        (call $file.write (global.get $out) @"\n" RET) CHECK
        (call $file.write-image-base64 (global.get $out) (global.get $kept_image) (i32.const 1) (i32.const 90) RET) CHECK"#;
    let open = format!(
        "(call $output.main RET) CHECK (global.set $out HANDLE) {BASE} {IMAGES} {OUT_OF_REACH}
         (global.set $kept_image (global.get $image)) (i32.const 0)"
    );
    named("frozen-formatter", World::OutputFormatter)
        .fields("(global $kept_image (mut i32) (i32.const 0))")
        .body("open", &open)
        .body("page", &format!("{ASKING} {page} (i32.const 0)"))
}

/// Sets the text of the first block to `ab` and makes the second a heading.
fn processor() -> Skeleton {
    let process = format!(
        "{BASE} {IMAGES} {OUT_OF_REACH} {ASKING}
         (memory.fill (i32.const 131072) (i32.const 0) (i32.const 72)) (i32.store16 (i32.const 140000) (i32.const 0x6261))
         (i32.store (i32.const 131080) (i32.const 140000)) (i32.store (i32.const 131084) (i32.const 2))
         (i32.store8 (i32.const 131108) (i32.const 3)) (i32.store (i32.const 131112) (i32.const 1))
         (i32.store8 (i32.const 131116) (i32.const 1))
         (call $empty) (i32.store (i32.const 2056) (i32.const 131072)) (i32.store (i32.const 2060) (i32.const 2)) AREA"
    );
    // The name becomes `ab`.
    let edit_document = "
        (call $empty) (memory.fill (i32.const 131072) (i32.const 0) (i32.const 16))
        (i32.store16 (i32.const 140000) (i32.const 0x6261)) (i32.store8 (i32.const 131072) (i32.const 1))
        (i32.store (i32.const 131076) (i32.const 140000)) (i32.store (i32.const 131080) (i32.const 2))
        (i32.store (i32.const 2056) (i32.const 131072)) (i32.store (i32.const 2060) (i32.const 1)) AREA";
    named("frozen-processor", World::PageProcessor)
        .body("process", &process)
        .body("edit_document", edit_document)
}

fn adapter() -> Skeleton {
    let pdf = "
        (call $document.open (global.get $input) (i32.const 0) (i32.const 0) (i32.const 0) RET)
        (if (i32.eq (memory.size) (i32.const 0)) (then
          (drop (call $document.page-count (i32.const 0))) (call $document.page-size (i32.const 0) (i32.const 0) RET)
          (call $document.render (i32.const 0) (i32.const 0) (f32.const 9) RET)
          (call $document.text-layer (i32.const 0) (i32.const 0) RET) (call $document.drop (i32.const 0))))";
    // A page of 8 x 6 px at 300 dpi, 2 x 1.5 points, with a text layer of one word, `ab` at 131072.
    let read = format!(
        r#"(if (local.get $index) (then (return (i32.const 0))))
        {BASE} {IMAGES} {OUT_OF_REACH} {pdf}
        (call $empty) (i32.store8 (i32.const 2056) (i32.const 1))
        (i32.store (i32.const 2064) (global.get $image)) (f32.store (i32.const 2068) (f32.const 300))
        (f32.store (i32.const 2072) (f32.const 2)) (f32.store (i32.const 2076) (f32.const 1.5))
        (i32.store8 (i32.const 2080) (i32.const 1)) (i32.store (i32.const 2084) (i32.const 131072))
        (i32.store (i32.const 2088) (i32.const 1))
        (memory.fill (i32.const 131072) (i32.const 0) (i32.const 40))
        (i32.store (i32.const 131072) (i32.const 140000)) (i32.store (i32.const 131076) (i32.const 2))
        (i32.store16 (i32.const 140000) (i32.const 0x6261))
        AREA"#
    );
    named("frozen-adapter", World::InputAdapter)
        .fields("(global $input (mut i32) (i32.const 0))")
        .body("open", "(global.set $input (local.get $source)) (i32.const 0)")
        .body("read", &read)
}
