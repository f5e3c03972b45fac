//! What a backend remembers of the permission tables.
//!
//! Loading an agent takes some twenty index scans; a plan or a check needs it each time, so it is kept
//! until it hears of a change that concerns the agent: see `generation`.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::ops::Deref;
use std::rc::Rc;

use deskguard_rules::{Access, Action, Condition, Shape, past_silo_condition, silo_condition};
use pgrx::pg_sys;
use pgrx::prelude::*;
use serde::{Deserialize, Serialize};

use crate::mirrors::keep::bring_up_to_date;
use crate::pg::error;
use crate::rights::external_keys::{self, ExternalKeys};
use crate::rights::load::{Loader, OwnFacts};
use crate::rights::shared_list::Shared;
use crate::rights::{role, settings};
use crate::signals::generation::{self, State, Subject, Tick, refresh};
use crate::tables::catalog::Catalog;

thread_local! {
    static CACHE: RefCell<Cache> = RefCell::default();
}

#[derive(Default)]
struct Cache {
    /// When it was last looked through for what is out of date.
    swept: Tick,
    agents: HashMap<i64, Entry>,
    bytes: usize,
    clock: u64,
    roles: HashMap<pg_sys::Oid, Role>,
    statistics: Statistics,
}

/// What an agent may do, with what of it is loaded when it is first asked for. A query keeps it to
/// its end, so that one statement sees one state of the rights.
pub struct Agent {
    access: Access,
    state: Rc<State>,
    /// How the help desk's own columns name what it has rights on.
    pub external_keys: Rc<ExternalKeys>,
    /// What of a table is shared with it.
    shared: RefCell<HashMap<pg_sys::Oid, Rc<Shared>>>,
    /// What the rules ask for it of the tickets of tables of a shape, for an action or for the silo.
    conditions: RefCell<Vec<KnownCondition>>,
    /// By the leader of this parallel worker: its rights are those of then.
    is_handed_over: bool,
}

/// None: for the silo.
type KnownCondition = (Option<Action>, Shape, Rc<Condition>);

/// What the leader of a statement hands over of its agent to the workers.
#[derive(Serialize, Deserialize)]
pub struct HandedOver<'a> {
    access: Cow<'a, Access>,
    shared: Vec<(pg_sys::Oid, Rc<Shared>)>,
    external_keys: external_keys::HandedOver,
}

impl Deref for Agent {
    type Target = Access;

    fn deref(&self) -> &Access {
        &self.access
    }
}

/// What it may do, and the facts from which that was made.
type Loaded = (Rc<Agent>, Rc<OwnFacts>);

impl Agent {
    /// None for one that is unknown or inactive.
    fn load(
        loader: &Loader,
        agent: i64,
        known: Option<Rc<OwnFacts>>,
    ) -> (Option<Loaded>, Rc<State>) {
        let (access, state) = loader.access(agent, known);
        let state = Rc::new(state);
        let agent = access.map(|(access, facts)| {
            let agent = Agent {
                external_keys: Rc::new(ExternalKeys::load(loader, &access, state.clone())),
                access,
                state: state.clone(),
                shared: RefCell::default(),
                conditions: RefCell::default(),
                is_handed_over: false,
            };
            (Rc::new(agent), facts)
        });
        (agent, state)
    }

