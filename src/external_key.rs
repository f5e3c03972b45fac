//! How the help desk's own columns name agents, teams, departments and categories where they are uuids
//! or texts: by the column external_key of deskguard's tables. Integer columns have the ids themselves.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::ffi::CStr;
use std::rc::Rc;

use pgrx::pg_sys;
use pgrx::prelude::*;
use uuid::Uuid;

use crate::catalog::{Attribute, Catalog, ScanKey, own_function_name};
use crate::generation::State;
use crate::key::{Key, KeyRef, KeyType, canonical_uuid, table_bytes};
use crate::load;
use crate::statement::{Statement, at_site};
use crate::{cache, error};

/// What a value stands for that is nobody's external_key. The tables forbid it as an id, so no one has
/// a right on it.
pub const UNMAPPED: i64 = i64::MIN;

/// What has ids in deskguard's tables, and keys in the help desk's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Principal {
    Agent,
    Team,
    Department,
    Category,
}

impl Principal {
    pub const ALL: [Principal; 4] = [
        Principal::Agent,
        Principal::Team,
        Principal::Department,
        Principal::Category,
    ];

    /// The name of its table in the schema deskguard.
    pub fn table(self) -> &'static CStr {
        match self {
            Principal::Agent => c"agent",
            Principal::Team => c"team",
            Principal::Department => c"department",
            Principal::Category => c"category",
        }
    }

    /// The index on its external keys.
    fn index(self) -> &'static CStr {
        match self {
            Principal::Agent => c"agent_external_key_key",
            Principal::Team => c"team_external_key_key",
            Principal::Department => c"department_external_key_key",
            Principal::Category => c"category_external_key_key",
        }
    }

    /// The function from keys to ids that policies put around a column.
    pub fn function(self) -> &'static str {
        match self {
            Principal::Agent => "agent_by_key",
            Principal::Team => "team_by_key",
            Principal::Department => "department_by_key",
            Principal::Category => "category_by_key",
        }
    }

    /// Whose keys a function takes, if it is one of these.
    pub fn of_function(function: pg_sys::Oid) -> Option<Principal> {
        let name = own_function_name(function)?;
        let is_it = |principal: &Principal| principal.function().as_bytes() == name.to_bytes();
        Principal::ALL.into_iter().find(is_it)
    }

    fn external_key(self) -> Attribute {
        match self {
            Principal::Agent => load::agent::EXTERNAL_KEY,
            Principal::Team | Principal::Category => load::named::EXTERNAL_KEY,
            Principal::Department => load::department::EXTERNAL_KEY,
        }
    }
}

/// The external keys, as they were at one moment; of each table when it is first asked for, since there
/// may be many, and most help desks use none.
#[derive(Debug, Default)]
pub struct ExternalKeys {
    /// Of the rights that they belong to.
    state: Option<Rc<State>>,
    keys: [OnceCell<Rc<Keys>>; Principal::ALL.len()],
}

/// Those of one table.
#[derive(Debug, Default)]
pub struct Keys {
    ids: HashMap<Rc<str>, i64>,
    /// Of those that are uuids as PostgreSQL prints them.
    ids_of_uuids: HashMap<Uuid, i64>,
    keys: HashMap<i64, Rc<str>>,
}

impl Keys {
    pub fn load(catalog: &Catalog, principal: Principal) -> Keys {
        const ID: Attribute = 1;
        let mut all = Keys::default();
        let is_given = [ScanKey::not_null(principal.external_key())];
        catalog.scan(
            principal.table(),
            Some(principal.index()),
            &is_given,
            |row| {
                // The index may have been dropped.
                let Some(key) = row.get::<&str>(principal.external_key()) else {
                    return;
                };
                let id = row.required(ID);
                let key: Rc<str> = key.into();
                if let Some(uuid) = canonical_uuid(&key) {
                    all.ids_of_uuids.insert(uuid, id);
                }
                all.ids.insert(key.clone(), id);
                all.keys.insert(id, key);
            },
        );
        all
    }

    /// The memory that they take, in bytes.
    pub fn bytes(&self) -> usize {
        size_of::<Keys>()
            + table_bytes::<(Rc<str>, i64)>(self.ids.capacity())
            + table_bytes::<(Uuid, i64)>(self.ids_of_uuids.capacity())
            + table_bytes::<(i64, Rc<str>)>(self.keys.capacity())
            // Each with its two counts.
            + self.ids.keys().map(|key| key.len() + 16).sum::<usize>()
    }
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
            let keys = cache::keys(principal);
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

/// The external keys of the state of the rights that a statement has.
pub fn of_statement(statement: &Statement) -> Rc<ExternalKeys> {
    let rights = statement.rights.as_ref();
    rights.map_or_else(Rc::default, |agent| agent.external_keys.clone())
}

fn id(fcinfo: pg_sys::FunctionCallInfo, principal: Principal, key: Option<KeyRef>) -> Option<i64> {
    let key = key?;
    let keys = at_site(fcinfo, None, |statement| of_statement(statement));
    Some(keys.id(principal, key))
}

/// An SQL function for uuid and one for text.
macro_rules! for_each_type {
    ($($principal:expr => $uuid:ident, $text:ident);+ $(;)?) => {
        $(
            #[pg_extern(sql = false)]
            fn $uuid(key: Option<pgrx::Uuid>, fcinfo: pg_sys::FunctionCallInfo) -> Option<i64> {
                id(fcinfo, $principal, key.map(KeyRef::from))
            }

            #[pg_extern(sql = false)]
            fn $text(key: Option<&str>, fcinfo: pg_sys::FunctionCallInfo) -> Option<i64> {
                id(fcinfo, $principal, key.map(KeyRef::from))
            }
        )+
    };
}

for_each_type!(
    Principal::Agent => agent_by_key_uuid, agent_by_key_text;
    Principal::Team => team_by_key_uuid, team_by_key_text;
    Principal::Department => department_by_key_uuid, department_by_key_text;
    Principal::Category => category_by_key_uuid, category_by_key_text;
);
