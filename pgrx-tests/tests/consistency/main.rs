//! Once a change of rights is committed, every statement that starts later obeys it or is to be
//! retried (40001), whatever session, plan, transaction or server it runs in.

mod autocommit;
mod changes;
mod concern;
mod copy;
mod desk;
mod memory;
mod next_statement;
mod remembered;
mod replication;
mod roles;
mod settings;
mod standby;
mod stress;
mod switching;
mod time_limits;
mod uncommitted;
mod under_way;
