//! Triggers of deskguard that somebody switched off, or on again for local changes only.
//!
//! ALTER TABLE ... DISABLE TRIGGER ALL and ENABLE TRIGGER ALL, as of pg_restore --disable-triggers, take
//! all triggers of a table. Those that hear of changes are put back at once.

use std::ffi::{CStr, CString};

use pgrx::prelude::*;
use pgrx::spi::{SpiError, quote_identifier};
use pgrx::{PgRelation, pg_sys};

use crate::pg::relation::display_name;
use crate::pg::run_as_owner::RunAsOwner;
use crate::protect::own_work::OwnWork;
use crate::protection::trigger::{ALWAYS, ORIGIN, fires_always, triggers};
use crate::signals::registry::signal_everything;
use crate::tables::catalog::own_function_name;
use crate::tables::references;

/// The functions of triggers on deskguard's own tables that must hear of every change.
const HEARS: [&CStr; 2] = [c"rights_changed", c"protection_changed"];

/// Puts back those of a table, a protected one or one of deskguard's own.
pub fn put_back(table: pg_sys::Oid) -> Result<(), SpiError> {
    let wanted = |function| {
        let hears =
            || own_function_name(function).is_some_and(|name| HEARS.contains(&name.as_c_str()));
        fires_always(function).or_else(|| hears().then_some(true))
    };
    let changed: Vec<(CString, &str)> = {
        // SAFETY: the relation is open; its triggers belong to its entry in the cache.
        unsafe {
            let lock = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
            let relation = PgRelation::with_lock(table, lock);
            let all = triggers(&relation);
            all.iter()
                .filter_map(|trigger| {
                    let now = trigger.tgenabled as u8;
                    let change = match wanted(trigger.tgfoid) {
                        Some(true) => (now != ALWAYS).then_some("ENABLE ALWAYS"),
                        Some(false) => (![ALWAYS, ORIGIN].contains(&now)).then_some("ENABLE"),
                        None => references::is_to_be_off(trigger, all).then_some("DISABLE"),
                    };
                    change.map(|change| (CStr::from_ptr(trigger.tgname).to_owned(), change))
                })
                .collect()
        }
    };
    if changed.is_empty() {
        return Ok(());
    }
    // As the table's owner, who may be somebody else than who may alter it.
    let _owner = RunAsOwner::of(table);
    let _work = OwnWork::begin();
    for (name, change) in changed {
        Spi::run(&format!(
            "ALTER TABLE {} {change} TRIGGER {}",
            display_name(table),
            quote_identifier(name.to_string_lossy()),
        ))?;
    }
    // What changed meanwhile nobody has heard of.
    signal_everything();
    Ok(())
}
