//! A session whose memory runs out fails, and the others stay.

use std::collections::BTreeMap;
use std::fs;

use deskguard_tests::lab::{act_for, run, say, value};
use deskguard_tests::server::{APP, Database};
use postgres::Client;
use postgres::error::{DbError, SqlState};

const DESK: &str = "
CREATE TABLE public.ticket (id bigint PRIMARY KEY, category_id text);
INSERT INTO deskguard.category (id, name, external_key) SELECT i, 'C', 'category ' || i FROM generate_series(1, 20000) AS i;
INSERT INTO deskguard.agent (id, name, external_key) SELECT i, 'A', 'agent ' || i FROM generate_series(1, 20000) AS i;
INSERT INTO deskguard.agent_category (agent_id, category_id) SELECT 1, i FROM generate_series(1, 20000) AS i;
INSERT INTO deskguard.agent_category (agent_id, category_id) SELECT i, i FROM generate_series(2, 10000) AS i;
INSERT INTO deskguard.group_member (group_id, agent_id) SELECT 1, i FROM generate_series(1, 20000) AS i;
INSERT INTO public.ticket SELECT i, 'category ' || i FROM generate_series(1, 20000) AS i;
CREATE TABLE public.follower (ticket_id bigint, agent_id bigint, PRIMARY KEY (ticket_id, agent_id));
INSERT INTO public.follower SELECT i, 1 FROM generate_series(1, 20000) AS i;
CREATE TABLE public.message (id bigint PRIMARY KEY, ticket_id bigint);
INSERT INTO public.message SELECT i, i FROM generate_series(1, 20000) AS i;
UPDATE deskguard.agent SET category_access = 'silo' WHERE id = 1;
SELECT deskguard.protect_tickets('public.ticket', category_column => 'category_id', follower_table => 'public.follower');
SELECT deskguard.protect_messages('public.message', ticket_table => 'public.ticket');
ANALYZE;";

/// Each takes memory for the rights of an agent, for keys, for lists of ids or for its answer.
const QUESTIONS: [&str; 7] = [
    "SELECT count(*) FROM public.ticket",
    "SET deskguard.fold = off; SELECT count(*) FROM public.ticket",
    "SELECT count(*) FROM public.message",
    "SELECT count(*) FROM deskguard.visible_tickets(1)",
    "SELECT count(*) FROM deskguard.agents_who_can('view', 7)",
    "SELECT count(*) FROM deskguard.effective_categories(1)",
    "SELECT count(*) FROM deskguard.agents_with_access(category_id => 7)",
];

/// Bytes of address space that the backend has.
fn size(pid: i32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kilobytes = status.lines().find_map(|line| {
        let number = line.strip_prefix("VmSize:")?.trim().strip_suffix("kB")?;
        number.trim().parse::<u64>().ok()
    })?;
    Some(kilobytes * 1024)
}

/// As `ulimit -v` does, for a backend that runs: by the server's user, who may.
fn limit(witness: &mut Client, pid: i32, bytes: &str) {
    run(
        witness,
        &format!("COPY (SELECT WHERE false) TO PROGRAM 'prlimit --pid {pid} --as={bytes}:'"),
    );
}

fn backend(client: &mut Client) -> i32 {
    value(client, "SELECT pg_backend_pid()")
}

#[test]
fn memory_that_runs_out_fails_one_session() {
    let database = Database::with_deskguard("out_of_memory");
    let mut witness = database.superuser();
    run(&mut witness, DESK);
    run(
        &mut witness,
        "GRANT SELECT ON public.ticket, public.message TO PUBLIC",
    );
    let pid = backend(&mut witness);
    if size(pid).is_none() {
        return say("no /proc: memory was not limited");
    }
    for question in QUESTIONS {
        let mut ends: BTreeMap<&str, usize> = BTreeMap::new();
        // From what is too little for anything to what is enough for everything.
        let mut kilobytes = 64;
        while kilobytes < 128 * 1024 {
            let mut client = database.connect(APP);
            // What any statement needs is there already.
            run(
                &mut client,
                "SET jit = off; SET max_parallel_workers_per_gather = 0",
            );
            act_for(&mut client, 1);
            run(
                &mut client,
                "SELECT deskguard.current_agent(); SELECT count(*) FROM pg_class",
            );
            let pid = backend(&mut client);
            let bytes = size(pid).expect("the backend runs") + kilobytes * 1024;
            limit(&mut witness, pid, &bytes.to_string());
            let end = match client.batch_execute(question) {
                Ok(()) => "answered",
                Err(error) => {
                    assert_eq!(
                        error.code(),
                        Some(&SqlState::OUT_OF_MEMORY),
                        "{question} with {kilobytes} kB: {error:?}"
                    );
                    match error.as_db_error().map(DbError::severity) {
                        Some("ERROR") => "error",
                        _ => "session ended",
                    }
                }
            };
            *ends.entry(end).or_default() += 1;
            if end == "error" {
                // The session goes on, and with more memory it has the answer.
                limit(&mut witness, pid, "unlimited");
                run(&mut client, question);
            }
            kilobytes = kilobytes * 3 / 2;
        }
        say(&format!("{question}: {ends:?}"));
        for end in ["answered", "error"] {
            assert!(ends.contains_key(end), "{question}: {ends:?}");
        }
        // Had a backend died, PostgreSQL would have closed this connection.
        run(&mut witness, "SELECT 1");
    }
}
