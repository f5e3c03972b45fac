//! Puts policies and triggers on a help desk's tables, and takes them off again.

mod advice;
mod check;
mod children;
mod feature;
mod messages;
mod policies;
mod registry;
mod shared;

use std::cell::OnceCell;
use std::ffi::CStr;

use pgrx::prelude::*;
use pgrx::spi::SpiError;

use crate::catalog::Catalog;
use crate::child_table::{ChildTable, Parent};
use crate::error;
use crate::key::KeyType;
use crate::protected::{
    FOLLOWERS, FollowerTable, StatusColumn, TicketTable, display_name, protected_table, root_of,
    table_name,
};
use crate::shared::forget_visibility;
use advice::{advise_indexes, advise_preload};
use check::{check_follower_table, check_kind, check_owner, check_ticket_table};
use children::{is_child_of_protected, protect_children};
use messages::{check_children_fit, check_no_children, rebuild_parent};
use policies::{Protection, add_triggers, create_policies, drop_policies};
use registry::{features_of, forget, forget_features, register, registered_with};

#[pg_extern(sql = false)]
#[allow(clippy::too_many_arguments)]
fn protect_tickets(
    ticket_table: Option<pg_sys::Oid>,
    id_column: Option<&CStr>,
    department_column: Option<&CStr>,
    category_column: Option<&CStr>,
    assignee_column: Option<&CStr>,
    team_column: Option<&CStr>,
    follower_table: Option<pg_sys::Oid>,
    follower_ticket_column: Option<&CStr>,
    follower_agent_column: Option<&CStr>,
    unassigned_value: Option<i64>,
    status_column: Option<&CStr>,
    archived_values: Option<Vec<Option<String>>>,
    spam_values: Option<Vec<Option<String>>>,
    confidential_column: Option<&CStr>,
) -> Result<(), SpiError> {
    let Some(oid) = ticket_table else {
        error::raise(
            PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
            "ticket_table must not be NULL",
            "Name the table of the tickets.",
        )
    };
    let id = needed(id_column, "id_column");
    let table = TicketTable {
        oid,
        // Checked below, where a column of another type is refused.
        id_type: KeyType::of_column(oid, &id).unwrap_or(KeyType::Number),
        id,
        department: given(department_column),
        category: given(category_column),
        assignee: given(assignee_column),
        team: given(team_column),
        unassigned_value,
        followers: follower_table.map(|oid| {
            let ticket = needed(follower_ticket_column, "follower_ticket_column");
            let agent = needed(follower_agent_column, "follower_agent_column");
            FollowerTable::new(oid, ticket, agent)
        }),
        confidential: given(confidential_column),
        status: status(given(status_column), archived_values, spam_values),
        find_query: OnceCell::new(),
    };
    check_ticket_table(&table)?;
    check_children_fit(oid, Some(&table.id))?;
    if let Some(followers) = &table.followers {
        check_follower_table(&table, followers)?;
    }
    if let Some(former) = TicketTable::find(&Catalog::now(), oid).and_then(|t| t.followers) {
        check_owner(former.oid);
        release(former.oid)?;
    }
    remove(oid)?;
    add(Protection::Tickets(&table), oid)?;
    if let Some(followers) = &table.followers {
        remove(followers.oid)?;
        add(Protection::Followers(followers), followers.oid)?;
    }
    protect_children()?;
    advise_indexes(&table)?;
    advise_preload();
    Ok(())
}

/// The status column with its values that mean something.
fn status(
    column: Option<String>,
    archived: Option<Vec<Option<String>>>,
    spam: Option<Vec<Option<String>>>,
) -> Option<StatusColumn> {
    let values = |given: Option<Vec<Option<String>>>, what: &str| -> Vec<String> {
        let all = given.unwrap_or_default().into_iter().map(|value| {
            value.unwrap_or_else(|| {
                error::raise(
                    PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
                    format!("{what} must not contain NULL"),
                    "Name the statuses.",
                )
            })
        });
        all.collect()
    };
    let archived = values(archived, "archived_values");
    let spam = values(spam, "spam_values");
    if column.is_some() != (!archived.is_empty() || !spam.is_empty()) {
        error::raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            "status_column and its values belong together",
            "Give status_column with archived_values or spam_values or both, or none of them.",
        );
    }
    Some(StatusColumn {
        name: column?,
        archived,
        spam,
    })
}

fn given(name: Option<&CStr>) -> Option<String> {
    name.map(|name| name.to_string_lossy().into_owned())
}

fn needed(name: Option<&CStr>, what: &str) -> String {
    given(name).unwrap_or_else(|| {
        error::raise(
            PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
            format!("{what} must not be NULL"),
            "Leave it out for its default, or name a column.",
        )
    })
}

