//! `make bench`: what the protection of a ticket table costs, compared with the literal WHERE that an
//! expert writes and with the usual kinds of policies. Run by tools/bench.

mod backend;
mod compare;
mod desk;
mod folding;
mod growth;
mod keys;
mod measure;
mod places;
mod plot;
mod pool;
mod queries;
mod report;
mod variants;

use std::env;
use std::time::Instant;

use deskguard_tests::server::Database;
use postgres::Client;

use desk::Agent;
use keys::Keys;
use measure::Effort;
use queries::Query;
use report::Report;
use variants::{DESK, FOLLOWED, QUEUES, SEARCH, UUID, UUID_FOLLOWED};

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [folder, tickets, agents, repeat, part @ ..] = arguments.as_slice() else {
        panic!("usage: bench FOLDER TICKETS AGENTS REPEAT [growth|pool|search|queues|places]");
    };
    let tickets: i64 = tickets.parse().expect("TICKETS is a number");
    let agents: i64 = agents.parse().expect("AGENTS is a number");
    let repeat: usize = repeat.parse().expect("REPEAT is a number");
    assert!(tickets >= 10_000, "TICKETS: at least 10000");
    assert!(agents >= 60, "AGENTS: at least 60");
    assert!(repeat >= 1, "REPEAT: at least 1");
    let name = match part {
        [] => "results",
        [part] if part == "growth" => "growth",
        [part] if part == "pool" => "pool",
        [part] if part == "search" => "search",
        [part] if part == "queues" => "queues",
        [part] if part == "places" => "places",
        _ => panic!(
            "the parts that can be measured alone are growth, pool, search, queues and places"
        ),
    };

    let start = Instant::now();
    let database = Database::with_deskguard("bench");
    let mut superuser = database.superuser();
    print_settings(&mut superuser, tickets, agents, repeat);
    let agents = desk::agents(agents);
    let effort = Effort::new(repeat);
    let mut bench = Bench {
        database: &database,
        superuser,
        tickets,
        agents: &agents,
        effort,
        report: Report::new(folder.into(), name, tickets),
        start,
    };
    match name {
        "growth" => bench.growth(),
        "pool" => bench.pool(),
        "search" => bench.search(),
        "queues" => bench.queues(),
        "places" => bench.places(),
        _ => bench.all(),
    }
    bench.report.finish();
    println!("{:.0} s in all", start.elapsed().as_secs_f64());
}

struct Bench<'a> {
    database: &'a Database,
    superuser: Client,
    tickets: i64,
    agents: &'a [Agent],
    effort: Effort,
    report: Report,
    start: Instant,
}

