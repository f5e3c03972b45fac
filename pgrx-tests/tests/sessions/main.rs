//! What several sessions of ordinary roles see, and that no command gets around the rules.

mod commands;
mod hand_over;
mod identity;
mod parallel;
mod partitions;
mod preload;
mod waits;
mod ways_around;
