-- What is missing, copied, renamed or switched off closes a table, and is never a way to open it.
SELECT test.reset();
SET client_min_messages = warning;
SET search_path = pg_catalog, public;
INSERT INTO desk.ticket_follower VALUES (1, 2);
CREATE FUNCTION test.seen(what text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    rows text;
BEGIN
    EXECUTE format('SELECT count(*) FROM %s', what) INTO rows;
    RETURN rows;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ': ' || SQLERRM;
END $$;
-- What Ann sees after a change that a superuser makes while the event triggers sleep.
CREATE FUNCTION test.after(change text, what text DEFAULT 'desk.ticket') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    outcome text;
BEGIN
    ALTER EVENT TRIGGER deskguard_after_ddl DISABLE;
    ALTER EVENT TRIGGER deskguard_after_drop DISABLE;
    EXECUTE change;
    SET LOCAL ROLE regress_ann;
    outcome := test.seen(what);
    RESET ROLE;
    RAISE EXCEPTION USING ERRCODE = 'YY000';
EXCEPTION WHEN SQLSTATE 'YY000' THEN
    RETURN outcome;
END $$;
SELECT test.after('SELECT 1') AS whole;
SELECT change, test.after(change) AS seen
FROM unnest(ARRAY[
    'DROP POLICY deskguard_view ON desk.ticket',
    'DROP POLICY deskguard_silo ON desk.ticket',
    'DROP POLICY deskguard_modify ON desk.ticket',
    'DROP POLICY deskguard_base ON desk.ticket',
    'ALTER POLICY deskguard_view ON desk.ticket USING (true)',
    'ALTER POLICY deskguard_view ON desk.ticket USING (deskguard_internal.view_ok(''desk.ticket'', id, NULL, NULL, NULL, NULL, NULL, NULL, false))',
    'ALTER POLICY deskguard_view ON desk.ticket USING (deskguard_internal.view_ok(''desk.ticket'', id, department_id, category_id, assignee_id, team_id, NULL, NULL, false) OR true)',
    'ALTER POLICY deskguard_modify ON desk.ticket WITH CHECK (true)',
    'ALTER POLICY deskguard_view ON desk.ticket TO regress_other',
    'ALTER POLICY deskguard_view ON desk.ticket RENAME TO mine',
    'ALTER TABLE desk.ticket DISABLE TRIGGER deskguard_update',
    'DROP TRIGGER deskguard_update ON desk.ticket',
    'ALTER TABLE desk.ticket RENAME department_id TO dep',
    'ALTER TABLE desk.ticket RENAME department_id TO dep; ALTER TABLE desk.ticket ADD department_id int']) AS change;
-- Where the owner has policies that open the table, too, nobody is let in.
SELECT change, test.after('CREATE POLICY mine ON desk.ticket USING (true); ' || change) AS seen
FROM unnest(ARRAY[
    'SELECT 1',
    'DROP POLICY deskguard_silo ON desk.ticket',
    'ALTER TABLE desk.ticket DISABLE ROW LEVEL SECURITY',
    'ALTER TABLE desk.ticket NO FORCE ROW LEVEL SECURITY']) AS change;
SELECT change, test.after(change, 'desk.ticket_follower') AS followers_seen
FROM unnest(ARRAY['SELECT 1', 'DROP POLICY deskguard_silo ON desk.ticket', 'DROP POLICY deskguard_view ON desk.ticket_follower',
    'ALTER TABLE desk.ticket RENAME department_id TO dep', 'ALTER TABLE desk.ticket_follower RENAME ticket_id TO ticket']) AS change;
SELECT test.after('ALTER TABLE desk.ticket RENAME department_id TO dep', 'deskguard.visible_tickets(2)');
BEGIN;
ALTER EVENT TRIGGER deskguard_after_ddl DISABLE;
ALTER TABLE desk.ticket NO FORCE ROW LEVEL SECURITY;
SET LOCAL ROLE regress_owner;
SELECT test.seen('desk.ticket') AS seen_by_the_owner;
RESET ROLE;
ROLLBACK;

-- A plan that was made before is not used after.
BEGIN;
ALTER EVENT TRIGGER deskguard_after_drop DISABLE;
PREPARE tickets AS SELECT count(*) FROM desk.ticket;
SET LOCAL ROLE regress_ann;
EXECUTE tickets;
RESET ROLE;
DROP POLICY deskguard_modify ON desk.ticket;
SET LOCAL ROLE regress_ann;
EXECUTE tickets;
RESET ROLE;
ROLLBACK;
BEGIN;
SET LOCAL ROLE regress_ann;
EXECUTE tickets;
RESET ROLE;
ALTER TABLE deskguard_internal.protected_feature DISABLE TRIGGER guard_registry;
INSERT INTO deskguard_internal.protected_feature VALUES ('desk.ticket', 'SELECT', 'ticket.use');
SET LOCAL ROLE regress_ann;
EXECUTE tickets;
RESET ROLE;
ROLLBACK;
DEALLOCATE tickets;

-- Policies that were copied to another table.
BEGIN;
SET LOCAL ROLE regress_owner;
CREATE TABLE desk.copy AS TABLE desk.ticket WITH NO DATA;
ALTER TABLE desk.copy ENABLE ROW LEVEL SECURITY;
GRANT ALL ON desk.copy TO PUBLIC;
RESET ROLE;
INSERT INTO desk.copy SELECT * FROM desk.ticket;
CREATE POLICY deskguard_base ON desk.copy USING (deskguard_internal.base_ok('desk.ticket'::regclass));
SET LOCAL ROLE regress_ann;
SELECT test.seen('desk.copy') AS copy, test.seen('desk.ticket') AS original;
SELECT test.seen('desk.copy, desk.ticket') AS joined, test.seen('(TABLE desk.copy UNION ALL TABLE desk.ticket) AS both_of_them') AS both_of_them;
SELECT test.attempt_only('INSERT INTO desk.copy (subject) VALUES (1)');
SELECT test.attempt_only('UPDATE desk.copy SET subject = 1');
SELECT deskguard_internal.base_ok('desk.ticket'), deskguard_internal.base_ok('desk.copy'), deskguard_internal.base_ok(NULL), deskguard_internal.base_ok(0);
RESET ROLE;
ALTER POLICY deskguard_base ON desk.copy USING (subject IS NULL OR deskguard_internal.base_ok('desk.ticket'::regclass));
SET LOCAL ROLE regress_ann;
SELECT test.seen('desk.copy') AS copy;
RESET ROLE;
ROLLBACK;

-- Row-level security stays, and the registry is not for hands.
SET ROLE regress_owner;
SELECT command, test.attempt_only(command)
FROM unnest(ARRAY[
    'ALTER TABLE desk.ticket DISABLE ROW LEVEL SECURITY',
    'ALTER TABLE desk.ticket ADD COLUMN more int, NO FORCE ROW LEVEL SECURITY',
    'ALTER TABLE desk.ticket ENABLE ROW LEVEL SECURITY']) AS command;
RESET ROLE;
SELECT command, test.attempt_only(command)
FROM unnest(ARRAY[
    'UPDATE deskguard_internal.ticket_table SET category_column = NULL',
    'DELETE FROM deskguard_internal.ticket_table',
    'DELETE FROM deskguard_internal.protected_table',
    'TRUNCATE deskguard_internal.protected_table CASCADE',
    'TRUNCATE deskguard_internal.ticket_table',
    'TRUNCATE deskguard_internal.message_table',
    'TRUNCATE deskguard_internal.shared_table',
    'TRUNCATE deskguard_internal.protected_feature']) AS command;

-- Also after an error on the way of one of the functions.
BEGIN;
SET LOCAL ROLE regress_owner;
SELECT deskguard.unprotect('desk.ticket');
CREATE POLICY deskguard_view ON desk.ticket USING (true);
SELECT test.attempt($$SELECT deskguard.protect_tickets('desk.ticket', department_column => 'department_id')$$);
DROP POLICY deskguard_view ON desk.ticket;
SELECT deskguard.protect_tickets('desk.ticket', department_column => 'department_id');
SELECT test.attempt_only('ALTER TABLE desk.ticket DISABLE ROW LEVEL SECURITY');
RESET ROLE;
SELECT test.attempt_only('DELETE FROM deskguard_internal.protected_table');
ROLLBACK;

-- Whatever command renames, and whatever it takes the table for.
CREATE FUNCTION test.named(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    named text;
BEGIN
    EXECUTE command;
    SELECT concat_ws(' ', table_id, department_column, category_column, follower_ticket_column) INTO named
    FROM deskguard.protected_table WHERE kind = 'tickets';
    SET LOCAL ROLE regress_ann;
    named := concat_ws(', ', named, (SELECT count(*) FROM desk.ticket_follower), (SELECT count(*) FROM deskguard.visible_tickets(2)));
    RESET ROLE;
    RAISE EXCEPTION USING ERRCODE = 'YY000';
EXCEPTION WHEN SQLSTATE 'YY000' THEN
    RETURN named;
END $$;
SELECT command, test.named(command)
FROM unnest(ARRAY[
    'SELECT 1',
    'ALTER INDEX desk.ticket RENAME TO tk',
    'ALTER VIEW desk.ticket RENAME COLUMN department_id TO dep',
    'ALTER MATERIALIZED VIEW desk.ticket RENAME COLUMN category_id TO cat',
    'ALTER FOREIGN TABLE desk.ticket_follower RENAME COLUMN ticket_id TO of',
    'ALTER VIEW desk.ticket RENAME COLUMN department_id TO dep; ALTER TABLE desk.ticket ADD COLUMN department_id int']) AS command;
BEGIN;
SET LOCAL ROLE regress_owner;
CREATE TYPE desk.kind_of_ticket AS (id int, dep int);
CREATE TABLE desk.typed OF desk.kind_of_ticket (PRIMARY KEY (id));
SELECT deskguard.protect_tickets('desk.typed', department_column => 'dep');
ALTER TYPE desk.kind_of_ticket RENAME ATTRIBUTE dep TO department CASCADE;
RESET ROLE;
SELECT department_column, deskguard_internal.base_ok(table_id) FROM deskguard.protected_table WHERE table_id = 'desk.typed'::regclass;
ROLLBACK;

-- Another table in the place of a protected one.
BEGIN;
SET LOCAL ROLE regress_owner;
CREATE TABLE desk.copy AS TABLE desk.ticket WITH NO DATA;
ALTER TABLE desk.ticket RENAME TO ticket_2025;
ALTER TABLE desk.copy RENAME TO ticket;
ALTER TABLE desk.ticket RENAME TO copy;
ALTER TABLE desk.ticket_2025 RENAME TO ticket;
ALTER TABLE desk.ticket RENAME TO ticket_2025;
ALTER TABLE desk.ticket_2025 RENAME TO ticket;
ALTER TABLE desk.copy ADD COLUMN more int;
ROLLBACK;
BEGIN;
CREATE SCHEMA away;
ALTER TABLE desk.ticket SET SCHEMA away;
CREATE TABLE desk.ticket (id int);
ROLLBACK;
BEGIN;
CREATE SCHEMA desk_new CREATE TABLE ticket (id int) CREATE TABLE other (id int);
ALTER SCHEMA desk RENAME TO desk_old;
ALTER SCHEMA desk_new RENAME TO desk;
ROLLBACK;

-- With another search_path deskguard still knows what is its own.
BEGIN;
SET LOCAL ROLE regress_owner;
SET LOCAL search_path = deskguard, desk, public;
SELECT protect_tickets('ticket', department_column => 'department_id', drop_rules => true);
SELECT unprotect('ticket');
RESET search_path;
SELECT polname FROM pg_policy WHERE polrelid IN ('desk.ticket'::regclass, 'desk.ticket_follower'::regclass);
RESET ROLE;
ROLLBACK;

-- To forget a column is not to end a rule.
SET ROLE regress_owner;
SELECT deskguard.protect_tickets('desk.ticket', department_column => 'department_id', assignee_column => 'assignee_id', team_column => 'team_id',
    follower_table => 'desk.ticket_follower');
SELECT test.attempt_only($$SELECT deskguard.protect_tickets('desk.ticket', department_column => 'department_id', category_column => 'category_id',
    assignee_column => 'assignee_id', team_column => 'team_id', follower_table => 'desk.ticket_follower')$$) AS same;
RESET ROLE;

-- Partitions and children that came while the event triggers slept, and tables above protected ones.
CREATE SCHEMA ours AUTHORIZATION regress_owner;
GRANT USAGE ON SCHEMA ours TO PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE regress_owner IN SCHEMA ours GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO PUBLIC;
SET ROLE regress_owner;
CREATE TABLE ours.ticket (id int, dep int) PARTITION BY LIST (dep);
CREATE TABLE ours.part_1 PARTITION OF ours.ticket FOR VALUES IN (1);
CREATE TABLE ours.part_4 PARTITION OF ours.ticket FOR VALUES IN (4);
SELECT deskguard.protect_tickets('ours.ticket', department_column => 'dep');
SELECT test.attempt_only('ALTER TABLE ours.part_1 DISABLE ROW LEVEL SECURITY');
RESET ROLE;
BEGIN;
ALTER EVENT TRIGGER deskguard_after_ddl DISABLE;
SET LOCAL ROLE regress_owner;
CREATE TABLE ours.part_5 PARTITION OF ours.ticket FOR VALUES IN (5) PARTITION BY RANGE (id);
CREATE TABLE ours.part_5a PARTITION OF ours.part_5 DEFAULT;
RESET ROLE;
INSERT INTO ours.ticket VALUES (1, 1), (4, 4), (5, 5);
GRANT pg_read_server_files TO regress_ann;
SET LOCAL ROLE regress_ann;
SELECT of, test.seen(of) FROM unnest(ARRAY['ours.ticket', 'ours.part_1', 'ours.part_4', 'ours.part_5', 'ours.part_5a']) AS of;
SELECT command, test.attempt_only(command)
FROM unnest(ARRAY['INSERT INTO ours.part_5a VALUES (6, 5)', 'UPDATE ours.part_5a SET id = 6', 'DELETE FROM ours.part_5']) AS command;
SAVEPOINT s;
COPY ours.part_5a TO STDOUT;
ROLLBACK TO s;
COPY ours.part_5a FROM '/dev/null';
ROLLBACK TO s;
RESET ROLE;
SELECT test.seen('ours.part_5a') AS seen_by_a_superuser;
SET LOCAL ROLE regress_owner;
SELECT test.seen('ours.part_5a') AS seen_by_the_owner;
-- To protect again protects it.
SELECT deskguard.protect_tickets('ours.ticket', department_column => 'dep');
RESET ROLE;
SET LOCAL ROLE regress_ann;
SELECT of, test.seen(of) FROM unnest(ARRAY['ours.ticket', 'ours.part_5', 'ours.part_5a']) AS of;
RESET ROLE;
ROLLBACK;
-- A change of other tables is none of this: only who touches it is told.
BEGIN;
SET LOCAL ROLE regress_owner;
CREATE TABLE ours.above (id int, dep int);
CREATE TABLE ours.below (id int, dep int);
SELECT deskguard.protect_tickets('ours.below', department_column => 'dep');
RESET ROLE;
ALTER EVENT TRIGGER deskguard_after_ddl DISABLE;
ALTER TABLE ours.below INHERIT ours.above;
ALTER EVENT TRIGGER deskguard_after_ddl ENABLE ALWAYS;
SET LOCAL ROLE regress_owner;
CREATE TABLE ours.nothing_of_this (id int);
SELECT test.attempt_only('ALTER TABLE ours.below ADD COLUMN more int');
SELECT test.attempt_only('ALTER TABLE ours.above ADD COLUMN more int');
RESET ROLE;
SET LOCAL ROLE regress_ann;
SELECT of, test.seen(of) FROM unnest(ARRAY['ours.above', 'ONLY ours.above', 'ours.below', 'ours.nothing_of_this']) AS of;
RESET ROLE;
ROLLBACK;
BEGIN;
SELECT of, test.attempt('ALTER TABLE ours.part_4 ' || of) FROM unnest(ARRAY['DISABLE TRIGGER ALL', 'ENABLE TRIGGER ALL']) AS of;
ROLLBACK;

-- Triggers that are switched off with all others, and on again.
CREATE TABLE ours.filter (id int PRIMARY KEY);
SELECT deskguard.protect_shared('ours.filter');
CREATE FUNCTION test.triggers(of regclass) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT concat_ws(' ', tgname, tgenabled) FROM pg_trigger WHERE tgrelid = of AND NOT tgisinternal ORDER BY tgname
$$;
ALTER TABLE ours.filter DISABLE TRIGGER ALL;
SELECT test.triggers('ours.filter');
ALTER TABLE ours.filter ENABLE TRIGGER USER;
SELECT test.triggers('ours.filter');
ALTER TABLE desk.ticket DISABLE TRIGGER USER;
SELECT test.triggers('desk.ticket');
BEGIN;
ALTER TABLE deskguard.group_member DISABLE TRIGGER ALL;
SELECT test.triggers('deskguard.group_member');
SET LOCAL ROLE regress_ann;
SELECT count(*) FROM desk.ticket;
RESET ROLE;
DELETE FROM deskguard.group_member;
SET LOCAL ROLE regress_ann;
SELECT count(*) FROM desk.ticket;
RESET ROLE;
ALTER TABLE deskguard.group_member ENABLE TRIGGER ALL;
SELECT test.triggers('deskguard.group_member');
ROLLBACK;

-- What hangs on messages is dropped: they ask for more than they need to, and stay as they are.
BEGIN;
SET LOCAL ROLE regress_owner;
CREATE TABLE desk.message (id int PRIMARY KEY, ticket_id int);
CREATE TABLE desk.attachment (id int PRIMARY KEY, message_id int);
SELECT deskguard.protect_messages('desk.message', 'desk.ticket');
SELECT deskguard.protect_messages('desk.attachment', 'desk.message', 'message_id');
SELECT deskguard_internal.base_ok('desk.message') AS message, deskguard_internal.base_ok('desk.attachment') AS attachment;
DROP TABLE desk.attachment;
SELECT deskguard_internal.base_ok('desk.message') AS message;
RESET ROLE;
ROLLBACK;

-- Foreign keys that the owner adds, validates or attaches are checked against all rows.
SET ROLE regress_owner;
CREATE TABLE desk.message (id int PRIMARY KEY, ticket_id int);
CREATE TABLE desk.log (ticket_id int REFERENCES desk.ticket, at int) PARTITION BY RANGE (at);
CREATE TABLE desk.log_1 (LIKE desk.log);
RESET ROLE;
INSERT INTO desk.message VALUES (1, 1), (2, 3);
INSERT INTO desk.log_1 VALUES (1, 1), (3, 1);
SET ROLE regress_owner;
SELECT command, test.attempt_only(command)
FROM unnest(ARRAY[
    'ALTER TABLE desk.message ADD FOREIGN KEY (ticket_id) REFERENCES desk.ticket',
    'ALTER TABLE desk.message ADD CONSTRAINT f FOREIGN KEY (ticket_id) REFERENCES desk.ticket NOT VALID; ALTER TABLE desk.message VALIDATE CONSTRAINT f',
    'ALTER TABLE desk.log ATTACH PARTITION desk.log_1 FOR VALUES FROM (1) TO (2)']) AS command;
SELECT deskguard.protect_messages('desk.message', 'desk.ticket');
SELECT deskguard.protect_messages('desk.log', 'desk.ticket');
RESET ROLE;
INSERT INTO desk.message VALUES (3, 999);
INSERT INTO desk.log_1 VALUES (999, 1);
SET ROLE regress_owner;
SELECT command, test.attempt_only(command)
FROM unnest(ARRAY[
    'ALTER TABLE desk.message ADD CONSTRAINT f FOREIGN KEY (ticket_id) REFERENCES desk.ticket',
    'ALTER TABLE desk.message ADD CONSTRAINT f FOREIGN KEY (ticket_id) REFERENCES desk.ticket NOT VALID; ALTER TABLE desk.message VALIDATE CONSTRAINT f',
    'ALTER TABLE desk.log ATTACH PARTITION desk.log_1 FOR VALUES FROM (1) TO (2)']) AS command;
SELECT command, test.attempt_only(command)
FROM unnest(ARRAY[
    'ALTER TABLE desk.message ADD CHECK (id > 0), ADD CONSTRAINT f FOREIGN KEY (ticket_id) REFERENCES desk.ticket',
    'ALTER TABLE desk.message ADD CHECK (id > 0), ADD COLUMN other int REFERENCES desk.ticket',
    'ALTER TABLE desk.message ADD COLUMN other int DEFAULT 999 REFERENCES desk.ticket',
    'ALTER TABLE desk.message ADD COLUMN other int DEFAULT 999',
    'ALTER TABLE desk.message ADD COLUMN other serial REFERENCES desk.ticket',
    'CREATE TABLE desk.plain (id int PRIMARY KEY); ALTER TABLE desk.plain ADD COLUMN other serial REFERENCES desk.plain']) AS command;
-- Nothing of that is left switched off, also after an error.
SELECT count(*) AS owner_is_nobody FROM desk.ticket;
RESET ROLE;

-- An expression of the command does not see more than before.
SET ROLE regress_owner;
CREATE FUNCTION ours.rows_seen(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RAISE NOTICE 'sees %', (SELECT count(*) FROM desk.ticket);
    RETURN true;
END $$;
CREATE TABLE ours.one (id int);
INSERT INTO ours.one VALUES (1);
CREATE TABLE ours.parted (id int REFERENCES desk.ticket, at int) PARTITION BY LIST ((ours.rows_seen(at)));
CREATE TABLE ours.plain (id int REFERENCES desk.ticket, at int) PARTITION BY LIST ((at % 2));
CREATE TABLE ours.part (LIKE ours.parted);
INSERT INTO ours.part VALUES (1, 1);
SET client_min_messages = notice;
SELECT command, test.attempt_only(command)
FROM unnest(ARRAY[
    'ALTER TABLE ours.one ADD CONSTRAINT c CHECK (ours.rows_seen(id)), ADD FOREIGN KEY (id) REFERENCES desk.ticket',
    'ALTER TABLE ours.one ADD CONSTRAINT c CHECK (ours.rows_seen(id))',
    'ALTER TABLE ours.one ADD FOREIGN KEY (id) REFERENCES desk.ticket',
    'ALTER TABLE ours.parted ATTACH PARTITION ours.part FOR VALUES IN (true)',
    'ALTER TABLE ours.plain ATTACH PARTITION ours.part FOR VALUES IN (1)']) AS command;
SET client_min_messages = warning;
RESET ROLE;
DROP SCHEMA ours CASCADE;
DROP FUNCTION test.seen, test.after, test.named, test.triggers;
