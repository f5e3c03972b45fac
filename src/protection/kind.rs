//! What each kind of protected table says of itself. All that protects a table, and checks that, goes by this.

use pgrx::pg_sys;
use pgrx::spi::SpiError;

use crate::protection::trigger::Trigger;

/// A protected table of one kind, with its columns. Partitions and child tables have those of their root.
pub trait Kind {
    /// As protected_table.kind calls it.
    fn kind(&self) -> &'static str;

    /// The table that was given to be protected.
    fn root(&self) -> pg_sys::Oid;

    /// The policies that close a table, which is the root or a part of it. `is_parent`: rows of other tables
    /// belong to its rows.
    fn policies(&self, table: pg_sys::Oid, is_parent: bool) -> Vec<Policy>;

    /// The triggers that a partition has from its partitioned table.
    fn row_triggers(&self) -> Vec<Trigger> {
        vec![]
    }

    /// The triggers that each table has for itself.
    fn statement_triggers(&self) -> Vec<Trigger> {
        vec![]
    }

    /// The columns that the registry names and the policies ask, and what they may hold.
    fn columns(&self) -> Vec<(&str, Holds)>;

    /// Writes what the registry has of this kind, of the root, as the owner of the registry.
    fn register(&self) -> Result<(), SpiError>;

    /// Do policies of the owner's own that open the table go on to do so, without deskguard's?
    fn is_opened_by_others(&self) -> bool {
        false
    }
}

/// A restrictive policy.
pub struct Policy {
    pub name: &'static str,
    /// As in CREATE POLICY.
    pub command: &'static str,
    /// USING and WITH CHECK.
    pub expressions: String,
}

impl Policy {
    pub fn new(name: &'static str, command: &'static str, expressions: String) -> Policy {
        Policy {
            name,
            command,
            expressions,
        }
    }
}

/// What a column may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// Ids: of one of the types that these can have.
    Keys,
    Booleans,
    Anything,
}
