//! What is left of a folded rule at run time: who follows a ticket, which is data and not a right, and
//! lists of ids that are too long for literals.
//!
//! For the planner these functions have a support function, too: it tells how many rows they leave,
//! from the statistics of the column, and how an index helps.

use std::ffi::c_int;
use std::rc::Rc;

use deskguard_rules::{Access, IdSet, Level};
use pgrx::prelude::*;
use pgrx::{Internal, pg_sys};

use crate::pg::node::{is_call_of_plan, items, named_table};
use crate::pg::support::{Answer, Request, answer};
use crate::plan::fraction::{
    MOST_BY_INDEX, column_of_index, condition_by_list, release, share_of_column,
};
use crate::plan::key_list::KeyList;
use crate::plan::operand::ListOperator;
use crate::rights::marks::{Asked, ask};
use crate::rights::statement::{
    Site, asking, at_site, is_of_plan, is_planning, rights_of_call, rights_to_estimate_for,
};
use crate::rows::followed::{followed, followed_seen};
use crate::tables::catalog::own_function_name;
use crate::tables::key::{KeyRef, KeySet, KeyType};
use crate::tables::principal::Principal;

fn granted(fcinfo: pg_sys::FunctionCallInfo, list: List, key: Option<KeyRef>) -> bool {
    let rights = rights_of_call(&fcinfo);
    let (Some(rights), Some(key)) = (&*rights, key) else {
        return false;
    };
    (list.ids)(rights).contains(rights.external_keys.id(list.principal, key))
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
    fn of_call(&self, fcinfo: pg_sys::FunctionCallInfo, key_type: KeyType) -> KeyList {
        let statement = asking(fcinfo);
        let Some(agent) = &statement.rights else {
            return KeyList::default();
        };
        let ids = (self.ids)(agent).sorted().iter();
        let keys = ids.filter_map(|id| agent.external_keys.key(self.principal, *id, key_type));
        let is_estimate = is_planning() && is_of_plan(fcinfo);
        KeyList::of(keys, (self.ids)(agent).len(), is_estimate)
    }
}

/// An SQL function for each type of column, so that the column stands there without a cast and the
/// planner finds its index; and one for the whole list, for each type of keys.
macro_rules! for_each_type {
    (
        $list:expr => $int2:ident, $int4:ident, $int8:ident, $uuid:ident, $text:ident;
        $ids:ident, $uuids:ident, $texts:ident
    ) => {
        for_each_type!($list, $int2, i16);
        for_each_type!($list, $int4, i32);
        for_each_type!($list, $int8, i64);
        for_each_type!($list, $uuid, pgrx::Uuid);
        for_each_type!($list, $text, &str);

        #[pg_extern(sql = false)]
        fn $ids(fcinfo: pg_sys::FunctionCallInfo) -> Vec<i64> {
            $list.of_call(fcinfo, KeyType::Number).numbers
        }

        #[pg_extern(sql = false)]
        fn $uuids(fcinfo: pg_sys::FunctionCallInfo) -> Vec<pgrx::Uuid> {
            $list.of_call(fcinfo, KeyType::Uuid).uuids
        }

        #[pg_extern(sql = false)]
        fn $texts(fcinfo: pg_sys::FunctionCallInfo) -> Vec<String> {
            $list.of_call(fcinfo, KeyType::Text).texts
        }
    };
    ($list:expr, $name:ident, $key:ty) => {
        #[pg_extern(sql = false)]
        fn $name(key: Option<$key>, fcinfo: pg_sys::FunctionCallInfo) -> bool {
            granted(fcinfo, $list, key.map(KeyRef::from))
        }
    };
}

for_each_type!(
    CATEGORIES => has_category_int2, has_category_int4, has_category_int8, has_category_uuid,
        has_category_text;
    categories, categories_uuid, categories_text
);
for_each_type!(
    FULL => has_department_int2, has_department_int4, has_department_int8, has_department_uuid,
        has_department_text;
    departments, departments_uuid, departments_text
);
for_each_type!(
    TEAMS => in_team_int2, in_team_int4, in_team_int8, in_team_uuid, in_team_text;
    teams, teams_uuid, teams_text
);

/// The tickets that the agent follows: in a plan all of them, since the rest of the rule is there, too; else
/// those that the follower table shows it.
fn followed_of_call(
    fcinfo: &pg_sys::FunctionCallInfo,
    ticket_table: Option<pg_sys::Oid>,
) -> Site<'_, Rc<KeySet>> {
    at_site(fcinfo, ticket_table, |statement| match ticket_table {
        Some(table) if is_of_plan(*fcinfo) => followed(statement, table),
        Some(table) => followed_seen(statement, table),
        None => Rc::new(KeySet::EMPTY),
    })
}

macro_rules! followed {
    ($($name:ident, $id:ty);+ $(;)?) => {
        $(
            #[pg_extern(sql = false)]
            fn $name(
                ticket_table: Option<pg_sys::Oid>,
                id: Option<$id>,
                fcinfo: pg_sys::FunctionCallInfo,
            ) -> bool {
                let followed = followed_of_call(&fcinfo, ticket_table);
                id.is_some_and(|id| followed.contains(KeyRef::from(id)))
            }
        )+
    };
}

followed!(
    followed_int2, i16;
    followed_int4, i32;
    followed_int8, i64;
    followed_uuid, pgrx::Uuid;
    followed_text, &str;
);

/// The tickets that the current agent follows.
fn all_followed(fcinfo: pg_sys::FunctionCallInfo, ticket_table: Option<pg_sys::Oid>) -> KeyList {
    if is_planning() && is_of_plan(fcinfo) {
        return KeyList::sample(FOLLOWED_ROWS as i64);
    }
    let followed = followed_of_call(&fcinfo, ticket_table);
    KeyList::of(followed.sorted().into_iter(), followed.len(), false)
}

