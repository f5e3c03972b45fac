//! Whose rights a running statement has.
//!
//! A statement that asks the rules has the rights of one agent at one moment, from its start to its end,
//! whatever happens meanwhile. They belong to its QueryDesc: a function that is called finds the statement
//! by its memory, so that a nested statement, a function that the planner calls and a cursor that is read
//! later each have their own. What PL/pgSQL evaluates without a statement is asked for the session as it is
//! at that moment, and nothing of it is kept.
//!
//! An ERROR jumps over the hooks that begin and end all this, without running anything in them. So they
//! hold nothing, and what they noted is taken back with the (sub)transaction that failed.

use std::any::{Any, TypeId};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_int};
use std::rc::Rc;

use pgrx::memcxt::PgMemoryContexts;
use pgrx::pg_sys;

use crate::mirrors;
use crate::pg::call_info::CallInfo;
use crate::pg::compat;
use crate::pg::node::{Node, items};
use crate::pg::planner::{PlanItem, PlanItems, Root, items_of_plan};
use crate::rights::cache::Rights;
use crate::rights::external_keys::ExternalKeys;
use crate::rights::identity::rights_now;
use crate::rights::leader;
use crate::rights::marks::{self, Asked};
use crate::rights::own_query::{self, Acting, Own};
use crate::signals::generation::Tick;

/// A statement that asks the rules, and what it knows until it ends, whichever of its parts asks: each
/// partition of a table has its own calls of a policy's functions.
pub struct Statement {
    pub agent: Option<i64>,
    pub rights: Rights,
    /// What its parts have found out about tables, by what it is.
    kept: RefCell<HashMap<(TypeId, pg_sys::Oid), Rc<dyn Any>>>,
}

pub type Query = *mut pg_sys::QueryDesc;

/// Something that is under way in this backend.
struct Frame {
    /// Of the transaction in which it began.
    level: c_int,
    doing: Doing,
}

enum Doing {
    Planning(Option<Rc<Own>>),
    Starting(Query, Option<Rc<Statement>>),
    Running(Query),
    /// Its AFTER triggers run.
    Finishing(Query),
}

thread_local! {
    static FRAMES: RefCell<Vec<Frame>> = const { RefCell::new(vec![]) };
    /// How many queries this backend has started, and had when the last transaction ended.
    static STARTED: Cell<u64> = const { Cell::new(0) };
    static STARTED_BEFORE: Cell<u64> = const { Cell::new(0) };
    /// Those that have started and not ended.
    static STATEMENTS: RefCell<HashMap<Query, Rc<Statement>>> = RefCell::default();
}

impl Statement {
    pub fn new(agent: Option<i64>, rights: Rights) -> Statement {
        Statement {
            agent,
            rights,
            kept: RefCell::default(),
        }
    }

    /// The session as it is now.
    pub fn now() -> Statement {
        let (agent, rights, _) = rights_now();
        Statement::new(agent, rights)
    }

    /// What is found out about a table once for the whole statement.
    pub fn keep<T: Any>(&self, table: pg_sys::Oid, find_out: impl FnOnce() -> T) -> Rc<T> {
        let key = (TypeId::of::<T>(), table);
        let known = self.kept.borrow().get(&key).cloned();
        if let Some(known) = known.and_then(|known| known.downcast().ok()) {
            return known;
        }
        let found = Rc::new(find_out());
        self.kept.borrow_mut().insert(key, found.clone());
        found
    }

    /// The external keys of the state of its rights.
    pub fn external_keys(&self) -> Rc<ExternalKeys> {
        let rights = self.rights.as_ref();
        rights.map_or_else(Rc::default, |agent| agent.external_keys.clone())
    }
}

// Whose call it is

/// The query whose call this is, and its statement, if it has asked the rules; none if it is of none, as an
/// expression of PL/pgSQL.
pub fn query_of_call(fcinfo: CallInfo) -> Option<(Query, Option<Rc<Statement>>)> {
    let memory = fcinfo.memory();
    let (query, starting) = FRAMES.with_borrow(|frames| {
        // SAFETY: what is noted here is under way.
        let is_of = |query: &Query| unsafe { has_memory(*query, memory) };
        frames.iter().rev().find_map(|frame| match &frame.doing {
            Doing::Starting(query, statement) if is_of(query) => Some((*query, statement.clone())),
            Doing::Running(query) | Doing::Finishing(query) if is_of(query) => Some((*query, None)),
            _ => None,
        })
    })?;
    let known = || STATEMENTS.with_borrow(|all| all.get(&query).cloned());
    Some((query, starting.or_else(known)))
}

