//! Where the library is not preloaded.

use deskguard_tests::lab::act_for;
use deskguard_tests::server::{APP, STRANGER};
use deskguard_tests::small_desk::{ANN, MAX, NOTHING, PLAIN, SEEN_BY_ANN, both_ways, seen};
use postgres::error::SqlState;

#[test]
fn without_preloading_the_library_comes_with_the_first_use() {
    for database in both_ways(PLAIN) {
        let off = format!(
            "ALTER DATABASE {} SET session_preload_libraries = 'plpgsql'",
            database.name()
        );
        database.superuser().batch_execute(&off).unwrap();
        for (value, rows) in [("1", &SEEN_BY_ANN[..]), ("x", &NOTHING), ("", &NOTHING)] {
            let mut client = database.connect(APP);
            let set = format!("SET deskguard.agent_id = '{value}'");
            client.batch_execute(&set).unwrap();
            assert_eq!(seen(&mut client), rows, "{set}");
        }
        let mut stranger = database.connect(STRANGER);
        act_for(&mut stranger, MAX);
        assert_eq!(seen(&mut stranger), NOTHING);
        let mut superuser = database.superuser();
        superuser
            .batch_execute("SET deskguard.agent_id = '1'")
            .unwrap();
        superuser.batch_execute(&format!("SET ROLE {APP}")).unwrap();
        assert_eq!(seen(&mut superuser), SEEN_BY_ANN);
        // A first statement that writes.
        let grant = "INSERT INTO deskguard.agent_department VALUES (1, 3, 'assign')";
        database.superuser().batch_execute(grant).unwrap();
        let is_refused = Err(SqlState::INSUFFICIENT_PRIVILEGE);
        for (sql, expected) in [
            (
                "UPDATE desk.ticket SET department_id = 3 WHERE id = 1",
                Ok(1),
            ),
            (
                "UPDATE desk.ticket SET department_id = 3 WHERE id > 5",
                Ok(1),
            ),
            ("UPDATE desk.ticket SET subject = 'x' WHERE id = 3", Ok(0)),
            (
                "UPDATE desk.ticket SET subject = 'x' WHERE department_id = 3",
                Ok(0),
            ),
            (
                "UPDATE desk.ticket SET department_id = 12 WHERE id = 2",
                is_refused.clone(),
            ),
            (
                "INSERT INTO desk.ticket (id, department_id) VALUES (20, 3) RETURNING id",
                Ok(1),
            ),
            (
                "INSERT INTO desk.ticket (id, department_id) VALUES (3, 1)
              ON CONFLICT (id) DO UPDATE SET subject = 'x'",
                is_refused,
            ),
        ] {
            let mut client = database.connect(APP);
            act_for(&mut client, ANN);
            let outcome = client
                .execute(sql, &[])
                .map_err(|error| error.code().unwrap().clone());
            assert_eq!(outcome, expected, "{sql}");
        }
    }
}
