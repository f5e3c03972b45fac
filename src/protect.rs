//! Puts policies and triggers on a help desk's tables, and takes them off again.

use std::cell::OnceCell;
use std::ffi::CStr;

use pgrx::prelude::*;
use pgrx::spi::{SpiError, quote_identifier, quote_literal};

use crate::catalog::{Catalog, own_table};
use crate::owner_sql::RunAsOwner;
use crate::protected::{
    FOLLOWERS, FollowerTable, TICKETS, TicketTable, bigint_expression, regclass, root_of,
    table_name,
};
use crate::{compat, error};

/// The policy that opens a table, and those that close it again.
const BASE: &str = "deskguard_base";
const RULES: [&str; 5] = [
    "deskguard_silo",
    "deskguard_view",
    "deskguard_create",
    "deskguard_modify",
    "deskguard_delete",
];
/// The trigger that notes the department that a ticket had.
const TRIGGER: &str = "deskguard_move";
/// The same on a partition that was detached and has lost the former; another name, since the
/// partition could not be attached again otherwise.
const DETACHED_TRIGGER: &str = "deskguard_move_detached";

#[pg_extern(sql = false)]
#[allow(clippy::too_many_arguments)]
fn protect_tickets(
    ticket_table: Option<pg_sys::Oid>,
    id_column: Option<&CStr>,
    department_column: Option<&CStr>,
    category_column: Option<&CStr>,
    assignee_column: Option<&CStr>,
    team_column: Option<&CStr>,
    follower_table: Option<pg_sys::Oid>,
    follower_ticket_column: Option<&CStr>,
    follower_agent_column: Option<&CStr>,
    unassigned_value: Option<i64>,
) -> Result<(), SpiError> {
    let given = |name: Option<&CStr>| name.map(|name| name.to_string_lossy().into_owned());
    let needed = |name: Option<&CStr>, what: &str| {
        given(name).unwrap_or_else(|| {
            error::raise(
                PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
                format!("{what} must not be NULL"),
                "Leave it out for its default, or name a column.",
            )
        })
    };
    let Some(oid) = ticket_table else {
        error::raise(
            PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
            "ticket_table must not be NULL",
            "Name the table of the tickets.",
        )
    };
    let table = TicketTable {
        oid,
        id: needed(id_column, "id_column"),
        department: given(department_column),
        category: given(category_column),
        assignee: given(assignee_column),
        team: given(team_column),
        unassigned_value,
        followers: follower_table.map(|oid| {
            let ticket = needed(follower_ticket_column, "follower_ticket_column");
            let agent = needed(follower_agent_column, "follower_agent_column");
            FollowerTable::new(oid, ticket, agent)
        }),
        find_query: OnceCell::new(),
    };
    check_ticket_table(&table)?;
    if let Some(followers) = &table.followers {
        check_follower_table(&table, followers)?;
    }
    if let Some(former) = TicketTable::find(&Catalog::now(), oid).and_then(|t| t.followers) {
        check_owner(former.oid);
        remove(former.oid)?;
    }
    remove(oid)?;
    add(Protection::Tickets(&table), oid)?;
    if let Some(followers) = &table.followers {
        remove(followers.oid)?;
        add(Protection::Followers(followers), followers.oid)?;
    }
    protect_children()?;
    advise_indexes(&table)?;
    advise_preload();
    Ok(())
}

#[pg_extern(sql = false)]
fn unprotect(protected_table: Option<pg_sys::Oid>) -> Result<(), SpiError> {
    let Some(oid) = protected_table else {
        error::raise(
            PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
            "protected_table must not be NULL",
            "Name a protected table.",
        )
    };
    let catalog = Catalog::now();
    check_owner(oid);
    if let Some(tickets) = TicketTable::find_by_followers(&catalog, oid) {
        error::raise(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!(
                "{} is protected with its ticket table {}",
                name(oid),
                tickets.name()
            ),
            "Unprotect the ticket table, or call deskguard.protect_tickets() for it without the follower table.",
        );
    }
    match root_of(&catalog, oid) {
        // Names the protected tables.
        None => drop(TicketTable::resolve(Some(oid))),
        Some(root) if root != oid && is_child_of_protected(oid)? => error::raise(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("{} is protected with {}", name(oid), name(root)),
            "Unprotect that table, or detach this one from it first.",
        ),
        Some(_) => {}
    }
    if let Some(followers) = TicketTable::find(&catalog, oid).and_then(|t| t.followers) {
        check_owner(followers.oid);
        remove(followers.oid)?;
    }
    remove(oid)
}

