//! Takes times so that they can be compared on a busy machine.

use std::ops::{Deref, DerefMut, Sub};
use std::time::Instant;

use postgres::Client;

/// How long to measure: `repeat` times at least, and more often what is quick.
#[derive(Clone, Copy)]
pub struct Effort {
    pub repeat: usize,
    milliseconds: f64,
}

const MOST_ROUNDS: usize = 400;
/// What takes fewer milliseconds runs once more before its time is taken.
const BRIEF: f64 = 20.0;

impl Effort {
    pub fn new(repeat: usize) -> Self {
        Effort {
            repeat,
            milliseconds: repeat as f64 * 100.0,
        }
    }

    /// Half the time, where the differences are large or the same is measured elsewhere, too.
    pub fn less(self) -> Self {
        Effort {
            milliseconds: self.milliseconds / 2.0,
            ..self
        }
    }
}

/// The milliseconds that something took.
#[derive(Clone, Copy, Debug)]
pub struct Took {
    /// Of processors, by this program and the backend, which take turns: on an idle machine that is
    /// the time that passes, and on a busy one it still is nearly the same.
    pub busy: f64,
    pub passed: f64,
}

impl Sub for Took {
    type Output = Took;

    fn sub(self, other: Took) -> Took {
        Took {
            busy: self.busy - other.busy,
            passed: self.passed - other.passed,
        }
    }
}

/// Something whose time is compared with others'. It is told the round, so that all do the same in
/// the same round.
pub struct Runner<'a> {
    pub run: Box<dyn FnMut(usize) -> Took + 'a>,
}

impl<'a> Runner<'a> {
    pub fn new(run: impl FnMut(usize) -> Took + 'a) -> Self {
        Runner { run: Box::new(run) }
    }
}

/// Runs all in turn, again and again, so that what disturbs the machine disturbs all of them. What
/// takes very long compared with the first takes part less often.
pub fn race(runners: &mut [Runner], effort: Effort) -> Vec<Times> {
    let budget = effort.milliseconds;
    let first: Vec<Took> = runners.iter_mut().map(|runner| (runner.run)(0)).collect();
    let warm: Vec<f64> = runners
        .iter_mut()
        .zip(&first)
        .map(|(runner, first)| match first.busy > budget {
            true => first.busy,
            false => first.busy.min((runner.run)(0).busy),
        })
        .collect();
    let is_slow = |time: f64| time > 5.0 && time > 8.0 * warm[0];
    let cost = |time: f64| if time < BRIEF { 2.0 * time } else { time };
    let of_all: f64 = warm
        .iter()
        .filter(|time| !is_slow(**time))
        .map(|time| cost(*time))
        .sum();
    let rounds = ((budget / of_all) as usize).clamp(effort.repeat, MOST_ROUNDS.max(effort.repeat));
    let share: Vec<usize> = warm
        .iter()
        .map(|time| match is_slow(*time) {
            true => ((budget / 3.0 / time) as usize).min(rounds),
            false => rounds,
        })
        .collect();
    let mut times: Vec<Vec<Option<Took>>> = vec![vec![]; runners.len()];
    for round in 0..rounds {
        // Neighbours must not always be the same, and as many go forth as back.
        let mut order: Vec<usize> = (0..runners.len()).collect();
        order.rotate_left(round / 2 % runners.len());
        if round % 2 == 1 {
            order.reverse();
        }
        for n in order {
            // Spread evenly over the rounds.
            let takes_part = (round + 1) * share[n] / rounds > round * share[n] / rounds;
            // What ran before has left its own data in the processor's caches.
            if takes_part && warm[n] < BRIEF {
                (runners[n].run)(round);
            }
            times[n].push(takes_part.then(|| (runners[n].run)(round)));
        }
    }
    times
        .into_iter()
        .zip(first)
        // Too slow to be run again.
        .map(|(mut times, first)| {
            if times.iter().all(Option::is_none) {
                times[0] = Some(first);
            }
            Times::of_rounds(&times)
        })
        .collect()
}

