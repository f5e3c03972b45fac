//! Refuses queries that name a table through which protected rows would be seen without policies: a
//! partition that nobody protected since event triggers were off, a table above a protected one, or a
//! table whose row-level security was disabled behind our back. PostgreSQL applies a table's own policies
//! only, whatever there is above or below.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};

use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::pg::node::items;
use crate::pg::relation::{Class, ancestors, descendants, display_name};
use crate::pg::{compat, error};
use crate::protection::policies::has_own_permissive_policy;
use crate::protection::whole::{self, is_registry, is_whole, listen};
use crate::tables::catalog::{Catalog, is_installed};
use crate::tables::registry::root_of;

/// Why a table must not be read or written by those for whom policies apply.
#[derive(Clone, Copy)]
enum Exposure {
    /// It is a part of this protected table, and not protected itself.
    Part(pg_sys::Oid),
    /// This protected table is a part of it.
    Above(pg_sys::Oid),
    /// It is protected, but something of that is missing.
    Damaged,
}

thread_local! {
    static KNOWN: RefCell<HashMap<pg_sys::Oid, Option<Exposure>>> = RefCell::default();
    /// Those that were asked about, and the tables above them.
    static WATCHED: RefCell<HashSet<pg_sys::Oid>> = RefCell::default();
    /// Counts what makes known exposures worthless.
    static CHANGES: Cell<u32> = const { Cell::new(0) };
}

/// Something of a table has changed.
pub fn relation_changed(table: pg_sys::Oid) {
    if table == pg_sys::InvalidOid
        || is_registry(table)
        || WATCHED.with_borrow(|watched| watched.contains(&table))
    {
        forget_all();
    }
}

/// The registry, or anything, has changed.
pub fn forget_all() {
    KNOWN.with_borrow_mut(HashMap::clear);
    WATCHED.with_borrow_mut(HashSet::clear);
    CHANGES.set(CHANGES.get().wrapping_add(1));
}

/// Refuses a plan that names an exposed table.
///
/// # Safety
/// A plan that the planner has made.
pub unsafe fn refuse_exposed(plan: &pg_sys::PlannedStmt) {
    // SAFETY: the range table has such entries.
    unsafe {
        for entry in items::<pg_sys::RangeTblEntry>(plan.rtable) {
            let entry = &**entry;
            if entry.rtekind == pg_sys::RTEKind::RTE_RELATION
                && let Some(user) = named_by(plan, entry)
            {
                refuse_exposed_table(entry.relid, entry.inh, user);
            }
        }
    }
}

/// As whom a query reads or writes a table that it names; None for the partitions that the planner finds.
///
/// # Safety
/// The entry is in the range table of the plan.
unsafe fn named_by(
    plan: &pg_sys::PlannedStmt,
    entry: &pg_sys::RangeTblEntry,
) -> Option<pg_sys::Oid> {
    // SAFETY: as the caller promises.
    let permissions = unsafe { compat::permissions(plan, entry) };
    let permissions = permissions.filter(|needed| needed.requiredPerms != 0)?;
    if permissions.checkAsUser != pg_sys::InvalidOid {
        return Some(permissions.checkAsUser);
    }
    // SAFETY: reads the backend's state.
    Some(unsafe { pg_sys::GetUserId() })
}

/// Refuses a table that is exposed to this user.
pub fn refuse_exposed_table(table: pg_sys::Oid, with_children: bool, user: pg_sys::Oid) {
    // Catalogs have no partitions, and are asked for all the time.
    if table.to_u32() < pg_sys::FirstNormalObjectId {
        return;
    }
    let Some(exposure) = exposure_of(table) else {
        return;
    };
    let (protected, message, hint) = match exposure {
        Exposure::Part(root) => (
            root,
            format!(
                "{} is a part of the protected table {}, and is not protected itself",
                display_name(table),
                display_name(root)
            ),
            "Its owner can protect that table again, which protects its parts, too.".to_string(),
        ),
        Exposure::Above(part) if with_children => (
            part,
            format!(
                "{} is not protected, and {} below it is",
                display_name(table),
                display_name(part)
            ),
            "Its owner can detach that table, or unprotect it and protect the table above.".into(),
        ),
        Exposure::Above(_) => return,
        Exposure::Damaged => (
            table,
            format!("the protection of {} is not whole", display_name(table)),
            format!(
                "Its owner can protect it again. What is wrong: {}.",
                whole::problems(table).join("; ")
            ),
        ),
    };
    if applies_to(protected, user) {
        error::raise(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            message,
            hint,
        );
    }
}

/// Do the policies of a protected table apply to this user? They are forced, for its owner, too.
fn applies_to(table: pg_sys::Oid, user: pg_sys::Oid) -> bool {
    // SAFETY: look-ups in the system caches.
    unsafe {
        let is_free = pg_sys::has_bypassrls_privilege(user)
            || pg_sys::InNoForceRLSOperation() && compat::owns_table(table, user);
        !is_free
    }
}

fn exposure_of(table: pg_sys::Oid) -> Option<Exposure> {
    if let Some(known) = KNOWN.with_borrow(|known| known.get(&table).copied()) {
        return known;
    }
    // Only its own session reads a temporary one, and there are many of them.
    let class = Class::of(table)?;
    if !class.is_table() || class.is_temporary || !is_installed() {
        return None;
    }
    listen();
    let above = ancestors(table);
    WATCHED.with_borrow_mut(|watched| {
        watched.insert(table);
        watched.extend(&above);
    });
    let before = CHANGES.get();
    let exposure = find_exposure(table, above);
    if CHANGES.get() == before {
        KNOWN.with_borrow_mut(|known| known.insert(table, exposure));
    }
    exposure
}

/// Is a protected table open to anybody in spite of that? The policy that opens it sees to it that it is
/// whole, if policies apply, and if it has no other such policy.
fn is_open(table: pg_sys::Oid) -> bool {
    !Class::of(table).is_some_and(|class| class.row_security && class.forced)
        || !is_whole(table) && has_own_permissive_policy(table)
}

fn find_exposure(table: pg_sys::Oid, above: Vec<pg_sys::Oid>) -> Option<Exposure> {
    let catalog = Catalog::now();
    if root_of(&catalog, table).is_some() {
        return is_open(table).then_some(Exposure::Damaged);
    }
    let is_protected = |table: &pg_sys::Oid| root_of(&catalog, *table).is_some();
    match above.into_iter().find(is_protected) {
        Some(root) => Some(Exposure::Part(root)),
        None => descendants(table)
            .into_iter()
            .find(is_protected)
            .map(Exposure::Above),
    }
}