// What is checked first

fn name(oid: pg_sys::Oid) -> String {
    table_name(oid).unwrap_or_else(|| format!("table {}", oid.to_u32()))
}

fn check_owner(table: pg_sys::Oid) {
    check_exists(table);
    // SAFETY: reads the backend's state.
    if !compat::owns_table(table, unsafe { pg_sys::GetUserId() }) {
        error::raise(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!("must be owner of {}", name(table)),
            "Only its owner may protect a table or end its protection.",
        );
    }
}

fn check_exists(table: pg_sys::Oid) {
    if table_name(table).is_none() {
        error::raise(
            PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
            format!("there is no table with the OID {}", table.to_u32()),
            "Give the table by its name.",
        );
    }
}

/// An ordinary or partitioned table of the caller.
fn check_kind(table: pg_sys::Oid) -> Result<(), SpiError> {
    check_exists(table);
    let (kind, persistence, is_child) = Spi::get_three_with_args::<String, String, bool>(
        "SELECT c.relkind::pg_catalog.text, c.relpersistence::pg_catalog.text,
                EXISTS (SELECT FROM pg_catalog.pg_inherits AS i
                        WHERE i.inhrelid OPERATOR(pg_catalog.=) c.oid)
         FROM pg_catalog.pg_class AS c WHERE c.oid OPERATOR(pg_catalog.=) $1",
        &[table.into()],
    )?;
    let (kind, persistence) = (kind.unwrap_or_default(), persistence.unwrap_or_default());
    let wrong = |problem: &str, hint: &str| -> ! {
        error::raise(
            PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
            format!("{} {problem}", name(table)),
            hint,
        )
    };
    match kind.as_str() {
        "r" | "p" => {}
        "v" | "m" => wrong(
            "is a view, which has no row-level security",
            "Protect the tables behind it. A view shows what its owner may see, or with security_invoker what its user may see; a materialized view shows all rows.",
        ),
        _ => wrong(
            "is not an ordinary or partitioned table",
            "Row-level security works on ordinary and partitioned tables.",
        ),
    }
    if persistence == "t" {
        wrong("is temporary", "Protect a permanent table.");
    }
    if is_child == Some(true) {
        wrong(
            "is a partition or child of another table, through which its rows would be seen",
            "Protect the table above; its partitions and children are protected with it.",
        );
    }
    // SAFETY: look-ups in the system cache.
    let own = unsafe {
        pg_sys::get_rel_namespace(table) == pg_sys::get_rel_namespace(own_table(c"agent"))
            || pg_sys::IsCatalogRelationOid(table)
    };
    if own {
        wrong(
            "belongs to PostgreSQL or deskguard",
            "Protect a table of the help desk.",
        );
    }
    check_owner(table);
    Ok(())
}

fn check_column(table: pg_sys::Oid, column: &str) -> Result<(), SpiError> {
    let type_name = Spi::connect(|client| {
        client
            .select(
                "SELECT pg_catalog.format_type(atttypid, atttypmod) FROM pg_catalog.pg_attribute
                 WHERE attrelid OPERATOR(pg_catalog.=) $1 AND attname OPERATOR(pg_catalog.=) $2::pg_catalog.name
                   AND attnum OPERATOR(pg_catalog.>) 0 AND NOT attisdropped",
                Some(1),
                &[table.into(), column.into()],
            )?
            .map(|row| row.get::<String>(1))
            .next()
            .transpose()
    })?
    .flatten();
    match type_name.as_deref() {
        Some("smallint" | "integer" | "bigint") => Ok(()),
        Some(other) => error::raise(
            PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
            format!("column \"{column}\" of {} has type {other}", name(table)),
            "The columns of the rules are smallint, integer or bigint.",
        ),
        None => error::raise(
            PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN,
            format!("column \"{column}\" of {} does not exist", name(table)),
            "Column names are case-sensitive here; give them as the table has them.",
        ),
    }
}

