//! Which conditions tell nothing of a row but whether they are true, so that PostgreSQL may look rows up by them before
//! it asks the policies. docs/leakproof.md argues for each operator and function of the lists; what is not here is none.

use pgrx::pg_sys;

use crate::pg::extension::{is_family_of_library, is_function_of_library, is_of_extension};
use crate::pg::node::Node;
use crate::pg::planner::Root;
use crate::plan::pattern::{self, Asked};
use crate::rights::identity::sql_is_applications;

/// What an operator or function needs, besides arguments that tell nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Needs {
    Nothing,
    /// A collation, in which texts are equal only if their bytes are.
    Collation,
    /// The same, and characters that every locale knows: it converts texts.
    Characters,
    /// Arrays of types that are compared by functions of PostgreSQL's own.
    Arrays,
    /// Ranges of such types.
    Ranges,
    /// A short constant: how deep it recurses depends on it.
    Short,
    /// A pattern of LIKE that cannot be wrong, as the second argument.
    Pattern,
    /// The same, where letters are converted.
    PatternOfCharacters,
    /// A constant regular expression of a simple kind, as the second argument.
    RegularExpression,
    /// A constant unit that no timestamp is too early for, as the first argument.
    Unit,
}

/// The operators of pg_catalog, by their OIDs.
fn operator_needs(operator: u32) -> Option<Needs> {
    Some(match operator {
        // numeric: = <> < <= > >=
        1752..=1757 => Needs::Nothing,
        // enum: = <> < > <= >=
        3516..=3521 => Needs::Nothing,
        // date, timestamp and timestamptz among each other: < <= = >= > <>
        2345..=2350 | 2358..=2363 | 2371..=2376 | 2384..=2389 | 2534..=2539 | 2540..=2545 => {
            Needs::Nothing
        }
        // inet: << <<= >> >>= &&
        931..=934 | 3552 => Needs::Nothing,
        // jsonb: = <> ? ?| ?&
        3240 | 3241 | 3247..=3249 => Needs::Nothing,
        // jsonb: @> <@
        3246 | 3250 => Needs::Short,
        // jsonb: -> ->> #> #>>
        3211 | 3212 | 3213 | 3477 | 3481 | 3206 => Needs::Nothing,
        // tsvector @@ tsquery, tsquery @@ tsvector, and @@@
        3636 | 3637 | 3660 | 3661 => Needs::Short,
        // arrays: = <> && @> <@
        1070 | 1071 | 2750..=2752 => Needs::Arrays,
        // ranges: = <> < <= >= > && @> <@ << >> &< &>
        3882..=3896 => Needs::Ranges,
        // text ^@
        3877 => Needs::Collation,
        // text: ~~ !~~
        1209 | 1210 => Needs::Pattern,
        // text: ~~* !~~*
        1627 | 1628 => Needs::PatternOfCharacters,
        // text: ~ !~ ~* !~*
        641 | 642 | 1228 | 1229 => Needs::RegularExpression,
        _ => return None,
    })
}

/// The functions of pg_catalog, by their OIDs.
fn function_needs(function: u32) -> Option<Needs> {
    match function {
        pg_sys::F_LOWER_TEXT | pg_sys::F_UPPER_TEXT => Some(Needs::Characters),
        pg_sys::F_DATE_TRUNC_TEXT_TIMESTAMP => Some(Needs::Unit),
        pg_sys::F_DATE_TIMESTAMP => Some(Needs::Nothing),
        _ => None,
    }
}

/// What date_trunc() truncates to without getting before the first timestamp.
const UNITS: [&[u8]; 6] = [
    b"microseconds",
    b"milliseconds",
    b"second",
    b"minute",
    b"hour",
    b"day",
];

/// What it truncates the time of now to, besides.
const LONG_UNITS: [&[u8]; 4] = [b"week", b"month", b"quarter", b"year"];

/// Elements of arrays, besides texts and enums.
const ELEMENTS: [pg_sys::Oid; 10] = [
    pg_sys::BOOLOID,
    pg_sys::INT2OID,
    pg_sys::INT4OID,
    pg_sys::INT8OID,
    pg_sys::NUMERICOID,
    pg_sys::UUIDOID,
    pg_sys::DATEOID,
    pg_sys::TIMESTAMPOID,
    pg_sys::TIMESTAMPTZOID,
    pg_sys::INETOID,
];
const RANGES: [pg_sys::Oid; 6] = [
    pg_sys::INT4RANGEOID,
    pg_sys::INT8RANGEOID,
    pg_sys::NUMRANGEOID,
    pg_sys::TSRANGEOID,
    pg_sys::TSTZRANGEOID,
    pg_sys::DATERANGEOID,
];
const BOUNDS: [pg_sys::Oid; 6] = [
    pg_sys::INT4OID,
    pg_sys::INT8OID,
    pg_sys::NUMERICOID,
    pg_sys::TIMESTAMPOID,
    pg_sys::TIMESTAMPTZOID,
    pg_sys::DATEOID,
];

