//! How conditions become part of plans: operands, literals, index conditions, fractions.
//! May use: pg, tables, signals, protection, rights.

pub mod condition;
pub mod folding;
pub mod fraction;
pub mod key_list;
pub mod leakproof;
pub mod literal;
pub mod operand;
pub mod ordered_merge;
pub mod pattern;
pub mod search;
pub mod single_row;
pub mod until;
