//! Makes the rules part of the plan.
//!
//! The functions that policies call have a planner support function. Asked to simplify a call, it
//! answers with the condition for the current agent as one would write it by hand: literals on the
//! table's own columns, or true or false. The plan is then the one that the hand-written query gets.
//! Plans are marked with the agent and the generation of rights that they were made for; a plan that
//! is older than a change of rights is never run.

use std::cell::Cell;
use std::ffi::c_int;

use deskguard_rules::{
    Access, Action, Change, Column, Condition, Level, Shape, create_condition, move_to,
    past_silo_condition, silo_condition,
};
use pgrx::prelude::*;
use pgrx::{Internal, pg_sys};

use crate::catalog::own_function;
use crate::identity::{PlanAgent, current_agent};
use crate::protected::TicketTable;
use crate::{cache, error, settings};

#[pg_extern(sql = false)]
fn rule_support(request: Internal) -> Internal {
    // SAFETY: the planner calls this with a node that tells its type.
    let answer = request.unwrap().and_then(|datum| unsafe {
        let node = datum.cast_mut_ptr::<pg_sys::Node>();
        match (*node).type_ {
            pg_sys::NodeTag::T_SupportRequestSimplify => simplify(&*node.cast()),
            _ => None,
        }
    });
    // No answer is a null pointer, not NULL.
    Internal::from(Some(answer.map_or(0.into(), pg_sys::Datum::from)))
}

/// # Safety
/// As called by the planner.
unsafe fn simplify(request: &pg_sys::SupportRequestSimplify) -> Option<*mut pg_sys::Node> {
    unsafe {
        // Without a plan to mark, the call must stay.
        if request.root.is_null() || (*request.root).glob.is_null() {
            return None;
        }
        let call = &*request.fcall;
        let arguments = Arguments::of(call)?;
        let generation = cache::refresh();
        let agent = current_agent();
        mark(&mut *(*request.root).glob, Mark { generation, agent });
        if !settings::folding() {
            return None;
        }
        let rule = Rule::of(call.funcid)?;
        let who = agent
            .and_then(cache::access)
            .zip(cache::ticket_table(arguments.table));
        // All policies of a table hold together. Where one is false the other may be true, and then
        // PostgreSQL sees that there are no rows: before 17 it does not if there are two conditions.
        let expression = match who {
            Some((access, table)) => {
                let builder = Builder {
                    access: &access,
                    table: &table,
                    arguments: &arguments,
                };
                builder.expression(&rule.condition(&access, table.shape())?)?
            }
            None => boolean(matches!(rule, Rule::Silo)),
        };
        Some(expression)
    }
}

/// The function that a policy calls.
enum Rule {
    Silo,
    Create,
    /// Asked of the row after an UPDATE.
    Move,
    Action(Action),
}

impl Rule {
    unsafe fn of(function: pg_sys::Oid) -> Option<Rule> {
        // SAFETY: a look-up in the system cache; the answer is a palloc'd copy.
        let name = unsafe {
            let name = pg_sys::get_func_name(function);
            if name.is_null() {
                return None;
            }
            std::ffi::CStr::from_ptr(name)
        };
        match name.to_bytes() {
            b"silo_ok" => Some(Rule::Silo),
            b"create_ok" => Some(Rule::Create),
            b"move_ok" => Some(Rule::Move),
            b"view_ok" => Some(Rule::Action(Action::View)),
            b"modify_ok" => Some(Rule::Action(Action::Change(Change::Modify))),
            b"delete_ok" => Some(Rule::Action(Action::Change(Change::Delete))),
            _ => None,
        }
    }

    /// None if the call must stay.
    fn condition(&self, access: &Access, shape: Shape) -> Option<Condition> {
        let silo = silo_condition(access, shape);
        Some(match self {
            Rule::Silo => silo,
            _ if silo == Condition::Constant(false) => Condition::Constant(true),
            Rule::Create => create_condition(access, shape),
            // A ticket may also stay where it is, which only the call knows; but an agent that may
            // move tickets to no department at all may move them anywhere.
            Rule::Move if move_to(access, Column::Value(None)) => Condition::Constant(true),
            Rule::Move => return None,
            Rule::Action(action) => past_silo_condition(access, shape, *action),
        })
    }
}

/// The arguments of a call: the columns, as far as the function has them.
struct Arguments {
    table: pg_sys::Oid,
    table_argument: *mut pg_sys::Node,
    id: Option<Operand>,
    category: Option<Operand>,
    department: Option<Operand>,
    assignee: Option<Operand>,
    team: Option<Operand>,
}

