//! Compares deskguard with the literal WHERE and with other policies, query by query.

use std::cell::Cell;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use deskguard_tests::server::Database;
use postgres::{Client, Row, SimpleQueryMessage, Statement};

use crate::desk::Agent;
use crate::measure::{Effort, Runner, Times, race};
use crate::queries::{Inputs, Query};
use crate::report::Report;
use crate::variants::{Desk, Session, Variant};

/// All queries as all of these agents.
pub fn queries(
    database: &Database,
    desk: Desk,
    agents: &[&Agent],
    queries: &[Query],
    effort: Effort,
    report: &mut Report,
) {
    let mut sessions: Vec<Session> = desk
        .variants()
        .into_iter()
        .map(|variant| Session::open(database, variant, desk))
        .collect();
    let inputs: Vec<Inputs> = agents
        .iter()
        .map(|agent| inputs(&mut sessions[0], agent))
        .collect();
    // Writing comes last, lest it changes what is read.
    let (writes, reads): (Vec<Query>, Vec<Query>) = queries.iter().partition(|q| q.writes());
    for query in reads.into_iter().chain(writes) {
        for (agent, inputs) in agents.iter().zip(&inputs) {
            for session in &mut sessions {
                session.become_agent(agent);
            }
            check_rows(&mut sessions, query, agent, inputs);
            let times = compare(&mut sessions, query, agent, inputs, effort);
            let variants = sessions.iter().map(|session| session.variant);
            let slow = report.compared(
                &desk.named(query.name()),
                &agent.name,
                variants.zip(times).collect(),
                |limit, deskguard| query.is_within_bound(desk, agent, limit, deskguard),
            );
            if slow && query != Query::Insert {
                explain(&mut sessions, query, agent, inputs, report);
            }
        }
    }
}

/// Keeps the plans of the limit and of deskguard, to see where they differ.
fn explain(
    sessions: &mut [Session],
    query: Query,
    agent: &Agent,
    inputs: &Inputs,
    report: &mut Report,
) {
    for session in sessions
        .iter_mut()
        .filter(|s| s.variant.is_limit() || s.variant == Variant::Deskguard)
    {
        let query = if query == Query::PointPrepared {
            Query::Point
        } else {
            query
        };
        let table = if query.writes() {
            session.written_table()
        } else {
            session.table_for(query)
        };
        let sql = query.sql(
            session.desk,
            &table,
            session.condition(agent).as_deref(),
            agent,
            inputs,
            0,
        );
        let client = &mut session.client;
        client.batch_execute("BEGIN").unwrap();
        let messages = client
            .simple_query(&format!("EXPLAIN (ANALYZE, TIMING OFF) {sql}"))
            .unwrap();
        client.batch_execute("ROLLBACK").unwrap();
        let lines = messages.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        let lines: Vec<&str> = lines.collect();
        let title = format!(
            "{}, {}, {}",
            session.desk.named(query.name()),
            agent.name,
            session.variant.name()
        );
        report.plan(&format!("{title}\n{sql}\n{}", lines.join("\n")));
    }
}

fn inputs(limit: &mut Session, agent: &Agent) -> Inputs {
    let condition = limit.condition(agent).unwrap_or_else(|| "true".into());
    let table = limit.table();
    let sql = format!(
        "SELECT id::text FROM {table} WHERE {condition} ORDER BY hashtext(id::text), id LIMIT 500"
    );
    let rows = limit.client.query(&sql, &[]).unwrap();
    let ids: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert!(!ids.is_empty(), "agent {} sees nothing", agent.name);
    let sql = format!(
        "SELECT updated_at::text, id::text FROM {table} WHERE status = 'open' AND {condition} \
         ORDER BY updated_at DESC, id DESC OFFSET 100 LIMIT 1"
    );
    let page = limit.client.query_opt(&sql, &[]).unwrap();
    // They are numbered from 1 on.
    let sql = format!("SELECT count(*) + 1 FROM {table}");
    let free_number: i64 = limit.client.query_one(&sql, &[]).unwrap().get(0);
    Inputs {
        ids,
        page: page.map(|row| (row.get(0), row.get(1))),
        free_number: Cell::new(free_number),
    }
}

