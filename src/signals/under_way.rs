//! Changes of rights that are under way.
//!
//! When a transaction commits, its changes can be seen a moment before its messages are sent. Who reads all
//! that it needs with one snapshot need not care: it has a state that was, and hears of the change at once.
//! But who puts together what it read now with what it remembers could get a state that never was. So a
//! transaction that changes rights holds a lock to its end, which is after its messages; and only while
//! nobody holds it, what is remembered is known to be as what is read.

use std::ffi::c_int;

use pgrx::pg_sys;

use crate::tables::catalog::own_table;

/// Those who change rights do not wait for each other, and those who read neither. One who reads holds its
/// lock for a moment only, and waits for nobody. Standbys allow no stronger one.
const CHANGING: c_int = pg_sys::ShareLock as c_int;
const READING: c_int = pg_sys::RowExclusiveLock as c_int;

/// The lock is on the table as an object, which nothing else takes.
fn tag() -> pg_sys::LOCKTAG {
    pg_sys::LOCKTAG {
        // SAFETY: reads the backend's state.
        locktag_field1: unsafe { pg_sys::MyDatabaseId }.to_u32(),
        locktag_field2: pg_sys::RelationRelationId.to_u32(),
        locktag_field3: own_table(c"rights_signal").to_u32(),
        locktag_field4: 0,
        locktag_type: pg_sys::LockTagType::LOCKTAG_OBJECT as u8,
        locktag_lockmethodid: pg_sys::DEFAULT_LOCKMETHOD as u8,
    }
}

/// This transaction is about to change rights.
pub fn change() {
    // SAFETY: a lock that ends with the transaction.
    unsafe { pg_sys::LockAcquire(&tag(), CHANGING, false, false) };
}

/// That no other session changes rights, as long as this value lasts: whoever begins to waits for it.
pub struct NoChange(pg_sys::LOCKTAG);

impl NoChange {
    /// None if rights are being changed, or if it is not to be known: a standby sees changes before it hears
    /// of them, and a parallel worker does not wait for its leader's lock.
    pub fn now() -> Option<NoChange> {
        let tag = tag();
        // SAFETY: reads the backend's state; the lock is given back below, or when the transaction fails.
        let is_none = unsafe {
            pg_sys::ParallelWorkerNumber < 0
                && !pg_sys::RecoveryInProgress()
                && pg_sys::LockAcquire(&tag, READING, false, true)
                    != pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL
        };
        is_none.then(|| NoChange(tag))
    }
}

impl Drop for NoChange {
    fn drop(&mut self) {
        // While an error unwinds, the transaction's abort releases the lock.
        if !std::thread::panicking() {
            // SAFETY: taken in now(), by the same owner.
            unsafe { pg_sys::LockRelease(&self.0, READING, false) };
        }
    }
}
