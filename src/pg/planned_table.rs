//! A table of a query that is being planned: its conditions, and the ways to read it.

use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use pgrx::pg_sys;

use crate::pg::node::{Node, items};
use crate::pg::planner::Root;
use crate::pg::statistics::with_statistics;

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

    fn relation(&self) -> &pg_sys::RelOptInfo {
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
            && self.entry.tablesample.is_null()
            && matches!(kind, pg_sys::RELKIND_RELATION | pg_sys::RELKIND_MATVIEW)
            && !self.conditions().any(is_current_of)
            // SAFETY: looks at the paths of the planner.
            && !unsafe { pg_sys::is_dummy_rel(self.relation.as_ptr()) }
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

/// An index of a table.
#[derive(Clone, Copy)]
pub struct Index<'p>(&'p pg_sys::IndexOptInfo);

impl Index<'_> {
    pub fn access_method(self) -> pg_sys::Oid {
        self.0.relam
    }

    /// The families of operators of its columns.
    pub fn families(self) -> impl Iterator<Item = pg_sys::Oid> {
        // SAFETY: the planner's; so many columns have one.
        (0..self.0.nkeycolumns as usize).map(move |n| unsafe { *self.0.opfamily.add(n) })
    }
}

/// A condition of a query, as the planner notes it.
#[derive(Clone, Copy)]
pub struct Condition<'p>(NonNull<pg_sys::RestrictInfo>, PhantomData<&'p ()>);

/// The conditions on one table of a query alone.
pub fn conditions_on(root: Root, number: usize) -> impl Iterator<Item = Condition> {
    // SAFETY: the planner's; every number of a condition is one of the array.
    let relation = unsafe { (**(*root.as_ptr()).simple_rel_array.add(number)).baserestrictinfo };
    conditions(relation)
}

fn conditions<'p>(list: *mut pg_sys::List) -> impl Iterator<Item = Condition<'p>> {
    // SAFETY: a list of such conditions, of a query that is being planned.
    let all = unsafe { items::<pg_sys::RestrictInfo>(list) };
    all.iter()
        .filter_map(|of| NonNull::new(*of))
        .map(|of| Condition(of, PhantomData))
}

impl<'p> Condition<'p> {
    fn get(&self) -> &pg_sys::RestrictInfo {
        // SAFETY: the planner's; it is changed only between uses of this.
        unsafe { self.0.as_ref() }
    }

    /// Without what the planner notes of the parts of an OR.
    pub fn clause(self) -> Option<Node<'p>> {
        // SAFETY: an expression of the query.
        unsafe { Node::new(self.get().clause.cast()) }
    }

    /// How many policies are asked before it.
    pub fn security_level(self) -> u32 {
        self.get().security_level
    }

    /// May it be looked at before them?
    pub fn is_leakproof(self) -> bool {
        self.get().leakproof
    }

    pub fn is_of_one_table(self) -> bool {
        self.tables().nth(1).is_none()
    }

    /// The numbers of the tables that it is about.
    pub fn tables(self) -> impl Iterator<Item = usize> {
        let (tables, mut last) = (self.get().clause_relids, -1);
        std::iter::from_fn(move || {
            // SAFETY: a set of the planner's, or null.
            last = unsafe { pg_sys::bms_next_member(tables, last) };
            usize::try_from(last).ok()
        })
    }

    /// Lets the planner look at it before the policies.
    pub fn mark_leakproof(self) {
        self.with_parts(&|of| of.leakproof = true);
    }

    /// Estimates of how many rows it is true, with all statistics.
    pub fn estimate(self, root: Root<'p>) {
        self.with_parts(&|of| {
            of.norm_selec = -1.0;
            of.outer_selec = -1.0;
        });
        // SAFETY: a condition of the query, which remembers the answer.
        with_statistics(root, || unsafe {
            let condition = self.0.as_ptr().cast();
            let join = pg_sys::JoinType::JOIN_INNER;
            pg_sys::clause_selectivity(root.as_ptr(), condition, 0, join, ptr::null_mut());
        });
    }

    /// Changes what the planner notes of it and of the parts of an OR.
    fn with_parts(mut self, change: &dyn Fn(&mut pg_sys::RestrictInfo)) {
        // SAFETY: the planner's, of which nobody has another reference; the parts are below it.
        unsafe {
            change(self.0.as_mut());
            if let Some(parts) = Node::new(self.get().orclause.cast()) {
                with_parts_of(parts, change);
            }
        }
    }
}

fn with_parts_of(node: Node, change: &dyn Fn(&mut pg_sys::RestrictInfo)) {
    match node.tag() {
        pg_sys::NodeTag::T_RestrictInfo => {
            if let Some(part) = NonNull::new(node.as_ptr()) {
                Condition(part.cast(), PhantomData).with_parts(change);
            }
        }
        pg_sys::NodeTag::T_BoolExpr => {
            let parts = node.arguments().iter();
            parts.for_each(|part| with_parts_of(*part, change));
        }
        _ => {}
    }
}
