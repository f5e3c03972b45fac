//! Queues that are merged of several scans, while others move tickets between them.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use deskguard_tests::help_desk::Id;
use deskguard_tests::lab::{app, is_retry, run, texts, value};
use deskguard_tests::server::{APP, Database, OWNER};
use postgres::{Client, Row};

const PLAIN: &str = "";
/// Tickets move from one partition to another.
const PARTITIONED: &str = "PARTITION BY LIST (department_id);
    CREATE TABLE desk.first PARTITION OF desk.ticket FOR VALUES IN (1, 2);
    CREATE TABLE desk.second PARTITION OF desk.ticket FOR VALUES IN (3);
    CREATE TABLE desk.rest PARTITION OF desk.ticket DEFAULT";

/// Agents, and what each sees, by hand.
const AGENTS: [(Id, &str); 3] = [
    (1, "category_id IN (2, 5, 9)"),
    (2, "assignee_id = 2 OR department_id IN (2, 4)"),
    (
        3,
        "category_id IN (2, 3) AND (assignee_id = 3 OR department_id IN (3, 4))",
    ),
];
const WHAT: &str = "id, at, category_id, department_id, coalesce(assignee_id, 0)";
const QUEUES: [&str; 3] = [
    "ORDER BY at DESC, id DESC LIMIT 40",
    "ORDER BY at, id LIMIT 40",
    "ORDER BY at DESC, id DESC LIMIT 40 OFFSET 20",
];
const ROUNDS: usize = 30;

fn desk(partitions: &str) -> Database {
    let database = Database::with_deskguard("queues");
    run(
        &mut database.superuser(),
        &format!(
            "INSERT INTO deskguard.category SELECT n, 'Category ' || n FROM generate_series(1, 10) AS n;
             INSERT INTO deskguard.department SELECT n, 'Department ' || n FROM generate_series(1, 6) AS n;
             INSERT INTO deskguard.agent (id, name) SELECT n, 'Agent ' || n FROM generate_series(1, 3) AS n;
             INSERT INTO deskguard.permission_group (name, category_access, department_access)
                 VALUES ('Silo', 'silo', 'all'), ('Granted', 'open', 'granted'), ('Both', 'silo', 'granted');
             INSERT INTO deskguard.group_permission SELECT id, permission FROM deskguard.permission_group,
                 unnest(ARRAY['ticket.use', 'ticket.view.unassigned', 'ticket.view.assigned']) AS permission WHERE NOT builtin;
             INSERT INTO deskguard.group_member (group_id, agent_id) SELECT id, strpos('SGB', left(name, 1))
                 FROM deskguard.permission_group WHERE NOT builtin;
             INSERT INTO deskguard.agent_category VALUES (1, 2), (1, 5), (1, 9), (3, 2), (3, 3);
             INSERT INTO deskguard.agent_department VALUES (2, 2, 'full'), (2, 4, 'full'), (3, 3, 'full'), (3, 4, 'full');
             CREATE SCHEMA desk AUTHORIZATION {OWNER};
             GRANT USAGE ON SCHEMA desk TO PUBLIC;
             SET ROLE {OWNER};
             CREATE TABLE desk.ticket (id bigint, department_id bigint, category_id bigint, assignee_id bigint, at bigint) {partitions};
             INSERT INTO desk.ticket SELECT n, 1 + n % 6, 1 + n % 10, nullif(n % 5, 0), n FROM generate_series(1, 3000) AS n;
             CREATE INDEX ON desk.ticket (id);
             CREATE INDEX ON desk.ticket (category_id, at, id);
             CREATE INDEX ON desk.ticket (department_id, at, id);
             CREATE INDEX ON desk.ticket (assignee_id, at, id);
             GRANT SELECT ON desk.ticket TO {APP};
             SELECT deskguard.protect_tickets('desk.ticket', department_column => 'department_id',
                 category_column => 'category_id', assignee_column => 'assignee_id');
             ANALYZE desk.ticket"
        ),
    );
    database
}

/// Moves tickets to other places of all queues, and at once to other categories, departments and agents.
fn move_tickets(client: &mut Client, is_over: &AtomicBool) {
    let sql = "UPDATE desk.ticket SET at = (3200 * random())::int, category_id = 1 + (9 * random())::int,
                   department_id = 1 + (5 * random())::int, assignee_id = nullif((4 * random())::int, 0)
               WHERE id = (SELECT 1 + (2999 * random())::int)";
    while !is_over.load(Ordering::Relaxed) {
        let result = client.batch_execute(sql);
        // Or somebody else has moved it to another partition.
        assert!(result.as_ref().err().is_none_or(is_retry), "{result:?}");
    }
}

