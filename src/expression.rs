//! Conditions as expressions of the planner.

use std::ffi::CString;

use deskguard_rules::{Access, Condition, IdSet, Level, Moment};
use pgrx::datum::FromDatum;
use pgrx::pg_sys;

use crate::catalog::own_function;
use crate::external_key::{ExternalKeys, Principal};
use crate::fold::Arguments;
use crate::key::{Key, KeyRef};
use crate::literal::{ColumnType, Literal, Literals};
use crate::protected::TicketTable;
use crate::settings;
use crate::statement::CALL_OF_PLAN;

/// A column of keys as the table has it, without what the call put around it, so that it fits the
/// column's own index: a cast to bigint, or the function from external keys to ids.
#[derive(Clone, Copy)]
pub struct Operand {
    node: *mut pg_sys::Node,
    column_type: ColumnType,
    /// Whose keys the column has.
    principal: Option<Principal>,
}

impl Operand {
    pub unsafe fn of(node: *mut pg_sys::Node) -> Option<Operand> {
        unsafe {
            let (mut node, mut principal) = (node, None);
            if let Some(call) = as_node::<pg_sys::FuncExpr>(node) {
                let casts = [pg_sys::F_INT8_INT2, pg_sys::F_INT8_INT4];
                let is_cast = casts.contains(&call.funcid.to_u32());
                if !is_cast {
                    principal = Principal::of_function(call.funcid);
                }
                if is_cast || principal.is_some() {
                    node = *items(call.args).first()?;
                }
            }
            Some(Operand {
                node,
                column_type: comparable(node)?,
                principal,
            })
        }
    }

    /// A column as it stands in the table.
    pub unsafe fn of_column(
        column: *mut pg_sys::Node,
        principal: Option<Principal>,
    ) -> Option<Operand> {
        let mut operand = unsafe { Operand::of(column) }?;
        operand.principal = principal;
        Some(operand)
    }

    pub fn node(&self) -> *mut pg_sys::Node {
        self.node
    }

    /// The expression, for one use in the plan.
    pub unsafe fn copy(&self) -> *mut pg_sys::Node {
        unsafe { pg_sys::copyObjectImpl(self.node.cast()).cast() }
    }

    pub fn type_oid(&self) -> pg_sys::Oid {
        self.column_type.oid()
    }

    unsafe fn compare(&self, operator: pg_sys::Oid, value: Literal) -> *mut pg_sys::Node {
        unsafe {
            let clause = pg_sys::make_opclause(
                operator,
                pg_sys::BOOLOID,
                false,
                self.copy().cast(),
                value.constant().cast(),
                pg_sys::InvalidOid,
                pg_sys::exprCollation(self.node),
            );
            pg_sys::set_opfuncid(clause.cast());
            clause.cast()
        }
    }

    /// `operand = ANY (values)`, or `operand <> ALL (values)`
    pub unsafe fn any_of<'a>(
        &self,
        values: impl IntoIterator<Item = KeyRef<'a>>,
        negated: bool,
    ) -> *mut pg_sys::Node {
        unsafe {
            let operator = self.column_type.operator(negated);
            let literals = Literals::new(self.column_type, values);
            match literals.as_slice() {
                [] => return boolean(negated),
                [one] => return self.compare(operator, *one),
                _ => {}
            }
            let collation = pg_sys::exprCollation(self.node);
            any_of_list(self.copy(), operator, literals.array(), negated, collation)
        }
    }

    /// The same for ids of deskguard's, as the column names them.
    pub unsafe fn any_id_of(
        &self,
        ids: &[i64],
        keys: &ExternalKeys,
        negated: bool,
    ) -> *mut pg_sys::Node {
        let key = |id: &i64| match self.principal {
            Some(principal) => keys.key(principal, *id, self.column_type.key_type()),
            None => Some(Key::Number(*id)),
        };
        unsafe { self.any_of(ids.iter().filter_map(key), negated) }
    }

    /// `operand IS [NOT] NULL`
    unsafe fn is_null(&self, negated: bool) -> *mut pg_sys::Node {
        unsafe { is_null(self.copy(), negated) }
    }
}

/// The type of an expression, if it is one of keys, which are compared byte by byte.
unsafe fn comparable(node: *mut pg_sys::Node) -> Option<ColumnType> {
    unsafe {
        let collation = pg_sys::exprCollation(node);
        let is_bytewise =
            collation == pg_sys::InvalidOid || pg_sys::get_collation_isdeterministic(collation);
        ColumnType::of(node).filter(|_| is_bytewise)
    }
}

