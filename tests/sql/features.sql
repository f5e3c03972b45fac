-- protect_feature(): rows that need a permission.
SELECT test.reset();
SET client_min_messages = warning;
CREATE SCHEMA ours AUTHORIZATION regress_owner;
GRANT USAGE ON SCHEMA ours TO PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE regress_owner IN SCHEMA ours GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO PUBLIC;
CREATE FUNCTION test.plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE 'EXPLAIN (COSTS OFF) ' || query;
END $$;
-- Of the help desk's own.
INSERT INTO deskguard.permission (name) VALUES ('invoice.view'), ('it''s "mine"');

-- Labels: all see and use them, some create them.
SET ROLE regress_owner;
CREATE TABLE ours.label (id int PRIMARY KEY, name text);
INSERT INTO ours.label VALUES (1, 'urgent'), (2, 'spam');
SELECT deskguard.protect_feature('ours.label', 'ticket.create_labels', 'INSERT');
SELECT * FROM test.protection('ours.label');
RESET ROLE;
SET ROLE regress_ann;
SELECT deskguard.agent_has_permission(2, 'ticket.create_labels');
SELECT * FROM test.tried(ARRAY[
    'SELECT * FROM ours.label',
    'INSERT INTO ours.label VALUES (3, ''new'')',
    'INSERT INTO ours.label VALUES (3, ''new'') RETURNING *',
    'INSERT INTO ours.label VALUES (1, ''new'') ON CONFLICT (id) DO UPDATE SET name = ''new''',
    'MERGE INTO ours.label USING (VALUES (1), (3)) AS v (id) ON label.id = v.id WHEN NOT MATCHED THEN INSERT VALUES (v.id, ''new'')',
    'UPDATE ours.label SET name = upper(name)',
    'DELETE FROM ours.label']);
RESET ROLE;
INSERT INTO deskguard.agent_permission VALUES (2, 'ticket.create_labels');
SET ROLE regress_ann;
SELECT * FROM test.tried(ARRAY[
    'INSERT INTO ours.label VALUES (3, ''new'') RETURNING *',
    'INSERT INTO ours.label VALUES (1, ''new'') ON CONFLICT (id) DO UPDATE SET name = ''new''',
    'MERGE INTO ours.label USING (VALUES (1), (3)) AS v (id) ON label.id = v.id WHEN NOT MATCHED THEN INSERT VALUES (v.id, ''new'')']);
RESET ROLE;

-- Several add up: all of them are needed.
SET ROLE regress_owner;
SELECT deskguard.protect_feature('ours.label', 'invoice.view');
SELECT deskguard.protect_feature('ours.label', 'it''s "mine"', 'delete');
SELECT deskguard.protect_feature('ours.label', 'invoice.view', 'DELETE');
SELECT deskguard.protect_feature('ours.label', 'invoice.view', 'DELETE');
SELECT * FROM test.protection('ours.label');
RESET ROLE;
SELECT table_id, command, permission FROM deskguard.protected_feature ORDER BY table_id, command COLLATE "C", permission COLLATE "C";
-- Nobody, inactive (3), unknown (99), without it (2), with it (4), with it by a group (5), with all (1).
INSERT INTO deskguard.agent_permission VALUES (4, 'invoice.view'), (3, 'invoice.view');
INSERT INTO deskguard.permission_group (name) VALUES ('Accounts');
INSERT INTO deskguard.group_permission VALUES (101, 'invoice.view'), (101, 'it''s "mine"'), (101, 'ticket.create_labels');
INSERT INTO deskguard.group_member VALUES (101, 5), (101, 3);
CREATE TEMP TABLE commands AS SELECT ARRAY[
    'SELECT * FROM ours.label',
    'INSERT INTO ours.label VALUES (3, ''new'')',
    'UPDATE ours.label SET name = upper(name)',
    'DELETE FROM ours.label'] AS all;
GRANT SELECT ON commands TO PUBLIC;
SET SESSION AUTHORIZATION regress_app;
SELECT agent, command, outcome
FROM unnest(ARRAY[NULL, 3, 99, 2, 4, 5, 1]) WITH ORDINALITY AS a (agent, n), LATERAL deskguard.set_agent(agent, false) AS s,
    commands, LATERAL (SELECT * FROM test.tried(commands.all) WHERE s IS NOT NULL OR s IS NULL) AS t
