//! The registry of protected tables: how their columns map to the words of the rules.

use std::cell::OnceCell;

use deskguard_rules::{Columns, Shape, Statuses, TicketColumn};
use pgrx::pg_sys;
use pgrx::spi::quote_identifier;

use crate::pg::relation::{display_name, regclass, table_name};
use crate::pg::scan::{Row, ScanKey};
use crate::tables::catalog::{Catalog, refuse_former_sql};
use crate::tables::columns::ticket_table;
use crate::tables::key::KeyType;
use crate::tables::policy_sql::{key_expression, principal_expression};
use crate::tables::principal::Principal;
use crate::tables::registry::{column_name, root_of};
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
    /// Written when they are first needed.
    pub tickets_query: OnceCell<String>,
    pub agents_query: OnceCell<String>,
    pub both_query: OnceCell<String>,
}

impl FollowerTable {
    pub fn new(oid: pg_sys::Oid, ticket: String, agent: String) -> FollowerTable {
        FollowerTable {
            oid,
            ticket,
            agent_type: KeyType::of_column(oid, &agent).unwrap_or(KeyType::Number),
            agent,
            tickets_query: OnceCell::new(),
            agents_query: OnceCell::new(),
            both_query: OnceCell::new(),
        }
    }

    /// What a policy asks of a row of a table, which is this one or a part of it.
    pub fn call(&self, function: RuleFunction, table: pg_sys::Oid) -> String {
        let agent = || principal_expression(self.oid, Some(&self.agent), Principal::Agent);
        function.call(|argument| match argument {
            Argument::Table => Some(regclass(table)),
            Argument::ParentKey => Some(key_expression(self.oid, &self.ticket)),
            Argument::KeyColumn => Some(quote_identifier(&self.ticket)),
            Argument::Agent => Some(agent()),
            _ => None,
        })
    }
}

impl TicketTable {
    fn read(row: &Row) -> Option<TicketTable> {
        let column = |attribute| column_name(row, attribute);
        let values = |attribute| row.get::<Vec<String>>(attribute).unwrap_or_default();
        let oid = row.required(ticket_table::TABLE_ID);
        let followers = || {
            Some(FollowerTable::new(
                row.get(ticket_table::FOLLOWER_TABLE)?,
                column(ticket_table::FOLLOWER_TICKET_COLUMN)?,
                column(ticket_table::FOLLOWER_AGENT_COLUMN)?,
            ))
        };
        let id = column(ticket_table::ID_COLUMN)?;
        Some(TicketTable {
            oid,
            id_type: KeyType::of_column(oid, &id)?,
            id,
            columns: Columns::each(|of| column(ticket_table::column(of).0)),
            unassigned_value: row.get(ticket_table::UNASSIGNED_VALUE),
            // A follower table that was dropped behind our back leaves no followers.
            followers: followers().filter(|f| table_name(f.oid).is_some()),
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
        Shape {
            columns: Columns::each(|column| self.column(column).is_some()),
            followers: self.followers.is_some(),
            requesters: false,
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

    /// What stands for nobody in a column of agents, if it is that of the assignee.
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
