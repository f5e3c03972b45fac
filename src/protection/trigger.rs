//! The triggers of protected tables.

use std::ffi::CStr;

use pgrx::pg_sys;

use crate::tables::catalog::{own_function, own_function_name};

/// A trigger that deskguard puts on tables.
pub struct Trigger {
    pub name: &'static str,
    pub event: &'static str,
    /// What follows the table in CREATE TRIGGER.
    pub condition: String,
    pub function: &'static CStr,
    /// As in pg_trigger.tgtype.
    pub kind: u32,
    pub has_condition: bool,
    /// Also for what is replicated.
    pub always: bool,
}

impl Trigger {
    /// Is it this one, and does it fire?
    pub fn is_on(&self, trigger: &pg_sys::Trigger) -> bool {
        own_function(self.function, &[]) == Some(trigger.tgfoid)
            && trigger.tgtype as u32 == self.kind
            && trigger.tgnattr == 0
            && trigger.tgqual.is_null() != self.has_condition
            && (trigger.tgenabled as u8 == ALWAYS
                || trigger.tgenabled as u8 == ORIGIN && !self.always)
    }
}

/// As in pg_trigger.tgenabled.
pub const ALWAYS: u8 = b'A';

pub const ORIGIN: u8 = b'O';

pub const NOTE_TICKET: &CStr = c"note_ticket";

pub const OBJECT_GONE: &CStr = c"object_gone";

/// On the tables below the sources of mirrors, which need not be protected.
pub const MIRROR_CHANGED: &CStr = c"mirror_changed";

/// Does a trigger of a help desk's table with this function fire for what is replicated, too? None if it is
/// not one of deskguard's.
pub fn fires_always(function: pg_sys::Oid) -> Option<bool> {
    let name = own_function_name(function)?;
    match name.as_c_str() {
        name if name == NOTE_TICKET => Some(false),
        name if name == OBJECT_GONE || name == MIRROR_CHANGED => Some(true),
        _ => None,
    }
}

/// The triggers of a table.
///
/// # Safety
/// Not used after the relation is closed, or changed.
pub unsafe fn triggers(relation: &pg_sys::RelationData) -> &[pg_sys::Trigger] {
    // SAFETY: there are so many triggers, which stay as long as the caller promises.
    unsafe {
        match relation.trigdesc.as_ref() {
            Some(all) if all.numtriggers > 0 => {
                std::slice::from_raw_parts(all.triggers, all.numtriggers as usize)
            }
            _ => &[],
        }
    }
}