pub fn of_call(fcinfo: CallInfo) -> Option<Rc<Statement>> {
    let (query, known) = query_of_call(fcinfo)?;
    Some(known.unwrap_or_else(|| {
        // It was planned without asking: what it asks all the same is asked for the session, from now on.
        let statement = Rc::new(Statement::now());
        // SAFETY: the query runs.
        unsafe { keep(query, statement.clone()) };
        statement
    }))
}

/// Is this memory part of a query's?
///
/// # Safety
/// The query is one of the executor's; the memory context exists, or is null.
unsafe fn has_memory(query: Query, mut memory: pg_sys::MemoryContext) -> bool {
    // SAFETY: as the caller promises.
    unsafe {
        let Some(estate) = (*query).estate.as_ref() else {
            return false;
        };
        while !memory.is_null() {
            if memory == estate.es_query_cxt {
                return true;
            }
            memory = (*memory).parent;
        }
        false
    }
}

/// Keeps a statement until its query ends, or its transaction fails.
///
/// # Safety
/// The query was started, and has not ended.
unsafe fn keep(query: Query, statement: Rc<Statement>) {
    struct End(Query);
    impl Drop for End {
        fn drop(&mut self) {
            STATEMENTS.with_borrow_mut(|all| all.remove(&self.0));
        }
    }
    // SAFETY: a query that was started has its state, which lives as long as it.
    unsafe {
        PgMemoryContexts::For((*(*query).estate).es_query_cxt).leak_and_drop_on_delete(End(query));
    }
    STATEMENTS.with_borrow_mut(|all| all.insert(query, statement));
}

/// A command for an agent whose AFTER triggers run.
pub struct Finishing {
    /// Without what the command itself has written.
    pub snapshot: pg_sys::Snapshot,
    pub command: pg_sys::CommandId,
    /// No row that it wrote can have been there before.
    pub is_insert: bool,
}

/// The commands for an agent in whose AFTER triggers a call is.
pub fn finishing(agent: i64) -> Vec<Finishing> {
    let queries: Vec<Query> = FRAMES.with_borrow(|frames| {
        let of = |frame: &Frame| match frame.doing {
            Doing::Finishing(query) => Some(query),
            _ => None,
        };
        frames.iter().filter_map(of).collect()
    });
    STATEMENTS.with_borrow(|all| {
        let is_for = |query: &Query| all.get(query).is_some_and(|one| one.agent == Some(agent));
        let queries = queries.into_iter().filter(is_for);
        // SAFETY: what is noted here is under way.
        queries
            .map(|query| unsafe { Finishing::of(query) })
            .collect()
    })
}

impl Finishing {
    /// # Safety
    /// The query is under way.
    unsafe fn of(query: Query) -> Finishing {
        // SAFETY: as the caller promises.
        unsafe {
            let estate = &*(*query).estate;
            let plan = &*(*query).plannedstmt;
            let top = Node::new(plan.planTree.cast()).and_then(|top| top.get());
            let is_insert = plan.commandType == pg_sys::CmdType::CMD_INSERT
                && !plan.hasModifyingCTE
                && top.is_some_and(|top: &pg_sys::ModifyTable| {
                    top.onConflictAction == pg_sys::OnConflictAction::ONCONFLICT_NONE
                });
            Finishing {
                snapshot: estate.es_snapshot,
                command: estate.es_output_cid,
                is_insert,
            }
        }
    }
}

// Planning

/// Is the innermost thing that is under way the planning of a query? Then a call is one for an estimate.
pub fn is_planning() -> bool {
    FRAMES.with_borrow(|frames| {
        matches!(
            frames.last(),
            Some(Frame {
                doing: Doing::Planning(_),
                ..
            })
        )
    })
}

/// The query of deskguard's own that is being planned.
fn own_in_planning() -> Option<Rc<Own>> {
    FRAMES.with_borrow(|frames| match frames.last().map(|frame| &frame.doing) {
        Some(Doing::Planning(own)) => own.clone(),
        _ => None,
    })
}

/// May a rule become part of the plan in the making? Not into one of deskguard's own what is asked about
/// another table than its own, as the table's owner may have it in a CHECK constraint.
pub fn may_fold(table: Option<pg_sys::Oid>) -> bool {
    match own_in_planning().as_deref() {
        Some(Own {
            acting: Acting::Owner(_),
            table: own,
            ..
        }) => table == Some(*own),
        _ => true,
    }
}

