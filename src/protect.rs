//! Puts policies and triggers on a help desk's tables, and takes them off again.

mod advice;
mod check;
mod columns;
mod ddl;
mod dropped_rules;
mod drops;
mod event_rows;
pub mod exposed;
mod feature;
mod foreign_key_checks;
mod lock;
mod messages;
mod names;
mod own_triggers;
mod own_work;
mod partitions;
mod policies;
mod registry;
mod registry_triggers;
mod shared;
mod signal;
pub mod whole;

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
use crate::relation::Class;
use crate::shared::forget_visibility;
use advice::{advise_indexes, advise_preload};
use check::{check_follower_table, check_kind, check_owner, check_ticket_table};
use dropped_rules::{dropped_rules_of_tickets, refuse_dropped_rules};
use lock::lock_all;
use messages::{check_children_fit, check_no_children, rebuild_parent};
use own_work::OwnWork;
use partitions::{is_child_of_protected, protect_below};
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
    drop_rules: Option<bool>,
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
    let former = TicketTable::find(&Catalog::now(), oid);
    if let Some(former) = &former {
        refuse_dropped_rules(
            oid,
            &dropped_rules_of_tickets(former, &table),
            drop_rules == Some(true),
        );
    }
    let former_followers = former.and_then(|former| former.followers);
    if let Some(former) = &former_followers {
        check_owner(former.oid);
    }
    let _work = OwnWork::begin();
    let followers = [former_followers.as_ref(), table.followers.as_ref()];
    let followers = followers
        .into_iter()
        .flatten()
        .map(|followers| followers.oid);
    lock_all(&std::iter::once(oid).chain(followers).collect::<Vec<_>>());
    if let Some(former) = former_followers {
        release(former.oid)?;
    }
    remove(oid)?;
    add_with_parts(&Protection::Tickets(&table), oid)?;
    if let Some(followers) = &table.followers {
        remove(followers.oid)?;
        add_with_parts(&Protection::Followers(followers), followers.oid)?;
    }
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
        Some(root) if root != oid && is_child_of_protected(&catalog, oid) => error::raise(
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
    check_no_children(oid);
    let followers = TicketTable::find(&catalog, oid).and_then(|t| t.followers);
    if let Some(followers) = &followers {
        check_owner(followers.oid);
    }
    let parent = ChildTable::find(&catalog, oid).map(|table| table.parent);
    let parent = parent.filter(|parent| matches!(parent, Parent::Messages(_)));
    if let Some(parent) = &parent {
        check_owner(parent.oid());
    }
    let _work = OwnWork::begin();
    let followers = followers.map(|followers| followers.oid);
    let others = followers
        .into_iter()
        .chain(parent.as_ref().map(Parent::oid));
    lock_all(&std::iter::once(oid).chain(others).collect::<Vec<_>>());
    if let Some(followers) = followers {
        release(followers)?;
    }
    forget_features(oid)?;
    forget_visibility(oid, None)?;
    remove(oid)?;
    parent.map_or(Ok(()), |parent| rebuild_parent(&parent))
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
fn add(protection: &Protection, table: pg_sys::Oid) -> Result<(), SpiError> {
    let Some(class) = Class::of(table) else {
        return Ok(());
    };
    // Those of a protection that is not in the registry: of a dump without data, or what an
    // extension that was dropped left behind.
    drop_policies(table)?;
    register(protection, table, class)?;
    // Only features: policies of the owner's own that open the table go on to do so.
    let open = !matches!(protection, Protection::Feature(_)) || !class.row_security;
    Spi::run(&format!(
        "ALTER TABLE {} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
        display_name(table)
    ))?;
    create_policies(protection, table, open)?;
    add_triggers(protection, table)
}

/// Protects a table that was given to be protected, with its partitions and children.
fn add_with_parts(protection: &Protection, table: pg_sys::Oid) -> Result<(), SpiError> {
    add(protection, table)?;
    protect_below(protection)
}

/// Protects a table anew.
fn rebuild(protection: &Protection, table: pg_sys::Oid) -> Result<(), SpiError> {
    remove(table)?;
    add_with_parts(protection, table)
}

/// Ends the protection of a follower table, but for the features that it needs.
fn release(table: pg_sys::Oid) -> Result<(), SpiError> {
    remove(table)?;
    if features_of(&Catalog::now(), table).is_empty() {
        Ok(())
    } else {
        add_with_parts(&Protection::Feature(table), table)
    }
}

/// Takes a protected table, its partitions and children out of the registry and removes what was
/// added to them.
fn remove(root: pg_sys::Oid) -> Result<(), SpiError> {
    let registered = registered_with(root);
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

/// Hears of changes of tables.
pub fn register_callbacks() {
    whole::register_callbacks();
    foreign_key_checks::register_hook();
}
