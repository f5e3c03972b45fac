//! What is left of a folded rule at run time: what the follower table says of a ticket, which is data and not a right,
//! and lists of ids that are too long for literals.
//!
//! For the planner these functions have a support function, too: it tells how many rows they leave,
//! from the statistics of the column, and how an index helps.

use std::rc::Rc;

use deskguard_rules::{Access, IdSet, Level};
use pgrx::prelude::*;
use pgrx::{Internal, pg_sys};

use crate::pg::call_info::CallInfo;
use crate::pg::planner::Root;
use crate::pg::support::{Answer, IndexCondition, Request, Selectivity, Simplify, answer};
use crate::plan::fraction::{Column, MOST_BY_INDEX, share_of_column};
use crate::plan::key_list::KeyList;
use crate::plan::operand::ListOperator;
use crate::rights::call_site::{Site, asking, at_site, rights_of_call};
use crate::rights::marks::{Asked, ask};
use crate::rights::statement::{is_planning, rights_to_estimate_for};
use crate::rows::followed::{followed, followed_seen};
use crate::tables::catalog::own_function_name;
use crate::tables::key::{KeyRef, KeySet, KeyType};
use crate::tables::key_functions::{for_key_lists, for_key_types};
use crate::tables::principal::Principal;
use crate::tables::ticket_table::Following;

fn granted(fcinfo: CallInfo, list: List, key: Option<KeyRef>) -> bool {
    let rights = rights_of_call(fcinfo);
    let (Some(rights), Some(key)) = (&*rights, key) else {
        return false;
    };
    (list.ids)(rights).contains(rights.external_keys.id_with_rights(list.principal, key))
}

/// A list of an access that may be long.
struct List {
    principal: Principal,
    ids: fn(&Access) -> &IdSet,
}

const CATEGORIES: List = List {
    principal: Principal::Category,
    ids: Access::categories,
};
const FULL: List = List {
    principal: Principal::Department,
    ids: |access| access.departments_at(Level::Full),
};
const TEAMS: List = List {
    principal: Principal::Team,
    ids: Access::teams,
};

impl List {
    /// The list as columns of a type have it, or while planning a sample.
    fn of_call(&self, fcinfo: CallInfo, key_type: KeyType) -> KeyList {
        let statement = asking(fcinfo);
        let Some(agent) = &statement.rights else {
            return KeyList::default();
        };
        let ids = (self.ids)(agent).sorted().iter();
        let keys = ids.filter_map(|id| agent.external_keys.key(self.principal, *id, key_type));
        let is_estimate = is_planning() && fcinfo.is_of_plan();
        KeyList::of(keys, (self.ids)(agent).len(), is_estimate)
    }
}

for_key_types!(
    |$name, $key, $list|
    [has_category_int2, has_category_int4, has_category_int8, has_category_uuid, has_category_text]
        with CATEGORIES,
    [
        has_department_int2, has_department_int4, has_department_int8, has_department_uuid,
        has_department_text
    ] with FULL,
    [in_team_int2, in_team_int4, in_team_int8, in_team_uuid, in_team_text] with TEAMS =>
    #[pg_extern(sql = false)]
    fn $name(key: Option<$key>, fcinfo: CallInfo) -> bool {
        granted(fcinfo, $list, key.map(KeyRef::from))
    }
);

for_key_lists!(
    |$name, $element, $kind, $field, $list|
    [categories, categories_uuid, categories_text] with CATEGORIES,
    [departments, departments_uuid, departments_text] with FULL,
    [teams, teams_uuid, teams_text] with TEAMS =>
    #[pg_extern(sql = false)]
    fn $name(fcinfo: CallInfo) -> Vec<$element> {
        $list.of_call(fcinfo, KeyType::$kind).$field
    }
);

/// The tickets of which the follower table says this of the agent: in a plan all of them, since the rest of the rule is
/// there, too; else those that it shows.
fn followed_of_call(
    fcinfo: CallInfo<'_>,
    what: Following,
    ticket_table: Option<pg_sys::Oid>,
) -> Site<'_, Rc<KeySet>> {
    at_site(fcinfo, ticket_table, |statement| match ticket_table {
        Some(table) if fcinfo.is_of_plan() => followed(statement, what, table),
        Some(table) => followed_seen(statement, what, table),
        None => Rc::new(KeySet::EMPTY),
    })
}

for_key_types!(
    |$name, $key, $what|
    [followed_int2, followed_int4, followed_int8, followed_uuid, followed_text]
        with Following::Followed,
    [requested_int2, requested_int4, requested_int8, requested_uuid, requested_text]
        with Following::Requested =>
    #[pg_extern(sql = false)]
    fn $name(ticket_table: Option<pg_sys::Oid>, id: Option<$key>, fcinfo: CallInfo) -> bool {
        let followed = followed_of_call(fcinfo, $what, ticket_table);
        id.is_some_and(|id| followed.contains(KeyRef::from(id)))
    }
);

