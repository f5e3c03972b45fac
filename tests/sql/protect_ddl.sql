-- Changes to protected tables: the protection follows, refuses, or leaves the table closed.
SELECT test.reset();
SET client_min_messages = warning;
CREATE FUNCTION test.mapping() RETURNS SETOF text LANGUAGE sql AS $$
    SELECT concat_ws(' ', table_id, kind, id_column, department_column, category_column, assignee_column, team_column,
        follower_table, follower_ticket_column, follower_agent_column)
    FROM deskguard.protected_table ORDER BY kind DESC, table_id::text COLLATE "C"
$$;
SELECT test.mapping();

-- Renamed, by an owner who may not write the registry.
ALTER SCHEMA desk OWNER TO regress_owner;
SET ROLE regress_owner;
ALTER TABLE desk.ticket RENAME TO issue;
ALTER TABLE desk.issue RENAME department_id TO "the department";
ALTER TABLE desk.issue RENAME id TO number;
ALTER TABLE desk.issue RENAME category_id TO swap;
ALTER TABLE desk.issue RENAME team_id TO category_id;
ALTER TABLE desk.issue RENAME swap TO team_id;
ALTER TABLE desk.ticket_follower RENAME TO fan;
ALTER TABLE desk.fan RENAME ticket_id TO agent;
ALTER TABLE desk.fan RENAME agent_id TO ticket_id;
ALTER TABLE desk.issue ADD COLUMN priority int;
RESET ROLE;
ALTER SCHEMA desk RENAME TO bureau;
SELECT test.mapping();
SET ROLE regress_ann;
SELECT array_agg(number ORDER BY number) FROM bureau.issue;
SELECT array_agg(t ORDER BY t) FROM deskguard.visible_tickets(2) AS t;
SELECT deskguard.agent_can_view(2, 6), deskguard.agent_can_view(2, 3);
SELECT * FROM bureau.fan ORDER BY 1;
SELECT test.attempt_only('INSERT INTO bureau.fan VALUES (1, 2)');
SELECT test.attempt_only('INSERT INTO bureau.fan VALUES (3, 2)');
SELECT test.attempt_only('UPDATE bureau.issue SET "the department" = 4 WHERE number = 1');
SELECT test.attempt_only('UPDATE bureau.issue SET "the department" = 5 WHERE number = 1');
RESET ROLE;
-- Another table takes the name.
CREATE SCHEMA desk;
CREATE TABLE desk.ticket AS SELECT 1 AS id, 1 AS department_id;
SELECT test.attempt($$SELECT deskguard.agent_can_view(2, 1, 'desk.ticket')$$);
DROP SCHEMA desk CASCADE;
-- A rename that is rolled back.
BEGIN;
ALTER TABLE bureau.issue RENAME number TO id;
SAVEPOINT s;
ALTER TABLE bureau.issue RENAME assignee_id TO who;
ROLLBACK TO s;
SELECT test.mapping();
ROLLBACK;
SELECT test.mapping();
ALTER SCHEMA bureau RENAME TO desk;
SELECT test.reset();

-- What carries the protection cannot be dropped from a table that stays.
SET ROLE regress_owner;
SELECT command, test.attempt_only(command)
FROM unnest(ARRAY[
    'ALTER TABLE desk.ticket DROP COLUMN department_id',
    'ALTER TABLE desk.ticket DROP COLUMN category_id CASCADE',
    'ALTER TABLE desk.ticket DROP COLUMN id CASCADE',
    'ALTER TABLE desk.ticket_follower DROP COLUMN agent_id',
    'ALTER TABLE desk.ticket_follower DROP COLUMN agent_id CASCADE',
    'DROP POLICY deskguard_base ON desk.ticket',
    'DROP POLICY deskguard_silo ON desk.ticket',
    'DROP POLICY deskguard_modify ON desk.ticket_follower',
    'DROP TRIGGER deskguard_update ON desk.ticket']) AS command;
SELECT count(*) FROM test.protection('desk.ticket');
SELECT test.attempt_only('ALTER TABLE desk.ticket DROP COLUMN subject');
SELECT test.attempt_only('CREATE POLICY mine ON desk.ticket USING (true)');
CREATE POLICY mine ON desk.ticket USING (true);
SELECT test.attempt('DROP POLICY mine ON desk.ticket');