ORDER BY n;
-- Decided when the query is planned.
SELECT deskguard.set_agent(4, false);
SELECT test.plan('SELECT * FROM ours.label');
SELECT test.plan('DELETE FROM ours.label');
SELECT deskguard.set_agent(2, false);
SELECT test.plan('SELECT * FROM ours.label WHERE id = 1');
SET deskguard.fold = off;
SELECT test.plan('SELECT * FROM ours.label');
RESET deskguard.fold;
-- A kept plan obeys at once.
SET plan_cache_mode = force_generic_plan;
PREPARE labels AS SELECT count(*) FROM ours.label;
EXECUTE labels;
SELECT deskguard.set_agent(4, false);
EXECUTE labels;
RESET SESSION AUTHORIZATION;
DELETE FROM deskguard.agent_permission WHERE agent_id = 4;
SET SESSION AUTHORIZATION regress_app;
EXECUTE labels;
DEALLOCATE labels;
RESET plan_cache_mode;
RESET deskguard.agent_id;
RESET SESSION AUTHORIZATION;
-- What rows need cannot be renamed or deleted.
SELECT test.attempt_only('DELETE FROM deskguard.permission WHERE name = ''invoice.view''');
SELECT test.attempt_only('UPDATE deskguard.permission SET name = ''bill.view'' WHERE name = ''invoice.view''');
SELECT test.attempt_only('DELETE FROM deskguard_internal.protected_feature');

-- What carries the protection cannot be taken away singly.
SET ROLE regress_owner;
SELECT command, test.attempt_only(command)
FROM unnest(ARRAY[
    'DROP POLICY deskguard_feature_all ON ours.label',
    'ALTER POLICY deskguard_feature_all ON ours.label USING (true)',
    'ALTER POLICY deskguard_feature_all ON ours.label RENAME TO mine',
    'ALTER POLICY deskguard_base ON ours.label RENAME TO mine',
    'ALTER TABLE ours.label RENAME TO tag']) AS command;
SELECT deskguard.unprotect('ours.label');
SELECT * FROM test.protection('ours.label');
SELECT test.attempt_only($$SELECT deskguard.unprotect('ours.label')$$);
RESET ROLE;
SELECT count(*) AS left FROM deskguard.protected_feature;
DELETE FROM deskguard.permission WHERE name LIKE 'it%';

-- Refused.
SET ROLE regress_owner;
CREATE TABLE ours.parent (id int) PARTITION BY LIST (id);
CREATE TABLE ours.part PARTITION OF ours.parent FOR VALUES IN (1);
CREATE VIEW ours.a_view AS SELECT * FROM ours.label;
CREATE TEMP TABLE a_temp (id int);
RESET ROLE;
CREATE FOREIGN DATA WRAPPER nothing;
CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing;
CREATE FOREIGN TABLE ours.a_foreign_table (id int) SERVER nowhere;
CREATE TABLE ours.of_postgres (id int);
SET ROLE regress_owner;
SELECT arguments, test.attempt_only('SELECT deskguard.protect_feature(' || arguments || ')')
FROM unnest(ARRAY[
    $$NULL, 'report.view'$$,
    $$'ours.label', NULL$$,
    $$'ours.label', 'report.view', NULL$$,
    $$'ours.label', 'report.view', 'TRUNCATE'$$,
    $$'ours.label', 'report.view', ''$$,
    $$0, 'report.view'$$,
    $$'ours.absent', 'report.view'$$,
    $$'ours.label_pkey', 'report.view'$$,
    $$'ours.a_view', 'report.view'$$,
    $$'ours.part', 'report.view'$$,
    $$'pg_temp.a_temp', 'report.view'$$,
    $$'ours.a_foreign_table', 'report.view'$$,
    $$'pg_catalog.pg_class', 'report.view'$$,
    $$'deskguard.agent', 'report.view'$$,
    $$'ours.of_postgres', 'report.view'$$]) AS arguments;
