//! Sessions that switch agents and roles, statements that begin before a change and go on after it,
//! and roles that go away.

use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use deskguard_tests::server::{APP, Database, MAPPED, STRANGER};
use deskguard_tests::{ident, literal};
use postgres::error::SqlState;
use postgres::{Client, Error, IsolationLevel};

use crate::desk::{
    ALL, ANN, Asker, BOB, BY_ANN, BY_BOB, Fold, Kind, MAX, NOTHING, PARALLEL, act_for, app,
    assert_rows_or_retry, code, desk, ids, is_retry, partitioned_desk, roles_change, roles_stay,
    run, simple_ids, while_it_waits,
};

const SELECT: &str = "SELECT id FROM desk.ticket ORDER BY id";

/// Seen with the tickets.
const FOLLOWERS: &str =
    "SELECT ticket_id FROM desk.follower WHERE agent_id = 77 ORDER BY ticket_id";

const REVOKE_CATEGORY: &str = "DELETE FROM deskguard.agent_category WHERE agent_id = 1";
const GRANT_CATEGORY: &str =
    "INSERT INTO deskguard.agent_category (agent_id, category_id) VALUES (1, 1)";
/// Ann's tickets are then those of `AFTER_SWAP`.
const SWAP: &str = "UPDATE deskguard.agent_category SET category_id = 2 WHERE agent_id = 1";
const AFTER_SWAP: &[i64] = &[4, 5];

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

// ---- one connection, several agents and roles ----

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
        let mut seen = |sql: &str| -> Vec<i64> { client.query_one(sql, &[]).unwrap().get(0) };
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
            assert_eq!(ids(&mut client, by_turns), expected);
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

// ---- roles that change ----

/// A login role of this test alone.
struct Role<'a> {
    database: &'a Database,
    name: String,
}

impl Role<'_> {
    fn new<'a>(database: &'a Database, options: &str) -> Role<'a> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("deskguard_test_{}_{number}", process::id());
        run(
            &mut database.superuser(),
            &format!("CREATE ROLE {name} LOGIN {options}"),
        );
        Role { database, name }
    }
}

impl Drop for Role<'_> {
    fn drop(&mut self) {
        let sql = format!("DROP ROLE IF EXISTS {}", self.name);
        let _ = self.database.superuser().batch_execute(&sql);
    }
}

#[test]
fn a_role_that_is_an_agent_is_renamed_and_dropped() {
    let _roles = roles_change();
    for fold in Fold::ALL {
        let database = desk(fold);
        let superuser = &mut database.superuser();
        let role = Role::new(&database, "");
        let name = &role.name;
        let other = format!("{name}_renamed");
        run(
            superuser,
            &format!(
                "GRANT SELECT ON ALL TABLES IN SCHEMA desk TO PUBLIC;
                 UPDATE deskguard.agent SET db_role = '{name}' WHERE id = 1"
            ),
        );
        let mut login = database.connect(name);
        let mut switched = database.superuser();
        run(&mut switched, &format!("SET ROLE {name}"));
        let mut open = database.connect(name);
        let sessions = [&mut login, &mut switched];
        let askers = sessions.map(|client| Asker::new(client, Kind::Generic));
        let open_asker = Asker::new(&mut open, Kind::Generic);
        let mut check = |expected: &[i64], what: &str| {
            for (client, asker) in [&mut login, &mut switched].into_iter().zip(&askers) {
                let seen = asker.ask(client);
                let seen = seen.unwrap_or_else(|error| panic!("{what}: {error:?}"));
                assert_eq!(seen, expected, "{what}");
            }
        };
        check(BY_ANN, "at first");
        run(&mut open, "BEGIN ISOLATION LEVEL REPEATABLE READ");
        assert_eq!(open_asker.ask(&mut open).unwrap(), BY_ANN);
        run(superuser, &format!("ALTER ROLE {name} RENAME TO {other}"));
        check(NOTHING, "renamed");
        assert_rows_or_retry(open_asker.ask(&mut open), NOTHING, "renamed");
        run(&mut open, "ROLLBACK");
        run(superuser, &format!("ALTER ROLE {other} RENAME TO {name}"));
        check(BY_ANN, "renamed back");
        run(
            superuser,
            &format!("BEGIN; ALTER ROLE {name} RENAME TO {other}"),
        );
        run(superuser, "ROLLBACK");
        check(BY_ANN, "not renamed");

        run(&mut open, "BEGIN ISOLATION LEVEL REPEATABLE READ");
        assert_eq!(open_asker.ask(&mut open).unwrap(), BY_ANN);
        run(superuser, &format!("DROP ROLE {name}"));
        for (client, asker) in [
            (&mut login, &askers[0]),
            (&mut switched, &askers[1]),
            (&mut open, &open_asker),
        ] {
            // PostgreSQL may say that there is no such role.
            let seen = asker.ask(client).unwrap_or_default();
            assert_eq!(seen, NOTHING, "dropped");
        }
    }
}

