//! Tables whose rows belong to rows of a protected table: messages and followers to tickets,
//! attachments to messages. A row is decided by the ticket that it belongs to in the end.

use std::cell::OnceCell;
use std::rc::Rc;

use deskguard_rules::Message;
use pgrx::pg_sys;
use pgrx::spi::quote_identifier;

use crate::pg::relation::{display_name, regclass, table_name};
use crate::pg::scan::{Row, ScanKey};
use crate::pg::unique::is_unique;
use crate::tables::catalog::Catalog;
use crate::tables::columns::message_table;
use crate::tables::key::KeyType;
use crate::tables::policy_sql::{key_expression, principal_expression};
use crate::tables::principal::Principal;
use crate::tables::registry::{children_of, column_name, root_of};
use crate::tables::row_type::RowType;
use crate::tables::rule_function::{Argument, RuleFunction};
use crate::tables::ticket_table::{FollowerTable, TicketTable};

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
    pub id_type: Option<KeyType>,
    /// Names the agent who wrote a row.
    pub author: Option<String>,
    /// Says whether a row is internal.
    pub internal: Option<String>,
    /// None: all rows belong to rows of the parent.
    pub row_type: Option<RowType>,
    /// Written when it is first needed.
    pub find_query: OnceCell<String>,
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
        internal: Option<String>,
        row_type: Option<RowType>,
    ) -> ChildTable {
        ChildTable {
            oid,
            parent,
            column_type: KeyType::of_column(oid, &column),
            column,
            id_type: id.as_ref().and_then(|id| KeyType::of_column(oid, id)),
            id,
            author,
            internal,
            row_type,
            find_query: OnceCell::new(),
        }
    }

    /// The child table that this table is, or is a partition or child of by inheritance.
    pub fn find_by_part(catalog: &Catalog, oid: pg_sys::Oid) -> Option<ChildTable> {
        let root = root_of(catalog, oid)?;
        ChildTable::find(catalog, root).or_else(|| {
            let tickets = TicketTable::find_by_followers(catalog, root)?;
            let followers = tickets.followers.as_ref()?;
            let (column, row_type) = (followers.ticket.clone(), followers.row_type.clone());
            let parent = Parent::Tickets(Rc::new(tickets));
            Some(ChildTable::new(
                root, parent, column, None, None, None, row_type,
            ))
        })
    }

    /// The protected message table with this OID.
    pub fn find(catalog: &Catalog, oid: pg_sys::Oid) -> Option<ChildTable> {
        ChildTable::find_below(catalog, oid, MOST_LEVELS)
    }

    fn find_below(catalog: &Catalog, oid: pg_sys::Oid, levels: usize) -> Option<ChildTable> {
        let columns = catalog
            .find(
                c"message_table",
                c"message_table_pkey",
                &[ScanKey::oid(message_table::TABLE_ID, oid)],
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
            columns.internal,
            columns.row_type,
        ))
    }

    pub fn name(&self) -> String {
        display_name(self.oid)
    }

    /// The tables of which it has names.
    pub fn named(&self) -> Vec<pg_sys::Oid> {
        let mut tables = self.parent.named();
        tables.push(self.oid);
        tables
    }

    /// The same table as one of followers, if it is one.
    pub fn followers(&self) -> Option<&FollowerTable> {
        let followers = self.tickets().followers.as_ref();
        followers.filter(|followers| followers.oid == self.oid)
    }

    /// The tickets that all hangs on.
    pub fn tickets(&self) -> &Rc<TicketTable> {
        self.parent.tickets()
    }

    /// What a policy asks of a row of a table, which is this one or a part of it.
    pub fn call(&self, function: RuleFunction, table: pg_sys::Oid) -> String {
        let author = || principal_expression(self.oid, self.author.as_deref(), Principal::Agent);
        function.call(|argument| match argument {
            Argument::Table => Some(regclass(table)),
            Argument::RowKey => Some(key_expression(self.oid, self.id.as_ref()?)),
            Argument::ParentKey => Some(key_expression(self.oid, &self.column)),
            Argument::KeyColumn => Some(quote_identifier(&self.column)),
            Argument::Agent => Some(author()),
            Argument::Internal => self.internal.as_ref().map(quote_identifier),
            _ => None,
        })
    }

    /// A row with these values, as the rules see it.
    pub fn message(&self, internal: Option<bool>, author: Option<i64>) -> Message {
        match self.internal {
            Some(_) => Message::new(internal, author),
            None => Message::PUBLIC,
        }
    }

    /// What a policy asks besides of a row that may be internal; none if the table has no such rows.
    pub fn internal_call(&self, function: RuleFunction, table: pg_sys::Oid) -> Option<String> {
        self.internal.as_ref()?;
        Some(self.call(function, table))
    }
}

/// What the registry says of a message table.
struct Columns {
    parent: pg_sys::Oid,
    column: String,
    id: Option<String>,
    author: Option<String>,
    internal: Option<String>,
    row_type: Option<RowType>,
}

impl Columns {
    fn read(row: &Row) -> Option<Columns> {
        let column = |attribute| column_name(row, attribute);
        Some(Columns {
            parent: row.get(message_table::PARENT_TABLE)?,
            column: column(message_table::PARENT_COLUMN)?,
            id: column(message_table::ID_COLUMN),
            author: column(message_table::AUTHOR_COLUMN),
            internal: column(message_table::INTERNAL_COLUMN),
            row_type: RowType::read(
                row,
                [
                    message_table::TYPE_COLUMN,
                    message_table::TYPE_VALUES,
                    message_table::OTHER_TYPES,
                ],
            ),
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

    /// The tables of which it has names.
    pub fn named(&self) -> Vec<pg_sys::Oid> {
        match self {
            Parent::Tickets(tickets) => tickets.named(),
            Parent::Messages(messages) => messages.named(),
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

    /// The tables whose rows belong to rows of this one.
    pub fn children(&self, catalog: &Catalog) -> Vec<ChildTable> {
        let mut tables: Vec<pg_sys::Oid> = vec![];
        if let Parent::Tickets(tickets) = self {
            tables.extend(tickets.followers.as_ref().map(|followers| followers.oid));
        }
        let messages = children_of(catalog, self.oid());
        tables.extend(messages.into_iter().map(|(table, _)| table));
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
