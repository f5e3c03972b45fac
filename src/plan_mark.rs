//! Plans are marked with the agent and the generation of rights that they were made for. A plan that is
//! older than a change of rights, or of another agent, is never run.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::{c_char, c_int};
use std::rc::Rc;

use deskguard_rules::{Moment, Validity};
use pgrx::memcxt::PgMemoryContexts;
use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::cache::Agent;
use crate::expression::{items, new_node};
use crate::identity::{asked_rights, current_agent};
use crate::{cache, compat, error, load, write};

/// For whom and of which generation of rights a plan was made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    pub generation: u32,
    pub agent: Option<i64>,
}

/// The marks are kept in the plan's list of what it depends on, as items of caches that do not
/// exist: they are copied with the plan, and nothing else looks at them.
const GENERATION_ITEM: c_int = -7001;
const AGENT_LOW_ITEM: c_int = -7002;
const AGENT_HIGH_ITEM: c_int = -7003;
/// Tells the plan from all others that this backend made.
const SERIAL_ITEM: c_int = -7004;
/// The plan has calls that ask the rules when it runs; of which table of shared objects, if of one.
const ASKS_ITEM: c_int = -7005;
/// From when and until when the rights are those that the plan was made for: low and high half.
const FROM_ITEMS: [c_int; 2] = [-7006, -7007];
const UNTIL_ITEMS: [c_int; 2] = [-7008, -7009];

thread_local! {
    static MADE: Cell<u32> = const { Cell::new(0) };
    static MADE_LAST: RefCell<Option<Made>> = const { RefCell::new(None) };
}

/// The plan made last.
struct Made {
    serial: u32,
    /// When the statement began that it was made for.
    statement: pg_sys::TimestampTz,
    rights: Rights,
}

/// What an agent may do; none for nobody, or an unknown or inactive agent.
pub type Rights = Option<Rc<Agent>>;

/// Marks a plan that is being made.
///
/// # Safety
/// Called while planning.
pub unsafe fn mark(plan: &mut pg_sys::PlannerGlobal, mark: Mark, rights: &Rights) {
    unsafe {
        let earlier = marks(plan.invalItems);
        if earlier.contains(&mark) {
            return;
        }
        let mut add = |cache, hash| add_item(&mut plan.invalItems, cache, hash);
        if earlier.is_empty() {
            MADE.set(MADE.get().wrapping_add(1));
            add(cache::PLAN_MARK.0, cache::PLAN_MARK.1);
            add(SERIAL_ITEM, MADE.get());
        }
        // The agent follows its generation.
        add(GENERATION_ITEM, mark.generation);
        if let Some(agent) = mark.agent {
            add(AGENT_LOW_ITEM, agent as u32);
            add(AGENT_HIGH_ITEM, (agent >> 32) as u32);
        }
        let time = rights.as_ref().map(|access| access.time());
        for (items, bound) in [
            (FROM_ITEMS, time.and_then(|time| time.from)),
            (UNTIL_ITEMS, time.and_then(|time| time.until)),
        ] {
            if let Some(bound) = bound {
                add(items[0], bound as u32);
                add(items[1], (bound >> 32) as u32);
            }
        }
        MADE_LAST.set(Some(Made {
            serial: MADE.get(),
            statement: pg_sys::GetCurrentStatementStartTimestamp(),
            rights: rights.clone(),
        }));
    }
}

/// Notes that a plan in the making has calls that ask the rules when it runs. Without a mark it serves
/// every agent at any time.
///
/// # Safety
/// Called while planning.
pub unsafe fn asks_when_run(items: &mut *mut pg_sys::List) {
    unsafe { asks_for_shared(items, pg_sys::InvalidOid) }
}

/// The same of calls that ask what of a table is shared with the agent.
///
/// # Safety
/// Called while planning.
pub unsafe fn asks_for_shared(items: &mut *mut pg_sys::List, table: pg_sys::Oid) {
    unsafe {
        if !asked(*items).any(|known| known == table) {
            add_item(items, ASKS_ITEM, table.to_u32());
        }
    }
}

unsafe fn asked(all: *mut pg_sys::List) -> impl Iterator<Item = pg_sys::Oid> {
    unsafe { items::<pg_sys::PlanInvalItem>(all) }
        .iter()
        .map(|item| unsafe { &**item })
        .filter(|item| item.cacheId == ASKS_ITEM)
        .map(|item| item.hashValue.into())
}

unsafe fn add_item(items: &mut *mut pg_sys::List, cache: c_int, hash: u32) {
    unsafe {
        let item = new_node::<pg_sys::PlanInvalItem>(pg_sys::NodeTag::T_PlanInvalItem);
        (*item).cacheId = cache;
        (*item).hashValue = hash;
        *items = pg_sys::lappend(*items, item.cast());
    }
}

/// The rights that a plan in the making was marked for already: all its rules are of one state.
///
/// # Safety
/// Called while planning.
pub unsafe fn marked(plan: &pg_sys::PlannerGlobal) -> Option<Rights> {
    let serial = unsafe { serial(plan.invalItems) }?;
    MADE_LAST.with_borrow(|made| {
        let made = made.as_ref().filter(|made| made.serial == serial)?;
        Some(made.rights.clone())
    })
}

