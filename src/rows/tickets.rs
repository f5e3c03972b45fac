//! Reads tickets and their followers from the help desk's own tables.

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
use crate::tables::ticket_table::{FollowerTable, Following, TicketTable};

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

/// What the follower table says of a ticket and an agent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Follows {
    pub followed: bool,
    pub requested: bool,
}

impl Follows {
    pub const NOTHING: Follows = Follows {
        followed: false,
        requested: false,
    };

    pub const ALL: Follows = Follows {
        followed: true,
        requested: true,
    };

    pub fn of(mut says: impl FnMut(Following) -> bool) -> Follows {
        Follows {
            followed: says(Following::Followed),
            requested: says(Following::Requested),
        }
    }
}

impl TicketTable {
    /// A row of this table as the rules see it.
    pub fn ticket(&self, values: TicketValues, follows: Follows) -> Ticket {
        let has = |column| self.column(column).is_some();
        let column = |column, value| match has(column) {
            true => Column::Value(value),
            false => Column::Absent,
        };
        let somebody =
            |of: TicketColumn, id: Option<i64>| id.filter(|id| Some(*id) != self.nobody(of));
        Ticket {
            category: column(TicketColumn::Category, values.category),
            department: column(TicketColumn::Department, values.department),
            assignee: column(
                TicketColumn::Assignee,
                somebody(TicketColumn::Assignee, values.assignee),
            ),
            team: column(
                TicketColumn::Team,
                somebody(TicketColumn::Team, values.team),
            ),
            requester: column(
                TicketColumn::Requester,
                somebody(TicketColumn::Requester, values.requester),
            ),
            requester_team: column(
                TicketColumn::RequesterTeam,
                somebody(TicketColumn::RequesterTeam, values.requester_team),
            ),
            followed: follows.followed,
            requested: follows.requested,
            confidential: has(TicketColumn::Confidential) && values.confidential,
            status: values.status,
        }
    }

    /// The rows of a ticket, as the rules see them for an agent; none if there is no such ticket. An id
    /// may stand for several rows where no index forbids it.
    pub fn find_ticket(&self, id: KeyRef, agent: i64, keys: &ExternalKeys) -> Vec<Ticket> {
        let rows = self.find_values(id, keys);
        let says = |what| !rows.is_empty() && self.says(what, agent, id, keys);
        let follows = Follows::of(says);
        rows.into_iter()
            .map(|values| self.ticket(values, follows))
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

    /// The tickets of which the follower table says this of an agent.
    pub fn followed_by(&self, what: Following, agent: i64, keys: &ExternalKeys) -> KeySet {
        let mut tickets = vec![];
        if let Some(f) = self.followers_of(what)
            && let Some(agent) = f.table.agent_key(agent, keys)
        {
            f.select(Wanted::Tickets, &[agent], |key| {
                tickets.push(key.to_owned())
            });
        }
        tickets.into_iter().collect()
    }

    /// Those of them that the policies of the follower table let the current user see.
    pub fn followed_seen_by(&self, what: Following, rights: &Rc<Agent>) -> KeySet {
        let mut tickets = vec![];
        if let Some(f) = self.followers_of(what)
            && let Some(agent) = f.table.agent_key(rights.agent, &rights.external_keys)
            && let Some(query) = f.query(Wanted::Tickets)
        {
            let acting = Acting::Caller(rights.clone());
            for_each_of_many(f.table.oid, query, &[agent], &acting, |row| {
                tickets.extend(row.key(1).map(KeyRef::to_owned));
            });
        }
        tickets.into_iter().collect()
    }

    /// The agents of whom the follower table says this.
    pub fn followers(&self, what: Following, ticket: KeyRef, keys: &ExternalKeys) -> IdSet {
        let mut agents = vec![];
        if let Some(f) = self.followers_of(what)
            && let Some(ticket) = self.id_type.takes(ticket)
        {
            f.select(Wanted::Agents, &[ticket], |key| {
                agents.push(keys.id(Principal::Agent, key));
            });
        }
        agents.into_iter().collect()
    }

    /// Does the follower table say this of the agent and the ticket?
    pub fn says(&self, what: Following, agent: i64, ticket: KeyRef, keys: &ExternalKeys) -> bool {
        let mut says = false;
        if let Some(f) = self.followers_of(what)
            && let Some(agent) = f.table.agent_key(agent, keys)
            && let Some(ticket) = self.id_type.takes(ticket)
        {
            f.select(Wanted::Whether, &[ticket, agent], |_| says = true);
        }
        says
    }

    /// Where the follower table says this; none if it cannot.
    fn followers_of(&self, what: Following) -> Option<FollowersOf<'_>> {
        let table = self.followers.as_ref()?;
        table.can_say(what).then_some(FollowersOf { table, what })
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
}

/// The rows of a follower table that say something.
struct FollowersOf<'a> {
    table: &'a FollowerTable,
    what: Following,
}

/// What is asked of a follower table.
#[derive(Clone, Copy)]
enum Wanted {
    /// Of an agent.
    Tickets,
    /// Of a ticket.
    Agents,
    /// Of both.
    Whether,
}

impl<'a> FollowersOf<'a> {
    /// With a place for each value that is given; none if the table was dropped.
    fn query(&self, wanted: Wanted) -> Option<&'a str> {
        let table = self.table;
        let name = table_name(table.oid)?;
        let queries = table.queries(self.what);
        let (ticket, agent) = (&table.ticket, &table.agent);
        let (known, column, given) = match wanted {
            Wanted::Tickets => (&queries.tickets, ticket, &[agent][..]),
            Wanted::Agents => (&queries.agents, agent, &[ticket][..]),
            Wanted::Whether => (&queries.both, ticket, &[ticket, agent][..]),
        };
        Some(known.get_or_init(|| {
            let is = |(column, n): (&&String, usize)| {
                format!("{} OPERATOR(pg_catalog.=) ${n}", quote_identifier(column))
            };
            let mut conditions: Vec<String> = given.iter().zip(1..).map(is).collect();
            conditions.extend(table.conditions(self.what));
            format!(
                "SELECT {} FROM {name} WHERE {}",
                key_expression(table.oid, column),
                conditions.join(" AND "),
            )
        }))
    }

    fn select(&self, wanted: Wanted, given: &[ColumnKey], mut each: impl FnMut(KeyRef)) {
        let Some(query) = self.query(wanted) else {
            return;
        };
        for_each_row(self.table.oid, query, given, |row| {
            if let Some(key) = row.key(1) {
                each(key);
            }
        });
    }
}
