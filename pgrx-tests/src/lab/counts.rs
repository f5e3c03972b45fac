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

    /// All of these came, allowed as well as denied.
    pub fn assert_both(&self, wanted: impl IntoIterator<Item = impl fmt::Display>) {
        let both = |what: &dyn fmt::Display| ["allowed", "denied"].map(|is| format!("{what} {is}"));
        self.assert_each(wanted.into_iter().flat_map(|what| both(&what)));
    }

    pub fn assert_each(&self, wanted: impl IntoIterator<Item = String>) {
        let mut never: Vec<String> = wanted.into_iter().collect();
        never.retain(|what| self.get(what) == 0);
        assert!(never.is_empty(), "the random cases never had: {never:?}");
    }
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
