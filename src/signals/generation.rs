//! The clock of changes: which changes of rights this backend has heard of, and whom they concern.
//!
//! Whoever changes rights queues a message for PostgreSQL's invalidation of caches. It is sent to all
//! backends at commit, dropped at rollback, applied by oneself at the next command, and replayed on
//! standbys. Two empty views stand for what concerns everyone: their relcache entries are invalidated.
//! What concerns one agent, one group's members or one role is said by the invalidation of a row of
//! pg_sequence that does not exist: such a message carries the hash of the row's key, and this key is
//! made from the agent's id. No catalog is changed by it, and nobody else listens to that cache.
//!
//! A message about somebody of whom this backend has nothing only moves the clock.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::{CStr, c_int};

use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::signals::under_way;
use crate::tables::catalog::own_table;

/// A moment of the clock: how many messages this backend has heard.
pub type Tick = u64;

/// Whom a change concerns.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    Agent(i64),
    /// The members of a group.
    Group(i64),
    /// Who is, or may name, an agent by the name of a role.
    RoleName(&'a CStr),
    /// Everyone, and what tables are protected and how.
    Tables,
}

impl Subject<'_> {
    /// The key of a row of pg_sequence. Should two subjects share one, plans are made anew once too
    /// often.
    fn key(self) -> pg_sys::Oid {
        let (kind, name) = match self {
            Subject::Agent(id) => (1, id.to_le_bytes().to_vec()),
            Subject::Group(id) => (2, id.to_le_bytes().to_vec()),
            Subject::RoleName(name) => (3, name.to_bytes().to_vec()),
            Subject::Tables => (4, vec![]),
        };
        // FNV-1a.
        let hash = std::iter::once(kind)
            .chain(name)
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        let folded = (hash ^ (hash >> 32)) as u32;
        pg_sys::Oid::from(folded.max(1))
    }

    /// What a message about it carries.
    fn hash(self) -> u32 {
        hash_of(MESSAGES, self.key())
    }
}

/// The cache of pg_sequence by OID: PostgreSQL asks it when a sequence is used, and nobody registers
/// for its messages. It is the only one of its catalog, so that there is one message for a row.
const MESSAGES: c_int = pg_sys::SysCacheIdentifier::SEQRELID as c_int;
const MESSAGE_CATALOG: u32 = 2224;
const MESSAGE_KEY_COLUMN: usize = 0;
const ROLES: c_int = pg_sys::SysCacheIdentifier::AUTHOID as c_int;
const FUNCTIONS: c_int = pg_sys::SysCacheIdentifier::PROCOID as c_int;

/// What a message carries that invalidates a row of a cache by OID.
fn hash_of(cache: c_int, key: pg_sys::Oid) -> u32 {
    let none = pg_sys::Datum::null;
    // SAFETY: in a transaction, since the cache may have to be set up.
    unsafe { pg_sys::GetSysCacheHashValue(cache, key.into(), none(), none(), none()) }
}

/// Sets messages about roles apart from those of ours.
fn of_role(hash: u32) -> u32 {
    hash.rotate_left(9) ^ 0x5DE5_6A2D
}

/// What depends on a subject.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Topic {
    /// Rights of agents, and plans that have an item for it.
    Rights,
    /// Which agent a session is: any plan may be of another agent now.
    Identity,
}

struct Known {
    topic: Topic,
    changed: Tick,
}

