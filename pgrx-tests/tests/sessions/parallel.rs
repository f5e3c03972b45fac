//! Workers of parallel plans.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use deskguard_tests::lab::{act_for, app, code, is_retry, run, say, texts, value};
use deskguard_tests::server::{APP, Database, MAPPED};
use deskguard_tests::small_desk::{ANN, BOB, CID, PLAIN, SELECT, both_ways, help_desk, seen};
use deskguard_tests::{ident, literal};
use postgres::Client;
use postgres::error::SqlState;

#[test]
fn parallel_workers_know_the_agent() {
    for database in both_ways(PLAIN) {
        let mut superuser = database.superuser();
        superuser
        .batch_execute(
            "INSERT INTO desk.ticket (id, department_id, category_id, assignee_id, team_id)
             SELECT 1000 + n, nullif(n % 4, 0), nullif(n % 3, 0), nullif(n % 5, 0), nullif(n % 7 / 6, 0)
             FROM generate_series(1, 4000) AS n;
             INSERT INTO desk.follower SELECT 1000 + n, n % 3 + 1 FROM generate_series(1, 4000, 9) AS n;
             ANALYZE desk.ticket",
        )
        .unwrap();
        for (agent, role) in [
            (Some(ANN), APP),
            (Some(BOB), APP),
            (None, MAPPED[0]),
            (None, APP),
        ] {
            let mut client = database.connect(role);
            if let Some(agent) = agent {
                act_for(&mut client, agent);
            }
            let serial = seen(&mut client);
            always_parallel(&mut client);
            let plan = client.query(&format!("EXPLAIN {SELECT}"), &[]).unwrap();
            let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
            assert!(
                serial.is_empty() || plan.iter().any(|line| line.contains("Gather")),
                "not a parallel plan: {plan:?}"
            );
            for _ in 0..3 {
                assert_eq!(seen(&mut client), serial, "agent {agent:?}");
            }
            let counted: i64 = value(&mut client, "SELECT count(*) FROM desk.ticket");
            assert_eq!(counted as usize, serial.len(), "agent {agent:?}");
            if agent == Some(ANN) {
                assert!(serial.len() > 100);
                // A switch inside of a transaction reaches the workers.
                client
                    .batch_execute("BEGIN; SELECT deskguard.set_agent(2)")
                    .unwrap();
                let as_bob = seen(&mut client);
                client.batch_execute("COMMIT").unwrap();
                assert_eq!(as_bob, seen(&mut app(&database, BOB)));
                assert_eq!(seen(&mut client), serial);
            }
        }
    }
}

/// Plans for parallel workers from now on, however little they gain.
fn always_parallel(client: &mut Client) {
    let row = client
        .query_one("SELECT current_setting('server_version_num')::int", &[])
        .unwrap();
    let force = if row.get::<_, i32>(0) >= 160_000 {
        "debug_parallel_query"
    } else {
        "force_parallel_mode"
    };
    client
        .batch_execute(&format!(
            "SET {force} = on; SET max_parallel_workers_per_gather = 3;
             SET min_parallel_table_scan_size = 0; SET min_parallel_index_scan_size = 0;
             SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0;"
        ))
        .unwrap();
}