#[test]
fn a_login_role_is_no_longer_trusted() {
    let _roles = roles_change();
    for fold in Fold::ALL {
        let database = desk(fold);
        let superuser = &mut database.superuser();
        let trusted = Role::new(&database, "");
        let admin = Role::new(&database, "SUPERUSER");
        run(
            superuser,
            &format!(
                "GRANT SELECT ON ALL TABLES IN SCHEMA desk TO PUBLIC;
                 INSERT INTO deskguard.trusted_role (role_name) VALUES ('{}')",
                trusted.name
            ),
        );
        let (trusted, admin) = (&trusted.name, &admin.name);
        for (login, role, after, back) in [
            (
                trusted,
                "NONE",
                format!("ALTER ROLE {trusted} RENAME TO {trusted}_renamed"),
                format!("ALTER ROLE {trusted}_renamed RENAME TO {trusted}"),
            ),
            (
                admin,
                // A superuser would bypass the policies.
                APP,
                format!("ALTER ROLE {admin} NOSUPERUSER"),
                format!("ALTER ROLE {admin} SUPERUSER"),
            ),
        ] {
            for isolation in ["READ COMMITTED", "REPEATABLE READ"] {
                let mut client = database.connect(login);
                act_for(&mut client, MAX);
                run(&mut client, &format!("SET ROLE {role}"));
                let asker = Asker::new(&mut client, Kind::Generic);
                assert_eq!(asker.ask(&mut client).unwrap(), ALL);
                run(superuser, &after);
                assert_eq!(asker.ask(&mut client).unwrap(), NOTHING, "{after}");
                run(superuser, &back);
                run(&mut client, &format!("BEGIN ISOLATION LEVEL {isolation}"));
                assert_eq!(asker.ask(&mut client).unwrap(), ALL, "{back}");
                run(superuser, &after);
                assert_rows_or_retry(asker.ask(&mut client), NOTHING, &after);
                run(&mut client, "ROLLBACK");
                run(superuser, &back);
            }
        }
    }
}

// ---- cursors and portals ----

#[test]
fn open_cursors_keep_the_rows_of_their_opening() {
    let _roles = roles_stay();
    for fold in Fold::ALL {
        for partitioned in [false, true] {
            let database = if partitioned {
                partitioned_desk(fold)
            } else {
                desk(fold)
            };
            let superuser = &mut database.superuser();
            let what = format!("{fold:?}, partitioned {partitioned}");
            let ann = ident(MAPPED[0]);
            for (isolation, sql) in [
                ("READ COMMITTED", SELECT),
                ("REPEATABLE READ", SELECT),
                ("READ COMMITTED", FOLLOWERS),
            ] {
                for (meanwhile, elsewhere) in [
                    (REVOKE_CATEGORY, true),
                    (SWAP, true),
                    (
                        "UPDATE deskguard.agent SET active = false WHERE id = 1",
                        true,
                    ),
                    ("SET LOCAL deskguard.agent_id = 2", false),
                    ("SELECT deskguard.set_agent(NULL)", false),
                ] {
                    let what = format!("{what}, {isolation}, {sql}, {meanwhile}");
                    let mut client = app(&database, ANN);
                    run(&mut client, &format!("BEGIN ISOLATION LEVEL {isolation}"));
                    run(&mut client, &format!("DECLARE c CURSOR FOR {sql}"));
                    run(&mut client, &format!("DECLARE d CURSOR FOR {sql}"));
                    let fetched = client
                        .query("FETCH 1 FROM d", &[])
                        .unwrap()
                        .iter()
                        .map(|row| row.get(0))
                        .collect::<Vec<i64>>();
                    assert_eq!(fetched, BY_ANN[..1], "{what}");
                    if elsewhere {
                        run(superuser, meanwhile);
                    } else {
                        run(&mut client, meanwhile);
                    }
                    assert_eq!(
                        ids(&mut client, "FETCH ALL FROM c"),
                        BY_ANN,
                        "unread, {what}"
                    );
                    assert_eq!(
                        ids(&mut client, "FETCH ALL FROM d"),
                        BY_ANN[1..],
                        "read, {what}"
                    );
                    run(&mut client, "ROLLBACK");
                    run(
                        superuser,
                        &format!(
                            "UPDATE deskguard.agent SET active = true WHERE id = 1;
                             {REVOKE_CATEGORY}; {GRANT_CATEGORY}"
                        ),
                    );
                }
            }
            let mut client = database.superuser();
            run(&mut client, &format!("SET ROLE {ann}; BEGIN"));
            run(
                &mut client,
                &format!("DECLARE c CURSOR WITH HOLD FOR {SELECT}"),
            );
            run(&mut client, &format!("COMMIT; SET ROLE {STRANGER}"));
            assert_eq!(ids(&mut client, "FETCH ALL FROM c"), BY_ANN, "held, {what}");
        }
    }
}

