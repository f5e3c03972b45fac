//! Tables whose rows belong to rows of a protected table: messages and followers to tickets,
//! attachments to messages. A row is decided by the ticket that it belongs to in the end.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::rc::Rc;

use deskguard_rules::{Action, Change};
use pgrx::pg_sys;
use pgrx::spi::quote_identifier;

use crate::cache::Agent;
use crate::catalog::{Catalog, Row, ScanKey};
use crate::key::{KeyRef, KeySet, KeyType, OwnedKey};
use crate::owner_sql::{for_each_of_many, for_each_row};
use crate::protected::{
    MESSAGES, TicketTable, display_name, key_expression, protected_table, regclass, root_of,
    table_name,
};
use crate::statement::Acting;
use crate::unique::is_unique;

#[derive(Debug)]
pub struct ChildTable {
    pub oid: pg_sys::Oid,
    pub parent: Parent,
    /// Says which row of the parent a row belongs to.
    pub column: String,
    /// What that column holds, as the key of the parent does.
    pub column_type: Option<KeyType>,
    /// By which its own children refer to its rows.
    pub id: Option<String>,
    id_type: Option<KeyType>,
    /// Names the agent who wrote a row.
    pub author: Option<String>,
    /// Written when it is first needed.
    find_query: OnceCell<String>,
}

#[derive(Clone, Debug)]
pub enum Parent {
    Tickets(Rc<TicketTable>),
    Messages(Rc<ChildTable>),
}

/// Children of children of ...: nobody has more, and a circle must end.
const MOST_LEVELS: usize = 16;

impl ChildTable {
    pub fn new(
        oid: pg_sys::Oid,
        parent: Parent,
        column: String,
        id: Option<String>,
        author: Option<String>,
    ) -> ChildTable {
        ChildTable {
            oid,
            parent,
            column_type: KeyType::of_column(oid, &column),
            column,
            id_type: id.as_ref().and_then(|id| KeyType::of_column(oid, id)),
            id,
            author,
            find_query: OnceCell::new(),
        }
    }

    /// The child table that this table is, or is a partition or child of by inheritance.
    pub fn find_by_part(catalog: &Catalog, oid: pg_sys::Oid) -> Option<ChildTable> {
        let root = root_of(catalog, oid)?;
        ChildTable::find(catalog, root).or_else(|| {
            let tickets = TicketTable::find_by_followers(catalog, root)?;
            let column = tickets.followers.as_ref()?.ticket.clone();
            let parent = Parent::Tickets(Rc::new(tickets));
            Some(ChildTable::new(root, parent, column, None, None))
        })
    }

    /// The protected message table with this OID.
    pub fn find(catalog: &Catalog, oid: pg_sys::Oid) -> Option<ChildTable> {
        ChildTable::find_below(catalog, oid, MOST_LEVELS)
    }

    fn find_below(catalog: &Catalog, oid: pg_sys::Oid, levels: usize) -> Option<ChildTable> {
        let columns = catalog
            .find(
                c"protected_table",
                c"protected_table_pkey",
                &[ScanKey::oid(protected_table::TABLE_ID, oid)],
                Columns::read,
            )
            .flatten()?;
        let parent = Parent::find_below(catalog, columns.parent, levels.checked_sub(1)?)?;
        Some(ChildTable::new(
            oid,
            parent,
            columns.column,
            columns.id,
            columns.author,
        ))
    }

    pub fn name(&self) -> String {
        display_name(self.oid)
    }

    /// The tickets that all hangs on.
    pub fn tickets(&self) -> &Rc<TicketTable> {
        self.parent.tickets()
    }

    /// What a policy asks of a row of a table, which is this one or a part of it: `function` is
    /// parent_seen, parent_reply_ok or parent_edit_ok.
    pub fn call(&self, function: &str, table: pg_sys::Oid) -> String {
        format!(
            "deskguard_internal.{function}({}, {})",
            regclass(table),
            quote_identifier(&self.column)
        )
    }

    /// What is asked of the rows with whose ticket the agent that is asked for may do this; none if
    /// nobody asks that of messages.
    fn condition(&self, action: Action) -> Option<String> {
        let function = match action {
            Action::View => "parent_seen",
            Action::Change(Change::Reply) => "parent_reply_ok",
            Action::Change(Change::EditMessages) => "parent_edit_ok",
            Action::Change(Change::Modify | Change::Delete) => return None,
        };
        Some(self.call(function, self.oid))
    }