#[test]
fn parallel_workers_act_for_whom_the_statement_was_bound() {
    for database in both_ways(PLAIN) {
        let mut superuser = database.superuser();
        superuser
            .batch_execute(
                "INSERT INTO desk.ticket (id, department_id, category_id)
                 SELECT 1000 + n, n % 4, n % 3 FROM generate_series(1, 4000) AS n;
                 INSERT INTO desk.follower SELECT 1000 + n, n % 3 + 1 FROM generate_series(1, 4000, 9) AS n;
                 UPDATE deskguard.agent SET db_role = 'Deskguard \"Test\" Röle' WHERE id = 1;
                 ANALYZE desk.ticket",
            )
            .unwrap();
        let [cid, ann] = MAPPED.map(ident);
        for limit in [0, 300] {
            let mut client = database.connect(APP);
            let set = format!("SET deskguard.fold_limit = {limit}; SET ROLE {cid}");
            client.batch_execute(&set).unwrap();
            always_parallel(&mut client);
            let of_cid = seen(&mut client);
            assert!(of_cid.len() > 100);
            // Its rights change while the statement waits, and so does the user: it goes on as it began.
            let mut transaction = client.transaction().unwrap();
            let statement = transaction.prepare(SELECT).unwrap();
            let portal = transaction.bind(&statement, &[]).unwrap();
            transaction
                .batch_execute(&format!("SET ROLE {ann}"))
                .unwrap();
            let rows = transaction.query_portal(&portal, 0).unwrap();
            let found: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
            assert_eq!(found, of_cid);
            transaction.commit().unwrap();

            // So do its workers, which begin later. The leader reads no rows itself.
            let set = format!("SET parallel_leader_participation = off; SET ROLE {cid}");
            client.batch_execute(&set).unwrap();
            let mut transaction = client.transaction().unwrap();
            let statement = transaction.prepare(SELECT).unwrap();
            let portal = transaction.bind(&statement, &[]).unwrap();
            superuser
                .batch_execute("INSERT INTO deskguard.agent_department VALUES (3, 2, 'full')")
                .unwrap();
            let by_new_rights = seen(&mut database.connect(MAPPED[0]));
            assert!(by_new_rights.len() > of_cid.len());
            let rows = transaction.query_portal(&portal, 0).unwrap();
            let found: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
            assert_eq!(found, of_cid);
            drop(transaction);
            superuser
                .batch_execute("DELETE FROM deskguard.agent_department WHERE (agent_id, department_id) = (3, 2)")
                .unwrap();
        }
    }
}

/// What runs within a statement, in its leader or its workers, is no part of it: neither acts it for the agent of that
/// statement, nor does it learn that agent's rights.
#[test]
fn what_a_leader_tells_is_for_the_workers_of_its_statement() {
    let database = help_desk(PLAIN);
    let [cid, ann] = MAPPED.map(ident);
    run(
        &mut database.superuser(),
        &format!(
            "UPDATE deskguard.agent SET db_role = {} WHERE id = {ANN};
             INSERT INTO desk.ticket (id, department_id, category_id) SELECT 1000 + n, n % 4, n % 3 FROM generate_series(1, 4000) AS n;
             CREATE TABLE public.plain WITH (parallel_workers = 2) AS SELECT generate_series(1, 5000) AS id;
             ANALYZE desk.ticket, public.plain;
             GRANT ALL ON SCHEMA public TO {cid};
             SET ROLE {cid};
             CREATE FUNCTION public.agents() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER AS
                 'SELECT min(deskguard.current_agent() + 0 * id)::text FROM public.plain';
             CREATE FUNCTION public.agents(bigint) RETURNS text LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
             SECURITY DEFINER AS
                 'BEGIN RETURN (SELECT min(deskguard.current_agent() + 0 * id)::text FROM public.plain); END';
             CREATE FUNCTION public.told() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER AS
                 'SELECT current_setting(''deskguard.leader'')';
             CREATE TABLE public.indexed WITH (parallel_workers = 2) AS SELECT generate_series(1, 1000) AS id;
             CREATE FUNCTION public.checked(id int) RETURNS int LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS
                 'DECLARE agents text := public.agents(); BEGIN
                     IF agents <> ''{CID}'' THEN RAISE ''for %'', agents; END IF;
                     RETURN id;
                 END';
             CREATE FUNCTION public.make_index(bigint) RETURNS text LANGUAGE plpgsql VOLATILE PARALLEL RESTRICTED
             SECURITY DEFINER AS 'BEGIN CREATE INDEX ON public.indexed (public.checked(id)); RETURN $1; END';
             RESET ROLE;
             GRANT SELECT ON public.plain TO {cid}, {ann}",
            literal(MAPPED[1])
        ),
    );
    let mut client = database.connect(MAPPED[1]);
    always_parallel(&mut client);
    run(
        &mut client,
        "SET parallel_leader_participation = off; SET deskguard.fold_limit = 0",
    );
    let of_ann = seen(&mut client);
    assert!(of_ann.len() > 100);
    for (asked, answer) in [
        (
            "min(deskguard.current_agent() + 0 * id)::text",
            ANN.to_string(),
        ),
        ("DISTINCT public.agents()", CID.to_string()),
        (
            "DISTINCT current_setting('deskguard.leader')",
            String::new(),
        ),
        ("DISTINCT public.told()", String::new()),
    ] {
        let sql = format!("SELECT {asked} FROM desk.ticket WHERE id % 10 = 0");
        let plan = texts(&mut client, &format!("EXPLAIN {sql}"));
        assert!(plan.iter().any(|line| line.contains("Gather")), "{plan:?}");
        assert_eq!(texts(&mut client, &sql), [answer], "{asked}");
    }
    // A statement of which the client reads some rows at a time runs without workers. A query and an index that is made
    // meanwhile have some, which run code of others.
    run(&mut client, "SET max_parallel_maintenance_workers = 2");
    for (called, answer) in [
        ("agents", CID.to_string()),
        ("make_index", of_ann.len().to_string()),
    ] {
        let mut transaction = client.transaction().unwrap();
        let sql = format!("SELECT public.{called}(count(*)) FROM desk.ticket");
        let portal = transaction.bind(&sql, &[]).unwrap();
        let rows = transaction.query_portal(&portal, 1).unwrap();
        assert_eq!(rows[0].get::<_, String>(0), answer, "{called}");
        transaction.rollback().unwrap();
    }
    // An error in a worker takes all back.
    let failing = "SELECT count(*) FROM desk.ticket WHERE 1 / (id - id) = 1";
    let error = code(client.batch_execute(failing));
    assert_eq!(error, SqlState::DIVISION_BY_ZERO);
    assert_eq!(
        texts(&mut client, "SELECT public.agents()"),
        [CID.to_string()]
    );
    assert_eq!(seen(&mut client), of_ann);
}

