//! Once a change of rights is committed, every statement that starts later obeys it or is to be
//! retried (40001), whatever session, plan, transaction or server it runs in.

mod changes;
mod concern;
mod copy;
mod desk;
mod memory;
mod replication;
mod sessions;
mod settings;
mod standby;
mod stress;
mod time_limits;
