//! Many clients of a pool: each transaction is for another agent, and is one round trip. Measured with pgbench,
//! against the same statements with the hand-written condition, for a role to which no policy applies. And
//! what it costs if rights change meanwhile.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use deskguard_tests::server::Database;

use crate::desk::Agent;
use crate::keys::Keys;
use crate::report::Report;
use crate::variants::{DESK, Variant};

/// What a transaction does, and how often of a hundred times.
const MIX: [(Statement, u32); 4] = [
    (Statement::Point, 50),
    (Statement::Queue, 20),
    (Statement::Update, 20),
    (Statement::Insert, 10),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Statement {
    Point,
    Queue,
    Update,
    Insert,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Guard {
    /// Each agent has statements of its own, with its condition.
    Literal,
    /// The agent is set, and the statements are the same for all.
    Deskguard,
}

impl Guard {
    const ALL: [Guard; 2] = [Guard::Literal, Guard::Deskguard];

    fn name(self) -> &'static str {
        match self {
            Guard::Literal => "literal",
            Guard::Deskguard => "deskguard",
        }
    }

    fn role(self) -> String {
        match self {
            Guard::Literal => Variant::Limit.role(DESK),
            Guard::Deskguard => Variant::Deskguard.role(DESK),
        }
    }

    /// Each has a table of its own with the same rows. That of the hand-written conditions has no policies and no
    /// triggers, so its sessions have nothing of deskguard.
    fn schema(self) -> String {
        match self {
            Guard::Literal => DESK.plain(),
            Guard::Deskguard => DESK.schema.into(),
        }
    }
}

/// How pgbench sends statements. In both ways the agent and the statement are one round trip.
#[derive(Clone, Copy)]
enum Protocol {
    Simple,
    /// Prepared statements, in a pipeline.
    Prepared,
}

impl Protocol {
    const ALL: [Protocol; 2] = [Protocol::Simple, Protocol::Prepared];

    fn name(self) -> &'static str {
        match self {
            Protocol::Simple => "simple",
            Protocol::Prepared => "prepared",
        }
    }
}

impl Statement {
    fn name(self) -> &'static str {
        match self {
            Statement::Point => "point",
            Statement::Queue => "queue",
            Statement::Update => "update",
            Statement::Insert => "insert",
        }
    }

    /// Does it differ from agent to agent?
    fn is_of_agent(self, guard: Guard) -> bool {
        guard == Guard::Literal || self == Statement::Insert
    }

    fn sql(self, guard: Guard, agent: &Agent) -> String {
        let condition = |condition: Option<String>| match condition {
            Some(condition) if guard == Guard::Literal => format!(" AND {condition}"),
            _ => String::new(),
        };
        let seen = condition(agent.literal(Keys::Integer, None));
        let table = format!("{}.ticket", guard.schema());
        match self {
            Statement::Point => {
                format!("SELECT id, subject, status, updated_at FROM {table} WHERE id = :id{seen}")
            }
            Statement::Queue => format!(
                "SELECT id, subject, updated_at FROM {table} WHERE status = 'open'{seen} \
                 ORDER BY updated_at DESC LIMIT 50"
            ),
            Statement::Update => {
                format!("UPDATE {table} SET subject = 'Ticket' WHERE id = :id{seen}")
            }
            Statement::Insert => {
                const COLUMNS: &str = "id, subject, status, department_id, category_id, assignee_id, created_at, updated_at";
                // Older than the others: a queue that had to pass the new ones would get slower with each run.
                const TIME: &str = "timestamptz '2020-01-01 00:00:00+00'";
                let row = format!(
                    "SELECT :new::bigint, 'New', 'closed', {}, {}, {}::bigint, {TIME}, {TIME}",
                    agent.a_department(),
                    agent.a_category(),
                    agent.id
                );
                let allowed = condition(agent.may_create(Keys::Integer));
                match allowed.is_empty() {
                    true => format!("INSERT INTO {table} ({COLUMNS}) {row}"),
                    false => format!(
                        "INSERT INTO {table} ({COLUMNS}) SELECT * FROM ({row}) AS v ({COLUMNS}) WHERE true{allowed}"
                    ),
                }
            }
        }
    }
}

