//! Outside of a transaction block a statement does not fail because rights change at the same moment: it has
//! those that held when it began.

use std::env;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use deskguard_tests::lab::{app, is_retry, run};
use deskguard_tests::server::{APP, Database};

use crate::desk::{ANN, BY_ANN, Fold, GRANT_CATEGORY, REVOKE_CATEGORY, alone, desk, roles_stay};

/// A client that sends the messages of a statement one by one, as drivers do not.
struct Wire(UnixStream);

impl Wire {
    fn connect(database: &Database) -> Wire {
        let variable = |name| env::var(name).unwrap();
        let path = format!("{}/.s.PGSQL.{}", variable("PGHOST"), variable("PGPORT"));
        let mut wire = Wire(UnixStream::connect(path).unwrap());
        let mut body = 196_608_i32.to_be_bytes().to_vec();
        for text in ["user", APP, "database", database.name(), ""] {
            body.extend(text.as_bytes());
            body.push(0);
        }
        wire.write(&body);
        wire.read_to(b'Z');
        wire.query(&format!("SET deskguard.agent_id = {ANN}"));
        wire
    }

    fn write(&mut self, body: &[u8]) {
        let length = i32::try_from(body.len() + 4).unwrap();
        self.0.write_all(&length.to_be_bytes()).unwrap();
        self.0.write_all(body).unwrap();
    }

    fn send(&mut self, kind: u8, body: &[u8]) {
        self.0.write_all(&[kind]).unwrap();
        self.write(body);
    }

    fn parse(&mut self, name: &str, sql: &str) {
        self.send(b'P', format!("{name}\0{sql}\0\0\0").as_bytes());
    }

    fn bind(&mut self, name: &str) {
        self.send(b'B', format!("\0{name}\0\0\0\0\0\0\0").as_bytes());
    }

    fn execute(&mut self) {
        self.send(b'E', b"\0\0\0\0\0");
    }

    fn flush(&mut self, until: u8) {
        self.send(b'H', b"");
        self.read_to(until);
    }

    fn sync(&mut self) -> String {
        self.send(b'S', b"");
        self.read_to(b'Z')
    }

    fn query(&mut self, sql: &str) -> String {
        self.send(b'Q', format!("{sql}\0").as_bytes());
        self.read_to(b'Z')
    }

    /// What a statement has done, or its SQLSTATE: the last of the messages until one of this kind.
    fn read_to(&mut self, until: u8) -> String {
        let mut outcome = String::new();
        loop {
            let mut head = [0; 5];
            self.0.read_exact(&mut head).unwrap();
            let length = i32::from_be_bytes(head[1..].try_into().unwrap());
            let mut body = vec![0; usize::try_from(length).unwrap() - 4];
            self.0.read_exact(&mut body).unwrap();
            let text = String::from_utf8_lossy(&body).into_owned();
            match head[0] {
                b'C' => outcome = text.trim_end_matches('\0').into(),
                b'E' => {
                    let code = text.split('\0').find(|field| field.starts_with('C'));
                    outcome = code.unwrap()[1..].into();
                }
                _ => {}
            }
            if head[0] == until {
                return outcome;
            }
        }
    }
}

const UPDATE: &str = "UPDATE desk.ticket SET subject = 'x' WHERE id > 0";

/// Binds the update, revokes and executes.
fn revoke_before_execute(
    wire: &mut Wire,
    database: &Database,
    is_prepared: bool,
    wait: Duration,
) -> (String, Duration) {
    let name = if is_prepared { "kept" } else { "" };
    let began = Instant::now();
    if !is_prepared {
        wire.parse(name, UPDATE);
    }
    wire.bind(name);
    wire.flush(b'2');
    run(&mut database.superuser(), REVOKE_CATEGORY);
    thread::sleep(wait);
    wire.execute();
    let took = began.elapsed();
    let outcome = wire.sync();
    run(&mut database.superuser(), GRANT_CATEGORY);
    (outcome, took)
}

#[test]
fn a_write_that_is_sent_in_one_go_begins_with_its_first_message() {
    let _alone = alone();
    let all = format!("UPDATE {}", BY_ANN.len());
    let late = ["40001", "UPDATE 0"];
    let second = Duration::from_secs(1);
    for fold in Fold::ALL {
        let database = desk(fold);
        for is_prepared in [false, true] {
            let what = format!("{fold:?}, prepared {is_prepared}");
            let mut wire = Wire::connect(&database);
            wire.query("SET plan_cache_mode = force_generic_plan");
            wire.parse("kept", UPDATE);
            wire.bind("kept");
            wire.execute();
            assert_eq!(wire.sync(), all, "{what}");
            let now = Duration::ZERO;
            let (outcome, took) = revoke_before_execute(&mut wire, &database, is_prepared, now);
            // Without literals in its plan it asks when it runs.
            let is_right = if fold == Fold::Off {
                outcome == "UPDATE 0"
            } else {
                outcome == all || took > second
            };
            assert!(is_right, "{what}: {outcome} after {took:?}");
            // A right is not kept for later.
            let (outcome, _) = revoke_before_execute(&mut wire, &database, is_prepared, second);
            assert!(late.contains(&outcome.as_str()), "{what}, late: {outcome}");
            // Nor where the transaction began with something else.
            wire.query("BEGIN");
            let (outcome, _) = revoke_before_execute(&mut wire, &database, is_prepared, now);
            assert!(late.contains(&outcome.as_str()), "{what}, BEGIN: {outcome}");
            wire.query("ROLLBACK");
            wire.parse("", "SELECT 1");
            wire.bind("");
            wire.execute();
            let (outcome, _) = revoke_before_execute(&mut wire, &database, is_prepared, now);
            assert!(
                late.contains(&outcome.as_str()),
                "{what}, second: {outcome}"
            );
            wire.parse("", "DO 'BEGIN PERFORM 1; END'");
            wire.bind("");
            wire.execute();
            let (outcome, _) = revoke_before_execute(&mut wire, &database, is_prepared, now);
            assert!(
                late.contains(&outcome.as_str()),
                "{what}, after DO: {outcome}"
            );
        }
    }
}

#[test]
fn no_statement_fails_outside_of_a_transaction_block() {
    let _roles = roles_stay();
    const CHANGES: usize = 3000;
    let database = desk(Fold::On);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let readers = [
            "SELECT id FROM desk.ticket WHERE id > $1",
            "UPDATE desk.ticket SET subject = 'x' WHERE id > $1 RETURNING id",
            "SELECT f.ticket_id FROM desk.follower AS f WHERE f.agent_id = 77 AND f.ticket_id > $1",
        ]
        .map(|sql| {
            let (database, is_over) = (&database, &is_over);
            scope.spawn(move || {
                let mut client = app(database, ANN);
                let statement = client.prepare(sql).unwrap();
                let mut times = 0;
                while !is_over.load(Ordering::Relaxed) {
                    match client.query(&statement, &[&0i64]) {
                        Ok(rows) => {
                            assert!([0, BY_ANN.len()].contains(&rows.len()), "{sql}: {rows:?}");
                        }
                        Err(error) => panic!("{sql}: {error:?}, retry: {}", is_retry(&error)),
                    }
                    times += 1;
                }
                times
            })
        });
        let mut superuser = database.superuser();
        for _ in 0..CHANGES {
            run(&mut superuser, REVOKE_CATEGORY);
            run(&mut superuser, GRANT_CATEGORY);
        }
        is_over.store(true, Ordering::Relaxed);
        for reader in readers {
            let times = reader.join().unwrap();
            assert!(times > CHANGES / 10, "{times}");
        }
    });
}
