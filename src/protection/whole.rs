//! Is the protection of a table whole? Asked by the policy that opens it, so that a table is closed where a
//! policy or trigger is missing or was changed, and where a policy was copied to another table.
//!
//! What is there is compared with what protecting the table would make now: trees with trees, so that
//! neither names nor how an expression is printed matter.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::ffi::{CStr, CString, c_int};

use pgrx::prelude::*;
use pgrx::{Internal, pg_sys};

use crate::pg::node::{Clause, Node, items};
use crate::pg::planner::Root;
use crate::pg::policy::{Policy, policies};
use crate::pg::relation::{attribute, hold, table_name};
use crate::pg::run_as_owner::RunAsOwner;
use crate::pg::support::{Answer, Request, Simplify, answer};
use crate::protection::kind::{Holds, Kind};
use crate::protection::kinds;
use crate::protection::policies::{has_children, rule_policies};
use crate::protection::trigger::triggers;
use crate::signals::generation;
use crate::tables::catalog::{self, Catalog, own_table};
use crate::tables::child_table::{ChildTable, Parent};
use crate::tables::key::KeyType;
use crate::tables::registry::root_of;
use crate::tables::ticket_table::TicketTable;

thread_local! {
    static KNOWN: RefCell<HashMap<pg_sys::Oid, bool>> = RefCell::default();
    /// Those that were asked about, of which changes matter.
    static WATCHED: RefCell<HashSet<pg_sys::Oid>> = RefCell::default();
    /// The tables of the registry.
    static REGISTRY: Cell<[pg_sys::Oid; catalog::REGISTRY.len()]> =
        const { Cell::new([pg_sys::InvalidOid; catalog::REGISTRY.len()]) };
    /// Counts changes of watched tables and of the registry, as far as this backend has heard of them.
    static CHANGES: Cell<u32> = const { Cell::new(0) };
}

/// Something of a table has changed, or, if it is InvalidOid, of any.
pub fn relation_changed(relation: pg_sys::Oid) {
    if relation == pg_sys::InvalidOid || is_registry(relation) {
        forget_all();
        if is_registry(relation) {
            // Plans depend on their tables, but not on the registry.
            generation::drop_all_plans();
        }
    } else if WATCHED.with_borrow(|watched| watched.contains(&relation)) {
        KNOWN.with_borrow_mut(|known| known.remove(&relation));
        CHANGES.set(CHANGES.get().wrapping_add(1));
    }
}

/// Anything may have changed.
pub fn forget_all() {
    KNOWN.with_borrow_mut(HashMap::clear);
    WATCHED.with_borrow_mut(HashSet::clear);
    CHANGES.set(CHANGES.get().wrapping_add(1));
}

/// What changes whenever something does of a table that was asked about: also its name or a column's.
pub fn changes() -> u32 {
    CHANGES.get()
}

/// Hears of changes of the registry from now on.
pub fn listen() {
    REGISTRY.set(catalog::REGISTRY.map(own_table));
}

/// Counts changes of this table from now on.
pub fn watch(table: pg_sys::Oid) {
    listen();
    WATCHED.with_borrow_mut(|watched| watched.insert(table));
}

/// Is all there that protects this table?
pub fn is_whole(table: pg_sys::Oid) -> bool {
    generation::refresh();
    if let Some(known) = KNOWN.with_borrow(|known| known.get(&table).copied()) {
        return known;
    }
    watch(table);
    let before = changes();
    let whole = problems(table).is_empty();
    // What changed meanwhile may be half in it: good for now, but not for later.
    if changes() == before {
        KNOWN.with_borrow_mut(|known| known.insert(table, whole));
    }
    whole
}

/// Can be asked about tickets: the columns that the registry names are those that the policies ask.
pub fn are_tickets_whole(table: &TicketTable) -> bool {
    is_whole(table.oid) && table.followers.as_ref().is_none_or(|f| is_whole(f.oid))
}

/// The same of rows that belong to tickets.
pub fn is_child_whole(table: &ChildTable) -> bool {
    is_whole(table.oid)
        && match &table.parent {
            Parent::Tickets(tickets) => are_tickets_whole(tickets),
            Parent::Messages(messages) => is_child_whole(messages),
        }
}