thread_local! {
    static CLOCK: Cell<Tick> = const { Cell::new(1) };
    /// When a change last concerned everyone.
    static ALL: Cell<Tick> = const { Cell::new(1) };
    /// When a change last concerned anything that this backend has.
    static CONCERN: Cell<Tick> = const { Cell::new(1) };
    /// When the protected tables last changed.
    static TABLES: Cell<Tick> = const { Cell::new(1) };
    /// When external keys last changed.
    static KEYS: Cell<Tick> = const { Cell::new(1) };
    /// When they last changed and this backend had no rights that depend on them.
    static KEYS_MISSED: Cell<Tick> = const { Cell::new(1) };
    /// Has this backend rights that depend on external keys?
    static USES_KEYS: Cell<bool> = const { Cell::new(false) };
    /// The subjects on which something of this backend depends, or did, by hash.
    static KNOWN: RefCell<HashMap<u32, Known>> = RefCell::default();
    /// The OIDs of the views that stand for what concerns everyone, once something was loaded.
    static RIGHTS_SIGNAL: Cell<pg_sys::Oid> = const { Cell::new(pg_sys::InvalidOid) };
    static KEYS_SIGNAL: Cell<pg_sys::Oid> = const { Cell::new(pg_sys::InvalidOid) };
    /// What a message about protected tables carries.
    static TABLES_HASH: Cell<u32> = const { Cell::new(0) };
    /// Are the callbacks of the plan cache called by this module?
    static DROPPING_PLANS: Cell<bool> = const { Cell::new(false) };
    static SENT: Cell<Sent> = const { Cell::new(Sent::NOTHING) };
    /// Counts changes of functions.
    static FUNCTION_CHANGES: Cell<u32> = const { Cell::new(0) };
}

/// How many subjects a backend tells apart. Some dozens of bytes each.
const MOST_KNOWN: usize = 50_000;

// Hearing

pub fn register_callbacks() {
    // SAFETY: the callbacks only set thread-locals and flags of the plan cache.
    unsafe {
        pg_sys::CacheRegisterRelcacheCallback(Some(relation_changed), 0.into());
        pg_sys::CacheRegisterSyscacheCallback(MESSAGES, Some(message), 0.into());
        // A role was renamed or dropped: agents are mapped to roles by name.
        pg_sys::CacheRegisterSyscacheCallback(ROLES, Some(role_changed), 0.into());
        pg_sys::CacheRegisterSyscacheCallback(FUNCTIONS, Some(function_changed), 0.into());
    }
}

#[pg_guard]
extern "C-unwind" fn relation_changed(_arg: pg_sys::Datum, relation: pg_sys::Oid) {
    // Without one: messages were lost, and anything may have changed.
    let is_lost = relation == pg_sys::InvalidOid;
    if is_lost {
        TABLES.set(tick());
    }
    if is_lost || relation == KEYS_SIGNAL.get() {
        KEYS.set(tick());
        if USES_KEYS.get() {
            all_changed();
        } else {
            KEYS_MISSED.set(KEYS.get());
        }
    }
    if is_lost || relation == RIGHTS_SIGNAL.get() {
        all_changed();
    }
}

#[pg_guard]
extern "C-unwind" fn message(_arg: pg_sys::Datum, _cache: c_int, hash: u32) {
    changed(hash);
}

#[pg_guard]
extern "C-unwind" fn role_changed(_arg: pg_sys::Datum, _cache: c_int, hash: u32) {
    changed(if hash == 0 { 0 } else { of_role(hash) });
}

#[pg_guard]
extern "C-unwind" fn function_changed(_arg: pg_sys::Datum, _cache: c_int, _hash: u32) {
    if !DROPPING_PLANS.get() {
        FUNCTION_CHANGES.set(FUNCTION_CHANGES.get().wrapping_add(1));
    }
}

fn tick() -> Tick {
    CLOCK.set(CLOCK.get() + 1);
    CLOCK.get()
}

/// Something has changed for the subject with this hash; for every subject, if it is 0.
fn changed(hash: u32) {
    if hash == 0 || hash == TABLES_HASH.get() {
        TABLES.set(tick());
        all_changed();
        return;
    }
    let now = tick();
    let topic = KNOWN.with_borrow_mut(|known| {
        let known = known.get_mut(&hash)?;
        known.changed = now;
        Some(known.topic)
    });
    if let Some(topic) = topic {
        CONCERN.set(now);
        match topic {
            Topic::Rights => drop_plans(plan_hash(hash)),
            Topic::Identity => drop_all_plans(),
        }
    }
}

/// The rights of everyone may have changed.
pub fn all_changed() {
    let now = tick();
    ALL.set(now);
    CONCERN.set(now);
    drop_all_plans();
    drop_plans(TABLES_MARK.1);
}

/// Hears of the changes committed until now, and tells the time.
pub fn refresh() -> Tick {
    // SAFETY: in a transaction, as every caller is.
    unsafe { pg_sys::AcceptInvalidationMessages() };
    CLOCK.get()
}

