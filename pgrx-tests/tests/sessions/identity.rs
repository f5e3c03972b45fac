//! Who a session acts for.

use deskguard_tests::ident;
use deskguard_tests::lab::{act_for, app, code, ids};
use deskguard_tests::server::{APP, Database, MAPPED, OWNER, STRANGER};
use deskguard_tests::small_desk::{
    ANN, BOB, CID, DEE, EVE, HELP_DESK, MAX, NOTHING, PARTITIONED, PLAIN, SEEN_BY_ANN, SEEN_BY_BOB,
    SEEN_BY_CID, SEEN_BY_DEE, SEEN_BY_MAX, SELECT, both_ways, help_desk, seen,
};
use postgres::Client;
use postgres::error::SqlState;

#[test]
fn each_agent_sees_its_tickets() {
    for table in [PLAIN, PARTITIONED] {
        let database = help_desk(table);
        assert_eq!(seen(&mut app(&database, ANN)), SEEN_BY_ANN);
        assert_eq!(seen(&mut app(&database, BOB)), SEEN_BY_BOB);
        assert_eq!(seen(&mut app(&database, CID)), SEEN_BY_CID);
        assert_eq!(seen(&mut app(&database, DEE)), SEEN_BY_DEE);
        assert_eq!(seen(&mut app(&database, EVE)), NOTHING);
        assert_eq!(seen(&mut app(&database, MAX)), SEEN_BY_MAX);
        assert_eq!(seen(&mut app(&database, 77)), NOTHING);
        assert_eq!(seen(&mut database.connect(APP)), NOTHING);
        assert_eq!(seen(&mut database.connect(MAPPED[0])), SEEN_BY_CID);
        assert_eq!(seen(&mut database.connect(MAPPED[1])), NOTHING);
        assert_eq!(seen(&mut database.connect(STRANGER)), NOTHING);
        // Its owner is nobody in the help desk, and RLS is forced.
        assert_eq!(seen(&mut database.connect(OWNER)), NOTHING);
    }
}

#[test]
fn a_ready_made_help_desk_is_protected() {
    let database = Database::with_deskguard("sessions");
    let mut superuser = database.superuser();
    superuser
        .batch_execute(&format!(
            "GRANT CREATE ON DATABASE {} TO {OWNER}; {HELP_DESK}",
            database.name()
        ))
        .unwrap();
    database
        .connect(OWNER)
        .batch_execute(&format!(
            "SELECT deskguard.create_help_desk('desk');
             GRANT USAGE ON SCHEMA desk TO {APP};
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA desk TO {APP}"
        ))
        .unwrap();
    let mut ann = app(&database, ANN);
    let insert =
        "INSERT INTO desk.ticket (subject, department_id, category_id) VALUES ('a', $1, 1)";
    assert_eq!(ann.execute(insert, &[&1i64]).unwrap(), 1);
    let refused = code(ann.execute(insert, &[&3i64]));
    assert_eq!(refused, SqlState::INSUFFICIENT_PRIVILEGE);
    assert_eq!(seen(&mut ann).len(), 1);
    assert_eq!(seen(&mut app(&database, BOB)), NOTHING);
    assert_eq!(seen(&mut database.connect(APP)), NOTHING);

    let ticket = seen(&mut ann)[0];
    let follow = "INSERT INTO desk.ticket_follower (ticket_id, agent_id) VALUES ($1, $2)";
    assert_eq!(ann.execute(follow, &[&ticket, &DEE]).unwrap(), 1);
    assert_eq!(seen(&mut app(&database, DEE)), [ticket]);
    let refused = code(app(&database, BOB).execute(follow, &[&ticket, &BOB]));
    assert_eq!(refused, SqlState::INSUFFICIENT_PRIVILEGE);
}

#[test]
fn an_untrusted_session_cannot_say_who_it_is() {
    for database in both_ways(PLAIN) {
        for (role, own_rows) in [(STRANGER, &NOTHING[..]), (MAPPED[0], &SEEN_BY_CID)] {
            let (mut client, notices) = database.connect_and_listen(role);
            assert_eq!(seen(&mut client), own_rows);
            assert_eq!(notices.warnings(), [""; 0]);
            act_for(&mut client, MAX);
            for _ in 0..3 {
                assert_eq!(seen(&mut client), own_rows);
            }
            act_for(&mut client, ANN);
            assert_eq!(seen(&mut client), own_rows);
            client
                .batch_execute("BEGIN; SET LOCAL deskguard.agent_id = '9'")
                .unwrap();
            assert_eq!(seen(&mut client), own_rows);
            client.batch_execute("COMMIT").unwrap();
            let warnings = notices.warnings();
            assert_eq!(warnings.len(), 1, "one WARNING, once: {warnings:?}");
            // Workers of a parallel query say nothing of their own.
            client
                .batch_execute(
                    "SET max_parallel_workers_per_gather = 3; SET min_parallel_table_scan_size = 0;
                 SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0",
                )
                .unwrap();
            assert_eq!(seen(&mut client), own_rows);
            assert_eq!(notices.warnings(), warnings);
            // set_agent is only another way to set it.
            let _ = client.batch_execute("SELECT deskguard.set_agent(9, false)");
            assert_eq!(seen(&mut client), own_rows);
        }
        // Not by the back door of the connection's options or of the role's settings either.
        let mut client = database
            .try_connect(STRANGER, "-c deskguard.agent_id=9")
            .unwrap();
        assert_eq!(seen(&mut client), NOTHING);
    }
}

