//! When members are members and grants are valid.

use std::fmt::Display;

use super::HelpDesk;
use super::sql::nullable;

/// A time, as seen from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    Always,
    Begun,
    ToEnd,
    Within,
    Ended,
    ToBegin,
}

impl Time {
    pub fn is_now(self) -> bool {
        !matches!(self, Time::Ended | Time::ToBegin)
    }

    /// The columns valid_from and valid_until.
    pub(super) fn sql(self) -> String {
        let days = |days: Option<i32>| {
            nullable(days.map(|days| format!("now() + interval '{days} days'")))
        };
        let (from, until) = match self {
            Time::Always => (None, None),
            Time::Begun => (Some(-1), None),
            Time::ToEnd => (None, Some(1)),
            Time::Within => (Some(-1), Some(1)),
            Time::Ended => (Some(-2), Some(-1)),
            Time::ToBegin => (Some(1), Some(2)),
        };
        format!("{}, {}", days(from), days(until))
    }
}

impl HelpDesk {
    /// When a row of one of the tables of members and grants counts: one of the times, by what is in it.
    pub fn time(&self, table: &str, holder: impl Display, thing: impl Display) -> Time {
        let text = format!("{table} {holder} {thing}");
        let sum = text.bytes().fold(7usize, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(byte.into())
        });
        self.times[sum % self.times.len()]
    }
}