type Ticket = [i64; 5];

fn tickets(rows: Vec<Row>) -> Vec<Ticket> {
    let ticket = |row: Row| std::array::from_fn(|column| row.get(column));
    rows.into_iter().map(ticket).collect()
}

fn queried(client: &mut Client, sql: &str) -> Vec<Ticket> {
    let rows = client.query(sql, &[]);
    tickets(rows.unwrap_or_else(|error| panic!("{sql}: {error:?}")))
}

fn sees(agent: Id, [_, _, category, department, assignee]: Ticket) -> bool {
    match agent {
        1 => [2, 5, 9].contains(&category),
        2 => assignee == 2 || [2, 4].contains(&department),
        _ => [2, 3].contains(&category) && (assignee == 3 || [3, 4].contains(&department)),
    }
}

#[test]
fn merged_queues_give_each_ticket_once_while_tickets_move() {
    for partitions in [PLAIN, PARTITIONED] {
        let database = desk(partitions);
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| move_tickets(&mut database.superuser(), &is_over));
            }
            // Also if an assertion fails, so that the test ends.
            let end = End(&is_over);
            for (agent, rule) in AGENTS {
                let mut client = app(&database, agent);
                run(
                    &mut client,
                    "SET enable_sort = off; SET enable_seqscan = off; SET enable_bitmapscan = off",
                );
                look(&database, &mut client, agent, rule);
            }
            drop(end);
        });
    }
}

struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn look(database: &Database, client: &mut Client, agent: Id, rule: &str) {
    let mut by_hand = database.superuser();
    for queue in QUEUES {
        let sql = format!("SELECT {WHAT} FROM desk.ticket {queue}");
        let plan = texts(client, &format!("EXPLAIN {sql}"));
        let scans = plan
            .iter()
            .filter(|line| line.contains("Index Scan"))
            .count();
        let is_merge = plan.iter().any(|line| line.contains("Merge Append"));
        assert!(is_merge && scans > 1, "agent {agent}: {plan:?}");

        let mut seen = BTreeSet::new();
        for _ in 0..ROUNDS {
            // Each statement has its own snapshot: what it gives must fit together.
            let rows = queried(client, &sql);
            let ids: BTreeSet<i64> = rows.iter().map(|ticket| ticket[0]).collect();
            assert_eq!(ids.len(), rows.len(), "agent {agent}, {queue}: {rows:?}");
            assert_eq!(rows.len(), 40, "agent {agent}, {queue}");
            let keys = rows.iter().map(|ticket| (ticket[1], ticket[0]));
            let is_sorted = if queue.contains("DESC") {
                keys.is_sorted_by(|one, next| one > next)
            } else {
                keys.is_sorted_by(|one, next| one < next)
            };
            assert!(is_sorted, "agent {agent}, {queue}: {rows:?}");
            assert!(
                rows.iter().all(|ticket| sees(agent, *ticket)),
                "agent {agent}, {queue}: {rows:?}"
            );

            // In one snapshot: what the same query by hand sorts, at once and page by page.
            run(&mut by_hand, "BEGIN ISOLATION LEVEL REPEATABLE READ");
            let snapshot: String = value(&mut by_hand, "SELECT pg_export_snapshot()");
            run(
                client,
                &format!(
                    "BEGIN ISOLATION LEVEL REPEATABLE READ; SET TRANSACTION SNAPSHOT '{snapshot}'"
                ),
            );
            let expected = queried(
                &mut by_hand,
                &format!(
                    "SELECT * FROM (SELECT {WHAT} FROM desk.ticket WHERE {rule} OFFSET 0) AS ticket {queue}"
                ),
            );
            assert_eq!(queried(client, &sql), expected, "agent {agent}, {queue}");
            run(client, &format!("DECLARE page CURSOR FOR {sql}"));
            let mut pages = vec![];
            for _ in 0..5 {
                pages.extend(queried(client, "FETCH 10 FROM page"));
            }
            assert_eq!(pages, expected, "agent {agent}, {queue}");
            run(client, "COMMIT");
            run(&mut by_hand, "COMMIT");
            seen.insert(expected);
        }
        assert!(seen.len() > 1, "nothing has moved");
    }
}
