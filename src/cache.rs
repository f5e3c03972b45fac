//! What a backend remembers of the permission tables.
//!
//! Loading an agent takes some twenty index scans; a plan or a check needs it each time, so it is kept
//! until rights change. Whoever changes them invalidates the relcache entry of the empty table
//! deskguard.rights_signal, a message that PostgreSQL sends to all backends at commit, drops at
//! rollback, and replays on standbys. Here it only counts up the generation: what was loaded
//! before is not used any more, and plans made before are dropped.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ops::Deref;
use std::rc::Rc;

use deskguard_rules::Access;
use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::catalog::own_table;
use crate::child_table::ChildTable;
use crate::external_key::ExternalKeys;
use crate::load::{self, Loader};
use crate::protected::TicketTable;
use crate::shared::{Shared, SharedTable};
use crate::{error, identity, settings, write};

thread_local! {
    /// Counts changes of rights, as far as this backend has heard of them.
    static GENERATION: Cell<u32> = const { Cell::new(1) };
    /// The OID of deskguard.rights_signal, once something was loaded.
    static SIGNAL: Cell<pg_sys::Oid> = const { Cell::new(pg_sys::InvalidOid) };
    /// Counts changes of the tables with external keys, of which there may be many and few changes.
    static KEYS_GENERATION: Cell<u32> = const { Cell::new(1) };
    /// The OID of deskguard.external_key_signal, once they were loaded.
    static KEYS_SIGNAL: Cell<pg_sys::Oid> = const { Cell::new(pg_sys::InvalidOid) };
    static CACHE: RefCell<Cache> = RefCell::default();
}

#[derive(Default)]
struct Cache {
    generation: u32,
    agents: HashMap<i64, Entry>,
    bytes: usize,
    clock: u64,
    all_tables: Option<Rc<[Rc<TicketTable>]>>,
    tables: HashMap<pg_sys::Oid, Option<Rc<TicketTable>>>,
    child_tables: HashMap<pg_sys::Oid, Option<Rc<ChildTable>>>,
    shared_tables: HashMap<pg_sys::Oid, Option<Rc<SharedTable>>>,
    roles: HashMap<pg_sys::Oid, identity::Role>,
    /// With their generation. Beyond the limit: all agents share them.
    external_keys: Option<(u32, Rc<ExternalKeys>)>,
    statistics: Statistics,
}

/// What an agent may do, with what of it is loaded when it is first asked for. A query keeps it to
/// its end, so that one statement sees one state of the rights.
pub struct Agent {
    access: Access,
    generation: u32,
    /// How the help desk's own columns name what it has rights on.
    pub external_keys: Rc<ExternalKeys>,
    /// What of a table is shared with it.
    shared: RefCell<HashMap<pg_sys::Oid, Rc<Shared>>>,
}

impl Deref for Agent {
    type Target = Access;

    fn deref(&self) -> &Access {
        &self.access
    }
}

impl Agent {
    fn load(loader: &Loader, agent: i64) -> Option<Rc<Agent>> {
        let generation = GENERATION.get();
        Some(Rc::new(Agent {
            access: loader.access(agent)?,
            external_keys: external_keys_of(loader),
            generation,
            shared: RefCell::default(),
        }))
    }

    /// What of a table of shared objects is shared with the agent, as of the state of its rights:
    /// refused if that is over and it was not asked for before.
    pub fn shared(self: &Rc<Agent>, table: pg_sys::Oid) -> Rc<Shared> {
        if let Some(known) = self.shared.borrow().get(&table) {
            return known.clone();
        }
        let shared = Rc::new(Shared::load(&Loader::now(), self, table));
        if refresh() != self.generation {
            error::rights_changed();
        }
        self.shared.borrow_mut().insert(table, shared.clone());
        CACHE.with_borrow_mut(|cache| cache.has_grown(self, shared.bytes()));
        shared
    }
}

struct Entry {
    /// None for an agent that is unknown or inactive.
    access: Option<Rc<Agent>>,
    bytes: usize,
    last_used: u64,
}

/// Since the backend started.
#[derive(Clone, Copy, Default)]
pub struct Statistics {
    pub hits: i64,
    pub loads: i64,
    pub evictions: i64,
    pub invalidations: i64,
}

// Hearing of changes

