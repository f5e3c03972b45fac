//! Whom a change of deskguard's tables concerns: the trigger that tells them.
//!
//! It fires for each row and before the change, so that logical replication fires it, too, and that
//! nothing sees a change without having heard of it. What cascades fires it for its own rows.

use std::ffi::CStr;

use pgrx::datum::FromDatum;
use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::pg::call_info::{CallInfo, version_1};
use crate::pg::error;
use crate::signals::generation::{Subject, signal, signal_all, signal_keys};
use crate::tables::catalog::{REGISTRY, own_table};
use crate::tables::columns::{ALL_NON_DESTRUCTIVE_PERMISSIONS, ALL_PERMISSIONS};

version_1!(rights_changed);

/// Trigger: tells the sessions that a change concerns.
#[unsafe(no_mangle)]
#[pg_guard]
pub extern "C-unwind" fn rights_changed(fcinfo: CallInfo) -> pg_sys::Datum {
    let Some(trigger) = fcinfo.trigger() else {
        misused();
    };
    // SAFETY: the table of the trigger is open, and has its name; the rows are of the table.
    unsafe {
        let relation = &*trigger.tg_relation;
        let table = CStr::from_ptr((*relation.rd_rel).relname.data.as_ptr());
        let of = Table::of(table).filter(|_| own_table(table) == relation.rd_id);
        let is_of_row = trigger.tg_event & pg_sys::TRIGGER_EVENT_ROW != 0;
        let (Some(of), true) = (of, trigger.tg_event & pg_sys::TRIGGER_EVENT_BEFORE != 0) else {
            misused()
        };
        if !is_of_row {
            of.signal_anything();
            return pg_sys::Datum::null();
        }
        let row = |tuple: pg_sys::HeapTuple| {
            let descriptor = relation.rd_att;
            (!tuple.is_null()).then_some(Row { tuple, descriptor })
        };
        let (old, new) = match trigger.tg_event & pg_sys::TRIGGER_EVENT_OPMASK {
            pg_sys::TRIGGER_EVENT_INSERT => (None, row(trigger.tg_trigtuple)),
            pg_sys::TRIGGER_EVENT_DELETE => (row(trigger.tg_trigtuple), None),
            _ => (row(trigger.tg_trigtuple), row(trigger.tg_newtuple)),
        };
        let result = new.as_ref().or(old.as_ref()).map(|row| row.tuple);
        if new.is_some() && is_changed_later(trigger, relation) {
            of.signal_anything();
        } else {
            of.signal(&Change { old, new });
        }
        result.map_or(pg_sys::Datum::null(), pg_sys::Datum::from)
    }
}

/// Do triggers of somebody's own come after this one, which may change the row?
///
/// # Safety
/// The trigger is being called for the relation.
unsafe fn is_changed_later(trigger: &pg_sys::TriggerData, relation: &pg_sys::RelationData) -> bool {
    const BEFORE_ROW: u32 = pg_sys::TRIGGER_TYPE_BEFORE | pg_sys::TRIGGER_TYPE_ROW;
    const NEW_ROW: u32 = pg_sys::TRIGGER_TYPE_INSERT | pg_sys::TRIGGER_TYPE_UPDATE;
    // SAFETY: the triggers of the relation, by name, which is the order in which they fire.
    unsafe {
        let all = &*relation.trigdesc;
        let own = (*trigger.tg_trigger).tgoid;
        std::slice::from_raw_parts(all.triggers, all.numtriggers as usize)
            .iter()
            .skip_while(|one| one.tgoid != own)
            .skip(1)
            .any(|one| {
                let kind = one.tgtype as u32;
                kind & BEFORE_ROW == BEFORE_ROW && kind & NEW_ROW != 0
            })
    }
}

fn misused() -> ! {
    error::raise(
        PgSqlErrorCode::ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED,
        "deskguard_internal.rights_changed() is a trigger of deskguard's own tables, before each row and before TRUNCATE",
        "CREATE EXTENSION deskguard makes its triggers; make none with this function.",
    )
}

