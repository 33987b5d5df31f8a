//! Limits that a plugin wishes for: `limits = { memory = "1 GiB", time = "60s" }` in its manifest.
//!
//! A wish is granted up to the operator's limit. One that is below it is granted as it is: a plugin that says what it
//! needs gets no more. The exception keeps advice true that messages give: a limit that the operator has changed counts
//! as it is, even where the plugin wished for less.

use crate::limits::{Limits, Quota};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;

/// What a plugin wishes for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WishedLimits(BTreeMap<Quota, Wish>);

/// One wish.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wish {
    /// As the author wrote it.
    text: String,
    /// Bytes, counts or milliseconds.
    amount: u64,
}

/// A wish beside what is granted of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Granted {
    /// Which limit.
    pub quota: Quota,
    /// Bytes, counts or milliseconds that were wished for.
    pub wished: u64,
    /// Those that are granted.
    pub granted: u64,
}

impl Granted {
    /// Whether there is less than was wished for.
    pub fn is_unmet(&self) -> bool {
        self.granted < self.wished
    }
}

impl WishedLimits {
    /// Reads wishes by name and value.
    pub fn new<'a>(wishes: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, String> {
        let mut read = BTreeMap::new();
        for (name, text) in wishes {
            let quota = Quota::named(name)?;
            if quota == Quota::Stack {
                return Err(
                    "`stack` can't be wished for: it is the same for all plugins of a run".to_owned(),
                );
            }
            let mut limits = Limits::default();
            limits.set(name, text).map_err(|why| format!("`{name}`: {why}"))?;
            let amount = limits.get(quota);
            if amount == 0 {
                return Err(format!("`{name}` is 0, with which no plugin can run"));
            }
            let text = text.to_owned();
            read.insert(quota, Wish { text, amount });
        }
        Ok(Self(read))
    }

    /// Whether it wishes for nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The limits that it runs under where the operator's are `ceiling`.
    pub fn within(&self, ceiling: &Limits) -> Limits {
        let mut limits = ceiling.clone();
        for grant in self.granted(ceiling) {
            limits.put(grant.quota, grant.granted);
        }
        limits
    }

    /// What is granted of each wish where the operator's limits are `ceiling`.
    pub fn granted(&self, ceiling: &Limits) -> Vec<Granted> {
        let untouched = Limits::default();
        let grant = |(&quota, wish): (&Quota, &Wish)| {
            let most = ceiling.get(quota);
            let was_set = most != untouched.get(quota);
            Granted {
                quota,
                wished: wish.amount,
                granted: if was_set { most } else { wish.amount.min(most) },
            }
        };
        self.0.iter().map(grant).collect()
    }
}

impl Serialize for WishedLimits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(quota, wish)| (quota.name(), &wish.text)))
    }
}

impl<'de> Deserialize<'de> for WishedLimits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// Counts may stand without quotes.
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Amount {
            Count(u64),
            Text(String),
        }
        let given = BTreeMap::<String, Amount>::deserialize(deserializer)?;
        let texts: Vec<(String, String)> = given
            .into_iter()
            .map(|(name, amount)| match amount {
                Amount::Count(count) => (name, count.to_string()),
                Amount::Text(text) => (name, text),
            })
            .collect();
        let wishes = texts.iter().map(|(name, text)| (name.as_str(), text.as_str()));
        Self::new(wishes).map_err(|why| D::Error::custom(format!("limits: {why}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wishes(json: &str) -> Result<WishedLimits, String> {
        serde_json::from_str(json).map_err(|e| e.to_string())
    }

    #[test]
    fn a_wish_is_granted_up_to_the_ceiling() {
        let wished = wishes(r#"{"memory": "1 GiB", "time": "5s", "handles": 100}"#).unwrap();
        let mut ceiling = Limits::default();
        let limits = wished.within(&ceiling);
        assert_eq!(
            (limits.memory, limits.time.as_secs(), limits.handles),
            (768 << 20, 5, 100)
        );
        let unmet: Vec<Quota> = wished
            .granted(&ceiling)
            .iter()
            .filter(|g| g.is_unmet())
            .map(|g| g.quota)
            .collect();
        assert_eq!(unmet, [Quota::Memory]);
        // What the operator sets counts as it is, above a wish and below it.
        ceiling.set("memory", "2GiB").unwrap();
        ceiling.set("time", "60s").unwrap();
        ceiling.set("handles", "10").unwrap();
        let limits = wished.within(&ceiling);
        assert_eq!(
            (limits.memory, limits.time.as_secs(), limits.handles),
            (2 << 30, 60, 10)
        );
        assert_eq!(WishedLimits::default().within(&ceiling), ceiling);
    }

    #[test]
    fn wrong_wishes_are_named() {
        for (json, words) in [
            (r#"{"memroy": "1GiB"}"#, "did you mean `memory`?"),
            (r#"{"memory": "lots"}"#, "`memory`: `lots` is no size"),
            (r#"{"stack": "1MiB"}"#, "the same for all plugins"),
            (r#"{"time": "0s"}"#, "`time` is 0"),
            (r#"{"time": "99999999999999999999h"}"#, "no time"),
        ] {
            let error = wishes(json).unwrap_err();
            assert!(error.contains(words), "{json}: {error}");
        }
    }

    #[test]
    fn wishes_are_written_as_they_were_read() {
        let json = r#"{"memory":"1 GiB","time":"60s"}"#;
        assert_eq!(serde_json::to_string(&wishes(json).unwrap()).unwrap(), json);
    }
}