fn check_ticket_table(table: &TicketTable) -> Result<(), SpiError> {
    check_kind(table.oid)?;
    let rule_columns = [
        &table.department,
        &table.category,
        &table.assignee,
        &table.team,
    ];
    let mut columns: Vec<&str> = rule_columns.iter().filter_map(|c| c.as_deref()).collect();
    if columns.is_empty() {
        error::raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            "no column for the rules was given",
            "Give at least one of department_column, category_column, assignee_column and team_column.",
        );
    }
    columns.push(&table.id);
    for column in &columns {
        check_column(table.oid, column)?;
    }
    columns.sort_unstable();
    if let Some(twice) = columns.windows(2).find(|pair| pair[0] == pair[1]) {
        error::raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("column \"{}\" was given twice", twice[0]),
            "Each column has one meaning.",
        );
    }
    if table.unassigned_value.is_some() && table.assignee.is_none() {
        error::raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            "unassigned_value needs an assignee_column",
            "Give both or neither.",
        );
    }
    if let Some(tickets) = TicketTable::find_by_followers(&Catalog::now(), table.oid) {
        error::raise(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!(
                "{} is the follower table of {}",
                table.name(),
                tickets.name()
            ),
            "A table is protected either as tickets or as followers.",
        );
    }
    Ok(())
}

fn check_follower_table(table: &TicketTable, followers: &FollowerTable) -> Result<(), SpiError> {
    check_kind(followers.oid)?;
    check_column(followers.oid, &followers.ticket)?;
    check_column(followers.oid, &followers.agent)?;
    let problem = if followers.ticket == followers.agent {
        Some("has the same column for the ticket and the agent".into())
    } else if followers.oid == table.oid {
        Some("is the ticket table itself".into())
    } else {
        let catalog = Catalog::now();
        match TicketTable::find_by_followers(&catalog, followers.oid) {
            Some(other) if other.oid != table.oid => {
                Some(format!("is the follower table of {}", other.name()))
            }
            _ => TicketTable::find(&catalog, followers.oid)
                .map(|_| "is a protected ticket table".into()),
        }
    };
    if let Some(problem) = problem {
        error::raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!(
                "{} cannot be the follower table: it {problem}",
                name(followers.oid)
            ),
            "A follower table has a row for each ticket and agent, and belongs to one ticket table.",
        );
    }
    Ok(())
}

// What is added

/// How a table is protected. Partitions and child tables have the columns of their root.
enum Protection<'a> {
    Tickets(&'a TicketTable),
    Followers(&'a FollowerTable),
}

impl Protection<'_> {
    fn root(&self) -> pg_sys::Oid {
        match self {
            Protection::Tickets(table) => table.oid,
            Protection::Followers(table) => table.oid,
        }
    }

    /// The policies that close a table: name, command and expressions.
    fn policies(&self, table: pg_sys::Oid) -> Vec<(&'static str, &'static str, String)> {
        let this = regclass(table);
        match self {
            Protection::Tickets(tickets) => {
                let view = tickets.action_call("view_ok", table);
                let modify = tickets.action_call("modify_ok", table);
                let delete = tickets.action_call("delete_ok", table);
                let id = bigint_expression(Some(&tickets.id));
                let department = bigint_expression(tickets.department.as_deref());
                // The new row may be one that the agent cannot modify any more.
                let moved = match tickets.department {
                    Some(_) => format!("deskguard.move_ok({this}, {id}, {department})"),
                    None => "true".into(),
                };
                let mut policies = vec![
                    ("deskguard_view", "SELECT", format!("USING ({view})")),
                    (
                        "deskguard_create",
                        "INSERT",
                        format!("WITH CHECK (deskguard.create_ok({this}, {department}))"),
                    ),
                    (
                        "deskguard_modify",
                        "UPDATE",
                        format!("USING ({modify}) WITH CHECK ({moved})"),
                    ),
                    ("deskguard_delete", "DELETE", format!("USING ({delete})")),
                ];
                if let Some(silo) = tickets.silo_call(table) {
                    policies.push(("deskguard_silo", "ALL", format!("USING ({silo})")));
                }
                policies
            }
            Protection::Followers(followers) => {
                let ticket = bigint_expression(Some(&followers.ticket));
                let agent = bigint_expression(Some(&followers.agent));
                let change = format!("deskguard.follower_ok({this}, {ticket}, {agent})");
                vec![
                    (
                        "deskguard_view",
                        "SELECT",
                        format!("USING (deskguard.follower_seen({this}, {ticket}))"),
                    ),
                    (
                        "deskguard_create",
                        "INSERT",
                        format!("WITH CHECK ({change})"),
                    ),
                    ("deskguard_modify", "UPDATE", "USING (false)".into()),
                    ("deskguard_delete", "DELETE", format!("USING ({change})")),
                ]
            }
        }
    }
}