/// The symbols of pg_trgm's operators: % <% %> <<% %>>
const SIMILARITIES: [&str; 5] = [
    "similarity_op",
    "word_similarity_op",
    "word_similarity_commutator_op",
    "strict_word_similarity_op",
    "strict_word_similarity_commutator_op",
];
const TRIGRAMS: &str = "$libdir/pg_trgm";

/// Does an index compare and take apart values by functions of PostgreSQL's own, or of pg_trgm, only?
pub fn is_family_leakproof(family: pg_sys::Oid) -> bool {
    is_built_in(family) || is_family_of_library(family, TRIGRAMS)
}

fn is_built_in(object: pg_sys::Oid) -> bool {
    object.to_u32() < pg_sys::FirstNormalObjectId
}

/// Does a condition of a query tell nothing but whether it is true? `asks` hears of the parameters that it needs.
pub fn is_leakproof(root: Root, node: Node, asks: &mut Vec<Asked>) -> bool {
    Check { root, asks }.tells_nothing(node)
}

struct Check<'a, 'p> {
    root: Root<'p>,
    asks: &'a mut Vec<Asked>,
}

/// A call of a function, or an operator.
struct Call<'p> {
    node: Node<'p>,
    function: pg_sys::Oid,
    collation: pg_sys::Oid,
    arguments: &'p [Node<'p>],
}

