//! What all agents may do with one ticket, found out together.
//!
//! A rule asks an agent's rights for nothing but what the ticket has: its category, its department and its team. So
//! of each table the rows about these are read once. Most agents then have the same rights as another one, but for
//! their ids, and each such set of rights is compiled once.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::CStr;
use std::rc::Rc;

use deskguard_rules::{
    Access, CategoryAccess, DepartmentTree, Grants, Group, Held, Level, Membership, Scope, Timed,
    Validity,
};

use crate::pg::memory;
use crate::pg::scan::{Attribute, Row, ScanKey};
use crate::rights::load::{AgentRow, Loader, level, now, validity};
use crate::rights::settings;
use crate::tables::columns::{agent, grant, member};

/// What the rows of a ticket have, of which rights can be given.
#[derive(Default)]
pub struct Asked {
    pub categories: BTreeSet<i64>,
    pub departments: BTreeSet<i64>,
    pub teams: BTreeSet<i64>,
}

/// Something that an agent or a group has now.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Fact {
    /// By its number in [`Everyone::permissions`].
    Permission(usize),
    /// One of the ticket's, itself or by an ancestor.
    Department(i64, Level),
    Category(i64),
    Group(i64),
    Team(i64),
}

/// All agents and what they have of what is asked.
struct Everyone {
    loader: Loader,
    asked: Asked,
    /// Departments by which those of the ticket are given: they and their ancestors.
    through: BTreeMap<i64, Vec<i64>>,
    /// Those of the ticket. Who has an ancestor of one has it itself here.
    tree: Rc<DepartmentTree>,
    permissions: Vec<String>,
    numbers: HashMap<String, usize>,
    /// The active agents, by id.
    agents: Vec<(i64, AgentRow)>,
    of_agents: Facts,
    of_groups: Facts,
}

/// By holder.
#[derive(Default)]
struct Facts(Vec<(i64, Fact)>);

/// Calls `each` with what every active agent may do with tickets that have what is asked, by id.
pub fn each_agent(asked: Asked, mut each: impl FnMut(&Access)) {
    let everyone = Everyone::load(asked);
    let groups = everyone.groups();
    let mut compiled: HashMap<(Option<CategoryAccess>, Vec<Fact>), Access> = HashMap::new();
    let mut rest = everyone.of_agents.0.as_slice();
    for (id, row) in &everyone.agents {
        pgrx::check_for_interrupts!();
        memory::check();
        // Those before are of agents that are inactive.
        rest = &rest[rest.partition_point(|(holder, _)| holder < id)..];
        let (own, others) = rest.split_at(rest.partition_point(|(holder, _)| holder == id));
        rest = others;
        let facts = own.iter().map(|(_, fact)| *fact).collect();
        let access = compiled
            .entry((row.category_access, facts))
            .or_insert_with_key(|(category_access, facts)| {
                Access::compile(&everyone.grants(*category_access, facts, &groups))
            });
        access.agent = *id;
        each(access);
    }
}

impl Everyone {
    fn load(asked: Asked) -> Everyone {
        let loader = Loader::now();
        let through = if asked.departments.is_empty() {
            BTreeMap::new()
        } else {
            loader.tree().covered(&asked.departments)
        };
        let mut agents = vec![];
        loader.catalog().scan(c"agent", None, &[], |row| {
            let agent = AgentRow::read(row);
            if agent.active {
                agents.push((row.required(agent::ID), agent));
            }
        });
        agents.sort_unstable_by_key(|(id, _)| *id);
        let alone = asked.departments.iter().map(|id| (*id, None));
        let tree = Rc::new(DepartmentTree(alone.collect()));
        let mut everyone = Everyone {
            loader,
            asked,
            through,
            tree,
            permissions: vec![],
            numbers: HashMap::new(),
            agents,
            of_agents: Facts::default(),
            of_groups: Facts::default(),
        };
        everyone.of_agents = everyone.facts(&AGENTS);
        everyone.of_groups = everyone.facts(&GROUPS);
        everyone
    }

    /// What those of one kind hold.
    fn facts(&mut self, tables: &[Source]) -> Facts {
        let mut facts = vec![];
        for source in tables {
            let objects: Option<Vec<i64>> = match source.what {
                What::Permission | What::Group => None,
                What::Department => Some(self.through.keys().copied().collect()),
                What::Category => Some(self.asked.categories.iter().copied().collect()),
                What::Team => Some(self.asked.teams.iter().copied().collect()),
            };
            let (catalog, through) = (self.loader.catalog(), &self.through);
            let (permissions, numbers) = (&mut self.permissions, &mut self.numbers);
            let mut read = |row: &Row| {
                if !validity(row, source.valid_from).contains(now()) {
                    return;
                }
                let holder = row.required(source.holder);
                let object = || row.required::<i64>(source.object);
                let mut add = |fact| facts.push((holder, fact));
                match source.what {
                    What::Permission => {
                        let name: &str = row.required(source.object);
                        let number = numbers.get(name).copied().unwrap_or_else(|| {
                            permissions.push(name.into());
                            numbers.insert(name.into(), permissions.len() - 1);
                            permissions.len() - 1
                        });
                        add(Fact::Permission(number));
                    }
                    What::Department => {
                        let level = level(row);
                        let given = through.get(&object()).into_iter().flatten();
                        given.for_each(|department| add(Fact::Department(*department, level)));
                    }
                    What::Category => add(Fact::Category(object())),
                    What::Group => add(Fact::Group(object())),
                    What::Team => add(Fact::Team(object())),
                }
            };
            match objects {
                Some(objects) if objects.len() <= FEW => {
                    for object in objects {
                        let key = [ScanKey::bigint(source.object, object)];
                        catalog.scan(source.table, Some(source.index), &key, &mut read);
                    }
                }
                Some(objects) => catalog.scan(source.table, None, &[], |row| {
                    let object = row.required(source.object);
                    if objects.binary_search(&object).is_ok() {
                        read(row);
                    }
                }),
                None => catalog.scan(source.table, None, &[], read),
            }
        }
        facts.sort_unstable();
        // A department may be given by several ancestors.
        facts.dedup();
        Facts(facts)
    }
}