/// Protects one table and notes it in the registry.
fn add(protection: Protection, table: pg_sys::Oid) -> Result<(), SpiError> {
    // Those of a protection that is not in the registry: of a dump without data, or what an
    // extension that was dropped left behind. First, since nothing may be dropped from tables in
    // the registry.
    drop_policies(table)?;
    register(&protection, table)?;
    let table_name = name(table);
    let run = |ddl: String| Spi::run(&ddl);
    run(format!(
        "ALTER TABLE {table_name} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"
    ))?;
    for (policy, command, expressions) in protection.policies(table) {
        run(format!(
            "CREATE POLICY {policy} ON {table_name} AS RESTRICTIVE FOR {command} {expressions}"
        ))?;
    }
    run(format!(
        "CREATE POLICY {} ON {table_name} USING (true)",
        BASE
    ))?;
    tie_policies(table)?;
    if let Protection::Tickets(tickets) = protection {
        add_trigger(tickets, table)?;
    }
    Ok(())
}

fn add_trigger(tickets: &TicketTable, table: pg_sys::Oid) -> Result<(), SpiError> {
    // SAFETY: a look-up in the system cache.
    let is_partition = unsafe { pg_sys::get_rel_relispartition(table) };
    // PostgreSQL gives a partition the triggers of its partitioned table.
    if tickets.department.is_none() || is_partition {
        return Ok(());
    }
    create_trigger(TRIGGER, table)
}

fn create_trigger(trigger: &str, table: pg_sys::Oid) -> Result<(), SpiError> {
    Spi::run(&format!(
        "CREATE TRIGGER {trigger} BEFORE UPDATE ON {}
         FOR EACH ROW EXECUTE FUNCTION deskguard.note_department()",
        name(table)
    ))
}

/// Drops the policies and triggers that deskguard puts on tables, those that are there.
fn drop_policies(table: pg_sys::Oid) -> Result<(), SpiError> {
    let name = name(table);
    for policy in std::iter::once(BASE).chain(RULES) {
        if policy_oid(table, policy, Whose::Deskguards)?.is_some() {
            Spi::run(&format!("DROP POLICY {policy} ON {name}"))?;
        }
    }
    for trigger in [TRIGGER, DETACHED_TRIGGER] {
        let is_there = Spi::get_one_with_args::<bool>(
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_trigger
                            WHERE tgrelid OPERATOR(pg_catalog.=) $1
                              AND tgname OPERATOR(pg_catalog.=) $2::pg_catalog.name
                              AND tgparentid OPERATOR(pg_catalog.=) 0::pg_catalog.oid)",
            &[table.into(), trigger.into()],
        )?;
        if is_there == Some(true) {
            Spi::run(&format!("DROP TRIGGER {trigger} ON {name}"))?;
        }
    }
    Ok(())
}

