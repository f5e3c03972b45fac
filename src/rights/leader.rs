//! Parallel workers act for the agent of their leader's statement, with the same rights.
//!
//! A worker has no QueryDesc of its leader's and cannot be told by a plan, but it has the leader's settings:
//! so the leader says in one for whom it runs, and with a fingerprint of which rights. A worker that finds
//! others refuses.

use std::ffi::{CString, c_int};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::str::FromStr;

use pgrx::pg_sys;

use crate::pg::error;
use crate::rights::cache::{self, Rights};
use crate::rights::marks::Asked;
use crate::rights::settings::{self, LEADER_NAME};

/// What a leader tells its workers.
pub struct Told {
    agent: Option<i64>,
    /// None: an agent without any rights, or nobody.
    fingerprint: Option<u64>,
    pub asked: Vec<Asked>,
}

fn is_worker() -> bool {
    // SAFETY: reads the state of the backend.
    unsafe { pg_sys::ParallelWorkerNumber >= 0 }
}

/// What this worker was told; none in a leader, or if the leader's statement asks nothing.
pub fn told() -> Option<Told> {
    if !is_worker() {
        return None;
    }
    settings::leader()?.to_str().ok()?.parse().ok()
}

impl Told {
    /// For whom the worker runs a part of its leader's statement. Refused if the rights are others by now.
    pub fn who(&self) -> (Option<i64>, Rights) {
        let rights = match (self.agent, self.fingerprint) {
            (Some(agent), Some(_)) => cache::access(agent),
            _ => None,
        };
        if fingerprint(&rights, &self.asked) != self.fingerprint {
            error::rights_changed();
        }
        (self.agent, rights)
    }
}

impl FromStr for Told {
    type Err = ();

    fn from_str(text: &str) -> Result<Told, ()> {
        fn number<T: FromStr>(word: Option<&str>) -> Result<Option<T>, ()> {
            match word.ok_or(())? {
                "-" => Ok(None),
                digits => digits.parse().map(Some).map_err(|_| ()),
            }
        }
        let mut words = text.split(' ');
        Ok(Told {
            agent: number(words.next())?,
            fingerprint: number(words.next())?,
            asked: words
                .map(|word| {
                    let (kind, table) = word.split_once(':').ok_or(())?;
                    let table = table.parse::<u32>().map_err(|_| ())?.into();
                    Asked::of(kind.parse().map_err(|_| ())?, table).ok_or(())
                })
                .collect::<Result<_, ()>>()?,
        })
    }
}

/// Tells the workers that are about to be started; gives what ends that.
pub fn tell_workers(agent: Option<i64>, rights: &Rights, asked: &[Asked]) -> c_int {
    let or_none = |number: Option<String>| number.unwrap_or("-".into());
    let mut text = format!(
        "{} {}",
        or_none(agent.map(|agent| agent.to_string())),
        or_none(fingerprint(rights, asked).map(|print| print.to_string())),
    );
    for what in asked {
        let (kind, table) = what.parts();
        text += &format!(" {kind}:{}", table.to_u32());
    }
    let text = CString::new(text).unwrap_or_default();
    // SAFETY: as a function with SET does it. An error takes it back, too.
    unsafe {
        let level = pg_sys::NewGUCNestLevel();
        settings::while_telling(|| {
            pg_sys::set_config_option(
                LEADER_NAME.as_ptr(),
                text.as_ptr(),
                pg_sys::GucContext::PGC_USERSET,
                pg_sys::GucSource::PGC_S_SESSION,
                pg_sys::GucAction::GUC_ACTION_SAVE,
                true,
                0,
                false,
            );
        });
        level
    }
}

pub fn end_telling(level: c_int) {
    // SAFETY: the level that tell_workers() began.
    unsafe { pg_sys::AtEOXact_GUC(true, level) }
}

/// Tells rights from others.
fn fingerprint(rights: &Rights, asked: &[Asked]) -> Option<u64> {
    let rights = rights.as_ref()?;
    let mut hasher = DefaultHasher::new();
    rights.hash(&mut hasher);
    for what in asked {
        if let Asked::Shared(table) = what {
            rights.shared(*table).now.sorted().hash(&mut hasher);
        }
    }
    Some(hasher.finish())
}