/// All tickets of which the follower table says this of the current agent.
fn all_followed(fcinfo: CallInfo, what: Following, ticket_table: Option<pg_sys::Oid>) -> KeyList {
    if is_planning() && fcinfo.is_of_plan() {
        return KeyList::sample(FOLLOWED_ROWS as i64);
    }
    let followed = followed_of_call(fcinfo, what, ticket_table);
    KeyList::of(followed.sorted().into_iter(), followed.len(), false)
}

for_key_lists!(
    |$name, $element, $kind, $field, $what|
    [followed_tickets, followed_tickets_uuid, followed_tickets_text] with Following::Followed,
    [requested_tickets, requested_tickets_uuid, requested_tickets_text]
        with Following::Requested =>
    #[pg_extern(sql = false)]
    fn $name(ticket_table: Option<pg_sys::Oid>, fcinfo: CallInfo) -> Vec<$element> {
        all_followed(fcinfo, $what, ticket_table).$field
    }
);

// For the planner

/// An atom: its function, the function that gives the whole list, and which list that is.
struct Atom {
    name: &'static [u8],
    /// That for bigint.
    list_function: &'static str,
    list: Ids,
}

/// Where the list comes from.
enum Ids {
    OfRights(List),
    OfFollowers(Following),
}

const ATOMS: [Atom; 5] = [
    Atom {
        name: b"has_category",
        list_function: "categories",
        list: Ids::OfRights(CATEGORIES),
    },
    Atom {
        name: b"has_department",
        list_function: "departments",
        list: Ids::OfRights(FULL),
    },
    Atom {
        name: b"in_team",
        list_function: "teams",
        list: Ids::OfRights(TEAMS),
    },
    Atom {
        name: b"followed",
        list_function: "followed_tickets",
        list: Ids::OfFollowers(Following::Followed),
    },
    Atom {
        name: b"requested",
        list_function: "requested_tickets",
        list: Ids::OfFollowers(Following::Requested),
    },
];

impl Atom {
    fn of(function: pg_sys::Oid) -> Option<&'static Atom> {
        let name = own_function_name(function)?;
        ATOMS.iter().find(|atom| atom.name == name.to_bytes())
    }
}

#[pg_extern(sql = false)]
fn atom_support(request: Internal) -> Internal {
    // SAFETY: called by the planner.
    unsafe {
        answer(request, |request| match request {
            Request::Selectivity(request) => selectivity(request),
            Request::IndexCondition(request) => index_condition(request),
            Request::Simplify(request) => {
                note(request);
                None
            }
        })
    }
}

/// A call that a user wrote: what it asks is loaded before the first row of the statement, as for those that
/// deskguard puts into plans.
fn note(Simplify { root, call }: Simplify) {
    let plan = root.and_then(Root::plan);
    let Some(plan) = plan.filter(|_| !call.is_of_plan()) else {
        return;
    };
    ask(plan.items(), Asked::Rules);
    let atom = Atom::of(call.function());
    if let (Some(Ids::OfFollowers(what)), Some(table)) = (atom.map(|atom| &atom.list), call.table())
    {
        let asked = match what {
            Following::Followed => Asked::FollowedSeen(table),
            Following::Requested => Asked::RequestedSeen(table),
        };
        ask(plan.items(), asked);
    }
}

/// How many tickets an agent is taken to follow, or to have requested.
const FOLLOWED_ROWS: f64 = 20.0;

fn selectivity(request: Selectivity) -> Option<Answer> {
    let atom = Atom::of(request.function())?;
    let column = Column {
        root: request.root()?,
        // The last argument.
        node: *request.arguments().last()?,
        table_number: request.table_number(),
    };
    if request.is_join() {
        return None;
    }
    let share = share_of_atom(atom, column);
    Some(request.is(share))
}

/// The share of rows for which an atom is true.
fn share_of_atom(atom: &Atom, column: Column) -> f64 {
    if let Ids::OfRights(list) = &atom.list {
        return match rights_to_estimate_for(Some(column.root)) {
            Some(agent) => {
                let ids = (list.ids)(&agent);
                let is_granted = |key: KeyRef| {
                    ids.contains(agent.external_keys.id_with_rights(list.principal, key))
                };
                share_of_column(column, ids.len(), is_granted)
            }
            None => 0.0,
        };
    }
    match column.rows() {
        Some(rows) => (FOLLOWED_ROWS / rows.max(FOLLOWED_ROWS)).min(1.0),
        None => 0.01,
    }
}

/// `column = ANY (list())`, for an index on the column.
fn index_condition(request: IndexCondition) -> Option<Answer> {
    let atom = Atom::of(request.call()?.function())?;
    let operator = ListOperator::of(&request)?;
    let column = Column {
        root: request.root()?,
        node: operator.column(),
        table_number: 0,
    };
    // An index does not help to find much of a table, and a sample of the list would make the
    // planner think that it does.
    if share_of_atom(atom, column) > MOST_BY_INDEX {
        return None;
    }
    operator.condition(request, atom.list_function)
}