    /// With what of these tables is shared with it.
    pub fn hand_over(
        self: &Rc<Agent>,
        shared: impl Iterator<Item = pg_sys::Oid>,
    ) -> HandedOver<'_> {
        HandedOver {
            access: Cow::Borrowed(&self.access),
            shared: shared.map(|table| (table, self.shared(table))).collect(),
            external_keys: self.external_keys.hand_over(),
        }
    }

    /// As a leader has handed it over.
    pub fn handed_over(from: HandedOver) -> Rc<Agent> {
        Rc::new(Agent {
            access: from.access.into_owned(),
            state: Rc::new(State::of(refresh())),
            external_keys: Rc::new(ExternalKeys::handed_over(from.external_keys)),
            shared: RefCell::new(from.shared.into_iter().collect()),
            conditions: RefCell::default(),
            is_handed_over: true,
        })
    }

    /// Of which moment the rights are, and on whom they depend.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What [`deskguard_rules::silo_condition`] says for it.
    pub fn silo_condition(self: &Rc<Self>, shape: Shape) -> Rc<Condition> {
        self.condition(None, shape, || silo_condition(self, shape))
    }

    /// What [`deskguard_rules::past_silo_condition`] says for it.
    pub fn past_silo_condition(self: &Rc<Self>, shape: Shape, action: Action) -> Rc<Condition> {
        self.condition(Some(action), shape, || {
            past_silo_condition(self, shape, action)
        })
    }

    fn condition(
        self: &Rc<Self>,
        action: Option<Action>,
        shape: Shape,
        make: impl FnOnce() -> Condition,
    ) -> Rc<Condition> {
        let mut all = self.conditions.borrow_mut();
        let known = all
            .iter()
            .find(|known| (known.0, known.1) == (action, shape));
        if let Some((.., condition)) = known {
            return condition.clone();
        }
        let condition = Rc::new(make());
        all.push((action, shape, condition.clone()));
        let bytes = condition.bytes_of_ids();
        if bytes > 0 {
            CACHE.with_borrow_mut(|cache| cache.has_grown(self, bytes));
        }
        condition
    }

    /// What of a table of shared objects is shared with the agent, as of the state of its rights:
    /// refused if that is over and it was not asked for before.
    pub fn shared(self: &Rc<Agent>, table: pg_sys::Oid) -> Rc<Shared> {
        if let Some(known) = self.shared.borrow().get(&table) {
            return known.clone();
        }
        if self.is_handed_over {
            return self.shared_later(table);
        }
        let shared = Rc::new(Shared::load(&Loader::now(), self, table));
        refresh();
        if !self.state.is_current() {
            error::rights_changed();
        }
        self.shared.borrow_mut().insert(table, shared.clone());
        CACHE.with_borrow_mut(|cache| {
            cache.statistics.loads += 1;
            cache.has_grown(self, shared.bytes());
        });
        shared
    }

    /// What the plan does not say that it asks was not handed over: as of now, if the rights are still the same.
    fn shared_later(&self, table: pg_sys::Oid) -> Rc<Shared> {
        let now = access(self.agent).filter(|now| now.access == self.access);
        let shared = now.unwrap_or_else(|| error::rights_changed()).shared(table);
        self.shared.borrow_mut().insert(table, shared.clone());
        shared
    }
}

struct Entry {
    /// None for an agent that is unknown or inactive.
    access: Option<Rc<Agent>>,
    state: Rc<State>,
    /// Are the rights out of date?
    is_over: bool,
    /// Then this may still hold: most changes are of groups.
    facts: Option<Rc<OwnFacts>>,
    bytes: usize,
    last_used: u64,
}

/// What the tables say about a role.
struct Role {
    role: role::Role,
    /// The name that it had.
    name: Option<CString>,
    /// What the tables say about the name.
    state: State,
    /// That the role has the name.
    is_named: State,
}

/// Since the backend started.
#[derive(Clone, Copy, Default)]
pub struct Statistics {
    pub hits: i64,
    pub loads: i64,
    pub evictions: i64,
    pub invalidations: i64,
}

// Looking up

/// Looks at the cache, of which nothing is out of date.
fn look<T>(find: impl FnOnce(&mut Cache) -> T) -> T {
    bring_up_to_date();
    refresh();
    CACHE.with_borrow_mut(|cache| {
        cache.sweep();
        find(cache)
    })
}

/// Keeps something that was loaded.
fn keep(store: impl FnOnce(&mut Cache)) {
    CACHE.with_borrow_mut(|cache| {
        cache.statistics.loads += 1;
        cache.sweep();
        store(cache);
    });
}

/// What an agent may do; none for an unknown or inactive one.
pub fn access(agent: i64) -> Option<Rc<Agent>> {
    if let Some(found) = look(|cache| cache.agent(agent)) {
        return found;
    }
    let facts = CACHE.with_borrow(|cache| cache.agents.get(&agent)?.facts.clone());
    load(&Loader::remembering(), agent, facts)
}

