-- Mirrors: rows of deskguard's tables that are kept equal to views of the help desk. Not in one transaction: most is done
-- at the end of one.
SET client_min_messages = warning;
ALTER SEQUENCE deskguard_internal.mirror_id_seq RESTART;
CREATE ROLE regress_admin LOGIN;        -- may write deskguard's tables, and owns the help desk
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA deskguard TO regress_admin;
GRANT CREATE ON DATABASE regression TO regress_admin;
GRANT EXECUTE ON FUNCTION deskguard.protect_tickets TO regress_admin;
DELETE FROM deskguard.agent;
DELETE FROM deskguard.team;
DELETE FROM deskguard.permission_group WHERE NOT builtin;
DELETE FROM deskguard.department;
DELETE FROM deskguard.category;
RESET client_min_messages;

SET ROLE regress_admin;
CREATE SCHEMA hd;
CREATE TABLE hd.users (
    id integer PRIMARY KEY, name text, is_agent boolean NOT NULL DEFAULT true, last_login timestamptz, role_id integer);
CREATE TABLE hd.team (id smallint PRIMARY KEY, title text);
CREATE TABLE hd.member (team_id integer, user_id integer, PRIMARY KEY (team_id, user_id));
CREATE TABLE hd.role (id integer PRIMARY KEY, title text, may text[]);
CREATE TABLE hd.ticket (id bigint PRIMARY KEY, subject text, team_id integer, user_id integer);
INSERT INTO hd.users SELECT n, 'User ' || n, n <= 5, NULL, 1 + n % 2 FROM generate_series(1, 6) AS n;
INSERT INTO hd.team VALUES (1, 'Day'), (2, 'Night');
INSERT INTO hd.member VALUES (1, 1), (1, 2), (2, 2), (2, 6);
INSERT INTO hd.role VALUES (1, 'Clerk', '{ticket.use}'), (2, 'Lead', '{ticket.use,ticket.view.assigned}');
INSERT INTO hd.ticket VALUES (1, 'of the day', 1, NULL), (2, 'of the night', 2, NULL), (3, 'of user 3', NULL, 3);
SELECT deskguard.protect_tickets('hd.ticket', assignee_column => 'user_id', team_column => 'team_id');

CREATE VIEW hd.agents AS SELECT id, name FROM hd.users WHERE is_agent;
CREATE VIEW hd.teams AS SELECT id, title AS name FROM hd.team;
CREATE VIEW hd.team_members AS
SELECT m.team_id, m.user_id AS agent_id FROM hd.member AS m JOIN hd.users AS u ON u.id = m.user_id WHERE u.is_agent;
CREATE VIEW hd.groups AS SELECT title AS name FROM hd.role;
CREATE VIEW hd.agent_roles AS SELECT u.id, r.title FROM hd.users AS u JOIN hd.role AS r ON r.id = u.role_id WHERE u.is_agent;
CREATE VIEW hd.group_members AS SELECT title AS group_name, id AS agent_id FROM hd.agent_roles;
CREATE VIEW hd.group_permissions AS SELECT title AS group_name, unnest(may) AS permission FROM hd.role;

SELECT deskguard.mirror('agent', 'hd.agents') AS agents \gset
SELECT deskguard.mirror('team', 'hd.teams') AS teams \gset
SELECT deskguard.mirror('deskguard.team_member', 'hd.team_members') AS team_members \gset
SELECT deskguard.mirror('permission_group', 'hd.groups') AS groups \gset
SELECT deskguard.mirror('group_member', 'hd.group_members') AS group_members \gset
SELECT deskguard.mirror('group_permission', 'hd.group_permissions') AS group_permissions \gset
SELECT target, source, rows, last_refresh <= clock_timestamp() AS is_refreshed, duration < '1 min' AS has_duration
FROM deskguard.mirror ORDER BY mirror;
-- Again: the same mirror.
SELECT deskguard.mirror('agent', 'hd.agents') = :agents AS is_the_same;

