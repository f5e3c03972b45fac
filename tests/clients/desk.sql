-- The help desk of these tests. Ann (7) and Bob (8) are staff of Support. They see the tickets there, and modify and
-- delete their own and unassigned ones.
CREATE EXTENSION deskguard;
CREATE ROLE helpdesk_app LOGIN;
ALTER ROLE helpdesk_app SET search_path = desk;
INSERT INTO deskguard.trusted_role (role_name) VALUES ('helpdesk_app');
INSERT INTO deskguard.department (id, name) VALUES (1, 'Support'), (2, 'Sales');
INSERT INTO deskguard.agent (id, name) VALUES (7, 'Ann'), (8, 'Bob');
INSERT INTO deskguard.permission_group (name, category_access) VALUES ('Staff', 'open');
INSERT INTO deskguard.group_permission (group_id, permission)
SELECT (SELECT id FROM deskguard.permission_group WHERE name = 'Staff'), permission
FROM unnest(ARRAY[
    'ticket.use', 'ticket.create', 'ticket.view.unassigned', 'ticket.view.assigned', 'ticket.modify.own',
    'ticket.modify.unassigned', 'ticket.delete.own', 'ticket.delete.unassigned']) AS permission;
INSERT INTO deskguard.group_department (group_id, department_id, level)
VALUES ((SELECT id FROM deskguard.permission_group WHERE name = 'Staff'), 1, 'full');
INSERT INTO deskguard.group_member (group_id, agent_id)
SELECT (SELECT id FROM deskguard.permission_group WHERE name = 'Staff'), agent FROM unnest(ARRAY[7, 8]) AS agent;

CREATE SCHEMA desk;
CREATE TABLE desk.ticket (
    id bigint PRIMARY KEY, subject text NOT NULL, department_id bigint, assignee_id bigint);
CREATE INDEX ON desk.ticket (department_id);
CREATE INDEX ON desk.ticket (assignee_id);
SELECT deskguard.protect_tickets('desk.ticket', department_column => 'department_id', assignee_column => 'assignee_id');
GRANT USAGE ON SCHEMA desk TO helpdesk_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON desk.ticket TO helpdesk_app;

-- Before each test.
CREATE FUNCTION desk.reset() RETURNS void LANGUAGE sql SECURITY DEFINER AS $$
    DELETE FROM desk.ticket;
    INSERT INTO desk.ticket VALUES
        (1, 'unassigned', 1, NULL),
        (2, 'of Ann', 1, 7),
        (3, 'of Bob', 1, 8),
        (4, 'hidden, in Sales', 2, NULL);
$$;
