-- What the extension has in its two schemas: what users call and write, and the rest.
SELECT DISTINCT p.proname FROM pg_proc AS p WHERE p.pronamespace = 'deskguard'::regnamespace ORDER BY 1;
SELECT c.relname, c.relkind FROM pg_class AS c
WHERE c.relnamespace = 'deskguard'::regnamespace AND c.relkind IN ('r', 'v', 'm', 'p', 'f', 'S') ORDER BY c.relname;
SELECT c.relname, c.relkind FROM pg_class AS c
WHERE c.relnamespace = 'deskguard_internal'::regnamespace AND c.relkind IN ('r', 'v', 'm', 'p', 'f', 'S') ORDER BY c.relname;

-- Without a comment, of all that belongs to the extension, and of the columns of its tables.
SELECT pg_describe_object(d.classid, d.objid, 0) AS without_a_comment
FROM pg_depend AS d
WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
    AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'deskguard')
    AND d.classid <> 'pg_type'::regclass
    AND obj_description(d.objid, d.classid::regclass::name) IS NULL
UNION ALL
SELECT format('column %s of %s', a.attname, c.oid::regclass)
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
WHERE c.relnamespace IN ('deskguard'::regnamespace, 'deskguard_internal'::regnamespace) AND c.relkind IN ('r', 'v')
    AND a.attnum > 0 AND NOT a.attisdropped AND col_description(c.oid, a.attnum) IS NULL
ORDER BY 1;

-- Both schemas belong to the extension: they are dropped with it, and not without it.
SELECT d.objid::regnamespace AS schema FROM pg_depend AS d
WHERE d.classid = 'pg_namespace'::regclass AND d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass
ORDER BY d.objid::regnamespace::text COLLATE "C";
SELECT command, test.attempt_only(command) FROM unnest(ARRAY[
    'DROP SCHEMA deskguard CASCADE',
    'DROP SCHEMA deskguard_internal CASCADE',
    'ALTER SCHEMA deskguard RENAME TO other',
    'ALTER SCHEMA deskguard_internal RENAME TO other',
    'ALTER EXTENSION deskguard SET SCHEMA test']) AS command;

BEGIN;
SET client_min_messages = warning;
DROP EXTENSION deskguard CASCADE;
SELECT nspname FROM pg_namespace WHERE nspname LIKE 'deskguard%';
-- What others have made is not taken over.
SELECT schema, test.attempt_only(format('DO $$ BEGIN CREATE SCHEMA %I; CREATE EXTENSION deskguard; END $$', schema))
FROM unnest(ARRAY['deskguard', 'deskguard_internal']) AS schema;
SET client_min_messages = error;
SELECT test.attempt_only('CREATE EXTENSION deskguard');
SET client_min_messages = warning;
ROLLBACK;

-- Functions that run with other rights have a fixed search_path, and nothing but the extension is in its schemas.
SELECT p.oid::regprocedure FROM pg_proc AS p
WHERE p.pronamespace IN ('deskguard'::regnamespace, 'deskguard_internal'::regnamespace) AND p.prosecdef AND p.proconfig IS NULL;
SELECT p.oid::regprocedure FROM pg_proc AS p
WHERE p.pronamespace IN ('deskguard'::regnamespace, 'deskguard_internal'::regnamespace)
    AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e');

-- A publication of all tables stops nobody from changing them: what an UPDATE or DELETE says, where it is about the publication.
BEGIN;
SET client_min_messages = error;
CREATE PUBLICATION everything FOR ALL TABLES;
SELECT command, outcome
FROM pg_class AS c,
    LATERAL (VALUES (format('UPDATE %s SET %I = %2$I', c.oid::regclass, (SELECT attname FROM pg_attribute WHERE attrelid = c.oid AND attnum = 1))),
        (format('DELETE FROM %s', c.oid::regclass))) AS x (command),
    test.attempt_only(command) AS outcome
WHERE c.relnamespace IN ('deskguard'::regnamespace, 'deskguard_internal'::regnamespace) AND c.relkind = 'r' AND c.relnatts > 0
    AND outcome ~ 'publi|replica'
ORDER BY command;
ROLLBACK;

-- Each table has an identity for that: a primary key, or whole rows.
SELECT c.oid::regclass AS without_an_identity FROM pg_class AS c
WHERE c.relnamespace IN ('deskguard'::regnamespace, 'deskguard_internal'::regnamespace) AND c.relkind = 'r' AND c.relreplident <> 'f'
    AND NOT EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = c.oid AND i.indisprimary);

-- One may leave out the built-in rows, which a subscriber has.
BEGIN;
SET LOCAL client_min_messages = error;
CREATE PUBLICATION own_rows FOR TABLE deskguard.permission WHERE (NOT builtin), deskguard.permission_group WHERE (NOT builtin);
INSERT INTO deskguard.permission (name) VALUES ('people.edit');
UPDATE deskguard.permission SET description = 'Edit people' WHERE name = 'people.edit';
UPDATE deskguard.permission_group SET category_access = 'open' WHERE id = 100;
DELETE FROM deskguard.permission WHERE NOT builtin;
DELETE FROM deskguard.permission_group WHERE NOT builtin;
ROLLBACK;
BEGIN;
SET LOCAL client_min_messages = error;
CREATE PUBLICATION everything FOR ALL TABLES;
SET LOCAL ROLE regress_owner;
CREATE TABLE desk.filter (id int PRIMARY KEY);
SELECT deskguard.protect_shared('desk.filter');
SELECT deskguard.protect_feature('desk.filter', 'report.view');
RESET ROLE;
INSERT INTO desk.filter VALUES (1), (2);
SELECT deskguard.share('desk.filter', 1, agent_id => 2), deskguard.share('desk.filter', 2, group_id => 100);
SELECT deskguard.unshare('desk.filter', 1, agent_id => 2);
SELECT deskguard.share('desk.filter', 1, agent_id => 2);
DELETE FROM desk.filter WHERE id = 1;
DELETE FROM deskguard.permission_group WHERE id = 100;
DELETE FROM deskguard.agent WHERE id = 2;
SELECT count(*) FROM deskguard.shared_visibility;
SET LOCAL ROLE regress_owner;
SELECT deskguard.unprotect('desk.filter'), deskguard.unprotect('desk.ticket');
ROLLBACK;
