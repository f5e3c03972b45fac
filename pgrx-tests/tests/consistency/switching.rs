//! Sessions that switch agents and roles.

use deskguard_tests::lab::{act_for, app, code, ids, is_retry, run, simple_ids, value};
use deskguard_tests::server::{APP, MAPPED, STRANGER};
use deskguard_tests::{ident, literal};
use postgres::Client;
use postgres::error::SqlState;

use crate::desk::{
    AFTER_SWAP, ALL, ANN, Asker, BOB, BY_ANN, BY_BOB, Fold, GRANT_CATEGORY, Kind, MAX, NOTHING,
    REVOKE_CATEGORY, SELECT, SWAP, assert_rows_or_retry, desk, roles_stay, while_it_waits,
};

/// The same session asks in all these ways, and no right changes meanwhile; their plans are made once and kept where possible.
struct Askers(Vec<(Kind, Asker)>);

impl Askers {
    fn new(client: &mut Client) -> Askers {
        let kinds = [
            Kind::Simple,
            Kind::Once,
            Kind::Custom,
            Kind::Generic,
            Kind::Execute,
            Kind::PlPgSql,
            Kind::VolatileSql,
            Kind::OwnersView,
            Kind::Update,
        ];
        Askers(
            kinds
                .map(|kind| (kind, Asker::new(client, kind)))
                .into_iter()
                .collect(),
        )
    }

    fn check(&self, client: &mut Client, expected: &[i64], what: &str) {
        for (kind, asker) in &self.0 {
            run(client, kind.plans());
            let seen = asker.ask(client);
            let seen = seen.unwrap_or_else(|error| panic!("{what}, {kind:?}: {error:?}"));
            assert_eq!(seen, expected, "{what}, {kind:?}");
        }
    }
}

#[test]
fn a_pooled_connection_switches_agents() {
    let _roles = roles_stay();
    for fold in Fold::ALL {
        let database = desk(fold);
        let client = &mut database.connect(APP);
        let askers = Askers::new(client);
        let check = |client: &mut Client, expected, what| askers.check(client, expected, what);
        check(client, NOTHING, "nobody");
        for _ in 0..3 {
            run(client, "BEGIN; SET LOCAL deskguard.agent_id = 1");
            check(client, BY_ANN, "SET LOCAL");
            run(client, "COMMIT");
            check(client, NOTHING, "after COMMIT");
            run(client, "BEGIN; SELECT deskguard.set_agent(2)");
            check(client, BY_BOB, "set_agent");
            run(client, "ROLLBACK");
            check(client, NOTHING, "after ROLLBACK");
        }

        run(client, "SELECT deskguard.set_agent(9, false)");
        check(client, ALL, "set_agent of the session");
        run(client, "BEGIN; SET LOCAL deskguard.agent_id = 1");
        check(client, BY_ANN, "SET LOCAL over it");
        run(client, "SAVEPOINT a; SET LOCAL deskguard.agent_id = 2");
        check(client, BY_BOB, "in a savepoint");
        run(client, "ROLLBACK TO a");
        check(client, BY_ANN, "back at the savepoint");
        run(
            client,
            "SELECT set_config('deskguard.agent_id', '2', true); RELEASE a",
        );
        check(client, BY_BOB, "savepoint released");
        assert_eq!(
            code(client.batch_execute("SELECT 1/0")),
            SqlState::DIVISION_BY_ZERO
        );
        run(client, "ROLLBACK");
        check(client, ALL, "after an error");
        run(client, "BEGIN; SET deskguard.agent_id = 2");
        check(client, BY_BOB, "SET in a transaction");
        run(client, "ROLLBACK");
        check(client, ALL, "SET rolled back");

        run(client, "RESET deskguard.agent_id");
        check(client, NOTHING, "after RESET");
        act_for(client, BOB);
        check(client, BY_BOB, "SET");
        run(client, "DISCARD PLANS");
        check(client, BY_BOB, "after DISCARD PLANS");
        run(client, "SET deskguard.agent_id = ''");
        check(client, NOTHING, "empty");
        act_for(client, ANN);
        check(client, BY_ANN, "SET");
        // It also resets how plans are made, and forgets SQL's PREPARE, but not the library's
        // statements: make them anew.
        run(client, "DISCARD ALL");
        assert_eq!(simple_ids(client, SELECT).unwrap(), NOTHING);
        let askers = Askers::new(client);
        askers.check(client, NOTHING, "after DISCARD ALL");
        act_for(client, ANN);
        askers.check(client, BY_ANN, "SET after DISCARD ALL");
        run(client, "RESET ALL");
        askers.check(client, NOTHING, "after RESET ALL");
    }
}

