//! Which of the rules a function is, and which function a rule is, as this backend remembers it.

use std::cell::RefCell;
use std::collections::HashMap;

use pgrx::pg_sys;

use crate::signals::generation;
use crate::tables::rule_function::RuleFunction;

#[derive(Default)]
struct Known {
    /// As of which count of changes of functions.
    changes: u32,
    rules: HashMap<pg_sys::Oid, Option<RuleFunction>>,
    functions: Vec<((RuleFunction, pg_sys::Oid), Option<pg_sys::Oid>)>,
}

thread_local! {
    static KNOWN: RefCell<Known> = RefCell::default();
}

/// What is known, or else is found out, and known as long as no function changes.
fn known<T: Copy>(
    find: impl FnOnce(&Known) -> Option<T>,
    find_out: impl FnOnce() -> T,
    store: impl FnOnce(&mut Known, T),
) -> T {
    let changes = generation::function_changes();
    let found = KNOWN.with_borrow_mut(|known| {
        if known.changes != changes {
            *known = Known::default();
            known.changes = changes;
        }
        find(known)
    });
    found.unwrap_or_else(|| {
        let found = find_out();
        // What was heard of meanwhile may be in it, or not.
        if generation::function_changes() == changes {
            KNOWN.with_borrow_mut(|known| store(known, found));
        }
        found
    })
}

/// The rule that a function is, if it is one.
pub fn rule_of(function: pg_sys::Oid) -> Option<RuleFunction> {
    known(
        |known| known.rules.get(&function).copied(),
        || RuleFunction::of(function),
        |known, rule| {
            known.rules.insert(function, rule);
        },
    )
}

/// The function that a rule is; where there is one for each type of keys, that for this type.
pub fn function_of(rule: RuleFunction, key: pg_sys::Oid) -> Option<pg_sys::Oid> {
    let wanted = (rule, key);
    known(
        |known| {
            let mut all = known.functions.iter();
            all.find(|(of, _)| *of == wanted).map(|(_, found)| *found)
        },
        || rule.oid(key),
        |known, found| known.functions.push((wanted, found)),
    )
}
