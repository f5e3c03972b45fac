//! Plans are marked with the agent and the generation of rights that they were made for. A plan that is
//! older than a change of rights, or of another agent, is never run.

use std::cell::{Cell, RefCell};
use std::ffi::c_int;

use deskguard_rules::{Moment, Validity};
use pgrx::pg_sys;
use serde::{Deserialize, Serialize};

use crate::pg::error;
use crate::pg::planner::{PlanItem, PlanItems};
use crate::rights::cache::{self, Rights};
use crate::rights::identity::{current_agent, rights_now};
use crate::rights::load;
use crate::signals::generation::{self, State, Tick};

/// For whom and of which generation of rights a plan was made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    pub generation: Tick,
    pub agent: Option<i64>,
}

/// The marks are kept in the plan's list of what it depends on, as items of caches that do not
/// exist: they are copied with the plan, and nothing else looks at them.
const GENERATION_ITEM: c_int = -7001;
const GENERATION_HIGH_ITEM: c_int = -7010;
const AGENT_LOW_ITEM: c_int = -7002;
const AGENT_HIGH_ITEM: c_int = -7003;
/// Tells the plan from all others that this backend made.
const SERIAL_ITEM: c_int = -7004;
/// The plan has calls that ask the rules when it runs: what kind of [`Asked`] less this, and of which table.
const ASKS_ITEM: c_int = -7020;
/// From when and until when the rights are those that the plan was made for: low and high half.
const FROM_ITEMS: [c_int; 2] = [-7006, -7007];
const UNTIL_ITEMS: [c_int; 2] = [-7008, -7009];

thread_local! {
    static MADE: Cell<u32> = const { Cell::new(0) };
    static MADE_LAST: RefCell<Option<Made>> = const { RefCell::new(None) };
}

/// The plan made last.
pub struct Made {
    serial: u32,
    /// When the statement began that it was made for.
    statement: pg_sys::TimestampTz,
    rights: Rights,
}

/// Marks a plan that is being made.
pub fn mark(plan: PlanItems, mark: Mark, rights: &Rights) {
    let earlier = marks(&plan.all());
    if earlier.contains(&mark) {
        return;
    }
    if earlier.is_empty() {
        MADE.set(MADE.get().wrapping_add(1));
        plan.add(generation::PLAN_MARK);
        plan.add((SERIAL_ITEM, MADE.get()));
    }
    // The agent follows its generation. High halves are mostly 0, and then left out.
    let add_high = |item, high: u32| (high != 0).then(|| plan.add((item, high)));
    plan.add((GENERATION_ITEM, mark.generation as u32));
    add_high(GENERATION_HIGH_ITEM, (mark.generation >> 32) as u32);
    let depend = |state: &State| {
        let hashes = state.plan_hashes();
        hashes.for_each(|hash| plan.add((generation::PLAN_MARK.0, hash)));
    };
    match rights {
        Some(rights) => depend(rights.state()),
        None => depend(&cache::state(mark.agent, None)),
    }
    if let Some(agent) = mark.agent {
        plan.add((AGENT_LOW_ITEM, agent as u32));
        add_high(AGENT_HIGH_ITEM, (agent >> 32) as u32);
    }
    let time = rights.as_ref().map(|access| access.time());
    for (items, bound) in [
        (FROM_ITEMS, time.and_then(|time| time.from)),
        (UNTIL_ITEMS, time.and_then(|time| time.until)),
    ] {
        if let Some(bound) = bound {
            plan.add((items[0], bound as u32));
            plan.add((items[1], (bound >> 32) as u32));
        }
    }
    MADE_LAST.set(Some(Made {
        serial: MADE.get(),
        statement: statement_start(),
        rights: rights.clone(),
    }));
}

/// When the statement began that is under way.
fn statement_start() -> pg_sys::TimestampTz {
    // SAFETY: reads the backend's state.
    unsafe { pg_sys::GetCurrentStatementStartTimestamp() }
}

/// What a plan asks when it runs, which is loaded before its first row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Asked {
    /// Calls of rules. Without a mark their plan serves every agent at any time.
    Rules,
    /// What of a table is shared with the agent.
    Shared(pg_sys::Oid),
    /// The tickets of a table that the agent follows.
    Followed(pg_sys::Oid),
    /// Those of them that the follower table shows it.
    FollowedSeen(pg_sys::Oid),
    /// The same of those that the agent requested by the follower table.
    Requested(pg_sys::Oid),
    RequestedSeen(pg_sys::Oid),
}

impl Asked {
    const KINDS: c_int = 6;

    /// A number for the kind, and the table.
    pub fn parts(self) -> (c_int, pg_sys::Oid) {
        match self {
            Asked::Rules => (0, pg_sys::InvalidOid),
            Asked::Shared(table) => (1, table),
            Asked::Followed(table) => (2, table),
            Asked::FollowedSeen(table) => (3, table),
            Asked::Requested(table) => (4, table),
            Asked::RequestedSeen(table) => (5, table),
        }
    }

    pub fn of(kind: c_int, table: pg_sys::Oid) -> Option<Asked> {
        match kind {
            0 => Some(Asked::Rules),
            1 => Some(Asked::Shared(table)),
            2 => Some(Asked::Followed(table)),
            3 => Some(Asked::FollowedSeen(table)),
            4 => Some(Asked::Requested(table)),
            5 => Some(Asked::RequestedSeen(table)),
            _ => None,
        }
    }
}