struct Row {
    tuple: pg_sys::HeapTuple,
    descriptor: pg_sys::TupleDesc,
}

impl Row {
    /// The extension's SQL, not updated yet, may have none.
    fn has_column(&self, column: &CStr) -> bool {
        // SAFETY: the row is of the descriptor.
        unsafe { pg_sys::SPI_fnumber(self.descriptor, column.as_ptr()) > 0 }
    }

    /// A column by its name. The tables are the extension's, so the type is the one it has there.
    fn get<T: FromDatum>(&self, column: &CStr) -> Option<T> {
        // SAFETY: the tuple is of the descriptor; the number is that of one of its columns.
        unsafe {
            let number = pg_sys::SPI_fnumber(self.descriptor, column.as_ptr());
            if number <= 0 {
                error::raise(
                    PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN,
                    format!(
                        "a deskguard table has no column {}",
                        column.to_string_lossy()
                    ),
                    "Were the extension's tables altered by hand?",
                );
            }
            let mut is_null = false;
            let datum = pg_sys::heap_getattr(self.tuple, number, self.descriptor, &mut is_null);
            T::from_datum(datum, is_null)
        }
    }
}

/// A row before and after.
struct Change {
    old: Option<Row>,
    new: Option<Row>,
}

impl Change {
    /// The values of a column, of which there may be two.
    fn each<T: FromDatum>(&self, column: &CStr) -> impl Iterator<Item = T> {
        let of = |row: &Option<Row>| row.as_ref().and_then(|row| row.get(column));
        of(&self.old).into_iter().chain(of(&self.new))
    }