RESET ROLE;
CREATE VIEW test.mirrored AS
SELECT 'agent' AS of, a::text AS row FROM deskguard.agent AS a
UNION ALL SELECT 'team', t::text FROM deskguard.team AS t
UNION ALL SELECT 'team_member', concat_ws(' in ', agent_id, team_id) FROM deskguard.team_member AS t
UNION ALL SELECT 'group_member', concat_ws(' in ', agent_id, g.name) FROM deskguard.group_member JOIN deskguard.permission_group AS g ON g.id = group_id
UNION ALL SELECT 'group_permission', concat_ws(' has ', g.name, permission) FROM deskguard.group_permission JOIN deskguard.permission_group AS g ON g.id = group_id;
CREATE TABLE test.seen AS TABLE test.mirrored;
-- What is otherwise than when it was last asked.
CREATE FUNCTION test.news() RETURNS TABLE (sign text, of text, "row" text) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT x.* FROM (
        SELECT '-' AS s, a.* FROM (TABLE test.seen EXCEPT ALL TABLE test.mirrored) AS a
        UNION ALL SELECT '+', b.* FROM (TABLE test.mirrored EXCEPT ALL TABLE test.seen) AS b
    ) AS x ORDER BY x.of, x.row, x.s;
    TRUNCATE test.seen;
    INSERT INTO test.seen TABLE test.mirrored;
END $$;
TABLE test.mirrored ORDER BY of, row;
-- The tables below a view of a view, down to the columns.
SELECT tgrelid::regclass AS on_table, pg_get_triggerdef(oid), tgenabled FROM pg_trigger
WHERE tgfoid = 'deskguard_internal.mirror_changed'::regproc AND tgargs = (:group_members || '\000')::bytea ORDER BY 1, 2;

-- Kept equal, whatever changes.
INSERT INTO hd.member VALUES (2, 3);
SELECT * FROM test.news();
UPDATE hd.member SET user_id = 4 WHERE user_id = 3;
SELECT * FROM test.news();
UPDATE hd.users SET is_agent = true, name = 'New' WHERE id = 6;
SELECT * FROM test.news();
UPDATE hd.role SET may = '{ticket.use,ticket.view.unassigned}', title = 'Chief' WHERE id = 2;
SELECT * FROM test.news();
DELETE FROM hd.users WHERE id = 6;
SELECT * FROM test.news();
COPY hd.member FROM STDIN;
1	3
1	4
\.
SELECT * FROM test.news();
TRUNCATE hd.member;
SELECT * FROM test.news();
MERGE INTO hd.member AS m USING (VALUES (1, 1), (2, 2)) AS v (t, u) ON m.user_id = v.u WHEN NOT MATCHED THEN INSERT VALUES (v.t, v.u);
SELECT * FROM test.news();
-- What the views do not read costs nothing, and a row that stays as it is.
SELECT max(last_refresh) AS last_refresh FROM deskguard.mirror \gset
UPDATE hd.users SET last_login = now(), name = name;
SELECT max(last_refresh) = :'last_refresh' AS is_not_refreshed FROM deskguard.mirror;

-- One's own changes are seen by oneself: by plans, kept plans, calls, and questions.
SET ROLE regress_admin;
GRANT USAGE ON SCHEMA hd TO PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA hd TO PUBLIC;
SET SESSION AUTHORIZATION regress_app;
PREPARE subjects AS SELECT subject FROM hd.ticket ORDER BY id;
BEGIN;
SELECT deskguard.set_agent(3);
EXECUTE subjects;
INSERT INTO hd.member VALUES (1, 3);
EXECUTE subjects;
SAVEPOINT before;
DELETE FROM hd.member WHERE user_id = 3;
INSERT INTO hd.member VALUES (2, 3);
EXECUTE subjects;
SELECT deskguard.agent_can_view(3, 2, 'hd.ticket'), deskguard.agent_can_view(3, 1, 'hd.ticket');
ROLLBACK TO before;
EXECUTE subjects;
SELECT deskguard.agent_can_view(3, 2, 'hd.ticket'), deskguard.agent_can_view(3, 1, 'hd.ticket');
SAVEPOINT refreshed;
DELETE FROM hd.member WHERE user_id = 3;
RELEASE refreshed;
SELECT * FROM deskguard.visible_tickets(3, 'hd.ticket');
SAVEPOINT taken_back;
INSERT INTO hd.member VALUES (2, 3);
ROLLBACK TO taken_back;
SET LOCAL deskguard.fold = off;
EXECUTE subjects;
SELECT * FROM deskguard.effective_teams(3);
DO $$
BEGIN
    BEGIN
        INSERT INTO hd.member VALUES (2, 3);
        RAISE NOTICE 'seen within: %', (SELECT array_agg(id) FROM hd.ticket);
        RAISE division_by_zero;
    EXCEPTION WHEN division_by_zero THEN
        RAISE NOTICE 'seen after: %', (SELECT array_agg(id) FROM hd.ticket);
    END;
