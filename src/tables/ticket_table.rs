//! The registry of protected tables: how their columns map to the words of the rules.

use std::cell::OnceCell;

use deskguard_rules::{Shape, Status};
use pgrx::pg_sys;
use pgrx::spi::quote_identifier;

use crate::pg::relation::{display_name, regclass, table_name};
use crate::pg::scan::{Row, ScanKey};
use crate::tables::catalog::Catalog;
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
    pub department: Option<String>,
    pub category: Option<String>,
    pub assignee: Option<String>,
    pub team: Option<String>,
    /// The assignee that means "nobody", besides NULL.
    pub unassigned_value: Option<i64>,
    pub followers: Option<FollowerTable>,
    pub confidential: Option<String>,
    pub status: Option<StatusColumn>,
    /// Written when it is first needed.
    pub find_query: OnceCell<String>,
}

/// The status of tickets, as far as the rules ask for it.
#[derive(Clone, Debug)]
pub struct StatusColumn {
    pub name: String,
    /// The statuses, as text, of tickets in the archive.
    pub archived: Vec<String>,
    pub spam: Vec<String>,
}

impl StatusColumn {
    fn status(&self, value: Option<&str>) -> Status {
        let is_in = |list: &[String]| list.iter().any(|one| Some(one.as_str()) == value);
        Status {
            archived: is_in(&self.archived),
            spam: is_in(&self.spam),
        }
    }
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
        let agent = |whose| principal_expression(self.oid, Some(&self.agent), whose);
        function.call(|argument| match argument {
            Argument::Table => Some(regclass(table)),
            Argument::ParentKey => Some(key_expression(self.oid, &self.ticket)),
            Argument::KeyColumn => Some(quote_identifier(&self.ticket)),
            Argument::Principal(whose @ Principal::Agent) => Some(agent(whose)),
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
            department: column(ticket_table::DEPARTMENT_COLUMN),
            category: column(ticket_table::CATEGORY_COLUMN),
            assignee: column(ticket_table::ASSIGNEE_COLUMN),
            team: column(ticket_table::TEAM_COLUMN),
            unassigned_value: row.get(ticket_table::UNASSIGNED_VALUE),
            // A follower table that was dropped behind our back leaves no followers.
            followers: followers().filter(|f| table_name(f.oid).is_some()),
            confidential: column(ticket_table::CONFIDENTIAL_COLUMN),
            status: column(ticket_table::STATUS_COLUMN).map(|name| StatusColumn {
                name,
                archived: values(ticket_table::ARCHIVED_VALUES),
                spam: values(ticket_table::SPAM_VALUES),
            }),
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

    /// Which columns the rules can ask for.
    pub fn shape(&self) -> Shape {
        Shape {
            category: self.category.is_some(),
            department: self.department.is_some(),
            assignee: self.assignee.is_some(),
            team: self.team.is_some(),
            followers: self.followers.is_some(),
            confidential: self.confidential.is_some(),
        }
    }

    /// What the policy deskguard_silo of a table asks; none without a category column.
    pub fn silo_call(&self, table: pg_sys::Oid) -> Option<String> {
        self.category.as_ref()?;
        Some(self.call(RuleFunction::Silo, table))
    }

    /// What a policy asks of a ticket in a table, which is this one or a part of it.
    pub fn call(&self, function: RuleFunction, table: pg_sys::Oid) -> String {
        function.call(|argument| match argument {
            Argument::Table => Some(regclass(table)),
            Argument::RowKey => Some(key_expression(self.oid, &self.id)),
            Argument::Principal(principal) => Some(self.principal(principal)),
            Argument::Confidential => Some(self.confidential_expression()),
            Argument::Status => Some(self.status_expression()),
            Argument::ParentKey | Argument::KeyColumn | Argument::Permission => None,
        })
    }

    /// What the rules ask of a status.
    pub fn status(&self, value: Option<&str>) -> Status {
        match &self.status {
            Some(column) => column.status(value),
            None => Status::default(),
        }
    }

    /// The column that names a department, category, team or, the assignee, an agent.
    pub fn principal_column(&self, principal: Principal) -> Option<&str> {
        match principal {
            Principal::Agent => self.assignee.as_deref(),
            Principal::Team => self.team.as_deref(),
            Principal::Department => self.department.as_deref(),
            Principal::Category => self.category.as_deref(),
        }
    }

    /// Its id as an expression of SQL.
    pub fn principal(&self, principal: Principal) -> String {
        principal_expression(self.oid, self.principal_column(principal), principal)
    }

    fn confidential_expression(&self) -> String {
        match &self.confidential {
            Some(column) => quote_identifier(column),
            None => "false".into(),
        }
    }

    fn status_expression(&self) -> String {
        match &self.status {
            Some(status) => format!("{}::pg_catalog.text", quote_identifier(&status.name)),
            None => "NULL::pg_catalog.text".into(),
        }
    }

    /// The name as users write it.
    pub fn name(&self) -> String {
        display_name(self.oid)
    }
}