/// What is missing of the protection of a table, in words.
pub fn problems(table: pg_sys::Oid) -> Vec<String> {
    let Some(root) = root_of(&Catalog::now(), table) else {
        return vec!["it is not protected".into()];
    };
    watch(root);
    // A rename that is under way is in some catalogs and not in others.
    hold(root);
    hold(table);
    let catalog = Catalog::now();
    let Some(kind) = kinds::find(&catalog, root) else {
        return vec!["what it is protected with is gone".into()];
    };
    let missing = missing_columns(&*kind, table);
    if missing.is_empty() {
        problems_of(&catalog, &*kind, table)
    } else {
        missing
    }
}

/// The columns that the registry names, and that are not there, or not of a type that they can have.
pub fn missing_columns(kind: &dyn Kind, table: pg_sys::Oid) -> Vec<String> {
    let is_there = |(column, holds): &(&str, Holds)| {
        attribute(table, column).is_some_and(|number| match holds {
            Holds::Keys => KeyType::of_column(kind.root(), column).is_some(),
            // SAFETY: a look-up in the system cache.
            Holds::Booleans => unsafe { pg_sys::get_atttype(table, number) == pg_sys::BOOLOID },
            Holds::Anything => true,
        })
    };
    let mut columns = kind.columns();
    columns.retain(|column| !is_there(column));
    columns
        .into_iter()
        .map(|(column, _)| format!("it has no such column \"{column}\" any more"))
        .collect()
}

fn problems_of(catalog: &Catalog, kind: &dyn Kind, table: pg_sys::Oid) -> Vec<String> {
    let mut problems = vec![];
    // SAFETY: the relation is open and locked while its policies and triggers are looked at.
    unsafe {
        let relation = pg_sys::try_relation_open(table, pg_sys::AccessShareLock as c_int);
        if relation.is_null() || table_name(table).is_none() {
            return vec!["it is gone".into()];
        }
        let class = &*(*relation).rd_rel;
        if !class.relrowsecurity {
            problems.push("row-level security is disabled".into());
        }
        if !class.relforcerowsecurity {
            problems.push("row-level security is not forced".into());
        }
        let policies = policies(&*relation).unwrap_or_default();
        // Names are looked up as whoever may use all schemas: who asks may be shown the table by a view.
        let _owner = RunAsOwner::of(own_table(c"protected_table"));
        let wanted = rule_policies(catalog, kind, table, has_children(catalog, kind));
        // What hung on messages may have been dropped since: then they ask for more than they need to.
        let strictest = rule_policies(catalog, kind, table, true);
        for ((name, sql), (_, strictest)) in wanted.into_iter().zip(strictest) {
            let mut all = policies.iter();
            match all.find(|policy| policy.name().to_bytes() == name.as_bytes()) {
                None => problems.push(format!("policy {name} is missing")),
                Some(found)
                    if is_made_by(*found, &sql, relation)
                        || is_made_by(*found, &strictest, relation) => {}
                Some(_) => {
                    problems.push(format!("policy {name} is not the one that belongs there"))
                }
            }
        }
        let there = triggers(&*relation);
        let wanted = kind.row_triggers();
        for trigger in wanted.iter().chain(&kind.statement_triggers()) {
            if !there.iter().any(|found| trigger.is_on(found)) {
                problems.push(format!(
                    "trigger {} is missing or does not fire",
                    trigger.name
                ));
            }
        }
        pg_sys::relation_close(relation, pg_sys::NoLock as c_int);
    }
    problems
}

/// Is the policy the one that this command would make?
///
/// # Safety
/// The relation is open.
unsafe fn is_made_by(policy: Policy, sql: &str, relation: pg_sys::Relation) -> bool {
    // SAFETY: the command is a CREATE POLICY, and so its parse tree of this type; the rest is as the caller promises.
    unsafe {
        let Ok(sql) = CString::new(sql) else {
            return false;
        };
        let parsed = pg_sys::raw_parser(sql.as_ptr(), pg_sys::RawParseMode::RAW_PARSE_DEFAULT);
        let [statement] = items::<pg_sys::RawStmt>(parsed) else {
            return false;
        };
        let command = &*(**statement).stmt.cast::<pg_sys::CreatePolicyStmt>();
        let letter = match CStr::from_ptr(command.cmd_name).to_bytes() {
            b"all" => b'*',
            b"select" => pg_sys::ACL_SELECT_CHR,
            b"insert" => pg_sys::ACL_INSERT_CHR,
            b"update" => pg_sys::ACL_UPDATE_CHR,
            b"delete" => pg_sys::ACL_DELETE_CHR,
            _ => return false,
        };
        let is = |expression, there: Option<Node>| {
            let tree = Node::new(analyzed(expression, relation));
            match (tree, there) {
                (Some(tree), Some(there)) => tree.equals(there),
                (tree, there) => tree.is_none() && there.is_none(),
            }
        };
        !policy.is_permissive()
            && policy.command() as u8 == letter
            && policy.is_for_everyone()
            && is(command.qual, policy.using())
            && is(command.with_check, policy.with_check())
    }
}

