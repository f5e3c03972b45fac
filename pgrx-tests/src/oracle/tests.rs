//! The rules' own examples, counted by hand.

use super::*;
use crate::help_desk::{
    Column, Department, Follower, FollowerKinds, FollowerTable, Following, Group, KeyForm,
    OtherTypes, Part, Partitioning, RowType, StatusColumn, TicketChange, TicketTable, Time,
    WordColumn, WordKind, catalog,
};

const ANN: Id = 1;

fn column(name: &'static str) -> Column {
    Column {
        name,
        kind: Kind::Int8,
    }
}

fn column_of_words(name: &'static str) -> WordColumn {
    let kind = WordKind::Text;
    WordColumn { name, kind }
}

/// Departments 1 > 2 > 3 and 4, categories 1 to 3, one open agent with ticket.use.
fn desk() -> HelpDesk {
    let department = |id, parent| Department { id, parent };
    HelpDesk {
        default_category_access: Access::Silo,
        agents: vec![Agent {
            id: ANN,
            active: true,
            db_role: None,
            category_access: Some(Access::Open),
        }],
        teams: vec![1, 2],
        team_members: [(1, ANN)].into(),
        departments: vec![
            department(1, None),
            department(2, Some(1)),
            department(3, Some(2)),
            department(4, None),
        ],
        categories: vec![1, 2, 3],
        external_keys: Default::default(),
        permissions: catalog(),
        groups: Vec::new(),
        group_members: BTreeSet::new(),
        group_permissions: BTreeSet::new(),
        agent_permissions: [(ANN, "ticket.use".to_string())].into(),
        group_departments: Default::default(),
        agent_departments: Default::default(),
        group_categories: BTreeSet::new(),
        agent_categories: BTreeSet::new(),
        table: TicketTable {
            schema: "public",
            name: "ticket",
            id: column("id"),
            department: Some(column("department")),
            category: Some(column("category")),
            assignee: Some(column("assignee")),
            team: Some(column("team")),
            requester: Some(column("requester")),
            requester_team: Some(column("requester_team")),
            confidential: None,
            status: None,
            status_type: "",
            follower: Some(FollowerTable {
                name: "follower",
                ticket: column("ticket"),
                agent: column("agent"),
                references: false,
                kinds: None,
                row_type: None,
            }),
            unassigned_value: None,
            agent_form: KeyForm::Words,
            partitioning: Partitioning::None,
            indexed: false,
            protected_by_owner: false,
            named_in_calls: false,
        },
        tickets: Vec::new(),
        followers: Vec::new(),
        times: vec![Time::Always],
    }
}

fn grant(desk: &mut HelpDesk, permissions: &[&str]) {
    let rows = permissions.iter().map(|name| (ANN, name.to_string()));
    desk.agent_permissions.extend(rows);
}

fn join(desk: &mut HelpDesk, name: &'static str, access: Access, all_departments: bool) {
    desk.groups.push(Group {
        name,
        scope: Scope::Everywhere,
        category_access: access,
        all_departments,
    });
    desk.group_members.insert((name, ANN));
}

/// Ticket 1 with department, category, assignee, team.
fn ticket(columns: [Option<Id>; 4]) -> Ticket {
    let [department, category, assignee, team] = columns;
    Ticket {
        id: 1,
        department,
        category,
        assignee,
        team,
        ..Ticket::default()
    }
}

#[test]
fn catalog_is_the_rules_own() {
    let catalog = catalog();
    assert_eq!(catalog.len(), 35);
    assert_eq!(catalog.iter().filter(|p| p.destructive).count(), 10);
}

#[test]
fn a_silo_hides_other_categories_and_none_even_own_and_followed() {
    let mut desk = desk();
    desk.agents[0].category_access = Some(Access::Silo);
    desk.agent_categories = [(ANN, 1), (ANN, 2)].into();
    desk.followers = vec![Follower::of(1, ANN)];
    let own_in = |category| ticket([None, category, Some(ANN), None]);
    assert!(desk.view(ANN, &own_in(Some(1))));
    assert!(desk.view(ANN, &own_in(Some(2))));
    assert!(!desk.view(ANN, &own_in(Some(3))));
    assert!(!desk.view(ANN, &own_in(None)));
}

#[test]
fn openness() {
    let mut desk = desk();
    desk.agents[0].category_access = None;
    assert!(!desk.open(ANN));
    desk.default_category_access = Access::Open;
    assert!(desk.open(ANN));
    // The setting is for agents in no group only.
    join(&mut desk, "closed", Access::Silo, false);
    assert!(!desk.open(ANN));
    join(&mut desk, "open", Access::Open, false);
    assert!(desk.open(ANN));
    // The agent's own word goes before its groups'.
    desk.agents[0].category_access = Some(Access::Silo);
    assert!(!desk.open(ANN));
    desk.group_members.insert((ALL_PERMISSIONS, ANN));
    assert!(!desk.open(ANN));
    desk.agents[0].category_access = None;
    desk.groups.clear();
    desk.group_members = [(ALL_PERMISSIONS, ANN)].into();
    desk.default_category_access = Access::Silo;
    assert!(desk.open(ANN));
}

