-- Internal messages are seen, with what belongs to them, by holders of ticket.view.internal and by their author, and written
-- by holders only. In three help desks: of numbers, of uuids and of texts.
SELECT test.reset_keys();
CREATE FUNCTION test.each_desk(command text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    s text;
BEGIN
    FOREACH s IN ARRAY ARRAY['desk', 'keys', 'words'] LOOP
        EXECUTE replace(command, '{s}', s);
    END LOOP;
END $$;
SET client_min_messages = warning;
SET ROLE regress_owner;
SELECT test.each_desk('ALTER TABLE {s}.message ADD internal boolean, ADD flag int, ADD shown text');

-- What can be such a column.
CREATE DOMAIN desk.yes_or_no AS boolean;
ALTER TABLE desk.message ADD domain desk.yes_or_no;
SELECT * FROM test.tried(ARRAY[
    'SELECT deskguard.protect_messages(''desk.message'', ''desk.ticket'', author_column => ''author_id'', internal_column => ''nothing'')',
    'SELECT deskguard.protect_messages(''desk.message'', ''desk.ticket'', author_column => ''author_id'', internal_column => ''flag'')',
    'SELECT deskguard.protect_messages(''desk.message'', ''desk.ticket'', author_column => ''author_id'', internal_column => ''domain'')',
    'SELECT deskguard.protect_messages(''desk.message'', ''desk.ticket'', author_column => ''author_id'', internal_column => ''ticket_id'')',
    'SELECT deskguard.protect_messages(''desk.message'', ''desk.ticket'', author_column => ''internal'', internal_column => ''internal'')']);
ALTER TABLE desk.message DROP domain;
SELECT test.each_desk('SELECT deskguard.protect_messages(''{s}.message'', ''{s}.ticket'', author_column => ''author_id'', internal_column => ''internal'')');
RESET ROLE;
SELECT table_id, kind, parent_table, author_column, internal_column FROM deskguard.protected_table WHERE kind = 'messages' ORDER BY table_id::text COLLATE "C";
SELECT * FROM test.protection('desk.message');
SELECT * FROM test.protection('keys.message');
SELECT * FROM test.protection('desk.attachment');

-- Of the tickets that Ann sees, the messages 1 of Carl, 5 of nobody, 15 of Dora and 6 and 12 of herself are internal.
SELECT test.each_desk('UPDATE {s}.message SET internal = false, shown = ''public''');
UPDATE desk.message SET author_id = CASE id WHEN 1 THEN 4 WHEN 5 THEN NULL ELSE author_id END,
    internal = nullif(id = 1 OR id IN (5, 6, 12, 15), id = 5), shown = 'note ' || id WHERE id IN (1, 5, 6, 12, 15);
UPDATE keys.message AS k SET author_id = test.key('a', m.author_id), internal = m.internal, shown = m.shown FROM desk.message AS m WHERE k.id = test.key('b', m.id);
UPDATE words.message AS w SET author_id = test.key('a', m.author_id)::text, internal = m.internal, shown = m.shown FROM desk.message AS m WHERE w.id = test.key('b', m.id)::text;
SELECT internal, array_agg(id ORDER BY id) FROM desk.message GROUP BY 1 ORDER BY 1;

-- What each agent sees and may do, in all three, folded, with calls, and without folding.
CREATE FUNCTION test.notes(agents bigint[]) RETURNS TABLE (command text, agent bigint, outcome text) LANGUAGE sql AS $$
    SELECT c, a, test.everywhere_as(a, c)
    FROM unnest(ARRAY[
        -- seen
        'SELECT FROM {s}.message',
        'SELECT FROM {s}.message WHERE internal',
        'SELECT FROM {s}.message WHERE internal IS NULL',
        'SELECT FROM {s}.message WHERE internal IS NOT FALSE AND author_id = {a2}',
        'SELECT FROM {s}.message WHERE shown LIKE ''note%''',
        'SELECT FROM {s}.message WHERE ticket_id = {f1}',
        'SELECT FROM {s}.message WHERE ticket_id = {f4}',
        'SELECT FROM {s}.message WHERE id = {b15}',
        'SELECT FROM {s}.message WHERE id = {b6}',
        'SELECT FROM {s}.message AS m JOIN {s}.ticket AS t ON t.id = m.ticket_id',
        'SELECT FROM {s}.message AS m, generate_series(1, 3)',
        -- what belongs to them
        'SELECT FROM {s}.attachment',
        'SELECT FROM {s}.attachment WHERE message_id = {b15}',
        'SELECT FROM {s}.attachment WHERE message_id = {b12}',
        'SELECT FROM {s}.attachment WHERE id = {b1}',
        'SELECT FROM {s}.attachment AS a JOIN {s}.message AS m ON m.id = a.message_id',
        'SELECT FROM {s}.attachment AS a, generate_series(1, 3)',
        -- INSERT
        'INSERT INTO {s}.message (id, ticket_id, internal) VALUES ({b101}, {f4}, false)',
        'INSERT INTO {s}.message (id, ticket_id, internal) VALUES ({b101}, {f4}, false) RETURNING *',
        'INSERT INTO {s}.message (id, ticket_id, internal) VALUES ({b101}, {f4}, true)',
        'INSERT INTO {s}.message (id, ticket_id, internal, author_id) VALUES ({b101}, {f4}, true, {a2})',
        'INSERT INTO {s}.message (id, ticket_id) VALUES ({b101}, {f4})',
        'INSERT INTO {s}.message (id, ticket_id, internal) SELECT {b101}, {f4}, true RETURNING id',
        'WITH w AS (INSERT INTO {s}.message (id, ticket_id, internal) VALUES ({b101}, {f4}, true)) SELECT 1',
        'INSERT INTO {s}.message (id, ticket_id, internal) VALUES ({b101}, {f2}, true)',
        'INSERT INTO {s}.message (id, ticket_id, internal) VALUES ({b101}, {f6}, true)',
        'INSERT INTO {s}.message (id, ticket_id, internal) VALUES ({b4}, {f4}, false) ON CONFLICT (id) DO UPDATE SET body = ''x''',
        'INSERT INTO {s}.message (id, ticket_id, internal) VALUES ({b4}, {f4}, false) ON CONFLICT (id) DO UPDATE SET internal = true',
        'INSERT INTO {s}.message (id, ticket_id, internal) VALUES ({b15}, {f4}, false) ON CONFLICT (id) DO UPDATE SET body = ''x'' RETURNING body',
        'INSERT INTO {s}.message (id, ticket_id, internal) VALUES ({b12}, {f4}, false) ON CONFLICT (id) DO UPDATE SET internal = false',
        'MERGE INTO {s}.message AS m USING (VALUES ({b101})) AS v (id) ON m.id = v.id WHEN NOT MATCHED THEN INSERT (id, ticket_id, internal) VALUES (v.id, {f4}, true)',
        -- UPDATE: of what is seen
        'UPDATE {s}.message SET body = ''x''',
        'UPDATE {s}.message SET body = ''x'' WHERE shown IS NOT NULL',
        'UPDATE {s}.message SET body = ''x'' WHERE id = {b15} RETURNING *',
        'UPDATE {s}.message SET body = ''x'' WHERE id = {b12}',
        'UPDATE {s}.message SET internal = false WHERE id = {b12}',
        'UPDATE {s}.message SET internal = false, author_id = {a2} WHERE id = {b15}',
        'UPDATE {s}.message SET author_id = {a2}',
        'UPDATE {s}.message SET internal = true WHERE id = {b4}',
        'UPDATE {s}.message SET internal = NULL WHERE id = {b4} RETURNING id',
        'UPDATE {s}.message SET internal = true',
        'UPDATE {s}.message SET ticket_id = {f5} WHERE id = {b4}',
        'UPDATE {s}.message SET ticket_id = {f5} WHERE id = {b15}',
        'UPDATE {s}.message SET ticket_id = {f5}, internal = true WHERE id = {b4}',
        'MERGE INTO {s}.message AS m USING (VALUES ({b15})) AS v (id) ON m.id = v.id WHEN MATCHED THEN UPDATE SET body = ''x''',
        'MERGE INTO {s}.message AS m USING (VALUES ({b12})) AS v (id) ON m.id = v.id WHEN MATCHED THEN UPDATE SET body = ''x''',
        'MERGE INTO {s}.message AS m USING (VALUES ({b4})) AS v (id) ON m.id = v.id WHEN MATCHED THEN UPDATE SET internal = true',
        'SELECT FROM {s}.message FOR UPDATE',
        -- DELETE
        'DELETE FROM {s}.message',
        'DELETE FROM {s}.message WHERE id = {b15} RETURNING *',
        'DELETE FROM {s}.message WHERE id = {b12}',
        'DELETE FROM {s}.message WHERE id = {b4}',
        'MERGE INTO {s}.message AS m USING (VALUES ({b15})) AS v (id) ON m.id = v.id WHEN MATCHED THEN DELETE',
        -- attachments of notes
        'INSERT INTO {s}.attachment VALUES ({b101}, {b4})',
        'INSERT INTO {s}.attachment VALUES ({b101}, {b15})',
        'INSERT INTO {s}.attachment VALUES ({b101}, {b12})',
        'INSERT INTO {s}.attachment VALUES ({b101}, {b404})',
        'UPDATE {s}.attachment SET name = ''x''',
        'UPDATE {s}.attachment SET message_id = {b15} WHERE id = {b4}',
        'UPDATE {s}.attachment SET name = ''x'' WHERE id = {b12}',
        'DELETE FROM {s}.attachment',
        'DELETE FROM {s}.attachment WHERE id = {b15} RETURNING *']) WITH ORDINALITY AS c (c, nth), unnest(agents) AS a
    ORDER BY nth, a
$$;
SET SESSION AUTHORIZATION regress_app;
SET deskguard.agent_id = '';
SELECT * FROM test.notes('{2}');
SELECT test.everywhere_for_each_agent('SELECT FROM {s}.message');
SELECT test.everywhere_for_each_agent('SELECT FROM {s}.attachment');
SELECT test.everywhere_for_each_agent('INSERT INTO {s}.message (id, ticket_id, internal) VALUES ({b101}, {f1}, true)');
SELECT test.everywhere_for_each_agent('UPDATE {s}.message SET internal = false WHERE internal');
SELECT test.everywhere_for_each_agent('DELETE FROM {s}.message WHERE internal');
RESET SESSION AUTHORIZATION;
INSERT INTO deskguard.agent_permission VALUES (2, 'ticket.view.internal');
SET SESSION AUTHORIZATION regress_app;
SELECT * FROM test.notes('{2}');
RESET SESSION AUTHORIZATION;
DELETE FROM deskguard.agent_permission WHERE permission = 'ticket.view.internal';

-- COPY, in her own session.
SET ROLE regress_ann;
COPY desk.message (id, internal, author_id, shown) TO STDOUT;
COPY (SELECT id, name FROM desk.attachment) TO STDOUT;
COPY desk.message (id, ticket_id, internal) FROM STDIN;
201	4	f
\.
COPY keys.message (ticket_id) FROM STDIN;
\.
-- Her own calls tell her of herself.
SELECT i, a, deskguard_internal.internal_seen('desk.message', 4::bigint, i, a) AS seen, deskguard_internal.internal_change_ok('desk.message', 4::bigint, i, a) AS change,
    deskguard_internal.written_internal_ok('desk.message', 4::bigint, i) AS written, deskguard_internal.internal_seen('desk.attachment', 4::bigint, i, a) AS none,
    deskguard_internal.internal_seen('desk.ticket', 4::bigint, i, a) AS other, deskguard_internal.internal_seen(NULL, 4::bigint, i, a) AS nothing
FROM (VALUES (true), (false), (NULL)) AS i (i), (VALUES (2::bigint), (4), (NULL)) AS a (a);
SELECT deskguard_internal.internal_change_ok('desk.message', 'f'::text, false, 2), deskguard_internal.written_internal_ok('keys.message', NULL::uuid, false);

-- The errors say why.
CREATE FUNCTION pg_temp.told(commands text[]) RETURNS TABLE (command text, told text) LANGUAGE plpgsql AS $$
DECLARE
    touched bigint;
    message text;
    detail text;
    hint text;
BEGIN
    FOREACH command IN ARRAY commands LOOP
        BEGIN
            EXECUTE command;
            GET DIAGNOSTICS touched = ROW_COUNT;
            RAISE EXCEPTION USING ERRCODE = 'YY000';
        EXCEPTION WHEN SQLSTATE 'YY000' THEN
            told := 'rows: ' || touched;
        WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
            told := concat(SQLSTATE, ': ', message, E'\ndetail: ' || nullif(detail, ''), E'\nhint: ' || nullif(hint, ''));
        END;
        RETURN NEXT;
    END LOOP;
END $$;
CREATE FUNCTION pg_temp.told() RETURNS TABLE (command text, told text) LANGUAGE sql AS $$
    SELECT * FROM pg_temp.told(ARRAY[
        'INSERT INTO desk.message (id, ticket_id) VALUES (101, 4)',
        'UPDATE desk.message SET internal = true WHERE id = 4',
        -- her own note, a hidden one, none
        'UPDATE desk.message SET body = ''x'' WHERE id = 12',
        'DELETE FROM desk.message WHERE id = 12',
        'UPDATE desk.message SET body = ''x'' WHERE id = 15',
        'DELETE FROM desk.message WHERE id = 15',
        'UPDATE desk.message SET body = ''x'' WHERE id = 1',
        'UPDATE desk.message SET body = ''x'' WHERE id = 404',
        -- of a ticket whose messages she may not edit: her own note, a public one
        'UPDATE desk.message SET body = ''x'' WHERE id = 6',
        'UPDATE desk.message SET body = ''x'' WHERE id = 7',
        'DELETE FROM desk.message WHERE id = 7',
        -- attachments of her own note, of a hidden one, of none
        'INSERT INTO desk.attachment VALUES (101, 12)',
        'INSERT INTO desk.attachment VALUES (101, 15)',
        'INSERT INTO desk.attachment VALUES (101, 404)',
        'UPDATE desk.attachment SET name = ''x'' WHERE id = 12',
        'UPDATE desk.attachment SET name = ''x'' WHERE id = 15',
        'UPDATE desk.attachment SET name = ''x'' WHERE id = 404'])
$$;
SELECT * FROM pg_temp.told();
SET deskguard.refused_changes = error;
SELECT * FROM pg_temp.told();
RESET deskguard.refused_changes;
RESET ROLE;
-- Whichever is asked first, the ticket or the note: a hidden note is not told of.
BEGIN;
ALTER FUNCTION deskguard_internal.internal_change_ok(regclass, bigint, boolean, bigint) COST 1000;
SET LOCAL ROLE regress_ann;
SET LOCAL deskguard.refused_changes = error;
SELECT told FROM pg_temp.told('{UPDATE desk.message SET body = ''x'' WHERE id = 1,UPDATE desk.message SET body = ''x'' WHERE id = 404}');
ROLLBACK;

-- Why, for who may ask, and for Ann.
CREATE FUNCTION test.why(command text, of regclass, old text, new text) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT e ->> 'summary' FROM deskguard.explain_command(2, command, of, old::jsonb, new::jsonb) AS e
    UNION ALL
    SELECT r::text FROM jsonb_array_elements(deskguard.explain_command(2, command, of, old::jsonb, new::jsonb) -> 'rules') AS r
    WHERE r ->> 'rule' = 'internal'
$$;
CREATE FUNCTION test.whys() RETURNS SETOF text LANGUAGE sql AS $$
    SELECT w FROM (VALUES
        ('SELECT', 'desk.message', '{"id": 15}', NULL),
        ('SELECT', 'desk.message', '{"id": 5}', NULL),
        ('SELECT', 'desk.message', '{"id": 12}', NULL),
        ('SELECT', 'desk.message', '{"id": 4}', NULL),
        ('SELECT', 'keys.message', jsonb_build_object('id', test.key('b', 12))::text, NULL),
        ('SELECT', 'words.message', jsonb_build_object('id', test.key('b', 15))::text, NULL),
        ('INSERT', 'desk.message', NULL, '{"ticket_id": 4}'),
        ('INSERT', 'desk.message', NULL, '{"ticket_id": 4, "internal": true, "author_id": 5}'),
        ('INSERT', 'desk.message', NULL, '{"ticket_id": 4, "internal": false}'),
        ('UPDATE', 'desk.message', '{"id": 12}', '{"internal": false}'),
        ('UPDATE', 'desk.message', '{"id": 15}', '{"ticket_id": 5}'),
        ('UPDATE', 'desk.message', '{"id": 4}', '{"internal": null}'),
        ('UPDATE', 'desk.message', '{"id": 4}', '{"body": "x"}'),
        ('DELETE', 'desk.message', '{"id": 15}', NULL),
        ('SELECT', 'desk.attachment', '{"id": 15}', NULL),
        ('SELECT', 'desk.attachment', '{"id": 12}', NULL),
        ('INSERT', 'desk.attachment', NULL, '{"message_id": 15}'),
        ('INSERT', 'desk.attachment', NULL, '{"message_id": 12}'),
        ('UPDATE', 'desk.attachment', '{"id": 4}', '{"message_id": 12}')) AS v (command, of, old, new), test.why(command, of::regclass, old, new) AS w
$$;
SELECT test.whys();
SET ROLE regress_ann;
SELECT test.whys();
RESET ROLE;
-- By the ticket: only with whether it is internal.
SELECT test.attempt('SELECT deskguard.explain_command(2, ''DELETE'', ''desk.message'', ''{"ticket_id": 4}'')');
SELECT test.why('DELETE', 'desk.message', '{"ticket_id": 4, "internal": true}', NULL);
SELECT test.why('SELECT', 'desk.message', '{"ticket_id": 4, "internal": null, "author_id": 2}', NULL);
INSERT INTO deskguard.agent_permission (agent_id, permission, valid_until) VALUES (2, 'ticket.view.internal', '2020-01-01');
SELECT test.why('SELECT', 'desk.message', '{"id": 15}', NULL);
UPDATE deskguard.agent_permission SET valid_until = NULL WHERE permission = 'ticket.view.internal';
SELECT test.why('SELECT', 'desk.message', '{"id": 15}', NULL);
SELECT test.why('INSERT', 'desk.attachment', NULL, '{"message_id": 12}');
DELETE FROM deskguard.agent_permission WHERE permission = 'ticket.view.internal';

-- Plans: what holders see costs nothing; others get a condition on the columns, which indexes and searches can use. By key there are
-- calls, which serve all agents.
CREATE FUNCTION test.plan_of(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE 'EXPLAIN (COSTS OFF) ' || query;
END $$;
ALTER TABLE desk.message ADD FOREIGN KEY (ticket_id) REFERENCES desk.ticket NOT VALID;
DELETE FROM desk.message WHERE ticket_id = 99;
ALTER TABLE desk.message VALIDATE CONSTRAINT message_ticket_id_fkey;
DELETE FROM desk.message WHERE ticket_id IS NULL;
ALTER TABLE desk.message ALTER ticket_id SET NOT NULL;
DELETE FROM desk.attachment WHERE message_id NOT IN (SELECT id FROM desk.message);
ALTER TABLE desk.attachment ADD FOREIGN KEY (message_id) REFERENCES desk.message;
-- Frank sees all tickets, and no notes but his own.
INSERT INTO deskguard.agent (id, name, category_access, external_key) VALUES (6, 'Frank', 'open', 'f6');
INSERT INTO deskguard.permission_group (name, department_access) VALUES ('Everywhere', 'all');
INSERT INTO deskguard.group_member SELECT id, 6 FROM deskguard.permission_group WHERE name = 'Everywhere';
INSERT INTO deskguard.group_permission SELECT id, p FROM deskguard.permission_group,
    unnest(ARRAY['ticket.use', 'ticket.view.unassigned', 'ticket.view.assigned']) AS p WHERE name = 'Everywhere';
SET SESSION AUTHORIZATION regress_app;
SET deskguard.agent_id = 1;
SELECT test.plan_of('SELECT name FROM desk.attachment');
SET deskguard.agent_id = 6;
SELECT test.plan_of('SELECT name FROM desk.attachment');
RESET SESSION AUTHORIZATION;
-- PostgreSQL 17 leaves IS NOT NULL out.
ALTER TABLE desk.message ALTER ticket_id DROP NOT NULL;
SET SESSION AUTHORIZATION regress_app;
SET deskguard.agent_id = 1;
SELECT test.plan_of('SELECT body FROM desk.message');
SET deskguard.agent_id = 6;
SELECT test.plan_of('SELECT body FROM desk.message');
SELECT test.plan_of('SELECT body FROM keys.message');
SELECT test.plan_of('SELECT body FROM desk.message WHERE ticket_id = 4');
SELECT test.plan_of('UPDATE desk.message SET body = ''x''');
SELECT test.plan_of('DELETE FROM desk.message WHERE id = 4');
RESET SESSION AUTHORIZATION;
RESET deskguard.agent_id;
-- No author column; a table without the column below one that has it.
SET ROLE regress_owner;
SELECT deskguard.protect_messages('desk.message', 'desk.ticket', internal_column => 'internal', drop_rules => true);
RESET ROLE;
SET SESSION AUTHORIZATION regress_app;
SET deskguard.agent_id = 6;
SELECT test.plan_of('SELECT body FROM desk.message');
SELECT count(*) FROM desk.message;
SET deskguard.agent_id = 2;
SELECT array_agg(id ORDER BY id) FROM desk.message;
SELECT array_agg(id ORDER BY id) FROM desk.attachment;
RESET SESSION AUTHORIZATION;
RESET deskguard.agent_id;

-- A plan does not outlive the right, nor the column.
SET ROLE regress_owner;
SELECT deskguard.protect_messages('desk.message', 'desk.ticket', author_column => 'author_id', internal_column => 'internal');
RESET ROLE;
INSERT INTO deskguard.agent_permission VALUES (6, 'ticket.view.internal');
SET SESSION AUTHORIZATION regress_app;
SET deskguard.agent_id = 6;
SET plan_cache_mode = force_generic_plan;
PREPARE all_messages AS SELECT count(*) FROM desk.message;
PREPARE all_attachments AS SELECT count(*) FROM desk.attachment;
PREPARE of_ticket (int) AS SELECT array_agg(id ORDER BY id) FROM desk.message WHERE ticket_id = $1;
PREPARE change (int) AS UPDATE desk.message SET body = 'x' WHERE id = $1;
EXECUTE all_messages;
EXECUTE all_attachments;
EXECUTE of_ticket (4);
RESET SESSION AUTHORIZATION;
DELETE FROM deskguard.agent_permission WHERE permission = 'ticket.view.internal';
SET SESSION AUTHORIZATION regress_app;
EXECUTE all_messages;
EXECUTE all_attachments;
EXECUTE of_ticket (4);
SET deskguard.agent_id = 5;
EXECUTE of_ticket (4);
SET deskguard.agent_id = 2;
EXECUTE of_ticket (4);
EXECUTE change (15);
EXECUTE change (4);
SET deskguard.agent_id = 6;
RESET SESSION AUTHORIZATION;
-- Rights for a time.
BEGIN;
INSERT INTO deskguard.agent_permission (agent_id, permission, valid_until) VALUES (6, 'ticket.view.internal', now() + INTERVAL '1 hour');
SET LOCAL SESSION AUTHORIZATION regress_app;
EXECUTE all_messages;
SELECT count(*) FROM desk.message WHERE internal IS NOT FALSE;
RESET SESSION AUTHORIZATION;
UPDATE deskguard.agent_permission SET valid_from = now() + INTERVAL '1 hour', valid_until = NULL WHERE permission = 'ticket.view.internal';
SET LOCAL SESSION AUTHORIZATION regress_app;
EXECUTE all_messages;
SELECT count(*) FROM desk.message WHERE internal IS NOT FALSE;
SELECT regexp_replace(p, '''[^'']*''::timestamp', '''then''::timestamp', 'g') FROM test.plan_of('SELECT body FROM desk.message') AS p;
RESET SESSION AUTHORIZATION;
ROLLBACK;
-- Without the column all is as before; a plan for attachments notices, too.
SET ROLE regress_owner;
SELECT test.attempt('SELECT deskguard.protect_messages(''desk.message'', ''desk.ticket'', author_column => ''author_id'')');
SET client_min_messages = notice;
BEGIN;
SELECT deskguard.protect_messages('desk.message', 'desk.ticket', author_column => 'author_id', drop_rules => true);
RESET ROLE;
SELECT polname, pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid) FROM pg_policy WHERE polrelid = 'desk.message'::regclass ORDER BY 1;
SET LOCAL SESSION AUTHORIZATION regress_app;
EXECUTE all_messages;
EXECUTE all_attachments;
ROLLBACK;
SET client_min_messages = warning;
RESET ROLE;
SET SESSION AUTHORIZATION regress_app;
EXECUTE all_attachments;
DEALLOCATE ALL;
RESET plan_cache_mode;
RESET SESSION AUTHORIZATION;
RESET deskguard.agent_id;

-- Parallel workers ask the same.
BEGIN;
SET LOCAL SESSION AUTHORIZATION regress_app;
SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0;
SET LOCAL min_parallel_table_scan_size = 0;
SET LOCAL deskguard.agent_id = 2;
SET LOCAL deskguard.fold = off;
SELECT array_agg(id ORDER BY id) FROM desk.message;
SELECT array_agg(id ORDER BY id) FROM desk.attachment;
ROLLBACK;

-- A trigger that writes a history writes it as the agent: public where it may not write notes.
BEGIN;
CREATE FUNCTION test.note_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO desk.message (id, ticket_id, internal, body) VALUES (900 + NEW.id, NEW.id, TG_ARGV[0]::boolean, 'moved');
    RETURN NULL;
END $$;
CREATE TRIGGER note_move AFTER UPDATE ON desk.ticket FOR EACH ROW EXECUTE FUNCTION test.note_move('false');
SET LOCAL ROLE regress_ann;
SELECT test.attempt_only('UPDATE desk.ticket SET department_id = 4, assignee_id = 5 WHERE id = 1');
RESET ROLE;
DROP TRIGGER note_move ON desk.ticket;
CREATE TRIGGER note_move AFTER UPDATE ON desk.ticket FOR EACH ROW EXECUTE FUNCTION test.note_move('true');
SET LOCAL ROLE regress_ann;
SELECT test.attempt_only('UPDATE desk.ticket SET department_id = 4, assignee_id = 5 WHERE id = 1');
RESET ROLE;
INSERT INTO deskguard.agent_permission VALUES (2, 'ticket.view.internal');
SET LOCAL ROLE regress_ann;
SELECT test.attempt_only('UPDATE desk.ticket SET department_id = 4, assignee_id = 5 WHERE id = 1');
ROLLBACK;

-- Searches look rows up by index before the policies are asked, also where notes are hidden.
BEGIN;
CREATE INDEX message_shown ON desk.message (shown text_pattern_ops);
CREATE INDEX message_internal ON desk.message (internal);
ANALYZE desk.message;
SET LOCAL deskguard.search_index = trusted;
SET LOCAL SESSION AUTHORIZATION regress_app;
SET LOCAL enable_seqscan = off;
SET LOCAL enable_bitmapscan = off;
SET LOCAL deskguard.agent_id = 6;
SELECT test.plan_of('SELECT id FROM desk.message WHERE shown LIKE ''note 1%''');
SELECT id FROM desk.message WHERE shown LIKE 'note 1%';
SET LOCAL deskguard.agent_id = 2;
SELECT id FROM desk.message WHERE shown LIKE 'note 1%';
ROLLBACK;

-- Partitions; children of children; a child that has notes of its own.
SET ROLE regress_owner;
CREATE TABLE desk.entry (id int, ticket_id int, "In house" boolean, author int, PRIMARY KEY (id)) PARTITION BY LIST (id);
CREATE TABLE desk.entry_1 PARTITION OF desk.entry FOR VALUES IN (1, 2);
CREATE TABLE desk.entry_2 (author int, "In house" boolean, id int NOT NULL, ticket_id int);
ALTER TABLE desk.entry ATTACH PARTITION desk.entry_2 DEFAULT;
CREATE TABLE desk.comment (id int PRIMARY KEY, entry_id int, secret boolean GENERATED ALWAYS AS (id % 2 = 0) STORED);
CREATE TABLE desk.reaction (comment_id int);
SELECT deskguard.protect_messages('desk.entry', 'desk.ticket', author_column => 'author', internal_column => 'In house');
SELECT deskguard.protect_messages('desk.comment', 'desk.entry', 'entry_id', internal_column => 'secret');
SELECT deskguard.protect_messages('desk.reaction', 'desk.comment', 'comment_id');
CREATE TABLE desk.entry_3 PARTITION OF desk.entry FOR VALUES IN (5);
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA desk TO PUBLIC;
RESET ROLE;
INSERT INTO desk.entry VALUES (1, 4, false, 2), (2, 4, true, 2), (3, 4, true, 5), (4, 4, false, 5), (5, 4, NULL, 5);
INSERT INTO desk.comment SELECT n, 1 + n % 5 FROM generate_series(1, 10) AS n;
INSERT INTO desk.reaction SELECT n FROM generate_series(1, 10) AS n;
SET ROLE regress_ann;
SELECT array_agg(id ORDER BY id) FROM desk.entry;
SELECT array_agg(id ORDER BY id) FROM desk.entry_1;
SELECT array_agg(id ORDER BY id) FROM desk.entry_2;
SELECT array_agg(id ORDER BY id) FROM desk.entry_3;
SELECT array_agg(id ORDER BY id) FROM desk.comment;
SELECT array_agg(comment_id ORDER BY comment_id) FROM desk.reaction;
SELECT * FROM test.tried(ARRAY[
    'INSERT INTO desk.entry VALUES (6, 4, true, 2)',
    'INSERT INTO desk.entry_2 VALUES (2, NULL, 6, 4)',
    'INSERT INTO desk.entry_2 VALUES (2, false, 6, 4)',
    'INSERT INTO desk.comment VALUES (11, 1)',
    'INSERT INTO desk.comment VALUES (12, 1)',
    'INSERT INTO desk.comment VALUES (11, 2)',
    'INSERT INTO desk.comment VALUES (11, 3)',
    'UPDATE desk.comment SET id = 12 WHERE id = 5',
    'INSERT INTO desk.reaction VALUES (5)',
    'INSERT INTO desk.reaction VALUES (10)',
    'DELETE FROM desk.reaction',
    'DELETE FROM desk.comment',
    'DELETE FROM desk.entry']);
RESET ROLE;

-- The column: renamed, given another type, dropped.
SET ROLE regress_owner;
ALTER TABLE desk.entry RENAME "In house" TO note;
RESET ROLE;
SELECT root, table_id, internal_column, deskguard_internal.base_ok(table_id) FROM deskguard.protected_table WHERE root = 'desk.entry'::regclass ORDER BY table_id::text COLLATE "C";
SET ROLE regress_owner;
SELECT * FROM test.tried(ARRAY[
    'ALTER TABLE desk.entry DROP note',
    'ALTER TABLE desk.entry DROP note CASCADE',
    'ALTER TABLE desk.entry ALTER note TYPE text',
    'ALTER TABLE desk.entry ALTER note TYPE boolean USING NOT note',
    'ALTER TABLE desk.comment ALTER secret DROP EXPRESSION',
    'ALTER TABLE desk.entry ALTER author TYPE bigint']);
ALTER TABLE desk.entry ALTER author TYPE bigint;
RESET ROLE;
SET ROLE regress_ann;
SELECT array_agg(id ORDER BY id) FROM desk.entry;
RESET ROLE;

-- The owner's own policies count beside.
BEGIN;
CREATE POLICY mine ON desk.entry AS RESTRICTIVE FOR SELECT USING (id <> 1);
SET LOCAL ROLE regress_ann;
SELECT array_agg(id ORDER BY id) FROM desk.entry;
SELECT array_agg(id ORDER BY id) FROM desk.comment;
SET LOCAL deskguard.refused_changes = error;
SELECT test.attempt_only('UPDATE desk.entry SET author = 2 WHERE id = 2');
ROLLBACK;

-- Unprotected, all is as it was.
SET ROLE regress_owner;
SELECT deskguard.unprotect(t) FROM unnest(ARRAY['desk.reaction', 'desk.comment', 'desk.entry']::regclass[]) AS t;
RESET ROLE;
SELECT * FROM test.protection('desk.entry_2');
SELECT test.reset();
DROP SCHEMA keys, words CASCADE;
DROP FUNCTION test.notes, test.whys, test.why, test.each_desk, test.plan_of;
