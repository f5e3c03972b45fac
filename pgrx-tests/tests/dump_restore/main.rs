//! A help desk that is dumped and restored, or upgraded to another major, answers as before; and one without the
//! extension is closed.

mod desk;
mod keyed;
mod majors;
mod programs;
mod random;
mod ways;
mod workplace;