impl Arguments {
    unsafe fn of(call: &pg_sys::FuncExpr) -> Option<Arguments> {
        unsafe {
            let argument = |n| -> Option<*mut pg_sys::Node> {
                (n < pg_sys::list_length(call.args)).then(|| pg_sys::list_nth(call.args, n).cast())
            };
            let table_argument = argument(0)?;
            if (*table_argument).type_ != pg_sys::NodeTag::T_Const {
                return None;
            }
            let constant = &*table_argument.cast::<pg_sys::Const>();
            if constant.constisnull {
                return None;
            }
            let operand = |n| argument(n).and_then(|node| Operand::of(node));
            let mut arguments = Arguments {
                table: pg_sys::Oid::from_datum(constant.constvalue, false)?,
                table_argument,
                id: None,
                category: None,
                department: None,
                assignee: None,
                team: None,
            };
            match Rule::of(call.funcid)? {
                Rule::Silo => arguments.category = operand(1),
                Rule::Create => arguments.department = operand(1),
                Rule::Move => arguments.department = operand(2),
                Rule::Action(_) => {
                    arguments.id = operand(1);
                    arguments.department = operand(2);
                    arguments.assignee = operand(3);
                    arguments.team = operand(4);
                }
            }
            Some(arguments)
        }
    }
}

/// An integer expression, without the cast to bigint that the call put on it, so that it fits the
/// column's own index.
#[derive(Clone, Copy)]
struct Operand {
    node: *mut pg_sys::Node,
    integer: &'static Integer,
}

/// What the planner must know of an integer type.
struct Integer {
    oid: pg_sys::Oid,
    array: pg_sys::Oid,
    length: i16,
    equal: u32,
    not_equal: u32,
}

static INT2: Integer = Integer {
    oid: pg_sys::INT2OID,
    array: pg_sys::INT2ARRAYOID,
    length: 2,
    equal: 94,
    not_equal: 519,
};
static INT4: Integer = Integer {
    oid: pg_sys::INT4OID,
    array: pg_sys::INT4ARRAYOID,
    length: 4,
    equal: 96,
    not_equal: 518,
};
static INT8: Integer = Integer {
    oid: pg_sys::INT8OID,
    array: pg_sys::INT8ARRAYOID,
    length: 8,
    equal: 410,
    not_equal: 411,
};

impl Integer {
    /// The value in this type; none if it does not fit, so that no column can equal it.
    fn datum(&self, value: i64) -> Option<pg_sys::Datum> {
        match self.length {
            2 => i16::try_from(value).ok().map(pg_sys::Datum::from),
            4 => i32::try_from(value).ok().map(pg_sys::Datum::from),
            _ => Some(value.into()),
        }
    }
}

impl Operand {
    unsafe fn of(node: *mut pg_sys::Node) -> Option<Operand> {
        unsafe {
            let mut node = node;
            if (*node).type_ == pg_sys::NodeTag::T_FuncExpr {
                let cast = &*node.cast::<pg_sys::FuncExpr>();
                if [pg_sys::F_INT8_INT2, pg_sys::F_INT8_INT4].contains(&cast.funcid.to_u32()) {
                    node = pg_sys::list_nth(cast.args, 0).cast();
                }
            }
            let integer = match pg_sys::exprType(node) {
                pg_sys::INT2OID => &INT2,
                pg_sys::INT4OID => &INT4,
                pg_sys::INT8OID => &INT8,
                _ => return None,
            };
            Some(Operand { node, integer })
        }
    }

    /// The expression, for one use in the plan.
    unsafe fn copy(&self) -> *mut pg_sys::Node {
        unsafe { pg_sys::copyObjectImpl(self.node.cast()).cast() }
    }

    unsafe fn constant(&self, value: pg_sys::Datum) -> *mut pg_sys::Expr {
        unsafe {
            pg_sys::makeConst(
                self.integer.oid,
                -1,
                pg_sys::InvalidOid,
                self.integer.length.into(),
                value,
                false,
                true,
            )
            .cast()
        }
    }

    unsafe fn compare(&self, operator: u32, value: pg_sys::Datum) -> *mut pg_sys::Node {
        unsafe {
            let clause = pg_sys::make_opclause(
                operator.into(),
                pg_sys::BOOLOID,
                false,
                self.copy().cast(),
                self.constant(value),
                pg_sys::InvalidOid,
                pg_sys::InvalidOid,
            );
            pg_sys::set_opfuncid(clause.cast());
            clause.cast()
        }
    }

