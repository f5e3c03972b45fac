//! How many rows of a ticket table an agent may see or change, by PostgreSQL's statistics.

use std::cell::RefCell;
use std::collections::HashMap;

use deskguard_rules::{Action, Columns, past_silo_condition, silo_condition};
use pgrx::pg_sys;

use crate::pg::node::{Node, new_node};
use crate::pg::relation::attribute;
use crate::plan::condition::{Builder, TicketArguments};
use crate::plan::operand::Operand;
use crate::rights::cache::Agent;
use crate::signals::generation::{self, Tick};
use crate::tables::child_table::Parent;
use crate::tables::ticket_table::TicketTable;

#[derive(Clone, Copy)]
pub struct Estimate {
    /// Of all rows of the table.
    pub share: f64,
    pub rows: f64,
}

pub fn estimate(access: &Agent, parent: &Parent, action: Action) -> Estimate {
    let share = share_of_tickets(access, parent.tickets(), action);
    Estimate {
        share,
        rows: share * class(parent.oid()).rows,
    }
}

#[derive(Default)]
struct Shares {
    /// When a change last concerned anything here.
    of: Tick,
    /// With how many rows the table had when it was estimated.
    known: HashMap<(pg_sys::Oid, Action, i64), (f64, f64)>,
}

thread_local! {
    /// Kept, since an agent with many departments takes longer to estimate than to look up a ticket.
    static SHARES: RefCell<Shares> = RefCell::default();
}

/// How many estimates a backend keeps.
const MOST_SHARES: usize = 10_000;

fn share_of_tickets(access: &Agent, tickets: &TicketTable, action: Action) -> f64 {
    let class = class(tickets.oid);
    generation::refresh();
    let of = generation::last_concern();
    let key = (tickets.oid, action, access.agent);
    let known = SHARES.with_borrow_mut(|shares| {
        if shares.of != of || shares.known.len() >= MOST_SHARES {
            *shares = Shares {
                of,
                ..Shares::default()
            };
        }
        shares.known.get(&key).copied()
    });
    match known {
        Some((rows, share)) if rows == class.rows => share,
        _ => {
            let share = selectivity(access, tickets, action, &class);
            SHARES.with_borrow_mut(|shares| shares.known.insert(key, (class.rows, share)));
            share
        }
    }
}

struct Class {
    rows: f64,
    kind: std::ffi::c_char,
    has_children: bool,
}

/// What pg_class says of a table.
fn class(table: pg_sys::Oid) -> Class {
    // SAFETY: a look-up in the system cache.
    unsafe {
        let row = pg_sys::SearchSysCache1(
            pg_sys::SysCacheIdentifier::RELOID as i32,
            pg_sys::Datum::from(table),
        );
        if row.is_null() {
            return Class {
                rows: 0.0,
                kind: 0,
                has_children: false,
            };
        }
        let form = &*pg_sys::heap_tuple_get_struct::<pg_sys::FormData_pg_class>(row);
        let class = Class {
            rows: f64::from(form.reltuples).max(0.0),
            kind: form.relkind,
            has_children: form.relhassubclass,
        };
        pg_sys::ReleaseSysCache(row);
        class
    }
}

