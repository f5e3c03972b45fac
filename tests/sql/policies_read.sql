-- Who sees which tickets.
SELECT test.reset();
-- \d reads like the rules.
SELECT policyname, permissive, roles, cmd, qual, with_check FROM pg_policies
WHERE schemaname = 'desk' ORDER BY tablename COLLATE "C", policyname COLLATE "C";

-- The tickets that an agent sees, in all ways that there are to ask: under the policies, with the rules as literals in
-- the plan and as calls, and by the functions.
CREATE FUNCTION test.seen(agent bigint) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    folded bigint[];
    too_long_to_fold bigint[];
    called bigint[];
    listed bigint[];
    checked bigint[];
    explained bigint[];
    query text := $q$SELECT coalesce(array_agg(id ORDER BY id), '{}') FROM desk.ticket$q$;
BEGIN
    PERFORM set_config('deskguard.agent_id', agent::text, true);
    SET LOCAL ROLE regress_app;
    EXECUTE query INTO folded;
    RESET ROLE;
    SET LOCAL deskguard.fold_limit = 1;
    SET LOCAL ROLE regress_app;
    EXECUTE query INTO too_long_to_fold;
    RESET ROLE;
    SET LOCAL deskguard.fold = off;
    SET LOCAL ROLE regress_app;
    EXECUTE query INTO called;
    RESET ROLE;
    RESET deskguard.fold;
    RESET deskguard.fold_limit;
    SELECT coalesce(array_agg(t ORDER BY t), '{}') INTO listed FROM deskguard.visible_tickets(agent) AS t;
    SELECT coalesce(array_agg(id ORDER BY id), '{}') INTO checked FROM desk.ticket WHERE deskguard.agent_can_view(agent, id);
    SELECT coalesce(array_agg(id ORDER BY id), '{}') INTO explained
    FROM desk.ticket WHERE (deskguard.explain_access(agent, id) -> 'allowed')::boolean;
    IF EXISTS (SELECT FROM (VALUES (too_long_to_fold), (called), (listed), (checked), (explained)) AS v (ids) WHERE ids <> folded) THEN
        RAISE 'different answers: % % % % % %', folded, too_long_to_fold, called, listed, checked, explained;
    END IF;
    RETURN folded;
END $$;
SELECT id, name, test.seen(id) FROM deskguard.agent ORDER BY id;

-- no identity, unknown agent, inactive agent: zero rows; changes change nothing or are refused
CREATE TABLE test.change (n int GENERATED ALWAYS AS IDENTITY, command text);
GRANT SELECT ON test.change TO PUBLIC;
INSERT INTO test.change (command) VALUES
    ('SELECT FROM desk.ticket'), ('SELECT FROM desk.ticket_follower'), ('SELECT FROM desk.ticket FOR UPDATE'),
    ($$INSERT INTO desk.ticket (subject) VALUES ('x')$$),
    ($$INSERT INTO desk.ticket (subject, department_id, category_id) VALUES ('x', 1, 1)$$),
    ('INSERT INTO desk.ticket_follower VALUES (1, 2)'),
    ('UPDATE desk.ticket SET subject = 1'), ('UPDATE desk.ticket SET subject = 1 WHERE id = 1'), ('UPDATE desk.ticket_follower SET agent_id = 1'),
    ('DELETE FROM desk.ticket'), ('DELETE FROM desk.ticket WHERE id = 1'), ('DELETE FROM desk.ticket_follower');
SET SESSION AUTHORIZATION regress_app;
SELECT command, test.attempt_only(command) AS nobody FROM test.change ORDER BY n;
SET deskguard.agent_id = 99;
SELECT command, test.attempt_only(command) AS unknown FROM test.change ORDER BY n;
SET deskguard.agent_id = 3;
SELECT command, test.attempt_only(command) AS inactive FROM test.change ORDER BY n;
RESET deskguard.agent_id;
RESET SESSION AUTHORIZATION;
DROP TABLE test.change;

-- siloed agent in categories 1 and 2: never a ticket of category 3, never one with NULL, not even its own or followed
INSERT INTO desk.ticket (id, subject, department_id, category_id, assignee_id, team_id) VALUES
    (30, '', 1, 3, NULL, NULL), (31, '', 1, 3, 2, NULL), (32, '', 1, 3, NULL, 10), (33, '', 1, 3, NULL, NULL),
    (34, '', 1, NULL, NULL, NULL), (35, '', 1, NULL, 2, NULL), (36, '', 1, NULL, NULL, 10), (37, '', 1, NULL, NULL, NULL);
INSERT INTO desk.ticket_follower VALUES (33, 2), (37, 2);
SELECT test.seen(2) AS siloed;
UPDATE deskguard.agent SET category_access = 'open' WHERE id = 2;
SELECT test.seen(2) AS opened;
UPDATE deskguard.agent SET category_access = NULL WHERE id = 2;
UPDATE deskguard.permission_group SET category_access = 'open' WHERE id = 100;
SELECT test.seen(2) AS opened_by_the_group;
UPDATE deskguard.agent SET category_access = 'silo' WHERE id = 2;
SELECT test.seen(2) AS siloed_again;
SELECT test.reset();

-- full on the parent department sees the tickets of its descendants; assign on a department cannot see its tickets
SELECT test.seen(4) AS full_on_1;
UPDATE deskguard.group_department SET level = 'assign' WHERE department_id = 1;
SELECT test.seen(4) AS assign_on_1;
INSERT INTO deskguard.agent_department VALUES (4, 3, 'full'), (4, 4, 'full'), (2, 2, 'full');
SELECT test.seen(4) AS and_full_on_3_and_4, test.seen(2) AS and_full_on_2;
UPDATE deskguard.department SET parent_id = 4 WHERE id = 2;
SELECT test.seen(4) AS after_moving_2_below_4;
UPDATE deskguard.permission_group SET department_access = 'all' WHERE id = 100;
SELECT test.seen(4) AS all_departments;
SELECT test.reset();