const CHANGES: usize = 200;

/// A help desk under constant changes: what is asked, and what is changed to and fro.
struct Changing {
    label: &'static str,
    setup: &'static str,
    /// What each answer counts of a table: what the agent has at the one time and at the other.
    sql: &'static str,
    /// Part of the plan.
    call: &'static str,
    /// With the shift, 1 or -1, in place of `$`.
    change: &'static str,
    /// All of one of the two.
    whole: i64,
    /// How many statements may have to be retried at most: where the leader loads what it asks as they begin.
    retries: usize,
}

const NUMBERS: Changing = Changing {
    label: "numbers",
    setup: "
CREATE TABLE public.ticket (id bigint PRIMARY KEY, category_id bigint) WITH (parallel_workers = 3);
INSERT INTO public.ticket SELECT i, i % 800 FROM generate_series(1, 40000) AS i;
INSERT INTO deskguard.agent_category SELECT 1, i FROM generate_series(0, 799, 2) AS i;
SELECT deskguard.protect_tickets('public.ticket', category_column => 'category_id');",
    sql: "
SELECT count(*) FILTER (WHERE category_id % 2 = 0), count(*) FILTER (WHERE category_id % 2 = 1) FROM public.ticket",
    call: "has_category",
    change: "UPDATE deskguard.agent_category SET category_id = category_id + $",
    whole: 20000,
    retries: 0,
};

