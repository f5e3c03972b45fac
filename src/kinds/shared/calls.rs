//! Things that agents share: the tables of deskguard.protect_shared(), with whom their objects are
//! shared, and what their policies call.

use std::rc::Rc;

use deskguard_rules::{may_change_shared, may_see_shared};
use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::pg::call_info::CallInfo;
use crate::plan::key_list::KeyList;
use crate::rights::cache::Agent;
use crate::rights::known_tables;
use crate::rights::statement::{Site, at_site, is_planning};
use crate::tables::key::KeyRef;
use crate::tables::shared_table::SharedTable;

// What policies and plans call

/// What a call asks about, found out once for each statement.
struct Call {
    /// None: nobody, or a table that is not protected (any more).
    who: Option<(Rc<Agent>, Rc<SharedTable>)>,
}

impl Call {
    fn of(fcinfo: CallInfo<'_>, named: Option<pg_sys::Oid>) -> Site<'_, Call> {
        at_site(fcinfo, named, |statement| {
            let table = named.and_then(known_tables::shared_table);
            Call {
                who: statement.rights.clone().zip(table),
            }
        })
    }

    fn is_shared(&self, id: Option<KeyRef>) -> bool {
        let (Some((agent, table)), Some(id)) = (&self.who, id) else {
            return false;
        };
        agent.shared(table.oid).now.contains(id)
    }
}

/// May the agent see the object? An SQL function for each type of ids.
macro_rules! shared_seen {
    ($($name:ident, $id:ty);+ $(;)?) => {
        $(
            #[pg_extern(sql = false)]
            fn $name(
                object_table: Option<pg_sys::Oid>,
                id: Option<$id>,
                owner: Option<i64>,
                fcinfo: CallInfo,
            ) -> bool {
                let call = Call::of(fcinfo, object_table);
                let id = id.map(KeyRef::from);
                call.who.as_ref().is_some_and(|(agent, table)| {
                    // Somebody's own call: no object of the table has a key of another kind.
                    id.is_none_or(|id| id.key_type() == table.id_type)
                        && may_see_shared(agent, table.owner(owner), call.is_shared(id))
                })
            }
        )+
    };
}

shared_seen!(shared_seen, i64; shared_seen_uuid, pgrx::Uuid; shared_seen_text, &str);

/// May the agent make or change an object of this owner?
#[pg_extern(sql = false)]
fn shared_ok(object_table: Option<pg_sys::Oid>, owner: Option<i64>, fcinfo: CallInfo) -> bool {
    let call = Call::of(fcinfo, object_table);
    call.who
        .as_ref()
        .is_some_and(|(agent, table)| may_change_shared(agent, table.owner(owner)))
}

macro_rules! shared_with {
    ($($name:ident, $id:ty);+ $(;)?) => {
        $(
            #[pg_extern(sql = false)]
            fn $name(
                object_table: Option<pg_sys::Oid>,
                id: Option<$id>,
                fcinfo: CallInfo,
            ) -> bool {
                Call::of(fcinfo, object_table).is_shared(id.map(KeyRef::from))
            }
        )+
    };
}

shared_with!(
    shared_with_int2, i16;
    shared_with_int4, i32;
    shared_with_int8, i64;
    shared_with_uuid, pgrx::Uuid;
    shared_with_text, &str;
);

/// All objects that are shared with the current agent.
fn all_shared(fcinfo: CallInfo, object_table: Option<pg_sys::Oid>) -> KeyList {
    let call = Call::of(fcinfo, object_table);
    call.who
        .as_ref()
        .map_or_else(KeyList::default, |(agent, table)| {
            let now = &agent.shared(table.oid).now;
            let is_estimate = is_planning() && fcinfo.is_of_plan();
            KeyList::of(now.sorted().into_iter(), now.len(), is_estimate)
        })
}

#[pg_extern(sql = false)]
fn shared_objects(object_table: Option<pg_sys::Oid>, fcinfo: CallInfo) -> Vec<i64> {
    all_shared(fcinfo, object_table).numbers
}

#[pg_extern(sql = false)]
fn shared_objects_uuid(object_table: Option<pg_sys::Oid>, fcinfo: CallInfo) -> Vec<pgrx::Uuid> {
    all_shared(fcinfo, object_table).uuids
}

#[pg_extern(sql = false)]
fn shared_objects_text(object_table: Option<pg_sys::Oid>, fcinfo: CallInfo) -> Vec<String> {
    all_shared(fcinfo, object_table).texts
}

// For the planner

// Sharing
