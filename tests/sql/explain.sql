-- explain_access(): each rule, failing and passing.
SELECT test.reset();
CREATE FUNCTION test.explained(agent bigint, ticket bigint, action text DEFAULT 'view') RETURNS SETOF text LANGUAGE sql AS $$
    SELECT concat_ws(' ', e - 'rules' - 'summary', E'\n' || (e ->> 'summary'))
    FROM deskguard.explain_access(agent, ticket, action) AS e
    UNION ALL
    SELECT r.value::text FROM jsonb_array_elements(deskguard.explain_access(agent, ticket, action) -> 'rules') WITH ORDINALITY AS r
$$;
-- agent
SELECT test.explained(99, 1);
SELECT test.explained(3, 1);
SELECT test.explained(NULL, 1);
SELECT test.explained(2, 99);
SELECT test.explained(2, NULL);
SELECT test.explained(99, 99);
-- permission
SELECT test.explained(5, 1);
-- silo
SELECT test.explained(2, 8);
SELECT test.explained(2, 9);
-- own, followed
SELECT test.explained(2, 4);
SELECT test.explained(2, 5);
SELECT test.explained(2, 6);
-- department
SELECT test.explained(2, 3);
SELECT test.explained(2, 11);
SELECT test.explained(2, 7);
-- the permission to view
DELETE FROM deskguard.group_permission WHERE permission = 'ticket.view.assigned';
SELECT test.explained(2, 7);
-- actions
SELECT test.explained(2, 1, 'modify');
SELECT test.explained(2, 1, 'delete');
SELECT test.explained(2, 6, 'reply');
SELECT test.explained(2, 4, 'edit_messages');
INSERT INTO desk.ticket_follower VALUES (4, 2);
INSERT INTO deskguard.agent_permission VALUES (2, 'ticket.delete.followed'), (2, 'ticket.delete.own');
SELECT test.explained(2, 4, 'delete');
-- everything
SELECT test.explained(1, 3, 'delete');
SELECT test.explained(1, 11);
SELECT test.explained(1, 10);
-- every grant is named: the agent's own and each group's, and for departments through which of them
INSERT INTO deskguard.permission_group (id, name, category_access) VALUES (101, 'Zoë "the" Group', 'silo');
INSERT INTO deskguard.group_member VALUES (101, 4);
INSERT INTO deskguard.group_permission VALUES (101, 'ticket.use'), (101, 'ticket.view.unassigned');
INSERT INTO deskguard.group_department VALUES (101, 2, 'full'), (101, 1, 'assign');
INSERT INTO deskguard.agent_department VALUES (4, 2, 'full');
INSERT INTO deskguard.group_category VALUES (101, 1);
INSERT INTO deskguard.agent_category VALUES (4, 1);
INSERT INTO deskguard.agent_permission VALUES (4, 'ticket.view.unassigned');
SELECT test.explained(4, 1);
UPDATE deskguard.permission_group SET category_access = 'open', department_access = 'all' WHERE id = 101;
SELECT test.explained(4, 1);
UPDATE deskguard.agent SET category_access = 'open' WHERE id = 4;
SELECT test.explained(4, 2);
-- the setting
INSERT INTO deskguard.agent_permission VALUES (5, 'ticket.use');
SET deskguard.default_category_access = open;
SELECT test.explained(5, 8);
RESET deskguard.default_category_access;

-- Some rule fails, or all pass.
SELECT count(*) AS asked, count(*) FILTER (WHERE
    (e -> 'allowed')::boolean <> NOT jsonb_path_exists(e, '$.rules[*] ? (@.passed == false)')
    OR (e -> 'allowed')::boolean <> deskguard.agent_can(a, action, t)) AS wrong
FROM generate_series(1, 5) AS a, generate_series(1, 12) AS t,
    unnest(ARRAY['view', 'reply', 'modify', 'edit_messages', 'delete']) AS action,
    deskguard.explain_access(a, t, action) AS e;

-- Rules for columns that a table does not have are not looked at.
SET client_min_messages = warning;
SELECT deskguard.protect_tickets('desk.ticket', assignee_column => 'assignee_id', drop_rules => true);
SELECT test.explained(2, 11);
SELECT deskguard.protect_tickets('desk.ticket', category_column => 'category_id', drop_rules => true);
SELECT test.explained(2, 8);
SELECT test.explained(2, 4);
DROP FUNCTION test.explained(bigint, bigint, text);

-- An agent that asks about itself and may not see the ticket learns the first rule that failed, and what of the ticket
-- that rule asked about: its category or its department, and nothing else. Those who may ask about others learn all.
SELECT test.reset();
SET client_min_messages = warning;
ALTER TABLE desk.ticket ADD confidential boolean NOT NULL DEFAULT false;
SELECT deskguard.protect_tickets('desk.ticket', department_column => 'department_id', category_column => 'category_id',
    assignee_column => 'assignee_id', team_column => 'team_id', follower_table => 'desk.ticket_follower',
    confidential_column => 'confidential');
INSERT INTO deskguard.team_member VALUES (10, 4, NULL, '2020-01-01 00:00+00');
UPDATE desk.ticket SET confidential = true WHERE id IN (1, 7);
CREATE FUNCTION test.told(VARIADIC tickets bigint[]) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT concat_ws(E'\n', e ->> 'summary', e ->> 'rules', e ->> 'unmapped')
    FROM unnest(tickets) AS t, deskguard.explain_access(deskguard.current_agent(), t, 'modify') AS e
$$;
SET SESSION AUTHORIZATION regress_app;
SELECT deskguard.set_agent(4, false);
-- the silo; the department, of a ticket of the team that the agent has left; confidential; not there
SELECT test.told(2, 9, 5, 11, 1, 99);
-- seen, and not to be changed
SELECT test.told(7);
RESET deskguard.agent_id;
RESET SESSION AUTHORIZATION;
DELETE FROM deskguard.group_permission WHERE permission LIKE 'ticket.view.%';
UPDATE desk.ticket SET confidential = false, department_id = 2 WHERE id IN (1, 6);
SET SESSION AUTHORIZATION regress_app;
SELECT deskguard.set_agent(4, false);
-- Unassigned or not, it is said in the same words.
SELECT DISTINCT regexp_replace(test.told(t), 'ticket \d+', 'ticket') FROM unnest(ARRAY[1, 6]) AS t;
RESET deskguard.agent_id;
RESET SESSION AUTHORIZATION;
DELETE FROM deskguard.group_permission WHERE permission = 'ticket.use';
SET SESSION AUTHORIZATION regress_app;
SELECT deskguard.set_agent(4, false);
SELECT DISTINCT regexp_replace(test.told(t), 'ticket \d+', 'ticket') FROM generate_series(1, 12) AS t;
SELECT deskguard.set_agent(3, false);
SELECT DISTINCT regexp_replace(test.told(t), 'ticket \d+', 'ticket') FROM generate_series(1, 12) AS t;
RESET deskguard.agent_id;
RESET SESSION AUTHORIZATION;
-- who may ask about others
INSERT INTO deskguard.agent_permission VALUES (4, 'ticket.use'), (4, 'permission.audit');
SET SESSION AUTHORIZATION regress_app;
SELECT deskguard.set_agent(4, false);
SELECT test.told(5);
RESET deskguard.agent_id;
RESET SESSION AUTHORIZATION;
DROP FUNCTION test.told;
