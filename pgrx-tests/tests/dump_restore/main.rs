//! A help desk that is dumped and restored, answers as before; and one without the
//! extension is closed.

mod desk;
mod keyed;
mod programs;
mod random;
mod ways;
mod workplace;
