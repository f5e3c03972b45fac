//! What a source reads: the tables below a view, however many views are between, and the columns of them.

use std::collections::{BTreeSet, HashMap, HashSet};

use pgrx::pg_sys;

use crate::pg::relation::{Class, ancestors, attribute, descendants, text};
use crate::pg::scan::{Attribute, ScanKey, scan_system};

/// Of a table; None: any may be read, as by a reference to a whole row.
pub type Columns = Option<BTreeSet<Attribute>>;

#[derive(Default)]
pub struct Below {
    pub tables: HashMap<pg_sys::Oid, Columns>,
    /// Those of partitioned tables among them: TRUNCATE of one fires no trigger of the table above.
    pub partitions: HashSet<pg_sys::Oid>,
    /// The source itself, if it is a view, and those that it reads.
    pub views: HashSet<pg_sys::Oid>,
    /// What cannot be heard of: materialized views, foreign tables, catalogs.
    pub others: Vec<pg_sys::Oid>,
}

/// Of a source. Of a table as the source all columns count.
pub fn below(source: pg_sys::Oid) -> Below {
    let mut found = Below::default();
    let mut waiting = vec![(source, None)];
    while let Some((relation, columns)) = waiting.pop() {
        let Some(class) = Class::of(relation) else {
            continue;
        };
        match class.kind {
            pg_sys::RELKIND_VIEW => {
                if found.views.insert(relation) {
                    waiting.extend(read_by(relation));
                }
            }
            pg_sys::RELKIND_RELATION | pg_sys::RELKIND_PARTITIONED_TABLE
                if relation.to_u32() >= pg_sys::FirstNormalObjectId =>
            {
                // A child by inheritance has no triggers of its parent; a partition has.
                if class.kind == pg_sys::RELKIND_RELATION && class.has_children {
                    for child in descendants(relation) {
                        found.add(child, same_columns(relation, &columns, child));
                    }
                }
                if class.kind == pg_sys::RELKIND_PARTITIONED_TABLE {
                    found.partitions.extend(descendants(relation));
                }
                found.add(relation, columns);
            }
            _ => found.others.push(relation),
        }
    }
    found.leave_partitions_to_their_root();
    found
}

impl Below {
    fn add(&mut self, table: pg_sys::Oid, columns: Columns) {
        match self.tables.get_mut(&table) {
            Some(Some(known)) => match columns {
                Some(columns) => known.extend(columns),
                None => {
                    self.tables.insert(table, None);
                }
            },
            Some(None) => {}
            None => {
                self.tables.insert(table, columns);
            }
        }
    }

    fn leave_partitions_to_their_root(&mut self) {
        let all: Vec<_> = self.tables.keys().copied().collect();
        for table in all {
            let root = ancestors(table).into_iter().rev().find(|above| {
                self.tables.contains_key(above)
                    && Class::of(*above)
                        .is_some_and(|class| class.kind == pg_sys::RELKIND_PARTITIONED_TABLE)
            });
            if let Some(root) = root
                && let Some(columns) = self.tables.remove(&table)
            {
                self.add(root, same_columns(table, &columns, root));
            }
        }
    }

    /// Is it one of the tables, or a part of one?
    pub fn has_table(&self, table: pg_sys::Oid) -> bool {
        self.tables.contains_key(&table)
            || ancestors(table)
                .iter()
                .any(|above| self.tables.contains_key(above))
    }
}

/// Columns of one table in another that has those of the same names.
fn same_columns(from: pg_sys::Oid, columns: &Columns, to: pg_sys::Oid) -> Columns {
    let same = |number: &Attribute| attribute(to, &column_name(from, *number)?);
    columns
        .as_ref()
        .map(|all| all.iter().filter_map(same).collect())
}

pub fn column_name(table: pg_sys::Oid, number: Attribute) -> Option<String> {
    // SAFETY: a look-up in the system cache; the answer is a palloc'd copy.
    unsafe { text(pg_sys::get_attname(table, number, true)) }
}

/// What a view reads, with the columns.
fn read_by(view: pg_sys::Oid) -> Vec<(pg_sys::Oid, Columns)> {
    const PG_REWRITE: u32 = 2618;
    const BY_RELATION: u32 = 2693;
    const PG_DEPEND: u32 = 2608;
    const BY_DEPENDER: u32 = 2673;
    /// How a tree prints a reference to a whole row, of which PostgreSQL notes no columns.
    const WHOLE_ROW: &str = ":varattno 0 ";
    let mut rules = vec![];
    // SAFETY: a catalog with its index: oid, ev_class, ev_type and ev_action.
    unsafe {
        scan_system((PG_REWRITE, BY_RELATION), &[ScanKey::oid(3, view)], |row| {
            if row.required::<i8>(4) as u8 == b'1' {
                let has_whole_row = row.required::<&str>(8).contains(WHOLE_ROW);
                rules.push((row.required::<pg_sys::Oid>(1), has_whole_row));
            }
        });
    }
    let mut found: HashMap<pg_sys::Oid, Columns> = HashMap::new();
    for (rule, has_whole_row) in rules {
        let keys = [ScanKey::oid(1, PG_REWRITE.into()), ScanKey::oid(2, rule)];
        // SAFETY: the same: refclassid, refobjid and refobjsubid.
        unsafe {
            scan_system((PG_DEPEND, BY_DEPENDER), &keys, |row| {
                let relation: pg_sys::Oid = row.required(5);
                if row.required::<pg_sys::Oid>(4) != pg_sys::RelationRelationId || relation == view
                {
                    return;
                }
                let columns = found
                    .entry(relation)
                    .or_insert_with(|| Some(BTreeSet::new()));
                let column = row.required::<i32>(6) as Attribute;
                match columns {
                    _ if has_whole_row => *columns = None,
                    Some(known) if column > 0 => {
                        known.insert(column);
                    }
                    _ => {}
                }
            });
        }
    }
    found.into_iter().collect()
}
