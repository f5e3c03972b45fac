//! The conditions of a query, as the planner notes them.

use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use pgrx::pg_sys;

use crate::pg::compat;
use crate::pg::node::{Node, items, new_node};
use crate::pg::planner::Root;
use crate::pg::statistics::with_statistics;

/// A condition of a query, as the planner notes it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Condition<'p>(NonNull<pg_sys::RestrictInfo>, PhantomData<&'p ()>);

/// The conditions on one table of a query alone.
pub fn conditions_on(root: Root, number: usize) -> impl Iterator<Item = Condition> {
    // SAFETY: the planner's; every number of a condition is one of the array.
    let relation = unsafe { (**(*root.as_ptr()).simple_rel_array.add(number)).baserestrictinfo };
    conditions(relation)
}

/// The conditions of a list of the planner's.
pub fn conditions<'p>(list: *mut pg_sys::List) -> impl Iterator<Item = Condition<'p>> {
    // SAFETY: a list of such conditions, of a query that is being planned.
    let all = unsafe { items::<pg_sys::RestrictInfo>(list) };
    all.iter()
        .filter_map(|of| NonNull::new(*of))
        .map(|of| Condition(of, PhantomData))
}

impl<'p> Condition<'p> {
    /// `clause`, asked of the same tables and at the same time as this. It lives as long as the query is
    /// planned.
    ///
    /// # Safety
    /// A boolean expression on columns of these tables, in the current memory context.
    pub unsafe fn like(self, root: Root<'p>, clause: Node<'p>) -> Condition<'p> {
        // SAFETY: as the caller promises.
        unsafe {
            let (level, tables) = (self.get().security_level, self.get().required_relids);
            let made = compat::restriction(root.as_ptr(), clause.as_ptr(), level, tables);
            Condition(NonNull::new_unchecked(made), PhantomData)
        }
    }

    /// The same with another clause, in which only constants are others: what the planner notes of it is the same.
    ///
    /// # Safety
    /// A boolean expression, in the current memory context.
    pub unsafe fn with_clause(self, clause: Node<'p>) -> Condition<'p> {
        // SAFETY: as the caller promises; a copy, which shares what nobody changes.
        unsafe {
            let copy = new_node::<pg_sys::RestrictInfo>(pg_sys::NodeTag::T_RestrictInfo);
            ptr::copy_nonoverlapping(self.as_ptr(), copy, 1);
            (*copy).clause = clause.as_ptr().cast();
            Condition(NonNull::new_unchecked(copy), PhantomData)
        }
    }

    /// Lets the planner think that it is true for this share of the rows.
    pub fn with_share(mut self, share: f64) -> Condition<'p> {
        // SAFETY: the planner's, of which nobody has another reference.
        unsafe { self.0.as_mut() }.norm_selec = share;
        self
    }

    pub fn as_ptr(self) -> *mut pg_sys::RestrictInfo {
        self.0.as_ptr()
    }

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

    /// An OR of a policy's, of which each part can be asked by itself, and twice?
    pub fn is_or_of_policy(self, root: Root) -> bool {
        // SAFETY: while the query is planned.
        let user_level = unsafe { (*root.as_ptr()).qual_security_level };
        self.clause().is_some_and(|clause| {
            self.security_level() < user_level
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
    pub fn is_not_true(&self) -> bool {
        self.clause()
            .is_some_and(|clause| clause.tag() == pg_sys::NodeTag::T_BooleanTest)
    }

    /// `column = ANY (list)`?
    pub fn is_list(&self) -> bool {
        self.clause()
            .is_some_and(|clause| clause.tag() == pg_sys::NodeTag::T_ScalarArrayOpExpr)
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

/// A list for the planner.
pub fn list_of(conditions: &[Condition]) -> *mut pg_sys::List {
    // SAFETY: the pointers are kept, and not followed.
    conditions
        .iter()
        .fold(ptr::null_mut(), |list, condition| unsafe {
            pg_sys::lappend(list, condition.0.as_ptr().cast())
        })
}
