//! Rows that others write at the same moment.

use deskguard_tests::lab::{app, code, value, wait_until};
use deskguard_tests::server::{APP, OWNER};
use deskguard_tests::small_desk::{ANN, PARTITIONED, PLAIN, SELECT, both_ways};
use postgres::Client;
use postgres::error::SqlState;

/// Waits until a session waits for a lock that another one holds.
fn until_somebody_waits(superuser: &mut Client) {
    let waiting = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted";
    wait_until("somebody waits", || value(superuser, waiting));
}

#[test]
fn a_message_that_was_waited_for_belongs_to_its_ticket_as_it_is_then() {
    for database in both_ways(PLAIN) {
        let mut superuser = database.superuser();
        superuser
            .batch_execute(&format!(
                "SET ROLE {OWNER};
                 CREATE TABLE desk.message (id bigint PRIMARY KEY,
                     ticket_id bigint NOT NULL REFERENCES desk.ticket, body text NOT NULL DEFAULT '');
                 GRANT SELECT, INSERT, UPDATE, DELETE ON desk.message TO {APP};
                 SELECT deskguard.protect_messages('desk.message', 'desk.ticket');
                 RESET ROLE;
                 INSERT INTO desk.message SELECT id, id FROM desk.ticket;
                 INSERT INTO deskguard.agent_permission (agent_id, permission) VALUES
                     (1, 'ticket.edit_messages.own'), (1, 'ticket.edit_messages.unassigned')"
            ))
            .unwrap();
        for (policy, sql) in [
            ("", "SELECT id FROM desk.message ORDER BY id FOR UPDATE"),
            (
                "",
                "SELECT id FROM desk.message WHERE ticket_id = 1 OR ticket_id = 2 FOR UPDATE",
            ),
            (
                "",
                "UPDATE desk.message SET body = body || '!' WHERE ticket_id IN (1, 2) RETURNING id",
            ),
            (
                "",
                "DELETE FROM desk.message WHERE ticket_id IN (1, 2) RETURNING id",
            ),
            (
                "CREATE POLICY own ON desk.ticket AS RESTRICTIVE USING (department_id < 3)",
                "SELECT id FROM desk.message WHERE ticket_id IN (1, 2) FOR UPDATE",
            ),
        ] {
            superuser.batch_execute(policy).unwrap();
            // Hides ticket 1 and writes to it, and ticket 2 stays.
            let mut other = database.superuser();
            let mut writes = other.transaction().unwrap();
            writes
                .batch_execute(
                    "UPDATE desk.ticket SET department_id = 3 WHERE id = 1;
                     UPDATE desk.message SET body = 'secret' WHERE id = 1;
                     UPDATE desk.message SET body = 'known' WHERE id = 2",
                )
                .unwrap();
            let mut ann = app(&database, ANN);
            let attempt = std::thread::spawn(move || {
                let mut tried = ann.transaction().unwrap();
                let rows = tried.query(sql, &[]).unwrap();
                let found: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
                tried.rollback().unwrap();
                found
            });
            until_somebody_waits(&mut superuser);
            writes.commit().unwrap();
            let found = attempt.join().unwrap();
            assert!(
                found.contains(&2) && !found.contains(&1),
                "{sql}: {found:?}"
            );
            superuser
                .batch_execute("UPDATE desk.ticket SET department_id = 1 WHERE id = 1")
                .unwrap();
        }
    }
}

#[test]
fn an_id_is_taken_also_if_ones_snapshot_is_older() {
    for database in both_ways(PARTITIONED) {
        let mut superuser = database.superuser();
        let mut ann = app(&database, ANN);
        let mut writes = ann
            .build_transaction()
            .isolation_level(postgres::IsolationLevel::RepeatableRead)
            .start()
            .unwrap();
        writes.query(SELECT, &[]).unwrap();
        // In another partition than ann's will be.
        superuser
            .batch_execute(
                "INSERT INTO desk.ticket (id, department_id, category_id) VALUES (100, 3, 2);
                 INSERT INTO desk.follower VALUES (101, 3)",
            )
            .unwrap();
        for (id, is_taken) in [(100i64, true), (101, true), (102, false)] {
            let mut one = writes.transaction().unwrap();
            let insert =
                "INSERT INTO desk.ticket (id, department_id, category_id) VALUES ($1, 1, 1)";
            let outcome = one.execute(insert, &[&id]);
            if is_taken {
                let state = SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE;
                assert_eq!(code(outcome), state, "{id}");
            } else {
                assert_eq!(outcome.unwrap(), 1);
            }
            one.rollback().unwrap();
        }
    }
}

#[test]
fn a_change_that_was_waited_for_is_refused_with_the_reason_of_then() {
    for database in both_ways(PLAIN) {
        let mut superuser = database.superuser();
        superuser
            .batch_execute(
                "DELETE FROM deskguard.group_permission WHERE permission = 'ticket.modify.assigned'",
            )
            .unwrap();
        for (meanwhile, is_seen) in [
            ("UPDATE desk.ticket SET assignee_id = 2 WHERE id = 1", true),
            (
                "UPDATE desk.ticket SET department_id = 3 WHERE id = 1",
                false,
            ),
            ("DELETE FROM desk.ticket WHERE id = 1", false),
        ] {
            let mut other = database.superuser();
            let mut writes = other.transaction().unwrap();
            writes.batch_execute(meanwhile).unwrap();
            let mut ann = app(&database, ANN);
            ann.batch_execute("SET deskguard.refused_changes = error")
                .unwrap();
            let attempt = std::thread::spawn(move || {
                ann.execute("UPDATE desk.ticket SET subject = 'x' WHERE id = 1", &[])
            });
            until_somebody_waits(&mut superuser);
            writes.commit().unwrap();
            match attempt.join().unwrap() {
                Ok(rows) => assert!(rows == 0 && !is_seen, "{meanwhile}: {rows}"),
                Err(error) => {
                    let error = error.as_db_error().unwrap();
                    let detail = error.detail().unwrap_or_default();
                    assert!(
                        is_seen && detail.contains("lacks ticket.modify.assigned"),
                        "{meanwhile}: {error:?}"
                    );
                }
            }
            superuser
                .batch_execute(
                    "UPDATE desk.ticket SET assignee_id = NULL, department_id = 1 WHERE id = 1",
                )
                .unwrap();
        }
    }
}
