//! How trigger functions are called. Owners of tables make the triggers, and may make others that call the same
//! functions: at another time, for statements, on views. So each function says first how it is to be called.

use pgrx::prelude::*;

use crate::pg::call_info::CallInfo;
use crate::pg::error;
use crate::tables::catalog::{is_own_schema, own_table};

/// What a trigger is made for.
#[derive(Clone, Copy)]
pub struct Form {
    /// As CREATE TRIGGER has it.
    name: &'static str,
    event: u32,
}

impl Form {
    pub const BEFORE_UPDATE: Form = Form {
        name: "BEFORE UPDATE FOR EACH ROW",
        event: BEFORE | ROW | pg_sys::TRIGGER_EVENT_UPDATE,
    };
    pub const BEFORE_DELETE: Form = Form {
        name: "BEFORE DELETE FOR EACH ROW",
        event: BEFORE | ROW | pg_sys::TRIGGER_EVENT_DELETE,
    };
    pub const BEFORE_TRUNCATE: Form = Form {
        name: "BEFORE TRUNCATE FOR EACH STATEMENT",
        event: BEFORE | pg_sys::TRIGGER_EVENT_TRUNCATE,
    };
    pub const AFTER_INSERT: Form = Form {
        name: "AFTER INSERT FOR EACH ROW",
        event: AFTER | ROW | pg_sys::TRIGGER_EVENT_INSERT,
    };
    pub const AFTER_UPDATE: Form = Form {
        name: "AFTER UPDATE FOR EACH ROW",
        event: AFTER | ROW | pg_sys::TRIGGER_EVENT_UPDATE,
    };
    pub const AFTER_DELETE: Form = Form {
        name: "AFTER DELETE FOR EACH ROW",
        event: AFTER | ROW | pg_sys::TRIGGER_EVENT_DELETE,
    };
    pub const AFTER_TRUNCATE: Form = Form {
        name: "AFTER TRUNCATE FOR EACH STATEMENT",
        event: AFTER | pg_sys::TRIGGER_EVENT_TRUNCATE,
    };
}

const BEFORE: u32 = pg_sys::TRIGGER_EVENT_BEFORE;
const AFTER: u32 = pg_sys::TRIGGER_EVENT_AFTER;
const ROW: u32 = pg_sys::TRIGGER_EVENT_ROW;
const WHAT: u32 =
    pg_sys::TRIGGER_EVENT_OPMASK | pg_sys::TRIGGER_EVENT_ROW | pg_sys::TRIGGER_EVENT_TIMINGMASK;

/// A call in one of the forms that the function is made for.
pub struct TriggerCall<'a>(&'a pg_sys::TriggerData);

impl TriggerCall<'_> {
    /// Raises an error for a call in another form. `maker` says what makes the triggers that are right.
    pub fn new<'a>(
        fcinfo: CallInfo<'a>,
        function: &str,
        forms: &[Form],
        maker: &str,
    ) -> TriggerCall<'a> {
        if let Some(data) = fcinfo.trigger() {
            let is_of_row = data.tg_event & ROW != 0;
            let is_update =
                data.tg_event & pg_sys::TRIGGER_EVENT_OPMASK == pg_sys::TRIGGER_EVENT_UPDATE;
            let has_rows = !is_of_row
                || !data.tg_trigtuple.is_null() && (!is_update || !data.tg_newtuple.is_null());
            if has_rows && forms.iter().any(|form| form.event == data.tg_event & WHAT) {
                return TriggerCall(data);
            }
        }
        let forms: Vec<_> = forms.iter().map(|form| form.name).collect();
        error::raise(
            PgSqlErrorCode::ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED,
            format!(
                "deskguard_internal.{function}() can only be called as a trigger {}",
                forms.join(", ")
            ),
            maker,
        )
    }

    pub fn relation(&self) -> &pg_sys::RelationData {
        // SAFETY: open while the trigger runs.
        unsafe { &*self.0.tg_relation }
    }

    /// Raises an error unless the trigger is on this table of deskguard's.
    pub fn check_table(&self, name: &std::ffi::CStr) {
        if self.relation().rd_id != own_table(name) {
            let name = name.to_string_lossy();
            error::raise(
                PgSqlErrorCode::ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED,
                format!("this trigger function of deskguard is for the table deskguard.{name}"),
                "Drop the trigger: that table has its own.",
            );
        }
    }

    /// Raises an error unless the trigger is on a table of deskguard's.
    pub fn check_own_table(&self) {
        // SAFETY: of an open relation.
        if !is_own_schema(unsafe { (*self.relation().rd_rel).relnamespace }) {
            error::raise(
                PgSqlErrorCode::ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED,
                "this trigger function of deskguard is for deskguard's own tables",
                "Drop the trigger: they have their own.",
            );
        }
    }

    pub fn is_update(&self) -> bool {
        self.0.tg_event & pg_sys::TRIGGER_EVENT_OPMASK == pg_sys::TRIGGER_EVENT_UPDATE
    }

    pub fn is_deferrable(&self) -> bool {
        // SAFETY: the call names its trigger.
        unsafe { (*self.0.tg_trigger).tgdeferrable }
    }

    /// Does an UPDATE of a row concern the foreign key whose trigger on the referring table this is?
    ///
    /// # Safety
    /// It is one, of the same table.
    pub unsafe fn concerns(&self, key: *mut pg_sys::Trigger) -> bool {
        // SAFETY: as the caller promises; of an UPDATE for each row both rows are there.
        unsafe {
            pg_sys::RI_FKey_fk_upd_check_required(
                key,
                self.0.tg_relation,
                self.0.tg_trigslot,
                self.0.tg_newslot,
            )
        }
    }

    /// The first argument of CREATE TRIGGER.
    pub fn argument(&self) -> Option<&std::ffi::CStr> {
        // SAFETY: the call names its trigger, which has so many arguments.
        unsafe {
            let trigger = &*self.0.tg_trigger;
            (trigger.tgnargs > 0).then(|| std::ffi::CStr::from_ptr(*trigger.tgargs))
        }
    }

    pub fn is_of_row(&self) -> bool {
        self.0.tg_event & ROW != 0
    }

    /// The row as it was, of an UPDATE or DELETE for each row.
    pub fn old(&self) -> pg_sys::HeapTuple {
        self.0.tg_trigtuple
    }

    /// The row as it becomes, of an INSERT or UPDATE for each row.
    pub fn new_row(&self) -> pg_sys::HeapTuple {
        if self.is_update() {
            self.0.tg_newtuple
        } else {
            self.0.tg_trigtuple
        }
    }

    /// The same, as the executor has it; of an UPDATE for each row.
    pub fn new_slot(&self) -> *mut pg_sys::TupleTableSlot {
        self.0.tg_newslot
    }
}
