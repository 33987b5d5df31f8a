//! A workflow under way, for nobody in particular or for tenants.
//!
//! [`Generation`] is what a configuration file comes to at one time: the engine, and a [`Lane`] for each tenant with its
//! plan. Documents wait in a [`Queue`] and take the generation that is there when they begin; a reload makes another.

mod generation;
mod lane;
mod queue;
mod quota;
mod watch;

pub use generation::{Fixed, Generation};
pub use lane::Lane;
pub use queue::Queue;
pub use quota::Used;
pub use watch::{Stamps, Watch, have_changed};
