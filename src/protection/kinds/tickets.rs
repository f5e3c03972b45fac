//! Ticket tables.

use deskguard_rules::{Action, Change, Meaning, TicketColumn};
use pgrx::JsonB;
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::SpiError;

use crate::protection::kind::{Holds, Kind, Policy};
use crate::protection::policies::{CREATE, DELETE, MODIFY, SILO, VIEW};
use crate::protection::trigger::{NOTE_TICKET, Trigger};
use crate::tables::catalog::Catalog;
use crate::tables::columns::ticket_table;
use crate::tables::registry::TICKETS;
use crate::tables::row_type::RowType;
use crate::tables::rule_function::RuleFunction;
use crate::tables::ticket_table::TicketTable;

pub fn find(catalog: &Catalog, root: pg_sys::Oid) -> Option<Box<dyn Kind>> {
    Some(Box::new(TicketTable::find(catalog, root)?))
}

impl Kind for TicketTable {
    fn kind(&self) -> &'static str {
        TICKETS
    }

    fn root(&self) -> pg_sys::Oid {
        self.oid
    }

    fn policies(&self, table: pg_sys::Oid, _: bool) -> Vec<Policy> {
        let may = |action| self.call(RuleFunction::Ticket(action), table);
        let view = may(Action::View);
        let modify = may(Action::Change(Change::Modify));
        let delete = may(Action::Change(Change::Delete));
        // The new row may be one that the agent cannot modify any more.
        let updated = self.call(RuleFunction::UpdateTicket, table);
        let create = self.call(RuleFunction::CreateTicket, table);
        let new_id = self.call(RuleFunction::NewId, table);
        let mut policies = vec![
            Policy::new(VIEW, "SELECT", format!("USING ({view})")),
            Policy::new(
                CREATE,
                "INSERT",
                format!("WITH CHECK ({create} AND {new_id})"),
            ),
            Policy::new(
                MODIFY,
                "UPDATE",
                format!("USING ({modify}) WITH CHECK ({updated})"),
            ),
            Policy::new(DELETE, "DELETE", format!("USING ({delete})")),
        ];
        if let Some(silo) = self.silo_call(table) {
            policies.push(Policy::new(SILO, "ALL", format!("USING ({silo})")));
        }
        policies
    }

    fn row_triggers(&self) -> Vec<Trigger> {
        use pg_sys::{TRIGGER_TYPE_BEFORE, TRIGGER_TYPE_ROW, TRIGGER_TYPE_UPDATE};
        vec![Trigger {
            name: "deskguard_update",
            event: "BEFORE UPDATE",
            condition: "FOR EACH ROW".into(),
            function: NOTE_TICKET,
            kind: TRIGGER_TYPE_ROW | TRIGGER_TYPE_BEFORE | TRIGGER_TYPE_UPDATE,
            has_condition: false,
            always: false,
        }]
    }

    fn columns(&self) -> Vec<(&str, Holds)> {
        let holds = |column| match column {
            TicketColumn::Confidential => Holds::Booleans,
            TicketColumn::Status => Holds::Anything,
            _ => Holds::Keys,
        };
        let named = self.columns.present();
        let named = named.map(|(column, name)| (name.as_str(), holds(column)));
        std::iter::once((self.id.as_str(), Holds::Keys))
            .chain(named)
            .collect()
    }

    fn register(&self) -> Result<(), SpiError> {
        let followers = self.followers.as_ref();
        let has_status = self.columns.status.is_some();
        let mut values: Vec<(&str, DatumWithOid)> = vec![
            ("table_id", self.oid.into()),
            ("id_column", self.id.as_str().into()),
            ("unassigned_value", self.unassigned_value.into()),
            ("follower_table", followers.map(|f| f.oid).into()),
            (
                "follower_ticket_column",
                followers.map(|f| f.ticket.as_str()).into(),
            ),
            (
                "follower_agent_column",
                followers.map(|f| f.agent.as_str()).into(),
            ),
        ];
        let kinds = followers.and_then(|f| f.kinds.as_ref());
        let of_type = followers.and_then(|f| f.row_type.as_ref());
        values.extend([
            (
                "follower_kind_column",
                kinds.map(|kinds| kinds.column.as_str()).into(),
            ),
            (
                "follower_kinds",
                kinds.map(|kinds| JsonB(kinds.to_json())).into(),
            ),
            (
                "follower_type_column",
                of_type.map(|of| of.column.as_str()).into(),
            ),
            (
                "follower_type_values",
                of_type.map(|of| of.values.clone()).into(),
            ),
            ("other_follower_types", of_type.map(RowType::others).into()),
        ]);
        values.extend(Meaning::ALL.map(|meaning| {
            let list = has_status.then(|| self.statuses.get(meaning).clone());
            (ticket_table::values(meaning).1, list.into())
        }));
        values.extend(TicketColumn::ALL.map(|column| {
            let name = self.column(column);
            (ticket_table::column(column).1, name.into())
        }));
        let (names, values): (Vec<_>, Vec<_>) = values.into_iter().unzip();
        // Names of columns are given as text.
        let place = |(name, n): (&&str, usize)| match name.ends_with("_column") {
            true => format!("${n}::pg_catalog.name"),
            false => format!("${n}"),
        };
        let places: Vec<String> = names.iter().zip(1..).map(place).collect();
        Spi::run_with_args(
            &format!(
                "INSERT INTO deskguard_internal.ticket_table ({}) VALUES ({})",
                names.join(", "),
                places.join(", ")
            ),
            &values,
        )
    }
}
