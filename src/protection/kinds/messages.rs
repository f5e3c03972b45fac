//! Messages, attachments and other tables whose rows belong to tickets.

use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::SpiError;

use crate::protection::kind::{Holds, Kind, Policy};
use crate::protection::policies::{CREATE, DELETE, MODIFY, VIEW};
use crate::tables::catalog::Catalog;
use crate::tables::child_table::{ChildTable, Parent};
use crate::tables::registry::MESSAGES;
use crate::tables::row_type::RowType;
use crate::tables::rule_function::RuleFunction;

pub fn find(catalog: &Catalog, root: pg_sys::Oid) -> Option<Box<dyn Kind>> {
    Some(Box::new(ChildTable::find(catalog, root)?))
}

impl Kind for ChildTable {
    fn kind(&self) -> &'static str {
        MESSAGES
    }

    fn root(&self) -> pg_sys::Oid {
        self.oid
    }

    /// Messages that are a parent of others have more of it.
    fn policies(&self, table: pg_sys::Oid, is_parent: bool) -> Vec<Policy> {
        let ask = |function| self.call(function, table);
        let internal = |function| self.internal_call(function, table);
        let all = |first, others: [Option<String>; 3]| {
            let others = others.into_iter().flatten();
            let all: Vec<String> = std::iter::once(ask(first)).chain(others).collect();
            all.join(" AND ")
        };
        let is_reply = matches!(self.parent, Parent::Tickets(_));
        let new_message = (is_reply || self.author.is_some()).then_some(RuleFunction::NewMessage);
        // Only then, since a column in a policy cannot be altered.
        let id = |function| (is_parent && self.id.is_some()).then(|| ask(function));
        let written = || internal(RuleFunction::WrittenInternal);

        let seen = internal(RuleFunction::InternalSeen);
        let seen = all(RuleFunction::ParentSeen, [seen, None, None]);
        let changed = internal(RuleFunction::InternalChange);
        let edit = all(RuleFunction::ParentEdit, [changed, None, None]);
        let create = all(
            RuleFunction::ParentReply,
            [new_message.map(ask), written(), id(RuleFunction::NewId)],
        );
        let updated = all(
            RuleFunction::ParentEdit,
            [written(), id(RuleFunction::UpdatedId), None],
        );
        let [seen, edit, create, updated] =
            [seen, edit, create, updated].map(|asked| match &self.row_type {
                Some(of) => of.restrict(self.oid, &asked),
                None => asked,
            });
        vec![
            Policy::new(VIEW, "SELECT", format!("USING ({seen})")),
            Policy::new(CREATE, "INSERT", format!("WITH CHECK ({create})")),
            // Of the row before and of the row after.
            Policy::new(
                MODIFY,
                "UPDATE",
                format!("USING ({edit}) WITH CHECK ({updated})"),
            ),
            Policy::new(DELETE, "DELETE", format!("USING ({edit})")),
        ]
    }

    fn columns(&self) -> Vec<(&str, Holds)> {
        let keys = std::iter::once(&self.column).chain(&self.author);
        let keys = keys.map(|column| (column.as_str(), Holds::Keys));
        let internal = self.internal.iter();
        let of_type = self.row_type.iter();
        keys.chain(internal.map(|column| (column.as_str(), Holds::Booleans)))
            .chain(of_type.map(|of| (of.column.as_str(), Holds::Anything)))
            .collect()
    }

    fn register(&self) -> Result<(), SpiError> {
        let mut values: Vec<DatumWithOid> = vec![
            self.oid.into(),
            self.parent.oid().into(),
            self.column.as_str().into(),
            self.id.as_deref().into(),
            self.author.as_deref().into(),
        ];
        // The SQL of a version before, which is not updated yet, has no such columns.
        let mut others = "";
        if self.internal.is_some() || self.row_type.is_some() {
            let of_type = self.row_type.as_ref();
            others = ", $6::pg_catalog.name, $7::pg_catalog.name, $8, $9";
            values.extend([
                DatumWithOid::from(self.internal.as_deref()),
                of_type.map(|of| of.column.as_str()).into(),
                of_type.map(|of| of.values.clone()).into(),
                of_type.map(RowType::others).into(),
            ]);
        }
        Spi::run_with_args(
            &format!(
                "INSERT INTO deskguard_internal.message_table
                 VALUES ($1, $2, $3::pg_catalog.name, $4::pg_catalog.name, $5::pg_catalog.name{others})"
            ),
            &values,
        )
    }
}
