//! Protects messages, attachments and other tables whose rows are seen with a ticket.

use std::ffi::CStr;

use pgrx::prelude::*;
use pgrx::spi::{SpiError, quote_literal};

use crate::pg::error::{self, refuse_read_only};
use crate::pg::relation::{display_name, hold};
use crate::protect::advice::{advise, advise_preload};
use crate::protect::apply::{add_with_parts, rebuild, remove};
use crate::protect::arguments::{
    ONE_MEANING, TypeArguments, given, needed, not_null, refuse_given_twice, row_type,
};
use crate::protect::check::{
    check_boolean, check_column, check_kind, check_not_otherwise, check_owner, check_reference,
    check_row_type,
};
use crate::protect::dropped_rules::{dropped_rules_of_messages, refuse_dropped_rules};
use crate::protect::lock::lock_all;
use crate::protect::own_work::OwnWork;
use crate::tables::catalog::Catalog;
use crate::tables::child_table::{ChildTable, Parent};
use crate::tables::registry::{MESSAGES, children_of, root_of};
use crate::tables::row_type::OTHERS_HIDDEN;
use crate::tables::ticket_table::TicketTable;

/// As version 0.1.0 declares it, until its SQL is updated.
#[pg_extern(sql = false)]
fn protect_messages(
    message_table: Option<pg_sys::Oid>,
    ticket_table: Option<pg_sys::Oid>,
    ticket_column: Option<&CStr>,
    author_column: Option<&CStr>,
    drop_rules: Option<bool>,
) -> Result<(), SpiError> {
    protect_message_table(
        message_table,
        ticket_table,
        ticket_column,
        author_column,
        drop_rules,
        None,
        None,
        None,
        Some(OTHERS_HIDDEN),
    )
}

/// deskguard.protect_messages
#[pg_extern(sql = false)]
#[allow(clippy::too_many_arguments)]
fn protect_message_table(
    message_table: Option<pg_sys::Oid>,
    ticket_table: Option<pg_sys::Oid>,
    ticket_column: Option<&CStr>,
    author_column: Option<&CStr>,
    drop_rules: Option<bool>,
    internal_column: Option<&CStr>,
    type_column: Option<&CStr>,
    type_values: Option<Vec<Option<String>>>,
    other_types: Option<&str>,
) -> Result<(), SpiError> {
    let (oid, parent) = not_null(
        message_table.zip(ticket_table),
        "message_table and ticket_table",
        "Name the table of the messages, and that of the tickets that they belong to.",
    );
    let column = needed(ticket_column, "ticket_column");
    let (author, internal) = (given(author_column), given(internal_column));
    let row_type = row_type(
        given(type_column),
        type_values,
        other_types,
        TypeArguments {
            column: "type_column",
            values: "type_values",
            others: "other_types",
        },
    );
    refuse_read_only("deskguard.protect_messages");
    check_kind(oid)?;
    check_owner(parent);
    let changing_parents = || changing_parents(oid, Some(parent));
    // It stays protected meanwhile.
    if !changing_parents().contains(&parent) {
        hold(parent);
    }
    lock_all(|| {
        let parents = changing_parents();
        parents.iter().for_each(|parent| check_owner(*parent));
        std::iter::once(oid).chain(parents).collect()
    });
    let changing_parents = changing_parents();
    check_message_table(oid)?;
    for column in std::iter::once(&column).chain(&author) {
        check_column(oid, column)?;
    }
    if let Some(internal) = &internal {
        check_boolean(oid, internal, "internal_column")?;
    }
    check_row_type(oid, &row_type)?;
    let mut columns: Vec<&String> = std::iter::once(&column).chain(&author).collect();
    columns.extend(&internal);
    columns.extend(row_type.iter().map(|of| &of.column));
    columns.sort_unstable();
    if let Some(twice) = columns.windows(2).find(|pair| pair[0] == pair[1]) {
        refuse_given_twice(twice[0], ONE_MEANING);
    }
    let parent = check_parent(oid, parent)?;
    if let Some(id) = parent.id() {
        check_reference((oid, &column), (parent.oid(), id))?;
    }
    let table = ChildTable::new(
        oid,
        parent,
        column,
        key_of(oid)?,
        author,
        internal,
        row_type,
    );
    check_children_fit(oid, table.id.as_deref())?;
    if let Some(former) = &ChildTable::find(&Catalog::now(), oid) {
        let dropped = dropped_rules_of_messages(former, &table);
        refuse_dropped_rules(oid, &dropped, drop_rules == Some(true));
    }
    let _work = OwnWork::begin();
    remove(oid)?;
    add_with_parts(&table, oid)?;
    changing_parents.into_iter().try_for_each(rebuild_parent)?;
    advise(&[(oid, &table.column, table.row_type.as_ref())])?;
    advise_preload();
    Ok(())
}

/// The messages whose policies change if the rows of a table belong to this parent from now on, or to none:
/// they ask for more as long as something hangs on the messages.
pub fn changing_parents(table: pg_sys::Oid, parent: Option<pg_sys::Oid>) -> Vec<pg_sys::Oid> {
    let catalog = Catalog::now();
    let former = ChildTable::find(&catalog, table).map(|table| table.parent.oid());
    if former == parent {
        return vec![];
    }
    let mut parents: Vec<pg_sys::Oid> = former.into_iter().chain(parent).collect();
    parents.retain(|parent| {
        let children = children_of(&catalog, *parent);
        ChildTable::find(&catalog, *parent).is_some()
            && children.iter().all(|(child, _)| *child == table)
    });
    parents
}