#[test]
fn what_is_no_number_is_refused() {
    for database in both_ways(PLAIN) {
        let mut client = database.connect(APP);
        for wrong in ["x", "1x", "1.5", "99999999999999999999", "1 2", "0x1g"] {
            let set = format!("SET deskguard.agent_id = '{wrong}'");
            let refused = code(client.batch_execute(&set));
            assert_eq!(refused, SqlState::INVALID_PARAMETER_VALUE, "{set}");
        }
        assert_eq!(seen(&mut client), NOTHING);
        act_for(&mut client, ANN);
        let refused = code(client.batch_execute("SET deskguard.agent_id = 'x'"));
        assert_eq!(refused, SqlState::INVALID_PARAMETER_VALUE);
        assert_eq!(seen(&mut client), SEEN_BY_ANN);
        client.batch_execute("SET deskguard.agent_id = ''").unwrap();
        assert_eq!(seen(&mut client), NOTHING);

        // In the connection's options, where it cannot be refused: nobody.
        if let Ok(mut client) = database.try_connect(APP, "-c deskguard.agent_id=x") {
            assert_eq!(seen(&mut client), NOTHING);
        }
        let mut client = database
            .try_connect(APP, "-c deskguard.agent_id=1")
            .unwrap();
        assert_eq!(seen(&mut client), SEEN_BY_ANN);
    }
}

#[test]
fn set_local_ends_with_its_transaction() {
    for database in both_ways(PLAIN) {
        let mut client = database.connect(APP);
        for (begin, end) in [
            ("BEGIN; SELECT deskguard.set_agent(1)", "COMMIT"),
            ("BEGIN; SELECT deskguard.set_agent(1)", "ROLLBACK"),
            ("BEGIN; SET LOCAL deskguard.agent_id = '1'", "COMMIT"),
            ("BEGIN; SET deskguard.agent_id = '1'", "ROLLBACK"),
        ] {
            client.batch_execute(begin).unwrap();
            assert_eq!(seen(&mut client), SEEN_BY_ANN, "{begin}");
            client
                .batch_execute("SAVEPOINT s; SELECT deskguard.set_agent(2)")
                .unwrap();
            assert_eq!(seen(&mut client), SEEN_BY_BOB, "{begin}");
            client.batch_execute("ROLLBACK TO s").unwrap();
            assert_eq!(seen(&mut client), SEEN_BY_ANN, "{begin}");
            client.batch_execute(end).unwrap();
            assert_eq!(seen(&mut client), NOTHING, "{begin} … {end}");
        }
        client
            .batch_execute("SELECT deskguard.set_agent(1, false)")
            .unwrap();
        assert_eq!(seen(&mut client), SEEN_BY_ANN);
        for reset in ["RESET deskguard.agent_id", "DISCARD ALL", "RESET ALL"] {
            act_for(&mut client, ANN);
            assert_eq!(seen(&mut client), SEEN_BY_ANN);
            client.batch_execute(reset).unwrap();
            assert_eq!(seen(&mut client), NOTHING, "{reset}");
        }
    }
}

#[test]
fn two_agents_take_turns_on_one_connection() {
    for database in both_ways(PLAIN) {
        for mode in ["auto", "force_generic_plan", "force_custom_plan"] {
            let mut client = database.connect(APP);
            client
                .batch_execute(&format!("SET plan_cache_mode = {mode}"))
                .unwrap();
            let statement = client.prepare(SELECT).unwrap();
            let with_parameter = "SELECT id FROM desk.ticket WHERE id > $1 ORDER BY id";
            let with_parameter = client.prepare(with_parameter).unwrap();
            let every = [
                (ANN, &SEEN_BY_ANN[..]),
                (BOB, &SEEN_BY_BOB),
                (DEE, &SEEN_BY_DEE),
                (EVE, &NOTHING),
                (MAX, &SEEN_BY_MAX),
            ];
            // More rounds than custom plans are tried for.
            for round in 0..10 {
                for (agent, expected) in every {
                    for _ in 0..=round % 3 {
                        let mut transaction = client.transaction().unwrap();
                        transaction
                            .execute("SELECT deskguard.set_agent($1)", &[&agent])
                            .unwrap();
                        let rows = transaction.query(&statement, &[]).unwrap();
                        let found: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
                        assert_eq!(found, expected, "agent {agent}, round {round}, {mode}");
                        let rows = transaction.query(&with_parameter, &[&0i64]).unwrap();
                        assert_eq!(rows.len(), expected.len(), "agent {agent}, {mode}");
                        transaction.commit().unwrap();
                    }
                }
                assert_eq!(
                    client.query(&statement, &[]).unwrap().len(),
                    0,
                    "nobody, {mode}"
                );
            }
        }
    }
}

