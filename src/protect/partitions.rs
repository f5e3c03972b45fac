//! Partitions and child tables, which are protected with the table above.

use pgrx::prelude::*;
use pgrx::spi::{SpiError, quote_literal};

use crate::pg::error;
use crate::pg::relation::{display_name, parents};
use crate::protect::apply::create_trigger;
use crate::protection::kinds;
use crate::protection::trigger::triggers;
use crate::tables::catalog::Catalog;
use crate::tables::registry::root_of;

/// Gives a table that was a partition the triggers that it has lost with that.
pub fn restore_triggers(table: pg_sys::Oid) -> Result<(), SpiError> {
    let catalog = Catalog::now();
    let root = root_of(&catalog, table).filter(|root| *root != table);
    let Some(root) = root.filter(|_| parents(table).is_empty()) else {
        return Ok(());
    };
    let Some(kind) = kinds::find(&catalog, root) else {
        return Ok(());
    };
    let missing = || {
        // SAFETY: the relation is open.
        let relation = unsafe {
            pgrx::PgRelation::with_lock(table, pg_sys::AccessShareLock as pg_sys::LOCKMODE)
        };
        // SAFETY: the triggers are not used after it is closed.
        let there = unsafe { triggers(&relation) };
        let mut all = kind.row_triggers();
        all.retain(|trigger| !there.iter().any(|found| trigger.is_on(found)));
        all
    };
    missing()
        .iter()
        .try_for_each(|trigger| create_trigger(trigger, true, table))
}

/// Through a table above that is not protected all rows would be seen.
pub fn refuse_below_unprotected(child: pg_sys::Oid, parent: pg_sys::Oid) -> ! {
    error::raise(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!(
            "{} is protected and {} is not, through which its rows would be seen",
            display_name(child),
            display_name(parent)
        ),
        format!(
            "SELECT deskguard.unprotect({}), make it a partition or child, and protect the table above.",
            quote_literal(display_name(child))
        ),
    )
}

/// Is a table attached to a protected one?
pub fn is_child_of_protected(catalog: &Catalog, table: pg_sys::Oid) -> bool {
    parents(table)
        .into_iter()
        .any(|parent| root_of(catalog, parent).is_some())
}
