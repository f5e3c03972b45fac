-- Mirrors: who may make them, whose rights they have, and what is altered and dropped below them.
SET client_min_messages = warning;
ALTER SEQUENCE deskguard_internal.mirror_id_seq RESTART;
CREATE ROLE regress_admin LOGIN;        -- may write deskguard's tables
CREATE ROLE regress_hostile LOGIN;      -- owns a help desk, and wants more
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA deskguard TO regress_admin;
GRANT CREATE ON DATABASE regression TO regress_admin, regress_hostile;
RESET client_min_messages;
CREATE FUNCTION test.agents() RETURNS SETOF text LANGUAGE sql AS $$ SELECT format('%s %s', id, name) FROM deskguard.agent WHERE id >= 100 ORDER BY id $$;

SET ROLE regress_admin;
CREATE SCHEMA hd;
GRANT USAGE ON SCHEMA hd TO PUBLIC;
CREATE TABLE hd.users (id bigint PRIMARY KEY, name text, note text);
INSERT INTO hd.users VALUES (101, 'A'), (102, 'B');
CREATE VIEW hd.agents AS SELECT id, name FROM hd.users;
GRANT SELECT ON hd.users, hd.agents TO regress_hostile;
GRANT INSERT, UPDATE, DELETE ON hd.users TO regress_other;

-- Arguments.
SELECT command, test.attempt_only(command) FROM unnest(ARRAY[
    $$SELECT deskguard.mirror(NULL, 'hd.agents')$$,
    $$SELECT deskguard.mirror('agent', NULL)$$,
    $$SELECT deskguard.mirror('agents', 'hd.agents')$$,
    $$SELECT deskguard.mirror('trusted_role', 'hd.agents')$$,
    $$SELECT deskguard.mirror('agent', 0)$$,
    $$SELECT deskguard.mirror('team_member', 'hd.agents')$$,
    $$SELECT deskguard.mirror('agent', 'pg_catalog.pg_roles')$$,
    $$SELECT deskguard.mirror('agent', 'deskguard.team')$$,
    $$CREATE VIEW hd.v AS SELECT id, name, 1 AS wrong FROM hd.users; SELECT deskguard.mirror('agent', 'hd.v')$$,
    $$CREATE VIEW hd.v AS SELECT id, name, true AS builtin FROM hd.users; SELECT deskguard.mirror('permission_group', 'hd.v')$$,
    $$CREATE VIEW hd.v AS SELECT 1 AS agent_id, 2 AS team_id, id AS agent_key FROM hd.users; SELECT deskguard.mirror('team_member', 'hd.v')$$,
    $$CREATE VIEW hd.v AS SELECT name FROM hd.users; SELECT deskguard.mirror('agent', 'hd.v')$$,
    $$CREATE VIEW hd.v AS SELECT 1 AS id, 'constant' AS name; SELECT deskguard.mirror('agent', 'hd.v')$$,
    $$CREATE VIEW hd.v AS SELECT ARRAY[id] AS id FROM hd.users; SELECT deskguard.mirror('agent', 'hd.v')$$,
    $$CREATE TEMP TABLE t (id bigint); SELECT deskguard.mirror('agent', 't')$$,
    $$CREATE MATERIALIZED VIEW hd.m AS SELECT id FROM hd.users; SELECT deskguard.mirror('agent', 'hd.m')$$,
    $$SELECT deskguard.unmirror(NULL)$$,
    $$SELECT deskguard.unmirror(999999)$$
]) AS command;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT deskguard.mirror('agent', 'hd.agents');
ROLLBACK;
BEGIN READ ONLY;
SELECT deskguard.mirror('agent', 'hd.agents');
ROLLBACK;

-- Whoever may write the target and owns all that is read.
SET ROLE regress_hostile;
SELECT test.attempt_only($$SELECT deskguard.mirror('agent', 'hd.agents')$$);
RESET ROLE;
GRANT INSERT, UPDATE, DELETE ON deskguard.agent TO regress_hostile;
SET ROLE regress_hostile;
SELECT test.attempt_only($$SELECT deskguard.mirror('agent', 'hd.agents')$$);
CREATE SCHEMA hostile;
CREATE VIEW hostile.agents AS SELECT id, name FROM hd.users;
SELECT test.attempt_only($$SELECT deskguard.mirror('agent', 'hostile.agents')$$);
RESET ROLE;
REVOKE INSERT, UPDATE, DELETE ON deskguard.agent FROM regress_hostile;
SET ROLE regress_admin;
SELECT deskguard.mirror('agent', 'hd.agents') AS agents \gset
SELECT * FROM deskguard.mirror WHERE mirror <> :agents;
RESET ROLE;
SET ROLE regress_hostile;
SELECT test.attempt_only(format('SELECT deskguard.unmirror(%s)', :agents));

