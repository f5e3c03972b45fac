-- Tells deskguard about the staff, departments and categories of the help desk, and who may do what.

INSERT INTO deskguard.agent (id, name)
SELECT staff_no, name FROM desk.staff UNION ALL SELECT customer_no, name FROM desk.customers;
INSERT INTO deskguard.department (id, name, parent_id) SELECT dept_no, name, part_of FROM desk.departments;
INSERT INTO deskguard.category (id, name) SELECT category_no, name FROM desk.categories;
INSERT INTO deskguard.team (id, name) SELECT team_no, name FROM desk.teams;

-- Who is in which team the help desk knows itself: a mirror keeps deskguard equal to that.
CREATE VIEW desk.team_members AS SELECT team_no AS team_id, staff_no AS agent_id FROM desk.staff WHERE team_no IS NOT NULL;
SELECT deskguard.mirror('team_member', 'desk.team_members') AS mirror \gset

UPDATE deskguard.agent SET active = false WHERE name = 'Ben';
UPDATE deskguard.agent SET db_role = 'reporting' WHERE name = 'Reports';
INSERT INTO deskguard.trusted_role (role_name) VALUES ('app');

-- Groups for what people may do, and groups for where they may do it. What several groups give adds up.
INSERT INTO deskguard.permission_group (name, category_access, department_access)
VALUES
    ('Trainees', 'open', 'granted'),
    ('Standard staff', 'open', 'granted'),
    ('Managers', 'open', 'granted'),
    ('Front desk', 'open', 'granted'),
    ('Networking', 'silo', 'all'),
    ('Reporting', 'open', 'all'),
    ('EU', 'silo', 'granted'),
    ('AUS', 'silo', 'granted'),
    ('USA', 'silo', 'granted'),
    ('Customer Support', 'silo', 'granted'),
    ('Complaints', 'silo', 'granted'),
    ('IT Support', 'silo', 'granted'),
    ('Sales', 'silo', 'granted'),
    ('Accounts', 'silo', 'granted');

-- By name, one by one: a pattern would grant what is added later, and a sub-select fails where a name is wrong.
INSERT INTO deskguard.group_permission (group_id, permission)
SELECT (SELECT g.id FROM deskguard.permission_group AS g WHERE g.name = given.group_name), permission
FROM (VALUES
    ('Trainees', ARRAY['ticket.use', 'ticket.view.unassigned', 'ticket.reply.own', 'ticket.modify.own']),
    ('Standard staff', ARRAY[
        'ticket.use', 'ticket.view.internal', 'ticket.create', 'ticket.view.unassigned', 'ticket.view.assigned',
        'ticket.reply.own', 'ticket.reply.followed', 'ticket.reply.unassigned', 'ticket.reply.assigned',
        'ticket.modify.own', 'ticket.modify.followed', 'ticket.modify.unassigned', 'ticket.modify.assigned']),
    ('Managers', ARRAY[
        'ticket.use', 'ticket.view.internal', 'ticket.create', 'ticket.view.unassigned', 'ticket.view.assigned', 'ticket.view.confidential',
        'ticket.reply.own', 'ticket.reply.followed', 'ticket.reply.unassigned', 'ticket.reply.assigned',
        'ticket.modify.own', 'ticket.modify.followed', 'ticket.modify.unassigned', 'ticket.modify.assigned',
        'ticket.edit_messages.own', 'ticket.edit_messages.followed', 'ticket.edit_messages.unassigned',
        'ticket.edit_messages.assigned',
        'ticket.delete.own', 'ticket.delete.followed', 'ticket.delete.unassigned', 'ticket.delete.assigned',
        'ticket.mass_reply', 'ticket.unarchive', 'ticket.create_labels', 'report.view', 'permission.audit']),
    ('Front desk', ARRAY['ticket.use', 'ticket.create', 'ticket.modify.own']),
    ('Networking', ARRAY[
        'ticket.use', 'ticket.view.internal', 'ticket.create', 'ticket.view.unassigned', 'ticket.view.assigned',
        'ticket.reply.own', 'ticket.reply.followed', 'ticket.reply.unassigned', 'ticket.reply.assigned',
        'ticket.modify.own', 'ticket.modify.followed', 'ticket.modify.unassigned', 'ticket.modify.assigned']),
    ('Reporting', ARRAY['ticket.use', 'ticket.view.unassigned', 'ticket.view.assigned', 'report.view'])
) AS given (group_name, permissions), unnest(given.permissions) AS permission;

