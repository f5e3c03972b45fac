//! Mirrors while several sessions change what is below them.

use std::thread;

use deskguard_tests::lab::{act_for, code, is_retry, run, texts, value, wait_until};
use deskguard_tests::server::{APP, Database, OWNER};
use postgres::error::SqlState;
use postgres::{Client, Error};

/// A help desk whose members have a mirror that joins two tables, and who sees the tickets of a team.
fn desk() -> Database {
    let database = Database::with_deskguard("mirrors");
    let mut superuser = database.superuser();
    run(
        &mut superuser,
        &format!(
            "CREATE SCHEMA desk AUTHORIZATION {OWNER};
             GRANT USAGE ON SCHEMA desk TO {APP};
             SET ROLE {OWNER};
             CREATE TABLE desk.person (id bigint PRIMARY KEY, works boolean NOT NULL DEFAULT true);
             CREATE TABLE desk.member (team_id bigint, person_id bigint, PRIMARY KEY (team_id, person_id));
             CREATE TABLE desk.ticket (id bigint PRIMARY KEY, team_id bigint);
             CREATE VIEW desk.agents AS SELECT id FROM desk.person;
             CREATE VIEW desk.members AS SELECT m.team_id, m.person_id AS agent_id FROM desk.member AS m
                 JOIN desk.person AS p ON p.id = m.person_id WHERE p.works;
             INSERT INTO desk.person SELECT n FROM generate_series(1, 20) AS n;
             INSERT INTO desk.ticket SELECT n, n FROM generate_series(1, 3) AS n;
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA desk TO {APP};
             RESET ROLE;
             INSERT INTO deskguard.team SELECT n, 'Team ' || n FROM generate_series(1, 3) AS n;
             SELECT deskguard.mirror('agent', 'desk.agents');
             SELECT deskguard.mirror('team_member', 'desk.members');
             INSERT INTO deskguard.agent_permission SELECT n, 'ticket.use' FROM generate_series(1, 20) AS n"
        ),
    );
    run(
        &mut database.connect(OWNER),
        "SELECT deskguard.protect_tickets('desk.ticket', team_column => 'team_id')",
    );
    database
}

/// The members that deskguard has, which are those that the view gives.
fn members(database: &Database) -> String {
    let mut superuser = database.superuser();
    let list = |from: &str| {
        format!(
            "SELECT coalesce(string_agg(team_id || ':' || agent_id, ' ' ORDER BY team_id, agent_id), '') FROM {from}"
        )
    };
    let given: String = value(&mut superuser, &list("desk.members"));
    let mirrored: String = value(&mut superuser, &list("deskguard.team_member"));
    assert_eq!(mirrored, given);
    let noted: i64 = value(
        &mut superuser,
        "SELECT count(*) FROM deskguard_internal.mirrored_row AS r JOIN deskguard_internal.mirror AS m ON m.id = r.mirror
         WHERE m.target = 'team_member'",
    );
    assert_eq!(noted as usize, mirrored.split_whitespace().count());
    mirrored
}

fn until_somebody_waits(database: &Database) {
    let mut superuser = database.superuser();
    let waiting = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted";
    wait_until("somebody waits", || value(&mut superuser, waiting));
}

#[test]
fn two_sessions_change_members_at_once() {
    let database = desk();
    let (mut first, mut second) = (database.connect(APP), database.connect(APP));
    run(&mut first, "BEGIN; INSERT INTO desk.member VALUES (1, 1)");
    run(&mut second, "BEGIN; INSERT INTO desk.member VALUES (1, 2)");
    run(&mut first, "COMMIT");
    assert_eq!(members(&database), "1:1");
    run(&mut second, "COMMIT");
    assert_eq!(members(&database), "1:1 1:2");
    // Each has half of a row of the view.
    run(
        &mut first,
        "UPDATE desk.person SET works = false WHERE id = 3",
    );
    run(
        &mut first,
        "BEGIN; UPDATE desk.person SET works = true WHERE id = 3",
    );
    run(&mut second, "BEGIN; INSERT INTO desk.member VALUES (2, 3)");
    run(&mut second, "COMMIT");
    assert_eq!(members(&database), "1:1 1:2");
    run(&mut first, "COMMIT");
    assert_eq!(members(&database), "1:1 1:2 2:3");
}