    /// `operand = value`
    unsafe fn equals(&self, value: i64) -> *mut pg_sys::Node {
        match self.integer.datum(value) {
            Some(datum) => unsafe { self.compare(self.integer.equal, datum) },
            None => unsafe { boolean(false) },
        }
    }

    /// `operand = ANY (values)`, or `operand <> ALL (values)`
    unsafe fn any_of(&self, values: &[i64], negated: bool) -> *mut pg_sys::Node {
        unsafe {
            let operator = if negated {
                self.integer.not_equal
            } else {
                self.integer.equal
            };
            let mut datums: Vec<pg_sys::Datum> = values
                .iter()
                .filter_map(|value| self.integer.datum(*value))
                .collect();
            match datums.as_slice() {
                [] => return boolean(negated),
                [one] => return self.compare(operator, *one),
                _ => {}
            }
            let array = pg_sys::construct_array(
                datums.as_mut_ptr(),
                datums.len() as c_int,
                self.integer.oid,
                self.integer.length.into(),
                true,
                match self.integer.length {
                    2 => pg_sys::TYPALIGN_SHORT,
                    4 => pg_sys::TYPALIGN_INT,
                    _ => pg_sys::TYPALIGN_DOUBLE,
                } as std::ffi::c_char,
            );
            let list = pg_sys::makeConst(
                self.integer.array,
                -1,
                pg_sys::InvalidOid,
                -1,
                pg_sys::Datum::from(array),
                false,
                false,
            );
            any_of_list(self.copy(), operator.into(), list.cast(), negated)
        }
    }

    /// `operand IS [NOT] NULL`
    unsafe fn is_null(&self, negated: bool) -> *mut pg_sys::Node {
        unsafe {
            let test = new_node::<pg_sys::NullTest>(pg_sys::NodeTag::T_NullTest);
            (*test).arg = self.copy().cast();
            (*test).nulltesttype = if negated {
                pg_sys::NullTestType::IS_NOT_NULL
            } else {
                pg_sys::NullTestType::IS_NULL
            };
            (*test).location = -1;
            test.cast()
        }
    }
}

/// Turns a condition into an expression of the planner.
struct Builder<'a> {
    access: &'a Access,
    table: &'a TicketTable,
    arguments: &'a Arguments,
}

