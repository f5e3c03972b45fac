//! The external keys that an agent's rights go with.
//!
//! A rule asks of a key whether it is that of something that the agent has rights on. So the keys of these belong to its
//! rights, and are loaded with them, by the same snapshot. Whatever else a key may stand for makes no difference to a
//! rule; it is looked up as it is now, for who calls the functions from keys to ids.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use deskguard_rules::{Access, IdSet};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::pg::error;
use crate::rights::load::Loader;
use crate::signals::generation::{self, State, Tick, refresh};
use crate::tables::catalog::Catalog;
use crate::tables::columns::{message_table, shared_table};
use crate::tables::key::{Key, KeyRef, KeyType, canonical_uuid};
use crate::tables::principal::{Keys, Principal, UNMAPPED};
use crate::tables::registry::column_name;
use crate::tables::ticket_table::TicketTable;

thread_local! {
    /// What this backend knows of each table: all agents share it.
    static KNOWN: RefCell<[Known; Principal::ALL.len()]> = RefCell::default();
    /// What protected tables name by external keys, and since when.
    static NAMED: RefCell<Option<(Tick, Rc<[Principal]>)>> = const { RefCell::new(None) };
}

/// The keys of a table, as of a moment.
#[derive(Default)]
struct Known {
    tick: Tick,
    all: Option<Rc<Keys>>,
    /// Those looked up one by one.
    ids: HashMap<Box<str>, Option<i64>>,
    ids_of_uuids: HashMap<Uuid, Option<i64>>,
}

/// So many are looked up before all are read.
const FEW: usize = 1000;

/// In bytes. Longer ones, which anybody may ask for, are not remembered.
const LONGEST: usize = 100;

/// The external keys, as they were at one moment.
#[derive(Debug, Default)]
pub struct ExternalKeys {
    /// Of the rights that they belong to.
    state: Option<Rc<State>>,
    /// Of each table that protected tables name by keys: those of what the agent has rights on.
    of_agent: [Option<OfAgent>; Principal::ALL.len()],
    /// The same, where keys had changed before any was asked for.
    asked_later: [OnceCell<OfAgent>; Principal::ALL.len()],
    /// All of a table, if they are asked for.
    all: [OnceCell<Rc<Keys>>; Principal::ALL.len()],
}

/// The keys of some ids.
#[derive(Debug)]
struct OfAgent {
    of: IdSet,
    keys: Keys,
}

/// The same as a leader hands them over: ids with their keys, if they have one.
#[derive(Serialize, Deserialize)]
pub struct HandedOver([Option<Vec<IdWithKey>>; Principal::ALL.len()]);

type IdWithKey = (i64, Option<Box<str>>);

impl ExternalKeys {
    /// Those of what an agent has rights on, and that hold while the rights of this state do.
    pub fn load(loader: &Loader, access: &Access, state: Rc<State>) -> ExternalKeys {
        let named = named(loader);
        let of_agent = |principal| {
            let ids = ids_of(access, principal).into_iter().collect();
            let is_named = named.contains(&principal);
            is_named.then(|| OfAgent::load(loader.catalog(), principal, ids))
        };
        ExternalKeys {
            state: Some(state),
            of_agent: Principal::ALL.map(of_agent),
            ..ExternalKeys::default()
        }
    }

    /// Those of what the agent has rights on. From now on their changes are changes of the rights.
    fn of_agent(&self, principal: Principal) -> Option<&OfAgent> {
        let loaded = self.of_agent[principal as usize].as_ref()?;
        let Some(state) = &self.state else {
            return Some(loaded);
        };
        generation::uses_keys();
        if !generation::keys_missed_since(state.loaded()) {
            return Some(loaded);
        }
        Some(self.asked_later[principal as usize].get_or_init(|| {
            let loaded = OfAgent::load(&Catalog::now(), principal, loaded.of.clone());
            refresh();
            if !state.is_current() {
                error::rights_changed();
            }
            loaded
        }))
    }

    /// All of a table. Refused if the rights that they belong to are over by now.
    fn of_table(&self, principal: Principal) -> &Keys {
        self.all[principal as usize].get_or_init(|| {
            if self.state.is_some() {
                generation::uses_keys();
            }
            let keys = all_now(principal);
            if self.state.as_ref().is_some_and(|state| !state.is_current()) {
                error::rights_changed();
            }
            keys
        })
    }