/// For whom a plan in the making is to be: for a query of deskguard's own the agent that it acts for, else
/// the session's.
pub fn rights_to_plan_for() -> (Option<i64>, Rights, Tick) {
    let rights = own_in_planning().and_then(|own| match &own.acting {
        Acting::Owner(rights) => rights.clone(),
        Acting::Caller(rights) => Some(rights.clone()),
    });
    match rights {
        Some(rights) => {
            let loaded = rights.state().loaded();
            (Some(rights.agent), Some(rights), loaded)
        }
        None => rights_now(),
    }
}

/// The rights that an estimate is made for.
pub fn rights_to_estimate_for(root: Option<Root>) -> Rights {
    let plan = root.and_then(Root::plan);
    match plan.and_then(|plan| marks::marked(plan.items())) {
        Some(rights) => rights,
        None => rights_to_plan_for().1,
    }
}

fn push(doing: Doing) -> usize {
    // SAFETY: reads the state of the transaction.
    let level = unsafe { pg_sys::GetCurrentTransactionNestLevel() };
    FRAMES.with_borrow_mut(|frames| {
        frames.push(Frame { level, doing });
        frames.len() - 1
    })
}

/// Takes back what was noted at this depth and deeper.
fn pop(depth: usize) {
    FRAMES.with_borrow_mut(|frames| frames.truncate(depth));
}

/// A query is about to be planned. Gives the depth of that.
///
/// # Safety
/// The text is null or a string.
pub unsafe fn before_planning(text: *const c_char) -> usize {
    // SAFETY: as the caller promises.
    let own = unsafe { own_query::about_to_be_planned(text) };
    push(Doing::Planning(own))
}

/// # Safety
/// The depth is of before_planning(); the plan is the one that was made.
pub unsafe fn after_planning(depth: usize, plan: *mut pg_sys::PlannedStmt) {
    let own = FRAMES.with_borrow(|frames| match frames.get(depth).map(|frame| &frame.doing) {
        Some(Doing::Planning(own)) => own.clone(),
        _ => None,
    });
    pop(depth);
    if let (Some(own), false) = (own, plan.is_null()) {
        // SAFETY: a plan that nobody else has yet.
        unsafe {
            let items = PlanItems::of(&raw mut (*plan).invalItems);
            own.serial.set(Some(marks::serial_or_new(items)));
            if let Acting::Caller(_) = own.acting {
                compat::need_no_privileges(&mut *plan, own.table);
            }
        }
    }
}

// Running

/// A query that is about to be started.
pub struct Started {
    pub depth: usize,
    /// With what it asks when it runs, which is to be loaded now, so that it is of one state with the rest,
    /// and nothing that can fail is left for when the value of a row is at hand.
    pub statement: Option<(Rc<Statement>, Vec<Asked>)>,
}

/// # Safety
/// The query is the executor's, and about to start.
pub unsafe fn before_start(query: Query, flags: c_int) -> Started {
    // SAFETY: the query and its plan are the executor's.
    unsafe {
        let plan = (*query).plannedstmt;
        mirrors::keep::before_plan(plan);
        let begins_transaction = begins_transaction(plan);
        STARTED.set(STARTED.get() + 1);
        let is_run = flags & pg_sys::EXEC_FLAG_EXPLAIN_ONLY as c_int == 0;
        let made = marks::take_made();
        let plan_items = if is_run && !plan.is_null() {
            items_of_plan((*plan).invalItems)
        } else {
            vec![]
        };
        let statement = if !is_run || plan.is_null() {
            None
        } else if let Some(told) = leader::told(query).filter(|_| is_outermost()) {
            // A worker's part of its leader's plan comes without its marks.
            Some(((told.agent, told.rights), told.asked))
        } else {
            let who = match own_of(&plan_items) {
                Some(own) => match &own.acting {
                    Acting::Owner(rights) => rights.clone(),
                    Acting::Caller(rights) => Some(rights.clone()),
                }
                .map(|rights| (Some(rights.agent), Some(rights))),
                None => marks::check_plan(&plan_items, made, begins_transaction),
            };
            who.map(|who| (who, marks::asked(&plan_items)))
        };
        let statement = statement
            .map(|((agent, rights), asked)| (Rc::new(Statement::new(agent, rights)), asked));
        let noted = statement.as_ref().map(|(statement, _)| statement.clone());
        Started {
            depth: push(Doing::Starting(query, noted)),
            statement,
        }
    }
}

/// How many queries this backend has started.
pub fn started() -> u64 {
    STARTED.get()
}