#[test]
fn one_that_has_asked_is_waited_for() {
    let database = desk();
    for (end, expected) in [("COMMIT", "1:1 1:2"), ("ROLLBACK", "1:2")] {
        let mut first = database.connect(APP);
        act_for(&mut first, 1);
        run(&mut first, "BEGIN; INSERT INTO desk.member VALUES (1, 1)");
        let tickets: i64 = value(&mut first, "SELECT count(*) FROM desk.ticket");
        assert_eq!(tickets, 1, "one's own change is seen");
        thread::scope(|scope| {
            let other = scope.spawn(|| {
                let mut second = database.connect(APP);
                run(&mut second, "BEGIN; INSERT INTO desk.member VALUES (1, 2)");
                run(&mut second, "COMMIT");
            });
            until_somebody_waits(&database);
            run(&mut first, end);
            other.join().unwrap();
        });
        assert_eq!(members(&database), expected);
        run(&mut first, "DELETE FROM desk.member");
        assert_eq!(members(&database), "");
    }
}

#[test]
fn an_old_snapshot_is_refused() {
    let database = desk();
    for level in ["REPEATABLE READ", "SERIALIZABLE"] {
        let (mut first, mut second) = (database.connect(APP), database.connect(APP));
        let begin = format!("BEGIN ISOLATION LEVEL {level}; SELECT count(*) FROM desk.member");
        run(&mut first, &begin);
        run(&mut first, "INSERT INTO desk.member VALUES (1, 1)");
        run(&mut second, "INSERT INTO desk.member VALUES (1, 2)");
        let refused = code(first.batch_execute("COMMIT"));
        assert_eq!(refused, SqlState::T_R_SERIALIZATION_FAILURE, "{level}");
        assert_eq!(members(&database), "1:2");
        // Again, and nobody else meanwhile.
        run(&mut first, &begin);
        run(&mut first, "INSERT INTO desk.member VALUES (1, 1)");
        act_for(&mut first, 1);
        let tickets: i64 = value(&mut first, "SELECT count(*) FROM desk.ticket");
        assert_eq!(tickets, 1, "{level}");
        run(&mut first, "COMMIT");
        assert_eq!(members(&database), "1:1 1:2");
        run(&mut first, "DELETE FROM desk.member");
        assert_eq!(members(&database), "");
    }
}

#[test]
fn a_session_that_is_killed_leaves_nothing() {
    let database = desk();
    let mut victim = database.connect(APP);
    act_for(&mut victim, 1);
    run(&mut victim, "BEGIN; INSERT INTO desk.member VALUES (1, 1)");
    let tickets: i64 = value(&mut victim, "SELECT count(*) FROM desk.ticket");
    assert_eq!(tickets, 1);
    let pid: i32 = value(&mut victim, "SELECT pg_backend_pid()");
    thread::scope(|scope| {
        let other = scope.spawn(|| {
            run(
                &mut database.connect(APP),
                "INSERT INTO desk.member VALUES (1, 2)",
            )
        });
        until_somebody_waits(&database);
        run(
            &mut database.superuser(),
            &format!("SELECT pg_terminate_backend({pid})"),
        );
        other.join().unwrap();
    });
    assert_eq!(members(&database), "1:2");
}

#[test]
fn a_prepared_transaction_has_refreshed() {
    let database = desk();
    let mut client = database.connect(APP);
    let name = database.name();
    run(&mut client, "BEGIN; INSERT INTO desk.member VALUES (1, 1)");
    run(&mut client, &format!("PREPARE TRANSACTION '{name}'"));
    assert_eq!(members(&database), "");
    run(&mut client, &format!("COMMIT PREPARED '{name}'"));
    assert_eq!(members(&database), "1:1");
}

