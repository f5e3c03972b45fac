//! The registry of protected tables: how their columns map to the words of the rules.

use std::cell::OnceCell;

use deskguard_rules::{Columns, Shape, Statuses, TicketColumn};
use pgrx::spi::quote_identifier;
use pgrx::{JsonB, pg_sys};
use serde_json::{Map, Value};

use crate::pg::relation::{display_name, regclass, table_name};
use crate::pg::scan::{Row, ScanKey};
use crate::tables::catalog::{Catalog, refuse_former_sql};
use crate::tables::columns::ticket_table;
use crate::tables::key::KeyType;
use crate::tables::policy_sql::{key_expression, principal_expression};
use crate::tables::principal::Principal;
use crate::tables::registry::{column_name, root_of};
use crate::tables::row_type::{RowType, is_one_of};
use crate::tables::rule_function::{Argument, RuleFunction};

/// A protected ticket table.
#[derive(Clone, Debug)]
pub struct TicketTable {
    pub oid: pg_sys::Oid,
    pub id: String,
    pub id_type: KeyType,
    /// Their names.
    pub columns: Columns<Option<String>>,
    /// The assignee that means "nobody", besides NULL.
    pub unassigned_value: Option<i64>,
    pub followers: Option<FollowerTable>,
    /// The statuses, as text, that mean something.
    pub statuses: Statuses<Vec<String>>,
    /// Written when it is first needed.
    pub find_query: OnceCell<String>,
}

/// The table of who follows which ticket.
#[derive(Clone, Debug)]
pub struct FollowerTable {
    pub oid: pg_sys::Oid,
    pub ticket: String,
    pub agent: String,
    pub agent_type: KeyType,
    /// None: all rows mean that the agent follows.
    pub kinds: Option<FollowerKinds>,
    /// None: all rows are of tickets.
    pub row_type: Option<RowType>,
    /// By meaning.
    queries: [FollowerQueries; 2],
}

/// What a row of a follower table says of its agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Following {
    Followed,
    Requested,
}

impl Following {
    pub const ALL: [Following; 2] = [Following::Followed, Following::Requested];

    /// As users call it.
    pub fn name(self) -> &'static str {
        match self {
            Following::Followed => "followed",
            Following::Requested => "requested",
        }
    }
}

/// What the kinds of followers mean. Rows of other kinds give nobody a right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowerKinds {
    pub column: String,
    pub followed: Vec<String>,
    pub requested: Vec<String>,
}

impl FollowerKinds {
    pub fn of(column: String, kinds: &Map<String, Value>) -> FollowerKinds {
        let meaning = |of: Following| {
            let is_it = |(kind, meaning): (&String, &Value)| {
                (meaning.as_str() == Some(of.name())).then(|| kind.clone())
            };
            kinds.iter().filter_map(is_it).collect()
        };
        FollowerKinds {
            column,
            followed: meaning(Following::Followed),
            requested: meaning(Following::Requested),
        }
    }

    pub fn kinds(&self, of: Following) -> &[String] {
        match of {
            Following::Followed => &self.followed,
            Following::Requested => &self.requested,
        }
    }

    /// As the registry has it.
    pub fn to_json(&self) -> Value {
        let of = |meaning: Following| {
            let kinds = self.kinds(meaning).iter();
            kinds.map(move |kind| (kind.clone(), meaning.name().into()))
        };
        Value::Object(Following::ALL.into_iter().flat_map(of).collect())
    }
}

/// Written when they are first needed.
#[derive(Clone, Debug, Default)]
pub struct FollowerQueries {
    pub tickets: OnceCell<String>,
    pub agents: OnceCell<String>,
    pub both: OnceCell<String>,
}

impl FollowerTable {
    pub fn new(
        oid: pg_sys::Oid,
        ticket: String,
        agent: String,
        kinds: Option<FollowerKinds>,
        row_type: Option<RowType>,
    ) -> FollowerTable {
        FollowerTable {
            oid,
            ticket,
            agent_type: KeyType::of_column(oid, &agent).unwrap_or(KeyType::Number),
            agent,
            kinds,
            row_type,
            queries: Default::default(),
        }
    }

