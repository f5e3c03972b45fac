-- A table with many partitions is protected by one pass over them, and costs others nothing.
SELECT test.reset();
SET client_min_messages = warning;
CREATE SCHEMA ours AUTHORIZATION regress_owner;
GRANT USAGE ON SCHEMA ours TO PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE regress_owner IN SCHEMA ours GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO PUBLIC;
SET ROLE regress_owner;
CREATE TABLE ours.ticket (id int, dep int, PRIMARY KEY (id, dep)) PARTITION BY LIST (dep);
DO $$ BEGIN
    FOR dep IN 1..300 LOOP EXECUTE format('CREATE TABLE ours.ticket_%s PARTITION OF ours.ticket FOR VALUES IN (%1$s)', dep); END LOOP;
END $$;
SELECT deskguard.protect_tickets('ours.ticket', department_column => 'dep');
RESET ROLE;

-- How many tables are whole, by how many commands they came into the registry, and how many policies they have.
CREATE VIEW test.parts AS
SELECT count(*) AS tables, count(DISTINCT p.cmin::text) AS commands, count(*) FILTER (WHERE deskguard_internal.base_ok(p.table_id)) AS whole,
    (SELECT count(*) FROM pg_policy WHERE polrelid::regclass::text LIKE 'ours.%') AS policies,
    (SELECT count(*) FROM pg_trigger WHERE tgrelid::regclass::text LIKE 'ours.%' AND tgname LIKE 'deskguard%') AS triggers
FROM deskguard_internal.protected_table AS p WHERE p.root = 'ours.ticket'::regclass;
SELECT * FROM test.parts;
INSERT INTO ours.ticket SELECT dep, dep FROM generate_series(1, 300) AS dep;
SET ROLE regress_ann;
SELECT array_agg(id ORDER BY id) AS ticket FROM ours.ticket;
SELECT count(*) FROM ours.ticket_200;
RESET ROLE;

-- Again, and by nobody's but the owner's command.
SET ROLE regress_owner;
SELECT deskguard.protect_tickets('ours.ticket', department_column => 'dep');
CREATE TABLE ours.ticket_301 PARTITION OF ours.ticket FOR VALUES IN (301);
CREATE TABLE ours.ticket_302 (LIKE ours.ticket INCLUDING ALL);
ALTER TABLE ours.ticket ATTACH PARTITION ours.ticket_302 FOR VALUES IN (302);
RESET ROLE;
SELECT tables, whole, policies, triggers FROM test.parts;

-- What others do to tables that have nothing to do with it locks nothing of deskguard against anybody; to temporary ones, nothing at all.
CREATE VIEW test.locks AS
SELECT c.oid::regclass, l.mode FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation
WHERE l.pid = pg_backend_pid() AND c.relnamespace IN ('deskguard'::regnamespace, 'deskguard_internal'::regnamespace);
BEGIN;
CREATE TEMP TABLE passing (id int PRIMARY KEY);
ALTER TABLE passing ADD name text;
CREATE TEMP TABLE made AS SELECT 1 AS id;
SELECT 1 AS id INTO TEMP selected;
DROP TABLE passing, made, selected;
SELECT * FROM test.locks;
ROLLBACK;
BEGIN;
CREATE TABLE test.lasting (id int PRIMARY KEY);
ALTER TABLE test.lasting ADD name text;
CREATE TABLE test.made AS SELECT 1 AS id;
DROP TABLE test.lasting, test.made;
SELECT * FROM test.locks WHERE mode <> 'AccessShareLock';
ROLLBACK;

SET ROLE regress_owner;
SELECT deskguard.unprotect('ours.ticket');
RESET ROLE;
SELECT tables, policies, triggers FROM test.parts;
DROP VIEW test.parts, test.locks;
DROP SCHEMA ours CASCADE;

-- Nothing of it where nothing can be written.
BEGIN READ ONLY;
SELECT command, test.attempt(command) FROM unnest(ARRAY[
    $$SELECT deskguard.protect_tickets('desk.ticket', department_column => 'department_id')$$,
    $$SELECT deskguard.protect_messages('desk.ticket', 'desk.ticket')$$,
    $$SELECT deskguard.protect_shared('desk.ticket')$$,
    $$SELECT deskguard.protect_feature('desk.ticket', 'ticket.use')$$,
    $$SELECT deskguard.unprotect('desk.ticket')$$,
    $$SELECT deskguard.share('desk.ticket', 1, everyone => true)$$,
    $$SELECT deskguard.unshare('desk.ticket', 1, everyone => true)$$]) AS command;
ROLLBACK;
