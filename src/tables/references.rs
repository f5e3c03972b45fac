//! References between deskguard's own tables, which a dump may restore in any order: sql/references.sql.

use pgrx::pg_sys;
use pgrx::pg_sys::panic::pgrx_extern_c_guard as guard;

use crate::pg::call_info::{CallInfo, version_1};
use crate::pg::compat::owns_table;
use crate::pg::restore::is_restoring;
use crate::tables::catalog::own_function;
use crate::tables::trigger_call::{Form, TriggerCall};

/// As in pg_trigger.tgenabled.
const DISABLED: u8 = b'D';

/// Is a trigger of PostgreSQL, of those of its table, one that deskguard's calls, and switched on?
pub fn is_to_be_off(trigger: &pg_sys::Trigger, all: &[pg_sys::Trigger]) -> bool {
    let function = trigger.tgfoid.to_u32();
    [pg_sys::F_RI_FKEY_CHECK_INS, pg_sys::F_RI_FKEY_CHECK_UPD].contains(&function)
        && trigger.tgenabled as u8 != DISABLED
        && own_function(c"check_references", &[])
            .is_some_and(|own| all.iter().any(|other| other.tgfoid == own))
}

// Not pgrx's, which would make a panic of the error, and so lose its constraint, table and so on.
unsafe extern "C-unwind" {
    fn RI_FKey_check_ins(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum;
    fn RI_FKey_check_upd(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum;
}

version_1!(check_references);

/// Trigger: calls PostgreSQL's triggers of foreign keys that are switched off on the table, unless a dump is
/// being restored. In a database that pg_upgrade has made none are, and PostgreSQL calls them itself.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn check_references(fcinfo: CallInfo) -> pg_sys::Datum {
    // SAFETY: the triggers are of this table, and for this event; nothing is held that an error would have to drop.
    unsafe {
        let wanted = guard(|| switched_off(fcinfo));
        for number in 0..wanted.count {
            fcinfo.pass_to(wanted.function, wanted.triggers.add(number));
        }
    }
    pg_sys::Datum::from(0)
}

/// The triggers to call, and what they call. Copies, since the relation's own may be made anew meanwhile.
#[derive(Clone, Copy)]
struct Wanted {
    /// A palloc'd array.
    triggers: *mut pg_sys::Trigger,
    count: usize,
    function: unsafe extern "C-unwind" fn(pg_sys::FunctionCallInfo) -> pg_sys::Datum,
}

fn switched_off(fcinfo: CallInfo) -> Wanted {
    let call = TriggerCall::new(
        fcinfo,
        "check_references",
        &[Form::AFTER_INSERT, Form::AFTER_UPDATE],
        "It is for tables of deskguard, which have the trigger.",
    );
    call.check_own_table();
    let is_update = call.is_update();
    let mut wanted = Wanted {
        triggers: std::ptr::null_mut(),
        count: 0,
        function: if is_update {
            RI_FKey_check_upd
        } else {
            RI_FKey_check_ins
        },
    };
    // SAFETY: the table is open, and has its triggers.
    unsafe {
        // Who owns the tables restores them. Whoever else may write them writes what is right, also by a function
        // that acts as the owner.
        let table = call.relation();
        if is_restoring() && owns_table(table.rd_id, pg_sys::GetOuterUserId()) {
            return wanted;
        }
        let oid = if is_update {
            pg_sys::F_RI_FKEY_CHECK_UPD
        } else {
            pg_sys::F_RI_FKEY_CHECK_INS
        };
        let copy = &*pg_sys::CopyTriggerDesc(table.trigdesc);
        wanted.triggers = copy.triggers;
        for number in 0..copy.numtriggers as usize {
            let trigger = copy.triggers.add(number);
            if (*trigger).tgfoid.to_u32() == oid
                && (*trigger).tgenabled as u8 == DISABLED
                && (*trigger).tgdeferrable == call.is_deferrable()
                && (!is_update || call.concerns(trigger))
            {
                // Those that are wanted come first.
                *copy.triggers.add(wanted.count) = *trigger;
                wanted.count += 1;
            }
        }
    }
    wanted
}
