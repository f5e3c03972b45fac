//! Trees of the parser and the planner: what they are made of, and how to make them.

use std::marker::PhantomData;
use std::ptr::NonNull;

use pgrx::pg_sys;
use pgrx::prelude::*;

/// A node as what its tag says it is.
///
/// # Safety
/// The nodes with the tag are of this type.
pub unsafe trait Tagged {
    const TAG: pg_sys::NodeTag;
}

macro_rules! tagged {
    ($($node:ident => $tag:ident),+ $(,)?) => {
        $(
            // SAFETY: PostgreSQL names tags after types.
            unsafe impl Tagged for pg_sys::$node {
                const TAG: pg_sys::NodeTag = pg_sys::NodeTag::$tag;
            }
        )+
    };
}

tagged!(
    ArrayExpr => T_ArrayExpr,
    BoolExpr => T_BoolExpr,
    BooleanTest => T_BooleanTest,
    Const => T_Const,
    FromExpr => T_FromExpr,
    FuncExpr => T_FuncExpr,
    JoinExpr => T_JoinExpr,
    ModifyTable => T_ModifyTable,
    NullTest => T_NullTest,
    OpExpr => T_OpExpr,
    Param => T_Param,
    RelabelType => T_RelabelType,
    ScalarArrayOpExpr => T_ScalarArrayOpExpr,
    Var => T_Var,
);

/// An expression, or another part of a query, that is there, and that nobody changes, for a lifetime. Nodes that are
/// made of it are made in the current memory context: the one in which the query is planned.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Node<'p>(NonNull<pg_sys::Node>, PhantomData<&'p pg_sys::Node>);

