-- Polymorphic tables: only rows of some types belong to tickets. Those of others are hidden, or left to policies of the owner's own.
-- Ann sees 1, 4, 5, 6, 7, 12; may reply to 1, 4, 5, 12 and edit the messages of 4, 5, 12.
SELECT test.reset();
BEGIN;
SET client_min_messages = warning;
INSERT INTO deskguard.agent_permission VALUES (2, 'ticket.edit_messages.own');
CREATE SCHEMA types AUTHORIZATION regress_owner;
GRANT USAGE ON SCHEMA types TO PUBLIC;
SET ROLE regress_owner;
CREATE TABLE types.note (id int PRIMARY KEY, about_type varchar(20), about int, author int, private boolean, at date, body text);
CREATE INDEX ON types.note (about_type, about);
CREATE TABLE types.file (id int PRIMARY KEY, of text, note int);
GRANT ALL ON ALL TABLES IN SCHEMA types TO PUBLIC;
INSERT INTO types.note (id, about_type, about, author, private) VALUES
    (1, 'Ticket', 1, 2, false), (2, 'Page', 1, 2, false), (3, NULL, 1, 2, false), (4, 'Ticket', 4, 2, false), (5, 'Page', 4, 2, false),
    (6, 'Issue', 4, 5, true), (7, 'Page', 4, 2, true), (8, 'Ticket', 2, 2, false), (9, 'Page', 2, 2, false), (10, 'Ticket', NULL, 2, false), (11, 'Page', 99, 2, false);
INSERT INTO types.file SELECT n, CASE WHEN n <= 11 THEN 'note' ELSE 'page' END, (n - 1) % 11 + 1 FROM generate_series(1, 22) AS n;

-- What is refused, and why.
SELECT c AS given, test.attempt_only(format('SELECT deskguard.protect_messages(''types.note'', ''desk.ticket'', ''about'', %s)', c)) FROM unnest(ARRAY[
    'type_column => ''about_type''', 'type_values => ''{Ticket}''', 'type_column => ''about_type'', type_values => ''{}''',
    'type_column => ''about_type'', type_values => ''{NULL}''', 'type_column => ''absent'', type_values => ''{Ticket}''',
    'type_column => ''at'', type_values => ''{Ticket}''', 'type_column => ''about'', type_values => ''{1}''', 'type_column => ''id'', type_values => ''{Ticket}''',
    'type_column => ''about_type'', type_values => ''{Ticket}'', other_types => ''shown''', 'other_types => ''open''', 'other_types => NULL']) AS c;

CREATE FUNCTION types.protect(others text) RETURNS void LANGUAGE sql AS $$
    SELECT deskguard.protect_messages('types.note', 'desk.ticket', 'about', author_column => 'author', internal_column => 'private',
        type_column => 'about_type', type_values => '{Ticket,Issue}', other_types => others, drop_rules => true);
    SELECT deskguard.protect_messages('types.file', 'types.note', 'note', type_column => 'of', type_values => '{note}', other_types => others, drop_rules => true);
$$;
SELECT types.protect('hidden');
SELECT * FROM test.protection('types.note');
SELECT * FROM test.protection('types.file');
RESET ROLE;
SELECT table_id, type_column, type_values, other_types, deskguard_internal.base_ok(table_id) FROM deskguard.protected_table WHERE parent_table IS NOT NULL ORDER BY 1;

-- What a command does, folded, with all lists as calls, and without folding.
CREATE FUNCTION types.tried(commands text[]) RETURNS TABLE (command text, outcome text) LANGUAGE plpgsql AS $$
DECLARE
    folding record;
    one text;
BEGIN
    FOREACH command IN ARRAY commands LOOP
        outcome := NULL;
        FOR folding IN SELECT * FROM (VALUES ('off', '300'), ('on', '0'), ('on', '300')) AS f (fold, fold_limit) LOOP
            PERFORM set_config('deskguard.fold', folding.fold, true), set_config('deskguard.fold_limit', folding.fold_limit, true);
            IF command LIKE 'SELECT %' THEN
                EXECUTE command INTO one;
            ELSE
                one := test.attempt_only(command);
            END IF;
            outcome := CASE WHEN outcome IS NULL OR outcome = one THEN one ELSE concat(outcome, ' BUT ', folding, ' ', one) END;
        END LOOP;
        RETURN NEXT;
    END LOOP;
