//! Random cases, one for each seed.

use std::cell::RefCell;
use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

use proptest::strategy::{Strategy, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use super::{Counts, Outcome};

/// What is needed and rare may not come in a run by chance: then so many more are tried, as times the run.
const MORE: u64 = 2;

/// The cases of a test. The case of seed S is always the same, and a run tries the seeds S, S + 1, …
pub struct Cases {
    test: &'static str,
    pub wanted: u64,
    pub first_seed: u64,
    usual: u64,
}

impl Cases {
    /// DESKGUARD_CASES sets how many, or PROPTEST_CASES if each takes as long as one of the oracle's, and a
    /// part of that if it takes longer; DESKGUARD_SEED sets where to start.
    pub fn of(test: &'static str, usual: u64, part: u64) -> Cases {
        let of_all = || number("PROPTEST_CASES").map(|cases| cases.div_ceil(part));
        Cases {
            test,
            wanted: number("DESKGUARD_CASES").or_else(of_all).unwrap_or(usual),
            first_seed: number("DESKGUARD_SEED").unwrap_or_else(|| {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
                // Short enough to be typed.
                now.as_micros() as u64 % 1_000_000_000
            }),
            usual,
        }
    }

    /// Checks each case, and tells the smallest one that fails. Unless it was asked for fewer cases than
    /// usual, all that is needed must be counted in the end.
    pub fn check<S: Strategy>(
        &self,
        strategy: &S,
        counts: &mut Counts,
        needed: &[String],
        mut check: impl FnMut(&S::Value, &mut Counts) -> Outcome,
        told: impl Fn(&S::Value) -> String,
    ) {
        let end = self.first_seed + self.wanted;
        for seed in self.first_seed..end {
            self.check_one(strategy, seed, |case| check(case, counts), &told);
        }
        if self.wanted < self.usual {
            return;
        }
        for seed in end..end + MORE * self.wanted {
            if counts.missing(needed).is_empty() {
                return;
            }
            self.check_one(strategy, seed, |case| check(case, counts), &told);
        }
        let never = counts.missing(needed);
        assert!(never.is_empty(), "the random cases never had: {never:?}");
    }

    fn check_one<S: Strategy>(
        &self,
        strategy: &S,
        seed: u64,
        check: impl FnMut(&S::Value) -> Outcome,
        told: impl Fn(&S::Value) -> String,
    ) {
        // The runner wants a Fn; one thread only, so that it is never borrowed twice.
        let check = RefCell::new(check);
        let config = Config {
            cases: 1,
            failure_persistence: None,
            max_shrink_iters: 1000,
            ..Config::default()
        };
        let mut runner = TestRunner::new_with_rng(config, rng(seed));
        match runner.run(strategy, |case| check.borrow_mut()(&case)) {
            Ok(()) => {}
            Err(TestError::Abort(reason)) => panic!("seed {seed}: no case: {reason}"),
            Err(TestError::Fail(reason, case)) => panic!(
                "the smallest case found that fails:\n{}\n\n{reason}\n\n\
                 To repeat: DESKGUARD_SEED={seed} DESKGUARD_CASES=1 tools/client-tests MAJOR --test {}",
                told(&case),
                self.test,
            ),
        }
    }
}

/// The case of a seed.
pub fn case_of<S: Strategy>(strategy: &S, seed: u64) -> S::Value {
    let mut runner = TestRunner::new_with_rng(Config::default(), rng(seed));
    strategy.new_tree(&mut runner).unwrap().current()
}

fn rng(seed: u64) -> TestRng {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    TestRng::from_seed(RngAlgorithm::ChaCha, &bytes)
}

/// A number in the environment.
pub fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{variable} is not a number: {text:?}")))
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    fn run(wanted: u64, rare_from: u64) -> Result<u64, String> {
        let cases = Cases {
            test: "none",
            wanted,
            first_seed: 100,
            usual: 10,
        };
        let mut counts = Counts::default();
        let needed = ["rare".to_string()];
        let run = AssertUnwindSafe(|| {
            cases.check(
                &proptest::bool::ANY,
                &mut counts,
                &needed,
                |_, counts| {
                    counts.add("tried");
                    if counts.get("tried") >= rare_from {
                        counts.add("rare");
                    }
                    Ok(())
                },
                |_| String::new(),
            );
        });
        let result = catch_unwind(run);
        let message = |panic: Box<dyn std::any::Any + Send>| *panic.downcast::<String>().unwrap();
        result.map(|()| counts.get("tried")).map_err(message)
    }

    #[test]
    fn a_whole_run_goes_on_until_all_that_is_needed_came() {
        assert_eq!(run(10, 3), Ok(10));
        assert_eq!(run(10, 17), Ok(17));
        assert_eq!(run(10, 30), Ok(30));
        let never = "the random cases never had: [\"rare\"]";
        assert_eq!(run(10, 31), Err(never.into()));
        // Fewer cases than usual may miss it.
        assert_eq!(run(9, 31), Ok(9));
    }
}
