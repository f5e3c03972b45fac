//! A small help desk, and who sees what of it, worked out by hand.

use postgres::Client;

use crate::help_desk::Id;
use crate::ident;
use crate::lab::{ids, texts};
use crate::server::{APP, Database, MAPPED, OWNER, STRANGER};

/// Open, full on department 1, modifies everything.
pub const ANN: Id = 1;
/// Siloed in category 1, full on department 3; his own tickets 4 and 5 are of category 2.
pub const BOB: Id = 2;
/// Open, full on department 3; the database role MAPPED[0].
pub const CID: Id = 3;
/// May only use tickets; in team 1.
pub const DEE: Id = 4;
/// Inactive, in All Permissions.
pub const EVE: Id = 5;
/// In All Permissions.
pub const MAX: Id = 9;

pub const HELP_DESK: &str = "
INSERT INTO deskguard.department (id, name, parent_id) VALUES
    (1, 'Support', NULL), (2, 'Support EU', 1), (3, 'Sales', NULL);
INSERT INTO deskguard.category (id, name) VALUES (1, 'Network'), (2, 'Printers'), (3, 'Money');
INSERT INTO deskguard.agent (id, name, active, category_access) VALUES
    (1, 'Ann', true, 'open'), (2, 'Bob', true, NULL), (3, 'Cid', true, 'open'),
    (4, 'Dee', true, 'open'), (5, 'Eve', false, NULL), (9, 'Max', true, NULL);
UPDATE deskguard.agent SET db_role = 'deskguard_test_report' WHERE id = 3;
INSERT INTO deskguard.team (id, name) VALUES (1, 'Night shift');
INSERT INTO deskguard.team_member (team_id, agent_id) VALUES (1, 4);
INSERT INTO deskguard.permission_group (name) VALUES ('Desk');
INSERT INTO deskguard.group_permission (group_id, permission)
    SELECT id, permission
    FROM deskguard.permission_group,
         unnest(ARRAY['ticket.use', 'ticket.create', 'ticket.view.unassigned', 'ticket.view.assigned',
             'ticket.modify.own', 'ticket.modify.unassigned', 'ticket.modify.assigned']) AS permission
    WHERE name = 'Desk';
INSERT INTO deskguard.group_member (group_id, agent_id)
    SELECT id, agent FROM deskguard.permission_group, generate_series(1, 3) AS agent
    WHERE name = 'Desk';
INSERT INTO deskguard.group_member (group_id, agent_id)
    SELECT id, agent FROM deskguard.permission_group, unnest(ARRAY[5, 9]) AS agent
    WHERE name = 'All Permissions';
INSERT INTO deskguard.agent_permission (agent_id, permission) VALUES (4, 'ticket.use');
INSERT INTO deskguard.agent_department (agent_id, department_id, level) VALUES
    (1, 1, 'full'), (2, 3, 'full'), (3, 3, 'full');
INSERT INTO deskguard.agent_category (agent_id, category_id) VALUES (2, 1);";

pub const TICKETS: &str = "
INSERT INTO desk.ticket (id, department_id, category_id, assignee_id, team_id) VALUES
    (1, 1, 1, NULL, NULL),
    (2, 2, 1, 1, NULL),
    (3, 3, 1, NULL, NULL),
    (4, 3, 2, 2, NULL),
    (5, 1, 2, 2, NULL),
    (6, 2, NULL, NULL, NULL),
    (7, 3, 3, NULL, 1),
    (8, NULL, 1, NULL, NULL);";

pub const SEEN_BY_ANN: [Id; 4] = [1, 2, 5, 6];
pub const SEEN_BY_BOB: [Id; 1] = [3];
pub const SEEN_BY_CID: [Id; 3] = [3, 4, 7];
pub const SEEN_BY_DEE: [Id; 1] = [7];
pub const SEEN_BY_MAX: [Id; 8] = [1, 2, 3, 4, 5, 6, 7, 8];
pub const NOTHING: [Id; 0] = [];

pub const SELECT: &str = "SELECT id FROM desk.ticket ORDER BY id";

/// The table as it is without any partition.
pub const PLAIN: &str = "
CREATE TABLE desk.ticket (id bigint PRIMARY KEY, department_id bigint, category_id bigint,
    assignee_id bigint, team_id bigint, subject text NOT NULL DEFAULT '');";

/// Tickets of category 1 in a partition of their own.
pub const PARTITIONED: &str = "
CREATE TABLE desk.ticket (id bigint NOT NULL, department_id bigint, category_id bigint,
    assignee_id bigint, team_id bigint, subject text NOT NULL DEFAULT '') PARTITION BY LIST (category_id);
CREATE TABLE desk.ticket_network PARTITION OF desk.ticket FOR VALUES IN (1);
CREATE TABLE desk.ticket_rest PARTITION OF desk.ticket DEFAULT;";

pub fn help_desk(ticket_table: &str) -> Database {
    let database = Database::with_deskguard("sessions");
    let mut superuser = database.superuser();
    let [cid, other] = MAPPED.map(ident);
    let roles = format!("{APP}, {STRANGER}, {cid}, {other}");
    superuser
        .batch_execute(&format!(
            "CREATE SCHEMA desk AUTHORIZATION {OWNER};
             GRANT USAGE ON SCHEMA desk TO PUBLIC;
             SET ROLE {OWNER};
             {ticket_table}
             CREATE TABLE desk.follower (ticket_id bigint, agent_id bigint);
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA desk TO {roles};
             RESET ROLE;
             {HELP_DESK}
             {TICKETS}"
        ))
        .unwrap();
    database
        .connect(OWNER)
        .batch_execute(
            "SELECT deskguard.protect_tickets('desk.ticket', department_column => 'department_id',
                 category_column => 'category_id', assignee_column => 'assignee_id',
                 team_column => 'team_id', follower_table => 'desk.follower')",
        )
        .unwrap();
    database
}

/// Two help desks: the rules are part of the plans in one, and called for each row in the other.
pub fn both_ways(ticket_table: &str) -> impl Iterator<Item = Database> {
    ["on", "off"].into_iter().map(move |fold| {
        let database = help_desk(ticket_table);
        let name = database.name();
        let set = format!("ALTER DATABASE {name} SET deskguard.fold = {fold}");
        database.superuser().batch_execute(&set).unwrap();
        println!("deskguard.fold = {fold}");
        database
    })
}

pub fn seen(client: &mut Client) -> Vec<Id> {
    ids(client, SELECT)
}

/// Everything in the ticket table, to see whether a command changed it.
pub fn contents(database: &Database) -> Vec<String> {
    let sql = "SELECT t::text FROM desk.ticket t ORDER BY 1";
    texts(&mut database.superuser(), sql)
}
