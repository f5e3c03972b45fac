//! Partitions and child tables, which are protected with the table above.

use pgrx::prelude::*;
use pgrx::spi::{SpiError, quote_literal};

use super::add;
use super::policies::{Protection, create_trigger, row_triggers, triggers};
use super::registry::is_registered;
use crate::catalog::Catalog;
use crate::child_table::ChildTable;
use crate::error;
use crate::protected::{FEATURE, TicketTable, display_name, kind_of, root_of};
use crate::relation::{Class, children, descendants, parents};
use crate::shared::SharedTable;

/// Protects those of these tables, with what is below them, that are not protected yet.
pub fn protect_parts(
    protection: &Protection,
    parts: impl IntoIterator<Item = pg_sys::Oid>,
) -> Result<(), SpiError> {
    for part in parts {
        for table in std::iter::once(part).chain(descendants(part)) {
            let Some(class) = Class::of(table) else {
                continue;
            };
            if class.is_temporary || is_registered(&Catalog::now(), table) {
                continue;
            }
            if class.kind == pg_sys::RELKIND_FOREIGN_TABLE {
                error::raise(
                    PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
                    format!(
                        "{} is a foreign table and cannot be protected",
                        display_name(table)
                    ),
                    format!(
                        "It cannot be a partition or child of {}.",
                        display_name(protection.root())
                    ),
                );
            }
            add(protection, table)?;
        }
    }
    Ok(())
}

/// Protects all tables below a protected one.
pub fn protect_below(protection: &Protection) -> Result<(), SpiError> {
    protect_parts(protection, children(protection.root()))
}

/// Gives a table that was a partition the triggers that it has lost with that.
pub fn restore_triggers(table: pg_sys::Oid) -> Result<(), SpiError> {
    let catalog = Catalog::now();
    let root = root_of(&catalog, table).filter(|root| *root != table);
    let Some(root) = root.filter(|_| parents(table).is_empty()) else {
        return Ok(());
    };
    with_protection(&catalog, root, |protection| {
        let missing = || {
            // SAFETY: the relation is open.
            let relation = unsafe {
                pgrx::PgRelation::with_lock(table, pg_sys::AccessShareLock as pg_sys::LOCKMODE)
            };
            // SAFETY: the triggers are not used after it is closed.
            let there = unsafe { triggers(&relation) };
            let mut all = row_triggers(protection);
            all.retain(|trigger| !there.iter().any(|found| trigger.is_on(found)));
            all
        };
        missing()
            .iter()
            .try_for_each(|trigger| create_trigger(trigger, true, table))
    })
    .unwrap_or(Ok(()))
}

/// Calls `then` with how a table is protected that was given to be protected; not if that is gone.
pub fn with_protection<T>(
    catalog: &Catalog,
    root: pg_sys::Oid,
    then: impl FnOnce(&Protection) -> T,
) -> Option<T> {
    if let Some(tickets) = TicketTable::find(catalog, root) {
        Some(then(&Protection::Tickets(&tickets)))
    } else if let Some(followers) =
        TicketTable::find_by_followers(catalog, root).and_then(|table| table.followers)
    {
        Some(then(&Protection::Followers(&followers)))
    } else if let Some(messages) = ChildTable::find(catalog, root) {
        Some(then(&Protection::Messages(&messages)))
    } else if let Some(shared) = SharedTable::find(catalog, root) {
        Some(then(&Protection::Shared(&shared)))
    } else if kind_of(catalog, root).as_deref() == Some(FEATURE) {
        Some(then(&Protection::Feature(root)))
    } else {
        None
    }
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
        .any(|parent| is_registered(catalog, parent))
}
