//! Loads what the permission tables say about an agent.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::CStr;
use std::rc::Rc;

use deskguard_rules::{
    Access, CategoryAccess, DepartmentTree, Grants, Group, Held, Level, Membership, Moment,
    NoAgent, PermissionAccess, Scope, Timed, Validity,
};
use pgrx::prelude::*;

use crate::mirrors::keep::bring_up_to_date;
use crate::pg::error;
use crate::pg::scan::{Attribute, Row, ScanKey};
use crate::rights::settings;
use crate::signals::generation::{self, State, Subject, Tick};
use crate::signals::under_way::NoChange;
use crate::tables::catalog::Catalog;
use crate::tables::columns::{
    ALL_NON_DESTRUCTIVE_PERMISSIONS, ALL_PERMISSIONS, agent, department, grant, member, permission,
    permission_group,
};

/// Loads agents as of one moment; what they have in common is loaded once.
pub struct Loader {
    catalog: Catalog,
    /// When it was, before its snapshot was taken.
    pub tick: Tick,
    tree: OnceCell<Rc<DepartmentTree>>,
    permissions: OnceCell<Rc<BTreeMap<String, bool>>>,
    groups: RefCell<HashMap<i64, Option<Rc<Group>>>>,
    all: Option<AllAgents>,
    /// Is what this backend remembers of the tables as they are?
    remembers: bool,
}

/// What the tables say of an agent by itself: without what its groups have, and what all have in common.
pub struct OwnFacts {
    category_access: Option<CategoryAccess>,
    held: Held,
    groups: Timed<i64>,
    teams: Timed<i64>,
    state: State,
}

impl OwnFacts {
    /// Are they as if they were loaded now?
    pub fn is_current(&self) -> bool {
        self.state.is_current()
    }

    /// How much memory they take, roughly.
    pub fn bytes(&self) -> usize {
        let held = &self.held;
        let rights = held.permissions.len() + held.departments.len() + held.categories.len();
        size_of::<OwnFacts>() + 80 * (rights + self.groups.len() + self.teams.len())
    }
}

/// What agents have in common, as of one moment.
struct Known<T> {
    what: T,
    state: State,
}

#[derive(Default)]
struct Common {
    tree: Option<Known<Rc<DepartmentTree>>>,
    permissions: Option<Known<Rc<BTreeMap<String, bool>>>>,
    groups: HashMap<i64, Known<Option<Rc<Group>>>>,
}

/// How many groups are remembered.
const MOST_GROUPS: usize = 500;

thread_local! {
    static COMMON: RefCell<Common> = RefCell::default();
}

/// Forgets what agents have in common, for DISCARD ALL.
pub fn forget() {
    COMMON.take();
}

impl<T: Clone> Known<T> {
    fn current(&self) -> Option<T> {
        self.state.is_current().then(|| self.what.clone())
    }
}

/// The tables of agents, read as a whole.
struct AllAgents {
    agents: HashMap<i64, AgentRow>,
    held: HashMap<i64, Held>,
    groups: HashMap<i64, Timed<i64>>,
    teams: HashMap<i64, Timed<i64>>,
}

#[derive(Clone, Copy)]
pub struct AgentRow {
    pub active: bool,
    pub category_access: Option<CategoryAccess>,
}

impl Loader {
    /// Reads all with one snapshot.
    pub fn now() -> Loader {
        bring_up_to_date();
        Loader {
            tick: generation::listen(),
            catalog: Catalog::now(),
            tree: OnceCell::new(),
            permissions: OnceCell::new(),
            groups: RefCell::default(),
            all: None,
            remembers: false,
        }
    }

    /// Reads with one snapshot what this backend does not remember, or all if rights are being changed.
    pub fn remembering() -> Loader {
        // Taken before the messages are accepted, and given back when there is a snapshot.
        let no_change = NoChange::now();
        let mut loader = Loader::now();
        loader.remembers = no_change.is_some();
        loader
    }

