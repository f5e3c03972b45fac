//! Reads tickets and their followers from the help desk's own tables.

use std::cell::OnceCell;
use std::rc::Rc;

use deskguard_rules::{
    Action, AskedBy, Column, Columns, IdSet, Status, Ticket, TicketColumn, Unmapped,
};
use pgrx::pg_sys;
use pgrx::spi::quote_identifier;

use crate::pg::relation::table_name;
use crate::rights::cache::Agent;
use crate::rights::external_keys::ExternalKeys;
use crate::rights::own_query::Acting;
use crate::rights::owner_sql::{for_each_of_many, for_each_row};
use crate::tables::key::{ColumnKey, Key, KeyRef, KeySet, KeyType, OwnedKey};
use crate::tables::policy_sql::key_expression;
use crate::tables::principal::{Principal, UNMAPPED};
use crate::tables::rule_function::RuleFunction;
use crate::tables::ticket_table::{FollowerTable, TicketTable};

/// What a ticket has in the columns that the rules ask for.
#[derive(Clone, Copy, Debug)]
pub struct TicketValues {
    pub department: Option<i64>,
    pub category: Option<i64>,
    pub assignee: Option<i64>,
    pub team: Option<i64>,
    pub requester: Option<i64>,
    pub requester_team: Option<i64>,
    pub confidential: bool,
    pub status: Status,
}

impl TicketValues {
    /// A ticket of which nothing is known. It counts as confidential.
    pub const UNKNOWN: TicketValues = TicketValues {
        department: None,
        category: None,
        assignee: None,
        team: None,
        requester: None,
        requester_team: None,
        confidential: true,
        status: Status {
            archived: false,
            spam: false,
        },
    };

    /// With these ids in the columns of keys. Of the rest nothing is known.
    pub fn of_ids(mut id: impl FnMut(TicketColumn) -> Option<i64>) -> TicketValues {
        TicketValues {
            department: id(TicketColumn::Department),
            category: id(TicketColumn::Category),
            assignee: id(TicketColumn::Assignee),
            team: id(TicketColumn::Team),
            requester: id(TicketColumn::Requester),
            requester_team: id(TicketColumn::RequesterTeam),
            ..TicketValues::UNKNOWN
        }
    }
}

impl TicketTable {
    /// A row of this table as the rules see it.
    pub fn ticket(&self, values: TicketValues, followed: bool) -> Ticket {
        let has = |column| self.column(column).is_some();
        let column = |column, value| match has(column) {
            true => Column::Value(value),
            false => Column::Absent,
        };
        let somebody = |of: TicketColumn, agent: Option<i64>| {
            agent.filter(|agent| Some(*agent) != self.nobody(of))
        };
        Ticket {
            category: column(TicketColumn::Category, values.category),
            department: column(TicketColumn::Department, values.department),
            assignee: column(
                TicketColumn::Assignee,
                somebody(TicketColumn::Assignee, values.assignee),
            ),
            team: column(TicketColumn::Team, values.team),
            requester: column(
                TicketColumn::Requester,
                somebody(TicketColumn::Requester, values.requester),
            ),
            requester_team: column(TicketColumn::RequesterTeam, values.requester_team),
            followed,
            requested: false,
            confidential: has(TicketColumn::Confidential) && values.confidential,
            status: values.status,
        }
    }

    /// The rows of a ticket, as the rules see them for an agent; none if there is no such ticket. An id
    /// may stand for several rows where no index forbids it.
    pub fn find_ticket(&self, id: KeyRef, agent: i64, keys: &ExternalKeys) -> Vec<Ticket> {
        let rows = self.find_values(id, keys);
        let followed = !rows.is_empty() && self.follows(agent, id, keys);
        rows.into_iter()
            .map(|values| self.ticket(values, followed))
            .collect()
    }