-- What somebody without any rights on deskguard changes is mirrored.
SET ROLE regress_other;
INSERT INTO hd.users VALUES (103, 'C');
RESET ROLE;
SELECT test.agents();
-- A trigger of somebody else's on another table refreshes nothing, nor does one in another form.
SELECT last_refresh AS before FROM deskguard.mirror WHERE mirror = :agents \gset
SET ROLE regress_hostile;
CREATE TABLE hostile.t (id bigint);
SELECT format('CREATE TRIGGER t AFTER INSERT ON hostile.t FOR EACH ROW EXECUTE FUNCTION deskguard_internal.mirror_changed(%L)', :agents) \gexec
CREATE TRIGGER u AFTER UPDATE ON hostile.t FOR EACH ROW EXECUTE FUNCTION deskguard_internal.mirror_changed();
CREATE TRIGGER v AFTER DELETE ON hostile.t FOR EACH ROW EXECUTE FUNCTION deskguard_internal.mirror_changed('no number');
CREATE TRIGGER w BEFORE INSERT ON hostile.t FOR EACH STATEMENT EXECUTE FUNCTION deskguard_internal.mirror_changed('1');
SELECT test.attempt('INSERT INTO hostile.t VALUES (1)');
DROP TRIGGER w ON hostile.t;
INSERT INTO hostile.t VALUES (1);
UPDATE hostile.t SET id = 2;
DELETE FROM hostile.t;
SELECT test.attempt_only('CREATE TRIGGER g BEFORE DELETE ON hostile.t FOR EACH ROW EXECUTE FUNCTION deskguard_internal.guard_mirrored()');
RESET ROLE;
SELECT last_refresh = :'before' AS is_not_refreshed FROM deskguard.mirror WHERE mirror = :agents;

-- The source of somebody hostile, that a superuser mirrors: it runs with that one's rights, whoever changes a row.
SET ROLE regress_hostile;
CREATE TABLE hostile.log (what text, as_whom name, search_path text, row_security text, agent bigint);
CREATE FUNCTION hostile.spy(n bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    outcome text;
    command text;
BEGIN
    FOREACH command IN ARRAY ARRAY[
        'RESET ROLE', 'SET SESSION AUTHORIZATION regress_admin', 'CREATE TEMP TABLE x ()', 'INSERT INTO deskguard.agent VALUES (666, ''hostile'')',
        'UPDATE deskguard.agent SET active = false', 'DELETE FROM deskguard_internal.mirrored_row'] LOOP
        BEGIN
            EXECUTE command;
            outcome := 'done';
        EXCEPTION WHEN OTHERS THEN
            outcome := SQLSTATE;
        END;
        RAISE NOTICE '%: %', command, outcome;
    END LOOP;
    RAISE NOTICE 'as %, search_path %, row_security %, agent %', current_user, current_setting('search_path'),
        current_setting('row_security'), deskguard.current_agent();
    PERFORM set_config('search_path', 'hostile', false);
    RETURN n;
END $$;
CREATE OPERATOR hostile.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = pg_catalog.int8ne);
CREATE TABLE hostile.users (id bigint, name text);
INSERT INTO hostile.users VALUES (201, 'H');
CREATE VIEW hostile.spied AS SELECT hostile.spy(id) AS id, name FROM hostile.users;
GRANT USAGE ON SCHEMA hostile TO PUBLIC;
GRANT INSERT ON hostile.users TO regress_app;
RESET ROLE;
\set VERBOSITY terse
SELECT deskguard.mirror('agent', 'hostile.spied') AS spied \gset
SHOW search_path;
SELECT test.agents();
DELETE FROM hostile.users;
SET SESSION AUTHORIZATION regress_app;
SET deskguard.agent_id = 1;
SET search_path = hostile, public;
INSERT INTO hostile.users VALUES (202, 'I');
SHOW search_path;
RESET SESSION AUTHORIZATION;
RESET search_path;
RESET deskguard.agent_id;
SELECT test.agents();
SELECT deskguard.unmirror(:spied);
\set VERBOSITY default
-- Policies that would hide rows from the owner: an error rather than a part of the rows.
SET ROLE regress_admin;
ALTER TABLE hd.users ENABLE ROW LEVEL SECURITY;
ALTER TABLE hd.users FORCE ROW LEVEL SECURITY;
CREATE POLICY few ON hd.users USING (id < 103);
SET ROLE regress_hostile;
CREATE VIEW hostile.of_others AS SELECT id, name FROM hd.users;
RESET ROLE;
SELECT deskguard.mirror('agent', 'hostile.of_others');
SET ROLE regress_admin;
INSERT INTO hd.users VALUES (104, 'D');
SELECT count(*) FROM hd.users;
RESET ROLE;
SELECT test.agents();
SET ROLE regress_admin;
DROP POLICY few ON hd.users;
ALTER TABLE hd.users DISABLE ROW LEVEL SECURITY;

