//! Commands that write, and what their errors say.

use std::collections::BTreeSet;
use std::io::Read as _;

use deskguard_tests::lab::{app, code, ids, value};
use deskguard_tests::server::APP;
use deskguard_tests::small_desk::{
    ANN, BOB, DEE, EVE, NOTHING, PLAIN, SEEN_BY_ANN, SEEN_BY_BOB, SEEN_BY_DEE, SEEN_BY_MAX,
    both_ways, contents, seen,
};
use postgres::error::SqlState;

#[test]
fn copy() {
    for database in both_ways(PLAIN) {
        for (agent, rows) in [
            (ANN, &SEEN_BY_ANN[..]),
            (BOB, &SEEN_BY_BOB),
            (EVE, &NOTHING),
        ] {
            let mut client = app(&database, agent);
            for sql in [
                "COPY (SELECT id FROM desk.ticket ORDER BY id) TO STDOUT",
                "COPY desk.ticket (id) TO STDOUT",
            ] {
                let mut text = String::new();
                client
                    .copy_out(sql)
                    .unwrap()
                    .read_to_string(&mut text)
                    .unwrap();
                let found: BTreeSet<i64> = text.lines().map(|line| line.parse().unwrap()).collect();
                assert_eq!(found, rows.iter().copied().collect(), "{sql}");
            }
            for table in ["desk.ticket (id, department_id)", "desk.follower"] {
                // The driver's copy_in does not report an error of this moment.
                let refused = client.batch_execute(&format!("COPY {table} FROM STDIN"));
                assert_eq!(code(refused), SqlState::FEATURE_NOT_SUPPORTED, "{table}");
            }
        }
        assert_eq!(contents(&database).len(), SEEN_BY_MAX.len());
    }
}

#[test]
fn commands_that_join_or_merge_change_no_more() {
    for database in both_ways(PLAIN) {
        let mut ann = app(&database, ANN);
        let unchanged = contents(&database);
        let all = "(SELECT generate_series(1, 8) AS id) v";

        // Modifies everything that she sees; deletes nothing.
        for (sql, rows) in [
        (format!("UPDATE desk.ticket t SET subject = 'x' FROM {all} WHERE t.id = v.id"), 4),
        (format!("DELETE FROM desk.ticket t USING {all} WHERE t.id = v.id"), 0),
        ("WITH gone AS (DELETE FROM desk.ticket RETURNING id) SELECT id FROM gone".into(), 0),
        ("WITH changed AS (UPDATE desk.ticket SET subject = 'x' RETURNING id) SELECT id FROM changed".into(), 4),
        (
            format!(
                "MERGE INTO desk.ticket t USING {all} ON t.id = v.id \
                 WHEN MATCHED THEN UPDATE SET subject = 'x'"
            ),
            4,
        ),
        ("SELECT id FROM desk.ticket FOR UPDATE".into(), 4),
        (
            "INSERT INTO desk.ticket (id, department_id) VALUES (1, 1) \
             ON CONFLICT (id) DO UPDATE SET subject = 'x'"
                .into(),
            1,
        ),
        // What she cannot see is neither changed nor told apart further.
        (
            "INSERT INTO desk.ticket (id, department_id) VALUES (3, 1) ON CONFLICT (id) DO NOTHING".into(),
            0,
        ),
    ] {
        let mut transaction = ann.transaction().unwrap();
        let changed = transaction.execute(&sql, &[]);
        assert_eq!(changed.map_err(|e| format!("{e:?}")), Ok(rows), "{sql}");
    }
        for sql in [
            "INSERT INTO desk.ticket (id, department_id) VALUES (3, 1) \
         ON CONFLICT (id) DO UPDATE SET subject = 'x'",
            "INSERT INTO desk.ticket (id, department_id) VALUES (3, 1) \
         ON CONFLICT (id) DO UPDATE SET department_id = 1 RETURNING id",
            "MERGE INTO desk.ticket t USING (SELECT 1 AS id) v ON t.id = v.id WHEN MATCHED THEN DELETE",
            "MERGE INTO desk.ticket t USING (SELECT 50 AS id) v ON t.id = v.id \
         WHEN NOT MATCHED THEN INSERT (id, department_id) VALUES (50, 3)",
            "WITH made AS (INSERT INTO desk.ticket (id, department_id) VALUES (50, 3) RETURNING id) \
         SELECT * FROM made",
            "INSERT INTO desk.ticket (id, department_id) SELECT 50 + n, n FROM generate_series(1, 3) n",
        ] {
            let refused = code(ann.execute(sql, &[]));
            assert_eq!(refused, SqlState::INSUFFICIENT_PRIVILEGE, "{sql}");
        }
        assert_eq!(contents(&database), unchanged);

        // Nobody may do any of it.
        let mut nobody = database.connect(APP);
        for sql in [
            "UPDATE desk.ticket SET subject = 'x'",
            "DELETE FROM desk.ticket",
            "DELETE FROM desk.follower",
            "MERGE INTO desk.ticket t USING (SELECT 1 AS id) v ON t.id = v.id WHEN MATCHED THEN DELETE",
            "INSERT INTO desk.ticket (id, department_id) VALUES (1, 1) ON CONFLICT (id) DO NOTHING",
        ] {
            match nobody.execute(sql, &[]) {
                Ok(rows) => assert_eq!(rows, 0, "{sql}"),
                Err(error) => assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE)),
            }
        }
        assert_eq!(contents(&database), unchanged);
    }
}