#[test]
fn agents_alternate_within_one_message_and_one_function() {
    let _roles = roles_stay();
    for fold in Fold::ALL {
        let database = desk(fold);
        run(
            &mut database.superuser(),
            "CREATE FUNCTION desk.by_turns() RETURNS SETOF bigint[] LANGUAGE plpgsql AS $$
             BEGIN
                 FOR n IN 1..3 LOOP
                     PERFORM deskguard.set_agent(1);
                     RETURN NEXT desk.seen();
                     PERFORM set_config('deskguard.agent_id', '2', true);
                     RETURN NEXT desk.seen();
                 END LOOP;
             END $$;
             CREATE FUNCTION desk.as_bob() RETURNS bigint[] LANGUAGE plpgsql
             SET deskguard.agent_id = '2' AS $$ BEGIN RETURN desk.seen(); END $$",
        );
        let mut client = app(&database, MAX);
        let rows = client.query("SELECT desk.by_turns()", &[]).unwrap();
        let seen: Vec<Vec<i64>> = rows.iter().map(|row| row.get(0)).collect();
        assert_eq!(seen, [BY_ANN, BY_BOB, BY_ANN, BY_BOB, BY_ANN, BY_BOB]);
        let mut seen = |sql: &str| -> Vec<i64> { value(&mut client, sql) };
        for _ in 0..3 {
            assert_eq!(seen("SELECT desk.seen()"), ALL);
            assert_eq!(seen("SELECT desk.as_bob()"), BY_BOB);
        }
        run(
            &mut client,
            "PREPARE q AS SELECT id FROM desk.ticket ORDER BY id",
        );
        let by_turns =
            "SET deskguard.agent_id = 1; EXECUTE q; SET deskguard.agent_id = 2; EXECUTE q;
            BEGIN; SET LOCAL deskguard.agent_id = 1; EXECUTE q; COMMIT; EXECUTE q";
        let expected = [BY_ANN, BY_BOB, BY_ANN, BY_BOB].concat();
        for _ in 0..3 {
            let seen = simple_ids(&mut client, by_turns);
            assert_eq!(seen.unwrap(), expected);
        }
    }
}