#[test]
fn full_covers_descendants_and_needs_the_kind_of_ticket() {
    let mut desk = desk();
    desk.agent_departments.insert((ANN, 1), Level::Full);
    let in_department = |department| ticket([department, None, None, None]);
    assert!(!desk.view(ANN, &in_department(Some(3))));
    grant(&mut desk, &["ticket.view.unassigned"]);
    for (department, seen) in [
        (Some(1), true),
        (Some(3), true),
        (Some(4), false),
        (Some(99), false),
        (None, false),
    ] {
        assert_eq!(desk.view(ANN, &in_department(department)), seen);
    }
    // Assigned to others: another permission.
    assert!(!desk.view(ANN, &ticket([Some(3), None, Some(7), None])));
    assert!(!desk.view(ANN, &ticket([Some(3), None, None, Some(2)])));
    grant(&mut desk, &["ticket.view.assigned"]);
    assert!(desk.view(ANN, &ticket([Some(3), None, Some(7), None])));
    assert!(desk.view(ANN, &ticket([Some(3), None, None, Some(2)])));
}

#[test]
fn assign_creates_and_receives_but_does_not_see() {
    let mut desk = desk();
    grant(
        &mut desk,
        &[
            "ticket.create",
            "ticket.view.unassigned",
            "ticket.modify.own",
        ],
    );
    desk.agent_departments.insert((ANN, 4), Level::Assign);
    let there = ticket([Some(4), None, None, None]);
    assert!(!desk.view(ANN, &there));
    assert!(desk.create(ANN, &there));
    assert!(!desk.create(ANN, &ticket([Some(1), None, None, None])));
    assert!(!desk.create(ANN, &ticket([None; 4])));
    let own = ticket([Some(1), None, Some(ANN), None]);
    let moved = |department| ticket([department, None, Some(ANN), None]);
    assert!(desk.may_update(ANN, &own, &moved(Some(4))));
    assert!(!desk.may_update(ANN, &own, &moved(Some(2))));
    assert!(!desk.may_update(ANN, &own, &moved(None)));
}

#[test]
fn confidential_tickets_are_for_those_they_concern() {
    let mut desk = desk();
    desk.table.confidential = Some("secret");
    desk.agent_departments.insert((ANN, 1), Level::Full);
    grant(&mut desk, &["ticket.view.unassigned"]);
    let in_one = |confidential, assignee| Ticket {
        confidential,
        ..ticket([Some(1), None, assignee, None])
    };
    for (confidential, hidden) in [(Some(false), false), (Some(true), true), (None, true)] {
        assert_eq!(!desk.view(ANN, &in_one(confidential, None)), hidden);
        assert!(desk.view(ANN, &in_one(confidential, Some(ANN))));
    }
    let secret = in_one(Some(true), None);
    assert_eq!(
        desk.refusal(Some(ANN), &secret),
        Some(Refusal::Permission("ticket.view.confidential"))
    );
    grant(&mut desk, &["ticket.view.confidential"]);
    assert!(desk.view(ANN, &secret));
    desk.agent_permissions
        .remove(&(ANN, "ticket.view.unassigned".into()));
    assert_eq!(desk.refusal(Some(ANN), &secret), Some(Refusal::Kind));
}

#[test]
fn a_status_is_left_and_reached_with_the_right_for_it() {
    let mut desk = desk();
    desk.table.status = Some(StatusColumn {
        name: "status",
        kind: WordKind::Text,
        lists: [("archived_values", "closed"), ("spam_values", "spam")]
            .map(|(list, status)| (list, vec![status]))
            .into(),
    });
    grant(&mut desk, &["ticket.create", "ticket.modify.own"]);
    desk.agent_departments.insert((ANN, 1), Level::Assign);
    let with = |status, assignee| Ticket {
        status,
        ..ticket([Some(1), None, assignee, None])
    };
    let own = |status| with(status, Some(ANN));
    let (open, closed, spam) = (own(Some("open")), own(Some("closed")), own(Some("spam")));
    assert!(desk.may_update(ANN, &open, &closed) && desk.may_update(ANN, &spam, &open));
    assert!(desk.may_update(ANN, &closed, &closed) && desk.may_update(ANN, &spam, &spam));
    for left in [&open, &own(None)] {
        assert_eq!(desk.refusals_of_update(ANN, &closed, left), ["unarchive"]);
    }
    assert_eq!(
        desk.refusals_of_update(ANN, &closed, &spam),
        ["unarchive", "spam"]
    );
    assert!(desk.create(ANN, &closed) && !desk.create(ANN, &spam));
    grant(&mut desk, &["ticket.unarchive", "ticket.delete.own"]);
    assert!(desk.may_update(ANN, &closed, &spam) && desk.create(ANN, &spam));
    // What counts is what it was; and what is new has no followers.
    assert!(desk.may_update(ANN, &open, &with(Some("spam"), None)));
    assert!(!desk.create(ANN, &with(Some("spam"), Some(7))));
    desk.followers = vec![Follower::of(1, ANN)];
    grant(&mut desk, &["ticket.delete.followed"]);
    assert!(!desk.create(ANN, &with(Some("spam"), Some(7))));
}

