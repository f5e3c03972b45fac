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
mod follows;
mod reads;
mod writes;

use std::env;
use std::io::Write as _;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use deskguard_tests::help_desk::{Case, DANGLING, Id, cases};
use deskguard_tests::server::MAPPED;
use deskguard_tests::{ident, worked};
use postgres::Client;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use crate::answers::{answers_about, audits, who_can};
use crate::ask::{Outcome, fail, run};
use crate::changes::changes;
use crate::counts::{Counts, count};
use crate::database::{Lab, Labs};
use crate::follows::follows;
use crate::reads::{identity, reads};
use crate::writes::{inserts, writes};

/// The rules as literals of the plan, as calls for each row, and as what the length of lists makes
/// of them: all the same to who asks.

const PLANS: [&str; 4] = [
    "SET deskguard.fold = on; RESET deskguard.fold_limit",
    "SET deskguard.fold = off; RESET deskguard.fold_limit",
    "SET deskguard.fold = on; SET deskguard.fold_limit = 0",
    "SET deskguard.fold = on; SET deskguard.fold_limit = 1",
];

#[test]
fn random_help_desks_are_answered_as_by_the_oracle() {
    let cases_wanted = number("DESKGUARD_CASES")
        .or(number("PROPTEST_CASES"))
        .unwrap_or(300);
    let first_seed = number("DESKGUARD_SEED").unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        // Short enough to be typed.
        now.as_micros() as u64 % 1_000_000_000
    });
    say(&format!(
        "oracle: {cases_wanted} random help desks from seed {first_seed}"
    ));

    let start = Instant::now();
    let mut labs = Labs::default();
    let mut counts = Counts::default();
    run_worked(&mut labs, &mut counts);
    for seed in first_seed..first_seed + cases_wanted {
        run_seed(seed, &mut labs, &mut counts);
    }
    say(&format!(
        "oracle: {cases_wanted} help desks in {:.0} s; {} pairs of agent and ticket, \
         {} allowed, {} denied; {} commands tried in sessions",
        start.elapsed().as_secs_f32(),
        counts.get("view allowed") + counts.get("view denied"),
        counts.get("view allowed"),
        counts.get("view denied"),
        counts.get("commands tried"),
    ));
    say(&format!("oracle: {counts}"));
    // A few help desks may miss a rare rule; a real run may not.
    if cases_wanted >= 200 {
        counts.assert_nothing_missed();
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{variable} is not a number: {text:?}")))
}

/// Past the test harness, which keeps what a passing test prints.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn run_worked(labs: &mut Labs, counts: &mut Counts) {
    for case in worked::KINDS.map(worked::case) {
        let lab = labs.of(case.desk.default_category_access);
        if let Err(reason) = check(lab, &case, counts) {
            panic!(
                "the help desk made by hand fails:\n{}",
                told(&case, &reason)
            );
        }
    }
}

/// A help desk, what was tried on it, and what went wrong.
fn told(case: &Case, reason: &dyn std::fmt::Display) -> String {
    format!(
        "{}{}\ntried on it: {:?} {:?} {:?}\n\n{reason}",
        case.desk.load_sql(),
        case.desk.table.protect_sql(),
        case.new_tickets,
        case.changes,
        case.follows,
    )
}

fn run_seed(seed: u64, labs: &mut Labs, counts: &mut Counts) {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases: 1,
        failure_persistence: None,
        max_shrink_iters: 1500,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    // The runner wants a Fn; one thread only, so that these cells are never borrowed twice.
    let labs = std::cell::RefCell::new(labs);
    let counts = std::cell::RefCell::new(counts);
    let result = TestRunner::new_with_rng(config, rng).run(&cases(), |case| {
        let mut labs = labs.borrow_mut();
        let lab = labs.of(case.desk.default_category_access);
        check(lab, &case, &mut counts.borrow_mut())
    });
    match result {
        Ok(()) => {}
        Err(TestError::Abort(reason)) => panic!("seed {seed}: no help desk: {reason}"),
        Err(TestError::Fail(reason, case)) => panic!(
            "the smallest help desk found that fails, with \
             deskguard.default_category_access = {:?}:\n\n{}\n\n\
             To repeat: DESKGUARD_SEED={seed} DESKGUARD_CASES=1 \
             cargo test -p deskguard-tests --test oracle",
            case.desk.default_category_access,
            told(&case, &reason),
        ),
    }
}

fn check(lab: &mut Lab, case: &Case, counts: &mut Counts) -> Outcome {
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
        run(&mut lab.app, "RESET ROLE")?;
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
    run(client, enter)?;
    // Reads with all kinds of plan; which one the writes get differs from session to session.
    let turn =
        case.desk.tickets.len() + name.len() + who.unwrap_or_default().unsigned_abs() as usize;
    for nth in 1..=PLANS.len() {
        let plan = PLANS[(turn + nth) % PLANS.len()];
        run(client, plan)?;
        reads(client, &case.desk, who)
            .map_err(|error| fail(format!("as {name}, {plan}: {error}")))?;
    }
    let plan = PLANS[turn % PLANS.len()];
    let in_session = |error: TestCaseError| fail(format!("as {name}, {plan}: {error}"));
    identity(client, &case.desk, who).map_err(in_session)?;
    writes(client, &case.desk, who, counts).map_err(in_session)?;
    inserts(client, case, who, turn, counts).map_err(in_session)?;
    changes(client, case, who, turn, counts).map_err(in_session)?;
    follows(client, case, who, counts).map_err(in_session)?;
    audits(client, &case.desk, who, counts).map_err(in_session)
}