impl Builder<'_> {
    unsafe fn expression(&self, condition: &Condition) -> Option<*mut pg_sys::Node> {
        unsafe {
            Some(match condition {
                Condition::Constant(value) => boolean(*value),
                Condition::Category => {
                    let column = self.arguments.category?;
                    one_of(column, self.access.categories(), c"has_category")?
                }
                Condition::Department(level) => {
                    let column = self.arguments.department?;
                    let function = match level {
                        Level::Full => c"has_department",
                        Level::Assign => c"may_assign_to",
                    };
                    one_of(column, self.access.departments_at(*level), function)?
                }
                Condition::Own => any(self.own()?),
                Condition::NotOwn => all(self.not_own()?),
                Condition::Unassigned => all(self.unassigned()),
                Condition::NotUnassigned => any(self.not_unassigned()),
                Condition::Followed => self.followed()?,
                Condition::All(parts) => all(self.expressions(parts)?),
                Condition::Any(parts) => any(self.expressions(parts)?),
            })
        }
    }

    unsafe fn expressions(&self, parts: &[Condition]) -> Option<Vec<*mut pg_sys::Node>> {
        parts
            .iter()
            .map(|part| unsafe { self.expression(part) })
            .collect()
    }

    /// The column, if the table has it: an absent one is NULL in the call.
    fn assignee(&self) -> Option<Operand> {
        self.arguments
            .assignee
            .filter(|_| self.table.assignee.is_some())
    }

    fn team(&self) -> Option<Operand> {
        self.arguments.team.filter(|_| self.table.team.is_some())
    }

    /// An agent with the id that means "unassigned" has no tickets of its own by assignee.
    fn can_be_assigned(&self) -> bool {
        self.table.unassigned_value != Some(self.access.agent)
    }

    unsafe fn own(&self) -> Option<Vec<*mut pg_sys::Node>> {
        unsafe {
            let mut parts = vec![];
            if let Some(assignee) = self.assignee().filter(|_| self.can_be_assigned()) {
                parts.push(assignee.equals(self.access.agent));
            }
            if let Some(team) = self.team() {
                parts.push(one_of(team, self.access.teams(), c"in_team")?);
            }
            Some(parts)
        }
    }

    unsafe fn not_own(&self) -> Option<Vec<*mut pg_sys::Node>> {
        unsafe {
            let mut parts = vec![];
            if let Some(assignee) = self.assignee().filter(|_| self.can_be_assigned()) {
                parts.push(any(vec![
                    assignee.is_null(false),
                    assignee.any_of(&[self.access.agent], true),
                ]));
            }
            if let Some(team) = self.team() {
                parts.push(any(vec![
                    team.is_null(false),
                    match short(self.access.teams()) {
                        Some(teams) => team.any_of(teams, true),
                        None => not(one_of(team, self.access.teams(), c"in_team")?),
                    },
                ]));
            }
            Some(parts)
        }
    }

    unsafe fn unassigned(&self) -> Vec<*mut pg_sys::Node> {
        unsafe {
            let mut parts = vec![];
            if let Some(assignee) = self.assignee() {
                let mut nobody = vec![assignee.is_null(false)];
                if let Some(value) = self.table.unassigned_value {
                    nobody.push(assignee.equals(value));
                }
                parts.push(any(nobody));
            }
            if let Some(team) = self.team() {
                parts.push(team.is_null(false));
            }
            parts
        }
    }

    unsafe fn not_unassigned(&self) -> Vec<*mut pg_sys::Node> {
        unsafe {
            let mut parts = vec![];
            if let Some(assignee) = self.assignee() {
                parts.push(match self.table.unassigned_value {
                    // NULL fails the comparison, too.
                    Some(value) => assignee.any_of(&[value], true),
                    None => assignee.is_null(true),
                });
            }
            if let Some(team) = self.team() {
                parts.push(team.is_null(true));
            }
            parts
        }
    }

    /// `deskguard.followed(table, id)`: followers are data, not rights, and read when the query runs.
    unsafe fn followed(&self) -> Option<*mut pg_sys::Node> {
        unsafe {
            let id = self.arguments.id?;
            let function = own_function(c"followed", &[pg_sys::REGCLASSOID, id.integer.oid])?;
            let table = pg_sys::copyObjectImpl(self.arguments.table_argument.cast()).cast();
            Some(function_call(function, &[table, id.copy()]))
        }
    }
}

/// A list that is short enough for literals.
fn short(ids: &[i64]) -> Option<&[i64]> {
    (ids.len() <= settings::fold_limit()).then_some(ids)
}

/// The column is one of the agent's ids: as literals, or by a function that looks them up if they
/// are too many.
unsafe fn one_of(
    column: Operand,
    ids: &[i64],
    function: &std::ffi::CStr,
) -> Option<*mut pg_sys::Node> {
    unsafe {
        match short(ids) {
            Some(ids) => Some(column.any_of(ids, false)),
            None => {
                let function = own_function(function, &[column.integer.oid])?;
                Some(function_call(function, &[column.copy()]))
            }
        }
    }
}

/// `operand = ANY (list)`, or `operand <> ALL (list)`, with the operator for it.
///
/// # Safety
/// The operand and the list are expressions that the operator takes.
pub unsafe fn any_of_list(
    operand: *mut pg_sys::Node,
    operator: pg_sys::Oid,
    list: *mut pg_sys::Node,
    negated: bool,
) -> *mut pg_sys::Node {
    unsafe {
        let clause = new_node::<pg_sys::ScalarArrayOpExpr>(pg_sys::NodeTag::T_ScalarArrayOpExpr);
        (*clause).opno = operator;
        (*clause).opfuncid = pg_sys::get_opcode(operator);
        (*clause).useOr = !negated;
        (*clause).args = nodes(&[operand, list]);
        (*clause).location = -1;
        clause.cast()
    }
}

unsafe fn function_call(
    function: pg_sys::Oid,
    arguments: &[*mut pg_sys::Node],
) -> *mut pg_sys::Node {
    unsafe {
        pg_sys::makeFuncExpr(
            function,
            pg_sys::BOOLOID,
            nodes(arguments),
            pg_sys::InvalidOid,
            pg_sys::InvalidOid,
            pg_sys::CoercionForm::COERCE_EXPLICIT_CALL,
        )
        .cast()
    }
}

