//! Whose a page is, and what claim it has to the engine beside others.

use std::sync::Arc;

/// Someone for whom pages are read. Those who wait share the engine by weight; a higher priority goes before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Tells tenants apart; empty where there is but one.
    pub name: Arc<str>,
    /// Its share beside others of its priority, 1 or more.
    pub weight: u32,
    /// Higher goes first, but for one time in a few ([`Urgency`](crate::Urgency)).
    pub priority: i32,
}

impl Default for Tenant {
    fn default() -> Self {
        Self::named("")
    }
}

impl Tenant {
    /// A tenant with one share.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.into(),
            weight: 1,
            priority: 0,
        }
    }
}
