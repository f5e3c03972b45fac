//! A new type of a column that the rules ask: PostgreSQL refuses it for a column in a policy. So around such an ALTER
//! TABLE the policies and triggers are taken off and put on again, made for the new type. Meanwhile the table is
//! locked against all others, and closed to who bypasses nothing. All that is registered of it stays as it is.

use deskguard_rules::TicketColumn;
use pgrx::prelude::*;
use pgrx::spi::SpiError;

use crate::pg::compat::owns_table;
use crate::pg::error;
use crate::pg::node::items;
use crate::pg::relation::{descendants, display_name, named, text};
use crate::pg::run_as_owner::RunAsOwner;
use crate::pg::scan::ScanKey;
use crate::protect::apply::{add_triggers, create_policies, drop_policies};
use crate::protect::check::{
    check_boolean, check_column, check_follower_kinds, check_reference, check_row_type,
    check_ticket_table,
};
use crate::protect::event_rows::finish;
use crate::protect::lock::lock_all;
use crate::protect::messages::check_children_fit;
use crate::protect::own_work::OwnWork;
use crate::protect::registry::registered_with;
use crate::protection::kinds;
use crate::signals::generation::{Subject, signal};
use crate::tables::catalog::{Catalog, is_installed, own_table};
use crate::tables::child_table::ChildTable;
use crate::tables::columns::{message_table, ticket_table};
use crate::tables::key::KeyType;
use crate::tables::registry::{MAPPINGS, column_name, root_of};
use crate::tables::shared_table::SharedTable;
use crate::tables::ticket_table::TicketTable;

/// Takes the policies and triggers of a table and its parts off, if the command gives a column that they may name
/// another type. Gives the table then.
///
/// # Safety
/// A parse tree.
pub unsafe fn uncover(command: &pg_sys::AlterTableStmt) -> Option<pg_sys::Oid> {
    // SAFETY: as the caller promises.
    let altered = unsafe { altered_columns(command) };
    if altered.is_empty() || !is_installed() {
        return None;
    }
    // SAFETY: as the caller promises; the user is of the backend.
    let (find, user) = unsafe { (|| named(command.relation), pg_sys::GetUserId()) };
    let table = find();
    let is_wanted = || {
        let catalog = Catalog::now();
        let root = root_of(&catalog, table)?;
        let mapped = mapped_columns(&catalog, root);
        let is_mapped = mapped.iter().any(|(column, _)| altered.contains(column));
        is_mapped.then_some(root)
    };
    // PostgreSQL says what is wrong otherwise.
    if table == pg_sys::InvalidOid || !owns_table(table, user) {
        return None;
    }
    is_wanted()?;
    lock_all(|| vec![table]);
    let root = is_wanted().filter(|_| find() == table)?;
    let _work = OwnWork::begin();
    for part in parts_of(root, table) {
        let _owner = RunAsOwner::of(part);
        finish(drop_policies(part));
    }
    Some(table)
}

/// Puts them on again, if the rules can do with the new type.
pub fn cover(table: pg_sys::Oid) {
    let catalog = Catalog::now();
    if let Some(root) = root_of(&catalog, table) {
        finish(check_types(&catalog, root).and_then(|_| put_on(&catalog, root, table)));
        // The column may have external keys now.
        signal(Subject::Tables);
    }
}

fn put_on(catalog: &Catalog, root: pg_sys::Oid, table: pg_sys::Oid) -> Result<(), SpiError> {
    let _work = OwnWork::begin();
    // Where the table above is gone, it stays closed.
    let Some(kind) = kinds::find(catalog, root) else {
        return Ok(());
    };
    for part in parts_of(root, table) {
        let _owner = RunAsOwner::of(part);
        // A table that the owner's own policies open has no mapped columns; if it ever has, this must not open it.
        create_policies(&*kind, part, !kind.is_opened_by_others())?;
        add_triggers(&*kind, part)?;
    }
    Ok(())
}

/// A table that was given to be protected, or one that was detached from it, with what is protected below it.
fn parts_of(root: pg_sys::Oid, table: pg_sys::Oid) -> Vec<pg_sys::Oid> {
    let below = descendants(table);
    let registered = registered_with(root).into_iter().map(|found| found.oid);
    registered
        .filter(|part| *part == table || below.contains(part))
        .collect()
}

/// The columns of a table that ALTER TABLE gives another type.
///
/// # Safety
/// A parse tree.
unsafe fn altered_columns(command: &pg_sys::AlterTableStmt) -> Vec<String> {
    // SAFETY: the list has such entries; such a part names its column.
    unsafe {
        items::<pg_sys::AlterTableCmd>(command.cmds)
            .iter()
            .map(|part| &**part)
            .filter(|part| part.subtype == pg_sys::AlterTableType::AT_AlterColumnType)
            .filter_map(|part| text(part.name))
            .collect()
    }
}

