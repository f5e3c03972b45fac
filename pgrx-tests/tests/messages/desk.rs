//! Random help desks with messages.

use deskguard_tests::help_desk::{
    Case, DANGLING, Id, KeyForm, Kind, OtherTypes, RowType, TypePick, WordColumn, WordKind, cases,
    kind, row_type, type_pick,
};
use deskguard_tests::worked;
use proptest::bool::weighted;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::sql::{ATTACHMENT_TYPE, MESSAGE_TYPE};

/// A help desk with messages.
#[derive(Clone, Debug)]
pub struct Desk {
    pub case: Case,
    pub kinds: Kinds,
    pub partitioned: bool,
    pub references: bool,
    pub author: bool,
    /// Is there a column for internal messages?
    pub internal: bool,
    /// What that column has of messages of which nothing else is said.
    pub default: Option<bool>,
    /// Is it internal, and who wrote it; of the messages in their order.
    pub notes: Vec<(Option<bool>, Option<Id>)>,
    /// Message, and the ticket that it names.
    pub messages: Vec<(Id, Option<Id>)>,
    /// Attachment, and the message that it names.
    pub attachments: Vec<(Id, Option<Id>)>,
    pub types: Types,
    /// Lists of tickets to reply to.
    pub replies: Vec<Vec<Option<Id>>>,
    /// Messages, and the ticket that they are moved to.
    pub moves: Vec<(Id, Option<Id>)>,
}

/// Where a table has rows of several types, which are messages of tickets, or attachments of messages; and of
/// which type each is, in their order.
#[derive(Clone, Debug)]
pub struct Types {
    pub message: Option<RowType>,
    pub messages: Vec<Option<&'static str>>,
    pub attachment: Option<RowType>,
    pub attachments: Vec<Option<&'static str>>,
}

/// Of its columns.
#[derive(Clone, Debug)]
pub struct Kinds {
    pub message: Kind,
    /// That name the ticket and the message.
    pub ticket: Kind,
    pub parent: Kind,
    pub author: Kind,
}

/// More than are looked up one by one.
const OF_NO_TICKET: std::ops::Range<Id> = 2001..2015;

pub fn desks() -> impl Strategy<Value = Desk> {
    (
        cases(),
        (message_kind(), kind(), kind(), kind()),
        (any::<bool>(), weighted(0.4), any::<bool>(), weighted(0.6)),
        picks(),
    )
        .prop_map(|(case, kinds, flags, picks)| with_messages(case, kinds, flags, &picks))
}

fn message_kind() -> impl Strategy<Value = Kind> {
    let integer = Kind::Int4;
    let text = Kind::Text(KeyForm::Words);
    select(vec![integer, integer, Kind::Uuid, text])
}

/// Whereto messages, attachments, replies and moves go.
#[derive(Clone, Debug)]
struct Picks {
    messages: Vec<usize>,
    attachments: Vec<usize>,
    replies: Vec<Vec<usize>>,
    moves: Vec<(usize, usize)>,
    default: Option<bool>,
    /// Is a message internal, and by whom is it? For as many as there are, again and again.
    notes: Vec<(Option<bool>, usize)>,
    message_type: Option<RowType>,
    attachment_type: Option<RowType>,
    /// Of messages, and of attachments, again and again.
    types: Vec<TypePick>,
}

fn picks() -> impl Strategy<Value = Picks> {
    let nth = || 0..100usize;
    (
        vec(nth(), 0..16),
        vec(nth(), 0..16),
        vec(vec(nth(), 1..4), 2..5),
        vec((nth(), nth()), 2..5),
        select(vec![Some(false), Some(false), Some(true), None]),
        vec((select(vec![Some(false), Some(true), None]), nth()), 3..20),
        (
            row_type(MESSAGE_TYPE, 0.4),
            row_type(ATTACHMENT_TYPE, 0.3),
            vec(type_pick(), 3..20),
        ),
    )
        .prop_map(
            |(messages, attachments, replies, moves, default, notes, types)| Picks {
                messages,
                attachments,
                replies,
                moves,
                default,
                notes,
                message_type: types.0,
                attachment_type: types.1,
                types: types.2,
            },
        )
}