/// The agent has the same categories, which get other keys.
const KEYS: Changing = Changing {
    label: "keys",
    setup: "
CREATE TABLE public.ticket (id bigint PRIMARY KEY, category_id text) WITH (parallel_workers = 3);
INSERT INTO public.ticket SELECT i, i % 800 FROM generate_series(1, 40000) AS i;
UPDATE deskguard.category SET external_key = 2 * id WHERE id < 400;
INSERT INTO deskguard.agent_category SELECT 1, i FROM generate_series(0, 399) AS i;
SELECT deskguard.protect_tickets('public.ticket', category_column => 'category_id');",
    sql: "
SELECT count(*) FILTER (WHERE category_id::int % 2 = 0), count(*) FILTER (WHERE category_id::int % 2 = 1)
FROM public.ticket",
    call: "has_category",
    change: "UPDATE deskguard.category SET external_key = external_key::int + $ WHERE id < 400",
    whole: 20000,
    retries: 0,
};

const SHARED: Changing = Changing {
    label: "shared",
    setup: "
CREATE TABLE public.filter (id bigint PRIMARY KEY) WITH (parallel_workers = 3);
INSERT INTO public.filter SELECT generate_series(0, 9999);
SELECT deskguard.protect_shared('public.filter');
INSERT INTO deskguard.shared_visibility (object_table, object_id, agent_id)
    SELECT 'public.filter'::regclass, i, 1 FROM generate_series(0, 799, 2) AS i;",
    sql: "
SELECT count(*) FILTER (WHERE id % 2 = 0), count(*) FILTER (WHERE id % 2 = 1) FROM public.filter",
    call: "shared_objects",
    change: "UPDATE deskguard.shared_visibility SET object_id = object_id + $",
    whole: 400,
    retries: CHANGES / 4,
};

/// Lists too long for a plan are asked in each process: all of them have those of the leader's state, and none of the
/// workers refuses because there is another by now.
#[test]
fn an_answer_never_has_two_states_of_the_rights() {
    for desk in [NUMBERS, KEYS, SHARED] {
        under_changes(&desk);
    }
}

fn under_changes(desk: &Changing) {
    let database = Database::with_deskguard("two_states");
    let mut superuser = database.superuser();
    run(
        &mut superuser,
        &format!(
            "INSERT INTO deskguard.category (id, name) SELECT i, 'C' FROM generate_series(0, 799) AS i;
             INSERT INTO deskguard.agent (id, name) VALUES (1, 'A');
             INSERT INTO deskguard.agent_permission VALUES (1, 'ticket.use'), (1, 'ticket.view.unassigned');
             {}
             GRANT SELECT ON ALL TABLES IN SCHEMA public TO {APP};
             ANALYZE",
            desk.setup
        ),
    );
    let mut client = app(&database, 1);
    always_parallel(&mut client);
    run(&mut client, "SET deskguard.fold_limit = 100");
    let plan = texts(
        &mut client,
        &format!("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {}", desk.sql),
    );
    let has = |part: &str| plan.iter().any(|line| line.contains(part));
    assert!(has(desk.call) && has("Workers Launched: "), "{plan:?}");

    let is_over = AtomicBool::new(false);
    let mut seen: BTreeMap<(i64, i64), usize> = BTreeMap::new();
    let mut retries = 0;
    thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..CHANGES {
                let shift = if n % 2 == 0 { "1" } else { "-1" };
                run(&mut superuser, &desk.change.replace('$', shift));
                thread::sleep(Duration::from_millis(20));
            }
            is_over.store(true, Ordering::Relaxed);
        });
        let statement = client.prepare(desk.sql).unwrap();
        while !is_over.load(Ordering::Relaxed) {
            match client.query_one(&statement, &[]) {
                Ok(row) => *seen.entry((row.get(0), row.get(1))).or_default() += 1,
                Err(error) if is_retry(&error) => {
                    let context = error.as_db_error().and_then(|error| error.where_());
                    assert_eq!(context, None, "a worker refuses");
                    retries += 1;
                }
                Err(error) => panic!("{error:?}"),
            }
        }
    });
    say(&format!(
        "{}: {CHANGES} changes: {seen:?}, {retries} to be retried",
        desk.label
    ));
    let whole = [(desk.whole, 0), (0, desk.whole)];
    assert!(seen.keys().all(|counts| whole.contains(counts)), "{seen:?}");
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!(retries <= desk.retries, "{retries}");
}
