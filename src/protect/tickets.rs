//! deskguard.protect_tickets()

use std::cell::OnceCell;
use std::ffi::CStr;

use deskguard_rules::{Columns, Statuses};
use pgrx::AnyElement;
use pgrx::prelude::*;
use pgrx::spi::SpiError;
use serde_json::{Map, Value};

use crate::pg::datum::jsonb_text;
use crate::pg::error::{self, refuse_read_only};
use crate::protect::advice::{advise_indexes, advise_preload};
use crate::protect::apply::{add_with_parts, is_made, release, remove};
use crate::protect::arguments::{TypeArguments, given, needed, not_null, row_type, values};
use crate::protect::check::{check_follower_table, check_kind, check_owner, check_ticket_table};
use crate::protect::dropped_rules::{dropped_rules_of_tickets, refuse_dropped_rules};
use crate::protect::lock::lock_all;
use crate::protect::messages::check_children_fit;
use crate::protect::own_work::OwnWork;
use crate::tables::catalog::Catalog;
use crate::tables::key::KeyType;
use crate::tables::row_type::RowType;
use crate::tables::ticket_table::{FollowerKinds, FollowerTable, Following, TicketTable};

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
    follower_kind_column: Option<&CStr>,
    follower_kinds: Option<AnyElement>,
    follower_type_column: Option<&CStr>,
    follower_type_values: Option<Vec<Option<String>>>,
    other_follower_types: Option<&str>,
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
    // SAFETY: SQL declares a jsonb.
    let kinds = follower_kinds.map(|kinds| unsafe { jsonb_text(kinds.datum()) });
    let of_followers = FollowerArguments {
        kind_column: given(follower_kind_column),
        kinds,
        row_type: row_type(
            given(follower_type_column),
            follower_type_values,
            other_follower_types,
            TypeArguments {
                column: "follower_type_column",
                values: "follower_type_values",
                others: "other_follower_types",
            },
        ),
    };
    let followers = match follower_table {
        Some(oid) => {
            let ticket = needed(follower_ticket_column, "follower_ticket_column");
            let agent = needed(follower_agent_column, "follower_agent_column");
            let kinds = of_followers.kinds();
            let row_type = of_followers.row_type;
            Some(FollowerTable::new(oid, ticket, agent, kinds, row_type))
        }
        None => {
            of_followers.refuse_without_table();
            None
        }
    };
    let find_former = || TicketTable::find(&Catalog::now(), oid);
    // Followers that stay as they are need no lock.
    let changing_followers = || {
        let former = find_former().and_then(|former| former.followers);
        if follower_table.is_some() && former.as_ref().map(|f| f.oid) == follower_table {
            let is_same = former
                .zip(followers.as_ref())
                .is_some_and(|(former, new)| new.is_mapped_as(&former) && is_made(&former));
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
        followers,
        statuses: Statuses {
            archived: values(archived_values, "archived_values", "Name the statuses."),
            spam: values(spam_values, "spam_values", "Name the statuses."),
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

/// What is given of a follower table besides its columns of keys.
struct FollowerArguments {
    kind_column: Option<String>,
    /// A jsonb.
    kinds: Option<String>,
    row_type: Option<RowType>,
}

impl FollowerArguments {
    fn kinds(&self) -> Option<FollowerKinds> {
        let (column, kinds) = match (&self.kind_column, &self.kinds) {
            (Some(column), Some(kinds)) => (column.clone(), kinds),
            (None, None) => return None,
            _ => refuse(
                "follower_kind_column and follower_kinds belong together".into(),
                "Give both or neither.".into(),
            ),
        };
        let example =
            || String::from("Give {\"kind\": \"followed\", \"another kind\": \"requested\"}.");
        let kinds = match serde_json::from_str::<Map<String, Value>>(kinds) {
            Ok(kinds) if !kinds.is_empty() => kinds,
            Ok(_) => refuse("follower_kinds names no kind".into(), example()),
            Err(_) => refuse("follower_kinds is no JSON object".into(), example()),
        };
        let is_known = |meaning: &Value| {
            let known = Following::ALL.map(Following::name);
            meaning.as_str().is_some_and(|name| known.contains(&name))
        };
        if let Some((kind, meaning)) = kinds.iter().find(|(_, meaning)| !is_known(meaning)) {
            refuse(
                format!("follower_kinds has {meaning} for the kind \"{kind}\""),
                format!(
                    "A kind means {}; leave out those that mean neither.",
                    Following::ALL
                        .map(|one| format!("\"{}\"", one.name()))
                        .join(" or ")
                ),
            );
        }
        Some(FollowerKinds::of(column, &kinds))
    }

    fn refuse_without_table(self) {
        if self.kind_column.is_some() || self.kinds.is_some() || self.row_type.is_some() {
            refuse(
                "follower_kind_column and follower_type_column need a follower_table".into(),
                "Name the table with the followers.".into(),
            );
        }
    }
}

fn refuse(message: String, hint: String) -> ! {
    error::raise(
        PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        message,
        hint,
    )
}
