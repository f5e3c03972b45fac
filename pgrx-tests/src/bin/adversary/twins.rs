//! Pairs of statements that differ only in a value that was guessed: once one of a hidden row, once one of no
//! row. Whoever must not see the row must not be able to tell them apart, by rows, notices or errors.

use crate::desk::{ANN_ID, Rule, Ty};
use crate::generator::Generator;
use crate::session::{Function, Session, Terms, Way};
use crate::watch::count;
use crate::wire::Reply;

/// A statement with a hole, and what to put there.
struct Pair {
    statement: String,
    of_a_row: String,
    of_none: String,
}

const HOLE: &str = "<hole>";

/// Whose rows are looked up, by bigint and by uuid.
const TABLES: [&str; 3] = ["desk.ticket", "keyed.ticket", "desk.response"];

/// One pair for the agent of the session, in its transaction.
pub fn run(session: &mut Session, generator: &mut Generator) {
    let Some(pair) = pair(session, generator) else {
        return;
    };
    let mut outcomes = Vec::new();
    for value in [&pair.of_a_row, &pair.of_none] {
        let sql = pair.statement.replace(HOLE, value);
        let reply = session.run(
            &format!("SAVEPOINT s; {sql}"),
            Way::Simple,
            &Terms::of("twin"),
        );
        if reply.lost {
            return;
        }
        if session.failed_transaction() {
            session.quick("ROLLBACK TO s");
        }
        // These may come at any time.
        if ["57014", "40001", "57P02"].contains(&reply.code()) {
            return;
        }
        // Of a question about others, whatever the row is: whether it is asked, and when, is the planner's choice.
        let refused = reply.error().map(|error| error.message());
        if refused == Some("permission denied to ask about other agents") {
            return;
        }
        outcomes.push(outcome(&reply, value));
    }
    count(&session.world.watch.counts.twins, 1);
    if outcomes[0] != outcomes[1] {
        let first = pair.statement.split_whitespace().next().unwrap_or_default();
        let code = if outcomes[0].0.is_empty() {
            &outcomes[1].0
        } else {
            &outcomes[0].0
        };
        let kind = format!("twins differ: {first} {code}");
        session.world.watch.alarm(&kind, || {
            session.story(&format!(
                "{}\nwith {} (hidden): {:?}\nwith {} (of no row): {:?}",
                pair.statement, pair.of_a_row, outcomes[0], pair.of_none, outcomes[1]
            ))
        });
    }
}

/// SQLSTATE, rows and notices, without the value.
fn outcome(reply: &Reply, value: &str) -> (String, Vec<String>) {
    let bare = value.trim_matches('\'');
    // What is printed for debugging and for the log tells times and plans, which may differ, as in EXPLAIN ANALYZE.
    let notices = reply.notices.iter();
    let notices = notices.filter(|notice| ["NOTICE", "WARNING"].contains(&notice.field('V')));
    let mut texts: Vec<String> = reply
        .rows
        .iter()
        .map(|row| format!("{row:?}"))
        .chain(notices.map(|notice| notice.message().into()))
        // An error says what it wants, but not what the session cannot know: the text counts, too.
        .chain(reply.errors.iter().map(|error| error.message().into()))
        .map(|text: String| text.replace(bare, HOLE))
        // Said once for each value of the setting.
        .filter(|text| !text.starts_with("deskguard.agent_id is ignored"))
        .collect();
    texts.sort();
    (reply.code().to_string(), texts)
}

