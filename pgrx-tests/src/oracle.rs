//! The rules, computed from the model alone. Each function is one line of the rules, in
//! their words; it walks the tables again for each question, since only clarity counts here.

use std::collections::BTreeSet;
use std::fmt::Display;

use crate::help_desk::{
    ALL_NON_DESTRUCTIVE, ALL_PERMISSIONS, Access, Agent, Column, HelpDesk, Id, Kind, Level,
    Principal, Scope, Ticket,
};

pub const ACTIONS: [&str; 5] = ["view", "reply", "modify", "edit_messages", "delete"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    Own,
    Followed,
    Requested,
    Unassigned,
    Assigned,
}

pub const RELATIONS: [Relation; 5] = [
    Relation::Own,
    Relation::Followed,
    Relation::Requested,
    Relation::Unassigned,
    Relation::Assigned,
];

impl Relation {
    pub fn name(self) -> &'static str {
        match self {
            Relation::Own => "own",
            Relation::Followed => "followed",
            Relation::Requested => "requested",
            Relation::Unassigned => "unassigned",
            Relation::Assigned => "assigned",
        }
    }
}

/// Who gave something: a group, the agent's own row, or the default for agents in no group that holds everywhere.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Granter {
    Group(String),
    Agent(Id),
    Setting,
}

impl Granter {
    /// As the questions name it.
    fn named(&self) -> String {
        match self {
            Granter::Group(name) => name.clone(),
            Granter::Agent(_) => "agent".into(),
            Granter::Setting => "default".into(),
        }
    }
}

/// The rule that refuses a view, for counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    NoIdentity,
    UnknownAgent,
    InactiveAgent,
    Permission(&'static str),
    Silo,
    /// The kind of ticket may not be viewed at all.
    Kind,
    Department,
    /// No scoped group covers it, and without one tickets may not be used.
    NotCovered,
    /// By the scoped groups that cover it: nothing else lets it use tickets.
    Scoped,
}

impl HelpDesk {
    /// The agent, if it exists and is active; everybody else may do nothing.
    fn active(&self, a: Id) -> Option<&Agent> {
        self.agents
            .iter()
            .find(|agent| agent.id == a && agent.active)
    }

    /// The groups of an agent that hold everywhere.
    pub fn groups_of(&self, a: Id) -> Vec<&str> {
        self.groups_with(a, Scope::Everywhere)
    }

    pub fn scoped_groups_of(&self, a: Id) -> Vec<&str> {
        self.groups_with(a, Scope::Granted)
    }

    fn groups_with(&self, a: Id, scope: Scope) -> Vec<&str> {
        self.group_members
            .iter()
            .filter(|(group, agent)| *agent == a && self.counts("group_member", group, a))
            .map(|(group, _)| *group)
            .filter(|group| self.scope(group) == scope)
            .collect()
    }

    pub fn scope(&self, group: &str) -> Scope {
        let mut groups = self.groups.iter();
        let found = groups.find(|of| of.name == group);
        found.map_or(Scope::Everywhere, |group| group.scope)
    }

    pub fn group_names(&self) -> impl Iterator<Item = &str> {
        let own = self.groups.iter().map(|group| group.name);
        own.chain([ALL_PERMISSIONS, ALL_NON_DESTRUCTIVE])
    }

    pub fn group_has(&self, group: &str, permission: &str) -> bool {
        let destructive = || {
            let catalog = self.permissions.iter();
            catalog
                .clone()
                .any(|p| p.name == permission && p.destructive)
        };
        match group {
            ALL_PERMISSIONS => true,
            ALL_NON_DESTRUCTIVE => !destructive(),
            _ => {
                self.group_permissions
                    .iter()
                    .any(|(g, p)| *g == group && p == permission)
                    && self.counts("group_permission", group, permission)
            }
        }
    }

    fn group_is_open(&self, group: &str) -> bool {
        match group {
            ALL_PERMISSIONS | ALL_NON_DESTRUCTIVE => true,
            _ => self
                .groups
                .iter()
                .any(|g| g.name == group && g.category_access == Access::Open),
        }
    }