#[test]
fn own_team_and_followed_overrule_departments() {
    let mut desk = desk();
    assert!(desk.view(ANN, &ticket([Some(4), None, Some(ANN), None])));
    assert!(desk.view(ANN, &ticket([Some(4), None, Some(7), Some(1)])));
    assert!(!desk.view(ANN, &ticket([Some(4), None, None, Some(2)])));
    let foreign = ticket([Some(4), None, Some(7), None]);
    assert!(!desk.view(ANN, &foreign));
    desk.followers = vec![Follower::of(1, ANN)];
    assert!(desk.view(ANN, &foreign));
    // Followed and assigned to others at once: either permission will do.
    grant(
        &mut desk,
        &["ticket.reply.followed", "ticket.modify.assigned"],
    );
    assert!(desk.act(ANN, &foreign, "reply"));
    assert!(desk.act(ANN, &foreign, "modify"));
    assert!(!desk.act(ANN, &foreign, "delete"));
}

#[test]
fn the_unassigned_value_is_no_assignee() {
    let mut desk = desk();
    desk.agents[0].id = 0;
    desk.agent_permissions = [(0, "ticket.use".to_string())].into();
    let zero = ticket([None, None, Some(0), None]);
    assert!(desk.own(0, &zero) && !desk.unassigned(&zero));
    desk.table.unassigned_value = Some(0);
    assert!(!desk.own(0, &zero) && desk.unassigned(&zero));
    assert!(!desk.assigned(0, &zero));
    let to_a_team = ticket([None, None, Some(0), Some(2)]);
    assert!(!desk.unassigned(&to_a_team));
}

/// A desk whose columns have keys, and the keys of these.
fn keyed(kind: Kind, keys: &[(Principal, Id, &str)]) -> HelpDesk {
    let mut desk = desk();
    let follower = desk.table.follower.as_mut().unwrap();
    follower.agent.kind = kind;
    for column in [
        &mut desk.table.department,
        &mut desk.table.category,
        &mut desk.table.assignee,
        &mut desk.table.team,
    ] {
        column.as_mut().unwrap().kind = kind;
    }
    let keys = keys.iter();
    desk.external_keys = keys
        .map(|(principal, id, key)| ((*principal, *id), key.to_string()))
        .collect();
    desk
}

#[test]
fn keys_name_principals() {
    // Ids and the numbers that the help desk knows them by are crossed.
    let mut desk = keyed(
        Kind::Text(KeyForm::Number),
        &[
            (Principal::Agent, ANN, "8"),
            (Principal::Team, 1, "7"),
            (Principal::Department, 3, "4"),
            (Principal::Category, 1, "3"),
        ],
    );
    desk.agents[0].category_access = Some(Access::Silo);
    desk.agent_categories = [(ANN, 1)].into();
    desk.agent_departments.insert((ANN, 1), Level::Full);
    grant(&mut desk, &["ticket.view.unassigned"]);
    let with = |assignee, team| ticket([None, Some(3), assignee, team]);
    assert!(desk.own(ANN, &with(Some(8), None)) && !desk.own(ANN, &with(Some(ANN), None)));
    assert!(desk.own(ANN, &with(None, Some(7))) && !desk.own(ANN, &with(None, Some(1))));
    assert!(desk.view(ANN, &ticket([Some(4), Some(3), None, None])));
    assert!(!desk.view(ANN, &ticket([Some(3), Some(3), None, None])));
    assert!(!desk.view(ANN, &ticket([Some(4), Some(1), None, None])));
    desk.followers = vec![Follower::of(1, 8)];
    assert!(desk.followed(ANN, &with(None, None)));
    desk.followers = vec![Follower::of(1, ANN)];
    assert!(!desk.followed(ANN, &with(None, None)));
    // An integer is an id, whatever the keys are.
    desk.table.assignee = Some(column("assignee"));
    assert!(desk.own(ANN, &with(Some(ANN), None)) && !desk.own(ANN, &with(Some(8), None)));
}

