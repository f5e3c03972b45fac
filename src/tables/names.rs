//! The names of agents, teams, departments and categories, for people.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::pg::scan::{Attribute, ScanKey};
use crate::tables::catalog::Catalog;
use crate::tables::principal::Principal;

const ID: Attribute = 1;

const NAME: Attribute = 2;

/// Those that were asked for, as of one moment.
pub struct Names<'a> {
    catalog: &'a Catalog,
    known: RefCell<HashMap<(Principal, i64), Option<String>>>,
}

impl<'a> Names<'a> {
    pub fn of(catalog: &'a Catalog) -> Names<'a> {
        Names {
            catalog,
            known: RefCell::default(),
        }
    }

    /// None if there is no such agent, team, department or category.
    pub fn get(&self, principal: Principal, id: i64) -> Option<String> {
        let mut known = self.known.borrow_mut();
        let name = known.entry((principal, id)).or_insert_with(|| {
            self.catalog.find(
                principal.table(),
                principal.primary_key(),
                &[ScanKey::bigint(ID, id)],
                |row| row.required(NAME),
            )
        });
        name.clone()
    }

    /// All ids, in their order.
    pub fn ids(&self, principal: Principal) -> Vec<i64> {
        let mut ids = vec![];
        self.catalog.scan(principal.table(), None, &[], |row| {
            ids.push(row.required(ID))
        });
        ids.sort_unstable();
        ids
    }
}