/// How many rows an answer has, and a sum over all that is in them.
fn answer(client: &mut Client, sql: &str) -> (u64, u64) {
    let messages = client
        .simple_query(sql)
        .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let mut count = 0;
    let mut sum = 0u64;
    for message in &messages {
        match message {
            SimpleQueryMessage::Row(row) => {
                let mut hasher = DefaultHasher::new();
                for n in 0..row.len() {
                    row.get(n).hash(&mut hasher);
                }
                sum = sum.wrapping_add(hasher.finish());
                count += 1;
            }
            SimpleQueryMessage::CommandComplete(rows) if count == 0 => count = *rows,
            _ => {}
        }
    }
    (count, sum)
}

/// All variants must see and change the same rows.
fn check_rows(sessions: &mut [Session], query: Query, agent: &Agent, inputs: &Inputs) {
    let mut expected = None;
    for session in sessions {
        let condition = session.condition(agent);
        let condition = condition.as_deref();
        let found = if query == Query::Report {
            let table = session.table_for(query);
            let filter = condition.map_or_else(String::new, |c| format!("WHERE {c}"));
            let all = format!(
                "SELECT status, count(*), sum(hashtextextended(id::text, 0)) FROM {table} {filter} GROUP BY status"
            );
            vec![answer(&mut session.client, &all)]
        } else if query.writes() {
            session.client.batch_execute("BEGIN").unwrap();
            let table = session.written_table();
            let sql = query.sql(session.desk, &table, condition, agent, inputs, 0);
            let found = answer(&mut session.client, &sql);
            session.client.batch_execute("ROLLBACK").unwrap();
            vec![found]
        } else {
            let table = session.table_for(query);
            let query = if query == Query::PointPrepared {
                Query::Point
            } else {
                query
            };
            let desk = session.desk;
            let sql = |round| query.sql(desk, &table, condition, agent, inputs, round);
            let rounds = if query.is_by_key() { 3 } else { 1 };
            (0..rounds)
                .map(|round| answer(&mut session.client, &sql(round)))
                .collect()
        };
        let first = expected.get_or_insert_with(|| found.clone());
        assert_eq!(
            &found,
            first,
            "{} has other rows than the limit: {} as {}",
            session.variant.name(),
            query.name(),
            agent.name
        );
    }
}

fn compare(
    sessions: &mut [Session],
    query: Query,
    agent: &Agent,
    inputs: &Inputs,
    effort: Effort,
) -> Vec<Times> {
    let mut runners: Vec<Runner> = sessions
        .iter_mut()
        .map(|session| {
            let condition = session.condition(agent);
            let table = match query.writes() {
                true => session.written_table(),
                false => session.table_for(query),
            };
            let desk = session.desk;
            let sql =
                move |round| query.sql(desk, &table, condition.as_deref(), agent, inputs, round);
            let client = &mut session.client;
            match query {
                Query::PointPrepared => {
                    let statement = client.prepare(&sql(0)).unwrap();
                    let ids = inputs.ids.iter().map(|id| desk.keys.parameter(id));
                    let ids: Vec<_> = ids.collect();
                    Runner::new(move |round| {
                        let id = &*ids[round % ids.len()];
                        client.time(|client| drop(client.query(&statement, &[id]).unwrap()))
                    })
                }
                _ if query.writes() => Runner::new(move |round| {
                    client.simple_query("BEGIN").unwrap();
                    let time = client.time_statement(&sql(round));
                    client.simple_query("ROLLBACK").unwrap();
                    time
                }),
                _ => Runner::new(move |round| client.time_statement(&sql(round))),
            }
        })
        .collect();
    race(&mut runners, effort)
}

