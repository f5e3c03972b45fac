-- While a dump is restored: what pg_dump writes and pg_restore runs begins with SET check_function_bodies = false.
SELECT test.reset();
SET client_min_messages = warning;
-- References between the tables of deskguard are checked, with all that an error has to tell,
CREATE FUNCTION test.told(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text; of_schema text; of_table text; of_constraint text;
BEGIN
    EXECUTE command;
    RAISE SQLSTATE 'YY000';
EXCEPTION WHEN SQLSTATE 'YY000' THEN
    RETURN 'done';
WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, of_schema = SCHEMA_NAME, of_table = TABLE_NAME, of_constraint = CONSTRAINT_NAME;
    RETURN concat_ws(' | ', SQLSTATE, SQLERRM, detail, of_schema, of_table, of_constraint);
END $$;
CREATE TABLE test.dangling AS SELECT * FROM unnest(ARRAY[
    'INSERT INTO deskguard.group_member VALUES (100, 99)',
    'INSERT INTO deskguard.group_member VALUES (99, 1)',
    'UPDATE deskguard.group_member SET agent_id = 99 WHERE agent_id = 2',
    'UPDATE deskguard.group_member SET valid_until = ''2100-01-01'' WHERE agent_id = 2',
    'INSERT INTO deskguard.department VALUES (90, ''x'', 91)',
    'INSERT INTO deskguard.department VALUES (90, ''x'', 91), (91, ''y'', NULL)',
    'INSERT INTO deskguard.agent_permission VALUES (2, ''ticket.fly'')',
    'INSERT INTO deskguard_internal.shared_table VALUES (''pg_class'', ''id'')']) AS command;
SELECT command, test.told(command) FROM test.dangling;
BEGIN;
INSERT INTO deskguard.shared_visibility (object_table, object_id, everyone) VALUES ('pg_class', 1, true);
SET CONSTRAINTS ALL IMMEDIATE;
ROLLBACK;
-- and while a dump is restored they are not; only for who owns the tables, which are restored in any order.
CREATE ROLE regress_rights;
GRANT USAGE ON SCHEMA test TO regress_rights;
GRANT ALL ON test.dangling, deskguard.group_member, deskguard.agent_permission, deskguard.department TO regress_rights;
BEGIN;
SET LOCAL check_function_bodies = off;
SET LOCAL ROLE regress_rights;
SELECT command, test.told(command) FROM test.dangling WHERE command !~ 'shared';
RESET ROLE;
SELECT command, test.told(command) FROM test.dangling;
INSERT INTO deskguard.shared_visibility (object_table, object_id, everyone) VALUES ('pg_class', 1, true);
SET CONSTRAINTS ALL IMMEDIATE;
INSERT INTO deskguard.group_member VALUES (100, 99);
-- Who is a member of nothing, or nobody a member of something, sees nothing by that.
DELETE FROM deskguard.group_member WHERE agent_id = 2;
INSERT INTO deskguard.group_member VALUES (98, 2);
SET LOCAL ROLE regress_ann;
SELECT count(*) FROM desk.ticket;
ROLLBACK;
-- Nor for whom a function writes that acts as the owner.
BEGIN;
SET LOCAL ROLE regress_owner;
CREATE TABLE desk.filter (id int PRIMARY KEY, owner_id int);
SELECT deskguard.protect_shared('desk.filter', owner_column => 'owner_id');
GRANT ALL ON desk.filter TO regress_ann;
RESET ROLE;
INSERT INTO desk.filter VALUES (1, 2);
SET LOCAL check_function_bodies = off;
SET LOCAL ROLE regress_ann;
SELECT test.attempt_only('SELECT deskguard.share(''desk.filter'', 1, agent_id => 999)');
SELECT test.attempt_only('SELECT deskguard.share(''desk.filter'', 1, agent_id => 4)');
ROLLBACK;
DROP OWNED BY regress_rights;
DROP ROLE regress_rights;
-- References cascade, and what is referred to stays.
BEGIN;
UPDATE deskguard.agent SET id = 22 WHERE id = 2;
SELECT array_agg(agent_id ORDER BY agent_id) FROM deskguard.group_member;
DELETE FROM deskguard.agent WHERE id = 22;
SELECT array_agg(agent_id ORDER BY agent_id) FROM deskguard.group_member;
ROLLBACK;
SELECT test.told('DELETE FROM deskguard.department WHERE id = 1');

-- PostgreSQL's own triggers for that stay off, whatever pg_restore --disable-triggers does.
SELECT tgrelid::regclass, tgfoid::regproc, tgenabled, count(*) FROM pg_trigger WHERE tgrelid = 'deskguard.group_member'::regclass GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
ALTER TABLE deskguard.group_member DISABLE TRIGGER ALL;
ALTER TABLE deskguard.group_member ENABLE TRIGGER ALL;
SELECT tgrelid::regclass, tgfoid::regproc, tgenabled, count(*) FROM pg_trigger WHERE tgrelid = 'deskguard.group_member'::regclass GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
SELECT test.told('INSERT INTO deskguard.group_member VALUES (100, 99)');

-- pg_restore --clean drops policies and triggers before their tables. Each of them closes its table.
CREATE FUNCTION test.after_drop(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    outcome text;
BEGIN
    SET LOCAL check_function_bodies = off;
    SET LOCAL ROLE regress_owner;
    EXECUTE command;
    SET LOCAL ROLE regress_ann;
    outcome := split_part(test.attempt('SELECT FROM desk.ticket'), E'\n', 1);
    outcome := concat_ws(', ', outcome, split_part(test.attempt('DELETE FROM desk.ticket'), E'\n', 1));
    RESET ROLE;
    RAISE EXCEPTION USING ERRCODE = 'YY000';
EXCEPTION WHEN SQLSTATE 'YY000' THEN
    RETURN outcome;
END $$;
SELECT test.after_drop('SELECT 1');
SELECT name, test.after_drop(format('DROP %s %I ON desk.ticket', what, name)) AS seen
FROM (SELECT what, split_part(definition, ' ', 1) AS name FROM test.protection('desk.ticket') WHERE what <> 'table') AS x;
CREATE POLICY mine ON desk.ticket USING (true);
SELECT name, test.after_drop(format('DROP %s %I ON desk.ticket', what, name)) AS seen
FROM (SELECT what, split_part(definition, ' ', 1) AS name FROM test.protection('desk.ticket') WHERE what <> 'table') AS x WHERE name <> 'mine';
DROP POLICY mine ON desk.ticket;
-- Other changes are refused as ever.
BEGIN;
SET LOCAL check_function_bodies = off;
SELECT test.attempt_only('ALTER TABLE desk.ticket DISABLE ROW LEVEL SECURITY');
SELECT test.attempt_only('ALTER POLICY deskguard_view ON desk.ticket USING (true)');
SELECT test.attempt_only('DELETE FROM deskguard_internal.protected_table');
ROLLBACK;
SELECT test.attempt_only('DROP POLICY deskguard_view ON desk.ticket');

-- The extension is dropped in the transaction that ended all protection, and nothing waits for its end.
BEGIN;
CREATE TABLE desk.filter (id int PRIMARY KEY);
SELECT deskguard.protect_shared('desk.filter');
INSERT INTO deskguard.shared_visibility (object_table, object_id, everyone) VALUES ('desk.filter', 1, true);
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;
SAVEPOINT s;
DROP TABLE desk.filter;
SELECT deskguard.unprotect('desk.ticket');
DROP EXTENSION deskguard;
ROLLBACK TO s;
SELECT deskguard.unprotect('desk.filter'), deskguard.unprotect('desk.ticket');
DROP EXTENSION deskguard;
ROLLBACK;
