//! Things that agents share: the tables of deskguard.protect_shared(), with whom their objects are
//! shared, and what their policies call.

use std::rc::Rc;

use deskguard_rules::{
    Access, Column, SharedCondition, change_shared_condition, may_change_shared, may_see_shared,
    see_shared_condition,
};
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::{SpiError, quote_identifier};
use pgrx::{Internal, pg_sys};

use crate::atoms::{MOST_BY_INDEX, column_of_index, condition_by_list, share_of_column};
use crate::cache::Agent;
use crate::catalog::{Catalog, Row, ScanKey, own_function, own_function_name, own_table};
use crate::expression::{
    ListOperator, Operand, any, as_node, boolean, function_call, items, named_table, until,
};
use crate::fold::{self, for_later, is_for_later, rights_of_plan};
use crate::identity::current_agent;
use crate::key::{Key, KeyList, KeyRef, KeySet, KeyType, OwnedKey, canonical_uuid};
use crate::literal::ColumnType;
use crate::load::Loader;
use crate::owner_sql::{RunAsOwner, as_of_now, for_each_row};
use crate::plan_mark::{Asked, ask};
use crate::planner_support::{Answer, Request, answer};
use crate::policy::{key, place};
use crate::protected::{SHARED, display_name, protected_table, root_of, table_name};
use crate::statement::{Site, at_site, is_of_plan, is_planning, may_fold, rights_to_estimate_for};
use crate::trigger_call::{Form, TriggerCall};
use crate::unique::is_unique;
use crate::{cache, error, settings};

mod shared_visibility {
    use crate::catalog::Attribute;
    pub const OBJECT_TABLE: Attribute = 1;
    pub const OBJECT_ID: Attribute = 2;
    pub const GROUP_ID: Attribute = 3;
    pub const AGENT_ID: Attribute = 4;
    pub const OBJECT_KEY: Attribute = 6;
}

/// The objects of a table that are shared with an agent.
pub struct Shared {
    pub now: KeySet,
    /// At least those at each later moment; none if the agent's rights do not change by themselves.
    from_now_on: KeySet,
}

static NONE: Shared = Shared {
    now: KeySet::EMPTY,
    from_now_on: KeySet::EMPTY,
};

impl Shared {
    pub fn load(loader: &Loader, access: &Access, table: pg_sys::Oid) -> Shared {
        let to_come = access.rest_to_come();
        Shared {
            now: loader.shared_with(access, table),
            from_now_on: to_come.map_or(KeySet::EMPTY, |(_, from_now_on)| {
                loader.shared_with(from_now_on, table)
            }),
        }
    }

    /// The memory that it takes, in bytes.
    pub fn bytes(&self) -> usize {
        std::mem::size_of::<Shared>() + self.now.bytes() + self.from_now_on.bytes()
    }
}

/// A table of shared objects.
#[derive(Clone, Debug)]
pub struct SharedTable {
    pub oid: pg_sys::Oid,
    pub id: String,
    pub id_type: KeyType,
    pub owner: Option<String>,
}

impl SharedTable {
    /// The table of shared objects with this OID.
    pub fn find(catalog: &Catalog, oid: pg_sys::Oid) -> Option<SharedTable> {
        let read = |row: &Row| {
            let name = |attribute| {
                let name = row.get::<&std::ffi::CStr>(attribute)?;
                Some(name.to_string_lossy().into_owned())
            };
            if row.required::<&str>(protected_table::KIND) != SHARED {
                return None;
            }
            // Only the root has the columns.
            let id = name(protected_table::ID_COLUMN)?;
            Some(SharedTable {
                oid,
                id_type: KeyType::of_column(oid, &id)?,
                id,
                owner: name(protected_table::OWNER_COLUMN),
            })
        };
        catalog
            .find(
                c"protected_table",
                c"protected_table_pkey",
                &[ScanKey::oid(protected_table::TABLE_ID, oid)],
                read,
            )
            .flatten()
    }

    /// The table of shared objects that this table is, or is a partition or child of.
    pub fn find_by_part(catalog: &Catalog, oid: pg_sys::Oid) -> Option<SharedTable> {
        SharedTable::find(catalog, root_of(catalog, oid)?)
    }

