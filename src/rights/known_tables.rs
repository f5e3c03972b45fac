//! What a backend remembers of the protected tables: with their names and those of their columns, until one of
//! them changes.

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use pgrx::pg_sys;

use crate::pg::relation::hold;
use crate::protection::whole;
use crate::rights::cache;
use crate::signals::generation::{self, Tick};
use crate::tables::catalog::Catalog;
use crate::tables::child_table::ChildTable;
use crate::tables::shared_table::SharedTable;
use crate::tables::ticket_table::TicketTable;

thread_local! {
    static TABLES: RefCell<Tables> = RefCell::default();
}

/// The protected tables.
#[derive(Default)]
struct Tables {
    /// As of which count of changes of tables, and which message of others.
    changes: u32,
    tick: Tick,
    all_tickets: Option<Rc<[Rc<TicketTable>]>>,
    /// What is known of a table, by what it is.
    known: HashMap<(TypeId, pg_sys::Oid), Rc<dyn Any>>,
}

impl Tables {
    /// Forgets all if a table has changed.
    fn current(&mut self) -> &mut Tables {
        let (changes, tick) = (whole::changes(), generation::last_concern());
        if generation::tables_changed_since(self.tick) {
            if !self.known.is_empty() || self.all_tickets.is_some() {
                cache::count_invalidation();
            }
            *self = Tables::default();
        }
        if self.changes != changes {
            *self = Tables::default();
        }
        (self.changes, self.tick) = (changes, tick);
        self
    }
}

/// What is known of the tables, loaded if need be.
fn known<T: Clone>(
    find: impl FnOnce(&Tables) -> Option<T>,
    load: impl FnOnce(&Catalog) -> T,
    store: impl FnOnce(&mut Tables, T),
) -> T {
    generation::refresh();
    if let Some(found) = TABLES.with_borrow_mut(|tables| find(tables.current())) {
        return found;
    }
    let (tick, changes) = (generation::listen(), whole::changes());
    let loaded = load(&Catalog::now());
    generation::refresh();
    cache::count_load();
    // What changed while it was loaded may be half in it: good for now, but not for later.
    if !generation::tables_changed_since(tick) && whole::changes() == changes {
        TABLES.with_borrow_mut(|tables| store(tables.current(), loaded.clone()));
    }
    loaded
}

/// What `load` finds out about a table, kept until one of the protected tables changes.
pub fn of_table<T: Any>(
    table: pg_sys::Oid,
    load: impl FnOnce(&Catalog) -> Option<T>,
) -> Option<Rc<T>> {
    let key = (TypeId::of::<T>(), table);
    let found = known(
        |tables| tables.known.get(&key).cloned(),
        |catalog| -> Rc<dyn Any> { Rc::new(load(catalog).map(Rc::new)) },
        |tables, found| {
            tables.known.insert(key, found);
        },
    );
    found.downcast_ref::<Option<Rc<T>>>()?.clone()
}

/// What was found out about tables that are about to be read by their names: `named` tells which. They keep
/// these until the transaction ends.
pub fn held<T>(
    find: impl Fn() -> Option<Rc<T>>,
    named: impl Fn(&T) -> Vec<pg_sys::Oid>,
) -> Option<Rc<T>> {
    let mut held = vec![];
    loop {
        let found = find()?;
        let named = named(&found);
        // While this waited for one, it may have got another name.
        if named.iter().all(|table| held.contains(table)) {
            return Some(found);
        }
        named.iter().for_each(|table| hold(*table));
        held = named;
    }
}

/// All protected ticket tables.
pub fn ticket_tables() -> Rc<[Rc<TicketTable>]> {
    known(
        |tables| tables.all_tickets.clone(),
        |catalog| {
            let mut all = TicketTable::all(catalog);
            all.retain(whole::are_tickets_whole);
            all.into_iter().map(Rc::new).collect()
        },
        |tables, all| tables.all_tickets = Some(all),
    )
}

/// The protected ticket table that this table is or is part of.
pub fn ticket_table(oid: pg_sys::Oid) -> Option<Rc<TicketTable>> {
    of_table(oid, |catalog| {
        TicketTable::find_by_part(catalog, oid).filter(whole::are_tickets_whole)
    })
}

/// The same, to be read with its followers.
pub fn held_ticket_table(oid: pg_sys::Oid) -> Option<Rc<TicketTable>> {
    held(|| ticket_table(oid), TicketTable::named)
}

/// The child table that this table is or is part of.
pub fn child_table(oid: pg_sys::Oid) -> Option<Rc<ChildTable>> {
    of_table(oid, |catalog| {
        ChildTable::find_by_part(catalog, oid).filter(whole::is_child_whole)
    })
}

/// The same, to be read with all that its rows belong to.
pub fn held_child_table(oid: pg_sys::Oid) -> Option<Rc<ChildTable>> {
    held(|| child_table(oid), ChildTable::named)
}

/// The table of shared objects that this table is or is part of.
pub fn shared_table(oid: pg_sys::Oid) -> Option<Rc<SharedTable>> {
    of_table(oid, |catalog| {
        SharedTable::find_by_part(catalog, oid).filter(|table| whole::is_whole(table.oid))
    })
}

/// The same, to be read.
pub fn held_shared_table(oid: pg_sys::Oid) -> Option<Rc<SharedTable>> {
    held(|| shared_table(oid), |table| vec![table.oid])
}