/// Hears of changes from now on, and tells the time. What is loaded later has what changed before.
pub fn listen() -> Tick {
    RIGHTS_SIGNAL.set(own_table(c"rights_signal"));
    KEYS_SIGNAL.set(own_table(c"external_key_signal"));
    TABLES_HASH.set(Subject::Tables.hash());
    refresh()
}

/// When a change last concerned anything that this backend has.
pub fn last_concern() -> Tick {
    CONCERN.get()
}

/// Have the protected tables changed since?
pub fn tables_changed_since(moment: Tick) -> bool {
    TABLES.get() > moment
}

/// From now on changes of external keys concern everyone here.
pub fn uses_keys() {
    USES_KEYS.set(true);
}

/// Have external keys changed since, when that concerned nobody here?
pub fn keys_missed_since(moment: Tick) -> bool {
    KEYS_MISSED.get() > moment
}

/// Have external keys changed since?
pub fn keys_changed_since(moment: Tick) -> bool {
    KEYS.get() > moment
}

// What was loaded

/// Of which moment something is that was loaded, and on whom it depends.
#[derive(Clone, Debug)]
pub struct State {
    loaded: Tick,
    /// By hash.
    depends: Vec<u32>,
}

impl State {
    /// Of what is loaded with a snapshot that was taken after this moment.
    pub fn of(loaded: Tick) -> State {
        let depends = vec![];
        State { loaded, depends }
    }

    pub fn depends_on(&mut self, subject: Subject) {
        let topic = match subject {
            Subject::RoleName(_) => Topic::Identity,
            _ => Topic::Rights,
        };
        self.add(subject.hash(), topic);
    }

    /// On whatever changes a role itself.
    pub fn depends_on_role(&mut self, role: pg_sys::Oid) {
        self.add(of_role(hash_of(ROLES, role)), Topic::Identity);
    }

    fn add(&mut self, hash: u32, topic: Topic) {
        let is_full = KNOWN.with_borrow_mut(|known| {
            let is_full = known.len() >= MOST_KNOWN && !known.contains_key(&hash);
            if is_full {
                *known = HashMap::new();
            }
            // A message may have come since the load began, when nobody here knew the subject.
            let subject = known.entry(hash).or_insert(Known {
                topic,
                changed: CLOCK.get(),
            });
            if subject.topic != topic {
                subject.topic = Topic::Identity;
            }
            is_full
        });
        // What depends on those that are not told apart any more is out of date.
        if is_full {
            all_changed();
        }
        if !self.depends.contains(&hash) {
            self.depends.push(hash);
        }
    }

    pub fn loaded(&self) -> Tick {
        self.loaded
    }

    /// When something changed for it.
    pub fn changed(&self) -> Tick {
        KNOWN.with_borrow(|known| {
            // One that is not known any more is out of date by ALL.
            let changed = |hash| known.get(hash).map_or(CLOCK.get(), |known| known.changed);
            let changes = self.depends.iter().map(changed);
            changes.fold(ALL.get(), Tick::max)
        })
    }

    /// Is it as if it was loaded now?
    pub fn is_current(&self) -> bool {
        self.changed() <= self.loaded
    }

    /// The items of a plan that depends on it.
    pub fn plan_hashes(&self) -> impl Iterator<Item = u32> {
        self.depends.iter().map(|hash| plan_hash(*hash))
    }
}

// Plans

/// The plans that depend on deskguard have an item with this mark, among those for functions, and one
/// for each subject. They are no function's hashes: should one have the same, plans are made anew once
/// too often.
pub const PLAN_MARK: (c_int, u32) = (FUNCTIONS, 0xDE5C_6A2D);

/// That of plans that depend on which tables are protected, and not on the agent: they stay when that changes.
pub const TABLES_MARK: (c_int, u32) = (FUNCTIONS, 0xDE5C_7AB1);

fn plan_hash(hash: u32) -> u32 {
    // 0 stands for all plans.
    (hash ^ PLAN_MARK.1).max(1)
}

/// Makes the plans of this backend that depend on deskguard be made anew.
pub fn drop_all_plans() {
    drop_plans(PLAN_MARK.1);
}