#[test]
fn a_procedure_commits_in_between() {
    let database = desk();
    let mut client = database.connect(OWNER);
    run(
        &mut client,
        "CREATE PROCEDURE desk.fill() LANGUAGE plpgsql AS $$
         BEGIN
             FOR n IN 1..5 LOOP
                 INSERT INTO desk.member VALUES (1, n);
                 IF n % 2 = 0 THEN ROLLBACK; ELSE COMMIT; END IF;
             END LOOP;
         END $$;",
    );
    run(&mut client, "CALL desk.fill()");
    assert_eq!(members(&database), "1:1 1:3 1:5");
}

/// What the triggers that a refresh has deferred do, counts.
#[test]
fn deferred_triggers_of_what_is_refreshed_fire() {
    let database = desk();
    let mut superuser = database.superuser();
    run(
        &mut superuser,
        "CREATE TABLE desk.of_agent (agent_id bigint REFERENCES deskguard.agent DEFERRABLE INITIALLY DEFERRED);
         CREATE TABLE desk.log (id bigint);
         CREATE FUNCTION desk.log() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN INSERT INTO desk.log VALUES (NEW.id); RETURN NULL; END $$;
         CREATE CONSTRAINT TRIGGER log AFTER INSERT ON deskguard.agent DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION desk.log();
         INSERT INTO desk.of_agent VALUES (5)",
    );
    run(&mut superuser, "INSERT INTO desk.person VALUES (30)");
    assert_eq!(
        texts(&mut superuser, "SELECT id::text FROM desk.log"),
        ["30"]
    );
    let refused = code(superuser.batch_execute("DELETE FROM desk.person WHERE id = 5"));
    assert_eq!(refused, SqlState::FOREIGN_KEY_VIOLATION);
    let left: i64 = value(
        &mut superuser,
        "SELECT count(*) FROM desk.person WHERE id = 5",
    );
    assert_eq!(left, 1);
}

/// A sequence of numbers that look random, the same for each seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) % bound
    }
}

fn transaction(client: &mut Client, random: &mut Random) -> Result<(), Error> {
    let level = ["READ COMMITTED", "READ COMMITTED", "REPEATABLE READ"][random.below(3) as usize];
    client.batch_execute(&format!("BEGIN ISOLATION LEVEL {level}"))?;
    let mut savepoints = 0;
    for _ in 0..1 + random.below(6) {
        let (team, person) = (1 + random.below(3), 1 + random.below(20));
        let sql = match random.below(9) {
            0..=2 => {
                format!("INSERT INTO desk.member VALUES ({team}, {person}) ON CONFLICT DO NOTHING")
            }
            3 => format!("DELETE FROM desk.member WHERE person_id = {person}"),
            4 => format!("UPDATE desk.person SET works = NOT works WHERE id = {person}"),
            5 => format!("SELECT deskguard.agent_can_view({person}, {team}, 'desk.ticket')"),
            6 => {
                savepoints += 1;
                format!("SAVEPOINT s{savepoints}")
            }
            7 if savepoints > 0 => {
                savepoints -= 1;
                format!("ROLLBACK TO s{}", savepoints + 1)
            }
            8 if savepoints > 0 => {
                savepoints -= 1;
                format!("RELEASE s{}", savepoints + 1)
            }
            _ => "SELECT count(*) FROM desk.ticket".into(),
        };
        client.batch_execute(&sql)?;
    }
    let end = if random.below(6) == 0 {
        "ROLLBACK"
    } else {
        "COMMIT"
    };
    client.batch_execute(end)
}

#[test]
fn many_sessions_keep_them_equal() {
    let database = desk();
    let retries: usize = thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|worker| {
                let database = &database;
                scope.spawn(move || {
                    let mut client = database.superuser();
                    act_for(&mut client, 1 + worker as i64);
                    let mut random = Random(worker);
                    let mut retries = 0;
                    for _ in 0..100 {
                        if let Err(error) = transaction(&mut client, &mut random) {
                            let is_deadlock =
                                error.code() == Some(&SqlState::T_R_DEADLOCK_DETECTED);
                            assert!(is_retry(&error) || is_deadlock, "{error:?}");
                            retries += 1;
                            run(&mut client, "ROLLBACK");
                        }
                    }
                    retries
                })
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .sum()
    });
    assert!(retries < 400, "some transactions were committed");
    assert_ne!(members(&database), "");
}
