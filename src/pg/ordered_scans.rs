//! Ways to read parts of a table in the order that the query wants, and to merge them, while the query is planned.

use std::ffi::c_int;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use pgrx::pg_sys;

use crate::pg::compat;
use crate::pg::node::{Node, items, new_node};
use crate::pg::planner::Root;

/// A table of a query that wants its first rows in an order. The planner has found ways to read it.
#[derive(Clone, Copy)]
pub struct OrderedTable<'p> {
    root: Root<'p>,
    relation: NonNull<pg_sys::RelOptInfo>,
    entry: &'p pg_sys::RangeTblEntry,
}

impl<'p> OrderedTable<'p> {
    /// None if no order is wanted, or all rows, or if parts of the table could not be read one by one.
    ///
    /// # Safety
    /// In set_rel_pathlist_hook, with its arguments.
    pub unsafe fn new(
        root: Root<'p>,
        relation: *mut pg_sys::RelOptInfo,
        entry: *mut pg_sys::RangeTblEntry,
    ) -> Option<OrderedTable<'p>> {
        use pg_sys::RelOptKind::{RELOPT_BASEREL, RELOPT_OTHER_MEMBER_REL};
        // SAFETY: the planner's, which are there while it plans.
        let (planned, relation, entry) = unsafe {
            let relation = NonNull::new(relation)?;
            (&*root.as_ptr(), relation, entry.as_ref()?)
        };
        // A row that a command waited for is looked at again by the first scan that there is of its table, and no
        // other: so tables of commands that wait for rows have one scan.
        let waits =
            root.query().commandType != pg_sys::CmdType::CMD_SELECT || !planned.rowMarks.is_null();
        if planned.query_pathkeys.is_null() || planned.tuple_fraction <= 0.0 || waits {
            return None;
        }
        // SAFETY: as above.
        let table = unsafe { relation.as_ref() };
        let is_table = entry.rtekind == pg_sys::RTEKind::RTE_RELATION
            && matches!(table.reloptkind, RELOPT_BASEREL | RELOPT_OTHER_MEMBER_REL)
            && !entry.inh
            && entry.tablesample.is_null()
            && table.lateral_relids.is_null()
            && !table.indexlist.is_null()
            && !table.baserestrictinfo.is_null()
            // SAFETY: looks at its paths.
            && !unsafe { pg_sys::is_dummy_rel(relation.as_ptr()) };
        is_table.then_some(OrderedTable {
            root,
            relation,
            entry,
        })
    }

    pub fn root(self) -> Root<'p> {
        self.root
    }

    pub fn oid(self) -> pg_sys::Oid {
        self.entry.relid
    }

    /// Its number in the query.
    pub fn number(self) -> usize {
        self.relation().relid as usize
    }

    fn relation(&self) -> &pg_sys::RelOptInfo {
        // SAFETY: the planner's; it is changed only between uses of this.
        unsafe { self.relation.as_ref() }
    }

    /// The conditions on it alone.
    pub fn filters(&self) -> Vec<Filter<'p>> {
        // SAFETY: a list of such conditions, which live while the query is planned.
        let filters = unsafe { items::<pg_sys::RestrictInfo>(self.relation().baserestrictinfo) };
        let filters = filters.iter().filter_map(|filter| NonNull::new(*filter));
        filters
            .map(|filter| Filter(filter, PhantomData))
            .filter(|filter| filter.get().clause.is_null().eq(&false))
            .collect()
    }

    /// Those of its indexes that give their rows in an order, and have nothing of a user's own that would see hidden rows.
    pub fn indexes(&self) -> impl Iterator<Item = Index<'p>> + use<'p> {
        // SAFETY: the planner's, which live while the query is planned.
        let indexes = unsafe { items::<pg_sys::IndexOptInfo>(self.relation().indexlist) };
        // SAFETY: as above.
        let indexes = indexes.iter().map(|index| unsafe { &**index });
        indexes
            .filter(|index| {
                !index.sortopfamily.is_null()
                    && index.amhasgettuple
                    && (index.indpred.is_null() || index.predOK)
            })
            .map(Index)
            .filter(|index| index.is_built_in())
    }

    /// A condition like `filter`, asked at the same time as it. It lives as long as the query is planned.
    ///
    /// # Safety
    /// A boolean expression on the columns of the table, in the current memory context.
    unsafe fn filter(&self, clause: Node<'p>, like: Filter<'p>) -> Filter<'p> {
        // SAFETY: as the caller promises.
        unsafe {
            let level = like.get().security_level;
            let relids = self.relation().relids;
            let made = compat::restriction(self.root.as_ptr(), clause.as_ptr(), level, relids);
            Filter(NonNull::new_unchecked(made), PhantomData)
        }
    }

    /// For how many of the rows are these true?
    fn selectivity(&self, filters: &[Filter<'p>]) -> f64 {
        let list = list_of(filters);
        let join = pg_sys::JoinType::JOIN_INNER;
        // SAFETY: conditions of the query.
        unsafe {
            pg_sys::clauselist_selectivity(self.root.as_ptr(), list, 0, join, ptr::null_mut())
        }
    }

    /// Are they about a same column of the table?
    fn share_columns(&self, one: Filter<'p>, other: Filter<'p>) -> bool {
        let columns = |filter: Filter<'p>| {
            let mut columns = ptr::null_mut();
            // SAFETY: looks at the expression.
            unsafe {
                let clause = filter.get().clause.cast();
                pg_sys::pull_varattnos(clause, self.relation().relid, &mut columns);
            }
            columns
        };
        // SAFETY: two sets, or null.
        unsafe { pg_sys::bms_overlap(columns(one), columns(other)) }
    }

    /// The part of its rows that the query is thought to read.
    fn fraction(&self) -> f64 {
        // SAFETY: while the query is planned.
        let wanted = unsafe { (*self.root.as_ptr()).tuple_fraction };
        if wanted < 1.0 {
            wanted
        } else {
            (wanted / self.relation().rows.max(1.0)).min(1.0)
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
    fn part(&self, filters: &[Filter<'p>], rows: f64) -> *mut pg_sys::RelOptInfo {
        // SAFETY: a copy, in memory of its own, which shares what nobody changes.
        unsafe {
            let part = new_node::<pg_sys::RelOptInfo>(pg_sys::NodeTag::T_RelOptInfo);
            ptr::copy_nonoverlapping(self.relation.as_ptr(), part, 1);
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
    fn left_by_index(&self, index: Index, filters: &[Filter<'p>]) -> Vec<Filter<'p>> {
        let own = self.filters();
        // SAFETY: a list of conditions of the query.
        let left = unsafe { items::<pg_sys::RestrictInfo>(index.0.indrestrictinfo) };
        let is_left =
            |filter: &&Filter<'p>| !own.contains(filter) || left.contains(&filter.0.as_ptr());
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

    /// Scans of one index, in the order of the query, that give together the rows for which these are true, each row
    /// once: one scan for each value of the lists that the index has before the columns of the order.
    pub fn scans_of_list(&self, filters: &[Filter<'p>], index: Index<'p>) -> Option<Scans<'p>> {
        let prefix = index.prefix(filters)?;
        // Without a list the planner has found it itself.
        (!prefix.lists.is_empty()).then(|| self.scans(filters, index, prefix))?
    }

    fn scans(
        &self,
        filters: &[Filter<'p>],
        index: Index<'p>,
        Prefix { lists, columns }: Prefix<'p>,
    ) -> Option<Scans<'p>> {
        let order = index.order(self.root, columns)?;
        let lists = lists
            .into_iter()
            .map(|(filter, column)| List::of(filter, index, column))
            .collect::<Option<Vec<_>>>()?;
        let count: usize = lists.iter().map(|list| list.values.len()).product();
        if count == 0 || count > MOST_SCANS {
            return None;
        }
        let most = self.least_cost();
        if count as f64 * scan_cost() > most {
            return None;
        }
        let others: Vec<_> = filters
            .iter()
            .filter(|filter| !lists.iter().any(|list| list.filter == **filter))
            .copied()
            .collect();
        // Two conditions on one column are estimated as if they had nothing to do with each other.
        let is_estimated = |list: &List<'p>| {
            let mut others = others.iter();
            others.all(|other| other.is_not_true() || !self.share_columns(list.filter, *other))
        };
        if !lists.iter().all(is_estimated) {
            return None;
        }
        let rows = self.relation().tuples * self.selectivity(&others);
        let others = self.left_by_index(index, &others);
        let lists: Vec<_> = lists.iter().map(|list| list.each(self)).collect();
        let row_cost = self.row_cost_in_order();
        let mut template = None;
        let mut paths = vec![];
        for number in 0..count {
            let (mut rest, mut share) = (number, 1.0);
            let mut own = others.clone();
            for list in &lists {
                let (filter, part) = list[rest % list.len()];
                rest /= list.len();
                own.push(filter);
                share *= part;
            }
            let values = &own[others.len()..];
            let part = self.part(&own, rows * share);
            let clauses = match &template {
                Some(template) => template,
                // SAFETY: the part is a new one.
                None => template.insert(unsafe { self.template(part, index, &own, columns) }?),
            };
            // SAFETY: the part is a new one.
            let path = unsafe { clauses.path(self, part, index, &own, values, &order) };
            self.adjust_cost(path, row_cost);
            paths.push(path.cast());
        }
        Some(Scans {
            paths,
            keys: order.keys,
            _table: PhantomData,
        })
    }

    /// Scans that give together the rows for which these are true, each row once, where one of them is an OR: those of each
    /// part of it, without the rows of the parts before. Some of them are in the order of the query.
    pub fn scans_of_or(&self, filters: &[Filter<'p>], or: Filter<'p>) -> Option<Vec<Scans<'p>>> {
        let parts = or.clause()?.arguments();
        if parts.len() > MOST_SCANS || parts.len() as f64 * scan_cost() > self.least_cost() {
            return None;
        }
        let others: Vec<_> = filters
            .iter()
            .filter(|filter| **filter != or)
            .copied()
            .collect();
        let (mut found, mut before) = (vec![], vec![]);
        for part in parts {
            // SAFETY: a part of the OR, or made of it.
            let own = unsafe {
                let conditions = part.conjuncts().into_iter();
                conditions.map(|condition| self.filter(condition, or))
            };
            let own: Vec<_> = others
                .iter()
                .copied()
                .chain(own)
                .chain(before.iter().copied())
                .collect();
            let in_order = self.indexes().filter_map(|index| {
                let prefix = index.prefix(&own)?;
                self.scans(&own, index, prefix)
            });
            let cheapest =
                in_order.min_by(|one, other| self.cost_of(one).total_cmp(&self.cost_of(other)));
            found.push(cheapest.or_else(|| self.sorted_scan(&own))?);
            // What is neither true nor false of a row does not keep it from the later parts.
            // SAFETY: made of a part of the OR.
            before.push(unsafe { self.filter(part.is_not_true(), or) });
        }
        Some(found)
    }

    fn cost_of(&self, scans: &Scans<'p>) -> f64 {
        // SAFETY: paths of the planner.
        let costs = scans.paths.iter().map(|path| self.cost(unsafe { &**path }));
        costs.sum()
    }

    /// One scan that gives the rows for which these are true in any order, sorted.
    fn sorted_scan(&self, filters: &[Filter<'p>]) -> Option<Scans<'p>> {
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

    /// How the planner itself reads a part of the table by an index that has one value each in its first columns.
    ///
    /// # Safety
    /// A part, with nothing that others have.
    unsafe fn template(
        &self,
        part: *mut pg_sys::RelOptInfo,
        index: Index<'p>,
        filters: &[Filter<'p>],
        columns: usize,
    ) -> Option<Template<'p>> {
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
            (0..columns).all(is_single).then_some(Template {
                clauses,
                is_index_only: path.path.pathtype == pg_sys::NodeTag::T_IndexOnlyScan,
                values: filters.to_vec(),
            })
        }
    }

    /// Lets the planner read the table by these scans, whose rows are merged.
    pub fn add_merge(mut self, all: Vec<Scans<'p>>) {
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
                self.relation.as_ptr(),
                &raw mut (*merge).path,
                self.relation().reltarget,
            );
            pg_sys::add_path(self.relation.as_mut(), path.cast());
        }
    }
}

/// What it costs to plan a scan, to begin it and to descend the index. Measured: as much as to read some 50 rows.
fn scan_cost() -> f64 {
    // SAFETY: a setting.
    3.0 * unsafe { pg_sys::random_page_cost }
}

/// More scans are not worth their time.
const MOST_SCANS: usize = 300;

/// Scans of parts of a table.
pub struct Scans<'p> {
    paths: Vec<*mut pg_sys::Path>,
    /// By how many of the query's keys their rows are ordered.
    keys: usize,
    _table: PhantomData<&'p ()>,
}

/// How an index is read for one value in each of its first columns.
struct Template<'p> {
    clauses: Vec<&'p pg_sys::IndexClause>,
    is_index_only: bool,
    /// The filters that it was made for.
    values: Vec<Filter<'p>>,
}

impl<'p> Template<'p> {
    /// The same for other values, the last of the filters.
    ///
    /// # Safety
    /// A part, with nothing that others have.
    unsafe fn path(
        &self,
        table: &OrderedTable<'p>,
        part: *mut pg_sys::RelOptInfo,
        index: Index<'p>,
        filters: &[Filter<'p>],
        values: &[Filter<'p>],
        order: &IndexOrder,
    ) -> *mut pg_sys::IndexPath {
        let before = &self.values[self.values.len() - values.len()..];
        // SAFETY: as the caller promises; the clauses are those that the planner has made, with other constants in them.
        unsafe {
            let copy = index.of_part(part, filters);
            let mut clauses = ptr::null_mut();
            for clause in &self.clauses {
                let value = before
                    .iter()
                    .position(|value| value.0.as_ptr() == clause.rinfo);
                let own = new_node::<pg_sys::IndexClause>(pg_sys::NodeTag::T_IndexClause);
                ptr::copy_nonoverlapping(*clause, own, 1);
                if let Some(value) = value {
                    (*own).rinfo = values[value].0.as_ptr();
                    (*own).indexquals = list_of(&values[value..=value]);
                }
                clauses = pg_sys::lappend(clauses, own.cast());
            }
            let root = table.root.as_ptr();
            pg_sys::create_index_path(
                root,
                copy,
                clauses,
                ptr::null_mut(),
                ptr::null_mut(),
                pg_sys::list_copy_head((*root).query_pathkeys, order.keys as c_int),
                order.direction,
                self.is_index_only,
                ptr::null_mut(),
                1.0,
                false,
            )
        }
    }
}

/// A condition `column = ANY (list)`, of which the list is a constant that is not too long.
struct List<'p> {
    filter: Filter<'p>,
    list: &'p pg_sys::ScalarArrayOpExpr,
    operand: Node<'p>,
    /// The type of the values.
    element: pg_sys::Oid,
    /// Each once.
    values: Vec<pg_sys::Datum>,
}

impl<'p> List<'p> {
    fn of(filter: Filter<'p>, index: Index<'p>, column: usize) -> Option<List<'p>> {
        let clause = filter.clause()?;
        let list = clause.get::<pg_sys::ScalarArrayOpExpr>()?;
        let [operand, array] = clause.arguments() else {
            return None;
        };
        let array = array.get::<pg_sys::Const>()?;
        if array.constisnull {
            return None;
        }
        // SAFETY: the constant is an array, of elements of this type, which the family of operators compares.
        unsafe {
            let value = pg_sys::pg_detoast_datum(array.constvalue.cast_mut_ptr());
            let value = value.cast::<pg_sys::ArrayType>();
            let dimensions = value.add(1).cast::<c_int>();
            let count = pg_sys::ArrayGetNItems((*value).ndim, dimensions);
            if count < 1 || count as usize > MOST_SCANS {
                return None;
            }
            let element = pg_sys::get_base_element_type(array.consttype);
            let order = Order::of(*index.0.opfamily.add(column), list)?;
            let (mut length, mut by_value, mut alignment) = (0, false, 0);
            pg_sys::get_typlenbyvalalign(element, &mut length, &mut by_value, &mut alignment);
            let (mut elements, mut nulls, mut count) = (ptr::null_mut(), ptr::null_mut(), 0);
            pg_sys::deconstruct_array(
                value,
                element,
                length.into(),
                by_value,
                alignment,
                &mut elements,
                &mut nulls,
                &mut count,
            );
            let mut values: Vec<pg_sys::Datum> = (0..count as usize)
                .filter(|n| !*nulls.add(*n))
                .map(|n| *elements.add(n))
                .collect();
            order.each_once(&mut values);
            Some(List {
                filter,
                list,
                operand: *operand,
                element,
                values,
            })
        }
    }

    /// `column = value` for each value, and for how many rows that is true.
    fn each(&self, table: &OrderedTable<'p>) -> Vec<(Filter<'p>, f64)> {
        let (mut length, mut by_value) = (0, false);
        // SAFETY: the values are of this type, and the operator takes them.
        unsafe {
            let collation = pg_sys::get_typcollation(self.element);
            pg_sys::get_typlenbyval(self.element, &mut length, &mut by_value);
            let filters = self.values.iter().map(|value| {
                let constant = pg_sys::makeConst(
                    self.element,
                    -1,
                    collation,
                    length.into(),
                    *value,
                    false,
                    by_value,
                );
                let clause = pg_sys::make_opclause(
                    self.list.opno,
                    pg_sys::BOOLOID,
                    false,
                    self.operand.copy().as_ptr().cast(),
                    constant.cast(),
                    pg_sys::InvalidOid,
                    self.list.inputcollid,
                );
                pg_sys::set_opfuncid(clause.cast());
                table.filter(Node::made(clause), self.filter)
            });
            filters
                .map(|filter| (filter, table.selectivity(&[filter])))
                .collect()
        }
    }
}

/// The function of a btree family that compares (BTORDER_PROC).
const BTREE_ORDER: i16 = 1;

/// How a family of operators orders the values of a list.
struct Order {
    function: pg_sys::FmgrInfo,
    collation: pg_sys::Oid,
}

impl Order {
    /// # Safety
    /// A btree family, and a list of values.
    unsafe fn of(family: pg_sys::Oid, list: &pg_sys::ScalarArrayOpExpr) -> Option<Order> {
        // SAFETY: look-ups in the system cache; the operator is in the family, as the index has matched it.
        unsafe {
            let (mut strategy, mut left, mut right) = (0, pg_sys::InvalidOid, pg_sys::InvalidOid);
            pg_sys::get_op_opfamily_properties(
                list.opno,
                family,
                false,
                &mut strategy,
                &mut left,
                &mut right,
            );
            let function = pg_sys::get_opfamily_proc(family, right, right, BTREE_ORDER);
            if function == pg_sys::InvalidOid {
                return None;
            }
            let mut order = Order {
                function: pg_sys::FmgrInfo::default(),
                collation: list.inputcollid,
            };
            pg_sys::fmgr_info(function, &mut order.function);
            Some(order)
        }
    }

    /// # Safety
    /// Values of the list.
    unsafe fn each_once(mut self, values: &mut Vec<pg_sys::Datum>) {
        let mut compare = |one: &pg_sys::Datum, other: &pg_sys::Datum| {
            // SAFETY: the function compares such values.
            let order = unsafe {
                pg_sys::FunctionCall2Coll(&mut self.function, self.collation, *one, *other)
            };
            (order.value() as i32).cmp(&0)
        };
        let is_ascending = values
            .windows(2)
            .all(|pair| compare(&pair[0], &pair[1]).is_lt());
        if !is_ascending {
            values.sort_by(&mut compare);
            values.dedup_by(|one, other| compare(one, other).is_eq());
        }
    }
}

/// An index of a table.
#[derive(Clone, Copy)]
pub struct Index<'p>(&'p pg_sys::IndexOptInfo);

/// The first columns of an index.
struct Prefix<'p> {
    /// Those that a list is for.
    lists: Vec<(Filter<'p>, usize)>,
    columns: usize,
}

/// In which order an index is read.
struct IndexOrder {
    direction: pg_sys::ScanDirection::Type,
    /// By how many of the query's keys its rows are ordered then.
    keys: usize,
}

impl<'p> Index<'p> {
    fn as_ptr(self) -> *mut pg_sys::IndexOptInfo {
        ptr::from_ref(self.0).cast_mut()
    }

    /// Does it compare by what comes with PostgreSQL?
    fn is_built_in(&self) -> bool {
        let columns = 0..self.0.nkeycolumns as usize;
        columns.into_iter().all(|column| {
            // SAFETY: the index has so many columns.
            let family = unsafe { *self.0.opfamily.add(column) };
            family.to_u32() < pg_sys::FirstNormalObjectId
        })
    }

    /// Is it `column = value` or `column = ANY (list)`, for a column of the index, as the index compares?
    ///
    /// # Safety
    /// A condition of the query, and one of the columns of the index.
    unsafe fn is_looked_up(self, filter: *mut pg_sys::RestrictInfo, column: usize) -> bool {
        // SAFETY: as the caller promises.
        let Some(clause) = (unsafe { Node::new((*filter).clause.cast()) }) else {
            return false;
        };
        let [left, right] = clause.arguments() else {
            return false;
        };
        let operation = clause.get::<pg_sys::OpExpr>();
        let list = clause.get::<pg_sys::ScalarArrayOpExpr>();
        let (operator, collation) = match (operation, list) {
            (Some(operation), _) => (operation.opno, operation.inputcollid),
            (_, Some(list)) if list.useOr => (list.opno, list.inputcollid),
            _ => return false,
        };
        // SAFETY: the index has so many columns; what else is called looks at nodes and catalogs.
        unsafe {
            let is_column = |side: &Node| {
                pg_sys::match_index_to_operand(side.as_ptr(), column as c_int, self.as_ptr())
            };
            let (value, operator) = if is_column(left) {
                (right, operator)
            } else if list.is_none() && is_column(right) {
                (left, pg_sys::get_commutator(operator))
            } else {
                return false;
            };
            let wanted = *self.0.indexcollations.add(column);
            (wanted == pg_sys::InvalidOid || wanted == collation)
                && pg_sys::get_op_opfamily_strategy(operator, *self.0.opfamily.add(column))
                    == pg_sys::BTEqualStrategyNumber as c_int
                && !pg_sys::contain_var_clause(value.as_ptr())
                && !pg_sys::contain_volatile_functions(value.as_ptr())
        }
    }

    /// The first columns for which the conditions have one value, or a list of them.
    fn prefix(self, filters: &[Filter<'p>]) -> Option<Prefix<'p>> {
        let mut prefix = Prefix {
            lists: vec![],
            columns: 0,
        };
        for column in 0..self.0.nkeycolumns as usize {
            let of_column = |filter: &&Filter<'p>| {
                // SAFETY: conditions of the query, and a column of the index. What is not leakproof is not asked
                // by an index before the policies.
                unsafe {
                    pg_sys::restriction_is_securely_promotable(filter.0.as_ptr(), self.0.rel)
                        && self.is_looked_up(filter.0.as_ptr(), column)
                }
            };
            let found: Vec<_> = filters.iter().filter(of_column).collect();
            let Some(first) = found.first() else {
                break;
            };
            let single = found.iter().any(|filter| !filter.is_list());
            if !single {
                prefix.lists.push((**first, column));
            }
            prefix.columns += 1;
        }
        (prefix.columns > 0 && prefix.columns < self.0.nkeycolumns as usize).then_some(prefix)
    }

    /// The order of the index if so many of its first columns have one value each.
    fn order(self, root: Root<'p>, columns: usize) -> Option<IndexOrder> {
        use pg_sys::ScanDirection::{BackwardScanDirection, ForwardScanDirection};
        // SAFETY: the copy has the columns after these.
        unsafe {
            let rest = new_node::<pg_sys::IndexOptInfo>(pg_sys::NodeTag::T_IndexOptInfo);
            ptr::copy_nonoverlapping(self.0, rest, 1);
            (*rest).indextlist = pg_sys::list_copy_tail(self.0.indextlist, columns as c_int);
            (*rest).ncolumns -= columns as c_int;
            (*rest).nkeycolumns -= columns as c_int;
            (*rest).indexkeys = self.0.indexkeys.add(columns);
            (*rest).indexcollations = self.0.indexcollations.add(columns);
            (*rest).opfamily = self.0.opfamily.add(columns);
            (*rest).opcintype = self.0.opcintype.add(columns);
            (*rest).sortopfamily = self.0.sortopfamily.add(columns);
            (*rest).reverse_sort = self.0.reverse_sort.add(columns);
            (*rest).nulls_first = self.0.nulls_first.add(columns);
            let wanted = (*root.as_ptr()).query_pathkeys;
            [ForwardScanDirection, BackwardScanDirection]
                .into_iter()
                .map(|direction| {
                    let given = pg_sys::build_index_pathkeys(root.as_ptr(), rest, direction);
                    let mut keys = 0;
                    pg_sys::pathkeys_count_contained_in(wanted, given, &mut keys);
                    IndexOrder {
                        direction,
                        keys: keys as usize,
                    }
                })
                .max_by_key(|order| order.keys)
                .filter(|order| order.keys > 0)
        }
    }

    /// A copy for reading a part of the table.
    ///
    /// # Safety
    /// A part of the table of the index.
    unsafe fn of_part(
        self,
        part: *mut pg_sys::RelOptInfo,
        filters: &[Filter<'p>],
    ) -> *mut pg_sys::IndexOptInfo {
        // SAFETY: a copy, which shares what nobody changes.
        unsafe {
            let copy = new_node::<pg_sys::IndexOptInfo>(pg_sys::NodeTag::T_IndexOptInfo);
            ptr::copy_nonoverlapping(self.0, copy, 1);
            (*copy).rel = part;
            (*copy).indrestrictinfo = list_of(filters);
            copy
        }
    }
}

/// A condition on a table, as the planner notes it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Filter<'p>(NonNull<pg_sys::RestrictInfo>, PhantomData<&'p ()>);

impl<'p> Filter<'p> {
    fn get(&self) -> &pg_sys::RestrictInfo {
        // SAFETY: the planner's; it is changed only between uses of this.
        unsafe { self.0.as_ref() }
    }

    fn clause(self) -> Option<Node<'p>> {
        // SAFETY: an expression of the query.
        unsafe { Node::new(self.get().clause.cast()) }
    }

    /// An OR of a policy's, of which each part can be asked by itself, and twice?
    pub fn is_or_of_policy(self, root: Root) -> bool {
        // SAFETY: while the query is planned.
        let user_level = unsafe { (*root.as_ptr()).qual_security_level };
        self.clause().is_some_and(|clause| {
            self.get().security_level < user_level
                && clause
                    .get::<pg_sys::BoolExpr>()
                    .is_some_and(|parts| parts.boolop == pg_sys::BoolExprType::OR_EXPR)
                // SAFETY: looks at the expression.
                && unsafe {
                    !pg_sys::contain_volatile_functions(clause.as_ptr())
                        && !pg_sys::contain_subplans(clause.as_ptr())
                }
        })
    }

    /// `condition IS NOT TRUE`?
    fn is_not_true(&self) -> bool {
        self.clause()
            .is_some_and(|clause| clause.tag() == pg_sys::NodeTag::T_BooleanTest)
    }

    /// `column = ANY (list)`?
    pub fn is_list(&self) -> bool {
        self.clause()
            .is_some_and(|clause| clause.tag() == pg_sys::NodeTag::T_ScalarArrayOpExpr)
    }
}

fn list_of(filters: &[Filter]) -> *mut pg_sys::List {
    // SAFETY: the pointers are kept, and not followed.
    filters.iter().fold(ptr::null_mut(), |list, filter| unsafe {
        pg_sys::lappend(list, filter.0.as_ptr().cast())
    })
}
