//! What a plugin has to say beside its output.

use crate::{Diagnostic, Severity, host};

/// A line for the run's log, about no page in particular. Shown with `-v`; bounded by the host.
pub fn write(level: Severity, message: &str) {
    host::log::write(level, message);
}

/// A finding for the user's report.
pub fn report(diagnostic: &Diagnostic) {
    host::log::report(diagnostic);
}

/// Makes panics tell the host where and why before the sandbox traps; without it the message is lost. The export
/// macros call it.
#[doc(hidden)]
pub fn report_panics() {
    #[cfg(target_arch = "wasm32")]
    {
        use std::sync::Once;
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            std::panic::set_hook(Box::new(|info| {
                report(&Diagnostic::new(Severity::Error, "panic", info.to_string()));
            }));
        });
    }
}
