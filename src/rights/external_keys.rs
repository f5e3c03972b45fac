//! The external keys that an agent's rights go with.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use deskguard_rules::{Access, IdSet, Level};
use serde::{Deserialize, Serialize};

use crate::pg::error;
use crate::signals::generation::{self, State, Tick, refresh};
use crate::tables::catalog::Catalog;
use crate::tables::key::{Key, KeyRef, KeyType, canonical_uuid};
use crate::tables::principal::{Keys, Principal, UNMAPPED};

type Known = Option<(Tick, Rc<Keys>)>;

thread_local! {
    /// Those of each table, with the moment that they are of: all agents share them.
    static KEYS: RefCell<[Known; Principal::ALL.len()]> = RefCell::default();
}

/// The external keys, as they were at one moment; of each table when it is first asked for, since there
/// may be many, and most help desks use none.
#[derive(Debug, Default)]
pub struct ExternalKeys {
    /// Of the rights that they belong to.
    state: Option<Rc<State>>,
    keys: [OnceCell<Rc<Keys>>; Principal::ALL.len()],
    /// In a parallel worker: those that its leader has handed over.
    handed_over: [Option<OfAgent>; Principal::ALL.len()],
}

/// The keys of what an agent has rights on: the rules ask for no others.
#[derive(Debug)]
struct OfAgent {
    of: IdSet,
    keys: Keys,
}

/// The same as a leader hands them over: of each table that protected tables name by keys the ids with their keys, if
/// they have one.
#[derive(Serialize, Deserialize)]
pub struct HandedOver([Option<Vec<IdWithKey>>; Principal::ALL.len()]);

type IdWithKey = (i64, Option<Box<str>>);

impl ExternalKeys {
    /// Those that hold while the rights of this state do.
    pub fn of(state: Rc<State>) -> ExternalKeys {
        ExternalKeys {
            state: Some(state),
            ..ExternalKeys::default()
        }
    }

    /// Refused if the rights that they belong to are over by now.
    fn of_table(&self, principal: Principal) -> &Keys {
        self.keys[principal as usize].get_or_init(|| {
            let keys = keys(principal);
            if self.state.as_ref().is_some_and(|state| !state.is_current()) {
                error::rights_changed();
            }
            keys
        })
    }

    /// Loads those of some tables, so that they are of the state of the rights, and not of a later one.
    pub fn load(&self, of: &[Principal]) {
        for principal in of {
            self.of_table(*principal);
        }
    }

    /// Those of what an agent has rights on, in these tables.
    pub fn hand_over(&self, access: &Access, of: &[Principal]) -> HandedOver {
        HandedOver(Principal::ALL.map(|principal| {
            let mut ids: Vec<i64> = vec![];
            for access in access.now_and_later() {
                match principal {
                    Principal::Agent => ids.push(access.agent),
                    Principal::Team => ids.extend(access.teams().sorted()),
                    // Those of a higher level are among them.
                    Principal::Department => {
                        ids.extend(access.departments_at(Level::Assign).sorted());
                    }
                    Principal::Category => ids.extend(access.categories().sorted()),
                }
            }
            let key = |id| Some(Box::from(&**self.of_table(principal).keys.get(&id)?));
            let with_key = |id| (id, key(id));
            of.contains(&principal)
                .then(|| ids.into_iter().map(with_key).collect())
        }))
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
            handed_over: from.map(|all| all.map(of_agent)),
            ..ExternalKeys::default()
        }
    }

    /// What a value of a column stands for.
    pub fn id(&self, principal: Principal, key: KeyRef) -> i64 {
        if let Key::Number(id) = key {
            return id;
        }
        let handed_over = self.handed_over[principal as usize].as_ref();
        if let Some(id) = handed_over.and_then(|handed| handed.keys.id(key)) {
            return id;
        }
        let id = self.of_table(principal).id(key);
        // It may have got the key of what the agent has rights on since.
        let id = id.filter(|id| handed_over.is_none_or(|handed| !handed.of.contains(*id)));
        id.unwrap_or(UNMAPPED)
    }

    /// How columns of a type name an id; none if it has no such key.
    pub fn key(&self, principal: Principal, id: i64, key_type: KeyType) -> Option<KeyRef<'_>> {
        let handed_over = self.handed_over[principal as usize].as_ref();
        let text = || {
            let keys = match handed_over.filter(|handed| handed.of.contains(id)) {
                Some(handed) => &handed.keys,
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
}

/// The external keys of a table as they are now.
fn keys(principal: Principal) -> Rc<Keys> {
    refresh();
    let known = KEYS.with_borrow(|all| all[principal as usize].clone());
    if let Some((tick, keys)) = known
        && !generation::keys_changed_since(tick)
    {
        return keys;
    }
    generation::uses_keys();
    let tick = generation::listen();
    let keys = Rc::new(Keys::load(&Catalog::now(), principal));
    refresh();
    let known = (tick, keys.clone());
    KEYS.with_borrow_mut(|all| all[principal as usize] = Some(known));
    keys
}

/// Forgets them, for DISCARD ALL.
pub fn forget() {
    KEYS.take();
}

/// The memory that the external keys take which this backend knows, in bytes.
pub fn bytes() -> usize {
    KEYS.with_borrow(|all| all.iter().flatten().map(|(_, keys)| keys.bytes()).sum())
}