#[test]
fn following_grants_sight_and_nothing_more() {
    for database in both_ways(PLAIN) {
        let mut ann = app(&database, ANN);
        let mut bob = app(&database, BOB);
        let follow = |ticket: i64, agent: i64| {
            format!("INSERT INTO desk.follower VALUES ({ticket}, {agent})")
        };
        // Bob cannot make himself see what he cannot see, nor can Ann show him past his silo.
        assert_eq!(
            code(bob.execute(&follow(1, BOB), &[])),
            SqlState::INSUFFICIENT_PRIVILEGE
        );
        assert_eq!(ann.execute(&follow(1, BOB), &[]).unwrap(), 1);
        assert_eq!(ann.execute(&follow(5, BOB), &[]).unwrap(), 1);
        assert_eq!(seen(&mut bob), [1, 3]);
        assert_eq!(ids(&mut bob, "SELECT ticket_id FROM desk.follower"), [1]);
        // Followed, and not his own: he may modify unassigned tickets.
        assert_eq!(bob.execute(&follow(1, DEE), &[]).unwrap(), 1);
        assert_eq!(seen(&mut app(&database, DEE)), [1, 7]);
        // Dee sees it and may take only herself out.
        let mut dee = app(&database, DEE);
        let others = dee.execute("DELETE FROM desk.follower WHERE agent_id = 2", &[]);
        assert_eq!(others.unwrap(), 0);
        assert_eq!(
            dee.execute("UPDATE desk.follower SET agent_id = 4", &[])
                .unwrap(),
            0
        );
        assert_eq!(
            dee.execute("UPDATE desk.ticket SET subject = 'x'", &[])
                .unwrap(),
            0
        );
        assert_eq!(dee.execute("DELETE FROM desk.follower", &[]).unwrap(), 1);
        assert_eq!(seen(&mut dee), SEEN_BY_DEE);
    }
}

#[test]
fn errors_name_what_is_valid() {
    for database in both_ways(PLAIN) {
        let mut superuser = database.superuser();
        for (sql, named) in [
            ("SELECT deskguard.agent_can(1, 'look', 1)", "edit_messages"),
            (
                "SELECT deskguard.explain_access(1, 1, 'look')",
                "edit_messages",
            ),
            (
                "SELECT * FROM deskguard.agents_who_can('look', 1)",
                "edit_messages",
            ),
            (
                "SELECT deskguard.agent_has_permission(1, 'ticket.look')",
                "ticket.use",
            ),
            (
                "SELECT deskguard.agent_can_view(1, 1, 'desk.follower')",
                "desk.ticket",
            ),
        ] {
            let error = superuser.execute(sql, &[]).unwrap_err();
            let error = error.as_db_error().unwrap();
            let text = format!(
                "{} {} {}",
                error.message(),
                error.detail().unwrap_or_default(),
                error.hint().unwrap_or_default()
            );
            assert!(text.contains(named), "{sql}: {text}");
        }
        // Two protected tables: which one?
        superuser
            .batch_execute("SELECT deskguard.create_help_desk('second')")
            .unwrap();
        let error = superuser
            .execute("SELECT deskguard.agent_can_view(1, 1)", &[])
            .unwrap_err();
        let error = format!("{error:?}");
        assert!(
            error.contains("desk.ticket") && error.contains("second.ticket"),
            "{error}"
        );
        let sql = "SELECT deskguard.agent_can_view(1, 1, 'desk.ticket')";
        assert!(value::<bool>(&mut superuser, sql));
    }
}