unsafe fn not(part: *mut pg_sys::Node) -> *mut pg_sys::Node {
    unsafe { pg_sys::makeBoolExpr(pg_sys::BoolExprType::NOT_EXPR, nodes(&[part]), -1).cast() }
}

unsafe fn boolean(value: bool) -> *mut pg_sys::Node {
    unsafe { pg_sys::makeBoolConst(value, false) }
}

/// A node of the planner, zeroed.
unsafe fn new_node<T>(tag: pg_sys::NodeTag) -> *mut T {
    unsafe {
        let node = pg_sys::palloc0(std::mem::size_of::<T>()).cast::<pg_sys::Node>();
        (*node).type_ = tag;
        node.cast()
    }
}

unsafe fn nodes(all: &[*mut pg_sys::Node]) -> *mut pg_sys::List {
    all.iter().fold(std::ptr::null_mut(), |list, node| unsafe {
        pg_sys::lappend(list, node.cast())
    })
}

unsafe fn is_constant(node: *mut pg_sys::Node, value: bool) -> bool {
    unsafe {
        (*node).type_ == pg_sys::NodeTag::T_Const
            && (*node.cast::<pg_sys::Const>()).constvalue.value() == usize::from(value)
    }
}

/// Joins parts by AND, without those that are always true.
unsafe fn all(parts: Vec<*mut pg_sys::Node>) -> *mut pg_sys::Node {
    unsafe {
        if parts.iter().any(|part| is_constant(*part, false)) {
            return boolean(false);
        }
        let parts: Vec<_> = parts
            .into_iter()
            .filter(|part| !is_constant(*part, true))
            .collect();
        match parts.as_slice() {
            [] => boolean(true),
            [one] => *one,
            _ => pg_sys::make_andclause(nodes(&parts)).cast(),
        }
    }
}

/// Joins parts by OR, without those that are never true. Nested ORs become one, so that the
/// planner sees all its arms.
unsafe fn any(parts: Vec<*mut pg_sys::Node>) -> *mut pg_sys::Node {
    unsafe {
        if parts.iter().any(|part| is_constant(*part, true)) {
            return boolean(true);
        }
        let mut flat = vec![];
        for part in parts {
            let or = part.cast::<pg_sys::BoolExpr>();
            if is_constant(part, false) {
                continue;
            } else if (*part).type_ == pg_sys::NodeTag::T_BoolExpr
                && (*or).boolop == pg_sys::BoolExprType::OR_EXPR
            {
                for n in 0..pg_sys::list_length((*or).args) {
                    flat.push(pg_sys::list_nth((*or).args, n).cast());
                }
            } else {
                flat.push(part);
            }
        }
        match flat.as_slice() {
            [] => boolean(false),
            [one] => *one,
            _ => pg_sys::make_orclause(nodes(&flat)).cast(),
        }
    }
}

// Marks on plans

/// For whom and of which generation of rights a plan was made.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Mark {
    generation: u32,
    agent: Option<i64>,
}

/// The marks are kept in the plan's list of what it depends on, as items of caches that do not
/// exist: they are copied with the plan, and nothing else looks at them.
const GENERATION_ITEM: c_int = -7001;
const AGENT_LOW_ITEM: c_int = -7002;
const AGENT_HIGH_ITEM: c_int = -7003;

thread_local! {
    /// The generation of the plan made last, and the start of the statement that it was made for.
    static MADE_LAST: Cell<Option<(u32, pg_sys::TimestampTz)>> = const { Cell::new(None) };
}

unsafe fn mark(plan: &mut pg_sys::PlannerGlobal, mark: Mark) {
    unsafe {
        if marks(plan.invalItems).contains(&mark) {
            return;
        }
        let mut add = |cache, hash| {
            let item = new_node::<pg_sys::PlanInvalItem>(pg_sys::NodeTag::T_PlanInvalItem);
            (*item).cacheId = cache;
            (*item).hashValue = hash;
            plan.invalItems = pg_sys::lappend(plan.invalItems, item.cast());
        };
        // The agent follows its generation.
        add(cache::PLAN_MARK.0, cache::PLAN_MARK.1);
        add(GENERATION_ITEM, mark.generation);
        if let Some(agent) = mark.agent {
            add(AGENT_LOW_ITEM, agent as u32);
            add(AGENT_HIGH_ITEM, (agent >> 32) as u32);
        }
        let statement = pg_sys::GetCurrentStatementStartTimestamp();
        MADE_LAST.set(Some((mark.generation, statement)));
    }
}