/// The milliseconds of several runs: of processors, if not said otherwise.
#[derive(Clone, Debug)]
pub struct Times {
    sorted: Vec<f64>,
    by_round: Vec<Option<f64>>,
    passed: f64,
}

impl Times {
    pub fn of(runs: Vec<Took>) -> Self {
        let rounds: Vec<Option<Took>> = runs.into_iter().map(Some).collect();
        Times::of_rounds(&rounds)
    }

    fn of_rounds(rounds: &[Option<Took>]) -> Self {
        let sorted = |field: fn(&Took) -> f64| sorted(rounds.iter().flatten().map(field));
        let passed = sorted(|run| run.passed);
        Times {
            sorted: sorted(|run| run.busy),
            by_round: rounds.iter().map(|run| run.map(|run| run.busy)).collect(),
            passed: passed[passed.len() / 2],
        }
    }

    /// How many times the other's time it takes. Both are compared round by round, since a processor
    /// that is shared is slower at some times than at others.
    pub fn ratio_to(&self, other: &Times) -> f64 {
        let pairs = self.by_round.iter().zip(&other.by_round);
        let ratios = sorted(pairs.filter_map(|(mine, others)| Some((*mine)? / (*others)?)));
        match ratios.len() {
            0..3 => self.median() / other.median(),
            count => ratios[count / 2],
        }
    }

    /// The median of the time that passed.
    pub fn passed(&self) -> f64 {
        self.passed
    }

    pub fn runs(&self) -> usize {
        self.sorted.len()
    }

    /// The time that this share of the runs stays within.
    pub fn quantile(&self, share: f64) -> f64 {
        self.sorted[((self.sorted.len() - 1) as f64 * share).round() as usize]
    }

    pub fn min(&self) -> f64 {
        self.quantile(0.0)
    }

    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// A connection whose statements are timed.
pub struct Connection {
    client: Client,
    watch: Watch,
}

/// Times what this program and a backend do together.
#[derive(Clone, Copy)]
pub struct Watch {
    backend: i32,
}

impl Watch {
    pub fn time(self, what: impl FnOnce()) -> Took {
        let start = Instant::now();
        let busy = self.busy();
        what();
        let passed = start.elapsed().as_secs_f64() * 1000.0;
        Took {
            busy: self
                .busy()
                .zip(busy)
                .map_or(passed, |(now, then)| now - then),
            passed,
        }
    }

    /// The milliseconds of processors that both have taken until now, where the system tells it.
    #[cfg(target_os = "linux")]
    fn busy(self) -> Option<f64> {
        // How Linux numbers the clocks of other processes.
        let backend = !self.backend << 3 | 2;
        let clocks = [libc::CLOCK_THREAD_CPUTIME_ID, backend].map(|clock| {
            let mut time = libc::timespec {
                tv_sec: 0,
                tv_nsec: 0,
            };
            // SAFETY: writes the time, if there is such a clock.
            let done = unsafe { libc::clock_gettime(clock, &mut time) } == 0;
            done.then(|| time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6)
        });
        Some(clocks[0]? + clocks[1]?)
    }

    #[cfg(not(target_os = "linux"))]
    fn busy(self) -> Option<f64> {
        None
    }
}

impl Connection {
    pub fn new(mut client: Client) -> Self {
        let row = client.query_one("SELECT pg_backend_pid()", &[]).unwrap();
        Connection {
            client,
            watch: Watch {
                backend: row.get(0),
            },
        }
    }

    pub fn watch(&self) -> Watch {
        self.watch
    }

    pub fn time(&mut self, what: impl FnOnce(&mut Client)) -> Took {
        self.watch.time(|| what(&mut self.client))
    }

    /// The milliseconds of a statement sent by the simple protocol: planning is part of it.
    pub fn time_statement(&mut self, sql: &str) -> Took {
        self.time(|client| {
            if let Err(error) = client.simple_query(sql) {
                panic!("{sql}: {error:?}");
            }
        })
    }
}

impl Deref for Connection {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}
