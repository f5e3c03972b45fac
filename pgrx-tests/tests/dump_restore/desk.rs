//! A random help desk with all that can be dumped, and all that can be seen of it.

use deskguard_tests::help_desk::{Case, DANGLING, HelpDesk, STATUS_LISTS, cases};
use deskguard_tests::lab::{act_for, case_of, texts};
use deskguard_tests::oracle::ACTIONS;
use deskguard_tests::server::{APP, Database, MAPPED, OWNER};
use deskguard_tests::{ident, literal};
use postgres::Client;

/// The first random help desk of a fixed sequence that has what the test needs.
pub fn find(what: &str, wanted: impl Fn(&HelpDesk) -> bool) -> HelpDesk {
    for seed in 0..20_000u64 {
        let Case { desk, .. } = case_of(&cases(), seed);
        let all_kinds = !desk.groups.is_empty()
            && !desk.group_members.is_empty()
            && !desk.agent_categories.is_empty()
            && !desk.agent_departments.is_empty()
            && !desk.team_members.is_empty()
            && !desk.followers.is_empty()
            && desk
                .departments
                .iter()
                .any(|department| department.parent.is_some())
            && desk.permissions.iter().any(|p| p.name == "people.edit")
            && desk
                .agents
                .iter()
                .any(|agent| agent.db_role.is_some() && agent.active)
            && desk
                .agents
                .iter()
                .any(|agent| sees_some(&desk, agent.id) && does_all(&desk, agent.id))
            && desk.table.confidential.is_some()
            && desk
                .table
                .status
                .as_ref()
                .is_some_and(|status| status.lists.len() == STATUS_LISTS.len())
            && desk.tickets.len() > 6;
        // The messages' tables have integers.
        let has_integer_ids = desk.table.id.kind.is_integer();
        if all_kinds && has_integer_ids && wanted(&desk) {
            return desk;
        }
    }
    panic!("no random help desk is {what}");
}

fn sees_some(desk: &HelpDesk, agent: i64) -> bool {
    let seen = desk
        .tickets
        .iter()
        .filter(|ticket| desk.view(agent, ticket))
        .count();
    seen > 0 && seen < desk.tickets.len()
}

fn does_all(desk: &HelpDesk, agent: i64) -> bool {
    let does = |action: &str| desk.tickets.iter().any(|t| desk.act(agent, t, action));
    ["reply", "modify", "edit_messages"].into_iter().all(does)
}

pub fn load(desk: &HelpDesk) -> Database {
    load_into(desk, Database::with_deskguard("dump"))
}

pub fn load_into(desk: &HelpDesk, database: Database) -> Database {
    let mut superuser = database.superuser();
    superuser
        .batch_execute(&(desk.load_sql() + &desk.table.protect_sql() + &messages_sql(desk)))
        .unwrap();
    database
}

/// Messages, attachments of them, and what hangs on these; in the order in which they are protected.
fn message_tables(desk: &HelpDesk) -> [String; 3] {
    ["a message", "attachment", "\"scan\""]
        .map(|name| format!("{}.{}", ident(desk.table.schema), ident(name)))
}

/// Three messages of each ticket, each with an attachment, and so on.
fn messages_sql(desk: &HelpDesk) -> String {
    let tables = message_tables(desk);
    let parents = [&desk.table.sql(), &tables[0], &tables[1]];
    let schema = ident(desk.table.schema);
    let mut sql = String::new();
    for (nth, (table, parent)) in tables.iter().zip(parents).enumerate() {
        let (rows, author) = if nth == 0 {
            let id = ident(desk.table.id.name);
            let numbers = "generate_series(1, 3) AS n";
            (
                format!("SELECT {id}, 'n' || n FROM {parent}, {numbers}"),
                "'by'",
            )
        } else {
            (format!("SELECT id, 'of ' || id FROM {parent}"), "NULL")
        };
        sql += &format!(
            "CREATE TABLE {table} (id bigserial PRIMARY KEY, above bigint, subject text, \"by\" int);
             INSERT INTO {table} (above, subject) {rows} ORDER BY 1, 2;
             ALTER TABLE {table} OWNER TO {OWNER};
             GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO PUBLIC;
             GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO PUBLIC;
             SELECT deskguard.protect_messages({}, {}, 'above', {author});",
            literal(table),
            literal(parent),
        );
    }
    sql
}