#[test]
fn a_column_may_have_several_meanings() {
    let mut desk = desk();
    let who = column("who");
    for of in [
        &mut desk.table.assignee,
        &mut desk.table.team,
        &mut desk.table.requester,
        &mut desk.table.requester_team,
    ] {
        *of = Some(who.clone());
    }
    desk.team_members = [(2, ANN)].into();
    let with = |who| Ticket {
        requester: who,
        requester_team: who,
        ..ticket([None, None, who, who])
    };
    for (who, is_mine) in [(ANN, true), (2, true), (8, false)] {
        let t = with(Some(who));
        let found = (desk.own(ANN, &t), desk.requested(ANN, &t));
        assert_eq!(found, (is_mine, is_mine), "{who}");
        assert_eq!(desk.assigned(ANN, &t), !is_mine, "{who}");
    }
    assert!(desk.unassigned(&with(None)));
    // What stands for nobody does so in each meaning.
    desk.table.unassigned_value = Some(2);
    let t = with(Some(2));
    assert!(desk.unassigned(&t) && !desk.own(ANN, &t) && !desk.requested(ANN, &t));
    desk.table.requester_team = Some(column("company"));
    assert!(desk.unassigned(&t) && desk.requested(ANN, &t));

    let change = TicketChange {
        old: with(None),
        new: with(Some(8)),
        parts: desk.table.meanings(Part::Team),
    };
    let changed = change.applied_to(&change.old);
    assert_eq!(changed.assignee, Some(8));
    assert_eq!((changed.requester, changed.requester_team), (Some(8), None));
}

#[test]
fn a_follower_is_what_its_kind_says() {
    let mut desk = desk();
    let followers = desk.table.follower.as_mut().unwrap();
    followers.kinds = Some(FollowerKinds {
        column: WordColumn {
            name: "role",
            kind: WordKind::Text,
        },
        meanings: [
            ("Cc", Following::Followed),
            ("Requestor", Following::Requested),
        ]
        .into(),
    });
    let t = ticket([None; 4]);
    desk.tickets = vec![t.clone()];
    let row = Follower::of(1, ANN);
    let rows = ["Cc", "Requestor", "requestor"].map(|kind| row.of_kind(kind));
    for (kinds, relations) in [
        (&rows[..1], (true, false)),
        (&rows[1..2], (false, true)),
        (&rows[..], (true, true)),
        (&rows[2..], (false, false)),
        (&[row], (false, false)),
    ] {
        desk.followers = kinds.to_vec();
        let found = (desk.followed(ANN, &t), desk.requested(ANN, &t));
        assert_eq!(found, relations, "{kinds:?}");
    }

    // A row of another type is of no ticket, whatever its number is.
    let followers = desk.table.follower.as_mut().unwrap();
    followers.row_type = Some(RowType {
        column: column_of_words("type"),
        values: vec!["Ticket"],
        others: OtherTypes::Hidden,
    });
    let of_type = |row_type| Follower {
        row_type,
        ..rows[0]
    };
    for (row_type, is_of_ticket) in [(Some("Ticket"), true), (Some("Page"), false), (None, false)] {
        let row = of_type(row_type);
        desk.followers = vec![row];
        assert_eq!(desk.followed(ANN, &t), is_of_ticket);
        assert_eq!(desk.sees_follower(Some(ANN), &row), is_of_ticket);
        assert_eq!(desk.changes_follower(Some(ANN), &row), is_of_ticket);
    }
    let followers = desk.table.follower.as_mut().unwrap();
    let types = followers.row_type.as_mut().unwrap();
    types.others = OtherTypes::Open;
    assert!(desk.sees_follower(None, &of_type(None)) && !desk.followed(ANN, &t));
    assert!(desk.changes_follower(None, &of_type(Some("Page"))));
    assert!(!desk.sees_follower(None, &of_type(Some("Ticket"))));
    desk.table.follower.as_mut().unwrap().row_type = None;

    // With sight alone it may add itself as what gives sight alone.
    desk.followers = vec![rows[0]];
    let may = |desk: &HelpDesk| rows.map(|row| desk.changes_follower(Some(ANN), &row));
    assert_eq!(may(&desk), [true, false, false]);
    assert!(!desk.changes_follower(Some(ANN), &row));
    grant(&mut desk, &["ticket.modify.followed"]);
    assert_eq!(may(&desk), [true; 3]);
    assert!(desk.changes_follower(Some(ANN), &row));
}

