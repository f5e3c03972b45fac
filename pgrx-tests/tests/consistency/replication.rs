//! Rights that come from another server by logical replication.

use deskguard_tests::lab::{act_for, run, texts, wait_until};
use deskguard_tests::server::{APP, Database, MAPPED, OWNER};
use postgres::Client;

use crate::copy::{PORT, ServerCopy};
use crate::desk::{
    ALL, ANN, Asker, BY_ANN, BY_BOB, Fold, Kind, NOTHING, assert_rows_or_retry, desk, roles_stay,
};

/// What decides rights, but for what belongs to one server: its roles and its tables.
const TABLES: &str = "deskguard.agent, deskguard.team, deskguard.team_member, deskguard.department,
    deskguard.category, deskguard.permission, deskguard.permission_group, deskguard.group_member,
    deskguard.group_permission, deskguard.agent_permission, deskguard.group_department,
    deskguard.agent_department, deskguard.group_category";

/// A database under test that subscribes to the rights of its copy on another server.
struct Subscriber<'a> {
    database: &'a Database,
    publisher: Client,
}

impl Subscriber<'_> {
    fn new<'a>(database: &'a Database, server: &ServerCopy) -> Subscriber<'a> {
        let mut publisher = server.connect(database, "postgres");
        run(
            &mut publisher,
            &format!("CREATE PUBLICATION rights FOR TABLE {TABLES}"),
        );
        let mut subscriber = database.superuser();
        let version =
            subscriber.query_one("SELECT current_setting('server_version_num')::integer", &[]);
        // Large transactions come before they are committed, and are applied by workers of their own.
        let streaming = if version.unwrap().get::<_, i32>(0) < 160_000 {
            "on"
        } else {
            "parallel"
        };
        run(
            &mut subscriber,
            &format!(
                "CREATE SUBSCRIPTION {name}
                 CONNECTION 'host={} port={PORT} user=postgres dbname={name}' PUBLICATION rights
                 WITH (copy_data = false, streaming = {streaming})",
                server.folder().display(),
                name = database.name()
            ),
        );
        Subscriber {
            database,
            publisher,
        }
    }

    /// Changes something on the publisher, and waits until the change is applied.
    fn change(&mut self, sql: &str) {
        run(&mut self.publisher, sql);
        let at: String = self
            .publisher
            .query_one("SELECT pg_current_wal_insert_lsn()::text", &[])
            .unwrap()
            .get(0);
        let is = format!(
            "SELECT FROM pg_stat_replication WHERE application_name = '{}' AND replay_lsn >= '{at}'",
            self.database.name()
        );
        let what = format!("applied: {sql}");
        until(&mut self.publisher, &is, &what);
    }
}

impl Drop for Subscriber<'_> {
    fn drop(&mut self) {
        let mut client = self.database.superuser();
        let name = self.database.name();
        // Each by itself; without the slot of the publisher, which goes away with it.
        for sql in [
            format!("ALTER SUBSCRIPTION {name} DISABLE"),
            format!("ALTER SUBSCRIPTION {name} SET (slot_name = NONE)"),
            format!("DROP SUBSCRIPTION {name}"),
        ] {
            if let Err(error) = client.batch_execute(&sql) {
                eprintln!("{sql}: {error:?}");
            }
        }
    }
}

/// Waits until a query has a row.
fn until(client: &mut Client, query: &str, what: &str) {
    wait_until(what, || !client.query(query, &[]).unwrap().is_empty());
}

/// A transaction that is sent in parts before it is committed.
const LARGE: &str = "BEGIN;
    INSERT INTO deskguard.category (id, name) SELECT n, 'Category ' || n FROM generate_series(1000, 4000) AS n;
    INSERT INTO deskguard.group_category (group_id, category_id) SELECT 100, n FROM generate_series(1000, 4000) AS n;
    DELETE FROM deskguard.agent_category WHERE agent_id = 1; COMMIT";