    /// For many agents: reads each table once, instead of by index for each agent.
    pub fn of_all_agents() -> Loader {
        let mut loader = Loader::now();
        let members = |table| {
            let mut of: HashMap<i64, Timed<i64>> = HashMap::new();
            loader.catalog.scan(table, None, &[], |row| {
                let agent = row.required(member::AGENT_ID);
                read_membership(row, of.entry(agent).or_default());
            });
            of
        };
        let mut agents = HashMap::new();
        loader.catalog.scan(c"agent", None, &[], |row| {
            agents.insert(row.required(agent::ID), AgentRow::read(row));
        });
        let mut held: HashMap<i64, Held> = HashMap::new();
        for (what, (table, _)) in AGENT_GRANTS {
            loader.catalog.scan(table, None, &[], |row| {
                what.read(row, held.entry(row.required(grant::HOLDER)).or_default());
            });
        }
        loader.all = Some(AllAgents {
            agents,
            held,
            groups: members(c"group_member"),
            teams: members(c"team_member"),
        });
        loader
    }

    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// What an agent may do, none for an unknown or inactive one, and on whom that depends. With the facts
    /// about it; those that are given are used if they still hold.
    pub fn access(
        &self,
        agent: i64,
        known: Option<Rc<OwnFacts>>,
    ) -> (Option<(Access, Rc<OwnFacts>)>, State) {
        let mut state = State::of(self.tick);
        state.depends_on(Subject::Agent(agent));
        let known = known.filter(|known| self.remembers && known.is_current());
        let own = known.map_or_else(|| self.own_facts(agent).map(Rc::new), Ok);
        let access = own.ok().map(|own| {
            // Whenever it is a member: also of one whose own row is still to come.
            for (group, _) in own.groups.iter() {
                state.depends_on(Subject::Group(*group));
            }
            (Access::compile(&self.grants_of(agent, &own)), own)
        });
        (access, state)
    }

    /// All facts about an agent.
    pub fn grants(&self, agent: i64) -> Result<Grants, NoAgent> {
        let own = self.own_facts(agent)?;
        Ok(self.grants_of(agent, &own))
    }

    fn own_facts(&self, agent: i64) -> Result<OwnFacts, NoAgent> {
        let mut state = State::of(self.tick);
        state.depends_on(Subject::Agent(agent));
        let row = self.agent(agent).ok_or(NoAgent::Unknown)?;
        if !row.active {
            return Err(NoAgent::Inactive);
        }
        let (held, groups, teams) = match &self.all {
            Some(all) => (
                all.held.get(&agent).cloned().unwrap_or_default(),
                all.groups.get(&agent).cloned().unwrap_or_default(),
                all.teams.get(&agent).cloned().unwrap_or_default(),
            ),
            None => (
                self.held(&AGENT_GRANTS, agent),
                self.memberships(c"group_member", c"group_member_agent_id_idx", agent),
                self.memberships(c"team_member", c"team_member_agent_id_idx", agent),
            ),
        };
        Ok(OwnFacts {
            category_access: row.category_access,
            held,
            groups,
            teams,
            state,
        })
    }

    fn grants_of(&self, agent: i64, own: &OwnFacts) -> Grants {
        Grants {
            agent,
            scope: Scope::Everywhere,
            now: now(),
            category_access: own.category_access,
            default_category_access: settings::default_category_access(),
            held: own.held.clone(),
            groups: own
                .groups
                .iter()
                .filter_map(|(id, validity)| {
                    let group = self.group(*id)?;
                    Some(Membership {
                        id: *id,
                        group,
                        validity,
                    })
                })
                .collect(),
            teams: own.teams.clone(),
            tree: self.tree().clone(),
            catalog: self.permissions().clone(),
        }
    }

    fn agent(&self, id: i64) -> Option<AgentRow> {
        match &self.all {
            Some(all) => all.agents.get(&id).copied(),
            None => self.catalog.find(
                c"agent",
                c"agent_pkey",
                &[ScanKey::bigint(agent::ID, id)],
                AgentRow::read,
            ),
        }
    }

    /// The active agents, by id.
    pub fn active_agents(&self) -> BTreeSet<i64> {
        let mut ids = BTreeSet::new();
        self.catalog.scan(c"agent", None, &[], |row| {
            if row.required(agent::ACTIVE) {
                ids.insert(row.required(agent::ID));
            }
        });
        ids
    }