impl<'p> Call<'p> {
    fn operator(of: &pg_sys::OpExpr, node: Node<'p>) -> Call<'p> {
        Call {
            node,
            function: of.opfuncid,
            collation: of.inputcollid,
            arguments: node.arguments(),
        }
    }

    fn function(of: &pg_sys::FuncExpr, node: Node<'p>) -> Call<'p> {
        Call {
            node,
            function: of.funcid,
            collation: of.inputcollid,
            arguments: node.arguments(),
        }
    }
}

impl Check<'_, '_> {
    fn tells_nothing(&mut self, node: Node) -> bool {
        use pg_sys::NodeTag::*;
        match node.tag() {
            T_Var => true,
            T_RelabelType | T_NullTest | T_BooleanTest => {
                node.inner().is_some_and(|inner| self.tells_nothing(inner))
            }
            T_BoolExpr => self.all_tell_nothing(node.arguments()),
            T_OpExpr => node
                .get::<pg_sys::OpExpr>()
                .is_some_and(|of| self.operator_tells_nothing(of, node)),
            T_ScalarArrayOpExpr => node
                .get::<pg_sys::ScalarArrayOpExpr>()
                .is_some_and(|of| self.list_tells_nothing(of, node.arguments())),
            T_FuncExpr => node
                .get::<pg_sys::FuncExpr>()
                .is_some_and(|of| self.function_tells_nothing(of, node)),
            _ => self.is_quiet(node),
        }
    }

    fn all_tell_nothing(&mut self, nodes: &[Node]) -> bool {
        nodes.iter().all(|node| self.tells_nothing(*node))
    }

    fn operator_tells_nothing(&mut self, of: &pg_sys::OpExpr, node: Node) -> bool {
        let call = Call::operator(of, node);
        let needs = match operator_needs(of.opno.to_u32()) {
            Some(needs) => Some(needs),
            None if is_similarity(of) => Some(Needs::Characters),
            None => None,
        };
        self.call_tells_nothing(needs, call)
    }

    fn function_tells_nothing(&mut self, of: &pg_sys::FuncExpr, node: Node) -> bool {
        let call = Call::function(of, node);
        self.call_tells_nothing(function_needs(of.funcid.to_u32()), call)
    }

    /// `operand operator ANY (list)`, where the list is the same for all rows.
    fn list_tells_nothing(&mut self, of: &pg_sys::ScalarArrayOpExpr, arguments: &[Node]) -> bool {
        let [operand, list] = arguments else {
            return false;
        };
        // Of a list of patterns, documents or arrays each one would have to be looked at.
        let is_listed = operator_needs(of.opno.to_u32()) == Some(Needs::Nothing);
        (is_listed || is_marked_leakproof(of.opfuncid))
            && self.tells_nothing(*operand)
            && self.is_quiet(*list)
    }

    fn call_tells_nothing(&mut self, needs: Option<Needs>, call: Call) -> bool {
        let fulfils = match needs {
            Some(needs) => self.fulfils(needs, &call),
            None => is_marked_leakproof(call.function),
        };
        fulfils && self.all_tell_nothing(call.arguments) || self.is_quiet_call(call)
    }

    fn fulfils(&mut self, needs: Needs, call: &Call) -> bool {
        match needs {
            Needs::Nothing => true,
            Needs::Collation => is_bytewise(call.collation),
            Needs::Characters => is_bytewise(call.collation) && knows_all_characters(),
            Needs::Arrays => call
                .arguments
                .iter()
                .all(|argument| is_array(*argument, call.collation)),
            Needs::Ranges => call
                .arguments
                .iter()
                .all(|argument| is_range_or_bound(*argument)),
            Needs::Short => call.arguments.iter().all(|argument| is_short(*argument)),
            Needs::Pattern => is_bytewise(call.collation) && self.is_pattern(call),
            Needs::PatternOfCharacters => {
                is_bytewise(call.collation) && knows_all_characters() && self.is_pattern(call)
            }
            Needs::RegularExpression => {
                is_bytewise(call.collation)
                    && knows_all_characters()
                    && constant_of(call.arguments.get(1)).is_some_and(pattern::is_simple_regexp)
            }
            Needs::Unit => {
                constant_of(call.arguments.first()).is_some_and(|unit| UNITS.contains(&unit))
            }
        }
    }

    fn is_pattern(&mut self, call: &Call) -> bool {
        call.arguments
            .get(1)
            .is_some_and(|pattern| pattern::is_right(*pattern, self.asks))
    }

    /// Has it no column, and raises it no error and no notice, whenever and how often it is evaluated? A condition may be
    /// looked at row by row, for hidden rows that have passed another one.
    fn is_quiet(&mut self, node: Node) -> bool {
        use pg_sys::NodeTag::*;
        match node.tag() {
            T_Const | T_SQLValueFunction => true,
            T_Param => node.get().is_some_and(|of| self.is_known(of)),
            T_RelabelType => node.inner().is_some_and(|inner| self.is_quiet(inner)),
            T_ArrayExpr => {
                node.get::<pg_sys::ArrayExpr>()
                    .is_some_and(|of| !of.multidims)
                    && node
                        .arguments()
                        .iter()
                        .all(|element| self.is_quiet(*element))
            }
            T_OpExpr => node
                .get()
                .is_some_and(|of| self.is_quiet_call(Call::operator(of, node))),
            T_FuncExpr => node
                .get()
                .is_some_and(|of| self.is_quiet_call(Call::function(of, node))),
            _ => false,
        }
    }

    fn is_quiet_call(&mut self, call: Call) -> bool {
        match (call.function.to_u32(), call.arguments) {
            (
                pg_sys::F_NOW | pg_sys::F_TRANSACTION_TIMESTAMP | pg_sys::F_STATEMENT_TIMESTAMP,
                [],
            ) => true,
            (pg_sys::F_TEXTCAT, arguments) => {
                arguments.iter().all(|argument| self.is_quiet(*argument))
            }
            (
                pg_sys::F_TIMESTAMPTZ_PL_INTERVAL
                | pg_sys::F_TIMESTAMPTZ_MI_INTERVAL
                | pg_sys::F_DATE_PLI
                | pg_sys::F_DATE_MII,
                [moment, distance],
            ) => is_near_now(*moment) && is_near(*distance),
            (pg_sys::F_DATE_TRUNC_TEXT_TIMESTAMPTZ, [unit, moment]) => {
                let unit = constant_of(Some(unit));
                unit.is_some_and(|unit| UNITS.contains(&unit) || LONG_UNITS.contains(&unit))
                    && is_near_now(*moment)
            }
            (
                pg_sys::F_TO_TSQUERY_TEXT
                | pg_sys::F_PLAINTO_TSQUERY_TEXT
                | pg_sys::F_PHRASETO_TSQUERY_TEXT
                | pg_sys::F_WEBSEARCH_TO_TSQUERY_TEXT,
                [text],
            ) => text.bytes().is_some() && self.is_quiet_search(call.node),
            _ => false,
        }
    }

    /// The query is made in the configuration of the moment, which those who choose the SQL may change after this. It is
    /// made now, where an error or a notice tells nothing; if it has words, it gives none.
    fn is_quiet_search(&self, call: Node) -> bool {
        sql_is_applications()
            && self
                .root
                .evaluate(call)
                .is_some_and(|query| is_short(query) && has_words(query))
    }

    /// A parameter of the query, which is fetched when the plan starts, or a column of a query around this one. What a
    /// sub-select gives is found out when the first row needs it.
    fn is_known(&mut self, of: &pg_sys::Param) -> bool {
        match of.paramkind {
            pg_sys::ParamKind::PARAM_EXTERN => {
                self.asks.push(Asked::value(of.paramid));
                true
            }
            pg_sys::ParamKind::PARAM_EXEC => self.root.is_outer_column(of.paramid),
            _ => false,
        }
    }
}

fn constant_of<'p>(argument: Option<&Node<'p>>) -> Option<&'p [u8]> {
    argument?.without_relabeling().bytes()
}

