//! What an agent has, through whom and until when; and who has something.

use deskguard_rules::{Given, Grants, Level, Moment, Scope, Source};
use pgrx::prelude::*;

use crate::pg::error;
use crate::questions::asker::check_may_ask_about_permissions;
use crate::rights::load::Loader;
use crate::tables::names::Names;
use crate::tables::principal::Principal;

#[pg_extern(sql = false)]
fn agent_has_permission(agent_id: Option<i64>, permission: Option<&str>) -> bool {
    let loader = Loader::now();
    check_may_ask_about_permissions(agent_id);
    let permission = permission.unwrap_or("NULL");
    loader.check_permission(permission);
    agent_id
        .and_then(|agent| loader.grants(agent).ok())
        .is_some_and(|grants| grants.permission_sources(permission).next().is_some())
}

#[pg_extern(sql = false)]
fn effective_permissions(
    agent_id: Option<i64>,
) -> TableIterator<
    'static,
    (
        name!(permission, String),
        name!(granted_by, String),
        name!(locked, bool),
        name!(scope, &'static str),
    ),
> {
    let loader = Loader::now();
    check_may_ask_about_permissions(agent_id);
    let grants = agent_id.and_then(|agent| loader.grants(agent).ok());
    let parts = grants.map(parts).unwrap_or_default();
    let rows: Vec<_> = parts.iter().flat_map(held).collect();
    TableIterator::new(rows)
}

/// What an agent has everywhere, and what each of its scoped groups gives.
fn parts(grants: Grants) -> Vec<Grants> {
    let scoped: Vec<_> = grants.scoped().collect();
    std::iter::once(grants).chain(scoped).collect()
}

fn held(grants: &Grants) -> Vec<(String, String, bool, &'static str)> {
    let names = grants.catalog.keys();
    let given = names.flat_map(|name| {
        let given = grants.permission_given(name);
        let valid = given.filter(|given| given.validity.contains(grants.now));
        valid.map(|given| {
            let locked = matches!(given.by, Source::Group(_));
            (name.clone(), giver(&given), locked, given.scope.name())
        })
    });
    given.collect()
}

/// How the questions name who gives a right.
fn giver(given: &Given) -> String {
    match given.by {
        Source::Group(name) => name.into(),
        Source::Agent(_) => "agent".into(),
    }
}

/// What opens an agent in no group, as [`giver`] names the others.
const BY_DEFAULT: &str = "default";

fn timestamp(until: Option<Moment>) -> Option<TimestampWithTimeZone> {
    // A bound that PostgreSQL has written is one that it can read.
    until.and_then(|until| TimestampWithTimeZone::try_from(until).ok())
}

#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn effective_departments(
    agent_id: Option<i64>,
) -> TableIterator<
    'static,
    (
        name!(department_id, i64),
        name!(name, Option<String>),
        name!(level, &'static str),
        name!(granted_by, String),
        name!(granted_on, Option<i64>),
        name!(valid_until, Option<TimestampWithTimeZone>),
        name!(scope, &'static str),
    ),
> {
    let loader = Loader::now();
    check_may_ask_about_permissions(agent_id);
    let names = Names::of(loader.catalog());
    let row = |(id, level, given): (i64, Level, Given)| {
        (
            id,
            names.get(Principal::Department, id),
            level.name(),
            giver(&given),
            given.department,
            timestamp(given.validity.until),
            given.scope.name(),
        )
    };
    let grants = agent_id.and_then(|agent| loader.grants(agent).ok());
    let parts = grants.map(parts).unwrap_or_default();
    let mut rows: Vec<_> = parts.iter().flat_map(departments).map(row).collect();
    rows.sort_by_key(|(id, ..)| *id);
    TableIterator::new(rows)
}

/// The departments that are given now, and by whom.
fn departments(grants: &Grants) -> Vec<(i64, Level, Given<'_>)> {
    let mut all = grants.departments_given();
    let of_all = grants.all_departments_given();
    all.extend(of_all.flat_map(|given| {
        let ids = grants.tree.0.keys();
        ids.map(move |id| (*id, Level::Full, given))
    }));
    all.retain(|(.., given)| given.validity.contains(grants.now));
    all
}

#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn effective_categories(
    agent_id: Option<i64>,
) -> TableIterator<
    'static,
    (
        name!(category_id, Option<i64>),
        name!(name, Option<String>),
        name!(granted_by, String),
        name!(valid_until, Option<TimestampWithTimeZone>),
        name!(scope, &'static str),
    ),
> {
    let loader = Loader::now();
    check_may_ask_about_permissions(agent_id);
    let names = Names::of(loader.catalog());
    let grants = agent_id.and_then(|agent| loader.grants(agent).ok());
    let mut rows = vec![];
    for part in grants.map(parts).unwrap_or_default() {
        let given = categories(&part, || names.ids(Principal::Category));
        rows.extend(given.into_iter().map(|(id, by, until)| {
            let name = id.and_then(|id| names.get(Principal::Category, id));
            (id, name, by, timestamp(until), part.scope.name())
        }));
    }
    rows.sort_by_key(|(id, ..)| (id.is_none(), *id));
    TableIterator::new(rows)
}

/// The categories that are given now, by whom and until when; of who is open, also none: tickets without a
/// category.
fn categories(
    grants: &Grants,
    all: impl FnOnce() -> Vec<i64>,
) -> Vec<(Option<i64>, String, Option<Moment>)> {
    // That the agent's own setting opens its scoped groups, too, is told once.
    let is_told =
        |given: &Given| grants.scope == Scope::Everywhere || matches!(given.by, Source::Group(_));
    let is_valid = |given: &Given| given.validity.contains(grants.now);
    let openers = grants.open_given().filter(is_told).filter(is_valid);
    let mut openers: Vec<_> = openers
        .map(|given| (giver(&given), given.validity.until))
        .collect();
    if grants.open_by_default(|validity| validity.contains(grants.now)) {
        openers.push((BY_DEFAULT.into(), None));
    }
    let granted = grants.categories_given();
    let granted = granted.filter(|(_, given)| is_valid(given));
    let mut rows: Vec<_> = granted
        .map(|(id, given)| (Some(id), giver(&given), given.validity.until))
        .collect();
    if !openers.is_empty() {
        let each = all().into_iter().map(Some).chain([None]);
        rows.extend(each.flat_map(|id| {
            let openers = openers.iter();
            openers.map(move |(by, until)| (id, by.clone(), *until))
        }));
    }
    rows
}

#[pg_extern(sql = false)]
fn effective_teams(
    agent_id: Option<i64>,
) -> TableIterator<
    'static,
    (
        name!(team_id, i64),
        name!(name, Option<String>),
        name!(valid_until, Option<TimestampWithTimeZone>),
    ),
> {
    let loader = Loader::now();
    check_may_ask_about_permissions(agent_id);
    let names = Names::of(loader.catalog());
    let grants = agent_id.and_then(|agent| loader.grants(agent).ok());
    let rows: Vec<_> = grants.map_or(vec![], |grants| {
        let valid = grants.teams.iter();
        valid
            .filter(|(_, validity)| validity.contains(grants.now))
            .map(|(id, validity)| {
                let name = names.get(Principal::Team, *id);
                (*id, name, timestamp(validity.until))
            })
            .collect()
    });
    TableIterator::new(rows)
}

/// What agents are asked for.
enum Wanted<'a> {
    Department(i64, Level),
    Category(i64),
    Permission(&'a str),
}

impl<'a> Wanted<'a> {
    /// Raises an error for what there is not, or if not exactly one is asked for.
    fn of(
        loader: &Loader,
        (department, level): (Option<i64>, Option<&str>),
        category: Option<i64>,
        permission: Option<&'a str>,
    ) -> Wanted<'a> {
        match (department, category, permission) {
            (Some(department), None, None) => {
                check_there(loader, Principal::Department, department);
                Wanted::Department(department, parse_level(level))
            }
            (None, Some(category), None) => {
                check_there(loader, Principal::Category, category);
                Wanted::Category(category)
            }
            (None, None, Some(permission)) => {
                loader.check_permission(permission);
                Wanted::Permission(permission)
            }
            _ => error::raise(
                PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
                "give exactly one of department_id, category_id and permission",
                "For example: SELECT * FROM deskguard.agents_with_access(department_id => 1).",
            ),
        }
    }

    /// Those who give it to an agent, at any time: the name, what the grant is on, and until when.
    fn givers(&self, grants: &Grants) -> Vec<(String, Option<i64>, Option<Moment>)> {
        let row = |given: Given| {
            let is_valid = given.validity.contains(grants.now);
            is_valid.then(|| (giver(&given), given.department, given.validity.until))
        };
        match self {
            Wanted::Department(id, level) => {
                let all = grants.all_departments_given();
                all.chain(grants.department_given(*id, *level))
                    .filter_map(row)
                    .collect()
            }
            Wanted::Category(id) => categories(grants, || vec![*id])
                .into_iter()
                .filter(|(category, ..)| *category == Some(*id))
                .map(|(_, by, until)| (by, None, until))
                .collect(),
            Wanted::Permission(name) => grants.permission_given(name).filter_map(row).collect(),
        }
    }
}

fn check_there(loader: &Loader, principal: Principal, id: i64) {
    if Names::of(loader.catalog()).get(principal, id).is_none() {
        let table = principal.table().to_string_lossy();
        error::raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("unknown {table} {id}"),
            format!("See deskguard.{table}."),
        );
    }
}

