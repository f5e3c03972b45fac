//! A right ends and begins at its moment: for every kind of statement, also one that was planned
//! before, without an error, and in no transaction that began before.

use std::thread;
use std::time::Duration;

use deskguard_tests::lab::{app, ids, run, value};
use deskguard_tests::server::{Database, MAPPED};
use postgres::Client;

use crate::desk::{
    ALL, ANN, Asker, BY_ANN, Fold, Kind, NOTHING, desk, partitioned_desk, roles_stay,
};

/// What happens at a moment, and what Ann sees before and after.
struct Turn {
    what: &'static str,
    /// `{at}` is the moment.
    make: &'static str,
    before: &'static [i64],
    after: &'static [i64],
}

const TURNS: &[Turn] = &[
    Turn {
        what: "a category ends",
        make: "UPDATE deskguard.agent_category SET valid_until = {at} WHERE agent_id = 1",
        before: BY_ANN,
        after: NOTHING,
    },
    Turn {
        what: "a category begins",
        make: "INSERT INTO deskguard.agent_category VALUES (1, 2, {at})",
        before: BY_ANN,
        after: &[1, 2, 4, 5, 10],
    },
    Turn {
        what: "a department ends, and another begins",
        make: "UPDATE deskguard.agent_department SET valid_until = {at} WHERE agent_id = 1;
               INSERT INTO deskguard.agent_department VALUES (1, 3, 'full', {at})",
        before: BY_ANN,
        after: &[3, 7, 10],
    },
    Turn {
        what: "a permission ends",
        make: "UPDATE deskguard.agent_permission SET valid_until = {at} WHERE agent_id = 1",
        before: BY_ANN,
        after: &[1, 10],
    },
    Turn {
        what: "a group's permission begins",
        make: "UPDATE deskguard.group_permission SET valid_from = {at} WHERE permission = 'ticket.use'",
        before: NOTHING,
        after: BY_ANN,
    },
    Turn {
        what: "a membership in an open group of all departments ends",
        make: "INSERT INTO deskguard.group_member VALUES (101, 1, NULL, {at})",
        before: ALL,
        after: BY_ANN,
    },
    Turn {
        what: "a membership in an open group of all departments begins",
        make: "INSERT INTO deskguard.group_member VALUES (101, 1, {at})",
        before: BY_ANN,
        after: ALL,
    },
    Turn {
        what: "a membership in a team begins",
        make: "INSERT INTO deskguard.team_member VALUES (1, 1, {at})",
        before: BY_ANN,
        after: &[1, 2, 7, 10],
    },
    Turn {
        what: "a membership in a team ends",
        make: "INSERT INTO deskguard.team_member VALUES (1, 1, NULL, {at})",
        before: &[1, 2, 7, 10],
        after: BY_ANN,
    },
];

const UNDO: &str = "
    DELETE FROM deskguard.agent_category WHERE agent_id = 1 AND category_id = 2;
    UPDATE deskguard.agent_category SET valid_until = NULL;
    DELETE FROM deskguard.agent_department WHERE valid_from IS NOT NULL;
    UPDATE deskguard.agent_department SET valid_until = NULL;
    UPDATE deskguard.agent_permission SET valid_until = NULL;
    UPDATE deskguard.group_permission SET valid_from = NULL;
    DELETE FROM deskguard.group_member WHERE group_id = 101;
    UPDATE deskguard.group_member SET valid_until = NULL;
    DELETE FROM deskguard.team_member";

/// Makes something happen at a moment ahead, and tells the moment.
fn make_happen(superuser: &mut Client, make: &str, milliseconds: u64) -> String {
    let sql = format!("SELECT (clock_timestamp() + interval '{milliseconds} ms')::text");
    let at: String = value(superuser, &sql);
    let at = format!("'{at}'::timestamptz");
    run(superuser, &make.replace("{at}", &at));
    at
}

fn is_over(superuser: &mut Client, at: &str) -> bool {
    let sql = format!("SELECT clock_timestamp() >= {at}");
    value(superuser, &sql)
}

fn wait_for(superuser: &mut Client, at: &str) {
    while !is_over(superuser, at) {
        thread::sleep(Duration::from_millis(20));
    }
}

/// Does something before a moment, and gives it more time if it takes longer.
fn before_it_happens(
    superuser: &mut Client,
    make: &str,
    mut check: impl FnMut(&mut Client, bool),
) -> String {
    for milliseconds in [600, 1500, 4000, 10_000] {
        run(superuser, UNDO);
        let at = make_happen(superuser, make, milliseconds);
        // What it sees is of no use if the moment has come meanwhile; so look first, then judge.
        check(superuser, false);
        if !is_over(superuser, &at) {
            check(superuser, true);
            return at;
        }
    }
    panic!("this machine is too slow for {make}");
}

