//! Bytes as a picture file, through a plugin that has the host decode it.

use crate::skeleton::Skeleton;
use ocr_runtime::{
    AdapterSession, Cause, Context, InputItem, Limits, OpenOptions, Plugin, PluginFailure, Runtime, Source,
    World,
};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// Pictures of a file that are taken.
const PICTURES: u32 = 4;

static DECODER: LazyLock<(Arc<Plugin>, Context)> = LazyLock::new(|| {
    let limits = Limits {
        memory: 8 << 20,
        time: Duration::from_secs(2),
        image_bytes: 8 << 20,
        ..Limits::default()
    };
    let runtime = Runtime::new(None, &limits).expect("the runtime starts");
    let decoder = Skeleton::new("decoder", World::InputAdapter)
        .fields("(global $d (mut i32) (i32.const 0))")
        .body(
            "open",
            "(call $decoder.open (local.get $source) RET) CHECK (global.set $d HANDLE) (i32.const 0)",
        )
        .body(
            "read",
            "(if (i32.ge_u (local.get $index) (call $decoder.frames (global.get $d))) (then (return (i32.const 0))))
             (call $decoder.dpi (global.get $d) (local.get $index) RET)
             (call $decoder.frame (global.get $d) (local.get $index) RET) CHECK (call $empty)
             (i32.store8 (i32.const 2056) (i32.const 1)) (i32.store (i32.const 2064) HANDLE)
             (f32.store (i32.const 2068) (f32.const 300)) AREA",
        );
    let plugin = runtime.load("decoder", &decoder.build()).expect("it loads");
    let context = Context {
        limits,
        ..Context::default()
    };
    (plugin, context)
});

/// The bytes are the file.
pub fn run(data: &[u8]) {
    if let Err(failure) = read(data) {
        // A picture that can't be read is told of; the plugin itself does nothing wrong.
        assert!(
            matches!(failure.cause, Cause::Said(_) | Cause::Limit { .. }),
            "{failure}"
        );
    }
}

fn read(data: &[u8]) -> Result<(), PluginFailure> {
    let (plugin, context) = &*DECODER;
    let source = Source::from_bytes("x", data.to_vec());
    let mut session = AdapterSession::open(plugin, context, &source, &OpenOptions::default())?;
    for index in 0..PICTURES {
        let Some(InputItem::Page(page)) = session.read(index, 100.0)? else {
            break;
        };
        let image = &page.image;
        let pixels = image.width() as usize * image.height() as usize;
        assert_eq!(image.pixels().len(), pixels * image.format().bytes());
        assert!(image.pixels().len() as u64 <= context.limits.image_bytes);
    }
    Ok(())
}