/// Binds a statement and executes it later, with a change in between.
fn bind_then_execute(
    database: &Database,
    sql: &str,
    level: IsolationLevel,
    meanwhile: impl FnOnce(),
) -> Result<Vec<i64>, Error> {
    let mut client = app(database, ANN);
    run(&mut client, "SET plan_cache_mode = force_generic_plan");
    let statement = client.prepare(sql).unwrap();
    // So that a plan is there already.
    let rows = client.query(&statement, &[&0i64]).unwrap();
    assert_eq!(rows.len(), BY_ANN.len());
    let mut transaction = client.build_transaction().isolation_level(level).start()?;
    let portal = transaction.bind(&statement, &[&0i64])?;
    meanwhile();
    let rows = transaction.query_portal(&portal, 0)?;
    let mut ids: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
    ids.sort_unstable();
    Ok(ids)
}

#[test]
fn a_change_between_bind_and_execute() {
    let _roles = roles_stay();
    for fold in Fold::ALL {
        let database = desk(fold);
        let superuser = &mut database.superuser();
        let update = "UPDATE desk.ticket SET subject = 'x' WHERE id > $1 RETURNING id";
        let select = "SELECT id FROM desk.ticket WHERE id > $1";
        for isolation in [
            IsolationLevel::ReadCommitted,
            IsolationLevel::RepeatableRead,
            IsolationLevel::Serializable,
        ] {
            let what = format!("{fold:?}, {isolation:?}");
            let written = bind_then_execute(&database, update, isolation, || {
                run(superuser, REVOKE_CATEGORY);
            });
            assert_rows_or_retry(written, NOTHING, &what);
            run(superuser, GRANT_CATEGORY);
            let written = bind_then_execute(&database, update, isolation, || {
                run(superuser, SWAP);
            });
            assert_rows_or_retry(written, AFTER_SWAP, &what);
            run(superuser, &format!("{REVOKE_CATEGORY}; {GRANT_CATEGORY}"));
            // A SELECT starts with Bind, so that the state before is right, too.
            let read = bind_then_execute(&database, select, isolation, || {
                run(superuser, SWAP);
            });
            if read.as_deref().ok() != Some(BY_ANN) {
                assert_rows_or_retry(read, AFTER_SWAP, &what);
            }
            run(superuser, &format!("{REVOKE_CATEGORY}; {GRANT_CATEGORY}"));
        }
    }
}

// ---- what is written ----

