//! Whether it pays to make the rules part of plans, and up to how many literals.

use deskguard_tests::server::{APP, Database};
use postgres::Client;

use crate::desk::{Agent, WEEK, zipf};
use crate::measure::{Connection, Effort, Runner, Times, race};
use crate::report::Report;
use crate::variants::Desk;

const OFF: &str = "SET deskguard.fold = off";
const ON: &str = "SET deskguard.fold = on; SET deskguard.fold_limit = 2147483647";
const BEYOND_LIMIT: &str = "SET deskguard.fold_limit = 0";

/// Compares both ways. Milliseconds: folded, and with this setting not folded.
fn both_ways(
    database: &Database,
    agent: i64,
    not_folded: &str,
    sql: &str,
    effort: Effort,
) -> [Times; 2] {
    let mut runners: Vec<Runner> = [ON, not_folded]
        .iter()
        .map(|setting| {
            let mut client = Connection::new(database.connect(APP));
            client
                .batch_execute(&format!("{setting}; SET deskguard.agent_id = '{agent}'"))
                .unwrap();
            Runner::new(move |_| client.time_statement(sql))
        })
        .collect();
    let mut times = race(&mut runners, effort).into_iter();
    [(); 2].map(|()| times.next().expect("both ran"))
}

fn note(report: &mut Report, query: &str, agent: &str, times: &[Times; 2]) -> f64 {
    let ratio = times[1].ratio_to(&times[0]);
    report.note(query, agent, "folded", &times[0], None);
    report.note(query, agent, "not folded", &times[1], Some(ratio));
    ratio
}

/// The compared agents with deskguard.fold on and off.
pub fn on_and_off(database: &Database, agents: &[&Agent], effort: Effort, report: &mut Report) {
    report.title("deskguard.fold on: median ms, and off as its multiple");
    println!(
        "{:<12} {:>18} {:>18} {:>18} {:>18}",
        "agent", "point", "queue", "report", "week"
    );
    let statements = [
        (
            "point",
            "SELECT id, subject FROM desk.ticket WHERE id = 4711".to_string(),
        ),
        (
            "queue",
            "SELECT id FROM desk.ticket WHERE status = 'open' ORDER BY updated_at DESC LIMIT 50"
                .into(),
        ),
        (
            "report",
            "SELECT status, count(*) FROM desk.ticket GROUP BY status".into(),
        ),
        (
            "week",
            format!("SELECT count(*) FROM desk.ticket WHERE {WEEK}"),
        ),
    ];
    for agent in agents {
        let mut cells = vec![];
        for (name, sql) in &statements {
            let times = both_ways(database, agent.id, OFF, sql, effort);
            let ratio = note(report, &format!("fold, {name}"), &agent.name, &times);
            cells.push(format!("{:>11.3} x {ratio:<4.2}", times[0].median()));
        }
        println!("{:<12} {}", agent.name, cells.join(" "));
    }
}

/// These agents when every list is too long to be literals, in help desks with different keys.
pub fn beyond_limit(
    database: &Database,
    desks: [Desk; 2],
    agents: &[&Agent],
    effort: Effort,
    report: &mut Report,
) {
    report.title(
        "Lists longer than deskguard.fold_limit: median ms of literals, and lists as its multiple",
    );
    let statements = [
        (
            "queue",
            "SELECT id",
            "WHERE status = 'open' ORDER BY updated_at DESC LIMIT 50",
        ),
        ("report", "SELECT status, count(*)", "GROUP BY status"),
    ];
    let cases = || {
        let of_desk = |desk: Desk| {
            statements.map(|(name, select, rest)| {
                (
                    desk.named(name),
                    format!("{select} FROM {}.ticket {rest}", desk.schema),
                )
            })
        };
        desks.into_iter().flat_map(of_desk)
    };
    let heads = cases().map(|(name, _)| format!("{name:>18}"));
    println!("{:<12} {}", "agent", heads.collect::<Vec<_>>().join(" "));
    for agent in agents {
        let cells = cases().map(|(name, sql)| {
            let times = both_ways(database, agent.id, BEYOND_LIMIT, &sql, effort);
            let ratio = note(
                report,
                &format!("beyond the limit, {name}"),
                &agent.name,
                &times,
            );
            format!("{:>11.3} x {ratio:<4.2}", times[0].median())
        });
        println!("{:<12} {}", agent.name, cells.collect::<Vec<_>>().join(" "));
    }
}