    fn read(row: &Row) -> Option<FollowerTable> {
        let column = |attribute| column_name(row, attribute);
        let kinds = || match row.get::<JsonB>(ticket_table::FOLLOWER_KINDS)?.0 {
            Value::Object(kinds) => Some(kinds),
            _ => None,
        };
        let kind_column = column(ticket_table::FOLLOWER_KIND_COLUMN);
        Some(FollowerTable::new(
            row.get(ticket_table::FOLLOWER_TABLE)?,
            column(ticket_table::FOLLOWER_TICKET_COLUMN)?,
            column(ticket_table::FOLLOWER_AGENT_COLUMN)?,
            kind_column.map(|column| FollowerKinds::of(column, &kinds().unwrap_or_default())),
            RowType::read(
                row,
                [
                    ticket_table::FOLLOWER_TYPE_COLUMN,
                    ticket_table::FOLLOWER_TYPE_VALUES,
                    ticket_table::OTHER_FOLLOWER_TYPES,
                ],
            ),
        ))
    }

    pub fn queries(&self, of: Following) -> &FollowerQueries {
        let [followed, requested] = &self.queries;
        match of {
            Following::Followed => followed,
            Following::Requested => requested,
        }
    }

    /// Is it mapped as another one is?
    pub fn is_mapped_as(&self, other: &FollowerTable) -> bool {
        (self.oid, &self.ticket, &self.agent) == (other.oid, &other.ticket, &other.agent)
            && (&self.kinds, &self.row_type) == (&other.kinds, &other.row_type)
    }

    /// Can a row say this?
    pub fn can_say(&self, what: Following) -> bool {
        match &self.kinds {
            Some(kinds) => !kinds.kinds(what).is_empty(),
            None => what == Following::Followed,
        }
    }

    /// Does a row of this kind say that its agent follows the ticket, and nothing else?
    pub fn is_followed_by(&self, kind: Option<&str>) -> bool {
        match &self.kinds {
            Some(kinds) => kind.is_some_and(|kind| kinds.followed.iter().any(|one| one == kind)),
            None => true,
        }
    }

    /// What is asked of the rows that say this, as SQL.
    pub fn conditions(&self, what: Following) -> Vec<String> {
        let kinds = self.kinds.as_ref();
        let of_kind = kinds.map(|kinds| is_one_of(self.oid, &kinds.column, kinds.kinds(what)));
        let of_type = self.row_type.as_ref();
        let of_type = of_type.map(|of_type| of_type.condition(self.oid));
        of_type.into_iter().chain(of_kind).collect()
    }

    /// What a policy asks of a row that is written.
    pub fn written_call(&self, table: pg_sys::Oid) -> String {
        let function = match self.kinds {
            Some(_) => RuleFunction::FollowerOfKind,
            None => RuleFunction::Follower,
        };
        self.call(function, table)
    }

    /// What a policy asks of a row of a table, which is this one or a part of it.
    pub fn call(&self, function: RuleFunction, table: pg_sys::Oid) -> String {
        let agent = || principal_expression(self.oid, Some(&self.agent), Principal::Agent);
        let kind = || {
            let kinds = self.kinds.as_ref()?;
            let column = quote_identifier(&kinds.column);
            Some(format!("{column}::pg_catalog.text"))
        };
        function.call(|argument| match argument {
            Argument::Table => Some(regclass(table)),
            Argument::ParentKey => Some(key_expression(self.oid, &self.ticket)),
            Argument::KeyColumn => Some(quote_identifier(&self.ticket)),
            Argument::Agent => Some(agent()),
            Argument::Kind => kind(),
            _ => None,
        })
    }
}

impl TicketTable {
    fn read(row: &Row) -> Option<TicketTable> {
        let column = |attribute| column_name(row, attribute);
        let values = |attribute| row.get::<Vec<String>>(attribute).unwrap_or_default();
        let oid = row.required(ticket_table::TABLE_ID);
        let id = column(ticket_table::ID_COLUMN)?;
        Some(TicketTable {
            oid,
            id_type: KeyType::of_column(oid, &id)?,
            id,
            columns: Columns::each(|of| column(ticket_table::column(of).0)),
            unassigned_value: row.get(ticket_table::UNASSIGNED_VALUE),
            // A follower table that was dropped behind our back leaves no followers.
            followers: FollowerTable::read(row).filter(|f| table_name(f.oid).is_some()),
            statuses: Statuses::each(|of| values(ticket_table::values(of).0)),
            find_query: OnceCell::new(),
        })
    }