#[test]
fn writes_obey_what_was_committed_before() {
    let _roles = roles_stay();
    for fold in Fold::ALL {
        let database = desk(fold);
        let superuser = &mut database.superuser();
        // (statement, what takes the right to it away, how it is given back, what happens then)
        let insert = "INSERT INTO desk.ticket (id, department_id, category_id) VALUES ($1::bigint + 100, 1, 1)";
        let to_sales =
            "UPDATE desk.ticket SET department_id = 3, assignee_id = 1 WHERE id = $1::bigint + 1";
        let modify = "UPDATE desk.ticket SET subject = 'y' WHERE id = $1::bigint + 1";
        let delete = "DELETE FROM desk.ticket WHERE id = $1::bigint + 1";
        let follow = "INSERT INTO desk.follower (ticket_id, agent_id) VALUES ($1::bigint + 1, 9)";
        let permission = |name: &str| {
            (
                format!("DELETE FROM deskguard.group_permission WHERE permission = '{name}'"),
                format!(
                    "INSERT INTO deskguard.group_permission (group_id, permission) VALUES (100, '{name}')"
                ),
            )
        };
        run(
            superuser,
            "INSERT INTO deskguard.agent_department (agent_id, department_id, level) VALUES (1, 3, 'assign');
             INSERT INTO deskguard.group_permission (group_id, permission)
             VALUES (100, 'ticket.delete.unassigned')",
        );
        let assign = (
            "DELETE FROM deskguard.agent_department WHERE department_id = 3 AND agent_id = 1".to_string(),
            "INSERT INTO deskguard.agent_department (agent_id, department_id, level) VALUES (1, 3, 'assign')"
                .to_string(),
        );
        let refused = Err(SqlState::INSUFFICIENT_PRIVILEGE);
        for (statement, (revoke, give), then) in [
            (insert, permission("ticket.create"), refused.clone()),
            (to_sales, assign, refused.clone()),
            (modify, permission("ticket.modify.unassigned"), Ok(0)),
            (delete, permission("ticket.delete.unassigned"), Ok(0)),
            (follow, permission("ticket.modify.unassigned"), refused),
        ] {
            for isolation in ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"] {
                for mode in ["force_custom_plan", "force_generic_plan"] {
                    for in_transaction in [false, true] {
                        let what =
                            format!("{fold:?}, {isolation}, {mode}, {in_transaction}: {statement}");
                        let mut client = app(&database, ANN);
                        run(
                            &mut client,
                            &format!(
                                "SET plan_cache_mode = {mode};
                                 SET default_transaction_isolation = '{isolation}'"
                            ),
                        );
                        let prepared = client.prepare(statement).unwrap();
                        let write = |client: &mut Client| {
                            let result = client.execute(&prepared, &[&0i64]);
                            result.map_err(|error| error.code().unwrap().clone())
                        };
                        run(&mut client, "BEGIN");
                        assert_eq!(write(&mut client), Ok(1), "{what}");
                        run(&mut client, "ROLLBACK");
                        if in_transaction {
                            run(&mut client, "BEGIN; SAVEPOINT a");
                            assert_eq!(write(&mut client), Ok(1), "{what}");
                            run(&mut client, "ROLLBACK TO a");
                        }
                        run(superuser, &revoke);
                        let result = write(&mut client);
                        let retry =
                            in_transaction && result == Err(SqlState::T_R_SERIALIZATION_FAILURE);
                        assert!(result == then || retry, "{what}: {result:?}");
                        run(&mut client, "ROLLBACK");
                        assert_eq!(write(&mut client), then, "{what}, again");
                        run(superuser, &give);
                    }
                }
            }
        }
    }
}

// ---- questions ----

#[test]
fn the_catalog_of_permissions_changes() {
    let _roles = roles_stay();
    let database = desk(Fold::On);
    let superuser = &mut database.superuser();
    let add = "INSERT INTO deskguard.permission (name, description, destructive)
        VALUES ('people.merge', 'one of the user', false)";
    let holds = "SELECT deskguard.agent_has_permission(9, 'people.merge')";
    let non_destructive = "SELECT deskguard.agent_has_permission(2, 'people.merge')";
    run(
        superuser,
        "INSERT INTO deskguard.group_member (group_id, agent_id) VALUES (2, 2)",
    );
    for isolation in ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"] {
        let mut max = app(&database, MAX);
        let mut bob = app(&database, BOB);
        for client in [&mut max, &mut bob] {
            run(client, &format!("BEGIN ISOLATION LEVEL {isolation}"));
            run(client, "SAVEPOINT a");
        }
        let ask = |client: &mut Client, sql: &str| -> Result<bool, SqlState> {
            let answer = client.query_one(sql, &[]);
            if answer.is_err() {
                run(client, "ROLLBACK TO a");
            }
            answer
                .map(|row| row.get(0))
                .map_err(|error| error.code().unwrap().clone())
        };
        let unknown = Err(SqlState::INVALID_PARAMETER_VALUE);
        assert_eq!(ask(&mut max, holds), unknown);
        run(superuser, add);
        assert_eq!(ask(&mut max, holds), Ok(true), "{isolation}");
        assert_eq!(ask(&mut bob, non_destructive), Ok(true), "{isolation}");
        run(
            superuser,
            "UPDATE deskguard.permission SET destructive = true WHERE name = 'people.merge'",
        );
        assert_eq!(ask(&mut max, holds), Ok(true), "{isolation}");
        assert_eq!(ask(&mut bob, non_destructive), Ok(false), "{isolation}");
        run(
            superuser,
            "DELETE FROM deskguard.permission WHERE name = 'people.merge'",
        );
        assert_eq!(ask(&mut max, holds), unknown, "{isolation}");
    }
}

