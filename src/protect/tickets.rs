//! deskguard.protect_tickets()

use std::cell::OnceCell;
use std::ffi::CStr;

use deskguard_rules::{Columns, Statuses};
use pgrx::prelude::*;
use pgrx::spi::SpiError;

use crate::pg::error::{self, refuse_read_only};
use crate::protect::advice::{advise_indexes, advise_preload};
use crate::protect::apply::{add_with_parts, is_made, release, remove};
use crate::protect::arguments::{given, needed, not_null};
use crate::protect::check::{check_follower_table, check_kind, check_owner, check_ticket_table};
use crate::protect::dropped_rules::{dropped_rules_of_tickets, refuse_dropped_rules};
use crate::protect::lock::lock_all;
use crate::protect::messages::check_children_fit;
use crate::protect::own_work::OwnWork;
use crate::tables::catalog::Catalog;
use crate::tables::key::KeyType;
use crate::tables::ticket_table::{FollowerTable, TicketTable};

/// deskguard.protect_tickets
#[pg_extern(sql = false)]
#[allow(clippy::too_many_arguments)]
fn protect_ticket_table(
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
    requester_column: Option<&CStr>,
    requester_team_column: Option<&CStr>,
) -> Result<(), SpiError> {
    let oid = not_null(
        ticket_table,
        "ticket_table",
        "Name the table of the tickets.",
    );
    let id = needed(id_column, "id_column");
    refuse_read_only("deskguard.protect_tickets");
    check_kind(oid)?;
    if let Some(followers) = follower_table {
        check_kind(followers)?;
    }
    let find_former = || TicketTable::find(&Catalog::now(), oid);
    // Followers that stay as they are need no lock.
    let changing_followers = || {
        let former = find_former().and_then(|former| former.followers);
        if follower_table.is_some() && former.as_ref().map(|f| f.oid) == follower_table {
            let is_same = former.is_some_and(|former| {
                given(follower_ticket_column).as_ref() == Some(&former.ticket)
                    && given(follower_agent_column).as_ref() == Some(&former.agent)
                    && is_made(&former)
            });
            return (None, follower_table.filter(|_| !is_same));
        }
        (former.map(|former| former.oid), follower_table)
    };
    lock_all(|| {
        let (former, new) = changing_followers();
        former.iter().for_each(|followers| check_owner(*followers));
        std::iter::once(oid).chain(former).chain(new).collect()
    });
    let (former_followers, new_followers) = changing_followers();
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
            requester: given(requester_column),
            requester_team: given(requester_team_column),
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
    let former = find_former();
    if let Some(former) = &former {
        refuse_dropped_rules(
            oid,
            &dropped_rules_of_tickets(former, &table),
            drop_rules == Some(true),
        );
    }
    let _work = OwnWork::begin();
    if let Some(former) = former_followers {
        release(former)?;
    }
    remove(oid)?;
    add_with_parts(&table, oid)?;
    if let (Some(followers), Some(_)) = (&table.followers, new_followers) {
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
