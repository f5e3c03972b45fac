//! deskguard.unprotect()

use pgrx::prelude::*;
use pgrx::spi::SpiError;

use crate::kinds::shared::visibility::forget_visibility;
use crate::pg::error::{self, refuse_read_only};
use crate::pg::relation::{display_name, table_name};
use crate::protect::apply::{release, remove};
use crate::protect::arguments::not_null;
use crate::protect::check::check_owner;
use crate::protect::lock::lock_all;
use crate::protect::messages::{changing_parents, check_no_children, rebuild_parent};
use crate::protect::own_work::OwnWork;
use crate::protect::partitions::is_child_of_protected;
use crate::protect::registry::{check_now, forget_features};
use crate::tables::catalog::Catalog;
use crate::tables::columns::protected_table;
use crate::tables::registry::{FOLLOWERS, root_of};
use crate::tables::ticket_table::{FollowerTable, TicketTable};

#[pg_extern(sql = false)]
fn unprotect(protected_table: Option<pg_sys::Oid>) -> Result<(), SpiError> {
    let oid = not_null(
        protected_table,
        "protected_table",
        "Name a protected table.",
    );
    refuse_read_only("deskguard.unprotect");
    check_unprotect(oid);
    lock_all(|| {
        let followers = followers_of(oid).map(|followers| followers.oid);
        let parents = changing_parents(oid, None);
        let others: Vec<_> = followers.into_iter().chain(parents).collect();
        others.iter().for_each(|table| check_owner(*table));
        std::iter::once(oid).chain(others).collect()
    });
    // What another session has done meanwhile counts.
    check_unprotect(oid);
    let parents = changing_parents(oid, None);
    let _work = OwnWork::begin();
    if let Some(followers) = followers_of(oid) {
        release(followers.oid)?;
    }
    forget_features(oid)?;
    forget_visibility(oid, None)?;
    remove(oid)?;
    check_now()?;
    parents.into_iter().try_for_each(rebuild_parent)
}

fn check_unprotect(oid: pg_sys::Oid) {
    check_owner(oid);
    let catalog = Catalog::now();
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
}

fn followers_of(table: pg_sys::Oid) -> Option<FollowerTable> {
    TicketTable::find(&Catalog::now(), table)?.followers
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
