//! What the client tests have in common: sessions and what they are asked, statements of random cases, and
//! the cases themselves.

mod attempts;
mod cases;
mod counts;
mod sessions;

use std::io::Write as _;

pub use attempts::{
    Outcome, Parameters, attempt, attempt_ids, broken, counted, fail, query, refused, same, try_run,
};
pub use cases::{Cases, case_of, number};
pub use counts::{Counts, both};
pub use sessions::{
    act_for, app, code, ids, is_retry, run, simple_ids, texts, try_ids, value, wait_until,
};

/// The rules as literals of the plan, as calls for each row, and as what the length of lists makes
/// of them: all the same to who asks.
pub const PLANS: [&str; 4] = [
    "SET deskguard.fold = on; RESET deskguard.fold_limit",
    "SET deskguard.fold = off; RESET deskguard.fold_limit",
    "SET deskguard.fold = on; SET deskguard.fold_limit = 0",
    "SET deskguard.fold = on; SET deskguard.fold_limit = 1",
];

/// Past the test harness, which keeps what a passing test prints.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