/// A script of pgbench, which is one transaction, and its share.
struct Script {
    path: PathBuf,
    share: u32,
}

/// What the clients of a pool run.
struct Work {
    guard: Guard,
    protocol: Protocol,
    scripts: Vec<Script>,
}

fn scripts(
    folder: &Path,
    guard: Guard,
    protocol: Protocol,
    agents: &[Agent],
    tickets: i64,
) -> Vec<Script> {
    let (Some(first), Some(last)) = (agents.first(), agents.last()) else {
        return vec![];
    };
    let mut scripts = vec![];
    for (statement, share) in MIX {
        let is_of_agent = statement.is_of_agent(guard);
        let (of, share) = match is_of_agent {
            true => (agents, share),
            false => (&agents[..1], share * agents.len() as u32),
        };
        for agent in of {
            let one = match is_of_agent {
                true => agent.id.to_string(),
                false => format!("random({}, {})", first.id, last.id),
            };
            let numbers = format!(
                "\\set id random(1, {tickets})\n\\set new random(10000000000, 900000000000000000)\n\\set agent {one}\n"
            );
            let sql = statement.sql(guard, agent);
            let switch = "SELECT deskguard.set_agent(:agent)";
            let text = match (guard, protocol) {
                (Guard::Deskguard, Protocol::Simple) => format!("{numbers}{switch}\\; {sql};\n"),
                (Guard::Deskguard, Protocol::Prepared) => {
                    format!("{numbers}\\startpipeline\n{switch};\n{sql};\n\\endpipeline\n")
                }
                (Guard::Literal, _) => format!("{numbers}{sql};\n"),
            };
            let name = [guard.name(), protocol.name(), statement.name()].join("-");
            let path = folder.join(format!("{name}-{}.sql", agent.id));
            fs::write(&path, text).expect("a script is written");
            scripts.push(Script { path, share });
        }
    }
    scripts
}

/// Rights that change while the clients run, five times a second.
#[derive(Clone, Copy)]
enum Changes {
    None,
    /// Those of one agent, then those of another.
    OfAgents,
    /// Those of a group that most agents are members of.
    OfGroup,
}

impl Changes {
    const ALL: [Changes; 3] = [Changes::None, Changes::OfAgents, Changes::OfGroup];
    const EVERY: Duration = Duration::from_millis(200);

    /// Grants or takes away what no statement of the mix asks for.
    fn sql(self, number: usize, agents: &[Agent]) -> Option<String> {
        let is_given = number % 2 == 1;
        let (table, column, id) = match self {
            Changes::None => return None,
            Changes::OfAgents => {
                let agent = &agents[number / 2 % agents.len()];
                ("agent_permission", "agent_id", agent.id)
            }
            Changes::OfGroup => ("group_permission", "group_id", crate::desk::VIEWS_ALL),
        };
        Some(match is_given {
            true => format!(
                "DELETE FROM deskguard.{table} WHERE {column} = {id} AND permission = 'report.view'"
            ),
            false => format!(
                "INSERT INTO deskguard.{table} ({column}, permission) VALUES ({id}, 'report.view')"
            ),
        })
    }
}

struct Pool<'a> {
    database: &'a Database,
    agents: &'a [Agent],
    tickets: i64,
    folder: &'a Path,
}