unsafe fn serial(all: *mut pg_sys::List) -> Option<u32> {
    unsafe { find_item(all, SERIAL_ITEM) }
}

unsafe fn find_item(all: *mut pg_sys::List, cache: c_int) -> Option<u32> {
    unsafe {
        items::<pg_sys::PlanInvalItem>(all)
            .iter()
            .find(|item| (***item).cacheId == cache)
            .map(|item| (**item).hashValue)
    }
}

/// When the rights that a plan was made for begin and end.
unsafe fn time(all: *mut pg_sys::List) -> Validity {
    let bound = |[low, high]: [c_int; 2]| unsafe {
        let (low, high) = (find_item(all, low)?, find_item(all, high)?);
        Some(Moment::from(high as i32) << 32 | Moment::from(low))
    };
    Validity {
        from: bound(FROM_ITEMS),
        until: bound(UNTIL_ITEMS),
    }
}

unsafe fn marks(all: *mut pg_sys::List) -> Vec<Mark> {
    let mut found: Vec<Mark> = vec![];
    unsafe {
        for item in items::<pg_sys::PlanInvalItem>(all) {
            let hash = (**item).hashValue;
            match ((**item).cacheId, found.last_mut()) {
                (GENERATION_ITEM, _) => found.push(Mark {
                    generation: hash,
                    agent: None,
                }),
                (AGENT_LOW_ITEM, Some(mark)) => mark.agent = Some(hash.into()),
                (AGENT_HIGH_ITEM, Some(mark)) => {
                    let low = mark.agent.unwrap_or(0);
                    mark.agent = Some(i64::from(hash) << 32 | low);
                }
                _ => {}
            }
        }
    }
    found
}

// Running

/// For whom a query runs, from its start to its end.
#[derive(Clone)]
struct Pinned {
    agent: Option<i64>,
    rights: Rights,
}

thread_local! {
    static NEXT_PLANNER: Cell<pg_sys::planner_hook_type> = const { Cell::new(None) };
    static NEXT_START: Cell<pg_sys::ExecutorStart_hook_type> = const { Cell::new(None) };
    /// The queries that have been started, by their QueryDesc.
    static STARTED: RefCell<HashMap<usize, Pinned>> = RefCell::default();
    /// The one that is running.
    static RUNNING: RefCell<Option<Pinned>> = const { RefCell::new(None) };
    static PLANNING: Cell<bool> = const { Cell::new(false) };
    static NEXT_FINISH: Cell<pg_sys::ExecutorFinish_hook_type> = const { Cell::new(None) };
    static RUNNING_QUERY: Cell<Option<*mut pg_sys::QueryDesc>> = const { Cell::new(None) };
}

/// The agent that a rule is asked for while a query runs: the one that it was planned for, also where
/// a cursor is read after the session went on to another agent.
pub fn agent_of_query() -> Option<i64> {
    match RUNNING.with_borrow(|running| running.as_ref().map(|pinned| pinned.agent)) {
        Some(agent) => agent,
        None => current_agent(),
    }
}

/// What that agent may do, as of the start of the query.
pub fn rights_of_query() -> Rights {
    match RUNNING.with_borrow(Option::clone) {
        Some(pinned) => pinned.rights,
        None => current_agent().and_then(cache::access),
    }
}

/// The query that is running, the innermost one.
pub fn running_query() -> Option<*mut pg_sys::QueryDesc> {
    RUNNING_QUERY.get()
}

/// Is a function called by the planner, for an estimate?
pub fn is_planning() -> bool {
    PLANNING.get()
}

pub fn register_hooks() {
    // SAFETY: while the library is loaded.
    unsafe {
        NEXT_PLANNER.set(pg_sys::planner_hook);
        pg_sys::planner_hook = Some(planner);
        NEXT_START.set(pg_sys::ExecutorStart_hook);
        pg_sys::ExecutorStart_hook = Some(executor_start);
        NEXT_FINISH.set(pg_sys::ExecutorFinish_hook);
        pg_sys::ExecutorFinish_hook = Some(executor_finish);
        compat::register_hooks();
    }
}

/// Puts back what was there before, also when an error unwinds.
struct Restore<F: FnMut()>(F);