fn parse_level(level: Option<&str>) -> Level {
    let name = level.unwrap_or("NULL");
    let all = [Level::Assign, Level::Full];
    let found = all.into_iter().find(|level| level.name() == name);
    found.unwrap_or_else(|| {
        error::raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("unknown level \"{name}\""),
            "Levels: assign, full.",
        )
    })
}

#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn agents_with_access(
    department_id: Option<i64>,
    level: Option<&str>,
    category_id: Option<i64>,
    permission: Option<&str>,
) -> TableIterator<
    'static,
    (
        name!(agent_id, i64),
        name!(name, Option<String>),
        name!(granted_by, String),
        name!(granted_on, Option<i64>),
        name!(valid_until, Option<TimestampWithTimeZone>),
        name!(scope, &'static str),
    ),
> {
    check_may_ask_about_permissions(None);
    let loader = Loader::of_all_agents();
    let wanted = Wanted::of(&loader, (department_id, level), category_id, permission);
    let names = Names::of(loader.catalog());
    let mut rows = vec![];
    for agent in loader.active_agents() {
        let Ok(grants) = loader.grants(agent) else {
            continue;
        };
        for part in parts(grants) {
            for (by, on, until) in wanted.givers(&part) {
                let name = names.get(Principal::Agent, agent);
                rows.push((agent, name, by, on, timestamp(until), part.scope.name()));
            }
        }
    }
    TableIterator::new(rows)
}