INSERT INTO deskguard.group_category (group_id, category_id)
SELECT g.id, c.id FROM deskguard.permission_group AS g JOIN deskguard.category AS c USING (name);

-- A grant on a department covers those below it. Full is to see and to work there, assign only to hand over.
INSERT INTO deskguard.group_department (group_id, department_id, level)
SELECT g.id, d.id, 'full' FROM deskguard.permission_group AS g JOIN deskguard.department AS d USING (name);
INSERT INTO deskguard.group_department (group_id, department_id, level)
SELECT g.id, d.id, 'assign'
FROM deskguard.permission_group AS g
JOIN deskguard.department AS d ON d.parent_id IS NULL
WHERE g.name IN ('Front desk', 'Standard staff');

INSERT INTO deskguard.group_member (group_id, agent_id)
SELECT g.id, a.id
FROM (VALUES
    ('Grace', ARRAY['All Permissions']),
    ('Tom', ARRAY['Managers', 'Customer Support']),
    ('Emma', ARRAY['Standard staff', 'EU']),
    ('Liam', ARRAY['Standard staff', 'AUS', 'IT Support']),
    ('Mia', ARRAY['Trainees', 'EU']),
    ('Noah', ARRAY['Networking']),
    ('Zoe', ARRAY['Front desk']),
    ('Omar', ARRAY['Managers', 'Accounts', 'Complaints']),
    ('Ava', ARRAY['Standard staff', 'Sales']),
    ('Reports', ARRAY['Reporting']),
    ('Ben', ARRAY['Standard staff', 'Complaints']),
    ('Jack', ARRAY['Standard staff', 'USA'])
) AS member (agent, groups)
JOIN deskguard.agent AS a ON a.name = member.agent
JOIN deskguard.permission_group AS g ON g.name = ANY (member.groups);

-- Customers are agents, too, and see what they have asked for.
INSERT INTO deskguard.permission_group (name, category_access) VALUES ('Customers', 'open');
INSERT INTO deskguard.group_permission (group_id, permission)
SELECT id, permission
FROM deskguard.permission_group, unnest(ARRAY['ticket.use', 'ticket.view.requested', 'ticket.reply.requested']) AS permission
WHERE name = 'Customers';
INSERT INTO deskguard.group_member (group_id, agent_id)
SELECT g.id, customer_no FROM deskguard.permission_group AS g, desk.customers WHERE g.name = 'Customers';

-- Kim has other rights in each of two places. A scoped group gives its permissions for the tickets that it covers by
-- its own departments and categories.
INSERT INTO deskguard.permission_group (name, scope, category_access)
VALUES ('Managers in Sales', 'granted', 'open'), ('Trainees in EU', 'granted', 'open');
INSERT INTO deskguard.group_department (group_id, department_id, level)
SELECT g.id, d.id, 'full'
FROM (VALUES ('Managers in Sales', 'Sales'), ('Trainees in EU', 'EU')) AS place (group_name, department_name)
JOIN deskguard.permission_group AS g ON g.name = place.group_name
JOIN deskguard.department AS d ON d.name = place.department_name;
INSERT INTO deskguard.group_permission (group_id, permission)
SELECT g.id, permission
FROM (VALUES
    ('Managers in Sales', ARRAY[
        'ticket.use', 'ticket.view.own', 'ticket.view.unassigned', 'ticket.view.assigned', 'ticket.view.internal',
        'ticket.reply.own', 'ticket.reply.unassigned', 'ticket.reply.assigned',
        'ticket.modify.own', 'ticket.modify.unassigned', 'ticket.modify.assigned',
        'ticket.delete.own', 'ticket.delete.unassigned', 'ticket.delete.assigned']),
    ('Trainees in EU', ARRAY['ticket.use', 'ticket.view.own', 'ticket.view.unassigned', 'ticket.reply.own'])
) AS given (group_name, permissions)
CROSS JOIN unnest(given.permissions) AS permission
JOIN deskguard.permission_group AS g ON g.name = given.group_name;
INSERT INTO deskguard.group_member (group_id, agent_id)
SELECT id, 13 FROM deskguard.permission_group WHERE scope = 'granted';