END $$;
ROLLBACK;
RESET SESSION AUTHORIZATION;
SELECT * FROM test.news();

-- By hand: other rows, and not those of a mirror.
INSERT INTO deskguard.agent (id, name) VALUES (70, 'By hand'), (71, 'By hand');
UPDATE deskguard.agent SET name = 'By hand, too' WHERE id = 71;
INSERT INTO deskguard.team_member VALUES (1, 70);
SELECT command, test.attempt(command) FROM unnest(ARRAY[
    'UPDATE deskguard.agent SET active = false WHERE id = 1',
    'DELETE FROM deskguard.agent WHERE id = 1',
    'DELETE FROM deskguard.team_member WHERE agent_id = 1',
    'DELETE FROM deskguard.permission_group WHERE name = ''Clerk''',
    'DELETE FROM deskguard.group_permission',
    'TRUNCATE deskguard.team_member',
    'TRUNCATE deskguard.agent CASCADE',
    'DELETE FROM deskguard_internal.mirror',
    'DELETE FROM deskguard_internal.mirrored_row',
    'TRUNCATE deskguard_internal.mirrored_row',
    'INSERT INTO deskguard.team_member VALUES (1, 1)'
]) AS command;
SELECT * FROM test.news();
-- What was made by hand and is given by a mirror later is the mirror's until it is not given any more.
INSERT INTO hd.users VALUES (70, 'By the help desk');
SELECT test.attempt('DELETE FROM deskguard.agent WHERE id = 70');
SELECT * FROM test.news();
DELETE FROM hd.users WHERE id = 70;
SELECT test.attempt('UPDATE deskguard.agent SET name = ''By hand again'' WHERE id = 70');
SELECT * FROM test.news();

-- What two give is there once, with the values of the first, and stays until neither gives it.
SET ROLE regress_admin;
CREATE TABLE hd.guest (id integer PRIMARY KEY, name text, note text);
INSERT INTO hd.guest VALUES (1, 'Guest 1'), (50, 'Guest 50');
SELECT deskguard.mirror('agent', 'hd.guest') AS guests \gset
RESET ROLE;
SELECT * FROM test.news();
UPDATE hd.users SET name = 'User One' WHERE id = 1;
SELECT * FROM test.news();
UPDATE hd.users SET is_agent = false WHERE id = 1;
SELECT * FROM test.news();
UPDATE hd.users SET is_agent = true WHERE id = 1;
SELECT * FROM test.news();
SELECT deskguard.unmirror(:guests);
SELECT * FROM test.news();
SELECT test.attempt('UPDATE deskguard.agent SET active = false WHERE id = 1');
-- Kept as if made by hand.
SELECT deskguard.mirror('agent', 'hd.guest') AS guests \gset
SELECT deskguard.unmirror(:guests, keep_rows => true);
SELECT * FROM test.news();
SELECT test.attempt('DELETE FROM deskguard.agent WHERE id = 50');
SELECT * FROM test.news();