impl<'p> Node<'p> {
    /// None for a null pointer.
    ///
    /// # Safety
    /// Null, or a whole tree of PostgreSQL's, which is there and not changed for the lifetime.
    pub unsafe fn new(node: *mut pg_sys::Node) -> Option<Node<'p>> {
        NonNull::new(node).map(|node| Node(node, PhantomData))
    }

    /// One that was just made, beside others of the lifetime.
    ///
    /// # Safety
    /// Not null, a whole tree, and in the current memory context.
    pub unsafe fn made<T>(node: *mut T) -> Node<'p> {
        // SAFETY: as the caller promises.
        Node(unsafe { NonNull::new_unchecked(node.cast()) }, PhantomData)
    }

    pub fn as_ptr(self) -> *mut pg_sys::Node {
        self.0.as_ptr()
    }

    pub fn tag(self) -> pg_sys::NodeTag {
        // SAFETY: a node begins with its tag.
        unsafe { self.0.as_ref() }.type_
    }

    /// None if it is something else.
    pub fn get<T: Tagged>(self) -> Option<&'p T> {
        // SAFETY: the tag tells the type.
        (self.tag() == T::TAG).then(|| unsafe { self.0.cast::<T>().as_ref() })
    }

    pub fn call(self) -> Option<CallExpr<'p>> {
        self.get().map(CallExpr)
    }

    /// The arguments of a call, an operator, an AND or OR, and the elements of an array.
    pub fn arguments(self) -> &'p [Node<'p>] {
        let list = match self.tag() {
            pg_sys::NodeTag::T_ArrayExpr => self.get().map(|of: &pg_sys::ArrayExpr| of.elements),
            pg_sys::NodeTag::T_BoolExpr => self.get().map(|of: &pg_sys::BoolExpr| of.args),
            pg_sys::NodeTag::T_FuncExpr => self.get().map(|of: &pg_sys::FuncExpr| of.args),
            pg_sys::NodeTag::T_OpExpr => self.get().map(|of: &pg_sys::OpExpr| of.args),
            pg_sys::NodeTag::T_ScalarArrayOpExpr => {
                self.get().map(|of: &pg_sys::ScalarArrayOpExpr| of.args)
            }
            _ => None,
        };
        // SAFETY: such lists have nodes only, which live as long as this one.
        list.map_or(&[], |list| unsafe { arguments(list) })
    }

    /// The items of a list; those of another node are none. Of a condition that is true of all rows the planner
    /// leaves a null pointer.
    pub fn items(self) -> impl Iterator<Item = Node<'p>> {
        let list = match self.tag() {
            pg_sys::NodeTag::T_List => self.as_ptr().cast(),
            _ => std::ptr::null_mut(),
        };
        // SAFETY: the items are nodes, or null, and live as long as the list.
        let nodes = unsafe { items::<pg_sys::Node>(list) }.iter();
        // SAFETY: as above.
        nodes.filter_map(|node| unsafe { Node::new(*node) })
    }

    pub fn is_constant(self, value: bool) -> bool {
        self.get::<pg_sys::Const>().is_some_and(|constant| {
            !constant.constisnull && constant.constvalue.value() == usize::from(value)
        })
    }

    /// The value of a constant of type text.
    pub fn text(self) -> Option<String> {
        let constant = self.get::<pg_sys::Const>()?;
        if constant.consttype != pg_sys::TEXTOID {
            return None;
        }
        // SAFETY: a value of this type.
        unsafe { String::from_datum(constant.constvalue, constant.constisnull) }
    }

    pub fn type_oid(self) -> pg_sys::Oid {
        // SAFETY: looks at the node.
        unsafe { pg_sys::exprType(self.as_ptr()) }
    }

    pub fn collation(self) -> pg_sys::Oid {
        // SAFETY: looks at the node.
        unsafe { pg_sys::exprCollation(self.as_ptr()) }
    }

    pub fn equals(self, other: Node) -> bool {
        // SAFETY: looks at the nodes.
        unsafe { pg_sys::equal(self.as_ptr().cast(), other.as_ptr().cast()) }
    }

    /// The expression, for one use in the plan.
    pub fn copy(self) -> Node<'p> {
        // SAFETY: the copy is all new.
        unsafe { Node::made(pg_sys::copyObjectImpl(self.as_ptr().cast())) }
    }

    /// The value of a constant that is a text, byte by byte; none for NULL.
    pub fn bytes(self) -> Option<&'p [u8]> {
        let constant = self.get::<pg_sys::Const>()?;
        let is_text = constant.consttype == pg_sys::TEXTOID && !constant.constisnull;
        // SAFETY: a value of this type, which lives as long as the constant, or is made beside it.
        is_text.then(|| unsafe { text_bytes(constant.constvalue) })
    }

    /// What is tested or relabelled.
    pub fn inner(self) -> Option<Node<'p>> {
        let inner = match self.tag() {
            pg_sys::NodeTag::T_RelabelType => self.get().map(|of: &pg_sys::RelabelType| of.arg),
            pg_sys::NodeTag::T_NullTest => self.get().map(|of: &pg_sys::NullTest| of.arg),
            pg_sys::NodeTag::T_BooleanTest => self.get().map(|of: &pg_sys::BooleanTest| of.arg),
            _ => None,
        };
        // SAFETY: a part of this node.
        inner.and_then(|inner| unsafe { Node::new(inner.cast()) })
    }

    /// A varchar stands as a relabelled text.
    pub fn without_relabeling(self) -> Node<'p> {
        let relabeled = self.get::<pg_sys::RelabelType>();
        // SAFETY: a part of this node.
        let inner = relabeled.and_then(|relabeled| unsafe { Node::new(relabeled.arg.cast()) });
        inner.unwrap_or(self)
    }

    /// `operand IS [NOT] NULL`
    pub fn is_null(self, negated: bool) -> Clause<'p> {
        // SAFETY: the node is new, and of this type.
        unsafe {
            let test = new_node::<pg_sys::NullTest>(pg_sys::NodeTag::T_NullTest);
            (*test).arg = self.copy().as_ptr().cast();
            (*test).nulltesttype = if negated {
                pg_sys::NullTestType::IS_NOT_NULL
            } else {
                pg_sys::NullTestType::IS_NULL
            };
            (*test).location = -1;
            Clause::Is(Node::made(test))
        }
    }

    /// `operand IS NOT TRUE`
    pub fn is_not_true(self) -> Node<'p> {
        // SAFETY: the node is new, and of this type.
        unsafe {
            let test = new_node::<pg_sys::BooleanTest>(pg_sys::NodeTag::T_BooleanTest);
            (*test).arg = self.copy().as_ptr().cast();
            (*test).booltesttype = pg_sys::BoolTestType::IS_NOT_TRUE;
            (*test).location = -1;
            Node::made(test)
        }
    }

    /// What an AND joins; of anything else itself.
    pub fn conjuncts(self) -> Vec<Node<'p>> {
        match self.get::<pg_sys::BoolExpr>() {
            Some(and) if and.boolop == pg_sys::BoolExprType::AND_EXPR => self.arguments().to_vec(),
            _ => vec![self],
        }
    }

    /// `operand = ANY (list)`, or `operand <> ALL (list)`, with the operator for it.
    ///
    /// # Safety
    /// The operator has the type of this on its left, and on its right that of the elements of the list.
    pub unsafe fn any_of_list(
        self,
        operator: pg_sys::Oid,
        list: Node,
        negated: bool,
        collation: pg_sys::Oid,
    ) -> Node<'p> {
        // SAFETY: the node is new, and of this type; the rest is as the caller promises.
        unsafe {
            let clause =
                new_node::<pg_sys::ScalarArrayOpExpr>(pg_sys::NodeTag::T_ScalarArrayOpExpr);
            (*clause).opno = operator;
            (*clause).opfuncid = pg_sys::get_opcode(operator);
            (*clause).useOr = !negated;
            (*clause).inputcollid = collation;
            (*clause).args = list_of(&[self.copy(), list]);
            (*clause).location = -1;
            Node::made(clause)
        }
    }

    /// `operand operator value`
    ///
    /// # Safety
    /// The operator has the type of this on its left, on its right that of the value, and gives a boolean.
    pub unsafe fn compared_with(self, operator: pg_sys::Oid, value: Node) -> Node<'p> {
        // SAFETY: as the caller promises.
        unsafe {
            let clause = pg_sys::make_opclause(
                operator,
                pg_sys::BOOLOID,
                false,
                self.copy().as_ptr().cast(),
                value.as_ptr().cast(),
                pg_sys::InvalidOid,
                self.collation(),
            );
            pg_sys::set_opfuncid(clause.cast());
            Node::made(clause)
        }
    }
}