    /// The values of the rows of one ticket; none if there is no such ticket.
    pub fn find_values(&self, id: KeyRef, keys: &ExternalKeys) -> Vec<TicketValues> {
        let Some(id) = self.id_type.takes(id) else {
            return vec![];
        };
        let query = self.find_query.get_or_init(|| {
            let key = |(column, _)| match self.column(column) {
                Some(column) => key_expression(self.oid, column),
                None => "NULL::pg_catalog.int8".into(),
            };
            let keys: Vec<String> = Principal::columns().map(key).collect();
            format!(
                "SELECT {}, {}, {} FROM {} WHERE {} OPERATOR(pg_catalog.=) $1",
                keys.join(", "),
                // Where it is not known, a ticket counts as confidential.
                match self.column(TicketColumn::Confidential) {
                    Some(column) => format!(
                        "COALESCE({}, true)::pg_catalog.int4::pg_catalog.int8",
                        quote_identifier(column)
                    ),
                    None => "NULL::pg_catalog.int8".into(),
                },
                self.expression(TicketColumn::Status),
                self.name(),
                quote_identifier(&self.id)
            )
        });
        let mut found = vec![];
        for_each_row(self.oid, query, &[id], |row| {
            let mut ids = Columns::default();
            let mut place = 1;
            for (column, principal) in Principal::columns() {
                *ids.get_mut(column) = row.key(place).map(|key| keys.id(principal, key));
                place += 1;
            }
            found.push(TicketValues {
                confidential: row.number(place) != Some(0),
                status: self.statuses.of(match row.key(place + 1) {
                    Some(Key::Text(status)) => Some(status),
                    _ => None,
                }),
                ..TicketValues::of_ids(|column| *ids.get(column))
            });
        });
        found
    }

    /// Was each row of the ticket, of which there is one, written by this command of the transaction?
    pub fn is_written_by(&self, id: KeyRef, command: pg_sys::CommandId) -> bool {
        let Some(id) = self.id_type.takes(id) else {
            return false;
        };
        // The column of the command means something only in the transaction that wrote the row.
        let query = format!(
            "SELECT xmin::pg_catalog.text::pg_catalog.int8, cmin::pg_catalog.text::pg_catalog.int8
             FROM {} WHERE {} OPERATOR(pg_catalog.=) $1",
            self.name(),
            quote_identifier(&self.id)
        );
        let mut written = vec![];
        for_each_row(self.oid, &query, &[id], |row| {
            let numbers = row.number(1).zip(row.number(2));
            written.push(numbers.is_some_and(|(transaction, by)| {
                let transaction = (transaction as u32).into();
                // SAFETY: looks at the state of the transaction.
                let is_own = unsafe { pg_sys::TransactionIdIsCurrentTransactionId(transaction) };
                is_own && by == i64::from(command)
            }));
        });
        !written.is_empty() && written.into_iter().all(|is_it| is_it)
    }

    /// A ticket's id as its column has it. Raises an error if it is of another type.
    pub fn key(&self, id: KeyRef) -> OwnedKey {
        id.for_column(self.id_type, self.oid, &self.id)
    }

    /// What of a ticket, or of the agent in this table, has no external key that says what it is.
    pub fn unmapped(&self, id: KeyRef, agent: Option<i64>, keys: &ExternalKeys) -> Vec<Unmapped> {
        let mut found = vec![];
        let Some(id) = self.id_type.takes(id) else {
            return found;
        };
        for (column, principal) in Principal::columns() {
            let Some(column) = self.column(column) else {
                continue;
            };
            let Some(key_type @ (KeyType::Uuid | KeyType::Text)) =
                KeyType::of_column(self.oid, column)
            else {
                continue;
            };
            let mut add = |value, agent| found.push(unmapped(principal, column, value, agent));
            if let (Principal::Agent, Some(agent)) = (principal, agent)
                && keys.key(principal, agent, key_type).is_none()
            {
                add(None, Some(agent));
            }
            let query = format!(
                "SELECT {} FROM {} WHERE {} OPERATOR(pg_catalog.=) $1",
                key_expression(self.oid, column),
                self.name(),
                quote_identifier(&self.id)
            );
            for_each_row(self.oid, &query, &[id], |row| {
                if let Some(key) = row
                    .key(1)
                    .filter(|key| keys.id(principal, *key) == UNMAPPED)
                {
                    add(Some(key.to_string()), None);
                }
            });
        }
        found
    }

    /// What the policies ask of the tickets with which the agent that is asked for may do this.
    pub fn condition(&self, action: Action) -> String {
        let mut conditions = vec![self.call(RuleFunction::Ticket(action), self.oid)];
        conditions.extend(self.silo_call(self.oid));
        conditions.join(" AND ")
    }

