//! What several sessions of ordinary roles see, and that no command gets around the rules.

mod commands;
mod hand_over;
mod identity;
mod out_of_memory;
mod parallel;
mod partitions;
mod preload;
mod queues;
mod waits;
mod ways_around;