/// Makes the policy that opens a table depend on those that close it: whatever drops one of them,
/// DROP EXTENSION ... CASCADE for one, leaves the table closed and not open.
#[pg_extern(sql = false)]
fn tie_policies(protected_table: pg_sys::Oid) -> Result<(), SpiError> {
    const POLICY_RELATION_ID: pg_sys::Oid = pg_sys::Oid::from_u32(3256);
    let address = |oid| pg_sys::ObjectAddress {
        classId: POLICY_RELATION_ID,
        objectId: oid,
        objectSubId: 0,
    };
    let Some(base) = policy_oid(protected_table, BASE, Whose::Any)?.map(address) else {
        return Ok(());
    };
    for name in RULES {
        let Some(rule) = policy_oid(protected_table, name, Whose::Any)?.map(address) else {
            continue;
        };
        let auto = pg_sys::DependencyType::DEPENDENCY_AUTO;
        // SAFETY: writes pg_depend; both policies exist.
        unsafe {
            pg_sys::deleteDependencyRecordsForSpecific(
                base.classId,
                base.objectId,
                auto as std::ffi::c_char,
                rule.classId,
                rule.objectId,
            );
            pg_sys::recordDependencyOn(&base, &rule, auto);
        }
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    Any,
    /// Not one of the user's own that has the name of one of ours.
    Deskguards,
}

fn policy_oid(
    table: pg_sys::Oid,
    name: &str,
    whose: Whose,
) -> Result<Option<pg_sys::Oid>, SpiError> {
    Spi::connect(|client| {
        client
            .select(
                "SELECT p.oid
                 FROM pg_catalog.pg_policy AS p,
                     LATERAL pg_catalog.pg_get_expr(
                         COALESCE(p.polqual, p.polwithcheck), p.polrelid) AS e (condition)
                 WHERE p.polrelid OPERATOR(pg_catalog.=) $1
                   AND p.polname OPERATOR(pg_catalog.=) $2::pg_catalog.name
                   AND (NOT $3 OR CASE
                       WHEN p.polpermissive THEN p.polname OPERATOR(pg_catalog.=) 'deskguard_base'
                           AND e.condition OPERATOR(pg_catalog.=) 'true'
                       ELSE e.condition OPERATOR(pg_catalog.~~) 'deskguard.%'
                           OR e.condition OPERATOR(pg_catalog.=) 'false'
                   END)",
                Some(1),
                &[
                    table.into(),
                    name.into(),
                    (whose == Whose::Deskguards).into(),
                ],
            )?
            .next()
            .map(|row| row.get(1))
            .transpose()
            .map(Option::flatten)
    })
}

/// Protects the partitions and child tables that are not protected yet, and gives back the trigger
/// that a partition loses when it is detached.
#[pg_extern(sql = false)]
fn protect_children() -> Result<(), SpiError> {
    refuse_unprotected_parents()?;
    while let Some((child, root)) = two_tables(
        "SELECT i.inhrelid, p.root::pg_catalog.oid
         FROM pg_catalog.pg_inherits AS i
         JOIN deskguard.protected_table AS p ON p.table_id::pg_catalog.oid OPERATOR(pg_catalog.=) i.inhparent
         JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) i.inhrelid
         WHERE NOT EXISTS (SELECT FROM deskguard.protected_table AS c
                           WHERE c.table_id::pg_catalog.oid OPERATOR(pg_catalog.=) i.inhrelid)
           AND c.relpersistence OPERATOR(pg_catalog.<>) 't'
         ORDER BY i.inhrelid LIMIT 1",
    )? {
        // SAFETY: a look-up in the system cache.
        let kind = unsafe { pg_sys::get_rel_relkind(child) } as u8 as char;
        if !matches!(kind, 'r' | 'p') {
            error::raise(
                PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
                format!("{} is a foreign table and cannot be protected", name(child)),
                format!("It cannot be a partition or child of {}.", name(root)),
            );
        }
        let catalog = Catalog::now();
        if let Some(tickets) = TicketTable::find(&catalog, root) {
            add(Protection::Tickets(&tickets), child)?;
        } else if let Some(followers) =
            TicketTable::find_by_followers(&catalog, root).and_then(|table| table.followers)
        {
            add(Protection::Followers(&followers), child)?;
        } else {
            // The ticket table is gone: nobody sees the followers any more.
            return Ok(());
        }
    }
    // A restored dump has its triggers before its policies.
    while let Some((table, _)) = two_tables(
        "SELECT p.table_id::pg_catalog.oid, p.root::pg_catalog.oid
         FROM deskguard.protected_table AS p
         JOIN deskguard.protected_table AS r ON r.table_id OPERATOR(pg_catalog.=) p.root
         JOIN pg_catalog.pg_policy AS pol ON pol.polrelid OPERATOR(pg_catalog.=) p.table_id::pg_catalog.oid
           AND pol.polname OPERATOR(pg_catalog.=) 'deskguard_modify'
         WHERE p.kind OPERATOR(pg_catalog.=) 'tickets' AND p.table_id OPERATOR(pg_catalog.<>) p.root
           AND r.department_column IS NOT NULL
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits AS i
                           WHERE i.inhrelid OPERATOR(pg_catalog.=) p.table_id::pg_catalog.oid)
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger AS t
                           WHERE t.tgrelid OPERATOR(pg_catalog.=) p.table_id::pg_catalog.oid
                             AND t.tgfoid OPERATOR(pg_catalog.=) 'deskguard.note_department'::pg_catalog.regproc::pg_catalog.oid)
         ORDER BY p.table_id LIMIT 1",
    )? {
        create_trigger(DETACHED_TRIGGER, table)?;
    }
    Ok(())
}