/// A text, byte by byte.
///
/// # Safety
/// A value of type text or varchar, which is there for the lifetime. If it has to be decompressed, that is done in the
/// current memory context, which must be there, too.
pub unsafe fn text_bytes<'a>(text: pg_sys::Datum) -> &'a [u8] {
    // SAFETY: as the caller promises.
    unsafe {
        let text = pg_sys::pg_detoast_datum_packed(text.cast_mut_ptr());
        pgrx::varlena::varlena_to_byte_slice(text)
    }
}

/// The arguments of an expression.
///
/// # Safety
/// Such a list, or null. Its nodes are there, and not changed, for the lifetime, and none is null.
pub unsafe fn arguments<'p>(list: *mut pg_sys::List) -> &'p [Node<'p>] {
    // SAFETY: as the caller promises. A node is its pointer, which is not null.
    unsafe {
        let all = items::<pg_sys::Node>(list);
        std::slice::from_raw_parts(all.as_ptr().cast(), all.len())
    }
}

/// A call of a function.
#[derive(Clone, Copy)]
pub struct CallExpr<'p>(&'p pg_sys::FuncExpr);

impl<'p> CallExpr<'p> {
    fn node(self) -> Node<'p> {
        Node(NonNull::from(self.0).cast(), PhantomData)
    }

    /// For use in a plan, where the call itself may be gone.
    pub fn copy(self) -> Node<'p> {
        self.node().copy()
    }

    pub fn is(self, node: Node) -> bool {
        self.node().equals(node)
    }

    pub fn function(self) -> pg_sys::Oid {
        self.0.funcid
    }

    pub fn arguments(self) -> &'p [Node<'p>] {
        self.node().arguments()
    }

    pub fn has_arguments_of(self, other: CallExpr) -> bool {
        let (own, others) = (self.arguments(), other.arguments());
        own.len() == others.len()
            && own
                .iter()
                .zip(others)
                .all(|(one, other)| one.equals(*other))
    }

    /// The table that the call names.
    pub fn table(self) -> Option<pg_sys::Oid> {
        named_table(self.arguments())
    }

    /// Has deskguard put it into a plan?
    pub fn is_of_plan(self) -> bool {
        self.0.funccollid == CALL_OF_PLAN
    }

    /// Is it about the row that a command looks for by its key, to change it?
    pub fn is_of_target(self) -> bool {
        self.0.funccollid == CALL_OF_TARGET
    }

    /// The same call, about such a row.
    pub fn of_target(self) -> Node<'p> {
        let copy = self.copy();
        // SAFETY: a copy of a call, which nobody else has yet.
        unsafe { (*copy.as_ptr().cast::<pg_sys::FuncExpr>()).funccollid = CALL_OF_TARGET };
        copy
    }
}

/// The table that a call names, if it is a constant: always the first of its arguments.
pub fn named_table(arguments: &[Node]) -> Option<pg_sys::Oid> {
    let constant = arguments.first()?.get::<pg_sys::Const>()?;
    if constant.consttype != pg_sys::REGCLASSOID {
        return None;
    }
    // SAFETY: a value of this type is an OID.
    unsafe { pg_sys::Oid::from_datum(constant.constvalue, constant.constisnull) }
}

/// In place of the collation of the result of a call that deskguard has put into a plan. A parser never
/// gives a call one that does not exist, so nobody else can make such a call.
const CALL_OF_PLAN: pg_sys::Oid = pg_sys::Oid::from_u32(1);
/// The same for a call about the row that a command looks for by its key, to change it.
const CALL_OF_TARGET: pg_sys::Oid = pg_sys::Oid::from_u32(2);

