//! What a single backend pays: its first query, loading an agent, remembering it, single checks.

use std::time::Instant;

use deskguard_tests::server::{APP, Database};
use postgres::Client;

use crate::desk::Agent;
use crate::measure::{Connection, Effort, Runner, Times, Took, race};
use crate::report::Report;
use crate::variants::{DESK, Session, Variant};

/// The first queries of a new connection.
pub fn cold(database: &Database, agent: &Agent, effort: Effort, report: &mut Report) {
    report.title("A new connection: median ms");
    println!(
        "{:<14} {:>9} {:>12} {:>13}   (SELECT count(*) of a week, as {})",
        "", "connect", "first query", "second query", agent.name
    );
    let variants = [Variant::Limit, Variant::Deskguard, Variant::AnyArray];
    let mut times: Vec<[Vec<Took>; 3]> = variants.iter().map(|_| Default::default()).collect();
    for _ in 0..effort.repeat.max(5) * 3 {
        for (variant, times) in variants.iter().zip(&mut times) {
            // There is no backend yet whose processor time could be taken.
            let start = Instant::now();
            let mut session = Session::open(database, *variant, DESK);
            let passed = start.elapsed().as_secs_f64() * 1000.0;
            times[0].push(Took {
                busy: passed,
                passed,
            });
            session.become_agent(agent);
            let filter = session
                .condition(agent)
                .map_or_else(String::new, |c| format!("AND {c}"));
            let sql = format!(
                "SELECT count(*) FROM {} WHERE {} {filter}",
                session.table(),
                crate::desk::WEEK
            );
            times[1].push(session.client.time_statement(&sql));
            times[2].push(session.client.time_statement(&sql));
        }
    }
    for (variant, times) in variants.iter().zip(times) {
        let times = times.map(Times::of);
        let [connect, first, second] = [&times[0], &times[1], &times[2]].map(Times::median);
        println!(
            "{:<14} {connect:>9.2} {first:>12.2} {second:>13.2}",
            variant.name()
        );
        for (name, times) in ["connect", "first query", "second query"]
            .iter()
            .zip(&times)
        {
            report.note(name, &agent.name, variant.name(), times, None);
        }
    }
}

/// Ids of agents and categories that only this looks at.
const FIRST: i64 = 1_000_000;
const GRANTS: [i64; 5] = [0, 10, 100, 1_000, 10_000];

/// How long it takes to load an agent, and how much memory it needs, by its number of grants.
pub fn load(database: &Database, superuser: &mut Client, effort: Effort, report: &mut Report) {
    report.title("Loading an agent");
    println!(
        "{:>9} {:>10} {:>19} {:>10}   (categories granted to an agent; after a change of rights)",
        "grants", "load, ms", "quartiles", "bytes"
    );
    let most = GRANTS[GRANTS.len() - 1];
    superuser
        .batch_execute(&format!(
            "INSERT INTO deskguard.category (id, name)
             SELECT {FIRST} + n, 'Category ' || {FIRST} + n FROM generate_series(1, {most}) AS n;"
        ))
        .unwrap();
    for grants in GRANTS {
        superuser
            .batch_execute(&format!(
                "INSERT INTO deskguard.agent (id, name, category_access) VALUES ({FIRST} + {grants}, 'Much', 'silo');
                 INSERT INTO deskguard.group_member (group_id, agent_id) VALUES (101, {FIRST} + {grants});
                 INSERT INTO deskguard.agent_category (agent_id, category_id)
                 SELECT {FIRST} + {grants}, {FIRST} + n FROM generate_series(1, {grants}) AS n;"
            ))
            .unwrap();
    }
    // As autovacuum would.
    superuser
        .batch_execute("VACUUM ANALYZE deskguard.agent_category")
        .unwrap();
    for grants in GRANTS {
        let mut client = Connection::new(database.connect(APP));
        client
            .batch_execute(&format!(
                // Planning with many literals is another question.
                "SET deskguard.agent_id = '{}'; SET deskguard.fold = off",
                FIRST + grants
            ))
            .unwrap();
        let sql = "SELECT id FROM desk.ticket WHERE id = 1";
        let bytes = |client: &mut Client| -> i64 {
            let row = client.query_one("SELECT bytes FROM deskguard.cache_stats()", &[]);
            row.unwrap().get(0)
        };
        let mut times = vec![];
        for _ in 0..effort.repeat.max(5) * 3 {
            // A grant, so that external keys need not be loaded again.
            superuser
                .batch_execute(
                    "UPDATE deskguard.group_member SET group_id = group_id WHERE agent_id = 1",
                )
                .unwrap();
            let first = client.time_statement(sql);
            client.time_statement(sql);
            times.push(first - client.time_statement(sql));
        }
        let times = Times::of(times);
        println!(
            "{grants:>9} {:>10.3} {:>9.3}-{:>9.3} {:>10}",
            times.median(),
            times.quantile(0.25),
            times.quantile(0.75),
            bytes(&mut client)
        );
        report.note(
            "load",
            &format!("{grants} grants"),
            Variant::Deskguard.name(),
            &times,
            None,
        );
    }
}

