//! A backend that lives long does not grow.

use std::env;
use std::fs;
use std::time::Instant;

use deskguard_tests::lab::{act_for, run};
use deskguard_tests::server::APP;
use postgres::Client;

use crate::desk::{Fold, desk, roles_stay};

/// `DESKGUARD_MEMORY=full` takes all of these, else a tenth is done.
const CHECKS: u64 = 1_000_000;
const SWITCHES: u64 = 100_000;

/// What an allocator may keep for its own use, a few bytes for each call at most.
const NOISE: i64 = 256 * 1024;

fn share() -> u64 {
    match env::var("DESKGUARD_MEMORY").as_deref() {
        Ok("full") => 1,
        Ok(other) => panic!("DESKGUARD_MEMORY is {other}; it may be: full"),
        Err(_) => 10,
    }
}

/// Bytes in use by a backend: as PostgreSQL counts them, and as the system does.
#[derive(Debug)]
struct Memory {
    contexts: i64,
    /// Without shared memory; none where there is no /proc.
    resident: Option<i64>,
}

impl Memory {
    fn of(client: &mut Client) -> Memory {
        let sql = "SELECT pg_backend_pid(), desk.memory()";
        // Asking takes memory, too, the first time.
        client.query_one(sql, &[]).unwrap();
        let row = client.query_one(sql, &[]).unwrap();
        let pid: i32 = row.get(0);
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let resident = status.lines().find_map(|line| {
            let kilobytes = line.strip_prefix("RssAnon:")?.trim().strip_suffix("kB")?;
            Some(kilobytes.trim().parse::<i64>().ok()? * 1024)
        });
        Memory {
            contexts: row.get(1),
            resident,
        }
    }

    fn assert_as_before(&self, before: &Memory, what: &str) {
        println!("{what}: {before:?} before, {self:?} after");
        assert!(self.contexts - before.contexts < NOISE, "{what}");
        if let (Some(before), Some(after)) = (before.resident, self.resident) {
            assert!(after - before < NOISE, "{what}");
        }
    }
}

/// Agents may not ask about memory.
const MEMORY: &str = "CREATE FUNCTION desk.memory() RETURNS bigint LANGUAGE sql SECURITY DEFINER
    AS 'SELECT sum(total_bytes)::bigint FROM pg_catalog.pg_backend_memory_contexts'";

#[test]
fn checks_do_not_grow_a_backend() {
    let _roles = roles_stay();
    let database = desk(Fold::On);
    let mut superuser = database.superuser();
    run(&mut superuser, MEMORY);
    run(
        &mut superuser,
            "INSERT INTO deskguard.group_member VALUES (1, 1);
             CREATE FUNCTION desk.check_in_loop(n bigint) RETURNS bigint LANGUAGE plpgsql AS $$
             DECLARE seen bigint := 0;
             BEGIN
                 FOR i IN 1..n LOOP
                     IF deskguard.agent_can_view(1 + i % 2, 1 + i % 11) THEN seen := seen + 1; END IF;
                 END LOOP;
                 RETURN seen;
             END $$",
        );
    let client = &mut database.connect(APP);
    act_for(client, 9);
    // LLVM comes with the first query that is dear enough, and takes 10 MB for itself.
    run(client, "SET jit = off");

    let set_based = client
        .prepare(
            // Small series, since PostgreSQL keeps them in memory.
            "SELECT count(*) FROM generate_series(1, 1000) AS i, generate_series(1, $1::bigint / 1000) AS j
             WHERE deskguard.agent_can_view(1 + i % 2, 1 + j % 11)",
        )
        .unwrap();
    let looped = client.prepare("SELECT desk.check_in_loop($1)").unwrap();
    let check = |client: &mut Client, calls: u64| {
        let mut seen = 0;
        // One statement with many calls, one with a loop, and many statements.
        for statement in [&set_based, &looped] {
            let half = (calls / 2) as i64;
            seen += client
                .query_one(statement, &[&half])
                .unwrap()
                .get::<_, i64>(0);
        }
        for _ in 0..100 {
            seen += client
                .query_one(&looped, &[&10i64])
                .unwrap()
                .get::<_, i64>(0);
        }
        assert!(seen > 0);
    };
    let calls = CHECKS / share();
    check(client, calls / 10);
    let before = Memory::of(client);
    let since = Instant::now();
    check(client, calls);
    let micros = since.elapsed().as_micros() as f64 / calls as f64;
    let what = format!("{calls} checks, {micros:.1} us each");
    Memory::of(client).assert_as_before(&before, &what);
}

#[test]
fn switches_of_the_agent_do_not_grow_a_backend() {
    let _roles = roles_stay();
    for fold in Fold::ALL {
        let database = desk(fold);
        run(&mut database.superuser(), MEMORY);
        let client = &mut database.connect(APP);
        run(
            client,
            "SET plan_cache_mode = force_generic_plan;
             PREPARE q (bigint) AS SELECT count(*) FROM desk.ticket WHERE id > $1",
        );
        let switch = |client: &mut Client, times: u64| {
            for n in 0..times {
                let agent = [1, 2, 9, 77][(n % 4) as usize];
                let sql = if n % 2 == 0 {
                    format!("BEGIN; SET LOCAL deskguard.agent_id = {agent}; EXECUTE q (0); COMMIT")
                } else {
                    format!("SELECT deskguard.set_agent({agent}, false); EXECUTE q (0)")
                };
                run(client, &sql);
            }
        };
        switch(client, 2_000);
        let before = Memory::of(client);
        let times = SWITCHES / share();
        let since = Instant::now();
        switch(client, times);
        let micros = since.elapsed().as_micros() as f64 / times as f64;
        let what = format!("fold {fold:?}: {times} switches, {micros:.0} us each");
        Memory::of(client).assert_as_before(&before, &what);
    }
}

/// Changes of rights, each of which makes the backend load them anew.
#[test]
fn changes_do_not_grow_a_backend() {
    let _roles = roles_stay();
    for fold in Fold::ALL {
        let database = desk(fold);
        let mut superuser = database.superuser();
        run(&mut superuser, MEMORY);
        let client = &mut database.connect(APP);
        act_for(client, 1);
        let statement = client
            .prepare("SELECT count(*) FROM desk.ticket WHERE id > $1")
            .unwrap();
        let mut change = |client: &mut Client, times: u64| {
            for n in 0..times {
                let level = ["assign", "full"][(n % 2) as usize];
                let sql = format!("UPDATE deskguard.agent_department SET level = '{level}'");
                run(&mut superuser, &sql);
                client.query_one(&statement, &[&0i64]).unwrap();
            }
        };
        change(client, 500);
        let before = Memory::of(client);
        let times = 20_000 / share();
        change(client, times);
        let what = format!("fold {fold:?}: {times} changes");
        Memory::of(client).assert_as_before(&before, &what);
    }
}
