//! Reads tickets and their followers from the help desk's own tables.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;

use deskguard_rules::{Action, Change, Column, IdSet, Status, Ticket};
use pgrx::pg_sys;
use pgrx::spi::quote_identifier;

use crate::identity::AskFor;
use crate::owner_sql::{for_each_row, return_rows};
use crate::protected::{FollowerTable, TicketTable, bigint_expression, table_name};

/// The columns of a ticket that the rules ask for.
#[derive(Clone, Copy, Debug, Default)]
pub struct TicketColumns {
    pub department: Option<i64>,
    pub category: Option<i64>,
    pub assignee: Option<i64>,
    pub team: Option<i64>,
    pub confidential: bool,
    pub status: Status,
}

impl TicketTable {
    /// A row of this table as the rules see it.
    pub fn ticket(&self, columns: TicketColumns, followed: bool) -> Ticket {
        let column = |name: &Option<String>, value| match name {
            Some(_) => Column::Value(value),
            None => Column::Absent,
        };
        Ticket {
            category: column(&self.category, columns.category),
            department: column(&self.department, columns.department),
            assignee: column(
                &self.assignee,
                columns
                    .assignee
                    .filter(|assignee| Some(*assignee) != self.unassigned_value),
            ),
            team: column(&self.team, columns.team),
            followed,
            confidential: self.confidential.is_some() && columns.confidential,
            status: columns.status,
        }
    }

    /// A ticket, as the rules see it for an agent; none if there is no such ticket. An id may stand
    /// for several rows where no index forbids it.
    pub fn find_ticket(&self, id: i64, agent: i64) -> Vec<Ticket> {
        let rows = self.find_columns(id);
        let followed = !rows.is_empty() && self.follows(agent, id);
        rows.into_iter()
            .map(|columns| self.ticket(columns, followed))
            .collect()
    }

    /// The columns of one ticket; none if there is no such ticket.
    pub fn find_columns(&self, id: i64) -> Vec<TicketColumns> {
        let query = self.find_query.get_or_init(|| {
            format!(
                "SELECT {}, {}, {}, {}, {} FROM {} WHERE {} OPERATOR(pg_catalog.=) $1",
                bigint_expression(self.department.as_deref()),
                bigint_expression(self.category.as_deref()),
                bigint_expression(self.assignee.as_deref()),
                bigint_expression(self.team.as_deref()),
                // Where it is not known, a ticket counts as confidential.
                match &self.confidential {
                    Some(column) => format!(
                        "COALESCE({}, true)::pg_catalog.int4::pg_catalog.int8",
                        quote_identifier(column)
                    ),
                    None => "NULL::pg_catalog.int8".into(),
                },
                self.name(),
                quote_identifier(&self.id)
            )
        });
        let mut found = vec![];
        for_each_row(self.oid, query, &[id], |row| {
            let [department, category, assignee, team, confidential] = row;
            found.push(TicketColumns {
                department,
                category,
                assignee,
                team,
                confidential: confidential != Some(0),
                ..TicketColumns::default()
            });
        });
        found
    }

    /// The tickets that an agent may view, by the conditions of the policies, as the result of the
    /// function that is being called.
    pub fn return_visible_to(&self, agent: i64, fcinfo: pg_sys::FunctionCallInfo) {
        let _asked = AskFor::agent(agent);
        return_rows(fcinfo, self.oid, &self.allowed_query(Action::View));
    }

    /// The tickets with which the agent that is asked for may do this, by the conditions of the
    /// policies.
    pub fn allowed_query(&self, action: Action) -> String {
        let rule = match action {
            Action::View => "view_ok",
            Action::Change(Change::Reply) => "reply_ok",
            Action::Change(Change::Modify) => "modify_ok",
            Action::Change(Change::EditMessages) => "edit_messages_ok",
            Action::Change(Change::Delete) => "delete_ok",
        };
        let mut conditions = vec![self.action_call(rule, self.oid)];
        conditions.extend(self.silo_call(self.oid));
        format!(
            "SELECT {} FROM {} WHERE {} AND {} IS NOT NULL",
            bigint_expression(Some(&self.id)),
            self.name(),
            conditions.join(" AND "),
            quote_identifier(&self.id)
        )
    }

    /// The tickets that an agent follows.
    pub fn followed_by(&self, agent: i64) -> IdSet {
        self.followers.as_ref().map_or_else(IdSet::empty, |f| {
            f.select(&f.tickets_query, &f.ticket, &[(&f.agent, agent)])
        })
    }

    /// The agents that follow a ticket.
    pub fn followers_of(&self, ticket: i64) -> IdSet {
        self.followers.as_ref().map_or_else(IdSet::empty, |f| {
            f.select(&f.agents_query, &f.agent, &[(&f.ticket, ticket)])
        })
    }

    /// Does the agent follow the ticket?
    pub fn follows(&self, agent: i64, ticket: i64) -> bool {
        self.followers.as_ref().is_some_and(|f| {
            let both = [(f.ticket.as_str(), ticket), (f.agent.as_str(), agent)];
            !f.select(&f.both_query, &f.ticket, &both).is_empty()
        })
    }
}

/// Which tickets an agent follows, for one statement: the first few are looked up one by one, for
/// more all are read at once.
pub struct Followed {
    table: Rc<TicketTable>,
    agent: i64,
    looked_up: Cell<u32>,
    all: OnceCell<IdSet>,
}

impl Followed {
    /// Reading all costs as much as some look-ups; a query by key needs only one.
    const FEW: u32 = 4;

    pub fn by(agent: i64, table: Rc<TicketTable>) -> Followed {
        Followed {
            table,
            agent,
            looked_up: Cell::new(0),
            all: OnceCell::new(),
        }
    }

    pub fn contains(&self, ticket: i64) -> bool {
        if self.all.get().is_none() && self.looked_up.get() < Self::FEW {
            self.looked_up.set(self.looked_up.get() + 1);
            return self.table.follows(self.agent, ticket);
        }
        self.all
            .get_or_init(|| self.table.followed_by(self.agent))
            .contains(ticket)
    }
}

impl FollowerTable {
    /// The values of one column where others have the given ones.
    fn select(&self, query: &OnceCell<String>, wanted: &str, given: &[(&str, i64)]) -> IdSet {
        let mut found: Vec<i64> = vec![];
        let Some(name) = table_name(self.oid) else {
            return IdSet::empty();
        };
        let query = query.get_or_init(|| {
            let conditions: Vec<String> = given
                .iter()
                .zip(1..)
                .map(|((column, _), n)| {
                    format!("{} OPERATOR(pg_catalog.=) ${n}", quote_identifier(column))
                })
                .collect();
            format!(
                "SELECT {} FROM {name} WHERE {}",
                bigint_expression(Some(wanted)),
                conditions.join(" AND "),
            )
        });
        let values: Vec<i64> = given.iter().map(|(_, value)| *value).collect();
        for_each_row(self.oid, query, &values, |[value]| {
            found.extend(value);
        });
        found.into_iter().collect()
    }
}
