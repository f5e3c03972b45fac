//! Tickets that are handed over to where one cannot see.

use deskguard_tests::lab::{act_for, app, code, ids, value};
use deskguard_tests::server::{APP, OWNER};
use deskguard_tests::small_desk::{ANN, CID, PLAIN, both_ways, help_desk, seen};
use postgres::error::SqlState;

#[test]
fn a_hand_over_to_where_one_cannot_see() {
    for database in both_ways(PLAIN) {
        database
            .superuser()
            .batch_execute(
                "INSERT INTO deskguard.agent_department (agent_id, department_id, level) VALUES (1, 3, 'assign');
                 INSERT INTO deskguard.department (id, name) VALUES (12, 'Board')",
            )
            .unwrap();
        let mut ann = app(&database, ANN);
        let by_key =
            "UPDATE desk.ticket SET department_id = $2 WHERE id = $1 RETURNING id, department_id";
        let by_key = ann.prepare(by_key).unwrap();
        let mut hand_over = |ticket: i64, department: i64| {
            let rows = ann.query(&by_key, &[&ticket, &department])?;
            Ok::<_, postgres::Error>(rows.len())
        };
        // Ticket 4 is somebody else's, 4000 nobody's; department 12 is none of hers.
        assert_eq!(hand_over(4, 1).unwrap(), 0);
        assert_eq!(hand_over(4000, 1).unwrap(), 0);
        let foreign = hand_over(2, 12);
        assert_eq!(code(foreign), SqlState::INSUFFICIENT_PRIVILEGE);
        assert_eq!(hand_over(1, 3).unwrap(), 1);
        assert_eq!(seen(&mut ann), [2, 5, 6]);
        assert_eq!(seen(&mut app(&database, CID)), [1, 3, 4, 7]);
        let version = "SELECT current_setting('server_version_num')::int";
        if value::<i32>(&mut ann, version) >= 170_000 {
            let mut by_merge = |ticket: i64, department: i64| {
                let sql = "MERGE INTO desk.ticket AS t USING (SELECT $1::bigint AS id) AS given ON t.id = given.id
                           WHEN MATCHED THEN UPDATE SET department_id = $2
                           RETURNING merge_action(), t.id, t.department_id";
                let rows = ann.query(sql, &[&ticket, &department])?;
                Ok::<_, postgres::Error>(rows.len())
            };
            assert_eq!(by_merge(4, 1).unwrap(), 0);
            assert_eq!(code(by_merge(6, 12)), SqlState::INSUFFICIENT_PRIVILEGE);
            assert_eq!(by_merge(6, 3).unwrap(), 1);
            assert_eq!(seen(&mut ann), [2, 5]);
        }
        // A statement of nobody.
        let nobody = "UPDATE desk.ticket SET department_id = 3 WHERE id = 2";
        assert_eq!(database.connect(APP).execute(nobody, &[]).unwrap(), 0);
    }
}

/// Nothing else sees what was handed over: not functions and triggers within the command, not what
/// follows in the transaction, nor another cursor; and a rollback brings it back.
#[test]
fn a_hand_over_opens_nothing_else() {
    let database = help_desk(PLAIN);
    let mut owner = database.connect(OWNER);
    owner
        .batch_execute(
            "CREATE FUNCTION desk.count_of(number bigint) RETURNS bigint LANGUAGE plpgsql VOLATILE AS
                 $$ BEGIN RETURN (SELECT count(*) FROM desk.ticket WHERE id = number); END $$;
             CREATE FUNCTION desk.tell() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN RAISE NOTICE USING MESSAGE = format('%s sees %s', TG_WHEN, desk.count_of(NEW.id)); RETURN NEW; END $$;
             CREATE TRIGGER a_first BEFORE UPDATE ON desk.ticket FOR EACH ROW EXECUTE FUNCTION desk.tell();
             CREATE TRIGGER z_last BEFORE UPDATE ON desk.ticket FOR EACH ROW EXECUTE FUNCTION desk.tell();
             CREATE TRIGGER later AFTER UPDATE ON desk.ticket FOR EACH ROW EXECUTE FUNCTION desk.tell()",
        )
        .unwrap();
    let mut superuser = database.superuser();
    superuser
        .batch_execute("INSERT INTO deskguard.agent_department VALUES (1, 3, 'assign')")
        .unwrap();
    let (mut ann, notices) = database.connect_and_listen(APP);
    act_for(&mut ann, ANN);
    ann.batch_execute(
        "BEGIN; DECLARE before CURSOR FOR SELECT id FROM desk.ticket ORDER BY id; SAVEPOINT a",
    )
    .unwrap();
    let sql = "UPDATE desk.ticket SET department_id = 3 WHERE id = 1 \
               RETURNING desk.count_of(id), (SELECT count(*) FROM desk.ticket AS o WHERE o.id = 1)";
    let row = ann.query_one(sql, &[]).unwrap();
    // The sub-select sees the ticket as it was before.
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (0, 1));
    assert_eq!(
        notices.take(),
        [
            "NOTICE: BEFORE sees 1",
            "NOTICE: BEFORE sees 1",
            "NOTICE: AFTER sees 0"
        ]
    );
    assert_eq!(seen(&mut ann), [2, 5, 6]);
    assert_eq!(
        ann.execute("DELETE FROM desk.ticket WHERE id = 1", &[])
            .unwrap(),
        0
    );
    let back = "UPDATE desk.ticket SET department_id = 1 WHERE id = 1";
    assert_eq!(ann.execute(back, &[]).unwrap(), 0);
    ann.batch_execute("DECLARE after CURSOR FOR SELECT id FROM desk.ticket ORDER BY id")
        .unwrap();
    assert_eq!(ids(&mut ann, "FETCH ALL FROM after"), [2, 5, 6]);
    assert_eq!(ids(&mut ann, "FETCH ALL FROM before"), [1, 2, 5, 6]);
    ann.batch_execute("ROLLBACK TO a").unwrap();
    assert_eq!(seen(&mut ann), [1, 2, 5, 6]);
    ann.batch_execute("COMMIT").unwrap();
}