END $$;
CREATE FUNCTION types.commands() RETURNS text[] LANGUAGE sql RETURN ARRAY[
    'SELECT array_agg(id ORDER BY id) FROM types.note',
    'SELECT array_agg(id ORDER BY id) FROM types.note WHERE about = 4',
    'SELECT array_agg(n ORDER BY n) FROM generate_series(1, 11) AS n WHERE EXISTS (SELECT FROM types.note WHERE id = n OFFSET 0)',
    'SELECT array_agg(id ORDER BY id) FROM types.file',
    'SELECT array_agg(n ORDER BY n) FROM generate_series(1, 22) AS n WHERE EXISTS (SELECT FROM types.file WHERE id = n OFFSET 0)',
    'INSERT INTO types.note (id, about_type, about, private) VALUES (20, ''Ticket'', 4, false)',
    'INSERT INTO types.note (id, about_type, about, private) VALUES (20, ''Issue'', 7, false)',
    'INSERT INTO types.note (id, about_type, about, private) VALUES (20, ''Page'', 4, false)',
    'INSERT INTO types.note (id, about_type, about, private) VALUES (20, ''Page'', 2, true)',
    'INSERT INTO types.note (id, about_type, about, private, author) VALUES (20, ''Page'', 2, true, 5)',
    'INSERT INTO types.note (id, about, private) VALUES (20, 4, false)',
    'UPDATE types.note SET body = ''x''',
    'UPDATE types.note SET body = ''x'' WHERE id = 5',
    'UPDATE types.note SET about_type = ''Page'' WHERE id = 4',
    'UPDATE types.note SET about_type = NULL WHERE id = 4',
    'UPDATE types.note SET about_type = ''Issue'' WHERE id = 4',
    'UPDATE types.note SET about_type = ''Ticket'' WHERE id = 5',
    'UPDATE types.note SET about_type = ''Ticket'' WHERE id = 9',
    'DELETE FROM types.note WHERE id IN (1, 2)',
    'DELETE FROM types.note WHERE id IN (4, 5)',
    'DELETE FROM types.note',
    'INSERT INTO types.file VALUES (30, ''note'', 4)',
    'INSERT INTO types.file VALUES (30, ''note'', 5)',
    'INSERT INTO types.file VALUES (30, ''page'', 4)',
    'UPDATE types.file SET note = 5 WHERE id = 4',
    'UPDATE types.file SET of = ''page'' WHERE id = 4',
    'DELETE FROM types.file'];
SET LOCAL ROLE regress_ann;
SELECT * FROM types.tried(types.commands());
RESET ROLE;

-- Of a row of another type nobody is told, also where a change that is refused is an error.
SET LOCAL deskguard.refused_changes = error;
SET LOCAL ROLE regress_ann;
SELECT * FROM types.tried(ARRAY[
    'UPDATE types.note SET body = ''x'' WHERE id = 1', 'UPDATE types.note SET body = ''x'' WHERE id = 2',
    'DELETE FROM types.file WHERE id = 1', 'DELETE FROM types.file WHERE id = 2', 'DELETE FROM types.file WHERE id = 12']);
RESET ROLE;
RESET deskguard.refused_changes;

-- Why.
CREATE FUNCTION types.why(command text, of regclass, old text, new text) RETURNS text LANGUAGE sql AS $$
    SELECT concat(e ->> 'allowed', ' ', e ->> 'summary') FROM deskguard.explain_command(2, command, of, old::jsonb, new::jsonb) AS e
$$;
CREATE FUNCTION types.whys() RETURNS SETOF text LANGUAGE sql AS $$
    SELECT types.why(command, of::regclass, old, new) FROM (VALUES
        ('SELECT', 'types.note', '{"id": 4}', NULL), ('SELECT', 'types.note', '{"id": 5}', NULL), ('SELECT', 'types.note', '{"id": 3}', NULL),
        ('SELECT', 'types.note', '{"about": 4, "about_type": "Page", "private": false}', NULL),
        ('INSERT', 'types.note', NULL, '{"about": 4, "about_type": "Issue", "private": false}'), ('INSERT', 'types.note', NULL, '{"about": 4, "about_type": "Page", "private": false}'),
        ('INSERT', 'types.note', NULL, '{"about": 4, "private": false}'), ('UPDATE', 'types.note', '{"id": 4}', '{"body": "x"}'),
        ('UPDATE', 'types.note', '{"id": 4}', '{"about_type": "Page"}'), ('UPDATE', 'types.note', '{"id": 5}', '{"body": "x"}'),
        ('UPDATE', 'types.note', '{"id": 5}', '{"about_type": "Ticket", "about": 4}'), ('UPDATE', 'types.note', '{"id": 5}', '{"about_type": "Ticket", "about": 2}'),
        ('SELECT', 'types.file', '{"id": 4}', NULL), ('SELECT', 'types.file', '{"id": 5}', NULL), ('SELECT', 'types.file', '{"id": 15}', NULL),
        ('INSERT', 'types.file', NULL, '{"note": 5, "of": "note"}')) AS v (command, of, old, new)
