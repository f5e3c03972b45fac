//! What sessions remember of the facts about agents and groups: what they need not read again after a change,
//! and what they must.

use deskguard_tests::lab::{app, ids, run};
use postgres::Client;

use crate::desk::{ANN, BY_ANN, Fold, desk, roles_stay};

const TICKETS: &str = "SELECT id FROM desk.ticket ORDER BY id";

/// How often Ann's own categories and those of groups are read for a query of tickets. With what it finds.
fn reads(session: &mut Client) -> ([i64; 2], Vec<i64>) {
    let sql = "SELECT ARRAY[pg_stat_get_xact_numscans('deskguard.agent_category_pkey'::regclass),
        pg_stat_get_xact_numscans('deskguard.group_category_pkey'::regclass)]";
    let count = |session: &mut Client| -> [i64; 2] {
        let row = session.query_one(sql, &[]).unwrap();
        row.get::<_, Vec<i64>>(0).try_into().unwrap()
    };
    run(session, "BEGIN");
    let before = count(session);
    let found = ids(session, TICKETS);
    let after = count(session);
    run(session, "COMMIT");
    ([after[0] - before[0], after[1] - before[1]], found)
}

#[test]
fn only_what_has_changed_is_read_again() {
    const NEITHER: [i64; 2] = [0, 0];
    const OF_AGENT: [i64; 2] = [1, 0];
    const OF_GROUP: [i64; 2] = [0, 1];
    const BOTH: [i64; 2] = [1, 1];
    const OTHERS: &str =
        "BEGIN; INSERT INTO deskguard.agent_category (agent_id, category_id) VALUES (2, 1)";
    let _roles = roles_stay();
    let database = desk(Fold::On);
    let mut superuser = database.superuser();
    let mut other = database.superuser();
    let mut session = app(&database, ANN);
    ids(&mut session, TICKETS);
    assert_eq!(reads(&mut session), (NEITHER, BY_ANN.into()));

    // 4 and 5 are of category 2.
    let with_more = vec![1, 2, 4, 5, 10];
    let grant = "INSERT INTO deskguard.group_category (group_id, category_id) VALUES (100, 2)";
    let revoke = "DELETE FROM deskguard.group_category WHERE group_id = 100";
    run(&mut superuser, grant);
    assert_eq!(reads(&mut session), (OF_GROUP, with_more.clone()));
    run(&mut superuser, revoke);
    assert_eq!(reads(&mut session), (OF_GROUP, BY_ANN.into()));

    let grant_her = "INSERT INTO deskguard.agent_category (agent_id, category_id) VALUES (1, 2)";
    let revoke_her = "DELETE FROM deskguard.agent_category WHERE agent_id = 1 AND category_id = 2";
    run(&mut superuser, grant_her);
    assert_eq!(reads(&mut session), (OF_AGENT, with_more.clone()));
    run(&mut superuser, revoke_her);
    assert_eq!(reads(&mut session), (OF_AGENT, BY_ANN.into()));

    // While rights are being changed, what is remembered could be of another moment than what is read.
    run(&mut other, OTHERS);
    run(&mut superuser, grant);
    assert_eq!(reads(&mut session), (BOTH, with_more.clone()));
    run(&mut other, "COMMIT");
    run(&mut superuser, revoke);
    assert_eq!(reads(&mut session), (OF_GROUP, BY_ANN.into()));

    // Not by one that has taken back what it did.
    run(
        &mut other,
        "BEGIN; SAVEPOINT s; UPDATE deskguard.department SET parent_id = 3 WHERE id = 2",
    );
    run(&mut other, "ROLLBACK TO s");
    run(&mut superuser, grant);
    assert_eq!(reads(&mut session), (OF_GROUP, with_more));
    run(&mut other, "ROLLBACK");

    // What concerns everyone.
    run(&mut superuser, "TRUNCATE deskguard.group_category");
    assert_eq!(reads(&mut session), (BOTH, BY_ANN.into()));
}

/// Nobody is told of a new department at the top: nobody has a right on it yet.
#[test]
fn a_right_on_a_new_department_counts_where_the_others_are_remembered() {
    let _roles = roles_stay();
    let database = desk(Fold::On);
    let mut superuser = database.superuser();
    let mut session = app(&database, ANN);
    ids(&mut session, TICKETS);
    run(
        &mut superuser,
        "INSERT INTO deskguard.department (id, name) VALUES (50, 'New');
         INSERT INTO desk.ticket (id, department_id, category_id) VALUES (60, 50, 1)",
    );
    assert_eq!(ids(&mut session, TICKETS), BY_ANN);
    run(
        &mut superuser,
        "INSERT INTO deskguard.agent_department (agent_id, department_id, level) VALUES (1, 50, 'full')",
    );
    assert_eq!(ids(&mut session, TICKETS), [1, 2, 10, 60]);
    run(
        &mut superuser,
        "INSERT INTO deskguard.department (id, name, parent_id) VALUES (51, 'Below', 50);
         INSERT INTO desk.ticket (id, department_id, category_id) VALUES (61, 51, 1)",
    );
    assert_eq!(ids(&mut session, TICKETS), [1, 2, 10, 60, 61]);
}