    /// For each row with this id the row of the parent that it belongs to, if to one: of one row, where
    /// the id is unique; none if there is no such row.
    pub fn find_parents(&self, id: KeyRef) -> Vec<Option<OwnedKey>> {
        let Some(key) = self.id.as_deref() else {
            return vec![];
        };
        let Some(id) = self.id_type.and_then(|id_type| id_type.takes(id)) else {
            return vec![];
        };
        let query = self.find_query.get_or_init(|| {
            format!(
                "SELECT {} FROM {} WHERE {} OPERATOR(pg_catalog.=) $1",
                key_expression(self.oid, &self.column),
                self.name(),
                quote_identifier(key)
            )
        });
        let mut found = vec![];
        for_each_row(self.oid, query, &[id], |row| {
            found.push(row.key(1).map(KeyRef::to_owned));
        });
        found
    }

    /// Is there a row that belongs to this row of the parent?
    pub fn has_row_of(&self, parent: KeyRef) -> bool {
        exists(self.oid, &self.column, parent)
    }
}

/// Has the table a row with this key in a column?
fn exists(table: pg_sys::Oid, column: &str, key: KeyRef) -> bool {
    let Some(key) = KeyType::of_column(table, column).and_then(|of| of.takes(key)) else {
        return false;
    };
    let query = format!(
        "SELECT 1 FROM {} WHERE {} OPERATOR(pg_catalog.=) $1 LIMIT 1",
        display_name(table),
        quote_identifier(column)
    );
    let mut found = false;
    for_each_row(table, &query, &[key], |_| found = true);
    found
}

/// What the registry says of a message table.
struct Columns {
    parent: pg_sys::Oid,
    column: String,
    id: Option<String>,
    author: Option<String>,
}

impl Columns {
    fn read(row: &Row) -> Option<Columns> {
        let column = |attribute| {
            let name = row.get::<&std::ffi::CStr>(attribute)?;
            Some(name.to_string_lossy().into_owned())
        };
        if row.required::<&str>(protected_table::KIND) != MESSAGES {
            return None;
        }
        Some(Columns {
            parent: row.get(protected_table::PARENT_TABLE)?,
            column: column(protected_table::PARENT_COLUMN)?,
            id: column(protected_table::ID_COLUMN),
            author: column(protected_table::AUTHOR_COLUMN),
        })
    }
}

impl Parent {
    /// The protected ticket or message table with this OID.
    pub fn find(catalog: &Catalog, oid: pg_sys::Oid) -> Option<Parent> {
        Parent::find_below(catalog, oid, MOST_LEVELS)
    }

    fn find_below(catalog: &Catalog, oid: pg_sys::Oid, levels: usize) -> Option<Parent> {
        // Dropped behind our back.
        table_name(oid)?;
        match TicketTable::find(catalog, oid) {
            Some(tickets) => Some(Parent::Tickets(Rc::new(tickets))),
            None => ChildTable::find_below(catalog, oid, levels)
                .map(|messages| Parent::Messages(Rc::new(messages))),
        }
    }

    pub fn oid(&self) -> pg_sys::Oid {
        match self {
            Parent::Tickets(tickets) => tickets.oid,
            Parent::Messages(messages) => messages.oid,
        }
    }

    /// The column by which children refer to a row.
    pub fn id(&self) -> Option<&str> {
        match self {
            Parent::Tickets(tickets) => Some(&tickets.id),
            Parent::Messages(messages) => messages.id.as_deref(),
        }
    }

    /// Does each id stand for one row?
    pub fn has_unique_ids(&self) -> bool {
        self.id().is_some_and(|id| is_unique(self.oid(), id))
    }