#[pg_extern(sql = false)]
fn unprotect(protected_table: Option<pg_sys::Oid>) -> Result<(), SpiError> {
    let Some(oid) = protected_table else {
        error::raise(
            PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
            "protected_table must not be NULL",
            "Name a protected table.",
        )
    };
    let catalog = Catalog::now();
    check_owner(oid);
    if let Some(tickets) = TicketTable::find_by_followers(&catalog, oid) {
        error::raise(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!(
                "{} is protected with its ticket table {}",
                display_name(oid),
                tickets.name()
            ),
            "Unprotect the ticket table, or call deskguard.protect_tickets() for it without the follower table.",
        );
    }
    match root_of(&catalog, oid) {
        None => refuse_unprotected(oid),
        Some(root) if root != oid && is_child_of_protected(oid)? => error::raise(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!(
                "{} is protected with {}",
                display_name(oid),
                display_name(root)
            ),
            "Unprotect that table, or detach this one from it first.",
        ),
        Some(_) => {}
    }
    check_no_children(oid)?;
    if let Some(followers) = TicketTable::find(&catalog, oid).and_then(|t| t.followers) {
        check_owner(followers.oid);
        release(followers.oid)?;
        protect_children()?;
    }
    forget_features(oid)?;
    forget_visibility(oid, None)?;
    let parent = ChildTable::find(&catalog, oid).map(|table| table.parent);
    remove(oid)?;
    if let Some(parent @ Parent::Messages(_)) = parent {
        rebuild_parent(&parent)?;
        protect_children()?;
    }
    Ok(())
}

/// What is not protected cannot be unprotected.
fn refuse_unprotected(table: pg_sys::Oid) -> ! {
    let mut names = vec![];
    Catalog::now().scan(c"protected_table", None, &[], |row| {
        let given: pg_sys::Oid = row.required(protected_table::TABLE_ID);
        // Others are unprotected with these.
        if row.required::<pg_sys::Oid>(protected_table::ROOT) == given
            && row.required::<&str>(protected_table::KIND) != FOLLOWERS
        {
            names.extend(table_name(given));
        }
    });
    names.sort();
    error::raise(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("{} is not protected", display_name(table)),
        if names.is_empty() {
            "Protect one: SELECT deskguard.protect_tickets('your_tickets', ...).".into()
        } else {
            format!("Protected tables: {}.", names.join(", "))
        },
    )
}

/// Protects one table and notes it in the registry.
fn add(protection: Protection, table: pg_sys::Oid) -> Result<(), SpiError> {
    // Those of a protection that is not in the registry: of a dump without data, or what an
    // extension that was dropped left behind. First, since nothing may be dropped from tables in
    // the registry.
    drop_policies(table)?;
    register(&protection, table)?;
    // Only features: policies of the owner's own that open the table go on to do so.
    let open = !matches!(protection, Protection::Feature(_)) || !has_row_security(table)?;
    Spi::run(&format!(
        "ALTER TABLE {} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
        display_name(table)
    ))?;
    create_policies(&protection, table, open)?;
    add_triggers(&protection, table)
}

fn has_row_security(table: pg_sys::Oid) -> Result<bool, SpiError> {
    let flag = Spi::get_one_with_args::<bool>(
        "SELECT relrowsecurity FROM pg_catalog.pg_class WHERE oid OPERATOR(pg_catalog.=) $1",
        &[table.into()],
    )?;
    Ok(flag.unwrap_or_default())
}

/// Protects a table anew.
fn rebuild(protection: Protection, table: pg_sys::Oid) -> Result<(), SpiError> {
    remove(table)?;
    add(protection, table)
}

/// Ends the protection of a follower table, but for the features that it needs.
fn release(table: pg_sys::Oid) -> Result<(), SpiError> {
    remove(table)?;
    if features_of(table)?.is_empty() {
        Ok(())
    } else {
        add(Protection::Feature(table), table)
    }
}

/// Takes a protected table, its partitions and children out of the registry and removes what was
/// added to them.
fn remove(root: pg_sys::Oid) -> Result<(), SpiError> {
    let registered = registered_with(root)?;
    // First, since nothing may be dropped from tables in the registry.
    forget(&registered)?;
    for table in registered {
        let Some(name) = table_name(table.oid) else {
            continue;
        };
        drop_policies(table.oid)?;
        Spi::run(&format!(
            "ALTER TABLE {name} {} ROW LEVEL SECURITY, {} ROW LEVEL SECURITY",
            if table.had_row_security {
                "ENABLE"
            } else {
                "DISABLE"
            },
            if table.had_force { "FORCE" } else { "NO FORCE" },
        ))?;
    }
    Ok(())
}