-- What constraints refuse fails the change, with the mirror, the key and the reason.
\set VERBOSITY default
INSERT INTO hd.users VALUES (8, NULL, true);
INSERT INTO hd.member VALUES (9, 1);
UPDATE hd.role SET may = may || '{no.such}' WHERE id = 1;
INSERT INTO hd.role VALUES (3, 'All Permissions', '{}');
UPDATE hd.role SET title = NULL WHERE id = 2;
SET ROLE regress_admin;
CREATE OR REPLACE VIEW hd.agents AS
SELECT id, name FROM hd.users WHERE is_agent UNION ALL (SELECT 1, 'Another' FROM hd.users LIMIT 1);
CREATE OR REPLACE VIEW hd.teams AS SELECT id, title AS name FROM hd.team UNION ALL (SELECT NULL, 'None' FROM hd.team LIMIT 1);
CREATE OR REPLACE VIEW hd.team_members AS
SELECT m.team_id / 0 AS team_id, m.user_id AS agent_id FROM hd.member AS m JOIN hd.users AS u ON u.id = m.user_id WHERE u.is_agent;
RESET ROLE;
-- An agent is gone, and a mirror still says that it is in a team.
SET ROLE regress_admin;
CREATE VIEW hd.all_members AS SELECT team_id, user_id AS agent_id FROM hd.member;
SELECT deskguard.mirror('team_member', 'hd.all_members') AS all_members \gset
RESET ROLE;
DELETE FROM hd.users WHERE id = 2;
BEGIN;
DELETE FROM hd.users WHERE id = 2;
DELETE FROM hd.member WHERE user_id = 2;
COMMIT;
SELECT deskguard.unmirror(:all_members);
SELECT * FROM test.news();

-- Keys in place of ids. Without ids deskguard numbers the rows.
SET ROLE regress_admin;
CREATE TABLE hd.person (id uuid PRIMARY KEY, name text);
CREATE TABLE hd.place (key text PRIMARY KEY, above text);
CREATE TABLE hd.person_place (person uuid, place text, level text, until timestamptz);
CREATE VIEW hd.people AS SELECT id AS external_key, name FROM hd.person;
CREATE VIEW hd.places AS SELECT key AS external_key, above AS parent_key FROM hd.place;
CREATE VIEW hd.people_places AS
SELECT person AS agent_key, place AS department_key, level, until AS valid_until FROM hd.person_place;
INSERT INTO hd.person SELECT test.key('a', n), 'Person ' || n FROM generate_series(1, 2) AS n;
INSERT INTO hd.place VALUES ('berlin', 'eu'), ('eu', 'world'), ('world', NULL);
INSERT INTO hd.person_place VALUES (test.key('a', 1), 'eu', 'full', NULL), (test.key('a', 2), 'berlin', 'assign', '2100-01-01');
SELECT deskguard.mirror('agent', 'hd.people') AS people, deskguard.mirror('department', 'hd.places') AS places \gset
SELECT deskguard.mirror('agent_department', 'hd.people_places') AS people_places \gset
RESET ROLE;
CREATE VIEW test.places AS
SELECT a.name AS agent, d.name AS department, p.name AS parent, level, valid_until::date, a.id > 4611686018427387903 AS is_numbered
FROM deskguard.department AS d LEFT JOIN deskguard.department AS p ON p.id = d.parent_id
LEFT JOIN deskguard.agent_department AS x ON x.department_id = d.id LEFT JOIN deskguard.agent AS a ON a.id = x.agent_id;
SELECT * FROM test.places ORDER BY 2, 1;
-- Known by its key a row keeps its id.
SELECT id AS before FROM deskguard.agent WHERE external_key = test.key('a', 1)::text \gset
UPDATE hd.person SET name = 'Renamed' WHERE id = test.key('a', 1);
SELECT name, id = :before AS is_the_same FROM deskguard.agent WHERE external_key = test.key('a', 1)::text;
-- All at once: a part of the tree is moved below a new one, and what was above is gone.
BEGIN;
DELETE FROM hd.place WHERE key = 'world';
INSERT INTO hd.place VALUES ('earth', NULL);
UPDATE hd.place SET above = 'earth' WHERE key = 'eu';
UPDATE hd.person_place SET level = 'assign', until = NULL;
COMMIT;
SELECT * FROM test.places ORDER BY 2, 1;
UPDATE hd.person SET id = test.key('a', 3) WHERE id = test.key('a', 2);
INSERT INTO hd.person_place VALUES (test.key('a', 7), 'eu', 'full');
INSERT INTO hd.person_place VALUES (test.key('a', 1), 'mars', 'full');
INSERT INTO hd.person_place VALUES (test.key('a', 1), 'eu', 'some');
INSERT INTO hd.person_place VALUES (test.key('a', 1), 'eu', 'full');
INSERT INTO hd.person_place VALUES (test.key('a', 1), NULL, 'assign');
-- Which department of the circle it names depends on the plan.
\set VERBOSITY sqlstate
UPDATE hd.place SET above = 'berlin' WHERE key = 'eu';
\set VERBOSITY default
UPDATE hd.place SET above = 'mars' WHERE key = 'eu';
-- The same row twice is one row.
INSERT INTO hd.person_place VALUES (test.key('a', 1), 'eu', 'assign');
SELECT * FROM test.places ORDER BY 2, 1;