    /// The ids with whose ticket an agent may do this: all rows with the id, if there are several.
    pub fn allowed_to(&self, action: Action, acting: &Acting) -> KeySet {
        let (Some(rows), Some(id)) = (self.rows(action, acting), self.id()) else {
            return KeySet::EMPTY;
        };
        let key = key_expression(self.oid(), id);
        let mut ids = vec![];
        if self.has_unique_ids() {
            let query = format!("SELECT {key} {rows}");
            for_each_of_many(self.oid(), &query, &[], acting, |row| {
                ids.extend(row.key(1).map(KeyRef::to_owned));
            });
        } else {
            let several = self.several_rows(&key);
            let query = format!("SELECT {key}, pg_catalog.count(*) {rows} GROUP BY 1");
            for_each_of_many(self.oid(), &query, &[], acting, |row| {
                let id = row.key(1).map(KeyRef::to_owned);
                let is_all = |id: &OwnedKey| row.number(2) == Some(*several.get(id).unwrap_or(&1));
                ids.extend(id.filter(is_all));
            });
        }
        ids.into_iter().collect()
    }

    /// The rows with whose ticket an agent may do this, as FROM and WHERE of a query. None if nothing
    /// refers to them, or nobody asks that of them.
    pub fn rows(&self, action: Action, acting: &Acting) -> Option<String> {
        let id = quote_identifier(self.id()?);
        let mut conditions = vec![format!("{id} IS NOT NULL")];
        // Under the policies sight is asked by them.
        if !matches!((acting, action), (Acting::Caller(_), Action::View)) {
            conditions.push(match self {
                Parent::Tickets(tickets) => tickets.condition(action),
                Parent::Messages(messages) => messages.condition(action)?,
            });
        }
        let name = display_name(self.oid());
        Some(format!("FROM {name} WHERE {}", conditions.join(" AND ")))
    }

    /// May the agent do this with the ticket of all rows with this id, under all policies of the table?
    pub fn allows(&self, access: &Rc<Agent>, action: Action, key: KeyRef) -> bool {
        let acting = Acting::Caller(access.clone());
        let (Some(rows), Some(id)) = (self.rows(action, &acting), self.id()) else {
            return false;
        };
        let Some(key) = KeyType::of_column(self.oid(), id).and_then(|of| of.takes(key)) else {
            return false;
        };
        let is_it = format!("{} OPERATOR(pg_catalog.=) $1", quote_identifier(id));
        let (mut allowed, mut all) = (0, 0);
        let query = format!("SELECT 1 {rows} AND {is_it}");
        for_each_of_many(self.oid(), &query, &[key], &acting, |_| allowed += 1);
        if allowed > 0 && !self.has_unique_ids() {
            let query = format!("SELECT 1 FROM {} WHERE {is_it}", display_name(self.oid()));
            for_each_row(self.oid(), &query, &[key], |_| all += 1);
        } else {
            all = allowed;
        }
        allowed > 0 && allowed == all
    }

    /// The ids that stand for several rows, and for how many.
    fn several_rows(&self, key: &str) -> HashMap<OwnedKey, i64> {
        let query = format!(
            "SELECT {key}, pg_catalog.count(*) FROM {} GROUP BY 1
             HAVING pg_catalog.count(*) OPERATOR(pg_catalog.>) 1",
            display_name(self.oid())
        );
        let mut found = HashMap::new();
        for_each_of_many(self.oid(), &query, &[], &Acting::Owner(None), |row| {
            found.extend(row.key(1).map(KeyRef::to_owned).zip(row.number(2)));
        });
        found
    }

    /// Is there a row with this id?
    pub fn has_row(&self, key: KeyRef) -> bool {
        self.id().is_some_and(|id| exists(self.oid(), id, key))
    }

    /// The tables whose rows belong to rows of this one.
    pub fn children(&self, catalog: &Catalog) -> Vec<ChildTable> {
        let mut tables: Vec<pg_sys::Oid> = vec![];
        if let Parent::Tickets(tickets) = self {
            tables.extend(tickets.followers.as_ref().map(|followers| followers.oid));
        }
        catalog.scan(
            c"protected_table",
            Some(c"protected_table_parent_table_idx"),
            &[ScanKey::oid(protected_table::PARENT_TABLE, self.oid())],
            |row| tables.push(row.required(protected_table::TABLE_ID)),
        );
        tables.sort_unstable_by_key(|table| table.to_u32());
        tables
            .into_iter()
            .filter(|table| table_name(*table).is_some())
            .filter_map(|table| ChildTable::find_by_part(catalog, table))
            .collect()
    }

    pub fn tickets(&self) -> &Rc<TicketTable> {
        match self {
            Parent::Tickets(tickets) => tickets,
            Parent::Messages(messages) => messages.tickets(),
        }
    }
}