/// A call in a plan, which the function knows for one, with copies of the arguments. None unless the function takes
/// arguments of these types, and gives this type. It lives as long as the node `beside` it in the plan.
pub fn call_of_plan<'p>(
    beside: Node<'p>,
    function: pg_sys::Oid,
    arguments: &[Node],
    result: pg_sys::Oid,
    collation: pg_sys::Oid,
) -> Option<Node<'p>> {
    let _ = beside;
    // SAFETY: the function has so many types of arguments; the call is one that it takes.
    unsafe {
        let (mut types, mut count) = (std::ptr::null_mut(), 0);
        let gives = pg_sys::get_func_signature(function, &mut types, &mut count);
        let takes = (0..count as usize).map(|n| *types.add(n));
        if gives != result || !takes.eq(arguments.iter().map(|argument| argument.type_oid())) {
            return None;
        }
        let copies: Vec<Node> = arguments.iter().map(|argument| argument.copy()).collect();
        Some(Node::made(pg_sys::makeFuncExpr(
            function,
            result,
            list_of(&copies),
            CALL_OF_PLAN,
            collation,
            pg_sys::CoercionForm::COERCE_EXPLICIT_CALL,
        )))
    }
}

/// A condition in the making. What is true or false of all rows becomes a node last of all.
#[derive(Clone, Copy)]
pub enum Clause<'p> {
    Constant(bool),
    Is(Node<'p>),
}

impl<'p> Clause<'p> {
    pub fn as_ptr(self) -> *mut pg_sys::Node {
        match self {
            // SAFETY: makes a node.
            Clause::Constant(value) => unsafe { pg_sys::makeBoolConst(value, false) },
            Clause::Is(node) => node.as_ptr(),
        }
    }

    pub fn equals(self, other: Clause) -> bool {
        match (self, other) {
            (Clause::Constant(one), Clause::Constant(other)) => one == other,
            (Clause::Is(one), Clause::Is(other)) => one.equals(other),
            _ => false,
        }
    }

    pub fn not(self) -> Clause<'p> {
        match self {
            Clause::Constant(value) => Clause::Constant(!value),
            // SAFETY: the node is new.
            Clause::Is(node) => Clause::Is(unsafe {
                Node::made(pg_sys::makeBoolExpr(
                    pg_sys::BoolExprType::NOT_EXPR,
                    list_of(&[node]),
                    -1,
                ))
            }),
        }
    }
}

/// Joins parts by AND, without those that are always true or there already.
pub fn all<'p>(parts: impl IntoIterator<Item = Clause<'p>>) -> Clause<'p> {
    let mut kept = vec![];
    for part in parts {
        match part {
            Clause::Constant(true) => {}
            Clause::Constant(false) => return part,
            Clause::Is(node) => add(&mut kept, node),
        }
    }
    match kept.as_slice() {
        [] => Clause::Constant(true),
        [one] => Clause::Is(*one),
        // SAFETY: the node is new.
        _ => Clause::Is(unsafe { Node::made(pg_sys::make_andclause(list_of(&kept))) }),
    }
}

/// Joins parts by OR, without those that are never true or there already. Nested ORs become one, so that the
/// planner sees all its arms.
pub fn any<'p>(parts: impl IntoIterator<Item = Clause<'p>>) -> Clause<'p> {
    let mut kept = vec![];
    for part in parts {
        match part {
            Clause::Constant(false) => {}
            Clause::Constant(true) => return part,
            Clause::Is(node) => match node.get::<pg_sys::BoolExpr>() {
                Some(or) if or.boolop == pg_sys::BoolExprType::OR_EXPR => {
                    let arms = node.arguments().iter();
                    arms.for_each(|arm| add(&mut kept, *arm));
                }
                _ => add(&mut kept, node),
            },
        }
    }
    match kept.as_slice() {
        [] => Clause::Constant(false),
        [one] => Clause::Is(*one),
        // SAFETY: the node is new.
        _ => Clause::Is(unsafe { Node::made(pg_sys::make_orclause(list_of(&kept))) }),
    }
}

/// Adds what is not there yet: a column may have several meanings.
fn add<'p>(kept: &mut Vec<Node<'p>>, node: Node<'p>) {
    if !kept.iter().any(|one| one.equals(node)) {
        kept.push(node);
    }
}

fn list_of(nodes: &[Node]) -> *mut pg_sys::List {
    // SAFETY: the pointers are kept, and not followed.
    nodes
        .iter()
        .fold(std::ptr::null_mut(), |list, node| unsafe {
            pg_sys::lappend(list, node.as_ptr().cast())
        })
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