fn drop_plans(hash: u32) {
    let before = DROPPING_PLANS.replace(true);
    // SAFETY: the callbacks of the plan cache only set flags.
    unsafe { pg_sys::CallSyscacheCallbacks(FUNCTIONS, hash) };
    DROPPING_PLANS.set(before);
}

// Telling

/// What this transaction has sent.
#[derive(Clone, Copy)]
struct Sent {
    /// Not when it began: those that come in one message begin at the same moment.
    transaction: pg_sys::TransactionId,
    messages: u32,
    /// The last one.
    last: (pg_sys::SubTransactionId, pg_sys::CommandId, u32),
}

impl Sent {
    const NOTHING: Sent = Sent {
        transaction: pg_sys::InvalidTransactionId,
        messages: 0,
        last: (0, 0, 0),
    };
}

/// PostgreSQL's queue has room for 4096 messages, of all sessions; whoever misses one has to set up all
/// its caches anew. So a transaction that changes the rights of many says that it concerns everyone.
const MOST_MESSAGES: u32 = 100;

/// Tells all backends, at commit, that something changes for the subject, and this one at once. Called
/// before the change, so that nothing sees it without having heard of it.
pub fn signal(subject: Subject) {
    if !matches!(subject, Subject::Tables) {
        under_way::change();
    }
    // SAFETY: in a transaction that writes, which has an id, or gets one.
    let mut sent = unsafe {
        let transaction = pg_sys::GetTopTransactionId();
        let sent = SENT.get();
        let is_same = sent.transaction == transaction;
        Sent {
            transaction,
            ..if is_same { sent } else { Sent::NOTHING }
        }
    };
    if sent.messages >= MOST_MESSAGES && !matches!(subject, Subject::Tables) {
        return signal_all();
    }
    let hash = subject.hash();
    // SAFETY: reads the transaction's state.
    let this = unsafe { (pg_sys::GetCurrentSubTransactionId(), use_command(), hash) };
    // The same command sends it once, as often as it fires the trigger.
    if sent.last != this {
        sent.messages += 1;
        sent.last = this;
        // SAFETY: in a transaction that writes.
        unsafe { queue_message(subject.key()) };
    }
    SENT.set(sent);
    changed(hash);
}

/// Tells that the rights of everyone may change.
pub fn signal_all() {
    under_way::change();
    use_command();
    // SAFETY: queues a message. PostgreSQL drops one that the same command has queued before.
    unsafe { pg_sys::CacheInvalidateRelcacheByRelid(own_table(c"rights_signal")) };
    all_changed();
}

/// Tells that external keys change.
pub fn signal_keys() {
    use_command();
    let table = own_table(c"external_key_signal");
    // SAFETY: queues a message.
    unsafe { pg_sys::CacheInvalidateRelcacheByRelid(table) };
    KEYS_SIGNAL.set(table);
    relation_changed(pg_sys::Datum::null(), table);
}

/// The current command, which counts as one that writes from now on: else PostgreSQL would not begin a
/// new one for what is run within it, and so not apply the messages that are queued.
fn use_command() -> pg_sys::CommandId {
    // SAFETY: the transaction writes.
    unsafe { pg_sys::GetCurrentCommandId(true) }
}

/// # Safety
/// In a transaction that writes.
unsafe fn queue_message(key: pg_sys::Oid) {
    // SAFETY: the row has the columns of the catalog; only its key is read.
    unsafe {
        let lock = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
        let catalog = pg_sys::table_open(MESSAGE_CATALOG.into(), lock);
        let descriptor = (*catalog).rd_att;
        let columns = (*descriptor).natts as usize;
        let mut values = vec![pg_sys::Datum::null(); columns];
        let mut nulls = vec![true; columns];
        values[MESSAGE_KEY_COLUMN] = key.into();
        nulls[MESSAGE_KEY_COLUMN] = false;
        let row = pg_sys::heap_form_tuple(descriptor, values.as_mut_ptr(), nulls.as_mut_ptr());
        pg_sys::CacheInvalidateHeapTuple(catalog, row, std::ptr::null_mut());
        pg_sys::heap_freetuple(row);
        pg_sys::table_close(catalog, lock);
    }
}

/// Counts changes of functions that this backend has heard of.
pub fn function_changes() -> u32 {
    FUNCTION_CHANGES.get()
}