#[test]
fn a_key_of_nobody_is_a_value_that_nobody_has() {
    let mut desk = keyed(Kind::Uuid, &[]);
    desk.agent_departments.insert((ANN, 1), Level::Full);
    desk.agent_categories = [(ANN, 1)].into();
    grant(&mut desk, &["ticket.view.unassigned"]);
    let one = Some(1);
    assert!(!desk.view(ANN, &ticket([one, None, None, None])));
    join(&mut desk, "everywhere", Access::Silo, true);
    assert!(desk.view(ANN, &ticket([one, None, None, None])));
    for [assignee, team] in [[one, None], [None, one]] {
        let assigned = ticket([one, None, assignee, team]);
        assert!(desk.assigned(ANN, &assigned) && !desk.unassigned(&assigned));
        assert!(!desk.own(ANN, &assigned) && !desk.view(ANN, &assigned));
    }
    grant(&mut desk, &["ticket.view.assigned"]);
    assert!(desk.view(ANN, &ticket([one, one, one, one])));
    desk.agents[0].category_access = Some(Access::Silo);
    assert!(!desk.view(ANN, &ticket([one, one, one, one])));
    assert_eq!(desk.columns_without_key(ANN).len(), 1);
    let unmapped = desk.unmapped(&ticket([one, one, one, None]));
    let principals: Vec<Principal> = unmapped.iter().map(|(of, ..)| *of).collect();
    let wanted = [Principal::Department, Principal::Category, Principal::Agent];
    assert_eq!(principals, wanted);
}

#[test]
fn a_uuid_is_named_as_it_is_printed() {
    let own = ticket([None, None, Some(ANN), None]);
    let printed = Kind::Uuid.text(ANN);
    for (key, names) in [
        (printed.clone(), true),
        (printed.to_uppercase(), false),
        (printed.replace('-', ""), false),
    ] {
        let desk = keyed(Kind::Uuid, &[(Principal::Agent, ANN, &key)]);
        assert_eq!(desk.own(ANN, &own), names, "{key}");
    }
    for kind in [
        Kind::Uuid,
        Kind::Text(KeyForm::Words),
        Kind::Varchar(KeyForm::Number),
    ] {
        for id in [-1, 0, 3, 65_537, 4_294_967_297] {
            assert_eq!(kind.id_of(&kind.text(id)), id);
        }
    }
}

#[test]
fn missing_columns_have_no_relation() {
    let mut desk = desk();
    desk.table.assignee = None;
    desk.table.team = None;
    let t = ticket([Some(1), None, Some(ANN), Some(1)]);
    assert!(desk.unassigned(&t) && !desk.own(ANN, &t));
    desk.table.department = None;
    assert!(desk.dept(ANN, &t, Level::Full));
    desk.agents[0].category_access = Some(Access::Silo);
    assert!(!desk.silo_ok(ANN, &t));
    desk.table.category = None;
    assert!(desk.silo_ok(ANN, &t));
}

#[test]
fn groups_add_up_and_builtin_ones_have_everything() {
    let mut desk = desk();
    desk.agent_permissions.clear();
    join(&mut desk, "a", Access::Silo, false);
    join(&mut desk, "b", Access::Silo, false);
    join(&mut desk, "c", Access::Open, true);
    desk.agents[0].category_access = None;
    let t = ticket([Some(99), None, None, None]);
    desk.group_permissions
        .insert(("a", "ticket.use".to_string()));
    assert!(!desk.view(ANN, &t));
    desk.group_permissions
        .insert(("b", "ticket.view.unassigned".to_string()));
    assert!(desk.view(ANN, &t));

    desk.group_members = [(ALL_NON_DESTRUCTIVE, ANN)].into();
    assert!(desk.act(ANN, &t, "modify") && !desk.act(ANN, &t, "delete"));
    assert_eq!(desk.effective_permissions(ANN).len(), 25);
    desk.group_members = [(ALL_PERMISSIONS, ANN)].into();
    assert!(desk.act(ANN, &t, "delete") && desk.has(ANN, "permission.audit"));
}

#[test]
fn a_right_counts_within_its_time() {
    for (time, counts) in [
        (Time::Always, true),
        (Time::Begun, true),
        (Time::ToEnd, true),
        (Time::Within, true),
        (Time::Ended, false),
        (Time::ToBegin, false),
    ] {
        let mut desk = desk();
        desk.times = vec![time];
        join(&mut desk, "wide", Access::Open, true);
        desk.agent_categories = [(ANN, 1)].into();
        desk.agent_departments.insert((ANN, 1), Level::Full);
        assert_eq!(desk.has(ANN, "ticket.use"), counts);
        assert_eq!(!desk.category_granters(ANN, 1).is_empty(), counts);
        let departments = desk.department_granters(ANN, 3, Level::Full);
        assert_eq!(!departments.is_empty(), counts);
        assert_eq!(desk.all_departments(ANN), counts);
        let of_the_team = ticket([None, None, None, Some(1)]);
        assert_eq!(desk.own(ANN, &of_the_team), counts);
    }
}