/// A function that is called by a query asks as whoever it makes itself, or as its owner; and what it
/// asks starts later than the query that calls it.
#[test]
fn nested_statements_have_their_own_agent() {
    let _roles = roles_stay();
    for fold in Fold::ALL {
        let database = desk(fold);
        let superuser = &mut database.superuser();
        // The tickets, and the tickets of the followers that are seen, each by its own statement.
        run(
            superuser,
            &format!(
                "CREATE FUNCTION desk.both() RETURNS bigint[] LANGUAGE plpgsql AS $$
                 DECLARE ids bigint[];
                 BEGIN
                     SELECT array_agg(ticket_id ORDER BY ticket_id) INTO ids
                     FROM desk.follower WHERE agent_id = 77;
                     RETURN desk.seen() || coalesce(ids, ARRAY[]::bigint[]);
                 END $$;
                 CREATE FUNCTION desk.both_of(agent bigint) RETURNS bigint[] LANGUAGE plpgsql AS $$
                 BEGIN
                     PERFORM deskguard.set_agent(agent);
                     RETURN desk.both();
                 END $$;
                 CREATE FUNCTION desk.both_of_owner() RETURNS bigint[] LANGUAGE plpgsql SECURITY DEFINER AS
                 $$ BEGIN RETURN desk.both(); END $$;
                 ALTER FUNCTION desk.both_of_owner OWNER TO {ann};
                 CREATE FUNCTION desk.both_later() RETURNS bigint[] LANGUAGE plpgsql AS $$
                 BEGIN
                     PERFORM desk.wait();
                     RETURN desk.both();
                 END $$;
                 UPDATE deskguard.agent SET db_role = {max} WHERE id = 9",
                ann = ident(MAPPED[0]),
                max = literal(MAPPED[1]),
            ),
        );
        let twice = |ids: &[i64]| [ids, ids].concat();
        let mut client = app(&database, MAX);
        for from in ["desk.ticket", "desk.follower", "generate_series(1, 2)"] {
            let sql = format!("SELECT desk.both_of(1) FROM {from} LIMIT 2");
            run(&mut client, "BEGIN");
            for row in client.query(&sql, &[]).unwrap() {
                assert_eq!(row.get::<_, Vec<i64>>(0), twice(BY_ANN), "{fold:?}: {sql}");
            }
            run(&mut client, "ROLLBACK");
        }
        let mut client = database.connect(MAPPED[1]);
        for from in ["desk.ticket", "desk.follower", "generate_series(1, 2)"] {
            let sql = format!("SELECT desk.both_of_owner(), desk.both() FROM {from} LIMIT 2");
            for row in client.query(&sql, &[]).unwrap() {
                assert_eq!(row.get::<_, Vec<i64>>(0), twice(BY_ANN), "{fold:?}: {sql}");
                assert_eq!(row.get::<_, Vec<i64>>(1), twice(ALL), "{fold:?}: {sql}");
            }
        }
        for from in ["desk.ticket", "desk.follower"] {
            let mut client = app(&database, ANN);
            let sql = format!(
                "SELECT unnest(x) FROM (SELECT desk.both_later() AS x FROM {from} LIMIT 1) AS y"
            );
            let seen = while_it_waits(
                &database,
                &mut client,
                |client| simple_ids(client, &sql),
                || run(superuser, SWAP),
            );
            assert_rows_or_retry(seen, &twice(AFTER_SWAP), &format!("{fold:?}: {sql}"));
            run(superuser, &format!("{REVOKE_CATEGORY}; {GRANT_CATEGORY}"));
        }
    }
}

#[test]
fn roles_switch_back_and_forth() {
    let _roles = roles_stay();
    for fold in Fold::ALL {
        let database = desk(fold);
        let [ann, bob] = MAPPED.map(ident);
        let mut superuser = database.superuser();
        let map = format!(
            "UPDATE deskguard.agent SET db_role = {} WHERE id = 2",
            literal(MAPPED[1])
        );
        run(&mut superuser, &map);
        let client = &mut database.superuser();
        let askers = Askers::new(client);
        let roles: [(&str, &[i64]); 4] = [
            (&ann, BY_ANN),
            (&bob, BY_BOB),
            (STRANGER, NOTHING),
            (APP, NOTHING),
        ];
        for _ in 0..2 {
            for (role, expected) in roles {
                run(client, &format!("SET ROLE {role}"));
                askers.check(client, expected, role);
                run(client, &format!("BEGIN; SET LOCAL ROLE {ann}"));
                askers.check(client, BY_ANN, "SET LOCAL ROLE");
                run(client, "ROLLBACK");
                askers.check(client, expected, role);
            }
            run(client, "RESET ROLE");
            assert_eq!(ids(client, SELECT), ALL);
            for (role, expected) in roles {
                run(client, &format!("SET SESSION AUTHORIZATION {role}"));
                askers.check(client, expected, role);
            }
            run(client, "RESET SESSION AUTHORIZATION");
        }

        // The same current role as before, but not the same login role: only one is trusted. PostgreSQL
        // does not plan anew for that, and a retry is as good.
        act_for(client, MAX);
        for _ in 0..3 {
            for (trusted, sees) in [(true, ALL), (false, BY_ANN)] {
                let login = if trusted { APP } else { &ann };
                run(
                    client,
                    &format!("SET SESSION AUTHORIZATION {login}; SET ROLE {ann}"),
                );
                for (kind, asker) in &askers.0 {
                    run(client, kind.plans());
                    let seen = match asker.ask(client) {
                        Err(error) if is_retry(&error) => asker.ask(client),
                        seen => seen,
                    };
                    let what = format!("SET ROLE of {login}, {kind:?}");
                    assert_eq!(seen.ok().as_deref(), Some(sees), "{what}");
                }
                run(client, "RESET SESSION AUTHORIZATION");
            }
        }
    }
}