#[test]
fn a_role_is_an_agent_through_set_role_too() {
    for database in both_ways(PLAIN) {
        let mut client = database.connect(APP);
        let statement = client.prepare(SELECT).unwrap();
        let rows = |client: &mut Client| -> Vec<i64> {
            let rows = client.query(&statement, &[]).unwrap();
            rows.iter().map(|row| row.get(0)).collect()
        };
        let cid = ident(MAPPED[0]);
        for _ in 0..8 {
            assert_eq!(rows(&mut client), NOTHING);
            client.batch_execute(&format!("SET ROLE {cid}")).unwrap();
            assert_eq!(rows(&mut client), SEEN_BY_CID);
            // The setting goes first, for the session is still the application's.
            act_for(&mut client, ANN);
            assert_eq!(rows(&mut client), SEEN_BY_ANN);
            client.batch_execute("RESET deskguard.agent_id").unwrap();
            assert_eq!(rows(&mut client), SEEN_BY_CID);
            client.batch_execute("RESET ROLE").unwrap();
        }
        client
            .batch_execute(&format!("BEGIN; SET LOCAL ROLE {cid}"))
            .unwrap();
        assert_eq!(rows(&mut client), SEEN_BY_CID);
        client.batch_execute("ROLLBACK").unwrap();
        assert_eq!(rows(&mut client), NOTHING);

        // A superuser may say who it is, too, and sees all rows as long as it is one.
        let mut superuser = database.superuser();
        act_for(&mut superuser, ANN);
        assert_eq!(seen(&mut superuser), SEEN_BY_MAX);
        superuser
            .batch_execute(&format!("SET ROLE {STRANGER}"))
            .unwrap();
        assert_eq!(seen(&mut superuser), SEEN_BY_ANN);
        superuser.batch_execute("RESET deskguard.agent_id").unwrap();
        assert_eq!(seen(&mut superuser), NOTHING);
    }
}

#[test]
fn security_definer_functions() {
    for database in both_ways(PLAIN) {
        let cid = ident(MAPPED[0]);
        let mut superuser = database.superuser();
        for (owner, suffix) in [(cid.as_str(), "cid"), (OWNER, "owner")] {
            superuser
                .batch_execute(&format!(
                    "CREATE FUNCTION desk.sql_{suffix}() RETURNS SETOF bigint LANGUAGE sql STABLE
                     SECURITY DEFINER AS '{SELECT}';
                 CREATE FUNCTION desk.plpgsql_{suffix}() RETURNS SETOF bigint LANGUAGE plpgsql
                     SECURITY DEFINER AS 'BEGIN RETURN QUERY {SELECT}; END';
                 ALTER FUNCTION desk.sql_{suffix}() OWNER TO {owner};
                 ALTER FUNCTION desk.plpgsql_{suffix}() OWNER TO {owner};"
                ))
                .unwrap();
        }
        superuser
            .batch_execute(&format!(
            "CREATE FUNCTION desk.invoker() RETURNS SETOF bigint LANGUAGE sql STABLE AS '{SELECT}';
             CREATE FUNCTION desk.nested() RETURNS SETOF bigint LANGUAGE plpgsql AS
             'BEGIN RETURN QUERY SELECT * FROM desk.sql_cid() UNION ALL ({SELECT}) ; END'"
        ))
            .unwrap();

        let mut ann = app(&database, ANN);
        let mut nobody = database.connect(APP);
        let mut stranger = database.connect(STRANGER);
        for _ in 0..8 {
            for language in ["sql", "plpgsql"] {
                let of_cid = format!("SELECT * FROM desk.{language}_cid()");
                let of_owner = format!("SELECT * FROM desk.{language}_owner()");
                // Who says which agent it acts for does so inside of them, too.
                assert_eq!(ids(&mut ann, &of_cid), SEEN_BY_ANN);
                assert_eq!(ids(&mut ann, &of_owner), SEEN_BY_ANN);
                for client in [&mut nobody, &mut stranger] {
                    assert_eq!(ids(client, &of_cid), SEEN_BY_CID);
                    assert_eq!(ids(client, &of_owner), NOTHING);
                    assert_eq!(ids(client, "SELECT * FROM desk.invoker()"), NOTHING);
                    assert_eq!(ids(client, "SELECT * FROM desk.nested()"), SEEN_BY_CID);
                    assert_eq!(seen(client), NOTHING);
                    // Both in one plan.
                    let both = format!("SELECT a.* FROM desk.invoker() a, desk.{language}_cid() b");
                    assert_eq!(ids(client, &both), NOTHING);
                }
            }
            assert_eq!(ids(&mut ann, "SELECT * FROM desk.invoker()"), SEEN_BY_ANN);
        }
    }
}