#[test]
fn inactive_and_unknown_agents_may_do_nothing() {
    let mut desk = desk();
    desk.group_members = [(ALL_PERMISSIONS, ANN), (ALL_PERMISSIONS, 77)].into();
    let own = ticket([Some(1), Some(1), Some(ANN), None]);
    assert!(desk.act(ANN, &own, "delete") && desk.create(ANN, &own));
    desk.agents[0].active = false;
    assert!(!desk.view(ANN, &own) && !desk.create(ANN, &own) && !desk.has(ANN, "ticket.use"));
    assert!(!desk.view(77, &own) && !desk.create(77, &own));
    assert_eq!(desk.refusal(Some(ANN), &own), Some(Refusal::InactiveAgent));
    assert_eq!(desk.refusal(Some(77), &own), Some(Refusal::UnknownAgent));
    assert_eq!(desk.refusal(None, &own), Some(Refusal::NoIdentity));
}

/// A scoped group that Ann is in, with what it gives and its departments.
fn scope(
    desk: &mut HelpDesk,
    name: &'static str,
    permissions: &[&str],
    departments: &[(Id, Level)],
) {
    desk.groups.push(Group {
        name,
        scope: Scope::Granted,
        category_access: Access::Open,
        all_departments: false,
    });
    desk.group_members.insert((name, ANN));
    let rows = permissions.iter().map(|p| (name, p.to_string()));
    desk.group_permissions.extend(rows);
    let rows = departments.iter().map(|(id, level)| ((name, *id), *level));
    desk.group_departments.extend(rows);
}

/// As [`desk`], but Ann has nothing of her own.
fn scoped_desk() -> HelpDesk {
    let mut desk = desk();
    desk.agents[0].category_access = None;
    desk.agent_permissions.clear();
    desk
}

const MANAGER: [&str; 5] = [
    "ticket.use",
    "ticket.view.unassigned",
    "ticket.view.assigned",
    "ticket.reply.unassigned",
    "ticket.modify.unassigned",
];
const TRAINEE: [&str; 2] = ["ticket.use", "ticket.view.unassigned"];

#[test]
fn a_scoped_group_gives_where_it_covers() {
    let mut desk = scoped_desk();
    scope(&mut desk, "manager", &MANAGER, &[(2, Level::Full)]);
    scope(&mut desk, "trainee", &TRAINEE, &[(4, Level::Full)]);
    let unassigned = |department| ticket([department, None, None, None]);
    let others = |department| ticket([department, None, Some(7), None]);
    for (department, manages, sees) in [
        (Some(1), false, false),
        (Some(2), true, true),
        (Some(3), true, true),
        (Some(4), false, true),
        (None, false, false),
    ] {
        assert_eq!(desk.view(ANN, &unassigned(department)), sees);
        assert_eq!(desk.act(ANN, &unassigned(department), "modify"), manages);
        assert_eq!(desk.view(ANN, &others(department)), manages);
        assert!(!desk.act(ANN, &others(department), "modify"));
    }
    assert!(!desk.has(ANN, "ticket.use"));
    // What holds everywhere adds to what a group gives in its place.
    grant(&mut desk, &["ticket.modify.unassigned"]);
    assert!(desk.act(ANN, &unassigned(Some(4)), "modify"));
    assert!(!desk.view(ANN, &unassigned(Some(1))));
    // And what covers a ticket at level assign does not show it, nor adds to what does.
    scope(
        &mut desk,
        "taker",
        &["ticket.delete.unassigned", "ticket.create"],
        &[(4, Level::Assign)],
    );
    assert!(!desk.act(ANN, &unassigned(Some(4)), "delete"));
    assert!(desk.create(ANN, &unassigned(Some(4))));
    assert!(!desk.create(ANN, &unassigned(Some(2))));
}

#[test]
fn own_and_followed_tickets_of_a_scoped_group_need_its_word() {
    let mut desk = scoped_desk();
    scope(&mut desk, "trainee", &TRAINEE, &[(1, Level::Full)]);
    desk.followers = vec![Follower::of(1, ANN)];
    let others = ticket([Some(1), None, Some(7), None]);
    let own = |department| ticket([department, None, Some(ANN), None]);
    assert!(!desk.view(ANN, &others));
    desk.group_permissions
        .insert(("trainee", "ticket.view.followed".into()));
    assert!(desk.view(ANN, &others) && desk.view(ANN, &own(Some(1))));
    desk.followers.clear();
    assert!(!desk.view(ANN, &others) && !desk.view(ANN, &own(Some(1))));
    desk.group_permissions
        .insert(("trainee", "ticket.view.own".into()));
    assert!(desk.view(ANN, &own(Some(1))) && !desk.view(ANN, &own(Some(4))));
    // By what holds everywhere they are seen wherever they are.
    grant(&mut desk, &["ticket.use"]);
    desk.agents[0].category_access = Some(Access::Open);
    assert!(desk.view(ANN, &own(Some(4))) && desk.view(ANN, &own(None)));
}