$$;
SELECT types.whys();
SELECT test.attempt('SELECT types.why(''SELECT'', ''types.note'', ''{"about": 4, "private": false}'', NULL)');
-- The policies are deskguard's, though they ask for more than its rules.
SELECT deskguard.explain_command(2, 'UPDATE', 'types.file', '{"id": 4}', '{"note": 1}')::text LIKE '%deskguard_%' AS lists_them_as_others;
SET LOCAL ROLE regress_ann;
SELECT types.whys();
RESET ROLE;

-- An id of a ticket must not be one to which messages belong already; those of other types do not.
SELECT deskguard.agent_can(1, 'view', 1);
SET LOCAL SESSION AUTHORIZATION regress_app;
SET LOCAL deskguard.agent_id = 1;
SELECT test.attempt_only('INSERT INTO desk.ticket (id, subject) OVERRIDING SYSTEM VALUE VALUES (99, ''of a page'')');
RESET SESSION AUTHORIZATION;
UPDATE types.note SET about_type = 'Ticket' WHERE id = 11;
SET LOCAL SESSION AUTHORIZATION regress_app;
SELECT test.attempt_only('INSERT INTO desk.ticket (id, subject) OVERRIDING SYSTEM VALUE VALUES (99, ''of a page'')');
RESET SESSION AUTHORIZATION;
UPDATE types.note SET about_type = 'Page' WHERE id = 11;

-- Open: others pass, if no restrictive policy of the owner's own hides them. What belongs to one belongs to no ticket.
SET LOCAL deskguard.agent_id = '';
SET LOCAL ROLE regress_owner;
SELECT types.protect('open');
SELECT * FROM test.protection('types.note');
SELECT * FROM test.protection('types.file');
RESET ROLE;
SET LOCAL ROLE regress_ann;
SELECT * FROM types.tried(types.commands());
SELECT types.whys();
RESET ROLE;
SET LOCAL ROLE regress_owner;
CREATE POLICY mine ON types.note AS RESTRICTIVE FOR SELECT USING (id <> 5);
CREATE POLICY of_files ON types.file AS RESTRICTIVE FOR SELECT USING (id <> 16);
RESET ROLE;
SET LOCAL ROLE regress_ann;
SELECT * FROM types.tried((types.commands())[:5]);
RESET ROLE;
-- A policy that has the name of one that other tables have is the owner's own.
SAVEPOINT s;
SET LOCAL ROLE regress_owner;
DROP POLICY mine ON types.note;
DROP POLICY of_files ON types.file;
CREATE POLICY deskguard_silo ON types.note AS RESTRICTIVE FOR SELECT USING (id <> 4);
RESET ROLE;
SET LOCAL ROLE regress_ann;
SELECT * FROM types.tried((types.commands())[:5]);
ROLLBACK TO s;

-- To lose the column, or that others are hidden, is said.
SET LOCAL ROLE regress_owner;
DROP POLICY mine ON types.note;
DROP POLICY of_files ON types.file;
SELECT types.protect('hidden');
SELECT test.attempt_only('SELECT deskguard.protect_messages(''types.file'', ''types.note'', ''note'')');
SELECT test.attempt_only('SELECT deskguard.protect_messages(''types.file'', ''types.note'', ''note'', type_column => ''of'', type_values => ''{note}'', other_types => ''open'')');
SELECT test.attempt_only('SELECT deskguard.protect_messages(''types.file'', ''types.note'', ''note'', type_column => ''of'', type_values => ''{note,page}'')');

-- The column: renamed, given another type, dropped.
ALTER TABLE types.note RENAME about_type TO "Type";
SELECT test.attempt_only(c) FROM unnest(ARRAY[
    'ALTER TABLE types.note DROP "Type"',
    'ALTER TABLE types.note DROP "Type" CASCADE',
    'ALTER TABLE types.note ALTER "Type" TYPE int USING 1',
    'ALTER TABLE types.note ALTER "Type" TYPE date USING NULL',
    'ALTER TABLE types.note ALTER "Type" TYPE text']) AS c;
ALTER TABLE types.note ALTER "Type" TYPE text;
RESET ROLE;
SELECT type_column, deskguard_internal.base_ok(table_id) FROM deskguard.protected_table WHERE table_id = 'types.note'::regclass;
SET LOCAL ROLE regress_ann;
SELECT array_agg(id ORDER BY id) FROM types.note;
RESET ROLE;