impl Pool<'_> {
    fn work(&self, guard: Guard, protocol: Protocol) -> Work {
        Work {
            guard,
            protocol,
            scripts: scripts(self.folder, guard, protocol, self.agents, self.tickets),
        }
    }

    /// Transactions a second, once all sessions know what they need.
    fn rate(&self, work: &Work, clients: u32, changes: Changes) -> f64 {
        let is_done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| self.change(changes, &is_done));
            // A client that is refused with 40001 stops in a pipeline, and pgbench with it.
            let rate = (0..5).find_map(|_| self.run(work, clients));
            is_done.store(true, Ordering::Relaxed);
            rate.expect("a run of pgbench without errors")
        })
    }

    /// An even number of changes, so that all is as before.
    fn change(&self, changes: Changes, is_done: &AtomicBool) {
        if let Changes::None = changes {
            return;
        }
        let mut superuser = self.database.superuser();
        let mut number = 0;
        while !is_done.load(Ordering::Relaxed) || number % 2 == 1 {
            if let Some(sql) = changes.sql(number, self.agents) {
                superuser.batch_execute(&sql).expect("rights are changed");
            }
            number += 1;
            thread::sleep(Changes::EVERY);
        }
    }

    /// None if a client failed.
    fn run(&self, work: &Work, clients: u32) -> Option<f64> {
        // The sessions begin with empty caches, and each has its share of the transactions.
        let warm_up = clients / 8;
        let mut command = self.database.program("pgbench");
        command
            .env("PGUSER", work.guard.role())
            .args(["--no-vacuum", "--protocol", work.protocol.name()])
            .args(["--client", &clients.to_string()])
            .args(["--progress", &warm_up.to_string()])
            .args(["--time", &(2 * warm_up + 1).to_string()]);
        for script in &work.scripts {
            let script = format!("{}@{}", script.path.display(), script.share);
            command.args(["--file", &script]);
        }
        let output = command.output().expect("pgbench runs");
        if !output.status.success() {
            return None;
        }
        // "progress: 8.0 s, 900.1 tps, ..."
        let printed = String::from_utf8_lossy(&output.stderr);
        let mut told = printed
            .lines()
            .filter_map(|line| line.strip_prefix("progress: "))
            .filter_map(|line| line.split(", ").nth(1)?.strip_suffix(" tps")?.parse().ok());
        Some(
            told.nth(1)
                .unwrap_or_else(|| panic!("pgbench said {printed}")),
        )
    }
}

pub fn measure(
    database: &Database,
    tickets: i64,
    agents: &[Agent],
    rounds: usize,
    report: &mut Report,
) {
    report.title("Transactions a second of a pool, an agent each, in one round trip; and ratios");
    let folder = std::env::temp_dir().join(format!("deskguard-pool-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder for scripts");
    // pgbench takes at most 128 scripts.
    let agents = &agents[6..38];
    let pool = Pool {
        database,
        agents,
        tickets,
        folder: &folder,
    };
    println!(
        "{:>7} {:<9} {:>9} {:>9} {:>9}",
        "clients", "protocol", "literal", "deskguard", "ratio"
    );
    // In turns, and the best of each: what else the machine does makes a run slower only.
    for clients in [32, 100] {
        for protocol in Protocol::ALL {
            let work = Guard::ALL.map(|guard| pool.work(guard, protocol));
            let mut best = [0f64; 2];
            for _ in 0..rounds {
                for (best, work) in best.iter_mut().zip(&work) {
                    *best = best.max(pool.rate(work, clients, Changes::None));
                }
            }
            let [literal, deskguard] = best;
            println!(
                "{clients:>7} {:<9} {literal:>9.0} {deskguard:>9.0} {:>9.2}",
                protocol.name(),
                deskguard / literal
            );
        }
    }
    report.title("The same while rights change five times a second; and ratios to no changes");
    println!(
        "{:>7} {:<9} {:>9} {:>11} {:>11} {:>11} {:>11}",
        "clients", "protocol", "no change", "an agent's", "ratio", "a group's", "ratio"
    );
    let clients = 32;
    for protocol in Protocol::ALL {
        let work = pool.work(Guard::Deskguard, protocol);
        let mut best = [0f64; 3];
        for _ in 0..rounds {
            for (best, changes) in best.iter_mut().zip(Changes::ALL) {
                *best = best.max(pool.rate(&work, clients, changes));
            }
        }
        let [none, agents, group] = best;
        println!(
            "{clients:>7} {:<9} {none:>9.0} {agents:>11.0} {:>11.2} {group:>11.0} {:>11.2}",
            protocol.name(),
            agents / none,
            group / none
        );
    }
    fs::remove_dir_all(&folder).expect("the scripts are removed");
}