const CHANGES: [(&str, &str, &[i64]); 8] = [
    (
        "DELETE FROM deskguard.agent_category WHERE agent_id = 1",
        "INSERT INTO deskguard.agent_category VALUES (1, 1)",
        NOTHING,
    ),
    (
        "UPDATE deskguard.agent SET active = false WHERE id = 1",
        "UPDATE deskguard.agent SET active = true WHERE id = 1",
        NOTHING,
    ),
    (
        "INSERT INTO deskguard.group_member VALUES (1, 1)",
        "DELETE FROM deskguard.group_member WHERE group_id = 1 AND agent_id = 1",
        ALL,
    ),
    (
        "UPDATE deskguard.permission_group SET category_access = 'open' WHERE id = 100",
        "UPDATE deskguard.permission_group SET category_access = 'silo' WHERE id = 100",
        &[1, 2, 4, 5, 6, 10],
    ),
    (
        "DELETE FROM deskguard.agent_permission WHERE agent_id = 1",
        "INSERT INTO deskguard.agent_permission VALUES (1, 'ticket.view.assigned')",
        &[1, 10],
    ),
    (
        "UPDATE deskguard.department SET parent_id = NULL WHERE id = 2",
        "UPDATE deskguard.department SET parent_id = 1 WHERE id = 2",
        &[1, 10],
    ),
    // Here the cascade is applied, row by row.
    (
        "DELETE FROM deskguard.category WHERE id = 1",
        "INSERT INTO deskguard.category VALUES (1, 'Network');
         INSERT INTO deskguard.agent_category VALUES (1, 1)",
        NOTHING,
    ),
    (
        "BEGIN; SAVEPOINT a; INSERT INTO deskguard.group_member VALUES (1, 1); ROLLBACK TO a;
         UPDATE deskguard.agent_category SET category_id = 2 WHERE agent_id = 1;
         UPDATE deskguard.agent_department SET department_id = 3 WHERE agent_id = 1; COMMIT",
        "BEGIN; UPDATE deskguard.agent_category SET category_id = 1 WHERE agent_id = 1;
         UPDATE deskguard.agent_department SET department_id = 1 WHERE agent_id = 1; COMMIT",
        BY_BOB,
    ),
];

#[test]
fn a_subscriber_obeys_what_it_has_applied() {
    let _roles = roles_stay();
    let desks = Fold::ALL.map(desk);
    let options = "-c wal_level=logical -c max_wal_senders=10 -c logical_decoding_work_mem=64kB";
    let server = match ServerCopy::start("publisher", &[], options) {
        Ok(server) => server,
        Err(error) => {
            println!("skipped: no publisher could be started: {error}");
            return;
        }
    };
    for database in &desks {
        let mut subscriber = Subscriber::new(database, &server);
        let generic = |role: &str| {
            let mut client = database.connect(role);
            act_for(&mut client, ANN);
            let asker = Asker::new(&mut client, Kind::Generic);
            (client, asker)
        };

        // The grants of categories come as a copy of the whole table.
        let (mut app, asker) = generic(APP);
        let own = &mut database.superuser();
        run(own, "TRUNCATE deskguard.agent_category");
        assert_eq!(asker.ask(&mut app).unwrap(), NOTHING);
        subscriber.change("ALTER PUBLICATION rights ADD TABLE deskguard.agent_category");
        run(
            own,
            &format!("ALTER SUBSCRIPTION {} REFRESH PUBLICATION", database.name()),
        );
        until(
            own,
            "SELECT WHERE NOT EXISTS (SELECT FROM pg_subscription_rel AS r JOIN pg_subscription AS s ON s.oid = srsubid
                 WHERE subname = current_database() AND srsubstate <> 'r')",
            "all tables are copied",
        );
        assert_eq!(asker.ask(&mut app).unwrap(), BY_ANN, "copied");

        for isolation in [None, Some("READ COMMITTED"), Some("REPEATABLE READ")] {
            let mut askers = vec![];
            for kind in Kind::ALL
                .into_iter()
                .filter(|kind| isolation.is_none() || !kind.locks())
            {
                for role in [APP, MAPPED[0]] {
                    let mut client = database.connect(role);
                    act_for(&mut client, ANN);
                    let asker = Asker::new(&mut client, kind);
                    askers.push((format!("{isolation:?}, {kind:?}, {role}"), client, asker));
                }
            }
            let begin = |client: &mut Client| {
                if let Some(level) = isolation {
                    run(client, &format!("BEGIN ISOLATION LEVEL {level}"));
                }
            };
            for (sql, back, expected) in CHANGES {
                for (what, client, asker) in &mut askers {
                    begin(client);
                    assert_eq!(asker.ask(client).unwrap(), BY_ANN, "{what}: before {sql}");
                }
                subscriber.change(sql);
                for (what, client, asker) in &mut askers {
                    let seen = asker.ask(client);
                    if isolation.is_none() {
                        assert_eq!(seen.unwrap(), expected, "{what}: {sql}");
                    } else {
                        assert_rows_or_retry(seen, expected, &format!("{what}: {sql}"));
                        run(client, "ROLLBACK");
                    }
                }
                subscriber.change(back);
            }
        }

        let (mut role, role_asker) = generic(MAPPED[0]);
        assert_eq!(role_asker.ask(&mut role).unwrap(), BY_ANN);
        for (sql, expected) in [
            (
                "BEGIN; DELETE FROM deskguard.agent_category; ROLLBACK",
                BY_ANN,
            ),
            (LARGE, NOTHING),
            ("INSERT INTO deskguard.agent_category VALUES (1, 1)", BY_ANN),
            ("TRUNCATE deskguard.agent_category", NOTHING),
        ] {
            subscriber.change(sql);
            assert_eq!(asker.ask(&mut app).unwrap(), expected, "{sql}");
            assert_eq!(role_asker.ask(&mut role).unwrap(), expected, "{sql}");
        }
    }
}