/// `operand IS [NOT] NULL`
///
/// # Safety
/// The operand is an expression of its own.
pub unsafe fn is_null(operand: *mut pg_sys::Node, negated: bool) -> *mut pg_sys::Node {
    unsafe {
        let test = new_node::<pg_sys::NullTest>(pg_sys::NodeTag::T_NullTest);
        (*test).arg = operand.cast();
        (*test).nulltesttype = if negated {
            pg_sys::NullTestType::IS_NOT_NULL
        } else {
            pg_sys::NullTestType::IS_NULL
        };
        (*test).location = -1;
        test.cast()
    }
}

/// What holds now, until a moment, and from then on what a call answers when the query runs. `always`
/// holds whenever one of the two does: it is what an index can use.
///
/// In this form rather than as "one or the other", since the planner then takes the condition on the
/// call, which it knows to take no rows away, for no condition at all.
///
/// # Safety
/// Conditions on the same rows.
pub unsafe fn until(
    moment: Moment,
    now: *mut pg_sys::Node,
    always: *mut pg_sys::Node,
    call: *mut pg_sys::Node,
) -> *mut pg_sys::Node {
    /// Operators "timestamptz < timestamptz" and ">=".
    const BEFORE: u32 = 1322;
    const NOT_BEFORE: u32 = 1325;
    unsafe {
        let mut parts = vec![always];
        if !pg_sys::equal(now.cast(), always.cast()) {
            parts.push(any(vec![now, transaction_is(NOT_BEFORE, moment)]));
        }
        parts.push(any(vec![transaction_is(BEFORE, moment), call]));
        all(parts)
    }
}

/// Compares now() with a moment.
unsafe fn transaction_is(operator: u32, moment: Moment) -> *mut pg_sys::Node {
    unsafe {
        let now = pg_sys::makeFuncExpr(
            pg_sys::F_NOW.into(),
            pg_sys::TIMESTAMPTZOID,
            std::ptr::null_mut(),
            pg_sys::InvalidOid,
            pg_sys::InvalidOid,
            pg_sys::CoercionForm::COERCE_EXPLICIT_CALL,
        );
        let moment = pg_sys::makeConst(
            pg_sys::TIMESTAMPTZOID,
            -1,
            pg_sys::InvalidOid,
            8,
            moment.into(),
            false,
            true,
        );
        let clause = pg_sys::make_opclause(
            operator.into(),
            pg_sys::BOOLOID,
            false,
            now.cast(),
            moment.cast(),
            pg_sys::InvalidOid,
            pg_sys::InvalidOid,
        );
        pg_sys::set_opfuncid(clause.cast());
        clause.cast()
    }
}

/// Turns a condition into an expression of the planner.
pub struct Builder<'a> {
    pub access: &'a Access,
    pub keys: &'a ExternalKeys,
    pub table: &'a TicketTable,
    pub arguments: &'a Arguments,
}

