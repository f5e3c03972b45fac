//! Partitions and children by inheritance.

use deskguard_tests::lab::{app, code, ids};
use deskguard_tests::server::{APP, OWNER, STRANGER};
use deskguard_tests::small_desk::{ANN, NOTHING, PARTITIONED, PLAIN, both_ways, seen};
use postgres::error::SqlState;

#[test]
fn partitions_are_as_tight_as_their_parent() {
    for database in both_ways(PARTITIONED) {
        let roles = format!("{APP}, {STRANGER}");
        let mut owner = database.connect(OWNER);
        let network = "SELECT id FROM desk.ticket_network ORDER BY id";
        let rest = "SELECT id FROM desk.ticket_rest ORDER BY id";
        let mut ann = app(&database, ANN);
        let mut stranger = database.connect(STRANGER);
        assert_eq!(ids(&mut ann, network), [1, 2]);
        assert_eq!(ids(&mut ann, rest), [5, 6]);
        assert_eq!(ids(&mut stranger, network), NOTHING);
        // Into a partition as into its parent.
        let insert =
            "INSERT INTO desk.ticket_rest (id, department_id, category_id) VALUES (50, 3, 2)";
        assert_eq!(
            code(ann.execute(insert, &[])),
            SqlState::INSUFFICIENT_PRIVILEGE
        );
        assert_eq!(
            ann.execute("DELETE FROM desk.ticket_network", &[]).unwrap(),
            0
        );
        assert_eq!(
            stranger
                .execute("UPDATE desk.ticket_rest SET subject = 'x'", &[])
                .unwrap(),
            0
        );

        // Partitions of all kinds that come later.
        owner
        .batch_execute(&format!(
            "CREATE TABLE desk.later PARTITION OF desk.ticket FOR VALUES IN (4);
             CREATE TABLE desk.attached (subject text NOT NULL DEFAULT '', id bigint NOT NULL,
                 team_id bigint, assignee_id bigint, category_id bigint, department_id bigint);
             INSERT INTO desk.attached (id, department_id, category_id) VALUES (61, 1, 5), (62, 3, 5);
             ALTER TABLE desk.ticket ATTACH PARTITION desk.attached FOR VALUES IN (5);
             CREATE TABLE desk.branch PARTITION OF desk.ticket FOR VALUES IN (6)
                 PARTITION BY LIST (department_id);
             CREATE TABLE desk.leaf PARTITION OF desk.branch DEFAULT;
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA desk TO {roles}"
        ))
        .unwrap();
        database
            .superuser()
            .batch_execute(
                "INSERT INTO desk.ticket (id, department_id, category_id) VALUES
                 (71, 1, 4), (72, 3, 4), (81, 1, 6), (82, 3, 6)",
            )
            .unwrap();
        for (table, of_ann) in [
            ("later", vec![71]),
            ("attached", vec![61]),
            ("branch", vec![81]),
            ("leaf", vec![81]),
            ("ticket", vec![1, 2, 5, 6, 61, 71, 81]),
        ] {
            let sql = format!("SELECT id FROM desk.{table} ORDER BY id");
            assert_eq!(ids(&mut ann, &sql), of_ann, "{table}");
            assert_eq!(ids(&mut stranger, &sql), NOTHING, "{table}");
            assert_eq!(ids(&mut owner, &sql), NOTHING, "{table}");
            let delete = format!("DELETE FROM desk.{table}");
            assert_eq!(ann.execute(&delete, &[]).unwrap(), 0, "{delete}");
        }

        // One that is taken out again is not open to everybody by that.
        owner
            .batch_execute("ALTER TABLE desk.ticket DETACH PARTITION desk.later")
            .unwrap();
        assert_eq!(ids(&mut stranger, "SELECT id FROM desk.later"), NOTHING);
    }
}

#[test]
fn children_by_inheritance_are_as_tight_as_their_parent() {
    for database in both_ways(PLAIN) {
        database
            .connect(OWNER)
            .batch_execute(&format!(
                "CREATE TABLE desk.child (note text) INHERITS (desk.ticket);
             CREATE TABLE desk.adopted (LIKE desk.ticket INCLUDING DEFAULTS);
             ALTER TABLE desk.adopted INHERIT desk.ticket;
             GRANT SELECT ON desk.child, desk.adopted TO {APP}, {STRANGER}"
            ))
            .unwrap();
        database
            .superuser()
            .batch_execute(
                "INSERT INTO desk.child (id, department_id) VALUES (91, 1), (92, 3);
             INSERT INTO desk.adopted (id, department_id) VALUES (93, 1), (94, 3)",
            )
            .unwrap();
        let mut ann = app(&database, ANN);
        let mut stranger = database.connect(STRANGER);
        for (table, of_ann) in [("child", vec![91]), ("adopted", vec![93])] {
            let sql = format!("SELECT id FROM desk.{table}");
            assert_eq!(ids(&mut ann, &sql), of_ann, "{table}");
            assert_eq!(ids(&mut stranger, &sql), NOTHING, "{table}");
        }
        assert_eq!(seen(&mut ann), [1, 2, 5, 6, 91, 93]);
    }
}
