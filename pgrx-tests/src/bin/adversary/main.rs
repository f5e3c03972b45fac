//! An adversary of deskguard: random and directed attacks by ordinary roles on a help desk whose rows carry
//! canaries. It fails if any text that the server sends has one of a row that is hidden from the agent of the
//! moment, if a row is changed that the agent may not change, if rows are missing after an error, if a guess
//! can be told from no guess, and if the server crashes or has an internal error.
//!
//! `tools/adversary` runs it. Everything follows from the seed, which is printed; an alarm tells the part and
//! the episode, and `--only EPISODE` repeats that.

mod attacks;
mod changes;
mod desk;
mod episodes;
mod functions;
mod generator;
mod plants;
mod random;
mod session;
mod twins;
mod watch;
mod wire;
mod world;

use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::episodes::Limit;
use crate::watch::{Counts, Watch};
use crate::world::Place;

const USAGE: &str = "usage: adversary [--statements N] [--seconds N] [--seed N] [--part NAME [--only EPISODE]] [--short on|off] [--own-policies on|off] [--label NAME]";
/// A server that is broken so often has told enough.
const MOST_ALARMS: u64 = 2_000;
/// Random sessions at a time, each in a database of its own.
const WORKERS: u64 = 2;

struct Options {
    statements: u64,
    seconds: Option<u64>,
    seed: u64,
    /// All if there is none.
    part: Option<String>,
    only: Option<u64>,
    /// Less of the directed attacks.
    short: bool,
    /// The help desk has policies of its owner, too.
    own_policies: bool,
    /// What is special about this server.
    label: String,
}

fn options() -> Option<Options> {
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let mut options = Options {
        statements: 10_000,
        seconds: None,
        seed: clock.map_or(1, |time| u64::from(time.subsec_nanos())),
        part: None,
        only: None,
        short: false,
        own_policies: true,
        label: "alone".into(),
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next()?;
        match name.as_str() {
            "--statements" => options.statements = value.parse().ok()?,
            "--seconds" => options.seconds = Some(value.parse().ok()?),
            "--seed" => options.seed = value.parse().ok()?,
            "--part" => options.part = Some(value),
            "--only" => options.only = Some(value.parse().ok()?),
            "--label" => options.label = value,
            "--short" => options.short = value == "on",
            "--own-policies" => options.own_policies = value == "on",
            _ => return None,
        }
    }
    Some(options)
}

fn main() -> ExitCode {
    let Some(options) = options() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    println!("adversary, {}: seed {}", options.label, options.seed);
    let wants = |part: &str| {
        let wanted = options.part.as_ref();
        wanted.is_none_or(|wanted| part.starts_with(wanted))
    };
    let start = Instant::now();
    let watch = Arc::new(Watch::default());
    let mut failed = false;
    world::make_roles();
    if wants("plants") {
        failed |= !plants::all_found(options.seed, options.own_policies);
        say(&start, "planted faults", &watch.counts);
    }
    let directed = ["functions", "triggers", "impersonation", "guesses", "ids"];
    if directed.into_iter().any(wants) {
        let place = Place::new(options.seed, options.own_policies, &watch);
        let world = &place.world;
        for part in directed.into_iter().filter(|part| wants(part)) {
            match (part, options.short) {
                ("functions", false) => functions::call_all(world, part, 4),
                ("functions", true) => functions::call_all(world, part, 1),
                ("triggers", false) => functions::attach_all(world, part, 1),
                ("triggers", true) => functions::attach_all(world, part, 4),
                ("impersonation", false) => attacks::impersonate(world, part, 200),
                ("impersonation", true) => attacks::impersonate(world, part, 30),
                ("guesses", false) => attacks::guess(world, part, 1_000),
                ("guesses", true) => attacks::guess(world, part, 200),
                (_, false) => attacks::take_over_ids(world, part, 500),
                (_, true) => attacks::take_over_ids(world, part, 60),
            }
            say(&start, part, &watch.counts);
        }
    }
    // The parts random0 and random1 are of one kind, and run at a time.
    let workers = (0..WORKERS).map(|worker| (worker, format!("random{worker}")));
    let workers: Vec<_> = workers.filter(|(_, part)| wants(part)).collect();
    if !workers.is_empty() {
        let until = options
            .seconds
            .map(|seconds| start + Duration::from_secs(seconds));
        let limit = Limit {
            statements: options.statements / WORKERS,
            until,
            alarms: MOST_ALARMS,
            like: "",
        };
        thread::scope(|scope| {
            for (worker, part) in workers {
                let (watch, options) = (&watch, &options);
                scope.spawn(move || {
                    let mut place = Place::new(options.seed + worker, options.own_policies, watch);
                    episodes::run(&mut place, &part, limit, options.only);
                });
            }
        });
        say(&start, "random sessions", &watch.counts);
    }
    watch.print();
    let alarms = watch.alarm_count();
    let statements = watch
        .counts
        .statements
        .load(std::sync::atomic::Ordering::Relaxed);
    let seconds = start.elapsed().as_secs();
    println!(
        "adversary, {}: {alarms} alarms in {statements} statements, {seconds} s, seed {}",
        options.label, options.seed
    );
    if alarms > 0 || failed {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn say(start: &Instant, part: &str, counts: &Counts) {
    let statements = counts.statements.load(std::sync::atomic::Ordering::Relaxed);
    println!(
        "{part}: done after {} s, {statements} statements so far",
        start.elapsed().as_secs()
    );
}
