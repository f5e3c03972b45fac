//! deskguard.protect_tickets()

use std::cell::OnceCell;
use std::ffi::CStr;

use deskguard_rules::{Columns, Statuses};
use pgrx::prelude::*;
use pgrx::spi::SpiError;

use crate::pg::error;
use crate::protect::advice::{advise_indexes, advise_preload};
use crate::protect::apply::{add_with_parts, release, remove};
use crate::protect::arguments::{given, needed, not_null};
use crate::protect::check::{check_follower_table, check_owner, check_ticket_table};
use crate::protect::dropped_rules::{dropped_rules_of_tickets, refuse_dropped_rules};
use crate::protect::lock::lock_all;
use crate::protect::messages::check_children_fit;
use crate::protect::own_work::OwnWork;
use crate::tables::catalog::Catalog;
use crate::tables::key::KeyType;
use crate::tables::ticket_table::{FollowerTable, TicketTable};

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
    let oid = not_null(
        ticket_table,
        "ticket_table",
        "Name the table of the tickets.",
    );
    let id = needed(id_column, "id_column");
    let table = TicketTable {
        oid,
        // Checked below, where a column of another type is refused.
        id_type: KeyType::of_column(oid, &id).unwrap_or(KeyType::Number),
        id,
        columns: Columns {
            category: given(category_column),
            department: given(department_column),
            assignee: given(assignee_column),
            team: given(team_column),
            confidential: given(confidential_column),
            status: given(status_column),
        },
        unassigned_value,
        followers: follower_table.map(|oid| {
            let ticket = needed(follower_ticket_column, "follower_ticket_column");
            let agent = needed(follower_agent_column, "follower_agent_column");
            FollowerTable::new(oid, ticket, agent)
        }),
        statuses: Statuses {
            archived: values(archived_values, "archived_values"),
            spam: values(spam_values, "spam_values"),
        },
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
    add_with_parts(&table, oid)?;
    if let Some(followers) = &table.followers {
        remove(followers.oid)?;
        add_with_parts(followers, followers.oid)?;
    }
    advise_indexes(&table)?;
    advise_preload();
    Ok(())
}

/// The statuses in one of the lists.
fn values(given: Option<Vec<Option<String>>>, what: &str) -> Vec<String> {
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
}