SELECT left(test.attempt_only($$SELECT deskguard.protect_feature('ours.label', 'report.View')$$), 85);
SELECT * FROM test.protection('ours.label');
SELECT test.attempt($$SELECT deskguard.protect_feature('ours.label', '')$$) LIKE '22023: unknown permission ""%report.view%' AS refused;
RESET ROLE;
GRANT EXECUTE ON FUNCTION deskguard.protect_feature TO regress_other;
SET ROLE regress_other;
SELECT test.attempt_only($$SELECT deskguard.protect_feature('ours.label', 'report.view')$$);
RESET ROLE;
SELECT count(*) AS left FROM deskguard.protected_feature;

-- Policies of the owner's own: a feature only narrows what they give.
SET ROLE regress_owner;
CREATE POLICY tenant ON ours.label FOR SELECT USING (id = 1);
ALTER TABLE ours.label ENABLE ROW LEVEL SECURITY;
CREATE TEMP TABLE before AS SELECT * FROM test.protection('ours.label');
SELECT deskguard.protect_feature('ours.label', 'ticket.create_labels', 'INSERT');
SELECT * FROM test.protection('ours.label');
RESET ROLE;
SET ROLE regress_ann;
SELECT * FROM ours.label;
SELECT test.attempt_only('INSERT INTO ours.label VALUES (3, ''new'')');
RESET ROLE;
SET ROLE regress_owner;
SELECT test.attempt_only('ALTER POLICY tenant ON ours.label USING (id = 2)'), test.attempt_only('ALTER POLICY tenant ON ours.label RENAME TO t'),
    test.attempt_only('ALTER POLICY deskguard_feature_insert ON ours.label RENAME TO t');
SELECT deskguard.unprotect('ours.label');
(SELECT * FROM test.protection('ours.label') EXCEPT TABLE before) UNION ALL (TABLE before EXCEPT SELECT * FROM test.protection('ours.label'));
RESET ROLE;

-- Together with other protections, in any order.
SET ROLE regress_owner;
SELECT deskguard.protect_feature('desk.ticket', 'invoice.view', 'SELECT');
SELECT deskguard.protect_feature('desk.ticket_follower', 'invoice.view', 'UPDATE');
SELECT left(definition, 69) FROM test.protection('desk.ticket');
RESET ROLE;
SET ROLE regress_ann;
SELECT count(*) FROM desk.ticket;
RESET ROLE;
INSERT INTO deskguard.agent_permission VALUES (2, 'invoice.view');
SET ROLE regress_ann;
SELECT array_agg(id ORDER BY id) FROM desk.ticket;
SELECT test.plan('SELECT * FROM desk.ticket WHERE assignee_id = 2');
RESET ROLE;
SET ROLE regress_owner;
SELECT deskguard.protect_tickets('desk.ticket', department_column => 'department_id', drop_rules => true);
SELECT definition FROM test.protection('desk.ticket') WHERE definition LIKE 'deskguard\_feature%';
SELECT * FROM test.protection('desk.ticket_follower');
RESET ROLE;
SELECT table_id, kind, root FROM deskguard.protected_table ORDER BY 1;
SET ROLE regress_owner;
SELECT deskguard.protect_tickets('desk.ticket', department_column => 'department_id', follower_table => 'desk.ticket_follower', drop_rules => true);
SELECT left(definition, 69) FROM test.protection('desk.ticket_follower');
SELECT deskguard.unprotect('desk.ticket');
SELECT * FROM test.protection('desk.ticket');
SELECT * FROM test.protection('desk.ticket_follower');
SELECT deskguard.unprotect('desk.ticket_follower');
SELECT * FROM test.protection('desk.ticket_follower');
SELECT deskguard.protect_feature('desk.ticket', 'invoice.view');
SELECT deskguard.protect_tickets('desk.ticket', department_column => 'department_id', drop_rules => true);
SELECT left(definition, 69) FROM test.protection('desk.ticket');
RESET ROLE;
SELECT table_id, kind, root FROM deskguard.protected_table ORDER BY 1;