-- own, team, followed in a foreign department: seen, inside the silo
SELECT test.seen(2) AS ann;
DELETE FROM deskguard.team_member;
DELETE FROM desk.ticket_follower;
UPDATE desk.ticket SET assignee_id = NULL WHERE id = 12;
SELECT test.seen(2) AS without_team_and_followed;
DELETE FROM deskguard.group_permission WHERE permission = 'ticket.use';
SELECT test.seen(2) AS without_use;
SELECT test.reset();

-- three groups: everything that any of them grants
DELETE FROM deskguard.group_member WHERE agent_id = 4;
INSERT INTO deskguard.permission_group (id, name) VALUES (101, 'A'), (102, 'B'), (103, 'C');
INSERT INTO deskguard.group_member VALUES (101, 4), (102, 4), (103, 4);
INSERT INTO deskguard.group_permission VALUES (101, 'ticket.use'), (102, 'ticket.view.unassigned'), (103, 'ticket.view.assigned');
INSERT INTO deskguard.group_department VALUES (101, 3, 'full'), (102, 4, 'full'), (103, 4, 'assign');
INSERT INTO deskguard.group_category VALUES (101, 1), (102, 2), (103, 3);
SELECT test.seen(4);
DELETE FROM deskguard.group_member WHERE group_id = 103;
SELECT test.seen(4) AS of_two;
DELETE FROM deskguard.group_member WHERE group_id = 102;
SELECT test.seen(4) AS of_one;
SELECT test.reset();

-- All Permissions: everything, also permissions and departments added later
INSERT INTO deskguard.department VALUES (6, 'Legal', 4);
INSERT INTO deskguard.category VALUES (4, 'Contracts');
INSERT INTO desk.ticket (id, subject, department_id, category_id) VALUES (20, 'new', 6, 4), (21, 'foreign ids', 999, -999);
SELECT test.seen(1);
SELECT test.reset();

-- another permissive policy USING (true) widens nothing; a restrictive one still narrows
CREATE POLICY wide ON desk.ticket USING (true);
CREATE POLICY wide_to ON desk.ticket TO regress_app USING (true) WITH CHECK (true);
SELECT id, test.seen(id) FROM deskguard.agent ORDER BY id;
CREATE POLICY tenant ON desk.ticket AS RESTRICTIVE USING (subject <> 'Sales, of Ann');
SET ROLE regress_ann;
SELECT array_agg(id ORDER BY id) AS with_a_tenant FROM desk.ticket;
RESET ROLE;
SELECT test.reset();

-- the permissions to view: unassigned, assigned, and a value that means unassigned
DELETE FROM deskguard.group_permission WHERE permission = 'ticket.view.unassigned';
SELECT test.seen(2) AS without_unassigned;
INSERT INTO deskguard.group_permission VALUES (100, 'ticket.view.unassigned');
DELETE FROM deskguard.group_permission WHERE permission = 'ticket.view.assigned';
SELECT test.seen(2) AS without_assigned, test.seen(4);
INSERT INTO desk.ticket (id, subject, department_id, category_id, assignee_id, team_id) VALUES
    (40, '', 1, 1, 0, NULL), (41, '', 1, 1, 0, 11), (42, '', 1, 1, 0, 10), (43, '', 1, 1, NULL, 11);
SELECT test.seen(2), test.seen(4);
SET client_min_messages = warning;
SELECT deskguard.protect_tickets('desk.ticket', 'id', 'department_id', 'category_id', 'assignee_id', 'team_id',
    'desk.ticket_follower', unassigned_value => 0);
RESET client_min_messages;
SELECT test.seen(2) AS zero_means_nobody, test.seen(4);
SELECT test.reset();

-- rights of the agent itself, and their end
INSERT INTO deskguard.agent_permission VALUES (5, 'ticket.use'), (5, 'ticket.view.unassigned');
INSERT INTO deskguard.agent_department VALUES (5, 4, 'full');
INSERT INTO deskguard.agent_category VALUES (5, 1);
SELECT test.seen(5);
DELETE FROM deskguard.agent_category;
SELECT test.seen(5);

-- a tree that is very deep
INSERT INTO deskguard.department SELECT 1000 + n, 'deep', CASE WHEN n > 1 THEN 999 + n END FROM generate_series(1, 2000) AS n;
INSERT INTO deskguard.group_department VALUES (100, 1001, 'full');
INSERT INTO desk.ticket (id, subject, department_id, category_id) VALUES (50, 'at the bottom', 3000, 1), (51, 'below', 3001, 1);
SELECT deskguard.agent_can_view(4, 50), deskguard.agent_can_view(4, 51), deskguard.explain_access(4, 50) -> 'allowed' AS explained,
    (SELECT array_agg(t ORDER BY t) FROM deskguard.visible_tickets(4) AS t);
SET deskguard.agent_id = 4;
SET ROLE regress_app;
SELECT array_agg(id ORDER BY id) FROM desk.ticket;
RESET ROLE;
RESET deskguard.agent_id;
SELECT test.attempt_only('UPDATE deskguard.department SET parent_id = 3000 WHERE id = 1001');
SELECT test.reset();
DROP FUNCTION test.seen(bigint);