/// The memory of a pooled backend that has served all agents.
pub fn memory(database: &Database, agents: &[Agent], report: &mut Report) {
    let mut client = Connection::new(database.connect(APP));
    client.batch_execute("SET deskguard.fold = off").unwrap();
    let mut times = vec![];
    for agent in agents {
        client
            .batch_execute(&format!("SET deskguard.agent_id = '{}'", agent.id))
            .unwrap();
        times.push(client.time_statement("SELECT id FROM desk.ticket WHERE id = 1"));
    }
    let row = client
        .query_one(
            "SELECT agents, bytes, loads, evictions FROM deskguard.cache_stats()",
            &[],
        )
        .unwrap();
    let [cached, bytes, loads, evictions] = [0, 1, 2, 3].map(|n| row.get::<_, i64>(n));
    let times = Times::of(times);
    report.title("Memory of a backend that has served all agents");
    println!(
        "{} agents served, {loads} loads, {evictions} evictions; {cached} cached in {bytes} bytes: {} each; \
         first point read of an agent {:.3} ms (median)",
        agents.len(),
        bytes / cached.max(1),
        times.median()
    );
    report.note(
        "first point read of each agent",
        "all in turn",
        Variant::Deskguard.name(),
        &times,
        None,
    );
}

/// Questions about single tickets and agents, in one backend.
pub fn checks(
    database: &Database,
    superuser: &mut Client,
    agents: &[&Agent],
    effort: Effort,
    report: &mut Report,
) {
    report.title("agent_can_view in a loop, microseconds for a call");
    superuser
        .batch_execute(
            "CREATE FUNCTION plain.time_checks(agent bigint, calls integer) RETURNS TABLE (milliseconds float8)
             LANGUAGE plpgsql AS $$
             DECLARE
                 ids bigint[] := ARRAY(SELECT id FROM plain.ticket ORDER BY hashint8(id), id LIMIT calls);
                 begun timestamptz;
                 answer boolean;
             BEGIN
                 FOR n IN 1..cardinality(ids) LOOP
                     begun := clock_timestamp();
                     answer := deskguard.agent_can_view(agent, ids[n], 'desk.ticket');
                     milliseconds := extract(epoch FROM clock_timestamp() - begun) * 1000;
                     RETURN NEXT;
                 END LOOP;
             END $$",
        )
        .unwrap();
    println!("{:<12} {:>8} {:>8} {:>8}", "agent", "p50", "p99", "q1");
    for agent in agents {
        let sql = "SELECT milliseconds FROM plain.time_checks($1, $2)";
        superuser.query(sql, &[&agent.id, &1000_i32]).unwrap();
        let rows = superuser.query(sql, &[&agent.id, &10_000_i32]).unwrap();
        let times = rows.iter().map(|row| row.get(0));
        let times = Times::of(
            times
                .map(|passed| Took {
                    busy: passed,
                    passed,
                })
                .collect(),
        );
        println!(
            "{:<12} {:>8.1} {:>8.1} {:>8.1}",
            agent.name,
            times.median() * 1000.0,
            times.quantile(0.99) * 1000.0,
            times.quantile(0.25) * 1000.0
        );
        report.note(
            "agent_can_view",
            &agent.name,
            Variant::Deskguard.name(),
            &times,
            None,
        );
    }

    report.title("All tickets of an agent, and all agents of a ticket: median ms");
    for agent in agents {
        let filter = agent
            .literal(DESK.keys, None)
            .map_or_else(String::new, |c| format!("WHERE {c}"));
        let statements = [
            format!("SELECT count(*), sum(id) FROM desk.ticket {filter}"),
            format!(
                "SELECT count(*), sum(id) FROM deskguard.visible_tickets({}, 'desk.ticket') AS id",
                agent.id
            ),
        ];
        let both: Vec<(i64, Option<String>)> = statements
            .iter()
            .map(|sql| {
                let row = superuser
                    .query_one(&sql.replace("sum(id)", "sum(id)::text"), &[])
                    .unwrap();
                (row.get(0), row.get(1))
            })
            .collect();
        assert_eq!(both[0], both[1], "visible_tickets of {}", agent.name);
        let clients: Vec<Connection> = (0..2)
            .map(|_| Connection::new(database.superuser()))
            .collect();
        let mut runners: Vec<Runner> = clients
            .into_iter()
            .zip(&statements)
            .map(|(mut client, sql)| Runner::new(move |_| client.time_statement(sql)))
            .collect();
        let times = race(&mut runners, effort);
        println!(
            "visible_tickets, {:<12} literal {:>9.3}, deskguard {:>9.3}: {:.2}",
            agent.name,
            times[0].median(),
            times[1].median(),
            times[1].ratio_to(&times[0])
        );
        report.note(
            "visible_tickets",
            &agent.name,
            Variant::Limit.name(),
            &times[0],
            None,
        );
        report.note(
            "visible_tickets",
            &agent.name,
            Variant::Deskguard.name(),
            &times[1],
            None,
        );
    }
    let sql = "SELECT count(*) FROM deskguard.agents_who_can('view', 1, 'desk.ticket')";
    let row = superuser
        .query_one("SELECT count(*) FROM deskguard.agent", &[])
        .unwrap();
    let mut client = Connection::new(database.superuser());
    let times = race(
        &mut [Runner::new(move |_| client.time_statement(sql))],
        effort,
    );
    println!(
        "agents_who_can, {} agents: {:.3}",
        row.get::<_, i64>(0),
        times[0].median()
    );
    report.note(
        "agents_who_can",
        "",
        Variant::Deskguard.name(),
        &times[0],
        None,
    );
}
