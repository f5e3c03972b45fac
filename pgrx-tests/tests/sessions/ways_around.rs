//! Views, policies and functions of users give nobody more rows.

use deskguard_tests::lab::{app, code, ids};
use deskguard_tests::server::{APP, MAPPED, OWNER, STRANGER};
use deskguard_tests::small_desk::{
    ANN, BOB, MAX, NOTHING, PLAIN, SEEN_BY_ANN, SEEN_BY_BOB, SEEN_BY_CID, SEEN_BY_MAX, SELECT,
    both_ways, seen,
};
use postgres::error::SqlState;

#[test]
fn views_show_the_rows_of_who_asks() {
    for database in both_ways(PLAIN) {
        database
            .connect(OWNER)
            .batch_execute(&format!(
                "CREATE VIEW desk.of_owner AS {SELECT};
             CREATE VIEW desk.barrier WITH (security_barrier) AS {SELECT};
             CREATE VIEW desk.of_invoker WITH (security_invoker) AS {SELECT};
             GRANT SELECT ON desk.of_owner, desk.barrier, desk.of_invoker TO PUBLIC"
            ))
            .unwrap();
        for view in ["of_owner", "barrier", "of_invoker"] {
            let sql = format!("SELECT id FROM desk.{view} ORDER BY id");
            assert_eq!(ids(&mut app(&database, ANN), &sql), SEEN_BY_ANN, "{view}");
            assert_eq!(ids(&mut app(&database, BOB), &sql), SEEN_BY_BOB, "{view}");
            assert_eq!(
                ids(&mut database.connect(MAPPED[0]), &sql),
                SEEN_BY_CID,
                "{view}"
            );
            assert_eq!(
                ids(&mut database.connect(STRANGER), &sql),
                NOTHING,
                "{view}"
            );
            assert_eq!(ids(&mut database.connect(APP), &sql), NOTHING, "{view}");
        }
    }
}

#[test]
fn policies_of_the_user_narrow_and_never_widen() {
    for database in both_ways(PLAIN) {
        let mut owner = database.connect(OWNER);
        owner
            .batch_execute(
                "CREATE POLICY wide ON desk.ticket USING (true) WITH CHECK (true);
             CREATE POLICY wide ON desk.follower USING (true) WITH CHECK (true)",
            )
            .unwrap();
        let mut ann = app(&database, ANN);
        assert_eq!(seen(&mut ann), SEEN_BY_ANN);
        assert_eq!(seen(&mut database.connect(STRANGER)), NOTHING);
        let refused = code(ann.execute(
            "INSERT INTO desk.ticket (id, department_id) VALUES (50, 3)",
            &[],
        ));
        assert_eq!(refused, SqlState::INSUFFICIENT_PRIVILEGE);
        let refused = code(ann.execute("INSERT INTO desk.follower VALUES (3, 1)", &[]));
        assert_eq!(refused, SqlState::INSUFFICIENT_PRIVILEGE);
        let changed = ann.execute("UPDATE desk.ticket SET subject = 'x'", &[]);
        assert_eq!(changed.unwrap(), SEEN_BY_ANN.len() as u64);
        assert_eq!(ann.execute("DELETE FROM desk.ticket", &[]).unwrap(), 0);

        owner
            .batch_execute("CREATE POLICY tenant ON desk.ticket AS RESTRICTIVE USING (id <> 5)")
            .unwrap();
        assert_eq!(seen(&mut ann), [1, 2, 6]);
        assert_eq!(seen(&mut app(&database, MAX)), [1, 2, 3, 4, 6, 7, 8]);
        owner
            .batch_execute("DROP POLICY tenant ON desk.ticket")
            .unwrap();
        assert_eq!(seen(&mut ann), SEEN_BY_ANN);
    }
}

/// A function that tells what it is given runs after the policies, however cheap it says it is.
#[test]
fn a_function_in_the_query_is_given_visible_rows_only() {
    for database in both_ways(PLAIN) {
        database
            .superuser()
            .batch_execute(
                "CREATE FUNCTION desk.tell(bigint) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS
             'BEGIN RAISE WARNING ''%'', $1; RETURN true; END'",
            )
            .unwrap();
        let (mut client, notices) = database.connect_and_listen(MAPPED[0]);
        for sql in [
        "SELECT id FROM desk.ticket WHERE desk.tell(id) ORDER BY id",
        "SELECT t.id FROM desk.ticket t JOIN desk.ticket u ON desk.tell(t.id + 0 * u.id) AND t.id = u.id
         ORDER BY 1",
        "UPDATE desk.ticket SET subject = '' WHERE desk.tell(id) RETURNING id",
    ] {
        let mut found = ids(&mut client, sql);
        found.sort();
        assert_eq!(found, SEEN_BY_CID, "{sql}");
        let told = notices.take();
        assert!(!told.is_empty());
        let seen = SEEN_BY_CID.map(|id| format!("WARNING: {id}"));
        assert!(told.iter().all(|line| seen.contains(line)), "{sql}: {told:?}");
    }
    }
}

#[test]
fn an_ordinary_role_has_no_other_privileges() {
    for database in both_ways(PLAIN) {
        let mut max = app(&database, MAX);
        for sql in [
            "TRUNCATE desk.ticket",
            "ALTER TABLE desk.ticket DISABLE ROW LEVEL SECURITY",
            "DROP POLICY deskguard_view ON desk.ticket",
            "SELECT deskguard.unprotect('desk.ticket')",
            "SELECT deskguard.protect_tickets('desk.ticket', team_column => 'team_id')",
            "SELECT * FROM deskguard.agent",
            "SELECT * FROM deskguard_internal.protected_table",
            "INSERT INTO deskguard.agent_permission VALUES (9, 'ticket.use')",
            "INSERT INTO deskguard.trusted_role VALUES ('deskguard_test_stranger')",
            "SET row_security = off; SELECT * FROM desk.ticket",
        ] {
            let refused = code(max.batch_execute(sql));
            assert_eq!(refused, SqlState::INSUFFICIENT_PRIVILEGE, "{sql}");
        }
        max.batch_execute("RESET row_security").unwrap();
        assert_eq!(seen(&mut max), SEEN_BY_MAX);
    }
}