fn pair(session: &Session, generator: &mut Generator) -> Option<Pair> {
    let desk = &session.world.desk;
    let hidden = desk.hidden(session.agent);
    if hidden.is_empty() {
        return None;
    }
    let place = *generator.random.pick(&hidden);
    let table = &desk.tables[place.table];
    let row = desk.row(place);
    let absent = 900_000 + generator.random.below(90_000);
    // A ticket's followers may be seen in part.
    let mut visible = desk.visible(session.agent).into_iter();
    let is_id_seen = visible.any(|seen| seen.table == place.table && desk.row(seen).id == row.id);
    let ways = if is_id_seen { 4 } else { 6 };
    let (column, of_a_row, of_none) = match generator.random.below(ways) {
        0 | 1 => (
            table.text,
            format!("'{}'", row.text),
            format!("'zq{}{absent}qz'", table.letter),
        ),
        2 | 3 => (
            table.number,
            row.number.to_string(),
            format!("{}", 20_000_000_000_000 + absent as u64),
        ),
        _ => {
            let (ty, id) = (table.columns[0].1, &row.id);
            if ty == Ty::Uuid {
                let none = format!("'c0ffee00-0000-4000-0000-{absent:012x}'");
                (table.id, format!("'{id}'"), none)
            } else {
                (table.id, id.clone(), absent.to_string())
            }
        }
    };
    let alias = "t";
    let functions = &session.world.functions;
    let bools: Vec<_> = functions
        .iter()
        .filter(|function| {
            ["boolean", "bigint"].contains(&function.returns.as_str())
                && !function.set
                && function.public
        })
        .collect();
    // By the id of a ticket alone, of all that takes one.
    let direct_call = |generator: &mut Generator, function: &Function| {
        let arguments = function.arguments.iter().map(|ty| match ty.as_str() {
            "regclass" => {
                let of = *generator.random.pick(&["ticket", "message", "follower"]);
                format!("'{}'::regclass", table.name.replace("ticket", of))
            }
            "bigint" if generator.random.percent(30) => {
                let agent = session.agent.unwrap_or(ANN_ID);
                format!("{agent}::bigint")
            }
            ty if ty == table.columns[0].1.sql() || ty == "text" => format!("{HOLE}::{ty}"),
            "boolean" => generator.random.pick(&["true", "false"]).to_string(),
            "bigint" => generator.id(),
            ty => format!("NULL::{ty}"),
        });
        let arguments: Vec<String> = arguments.collect();
        format!("SELECT {}({})", function.name, arguments.join(", "))
    };
    // Those that look something up may tell by it.
    let asks = |function: &&&Function| function.arguments.iter().any(|ty| ty == "regclass");
    let asking: Vec<_> = bools.iter().filter(asks).copied().collect();
    let of = if generator.random.percent(40) {
        &asking
    } else {
        &bools
    };
    let function = *generator.random.pick(of);
    // Smaller ids may be those of agents, which errors name.
    let is_ticket = matches!(table.rule, Rule::Ticket(_));
    if is_ticket && column == table.id && row.of > 12 && generator.random.percent(60) {
        // Which ids are taken, unique indexes tell, too.
        let asking = asking
            .iter()
            .filter(|asked| !asked.name.ends_with("_id_ok"));
        let asking: Vec<_> = asking.copied().collect();
        let function = *generator.random.pick(&asking);
        let statement = direct_call(generator, function);
        return Some(Pair {
            statement,
            of_a_row,
            of_none,
        });
    }
    // Mostly what the row has, in types that fit or do not.
    let mut arguments = Vec::new();
    for ty in &function.arguments {
        arguments.push(match ty.as_str() {
            "regclass" if generator.random.percent(50) => {
                format!("'{}'::regclass", generator.random.pick(&TABLES))
            }
            "regclass" => generator.regclass(),
            ty => {
                let (name, _) = *generator.random.pick(table.columns);
                let fitting = table.columns.iter().filter(|(_, of)| of.sql() == ty);
                let fitting: Vec<_> = fitting.collect();
                match ty {
                    _ if !fitting.is_empty() && generator.random.percent(60) => {
                        format!("{alias}.{}", generator.random.pick(&fitting).0)
                    }
                    _ if ty == "text" => format!("{alias}.{name}::text"),
                    _ => format!("NULL::{ty}"),
                }
            }
        });
    }
    let call = format!("{}({})", function.name, arguments.join(", "));
    let call = if function.returns == "boolean" {
        call
    } else {
        format!("{call} = 3")
    };
    let call = match generator.random.below(16) {
        0 => format!("NOT ({call})"),
        1 => format!("({call}) IS NOT NULL"),
        2 => format!("lair.fussy({alias}.{})", table.text),
        3 => format!("{alias}.{}::bigint > 0", table.text),
        // Leakproof, and asked with a value of another kind.
        4 => format!(
            "deskguard_internal.followed('desk.ticket', {alias}.{})",
            table.text
        ),
        // Errors of a pattern, which come with the first row that is compared.
        5 => format!("{alias}.{} LIKE '%\\'", table.text),
        6 => format!("{alias}.{} NOT ILIKE 'zq%\\'", table.text),
        7 => format!("lower({alias}.{}) LIKE lair.pattern()", table.text),
        8 => format!("{alias}.{} OPERATOR(lair.~~) 'x'", table.text),
        9..13 => format!("1 / ({alias}.{0} - {alias}.{0}) = 1", table.number),
        _ => call,
    };
    let test = match generator.random.below(4) {
        0 => format!("{alias}.{column} IN ({HOLE}, {HOLE})"),
        1 => format!("{alias}.{column} >= {HOLE} AND {alias}.{column} <= {HOLE}"),
        _ => format!("{alias}.{column} = {HOLE}"),
    };
    let name = table.name;
    let statement = match generator.random.below(7) {
        0..3 => format!("SELECT count(*) FROM {name} AS {alias} WHERE {test} AND {call}"),
        3 => format!("SELECT count(*) FROM {name} AS {alias} WHERE {call} AND {test}"),
        4 => format!("SELECT {call} FROM {name} AS {alias} WHERE {test}"),
        5 => format!(
            "UPDATE {name} AS {alias} SET {column} = {column} WHERE {test} AND {call} RETURNING {alias}.{}",
            table.text
        ),
        _ => format!(
            "SELECT count(*) FROM desk.tag, {name} AS {alias} WHERE {test} AND ({call} OR desk.tag.name = 'none')"
        ),
    };
    Some(Pair {
        statement,
        of_a_row,
        of_none,
    })
}
