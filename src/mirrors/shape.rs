//! How the columns of a source become those of a target.

use pgrx::PgRelation;
use pgrx::prelude::*;
use pgrx::spi::SpiError;

use crate::mirrors::target::{Target, referred};
use crate::pg::error;
use crate::pg::relation::{Class, display_name, open};

/// What a source gives for one column of the target.
pub enum Given {
    /// The column of this name and type.
    Itself { name: String, kind: String },
    /// What another table's row is known by: the source's column, the target's, the table, and its column.
    Reference(Reference),
}

pub struct Reference {
    /// agent_key
    pub source: String,
    /// agent_id
    pub name: String,
    /// agent
    pub table: &'static str,
    /// external_key
    pub by: &'static str,
}

impl Given {
    /// The source's column.
    pub fn source(&self) -> &str {
        match self {
            Given::Itself { name, .. } => name,
            Given::Reference(reference) => &reference.source,
        }
    }

    /// The target's column.
    pub fn name(&self) -> &str {
        match self {
            Given::Itself { name, .. } => name,
            Given::Reference(reference) => &reference.name,
        }
    }

    pub fn kind(&self) -> &str {
        match self {
            Given::Itself { kind, .. } => kind,
            Given::Reference(_) => "text",
        }
    }
}

pub struct Shape {
    pub target: &'static Target,
    pub given: Vec<Given>,
    /// By what the source knows the rows, if it does not give their ids: external_key or name.
    pub known_by: Option<&'static str>,
}

impl Shape {
    /// Raises an error if the columns do not fit. What a table has besides is nothing to it; a view that has more is
    /// taken for a mistake.
    pub fn of(target: &'static Target, source: pg_sys::Oid) -> Result<Shape, SpiError> {
        let columns = target.columns()?;
        let is_column = |name: &str| columns.iter().any(|(column, _)| column == name);
        let is_view = Class::of(source).is_some_and(|class| class.kind == pg_sys::RELKIND_VIEW);
        let mut given: Vec<Given> = vec![];
        for name in column_names(&open(source)) {
            let reference = || {
                let (stem, by) = match name.strip_suffix("_key") {
                    Some(stem) => (stem, "external_key"),
                    None => (
                        name.strip_suffix("_name").filter(|it| *it == "group")?,
                        "name",
                    ),
                };
                let id = format!("{stem}_id");
                is_column(&id).then_some(())?;
                Some(Reference {
                    source: name.clone(),
                    name: id,
                    table: referred(stem)?,
                    by,
                })
            };
            let kind = columns.iter().find(|(column, _)| *column == name);
            let one = match kind {
                Some((_, kind)) => Given::Itself {
                    kind: kind.clone(),
                    name,
                },
                None => match reference() {
                    Some(reference) => Given::Reference(reference),
                    None if is_view => refuse_column(target, source, &name, &columns),
                    None => continue,
                },
            };
            if let Some(other) = given.iter().find(|other| other.name() == one.name()) {
                error::raise(
                    PgSqlErrorCode::ERRCODE_INVALID_COLUMN_REFERENCE,
                    format!(
                        "{} has the columns \"{}\" and \"{}\", which are both for {} of {}",
                        display_name(source),
                        other.source(),
                        one.source(),
                        one.name(),
                        target.table(),
                    ),
                    "Give one of them.",
                );
            }
            given.push(one);
        }
        let has = |name: &str| given.iter().any(|one| one.name() == name);
        let known_by = if !target.is_principal() || has("id") {
            None
        } else {
            ["external_key", "name"]
                .into_iter()
                .find(|by| has(by) && (*by == "external_key" || target.name == "permission_group"))
        };
        if known_by.is_none()
            && let Some(missing) = target.key.iter().find(|column| !has(column))
        {
            error::raise(
                PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN,
                format!(
                    "{} has no column for {missing} of {}",
                    display_name(source),
                    target.table()
                ),
                how_to_give(target, missing),
            );
        }
        Ok(Shape {
            target,
            given,
            known_by,
        })
    }

    pub fn references(&self) -> impl Iterator<Item = &Reference> {
        self.given.iter().filter_map(|one| match one {
            Given::Reference(reference) => Some(reference),
            Given::Itself { .. } => None,
        })
    }

    /// The source's columns by which it knows a row.
    pub fn source_key(&self) -> Vec<&str> {
        let is_key = |one: &&Given| match self.known_by {
            Some(by) => one.name() == by,
            None => self.target.key.contains(&one.name()),
        };
        self.given
            .iter()
            .filter(is_key)
            .map(Given::source)
            .collect()
    }

    /// The target's columns that are given and are not of its primary key.
    pub fn values(&self) -> Vec<&Given> {
        let is_value = |one: &&Given| !self.target.key.contains(&one.name());
        self.given.iter().filter(is_value).collect()
    }

    pub fn gives(&self, name: &str) -> bool {
        self.given.iter().any(|one| one.name() == name)
    }
}

fn column_names(relation: &PgRelation) -> Vec<String> {
    let descriptor = relation.tuple_desc();
    let columns = descriptor.iter().filter(|column| !column.attisdropped);
    columns.map(|column| column.name().to_string()).collect()
}

fn refuse_column(
    target: &Target,
    source: pg_sys::Oid,
    name: &str,
    columns: &[(String, String)],
) -> ! {
    let all: Vec<_> = columns.iter().map(|(name, _)| name.as_str()).collect();
    error::raise(
        PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN,
        format!(
            "{} has a column \"{name}\", which {} has not",
            display_name(source),
            target.table()
        ),
        format!(
            "Columns of a mirror are named like those of its target: {}; for one that ends in _id the external_key may be given, as _key.",
            all.join(", ")
        ),
    )
}

fn how_to_give(target: &Target, missing: &str) -> String {
    match missing.strip_suffix("_id") {
        Some("group") => "Give it, or group_key or group_name.".into(),
        Some(stem) => format!("Give it, or {stem}_key."),
        None if missing == "id" && target.name == "permission_group" => {
            "Give it, or external_key, or the name.".into()
        }
        None if missing == "id" => {
            "Give it, or external_key: deskguard then numbers the rows.".into()
        }
        None => "Give it.".into(),
    }
}
