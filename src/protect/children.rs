//! Partitions and child tables, which are protected with the table above.

use pgrx::prelude::*;
use pgrx::spi::{SpiError, quote_literal};

use super::add;
use super::policies::{Protection, create_trigger, row_triggers};
use crate::catalog::{Catalog, own_table};
use crate::child_table::ChildTable;
use crate::error;
use crate::owner_sql::RunAsOwner;
use crate::protected::{FEATURE, TicketTable, display_name, kind_of};
use crate::shared::SharedTable;

/// Protects the partitions and child tables that are not protected yet, and gives back the trigger
/// that a partition loses when it is detached.
#[pg_extern(sql = false)]
pub fn protect_children() -> Result<(), SpiError> {
    refuse_unprotected_parents()?;
    while let Some((child, root)) = two_tables(
        "SELECT i.inhrelid, p.root::pg_catalog.oid
         FROM pg_catalog.pg_inherits AS i
         JOIN deskguard.protected_table AS p ON p.table_id::pg_catalog.oid OPERATOR(pg_catalog.=) i.inhparent
         JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) i.inhrelid
         WHERE NOT EXISTS (SELECT FROM deskguard.protected_table AS c
                           WHERE c.table_id::pg_catalog.oid OPERATOR(pg_catalog.=) i.inhrelid)
           AND c.relpersistence OPERATOR(pg_catalog.<>) 't'
         ORDER BY i.inhrelid LIMIT 1",
    )? {
        // SAFETY: a look-up in the system cache.
        let kind = unsafe { pg_sys::get_rel_relkind(child) } as u8 as char;
        if !matches!(kind, 'r' | 'p') {
            error::raise(
                PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
                format!("{} is a foreign table and cannot be protected", display_name(child)),
                format!("It cannot be a partition or child of {}.", display_name(root)),
            );
        }
        if with_protection(root, |protection| add(protection, child))?.is_none() {
            // The table above is gone: nobody sees the rows any more.
            return Ok(());
        }
    }
    // A restored dump has its triggers before its policies.
    while let Some((table, root)) = two_tables(
        "SELECT p.table_id::pg_catalog.oid, p.root::pg_catalog.oid
         FROM deskguard.protected_table AS p
         JOIN deskguard.protected_table AS r ON r.table_id OPERATOR(pg_catalog.=) p.root
         JOIN pg_catalog.pg_policy AS pol ON pol.polrelid OPERATOR(pg_catalog.=) p.table_id::pg_catalog.oid
           AND pol.polname OPERATOR(pg_catalog.=) 'deskguard_modify'
         WHERE p.kind OPERATOR(pg_catalog.=) ANY (ARRAY['tickets', 'shared'])
           AND p.table_id OPERATOR(pg_catalog.<>) p.root
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits AS i
                           WHERE i.inhrelid OPERATOR(pg_catalog.=) p.table_id::pg_catalog.oid)
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger AS t
                           WHERE t.tgrelid OPERATOR(pg_catalog.=) p.table_id::pg_catalog.oid
                             AND (t.tgtype::pg_catalog.int4 OPERATOR(pg_catalog.&) 1) OPERATOR(pg_catalog.=) 1
                             AND t.tgfoid OPERATOR(pg_catalog.=) ANY (ARRAY[
                                 'deskguard.note_ticket'::pg_catalog.regproc::pg_catalog.oid,
                                 'deskguard.object_gone'::pg_catalog.regproc::pg_catalog.oid]))
         ORDER BY p.table_id LIMIT 1",
    )? {
        with_protection(root, |protection| {
            row_triggers(&protection)
                .iter()
                .try_for_each(|trigger| create_trigger(trigger, true, table))
        })?;
    }
    Ok(())
}

/// Calls `then` with how a table is protected that was given to be protected; not if that is gone.
pub fn with_protection<T>(
    root: pg_sys::Oid,
    then: impl FnOnce(Protection) -> Result<T, SpiError>,
) -> Result<Option<T>, SpiError> {
    let catalog = Catalog::now();
    if let Some(tickets) = TicketTable::find(&catalog, root) {
        then(Protection::Tickets(&tickets)).map(Some)
    } else if let Some(followers) =
        TicketTable::find_by_followers(&catalog, root).and_then(|table| table.followers)
    {
        then(Protection::Followers(&followers)).map(Some)
    } else if let Some(messages) = ChildTable::find(&catalog, root) {
        then(Protection::Messages(&messages)).map(Some)
    } else if let Some(shared) = SharedTable::find(&catalog, root) {
        then(Protection::Shared(&shared)).map(Some)
    } else if kind_of(&catalog, root).as_deref() == Some(FEATURE) {
        then(Protection::Feature(root)).map(Some)
    } else {
        Ok(None)
    }
}

/// Through a table above that is not protected all rows would be seen.
fn refuse_unprotected_parents() -> Result<(), SpiError> {
    let exposed = two_tables(
        "SELECT i.inhrelid, i.inhparent
         FROM pg_catalog.pg_inherits AS i
         JOIN deskguard.protected_table AS p ON p.table_id::pg_catalog.oid OPERATOR(pg_catalog.=) i.inhrelid
         WHERE NOT EXISTS (SELECT FROM deskguard.protected_table AS c
                           WHERE c.table_id::pg_catalog.oid OPERATOR(pg_catalog.=) i.inhparent)
         ORDER BY i.inhrelid LIMIT 1",
    )?;
    if let Some((child, parent)) = exposed {
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
        );
    }
    Ok(())
}

/// Is a table attached to a protected one?
pub fn is_child_of_protected(table: pg_sys::Oid) -> Result<bool, SpiError> {
    let _owner = RunAsOwner::of(own_table(c"protected_table"));
    Ok(Spi::get_one_with_args(
        "SELECT EXISTS (
             SELECT FROM pg_catalog.pg_inherits AS i
             JOIN deskguard.protected_table AS p ON p.table_id::pg_catalog.oid OPERATOR(pg_catalog.=) i.inhparent
             WHERE i.inhrelid OPERATOR(pg_catalog.=) $1)",
        &[table.into()],
    )?
    .unwrap_or_default())
}

fn two_tables(query: &str) -> Result<Option<(pg_sys::Oid, pg_sys::Oid)>, SpiError> {
    let _owner = RunAsOwner::of(own_table(c"protected_table"));
    Spi::connect(|client| {
        let rows = client.select(query, Some(1), &[])?;
        if rows.is_empty() {
            return Ok(None);
        }
        let (child, root) = rows.first().get_two::<pg_sys::Oid, pg_sys::Oid>()?;
        Ok(child.zip(root))
    })
}
