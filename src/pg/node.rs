//! Trees of the parser and the planner: what they are made of, and how to make them.

use pgrx::pg_sys;
use pgrx::prelude::*;

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
    // SAFETY: a node begins with its tag, which tells the type.
    unsafe { (node.as_ref()?.type_ == T::TAG).then(|| &*node.cast::<T>()) }
}

/// The items of a list of pointers.
///
/// # Safety
/// The list has pointers to `T`, and is there, and not changed, while they are used.
pub unsafe fn items<'a, T>(list: *mut pg_sys::List) -> &'a [*mut T] {
    // SAFETY: a list or null, as the caller promises.
    match unsafe { list.as_ref() } {
        // SAFETY: the list has so many pointers to `T`, as the caller promises.
        Some(list) if list.length > 0 => unsafe {
            std::slice::from_raw_parts(list.elements.cast(), list.length as usize)
        },
        _ => &[],
    }
}

pub fn nodes(all: &[*mut pg_sys::Node]) -> *mut pg_sys::List {
    // SAFETY: the pointers are kept, and not followed.
    all.iter().fold(std::ptr::null_mut(), |list, node| unsafe {
        pg_sys::lappend(list, node.cast())
    })
}

/// # Safety
/// A node of the planner, or null.
pub unsafe fn is_constant(node: *mut pg_sys::Node, value: bool) -> bool {
    // SAFETY: as the caller promises.
    let constant = unsafe { as_node::<pg_sys::Const>(node) };
    constant.is_some_and(|constant| {
        !constant.constisnull && constant.constvalue.value() == usize::from(value)
    })
}

pub fn boolean(value: bool) -> *mut pg_sys::Node {
    // SAFETY: makes a node.
    unsafe { pg_sys::makeBoolConst(value, false) }
}

/// A node of the planner, zeroed.
///
/// # Safety
/// `T` is the node with this tag.
pub unsafe fn new_node<T>(tag: pg_sys::NodeTag) -> *mut T {
    // SAFETY: palloc does not return null, and a node begins with its tag.
    unsafe {
        let node = pg_sys::palloc0(std::mem::size_of::<T>()).cast::<pg_sys::Node>();
        (*node).type_ = tag;
        node.cast()
    }
}

/// `operand IS [NOT] NULL`
///
/// # Safety
/// The operand is an expression of its own.
pub unsafe fn is_null(operand: *mut pg_sys::Node, negated: bool) -> *mut pg_sys::Node {
    // SAFETY: the node is new, and of this type.
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

/// # Safety
/// The part is an expression of its own.
pub unsafe fn not(part: *mut pg_sys::Node) -> *mut pg_sys::Node {
    // SAFETY: as the caller promises.
    unsafe { pg_sys::makeBoolExpr(pg_sys::BoolExprType::NOT_EXPR, nodes(&[part]), -1).cast() }
}

/// Joins parts by AND, without those that are always true.
///
/// # Safety
/// The parts are expressions of their own.
pub unsafe fn all(parts: Vec<*mut pg_sys::Node>) -> *mut pg_sys::Node {
    // SAFETY: as the caller promises.
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
///
/// # Safety
/// The parts are expressions of their own.
pub unsafe fn any(parts: Vec<*mut pg_sys::Node>) -> *mut pg_sys::Node {
    // SAFETY: as the caller promises; the parts of an OR are nodes.
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
    // SAFETY: the node is new, and of this type; the rest is as the caller promises.
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
///
/// # Safety
/// The function takes the arguments, which are expressions of their own.
pub unsafe fn function_call(
    function: pg_sys::Oid,
    arguments: &[*mut pg_sys::Node],
) -> *mut pg_sys::Node {
    // SAFETY: as the caller promises.
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

/// The table that a call names, if it is a constant: always the first of its arguments.
///
/// # Safety
/// The arguments of a call of ours.
pub unsafe fn named_table(arguments: *mut pg_sys::List) -> Option<pg_sys::Oid> {
    // SAFETY: as the caller promises; the first argument is a regclass.
    unsafe {
        let constant = as_node::<pg_sys::Const>(*items(arguments).first()?)?;
        pg_sys::Oid::from_datum(constant.constvalue, constant.constisnull)
    }
}

/// A varchar stands as a relabelled text.
///
/// # Safety
/// An expression of the planner.
pub unsafe fn without_relabeling(node: *mut pg_sys::Node) -> *mut pg_sys::Node {
    // SAFETY: as the caller promises.
    unsafe {
        match as_node::<pg_sys::RelabelType>(node) {
            Some(relabeled) => relabeled.arg.cast(),
            None => node,
        }
    }
}

/// In place of the collation of the result of a call that deskguard has put into a plan. A parser never
/// gives a call one that does not exist, so nobody else can make such a call.
pub const CALL_OF_PLAN: pg_sys::Oid = pg_sys::Oid::from_u32(1);

/// # Safety
/// A node of the planner, or null.
pub unsafe fn is_call_of_plan(node: *mut pg_sys::Node) -> bool {
    // SAFETY: the tag tells the type.
    unsafe {
        let call = node.cast::<pg_sys::FuncExpr>();
        !node.is_null()
            && (*node).type_ == pg_sys::NodeTag::T_FuncExpr
            && (*call).funccollid == CALL_OF_PLAN
    }
}