/// Through a table above that is not protected all rows would be seen.
fn refuse_unprotected_parents() -> Result<(), SpiError> {
    let exposed = two_tables(
        "SELECT i.inhrelid, i.inhparent
         FROM pg_catalog.pg_inherits AS i
         JOIN deskguard.protected_table AS p ON p.table_id::pg_catalog.oid OPERATOR(pg_catalog.=) i.inhrelid
         WHERE NOT EXISTS (SELECT FROM deskguard.protected_table AS c
                           WHERE c.table_id::pg_catalog.oid OPERATOR(pg_catalog.=) i.inhparent)
         ORDER BY i.inhrelid LIMIT 1",
    )?;
    if let Some((child, parent)) = exposed {
        error::raise(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!(
                "{} is protected and {} is not, through which its rows would be seen",
                name(child),
                name(parent)
            ),
            format!(
                "SELECT deskguard.unprotect({}), make it a partition or child, and protect the table above.",
                quote_literal(name(child))
            ),
        );
    }
    Ok(())
}

/// Is a table attached to a protected one?
fn is_child_of_protected(table: pg_sys::Oid) -> Result<bool, SpiError> {
    let _owner = RunAsOwner::of(own_table(c"protected_table"));
    Ok(Spi::get_one_with_args(
        "SELECT EXISTS (
             SELECT FROM pg_catalog.pg_inherits AS i
             JOIN deskguard.protected_table AS p ON p.table_id::pg_catalog.oid OPERATOR(pg_catalog.=) i.inhparent
             WHERE i.inhrelid OPERATOR(pg_catalog.=) $1)",
        &[table.into()],
    )?
    .unwrap_or_default())
}

fn two_tables(query: &str) -> Result<Option<(pg_sys::Oid, pg_sys::Oid)>, SpiError> {
    let _owner = RunAsOwner::of(own_table(c"protected_table"));
    Spi::connect(|client| {
        let rows = client.select(query, Some(1), &[])?;
        if rows.is_empty() {
            return Ok(None);
        }
        let (child, root) = rows.first().get_two::<pg_sys::Oid, pg_sys::Oid>()?;
        Ok(child.zip(root))
    })
}

// What is taken away

/// Takes a protected table, its partitions and children out of the registry and removes what was
/// added to them.
fn remove(root: pg_sys::Oid) -> Result<(), SpiError> {
    let registered = registry(root)?;
    // First, since nothing may be dropped from tables in the registry.
    {
        let _owner = RunAsOwner::of(own_table(c"protected_table"));
        for (table, ..) in &registered {
            Spi::run_with_args(
                "DELETE FROM deskguard.protected_table
                 WHERE table_id::pg_catalog.oid OPERATOR(pg_catalog.=) $1",
                &[(*table).into()],
            )?;
        }
    }
    for (table, had_row_security, had_force) in registered {
        let Some(name) = table_name(table) else {
            continue;
        };
        drop_policies(table)?;
        Spi::run(&format!(
            "ALTER TABLE {name} {} ROW LEVEL SECURITY, {} ROW LEVEL SECURITY",
            if had_row_security {
                "ENABLE"
            } else {
                "DISABLE"
            },
            if had_force { "FORCE" } else { "NO FORCE" },
        ))?;
    }
    Ok(())
}

// The registry

/// A table and those registered as its partitions or children, with their flags of row-level
/// security from before.
fn registry(root: pg_sys::Oid) -> Result<Vec<(pg_sys::Oid, bool, bool)>, SpiError> {
    let _owner = RunAsOwner::of(own_table(c"protected_table"));
    Spi::connect(|client| {
        let mut tables = Vec::new();
        for row in client.select(
            "SELECT table_id::pg_catalog.oid, had_row_security, had_force_row_security
             FROM deskguard.protected_table
             WHERE root::pg_catalog.oid OPERATOR(pg_catalog.=) $1
                OR table_id::pg_catalog.oid OPERATOR(pg_catalog.=) $1
             ORDER BY table_id::pg_catalog.oid OPERATOR(pg_catalog.<>) $1, table_id::pg_catalog.oid",
            None,
            &[root.into()],
        )? {
            if let Some(table) = row.get(1)? {
                tables.push((
                    table,
                    row.get(2)?.unwrap_or_default(),
                    row.get(3)?.unwrap_or_default(),
                ));
            }
        }
        Ok(tables)
    })
}

