//! Things that agents share: the tables of deskguard.protect_shared(), with whom their objects are
//! shared, and what their policies call.

use std::rc::Rc;

use deskguard_rules::{may_change_shared, may_see_shared};
use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::pg::call_info::CallInfo;
use crate::plan::key_list::KeyList;
use crate::rights::cache::Agent;
use crate::rights::call_site::{Site, at_site};
use crate::rights::known_tables;
use crate::rights::statement::is_planning;
use crate::tables::key::KeyRef;
use crate::tables::key_functions::{for_key_lists, for_key_types};
use crate::tables::shared_table::SharedTable;

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

// May the agent see the object?
for_key_types!(
    |$name, $key| [shared_seen, shared_seen_uuid, shared_seen_text] =>
    #[pg_extern(sql = false)]
    fn $name(
        object_table: Option<pg_sys::Oid>,
        id: Option<$key>,
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
);

/// May the agent make or change an object of this owner?
#[pg_extern(sql = false)]
fn shared_ok(object_table: Option<pg_sys::Oid>, owner: Option<i64>, fcinfo: CallInfo) -> bool {
    let call = Call::of(fcinfo, object_table);
    call.who
        .as_ref()
        .is_some_and(|(agent, table)| may_change_shared(agent, table.owner(owner)))
}

for_key_types!(
    |$name, $key|
    [shared_with_int2, shared_with_int4, shared_with_int8, shared_with_uuid, shared_with_text] =>
    #[pg_extern(sql = false)]
    fn $name(object_table: Option<pg_sys::Oid>, id: Option<$key>, fcinfo: CallInfo) -> bool {
        Call::of(fcinfo, object_table).is_shared(id.map(KeyRef::from))
    }
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

for_key_lists!(
    |$name, $element, $kind, $field, $list|
    [shared_objects, shared_objects_uuid, shared_objects_text] with all_shared =>
    #[pg_extern(sql = false)]
    fn $name(object_table: Option<pg_sys::Oid>, fcinfo: CallInfo) -> Vec<$element> {
        $list(fcinfo, object_table).$field
    }
);