#[test]
fn a_scoped_group_covers_by_category_too() {
    let mut desk = scoped_desk();
    scope(&mut desk, "trainee", &TRAINEE, &[(1, Level::Full)]);
    let with = |category| ticket([Some(1), category, None, None]);
    assert!(desk.view(ANN, &with(Some(1))) && desk.view(ANN, &with(None)));
    desk.groups[0].category_access = Access::Silo;
    desk.group_categories.insert(("trainee", 2));
    assert!(desk.view(ANN, &with(Some(2))));
    assert!(!desk.view(ANN, &with(Some(1))) && !desk.view(ANN, &with(None)));
    // What is granted to the agent itself or to another group covers nothing.
    desk.agent_categories.insert((ANN, 1));
    join(&mut desk, "other", Access::Open, true);
    assert!(!desk.view(ANN, &with(Some(1))));
    // The agent's own word takes the place of the group's.
    desk.agents[0].category_access = Some(Access::Open);
    assert!(desk.view(ANN, &with(Some(1))) && desk.view(ANN, &with(None)));
    desk.groups[0].category_access = Access::Open;
    desk.agents[0].category_access = Some(Access::Silo);
    assert!(desk.view(ANN, &with(Some(2))) && !desk.view(ANN, &with(Some(1))));
    // Without the columns it covers all.
    desk.table.category = None;
    assert!(desk.view(ANN, &with(Some(1))));
    assert!(!desk.view(ANN, &ticket([Some(4), None, None, None])));
    desk.table.department = None;
    assert!(desk.view(ANN, &ticket([Some(4), None, None, None])));
    // All departments, and none.
    desk.table.department = Some(column("department"));
    desk.groups[0].all_departments = true;
    desk.agents[0].category_access = None;
    let nowhere = ticket([Some(99), Some(99), None, None]);
    assert!(desk.view(ANN, &ticket([None; 4])) && desk.view(ANN, &nowhere));
}

#[test]
fn in_no_group_means_in_none_that_holds_everywhere() {
    let mut desk = scoped_desk();
    desk.default_category_access = Access::Open;
    scope(&mut desk, "trainee", &TRAINEE, &[(1, Level::Full)]);
    assert!(desk.open(ANN));
    join(&mut desk, "closed", Access::Silo, false);
    assert!(!desk.open(ANN));
    // The default is no word of the agent's own: it does not open a scoped group.
    desk.group_members.remove(&("closed", ANN));
    desk.groups[0].category_access = Access::Silo;
    assert!(!desk.view(ANN, &ticket([Some(1), None, None, None])));
}

#[test]
fn a_scoped_group_counts_within_its_times() {
    for (time, counts) in [
        (Time::Always, true),
        (Time::Within, true),
        (Time::Ended, false),
        (Time::ToBegin, false),
    ] {
        let mut desk = scoped_desk();
        desk.times = vec![time];
        scope(&mut desk, "trainee", &TRAINEE, &[(1, Level::Full)]);
        let unassigned = ticket([Some(1), None, None, None]);
        assert_eq!(desk.view(ANN, &unassigned), counts);
        assert_eq!(!desk.scoped_groups_of(ANN).is_empty(), counts);
    }
    let mut desk = scoped_desk();
    scope(&mut desk, "trainee", &TRAINEE, &[(1, Level::Full)]);
    desk.agents[0].active = false;
    assert!(!desk.view(ANN, &ticket([Some(1), None, None, None])));
}

#[test]
fn confidential_tickets_need_the_permission_in_their_place() {
    let mut desk = scoped_desk();
    desk.table.confidential = Some("secret");
    let all = [&MANAGER[..], &["ticket.view.own"]].concat();
    scope(&mut desk, "manager", &all, &[(1, Level::Full)]);
    let secret = |assignee| Ticket {
        confidential: None,
        ..ticket([Some(1), None, assignee, None])
    };
    assert!(desk.view(ANN, &secret(Some(ANN))));
    assert!(!desk.view(ANN, &secret(None)) && !desk.view(ANN, &secret(Some(7))));
    let confidential = ["ticket.view.confidential"];
    scope(&mut desk, "cleared", &confidential, &[(4, Level::Full)]);
    assert!(!desk.view(ANN, &secret(None)));
    desk.group_departments.insert(("cleared", 1), Level::Full);
    assert!(desk.view(ANN, &secret(None)) && desk.view(ANN, &secret(Some(7))));
}