/// The share of tickets that fulfil the agent's condition, as the planner estimates it: with the least
/// of a plan that it needs for that.
fn selectivity(access: &Agent, tickets: &TicketTable, action: Action, class: &Class) -> f64 {
    // SAFETY: the nodes are new, and of their types; the planner gets what it reads of them for an estimate.
    unsafe {
        let entry = new_node::<pg_sys::RangeTblEntry>(pg_sys::NodeTag::T_RangeTblEntry);
        (*entry).rtekind = pg_sys::RTEKind::RTE_RELATION;
        (*entry).relid = tickets.oid;
        (*entry).relkind = class.kind;
        (*entry).rellockmode = pg_sys::AccessShareLock as i32;
        (*entry).inh = class.has_children;
        let relation = new_node::<pg_sys::RelOptInfo>(pg_sys::NodeTag::T_RelOptInfo);
        (*relation).reloptkind = pg_sys::RelOptKind::RELOPT_BASEREL;
        (*relation).relid = TICKETS;
        (*relation).relids = pg_sys::bms_make_singleton(TICKETS as i32);
        (*relation).rtekind = pg_sys::RTEKind::RTE_RELATION;
        (*relation).tuples = class.rows;
        (*relation).rows = class.rows;
        let query = new_node::<pg_sys::Query>(pg_sys::NodeTag::T_Query);
        (*query).commandType = pg_sys::CmdType::CMD_SELECT;
        (*query).rtable = pg_sys::lappend(std::ptr::null_mut(), entry.cast());
        let root = new_node::<pg_sys::PlannerInfo>(pg_sys::NodeTag::T_PlannerInfo);
        (*root).parse = query;
        (*root).glob = new_node(pg_sys::NodeTag::T_PlannerGlobal);
        (*root).query_level = 1;
        (*root).planner_cxt = pg_sys::CurrentMemoryContext;
        // Tables are counted from 1.
        let size = TICKETS as usize + 1;
        (*root).simple_rel_array_size = size as i32;
        (*root).simple_rel_array = pg_sys::palloc0(size * size_of::<usize>()).cast();
        *(*root).simple_rel_array.add(TICKETS as usize) = relation;
        (*root).simple_rte_array = pg_sys::palloc0(size * size_of::<usize>()).cast();
        *(*root).simple_rte_array.add(TICKETS as usize) = entry;

        let column = |name: &str| Some(Node::made(column(tickets.oid, name)?));
        let arguments = TicketArguments {
            table: tickets.oid,
            table_argument: Node::made(pg_sys::makeConst(
                pg_sys::REGCLASSOID,
                -1,
                pg_sys::InvalidOid,
                size_of::<pg_sys::Oid>() as i32,
                tickets.oid.into(),
                false,
                true,
            )),
            id: column(&tickets.id).and_then(Operand::of),
            id_type: Some(tickets.id_type),
            columns: Columns::each(|of| column(tickets.column(of)?)),
        };
        let builder = Builder {
            access,
            keys: &access.external_keys,
            table: tickets,
            arguments: &arguments,
        };
        let conditions = [
            silo_condition(access, tickets.shape()),
            past_silo_condition(access, tickets.shape(), action),
        ];
        let clauses = conditions
            .iter()
            .filter_map(|condition| builder.clause(condition))
            .fold(std::ptr::null_mut(), |list, clause| {
                pg_sys::lappend(list, clause.as_ptr().cast())
            });
        pg_sys::clauselist_selectivity(
            root,
            clauses,
            0,
            pg_sys::JoinType::JOIN_INNER,
            std::ptr::null_mut(),
        )
    }
}

/// The place of the ticket table in that plan.
const TICKETS: pg_sys::Index = 1;

fn column(table: pg_sys::Oid, name: &str) -> Option<*mut pg_sys::Node> {
    let number = attribute(table, name)?;
    // SAFETY: look-ups in the system cache, and new nodes.
    unsafe {
        let (mut type_oid, mut type_modifier, mut collation) =
            (pg_sys::InvalidOid, -1, pg_sys::InvalidOid);
        pg_sys::get_atttypetypmodcoll(
            table,
            number,
            &mut type_oid,
            &mut type_modifier,
            &mut collation,
        );
        let column = pg_sys::makeVar(TICKETS as _, number, type_oid, type_modifier, collation, 0);
        if type_oid != pg_sys::VARCHAROID {
            return Some(column.cast());
        }
        let text = pg_sys::makeRelabelType(
            column.cast(),
            pg_sys::TEXTOID,
            -1,
            collation,
            pg_sys::CoercionForm::COERCE_IMPLICIT_CAST,
        );
        Some(text.cast())
    }
}