impl Everyone {
    /// What the groups of agents give.
    fn groups(&self) -> HashMap<i64, Rc<Group>> {
        let mut groups = HashMap::new();
        for (_, fact) in &self.of_agents.0 {
            if let Fact::Group(id) = *fact
                && !groups.contains_key(&id)
                && let Some(mut group) = self.loader.group_row(id)
            {
                group.held = self.held(&self.of_groups.of(id));
                groups.insert(id, Rc::new(group));
            }
        }
        groups
    }

    fn grants(
        &self,
        category_access: Option<CategoryAccess>,
        facts: &[Fact],
        groups: &HashMap<i64, Rc<Group>>,
    ) -> Grants {
        let mut grants = Grants {
            agent: 0,
            scope: Scope::Everywhere,
            now: now(),
            category_access,
            default_category_access: settings::default_category_access(),
            held: self.held(facts),
            groups: vec![],
            teams: Timed::default(),
            tree: self.tree.clone(),
            catalog: self.loader.permissions().clone(),
        };
        for fact in facts {
            match *fact {
                Fact::Team(id) => grants.teams.give(id, (), Validity::ALWAYS),
                Fact::Group(id) => grants
                    .groups
                    .extend(groups.get(&id).map(|group| Membership {
                        id,
                        group: group.clone(),
                        validity: Validity::ALWAYS,
                    })),
                _ => {}
            }
        }
        grants
    }

    fn held(&self, facts: &[Fact]) -> Held {
        let mut held = Held::default();
        // In order: the highest level of a department comes last, and counts.
        for fact in facts {
            match *fact {
                Fact::Permission(number) => {
                    let name = self.permissions[number].clone();
                    held.permissions.give(name, (), Validity::ALWAYS);
                }
                Fact::Department(id, level) => {
                    held.departments.give(id, level, Validity::ALWAYS);
                }
                Fact::Category(id) => held.categories.give(id, (), Validity::ALWAYS),
                Fact::Group(_) | Fact::Team(_) => {}
            }
        }
        held
    }
}

impl Facts {
    /// Those of one holder.
    fn of(&self, holder: i64) -> Vec<Fact> {
        let from = self.0.partition_point(|(other, _)| *other < holder);
        let of_holder = self.0[from..].iter();
        let of_holder = of_holder.take_while(|(other, _)| *other == holder);
        of_holder.map(|(_, fact)| *fact).collect()
    }
}

/// Up to so many objects are looked up one by one.
const FEW: usize = 100;

/// What the rows of a table give.
#[derive(Clone, Copy)]
enum What {
    Permission,
    Department,
    Category,
    Group,
    Team,
}

/// A table of what holders have, with an index that begins with what.
struct Source {
    what: What,
    table: &'static CStr,
    index: &'static CStr,
    holder: Attribute,
    object: Attribute,
    valid_from: Attribute,
}

const fn given(what: What, table: &'static CStr, index: &'static CStr) -> Source {
    Source {
        what,
        table,
        index,
        holder: grant::HOLDER,
        object: grant::OBJECT,
        valid_from: match what {
            What::Department => grant::VALID_FROM_AFTER_LEVEL,
            _ => grant::VALID_FROM,
        },
    }
}

const fn membership(what: What, table: &'static CStr, index: &'static CStr) -> Source {
    Source {
        what,
        table,
        index,
        holder: member::AGENT_ID,
        object: member::OF,
        valid_from: member::VALID_FROM,
    }
}

const AGENTS: [Source; 5] = [
    given(
        What::Permission,
        c"agent_permission",
        c"agent_permission_permission_idx",
    ),
    given(
        What::Department,
        c"agent_department",
        c"agent_department_department_id_idx",
    ),
    given(
        What::Category,
        c"agent_category",
        c"agent_category_category_id_idx",
    ),
    membership(What::Group, c"group_member", c"group_member_pkey"),
    membership(What::Team, c"team_member", c"team_member_pkey"),
];

const GROUPS: [Source; 3] = [
    given(
        What::Permission,
        c"group_permission",
        c"group_permission_permission_idx",
    ),
    given(
        What::Department,
        c"group_department",
        c"group_department_department_id_idx",
    ),
    given(
        What::Category,
        c"group_category",
        c"group_category_category_id_idx",
    ),
];