impl Builder<'_> {
    pub unsafe fn expression(&self, condition: &Condition) -> Option<*mut pg_sys::Node> {
        unsafe {
            Some(match condition {
                Condition::Constant(value) => boolean(*value),
                Condition::Category => {
                    let column = self.arguments.category?;
                    self.one_of(column, Principal::Category, self.access.categories())?
                }
                Condition::Department => {
                    let column = self.arguments.department?;
                    let departments = self.access.departments_at(Level::Full);
                    self.one_of(column, Principal::Department, departments)?
                }
                Condition::Own => any(self.own()?),
                Condition::NotOwn => all(self.not_own()?),
                Condition::Unassigned => all(self.unassigned()),
                Condition::NotUnassigned => any(self.not_unassigned()),
                Condition::Followed => self.followed()?,
                // NULL is not true either: where it is not known, a ticket counts as confidential.
                Condition::NotConfidential => {
                    not(pg_sys::copyObjectImpl(self.arguments.confidential?.cast()).cast())
                }
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
                parts.push(assignee.any_id_of(&[self.access.agent], self.keys, false));
            }
            if let Some(team) = self.team() {
                parts.push(self.one_of(team, Principal::Team, self.access.teams())?);
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
                    assignee.any_id_of(&[self.access.agent], self.keys, true),
                ]));
            }
            if let Some(team) = self.team() {
                parts.push(any(vec![
                    team.is_null(false),
                    match short(self.access.teams()) {
                        Some(teams) => team.any_id_of(teams, self.keys, true),
                        None => not(self.one_of(team, Principal::Team, self.access.teams())?),
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
                    nobody.push(assignee.any_id_of(&[value], self.keys, false));
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
                    Some(value) => assignee.any_id_of(&[value], self.keys, true),
                    None => assignee.is_null(true),
                });
            }
            if let Some(team) = self.team() {
                parts.push(team.is_null(true));
            }
            parts
        }
    }

    /// `deskguard_internal.followed(table, id)`: followers are data, not rights, and read when the query runs.
    unsafe fn followed(&self) -> Option<*mut pg_sys::Node> {
        unsafe {
            let id = self.arguments.id?;
            let function = own_function(c"followed", &[pg_sys::REGCLASSOID, id.type_oid()])?;
            let table = pg_sys::copyObjectImpl(self.arguments.table_argument.cast()).cast();
            Some(function_call(function, &[table, id.copy()]))
        }
    }

    /// The column is one of the agent's ids: as literals, or by a function that looks them up if they
    /// are too many.
    unsafe fn one_of(
        &self,
        column: Operand,
        principal: Principal,
        ids: &IdSet,
    ) -> Option<*mut pg_sys::Node> {
        unsafe {
            if let Some(ids) = short(ids) {
                return Some(column.any_id_of(ids, self.keys, false));
            }
            let function = match principal {
                Principal::Category => c"has_category",
                Principal::Department => c"has_department",
                Principal::Team => c"in_team",
                Principal::Agent => return None,
            };
            // The function takes the column for keys of its own principal.
            if column.principal.is_some_and(|other| other != principal) {
                return None;
            }
            let function = own_function(function, &[column.type_oid()])?;
            Some(function_call(function, &[column.copy()]))
        }
    }
}

/// The ids, if they are few enough for literals.
pub fn short(ids: &IdSet) -> Option<&[i64]> {
    (ids.len() <= settings::fold_limit()).then_some(ids.sorted())
}

/// The operator by which indexes of a family look up a column in the long lists, and what the lists are.
pub struct ListOperator {
    pub operator: pg_sys::Oid,
    /// The type of the list.
    pub array: pg_sys::Oid,
    /// What the names of the functions end with that give such lists.
    pub suffix: &'static str,
}

impl ListOperator {
    /// None if the indexes of the family do not know it.
    ///
    /// # Safety
    /// While planning.
    pub unsafe fn of(family: pg_sys::Oid, column: *mut pg_sys::Node) -> Option<ListOperator> {
        let column_type = unsafe { comparable(column) }?;
        let (btree, operator, array, suffix) = column_type.long_list();
        (family.to_u32() == btree).then_some(ListOperator {
            operator,
            array,
            suffix,
        })
    }

