//! A table of a query that is being planned: its conditions, and the ways to read it.

use std::ptr::{self, NonNull};

use pgrx::pg_sys;

use crate::pg::index::Index;
use crate::pg::node::items;
use crate::pg::planner::Root;
use crate::pg::restrict_info::{Condition, conditions};

/// A table of a query, for which the planner has found ways to read it, and nothing more.
#[derive(Clone, Copy)]
pub struct PlannedTable<'p> {
    pub root: Root<'p>,
    relation: NonNull<pg_sys::RelOptInfo>,
    entry: &'p pg_sys::RangeTblEntry,
}

impl<'p> PlannedTable<'p> {
    /// None for what is no table.
    ///
    /// # Safety
    /// In set_rel_pathlist_hook, with its arguments.
    pub unsafe fn new(
        root: Root<'p>,
        relation: *mut pg_sys::RelOptInfo,
        entry: *mut pg_sys::RangeTblEntry,
    ) -> Option<PlannedTable<'p>> {
        // SAFETY: the planner's, which are there while it plans.
        let (relation, entry) = unsafe { (NonNull::new(relation)?, entry.as_ref()?) };
        let is_table = entry.rtekind == pg_sys::RTEKind::RTE_RELATION;
        is_table.then_some(PlannedTable {
            root,
            relation,
            entry,
        })
    }

    pub fn oid(self) -> pg_sys::Oid {
        self.entry.relid
    }

    /// Its number in the query.
    pub fn number(self) -> usize {
        self.relation().relid as usize
    }

    pub(in crate::pg) fn relation(&self) -> &pg_sys::RelOptInfo {
        // SAFETY: the planner's; it is changed only between uses of this.
        unsafe { self.relation.as_ref() }
    }

    /// The conditions on the table alone.
    pub fn conditions(&self) -> impl Iterator<Item = Condition<'p>> + use<'p> {
        conditions(self.relation().baserestrictinfo)
    }

    /// Those on it and other tables.
    pub fn join_conditions(&self) -> impl Iterator<Item = Condition<'p>> + use<'p> {
        conditions(self.relation().joininfo)
    }

    /// Is it read together with its partitions or children?
    pub fn has_children(self) -> bool {
        self.entry.inh
    }

    pub(in crate::pg) fn is_sampled(self) -> bool {
        !self.entry.tablesample.is_null()
    }

    /// Does the planner know that it gives no rows?
    pub(in crate::pg) fn is_dummy(self) -> bool {
        // SAFETY: looks at the paths of the planner.
        unsafe { pg_sys::is_dummy_rel(self.relation.as_ptr()) }
    }

    pub(in crate::pg) fn as_ptr(self) -> *mut pg_sys::RelOptInfo {
        self.relation.as_ptr()
    }

    /// Counts the rows that the planner expects of it anew, from those of its partitions or children.
    pub fn sum_up_children(mut self) {
        // SAFETY: the planner's; a table that it knows to give no rows has none of the paths that are looked at.
        unsafe {
            let root = self.root.as_ptr();
            let number = self.relation().relid;
            let mut rows = 0.0;
            for child in items::<pg_sys::AppendRelInfo>((*root).append_rel_list) {
                if (**child).parent_relid == number {
                    let child = *(*root).simple_rel_array.add((**child).child_relid as usize);
                    if !child.is_null() && !pg_sys::is_dummy_rel(child) {
                        rows += (*child).rows;
                    }
                }
            }
            if rows > 0.0 {
                self.relation.as_mut().rows = rows;
            }
        }
    }

    /// Can it be read again, as read() does?
    pub fn is_plain(self) -> bool {
        let kind = self.entry.relkind as u8;
        let is_current_of = |condition: Condition| {
            condition
                .clause()
                .is_some_and(|clause| clause.tag() == pg_sys::NodeTag::T_CurrentOfExpr)
        };
        !self.entry.inh
            && !self.is_sampled()
            && matches!(kind, pg_sys::RELKIND_RELATION | pg_sys::RELKIND_MATVIEW)
            && !self.conditions().any(is_current_of)
            && !self.is_dummy()
    }

    /// Finds the ways to read it anew, as set_plain_rel_pathlist() does, from new estimates of its conditions. Then `mark`
    /// lets the planner look at some of them before the policies, by those indexes that are `usable`.
    pub fn read(mut self, usable: impl Fn(Index) -> bool, mark: impl FnOnce()) {
        let root = self.root.as_ptr();
        let relation = self.relation.as_ptr();
        // SAFETY: what is done here is what the planner does itself for a plain table, of which nothing else
        // knows the paths yet. Lists are replaced and not changed.
        unsafe {
            let (all, paths) = (self.relation().indexlist, self.relation().pathlist);
            let (mut fit, mut others) = (ptr::null_mut(), ptr::null_mut());
            for index in items::<pg_sys::IndexOptInfo>(all) {
                let list = if usable(Index(&**index)) {
                    &mut fit
                } else {
                    &mut others
                };
                *list = pg_sys::lappend(*list, (*index).cast());
            }
            let planned = self.relation.as_mut();
            planned.pathlist = ptr::null_mut();
            planned.partial_pathlist = ptr::null_mut();
            planned.ppilist = ptr::null_mut();
            pg_sys::set_baserel_size_estimates(root, relation);
            if !others.is_null() {
                self.relation.as_mut().indexlist = others;
                pg_sys::create_index_paths(root, relation);
            }
            mark();
            let outer = self.relation().lateral_relids;
            pg_sys::add_path(
                relation,
                pg_sys::create_seqscan_path(root, relation, outer, 0),
            );
            if self.relation().consider_parallel && outer.is_null() {
                let most = pg_sys::max_parallel_workers_per_gather;
                let pages = f64::from(self.relation().pages);
                let workers = pg_sys::compute_parallel_worker(relation, pages, -1.0, most);
                if workers > 0 {
                    let path =
                        pg_sys::create_seqscan_path(root, relation, ptr::null_mut(), workers);
                    pg_sys::add_partial_path(relation, path);
                }
            }
            self.relation.as_mut().indexlist = fit;
            pg_sys::create_index_paths(root, relation);
            pg_sys::create_tidscan_paths(root, relation);
            self.relation.as_mut().indexlist = all;
            // Those of other extensions.
            for path in items::<pg_sys::Path>(paths) {
                if (**path).type_ == pg_sys::NodeTag::T_CustomPath {
                    pg_sys::add_path(relation, *path);
                }
            }
        }
    }
}