fn register(protection: &Protection, table: pg_sys::Oid) -> Result<(), SpiError> {
    let is_root = table == protection.root();
    let columns = match protection {
        Protection::Tickets(tickets) if is_root => Some(*tickets),
        _ => None,
    };
    let followers = columns.and_then(|t| t.followers.as_ref());
    let kind = match protection {
        Protection::Tickets(_) => TICKETS,
        Protection::Followers(_) => FOLLOWERS,
    };
    let _owner = RunAsOwner::of(own_table(c"protected_table"));
    Spi::run_with_args(
        "INSERT INTO deskguard.protected_table
         SELECT c.oid, $2, $3, $4::pg_catalog.name, $5::pg_catalog.name, $6::pg_catalog.name,
                $7::pg_catalog.name, $8::pg_catalog.name, $9, $10, $11::pg_catalog.name,
                $12::pg_catalog.name, c.relrowsecurity, c.relforcerowsecurity
         FROM pg_catalog.pg_class AS c WHERE c.oid OPERATOR(pg_catalog.=) $1",
        &[
            table.into(),
            kind.into(),
            protection.root().into(),
            columns.map(|t| t.id.as_str()).into(),
            columns.and_then(|t| t.department.as_deref()).into(),
            columns.and_then(|t| t.category.as_deref()).into(),
            columns.and_then(|t| t.assignee.as_deref()).into(),
            columns.and_then(|t| t.team.as_deref()).into(),
            columns.and_then(|t| t.unassigned_value).into(),
            followers.map(|f| f.oid).into(),
            followers.map(|f| f.ticket.as_str()).into(),
            followers.map(|f| f.agent.as_str()).into(),
        ],
    )
}

// Advice

/// A NOTICE with the CREATE INDEX statements that are missing for the columns of the rules.
fn advise_indexes(table: &TicketTable) -> Result<(), SpiError> {
    let columns = [
        Some(&table.id),
        table.department.as_ref(),
        table.category.as_ref(),
        table.assignee.as_ref(),
        table.team.as_ref(),
    ];
    let mut wanted: Vec<(pg_sys::Oid, &str)> = columns
        .into_iter()
        .flatten()
        .map(|column| (table.oid, column.as_str()))
        .collect();
    if let Some(f) = &table.followers {
        wanted.push((f.oid, &f.ticket));
        wanted.push((f.oid, &f.agent));
    }
    let mut statements = Vec::new();
    for (table, column) in wanted {
        if !is_indexed(table, column)? {
            statements.push(format!(
                "CREATE INDEX ON {} ({});",
                name(table),
                quote_identifier(column)
            ));
        }
    }
    if !statements.is_empty() {
        error::notice(
            "columns of the rules have no index",
            format!("Create them for speed:\n{}", statements.join("\n")),
        );
    }
    Ok(())
}

/// Is there an index, on all rows, that begins with the column?
fn is_indexed(table: pg_sys::Oid, column: &str) -> Result<bool, SpiError> {
    Ok(Spi::get_one_with_args(
        "SELECT EXISTS (
             SELECT FROM pg_catalog.pg_index AS i
             JOIN pg_catalog.pg_attribute AS a
               ON a.attrelid OPERATOR(pg_catalog.=) i.indrelid
              AND a.attnum OPERATOR(pg_catalog.=) i.indkey[0]
             WHERE i.indrelid OPERATOR(pg_catalog.=) $1 AND i.indisvalid AND i.indpred IS NULL
               AND a.attname OPERATOR(pg_catalog.=) $2::pg_catalog.name)",
        &[table.into(), column.into()],
    )?
    .unwrap_or_default())
}

/// Until the library is loaded, PostgreSQL takes any value for deskguard.agent_id.
fn advise_preload() {
    let preloaded = [c"shared_preload_libraries", c"session_preload_libraries"]
        .iter()
        .any(|setting| {
            // SAFETY: reads a setting's value, which is copied at once.
            let value = unsafe {
                pg_sys::GetConfigOption(setting.as_ptr(), true, false)
                    .as_ref()
                    .map(|value| CStr::from_ptr(value).to_string_lossy().into_owned())
            };
            value.is_some_and(|libraries| libraries.contains("deskguard"))
        });
    if !preloaded {
        error::notice(
            "deskguard is not preloaded: a session can set deskguard.agent_id to nonsense before it is loaded, which then counts as nobody",
            "Have it loaded at the start of each session: ALTER DATABASE ... SET session_preload_libraries = 'deskguard';",
        );
    }
}
