//! Loads what the permission tables say about an agent.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::CStr;
use std::rc::Rc;

use deskguard_rules::{
    Access, CategoryAccess, DepartmentTree, Grants, Group, Held, Level, Membership, Moment,
    NoAgent, PermissionAccess, Timed, Validity,
};
use pgrx::prelude::*;

use crate::pg::error;
use crate::pg::scan::{Attribute, Row, ScanKey};
use crate::rights::settings;
use crate::signals::generation::{self, State, Subject, Tick};
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
    pub fn now() -> Loader {
        Loader {
            tick: generation::listen(),
            catalog: Catalog::now(),
            tree: OnceCell::new(),
            permissions: OnceCell::new(),
            groups: RefCell::default(),
            all: None,
        }
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

    /// What an agent may do, none for an unknown or inactive one, and on whom that depends.
    pub fn access(&self, agent: i64) -> (Option<Access>, State) {
        let mut state = State::of(self.tick);
        state.depends_on(Subject::Agent(agent));
        let access = self.facts(agent).ok().map(|(grants, groups)| {
            // Whenever it is a member: also of one whose own row is still to come.
            for (group, _) in groups.iter() {
                state.depends_on(Subject::Group(*group));
            }
            Access::compile(&grants)
        });
        (access, state)
    }

    /// All facts about an agent.
    pub fn grants(&self, agent: i64) -> Result<Grants, NoAgent> {
        self.facts(agent).map(|(grants, _)| grants)
    }

    /// With all its memberships in groups.
    fn facts(&self, agent: i64) -> Result<(Grants, Timed<i64>), NoAgent> {
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
        let grants = Grants {
            agent,
            now: now(),
            category_access: row.category_access,
            default_category_access: settings::default_category_access(),
            held,
            groups: groups
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
            teams,
            tree: self.tree().clone(),
            catalog: self.permissions().clone(),
        };
        Ok((grants, groups))
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
            let mut all = BTreeMap::new();
            self.catalog.scan(c"permission", None, &[], |row| {
                all.insert(
                    row.required(permission::NAME),
                    row.required(permission::DESTRUCTIVE),
                );
            });
            Rc::new(all)
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
        let mut parents = BTreeMap::new();
        self.catalog.scan(c"department", None, &[], |row| {
            parents.insert(row.required(department::ID), row.get(department::PARENT_ID));
        });
        Rc::new(DepartmentTree(parents))
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
        let group = self.load_group(id).map(Rc::new);
        self.groups.borrow_mut().insert(id, group.clone());
        group
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