/// The tree of an expression of a policy, as CREATE POLICY makes it.
///
/// # Safety
/// The relation is open; the expression is of a parse tree, or null.
unsafe fn analyzed(expression: *mut pg_sys::Node, relation: pg_sys::Relation) -> *mut pg_sys::Node {
    // SAFETY: as the caller promises.
    unsafe {
        if expression.is_null() {
            return expression;
        }
        let state = pg_sys::make_parsestate(std::ptr::null_mut());
        let table = pg_sys::addRangeTableEntryForRelation(
            state,
            relation,
            pg_sys::AccessShareLock as c_int,
            std::ptr::null_mut(),
            false,
            false,
        );
        pg_sys::addNSItemToQuery(state, table, false, true, true);
        let kind = pg_sys::ParseExprKind::EXPR_KIND_POLICY;
        let tree = pg_sys::transformExpr(state, expression, kind);
        pg_sys::assign_expr_collations(state, tree);
        pg_sys::free_parsestate(state);
        tree
    }
}

// What the policy that opens a table asks

#[pg_extern(sql = false)]
fn base_ok(protected_table: Option<pg_sys::Oid>) -> bool {
    protected_table.is_some_and(is_whole)
}

#[pg_extern(sql = false)]
fn base_support(request: Internal) -> Internal {
    // SAFETY: called by the planner.
    unsafe {
        answer(request, |request| match request {
            Request::Simplify(request) => simplify(request),
            Request::Selectivity(_) | Request::IndexCondition(_) => None,
        })
    }
}

/// True or false, for a plan that is dropped when that changes.
fn simplify(request: Simplify) -> Option<Answer> {
    let call = request.call;
    // Without a plan to mark, the call must stay.
    let root = request.root?;
    let plan = root.plan()?;
    let table = call.table()?;
    // Plans hear of changes of their tables by themselves, but not of the registry's.
    plan.items().add(generation::TABLES_MARK);
    let is_open = is_whole(table) && !is_elsewhere(root, call.function(), table);
    Some(request.is(Clause::Constant(is_open)))
}

/// Has another table than this one a policy that asks about this one? It was copied there.
fn is_elsewhere(root: Root, function: pg_sys::Oid, table: pg_sys::Oid) -> bool {
    let query = root.query();
    let is_other = |entry: &pg_sys::RangeTblEntry| {
        entry.rtekind != pg_sys::RTEKind::RTE_RELATION || entry.relid != table
    };
    let asks = |condition| {
        // SAFETY: a part of the query, or null.
        let condition = unsafe { Node::new(condition) };
        condition.is_some_and(|condition| asks(condition, function, table))
    };
    // SAFETY: the lists have such entries.
    unsafe {
        let tables = items::<pg_sys::RangeTblEntry>(query.rtable);
        let read = tables
            .iter()
            .any(|entry| is_other(&**entry) && asks((**entry).securityQuals.cast()));
        let written = tables.get((query.resultRelation as usize).wrapping_sub(1));
        read || written.is_some_and(|entry| is_other(&**entry))
            && items::<pg_sys::WithCheckOption>(query.withCheckOptions)
                .iter()
                .any(|check| asks((**check).qual))
    }
}

/// Is this call in a condition, or in a list of some? Policies that open a table are joined by OR.
fn asks(condition: Node, function: pg_sys::Oid, table: pg_sys::Oid) -> bool {
    let asks = |part| asks(part, function, table);
    match condition.tag() {
        pg_sys::NodeTag::T_List => condition.items().any(asks),
        pg_sys::NodeTag::T_BoolExpr => condition.arguments().iter().copied().any(asks),
        _ => condition
            .call()
            .is_some_and(|call| call.function() == function && call.table() == Some(table)),
    }
}

/// Is it a table of the registry?
pub fn is_registry(table: pg_sys::Oid) -> bool {
    REGISTRY.get().contains(&table)
}