-- What is below is renamed, altered and dropped.
ALTER TABLE hd.users RENAME COLUMN name TO label;
ALTER TABLE hd.users RENAME TO people;
ALTER VIEW hd.agents RENAME TO staff;
ALTER SCHEMA hd RENAME TO desk_of_admin;
UPDATE desk_of_admin.people SET label = 'Z' WHERE id = 101;
RESET ROLE;
SELECT test.agents();
SELECT mirror = :agents AS is_the_same, source FROM deskguard.mirror;
SET ROLE regress_admin;
ALTER SCHEMA desk_of_admin RENAME TO hd;
SELECT command, test.attempt_only(replace(command, '{n}', :'agents')) FROM unnest(ARRAY[
    'ALTER VIEW hd.staff RENAME COLUMN name TO label',
    'ALTER TABLE hd.people DROP COLUMN label',
    'ALTER TABLE hd.people DROP COLUMN label CASCADE',
    'ALTER TABLE hd.people DROP COLUMN note',
    'ALTER TABLE hd.people ALTER COLUMN label TYPE varchar',
    'ALTER TABLE hd.people ADD COLUMN active boolean',
    'DROP VIEW hd.staff',
    'DROP VIEW hd.staff CASCADE',
    'DROP TABLE hd.people CASCADE',
    'DROP TRIGGER deskguard_mirror_{n} ON hd.people',
    'DROP TRIGGER deskguard_mirror_{n}_truncate ON hd.people'
]) AS command;
-- A view that reads other tables is heard of from then on.
CREATE TABLE hd.others (id bigint, name text);
CREATE OR REPLACE VIEW hd.staff AS SELECT id, label AS name FROM hd.people UNION ALL SELECT id, name FROM hd.others WHERE id > 100;
INSERT INTO hd.others VALUES (1, 'too low'), (110, 'Other');
CREATE OR REPLACE VIEW hd.staff AS SELECT id, name, false AS active FROM hd.others WHERE id > 100;
RESET ROLE;
SELECT test.agents();
SELECT DISTINCT tgrelid::regclass FROM pg_trigger WHERE tgfoid = 'deskguard_internal.mirror_changed'::regproc AND tgrelid <> 'hostile.t'::regclass;
SET ROLE regress_admin;
SELECT test.attempt_only('CREATE OR REPLACE VIEW hd.staff AS SELECT id, name, false AS active, 1 AS wrong FROM hd.others WHERE id > 100');
SELECT test.attempt_only('CREATE OR REPLACE VIEW hd.staff AS SELECT id::bigint, name, false AS active FROM deskguard.agent');
-- A row as a whole, of which PostgreSQL notes no columns.
ALTER TABLE hd.others ADD COLUMN extra text;
CREATE OR REPLACE VIEW hd.staff AS SELECT id, coalesce(to_jsonb(o) ->> 'extra', name) AS name, false AS active FROM hd.others AS o WHERE id > 100;
UPDATE hd.others SET extra = 'Extra';
RESET ROLE;
SELECT test.agents();
-- Triggers that are switched off are put back.
SET ROLE regress_admin;
ALTER TABLE hd.others DISABLE TRIGGER USER;
UPDATE hd.others SET extra = 'More';
RESET ROLE;
SELECT test.agents();
SET session_replication_role = replica;
UPDATE hd.others SET extra = 'As replicated';
RESET session_replication_role;
SELECT test.agents();

