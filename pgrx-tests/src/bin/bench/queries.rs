//! What a help desk asks: the statements that are compared.

use std::cell::Cell;

use crate::desk::{Agent, DEPARTMENTS, WEEK};
use crate::variants::{Desk, Purpose};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Query {
    Queue,
    Report,
    Week,
    Join,
    Messages,
    TicketMessages,
    Keyset,
    Point,
    PointPrepared,
    Insert,
    Update,
    FullText,
    NewestFullText,
    Trigram,
    Jsonb,
    Enum,
    AllQueue,
    CategoryQueue,
    ByStatus,
    ByAssignee,
    Waiting,
    CountSome,
    NewestOfEach,
}

/// What differs between agents, or from one run to the next.
pub struct Inputs {
    /// Tickets that the agent sees.
    pub ids: Vec<String>,
    /// Where its third page of open tickets begins.
    pub page: Option<(String, String)>,
    /// A number of a ticket that is free; each INSERT takes another.
    pub free_number: Cell<i64>,
}

impl Query {
    pub const ALL: [Query; 11] = [
        Query::Queue,
        Query::Report,
        Query::Week,
        Query::Join,
        Query::Messages,
        Query::TicketMessages,
        Query::Keyset,
        Query::Point,
        Query::PointPrepared,
        Query::Insert,
        Query::Update,
    ];

    /// Those of the table that has columns to be searched.
    pub const SEARCHES: [Query; 5] = [
        Query::FullText,
        Query::NewestFullText,
        Query::Trigram,
        Query::Jsonb,
        Query::Enum,
    ];