/// A pool that serves many agents with prepared statements: each transaction acts for another one.
pub fn agent_switch(
    database: &Database,
    desk: Desk,
    agents: &[Agent],
    effort: Effort,
    report: &mut Report,
) {
    let mut variants = desk.variants();
    variants.retain(|variant| *variant != Variant::LiteralPolicy);
    variants.push(Variant::LimitPrepared);
    let mut sessions: Vec<Session> = variants
        .iter()
        .map(|variant| Session::open(database, *variant, desk))
        .collect();
    let ids: Vec<i64> = {
        let sql = "SELECT id FROM plain.ticket ORDER BY hashint8(id), id LIMIT 500";
        let rows = sessions[0].client.query(sql, &[]).unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    };
    for (name, condition, order) in [
        ("point", "id = $1", ""),
        // The parameter is there for all statements to have one.
        (
            "queue",
            "status = 'open' AND id <> $1",
            "ORDER BY updated_at DESC LIMIT 50",
        ),
    ] {
        let mut pools: Vec<Pool> = sessions
            .iter_mut()
            .map(|session| Pool::new(session, agents, condition, order))
            .collect();
        for round in 0..10 {
            let mut answers = pools
                .iter_mut()
                .map(|pool| pool.transaction(round, ids[round]));
            let limit = answers.next();
            assert!(
                answers.all(|answer| Some(answer) == limit),
                "not all variants have the same rows: switch, {name}, agent {}",
                agents[round % agents.len()].id
            );
        }
        let mut runners: Vec<Runner> = pools
            .iter_mut()
            .map(|pool| {
                let ids = &ids;
                let watch = pool.session.client.watch();
                Runner::new(move |round| {
                    watch.time(|| drop(pool.transaction(round, ids[round % ids.len()])))
                })
            })
            .collect();
        let times = race(&mut runners, effort);
        let times = variants.iter().copied().zip(times).collect();
        let agents = format!("{} in turn", agents.len());
        report.compared(
            &format!("switch, {name}"),
            &agents,
            times,
            |limit, deskguard| deskguard <= limit * 1.10,
        );
    }
}

/// A connection that is used for one agent after the other.
struct Pool<'a> {
    session: &'a mut Session,
    agents: &'a [Agent],
    statements: Statements,
}

enum Statements {
    /// One for each agent, where the key is to be put in.
    Literal(Vec<String>),
    Prepared(Statement),
    /// What each agent may see is given as parameters.
    WithArrays(Statement),
}

impl<'a> Pool<'a> {
    fn new(session: &'a mut Session, agents: &'a [Agent], condition: &str, order: &str) -> Self {
        let select = format!(
            "SELECT id, subject, updated_at FROM {} WHERE {condition}",
            session.table()
        );
        let statements = match session.variant {
            Variant::Limit | Variant::LimitAny => {
                let conditions = agents.iter().map(|agent| session.condition(agent));
                let conditions =
                    conditions.map(|c| c.map_or_else(String::new, |c| format!("AND {c}")));
                Statements::Literal(
                    conditions
                        .map(|c| format!("{select} {c} {order}"))
                        .collect(),
                )
            }
            Variant::LimitPrepared => {
                let sql = format!(
                    "{select} AND category_id = ANY ($2::integer[]) \
                     AND (assignee_id = $3 OR team_id = ANY ($4::integer[]) \
                         OR department_id = ANY ($5::integer[]) \
                         OR department_id = ANY ($6::integer[]) AND assignee_id IS NULL AND team_id IS NULL) \
                     {order}"
                );
                Statements::WithArrays(session.client.prepare(&sql).unwrap())
            }
            _ => Statements::Prepared(
                session
                    .client
                    .prepare(&format!("{select} {order}"))
                    .unwrap(),
            ),
        };
        Pool {
            session,
            agents,
            statements,
        }
    }

    /// The ids that one transaction finds.
    fn transaction(&mut self, round: usize, key: i64) -> Vec<i64> {
        let number = round % self.agents.len();
        let agent = &self.agents[number];
        let client = &mut self.session.client;
        let setting = self.session.variant.setting();
        client
            .batch_execute(&format!("BEGIN; SET LOCAL {setting} = '{}'", agent.id))
            .unwrap();
        let found = match &self.statements {
            Statements::Literal(texts) => {
                let sql = texts[number].replace("$1", &key.to_string());
                let messages = client.simple_query(&sql).unwrap();
                let rows = messages.iter().filter_map(|message| match message {
                    SimpleQueryMessage::Row(row) => row.get(0),
                    _ => None,
                });
                rows.map(|id| id.parse().unwrap()).collect()
            }
            Statements::Prepared(statement) => ids(client.query(statement, &[&key])),
            Statements::WithArrays(statement) => {
                let categories = agent.seen_categories();
                let departments = agent.seen_departments();
                let (viewed, others) = match agent.views_assigned {
                    true => (departments, vec![]),
                    false => (vec![], departments),
                };
                ids(client.query(
                    statement,
                    &[&key, &categories, &agent.id, &agent.teams, &viewed, &others],
                ))
            }
        };
        client.batch_execute("COMMIT").unwrap();
        found
    }
}

fn ids(rows: Result<Vec<Row>, postgres::Error>) -> Vec<i64> {
    rows.unwrap().iter().map(|row| row.get(0)).collect()
}
