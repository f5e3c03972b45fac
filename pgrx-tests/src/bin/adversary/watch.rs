//! What counts as a leak: a canary of a row that the agent of the moment does not see, in anything
//! that the server says. Errors that no user should ever get, and lost connections, are alarms, too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::desk::{Desk, Place};
use crate::wire::Reply;

/// How many alarms of one kind are printed in full.
const PRINTED: u64 = 2;

/// Whose canaries are in this text. Also in lists of bytes, as debug_print_plan has constants.
pub fn canaries(desk: &Desk, text: &str, found: &mut BTreeSet<Place>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'z' | b'Z' if bytes.get(at + 1).is_some_and(|byte| byte | 32 == b'q') => {
                let mut end = at + 3;
                while bytes.get(end).is_some_and(u8::is_ascii_digit) {
                    end += 1;
                }
                let closed = bytes.get(end..end + 2);
                if closed.is_some_and(|closed| closed.eq_ignore_ascii_case(b"qz")) {
                    let canary = String::from_utf8_lossy(&bytes[at..end + 2]).to_lowercase();
                    found.extend(desk.place_of_text(&canary));
                    at = end + 2;
                } else {
                    at += 2;
                }
            }
            byte if byte.is_ascii_digit() => {
                let start = at;
                while bytes.get(at).is_some_and(u8::is_ascii_digit) {
                    at += 1;
                }
                if at - start == 14 {
                    let number = text[start..at].parse().ok();
                    found.extend(number.and_then(|number| desk.place_of_number(number)));
                }
            }
            b'[' => {
                at += 1;
                if let Some(list) = byte_list(&text[at..]) {
                    if let Ok(eight) = <[u8; 8]>::try_from(list.as_slice()) {
                        found.extend(desk.place_of_number(i64::from_le_bytes(eight)));
                    }
                    // Sizes come first in texts; what is no letter separates.
                    canaries(desk, &String::from_utf8_lossy(&list), found);
                }
            }
            _ => at += 1,
        }
    }
}

/// `[ 28 0 0 0 122 113 … ]`
fn byte_list(text: &str) -> Option<Vec<u8>> {
    let (list, _) = text.get(..text.len().min(20_000))?.split_once(']')?;
    let numbers = list.split_ascii_whitespace();
    let list: Option<Vec<u8>> = numbers
        .map(|number| number.parse::<i16>().ok().map(|number| number as u8))
        .collect();
    list.filter(|list| !list.is_empty())
}

#[derive(Debug, Default)]
pub struct Counts {
    pub statements: AtomicU64,
    pub rows: AtomicU64,
    pub notices: AtomicU64,
    pub calls: AtomicU64,
    pub changes: AtomicU64,
    pub censuses: AtomicU64,
    pub twins: AtomicU64,
    pub cancelled: AtomicU64,
}

pub fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

/// What was seen in a run.
#[derive(Default)]
pub struct Watch {
    pub counts: Counts,
    errors: Mutex<BTreeMap<String, u64>>,
    alarms: Mutex<BTreeMap<String, u64>>,
    /// When a session was lost first.
    crashed: Mutex<Option<Instant>>,
    /// Only counts, and says nothing: where alarms are wanted.
    quiet: bool,
}

impl Watch {
    pub fn quiet() -> Watch {
        Watch {
            quiet: true,
            ..Watch::default()
        }
    }

    pub fn note(&self, reply: &Reply) {
        count(&self.counts.statements, 1);
        count(&self.counts.rows, reply.row_count);
        count(&self.counts.notices, reply.notices.len() as u64);
        if let Some(error) = reply.error() {
            let mut errors = self.errors.lock().unwrap();
            let key = error.code().to_string();
            *errors.entry(key).or_default() += 1;
            if error.code() == "57014" {
                count(&self.counts.cancelled, 1);
            }
        }
    }

    /// Is this session, which was lost, the one that crashed? The others are ended a moment later, and are not
    /// always told so.
    pub fn is_first_lost(&self) -> bool {
        let mut crashed = self.crashed.lock().unwrap();
        let is_first = crashed.is_none_or(|before| before.elapsed() > Duration::from_secs(2));
        *crashed = Some(Instant::now());
        is_first
    }

    /// Kinds are counted apart, and only the first of each are told in full.
    pub fn alarm(&self, kind: &str, story: impl FnOnce() -> String) {
        let number = {
            let mut alarms = self.alarms.lock().unwrap();
            let number = alarms.entry(kind.to_string()).or_default();
            *number += 1;
            *number
        };
        if number <= PRINTED && !self.quiet {
            println!("ALARM {kind}\n{}\n", story());
        }
    }

    pub fn alarm_count(&self) -> u64 {
        self.alarms.lock().unwrap().values().sum()
    }

    pub fn alarms_like(&self, start: &str) -> u64 {
        let alarms = self.alarms.lock().unwrap();
        let like = alarms.iter().filter(|(kind, _)| kind.starts_with(start));
        like.map(|(_, count)| count).sum()
    }

    pub fn print(&self) {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counts = &self.counts;
        println!(
            "{} statements, {} rows, {} notices; {} calls of functions, {} changes of rows, {} times all rows compared, {} pairs of statements, {} statements cancelled",
            of(&counts.statements),
            of(&counts.rows),
            of(&counts.notices),
            of(&counts.calls),
            of(&counts.changes),
            of(&counts.censuses),
            of(&counts.twins),
            of(&counts.cancelled),
        );
        let errors = self.errors.lock().unwrap();
        let mut errors: Vec<_> = errors.iter().collect();
        errors.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let errors = errors.iter().map(|(code, count)| format!("{code} {count}"));
        println!("errors: {}", errors.collect::<Vec<_>>().join(", "));
        for (kind, count) in self.alarms.lock().unwrap().iter() {
            println!("{count} alarms: {kind}");
        }
    }
}
