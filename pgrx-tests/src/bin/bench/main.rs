//! `make bench`: what the protection of a ticket table costs, compared with the literal WHERE that an
//! expert writes and with the usual kinds of policies. Run by tools/bench.

mod backend;
mod compare;
mod desk;
mod folding;
mod growth;
mod measure;
mod plot;
mod queries;
mod report;
mod variants;

use std::env;
use std::time::Instant;

use deskguard_tests::server::Database;
use postgres::Client;

use desk::Agent;
use measure::Effort;
use queries::Query;
use report::Report;
use variants::{DESK, FOLLOWED};

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [tickets, agents, repeat, folder] = arguments.as_slice() else {
        panic!("usage: bench TICKETS AGENTS REPEAT FOLDER");
    };
    let tickets: i64 = tickets.parse().expect("TICKETS is a number");
    let agents: i64 = agents.parse().expect("AGENTS is a number");
    let repeat: usize = repeat.parse().expect("REPEAT is a number");
    assert!(tickets >= 10_000, "TICKETS: at least 10000");
    assert!(agents >= 60, "AGENTS: at least 60");
    assert!(repeat >= 1, "REPEAT: at least 1");

    let start = Instant::now();
    let database = Database::with_deskguard("bench");
    let mut report = Report::new(folder.into(), tickets);
    let mut superuser = database.superuser();
    print_settings(&mut superuser, tickets, agents, repeat);

    let agents = desk::agents(agents);
    let compared: Vec<&Agent> = agents.iter().take(desk::COMPARED).collect();
    load(&mut superuser, tickets, &agents, &compared);
    println!("loaded in {:.0} s", start.elapsed().as_secs_f64());

    let effort = Effort { repeat };
    report.title("Queries of a help desk");
    report.table_head();
    compare::queries(&database, DESK, &compared, &Query::ALL, effort, &mut report);
    let followers: Vec<&Agent> = compared
        .iter()
        .copied()
        .filter(|agent| agent.gains_by_following())
        .collect();
    let queries = [
        Query::Queue,
        Query::Report,
        Query::Week,
        Query::Point,
        Query::Update,
    ];
    compare::queries(
        &database,
        FOLLOWED,
        &followers,
        &queries,
        effort,
        &mut report,
    );
    compare::agent_switch(&database, DESK, &agents[10..60], effort, &mut report);

    backend::cold(&database, compared[1], effort, &mut report);
    backend::memory(&database, &agents, &mut report);
    backend::checks(&database, &mut superuser, &compared, effort, &mut report);
    folding::on_and_off(&database, &compared, effort, &mut report);
    growth::measure(
        &database,
        &mut superuser,
        tickets,
        &compared[..3],
        effort,
        &mut report,
    );
    // These two add agents and categories by the thousand.
    backend::load(&database, &mut superuser, effort, &mut report);
    folding::limit(&database, &mut superuser, tickets, effort, &mut report);

    report.finish();
    println!("{:.0} s in all", start.elapsed().as_secs_f64());
}

fn print_settings(superuser: &mut Client, tickets: i64, agents: i64, repeat: usize) {
    println!("{tickets} tickets, {agents} agents, at least {repeat} runs each");
    superuser.batch_execute("LOAD 'deskguard'").unwrap();
    let settings = [
        "server_version",
        "shared_buffers",
        "work_mem",
        "effective_cache_size",
        "random_page_cost",
        "jit",
        "max_parallel_workers_per_gather",
        "fsync",
        "autovacuum",
        "plan_cache_mode",
        "deskguard.fold",
        "deskguard.fold_limit",
        "deskguard.cache_size",
    ];
    let values = settings.map(|name| {
        let row = superuser
            .query_one("SELECT current_setting($1)", &[&name])
            .unwrap();
        format!("{name}={}", row.get::<_, String>(0))
    });
    println!("{}", values.join(" "));
    println!(
        "Times are of processors, by client and backend together: on an idle machine, the time that passes.\n\
         Planning and parsing count. Ratios are medians, compared round by round; wall: of the time that passed."
    );
}

fn load(superuser: &mut Client, tickets: i64, agents: &[Agent], compared: &[&Agent]) {
    let scripts = [
        desk::create(tickets, agents.len() as i64),
        desk::permissions(agents),
        variants::access_tables(agents),
        DESK.policies(compared),
        DESK.protect(),
        FOLLOWED.policies(compared),
        FOLLOWED.protect(),
        "VACUUM (FREEZE, ANALYZE)".into(),
        "CHECKPOINT".into(),
    ];
    for script in scripts {
        if let Err(error) = superuser.batch_execute(&script) {
            panic!(
                "{}...: {error:?}",
                script.chars().take(300).collect::<String>()
            );
        }
    }
}
