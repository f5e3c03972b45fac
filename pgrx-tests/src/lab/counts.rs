//! Counting, so that a generator that makes nothing of interest is found out.

use std::collections::BTreeMap;
use std::fmt;

#[derive(Default)]
pub struct Counts(BTreeMap<String, u64>);

impl Counts {
    pub fn add(&mut self, what: impl Into<String>) {
        *self.0.entry(what.into()).or_default() += 1;
    }

    pub fn either(&mut self, yes: bool, what: &str) {
        self.add(format!("{what} {}", if yes { "allowed" } else { "denied" }));
    }

    pub fn get(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }

    /// Which of these never came.
    pub fn missing(&self, needed: &[String]) -> Vec<String> {
        let never = needed.iter().filter(|what| self.get(what) == 0);
        never.cloned().collect()
    }
}

/// Names of what is counted, allowed as well as denied.
pub fn both(what: impl IntoIterator<Item = impl fmt::Display>) -> Vec<String> {
    let names = what.into_iter().map(|what| what.to_string());
    names
        .flat_map(|what| ["allowed", "denied"].map(|is| format!("{what} {is}")))
        .collect()
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let parts: Vec<String> = self
            .0
            .iter()
            .map(|(what, n)| format!("{what} {n}"))
            .collect();
        write!(f, "{}", parts.join(", "))
    }
}
