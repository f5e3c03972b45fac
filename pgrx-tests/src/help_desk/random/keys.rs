//! Random kinds of columns, and the external keys of those that the columns name.

use proptest::bool::weighted;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::help_desk::{Id, KeyForm, Kind, Part, Principal};

/// The kinds of a help desk's columns. Half of the help desks have integers only.
#[derive(Clone, Debug)]
pub(super) struct Kinds {
    pub(super) id: Kind,
    pub(super) department: Kind,
    pub(super) category: Kind,
    pub(super) assignee: Kind,
    pub(super) team: Kind,
    pub(super) requester: Kind,
    pub(super) requester_team: Kind,
    pub(super) follower_ticket: Kind,
    pub(super) follower_agent: Kind,
    pub(super) forms: Forms,
    /// The columns that are one.
    pub(super) shared: &'static [&'static [Part]],
}

/// Columns with several meanings; most help desks have none.
const SHARED: [&[&[Part]]; 8] = [
    &[&[Part::Assignee, Part::Requester]],
    &[&[Part::Department, Part::Category]],
    &[&[Part::Assignee, Part::Team]],
    &[&[Part::Team, Part::RequesterTeam]],
    &[
        &[Part::Requester, Part::RequesterTeam],
        &[Part::Assignee, Part::Team],
    ],
    &[&[
        Part::Assignee,
        Part::Team,
        Part::Requester,
        Part::RequesterTeam,
    ]],
    &[
        &[Part::Assignee, Part::RequesterTeam],
        &[Part::Department, Part::Category],
    ],
    &[&[Part::Department, Part::Team]],
];

fn shared() -> impl Strategy<Value = &'static [&'static [Part]]> {
    prop_oneof![3 => Just(&[][..]), 2 => select(&SHARED[..])]
}

/// How texts name each of these.
#[derive(Clone, Debug)]
pub(super) struct Forms {
    pub(super) agent: KeyForm,
    pub(super) team: KeyForm,
    pub(super) department: KeyForm,
    pub(super) category: KeyForm,
}

fn form() -> impl Strategy<Value = KeyForm> {
    select(&KeyForm::ALL[..])
}

pub fn kind() -> impl Strategy<Value = Kind> {
    // The form is put in later.
    select(&Kind::ALL[..])
}

pub(super) fn kinds() -> impl Strategy<Value = Kinds> {
    (
        weighted(0.5),
        vec(kind(), 9),
        (form(), form(), form(), form(), form()),
        shared(),
    )
        .prop_map(|(keys, mut picked, forms, shared)| {
            for parts in shared {
                let first = picked[place(parts[0])];
                parts.iter().for_each(|part| picked[place(*part)] = first);
            }
            let kind = |nth: usize| match keys {
                true => picked[nth],
                false => picked[nth].as_integer(),
            };
            let (id_form, agent, team, department, category) = forms;
            let principals = [
                (Principal::Agent, agent, vec![kind(3), kind(6), kind(7)]),
                (Principal::Team, team, vec![kind(4), kind(8)]),
                (Principal::Department, department, vec![kind(1)]),
                (Principal::Category, category, vec![kind(2)]),
            ];
            // A column that names several names them alike.
            let form_of = |principal: Principal| {
                let names = |parts: &&&[Part]| parts.iter().any(|p| p.names() == Some(principal));
                let with: Vec<Principal> = shared
                    .iter()
                    .filter(names)
                    .flat_map(|parts| parts.iter().filter_map(|part| part.names()))
                    .chain([principal])
                    .collect();
                let mut alike = principals.iter().filter(|(of, ..)| with.contains(of));
                let first = alike.clone().next().map_or(agent, |(_, form, _)| *form);
                match alike.any(|(.., kinds)| kinds.contains(&Kind::Uuid)) {
                    true => KeyForm::Uuid,
                    false => first,
                }
            };
            let forms = Forms {
                agent: form_of(Principal::Agent),
                team: form_of(Principal::Team),
                department: form_of(Principal::Department),
                category: form_of(Principal::Category),
            };
            let id = kind(0).with_form(id_form);
            Kinds {
                id,
                department: kind(1).with_form(forms.department),
                category: kind(2).with_form(forms.category),
                assignee: kind(3).with_form(forms.agent),
                team: kind(4).with_form(forms.team),
                requester: kind(7).with_form(forms.agent),
                requester_team: kind(8).with_form(forms.team),
                follower_ticket: id.referring(kind(5)),
                follower_agent: kind(6).with_form(forms.agent),
                forms,
                shared,
            }
        })
}

/// Where its kind is among those that were picked.
fn place(part: Part) -> usize {
    match part {
        Part::Department => 1,
        Part::Category => 2,
        Part::Assignee => 3,
        Part::Team => 4,
        Part::Requester => 7,
        Part::RequesterTeam => 8,
        Part::Id | Part::Confidential | Part::Status => unreachable!("it names nobody"),
    }
}

/// What a principal has as its external key.
#[derive(Clone, Copy, Debug)]
pub(super) enum KeyPick {
    /// As columns name it; or another one, if the keys are shifted.
    Named,
    None,
    /// Which a uuid never has.
    Upper,
    Nonsense,
}

/// The keys of one kind of principal, and whether each has its neighbour's.
pub(super) fn key_picks() -> impl Strategy<Value = (Vec<KeyPick>, bool)> {
    let pick = prop_oneof![
        12 => Just(KeyPick::Named),
        1 => Just(KeyPick::None),
        1 => Just(KeyPick::Upper),
        1 => Just(KeyPick::Nonsense),
    ];
    (vec(pick, 6), weighted(0.1))
}

pub(super) fn external_keys<'a>(
    principal: Principal,
    form: KeyForm,
    ids: &'a [Id],
    (picks, shifted): &'a (Vec<KeyPick>, bool),
) -> impl Iterator<Item = ((Principal, Id), String)> + use<'a> {
    let named = ids
        .iter()
        .cycle()
        .skip(usize::from(*shifted))
        .map(move |id| form.text(*id));
    let keys = ids.iter().zip(named).zip(picks);
    keys.filter_map(move |((&id, named), pick)| {
        let key = match pick {
            KeyPick::Named => named,
            KeyPick::None => return None,
            KeyPick::Upper => named.to_uppercase(),
            KeyPick::Nonsense => format!("nonsense \"{id}\""),
        };
        Some(((principal, id), key))
    })
}
