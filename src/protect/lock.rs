//! Locks of tables that are about to be protected, or not any more.

use pgrx::pg_sys;

use crate::pg::relation::descendants;

const EXCLUSIVE: pg_sys::LOCKMODE = pg_sys::AccessExclusiveLock as pg_sys::LOCKMODE;

/// Locks tables, with their partitions and children, against all others.
///
/// Queries lock some of them in one order, others in another: the tickets and then their followers, or
/// followers and then the tickets they belong to. So this never waits for one while it holds others.
pub fn lock_all(tables: &[pg_sys::Oid]) {
    let mut all: Vec<pg_sys::Oid> = vec![];
    for &table in tables {
        all.push(table);
        all.extend(descendants(table));
    }
    let mut first = 0;
    while let Some(&wanted) = all.get(first) {
        // SAFETY: locks, which the end of the transaction releases.
        unsafe {
            pg_sys::LockRelationOid(wanted, EXCLUSIVE);
            let mut others = all.iter().enumerate().filter(|(nth, _)| *nth != first);
            let busy =
                others.find(|(_, table)| !pg_sys::ConditionalLockRelationOid(**table, EXCLUSIVE));
            let Some((busy, _)) = busy else {
                return;
            };
            for (nth, table) in all.iter().enumerate() {
                if nth == first || nth < busy {
                    pg_sys::UnlockRelationOid(*table, EXCLUSIVE);
                }
            }
            first = busy;
        }
    }
}