-- Partitions, and children.
SET ROLE regress_admin;
CREATE TABLE hd.part (id bigint, name text) PARTITION BY RANGE (id);
CREATE TABLE hd.part_1 PARTITION OF hd.part FOR VALUES FROM (300) TO (310);
-- One that the view reads, too.
CREATE TABLE hd.part_0 PARTITION OF hd.part FOR VALUES FROM (290) TO (300);
CREATE TABLE hd.parent (id bigint, name text);
CREATE TABLE hd.child_1 (more text) INHERITS (hd.parent);
CREATE VIEW hd.parts AS
SELECT id, name FROM hd.part UNION ALL SELECT id, name FROM hd.parent UNION ALL SELECT id, name FROM hd.part_0;
SELECT deskguard.mirror('agent', 'hd.parts') AS parts \gset
RESET ROLE;
CREATE FUNCTION test.parts() RETURNS text LANGUAGE sql AS $$ SELECT string_agg(format('%s %s', id, name), ', ' ORDER BY id) FROM deskguard.agent WHERE id >= 299 $$;
SET ROLE regress_admin;
INSERT INTO hd.part VALUES (301, 'P');
INSERT INTO hd.child_1 VALUES (401, 'C');
INSERT INTO hd.part_0 VALUES (299, 'P0');
RESET ROLE;
SELECT test.parts();
SET ROLE regress_admin;
CREATE TABLE hd.part_2 PARTITION OF hd.part FOR VALUES FROM (310) TO (320);
CREATE TABLE hd.child_2 () INHERITS (hd.child_1);
INSERT INTO hd.part_2 VALUES (311, 'P2');
INSERT INTO hd.child_2 VALUES (402, 'C2');
UPDATE hd.part SET id = 302 WHERE id = 311;
RESET ROLE;
SELECT test.parts();
SET ROLE regress_admin;
ALTER TABLE hd.part DETACH PARTITION hd.part_1;
ALTER TABLE hd.child_2 NO INHERIT hd.child_1;
RESET ROLE;
SELECT test.parts();
SET ROLE regress_admin;
UPDATE hd.child_2 SET name = 'not heard of';
ALTER TABLE hd.part ATTACH PARTITION hd.part_1 FOR VALUES FROM (300) TO (310);
TRUNCATE hd.child_1;
RESET ROLE;
SELECT test.parts();
SET ROLE regress_admin;
INSERT INTO hd.part_2 VALUES (312, 'P3');
RESET ROLE;
SELECT test.parts();
SET ROLE regress_admin;
TRUNCATE hd.part_2;
RESET ROLE;
SELECT test.parts();
SET ROLE regress_admin;
DROP TABLE hd.part_2;
DROP TABLE hd.child_2;
SELECT test.attempt_only('DROP TABLE hd.part_1');
RESET ROLE;
SELECT test.parts();

-- A schema is dropped with its sources, and the rows go.
DELETE FROM deskguard.agent WHERE id = 103;
SET client_min_messages = warning;
DROP SCHEMA hd CASCADE;
RESET client_min_messages;
SELECT test.agents();
SELECT count(*) FROM deskguard.mirror;
SELECT count(*) FROM deskguard_internal.mirrored_row;

-- A table that is protected, below the view of its owner.
SET ROLE regress_admin;
CREATE SCHEMA hd;
RESET ROLE;
GRANT EXECUTE ON FUNCTION deskguard.protect_tickets, deskguard.unprotect TO regress_admin;
SET ROLE regress_admin;
CREATE TABLE hd.ticket (id bigint PRIMARY KEY, agent bigint);
INSERT INTO hd.ticket VALUES (1, 501), (2, 502);
SELECT deskguard.protect_tickets('hd.ticket', assignee_column => 'agent');
CREATE VIEW hd.assigned AS SELECT DISTINCT agent AS id FROM hd.ticket WHERE agent IS NOT NULL;
SELECT deskguard.mirror('agent', 'hd.assigned') AS assigned \gset
RESET ROLE;
SELECT test.agents();
UPDATE hd.ticket SET agent = 503 WHERE id = 2;
SELECT test.agents();
SET deskguard.agent_id = 503;
SET ROLE regress_admin;
SELECT count(*) FROM hd.ticket;
SELECT deskguard.unprotect('hd.ticket');
RESET ROLE;
RESET deskguard.agent_id;
UPDATE hd.ticket SET agent = NULL WHERE id = 2;
SELECT test.agents();

SET client_min_messages = warning;
DROP SCHEMA hd, hostile CASCADE;
DROP FUNCTION test.agents, test.parts;
DROP OWNED BY regress_admin, regress_hostile;
DROP ROLE regress_admin, regress_hostile;
SELECT test.reset();