    fn group_has_all_departments(&self, group: &str) -> bool {
        match group {
            ALL_PERMISSIONS | ALL_NON_DESTRUCTIVE => true,
            _ => self
                .groups
                .iter()
                .any(|g| g.name == group && g.all_departments),
        }
    }

    /// Is the row of this table within its time?
    fn counts(&self, table: &str, holder: impl Display, thing: impl Display) -> bool {
        self.time(table, holder, thing).is_now()
    }

    // ---- whom a column means ----

    /// An integer is an id; a uuid or a text is somebody's external key, or nobody's.
    pub fn meant_by(&self, principal: Principal, kind: Kind, value: Id) -> Option<Id> {
        if kind.is_integer() {
            return Some(value);
        }
        let printed = kind.text(value);
        let holders = self.external_keys.iter();
        let mut holders = holders.filter(|((of, _), key)| *of == principal && **key == printed);
        holders.next().map(|((_, id), _)| *id)
    }

    fn meant(
        &self,
        principal: Principal,
        column: &Option<Column>,
        value: Option<Id>,
    ) -> Option<Id> {
        self.meant_by(principal, column.as_ref()?.kind, value?)
    }

    pub fn department(&self, t: &Ticket) -> Option<Id> {
        self.meant(Principal::Department, &self.table.department, t.department)
    }

    pub fn category(&self, t: &Ticket) -> Option<Id> {
        self.meant(Principal::Category, &self.table.category, t.category)
    }