fn happens_at_its_moment(database: &Database) {
    let _roles = roles_stay();
    let mut superuser = database.superuser();
    let mut sessions: Vec<(Client, Asker)> = Kind::ALL
        .into_iter()
        .map(|kind| {
            let mut client = app(database, ANN);
            let asker = Asker::new(&mut client, kind);
            (client, asker)
        })
        .collect();
    // The role that is Ann, too.
    for kind in [Kind::Generic, Kind::PlPgSql] {
        let mut client = database.connect(MAPPED[0]);
        let asker = Asker::new(&mut client, kind);
        sessions.push((client, asker));
    }
    for turn in TURNS {
        let mut seen = vec![];
        let at = before_it_happens(&mut superuser, turn.make, |_, in_time| {
            if !in_time {
                seen = ask_all(&mut sessions, turn.what);
                return;
            }
            for (kind, ids) in &seen {
                assert_eq!(ids, turn.before, "before {} {kind:?}", turn.what);
            }
        });
        wait_for(&mut superuser, &at);
        // By the plan of before, and by the one made anew.
        for time in ["after", "well after"] {
            for (kind, ids) in ask_all(&mut sessions, turn.what) {
                assert_eq!(ids, turn.after, "{time} {} {kind:?}", turn.what);
            }
        }
    }
}

fn ask_all(sessions: &mut [(Client, Asker)], what: &str) -> Vec<(Kind, Vec<i64>)> {
    sessions
        .iter_mut()
        .map(|(client, asker)| {
            let ids = asker.ask(client);
            let ids = ids.unwrap_or_else(|error| panic!("{what} {:?}: {error:?}", asker.kind));
            (asker.kind, ids)
        })
        .collect()
}

#[test]
fn rights_end_and_begin_at_their_moment_when_folded() {
    happens_at_its_moment(&desk(Fold::On));
}

#[test]
fn rights_end_and_begin_at_their_moment_when_called() {
    happens_at_its_moment(&desk(Fold::Off));
}

#[test]
fn rights_end_and_begin_at_their_moment_when_lists_are_long() {
    happens_at_its_moment(&desk(Fold::Limit));
}

#[test]
fn rights_end_and_begin_at_their_moment_in_partitions() {
    happens_at_its_moment(&partitioned_desk(Fold::On));
}

fn plan(client: &mut Client) -> String {
    let rows = client.query("EXPLAIN EXECUTE asked (0)", &[]).unwrap();
    let lines: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    lines.join("\n")
}

#[test]
fn a_kept_plan_goes_on_and_is_then_made_anew() {
    for database in [desk(Fold::On), partitioned_desk(Fold::On)] {
        let mut superuser = database.superuser();
        let mut client = app(&database, ANN);
        let asker = Asker::new(&mut client, Kind::Execute);
        let category_ends = TURNS[0].make;
        let at = before_it_happens(&mut superuser, category_ends, |_, in_time| {
            let ids = asker.ask(&mut client).unwrap();
            if in_time {
                assert_eq!(ids, BY_ANN);
                let plan = plan(&mut client);
                assert!(plan.contains("(now() < '"), "{plan}");
                // Once only, also where the planner looks at the condition again for a partition.
                let (calls, tables) = (plan.matches("silo_ok"), plan.matches("Scan"));
                assert_eq!(calls.count(), tables.count(), "{plan}");
            }
        });
        wait_for(&mut superuser, &at);
        let mut generic_plans = || -> i64 {
            let sql = "SELECT generic_plans FROM pg_prepared_statements WHERE name = 'asked'";
            value(&mut client, sql)
        };
        let before = generic_plans();
        assert_eq!(asker.ask(&mut client).unwrap(), NOTHING);
        let after = client
            .query_one(
                "SELECT generic_plans FROM pg_prepared_statements WHERE name = 'asked'",
                &[],
            )
            .unwrap()
            .get::<_, i64>(0);
        assert_eq!(after, before + 1);
        let plan = plan(&mut client);
        assert!(plan.contains("One-Time Filter: false"), "{plan}");
    }
}