-- Dropped: nothing of it is left in the registry.
DROP TABLE desk.ticket_follower;
RESET ROLE;
SELECT test.mapping();
SET ROLE regress_ann;
SELECT array_agg(id ORDER BY id) AS without_followers FROM desk.ticket;
RESET ROLE;
SELECT deskguard.agent_can_view(2, 6), deskguard.agent_can_view(2, 4);
BEGIN;
SET ROLE regress_owner;
DROP TABLE desk.ticket;
RESET ROLE;
SELECT test.mapping();
ROLLBACK;
SELECT test.mapping();
DROP TABLE desk.ticket;
SELECT test.mapping();
SELECT test.attempt('SELECT deskguard.agent_can_view(2, 6)');
SELECT test.reset();
SET ROLE regress_owner;
ALTER TABLE desk.ticket_follower DROP CONSTRAINT ticket_follower_ticket_id_fkey;
DROP TABLE desk.ticket;
SELECT test.attempt('SELECT deskguard.agent_can_view(2, 6)');
RESET ROLE;
SET ROLE regress_ann;
SELECT count(*) AS followers_without_tickets FROM desk.ticket_follower;
SELECT test.attempt_only('INSERT INTO desk.ticket_follower VALUES (1, 2)');
RESET ROLE;
SET ROLE regress_owner;
SELECT deskguard.unprotect('desk.ticket_follower');
SELECT * FROM test.protection('desk.ticket_follower');
RESET ROLE;
SELECT test.reset();

-- Tables that others own are nobody's business of ours.
SET ROLE regress_owner;
CREATE TABLE desk.other (id int, note text);
ALTER TABLE desk.other ENABLE ROW LEVEL SECURITY;
CREATE POLICY deskguard_view ON desk.other USING (true);
ALTER TABLE desk.other RENAME note TO notes;
DROP POLICY deskguard_view ON desk.other;
DROP TABLE desk.other;
RESET ROLE;

-- New owner, new mapping.
ALTER TABLE desk.ticket OWNER TO regress_other;
ALTER TABLE desk.ticket_follower OWNER TO regress_other;
SET ROLE regress_owner;
SELECT test.attempt_only($$SELECT deskguard.unprotect('desk.ticket')$$);
RESET ROLE;
SET ROLE regress_ann;
SELECT array_agg(id ORDER BY id) FROM desk.ticket;
SELECT array_agg(t ORDER BY t) FROM deskguard.visible_tickets(2) AS t;
RESET ROLE;
SELECT test.reset();

-- A renamed policy goes with the others, or cannot be renamed.
SET ROLE regress_owner;
SELECT left(test.attempt('ALTER POLICY deskguard_view ON desk.ticket RENAME TO hidden'), 0) AS renamed_or_refused;
SELECT deskguard.unprotect('desk.ticket');
SELECT * FROM test.protection('desk.ticket');
RESET ROLE;
SELECT test.reset();

-- The whole extension: not without CASCADE, and then the tables are closed, not open.
SELECT test.attempt_only('DROP EXTENSION deskguard');
SELECT test.attempt_only('DROP FUNCTION deskguard_internal.silo_ok');
SELECT test.attempt_only('DROP SCHEMA deskguard CASCADE');
BEGIN;
DROP EXTENSION deskguard CASCADE;
SELECT count(*) AS permissive, bool_and(relrowsecurity AND relforcerowsecurity) AS closed
FROM pg_class LEFT JOIN pg_policy ON polrelid = pg_class.oid AND polpermissive
WHERE pg_class.oid IN ('desk.ticket'::regclass, 'desk.ticket_follower'::regclass) AND polrelid IS NULL;
SET ROLE regress_ann;
SELECT count(*) FROM desk.ticket;
SELECT count(*) FROM desk.ticket_follower;
SELECT test.attempt('INSERT INTO desk.ticket (subject) VALUES (1)');
SELECT test.attempt('UPDATE desk.ticket SET subject = 1');
SELECT test.attempt('DELETE FROM desk.ticket');
RESET ROLE;
SET ROLE regress_owner;
SELECT count(*) AS of_the_owner FROM desk.ticket;
RESET ROLE;
-- And can be protected again.
SET client_min_messages = error;
CREATE EXTENSION deskguard;
SET client_min_messages = warning;
GRANT EXECUTE ON FUNCTION deskguard.protect_tickets TO regress_owner;
SET ROLE regress_owner;
SELECT deskguard.protect_tickets('desk.ticket', department_column => 'department_id', follower_table => 'desk.ticket_follower');
SELECT count(*) FROM test.protection('desk.ticket_follower');
RESET ROLE;
ROLLBACK;
SELECT test.mapping();
SET ROLE regress_ann;
SELECT array_agg(id ORDER BY id) FROM desk.ticket;
RESET ROLE;
DROP FUNCTION test.mapping();