#[pg_extern(sql = false)]
fn followed_tickets(
    ticket_table: Option<pg_sys::Oid>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Vec<i64> {
    all_followed(fcinfo, ticket_table).numbers
}

#[pg_extern(sql = false)]
fn followed_tickets_uuid(
    ticket_table: Option<pg_sys::Oid>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Vec<pgrx::Uuid> {
    all_followed(fcinfo, ticket_table).uuids
}

#[pg_extern(sql = false)]
fn followed_tickets_text(
    ticket_table: Option<pg_sys::Oid>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Vec<String> {
    all_followed(fcinfo, ticket_table).texts
}

// For the planner

/// An atom: its function, the function that gives the whole list, and which list that is.
struct Atom {
    name: &'static [u8],
    /// That for bigint.
    list_function: &'static str,
    /// None for followed tickets.
    list: Option<List>,
}

const ATOMS: [Atom; 4] = [
    Atom {
        name: b"has_category",
        list_function: "categories",
        list: Some(CATEGORIES),
    },
    Atom {
        name: b"has_department",
        list_function: "departments",
        list: Some(FULL),
    },
    Atom {
        name: b"in_team",
        list_function: "teams",
        list: Some(TEAMS),
    },
    Atom {
        name: b"followed",
        list_function: "followed_tickets",
        list: None,
    },
];

impl Atom {
    fn of(function: pg_sys::Oid) -> Option<&'static Atom> {
        let name = own_function_name(function)?;
        ATOMS.iter().find(|atom| atom.name == name.to_bytes())
    }

    /// The column is the last argument.
    ///
    /// # Safety
    /// The arguments of a call.
    unsafe fn column(arguments: *mut pg_sys::List) -> Option<*mut pg_sys::Node> {
        // SAFETY: as the caller promises.
        unsafe { items(arguments).last().copied() }
    }
}

#[pg_extern(sql = false)]
fn atom_support(request: Internal) -> Internal {
    // SAFETY: called by the planner.
    unsafe {
        answer(request, |request| match request {
            Request::Selectivity(request) => selectivity(request).then_some(Answer::InRequest),
            Request::IndexCondition(request) => index_condition(request).map(Answer::from),
            Request::Simplify(request) => {
                note(request);
                None
            }
        })
    }
}

/// A call that a user wrote: what it asks is loaded before the first row of the statement, as for those that
/// deskguard puts into plans.
///
/// # Safety
/// The request is the planner's.
unsafe fn note(request: &pg_sys::SupportRequestSimplify) {
    // SAFETY: as the caller promises.
    unsafe {
        let call = request.fcall;
        if request.root.is_null() || (*request.root).glob.is_null() || is_call_of_plan(call.cast())
        {
            return;
        }
        let items = &mut (*(*request.root).glob).invalItems;
        ask(items, Asked::Rules);
        let is_followed = Atom::of((*call).funcid).is_some_and(|atom| atom.list.is_none());
        if let Some(table) = named_table((*call).args).filter(|_| is_followed) {
            ask(items, Asked::FollowedSeen(table));
        }
    }
}

/// How many tickets an agent is taken to follow.
const FOLLOWED_ROWS: f64 = 20.0;

/// # Safety
/// The request is the planner's.
unsafe fn selectivity(request: &mut pg_sys::SupportRequestSelectivity) -> bool {
    // SAFETY: as the caller promises.
    unsafe {
        let atom = Atom::of(request.funcid).zip(Atom::column(request.args));
        let Some((atom, column)) = atom.filter(|_| !request.is_join && !request.root.is_null())
        else {
            return false;
        };
        request.selectivity = share_of_atom(request.root, atom, column, request.varRelid);
        true
    }
}

/// The share of rows for which an atom is true.
///
/// # Safety
/// The root is the planner's, and the column in its query.
unsafe fn share_of_atom(
    root: *mut pg_sys::PlannerInfo,
    atom: &Atom,
    column: *mut pg_sys::Node,
    relation: c_int,
) -> f64 {
    // SAFETY: as the caller promises; what was found is released.
    unsafe {
        if let Some(list) = &atom.list {
            return match rights_to_estimate_for(root) {
                Some(agent) => {
                    let ids = (list.ids)(&agent);
                    let is_granted =
                        |key: KeyRef| ids.contains(agent.external_keys.id(list.principal, key));
                    share_of_column(root, column, relation, ids.len(), is_granted)
                }
                None => 0.0,
            };
        }
        let mut variable = pg_sys::VariableStatData::default();
        pg_sys::examine_variable(root, column, relation, &mut variable);
        let share = if variable.rel.is_null() {
            0.01
        } else {
            (FOLLOWED_ROWS / (*variable.rel).tuples.max(FOLLOWED_ROWS)).min(1.0)
        };
        release(&variable);
        share
    }
}

/// `column = ANY (list())`, for an index on the column.
///
/// # Safety
/// The request is the planner's.
unsafe fn index_condition(
    request: &mut pg_sys::SupportRequestIndexCondition,
) -> Option<*mut pg_sys::Node> {
    // SAFETY: as the caller promises.
    unsafe {
        let atom = Atom::of(request.funcid)?;
        let column = column_of_index(request)?;
        // An index does not help to find much of a table, and a sample of the list would make the
        // planner think that it does.
        if share_of_atom(request.root, atom, column, 0) > MOST_BY_INDEX {
            return None;
        }
        let argument = match atom.list {
            Some(_) => None,
            None => Some(pg_sys::REGCLASSOID),
        };
        let operator = ListOperator::of(request.opfamily, column)?;
        let function = operator.function(atom.list_function, argument.as_slice())?;
        condition_by_list(request, operator, function)
    }
}
