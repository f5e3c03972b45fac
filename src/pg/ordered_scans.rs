//! Ways to read parts of a table in the order that the query wants, and to merge them, while the query is planned.

use std::ffi::c_int;
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr;

use pgrx::pg_sys;

use crate::pg::index::{Index, IndexOrder, Prefix};
use crate::pg::node::{items, new_node};
use crate::pg::planned_table::PlannedTable;
use crate::pg::restrict_info::{Condition, list_of};
use crate::pg::value_list::ValueList;

/// A table of a query that wants its first rows in an order. The planner has found ways to read it.
#[derive(Clone, Copy)]
pub struct OrderedTable<'p>(PlannedTable<'p>);

impl<'p> Deref for OrderedTable<'p> {
    type Target = PlannedTable<'p>;

    fn deref(&self) -> &PlannedTable<'p> {
        &self.0
    }
}

impl<'p> OrderedTable<'p> {
    /// None if no order is wanted, or all rows, or if parts of the table could not be read one by one.
    pub fn of(table: PlannedTable<'p>) -> Option<OrderedTable<'p>> {
        use pg_sys::RelOptKind::{RELOPT_BASEREL, RELOPT_OTHER_MEMBER_REL};
        // SAFETY: while the query is planned.
        let planned = unsafe { &*table.root.as_ptr() };
        // A row that a command waited for is looked at again by the first scan that there is of its table, and no
        // other: so tables of commands that wait for rows have one scan.
        let waits = table.root.query().commandType != pg_sys::CmdType::CMD_SELECT
            || !planned.rowMarks.is_null();
        if planned.query_pathkeys.is_null() || planned.tuple_fraction <= 0.0 || waits {
            return None;
        }
        let relation = table.relation();
        let is_right = matches!(
            relation.reloptkind,
            RELOPT_BASEREL | RELOPT_OTHER_MEMBER_REL
        ) && !table.has_children()
            && !table.is_sampled()
            && relation.lateral_relids.is_null()
            && !relation.indexlist.is_null()
            && !relation.baserestrictinfo.is_null()
            && !table.is_dummy();
        is_right.then_some(OrderedTable(table))
    }

    /// Those of its indexes that give their rows in an order, and have nothing of a user's own that would see hidden rows.
    pub fn indexes(&self) -> impl Iterator<Item = Index<'p>> + use<'p> {
        // SAFETY: the planner's, which live while the query is planned.
        let indexes = unsafe { items::<pg_sys::IndexOptInfo>(self.relation().indexlist) };
        // SAFETY: as above.
        let indexes = indexes.iter().map(|index| Index(unsafe { &**index }));
        indexes.filter(|index| index.is_ordered() && index.is_built_in())
    }

    /// For how many of the rows are these true?
    fn selectivity(&self, filters: &[Condition<'p>]) -> f64 {
        let list = list_of(filters);
        let join = pg_sys::JoinType::JOIN_INNER;
        // SAFETY: conditions of the query.
        unsafe {
            pg_sys::clauselist_selectivity(self.root.as_ptr(), list, 0, join, ptr::null_mut())
        }
    }

    /// Are they about a same column of the table?
    fn share_columns(&self, one: Condition<'p>, other: Condition<'p>) -> bool {
        let number = self.relation().relid;
        let columns = |condition: Condition<'p>| {
            let mut columns = ptr::null_mut();
            if let Some(clause) = condition.clause() {
                // SAFETY: looks at the expression.
                unsafe { pg_sys::pull_varattnos(clause.as_ptr(), number, &mut columns) };
            }
            columns
        };
        // SAFETY: two sets, or null.
        unsafe { pg_sys::bms_overlap(columns(one), columns(other)) }
    }

    /// The rows of all that it is read with, if it is a partition or child of another table, or of a UNION ALL.
    fn rows_of_all(&self) -> f64 {
        let mut rows = self.relation().rows;
        let mut number = self.number();
        while let Some(child) = self.root.partition(number) {
            number = child.parent_relid as usize;
            // SAFETY: the planner's, which knows how many rows there are of each before it looks for ways to read them.
            let parent = unsafe { (*(*self.root.as_ptr()).simple_rel_array.add(number)).as_ref() };
            rows = parent.map_or(rows, |parent| parent.rows.max(rows));
        }
        rows
    }

    /// The part of its rows that the query is thought to read.
    fn fraction(&self) -> f64 {
        // SAFETY: while the query is planned.
        let wanted = unsafe { (*self.root.as_ptr()).tuple_fraction };
        if wanted < 1.0 {
            wanted
        } else {
            (wanted / self.rows_of_all().max(1.0)).min(1.0)
        }
    }

    fn cost(&self, path: &pg_sys::Path) -> f64 {
        path.startup_cost + self.fraction() * (path.total_cost - path.startup_cost)
    }

    /// What the ways cost that are known, at most: their rows are sorted, if need be.
    fn least_cost(&self) -> f64 {
        let rows = self.relation().rows.max(2.0);
        // SAFETY: the planner's paths and settings.
        unsafe {
            let wanted = (*self.root.as_ptr()).query_pathkeys;
            let sort = 2.0 * pg_sys::cpu_operator_cost * rows * rows.log2();
            items::<pg_sys::Path>(self.relation().pathlist)
                .iter()
                .map(|path| &**path)
                .filter(|path| path.param_info.is_null())
                .map(|path| {
                    // Rows that are ordered by the first keys are sorted as they come.
                    let mut keys = 0;
                    pg_sys::pathkeys_count_contained_in(wanted, path.pathkeys, &mut keys);
                    if keys > 0 {
                        self.cost(path)
                    } else {
                        path.total_cost + sort
                    }
                })
                .fold(f64::INFINITY, f64::min)
        }
    }

    /// A table like it, of which only the rows are read for which these are true, and which has no ways to be read.
    fn part(&self, filters: &[Condition<'p>], rows: f64) -> *mut pg_sys::RelOptInfo {
        // SAFETY: a copy, in memory of its own, which shares what nobody changes.
        unsafe {
            let part = new_node::<pg_sys::RelOptInfo>(pg_sys::NodeTag::T_RelOptInfo);
            ptr::copy_nonoverlapping(self.as_ptr(), part, 1);
            (*part).rows = pg_sys::clamp_row_est(rows);
            (*part).baserestrictinfo = list_of(filters);
            (*part).indexlist = ptr::null_mut();
            (*part).pathlist = ptr::null_mut();
            (*part).partial_pathlist = ptr::null_mut();
            (*part).ppilist = ptr::null_mut();
            (*part).joininfo = ptr::null_mut();
            (*part).has_eclass_joins = false;
            part
        }
    }

    /// What has to be looked at where this index is read for rows that fulfil the filters: not what the index's own
    /// predicate says.
    fn left_by_index(&self, index: Index, filters: &[Condition<'p>]) -> Vec<Condition<'p>> {
        let own: Vec<_> = self.conditions().collect();
        // SAFETY: a list of conditions of the query.
        let left = unsafe { items::<pg_sys::RestrictInfo>(index.0.indrestrictinfo) };
        let is_left =
            |filter: &&Condition<'p>| !own.contains(filter) || left.contains(&filter.as_ptr());
        filters.iter().filter(is_left).copied().collect()
    }

    /// The ways to read a part of the table by its indexes, which are copies, as it is.
    ///
    /// # Safety
    /// A part, with nothing that others have.
    unsafe fn index_paths(&self, part: *mut pg_sys::RelOptInfo) -> &'p [*mut pg_sys::Path] {
        // SAFETY: as the caller promises.
        unsafe {
            let in_parallel = (*part).consider_parallel;
            (*part).consider_parallel = false;
            pg_sys::create_index_paths(self.root.as_ptr(), part);
            (*part).consider_parallel = in_parallel;
            items((*part).pathlist)
        }
    }

    /// How an index gives the rows for which these are true in the order of the query, each row once: one scan for each value
    /// of the lists that it has before the columns of the order.
    fn way(&self, filters: &[Condition<'p>], index: Index<'p>) -> Option<Way<'p>> {
        let Prefix { lists, conditions } = index.prefix(filters)?;
        let columns = conditions.len();
        let order = index.order(self.root, columns)?;
        let lists = lists
            .into_iter()
            .map(|(filter, column)| ValueList::of(filter, index, column, MOST_SCANS))
            .collect::<Option<Vec<_>>>()?;
        // Two conditions on one column are estimated as if they had nothing to do with each other.
        let is_estimated = |list: &ValueList<'p>| {
            filters.iter().all(|other| {
                lists.iter().any(|list| list.condition == *other)
                    || other.is_not_true()
                    || !self.share_columns(list.condition, *other)
            })
        };
        if !lists.iter().all(is_estimated) {
            return None;
        }
        let count: usize = lists.iter().map(|list| list.values.len()).product();
        if !(1..=MOST_SCANS).contains(&count) {
            return None;
        }
        let rows: f64 = conditions
            .iter()
            .map(|condition| self.selectivity(&[*condition]))
            .product();
        let rows = self.fraction() * rows * self.relation().tuples;
        // SAFETY: settings.
        let least = unsafe { pg_sys::cpu_tuple_cost + pg_sys::cpu_index_tuple_cost };
        let row_cost = self.row_cost_in_order().unwrap_or(least);
        Some(Way {
            index,
            order,
            lists,
            columns,
            count,
            least_cost: count as f64 * scan_cost() + rows * row_cost,
        })
    }

    /// May a merge of two scans cost less than the ways that are known?
    pub fn may_gain(&self) -> bool {
        self.may_pay(1, 2.0 * scan_cost())
    }

    /// Does a merge of so many parts, which costs so much at least, cost less than the ways that are known? To find that out
    /// takes time for each part.
    fn may_pay(&self, parts: usize, cost: f64) -> bool {
        cost + parts as f64 * PART_COST * scan_cost() <= self.least_cost()
    }

    /// Scans of an index, in the order of the query, that give together the rows for which these are true: for each index
    /// that has a list, if it may be the best.
    pub fn scans_of_lists(&self, filters: &[Condition<'p>]) -> Vec<Scans<'p>> {
        let ways = self.indexes().filter_map(|index| self.way(filters, index));
        // Without a list the planner has found it itself.
        let ways: Vec<_> = ways.filter(|way| !way.lists.is_empty()).collect();
        if !self.may_pay(1, best_of(&ways)) {
            return vec![];
        }
        self.good_ones(&ways)
            .filter_map(|way| self.scans(filters, way))
            .collect()
    }

    /// Those that may be the best. It is only known where an index gives the whole table in order, and so what a row costs.
    fn good_ones<'a>(&self, ways: &'a [Way<'p>]) -> impl Iterator<Item = &'a Way<'p>> {
        let most = match self.row_cost_in_order() {
            Some(_) => ABOUT_AS_GOOD * best_of(ways),
            None => f64::INFINITY,
        };
        ways.iter().filter(move |way| way.least_cost <= most)
    }

    fn scans(&self, filters: &[Condition<'p>], way: &Way<'p>) -> Option<Scans<'p>> {
        let Way { index, lists, .. } = way;
        let others: Vec<_> = filters
            .iter()
            .filter(|filter| !lists.iter().any(|list| list.condition == **filter))
            .copied()
            .collect();
        let mut rows = self.relation().tuples * self.selectivity(&others);
        let others = self.left_by_index(*index, &others);
        let mut conditions = Vec::with_capacity(lists.len());
        for list in lists {
            // For each value as many as on average: to look each of them up in the statistics takes longer than all else.
            let share = self.selectivity(&[list.condition]) / list.values.len() as f64;
            rows *= share;
            conditions.push(list.each(self.root, share));
        }
        let filters_of = |number: usize| {
            let mut rest = number;
            let values = conditions.iter().map(|list| {
                let value = list[rest % list.len()];
                rest /= list.len();
                value
            });
            others.iter().copied().chain(values).collect::<Vec<_>>()
        };
        let first = filters_of(0);
        let part = self.part(&first, rows);
        // SAFETY: the part is a new one.
        let template = unsafe { self.template(part, &first, way) }?;
        self.adjust_cost(template.path, self.row_cost_in_order());
        let with_values = |number| template.with_values(*index, &filters_of(number), others.len());
        let paths = (0..way.count).map(|number| with_values(number).cast());
        Some(Scans {
            paths: paths.collect(),
            keys: way.order.keys,
            _table: PhantomData,
        })
    }

    /// Scans that give together the rows for which these are true, each row once, where one of them is an OR: those of each
    /// part of it, without the rows of the parts before. Some of them are in the order of the query.
    pub fn scans_of_or(
        &self,
        filters: &[Condition<'p>],
        or: Condition<'p>,
    ) -> Option<Vec<Scans<'p>>> {
        let arguments = or.clause()?.arguments();
        if !self.may_pay(arguments.len(), arguments.len() as f64 * scan_cost()) {
            return None;
        }
        let others: Vec<_> = filters
            .iter()
            .filter(|filter| **filter != or)
            .copied()
            .collect();
        let (mut parts, mut before) = (vec![], vec![]);
        let (mut count, mut cost) = (0, 0.0);
        for part in arguments {
            // SAFETY: a part of the OR, or made of it.
            let own = unsafe {
                let conditions = part.conjuncts().into_iter();
                conditions.map(|condition| or.like(self.root, condition))
            };
            let own: Vec<_> = others
                .iter()
                .copied()
                .chain(own)
                .chain(before.iter().copied())
                .collect();
            let ways: Vec<_> = self
                .indexes()
                .filter_map(|index| self.way(&own, index))
                .collect();
            count += ways.iter().map(|way| way.count).min().unwrap_or(1);
            cost += if ways.is_empty() {
                // It is sorted.
                scan_cost()
            } else {
                best_of(&ways)
            };
            if count > MOST_SCANS || !self.may_pay(arguments.len(), cost) {
                return None;
            }
            parts.push((own, ways));
            // What is neither true nor false of a row does not keep it from the later parts.
            // SAFETY: made of a part of the OR.
            before.push(unsafe { or.like(self.root, part.is_not_true()) });
        }
        let scans_of = |(own, ways): (Vec<_>, Vec<_>)| {
            let in_order = self
                .good_ones(&ways)
                .filter_map(|way| self.scans(&own, way));
            let cheapest =
                in_order.min_by(|one, other| self.cost_of(one).total_cmp(&self.cost_of(other)));
            cheapest.or_else(|| self.sorted_scan(&own))
        };
        parts.into_iter().map(scans_of).collect()
    }

    fn cost_of(&self, scans: &Scans<'p>) -> f64 {
        // SAFETY: paths of the planner.
        let costs = scans.paths.iter().map(|path| self.cost(unsafe { &**path }));
        costs.sum()
    }

    /// One scan that gives the rows for which these are true in any order, sorted.
    fn sorted_scan(&self, filters: &[Condition<'p>]) -> Option<Scans<'p>> {
        let part = self.part(filters, self.relation().tuples * self.selectivity(filters));
        // SAFETY: the part is a new one.
        unsafe {
            for index in self.indexes() {
                let copy = index.of_part(part, &self.left_by_index(index, filters));
                (*part).indexlist = pg_sys::lappend((*part).indexlist, copy.cast());
            }
            let paths = self.index_paths(part).iter();
            let cheapest =
                paths.min_by(|one, other| (***one).total_cost.total_cmp(&(***other).total_cost))?;
            let root = self.root.as_ptr();
            let keys = (*root).query_pathkeys;
            let sort = pg_sys::create_sort_path(root, part, *cheapest, keys, -1.0);
            Some(Scans {
                paths: vec![sort.cast()],
                keys: 0,
                _table: PhantomData,
            })
        }
    }

    /// What a row of an index costs where the whole table is read in order.
    ///
    /// The planner thinks that such a scan finds most pages in memory, since it reads each of them many times, and takes that
    /// for its first rows, too.
    fn row_cost_in_order(&self) -> Option<f64> {
        // SAFETY: the planner's paths, each as its tag says.
        unsafe {
            let wanted = (*self.root.as_ptr()).query_pathkeys;
            items::<pg_sys::Path>(self.relation().pathlist)
                .iter()
                .filter(|path| (***path).type_ == pg_sys::NodeTag::T_IndexPath)
                .filter(|path| {
                    let mut keys = 0;
                    pg_sys::pathkeys_count_contained_in(wanted, (***path).pathkeys, &mut keys);
                    keys > 0 && (***path).param_info.is_null()
                })
                .map(|path| self.row_cost(&*(*path).cast()))
                .min_by(f64::total_cmp)
        }
    }

    /// What a row of the index costs, whether it is filtered out or not.
    fn row_cost(&self, path: &pg_sys::IndexPath) -> f64 {
        let rows = path.indexselectivity * self.relation().tuples;
        (path.path.total_cost - path.path.startup_cost) / rows.max(1.0)
    }

    /// Lets a row cost what it costs where the whole table is read in order, so that the planner compares like with like; the
    /// more rows are read, the less. To begin the scan costs some pages.
    fn adjust_cost(&self, path: *mut pg_sys::IndexPath, row_cost: Option<f64>) {
        // SAFETY: a path that nobody else has; a setting.
        unsafe {
            let own = self.row_cost(&*path);
            let path = &mut (*path).path;
            let mut run = path.total_cost - path.startup_cost;
            if let Some(least) = row_cost.filter(|least| *least < own) {
                run *= (least + self.fraction() * (own - least)) / own;
            }
            path.startup_cost += scan_cost();
            path.total_cost = path.startup_cost + run;
        }
    }

    /// What it costs to read the first row.
    fn first_cost(&self, path: *mut pg_sys::Path) -> f64 {
        // SAFETY: a path of the planner.
        let path = unsafe { &*path };
        path.startup_cost + (path.total_cost - path.startup_cost) / path.rows.max(1.0)
    }

    /// How the planner itself reads a part of the table in this order by an index, for one value each in so many of its first
    /// columns.
    ///
    /// # Safety
    /// A part, with nothing that others have.
    unsafe fn template(
        &self,
        part: *mut pg_sys::RelOptInfo,
        filters: &[Condition<'p>],
        way: &Way<'p>,
    ) -> Option<Template<'p>> {
        let index = way.index;
        // SAFETY: as the caller promises; paths of the planner, each as its tag says.
        unsafe {
            let copy = index.of_part(part, filters);
            (*part).indexlist = pg_sys::lappend(ptr::null_mut(), copy.cast());
            let path = self
                .index_paths(part)
                .iter()
                .find(|path| (***path).type_ == pg_sys::NodeTag::T_IndexPath)?;
            let path = &*(*path).cast::<pg_sys::IndexPath>();
            // Rows that are looked up by a list come in the order of the list.
            let has_no_list = |clause: &&pg_sys::IndexClause| {
                !items::<pg_sys::RestrictInfo>(clause.indexquals)
                    .iter()
                    .any(|filter| {
                        (*(**filter).clause).type_ == pg_sys::NodeTag::T_ScalarArrayOpExpr
                    })
            };
            let clauses: Vec<&'p pg_sys::IndexClause> =
                items::<pg_sys::IndexClause>(path.indexclauses)
                    .iter()
                    .map(|clause| &**clause)
                    .filter(has_no_list)
                    .collect();
            let is_single = |column: usize| {
                clauses.iter().any(|clause| {
                    !clause.lossy
                        && clause.indexcol as usize == column
                        && index.is_looked_up(clause.rinfo, column)
                })
            };
            if !(0..way.columns).all(is_single) {
                return None;
            }
            let root = self.root.as_ptr();
            let path = pg_sys::create_index_path(
                root,
                copy,
                list_of_clauses(clauses.iter().map(|clause| ptr::from_ref(*clause))),
                ptr::null_mut(),
                ptr::null_mut(),
                pg_sys::list_copy_head((*root).query_pathkeys, way.order.keys as c_int),
                way.order.direction,
                path.path.pathtype == pg_sys::NodeTag::T_IndexOnlyScan,
                ptr::null_mut(),
                1.0,
                false,
            );
            Some(Template {
                path,
                clauses,
                filters: filters.to_vec(),
            })
        }
    }

    /// Lets the planner read the table by these scans, whose rows are merged.
    pub fn add_merge(self, all: Vec<Scans<'p>>) {
        let count: usize = all.iter().map(|scans| scans.paths.len()).sum();
        let keys = all.iter().map(|scans| scans.keys).filter(|keys| *keys > 0);
        let Some(keys) = keys.min().filter(|_| count > 1) else {
            return;
        };
        let paths: Vec<_> = all.into_iter().flat_map(|scans| scans.paths).collect();
        // SAFETY: the paths are of parts of the table, and nobody else has them.
        unsafe {
            let root = self.root.as_ptr();
            let sum: f64 = paths.iter().map(|path| (**path).rows).sum();
            let rows = self.relation().rows;
            let mut list = ptr::null_mut();
            let mut first = 0.0;
            for path in &paths {
                (**path).rows = pg_sys::clamp_row_est((**path).rows / sum * rows);
                list = pg_sys::lappend(list, (*path).cast());
                first += self.first_cost(*path) - (**path).startup_cost;
            }
            let order = pg_sys::list_copy_head((*root).query_pathkeys, keys as c_int);
            // Without conditions, so that it is not mistaken for the scans of partitions.
            let whole = self.part(&[], rows);
            let merge = pg_sys::create_merge_append_path(root, whole, list, order, ptr::null_mut());
            let path = &mut (*merge).path;
            // The first row of each scan is read before there is any.
            path.startup_cost = (path.startup_cost + first).min(path.total_cost);
            // Wrapped, so that a partitioned table does not take the scans of several of its partitions as its own.
            let path = pg_sys::create_projection_path(
                root,
                self.as_ptr(),
                &raw mut (*merge).path,
                self.relation().reltarget,
            );
            pg_sys::add_path(self.as_ptr(), path.cast());
        }
    }
}

/// What it costs to plan a scan, to begin and to end it. Measured: as much as to read some 35 rows in order.
fn scan_cost() -> f64 {
    // SAFETY: a setting.
    unsafe { pg_sys::random_page_cost }
}

/// To plan one part of a merge takes as long as so many scans of it.
const PART_COST: f64 = 2.0;

/// Of two ways the planner's own cost tells which is the better, if one is not clearly worse.
const ABOUT_AS_GOOD: f64 = 1.2;

/// More scans are not worth their time.
const MOST_SCANS: usize = 300;

/// Scans of parts of a table.
pub struct Scans<'p> {
    paths: Vec<*mut pg_sys::Path>,
    /// By how many of the query's keys their rows are ordered.
    keys: usize,
    _table: PhantomData<&'p ()>,
}

/// How an index gives rows in the order of the query.
struct Way<'p> {
    index: Index<'p>,
    order: IndexOrder,
    /// Those of its first columns.
    lists: Vec<ValueList<'p>>,
    columns: usize,
    /// By how many scans.
    count: usize,
    /// What they cost, if the rows that they read are as many as its columns say, and each costs what it does in order.
    least_cost: f64,
}

/// What the best of these costs; infinite if there is none.
fn best_of(ways: &[Way]) -> f64 {
    let costs = ways.iter().map(|way| way.least_cost);
    costs.fold(f64::INFINITY, f64::min)
}

/// How an index is read for one value in each of its first columns.
struct Template<'p> {
    path: *mut pg_sys::IndexPath,
    clauses: Vec<&'p pg_sys::IndexClause>,
    /// What the rows fulfil.
    filters: Vec<Condition<'p>>,
}

impl<'p> Template<'p> {
    /// The same for rows that fulfil these, of which the first so many are the same.
    fn with_values(
        &self,
        index: Index<'p>,
        filters: &[Condition<'p>],
        same: usize,
    ) -> *mut pg_sys::IndexPath {
        let (before, values) = (&self.filters[same..], &filters[same..]);
        // SAFETY: copies of what the planner has made, with other constants in it.
        unsafe {
            let with_value = |clause: &&'p pg_sys::IndexClause| {
                let is_it = |value: &Condition| value.as_ptr() == clause.rinfo;
                let Some(value) = before.iter().position(is_it) else {
                    return ptr::from_ref(*clause);
                };
                let own = new_node::<pg_sys::IndexClause>(pg_sys::NodeTag::T_IndexClause);
                ptr::copy_nonoverlapping(*clause, own, 1);
                (*own).rinfo = values[value].as_ptr();
                (*own).indexquals = list_of(&values[value..=value]);
                own.cast_const()
            };
            let path = new_node::<pg_sys::IndexPath>(pg_sys::NodeTag::T_IndexPath);
            ptr::copy_nonoverlapping(self.path, path, 1);
            (*path).indexinfo = index.of_part((*self.path).path.parent, filters);
            (*path).indexclauses = list_of_clauses(self.clauses.iter().map(with_value));
            path
        }
    }
}

fn list_of_clauses(clauses: impl Iterator<Item = *const pg_sys::IndexClause>) -> *mut pg_sys::List {
    // SAFETY: the pointers are kept, and not followed.
    clauses.fold(ptr::null_mut(), |list, clause| unsafe {
        pg_sys::lappend(list, clause.cast_mut().cast())
    })
}