/// The time of now, or of today.
fn is_near_now(node: Node) -> bool {
    let is_now = |function: pg_sys::Oid| {
        const CLOCKS: [u32; 3] = [
            pg_sys::F_NOW,
            pg_sys::F_TRANSACTION_TIMESTAMP,
            pg_sys::F_STATEMENT_TIMESTAMP,
        ];
        CLOCKS.contains(&function.to_u32())
    };
    let of_time = [
        pg_sys::DATEOID,
        pg_sys::TIMESTAMPTZOID,
        pg_sys::TIMESTAMPOID,
    ];
    match node.tag() {
        pg_sys::NodeTag::T_SQLValueFunction => of_time.contains(&node.type_oid()),
        _ => node.call().is_some_and(|call| is_now(call.function())),
    }
}

/// A number of days, or an interval, that leads from now to no time that is out of range.
fn is_near(node: Node) -> bool {
    const MONTHS: i32 = 12 * 1000;
    const DAYS: i32 = 365 * 1000;
    const MICROSECONDS: i64 = DAYS as i64 * 24 * 60 * 60 * 1_000_000;
    let Some(constant) = node.get::<pg_sys::Const>().filter(|of| !of.constisnull) else {
        return false;
    };
    match constant.consttype {
        pg_sys::INT4OID => (constant.constvalue.value() as i32).unsigned_abs() <= DAYS as u32,
        pg_sys::INTERVALOID => {
            // SAFETY: a value of this type.
            let interval = unsafe { &*constant.constvalue.cast_mut_ptr::<pg_sys::Interval>() };
            interval.month.unsigned_abs() <= MONTHS as u32
                && interval.day.unsigned_abs() <= DAYS as u32
                && interval.time.unsigned_abs() <= MICROSECONDS as u64
        }
        _ => false,
    }
}

/// A constant query of full text that is not empty.
fn has_words(query: Node) -> bool {
    let query = query.get::<pg_sys::Const>();
    query.is_some_and(|query| {
        query.consttype == pg_sys::TSQUERYOID
            && !query.constisnull
            // SAFETY: a value of this type is its length, the number of its items, and these.
            && unsafe { pg_sys::toast_raw_datum_size(query.constvalue) } > 8
    })
}

fn is_marked_leakproof(function: pg_sys::Oid) -> bool {
    // SAFETY: a look-up in the system cache.
    unsafe { pg_sys::get_func_leakproof(function) }
}

/// One of the operators of pg_trgm?
fn is_similarity(of: &pg_sys::OpExpr) -> bool {
    !is_built_in(of.opno)
        && is_function_of_library(of.opfuncid, TRIGRAMS, |name| SIMILARITIES.contains(&name))
        && is_of_extension(pg_sys::OperatorRelationId, of.opno, c"pg_trgm")
}

/// Are texts of this collation equal only if their bytes are?
fn is_bytewise(collation: pg_sys::Oid) -> bool {
    // SAFETY: a look-up in the system cache.
    collation != pg_sys::InvalidOid && unsafe { pg_sys::get_collation_isdeterministic(collation) }
}

/// Can each text of the database be converted into the characters of its locale?
fn knows_all_characters() -> bool {
    // SAFETY: reads the backend's state.
    unsafe {
        pg_sys::GetDatabaseEncoding() == pg_sys::pg_enc::PG_UTF8 as i32
            || pg_sys::pg_database_encoding_max_length() == 1
    }
}

fn is_array(node: Node, collation: pg_sys::Oid) -> bool {
    // SAFETY: look-ups in the system cache.
    let element = unsafe { pg_sys::get_base_element_type(node.type_oid()) };
    let is_text = [pg_sys::TEXTOID, pg_sys::VARCHAROID].contains(&element);
    // SAFETY: as above.
    (is_text && is_bytewise(collation))
        || ELEMENTS.contains(&element)
        || unsafe { pg_sys::type_is_enum(element) }
}

fn is_range_or_bound(node: Node) -> bool {
    // SAFETY: looks at types.
    let of = unsafe { pg_sys::getBaseType(node.type_oid()) };
    RANGES.contains(&of) || BOUNDS.contains(&of)
}

/// Not so long a constant that to compare it recurses deeply. What is no constant was parsed just before, which recurses
/// deeper still.
fn is_short(node: Node) -> bool {
    const LONGEST: usize = 16 * 1024;
    node.get::<pg_sys::Const>().is_none_or(|constant| {
        // SAFETY: constants of the types that are asked about have a length.
        constant.constisnull
            || unsafe { pg_sys::toast_raw_datum_size(constant.constvalue) } <= LONGEST
    })
}