unsafe fn marks(items: *mut pg_sys::List) -> Vec<Mark> {
    let mut found: Vec<Mark> = vec![];
    unsafe {
        for n in 0..pg_sys::list_length(items) {
            let item = &*pg_sys::list_nth(items, n).cast::<pg_sys::PlanInvalItem>();
            let hash = item.hashValue;
            match (item.cacheId, found.last_mut()) {
                (GENERATION_ITEM, _) => found.push(Mark {
                    generation: hash,
                    agent: None,
                }),
                (AGENT_LOW_ITEM, Some(mark)) => mark.agent = Some(hash.into()),
                (AGENT_HIGH_ITEM, Some(mark)) => {
                    let low = mark.agent.unwrap_or(0);
                    mark.agent = Some(i64::from(hash) << 32 | low);
                }
                _ => {}
            }
        }
    }
    found
}

thread_local! {
    static NEXT_START: Cell<pg_sys::ExecutorStart_hook_type> = const { Cell::new(None) };
    static NEXT_RUN: Cell<pg_sys::ExecutorRun_hook_type> = const { Cell::new(None) };
}

pub fn register_hooks() {
    // SAFETY: while the library is loaded.
    unsafe {
        NEXT_START.set(pg_sys::ExecutorStart_hook);
        pg_sys::ExecutorStart_hook = Some(executor_start);
        NEXT_RUN.set(pg_sys::ExecutorRun_hook);
        pg_sys::ExecutorRun_hook = Some(executor_run);
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn executor_start(query: *mut pg_sys::QueryDesc, flags: c_int) {
    // SAFETY: called by the executor.
    unsafe {
        let plan = (*query).plannedstmt;
        if !plan.is_null() && flags & pg_sys::EXEC_FLAG_EXPLAIN_ONLY as c_int == 0 {
            check_plan(&*plan);
        }
        match NEXT_START.get() {
            Some(next) => next(query, flags),
            None => pg_sys::standard_ExecutorStart(query, flags),
        }
    }
}

/// What is left of the rules is asked for the agent of the plan, also where a cursor is read after
/// the session went on to another agent.
unsafe fn pin_agent(query: *mut pg_sys::QueryDesc) -> Option<PlanAgent> {
    unsafe {
        let plan = (*query).plannedstmt.as_ref()?;
        let mark = marks(plan.invalItems).first().copied()?;
        Some(PlanAgent::of(mark.agent))
    }
}

#[cfg(not(feature = "pg18"))]
#[pg_guard]
unsafe extern "C-unwind" fn executor_run(
    query: *mut pg_sys::QueryDesc,
    direction: pg_sys::ScanDirection::Type,
    count: u64,
    once: bool,
) {
    // SAFETY: called by the executor.
    unsafe {
        let _agent = pin_agent(query);
        match NEXT_RUN.get() {
            Some(next) => next(query, direction, count, once),
            None => pg_sys::standard_ExecutorRun(query, direction, count, once),
        }
    }
}

#[cfg(feature = "pg18")]
#[pg_guard]
unsafe extern "C-unwind" fn executor_run(
    query: *mut pg_sys::QueryDesc,
    direction: pg_sys::ScanDirection::Type,
    count: u64,
) {
    // SAFETY: called by the executor.
    unsafe {
        let _agent = pin_agent(query);
        match NEXT_RUN.get() {
            Some(next) => next(query, direction, count),
            None => pg_sys::standard_ExecutorRun(query, direction, count),
        }
    }
}

/// Refuses to run a plan that was made for other rights than those that hold now.
///
/// The plan cache drops plans when it hears of a change, but a statement that holds its locks already
/// hears of nothing. So messages are accepted here; if there was one, the plan is older than the
/// change. A plan just made for this very statement may be run: the statement began before.
unsafe fn check_plan(plan: &pg_sys::PlannedStmt) {
    let marks = unsafe { marks(plan.invalItems) };
    let Some(first) = marks.first() else {
        return;
    };
    let generation = cache::refresh();
    let statement = unsafe { pg_sys::GetCurrentStatementStartTimestamp() };
    let just_made = MADE_LAST.take() == Some((first.generation, statement));
    let is_current = first.generation == generation || just_made;
    if marks.len() == 1 && is_current && first.agent == current_agent() {
        return;
    }
    error::raise(
        PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE,
        "the rights of an agent changed while the statement was about to start",
        "Retry the transaction.",
    );
}
