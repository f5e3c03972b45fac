//! Random cases, one for each seed.

use std::cell::RefCell;
use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

use proptest::strategy::{Strategy, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use super::Outcome;

/// The cases of a test. The case of seed S is always the same, and a run tries the seeds S, S + 1, …
pub struct Cases {
    test: &'static str,
    pub wanted: u64,
    pub first_seed: u64,
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
        }
    }

    /// Checks each case, and tells the smallest one that fails.
    pub fn check<S: Strategy>(
        &self,
        strategy: &S,
        check: impl FnMut(&S::Value) -> Outcome,
        told: impl Fn(&S::Value) -> String,
    ) {
        // The runner wants a Fn; one thread only, so that it is never borrowed twice.
        let check = RefCell::new(check);
        for seed in self.first_seed..self.first_seed + self.wanted {
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
