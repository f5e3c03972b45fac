//! deskguard.unprotect()

use pgrx::prelude::*;
use pgrx::spi::SpiError;

use crate::kinds::shared::visibility::forget_visibility;
use crate::pg::error;
use crate::pg::relation::{display_name, table_name};
use crate::protect::apply::{release, remove};
use crate::protect::arguments::not_null;
use crate::protect::check::check_owner;
use crate::protect::lock::lock_all;
use crate::protect::messages::{check_no_children, rebuild_parent};
use crate::protect::own_work::OwnWork;
use crate::protect::partitions::is_child_of_protected;
use crate::protect::registry::{check_now, forget_features};
use crate::tables::catalog::Catalog;
use crate::tables::child_table::{ChildTable, Parent};
use crate::tables::columns::protected_table;
use crate::tables::registry::{FOLLOWERS, root_of};
use crate::tables::ticket_table::TicketTable;

#[pg_extern(sql = false)]
fn unprotect(protected_table: Option<pg_sys::Oid>) -> Result<(), SpiError> {
    let oid = not_null(
        protected_table,
        "protected_table",
        "Name a protected table.",
    );
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
    check_now()?;
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