#[test]
fn a_ticket_moves_to_where_a_group_covers_it() {
    let mut desk = scoped_desk();
    scope(&mut desk, "manager", &MANAGER, &[(1, Level::Full)]);
    scope(&mut desk, "taker", &["ticket.use"], &[(4, Level::Assign)]);
    let at = |department, category| ticket([department, category, None, None]);
    let old = at(Some(1), Some(1));
    assert!(desk.may_update(ANN, &old, &at(Some(2), Some(1))));
    assert!(desk.may_update(ANN, &old, &at(Some(4), None)));
    assert!(!desk.may_update(ANN, &old, &at(None, Some(1))));
    assert!(!desk.may_update(ANN, &at(Some(4), None), &at(Some(1), None)));
    // Either all by what holds everywhere, or by a group that covers department and category.
    desk.groups[1].category_access = Access::Silo;
    assert_eq!(
        desk.refusals_of_update(ANN, &old, &at(Some(4), Some(2))),
        ["department move", "category move"]
    );
    desk.agent_categories.insert((ANN, 2));
    assert_eq!(
        desk.refusals_of_update(ANN, &old, &at(Some(4), Some(2))),
        ["department move"]
    );
    desk.agent_departments.insert((ANN, 4), Level::Assign);
    assert_eq!(
        desk.refusals_of_update(ANN, &old, &at(Some(4), Some(2))),
        ["scoped move"]
    );
    grant(&mut desk, &["ticket.use"]);
    assert!(desk.may_update(ANN, &old, &at(Some(4), Some(2))));
    // Only what changes is asked of what holds everywhere.
    desk.groups[0].category_access = Access::Silo;
    desk.group_categories.insert(("manager", 1));
    assert!(desk.may_update(ANN, &old, &at(Some(1), Some(2))));
    assert!(!desk.may_update(ANN, &old, &at(Some(1), Some(3))));
    assert!(!desk.may_update(ANN, &old, &at(Some(4), Some(1))));
    assert!(desk.may_update(ANN, &old, &old));
}

#[test]
fn statuses_are_asked_of_the_place() {
    let mut desk = scoped_desk();
    desk.table.status = Some(StatusColumn {
        name: "status",
        kind: WordKind::Text,
        lists: [("archived_values", "closed"), ("spam_values", "spam")]
            .map(|(list, status)| (list, vec![status]))
            .into(),
    });
    scope(
        &mut desk,
        "manager",
        &MANAGER,
        &[(1, Level::Full), (4, Level::Full)],
    );
    let rare = [
        "ticket.unarchive",
        "ticket.create",
        "ticket.delete.unassigned",
    ];
    scope(&mut desk, "rare", &rare, &[(4, Level::Full)]);
    let with = |department, status| Ticket {
        status: Some(status),
        ..ticket([Some(department), None, None, None])
    };
    for (department, may) in [(1, false), (4, true)] {
        let [open, closed, spam] = ["open", "closed", "spam"].map(|s| with(department, s));
        assert!(desk.may_update(ANN, &open, &closed) && desk.may_update(ANN, &spam, &open));
        assert_eq!(desk.may_update(ANN, &closed, &open), may);
        assert_eq!(desk.may_update(ANN, &open, &spam), may);
        assert_eq!(desk.create(ANN, &spam), may);
        assert_eq!(desk.has_for(ANN, &open, "ticket.unarchive"), may);
    }
    // The place that it leaves counts.
    assert!(desk.may_update(ANN, &with(4, "closed"), &with(1, "open")));
    assert!(!desk.may_update(ANN, &with(1, "closed"), &with(4, "open")));
}

#[test]
fn requested_tickets_are_seen_by_who_may_see_those() {
    let mut desk = desk();
    desk.table.confidential = Some("secret");
    let by = |requester, requester_team| Ticket {
        requester,
        requester_team,
        ..ticket([Some(4), Some(1), None, None])
    };
    let (mine, of_my_team) = (by(Some(ANN), None), by(Some(7), Some(1)));
    assert!(desk.requested(ANN, &mine) && desk.requested(ANN, &of_my_team));
    assert!(!desk.requested(ANN, &by(Some(7), Some(2))) && !desk.requested(ANN, &by(None, None)));
    assert!(!desk.view(ANN, &mine));
    grant(
        &mut desk,
        &["ticket.view.requested", "ticket.reply.requested"],
    );
    assert!(desk.view(ANN, &mine) && desk.act(ANN, &of_my_team, "reply"));
    assert!(!desk.act(ANN, &mine, "modify") && !desk.view(ANN, &by(Some(7), None)));
    // Inside the silo.
    desk.agents[0].category_access = Some(Access::Silo);
    assert!(!desk.view(ANN, &mine));
    // By a scoped group where it covers.
    let mut desk = scoped_desk();
    let requests = ["ticket.use", "ticket.view.requested"];
    scope(&mut desk, "customers", &requests, &[(4, Level::Full)]);
    assert!(desk.view(ANN, &mine));
    let elsewhere = Ticket {
        department: Some(1),
        ..mine.clone()
    };
    assert!(!desk.view(ANN, &elsewhere));
    desk.table.requester = None;
    assert!(!desk.view(ANN, &mine) && desk.view(ANN, &of_my_team));
}
