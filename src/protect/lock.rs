//! Locks of tables that are about to be protected, or not any more.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use pgrx::pg_sys::panic::CaughtError;
use pgrx::prelude::*;

use crate::pg::relation::descendants;
use crate::tables::catalog::own_table;

const EXCLUSIVE: pg_sys::LOCKMODE = pg_sys::AccessExclusiveLock as pg_sys::LOCKMODE;

/// For this time one waits for a table while one holds others: short queries end, and those that wait for what
/// is held go on soon.
const PATIENCE: Duration = Duration::from_millis(50);

/// Locks tables, with their partitions and children, against all others, until the transaction ends. Another
/// session may make others of them while this one waits; so they are asked for again after that.
///
/// Queries lock some of them in one order, others in another: the tickets and then their followers, or
/// followers and then the tickets they belong to. So all are taken at once: this waits for one only while it
/// holds none, or for so short a time that nobody takes it for a deadlock. Of two that do so with the same
/// tables one waits for the other, by a lock that nobody else asks for.
pub fn lock_all(tables: impl Fn() -> Vec<pg_sys::Oid>) {
    let with_parts = || {
        let mut all = vec![];
        for table in tables() {
            all.push(table);
            all.extend(descendants(table));
        }
        let mut known = HashSet::new();
        all.retain(|table| known.insert(*table));
        all
    };
    let (mut all, mut first) = (with_parts(), None);
    let mut lock = || {
        if let Err(busy) = take(&all, first) {
            first = Some(busy);
            return false;
        }
        let now = with_parts();
        let is_same = now == all;
        all = now;
        is_same
    };
    let registry = own_table(c"protected_table");
    let turn = tables().first().copied().unwrap_or(registry);
    // SAFETY: a lock, which is released here, or by an error.
    unsafe { pg_sys::LockDatabaseObject(registry, turn, 0, EXCLUSIVE) };
    // What is not kept gives all its locks back.
    while !in_subtransaction(&mut lock).unwrap_or_else(|error| error.rethrow()) {}
    // SAFETY: the same.
    unsafe { pg_sys::UnlockDatabaseObject(registry, turn, 0, EXCLUSIVE) };
}

/// Locks all, or tells which is in use by others.
fn take(all: &[pg_sys::Oid], first: Option<pg_sys::Oid>) -> Result<(), pg_sys::Oid> {
    let first = first.filter(|first| all.contains(first));
    let Some(first) = first.or(all.first().copied()) else {
        return Ok(());
    };
    // Who comes to wait for this session looks for a deadlock after that time.
    // SAFETY: reads a setting.
    let suspicion = Duration::from_millis(unsafe { pg_sys::DeadlockTimeout } as u64);
    let until = Instant::now() + PATIENCE.min(suspicion / 2);
    // SAFETY: a lock, which the end of the transaction releases.
    unsafe { pg_sys::LockRelationOid(first, EXCLUSIVE) };
    let others = all.iter().filter(|table| **table != first);
    for table in others {
        if !lock_until(*table, until) {
            return Err(*table);
        }
    }
    Ok(())
}

/// Locks a table, if that is possible until then.
fn lock_until(table: pg_sys::Oid, until: Instant) -> bool {
    // SAFETY: a lock, which the end of the transaction releases.
    if unsafe { pg_sys::ConditionalLockRelationOid(table, EXCLUSIVE) } {
        return true;
    }
    let left = until.saturating_duration_since(Instant::now());
    let left = left.as_millis() as i32;
    left > 0 && wait_for(table, left)
}

fn wait_for(table: pg_sys::Oid, milliseconds: i32) -> bool {
    /// Puts back the setting that PostgreSQL asks.
    struct Restore(i32);
    impl Drop for Restore {
        fn drop(&mut self) {
            // SAFETY: a setting, as it was.
            unsafe { pg_sys::LockTimeout = self.0 }
        }
    }
    // SAFETY: reads a setting.
    let _restore = Restore(unsafe { pg_sys::LockTimeout });
    // SAFETY: a setting, as it may be, while this waits.
    unsafe { pg_sys::LockTimeout = milliseconds };
    let locked = in_subtransaction(|| {
        // SAFETY: a lock, which the end of the transaction releases.
        unsafe { pg_sys::LockRelationOid(table, EXCLUSIVE) };
        true
    });
    locked.unwrap_or_else(|error| match &*error {
        CaughtError::PostgresError(report)
            if report.sql_error_code() == PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE =>
        {
            false
        }
        _ => error.rethrow(),
    })
}

/// Runs in a subtransaction, which is kept if that gives true, and else taken back.
fn in_subtransaction(run: impl FnOnce() -> bool) -> Result<bool, Box<CaughtError>> {
    // SAFETY: as PL/pgSQL does it for a block with EXCEPTION.
    unsafe {
        let (context, owner) = (pg_sys::CurrentMemoryContext, pg_sys::CurrentResourceOwner);
        pg_sys::BeginInternalSubTransaction(std::ptr::null());
        pg_sys::MemoryContextSwitchTo(context);
        let outcome = PgTryBuilder::new(AssertUnwindSafe(|| Ok(run())))
            .catch_others(|error| Err(Box::new(error)))
            .execute();
        pg_sys::MemoryContextSwitchTo(context);
        if matches!(outcome, Ok(true)) {
            pg_sys::ReleaseCurrentSubTransaction();
        } else {
            pg_sys::RollbackAndReleaseCurrentSubTransaction();
        }
        pg_sys::MemoryContextSwitchTo(context);
        pg_sys::CurrentResourceOwner = owner;
        outcome
    }
}