/// Is the plan that of the one statement of a client, whose first message began the transaction? When that
/// came, all was heard that was committed until then.
///
/// # Safety
/// A plan, or null.
unsafe fn begins_transaction(plan: *mut pg_sys::PlannedStmt) -> bool {
    // As long as drivers may take from the first message to the last. Else a right could be kept for later.
    const MOST_MICROSECONDS: i64 = 1_000_000;
    // SAFETY: reads the state of the backend. The portal that is started or run, of which there is one, has
    // a name; "" is that of a client, not of SQL.
    unsafe {
        let portal = pg_sys::ActivePortal;
        let since = pg_sys::GetCurrentStatementStartTimestamp()
            - pg_sys::GetCurrentTransactionStartTimestamp();
        STARTED.get() == STARTED_BEFORE.get()
            && !portal.is_null()
            && CStr::from_ptr((*portal).name).is_empty()
            && items::<pg_sys::PlannedStmt>((*portal).stmts).contains(&plan)
            && (0..MOST_MICROSECONDS).contains(&since)
            && !is_in_transaction_block()
    }
}

/// As SET LOCAL asks it.
pub fn is_in_transaction_block() -> bool {
    // SAFETY: reads the state of the transaction.
    unsafe {
        // PostgreSQL makes the answer true by a commit right after the statement, of which the setting
        // would end before the rest of a pipeline.
        let flags = pg_sys::MyXactFlags;
        let is_in_block = pg_sys::IsInTransactionBlock(true);
        pg_sys::MyXactFlags = flags;
        is_in_block
    }
}

/// Is nothing under way yet?
fn is_outermost() -> bool {
    FRAMES.with_borrow(Vec::is_empty) && own_query::innermost().is_none()
}

/// The query of deskguard's own whose plan this is.
fn own_of(plan: &[PlanItem]) -> Option<Rc<Own>> {
    let serial = marks::serial(plan)?;
    let own = own_query::innermost()?;
    (own.serial.get() == Some(serial)).then_some(own)
}

/// A query has been started.
///
/// # Safety
/// The depth is that of before_start() for this query, which was started since.
pub unsafe fn after_start(query: Query, depth: usize) {
    let statement =
        FRAMES.with_borrow(|frames| match frames.get(depth).map(|frame| &frame.doing) {
            Some(Doing::Starting(_, statement)) => statement.clone(),
            _ => None,
        });
    pop(depth);
    if let Some(statement) = statement {
        // SAFETY: the query was started, as the caller promises.
        unsafe { keep(query, statement) };
    }
}

/// What is to be undone after a query, or a part of it, has run.
#[derive(Clone, Copy)]
pub struct Entered {
    depth: usize,
    settings: Option<c_int>,
}

/// A query is about to finish: what nobody reads of a writable WITH runs, and the AFTER triggers.
///
/// # Safety
/// The query is the executor's, and about to finish.
pub unsafe fn before_finish(query: Query) -> Entered {
    Entered {
        depth: push(Doing::Finishing(query)),
        settings: None,
    }
}

/// A query, or a part of it, is about to run.
///
/// # Safety
/// The query is the executor's, and about to run.
pub unsafe fn before_run(query: Query) -> Entered {
    // SAFETY: the query and its plan are the executor's.
    let plan = unsafe { (*query).plannedstmt.as_ref() };
    let settings = plan
        .filter(|plan| plan.parallelModeNeeded)
        .and_then(|plan| {
            let statement = STATEMENTS.with_borrow(|all| all.get(&query).cloned());
            match statement {
                Some(statement) => Some(leader::tell_workers(&message(&statement, plan))),
                // What a statement around this one tells is for its own workers.
                None => leader::is_telling().then(|| leader::tell_workers(c"")),
            }
        });
    Entered {
        depth: push(Doing::Running(query)),
        settings,
    }
}

/// What a statement tells its workers, whenever they are started.
fn message(statement: &Statement, plan: &pg_sys::PlannedStmt) -> Rc<CString> {
    statement.keep(pg_sys::InvalidOid, || {
        // SAFETY: the plan is the executor's.
        let asked = marks::asked(&unsafe { items_of_plan(plan.invalItems) });
        leader::message(statement.agent, &statement.rights, &asked)
    })
}

pub fn after_run(entered: Entered) {
    pop(entered.depth);
    if let Some(level) = entered.settings {
        leader::end_telling(level);
    }
}

// Transactions

/// A transaction has ended.
pub fn transaction_ended() {
    STARTED_BEFORE.set(STARTED.get());
    marks::take_made();
}

/// A transaction that began at this level, or a subtransaction, has failed: nothing that began in it is
/// under way any more.
pub fn forget_from(level: c_int) {
    marks::take_made();
    FRAMES.with_borrow_mut(|all| {
        let keep = all.iter().take_while(|frame| frame.level < level).count();
        all.truncate(keep);
    });
    own_query::forget_from(level);
}