/// As a pool does it that has no superuser, and whose role owns nothing.
#[test]
fn a_pooled_connection_switches_roles() {
    let _roles = roles_stay();
    for fold in Fold::ALL {
        let database = desk(fold);
        let [ann, bob] = MAPPED.map(ident);
        let map = format!(
            "UPDATE deskguard.agent SET db_role = {} WHERE id = 2",
            literal(MAPPED[1])
        );
        run(&mut database.superuser(), &map);
        let client = &mut database.connect(APP);
        let askers = Askers::new(client);
        let become_ann = format!("SET ROLE {ann}");
        for _ in 0..2 {
            for (sql, expected) in [
                (become_ann.as_str(), BY_ANN),
                ("RESET ROLE", NOTHING),
                (&format!("SET ROLE {bob}"), BY_BOB),
                ("SET ROLE NONE", NOTHING),
                (&become_ann, BY_ANN),
                ("RESET SESSION AUTHORIZATION", NOTHING),
                (&become_ann, BY_ANN),
                ("SET SESSION AUTHORIZATION DEFAULT", NOTHING),
                // Its login role is trusted: what it says counts more than its role.
                ("SET deskguard.agent_id = 9", ALL),
                (&become_ann, ALL),
                ("RESET deskguard.agent_id", BY_ANN),
                (&format!("BEGIN; SET LOCAL ROLE {bob}"), BY_BOB),
                ("SAVEPOINT a; RESET ROLE", NOTHING),
                ("ROLLBACK TO a", BY_BOB),
                ("COMMIT", BY_ANN),
                ("RESET ALL", BY_ANN),
                ("DISCARD PLANS", BY_ANN),
                ("RESET ROLE", NOTHING),
            ] {
                run(client, sql);
                askers.check(client, expected, sql);
            }
        }
        run(client, &become_ann);
        askers.check(client, BY_ANN, "before DISCARD ALL");
        run(client, "DISCARD ALL");
        assert_eq!(ids(client, SELECT), NOTHING);
        let askers = Askers::new(client);
        askers.check(client, NOTHING, "after DISCARD ALL");
        run(client, &become_ann);
        askers.check(client, BY_ANN, "SET ROLE after DISCARD ALL");
    }
}

#[test]
fn security_definer_functions_are_their_owner() {
    let _roles = roles_stay();
    for fold in Fold::ALL {
        let database = desk(fold);
        let mut superuser = database.superuser();
        let map = format!(
            "UPDATE deskguard.agent SET db_role = {} WHERE id = 2;
             GRANT {} TO {STRANGER}",
            literal(MAPPED[1]),
            ident(MAPPED[0])
        );
        run(&mut superuser, &map);
        let definer = "SELECT id FROM desk.by_definer(0) AS id";
        let invoker = "SELECT id FROM desk.by_plpgsql(0) AS id";
        let client = &mut database.connect(MAPPED[1]);
        let stranger = &mut database.connect(STRANGER);
        for _ in 0..3 {
            for sql in [definer, invoker, definer] {
                let sorted = |client: &mut Client| {
                    let mut seen = ids(client, sql);
                    seen.sort_unstable();
                    seen
                };
                let (own, strangers) = if sql == definer {
                    (BY_ANN, BY_ANN)
                } else {
                    (BY_BOB, NOTHING)
                };
                assert_eq!(sorted(client), own, "{sql}");
                assert_eq!(sorted(stranger), strangers, "{sql}");
            }
        }
        // The rights of its owner are revoked while the session is in a transaction.
        run(client, "BEGIN");
        assert_eq!(ids(client, definer).len(), BY_ANN.len());
        run(&mut superuser, REVOKE_CATEGORY);
        assert_rows_or_retry(simple_ids(client, definer), NOTHING, "revoked");
        run(client, "ROLLBACK");
        assert_eq!(ids(client, definer), NOTHING);
        run(
            &mut superuser,
            &format!("REVOKE {} FROM {STRANGER}", ident(MAPPED[0])),
        );
    }
}
