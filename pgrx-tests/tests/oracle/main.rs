//! Random help desks, and one made by hand: every way to ask and every command must agree with the
//! oracle.
//!
//! DESKGUARD_CASES (or PROPTEST_CASES) sets how many; DESKGUARD_SEED where to start: the help
//! desk of seed S is always the same, and a run tries the seeds S, S + 1, …

mod answers;
mod ask;
mod changes;
mod counts;
mod database;
mod explain;
mod follows;
mod reads;
mod schema;
mod writes;

use std::time::Instant;

use deskguard_tests::help_desk::{Case, DANGLING, Id, cases as random_cases};
use deskguard_tests::lab::{Cases, Counts, Outcome, PLANS, fail, say, try_run};
use deskguard_tests::server::MAPPED;
use deskguard_tests::{ident, worked};
use postgres::Client;
use proptest::test_runner::TestCaseError;

use crate::answers::{answers_about, audits, who_can};
use crate::changes::changes;
use crate::counts::{count, needed};
use crate::database::{Lab, Labs};
use crate::follows::follows;
use crate::reads::{identity, reads, searches};
use crate::writes::{inserts, writes};

#[test]
fn random_help_desks_are_answered_as_by_the_oracle() {
    let cases = Cases::of("oracle", 300, 1);
    say(&format!(
        "oracle: {} random help desks from seed {}",
        cases.wanted, cases.first_seed
    ));
    let start = Instant::now();
    let mut labs = Labs::default();
    let mut counts = Counts::default();
    for case in worked::KINDS.map(worked::case) {
        if let Err(reason) = check(&mut labs, &case, &mut counts) {
            panic!(
                "the help desk made by hand fails:\n{}\n\n{reason}",
                told(&case)
            );
        }
    }
    cases.check(
        &random_cases(),
        &mut counts,
        &needed(),
        |case, counts| check(&mut labs, case, counts),
        told,
    );
    say(&format!(
        "oracle: {} help desks in {:.0} s; {} pairs of agent and ticket, \
         {} allowed, {} denied; {} commands tried in sessions",
        cases.wanted,
        start.elapsed().as_secs_f32(),
        counts.get("view allowed") + counts.get("view denied"),
        counts.get("view allowed"),
        counts.get("view denied"),
        counts.get("commands tried"),
    ));
    say(&format!("oracle: {counts}"));
}

/// A help desk, and what was tried on it.
fn told(case: &Case) -> String {
    format!(
        "deskguard.default_category_access = {:?}:\n{}{}\ntried on it: {:?} {:?} {:?}",
        case.desk.default_category_access,
        case.desk.load_sql(),
        case.desk.table.protect_sql(),
        case.new_tickets,
        case.changes,
        case.follows,
    )
}

fn check(labs: &mut Labs, case: &Case, counts: &mut Counts) -> Outcome {
    let lab = labs.of(case.desk.default_category_access);
    lab.load(&case.desk)?;
    let result = check_loaded(lab, case, counts);
    let cleaned = lab.clean(case);
    result.and(cleaned)
}

fn check_loaded(lab: &mut Lab, case: &Case, counts: &mut Counts) -> Outcome {
    let desk = &case.desk;
    count(desk, counts);

    let mut agents: Vec<Id> = desk.agents.iter().map(|agent| agent.id).collect();
    // Nobody has this id, though tickets and follower rows may.
    agents.push(DANGLING);
    for &agent in &agents {
        answers_about(lab, desk, agent)?;
    }
    who_can(lab, desk)?;

    for (index, &agent) in agents.iter().enumerate() {
        // Two ways to say who one is.
        let enter = if index % 2 == 0 {
            format!("SET deskguard.agent_id = '{agent}'")
        } else {
            format!("SELECT deskguard.set_agent({agent}, false)")
        };
        let name = format!("agent {agent}");
        session(&mut lab.app, &name, &enter, Some(agent), case, counts)?;
    }
    let nobody = "RESET deskguard.agent_id";
    session(&mut lab.app, "nobody", nobody, None, case, counts)?;

    for (role, client) in MAPPED.into_iter().zip(&mut lab.mapped) {
        let mapped = desk.agents.iter().find(|agent| agent.db_role == Some(role));
        let who = mapped.map(|agent| agent.id);
        if who.is_none() {
            continue;
        }
        counts.add("mapped sessions");
        let name = format!("role {role}, agent {who:?}");
        session(client, &name, "RESET ROLE", who, case, counts)?;
        let enter = format!("RESET deskguard.agent_id; SET ROLE {}", ident(role));
        session(
            &mut lab.app,
            &format!("SET ROLE {name}"),
            &enter,
            who,
            case,
            counts,
        )?;
        try_run(&mut lab.app, "RESET ROLE")?;
    }
    Ok(())
}

/// What a session of an ordinary role sees and changes, as the agent `who`.
fn session(
    client: &mut Client,
    name: &str,
    enter: &str,
    who: Option<Id>,
    case: &Case,
    counts: &mut Counts,
) -> Outcome {
    try_run(client, enter)?;
    // Reads with all kinds of plan; which one the writes get differs from session to session.
    let turn =
        case.desk.tickets.len() + name.len() + who.unwrap_or_default().unsigned_abs() as usize;
    for nth in 1..=PLANS.len() {
        let plan = PLANS[(turn + nth) % PLANS.len()];
        try_run(client, plan)?;
        reads(client, &case.desk, who)
            .map_err(|error| fail(format!("as {name}, {plan}: {error}")))?;
    }
    let plan = PLANS[turn % PLANS.len()];
    let in_session = |error: TestCaseError| fail(format!("as {name}, {plan}: {error}"));
    identity(client, &case.desk, who).map_err(in_session)?;
    searches(client, &case.desk, who).map_err(in_session)?;
    writes(client, &case.desk, who, counts).map_err(in_session)?;
    inserts(client, case, who, turn, counts).map_err(in_session)?;
    changes(client, case, who, turn, counts).map_err(in_session)?;
    follows(client, case, who, counts).map_err(in_session)?;
    audits(client, &case.desk, who, counts).map_err(in_session)
}