    /// The tickets that an agent follows.
    pub fn followed_by(&self, agent: i64, keys: &ExternalKeys) -> KeySet {
        let mut tickets = vec![];
        if let Some(f) = &self.followers
            && let Some(agent) = f.agent_key(agent, keys)
        {
            f.select(&f.tickets_query, &f.ticket, &[(&f.agent, agent)], |key| {
                tickets.push(key.to_owned());
            });
        }
        tickets.into_iter().collect()
    }

    /// Those of them that the policies of the follower table let the current user see.
    pub fn followed_seen_by(&self, rights: &Rc<Agent>) -> KeySet {
        let mut tickets = vec![];
        if let Some(f) = &self.followers
            && let Some(agent) = f.agent_key(rights.agent, &rights.external_keys)
            && let Some(query) = f.query(&f.tickets_query, &f.ticket, &[&f.agent])
        {
            let acting = Acting::Caller(rights.clone());
            for_each_of_many(f.oid, query, &[agent], &acting, |row| {
                tickets.extend(row.key(1).map(KeyRef::to_owned));
            });
        }
        tickets.into_iter().collect()
    }

    /// The agents that follow a ticket.
    pub fn followers_of(&self, ticket: KeyRef, keys: &ExternalKeys) -> IdSet {
        let mut agents = vec![];
        if let Some(f) = &self.followers
            && let Some(ticket) = self.id_type.takes(ticket)
        {
            f.select(&f.agents_query, &f.agent, &[(&f.ticket, ticket)], |key| {
                agents.push(keys.id(Principal::Agent, key));
            });
        }
        agents.into_iter().collect()
    }

    /// Does the agent follow the ticket?
    pub fn follows(&self, agent: i64, ticket: KeyRef, keys: &ExternalKeys) -> bool {
        let mut follows = false;
        if let Some(f) = &self.followers
            && let Some(agent) = f.agent_key(agent, keys)
            && let Some(ticket) = self.id_type.takes(ticket)
        {
            let both = [(f.ticket.as_str(), ticket), (f.agent.as_str(), agent)];
            f.select(&f.both_query, &f.ticket, &both, |_| follows = true);
        }
        follows
    }
}

/// What an external key is missing for: a value of a column, or an agent.
pub fn unmapped(
    principal: Principal,
    column: &str,
    value: Option<String>,
    agent: Option<i64>,
) -> Unmapped {
    Unmapped {
        column: column.into(),
        value,
        table: format!("deskguard.{}", principal.table().to_string_lossy()),
        agent,
        asked_by: match principal {
            Principal::Category => AskedBy::Silo,
            Principal::Department => AskedBy::Department,
            Principal::Agent | Principal::Team => AskedBy::Relation,
        },
    }
}

impl FollowerTable {
    /// How the table names an agent.
    fn agent_key<'a>(&self, agent: i64, keys: &'a ExternalKeys) -> Option<ColumnKey<'a>> {
        let key = keys.key(Principal::Agent, agent, self.agent_type)?;
        self.agent_type.takes(key)
    }

    /// Selects one column where others have given values; none if the table was dropped.
    fn query<'a>(
        &self,
        known: &'a OnceCell<String>,
        wanted: &str,
        given: &[&str],
    ) -> Option<&'a str> {
        let name = table_name(self.oid)?;
        Some(known.get_or_init(|| {
            let conditions: Vec<String> = given
                .iter()
                .zip(1..)
                .map(|(column, n)| {
                    format!("{} OPERATOR(pg_catalog.=) ${n}", quote_identifier(column))
                })
                .collect();
            format!(
                "SELECT {} FROM {name} WHERE {}",
                key_expression(self.oid, wanted),
                conditions.join(" AND "),
            )
        }))
    }

    /// The values of one column where others have the given ones.
    fn select(
        &self,
        query: &OnceCell<String>,
        wanted: &str,
        given: &[(&str, ColumnKey)],
        mut each: impl FnMut(KeyRef),
    ) {
        let columns: Vec<&str> = given.iter().map(|(column, _)| *column).collect();
        let Some(query) = self.query(query, wanted, &columns) else {
            return;
        };
        let values: Vec<ColumnKey> = given.iter().map(|(_, value)| *value).collect();
        for_each_row(self.oid, query, &values, |row| {
            if let Some(key) = row.key(1) {
                each(key);
            }
        });
    }
}
