//! What the planner knows of a query while it plans it.

use std::ffi::c_int;
use std::marker::PhantomData;
use std::ptr::NonNull;

use pgrx::pg_sys;

use crate::pg::node::{Node, items, new_node};

/// A query that is being planned, for a lifetime.
#[derive(Clone, Copy)]
pub struct Root<'p>(NonNull<pg_sys::PlannerInfo>, PhantomData<&'p ()>);

impl<'p> Root<'p> {
    /// # Safety
    /// Null, or the planner's, which plans the query for the lifetime.
    pub unsafe fn new(root: *mut pg_sys::PlannerInfo) -> Option<Root<'p>> {
        NonNull::new(root).map(|root| Root(root, PhantomData))
    }

    pub fn as_ptr(self) -> *mut pg_sys::PlannerInfo {
        self.0.as_ptr()
    }

    /// The plan in the making.
    pub fn plan(self) -> Option<Plan<'p>> {
        // SAFETY: while the query is planned, its plan is in the making.
        NonNull::new(unsafe { self.0.as_ref() }.glob).map(|plan| Plan(plan, PhantomData))
    }

    pub fn query(self) -> &'p pg_sys::Query {
        // SAFETY: there while it is planned.
        unsafe { &*self.0.as_ref().parse }
    }

    /// What it reads, with all conditions on that.
    pub fn conditions(self) -> Option<Node<'p>> {
        // SAFETY: a part of the query.
        unsafe { Node::new(self.query().jointree.cast()) }
    }

    /// A table of the query by its number, counted from 1.
    pub fn table(self, number: usize) -> Option<pg_sys::Oid> {
        // SAFETY: the list has such entries.
        let tables = unsafe { items::<pg_sys::RangeTblEntry>(self.query().rtable) };
        let table = tables.get(number.wrapping_sub(1))?;
        // SAFETY: an entry of the list.
        Some(unsafe { &**table }.relid)
    }

    /// Do policies apply to what has this number in the query? They are those of the table that is named there, for its
    /// partitions and children, too. None for what has no such number.
    pub fn policies_apply(self, mut number: usize) -> Option<bool> {
        while let Some(child) = self.partition(number) {
            number = child.parent_relid as usize;
        }
        // SAFETY: the list has such entries.
        let entries = unsafe { items::<pg_sys::RangeTblEntry>(self.query().rtable) };
        let entry = entries.get(number.wrapping_sub(1))?;
        // SAFETY: an entry of the list.
        Some(!unsafe { &**entry }.securityQuals.is_null())
    }

    /// What is known of a table of the query as the partition or child of another.
    pub fn partition(self, number: usize) -> Option<&'p pg_sys::AppendRelInfo> {
        // SAFETY: there while the query is planned.
        let root = unsafe { self.0.as_ref() };
        // Not every variable is of a table: some have a number that is none.
        if root.append_rel_array.is_null() || number >= root.simple_rel_array_size as usize {
            return None;
        }
        // SAFETY: a number that the array has.
        unsafe { (*root.append_rel_array.add(number)).as_ref() }
    }

    /// Is this parameter a column of a query around this one? Its value is there before this one starts.
    pub fn is_outer_column(self, parameter: c_int) -> bool {
        // SAFETY: the queries around, while they are planned.
        unsafe {
            let mut root = self.0.as_ref().parent_root;
            while let Some(outer) = root.as_ref() {
                let known = items::<pg_sys::PlannerParamItem>(outer.plan_params).iter();
                let mut of_this = known.filter(|item| (***item).paramId == parameter);
                if of_this.any(|item| (*(**item).item).type_ == pg_sys::NodeTag::T_Var) {
                    return true;
                }
                root = outer.parent_root;
            }
            false
        }
    }

    /// What a function gives now for a constant, if it does not change meanwhile. Its errors are raised.
    pub fn evaluate(self, call: Node<'p>) -> Option<Node<'p>> {
        // SAFETY: an expression of the query; the answer is made of new nodes.
        unsafe {
            Node::new(pg_sys::estimate_expression_value(
                self.as_ptr(),
                call.as_ptr(),
            ))
        }
    }

    /// What is equal by the conditions of the query.
    pub fn equal_expressions(self) -> impl Iterator<Item = impl Iterator<Item = Node<'p>> + Clone> {
        // SAFETY: the classes of the query, of so many members each.
        let classes = unsafe { items::<pg_sys::EquivalenceClass>(self.0.as_ref().eq_classes) };
        classes.iter().map(|class| {
            // SAFETY: as above.
            let members = unsafe { items::<pg_sys::EquivalenceMember>((**class).ec_members) };
            // SAFETY: an expression of the query.
            let expression = |member: &*mut pg_sys::EquivalenceMember| unsafe {
                Node::new((**member).em_expr.cast())
            };
            members.iter().filter_map(expression)
        })
    }
}

/// A plan in the making, for a lifetime.
#[derive(Clone, Copy)]
pub struct Plan<'p>(NonNull<pg_sys::PlannerGlobal>, PhantomData<&'p ()>);

impl<'p> Plan<'p> {
    pub fn items(self) -> PlanItems<'p> {
        // SAFETY: the plan has its list while it is made.
        unsafe { PlanItems::of(&raw mut (*self.0.as_ptr()).invalItems) }
    }

    /// It is made anew when something of the table changes.
    pub fn depends_on(self, table: pg_sys::Oid) {
        // SAFETY: a list of OIDs, or null.
        unsafe {
            let tables = &raw mut (*self.0.as_ptr()).relationOids;
            *tables = pg_sys::lappend_oid(*tables, table);
        }
    }
}

/// What a plan depends on besides tables: the number of a cache, and a hash value.
pub type PlanItem = (c_int, u32);

/// The items of a plan that has been made.
///
/// # Safety
/// The items of a plan, or null.
pub unsafe fn items_of_plan(list: *mut pg_sys::List) -> Vec<PlanItem> {
    // SAFETY: a list of such items, as the caller promises.
    let items = unsafe { items::<pg_sys::PlanInvalItem>(list) }.iter();
    // SAFETY: an item of the list.
    let items = items.map(|item| unsafe { &**item });
    items.map(|item| (item.cacheId, item.hashValue)).collect()
}

/// The items of a plan in the making, for a lifetime.
#[derive(Clone, Copy)]
pub struct PlanItems<'p>(NonNull<*mut pg_sys::List>, PhantomData<&'p ()>);

impl<'p> PlanItems<'p> {
    /// # Safety
    /// Of a plan, which is there for the lifetime: the items, or null. Others change them only between the calls of
    /// these functions.
    pub unsafe fn of(list: *mut *mut pg_sys::List) -> PlanItems<'p> {
        // SAFETY: a part of the plan.
        PlanItems(unsafe { NonNull::new_unchecked(list) }, PhantomData)
    }

    pub fn all(self) -> Vec<PlanItem> {
        // SAFETY: the items of a plan.
        unsafe { items_of_plan(*self.0.as_ptr()) }
    }

    pub fn add(self, (cache, hash): PlanItem) {
        // SAFETY: the node is new, and of this type; the list is one of such items.
        unsafe {
            let item = new_node::<pg_sys::PlanInvalItem>(pg_sys::NodeTag::T_PlanInvalItem);
            (*item).cacheId = cache;
            (*item).hashValue = hash;
            let list = self.0.as_ptr();
            *list = pg_sys::lappend(*list, item.cast());
        }
    }
}