// ---- statements that are under way ----

/// Revokes and grants at once: rows of both states together are right for neither.
#[test]
fn a_statement_sees_one_state_of_the_rights() {
    let _roles = roles_stay();
    for fold in Fold::ALL {
        for (partitioned, sql) in [
            (true, "SELECT id FROM desk.ticket WHERE desk.wait_at(id, 1)"),
            (
                false,
                "SELECT id FROM desk.ticket WHERE category_id = 1 AND desk.wait_at(id, 1)
                 UNION ALL SELECT id FROM desk.ticket WHERE category_id = 2",
            ),
        ] {
            for isolation in ["READ COMMITTED", "REPEATABLE READ"] {
                let database = if partitioned {
                    partitioned_desk(fold)
                } else {
                    desk(fold)
                };
                let superuser = &mut database.superuser();
                let mut client = app(&database, ANN);
                run(&mut client, &format!("BEGIN ISOLATION LEVEL {isolation}"));
                let seen = while_it_waits(
                    &database,
                    &mut client,
                    |client| simple_ids(client, sql),
                    || run(superuser, SWAP),
                );
                let what = format!("{fold:?}, {isolation}: {sql}");
                match seen {
                    Ok(mut seen) => {
                        seen.sort_unstable();
                        assert!(seen == BY_ANN || seen == AFTER_SWAP, "{what}: {seen:?}");
                    }
                    Err(error) => assert!(is_retry(&error), "{what}: {error:?}"),
                }
            }
        }
    }
}

/// Rights change while the planner is at work. What is then in the plan cache must not be kept, nor
/// asked to be retried for ever.
#[test]
fn a_plan_is_made_while_rights_change() {
    let _roles = roles_stay();
    for fold in Fold::ALL {
        let database = desk(fold);
        let superuser = &mut database.superuser();
        let mut client = app(&database, ANN);
        run(
            &mut client,
            "SET plan_cache_mode = force_generic_plan;
             PREPARE q AS SELECT t.id FROM desk.ticket AS t,
                 (SELECT desk.wait_in_planner(0) AS id OFFSET 0) AS none
             WHERE t.id > none.id ORDER BY t.id",
        );
        let first = while_it_waits(
            &database,
            &mut client,
            |client| simple_ids(client, "EXECUTE q"),
            || run(superuser, SWAP),
        );
        // It started before.
        if first.as_deref().ok() != Some(BY_ANN) {
            assert_rows_or_retry(first, AFTER_SWAP, "the statement that was being planned");
        }
        assert_rows_or_retry(simple_ids(&mut client, "EXECUTE q"), AFTER_SWAP, "the next");
        let third = simple_ids(&mut client, "EXECUTE q");
        assert_eq!(
            third.ok().as_deref(),
            Some(AFTER_SWAP),
            "{fold:?}: retried for ever"
        );
    }
}