    /// The table that a caller names.
    fn resolve(named: Option<pg_sys::Oid>) -> Rc<SharedTable> {
        let Some(oid) = named else {
            error::raise(
                PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
                "object_table must not be NULL",
                "Name the table of the object.",
            )
        };
        cache::shared_table(oid).unwrap_or_else(|| {
            let catalog = Catalog::now();
            let mut names = vec![];
            catalog.scan(c"protected_table", None, &[], |row| {
                let oid = row.required(protected_table::TABLE_ID);
                names.extend(SharedTable::find(&catalog, oid).and_then(|t| table_name(t.oid)));
            });
            names.sort();
            error::raise(
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("{} is not a table of shared objects", display_name(oid)),
                if names.is_empty() {
                    "Protect one: SELECT deskguard.protect_shared('your_table', ...).".into()
                } else {
                    format!("Tables of shared objects: {}.", names.join(", "))
                },
            )
        })
    }

    /// The owner of an object as the rules see it.
    fn owner(&self, owner: Option<i64>) -> Column {
        match self.owner {
            Some(_) => Column::Value(owner),
            None => Column::Absent,
        }
    }

    pub fn has_visibility(&self, object: KeyRef) -> bool {
        let keys = [
            ScanKey::oid(shared_visibility::OBJECT_TABLE, self.oid),
            match object {
                Key::Number(id) => ScanKey::bigint(shared_visibility::OBJECT_ID, id),
                Key::Uuid(_) | Key::Text(_) => {
                    ScanKey::text(shared_visibility::OBJECT_KEY, &object.to_string())
                }
            },
        ];
        let index = c"shared_visibility_key";
        Catalog::now()
            .find(c"shared_visibility", index, &keys, |_| ())
            .is_some()
    }

    /// The object that a row of shared_visibility is about.
    fn object_of(&self, row: &Row) -> Option<OwnedKey> {
        match self.id_type {
            KeyType::Number => row.get(shared_visibility::OBJECT_ID).map(Key::Number),
            KeyType::Uuid => {
                let key = row.get::<&str>(shared_visibility::OBJECT_KEY)?;
                canonical_uuid(key).map(Key::Uuid)
            }
            KeyType::Text => {
                let key = row.get::<&str>(shared_visibility::OBJECT_KEY)?;
                Some(Key::Text(key.into()))
            }
        }
    }

    /// Is there an object with the id, also one of this command's making?
    fn has_object(&self, object: KeyRef) -> Result<bool, SpiError> {
        let _owner = RunAsOwner::of(self.oid);
        Ok(self.find_object(object, "")? > 0)
    }

    /// How many rows the current user finds with the id.
    fn find_object(&self, object: KeyRef, lock: &str) -> Result<usize, SpiError> {
        let query = format!(
            "SELECT FROM {} WHERE {} OPERATOR(pg_catalog.=) $1 {lock}",
            display_name(self.oid),
            quote_identifier(&self.id),
        );
        let Some(object) = self.id_type.takes(object) else {
            return Ok(0);
        };
        let (type_oid, value) = object.argument();
        // SAFETY: the value is of the type.
        let object = unsafe { DatumWithOid::new(value, type_oid) };
        Spi::connect_mut(|client| Ok(client.update(&query, None, &[object])?.len()))
    }

    /// Are these all the rows with the id, whoever may see them? With whom an object is shared is said by
    /// its id.
    fn has_no_more(&self, object: KeyRef, rows: usize) -> bool {
        if is_unique(self.oid, &self.id) {
            return true;
        }
        let query = format!(
            "SELECT 1 FROM {} WHERE {} OPERATOR(pg_catalog.=) $1",
            display_name(self.oid),
            quote_identifier(&self.id),
        );
        let Some(object) = self.id_type.takes(object) else {
            return false;
        };
        let mut all = 0;
        as_of_now(|| for_each_row(self.oid, &query, &[object], |_| all += 1));
        all == rows
    }
}

impl Loader {
    /// The objects of a table that are shared with an agent.
    fn shared_with(&self, access: &Access, table: pg_sys::Oid) -> KeySet {
        let Some(shared) = SharedTable::find(self.catalog(), table) else {
            return KeySet::EMPTY;
        };
        let mut objects = vec![];
        let mut add = |index, keys: &[ScanKey]| {
            self.catalog()
                .scan(c"shared_visibility", Some(index), keys, |row| {
                    objects.extend(shared.object_of(row));
                });
        };
        let of_table = || ScanKey::oid(shared_visibility::OBJECT_TABLE, table);
        add(c"shared_visibility_everyone_idx", &[of_table()]);
        let agents = c"shared_visibility_agent_id_idx";
        let key = ScanKey::bigint(shared_visibility::AGENT_ID, access.agent);
        add(agents, &[key, of_table()]);
        for group in access.groups().sorted() {
            let key = ScanKey::bigint(shared_visibility::GROUP_ID, *group);
            add(c"shared_visibility_group_id_idx", &[key, of_table()]);
        }
        objects.into_iter().collect()
    }
}