    pub fn hand_over(&self) -> HandedOver {
        let of = |of_agent: &OfAgent| {
            let key = |id| Some(Box::from(&**of_agent.keys.keys.get(&id)?));
            let ids = of_agent.of.sorted().iter();
            ids.map(|id| (*id, key(*id))).collect()
        };
        HandedOver(Principal::ALL.map(|principal| self.of_agent(principal).map(of)))
    }

    /// As a leader has handed them over.
    pub fn handed_over(HandedOver(from): HandedOver) -> ExternalKeys {
        let of_agent = |all: Vec<IdWithKey>| {
            let mut keys = Keys::default();
            for (id, key) in &all {
                key.iter().for_each(|key| keys.add(*id, key));
            }
            let of = all.into_iter().map(|(id, _)| id).collect();
            OfAgent { of, keys }
        };
        ExternalKeys {
            of_agent: from.map(|all| all.map(of_agent)),
            ..ExternalKeys::default()
        }
    }

    /// What a value of a column stands for.
    pub fn id(&self, principal: Principal, key: KeyRef) -> i64 {
        if let Key::Number(id) = key {
            return id;
        }
        let of_agent = self.of_agent(principal);
        if let Some(id) = of_agent.and_then(|of_agent| of_agent.keys.id(key)) {
            return id;
        }
        let id = match (of_agent, &self.state) {
            (None, Some(_)) => self.of_table(principal).id(key),
            _ => id_now(principal, key),
        };
        // What the agent has rights on may have got the key since.
        let id = id.filter(|id| of_agent.is_none_or(|of_agent| !of_agent.of.contains(*id)));
        id.unwrap_or(UNMAPPED)
    }

    /// The same for a list of what the agent has rights on, in which nothing else is.
    pub fn id_with_rights(&self, principal: Principal, key: KeyRef) -> i64 {
        if let Key::Number(id) = key {
            return id;
        }
        match self.of_agent(principal) {
            Some(of_agent) => of_agent.keys.id(key).unwrap_or(UNMAPPED),
            None => self.id(principal, key),
        }
    }

    /// How columns of a type name an id; none if it has no such key.
    pub fn key(&self, principal: Principal, id: i64, key_type: KeyType) -> Option<KeyRef<'_>> {
        let text = || {
            let of_agent = self.of_agent(principal);
            let keys = match of_agent.filter(|of_agent| of_agent.of.contains(id)) {
                Some(of_agent) => &of_agent.keys,
                None => self.of_table(principal),
            };
            keys.keys.get(&id).map(|key| &**key)
        };
        match key_type {
            KeyType::Number => Some(Key::Number(id)),
            KeyType::Uuid => canonical_uuid(text()?).map(Key::Uuid),
            KeyType::Text => text().map(Key::Text),
        }
    }

    /// The memory that they take, in bytes, but for what all agents share.
    pub fn bytes(&self) -> usize {
        let of_agent = self.of_agent.iter().flatten();
        of_agent
            .map(|of_agent| of_agent.of.bytes() + of_agent.keys.bytes())
            .sum()
    }
}

impl OfAgent {
    fn load(catalog: &Catalog, principal: Principal, of: IdSet) -> OfAgent {
        let keys = Keys::of_ids(catalog, principal, &of);
        OfAgent { of, keys }
    }
}

/// What an agent has rights on, now or later.
fn ids_of(access: &Access, principal: Principal) -> Vec<i64> {
    let mut ids = vec![];
    for access in access.now_and_later() {
        match principal {
            Principal::Agent => ids.push(access.agent),
            Principal::Team => ids.extend(access.teams().sorted()),
            // Those of a higher level are among them.
            Principal::Department => ids.extend(access.departments_with_rights()),
            Principal::Category => ids.extend(access.categories_with_rights()),
        }
    }
    ids
}