/// Notes what a plan in the making asks when it runs.
pub fn ask(plan: PlanItems, what: Asked) {
    if !asked(&plan.all()).contains(&what) {
        let (kind, table) = what.parts();
        plan.add((ASKS_ITEM + kind, table.to_u32()));
    }
}

/// What a plan asks when it runs.
pub fn asked(all: &[PlanItem]) -> Vec<Asked> {
    all.iter()
        .filter_map(|(cache, hash)| match cache - ASKS_ITEM {
            kind @ 0..Asked::KINDS => Asked::of(kind, (*hash).into()),
            _ => None,
        })
        .collect()
}

/// The rights that a plan in the making was marked for already: all its rules are of one state.
pub fn marked(plan: PlanItems) -> Option<Rights> {
    let serial = serial(&plan.all())?;
    MADE_LAST.with_borrow(|made| {
        let made = made.as_ref().filter(|made| made.serial == serial)?;
        Some(made.rights.clone())
    })
}

/// What tells a plan from others, if it was marked.
pub fn serial(all: &[PlanItem]) -> Option<u32> {
    find_item(all, SERIAL_ITEM)
}

/// What tells a plan that was just made from others, also if it was not marked.
pub fn serial_or_new(plan: PlanItems) -> u32 {
    serial(&plan.all()).unwrap_or_else(|| {
        MADE.set(MADE.get().wrapping_add(1));
        plan.add((SERIAL_ITEM, MADE.get()));
        MADE.get()
    })
}

/// A plan has one start that is just after its making; EXPLAIN's is one, too.
pub fn take_made() -> Option<Made> {
    MADE_LAST.take()
}

fn find_item(all: &[PlanItem], cache: c_int) -> Option<u32> {
    let found = all.iter().find(|(of, _)| *of == cache);
    found.map(|(_, hash)| *hash)
}

/// When the rights that a plan was made for begin and end.
fn time(all: &[PlanItem]) -> Validity {
    let bound = |[low, high]: [c_int; 2]| {
        let (low, high) = (find_item(all, low)?, find_item(all, high)?);
        Some(Moment::from(high as i32) << 32 | Moment::from(low))
    };
    Validity {
        from: bound(FROM_ITEMS),
        until: bound(UNTIL_ITEMS),
    }
}

fn marks(all: &[PlanItem]) -> Vec<Mark> {
    let mut found: Vec<Mark> = vec![];
    for (cache, hash) in all.iter().copied() {
        match (cache, found.last_mut()) {
            (GENERATION_ITEM, _) => found.push(Mark {
                generation: hash.into(),
                agent: None,
            }),
            (GENERATION_HIGH_ITEM, Some(mark)) => mark.generation |= Tick::from(hash) << 32,
            (AGENT_LOW_ITEM, Some(mark)) => mark.agent = Some(hash.into()),
            (AGENT_HIGH_ITEM, Some(mark)) => {
                let low = mark.agent.unwrap_or(0);
                mark.agent = Some(i64::from(hash) << 32 | low);
            }
            _ => {}
        }
    }
    found
}

/// Refuses to run a plan that was made for other rights than those that hold now; tells for whom to
/// run it.
///
/// The plan cache drops plans when it hears of a change, but a statement that holds its locks already
/// hears of nothing. So messages are accepted here; if there was one, the plan is older than the
/// change. Two plans may be run all the same, since the statement began before the change: one just made
/// for this very statement; and one of the statement with which the transaction began, when all messages
/// were accepted, if this one came only now.
pub fn check_plan(
    plan: &[PlanItem],
    made: Option<Made>,
    begins_transaction: bool,
) -> Option<(Option<i64>, Rights)> {
    let (marks, serial) = (marks(plan), serial(plan));
    let Some(first) = marks.first().copied() else {
        asked(plan).first()?;
        let (agent, rights, _) = rights_now();
        return Some((agent, rights));
    };
    let before = first.agent.filter(|_| begins_transaction);
    let before = before.and_then(|agent| cache::unchanged_since(agent, first.generation));
    generation::refresh();
    let statement = statement_start();
    let agent = current_agent();
    let time = time(plan);
    let now = load::now();
    let just_made = made.filter(|made| {
        Some(made.serial) == serial
            && (made.statement == statement || begins_transaction)
            && time.contains(now)
    });
    if !time.is_not_over(now) {
        // The plan has a way for this, but one for the rights of now is better: it is the last time.
        generation::drop_all_plans();
    }
    // Not before its time, to which only the clock could have gone back.
    let is_begun = time.from.is_none_or(|from| from <= now);
    if marks.len() == 1 && first.agent == agent && is_begun {
        if let Some(made) = just_made {
            // What was heard while it was planned came before the plan cache knew the plan.
            if cache::changed(agent, made.rights.as_ref()) > first.generation {
                generation::drop_all_plans();
            }
            return Some((agent, made.rights));
        }
        let (agent_now, rights, _) = rights_now();
        if agent_now == agent && cache::changed(agent, rights.as_ref()) <= first.generation {
            return Some((agent, rights));
        }
        if before.is_some() && time.contains(now) {
            return Some((agent, before));
        }
    }
    // The plan may be kept, and nobody else would drop it: retrying is to help.
    generation::drop_all_plans();
    error::rights_changed()
}