pub fn register_callbacks() {
    // SAFETY: the callbacks only set thread-locals and flags of the plan cache.
    unsafe {
        pg_sys::CacheRegisterRelcacheCallback(Some(relation_changed), 0.into());
        // A role was renamed or dropped: agents are mapped to roles by name.
        pg_sys::CacheRegisterSyscacheCallback(
            pg_sys::SysCacheIdentifier::AUTHOID as i32,
            Some(role_changed),
            0.into(),
        );
        pg_sys::CacheRegisterSyscacheCallback(PLAN_MARK.0, Some(function_changed), 0.into());
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn relation_changed(_arg: pg_sys::Datum, relation: pg_sys::Oid) {
    if relation == pg_sys::InvalidOid || relation == KEYS_SIGNAL.get() {
        KEYS_GENERATION.set(KEYS_GENERATION.get().wrapping_add(1));
    }
    if relation == pg_sys::InvalidOid || relation == SIGNAL.get() {
        invalidate();
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn role_changed(_arg: pg_sys::Datum, _cache: std::ffi::c_int, _hash: u32) {
    invalidate();
}

#[pg_guard]
unsafe extern "C-unwind" fn function_changed(
    _arg: pg_sys::Datum,
    _cache: std::ffi::c_int,
    hash: u32,
) {
    if hash != PLAN_MARK.1 {
        write::forget_functions();
    }
}

/// Forgets what was loaded, and makes the plans made from it be made anew.
pub fn invalidate() {
    GENERATION.set(GENERATION.get().wrapping_add(1));
    invalidate_plans();
}

/// The plans that depend on deskguard have an item with this mark, among those for functions. It is
/// no function's hash: should one have the same, plans are made anew once too often.
pub const PLAN_MARK: (std::ffi::c_int, u32) = (
    pg_sys::SysCacheIdentifier::PROCOID as std::ffi::c_int,
    0xDE5C_6A2D,
);

/// Makes the plans of this backend that depend on deskguard be made anew.
pub fn invalidate_plans() {
    // SAFETY: the callbacks of the plan cache only set flags.
    unsafe { pg_sys::CallSyscacheCallbacks(PLAN_MARK.0, PLAN_MARK.1) }
}

/// Hears of changes from now on, and tells which generation of external keys this is.
pub fn listen() -> u32 {
    SIGNAL.set(own_table(c"rights_signal"));
    KEYS_SIGNAL.set(own_table(c"external_key_signal"));
    refresh();
    KEYS_GENERATION.get()
}

/// Hears of the changes committed until now, and tells which generation of rights this is.
pub fn refresh() -> u32 {
    // SAFETY: in a transaction, as every caller is.
    unsafe { pg_sys::AcceptInvalidationMessages() };
    GENERATION.get()
}

/// Trigger: rights are changed by this transaction, and with an argument also external keys.
#[pg_trigger(sql = false)]
fn rights_changed<'a>(
    trigger: &'a pgrx::PgTrigger<'a>,
) -> Result<Option<PgHeapTuple<'a, impl WhoAllocated>>, Box<dyn std::error::Error>> {
    // SAFETY: registers a message that is sent at commit.
    unsafe {
        if !trigger.extra_args()?.is_empty() {
            pg_sys::CacheInvalidateRelcacheByRelid(own_table(c"external_key_signal"));
        }
        pg_sys::CacheInvalidateRelcacheByRelid(own_table(c"rights_signal"));
    }
    Ok(trigger.new().or(trigger.old()))
}

// Looking up

/// Something of the cache, loaded if need be.
fn remembered<T: Clone>(
    find: impl Fn(&mut Cache) -> Option<T>,
    load: impl Fn(&Loader) -> T,
    store: impl Fn(&mut Cache, T),
) -> T {
    let generation = refresh();
    let found = CACHE.with_borrow_mut(|cache| {
        if cache.generation != generation {
            cache.forget(generation);
        }
        find(cache)
    });
    if let Some(found) = found {
        return found;
    }
    listen();
    let generation = refresh();
    let loaded = load(&Loader::now());
    CACHE.with_borrow_mut(|cache| {
        cache.statistics.loads += 1;
        // What changed while it was loaded may be half in it: good for now, but not for later.
        if refresh() == generation {
            if cache.generation != generation {
                cache.forget(generation);
            }
            store(cache, loaded.clone());
        }
    });
    loaded
}

/// What an agent may do; none for an unknown or inactive one.
pub fn access(agent: i64) -> Option<Rc<Agent>> {
    remembered(
        |cache| cache.agent(agent),
        |loader| Agent::load(loader, agent),
        |cache, access| cache.add(agent, access),
    )
}

/// What each of these agents may do.
pub fn access_of_all(agents: impl IntoIterator<Item = i64>) -> Vec<(i64, Option<Rc<Agent>>)> {
    let generation = refresh();
    let mut all: Vec<(i64, Option<Option<Rc<Agent>>>)> = CACHE.with_borrow_mut(|cache| {
        if cache.generation != generation {
            cache.forget(generation);
        }
        agents.into_iter().map(|id| (id, cache.agent(id))).collect()
    });
    // Those that are missing are loaded together: what they have in common is read once.
    if all.iter().any(|(_, found)| found.is_none()) {
        let loader = Loader::of_all_agents();
        for (agent, found) in all.iter_mut().filter(|(_, found)| found.is_none()) {
            let access = Agent::load(&loader, *agent);
            CACHE.with_borrow_mut(|cache| {
                cache.statistics.loads += 1;
                if cache.generation == refresh() {
                    cache.add(*agent, access.clone());
                }
            });
            *found = Some(access);
        }
    }
    all.into_iter()
        .map(|(agent, found)| (agent, found.flatten()))
        .collect()
}

/// The external keys of the state that the loader sees: those that are known if nothing has changed since.
fn external_keys_of(loader: &Loader) -> Rc<ExternalKeys> {
    let known = CACHE.with_borrow(|cache| cache.external_keys.clone());
    refresh();
    if let Some((generation, keys)) = known
        && generation == KEYS_GENERATION.get()
    {
        return keys;
    }
    let keys = Rc::new(ExternalKeys::load(loader.catalog()));
    let known = (loader.keys_generation, keys.clone());
    CACHE.with_borrow_mut(|cache| cache.external_keys = Some(known));
    keys
}

/// The external keys as they are now.
pub fn external_keys() -> Rc<ExternalKeys> {
    external_keys_of(&Loader::now())
}

/// All protected ticket tables.
pub fn ticket_tables() -> Rc<[Rc<TicketTable>]> {
    remembered(
        |cache| cache.all_tables.clone(),
        |loader| {
            let all = TicketTable::all(loader.catalog());
            all.into_iter().map(Rc::new).collect()
        },
        |cache, tables| cache.all_tables = Some(tables),
    )
}

/// The protected ticket table that this table is or is part of.
pub fn ticket_table(oid: pg_sys::Oid) -> Option<Rc<TicketTable>> {
    remembered(
        |cache| cache.tables.get(&oid).cloned(),
        |loader| TicketTable::find_by_part(loader.catalog(), oid).map(Rc::new),
        |cache, table| {
            cache.tables.insert(oid, table);
        },
    )
}

/// The child table that this table is or is part of.
pub fn child_table(oid: pg_sys::Oid) -> Option<Rc<ChildTable>> {
    remembered(
        |cache| cache.child_tables.get(&oid).cloned(),
        |loader| ChildTable::find_by_part(loader.catalog(), oid).map(Rc::new),
        |cache, table| {
            cache.child_tables.insert(oid, table);
        },
    )
}

/// The table of shared objects that this table is or is part of.
pub fn shared_table(oid: pg_sys::Oid) -> Option<Rc<SharedTable>> {
    remembered(
        |cache| cache.shared_tables.get(&oid).cloned(),
        |loader| SharedTable::find_by_part(loader.catalog(), oid).map(Rc::new),
        |cache, table| {
            cache.shared_tables.insert(oid, table);
        },
    )
}

/// What the tables say about a role.
pub fn role(oid: pg_sys::Oid) -> identity::Role {
    remembered(
        |cache| cache.roles.get(&oid).copied(),
        |loader| identity::Role::load(loader.catalog(), oid),
        |cache, role| {
            cache.roles.insert(oid, role);
        },
    )
}

impl Cache {
    fn forget(&mut self, generation: u32) {
        *self = Cache {
            generation,
            clock: self.clock,
            external_keys: self.external_keys.take(),
            statistics: Statistics {
                invalidations: self.statistics.invalidations + 1,
                ..self.statistics
            },
            ..Cache::default()
        };
    }

    fn agent(&mut self, agent: i64) -> Option<Option<Rc<Agent>>> {
        self.clock += 1;
        let entry = self.agents.get_mut(&agent)?;
        // Some of its rights may have ended or begun since.
        if let Some(access) = &entry.access
            && !access.time().contains(load::now())
        {
            return None;
        }
        entry.last_used = self.clock;
        self.statistics.hits += 1;
        Some(entry.access.clone())
    }

    fn add(&mut self, agent: i64, access: Option<Rc<Agent>>) {
        self.clock += 1;
        let bytes = std::mem::size_of::<(i64, Entry)>()
            + access.as_ref().map_or(0, |access| access.bytes());
        let entry = Entry {
            access,
            bytes,
            last_used: self.clock,
        };
        self.bytes += bytes;
        if let Some(former) = self.agents.insert(agent, entry) {
            self.bytes -= former.bytes;
        }
        self.shrink();
    }

    /// Something more of an agent was loaded.
    fn has_grown(&mut self, agent: &Rc<Agent>, bytes: usize) {
        self.statistics.loads += 1;
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
        let keys = cache.external_keys.as_ref();
        let keys = keys.map_or(0, |(_, keys)| keys.bytes());
        (
            cache.agents.len() as i64,
            (cache.bytes + keys) as i64,
            s.hits,
            s.loads,
            s.evictions,
            s.invalidations,
        )
    }))
}