/// A statement within a function starts after a change, though the function started before. Plans
/// that were made meanwhile and not run (by EXPLAIN) are no excuse.
#[test]
fn a_statement_within_a_function_obeys() {
    let _roles = roles_stay();
    for fold in Fold::ALL {
        for explain in [false, true] {
            let database = desk(fold);
            let superuser = &mut database.superuser();
            let explain = if explain {
                "EXECUTE 'EXPLAIN SELECT id FROM desk.ticket';"
            } else {
                ""
            };
            run(
                superuser,
                &format!(
                    "CREATE FUNCTION desk.before_and_after() RETURNS bigint[] LANGUAGE plpgsql AS $$
                     BEGIN
                         -- Plans of what runs in between are made already.
                         PERFORM desk.wait_at(0, 1);
                         PERFORM desk.seen();
                         {explain}
                         PERFORM desk.wait_at(1, 1);
                         RETURN desk.seen();
                     END $$"
                ),
            );
            for level in ["READ COMMITTED", "REPEATABLE READ"] {
                let mut client = app(&database, ANN);
                run(&mut client, "SELECT desk.before_and_after()");
                run(&mut client, &format!("BEGIN ISOLATION LEVEL {level}"));
                run(&mut client, "SELECT desk.before_and_after()");
                let seen = while_it_waits(
                    &database,
                    &mut client,
                    |client| simple_ids(client, "SELECT unnest(desk.before_and_after())"),
                    || run(superuser, SWAP),
                );
                let what = format!("{fold:?}, {level}, {explain}");
                assert_rows_or_retry(seen, AFTER_SWAP, &what);
                run(superuser, &format!("{REVOKE_CATEGORY}; {GRANT_CATEGORY}"));
            }
        }
    }
}

/// EXPLAIN may also make the plan that is kept and run later in the same statement: no excuse either.
#[test]
fn a_plan_made_by_explain_is_not_run_after_a_change() {
    let _roles = roles_stay();
    for fold in Fold::ALL {
        let database = desk(fold);
        let superuser = &mut database.superuser();
        run(
            superuser,
            "CREATE FUNCTION desk.explained_and_run() RETURNS bigint[] LANGUAGE plpgsql
             SET plan_cache_mode = force_generic_plan AS $$
             DECLARE
                 ids bigint[];
             BEGIN
                 DEALLOCATE ALL;
                 PERFORM desk.wait_at(0, 1);
                 EXECUTE 'PREPARE q AS SELECT array_agg(id ORDER BY id) FROM desk.ticket';
                 EXECUTE 'EXPLAIN EXECUTE q';
                 PERFORM desk.wait_at(1, 1);
                 EXECUTE 'EXECUTE q' INTO ids;
                 RETURN ids;
             END $$",
        );
        let mut client = app(&database, ANN);
        run(&mut client, "BEGIN");
        run(&mut client, "SELECT desk.explained_and_run()");
        let seen = while_it_waits(
            &database,
            &mut client,
            |client| simple_ids(client, "SELECT unnest(desk.explained_and_run())"),
            || run(superuser, SWAP),
        );
        assert_rows_or_retry(seen, AFTER_SWAP, &format!("{fold:?}"));
    }
}

// ---- uncommitted and prepared ----

/// A function sees the rows that the statement calling it has inserted so far, before any AFTER
/// trigger has fired for them. When that statement fails, nobody may have such rights.
#[test]
fn a_change_that_fails_in_its_own_statement_leaves_nothing() {
    let _roles = roles_stay();
    for fold in Fold::ALL {
        let database = desk(fold);
        let mut client = database.superuser();
        let look = "WITH added AS (
                INSERT INTO deskguard.agent_category (agent_id, category_id) VALUES (1, 2) RETURNING 1
            ) SELECT cardinality(desk.looks()) / 0 FROM added";
        run(
            &mut client,
            &format!(
                "CREATE FUNCTION desk.looks() RETURNS bigint[] LANGUAGE plpgsql SECURITY DEFINER AS $$
                 BEGIN RETURN desk.seen(); END $$;
                 ALTER FUNCTION desk.looks OWNER TO {APP};
                 SET deskguard.agent_id = 1"
            ),
        );
        let asker = Asker::new(&mut client, Kind::Generic);
        // In a new transaction, and in one that goes on after a savepoint.
        assert_eq!(code(client.batch_execute(look)), SqlState::DIVISION_BY_ZERO);
        run(&mut client, &format!("SET ROLE {APP}"));
        assert_eq!(asker.ask(&mut client).unwrap(), BY_ANN, "{fold:?}");
        run(&mut client, "RESET ROLE; BEGIN");
        // So that the rights are loaded anew.
        run(
            &mut client,
            &format!("{REVOKE_CATEGORY}; {GRANT_CATEGORY}; SAVEPOINT a"),
        );
        assert_eq!(code(client.batch_execute(look)), SqlState::DIVISION_BY_ZERO);
        run(&mut client, &format!("ROLLBACK TO a; SET ROLE {APP}"));
        assert_eq!(
            asker.ask(&mut client).unwrap(),
            BY_ANN,
            "{fold:?}, savepoint"
        );
        run(&mut client, "COMMIT");
        assert_eq!(
            asker.ask(&mut client).unwrap(),
            BY_ANN,
            "{fold:?}, committed"
        );
    }
}