    /// The protected ticket table with this OID.
    pub fn find(catalog: &Catalog, oid: pg_sys::Oid) -> Option<TicketTable> {
        catalog
            .find(
                c"ticket_table",
                c"ticket_table_pkey",
                &[ScanKey::oid(ticket_table::TABLE_ID, oid)],
                TicketTable::read,
            )
            .flatten()
    }

    /// The protected ticket table that this table is, or is a partition or child of.
    pub fn find_by_part(catalog: &Catalog, oid: pg_sys::Oid) -> Option<TicketTable> {
        TicketTable::find(catalog, root_of(catalog, oid)?)
    }

    /// The ticket table that this follower table belongs to.
    pub fn find_by_followers(catalog: &Catalog, followers: pg_sys::Oid) -> Option<TicketTable> {
        catalog
            .find(
                c"ticket_table",
                c"ticket_table_follower_table_key",
                &[ScanKey::oid(ticket_table::FOLLOWER_TABLE, followers)],
                TicketTable::read,
            )
            .flatten()
    }

    /// All protected ticket tables that exist.
    pub fn all(catalog: &Catalog) -> Vec<TicketTable> {
        let mut tables = Vec::new();
        catalog.scan(c"ticket_table", None, &[], |row| {
            tables.extend(TicketTable::read(row).filter(|t| table_name(t.oid).is_some()));
        });
        tables
    }

    /// The tables of which it has names.
    pub fn named(&self) -> Vec<pg_sys::Oid> {
        let followers = self.followers.iter().map(|followers| followers.oid);
        std::iter::once(self.oid).chain(followers).collect()
    }

    /// What the rules can ask for.
    pub fn shape(&self) -> Shape {
        let followers = self.followers.as_ref();
        let can_say = |what| followers.is_some_and(|followers| followers.can_say(what));
        Shape {
            columns: Columns::each(|column| self.column(column).is_some()),
            followers: can_say(Following::Followed),
            requesters: can_say(Following::Requested),
        }
    }

    /// What the policy deskguard_silo of a table asks; none without a category column.
    pub fn silo_call(&self, table: pg_sys::Oid) -> Option<String> {
        self.columns.category.as_ref()?;
        Some(self.call(RuleFunction::Silo, table))
    }

    /// What a policy asks of a ticket in a table, which is this one or a part of it.
    pub fn call(&self, function: RuleFunction, table: pg_sys::Oid) -> String {
        if function.oid(pg_sys::INT8OID).is_none() {
            refuse_former_sql();
        }
        function.call(|argument| match argument {
            Argument::Table => Some(regclass(table)),
            Argument::RowKey => Some(key_expression(self.oid, &self.id)),
            Argument::Column(column) => Some(self.expression(column)),
            Argument::ParentKey
            | Argument::KeyColumn
            | Argument::Agent
            | Argument::Kind
            | Argument::Internal
            | Argument::Permission => None,
        })
    }

    pub fn column(&self, column: TicketColumn) -> Option<&str> {
        self.columns.get(column).as_deref()
    }

    /// The names of the columns of keys, besides its own.
    pub fn key_columns(&self) -> impl Iterator<Item = &str> {
        let is_key = |(column, _): &(TicketColumn, _)| Principal::of_column(*column).is_some();
        let keys = self.columns.present().filter(is_key);
        keys.map(|(_, name)| name.as_str())
    }

    /// What stands for nobody in a column, if it is that of the assignee.
    pub fn nobody(&self, column: TicketColumn) -> Option<i64> {
        let is_assignee = self.column(column) == self.column(TicketColumn::Assignee);
        self.unassigned_value.filter(|_| is_assignee)
    }

    /// What the rules are given of a column, as an expression of SQL.
    pub fn expression(&self, column: TicketColumn) -> String {
        let name = self.column(column);
        if let Some(principal) = Principal::of_column(column) {
            return principal_expression(self.oid, name, principal);
        }
        match (column, name.map(quote_identifier)) {
            (TicketColumn::Status, Some(name)) => format!("{name}::pg_catalog.text"),
            (TicketColumn::Status, None) => "NULL::pg_catalog.text".into(),
            (_, Some(name)) => name,
            (_, None) => "false".into(),
        }
    }

    /// The name as users write it.
    pub fn name(&self) -> String {
        display_name(self.oid)
    }
}