#[test]
fn a_transaction_keeps_the_moment_of_its_beginning() {
    for fold in Fold::ALL {
        let database = desk(fold);
        let mut superuser = database.superuser();
        let mut client = app(&database, ANN);
        let mut cursor = app(&database, ANN);
        let askers: Vec<Asker> = [Kind::PlPgSql, Kind::Generic, Kind::VisibleTickets]
            .map(|kind| Asker::new(&mut client, kind))
            .into();
        let category_ends = TURNS[0].make;
        let at = before_it_happens(&mut superuser, category_ends, |_, in_time| {
            if !in_time {
                run(
                    &mut client,
                    "ROLLBACK; BEGIN ISOLATION LEVEL REPEATABLE READ",
                );
                run(
                    &mut cursor,
                    "ROLLBACK; BEGIN; DECLARE c CURSOR FOR SELECT id FROM desk.ticket ORDER BY id",
                );
            }
        });
        wait_for(&mut superuser, &at);
        for asker in &askers {
            let ids = asker.ask(&mut client).unwrap();
            assert_eq!(ids, BY_ANN, "{fold:?}");
        }
        assert_eq!(ids(&mut cursor, "FETCH ALL FROM c"), BY_ANN, "{fold:?}");
        run(&mut client, "COMMIT");
        run(&mut cursor, "COMMIT");
        for asker in &askers {
            let ids = asker.ask(&mut client).unwrap();
            assert_eq!(ids, NOTHING, "{fold:?}");
        }
    }
}

/// A plan is kept over both moments.
#[test]
fn a_right_for_a_while_begins_and_ends() {
    let database = desk(Fold::On);
    let mut superuser = database.superuser();
    let mut client = app(&database, ANN);
    let askers: Vec<Asker> = [Kind::Generic, Kind::PlPgSql, Kind::Update]
        .map(|kind| Asker::new(&mut client, kind))
        .into();
    let make = "INSERT INTO deskguard.agent_category VALUES (1, 2, {at}, {at} + interval '1 s')";
    let at = before_it_happens(&mut superuser, make, |_, in_time| {
        for asker in &askers {
            let ids = asker.ask(&mut client).unwrap();
            assert!(!in_time || ids == BY_ANN);
        }
    });
    wait_for(&mut superuser, &at);
    let seen: Vec<_> = askers.iter().map(|asker| asker.ask(&mut client)).collect();
    let end = format!("{at} + interval '1 s'");
    if !is_over(&mut superuser, &end) {
        for ids in seen {
            assert_eq!(ids.unwrap(), [1, 2, 4, 5, 10]);
        }
    }
    wait_for(&mut superuser, &end);
    for asker in &askers {
        assert_eq!(asker.ask(&mut client).unwrap(), BY_ANN);
    }
}

/// What is less in one way is more in another: who leaves the last group falls back to the default,
/// and who leaves a team may change its tickets as those of others.
#[test]
fn leaving_may_give_rights() {
    for fold in Fold::ALL {
        let database = desk(fold);
        let mut superuser = database.superuser();
        run(
            &mut superuser,
            &format!(
                "ALTER DATABASE {} SET deskguard.default_category_access = 'open';
                 INSERT INTO deskguard.agent_permission VALUES (1, 'ticket.use'), (1, 'ticket.view.unassigned'),
                     (1, 'ticket.modify.assigned');
                 UPDATE deskguard.agent_department SET department_id = 3 WHERE agent_id = 1;
                 DELETE FROM deskguard.group_permission WHERE permission = 'ticket.modify.own'",
                database.name()
            ),
        );
        let mut client = app(&database, ANN);
        let view = Asker::new(&mut client, Kind::Generic);
        let modify = Asker::new(&mut client, Kind::Update);
        let make = "UPDATE deskguard.group_member SET valid_until = {at} WHERE agent_id = 1;
            INSERT INTO deskguard.team_member VALUES (1, 1, NULL, {at})";
        let at = before_it_happens(&mut superuser, make, |_, in_time| {
            let view = view.ask(&mut client).unwrap();
            let modify = modify.ask(&mut client).unwrap();
            if in_time {
                assert_eq!(view, [3, 7, 10], "{fold:?}");
                assert_eq!(modify, [3, 10], "{fold:?}");
            }
        });
        wait_for(&mut superuser, &at);
        for _ in 0..2 {
            // By the plan of before, so first: any that is older than the moment drops them all.
            let modified = modify.ask(&mut client).unwrap();
            assert_eq!(modified, [7, 10], "{fold:?}");
            // In all categories and none; 5 is its own.
            let seen = view.ask(&mut client).unwrap();
            assert_eq!(seen, [3, 5, 7, 9, 10], "{fold:?}");
        }
    }
}