// What policies and plans call

/// What a call asks about, found out once for each statement.
struct Call {
    /// None: nobody, or a table that is not protected (any more).
    who: Option<(Rc<Agent>, Rc<SharedTable>)>,
}

impl Call {
    fn of(fcinfo: pg_sys::FunctionCallInfo, named: Option<pg_sys::Oid>) -> Site<Call> {
        at_site(fcinfo, named, |statement| {
            let table = named.and_then(cache::shared_table);
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
                fcinfo: pg_sys::FunctionCallInfo,
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
fn shared_ok(
    object_table: Option<pg_sys::Oid>,
    owner: Option<i64>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> bool {
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
                fcinfo: pg_sys::FunctionCallInfo,
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
fn all_shared(fcinfo: pg_sys::FunctionCallInfo, object_table: Option<pg_sys::Oid>) -> KeyList {
    let call = Call::of(fcinfo, object_table);
    call.who
        .as_ref()
        .map_or_else(KeyList::default, |(agent, table)| {
            let now = &agent.shared(table.oid).now;
            let is_estimate = is_planning() && is_of_plan(fcinfo);
            KeyList::of(now.sorted().into_iter(), now.len(), is_estimate)
        })
}

#[pg_extern(sql = false)]
fn shared_objects(object_table: Option<pg_sys::Oid>, fcinfo: pg_sys::FunctionCallInfo) -> Vec<i64> {
    all_shared(fcinfo, object_table).numbers
}

#[pg_extern(sql = false)]
fn shared_objects_uuid(
    object_table: Option<pg_sys::Oid>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Vec<pgrx::Uuid> {
    all_shared(fcinfo, object_table).uuids
}

#[pg_extern(sql = false)]
fn shared_objects_text(
    object_table: Option<pg_sys::Oid>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Vec<String> {
    all_shared(fcinfo, object_table).texts
}

// For the planner

#[pg_extern(sql = false)]
fn shared_support(request: Internal) -> Internal {
    // SAFETY: called by the planner.
    unsafe {
        answer(request, |request| match request {
            Request::Simplify(request) => simplify(request).map(Answer::from),
            Request::Selectivity(request) => selectivity(request).then_some(Answer::InRequest),
            Request::IndexCondition(request) => index_condition(request).map(Answer::from),
        })
    }
}

/// The functions that policies call, and what is left of one of them in a plan.
enum Function {
    Seen,
    Ok,
    With,
}

impl Function {
    fn of(function: pg_sys::Oid) -> Option<Function> {
        let name = own_function_name(function)?;
        match name.to_bytes() {
            b"shared_seen" => Some(Function::Seen),
            b"shared_ok" => Some(Function::Ok),
            b"shared_with" => Some(Function::With),
            _ => None,
        }
    }
}

unsafe fn argument(arguments: *mut pg_sys::List, number: usize) -> Option<*mut pg_sys::Node> {
    unsafe { items(arguments).get(number).copied() }
}

/// # Safety
/// As called by the planner.
unsafe fn simplify(request: &pg_sys::SupportRequestSimplify) -> Option<*mut pg_sys::Node> {
    unsafe {
        // Without a plan to mark, the call must stay.
        if request.root.is_null() || (*request.root).glob.is_null() {
            return None;
        }
        let call = &*request.fcall;
        let function = Function::of(call.funcid)?;
        if matches!(function, Function::With) || is_for_later(call.args) {
            return None;
        }
        let is_seen = matches!(function, Function::Seen);
        let plan = &mut *(*request.root).glob;
        let Some(named) = named_table(call.args) else {
            ask(&mut plan.invalItems, Asked::Rules);
            return None;
        };
        let table = cache::shared_table(named);
        // Somebody's own call: no object of the table has such a key.
        let is_of_other_kind = table.as_ref().filter(|_| is_seen).is_some_and(|table| {
            let id_type = argument(call.args, 1).and_then(|id| ColumnType::of(id));
            id_type.is_none_or(|id_type| id_type.key_type() != table.id_type)
        });
        if !settings::folding() || is_of_other_kind || !may_fold(Some(named)) {
            let table = table.filter(|_| is_seen).map(|table| table.oid);
            let asked = table.map_or(Asked::Rules, Asked::Shared);
            ask(&mut plan.invalItems, asked);
            return None;
        }
        let (Some(agent), Some(table)) = (rights_of_plan(plan), table) else {
            return Some(boolean(false));
        };
        let shared = is_seen.then(|| agent.shared(table.oid));
        let shared = shared.as_deref().unwrap_or(&NONE);
        let expression = |access: &Access, objects: &KeySet| {
            let has_owners = table.owner.is_some();
            let condition = if is_seen {
                see_shared_condition(access, has_owners, !objects.is_empty())
            } else {
                change_shared_condition(access, has_owners)
            };
            expression(call.args, &agent, condition, objects)
        };
        let now = expression(&agent, &shared.now)?;
        let Some((moment, from_now_on)) = agent.rest_to_come() else {
            if !is_short(&shared.now) {
                ask(&mut plan.invalItems, Asked::Shared(table.oid));
            }
            return Some(now);
        };
        if is_seen {
            ask(&mut plan.invalItems, Asked::Shared(table.oid));
        }
        let always = expression(from_now_on, &shared.from_now_on)?;
        Some(until(moment, now, always, for_later(call)))
    }
}

/// The condition on the columns that a call of a rule has as its arguments.
unsafe fn expression(
    arguments: *mut pg_sys::List,
    agent: &Agent,
    condition: SharedCondition,
    objects: &KeySet,
) -> Option<*mut pg_sys::Node> {
    unsafe {
        let (owned, shared) = match condition {
            SharedCondition::Constant(value) => return Some(boolean(value)),
            SharedCondition::AnyOf { owned, shared } => (owned, shared),
        };
        let mut parts = vec![];
        if owned {
            // The last.
            let owner = Operand::of(*items::<pg_sys::Node>(arguments).last()?)?;
            parts.push(owner.any_id_of(&[agent.agent], &agent.external_keys, false));
        }
        if shared {
            let id = Operand::of(argument(arguments, 1)?)?;
            parts.push(if is_short(objects) {
                id.any_of(objects.sorted(), false)
            } else {
                let types = [pg_sys::REGCLASSOID, id.type_oid()];
                let table = argument(arguments, 0)?;
                let table = pg_sys::copyObjectImpl(table.cast()).cast();
                function_call(own_function(c"shared_with", &types)?, &[table, id.copy()])
            });
        }
        Some(any(parts))
    }
}

/// Are they few enough for literals?
fn is_short(objects: &KeySet) -> bool {
    objects.len() <= settings::fold_limit()
}

/// The share of rows that are shared with the current agent.
unsafe fn share_of_shared(
    root: *mut pg_sys::PlannerInfo,
    arguments: *mut pg_sys::List,
    relation: std::ffi::c_int,
) -> Option<f64> {
    unsafe {
        let table = named_table(arguments).and_then(cache::shared_table);
        let agent = rights_to_estimate_for(root);
        let objects = agent.zip(table).map(|(a, table)| a.shared(table.oid));
        let column = argument(arguments, 1)?;
        let objects = objects.as_deref().unwrap_or(&NONE);
        let is_shared = |key: KeyRef| objects.now.contains(key);
        let share = share_of_column(root, column, relation, objects.now.len(), is_shared);
        Some(share)
    }
}

/// # Safety
/// As called by the planner.
unsafe fn selectivity(request: &mut pg_sys::SupportRequestSelectivity) -> bool {
    unsafe {
        let is_with = matches!(Function::of(request.funcid), Some(Function::With));
        if !is_with || request.is_join || request.root.is_null() {
            return fold::selectivity(request);
        }
        let share = share_of_shared(request.root, request.args, request.varRelid);
        request.selectivity = share.unwrap_or(request.selectivity);
        share.is_some()
    }
}

/// # Safety
/// As called by the planner.
unsafe fn index_condition(
    request: &mut pg_sys::SupportRequestIndexCondition,
) -> Option<*mut pg_sys::Node> {
    unsafe {
        if !matches!(Function::of(request.funcid)?, Function::With) {
            return None;
        }
        let column = column_of_index(request)?;
        let arguments = as_node::<pg_sys::FuncExpr>(request.node)?.args;
        // As for other long lists.
        if share_of_shared(request.root, arguments, 0)? > MOST_BY_INDEX {
            return None;
        }
        let operator = ListOperator::of(request.opfamily, column)?;
        let list = operator.function("shared_objects", &[pg_sys::REGCLASSOID])?;
        condition_by_list(request, operator, list)
    }
}

// Sharing

/// With whom an object is shared.
struct Audience {
    group: Option<i64>,
    agent: Option<i64>,
    everyone: bool,
}

impl Audience {
    fn new(group: Option<i64>, agent: Option<i64>, everyone: Option<bool>) -> Audience {
        let audience = Audience {
            group,
            agent,
            everyone: everyone == Some(true),
        };
        let given = [
            audience.group.is_some(),
            audience.agent.is_some(),
            audience.everyone,
        ];
        if given.iter().filter(|given| **given).count() != 1 {
            error::raise(
                PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
                "exactly one of group_id, agent_id and everyone must be given",
                "Call it once for each: deskguard.share('filters', 42, group_id => 100).",
            );
        }
        audience
    }
}

/// An object as shared_visibility has it: object_id and object_key.
fn stored(object: KeyRef) -> (Option<i64>, Option<String>) {
    match object {
        Key::Number(id) => (Some(id), None),
        Key::Uuid(_) | Key::Text(_) => (None, Some(object.to_string())),
    }
}

/// Writes deskguard.shared_visibility as its owner. The arguments are the table, the object's id or key,
/// the group, the agent and everyone.
fn write_visibility(
    query: &str,
    table: &SharedTable,
    object: KeyRef,
    audience: &Audience,
) -> Result<(), SpiError> {
    let _owner = RunAsOwner::of(own_table(c"shared_visibility"));
    let (id, key) = stored(object);
    Spi::run_with_args(
        query,
        &[
            table.oid.into(),
            id.into(),
            key.into(),
            audience.group.into(),
            audience.agent.into(),
            audience.everyone.into(),
        ],
    )
}

/// The object, if the current user may change it, locked; its privileges and policies decide. If its id
/// stands for several rows, all of them.
fn changeable(table: &SharedTable, object: Option<KeyRef>) -> Result<OwnedKey, SpiError> {
    let id = object.map(|id| id.for_column(table.id_type, table.oid, &table.id));
    if let Some(id) = &id {
        let found = table.find_object(id.borrowed(), "FOR UPDATE")?;
        if found > 0 && table.has_no_more(id.borrowed(), found) {
            return Ok(id.clone());
        }
    }
    error::raise(
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        format!(
            "{} may not change an object {} of {}",
            current_agent().map_or("nobody".into(), |id| format!("agent {id}")),
            id.map_or("NULL".into(), |id| id.to_string()),
            display_name(table.oid),
        ),
        "Its owner may, and agents with the permission shared.manage.",
    )
}

const SHARE: &str = "INSERT INTO deskguard.shared_visibility
        (object_table, object_id, object_key, group_id, agent_id, everyone)
    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
const UNSHARE: &str = "DELETE FROM deskguard.shared_visibility
    WHERE object_table::pg_catalog.oid OPERATOR(pg_catalog.=) $1
      AND (object_id OPERATOR(pg_catalog.=) $2 OR object_key OPERATOR(pg_catalog.=) $3)
      AND (group_id OPERATOR(pg_catalog.=) $4 OR agent_id OPERATOR(pg_catalog.=) $5
           OR everyone AND $6)";

fn change_visibility(
    query: &str,
    table: Option<pg_sys::Oid>,
    object: Option<KeyRef>,
    audience: Audience,
) -> Result<(), SpiError> {
    let table = SharedTable::resolve(table);
    let object = changeable(&table, object)?;
    write_visibility(query, &table, object.borrowed(), &audience)
}

/// SQL functions for each type of ids.
macro_rules! for_each_id {
    ($($share:ident, $unshare:ident, $id:ty);+ $(;)?) => {
        $(
            #[pg_extern(sql = false)]
            fn $share(
                object_table: Option<pg_sys::Oid>,
                object_id: Option<$id>,
                group_id: Option<i64>,
                agent_id: Option<i64>,
                everyone: Option<bool>,
            ) -> Result<(), SpiError> {
                let audience = Audience::new(group_id, agent_id, everyone);
                change_visibility(SHARE, object_table, object_id.map(KeyRef::from), audience)
            }

            #[pg_extern(sql = false)]
            fn $unshare(
                object_table: Option<pg_sys::Oid>,
                object_id: Option<$id>,
                group_id: Option<i64>,
                agent_id: Option<i64>,
                everyone: Option<bool>,
            ) -> Result<(), SpiError> {
                let audience = Audience::new(group_id, agent_id, everyone);
                change_visibility(UNSHARE, object_table, object_id.map(KeyRef::from), audience)
            }
        )+
    };
}

for_each_id!(
    share, unshare, i64;
    share_uuid, unshare_uuid, pgrx::Uuid;
    share_text, unshare_text, &str;
);

#[unsafe(no_mangle)]
pub extern "C" fn pg_finfo_object_gone() -> &'static pg_sys::Pg_finfo_record {
    const VERSION_1: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
    &VERSION_1
}

/// Trigger, after DELETE, TRUNCATE, and UPDATE of an id: what is left in shared_visibility would show
/// the next object with the id to those it was not shared with.
///
/// # Safety
/// Called by PostgreSQL.
#[unsafe(no_mangle)]
#[pg_guard]
pub unsafe extern "C-unwind" fn object_gone(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: in a trigger the context is its TriggerData.
    unsafe {
        let call = TriggerCall::new(
            fcinfo,
            "object_gone",
            &[Form::AFTER_DELETE, Form::AFTER_UPDATE, Form::AFTER_TRUNCATE],
            "deskguard.protect_shared() makes the triggers.",
        );
        if let Some(table) = cache::shared_table(call.relation().rd_id) {
            let gone = if call.is_of_row() {
                place(call.relation(), &table.id)
                    .and_then(|id| key(call.old(), call.relation().rd_att, id))
                    .map(KeyRef::to_owned)
                    .into_iter()
                    .collect()
            } else {
                all_with_visibility(&table)
            };
            // What is replicated is not refused.
            let is_update = call.is_update()
                && pg_sys::SessionReplicationRole
                    != pg_sys::SESSION_REPLICATION_ROLE_REPLICA as i32;
            for object in gone {
                if let Err(problem) = forget(&table, object.borrowed(), is_update) {
                    error::raise(
                        PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
                        format!("could not forget with whom an object was shared: {problem}"),
                        "Please report this.",
                    );
                }
            }
        }
        // Nobody looks at the result of a trigger that runs after.
        pg_sys::Datum::null()
    }
}

fn all_with_visibility(table: &SharedTable) -> Vec<OwnedKey> {
    let mut objects = vec![];
    let key = ScanKey::oid(shared_visibility::OBJECT_TABLE, table.oid);
    let index = c"shared_visibility_key";
    Catalog::now().scan(c"shared_visibility", Some(index), &[key], |row| {
        objects.extend(table.object_of(row));
    });
    objects.dedup();
    objects
}

/// A row with the id is gone. The object may still be there: moved to another partition, or where no
/// index forbids a second.
fn forget(table: &SharedTable, object: KeyRef, is_update: bool) -> Result<(), SpiError> {
    if !table.has_visibility(object) || table.has_object(object)? {
        return Ok(());
    }
    if is_update {
        error::raise(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!(
                "the id of object {object} of {} cannot be changed: it is shared",
                display_name(table.oid)
            ),
            "Take it back from all with deskguard.unshare() first, or make another object.",
        );
    }
    forget_visibility(table.oid, Some(object))
}

/// With whom one object of a table was shared, or all of them.
pub fn forget_visibility(table: pg_sys::Oid, object: Option<KeyRef>) -> Result<(), SpiError> {
    let _owner = RunAsOwner::of(own_table(c"shared_visibility"));
    let (id, key) = object.map_or((None, None), stored);
    Spi::run_with_args(
        "DELETE FROM deskguard.shared_visibility
         WHERE object_table::pg_catalog.oid OPERATOR(pg_catalog.=) $1
           AND ($2::pg_catalog.int8 IS NULL AND $3::pg_catalog.text IS NULL
                OR object_id OPERATOR(pg_catalog.=) $2 OR object_key OPERATOR(pg_catalog.=) $3)",
        &[table.into(), id.into(), key.into()],
    )
}