/// All that is protected.
pub fn tables(desk: &HelpDesk) -> Vec<String> {
    let mut tables = vec![desk.table.sql()];
    tables.extend(desk.table.partitions());
    tables.extend(desk.table.follower_sql());
    tables.extend(message_tables(desk));
    tables
}

/// What comes of the writing commands of a session, none of which stays.
fn attempts(name: &str, client: &mut Client, desk: &HelpDesk) -> Vec<String> {
    let table = desk.table.sql();
    let [message, attachment, scan] = message_tables(desk);
    let key = ident(desk.table.id.name);
    let status = desk.table.status.as_ref().unwrap();
    let column = ident(status.name);
    let mut commands = Vec::new();
    for ticket in &desk.tickets {
        let id = ticket.id;
        let values = status.lists.values().map(|list| literal(list[0]));
        for value in values.chain(["NULL".into()]) {
            commands.push(format!(
                "UPDATE {table} SET {column} = {value} WHERE {key} = {id}"
            ));
        }
        commands.push(format!("INSERT INTO {message} (above) VALUES ({id})"));
        commands.push(format!("DELETE FROM {message} WHERE above = {id}"));
    }
    for child in [&attachment, &scan] {
        commands.push(format!("UPDATE {child} SET subject = 'new'"));
    }
    let outcome = |sql: String| {
        let mut transaction = client.transaction().unwrap();
        let outcome = match transaction.execute(&sql, &[]) {
            Ok(rows) => format!("{rows} rows"),
            Err(error) => error.code().unwrap().code().to_string(),
        };
        format!("{name}, {sql}: {outcome}")
    };
    commands.into_iter().map(outcome).collect()
}

/// The rows of every session, what a superuser is told, and what `\d` shows: all as text.
pub fn picture(database: &Database, desk: &HelpDesk) -> Vec<String> {
    let mut lines = Vec::new();
    let tables = tables(desk);
    let look = |name: &str, client: &mut Client, lines: &mut Vec<String>| {
        for table in &tables {
            let sql = format!("SELECT t::text FROM {table} AS t ORDER BY 1");
            lines.push(format!("{name}, {table}: {:?}", texts(client, &sql)));
        }
    };
    let mut agents: Vec<i64> = desk.agents.iter().map(|agent| agent.id).collect();
    agents.push(DANGLING);
    let mut app = database.connect(APP);
    look("nobody", &mut app, &mut lines);
    for &agent in &agents {
        act_for(&mut app, agent);
        let name = format!("agent {agent}");
        look(&name, &mut app, &mut lines);
        lines.extend(attempts(&name, &mut app, desk));
    }
    for role in MAPPED.iter().chain([&OWNER]) {
        look(role, &mut database.connect(role), &mut lines);
    }

    let mut superuser = database.superuser();
    let table = desk.table.argument();
    for &agent in &agents {
        for ticket in &desk.tickets {
            for action in ACTIONS {
                let arguments = format!("{agent}, {}, '{action}', {table}", ticket.id);
                let sql = format!("SELECT deskguard.explain_access({arguments})::text");
                lines.extend(texts(&mut superuser, &sql));
            }
        }
        let sql =
            format!("SELECT p::text FROM deskguard.effective_permissions({agent}) p ORDER BY 1");
        lines.extend(texts(&mut superuser, &sql));
    }
    for sql in [
        "SELECT concat_ws(' ', polname, polrelid::regclass, polpermissive, polcmd, polroles::regrole[],
             pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))
         FROM pg_policy ORDER BY 1",
        "SELECT concat_ws(' ', oid::regclass, relrowsecurity, relforcerowsecurity) FROM pg_class
         WHERE relrowsecurity ORDER BY 1",
        "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1",
        "SELECT t::text FROM deskguard.protected_table t ORDER BY 1",
        "SELECT p::text FROM deskguard.permission p ORDER BY 1",
        "SELECT g::text FROM deskguard.permission_group g ORDER BY 1",
        "SELECT m::text FROM deskguard.group_member m ORDER BY 1",
        "SELECT p::text FROM deskguard.agent_permission p ORDER BY 1",
        "SELECT d::text FROM deskguard.department d ORDER BY 1",
        "SELECT c::text FROM deskguard.category c ORDER BY 1",
        "SELECT t::text FROM deskguard.team t ORDER BY 1",
        "SELECT a::text FROM deskguard.agent a ORDER BY 1",
        "SELECT t::text FROM deskguard.trusted_role t ORDER BY 1",
    ] {
        lines.extend(texts(&mut superuser, sql));
    }
    lines
}