-- Types as numbers and enums; partitions. An index finds the rows.
SET LOCAL ROLE regress_owner;
CREATE TYPE types.kind AS ENUM ('page', 'ticket');
CREATE TABLE types.entry (id int, kind types.kind, number smallint, about int) PARTITION BY LIST (kind);
CREATE TABLE types.entry_page PARTITION OF types.entry FOR VALUES IN ('page');
CREATE TABLE types.entry_rest (number smallint, about int, id int, kind types.kind);
ALTER TABLE types.entry ATTACH PARTITION types.entry_rest DEFAULT;
GRANT ALL ON ALL TABLES IN SCHEMA types TO PUBLIC;
INSERT INTO types.entry VALUES (1, 'page', 1, 1), (2, 'ticket', 2, 1), (3, NULL, NULL, 1), (4, 'ticket', 2, 2);
SELECT test.attempt_only('SELECT deskguard.protect_messages(''types.entry'', ''desk.ticket'', ''about'', type_column => ''kind'', type_values => ''{Ticket}'')');
SELECT test.attempt_only('SELECT deskguard.protect_messages(''types.entry'', ''desk.ticket'', ''about'', type_column => ''number'', type_values => ''{2,x}'')');
SELECT deskguard.protect_messages('types.entry', 'desk.ticket', 'about', type_column => 'kind', type_values => '{ticket}');
SELECT * FROM test.protection('types.entry_rest');
RESET ROLE;
SET LOCAL ROLE regress_ann;
SELECT id FROM types.entry;
SELECT id FROM types.entry_page;
SELECT id FROM types.entry_rest;
RESET ROLE;
SET LOCAL ROLE regress_owner;
SELECT deskguard.protect_messages('types.entry', 'desk.ticket', 'about', type_column => 'number', type_values => '{2,7}');
SELECT definition FROM test.protection('types.entry_rest') WHERE definition LIKE 'deskguard_view%';
SELECT deskguard.protect_messages('types.entry', 'desk.ticket', 'about', type_column => 'number', type_values => '{2}', drop_rules => true);
SELECT definition FROM test.protection('types.entry_rest') WHERE definition LIKE 'deskguard_view%';
RESET ROLE;
SET LOCAL ROLE regress_ann;
SELECT id FROM types.entry;
RESET ROLE;

-- Plans: where the ticket is the same for all rows, the type is asked still.
CREATE FUNCTION types.plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE 'EXPLAIN (COSTS OFF) ' || query;
END $$;
DELETE FROM types.note WHERE about NOT IN (SELECT id FROM desk.ticket);
DELETE FROM types.file WHERE note NOT IN (SELECT id FROM types.note);
DELETE FROM types.note WHERE about IS NULL;
DELETE FROM types.file WHERE note NOT IN (SELECT id FROM types.note);
SET LOCAL ROLE regress_owner;
ALTER TABLE types.note ADD FOREIGN KEY (about) REFERENCES desk.ticket;
ALTER TABLE types.file ADD FOREIGN KEY (note) REFERENCES types.note;
RESET ROLE;
INSERT INTO deskguard.agent_permission VALUES (1, 'ticket.view.internal') ON CONFLICT DO NOTHING;
SET LOCAL SESSION AUTHORIZATION regress_app;
SET LOCAL deskguard.agent_id = 1;
SELECT types.plan('SELECT body FROM types.note');
RESET SESSION AUTHORIZATION;
ALTER TABLE types.note ALTER about SET NOT NULL;
SET LOCAL SESSION AUTHORIZATION regress_app;
SELECT types.plan('SELECT id FROM types.file');
SELECT count(*) FROM types.note;
SELECT array_agg(id ORDER BY id) FROM types.file;
RESET SESSION AUTHORIZATION;
SET LOCAL deskguard.agent_id = '';
INSERT INTO types.note (id, "Type", about) SELECT n, CASE WHEN n % 100 = 0 THEN 'Issue' ELSE 'Page' END, 2 FROM generate_series(1000, 20000) AS n;
ANALYZE types.note;
SET LOCAL ROLE regress_ann;
SELECT types.plan('SELECT id FROM types.note WHERE "Type" = ''Issue''');
SELECT array_agg(id ORDER BY id) FROM types.note;
RESET ROLE;

-- Unprotected, all is as it was.
SET LOCAL ROLE regress_owner;
SELECT deskguard.unprotect(t) FROM unnest(ARRAY['types.file', 'types.note', 'types.entry']::regclass[]) AS t;
SELECT * FROM test.protection('types.note');
RESET ROLE;
ROLLBACK;
SELECT test.reset();