    /// Is a row that is there before and after another one in this column? One that comes or goes is.
    fn differs<T: FromDatum + PartialEq>(&self, column: &CStr) -> bool {
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => old.get::<T>(column) != new.get(column),
            _ => true,
        }
    }

    fn has_column(&self, column: &CStr) -> bool {
        let mut rows = self.old.iter().chain(&self.new);
        rows.all(|row| row.has_column(column))
    }

    /// Has a row that comes or goes a value there, or gets one that stays another?
    fn differs_or_has<T: FromDatum + PartialEq>(&self, column: &CStr) -> bool {
        self.differs::<T>(column) && self.each::<T>(column).next().is_some()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Table {
    Agent,
    Team,
    Department,
    Category,
    Permission,
    Group,
    TrustedRole,
    Protected,
    /// What an agent has.
    OfAgent,
    /// What a group has.
    OfGroup,
    SharedVisibility,
}

impl Table {
    fn of(name: &CStr) -> Option<Table> {
        Some(match name.to_bytes() {
            b"agent" => Table::Agent,
            b"team" => Table::Team,
            b"department" => Table::Department,
            b"category" => Table::Category,
            b"permission" => Table::Permission,
            b"permission_group" => Table::Group,
            b"trusted_role" => Table::TrustedRole,
            b"agent_permission" | b"agent_department" | b"agent_category" | b"group_member"
            | b"team_member" => Table::OfAgent,
            b"group_permission" | b"group_department" | b"group_category" => Table::OfGroup,
            b"shared_visibility" => Table::SharedVisibility,
            _ if REGISTRY.contains(&name) => Table::Protected,
            _ => return None,
        })
    }

    fn has_external_keys(self) -> bool {
        matches!(
            self,
            Table::Agent | Table::Team | Table::Department | Table::Category
        )
    }

    /// Any row may change in any way.
    fn signal_anything(self) {
        if self.has_external_keys() {
            signal_keys();
        }
        match self {
            // Sent by itself, since it says more.
            Table::Protected => signal(Subject::Tables),
            _ => signal_all(),
        }
    }

    fn signal(self, change: &Change) {
        if self.has_external_keys()
            && (change.differs_or_has::<&str>(c"external_key")
                || change.differs::<i64>(c"id") && change.has_external_key())
        {
            signal_keys();
        }
        match self {
            Table::Agent => {
                let is_other = change.differs::<i64>(c"id");
                if is_other
                    || change.differs::<bool>(c"active")
                    || change.differs::<&str>(c"category_access")
                {
                    signal_agents(change, c"id");
                }
                if is_other || change.differs::<&CStr>(c"db_role") {
                    signal_roles(change, c"db_role");
                }
            }
            // Nothing but their keys, and the ids that cascade to the rows of who has them.
            Table::Team | Table::Category => {}
            Table::Department => {
                // A new one at the top has nothing below it yet, unless rows come in another order.
                let is_alone = change.old.is_none()
                    && change.each::<i64>(c"parent_id").next().is_none()
                    && !is_replica();
                let is_moved = change.differs::<i64>(c"id") || change.differs::<i64>(c"parent_id");
                if is_moved && !is_alone {
                    signal_all();
                }
            }
            Table::Permission => {
                // The built-in groups have all permissions, without rows that say so.
                let is_other = change.differs::<&str>(c"name");
                if is_other {
                    signal(Subject::Group(ALL_PERMISSIONS));
                }
                if is_other || change.differs::<bool>(c"destructive") {
                    signal(Subject::Group(ALL_NON_DESTRUCTIVE_PERMISSIONS));
                }
            }
            Table::Group => {
                if change.differs::<i64>(c"id")
                    || change.differs::<&str>(c"category_access")
                    || change.differs::<&str>(c"department_access")
                    || change.has_column(c"scope") && change.differs::<&str>(c"scope")
                {
                    signal_groups(change, c"id");
                }
            }
            Table::TrustedRole => {
                if change.differs::<&CStr>(c"role_name") {
                    signal_roles(change, c"role_name");
                }
            }
            Table::Protected => signal(Subject::Tables),
            Table::OfAgent => {
                if !change.is_nothing() {
                    signal_agents(change, c"agent_id");
                }
            }
            Table::OfGroup => {
                if !change.is_nothing() {
                    signal_groups(change, c"group_id");
                }
            }
            Table::SharedVisibility => {
                if change.is_nothing() {
                } else if change.each(c"everyone").any(|everyone: bool| everyone) {
                    signal_all();
                } else {
                    signal_agents(change, c"agent_id");
                    signal_groups(change, c"group_id");
                }
            }
        }
    }
}

impl Change {
    fn has_external_key(&self) -> bool {
        self.each::<&str>(c"external_key").next().is_some()
    }

    /// Does the row stay as it is, bit by bit?
    fn is_nothing(&self) -> bool {
        let (Some(old), Some(new)) = (&self.old, &self.new) else {
            return false;
        };
        // SAFETY: two rows of one table. What follows the header, whose length is t_hoff, is data.
        unsafe {
            let parts = |row: &Row| {
                let header = (*row.tuple).t_data;
                let offset = usize::from((*header).t_hoff);
                let length = (*row.tuple).t_len as usize - offset;
                let data = std::slice::from_raw_parts(header.cast::<u8>().add(offset), length);
                let columns = (*header).t_infomask2 & pg_sys::HEAP_NATTS_MASK as u16;
                (columns, data)
            };
            let is_null = |row: &Row| {
                let columns = (*row.descriptor).natts;
                (1..=columns)
                    .map(|n| pg_sys::heap_attisnull(row.tuple, n, row.descriptor))
                    .collect::<Vec<_>>()
            };
            parts(old) == parts(new) && is_null(old) == is_null(new)
        }
    }
}

fn signal_agents(change: &Change, column: &CStr) {
    change
        .each(column)
        .for_each(|id| signal(Subject::Agent(id)));
}

fn signal_groups(change: &Change, column: &CStr) {
    change
        .each(column)
        .for_each(|id| signal(Subject::Group(id)));
}

fn signal_roles(change: &Change, column: &CStr) {
    let names = change.each::<&CStr>(column);
    names.for_each(|name| signal(Subject::RoleName(name)));
}

/// Do rows come without the checks of foreign keys, as from a publisher or a dump?
fn is_replica() -> bool {
    // SAFETY: reads a setting.
    unsafe { pg_sys::SessionReplicationRole == pg_sys::SESSION_REPLICATION_ROLE_REPLICA as i32 }
}