impl<F: FnMut()> Drop for Restore<F> {
    fn drop(&mut self) {
        (self.0)()
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn planner(
    query: *mut pg_sys::Query,
    text: *const c_char,
    options: c_int,
    parameters: pg_sys::ParamListInfo,
) -> *mut pg_sys::PlannedStmt {
    let planning = PLANNING.replace(true);
    // For an estimate the rights are asked that the plan is made for, not those of a query around it.
    let mut running = RUNNING.take();
    let _restore = Restore(move || {
        PLANNING.set(planning);
        RUNNING.set(running.take());
    });
    // SAFETY: called for a query to be planned.
    unsafe {
        let asks = write::prepare(query);
        let plan = match NEXT_PLANNER.get() {
            Some(next) => next(query, text, options, parameters),
            None => pg_sys::standard_planner(query, text, options, parameters),
        };
        if asks {
            asks_when_run(&mut (*plan).invalItems);
        }
        plan
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn executor_start(query: *mut pg_sys::QueryDesc, flags: c_int) {
    // SAFETY: called by the executor.
    unsafe {
        let plan = (*query).plannedstmt;
        let is_run = flags & pg_sys::EXEC_FLAG_EXPLAIN_ONLY as c_int == 0;
        // A plan has one start that is just after its making; EXPLAIN's is one, too.
        let made = MADE_LAST.take();
        let pinned = if is_run && !plan.is_null() {
            check_plan(&*plan, made)
        } else {
            None
        };
        match NEXT_START.get() {
            Some(next) => next(query, flags),
            None => pg_sys::standard_ExecutorStart(query, flags),
        }
        if let Some(pinned) = pinned {
            let key = query as usize;
            STARTED.with_borrow_mut(|started| started.insert(key, pinned));
            let end = Restore(move || {
                STARTED.with_borrow_mut(|started| started.remove(&key));
            });
            // Until the query ends, or its transaction fails.
            PgMemoryContexts::For((*(*query).estate).es_query_cxt).leak_and_drop_on_delete(end);
        }
    }
}

/// What nobody reads of a writable WITH runs here.
#[pg_guard]
unsafe extern "C-unwind" fn executor_finish(query: *mut pg_sys::QueryDesc) {
    // SAFETY: called by the executor.
    unsafe {
        run(query, || match NEXT_FINISH.get() {
            Some(next) => next(query),
            None => pg_sys::standard_ExecutorFinish(query),
        })
    }
}

/// Runs a query, or a part of it, for whom it was started.
///
/// # Safety
/// Called by the executor.
pub unsafe fn run(query: *mut pg_sys::QueryDesc, run: impl FnOnce()) {
    let pinned = STARTED.with_borrow(|started| started.get(&(query as usize)).cloned());
    let planning = PLANNING.replace(false);
    // A query without rules in it runs for nobody in particular: what is asked within it is asked
    // for whom the session stands then.
    let mut before = Some(RUNNING.replace(pinned));
    let query_before = RUNNING_QUERY.replace(Some(query));
    let _restore = Restore(move || {
        PLANNING.set(planning);
        RUNNING.replace(before.take().flatten());
        RUNNING_QUERY.set(query_before);
    });
    run();
}

/// The current agent and what it may do, and of which generation that is, even if rights change at
/// this moment.
pub fn rights_now() -> (Option<i64>, Rights, u32) {
    if let Some(access) = asked_rights() {
        return (Some(access.agent), Some(access), cache::refresh());
    }
    loop {
        let generation = cache::refresh();
        let agent = current_agent();
        let rights = agent.and_then(cache::access);
        if cache::refresh() == generation {
            return (agent, rights, generation);
        }
    }
}

/// Refuses to run a plan that was made for other rights than those that hold now; tells for whom to
/// run it.
///
/// The plan cache drops plans when it hears of a change, but a statement that holds its locks already
/// hears of nothing. So messages are accepted here; if there was one, the plan is older than the
/// change. A plan just made for this very statement may be run: the statement began before.
unsafe fn check_plan(plan: &pg_sys::PlannedStmt, made: Option<Made>) -> Option<Pinned> {
    let (marks, serial) = unsafe { (marks(plan.invalItems), serial(plan.invalItems)) };
    // What will be asked is loaded now, so that it is of one state with the rest.
    let pinned = |agent, rights: Rights| {
        if let Some(rights) = &rights {
            let tables = unsafe { asked(plan.invalItems) };
            for table in tables.filter(|table| *table != pg_sys::InvalidOid) {
                rights.shared(table);
            }
        }
        Some(Pinned { agent, rights })
    };
    let Some(first) = marks.first().copied() else {
        unsafe { asked(plan.invalItems) }.next()?;
        let (agent, rights, _) = rights_now();
        return pinned(agent, rights);
    };
    let generation = cache::refresh();
    let statement = unsafe { pg_sys::GetCurrentStatementStartTimestamp() };
    let agent = current_agent();
    let time = unsafe { time(plan.invalItems) };
    let now = load::now();
    let just_made = made.filter(|made| {
        Some(made.serial) == serial && made.statement == statement && time.contains(now)
    });
    if !time.is_not_over(now) {
        // The plan has a way for this, but one for the rights of now is better: it is the last time.
        cache::invalidate_plans();
    }
    // Not before its time, to which only the clock could have gone back.
    let is_begun = time.from.is_none_or(|from| from <= now);
    if marks.len() == 1 && first.agent == agent && is_begun {
        if let Some(made) = just_made {
            return pinned(agent, made.rights);
        }
        let rights = agent.and_then(cache::access);
        if first.generation == generation && cache::refresh() == generation {
            return pinned(agent, rights);
        }
    }
    // The plan may be kept, and nobody else would drop it: retrying is to help.
    cache::invalidate_plans();
    error::rights_changed()
}