/// The help desk made by hand, where each command is allowed to one and refused to another.
pub fn worked(kind: Kind) -> Desk {
    let picks = Picks {
        messages: Vec::new(),
        attachments: vec![1, 2, 3, 4],
        // Tickets 1 and 3 are followed by some; the sixth is none.
        replies: vec![vec![0], vec![0, 2], vec![0, 0], vec![5]],
        moves: vec![(0, 1), (1, 0), (3, 5)],
        default: Some(false),
        notes: vec![
            (Some(false), 0),
            (Some(true), 1),
            (None, 2),
            (Some(true), 3),
            (Some(false), 1),
        ],
        message_type: worked_type(MESSAGE_TYPE, kind),
        attachment_type: worked_type(ATTACHMENT_TYPE, kind),
        types: [true, true, false, true, true, true, true]
            .map(|is_meant| TypePick::of_word(is_meant, 1))
            .into(),
    };
    let flags = (false, false, true, true);
    let message = match kind {
        Kind::Int8 => Kind::Int4,
        key => key,
    };
    let kinds = (message, kind, kind, kind);
    with_messages(worked::case(kind), kinds, flags, &picks)
}

/// Two of the help desks have types.
fn worked_type(name: &'static str, kind: Kind) -> Option<RowType> {
    let others = match kind {
        Kind::Uuid => OtherTypes::Hidden,
        Kind::Text(_) => OtherTypes::Open,
        _ => return None,
    };
    Some(RowType {
        column: WordColumn {
            name,
            kind: WordKind::Text,
        },
        values: vec!["open"],
        others,
    })
}

fn with_messages(
    case: Case,
    kinds: (Kind, Kind, Kind, Kind),
    flags: (bool, bool, bool, bool),
    picks: &Picks,
) -> Desk {
    let (message, ticket, parent, author) = kinds;
    let table = &case.desk.table;
    let kinds = Kinds {
        message,
        ticket: table.id.kind.referring(ticket),
        parent: message.referring(parent),
        author: table.agent_kind(author),
    };
    let (partitioned, references, author, internal) = flags;
    let references = references && table.has_unique_id();
    let holds = |id: &Id| kinds.ticket.holds(*id);
    let mut named: Vec<Option<Id>> = case.desk.tickets.iter().map(|t| Some(t.id)).collect();
    named.push(None);
    if !references {
        named.push(Some(DANGLING));
    }
    let mut tickets = named.clone();
    tickets.extend(picks.messages.iter().map(|nth| named[nth % named.len()]));
    if !references {
        tickets.extend(OF_NO_TICKET.map(Some));
    }
    tickets.retain(|id| id.as_ref().is_none_or(holds));
    let messages: Vec<(Id, Option<Id>)> = (1..).zip(tickets).collect();
    // Besides agents nobody, and somebody who is no agent.
    let mut authors: Vec<Option<Id>> = case.desk.agents.iter().map(|a| Some(a.id)).collect();
    authors.extend([None, Some(77)]);
    let author_of = |nth: &usize| authors[nth % authors.len()].filter(|id| kinds.author.holds(*id));
    let notes = picks.notes.iter().cycle().take(messages.len());
    let notes = notes.map(|(internal, nth)| (*internal, author_of(nth)));
    let target = |nth: &usize| named[nth % named.len()].filter(holds);
    let message = |nth: &usize| messages[nth % messages.len()].0;
    let types_of = |of: &Option<RowType>, count: usize| {
        let picks = picks.types.iter().cycle().take(count);
        picks.map(|pick| pick.of(of.as_ref()?)).collect()
    };
    let attached = |nth: &usize| match nth % 9 {
        0 => None,
        1 => Some(DANGLING),
        _ => Some(message(nth)),
    };
    let targets = |list: &Vec<usize>| list.iter().map(target).collect();
    let moves = picks.moves.iter();
    Desk {
        attachments: (1..).zip(picks.attachments.iter().map(attached)).collect(),
        replies: picks.replies.iter().map(targets).collect(),
        moves: moves
            .map(|(which, to)| (message(which), target(to)))
            .collect(),
        notes: notes.collect(),
        types: Types {
            messages: types_of(&picks.message_type, messages.len()),
            attachments: types_of(&picks.attachment_type, picks.attachments.len()),
            message: picks.message_type.clone(),
            attachment: picks.attachment_type.clone(),
        },
        default: picks.default,
        internal,
        case,
        kinds,
        partitioned,
        references,
        author,
        messages,
    }
}
