//! Agents, teams, departments and categories, and how the help desk's own columns name them where they are uuids or
//! texts: by the column external_key of deskguard's tables. Integer columns have the ids themselves.

use std::collections::HashMap;
use std::ffi::CStr;
use std::rc::Rc;

pub use deskguard_rules::UNMAPPED;
use deskguard_rules::{IdSet, TicketColumn};
use pgrx::pg_sys;
use uuid::Uuid;

use crate::pg::scan::{Attribute, Row, ScanKey};
use crate::tables::catalog::{Catalog, own_function_name};
use crate::tables::columns::{agent, department, named};
use crate::tables::key::{Key, KeyRef, canonical_uuid, table_bytes};

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

    /// What a column of tickets names, if it is a column of keys.
    pub fn of_column(column: TicketColumn) -> Option<Principal> {
        match column {
            TicketColumn::Assignee | TicketColumn::Requester => Some(Principal::Agent),
            TicketColumn::Team | TicketColumn::RequesterTeam => Some(Principal::Team),
            TicketColumn::Department => Some(Principal::Department),
            TicketColumn::Category => Some(Principal::Category),
            TicketColumn::Confidential | TicketColumn::Status => None,
        }
    }

    /// The columns of tickets that have keys, and what each names.
    pub fn columns() -> impl Iterator<Item = (TicketColumn, Principal)> {
        let named = |column| Some((column, Principal::of_column(column)?));
        TicketColumn::ALL.into_iter().filter_map(named)
    }

    /// The index on its ids.
    pub fn primary_key(self) -> &'static CStr {
        match self {
            Principal::Agent => c"agent_pkey",
            Principal::Team => c"team_pkey",
            Principal::Department => c"department_pkey",
            Principal::Category => c"category_pkey",
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
            Principal::Agent => agent::EXTERNAL_KEY,
            Principal::Team | Principal::Category => named::EXTERNAL_KEY,
            Principal::Department => department::EXTERNAL_KEY,
        }
    }
}

/// Those of one table.
#[derive(Debug, Default)]
pub struct Keys {
    pub ids: HashMap<Rc<str>, i64>,
    /// Of those that are uuids as PostgreSQL prints them.
    pub ids_of_uuids: HashMap<Uuid, i64>,
    pub keys: HashMap<i64, Rc<str>>,
}

const ID: Attribute = 1;

/// To look up more ids takes longer than to read the table.
const FEW: usize = 200;

impl Keys {
    /// Those of some ids only.
    pub fn of_ids(catalog: &Catalog, principal: Principal, ids: &IdSet) -> Keys {
        let mut some = Keys::default();
        let mut add = |row: &Row| {
            let id = row.required(ID);
            if ids.contains(id)
                && let Some(key) = row.get::<&str>(principal.external_key())
            {
                some.add(id, key);
            }
        };
        if ids.len() > FEW {
            catalog.scan(principal.table(), None, &[], add);
        } else {
            for id in ids.sorted() {
                let key = [ScanKey::bigint(ID, *id)];
                let index = Some(principal.primary_key());
                catalog.scan(principal.table(), index, &key, &mut add);
            }
        }
        some
    }

    /// The id that has a key.
    pub fn find(catalog: &Catalog, principal: Principal, key: &str) -> Option<i64> {
        let key = [ScanKey::default_text(principal.external_key(), key)];
        let index = principal.index();
        catalog.find(principal.table(), index, &key, |row| row.required(ID))
    }

    pub fn load(catalog: &Catalog, principal: Principal) -> Keys {
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
                all.add(row.required(ID), key);
            },
        );
        all
    }

    pub fn add(&mut self, id: i64, key: &str) {
        let key: Rc<str> = key.into();
        if let Some(uuid) = canonical_uuid(&key) {
            self.ids_of_uuids.insert(uuid, id);
        }
        self.ids.insert(key.clone(), id);
        self.keys.insert(id, key);
    }

    /// What a key stands for.
    pub fn id(&self, key: KeyRef) -> Option<i64> {
        match key {
            Key::Number(id) => Some(id),
            Key::Uuid(uuid) => self.ids_of_uuids.get(&uuid).copied(),
            Key::Text(text) => self.ids.get(text).copied(),
        }
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