-- Groups by key: a new title is a new name.
SET ROLE regress_admin;
CREATE TABLE hd.circle (id integer PRIMARY KEY, title text);
CREATE VIEW hd.circles AS SELECT 'circle ' || id AS external_key, title AS name, 'granted' AS scope, 'all' AS department_access FROM hd.circle;
CREATE VIEW hd.in_circles AS SELECT 'circle ' || c.id AS group_key, p.id AS agent_key FROM hd.circle AS c, hd.person AS p;
INSERT INTO hd.circle VALUES (1, 'Round'), (2, 'Rounder');
SELECT deskguard.mirror('permission_group', 'hd.circles') AS circles \gset
SELECT deskguard.mirror('group_member', 'hd.in_circles') AS in_circles \gset
RESET ROLE;
SELECT id AS before FROM deskguard.permission_group WHERE external_key = 'circle 1' \gset
INSERT INTO deskguard.group_permission VALUES (:before, 'ticket.create');
UPDATE hd.circle SET title = 'Roundest' WHERE id = 1;
SELECT g.id = :before AS is_the_same, g.name, g.scope, g.department_access, m.agents, p.permission FROM deskguard.permission_group AS g
JOIN (SELECT group_id, count(*) AS agents FROM deskguard.group_member GROUP BY 1) AS m ON m.group_id = g.id
LEFT JOIN deskguard.group_permission AS p ON p.group_id = g.id WHERE g.external_key LIKE 'circle%' ORDER BY g.name;
DELETE FROM hd.circle WHERE id = 1;
SELECT count(*) FROM deskguard.permission_group WHERE external_key LIKE 'circle%';

-- The signals are those of what differs: a name concerns nobody, nor does an agent without rights.
SET SESSION AUTHORIZATION regress_app;
BEGIN;
SELECT deskguard.set_agent(3);
SELECT count(*) FROM hd.ticket;
SELECT invalidations AS before FROM deskguard.cache_stats() \gset
UPDATE hd.users SET name = 'Renamed' WHERE id = 3;
INSERT INTO hd.users VALUES (90, 'New', true), (91, 'None', false);
SELECT count(*) FROM hd.ticket;
SELECT invalidations - :before AS for_nobody FROM deskguard.cache_stats();
INSERT INTO hd.member VALUES (1, 3);
SELECT count(*) FROM hd.ticket;
SELECT invalidations - :before AS for_agent_3 FROM deskguard.cache_stats();
ROLLBACK;
RESET SESSION AUTHORIZATION;

SELECT deskguard.unmirror(mirror) FROM deskguard.mirror ORDER BY mirror DESC;
SELECT count(*) FROM deskguard_internal.mirrored_row;
SELECT tgname FROM pg_trigger WHERE tgfoid = 'deskguard_internal.mirror_changed'::regproc;
TABLE test.mirrored;
SET client_min_messages = warning;
DROP VIEW test.places, test.mirrored;
DROP TABLE test.seen;
DROP FUNCTION test.news;
DROP OWNED BY regress_admin;
DROP ROLE regress_admin;
SELECT test.reset();