impl Bench<'_> {
    fn all(&mut self) {
        let compared: Vec<&Agent> = self.agents.iter().take(desk::COMPARED).collect();
        self.load(&[
            desk::tickets(self.tickets, self.agents.len() as i64),
            desk::messages_and_followers(self.tickets, self.agents.len() as i64),
            desk::permissions(self.agents),
            variants::roles(),
            variants::access_tables(self.agents, Keys::Integer),
            DESK.policies(&compared),
            DESK.protect(),
            FOLLOWED.policies(&compared),
            FOLLOWED.protect(),
        ]);
        let (database, effort, report) = (self.database, self.effort, &mut self.report);
        report.title("Queries of a help desk");
        report.table_head();
        compare::queries(database, DESK, &compared, &Query::ALL, effort, report);
        let followers: Vec<&Agent> = compared
            .iter()
            .copied()
            .filter(|agent| agent.gains_by_following() && !agent.temporary)
            .collect();
        let queries = [
            Query::Queue,
            Query::Report,
            Query::Week,
            Query::Point,
            Query::Update,
        ];
        compare::queries(database, FOLLOWED, &followers, &queries, effort, report);
        compare::agent_switch(database, DESK, &self.agents[10..60], effort, report);

        let superuser = &mut self.superuser;
        backend::cold(database, compared[1], effort, report);
        backend::memory(database, self.agents, report);
        backend::checks(database, superuser, &compared, effort, report);
        folding::on_and_off(database, &compared, effort.less(), report);
        self.with_uuids(&compared, &followers);
        self.measure_search(&compared);
        self.measure_queues(&compared);
        self.measure_growth();
        // These two add agents and categories by the thousand.
        let (superuser, report) = (&mut self.superuser, &mut self.report);
        backend::load(database, superuser, effort, report);
        folding::limit(database, superuser, self.tickets, effort.less(), report);
    }

    /// The same help desk with uuids in place of deskguard's ids and of the numbers of its own.
    fn with_uuids(&mut self, compared: &[&Agent], followers: &[&Agent]) {
        let mut agents = compared.to_vec();
        agents.retain(|agent| ["narrow", "medium", "wide", "all"].contains(&agent.name.as_str()));
        self.load(&[
            desk::with_keys(Keys::Uuid),
            desk::external_keys(Keys::Uuid),
            variants::access_tables(self.agents, Keys::Uuid),
            UUID.policies(&agents),
            UUID.protect(),
            UUID_FOLLOWED.policies(followers),
            UUID_FOLLOWED.protect(),
        ]);
        let (database, effort, report) = (self.database, self.effort.less(), &mut self.report);
        report.title("Queries of a help desk with uuids");
        report.table_head();
        let queries = [
            Query::Queue,
            Query::Report,
            Query::Week,
            Query::Messages,
            Query::Keyset,
            Query::Point,
            Query::PointPrepared,
            Query::Insert,
            Query::Update,
        ];
        compare::queries(database, UUID, &agents, &queries, effort, report);
        let queries = [Query::Queue, Query::Report, Query::Point];
        compare::queries(database, UUID_FOLLOWED, followers, &queries, effort, report);
        folding::beyond_limit(database, [DESK, UUID], &agents[..3], effort, report);
    }

    fn growth(&mut self) {
        self.load_tickets();
        self.measure_growth();
    }

    fn search(&mut self) {
        let compared: Vec<&Agent> = self.agents.iter().take(desk::COMPARED).collect();
        self.load_tickets();
        self.measure_search(&compared);
    }

    fn queues(&mut self) {
        let compared: Vec<&Agent> = self.agents.iter().take(desk::COMPARED).collect();
        self.load_tickets();
        self.measure_queues(&compared);
    }

    fn places(&mut self) {
        self.load_tickets();
        // One whose rights are all of scoped groups.
        let agent = &self.agents[desk::COMPARED];
        self.load(&[places::load(agent)]);
        let (database, effort, report) = (self.database, self.effort, &mut self.report);
        places::compare(database, agent, effort, report);
        places::many_customers(database, &mut self.superuser, effort, report);
    }

    fn load_tickets(&mut self) {
        self.load(&[
            desk::tickets(self.tickets, self.agents.len() as i64),
            desk::permissions(self.agents),
            variants::roles(),
            variants::access_tables(self.agents, Keys::Integer),
        ]);
    }

    fn measure_queues(&mut self, compared: &[&Agent]) {
        let mut agents = compared.to_vec();
        agents.retain(|agent| agent.name != "temporary");
        self.load(&[desk::queued(), QUEUES.policies(&agents), QUEUES.protect()]);
        let (database, effort, report) = (self.database, self.effort.less(), &mut self.report);
        report.title("Queues and dashboards");
        report.table_head();
        compare::queries(database, QUEUES, &agents, &Query::QUEUES, effort, report);
    }

    fn measure_search(&mut self, compared: &[&Agent]) {
        let mut agents = compared.to_vec();
        agents.retain(|agent| ["narrow", "medium", "wide", "all"].contains(&agent.name.as_str()));
        self.load(&[
            desk::searched(self.tickets),
            SEARCH.policies(&agents),
            SEARCH.protect(),
        ]);
        let (database, effort, report) = (self.database, self.effort.less(), &mut self.report);
        report.title("Searches");
        report.table_head();
        compare::queries(database, SEARCH, &agents, &Query::SEARCHES, effort, report);
    }

    fn pool(&mut self) {
        self.load(&[
            desk::tickets(self.tickets, self.agents.len() as i64),
            desk::messages_and_followers(self.tickets, self.agents.len() as i64),
            desk::permissions(self.agents),
            variants::roles(),
            DESK.protect(),
        ]);
        let rounds = self.effort.repeat.min(3);
        pool::measure(
            self.database,
            self.tickets,
            self.agents,
            rounds,
            &mut self.report,
        );
    }

    fn measure_growth(&mut self) {
        growth::measure(
            self.database,
            &mut self.superuser,
            self.tickets,
            &self.agents[..3],
            self.effort,
            &mut self.report,
        );
    }

    fn load(&mut self, scripts: &[String]) {
        for script in scripts
            .iter()
            .map(String::as_str)
            .chain(["VACUUM (FREEZE, ANALYZE)", "CHECKPOINT"])
        {
            if let Err(error) = self.superuser.batch_execute(script) {
                panic!(
                    "{}...: {error:?}",
                    script.chars().take(300).collect::<String>()
                );
            }
        }
        println!("loaded in {:.0} s", self.start.elapsed().as_secs_f64());
    }
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