/// Loads an agent, and keeps it.
fn load(loader: &Loader, agent: i64, known: Option<Rc<OwnFacts>>) -> Option<Rc<Agent>> {
    let (loaded, state) = Agent::load(loader, agent, known);
    let (access, facts) = loaded.unzip();
    refresh();
    // What changed while it was loaded may be half in it: good for now, but not for later.
    let is_current = state.is_current();
    keep(|cache| {
        if is_current {
            cache.add(agent, access.clone(), state, facts);
        }
    });
    access
}

/// What an agent may do as far as this backend knows, which hears of nothing meanwhile, if that is what it
/// might at this moment.
pub fn unchanged_since(agent: i64, moment: Tick) -> Rights {
    CACHE.with_borrow(|cache| {
        let known = cache.agents.get(&agent)?;
        let is_unchanged = known.state.changed() <= moment.min(known.state.loaded());
        known.access.clone().filter(|_| is_unchanged)
    })
}

/// When something changed for an agent: what was loaded before is out of date. The rights are those
/// that it has now.
pub fn changed(agent: Option<i64>, rights: Option<&Rc<Agent>>) -> Tick {
    state(agent, rights).changed()
}

/// On whom the rights of an agent depend.
pub fn state(agent: Option<i64>, rights: Option<&Rc<Agent>>) -> State {
    match (rights, agent) {
        (Some(rights), _) => rights.state().clone(),
        (None, agent) => {
            let mut state = State::of(refresh());
            if let Some(agent) = agent {
                state.depends_on(Subject::Agent(agent));
            }
            state
        }
    }
}

/// What the tables say about a role.
pub fn role(oid: pg_sys::Oid) -> role::Role {
    let known = look(|cache| {
        let known = cache.roles.get(&oid)?;
        let is_named = known.is_named.is_current();
        Some((known.role, (!is_named).then(|| known.name.clone())))
    });
    if let Some((role, None)) = known {
        return role;
    }
    let tick = generation::listen();
    let mut is_named = State::of(tick);
    is_named.depends_on_role(oid);
    let name = role_name(oid);
    // Something of the role has changed, but only the name matters.
    if let Some((role, Some(former_name))) = known
        && former_name == name
    {
        CACHE.with_borrow_mut(|cache| {
            if let Some(known) = cache.roles.get_mut(&oid) {
                known.is_named = is_named;
            }
        });
        return role;
    }
    let mut state = State::of(tick);
    if let Some(name) = &name {
        state.depends_on(Subject::RoleName(name));
    }
    let role = role::Role::load(&Catalog::now(), oid);
    refresh();
    let is_current = state.is_current() && is_named.is_current();
    keep(|cache| {
        cache.roles.remove(&oid);
        if is_current {
            let known = Role {
                role,
                name,
                state,
                is_named,
            };
            cache.roles.insert(oid, known);
        }
    });
    role
}

fn role_name(role: pg_sys::Oid) -> Option<CString> {
    // SAFETY: a look-up in the system cache; the name is a palloc'd copy.
    unsafe {
        let name = pg_sys::GetUserNameFromId(role, true);
        (!name.is_null()).then(|| CStr::from_ptr(name).to_owned())
    }
}

impl Cache {
    /// Forgets what is out of date.
    fn sweep(&mut self) {
        let last = generation::last_concern();
        if last == self.swept {
            return;
        }
        let mut is_less = false;
        self.agents.retain(|_, entry| {
            if !entry.is_over && entry.state.is_current() {
                return true;
            }
            is_less |= !entry.is_over;
            entry.is_over = true;
            entry.access = None;
            entry.facts.take_if(|facts| !facts.is_current());
            self.bytes -= entry.bytes;
            entry.bytes = entry.facts.as_ref().map_or(0, |facts| facts.bytes());
            self.bytes += entry.bytes;
            entry.facts.is_some()
        });
        self.roles.retain(|_, role| {
            let is_current = role.state.is_current();
            is_less |= !is_current;
            is_current
        });
        self.statistics.invalidations += i64::from(is_less);
        self.swept = last;
    }