/// What protected tables name by external keys.
fn named(loader: &Loader) -> Rc<[Principal]> {
    let known = NAMED.with_borrow(|named| named.clone());
    if let Some((tick, named)) = known
        && !generation::tables_changed_since(tick)
    {
        return named;
    }
    let mut columns = vec![];
    let catalog = loader.catalog();
    for table in TicketTable::all(catalog) {
        for (column, principal) in Principal::columns() {
            let column = table.column(column).map(String::from);
            columns.push((principal, table.oid, column));
        }
        if let Some(followers) = table.followers {
            columns.push((Principal::Agent, followers.oid, Some(followers.agent)));
        }
    }
    let (author, owner) = (message_table::AUTHOR_COLUMN, shared_table::OWNER_COLUMN);
    for (registry, table, agent) in [
        (c"message_table", message_table::TABLE_ID, author),
        (c"shared_table", shared_table::TABLE_ID, owner),
    ] {
        catalog.scan(registry, None, &[], |row| {
            let column = column_name(row, agent);
            columns.push((Principal::Agent, row.required(table), column));
        });
    }
    let has_keys = |principal: &Principal| {
        columns.iter().any(|(named, table, column)| {
            let key_type = column.as_ref();
            let key_type = key_type.and_then(|column| KeyType::of_column(*table, column));
            named == principal && matches!(key_type, Some(KeyType::Uuid | KeyType::Text))
        })
    };
    let named: Rc<[Principal]> = Principal::ALL.into_iter().filter(has_keys).collect();
    NAMED.set(Some((loader.tick, named.clone())));
    named
}

impl Known {
    /// Forgets all if a key has changed.
    fn current(&mut self) -> &mut Known {
        if generation::keys_changed_since(self.tick) {
            *self = Known::default();
        }
        self
    }

    /// None if that is not known.
    fn id(&self, key: KeyRef) -> Option<Option<i64>> {
        match (&self.all, key) {
            (Some(all), key) => Some(all.id(key)),
            (None, Key::Uuid(uuid)) => self.ids_of_uuids.get(&uuid).copied(),
            (None, Key::Text(text)) => self.ids.get(text).copied(),
            (None, Key::Number(id)) => Some(Some(id)),
        }
    }
}

/// What a key of a table stands for now.
fn id_now(principal: Principal, key: KeyRef) -> Option<i64> {
    let (known, looked_up) = KNOWN.with_borrow_mut(|all| {
        let known = all[principal as usize].current();
        (known.id(key), known.ids.len() + known.ids_of_uuids.len())
    });
    if let Some(id) = known {
        return id;
    }
    if looked_up >= FEW {
        return all_now(principal).id(key);
    }
    let tick = generation::listen();
    let id = Keys::find(&Catalog::now(), principal, &key.to_string());
    refresh();
    KNOWN.with_borrow_mut(|all| {
        let known = all[principal as usize].current();
        if generation::keys_changed_since(tick) {
            return;
        }
        if known.tick == Tick::default() {
            known.tick = tick;
        }
        match key {
            Key::Uuid(uuid) => known.ids_of_uuids.insert(uuid, id),
            Key::Text(text) if text.len() <= LONGEST => known.ids.insert(text.into(), id),
            Key::Text(_) | Key::Number(_) => None,
        };
    });
    id
}

/// The keys of a table as they are now.
fn all_now(principal: Principal) -> Rc<Keys> {
    refresh();
    let known =
        |all: &mut [Known; Principal::ALL.len()]| all[principal as usize].current().all.clone();
    if let Some(keys) = KNOWN.with_borrow_mut(known) {
        return keys;
    }
    let tick = generation::listen();
    let keys = Rc::new(Keys::load(&Catalog::now(), principal));
    refresh();
    let known = Known {
        tick,
        all: Some(keys.clone()),
        ..Known::default()
    };
    KNOWN.with_borrow_mut(|all| all[principal as usize] = known);
    keys
}

/// Forgets them, for DISCARD ALL.
pub fn forget() {
    KNOWN.take();
}

/// The memory that the external keys take which all agents share, in bytes.
pub fn bytes() -> usize {
    let of = |known: &Known| {
        let all = known.all.as_ref().map_or(0, |all| all.bytes());
        all + 64 * (known.ids.len() + known.ids_of_uuids.len())
    };
    KNOWN.with_borrow(|all| all.iter().map(of).sum())
}