const CATEGORIES: i64 = 20_000;
const SIZES: [i64; 8] = [10, 30, 100, 300, 1_000, 3_000, 10_000, 20_000];
/// Ids of agents and categories that only this looks at.
const FIRST: i64 = 2_000_000;

/// Agents with ever more categories, to find where literals cost more than they gain.
pub fn limit(
    database: &Database,
    superuser: &mut Client,
    tickets: i64,
    effort: Effort,
    report: &mut Report,
) {
    let tickets = tickets.min(300_000);
    report.title(&format!(
        "How many literals pay: {CATEGORIES} categories, {tickets} tickets; median ms folded / not folded"
    ));
    let category = zipf("random()", CATEGORIES, 0.8);
    superuser
        .batch_execute(&format!(
            "SELECT setseed(0.42);
             CREATE SCHEMA many; GRANT USAGE ON SCHEMA many TO PUBLIC;
             CREATE TABLE many.ticket AS
             SELECT id, subject, status, {FIRST} + {category} AS category_id, created_at, updated_at
             FROM plain.ticket WHERE id <= {tickets} ORDER BY id;
             ALTER TABLE many.ticket ADD PRIMARY KEY (id);
             CREATE INDEX ON many.ticket (category_id);
             CREATE INDEX ON many.ticket (updated_at);
             GRANT SELECT ON many.ticket TO PUBLIC;
             INSERT INTO deskguard.category (id, name)
             SELECT {FIRST} + n, 'Category ' || {FIRST} + n FROM generate_series(1, {CATEGORIES}) AS n;
             SELECT deskguard.protect_tickets('many.ticket', category_column => 'category_id')"
        ))
        .unwrap();
    for size in SIZES {
        // Frequent and rare ones.
        superuser
            .batch_execute(&format!(
                "INSERT INTO deskguard.agent (id, name, category_access) VALUES ({FIRST} + {size}, 'Much', 'silo');
                 INSERT INTO deskguard.group_member (group_id, agent_id) VALUES (101, {FIRST} + {size});
                 INSERT INTO deskguard.agent_category (agent_id, category_id)
                 SELECT {FIRST} + {size}, {FIRST} + 1 + (n * {CATEGORIES} / {size} + {CATEGORIES} / {size} / 2) % {CATEGORIES}
                 FROM generate_series(0, {size} - 1) AS n;"
            ))
            .unwrap();
    }
    superuser
        .batch_execute("VACUUM ANALYZE many.ticket")
        .unwrap();
    superuser
        .batch_execute("VACUUM ANALYZE deskguard.agent_category")
        .unwrap();
    println!(
        "{:>10} {:>24} {:>24} {:>24}   (a point read is nearly all planning)",
        "categories", "point", "queue", "report"
    );
    let statements = [
        ("point", "SELECT id FROM many.ticket WHERE id = 4711"),
        (
            "queue",
            "SELECT id FROM many.ticket WHERE status = 'open' ORDER BY updated_at DESC LIMIT 50",
        ),
        (
            "report",
            "SELECT status, count(*) FROM many.ticket GROUP BY status",
        ),
    ];
    for size in SIZES {
        let mut cells = vec![];
        for (name, sql) in statements {
            let times = both_ways(database, FIRST + size, OFF, sql, effort);
            note(
                report,
                &format!("literals, {name}"),
                &format!("{size} categories"),
                &times,
            );
            cells.push(format!(
                "{:>11.3} / {:>10.3}",
                times[0].median(),
                times[1].median()
            ));
        }
        println!("{size:>10} {}", cells.join(" "));
    }
}
