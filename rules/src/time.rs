//! For how long a right is given.

use serde::{Deserialize, Serialize};

/// Microseconds, as PostgreSQL counts them.
pub type Moment = i64;

/// A time with a first moment and an end, which does not belong to it; none is no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validity {
    pub from: Option<Moment>,
    pub until: Option<Moment>,
}

impl Validity {
    pub const ALWAYS: Validity = Validity {
        from: None,
        until: None,
    };

    pub fn contains(self, moment: Moment) -> bool {
        self.from.is_none_or(|from| from <= moment) && self.is_not_over(moment)
    }

    pub fn is_not_over(self, moment: Moment) -> bool {
        self.until.is_none_or(|until| moment < until)
    }

    /// While both are valid.
    pub fn and(self, other: Validity) -> Validity {
        Validity {
            from: self.from.max(other.from),
            until: [self.until, other.until].into_iter().flatten().min(),
        }
    }

    /// Can there be a moment at all?
    pub fn is_empty(self) -> bool {
        matches!((self.from, self.until), (Some(from), Some(until)) if from >= until)
    }

    /// Makes this time, which contains the moment, so short that it is all inside or all outside of
    /// another; tells which.
    pub fn narrow(&mut self, moment: Moment, other: Validity) -> bool {
        for bound in [other.from, other.until].into_iter().flatten() {
            *self = self.and(if bound <= moment {
                Validity {
                    from: Some(bound),
                    until: None,
                }
            } else {
                Validity {
                    from: None,
                    until: Some(bound),
                }
            });
        }
        other.contains(moment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(from: Option<Moment>, until: Option<Moment>) -> Validity {
        Validity { from, until }
    }

    #[test]
    fn the_first_moment_belongs_to_a_time_and_the_end_does_not() {
        let bounded = time(Some(2), Some(5));
        let inside: Vec<_> = (0..8).filter(|moment| bounded.contains(*moment)).collect();
        assert_eq!(inside, [2, 3, 4]);
        assert!(time(None, Some(5)).contains(i64::MIN) && time(Some(2), None).contains(i64::MAX));
        assert!(bounded.is_not_over(0) && bounded.is_not_over(4) && !bounded.is_not_over(5));
    }

    #[test]
    fn two_times_have_in_common_what_is_in_both() {
        let all = [
            time(None, None),
            time(Some(2), None),
            time(None, Some(4)),
            time(Some(3), Some(6)),
            time(Some(6), Some(7)),
        ];
        for one in all {
            for other in all {
                let both = one.and(other);
                let inside = (0..9).filter(|moment| both.contains(*moment)).count();
                assert_eq!(both.is_empty(), inside == 0, "{one:?} {other:?}");
                for moment in 0..9 {
                    assert_eq!(
                        both.contains(moment),
                        one.contains(moment) && other.contains(moment)
                    );
                }
            }
        }
    }

    #[test]
    fn a_narrowed_time_is_on_one_side_of_each_bound() {
        let bounded = time(Some(2), Some(5));
        for moment in 0..8 {
            let mut narrowed = Validity::ALWAYS;
            let inside = narrowed.narrow(moment, bounded);
            assert!(narrowed.contains(moment));
            assert_eq!(inside, bounded.contains(moment));
            for other in (0..8).filter(|other| narrowed.contains(*other)) {
                assert_eq!(inside, bounded.contains(other), "{moment} {other}");
            }
        }
        let mut narrowed = Validity::ALWAYS;
        assert!(!narrowed.narrow(1, bounded));
        assert_eq!(narrowed, time(None, Some(2)));
    }
}