    fn agent(&mut self, agent: i64) -> Option<Option<Rc<Agent>>> {
        self.clock += 1;
        let entry = self.agents.get_mut(&agent)?;
        if entry.is_over {
            return None;
        }
        // Some of its rights may have ended or begun since.
        if let Some(access) = &entry.access
            && !access.time().contains(crate::rights::load::now())
        {
            return None;
        }
        entry.last_used = self.clock;
        self.statistics.hits += 1;
        Some(entry.access.clone())
    }

    fn add(
        &mut self,
        agent: i64,
        access: Option<Rc<Agent>>,
        state: Rc<State>,
        facts: Option<Rc<OwnFacts>>,
    ) {
        self.clock += 1;
        // Rights of many agents are worth more than what makes those of few anew.
        let facts = facts.filter(|_| self.bytes < settings::cache_bytes() / 2);
        let bytes = std::mem::size_of::<(i64, Entry)>()
            + access
                .as_ref()
                .map_or(0, |agent| agent.bytes() + agent.external_keys.bytes())
            + facts.as_ref().map_or(0, |facts| facts.bytes());
        let entry = Entry {
            access,
            state,
            is_over: false,
            facts,
            bytes,
            last_used: self.clock,
        };
        self.bytes += bytes;
        if let Some(former) = self.agents.insert(agent, entry) {
            self.bytes -= former.bytes;
        }
        self.shrink();
    }

    /// Something more of an agent is remembered.
    fn has_grown(&mut self, agent: &Rc<Agent>, bytes: usize) {
        let entry = self.agents.get_mut(&agent.agent);
        let is_cached = |entry: &&mut Entry| {
            let access = entry.access.as_ref();
            access.is_some_and(|access| Rc::ptr_eq(access, agent))
        };
        if let Some(entry) = entry.filter(is_cached) {
            entry.bytes += bytes;
            self.bytes += bytes;
            self.shrink();
        }
    }

    /// Drops those least recently used, until the rest is within three quarters of the limit.
    fn shrink(&mut self) {
        let most = settings::cache_bytes();
        if self.bytes <= most {
            return;
        }
        let mut by_age: Vec<(u64, i64)> = self
            .agents
            .iter()
            .map(|(agent, entry)| (entry.last_used, *agent))
            .collect();
        by_age.sort_unstable();
        for (_, agent) in by_age {
            if self.bytes <= most / 4 * 3 {
                break;
            }
            if let Some(entry) = self.agents.remove(&agent) {
                self.bytes -= entry.bytes;
                self.statistics.evictions += 1;
            }
        }
    }
}

/// Forgets the rights of all agents, for DISCARD ALL.
pub fn forget() {
    let agents = CACHE.with_borrow_mut(|cache| {
        cache.bytes = 0;
        std::mem::take(&mut cache.agents)
    });
    drop(agents);
}

// For DBAs

#[pg_extern(sql = false)]
fn cache_stats() -> TableIterator<
    'static,
    (
        name!(agents, i64),
        name!(bytes, i64),
        name!(hits, i64),
        name!(loads, i64),
        name!(evictions, i64),
        name!(invalidations, i64),
    ),
> {
    TableIterator::once(CACHE.with_borrow(|cache| {
        let s = cache.statistics;
        (
            cache.agents.values().filter(|entry| !entry.is_over).count() as i64,
            (cache.bytes + external_keys::bytes()) as i64,
            s.hits,
            s.loads,
            s.evictions,
            s.invalidations,
        )
    }))
}

/// Something was loaded that is kept elsewhere.
pub fn count_load() {
    CACHE.with_borrow_mut(|cache| cache.statistics.loads += 1);
}

/// Something that was loaded is out of date.
pub fn count_invalidation() {
    CACHE.with_borrow_mut(|cache| cache.statistics.invalidations += 1);
}

/// What an agent may do; none for nobody, or an unknown or inactive agent.
pub type Rights = Option<Rc<Agent>>;
