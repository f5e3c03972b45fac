//! Many clients of a pool: each transaction is for another agent, and is one round trip. Measured with pgbench,
//! against the same statements with the hand-written condition, and without any, for a role to which no policy
//! applies.

use std::fs;
use std::path::{Path, PathBuf};

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

#[derive(Clone, Copy)]
enum Statement {
    Point,
    Queue,
    Update,
    Insert,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Guard {
    Nothing,
    Literal,
    Deskguard,
}

impl Guard {
    const ALL: [Guard; 3] = [Guard::Nothing, Guard::Literal, Guard::Deskguard];

    fn name(self) -> &'static str {
        match self {
            Guard::Nothing => "nothing",
            Guard::Literal => "literal",
            Guard::Deskguard => "deskguard",
        }
    }

    fn role(self) -> String {
        match self {
            Guard::Nothing | Guard::Literal => Variant::Limit.role(DESK),
            Guard::Deskguard => Variant::Deskguard.role(DESK),
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

    fn sql(self, guard: Guard, agent: &Agent) -> String {
        let condition = |condition: Option<String>| match condition {
            Some(condition) if guard == Guard::Literal => format!(" AND {condition}"),
            _ => String::new(),
        };
        let seen = condition(agent.literal(Keys::Integer, None));
        match self {
            Statement::Point => {
                format!(
                    "SELECT id, subject, status, updated_at FROM desk.ticket WHERE id = :id{seen}"
                )
            }
            Statement::Queue => format!(
                "SELECT id, subject, updated_at FROM desk.ticket WHERE status = 'open'{seen} \
                 ORDER BY updated_at DESC LIMIT 50"
            ),
            Statement::Update => {
                format!("UPDATE desk.ticket SET subject = 'Ticket' WHERE id = :id{seen}")
            }
            Statement::Insert => {
                const COLUMNS: &str = "id, subject, status, department_id, category_id, assignee_id, created_at, updated_at";
                let row = format!(
                    "SELECT :new::bigint, 'New', 'closed', {}, {}, {}::bigint, now(), now()",
                    agent.a_department(),
                    agent.a_category(),
                    agent.id
                );
                let allowed = condition(agent.may_create(Keys::Integer));
                match allowed.is_empty() {
                    true => format!("INSERT INTO desk.ticket ({COLUMNS}) {row}"),
                    false => format!(
                        "INSERT INTO desk.ticket ({COLUMNS}) SELECT * FROM ({row}) AS v ({COLUMNS}) WHERE true{allowed}"
                    ),
                }
            }
        }
    }
}

/// A script of pgbench: one transaction of an agent.
fn script(
    statement: Statement,
    guard: Guard,
    protocol: Protocol,
    agent: &Agent,
    tickets: i64,
) -> String {
    let numbers = format!(
        "\\set id random(1, {tickets})\n\\set new random(10000000000, 900000000000000000)\n"
    );
    let sql = statement.sql(guard, agent);
    let switch = format!("SELECT deskguard.set_agent({})", agent.id);
    match (guard, protocol) {
        (Guard::Deskguard, Protocol::Simple) => format!("{numbers}{switch}\\; {sql};\n"),
        (Guard::Deskguard, Protocol::Prepared) => {
            format!("{numbers}\\startpipeline\n{switch};\n{sql};\n\\endpipeline\n")
        }
        _ => format!("{numbers}{sql};\n"),
    }
}

struct Run<'a> {
    database: &'a Database,
    folder: &'a Path,
    seconds: u32,
}

impl Run<'_> {
    fn path(
        &self,
        guard: Guard,
        protocol: Protocol,
        agent: &Agent,
        statement: Statement,
    ) -> PathBuf {
        let (guard, protocol) = (guard.name(), protocol.name());
        let name = format!("{guard}-{protocol}-{}-{}.sql", agent.id, statement.name());
        self.folder.join(name)
    }

    /// Transactions a second.
    fn rate(&self, guard: Guard, protocol: Protocol, clients: u32, agents: &[Agent]) -> f64 {
        let mut command = self.database.program("pgbench");
        command
            .env("PGUSER", guard.role())
            .args(["--no-vacuum", "--protocol", protocol.name()])
            .args(["--client", &clients.to_string()])
            .args(["--time", &self.seconds.to_string()]);
        for agent in agents {
            for (statement, share) in MIX {
                let path = self.path(guard, protocol, agent, statement);
                command
                    .arg("--file")
                    .arg(format!("{}@{share}", path.display()));
            }
        }
        let output = command.output().expect("pgbench runs");
        assert!(output.status.success(), "{output:?}");
        let printed = String::from_utf8_lossy(&output.stdout);
        let rate = printed
            .lines()
            .find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
        rate.unwrap_or_else(|| panic!("pgbench said {printed}"))
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
    let run = Run {
        database,
        folder: &folder,
        seconds: 5,
    };
    // pgbench takes at most 128 scripts.
    let agents = &agents[6..38];
    for guard in Guard::ALL {
        for protocol in Protocol::ALL {
            for agent in agents {
                for (statement, _) in MIX {
                    let text = script(statement, guard, protocol, agent, tickets);
                    let path = run.path(guard, protocol, agent, statement);
                    fs::write(path, text).expect("a script is written");
                }
            }
        }
    }
    println!(
        "{:>7} {:<9} {:>9} {:>9} {:>9} {:>11} {:>11}",
        "clients", "protocol", "nothing", "literal", "deskguard", "to nothing", "to literal"
    );
    for clients in [32, 100] {
        for protocol in Protocol::ALL {
            // In turns, and the best of each: what else the machine does makes a run slower only.
            let mut best = [0f64; 3];
            for _ in 0..rounds {
                for (best, guard) in best.iter_mut().zip(Guard::ALL) {
                    *best = best.max(run.rate(guard, protocol, clients, agents));
                }
            }
            let [nothing, literal, deskguard] = best;
            println!(
                "{clients:>7} {:<9} {nothing:>9.0} {literal:>9.0} {deskguard:>9.0} {:>11.2} {:>11.2}",
                protocol.name(),
                deskguard / nothing,
                deskguard / literal
            );
        }
    }
    fs::remove_dir_all(&folder).expect("the scripts are removed");
}
