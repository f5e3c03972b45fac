//! Workers of parallel plans.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use deskguard_tests::ident;
use deskguard_tests::lab::{act_for, app, code, is_retry, run, say, texts, value};
use deskguard_tests::server::{APP, Database, MAPPED};
use deskguard_tests::small_desk::{ANN, BOB, PLAIN, SELECT, both_ways, seen};
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

            // Workers that find other rights than their leader's refuse. The leader reads no rows itself.
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
            match transaction.query_portal(&portal, 0) {
                // As when no worker was to be had.
                Ok(rows) => assert_eq!(rows.len(), of_cid.len()),
                refused => assert_eq!(code(refused), SqlState::T_R_SERIALIZATION_FAILURE),
            }
            drop(transaction);
            superuser
                .batch_execute("DELETE FROM deskguard.agent_department WHERE (agent_id, department_id) = (3, 2)")
                .unwrap();
        }
    }
}

/// Lists too long for a plan are asked in each process: all of them have those of the leader's state.
#[test]
fn an_answer_never_has_two_states_of_the_rights() {
    const CHANGES: usize = 200;
    let database = Database::with_deskguard("two_states");
    let mut superuser = database.superuser();
    // Agent 1 has the odd categories or the even ones.
    run(
        &mut superuser,
        &format!(
            "CREATE TABLE public.ticket (id bigint PRIMARY KEY, category_id bigint) WITH (parallel_workers = 3);
             INSERT INTO public.ticket SELECT i, i % 800 FROM generate_series(1, 40000) AS i;
             INSERT INTO deskguard.category (id, name) SELECT i, 'C' FROM generate_series(0, 799) AS i;
             INSERT INTO deskguard.agent (id, name) VALUES (1, 'A');
             INSERT INTO deskguard.agent_permission VALUES (1, 'ticket.use'), (1, 'ticket.view.unassigned');
             INSERT INTO deskguard.agent_category SELECT 1, i FROM generate_series(0, 799, 2) AS i;
             SELECT deskguard.protect_tickets('public.ticket', category_column => 'category_id');
             GRANT SELECT ON public.ticket TO {APP};
             ANALYZE"
        ),
    );
    let mut client = app(&database, 1);
    always_parallel(&mut client);
    run(&mut client, "SET deskguard.fold_limit = 100");
    let sql = "SELECT count(*) FILTER (WHERE category_id % 2 = 0), count(*) FILTER (WHERE category_id % 2 = 1)
               FROM public.ticket";
    let plan = texts(
        &mut client,
        &format!("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {sql}"),
    );
    let has = |part: &str| plan.iter().any(|line| line.contains(part));
    assert!(has("has_category") && has("Workers Launched: "), "{plan:?}");

    let is_over = AtomicBool::new(false);
    let mut seen: BTreeMap<(i64, i64), usize> = BTreeMap::new();
    let mut retries = 0;
    thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..CHANGES {
                let shift = if n % 2 == 0 { 1 } else { -1 };
                run(
                    &mut superuser,
                    &format!(
                        "UPDATE deskguard.agent_category SET category_id = category_id + {shift}"
                    ),
                );
                thread::sleep(Duration::from_millis(20));
            }
            is_over.store(true, Ordering::Relaxed);
        });
        let statement = client.prepare(sql).unwrap();
        while !is_over.load(Ordering::Relaxed) {
            match client.query_one(&statement, &[]) {
                Ok(row) => *seen.entry((row.get(0), row.get(1))).or_default() += 1,
                Err(error) if is_retry(&error) => retries += 1,
                Err(error) => panic!("{error:?}"),
            }
        }
    });
    say(&format!(
        "{CHANGES} changes: {seen:?}, {retries} to be retried"
    ));
    let whole = [(20000, 0), (0, 20000)];
    assert!(seen.keys().all(|counts| whole.contains(counts)), "{seen:?}");
    assert_eq!(seen.len(), 2, "{seen:?}");
}
