//! The trigger that keeps mirrored rows, and the list of mirrors, from being changed by hand.

use std::cell::Cell;
use std::ffi::CStr;

use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::mirrors::registry::{Mirror, mirrors};
use crate::mirrors::target::Target;
use crate::pg::call_info::{CallInfo, version_1};
use crate::pg::error;
use crate::pg::relation::display_name;
use crate::pg::scan::{Row, ScanKey};
use crate::tables::catalog::{Catalog, own_table};
use crate::tables::columns::mirrored_row;
use crate::tables::trigger_call::{Form, TriggerCall};

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// While it lives, deskguard writes what mirrors give. An error that unwinds ends it, too.
pub struct Writing(());

impl Writing {
    pub fn begin() -> Writing {
        DEPTH.set(DEPTH.get() + 1);
        Writing(())
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
    }
}

version_1!(guard_mirrored);

/// Trigger, before rows are changed or deleted: refuses it by hand, also by a cascade.
#[unsafe(no_mangle)]
#[pg_guard]
pub extern "C-unwind" fn guard_mirrored(fcinfo: CallInfo) -> pg_sys::Datum {
    let call = TriggerCall::new(
        fcinfo,
        "guard_mirrored",
        &[
            Form::BEFORE_UPDATE,
            Form::BEFORE_DELETE,
            Form::BEFORE_TRUNCATE,
        ],
        "It is for tables of deskguard, which have the trigger.",
    );
    call.check_own_table();
    if DEPTH.get() == 0 {
        look_at(&call);
    }
    if call.is_of_row() {
        pg_sys::Datum::from(call.new_row())
    } else {
        pg_sys::Datum::null()
    }
}

fn look_at(call: &TriggerCall) {
    let relation = call.relation();
    if [c"mirror", c"mirrored_row"]
        .map(own_table)
        .contains(&relation.rd_id)
    {
        error::raise(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            "mirrors and their rows are written by deskguard's functions only",
            "Call deskguard.mirror() or deskguard.unmirror().",
        );
    }
    // SAFETY: of an open relation.
    let name = unsafe { CStr::from_ptr((*relation.rd_rel).relname.data.as_ptr()) };
    let Some(target) = Target::find(&name.to_string_lossy()) else {
        return;
    };
    let mut mirrors = mirrors();
    mirrors.retain(|mirror| mirror.target.name == target.name);
    if mirrors.is_empty() {
        return;
    }
    if !call.is_of_row() {
        refuse(
            &mirrors[0],
            &format!("deskguard.{} has rows of a mirror", target.name),
        );
    }
    // SAFETY: the row is one of the table, while the trigger runs.
    let row = unsafe { Row::of(call.old(), relation.rd_att) };
    let catalog = Catalog::now();
    for mirror in &mirrors {
        if is_given(&catalog, mirror, &row) {
            let what = format!("a row of deskguard.{} is that of a mirror", target.name);
            refuse(mirror, &what);
        }
    }
}

/// Does a mirror give this row of its target? The columns of the primary key are the first ones.
fn is_given(catalog: &Catalog, mirror: &Mirror, row: &Row) -> bool {
    let is_of_permission = mirror.target.key.contains(&"permission");
    let other = match mirror.target.key {
        [_] => ScanKey::bigint(mirrored_row::OTHER_ID, 0),
        _ if is_of_permission => ScanKey::default_text(mirrored_row::PERMISSION, row.required(2)),
        _ => ScanKey::bigint(mirrored_row::OTHER_ID, row.required(2)),
    };
    let mut keys = vec![
        ScanKey::bigint(mirrored_row::MIRROR, mirror.id),
        ScanKey::bigint(mirrored_row::ID, row.required(1)),
    ];
    if is_of_permission {
        keys.push(ScanKey::bigint(mirrored_row::OTHER_ID, 0));
    }
    keys.push(other);
    let found = catalog.find(c"mirrored_row", c"mirrored_row_pkey", &keys, |_| ());
    found.is_some()
}

fn refuse(mirror: &Mirror, what: &str) -> ! {
    error::raise(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("{what}, and cannot be changed by hand"),
        format!(
            "Change what {} gives, which is mirror {}; or end the mirror: SELECT deskguard.unmirror({});",
            display_name(mirror.source),
            mirror.id,
            mirror.id
        ),
    )
}
