//! Changes of tickets that the rules look at, in every form that SQL has for them.

use deskguard_tests::help_desk::{Case, HelpDesk, Id, Part, Ticket, TicketChange};
use deskguard_tests::ident;
use deskguard_tests::lab::{Counts, Outcome, refused, same};
use postgres::Client;

use crate::ask::{NO_TICKET, attempt, explained};
use crate::counts::count_change;
use crate::writes::values;

/// Ways to write the change of one ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Update,
    Returning,
    From,
    With,
    Any,
    Merge,
    OnConflictUpdate,
    OnConflictNothing,
}

pub const FORMS: [Form; 8] = [
    Form::Update,
    Form::Returning,
    Form::From,
    Form::With,
    Form::Any,
    Form::Merge,
    Form::OnConflictUpdate,
    Form::OnConflictNothing,
];

/// Ways to write one change of many tickets.
#[derive(Clone, Copy, Debug)]
pub enum MassForm {
    Update,
    From,
    With,
    Merge,
}

pub const MASS_FORMS: [MassForm; 4] = [
    MassForm::Update,
    MassForm::From,
    MassForm::With,
    MassForm::Merge,
];

/// Changes of one ticket, each in another way than in the session before, and of all at once.
pub fn changes(
    client: &mut Client,
    case: &Case,
    who: Option<Id>,
    turn: usize,
    counts: &mut Counts,
) -> Outcome {
    for (nth, change) in case.changes.iter().enumerate() {
        let mut form = FORMS[(turn + nth) % FORMS.len()];
        let on_conflict = [Form::OnConflictUpdate, Form::OnConflictNothing];
        // ON CONFLICT cannot move a row to another partition.
        let sets_id = change.parts.contains(&Part::Id);
        if on_conflict.contains(&form) && (sets_id || !case.desk.table.has_unique_id()) {
            form = Form::Merge;
        }
        change_one(client, &case.desk, who, change, form, counts)?;
        if nth % 3 == 0 && !change.parts.contains(&Part::Id) {
            let form = MASS_FORMS[(turn + nth / 3) % MASS_FORMS.len()];
            change_all(client, &case.desk, who, change, form, counts)?;
        }
    }
    Ok(())
}

fn change_one(
    client: &mut Client,
    desk: &HelpDesk,
    who: Option<Id>,
    change: &TicketChange,
    form: Form,
    counts: &mut Counts,
) -> Outcome {
    let TicketChange { old, new, parts } = change;
    let sees = |ticket: &Ticket| who.is_some_and(|agent| desk.view(agent, ticket));
    let modifies = who.is_some_and(|agent| desk.act(agent, old, "modify"));
    let may = who.is_some_and(|agent| desk.may_update(agent, old, new));
    let (table, id, kind) = (
        desk.table.sql(),
        ident(desk.table.id.name),
        desk.table.id.kind,
    );
    let (key, none) = (kind.literal(old.id), kind.literal(NO_TICKET));
    let set = desk.table.set_sql(parts, new);
    let update = format!("UPDATE {table} SET {set}");
    let proposed = Ticket {
        id: old.id,
        ..new.clone()
    };
    let insert = desk.table.insert_sql(&proposed);
    let sql = match form {
        Form::Update => format!("{update} WHERE {id} = {key}"),
        Form::Returning => format!("{update} WHERE {id} = {key} RETURNING *"),
        Form::From => format!("{update} FROM (VALUES ({key})) AS v (n) WHERE {id} = n"),
        Form::With => {
            format!("WITH w AS ({update} WHERE {id} = {key} RETURNING *) SELECT FROM w")
        }
        Form::Any => format!("{update} WHERE {id} = ANY (ARRAY[{key}, {none}])"),
        Form::Merge => format!(
            "MERGE INTO {table} USING (VALUES ({key})) AS v (n) ON {id} = n \
             WHEN MATCHED THEN UPDATE SET {set}"
        ),
        Form::OnConflictUpdate => format!("{insert} ON CONFLICT ({id}) DO UPDATE SET {set}"),
        Form::OnConflictNothing => format!("{insert} ON CONFLICT ({id}) DO NOTHING"),
    };
    let creates = who.is_some_and(|agent| desk.create(agent, &proposed));
    // Something belongs to the id already, for all that this agent may know.
    let is_taken = !sees(old)
        && (desk.table.follower.as_ref()).is_some_and(|follower| !follower.references)
        && desk
            .followers
            .iter()
            .any(|row| row.ticket == Some(old.id) && desk.is_of_ticket(row));
    // Whether one will see the new row does not matter.
    let expected = match form {
        Form::OnConflictNothing | Form::OnConflictUpdate if is_taken => refused(),
        Form::OnConflictNothing if creates => Ok(0),
        Form::OnConflictUpdate if creates && may => Ok(1),
        Form::OnConflictNothing | Form::OnConflictUpdate => refused(),
        Form::Merge if !sees(old) => Ok(0),
        Form::Merge if !modifies => refused(),
        _ if !modifies => Ok(0),
        _ if may => Ok(1),
        _ => refused(),
    };
    same(&sql, attempt(client, &sql, counts)?, expected.clone())?;
    let named = desk.table.json_sql(&[Part::Id], old);
    let given = desk.table.json_sql(parts, new);
    let command = ("UPDATE", &*table);
    explained(client, desk, who, command, (&named, &given), may)?;

    match expected {
        Ok(0) if !matches!(form, Form::OnConflictNothing) => {}
        outcome => counts.either(outcome.is_ok(), &format!("change by {form:?}")),
    }
    if let Some(agent) = who
        && modifies
        && !matches!(form, Form::OnConflictNothing | Form::OnConflictUpdate)
    {
        count_change(desk, agent, old, new, counts);
    }
    Ok(())
}

fn change_all(
    client: &mut Client,
    desk: &HelpDesk,
    who: Option<Id>,
    change: &TicketChange,
    form: MassForm,
    counts: &mut Counts,
) -> Outcome {
    let (table, id) = (desk.table.sql(), ident(desk.table.id.name));
    let every = values(desk);
    let set = desk.table.set_sql(&change.parts, &change.new);
    let update = format!("UPDATE {table} SET {set}");
    let sql = match form {
        MassForm::Update => update,
        MassForm::From => format!("{update} FROM {every} WHERE {id} = n"),
        MassForm::With => format!("WITH w AS ({update} RETURNING *) SELECT FROM w"),
        MassForm::Merge => {
            format!(
                "MERGE INTO {table} USING {every} ON {id} = n WHEN MATCHED THEN UPDATE SET {set}"
            )
        }
    };
    // MERGE fails where it finds a row that it may not change; an UPDATE leaves it as it is.
    let finds = match form {
        MassForm::Merge => "view",
        _ => "modify",
    };
    let found = |ticket: &&Ticket| who.is_some_and(|agent| desk.act(agent, ticket, finds));
    let found: Vec<&Ticket> = desk.tickets.iter().filter(found).collect();
    let may = |old: &&Ticket| {
        who.is_some_and(|agent| desk.may_update(agent, old, &change.applied_to(old)))
    };
    let expected = if found.iter().all(may) {
        Ok(found.len() as u64)
    } else {
        refused()
    };
    same(&sql, attempt(client, &sql, counts)?, expected.clone())?;
    if !found.is_empty() {
        counts.either(expected.is_ok(), &format!("changes by {form:?}"));
    }
    Ok(())
}