    /// The columns of a ticket that name nobody.
    pub fn unmapped<'a>(&'a self, t: &Ticket) -> Vec<(Principal, &'a Column, Id)> {
        let table = &self.table;
        let columns = [
            (Principal::Department, &table.department, t.department),
            (Principal::Category, &table.category, t.category),
            (Principal::Agent, &table.assignee, t.assignee),
            (Principal::Team, &table.team, t.team),
            (Principal::Agent, &table.requester, t.requester),
            (Principal::Team, &table.requester_team, t.requester_team),
        ];
        let mut unmapped = Vec::new();
        for (principal, column, value) in columns {
            if let (Some(named), Some(value)) = (column, value)
                && self.meant_by(principal, named.kind, value).is_none()
            {
                unmapped.push((principal, named, value));
            }
        }
        unmapped
    }

    /// The columns for agents that can never name this one.
    pub fn columns_without_key(&self, a: Id) -> Vec<&Column> {
        let columns = [&self.table.assignee, &self.table.requester];
        let columns = columns.into_iter().flatten();
        columns
            .filter(|column| self.has_no_key(a, column.kind))
            .collect()
    }

    fn has_no_key(&self, a: Id, kind: Kind) -> bool {
        let key = self.external_keys.get(&(Principal::Agent, a));
        let is_printed_uuid = |key: &String| {
            let groups: Vec<&str> = key.split('-').collect();
            groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
                && groups
                    .concat()
                    .bytes()
                    .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        match kind {
            Kind::Int8 | Kind::Int4 | Kind::Int2 => false,
            Kind::Uuid => !key.is_some_and(is_printed_uuid),
            Kind::Text(_) | Kind::Varchar(_) => key.is_none(),
        }
    }

    // ---- what holds everywhere: has ----

    pub fn has(&self, a: Id, permission: &str) -> bool {
        !self.permission_granters(a, permission).is_empty()
    }

    pub fn permission_granters(&self, a: Id, permission: &str) -> BTreeSet<Granter> {
        if self.active(a).is_none() {
            return BTreeSet::new();
        }
        let mut granters = BTreeSet::new();
        if self.agent_permissions.contains(&(a, permission.into()))
            && self.counts("agent_permission", a, permission)
        {
            granters.insert(Granter::Agent(a));
        }
        for group in self.groups_of(a) {
            if self.group_has(group, permission) {
                granters.insert(Granter::Group(group.into()));
            }
        }
        granters
    }

    /// (permission, granted_by, locked, scope), sorted.
    pub fn effective_permissions(&self, a: Id) -> Vec<(String, String, bool, &'static str)> {
        let mut rows = Vec::new();
        if self.active(a).is_none() {
            return rows;
        }
        for permission in &self.permissions {
            for granter in self.permission_granters(a, &permission.name) {
                let locked = !matches!(granter, Granter::Agent(_));
                rows.push((
                    permission.name.clone(),
                    granter.named(),
                    locked,
                    "everywhere",
                ));
            }
            for group in self.scoped_groups_of(a) {
                if self.group_has(group, &permission.name) {
                    rows.push((permission.name.clone(), group.into(), true, "granted"));
                }
            }
        }
        rows.sort();
        rows
    }

    /// (department, level, granted_by, granted_on, scope), sorted.
    pub fn effective_departments(
        &self,
        a: Id,
    ) -> Vec<(Id, &'static str, String, Option<Id>, &'static str)> {
        let mut rows = Vec::new();
        if self.active(a).is_none() {
            return rows;
        }
        let level = |is_full| if is_full { "full" } else { "assign" };
        for id in self.departments.iter().map(|department| &department.id) {
            let full = self.department_granters(a, *id, Level::Full);
            for (granter, through) in self.department_granters(a, *id, Level::Assign) {
                let level = level(full.contains(&(granter.clone(), through)));
                rows.push((*id, level, granter.named(), Some(through), "everywhere"));
            }
            for group in self.scoped_groups_of(a) {
                let full = self.granted_to_group(group, *id, Level::Full);
                for through in self.granted_to_group(group, *id, Level::Assign) {
                    let level = level(full.contains(&through));
                    rows.push((*id, level, group.into(), Some(through), "granted"));
                }
            }
            for group in self
                .groups_of(a)
                .into_iter()
                .chain(self.scoped_groups_of(a))
            {
                if self.group_has_all_departments(group) {
                    rows.push((*id, "full", group.into(), None, self.scope(group).sql()));
                }
            }
        }
        rows.sort();
        rows
    }

    /// (category, granted_by, scope), sorted.
    pub fn effective_categories(&self, a: Id) -> Vec<(Option<Id>, String, &'static str)> {
        let mut rows = Vec::new();
        let Some(agent) = self.active(a) else {
            return rows;
        };
        let mut openers: Vec<(String, &str)> = self
            .openers(a)
            .iter()
            .map(|opener| (opener.named(), "everywhere"))
            .collect();
        for group in self.scoped_groups_of(a) {
            if agent.category_access.is_none() && self.group_is_open(group) {
                openers.push((group.into(), "granted"));
            }
        }
        for category in &self.categories {
            let granters = self.category_granters(a, *category);
            let everywhere = granters.iter();
            rows.extend(everywhere.map(|by| (Some(*category), by.named(), "everywhere")));
            for group in self.scoped_groups_of(a) {
                if self.group_has_category(group, *category) {
                    rows.push((Some(*category), group.into(), "granted"));
                }
            }
        }
        let each = self.categories.iter().map(|category| Some(*category));
        for category in each.chain([None]) {
            let openers = openers.iter();
            rows.extend(openers.map(|(by, scope)| (category, by.clone(), *scope)));
        }
        rows.sort();
        rows
    }

    /// Sorted.
    pub fn effective_teams(&self, a: Id) -> Vec<Id> {
        let of_agent = |team: &Id| {
            self.team_members.contains(&(*team, a)) && self.counts("team_member", *team, a)
        };
        let mut teams = self.teams.clone();
        teams.retain(|team| self.active(a).is_some() && of_agent(team));
        teams.sort_unstable();
        teams
    }

    // ---- open, silo_ok ----

    pub fn open(&self, a: Id) -> bool {
        !self.openers(a).is_empty()
    }

    pub fn openers(&self, a: Id) -> BTreeSet<Granter> {
        let Some(agent) = self.active(a) else {
            return BTreeSet::new();
        };
        let groups = self.groups_of(a);
        let open_groups = groups.iter().filter(|group| self.group_is_open(group));
        match agent.category_access {
            Some(Access::Open) => [Granter::Agent(a)].into(),
            Some(Access::Silo) => BTreeSet::new(),
            None if groups.is_empty() && self.default_category_access == Access::Open => {
                [Granter::Setting].into()
            }
            None => open_groups.map(|g| Granter::Group(g.to_string())).collect(),
        }
    }

    pub fn category_granters(&self, a: Id, category: Id) -> BTreeSet<Granter> {
        let mut granters = BTreeSet::new();
        if self.agent_categories.contains(&(a, category))
            && self.counts("agent_category", a, category)
        {
            granters.insert(Granter::Agent(a));
        }
        for group in self.groups_of(a) {
            if self.group_has_category(group, category) {
                granters.insert(Granter::Group(group.into()));
            }
        }
        granters
    }

    pub fn silo_ok(&self, a: Id, t: &Ticket) -> bool {
        if self.active(a).is_none() {
            return false;
        }
        if self.table.category.is_none() {
            return true;
        }
        let granted = |category| !self.category_granters(a, category).is_empty();
        self.open(a) || self.category(t).is_some_and(granted)
    }

    /// Would the agent, as a member of this group alone, pass the silo?
    pub fn group_passes_silo(&self, group: &str, a: Id, t: &Ticket) -> bool {
        let own_setting = self.active(a).and_then(|agent| agent.category_access);
        let granted = |category: Id| self.group_has_category(group, category);
        own_setting.is_none() && self.group_is_open(group) || self.category(t).is_some_and(granted)
    }

    /// Has a member of this group full access to the department?
    pub fn group_passes_department(&self, group: &str, t: &Ticket) -> bool {
        self.covers_department(group, t, Level::Full)
    }

    // ---- dept ----

    pub fn all_departments(&self, a: Id) -> bool {
        let groups = self.groups_of(a);
        groups
            .iter()
            .any(|group| self.group_has_all_departments(group))
    }

    /// The department and its ancestors, itself first; none for one that does not exist.
    pub fn ancestry(&self, department: Id) -> Vec<Id> {
        let mut line = Vec::new();
        let mut next = Some(department);
        while let Some(id) = next {
            let Some(found) = self.departments.iter().find(|d| d.id == id) else {
                break;
            };
            line.push(id);
            next = found.parent;
        }
        line
    }

    /// Who grants the department at this level or higher, and through which department.
    pub fn department_granters(
        &self,
        a: Id,
        department: Id,
        level: Level,
    ) -> BTreeSet<(Granter, Id)> {
        let mut granters = BTreeSet::new();
        for through in self.ancestry(department) {
            if self
                .agent_departments
                .get(&(a, through))
                .is_some_and(|granted| *granted >= level)
                && self.counts("agent_department", a, through)
            {
                granters.insert((Granter::Agent(a), through));
            }
            for group in self.groups_of(a) {
                let granted = |((g, d), l): (&(&str, Id), &Level)| {
                    *g == group && *d == through && *l >= level
                };
                if self.group_departments.iter().any(granted)
                    && self.counts("group_department", group, through)
                {
                    granters.insert((Granter::Group(group.into()), through));
                }
            }
        }
        granters
    }

    pub fn dept(&self, a: Id, t: &Ticket, level: Level) -> bool {
        if self.active(a).is_none() {
            return false;
        }
        if self.table.department.is_none() {
            return true;
        }
        let granted = |department| !self.department_granters(a, department, level).is_empty();
        self.all_departments(a) || self.department(t).is_some_and(granted)
    }

    // ---- scoped groups: covers, P ----

    /// Does the group cover the ticket, for this member?
    pub fn covers(&self, group: &str, a: Id, t: &Ticket, level: Level) -> bool {
        (self.table.department.is_none() || self.covers_department(group, t, level))
            && (self.table.category.is_none() || self.covers_category(group, a, t))
    }

    fn covers_department(&self, group: &str, t: &Ticket, level: Level) -> bool {
        self.group_has_all_departments(group)
            || self.department(t).is_some_and(|department| {
                let granted = self.granted_to_group(group, department, level);
                !granted.is_empty()
            })
    }

    /// The grants to a group by which it has the department at this level or higher: the departments that they are on.
    fn granted_to_group(&self, group: &str, department: Id, level: Level) -> Vec<Id> {
        let is_granted = |through: &Id| {
            let rows = self.group_departments.iter();
            let mut granted = rows.filter(|((g, d), _)| *g == group && d == through);
            granted.any(|(_, l)| *l >= level) && self.counts("group_department", group, through)
        };
        let mut through = self.ancestry(department);
        through.retain(is_granted);
        through
    }

    fn covers_category(&self, group: &str, a: Id, t: &Ticket) -> bool {
        let own_setting = self.active(a).and_then(|agent| agent.category_access);
        let is_open = match own_setting {
            Some(access) => access == Access::Open,
            None => self.group_is_open(group),
        };
        let granted = |category: Id| self.group_has_category(group, category);
        is_open || self.category(t).is_some_and(granted)
    }

    fn group_has_category(&self, group: &str, category: Id) -> bool {
        let mut rows = self.group_categories.iter();
        rows.any(|(g, c)| *g == group && *c == category)
            && self.counts("group_category", group, category)
    }

    /// The scoped groups of an agent that cover the ticket.
    pub fn covering(&self, a: Id, t: &Ticket, level: Level) -> Vec<&str> {
        if self.active(a).is_none() {
            return Vec::new();
        }
        let mut groups = self.scoped_groups_of(a);
        groups.retain(|group| self.covers(group, a, t, level));
        groups
    }

    pub fn is_covered(&self, a: Id, t: &Ticket, level: Level) -> bool {
        !self.covering(a, t, level).is_empty()
    }

    /// The scoped groups that cover the ticket, each with the departments by whose grants it does.
    pub fn covering_by(&self, a: Id, t: &Ticket, level: Level) -> BTreeSet<(Granter, Option<Id>)> {
        let mut all = BTreeSet::new();
        for group in self.covering(a, t, level) {
            let granter = || Granter::Group(group.into());
            if self.table.department.is_none() || self.group_has_all_departments(group) {
                all.insert((granter(), None));
            }
            if let Some(department) = self.department(t) {
                let through = self.granted_to_group(group, department, level);
                all.extend(through.into_iter().map(|id| (granter(), Some(id))));
            }
        }
        all
    }

    /// P, with who gives it.
    pub fn granters_at(
        &self,
        a: Id,
        t: &Ticket,
        level: Level,
        permission: &str,
    ) -> BTreeSet<Granter> {
        let mut granters = self.permission_granters(a, permission);
        let covering = self.covering(a, t, level).into_iter();
        let giving = covering.filter(|group| self.group_has(group, permission));
        granters.extend(giving.map(|group| Granter::Group(group.into())));
        granters
    }

    /// P: has it the permission everywhere, or by a scoped group that covers the ticket?
    pub fn has_at(&self, a: Id, t: &Ticket, level: Level, permission: &str) -> bool {
        !self.granters_at(a, t, level, permission).is_empty()
    }

    /// That with which a ticket that is there is seen and changed.
    pub fn has_for(&self, a: Id, t: &Ticket, permission: &str) -> bool {
        self.has_at(a, t, Level::Full, permission)
    }

    // ---- relations ----

    /// What a column says; the configured unassigned value is nothing in the column of the assignee, whatever
    /// else that means.
    fn somebody(&self, column: &Option<Column>, value: Option<Id>) -> Option<Id> {
        let name = column.as_ref()?.name;
        let assignee = self.table.assignee.as_ref();
        let is_assignee = assignee.is_some_and(|assignee| assignee.name == name);
        value.filter(|_| !is_assignee || value != self.table.unassigned_value)
    }

    fn assignee(&self, t: &Ticket) -> Option<Id> {
        self.somebody(&self.table.assignee, t.assignee)
    }

    fn team(&self, t: &Ticket) -> Option<Id> {
        self.somebody(&self.table.team, t.team)
    }

    pub fn own(&self, a: Id, t: &Ticket) -> bool {
        let of_my_team =
            |team| self.team_members.contains(&(team, a)) && self.counts("team_member", team, a);
        let (agents, teams) = (&self.table.assignee, &self.table.team);
        self.meant(Principal::Agent, agents, self.assignee(t)) == Some(a)
            || self
                .meant(Principal::Team, teams, self.team(t))
                .is_some_and(of_my_team)
    }

    pub fn requested(&self, a: Id, t: &Ticket) -> bool {
        let of_my_team =
            |team| self.team_members.contains(&(team, a)) && self.counts("team_member", team, a);
        let (agents, teams) = (&self.table.requester, &self.table.requester_team);
        let agent = self.somebody(agents, t.requester);
        let team = self.somebody(teams, t.requester_team);
        self.requested_by_kind(a, t)
            || self.meant(Principal::Agent, agents, agent) == Some(a)
            || self
                .meant(Principal::Team, teams, team)
                .is_some_and(of_my_team)
    }

    pub fn unassigned(&self, t: &Ticket) -> bool {
        self.assignee(t).is_none() && self.team(t).is_none()
    }

    pub fn assigned(&self, a: Id, t: &Ticket) -> bool {
        !self.unassigned(t) && !self.own(a, t)
    }

    pub fn holds(&self, relation: Relation, a: Id, t: &Ticket) -> bool {
        match relation {
            Relation::Own => self.own(a, t),
            Relation::Followed => self.followed(a, t),
            Relation::Requested => self.requested(a, t),
            Relation::Unassigned => self.unassigned(t),
            Relation::Assigned => self.assigned(a, t),
        }
    }

    // ---- view, act, create ----

    pub fn ticket(&self, id: Id) -> Option<&Ticket> {
        self.tickets.iter().find(|ticket| ticket.id == id)
    }

    pub fn view(&self, a: Id, t: &Ticket) -> bool {
        self.views_everywhere(a, t) || self.views_scoped(a, t)
    }

    /// By what holds everywhere alone.
    pub fn views_everywhere(&self, a: Id, t: &Ticket) -> bool {
        self.has(a, "ticket.use")
            && self.silo_ok(a, t)
            && (self.own(a, t)
                || self.followed(a, t)
                || (self.requested(a, t) && self.has(a, "ticket.view.requested"))
                || (self.dept(a, t, Level::Full)
                    && self.views_kind(a, t)
                    && self.restriction(a, t).is_none()))
    }

    /// Where a scoped group covers it.
    fn views_scoped(&self, a: Id, t: &Ticket) -> bool {
        let may = |permission: &str| self.has_for(a, t, permission);
        let concerns = [Relation::Own, Relation::Followed, Relation::Requested];
        self.is_covered(a, t, Level::Full)
            && may("ticket.use")
            && RELATIONS.into_iter().any(|relation| {
                self.holds(relation, a, t)
                    && may(&format!("ticket.view.{}", relation.name()))
                    && (!self.confidential(t)
                        || concerns.contains(&relation)
                        || may("ticket.view.confidential"))
            })
    }

    /// What a ticket of others is, and which permission it needs for that besides the one for its kind.
    pub fn restrictions(&self, t: &Ticket) -> Vec<&'static str> {
        [(self.confidential(t), "ticket.view.confidential")]
            .into_iter()
            .filter_map(|(is, permission)| is.then_some(permission))
            .collect()
    }

    /// The first of these permissions that the agent has not.
    fn restriction(&self, a: Id, t: &Ticket) -> Option<&'static str> {
        let mut restrictions = self.restrictions(t).into_iter();
        restrictions.find(|permission| !self.has(a, permission))
    }

    fn views_kind(&self, a: Id, t: &Ticket) -> bool {
        (self.unassigned(t) && self.has(a, "ticket.view.unassigned"))
            || (self.assigned(a, t) && self.has(a, "ticket.view.assigned"))
    }

    /// All that are not said to be open are confidential.
    fn confidential(&self, t: &Ticket) -> bool {
        self.table.confidential.is_some() && t.confidential != Some(false)
    }

    pub fn act(&self, a: Id, t: &Ticket, action: &str) -> bool {
        if action == "view" {
            return self.view(a, t);
        }
        self.view(a, t)
            && RELATIONS.into_iter().any(|relation| {
                self.holds(relation, a, t)
                    && self.has_for(a, t, &format!("ticket.{action}.{}", relation.name()))
            })
    }

    pub fn create(&self, a: Id, t: &Ticket) -> bool {
        (self.creates_everywhere(a, t) || self.creates_scoped(a, t))
            && (!self.spam(t) || self.deletes_new(a, t))
    }

    pub fn creates_everywhere(&self, a: Id, t: &Ticket) -> bool {
        self.has(a, "ticket.use")
            && self.has(a, "ticket.create")
            && self.silo_ok(a, t)
            && self.dept(a, t, Level::Assign)
    }

    fn creates_scoped(&self, a: Id, t: &Ticket) -> bool {
        self.is_covered(a, t, Level::Assign)
            && self.has_at(a, t, Level::Assign, "ticket.use")
            && self.has_at(a, t, Level::Assign, "ticket.create")
    }

    /// Nobody follows a ticket that is being made.
    fn deletes_new(&self, a: Id, t: &Ticket) -> bool {
        let unfollowed = HelpDesk {
            followers: Vec::new(),
            ..self.clone()
        };
        unfollowed.act(a, t, "delete")
    }

    // ---- updates ----

    /// Is its status in this list?
    fn has_status(&self, t: &Ticket, list: &str) -> bool {
        match (&self.table.status, t.status) {
            (Some(column), Some(status)) => column.list(list).contains(&status),
            _ => false,
        }
    }

    pub fn archived(&self, t: &Ticket) -> bool {
        self.has_status(t, "archived_values")
    }

    pub fn spam(&self, t: &Ticket) -> bool {
        self.has_status(t, "spam_values")
    }

    /// May the ticket be where the change puts it?
    fn may_be_at(&self, a: Id, old: &Ticket, new: &Ticket) -> bool {
        let scoped = self.is_covered(a, new, Level::Assign)
            && self.has_at(a, new, Level::Assign, "ticket.use");
        self.may_be_at_everywhere(a, old, new) || scoped
    }

    pub fn may_be_at_everywhere(&self, a: Id, old: &Ticket, new: &Ticket) -> bool {
        self.has(a, "ticket.use")
            && self.silo_ok(a, new)
            && (old.department == new.department || self.dept(a, new, Level::Assign))
    }

    /// Why a ticket that it may modify may not become this one.
    pub fn refusals_of_update(&self, a: Id, old: &Ticket, new: &Ticket) -> Vec<&'static str> {
        let to_department = old.department != new.department;
        let to_category = old.category != new.category;
        let misplaced = (to_department || to_category) && !self.may_be_at(a, old, new);
        let no_department = to_department && !self.dept(a, new, Level::Assign);
        let no_category = to_category && !self.silo_ok(a, new);
        let leaves_archive = self.archived(old) && !self.archived(new);
        let becomes_spam = self.spam(new) && !self.spam(old);
        let rules = [
            ("department move", misplaced && no_department),
            ("category move", misplaced && no_category),
            // Nothing that holds everywhere lets it have the ticket there.
            ("scoped move", misplaced && !no_department && !no_category),
            (
                "unarchive",
                leaves_archive && !self.has_for(a, old, "ticket.unarchive"),
            ),
            ("spam", becomes_spam && !self.act(a, old, "delete")),
        ];
        let refuses = |(rule, refused): (&'static str, bool)| refused.then_some(rule);
        rules.into_iter().filter_map(refuses).collect()
    }

    /// May it turn the one into the other? Apart from what it then sees.
    pub fn may_update(&self, a: Id, old: &Ticket, new: &Ticket) -> bool {
        self.act(a, old, "modify") && self.refusals_of_update(a, old, new).is_empty()
    }

    // ---- for counting ----

    /// The first rule, in their order, that refuses the view; None if it is allowed.
    pub fn refusal(&self, who: Option<Id>, t: &Ticket) -> Option<Refusal> {
        let Some(a) = who else {
            return Some(Refusal::NoIdentity);
        };
        if self.view(a, t) {
            return None;
        }
        let Some(agent) = self.agents.iter().find(|agent| agent.id == a) else {
            return Some(Refusal::UnknownAgent);
        };
        let only_scoped = !self.has(a, "ticket.use") && !self.scoped_groups_of(a).is_empty();
        Some(if !agent.active {
            Refusal::InactiveAgent
        } else if only_scoped && !self.is_covered(a, t, Level::Full) {
            Refusal::NotCovered
        } else if only_scoped && self.has_for(a, t, "ticket.use") {
            Refusal::Scoped
        } else if !self.has(a, "ticket.use") {
            Refusal::Permission("ticket.use")
        } else if !self.silo_ok(a, t) {
            Refusal::Silo
        } else if !self.dept(a, t, Level::Full) {
            Refusal::Department
        } else if !self.views_kind(a, t) {
            Refusal::Kind
        } else {
            Refusal::Permission(self.restriction(a, t)?)
        })
    }
}

mod followers;
#[cfg(test)]
mod tests;
