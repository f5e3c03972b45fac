//! Mirrors, when what is below their sources is altered or dropped.

use std::collections::HashSet;
use std::ffi::CString;

use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::spi::SpiError;

use crate::mirrors::below::below;
use crate::mirrors::keep::{changed, is_restored};
use crate::mirrors::registry::{Mirror, mirrors};
use crate::pg::error;
use crate::pg::relation::{Class, ancestors, display_name, open};
use crate::protect::dropped::Dropped;
use crate::protect::mirror::{check_source, forget};
use crate::protect::mirror_triggers::{put_triggers, trigger_name};
use crate::protection::trigger::{MIRROR_CHANGED, triggers};
use crate::tables::catalog::own_function;

/// A command has touched these relations.
pub fn look_at(touched: &HashSet<pg_sys::Oid>) -> Result<(), SpiError> {
    if touched.is_empty() {
        return Ok(());
    }
    let all = mirrors();
    if all.is_empty() || is_restored() {
        return Ok(());
    }
    let heard: HashSet<i64> = touched.iter().flat_map(|table| heard_by(*table)).collect();
    for mirror in all {
        let read = below(mirror.source);
        let is_read = |relation: &pg_sys::Oid| {
            read.has_table(*relation)
                || read.views.contains(relation)
                || read
                    .tables
                    .keys()
                    .any(|table| ancestors(*table).contains(relation))
        };
        if heard.contains(&mirror.id) || touched.iter().any(is_read) {
            check_source(mirror.target, mirror.source)?;
            put_triggers(mirror)?;
            changed(mirror.id);
        }
    }
    Ok(())
}

/// The mirrors whose triggers are on a table.
fn heard_by(table: pg_sys::Oid) -> Vec<i64> {
    let function = own_function(MIRROR_CHANGED, &[]);
    if !Class::of(table).is_some_and(|class| class.is_table()) {
        return vec![];
    }
    let relation = open(table);
    // SAFETY: the relation is open; a trigger has so many arguments.
    unsafe {
        triggers(&relation)
            .iter()
            .filter(|one| Some(one.tgfoid) == function && one.tgnargs > 0)
            .filter_map(|one| {
                let argument = std::ffi::CStr::from_ptr(*one.tgargs);
                argument.to_str().ok()?.parse().ok()
            })
            .collect()
    }
}

/// A command has dropped something.
pub fn look_at_dropped(dropped: &Dropped) -> Result<(), SpiError> {
    if dropped.tables.is_empty() && dropped.views.is_empty() && dropped.parts.is_empty() {
        return Ok(());
    }
    let all = mirrors();
    let is_restored = !all.is_empty() && is_restored();
    for mirror in all {
        if dropped.tables.contains(&mirror.source) || dropped.views.contains(&mirror.source) {
            if dropped.is_of_relation && !is_restored {
                refuse(
                    &mirror,
                    &format!("cannot drop the source of mirror {}", mirror.id),
                );
            }
            forget(mirror, false)?;
        } else {
            for (_, names) in dropped.parts.iter().filter(|(kind, _)| kind == "trigger") {
                trigger_dropped(&mirror, names, is_restored);
            }
        }
    }
    Ok(())
}

fn trigger_dropped(mirror: &Mirror, [schema, table, name]: &[String; 3], is_restored: bool) {
    let own = trigger_name(mirror.id);
    let rest = name.strip_prefix(&own);
    if !matches!(rest, Some("" | "_update" | "_truncate")) {
        return;
    }
    let found = || {
        let schema = CString::new(schema.as_str()).ok()?;
        let table = CString::new(table.as_str()).ok()?;
        // SAFETY: look-ups in the system cache.
        unsafe {
            let schema = pg_sys::get_namespace_oid(schema.as_ptr(), true);
            let table = pg_sys::get_relname_relid(table.as_ptr(), schema);
            (table != pg_sys::InvalidOid).then_some(table)
        }
    };
    match found() {
        _ if is_restored => {}
        Some(table) if below(mirror.source).has_table(table) => refuse(
            mirror,
            &format!(
                "cannot drop trigger {name} on {}, by which mirror {} hears of changes",
                display_name(table),
                mirror.id
            ),
        ),
        // With its rows.
        _ => changed(mirror.id),
    }
}

fn refuse(mirror: &Mirror, what: &str) -> ! {
    error::raise(
        PgSqlErrorCode::ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST,
        what,
        format!(
            "End the mirror first: SELECT deskguard.unmirror({});",
            mirror.id
        ),
    )
}