    /// All permissions, and whether they are destructive.
    pub fn permissions(&self) -> &Rc<BTreeMap<String, bool>> {
        self.permissions.get_or_init(|| {
            let known = |common: &Common| common.permissions.as_ref()?.current();
            if let Some(known) = self.remembered(known) {
                return known;
            }
            let mut state = State::of(self.tick);
            state.depends_on(Subject::Group(ALL_PERMISSIONS));
            state.depends_on(Subject::Group(ALL_NON_DESTRUCTIVE_PERMISSIONS));
            let mut all = BTreeMap::new();
            self.catalog.scan(c"permission", None, &[], |row| {
                all.insert(
                    row.required(permission::NAME),
                    row.required(permission::DESTRUCTIVE),
                );
            });
            let all = Rc::new(all);
            let what = all.clone();
            self.remember(|common| common.permissions = Some(Known { what, state }));
            all
        })
    }

    /// Raises an error that names the permissions there are, if this is none.
    pub fn check_permission(&self, name: &str) {
        let all = self.permissions();
        if !all.contains_key(name) {
            let names: Vec<&str> = all.keys().map(String::as_str).collect();
            error::raise(
                PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
                format!("unknown permission \"{name}\""),
                format!("Permissions in deskguard.permission: {}.", names.join(", ")),
            );
        }
    }

    pub fn tree(&self) -> &Rc<DepartmentTree> {
        self.tree.get_or_init(|| self.load_tree())
    }

    fn load_tree(&self) -> Rc<DepartmentTree> {
        // A new department at the top is told to nobody: a right on it is one on nothing else.
        let known = |common: &Common| common.tree.as_ref()?.current();
        if let Some(known) = self.remembered(known) {
            return known;
        }
        let state = State::of(self.tick);
        let mut parents = BTreeMap::new();
        self.catalog.scan(c"department", None, &[], |row| {
            parents.insert(row.required(department::ID), row.get(department::PARENT_ID));
        });
        let tree = Rc::new(DepartmentTree(parents));
        let what = tree.clone();
        self.remember(|common| common.tree = Some(Known { what, state }));
        tree
    }

    fn memberships(&self, table: &CStr, index: &CStr, agent: i64) -> Timed<i64> {
        let mut of = Timed::default();
        self.catalog.scan(
            table,
            Some(index),
            &[ScanKey::bigint(member::AGENT_ID, agent)],
            |row| read_membership(row, &mut of),
        );
        of
    }

    pub fn group(&self, id: i64) -> Option<Rc<Group>> {
        if let Some(known) = self.groups.borrow().get(&id) {
            return known.clone();
        }
        let known = |common: &Common| common.groups.get(&id)?.current();
        let group = self.remembered(known).unwrap_or_else(|| {
            let mut state = State::of(self.tick);
            state.depends_on(Subject::Group(id));
            let what = self.load_group(id).map(Rc::new);
            let group = what.clone();
            self.remember(|common| {
                if common.groups.len() >= MOST_GROUPS {
                    common.groups.clear();
                }
                common.groups.insert(id, Known { what, state });
            });
            group
        });
        self.groups.borrow_mut().insert(id, group.clone());
        group
    }

    fn remembered<T>(&self, find: impl FnOnce(&Common) -> Option<T>) -> Option<T> {
        let remembers = self.remembers;
        remembers.then(|| COMMON.with_borrow(find)).flatten()
    }

    /// For later. What has changed since this loader's moment is out of date by its state.
    fn remember(&self, store: impl FnOnce(&mut Common)) {
        if self.remembers {
            COMMON.with_borrow_mut(store);
        }
    }

    /// By name.
    pub fn all_groups(&self) -> Vec<Rc<Group>> {
        let mut ids = vec![];
        self.catalog.scan(c"permission_group", None, &[], |row| {
            ids.push(row.required(permission_group::ID));
        });
        let mut groups: Vec<_> = ids.into_iter().filter_map(|id| self.group(id)).collect();
        groups.sort_by(|one, other| one.name.cmp(&other.name));
        groups
    }

    fn load_group(&self, id: i64) -> Option<Group> {
        let mut group = self.group_row(id)?;
        group.held = self.held(&GROUP_GRANTS, id);
        Some(group)
    }

    /// A group without what it holds.
    pub fn group_row(&self, id: i64) -> Option<Group> {
        self.catalog.find(
            c"permission_group",
            c"permission_group_pkey",
            &[ScanKey::bigint(permission_group::ID, id)],
            |row| Group {
                name: row.required(permission_group::NAME),
                scope: scope(row),
                category_access: category_access(row.required(permission_group::CATEGORY_ACCESS)),
                all_departments: row.required::<&str>(permission_group::DEPARTMENT_ACCESS) == "all",
                permission_access: match id {
                    ALL_PERMISSIONS => PermissionAccess::All,
                    ALL_NON_DESTRUCTIVE_PERMISSIONS => PermissionAccess::NonDestructive,
                    _ => PermissionAccess::Granted,
                },
                held: Held::default(),
            },
        )
    }

