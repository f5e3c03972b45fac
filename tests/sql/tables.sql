-- The permission tables: what they refuse, what goes with what is deleted, and who may touch them.
SELECT test.reset();
-- TRUNCATE ... CASCADE says much.
SET client_min_messages = warning;
CREATE TEMP TABLE refused (command text);
INSERT INTO refused VALUES
    -- cycles
    ($$UPDATE deskguard.department SET parent_id = 1 WHERE id = 1$$),
    ($$UPDATE deskguard.department SET parent_id = 3 WHERE id = 1$$),
    ($$INSERT INTO deskguard.department VALUES (90, 'x', 90)$$),
    ($$INSERT INTO deskguard.department VALUES (90, 'x', 91), (91, 'y', 90)$$),
    ($$UPDATE deskguard.department SET id = 3, parent_id = 3 WHERE id = 3$$),
    ($$INSERT INTO deskguard.department VALUES (2, 'x', NULL)$$),
    ($$INSERT INTO deskguard.department VALUES (90, 'x', 91)$$),
    ($$INSERT INTO deskguard.department VALUES (90, NULL, NULL)$$),
    ($$DELETE FROM deskguard.department WHERE id = 1$$),
    -- built-in groups
    ($$DELETE FROM deskguard.permission_group WHERE id = 1$$),
    ($$DELETE FROM deskguard.permission_group$$),
    ($$UPDATE deskguard.permission_group SET name = 'x' WHERE id = 2$$),
    ($$UPDATE deskguard.permission_group SET category_access = 'silo' WHERE id = 1$$),
    ($$UPDATE deskguard.permission_group SET builtin = false WHERE id = 1$$),
    ($$UPDATE deskguard.permission_group SET builtin = true WHERE id = 100$$),
    ($$UPDATE deskguard.permission_group SET id = 1 WHERE id = 100$$),
    ($$INSERT INTO deskguard.permission_group (name, builtin) VALUES ('x', true)$$),
    ($$INSERT INTO deskguard.permission_group (name) VALUES ('All Permissions')$$),
    ($$INSERT INTO deskguard.permission_group (name) VALUES (NULL)$$),
    ($$TRUNCATE deskguard.permission_group CASCADE$$),
    ($$INSERT INTO deskguard.group_permission VALUES (1, 'ticket.use')$$),
    ($$INSERT INTO deskguard.group_department VALUES (2, 1, 'full')$$),
    ($$INSERT INTO deskguard.group_category VALUES (1, 1)$$),
    ($$UPDATE deskguard.group_category SET group_id = 1$$),
    -- permissions
    ($$INSERT INTO deskguard.group_permission VALUES (100, 'ticket.fly')$$),
    ($$INSERT INTO deskguard.agent_permission VALUES (2, 'ticket.fly')$$),
    ($$INSERT INTO deskguard.agent_permission VALUES (2, NULL)$$),
    ($$DELETE FROM deskguard.permission WHERE name = 'ticket.use'$$),
    ($$UPDATE deskguard.permission SET name = 'ticket.used' WHERE name = 'ticket.use'$$),
    ($$UPDATE deskguard.permission SET destructive = false WHERE name = 'ticket.delete.own'$$),
    ($$INSERT INTO deskguard.permission (name, builtin) VALUES ('x', true)$$),
    ($$INSERT INTO deskguard.permission (name) VALUES ('')$$),
    ($$TRUNCATE deskguard.permission CASCADE$$),
    -- words
    ($$INSERT INTO deskguard.group_department VALUES (100, 5, 'view')$$),
    ($$INSERT INTO deskguard.agent_department VALUES (2, 5, 'FULL')$$),
    ($$INSERT INTO deskguard.agent_department VALUES (2, 5, NULL)$$),
    ($$UPDATE deskguard.agent SET category_access = 'closed'$$),
    ($$UPDATE deskguard.permission_group SET category_access = 'granted' WHERE id = 100$$),
    ($$UPDATE deskguard.permission_group SET category_access = NULL WHERE id = 100$$),
    ($$UPDATE deskguard.permission_group SET department_access = 'some' WHERE id = 100$$),
    -- roles
    ($$UPDATE deskguard.agent SET db_role = 'regress_absent' WHERE id = 1$$),
    ($$UPDATE deskguard.agent SET db_role = '' WHERE id = 1$$),
    ($$UPDATE deskguard.agent SET db_role = 'regress_ann' WHERE id = 1$$),
    ($$INSERT INTO deskguard.trusted_role VALUES ('regress_absent')$$),
    ($$INSERT INTO deskguard.trusted_role VALUES (NULL)$$),
    -- what is not there, and what is there twice
    ($$INSERT INTO deskguard.agent (id, name) VALUES (NULL, 'x')$$),
    ($$INSERT INTO deskguard.agent (id, name) VALUES (1, 'x')$$),
    ($$INSERT INTO deskguard.group_member VALUES (100, 99)$$),
    ($$INSERT INTO deskguard.group_member VALUES (99, 1)$$),
    ($$INSERT INTO deskguard.group_member VALUES (100, 2)$$),
    ($$INSERT INTO deskguard.team_member VALUES (10, 99)$$),
    ($$INSERT INTO deskguard.agent_category VALUES (2, 99)$$),
    ($$INSERT INTO deskguard.group_department VALUES (100, 1, 'assign')$$);
SELECT command, test.attempt_only(command) FROM refused;
RESET client_min_messages;

