//! How the cost grows with the number of tickets.

use std::iter;

use deskguard_tests::server::Database;
use postgres::Client;

use crate::desk::{self, Agent, WEEK};
use crate::measure::{Effort, Runner, race};
use crate::report::Report;
use crate::variants::{DESK, Desk, Session, Variant};

const SMALLEST: i64 = 100_000;

/// 100,000, 300,000, 1,000,000 and so on, and all tickets.
fn sizes(tickets: i64) -> Vec<i64> {
    let decades = iter::successors(Some(SMALLEST), |size| size.checked_mul(10));
    let mut sizes: Vec<i64> = decades
        .flat_map(|size| [size, 3 * size])
        .take_while(|size| *size < tickets)
        .collect();
    sizes.push(tickets);
    sizes
}

pub fn measure(
    database: &Database,
    superuser: &mut Client,
    tickets: i64,
    agents: &[Agent],
    effort: Effort,
    report: &mut Report,
) {
    if tickets <= SMALLEST {
        return;
    }
    report.title("From 100,000 tickets on: the limit's median ms, and deskguard as its multiple");
    let desk = Desk {
        schema: "growing",
        ..DESK
    };
    superuser
        .batch_execute("CREATE SCHEMA growing; GRANT USAGE ON SCHEMA growing TO PUBLIC")
        .unwrap();
    let statements = |table: &str, condition: Option<String>| {
        let and = condition
            .as_ref()
            .map_or_else(String::new, |c| format!("AND {c}"));
        let filter = condition.map_or_else(String::new, |c| format!("WHERE {c}"));
        [
            format!(
                "SELECT id FROM {table} WHERE status = 'open' {and} ORDER BY updated_at DESC LIMIT 50"
            ),
            format!("SELECT status, count(*) FROM {table} {filter} GROUP BY status"),
            format!("SELECT count(*) FROM {table} WHERE {WEEK} {and}"),
        ]
    };
    println!(
        "{:>9} {:<12} {:>18} {:>18} {:>18}",
        "tickets", "agent", "queue", "report", "week"
    );
    for size in sizes(tickets) {
        let condition =
            format!("hashint8(id)::bigint + 2147483648 <= 4294967295.0 * {size} / {tickets}");
        superuser
            .batch_execute(&format!(
                "{}; SELECT deskguard.protect_tickets('growing.ticket', {})",
                desk::copy("plain", "growing.ticket", &condition),
                desk::MAPPING
            ))
            .unwrap();
        superuser
            .batch_execute("VACUUM (FREEZE, ANALYZE) growing.ticket")
            .unwrap();
        for agent in agents {
            let mut cells = vec![];
            for query in 0..3 {
                let mut runners: Vec<Runner> = [Variant::Limit, Variant::Deskguard]
                    .into_iter()
                    .map(|variant| {
                        let mut session = Session::open(database, variant, desk);
                        session.become_agent(agent);
                        let condition = session.condition(agent);
                        let [queue, report, week] = statements(&session.table(), condition);
                        let sql = [queue, report, week][query].clone();
                        Runner::new(move |_| session.client.time_statement(&sql))
                    })
                    .collect();
                let times = race(&mut runners, effort);
                let ratio = times[1].ratio_to(&times[0]);
                let name = format!("{} of {size}", ["queue", "report", "week"][query]);
                report.note(&name, &agent.name, Variant::Limit.name(), &times[0], None);
                report.note(
                    &name,
                    &agent.name,
                    Variant::Deskguard.name(),
                    &times[1],
                    Some(ratio),
                );
                cells.push(format!("{:>11.3} x {ratio:<4.2}", times[0].median()));
            }
            println!("{size:>9} {:<12} {}", agent.name, cells.join(" "));
        }
        superuser
            .batch_execute("DROP TABLE growing.ticket")
            .unwrap();
    }
}