    fn held(&self, tables: &GrantTables, holder: i64) -> Held {
        let mut held = Held::default();
        for (what, (table, index)) in tables {
            let key = ScanKey::bigint(grant::HOLDER, holder);
            self.catalog
                .scan(table, Some(index), &[key], |row| what.read(row, &mut held));
        }
        held
    }
}

impl AgentRow {
    pub fn read(row: &Row) -> AgentRow {
        AgentRow {
            active: row.required(agent::ACTIVE),
            category_access: row.get(agent::CATEGORY_ACCESS).map(category_access),
        }
    }
}

/// What the rows of a grant table give.
#[derive(Clone, Copy)]
enum Granted {
    Permission,
    Department,
    Category,
}

impl Granted {
    fn read(self, row: &Row, held: &mut Held) {
        match self {
            Granted::Permission => {
                let validity = validity(row, grant::VALID_FROM);
                held.permissions
                    .give(row.required(grant::OBJECT), (), validity);
            }
            Granted::Department => {
                let validity = validity(row, grant::VALID_FROM_AFTER_LEVEL);
                held.departments
                    .give(row.required(grant::OBJECT), level(row), validity);
            }
            Granted::Category => {
                let validity = validity(row, grant::VALID_FROM);
                held.categories
                    .give(row.required(grant::OBJECT), (), validity);
            }
        }
    }
}

fn read_membership(row: &Row, of: &mut Timed<i64>) {
    let validity = validity(row, member::VALID_FROM);
    of.give(row.required(member::OF), (), validity);
}

/// The level at which a row gives a department.
pub fn level(row: &Row) -> Level {
    match row.required(grant::LEVEL) {
        "full" => Level::Full,
        "assign" => Level::Assign,
        other => unknown_word(other),
    }
}

/// The columns valid_from and, after it, valid_until. An infinite bound is none.
pub fn validity(row: &Row, from: Attribute) -> Validity {
    let bound = |column| row.get::<Moment>(column);
    Validity {
        from: bound(from).filter(|from| *from != Moment::MIN),
        until: bound(from + 1).filter(|until| *until != Moment::MAX),
    }
}

/// What now() is for the current statement.
pub fn now() -> Moment {
    // SAFETY: reads the transaction's state. A parallel worker has its leader's.
    unsafe { pg_sys::GetCurrentTransactionStartTimestamp() }
}

/// The tables of grants, each with its primary key, which begins with the holder.
type GrantTables = [(Granted, (&'static CStr, &'static CStr)); 3];

const AGENT_GRANTS: GrantTables = [
    (
        Granted::Permission,
        (c"agent_permission", c"agent_permission_pkey"),
    ),
    (
        Granted::Department,
        (c"agent_department", c"agent_department_pkey"),
    ),
    (
        Granted::Category,
        (c"agent_category", c"agent_category_pkey"),
    ),
];

const GROUP_GRANTS: GrantTables = [
    (
        Granted::Permission,
        (c"group_permission", c"group_permission_pkey"),
    ),
    (
        Granted::Department,
        (c"group_department", c"group_department_pkey"),
    ),
    (
        Granted::Category,
        (c"group_category", c"group_category_pkey"),
    ),
];

/// Before the extension's SQL is updated there are no scoped groups.
fn scope(group: &Row) -> Scope {
    match group.get(permission_group::SCOPE) {
        Some("granted") => Scope::Granted,
        Some("everywhere") | None => Scope::Everywhere,
        Some(other) => unknown_word(other),
    }
}

fn category_access(word: &str) -> CategoryAccess {
    match word {
        "silo" => CategoryAccess::Silo,
        "open" => CategoryAccess::Open,
        other => unknown_word(other),
    }
}

/// The tables' CHECK constraints allow no other word.
fn unknown_word(word: &str) -> ! {
    error::raise(
        PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
        format!("a deskguard table has the unknown word \"{word}\""),
        "Were the extension's constraints altered by hand?",
    )
}
