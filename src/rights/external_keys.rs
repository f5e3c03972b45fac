//! The external keys that an agent's rights go with.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

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
}

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

    /// What a value of a column stands for.
    pub fn id(&self, principal: Principal, key: KeyRef) -> i64 {
        let id = match key {
            Key::Number(id) => return id,
            Key::Uuid(uuid) => self.of_table(principal).ids_of_uuids.get(&uuid),
            Key::Text(text) => self.of_table(principal).ids.get(text),
        };
        id.copied().unwrap_or(UNMAPPED)
    }

    /// How columns of a type name an id; none if it has no such key.
    pub fn key(&self, principal: Principal, id: i64, key_type: KeyType) -> Option<KeyRef<'_>> {
        let text = || self.of_table(principal).keys.get(&id).map(|key| &**key);
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