-- Partitions and children, also later ones.
SET ROLE regress_owner;
SELECT deskguard.protect_feature('ours.parent', 'ticket.unarchive');
CREATE TABLE ours.part_2 PARTITION OF ours.parent FOR VALUES IN (2);
SELECT deskguard.protect_feature('ours.parent', 'invoice.view', 'UPDATE');
SELECT * FROM test.protection('ours.part');
SELECT * FROM test.protection('ours.part_2');
ALTER TABLE ours.parent DETACH PARTITION ours.part_2;
SELECT test.attempt_only($$SELECT deskguard.protect_feature('ours.part_2', 'report.view')$$);
RESET ROLE;
INSERT INTO ours.part VALUES (1);
INSERT INTO ours.part_2 VALUES (2);
SET ROLE regress_ann;
SELECT (SELECT count(*) FROM ours.parent), (SELECT count(*) FROM ours.part), (SELECT count(*) FROM ours.part_2);
RESET ROLE;
INSERT INTO deskguard.agent_permission VALUES (2, 'ticket.unarchive');
SET ROLE regress_ann;
SELECT (SELECT count(*) FROM ours.parent), (SELECT count(*) FROM ours.part), (SELECT count(*) FROM ours.part_2);
RESET ROLE;
SET ROLE regress_owner;
ALTER TABLE ours.parent ATTACH PARTITION ours.part_2 FOR VALUES IN (2);
SELECT test.attempt_only($$SELECT deskguard.unprotect('ours.part')$$);
ALTER TABLE ours.parent RENAME TO head;
SELECT deskguard.unprotect('ours.head');
SELECT * FROM test.protection('ours.part_2');
SELECT deskguard.protect_feature('ours.head', 'report.view');
DROP TABLE ours.head;
RESET ROLE;
SELECT * FROM deskguard.protected_feature WHERE permission = 'report.view';
SELECT table_id, kind, root FROM deskguard.protected_table ORDER BY 1;

-- Messages may need permissions, too, and are nothing else.
INSERT INTO desk.ticket (id, subject, category_id, department_id) VALUES (900, 'labelled', 1, 1);
INSERT INTO deskguard.agent_permission VALUES (5, 'report.view');
SET ROLE regress_owner;
CREATE TABLE ours.message (id int PRIMARY KEY, ticket_id int);
INSERT INTO ours.message VALUES (1, 900);
CREATE TABLE ours.filter (id int, ticket_id int);
SELECT deskguard.protect_feature('ours.message', 'report.view', 'SELECT');
SELECT deskguard.protect_messages('ours.message', 'desk.ticket');
SELECT * FROM test.protection('ours.message');
SELECT deskguard.protect_shared('ours.filter');
SELECT call, test.attempt_only('SELECT deskguard.' || call)
FROM unnest(ARRAY[
    $$protect_shared('ours.message')$$, $$protect_messages('ours.filter', 'desk.ticket')$$,
    $$protect_tickets('ours.filter', department_column => 'ticket_id')$$]) AS call;
RESET ROLE;
SET SESSION AUTHORIZATION regress_app;
-- With all permissions; with sight of the ticket only, and with the feature only.
SELECT deskguard.set_agent(1, false);
SELECT count(*) FROM ours.message;
SELECT deskguard.set_agent(2, false);
SELECT (SELECT count(*) FROM desk.ticket WHERE id = 900) AS tickets, (SELECT count(*) FROM ours.message) AS messages;
SELECT deskguard.set_agent(5, false);
SELECT (SELECT count(*) FROM desk.ticket WHERE id = 900) AS tickets, (SELECT count(*) FROM ours.message) AS messages;
RESET deskguard.agent_id;
RESET SESSION AUTHORIZATION;
SET ROLE regress_owner;
SELECT deskguard.unprotect('ours.message'), deskguard.unprotect('ours.filter');
RESET ROLE;
DELETE FROM desk.ticket WHERE id = 900;
DELETE FROM deskguard.agent_permission WHERE permission = 'report.view';

-- Without the extension the table is closed.
SET ROLE regress_owner;
DROP POLICY tenant ON ours.label;
ALTER TABLE ours.label DISABLE ROW LEVEL SECURITY;
SELECT deskguard.protect_feature('ours.label', 'ticket.create_labels', 'INSERT');
RESET ROLE;
BEGIN;
DROP EXTENSION deskguard CASCADE;
SELECT * FROM test.protection('ours.label');
ROLLBACK;
DROP FOREIGN DATA WRAPPER nothing CASCADE;
DROP SCHEMA ours CASCADE;
DROP FUNCTION test.plan(text);