/// A mirror on the subscriber follows the help desk's tables, which belong to somebody without rights on deskguard.
#[test]
fn a_mirror_follows_what_is_replicated() {
    let _roles = roles_stay();
    let database = desk(Fold::ALL[0]);
    run(
        &mut database.superuser(),
        &format!(
            "CREATE SCHEMA hd AUTHORIZATION {OWNER}; SET ROLE {OWNER};
             CREATE TABLE hd.person (id bigint PRIMARY KEY, name text, seen timestamptz);
             CREATE TABLE hd.member (team_id bigint, person_id bigint, PRIMARY KEY (team_id, person_id));
             CREATE VIEW hd.people AS SELECT id, name FROM hd.person;
             CREATE VIEW hd.members AS SELECT team_id, person_id AS agent_id FROM hd.member;
             RESET ROLE; INSERT INTO deskguard.team VALUES (70, 'Team'), (71, 'Other team')"
        ),
    );
    let options = "-c wal_level=logical -c max_wal_senders=10 -c logical_decoding_work_mem=64kB";
    let server = match ServerCopy::start("mirrored", &[], options) {
        Ok(server) => server,
        Err(error) => {
            println!("skipped: no publisher could be started: {error}");
            return;
        }
    };
    let mut subscriber = Subscriber::new(&database, &server);
    let own = &mut database.superuser();
    run(
        own,
        "SELECT deskguard.mirror('agent', 'hd.people'), deskguard.mirror('team_member', 'hd.members')",
    );
    subscriber.change(
        "INSERT INTO hd.person SELECT n, 'Copied ' || n FROM generate_series(701, 703) AS n",
    );
    subscriber.change("ALTER PUBLICATION rights SET TABLE hd.person, hd.member");
    run(
        own,
        &format!("ALTER SUBSCRIPTION {} REFRESH PUBLICATION", database.name()),
    );
    let check = |subscriber: &mut Subscriber, sql: &str, expected: &[&str]| {
        if !sql.is_empty() {
            subscriber.change(sql);
        }
        let query = "SELECT concat_ws(' ', a.id, a.name, string_agg(m.team_id::text, ' ' ORDER BY m.team_id)) FROM deskguard.agent AS a
             LEFT JOIN deskguard.team_member AS m ON m.agent_id = a.id WHERE a.id > 700 GROUP BY a.id ORDER BY a.id";
        let mut found = vec![];
        let own = &mut database.superuser();
        // The copy of a table is waited for.
        wait_until(&format!("{sql}: {expected:?}"), || {
            found = texts(own, query);
            found == expected
        });
    };
    let s = &mut subscriber;
    check(
        s,
        "",
        &["701 Copied 701", "702 Copied 702", "703 Copied 703"],
    );
    check(
        s,
        "BEGIN; DELETE FROM hd.person WHERE id = 703; INSERT INTO hd.member VALUES (70, 701), (71, 702);
         UPDATE hd.person SET name = 'Renamed' WHERE id = 701; COMMIT",
        &["701 Renamed 70", "702 Copied 702 71"],
    );
    // A cascade of deskguard's, where none is replicated.
    check(
        s,
        "DELETE FROM hd.member WHERE person_id = 702; DELETE FROM hd.person WHERE id = 702",
        &["701 Renamed 70"],
    );
    check(
        s,
        "BEGIN; INSERT INTO hd.person SELECT n, 'Many' FROM generate_series(1000, 3000) AS n;
         SAVEPOINT a; DELETE FROM hd.member; ROLLBACK TO a;
         DELETE FROM hd.person WHERE id > 999; INSERT INTO hd.member VALUES (71, 701); COMMIT",
        &["701 Renamed 70 71"],
    );
    check(s, "TRUNCATE hd.member", &["701 Renamed"]);
}