-- What is right is taken.
SELECT test.attempt_only($$INSERT INTO deskguard.department VALUES (92, 'below', 91), (91, 'middle', 90), (90, 'top', NULL)$$);
SELECT test.attempt_only($$UPDATE deskguard.department SET parent_id = 4 WHERE id = 2$$);
SELECT test.attempt_only($$UPDATE deskguard.department SET parent_id = NULL$$);
-- Many at once, in whatever order: each is checked, and walked through once.
SELECT test.attempt_only($$INSERT INTO deskguard.department (id, name, parent_id)
    SELECT 5000 - g, g, CASE WHEN g < 3000 THEN 4999 - g ELSE 3 END FROM generate_series(1, 3000) AS g$$);
SELECT test.attempt_only($$INSERT INTO deskguard.department (id, name, parent_id)
    VALUES (61, 'a', 1), (62, 'b', 61), (63, 'c', 65), (64, 'd', 63), (65, 'e', 64), (66, 'f', 65)$$);
SELECT test.attempt_only($$UPDATE deskguard.department SET parent_id = CASE id WHEN 1 THEN 4 WHEN 4 THEN 5 ELSE 2 END WHERE id IN (1, 4, 5)$$);
SELECT test.attempt_only($$INSERT INTO deskguard.permission VALUES ('people.use', 'See people', false)$$);
SELECT test.attempt_only($$INSERT INTO deskguard.group_member VALUES (2, 4)$$);
SELECT test.attempt_only($$UPDATE deskguard.agent SET db_role = 'regress_other' WHERE id = 1$$);
SELECT test.attempt_only($$INSERT INTO deskguard.agent (id, name) VALUES (-9223372036854775807, ''), (9223372036854775807, 'x')$$);

-- Grants go with what they are about, and keep up with changed ids.
CREATE VIEW test.grants AS
SELECT 'agent_category' AS grants, count(*) FROM deskguard.agent_category
UNION ALL SELECT 'agent_department', count(*) FROM deskguard.agent_department
UNION ALL SELECT 'agent_permission', count(*) FROM deskguard.agent_permission
UNION ALL SELECT 'group_category', count(*) FROM deskguard.group_category
UNION ALL SELECT 'group_department', count(*) FROM deskguard.group_department
UNION ALL SELECT 'group_member', count(*) FROM deskguard.group_member
UNION ALL SELECT 'group_permission', count(*) FROM deskguard.group_permission
UNION ALL SELECT 'team_member', count(*) FROM deskguard.team_member;
INSERT INTO deskguard.permission VALUES ('people.use');
INSERT INTO deskguard.group_permission VALUES (100, 'people.use');
INSERT INTO deskguard.agent_permission VALUES (4, 'people.use'), (5, 'ticket.use');
INSERT INTO deskguard.agent_category VALUES (4, 1), (5, 3);
INSERT INTO deskguard.agent_department VALUES (4, 5, 'full'), (5, 3, 'assign');
INSERT INTO deskguard.team_member VALUES (10, 4);
TABLE test.grants;
UPDATE deskguard.agent SET id = 44 WHERE id = 4;
UPDATE deskguard.category SET id = 11 WHERE id = 1;
UPDATE deskguard.department SET id = 55 WHERE id = 5;
UPDATE deskguard.permission SET name = 'people.view' WHERE name = 'people.use';
SELECT agent_id, category_id, department_id, level, permission, team_id
FROM deskguard.agent_category JOIN deskguard.agent_department USING (agent_id) JOIN deskguard.agent_permission USING (agent_id)
    JOIN deskguard.team_member USING (agent_id);
DELETE FROM deskguard.agent WHERE id = 44;
DELETE FROM deskguard.permission WHERE name = 'people.view';
DELETE FROM deskguard.category WHERE id IN (3, 11);
DELETE FROM deskguard.department WHERE id IN (3, 4);
DELETE FROM deskguard.team;
TABLE test.grants;
DELETE FROM deskguard.permission_group WHERE NOT builtin;
TABLE test.grants;
DROP VIEW test.grants;

-- Nobody but administrators reads or writes them; everybody may ask the functions.
SELECT r.relname, r.relkind FROM pg_class AS r, pg_roles AS u
WHERE r.relnamespace IN ('deskguard'::regnamespace, 'deskguard_internal'::regnamespace) AND r.relkind IN ('r', 'S', 'v')
    AND u.rolname = 'regress_other'
    AND CASE r.relkind WHEN 'S' THEN has_sequence_privilege(u.oid, r.oid, 'USAGE, SELECT, UPDATE')
        ELSE has_table_privilege(u.oid, r.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
            OR has_any_column_privilege(u.oid, r.oid, 'SELECT, INSERT, UPDATE, REFERENCES') END;
SELECT schema, has_schema_privilege('regress_other', schema, 'USAGE') AS usage,
    has_schema_privilege('regress_other', schema, 'CREATE') AS creation
FROM unnest(ARRAY['deskguard', 'deskguard_internal']) AS schema;
SELECT p.oid::regproc FROM pg_proc AS p
WHERE p.pronamespace IN ('deskguard'::regnamespace, 'deskguard_internal'::regnamespace)
    AND NOT has_function_privilege('regress_ann', p.oid, 'EXECUTE')
    AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
ORDER BY p.oid::regproc::text COLLATE "C";
SET ROLE regress_owner;
SELECT test.attempt('SELECT FROM deskguard.agent');
SELECT test.attempt($$INSERT INTO deskguard.agent_permission VALUES (5, 'ticket.use')$$);
SELECT test.attempt('DELETE FROM deskguard_internal.protected_table');
SELECT test.attempt('SELECT FROM deskguard.protected_table');
RESET ROLE;