/// The columns that the registry names for a root, and whether each is of keys.
fn mapped_columns(catalog: &Catalog, root: pg_sys::Oid) -> Vec<(String, bool)> {
    // The event trigger looks after those by which others belong to messages.
    let no_keys = [
        (
            c"ticket_table",
            ticket_table::column(TicketColumn::Status).0,
        ),
        (
            c"ticket_table",
            ticket_table::column(TicketColumn::Confidential).0,
        ),
        (c"message_table", message_table::ID_COLUMN),
        (c"message_table", message_table::INTERNAL_COLUMN),
        (c"message_table", message_table::TYPE_COLUMN),
        (c"ticket_table", ticket_table::FOLLOWER_KIND_COLUMN),
        (c"ticket_table", ticket_table::FOLLOWER_TYPE_COLUMN),
    ];
    let mut found = vec![];
    for mapping in &MAPPINGS {
        let keys = [ScanKey::oid(mapping.of.0, root)];
        catalog.scan(mapping.registry, Some(mapping.index), &keys, |row| {
            for (attribute, _) in mapping.columns {
                let is_key = !no_keys.contains(&(mapping.registry, *attribute));
                found.extend(column_name(row, *attribute).map(|column| (column, is_key)));
            }
        });
    }
    found
}

/// Refuses what the rules cannot do with, as protecting the table with these columns would.
fn check_types(catalog: &Catalog, root: pg_sys::Oid) -> Result<(), SpiError> {
    let mapped = mapped_columns(catalog, root);
    for (column, _) in mapped.iter().filter(|(_, is_key)| *is_key) {
        let kind = check_column(root, column)?;
        for part in registered_with(root) {
            if KeyType::of_column(part.oid, column) != Some(kind) {
                refuse(
                    format!(
                        "column \"{column}\" of {} would hold other keys than that of {}",
                        display_name(root),
                        display_name(part.oid)
                    ),
                    "A partition that was detached is protected by the same columns: unprotect it first.",
                );
            }
        }
    }
    if let Some(tickets) = TicketTable::find(catalog, root) {
        check_ticket_table(&tickets)?;
        check_children_fit(root, Some(&tickets.id))?;
        check_followers_fit(&tickets)
    } else if let Some(tickets) = TicketTable::find_by_followers(catalog, root) {
        check_followers_fit(&tickets)
    } else if let Some(messages) = ChildTable::find(catalog, root) {
        if let Some(id) = messages.parent.id() {
            check_reference((root, &messages.column), (messages.parent.oid(), id))?;
        }
        if let Some(internal) = &messages.internal {
            check_boolean(root, internal, "internal_column")?;
        }
        check_row_type(root, &messages.row_type)?;
        check_children_fit(root, messages.id.as_deref())
    } else if let Some(shared) = SharedTable::find(catalog, root) {
        check_visibility(&shared)
    } else {
        Ok(())
    }
}

fn check_followers_fit(tickets: &TicketTable) -> Result<(), SpiError> {
    match &tickets.followers {
        Some(followers) => {
            check_reference(
                (followers.oid, &followers.ticket),
                (tickets.oid, &tickets.id),
            )?;
            check_column(followers.oid, &followers.agent)?;
            check_follower_kinds(followers)
        }
        None => Ok(()),
    }
}

/// With whom objects are shared is known by their keys.
fn check_visibility(shared: &SharedTable) -> Result<(), SpiError> {
    let _owner = RunAsOwner::of(own_table(c"shared_visibility"));
    let other = Spi::connect(|client| {
        client
            .select(
                "SELECT FROM deskguard.shared_visibility
                 WHERE object_table::pg_catalog.oid OPERATOR(pg_catalog.=) $1
                   AND (object_id IS NOT NULL) OPERATOR(pg_catalog.<>) $2",
                Some(1),
                &[
                    shared.oid.into(),
                    (shared.id_type == KeyType::Number).into(),
                ],
            )
            .map(|rows| !rows.is_empty())
    })?;
    if other {
        refuse(
            format!(
                "column \"{}\" of {} would hold other keys than those by which its rows are shared",
                shared.id,
                display_name(shared.oid)
            ),
            "Delete what is of this table in deskguard.shared_visibility, and insert it with the new keys after that.",
        );
    }
    Ok(())
}

fn refuse(message: String, hint: &str) -> ! {
    error::raise(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        message,
        hint,
    )
}