    /// Those of the table that has the indexes of queues.
    pub const QUEUES: [Query; 9] = [
        Query::Queue,
        Query::AllQueue,
        Query::CategoryQueue,
        Query::Keyset,
        Query::ByStatus,
        Query::ByAssignee,
        Query::Waiting,
        Query::CountSome,
        Query::NewestOfEach,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Query::Queue => "queue",
            Query::Report => "report",
            Query::Week => "week",
            Query::Join => "join messages",
            Query::Messages => "messages report",
            Query::TicketMessages => "messages of a ticket",
            Query::Keyset => "keyset page",
            Query::Point => "point",
            Query::PointPrepared => "point prepared",
            Query::Insert => "insert",
            Query::Update => "update by key",
            Query::FullText => "full text",
            Query::NewestFullText => "full text, newest",
            Query::Trigram => "ILIKE",
            Query::Jsonb => "jsonb",
            Query::Enum => "enum status",
            Query::AllQueue => "queue of all",
            Query::CategoryQueue => "queue of a category",
            Query::ByStatus => "count by status",
            Query::ByAssignee => "count by assignee",
            Query::Waiting => "EXISTS",
            Query::CountSome => "count up to 100",
            Query::NewestOfEach => "newest of each department",
        }
    }

    pub fn writes(self) -> bool {
        matches!(self, Query::Insert | Query::Update)
    }

    /// Does it look for a ticket by its id, for another one in each round?
    pub fn is_by_key(self) -> bool {
        matches!(
            self,
            Query::TicketMessages | Query::Point | Query::PointPrepared | Query::Update
        )
    }

    /// Is deskguard's time within what was promised?
    pub fn is_within_bound(self, desk: Desk, agent: &Agent, limit: f64, deskguard: f64) -> bool {
        let is_of_few = ["narrow", "medium"].contains(&agent.name.as_str());
        match self {
            Query::Queue | Query::AllQueue | Query::Keyset
                if desk.purpose == Purpose::Queues && is_of_few =>
            {
                deskguard <= limit * 0.34
            }
            Query::Point | Query::PointPrepared => deskguard <= (limit * 1.3).max(limit + 0.060),
            Query::TicketMessages => deskguard <= (limit * 1.3).max(limit + 0.060),
            Query::Messages => deskguard <= limit * 1.5,
            Query::FullText
            | Query::NewestFullText
            | Query::Trigram
            | Query::Jsonb
            | Query::Enum => deskguard <= (limit * 1.2).max(limit + 0.2),
            _ => deskguard <= limit * 1.10,
        }
    }

    /// `condition`: what the statement itself must ask for, since nothing else guards the table.
    pub fn sql(
        self,
        desk: Desk,
        table: &str,
        condition: Option<&str>,
        agent: &Agent,
        inputs: &Inputs,
        round: usize,
    ) -> String {
        let filter = |conditions: &[&str]| {
            let all: Vec<&str> = conditions.iter().copied().chain(condition).collect();
            match all.as_slice() {
                [] => String::new(),
                _ => format!("WHERE {}", all.join(" AND ")),
            }
        };
        let (keys, plain) = (desk.keys, desk.plain());
        let id = keys.quoted(&inputs.ids[round % inputs.ids.len()]);
        match self {
            Query::Queue => format!(
                "SELECT id, subject, updated_at FROM {table} {} ORDER BY updated_at DESC LIMIT 50",
                filter(&["status = 'open'"])
            ),
            Query::Report => format!(
                "SELECT status, count(*) FROM {table} {} GROUP BY status ORDER BY status",
                filter(&[])
            ),
            Query::Week => format!("SELECT count(*) FROM {table} {}", filter(&[WEEK])),
            Query::Join => format!(
                "SELECT count(*), max(m.created_at) \
                 FROM (SELECT id FROM {table} {}) AS t JOIN {plain}.message AS m ON m.ticket_id = t.id",
                filter(&[WEEK])
            ),
            Query::Messages | Query::TicketMessages => {
                let columns = match self {
                    Query::Messages => "count(*), max(m.created_at)",
                    _ => "m.id, m.created_at, m.body",
                };
                // Of messages that are protected themselves no ticket needs to be asked for.
                let messages = match table.ends_with(".message") {
                    true => format!("{table} AS m"),
                    false => format!(
                        "(SELECT id FROM {table} {}) AS t JOIN {plain}.message AS m ON m.ticket_id = t.id",
                        filter(&[])
                    ),
                };
                let which = match self {
                    Query::Messages => String::new(),
                    _ => format!("WHERE m.ticket_id = {id} ORDER BY m.id"),
                };
                format!("SELECT {columns} FROM {messages} {which}")
            }
            Query::Keyset => {
                let after = inputs.page.as_ref().map_or_else(
                    || "true".into(),
                    |(time, id)| format!("(updated_at, id) < ('{time}', {})", keys.quoted(id)),
                );
                format!(
                    "SELECT id, subject, updated_at FROM {table} {} ORDER BY updated_at DESC, id DESC LIMIT 50",
                    filter(&["status = 'open'", &after])
                )
            }
            Query::Point => format!(
                "SELECT id, subject, status, updated_at FROM {table} {}",
                filter(&[&format!("id = {id}")])
            ),
            Query::PointPrepared => format!(
                "SELECT id, subject, status, updated_at FROM {table} {}",
                filter(&["id = $1"])
            ),
            Query::Insert => {
                const COLUMNS: &str = "id, subject, status, department_id, category_id, assignee_id, created_at, updated_at";
                let number = inputs.free_number.replace(inputs.free_number.get() + 1);
                let [id, department, category, assignee] = [
                    ("ticket", number),
                    ("department", agent.a_department().into()),
                    ("category", agent.a_category().into()),
                    ("agent", agent.id),
                ]
                .map(|(kind, number)| keys.typed(&keys.of(kind, number)));
                let row = format!(
                    "VALUES ({id}, 'New', 'open', {department}, {category}, {assignee}, now(), now())"
                );
                // Without policies the statement itself must ask whether the agent may create this ticket.
                let row = match condition.and_then(|_| agent.may_create(keys)) {
                    Some(allowed) => {
                        format!("SELECT * FROM ({row}) AS v ({COLUMNS}) WHERE {allowed}")
                    }
                    None => row,
                };
                format!("INSERT INTO {table} ({COLUMNS}) {row}")
            }
            Query::FullText => format!(
                "SELECT id, subject FROM {table} {}",
                filter(&[&format!(
                    "doc @@ to_tsquery('simple', 'word{}')",
                    round % 100
                )])
            ),
            Query::NewestFullText => format!(
                "SELECT id, subject FROM {table} {} ORDER BY updated_at DESC LIMIT 20",
                filter(&[&format!(
                    "doc @@ to_tsquery('simple', 'often{}')",
                    round % 10
                )])
            ),
            Query::Trigram => format!(
                "SELECT id, subject FROM {table} {}",
                filter(&[&format!("subject ILIKE '%{:04X}%'", 0x1a2b + round % 100)])
            ),
            Query::Jsonb => format!(
                "SELECT id, subject FROM {table} {}",
                filter(&[&format!("meta @> '{{\"key\": {}}}'", round % 100)])
            ),
            Query::Enum => format!(
                "SELECT count(*) FROM {table} {}",
                filter(&["state = 'merged'"])
            ),
            Query::AllQueue => format!(
                "SELECT id, subject, updated_at FROM {table} {} ORDER BY updated_at DESC LIMIT 50",
                filter(&[])
            ),
            Query::CategoryQueue => format!(
                "SELECT id, subject, updated_at FROM {table} {} ORDER BY updated_at DESC LIMIT 50",
                filter(&[
                    &format!("category_id = {}", agent.a_category()),
                    "status = 'open'"
                ])
            ),
            Query::ByStatus => format!(
                "SELECT status, count(*) FROM {table} {} GROUP BY status ORDER BY status",
                filter(&["status IN ('open', 'pending')"])
            ),
            Query::ByAssignee => format!(
                "SELECT assignee_id, count(*) FROM {table} {} GROUP BY assignee_id ORDER BY 2 DESC, 1 LIMIT 10",
                filter(&["status = 'open'"])
            ),
            Query::Waiting => format!(
                "SELECT EXISTS (SELECT FROM {table} {})",
                filter(&["status = 'open' AND updated_at < '2025-06-01 00:00:00+00'"])
            ),
            Query::CountSome => format!(
                "SELECT count(*) FROM (SELECT FROM {table} {} LIMIT 100) AS found",
                filter(&["status = 'open'"])
            ),
            Query::NewestOfEach => format!(
                "SELECT n, t.id, t.updated_at FROM generate_series(1, {DEPARTMENTS}) AS n \
                 CROSS JOIN LATERAL (SELECT id, updated_at FROM {table} {} ORDER BY updated_at DESC LIMIT 3) AS t \
                 ORDER BY n, t.updated_at DESC",
                filter(&["department_id = n"])
            ),
            Query::Update => format!(
                "UPDATE {table} SET status = 'pending', updated_at = now() {}",
                filter(&[&format!("id = {id}")])
            ),
        }
    }
}