#[test]
fn a_prepared_transaction_counts_when_it_is_committed() {
    let _roles = roles_stay();
    for fold in Fold::ALL {
        let database = desk(fold);
        let mut admin = database.superuser();
        let most: String = admin
            .query_one("SHOW max_prepared_transactions", &[])
            .unwrap()
            .get(0);
        if most == "0" {
            println!("skipped: the server has max_prepared_transactions = 0");
            return;
        }
        let mut client = app(&database, ANN);
        let asker = Asker::new(&mut client, Kind::Generic);
        let name = literal(database.name());
        act_for(&mut admin, ANN);
        let own = Asker::new(&mut admin, Kind::PlPgSql);
        let own_sees = |admin: &mut Client| {
            run(admin, &format!("SET ROLE {APP}"));
            let seen = own.ask(admin);
            run(admin, "RESET ROLE");
            seen.unwrap()
        };
        for (end, after) in [("ROLLBACK", BY_ANN), ("COMMIT", AFTER_SWAP)] {
            assert_eq!(asker.ask(&mut client).unwrap(), BY_ANN);
            run(&mut admin, &format!("BEGIN; {SWAP}"));
            assert_eq!(own_sees(&mut admin), AFTER_SWAP, "own, uncommitted");
            run(&mut admin, &format!("PREPARE TRANSACTION {name}"));
            assert_eq!(asker.ask(&mut client).unwrap(), BY_ANN, "prepared");
            assert_eq!(own_sees(&mut admin), BY_ANN, "own, prepared");
            run(&mut client, "BEGIN ISOLATION LEVEL REPEATABLE READ");
            assert_eq!(asker.ask(&mut client).unwrap(), BY_ANN);
            // Another session than the one that made the change.
            run(&mut database.superuser(), &format!("{end} PREPARED {name}"));
            assert_rows_or_retry(asker.ask(&mut client), after, end);
            run(&mut client, "ROLLBACK");
            assert_eq!(asker.ask(&mut client).unwrap(), after, "{end}");
            assert_eq!(own_sees(&mut admin), after, "own, {end}");
        }
    }
}

#[test]
fn parallel_workers_see_ones_own_uncommitted_change() {
    let _roles = roles_stay();
    for fold in Fold::ALL {
        for partitioned in [false, true] {
            let database = if partitioned {
                partitioned_desk(fold)
            } else {
                desk(fold)
            };
            let mut client = database.superuser();
            run(&mut client, PARALLEL);
            act_for(&mut client, ANN);
            let check = |client: &mut Client, expected: &[i64]| {
                run(client, &format!("SET ROLE {APP}"));
                let explain = "EXPLAIN (ANALYZE, COSTS OFF) SELECT id FROM desk.ticket";
                let plan: Vec<String> = client
                    .query(explain, &[])
                    .unwrap()
                    .iter()
                    .map(|line| line.get(0))
                    .collect();
                let launched = plan.iter().any(|line| {
                    let line = line.trim_start();
                    line.starts_with("Workers Launched:") && !line.ends_with(" 0")
                });
                assert!(launched, "no workers: {plan:?}");
                let mut seen = ids(client, "SELECT id FROM desk.ticket");
                seen.sort_unstable();
                assert_eq!(seen, expected, "{fold:?}, partitioned {partitioned}");
                run(client, "RESET ROLE");
            };
            check(&mut client, BY_ANN);
            for isolation in ["READ COMMITTED", "REPEATABLE READ"] {
                run(&mut client, &format!("BEGIN ISOLATION LEVEL {isolation}"));
                check(&mut client, BY_ANN);
                run(&mut client, &format!("SAVEPOINT a; {SWAP}"));
                check(&mut client, AFTER_SWAP);
                run(
                    &mut client,
                    "SAVEPOINT b; INSERT INTO deskguard.group_member VALUES (1, 1)",
                );
                check(&mut client, ALL);
                run(&mut client, "ROLLBACK TO b");
                check(&mut client, AFTER_SWAP);
                run(&mut client, "ROLLBACK TO a");
                check(&mut client, BY_ANN);
                run(&mut client, &format!("{SWAP}; ROLLBACK"));
                check(&mut client, BY_ANN);
            }
        }
    }
}