/// Gives messages the policies that they are to have now.
pub fn rebuild_parent(messages: pg_sys::Oid) -> Result<(), SpiError> {
    match ChildTable::find(&Catalog::now(), messages) {
        Some(table) => rebuild(&table, messages),
        None => Ok(()),
    }
}

fn check_message_table(table: pg_sys::Oid) -> Result<(), SpiError> {
    check_kind(table)?;
    let catalog = Catalog::now();
    let problem = if TicketTable::find(&catalog, table).is_some() {
        Some("is a protected ticket table".into())
    } else {
        TicketTable::find_by_followers(&catalog, table)
            .map(|tickets| format!("is the follower table of {}", tickets.name()))
    };
    if let Some(problem) = problem {
        error::raise(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("{} {problem}", display_name(table)),
            "A table is protected in one way only.",
        );
    }
    check_not_otherwise(table, MESSAGES);
    Ok(())
}

/// The tickets, or messages, that rows of the table are to belong to.
fn check_parent(table: pg_sys::Oid, parent: pg_sys::Oid) -> Result<Parent, SpiError> {
    check_owner(parent);
    let catalog = Catalog::now();
    let Some(found) = Parent::find(&catalog, parent) else {
        let name = display_name(parent);
        let (message, hint) = match root_of(&catalog, parent) {
            Some(root) if root != parent => (
                format!("{name} is a part of {}", display_name(root)),
                "Name that table.".into(),
            ),
            _ => (
                format!("{name} is not a protected ticket or message table"),
                format!(
                    "Protect it first: SELECT deskguard.protect_tickets({}, ...), or protect_messages() if it holds messages.",
                    quote_literal(&name)
                ),
            ),
        };
        error::raise(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            message,
            hint,
        )
    };
    let mut above = &found;
    loop {
        if above.oid() == table {
            error::raise(
                PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
                format!(
                    "rows of {} cannot belong to themselves",
                    display_name(table)
                ),
                "Name the table of the tickets.",
            );
        }
        match above {
            Parent::Tickets(_) => break,
            Parent::Messages(messages) => above = &messages.parent,
        }
    }
    if found.id().is_none() {
        error::raise(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!(
                "{} has no primary key of a single column, of integers, uuids or texts, by which other tables could refer to its rows",
                display_name(parent)
            ),
            "Give it one, and call deskguard.protect_messages() for it again.",
        );
    }
    Ok(found)
}

/// The primary key, if it is a single column of a type that keys have.
fn key_of(table: pg_sys::Oid) -> Result<Option<String>, SpiError> {
    Spi::connect(|client| {
        client
            .select(
                "SELECT a.attname::pg_catalog.text
                 FROM pg_catalog.pg_index AS i
                 JOIN pg_catalog.pg_attribute AS a
                   ON a.attrelid OPERATOR(pg_catalog.=) i.indrelid
                  AND a.attnum OPERATOR(pg_catalog.=) i.indkey[0]
                 WHERE i.indrelid OPERATOR(pg_catalog.=) $1 AND i.indisprimary AND i.indisvalid
                   AND i.indnkeyatts OPERATOR(pg_catalog.=) 1
                   AND a.atttypid OPERATOR(pg_catalog.=) ANY (
                       ARRAY['int2', 'int4', 'int8', 'uuid', 'text', 'varchar']
                       ::pg_catalog.regtype[]::pg_catalog.oid[])",
                Some(1),
                &[table.into()],
            )?
            .next()
            .map(|row| row.get(1))
            .transpose()
            .map(Option::flatten)
    })
}

/// A table with protected children keeps a key of the type by which they refer to it.
pub fn check_children_fit(table: pg_sys::Oid, id: Option<&str>) -> Result<(), SpiError> {
    let catalog = Catalog::now();
    for (child, _) in children_of(&catalog, table) {
        let Some(id) = id else {
            error::raise(
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!(
                    "{} has no primary key of a single column, of integers, uuids or texts, but {} belongs to it",
                    display_name(table),
                    display_name(child)
                ),
                format!("Unprotect {} first.", display_name(child)),
            );
        };
        if let Some(child) = ChildTable::find(&catalog, child) {
            check_reference((child.oid, &child.column), (table, id))?;
        }
    }
    Ok(())
}

/// Refuses to unprotect a table to which protected tables belong.
pub fn check_no_children(table: pg_sys::Oid) {
    let children = children_of(&Catalog::now(), table).into_iter();
    let children: Vec<String> = children.map(|(child, _)| display_name(child)).collect();
    if children.is_empty() {
        return;
    }
    error::raise(
        PgSqlErrorCode::ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST,
        format!(
            "cannot unprotect {}: {} belongs to it and is seen with its rows",
            display_name(table),
            children.join(", ")
        ),
        format!(
            "First: {}",
            children
                .iter()
                .map(|child| format!("SELECT deskguard.unprotect({});", quote_literal(child)))
                .collect::<Vec<_>>()
                .join(" ")
        ),
    )
}