    /// A list function of deskguard's for this type: `name` is that for bigint.
    pub fn function(&self, name: &str, arguments: &[pg_sys::Oid]) -> Option<pg_sys::Oid> {
        let name = CString::new(format!("{name}{}", self.suffix)).ok()?;
        let function = own_function(&name, arguments)?;
        // SAFETY: a look-up in the system cache.
        (unsafe { pg_sys::get_func_rettype(function) } == self.array).then_some(function)
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
    collation: pg_sys::Oid,
) -> *mut pg_sys::Node {
    unsafe {
        let clause = new_node::<pg_sys::ScalarArrayOpExpr>(pg_sys::NodeTag::T_ScalarArrayOpExpr);
        (*clause).opno = operator;
        (*clause).opfuncid = pg_sys::get_opcode(operator);
        (*clause).useOr = !negated;
        (*clause).inputcollid = collation;
        (*clause).args = nodes(&[operand, list]);
        (*clause).location = -1;
        clause.cast()
    }
}

/// A call in a plan, which the function knows for one.
pub unsafe fn function_call(
    function: pg_sys::Oid,
    arguments: &[*mut pg_sys::Node],
) -> *mut pg_sys::Node {
    unsafe {
        pg_sys::makeFuncExpr(
            function,
            pg_sys::BOOLOID,
            nodes(arguments),
            CALL_OF_PLAN,
            pg_sys::InvalidOid,
            pg_sys::CoercionForm::COERCE_EXPLICIT_CALL,
        )
        .cast()
    }
}

unsafe fn not(part: *mut pg_sys::Node) -> *mut pg_sys::Node {
    unsafe { pg_sys::makeBoolExpr(pg_sys::BoolExprType::NOT_EXPR, nodes(&[part]), -1).cast() }
}

pub unsafe fn boolean(value: bool) -> *mut pg_sys::Node {
    unsafe { pg_sys::makeBoolConst(value, false) }
}

/// A node of the planner, zeroed.
pub unsafe fn new_node<T>(tag: pg_sys::NodeTag) -> *mut T {
    unsafe {
        let node = pg_sys::palloc0(std::mem::size_of::<T>()).cast::<pg_sys::Node>();
        (*node).type_ = tag;
        node.cast()
    }
}

/// A node as what its tag says it is.
pub trait Tagged {
    const TAG: pg_sys::NodeTag;
}

macro_rules! tagged {
    ($($node:ident => $tag:ident),+ $(,)?) => {
        $(
            impl Tagged for pg_sys::$node {
                const TAG: pg_sys::NodeTag = pg_sys::NodeTag::$tag;
            }
        )+
    };
}

tagged!(
    BoolExpr => T_BoolExpr,
    Const => T_Const,
    FuncExpr => T_FuncExpr,
    RelabelType => T_RelabelType,
    ScalarArrayOpExpr => T_ScalarArrayOpExpr,
    Var => T_Var,
);

/// None if it is something else, or nothing.
///
/// # Safety
/// An expression of the planner, which lives as long as the answer.
pub unsafe fn as_node<'a, T: Tagged>(node: *mut pg_sys::Node) -> Option<&'a T> {
    unsafe { (node.as_ref()?.type_ == T::TAG).then(|| &*node.cast::<T>()) }
}

/// The table that a call names, if it is a constant: always the first of its arguments.
///
/// # Safety
/// The arguments of a call of ours.
pub unsafe fn named_table(arguments: *mut pg_sys::List) -> Option<pg_sys::Oid> {
    unsafe {
        let constant = as_node::<pg_sys::Const>(*items(arguments).first()?)?;
        pg_sys::Oid::from_datum(constant.constvalue, constant.constisnull)
    }
}

/// The items of a list of pointers.
///
/// # Safety
/// The list has pointers to `T`, and is not changed while they are used.
pub unsafe fn items<'a, T>(list: *mut pg_sys::List) -> &'a [*mut T] {
    match unsafe { list.as_ref() } {
        Some(list) if list.length > 0 => unsafe {
            std::slice::from_raw_parts(list.elements.cast(), list.length as usize)
        },
        _ => &[],
    }
}

unsafe fn nodes(all: &[*mut pg_sys::Node]) -> *mut pg_sys::List {
    all.iter().fold(std::ptr::null_mut(), |list, node| unsafe {
        pg_sys::lappend(list, node.cast())
    })
}

pub unsafe fn is_constant(node: *mut pg_sys::Node, value: bool) -> bool {
    let constant = unsafe { as_node::<pg_sys::Const>(node) };
    constant.is_some_and(|constant| {
        !constant.constisnull && constant.constvalue.value() == usize::from(value)
    })
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
pub unsafe fn any(parts: Vec<*mut pg_sys::Node>) -> *mut pg_sys::Node {
    unsafe {
        if parts.iter().any(|part| is_constant(*part, true)) {
            return boolean(true);
        }
        let mut flat = vec![];
        for part in parts {
            if is_constant(part, false) {
                continue;
            }
            match as_node::<pg_sys::BoolExpr>(part) {
                Some(or) if or.boolop == pg_sys::BoolExprType::OR_EXPR => {
                    flat.extend_from_slice(items(or.args));
                }
                _ => flat.push(part),
            }
        }
        match flat.as_slice() {
            [] => boolean(false),
            [one] => *one,
            _ => pg_sys::make_orclause(nodes(&flat)).cast(),
        }
    }
}

/// A varchar stands as a relabelled text.
///
/// # Safety
/// An expression of the planner.
pub unsafe fn without_relabeling(node: *mut pg_sys::Node) -> *mut pg_sys::Node {
    unsafe {
        match as_node::<pg_sys::RelabelType>(node) {
            Some(relabeled) => relabeled.arg.cast(),
            None => node,
        }
    }
}
