-- explain_command(): why a command may touch a row or not. Each answer is compared with what the command does.
-- Agents: 1 Admin (All Permissions), 2 Ann and 4 Carl (Staff, which is siloed in categories 1 and 2, has Support in full,
-- and may assign to Sales), 3 Ben (inactive), 5 Dora (nothing). Ticket 12 is archived, 5 is spam.
BEGIN;
SET LOCAL client_min_messages = warning;
SELECT test.reset_keys();
CREATE FUNCTION test.why(agent bigint, command text, of regclass, old_row jsonb DEFAULT NULL, new_row jsonb DEFAULT NULL)
RETURNS SETOF text LANGUAGE sql AS $$
    SELECT e ->> 'summary' FROM deskguard.explain_command(agent, command, of, old_row, new_row) AS e
    UNION ALL
    SELECT '    ' || (e - 'rules' - 'summary')::text FROM deskguard.explain_command(agent, command, of, old_row, new_row) AS e
    UNION ALL
    SELECT '    ' || r.value::text FROM jsonb_array_elements(deskguard.explain_command(agent, command, of, old_row, new_row) -> 'rules') WITH ORDINALITY AS r
$$;
-- The SQL of a command that touches such a row.
CREATE FUNCTION test.command(command text, of regclass, old_row jsonb, new_row jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT CASE command
        WHEN 'SELECT' THEN format('SELECT FROM %s%s', of, filter)
        WHEN 'DELETE' THEN format('DELETE FROM %s%s', of, filter)
        WHEN 'UPDATE' THEN format('UPDATE %s SET %s%s', of, assignments, filter)
        WHEN 'INSERT' THEN format('INSERT INTO %s (%s) VALUES (%s)', of, names, items)
    END
    FROM (SELECT ' WHERE ' || string_agg(format('%I = %L', k, v), ' AND ') AS filter FROM jsonb_each_text(old_row) AS o (k, v)) AS o,
        (SELECT string_agg(format('%I = %L', k, v), ', ') AS assignments, string_agg(quote_ident(k), ', ') AS names,
            string_agg(quote_nullable(v), ', ') AS items FROM jsonb_each_text(new_row) AS n (k, v)) AS n
$$;
-- The commands of which the answer is not what the command does, for each agent that asks about itself.
CREATE FUNCTION test.disagreements(VARIADIC questions text[]) RETURNS TABLE (asked bigint, allowed bigint, disagreements text[]) LANGUAGE plpgsql AS $$
DECLARE
    agent bigint;
    question text;
    part jsonb;
    answer boolean;
    outcome text;
BEGIN
    asked := 0; allowed := 0;
    FOREACH agent IN ARRAY ARRAY[1, 2, 4, 5] LOOP
        PERFORM set_config('deskguard.agent_id', agent::text, true);
        FOREACH question IN ARRAY questions LOOP
            part := ('[' || question || ']')::jsonb;
            answer := deskguard.explain_command(agent, part ->> 0, (part ->> 1)::regclass, nullif(part -> 2, 'null'), nullif(part -> 3, 'null')) -> 'allowed';
            outcome := test.attempt_only(test.command(part ->> 0, (part ->> 1)::regclass, nullif(part -> 2, 'null'), nullif(part -> 3, 'null')));
            asked := asked + 1; allowed := allowed + answer::int;
            IF answer IS DISTINCT FROM (outcome LIKE 'rows: %' AND outcome <> 'rows: 0') THEN
                disagreements := disagreements || format('%s %s: %s, but %s', agent, question, answer, outcome);
            END IF;
        END LOOP;
    END LOOP;
    PERFORM set_config('deskguard.agent_id', '', true);
    RETURN NEXT;
END $$;
\pset tuples_only on
\pset format unaligned

-- INSERT of a ticket: in its own department, in one that it may assign to, in others; in a category; as spam
SELECT test.why(2, 'INSERT', 'desk.ticket', new_row => '{"department_id": 2, "category_id": 1}');
SELECT test.why(2, 'insert', 'desk.ticket', new_row => '{"department_id": 4, "category_id": 1, "assignee_id": 5}');
SELECT test.why(2, 'INSERT', 'desk.ticket', new_row => '{"department_id": 5, "category_id": 3}');
SELECT test.why(2, 'INSERT', 'desk.ticket');
SELECT test.why(2, 'INSERT', 'desk.ticket', new_row => '{"department_id": 4, "category_id": 1, "status": "spam"}');
SELECT test.why(5, 'INSERT', 'desk.ticket', new_row => '{"department_id": 4, "category_id": 1}');
SELECT test.why(3, 'INSERT', 'desk.ticket', new_row => '{"department_id": 4, "category_id": 1}');
SELECT test.why(1, 'INSERT', 'desk.ticket', new_row => '{"department_id": null, "status": "spam"}');
-- by external keys, one of which is nobody's
SELECT test.why(2, 'INSERT', 'words.ticket', new_row => jsonb_build_object('department_id', test.key('d', 2), 'category_id', 'hardware'));

-- UPDATE: a hand-over, another category, both with all reasons, another department, out of the archive, to spam and back
SELECT test.why(2, 'UPDATE', 'desk.ticket', '{"id": 1}', '{"assignee_id": 5, "team_id": 10}');
SELECT test.why(2, 'UPDATE', 'desk.ticket', '{"id": 1}', '{"department_id": 4}');
SELECT test.why(2, 'UPDATE', 'desk.ticket', '{"id": 1}', '{"department_id": 5, "category_id": 3}');
SELECT test.why(2, 'UPDATE', 'desk.ticket', '{"id": 7}', '{"department_id": null}');
SELECT test.why(2, 'UPDATE', 'desk.ticket', '{"id": 12}', '{"status": "open"}');
SELECT test.why(2, 'UPDATE', 'desk.ticket', '{"id": 1}', '{"status": "spam"}');
SELECT test.why(2, 'UPDATE', 'desk.ticket', '{"id": 4}', '{"status": "spam"}');
SELECT test.why(2, 'UPDATE', 'desk.ticket', '{"id": 5}', '{"status": "open"}');
SELECT test.why(2, 'UPDATE', 'desk.ticket', '{"id": 99}', '{"status": "open"}');
-- SELECT and DELETE, as explain_access() says
SELECT test.why(2, 'SELECT', 'desk.ticket', '{"id": 2}');
SELECT test.why(2, 'DELETE', 'desk.ticket', '{"id": 1}');
SELECT test.why(2, 'DELETE', 'keys.ticket', jsonb_build_object('id', test.key('f', 4)));

-- followers: oneself, another, removed, and never updated
SELECT test.why(2, 'INSERT', 'desk.ticket_follower', new_row => '{"ticket_id": 7, "agent_id": 2}');
SELECT test.why(2, 'INSERT', 'desk.ticket_follower', new_row => '{"ticket_id": 7, "agent_id": 4}');
SELECT test.why(2, 'INSERT', 'desk.ticket_follower', new_row => '{"ticket_id": 2, "agent_id": 2}');
SELECT test.why(2, 'DELETE', 'desk.ticket_follower', '{"ticket_id": 7, "agent_id": 5}');
SELECT test.why(2, 'SELECT', 'desk.ticket_follower', '{"ticket_id": 7}');
SELECT test.why(2, 'UPDATE', 'desk.ticket_follower', '{"ticket_id": 6, "agent_id": 2}', '{"agent_id": 4}');

-- messages, and what hangs on them
SELECT test.why(2, 'SELECT', 'desk.message', '{"id": 1}');
SELECT test.why(2, 'SELECT', 'desk.message', '{"id": 2}');
SELECT test.why(2, 'SELECT', 'desk.message', '{"id": 13}');
SELECT test.why(2, 'SELECT', 'desk.message', '{"id": 14}');
SELECT test.why(2, 'INSERT', 'desk.message', new_row => '{"ticket_id": 7, "author_id": 5}');
SELECT test.why(2, 'INSERT', 'desk.message', new_row => '{"ticket_id": 1}');
SELECT test.why(2, 'INSERT', 'desk.message');
SELECT test.why(2, 'UPDATE', 'desk.message', '{"id": 1}', '{"body": "new"}');
SELECT test.why(2, 'UPDATE', 'desk.message', '{"id": 4}', '{"ticket_id": 7}');
SELECT test.why(2, 'DELETE', 'desk.message', '{"id": 4}');
SELECT test.why(2, 'SELECT', 'desk.attachment', '{"id": 4}');
SELECT test.why(2, 'INSERT', 'desk.attachment', new_row => '{"message_id": 7}');

-- shared objects, and rows that need a permission
INSERT INTO deskguard.permission (name) VALUES ('invoice.view'), ('invoice.pay');
INSERT INTO deskguard.group_permission VALUES (100, 'invoice.view');
CREATE TABLE desk.filter (id int PRIMARY KEY, owner_id int, name text);
CREATE TABLE desk.invoice (id int PRIMARY KEY, total numeric);
INSERT INTO desk.filter VALUES (1, 2, 'mine'), (2, 4, 'of Carl'), (3, 4, 'of Carl, for Staff'), (4, NULL, 'of nobody, for everyone');
INSERT INTO desk.invoice VALUES (1, 10);
GRANT SELECT, INSERT, UPDATE, DELETE ON desk.filter, desk.invoice TO PUBLIC;
SELECT deskguard.protect_shared('desk.filter', owner_column => 'owner_id');
SELECT deskguard.protect_feature('desk.invoice', 'invoice.view');
SELECT deskguard.protect_feature('desk.invoice', 'invoice.pay', 'UPDATE');
SELECT deskguard.share('desk.filter', 3, group_id => 100), deskguard.share('desk.filter', 4, everyone => true);
SELECT test.why(2, 'SELECT', 'desk.filter', '{"id": 1}');
SELECT test.why(2, 'SELECT', 'desk.filter', '{"id": 2}');
SELECT test.why(5, 'SELECT', 'desk.filter', '{"id": 3}');
SELECT test.why(2, 'UPDATE', 'desk.filter', '{"id": 3}', '{"name": "new"}');
SELECT test.why(2, 'UPDATE', 'desk.filter', '{"id": 1}', '{"owner_id": 4}');
SELECT test.why(2, 'INSERT', 'desk.filter', new_row => '{"owner_id": 2}');
SELECT test.why(2, 'SELECT', 'desk.filter', '{"id": 99}');
SELECT test.why(2, 'SELECT', 'desk.invoice');
SELECT test.why(2, 'UPDATE', 'desk.invoice', '{"id": 1}', '{"total": 0}');
SELECT test.why(5, 'DELETE', 'desk.invoice');

-- All of it agrees with what the commands do.
\pset tuples_only off
SET SESSION AUTHORIZATION regress_app;
SELECT * FROM test.disagreements(VARIADIC (SELECT array_agg(format('"INSERT", "desk.ticket", null, {"id": 900, "subject": "new", "department_id": %s, "category_id": %s, "assignee_id": %s, "status": "%s"}', coalesce(d, 'null'), coalesce(c, 'null'), coalesce(a, 'null'), s))
    FROM unnest('{3,4,5,null}'::text[]) AS d, unnest('{1,3}'::text[]) AS c, unnest('{2,null}'::text[]) AS a, unnest('{open,archived,spam}'::text[]) AS s));
SELECT * FROM test.disagreements(VARIADIC (SELECT array_agg(format('"UPDATE", "desk.ticket", {"id": %s}, {%s}', t, s))
    FROM unnest('{1,2,4,5,6,7,9,12,13}'::int[]) AS t, unnest(ARRAY['"subject": "new"', '"department_id": 2', '"department_id": 5', '"department_id": null',
        '"category_id": 2', '"category_id": 3', '"category_id": null', '"assignee_id": 4', '"status": "open"', '"status": "spam"',
        '"status": "archived", "category_id": 3, "department_id": 4', '"status": "spam", "department_id": 5']) AS s));
SELECT * FROM test.disagreements(VARIADIC (SELECT array_agg(format('"%s", "desk.ticket", {"id": %s}', c, t)) FROM unnest('{1,2,4,5,6,7,9,12,13}'::int[]) AS t, unnest('{SELECT,DELETE}'::text[]) AS c));
SELECT * FROM test.disagreements(VARIADIC (SELECT array_agg(format('"INSERT", "desk.ticket_follower", null, {"ticket_id": %s, "agent_id": %s}', t, a)) FROM generate_series(1, 12) AS t, unnest('{1,3,4}'::int[]) AS a));
SELECT * FROM test.disagreements(VARIADIC (SELECT array_agg(format('"%s", "desk.ticket_follower", {"ticket_id": %s, "agent_id": %s}', c, t, a))
    FROM (VALUES (6, 2), (10, 2), (7, 5)) AS f (t, a), unnest('{SELECT,DELETE}'::text[]) AS c));
SELECT * FROM test.disagreements(VARIADIC (SELECT array_agg(format('"INSERT", "%s", null, {"id": 900, "%s_id": %s%s}', m, p, t, a))
    FROM (VALUES ('desk.message', 'ticket'), ('desk.attachment', 'message')) AS m (m, p), unnest('{1,2,4,7,13,14,15}'::int[]) AS t, (VALUES (''), (', "author_id": 2'), (', "author_id": null')) AS a (a)
    WHERE a = '' OR p = 'ticket'));
SELECT * FROM test.disagreements(VARIADIC (SELECT array_agg(format('"%s", "%s", {"id": %s}', c, m, t)) FROM unnest('{desk.message,desk.attachment}'::text[]) AS m, unnest('{1,2,4,7,13,14,15,16}'::int[]) AS t, unnest('{SELECT,DELETE}'::text[]) AS c));
SELECT * FROM test.disagreements(VARIADIC (SELECT array_agg(format('"UPDATE", "%s", {"id": %s}, {"%s_id": %s}', m, t, p, u))
    FROM (VALUES ('desk.message', 'ticket'), ('desk.attachment', 'message')) AS m (m, p), unnest('{1,2,4,7,13,14,15}'::int[]) AS t, unnest('{2,4,7}'::int[]) AS u));
SELECT * FROM test.disagreements(VARIADIC (SELECT array_agg(format('"%s", "desk.filter", {"id": %s}', c, t)) FROM generate_series(1, 5) AS t, unnest('{SELECT,DELETE}'::text[]) AS c));
SELECT * FROM test.disagreements(VARIADIC (SELECT array_agg(format('"UPDATE", "desk.filter", {"id": %s}, {"owner_id": %s}', t, coalesce(o, 'null'))) FROM generate_series(1, 5) AS t, unnest('{1,2,4,null}'::text[]) AS o));
SELECT * FROM test.disagreements(VARIADIC (SELECT array_agg(format('"INSERT", "desk.filter", null, {"id": 900, "owner_id": %s}', coalesce(o, 'null'))) FROM unnest('{1,2,4,null}'::text[]) AS o));
SELECT * FROM test.disagreements('"SELECT", "desk.invoice", {"id": 1}', '"INSERT", "desk.invoice", null, {"id": 2}', '"UPDATE", "desk.invoice", {"id": 1}, {"total": 5}', '"DELETE", "desk.invoice", {"id": 1}');
RESET SESSION AUTHORIZATION;
DELETE FROM deskguard.agent_permission WHERE agent_id = 4;

-- Columns that are left out have their defaults, where these are constants.
CREATE TABLE desk.defaults (id int PRIMARY KEY, department_id bigint DEFAULT 2, category_id int DEFAULT floor(random() + 1), confidential boolean DEFAULT false,
    status text DEFAULT 'spam');
SELECT deskguard.protect_tickets('desk.defaults', department_column => 'department_id', category_column => 'category_id', confidential_column => 'confidential',
    status_column => 'status', spam_values => '{spam}');
SELECT deskguard.explain_command(2, 'INSERT', 'desk.defaults') ->> 'summary';
SELECT deskguard.explain_command(2, 'INSERT', 'desk.defaults', new_row => '{"category_id": 1, "status": "open"}') ->> 'summary';
-- nobody's function is run
CREATE FUNCTION desk.first_status() RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN 'spam'; END $$;
ALTER TABLE desk.defaults ALTER status SET DEFAULT desk.first_status();
SELECT deskguard.explain_command(2, 'INSERT', 'desk.defaults', new_row => '{"category_id": 1}') ->> 'summary';
DROP TABLE desk.defaults;
DROP FUNCTION desk.first_status();

-- What an agent is told that asks about itself: of what it does not see no more than explain_access() tells, and no names.
SET SESSION AUTHORIZATION regress_app;
\pset tuples_only on
SELECT deskguard.set_agent(4, false);
SELECT deskguard.explain_command(4, 'INSERT', 'desk.ticket', new_row => '{"department_id": 5, "category_id": 3, "assignee_id": 5}');
SELECT test.why(4, 'UPDATE', 'desk.ticket', '{"id": 1}', '{"department_id": 5}');
-- hidden: whatever it would become, the answer is the same
SELECT DISTINCT deskguard.explain_command(4, 'UPDATE', 'desk.ticket', '{"id": 2}', n) FROM unnest(ARRAY['{}', '{"department_id": 2}', '{"department_id": 5}', '{"category_id": 3}', '{"status": "spam"}']::jsonb[]) AS n;
SELECT DISTINCT deskguard.explain_command(4, 'UPDATE', 'desk.ticket', '{"id": 12}', n) FROM unnest(ARRAY['{}', '{"department_id": 5}', '{"status": "open"}', '{"status": "spam"}']::jsonb[]) AS n;
SELECT DISTINCT deskguard.explain_command(4, 'DELETE', 'desk.ticket_follower', jsonb_build_object('ticket_id', 2, 'agent_id', a)) FROM generate_series(4, 5) AS a;
-- a message, attachment or object that is hidden is as one that is not there
SELECT DISTINCT regexp_replace(deskguard.explain_command(4, c, m, jsonb_build_object('id', i))::text, '\m(2|3|8|9|13|99)\M', 'N', 'g')
FROM unnest('{SELECT,UPDATE,DELETE}'::text[]) AS c, unnest('{desk.message,desk.attachment}'::regclass[]) AS m, unnest('{2,3,8,9,13,99}'::int[]) AS i ORDER BY 1;
SELECT DISTINCT regexp_replace(deskguard.explain_command(4, 'INSERT', 'desk.attachment', new_row => jsonb_build_object('message_id', i))::text, '\m(2|3|8|9|13|99)\M', 'N', 'g')
FROM unnest('{2,3,8,9,13,99}'::int[]) AS i;
SELECT DISTINCT regexp_replace(deskguard.explain_command(4, c, 'desk.filter', jsonb_build_object('id', i))::text, '\m(1|99)\M', 'N', 'g') FROM unnest('{SELECT,UPDATE,DELETE}'::text[]) AS c, unnest('{1,99}'::int[]) AS i ORDER BY 1;
-- others
\pset tuples_only off
SELECT test.attempt($$SELECT deskguard.explain_command(2, 'SELECT', 'desk.ticket', '{"id": 1}')$$);
RESET deskguard.agent_id;
RESET SESSION AUTHORIZATION;
SET ROLE regress_owner;
-- The owner of the tickets is told about them; of a table of its own that is about no tickets it must own the tickets, too.
SELECT deskguard.explain_command(2, 'SELECT', 'desk.message', '{"id": 1}') -> 'allowed' AS allowed;
RESET ROLE;
CREATE TABLE test.mine (id int PRIMARY KEY);
ALTER TABLE test.mine OWNER TO regress_other;
SELECT deskguard.protect_feature('test.mine', 'invoice.view');
SET ROLE regress_other;
SELECT test.attempt($$SELECT deskguard.explain_command(2, 'SELECT', 'test.mine')$$);
RESET ROLE;
DROP TABLE test.mine;

-- Policies of the owner's own: asked where the agent asks about itself and sees the row by them, else listed.
CREATE POLICY tenant ON desk.ticket AS RESTRICTIVE USING (id <> 7);
CREATE POLICY own_insert ON desk.message AS RESTRICTIVE FOR INSERT WITH CHECK (true);
SELECT deskguard.explain_command(2, 'INSERT', 'desk.message', new_row => '{"ticket_id": 4}') -> 'other_policies' AS other_policies;
SET SESSION AUTHORIZATION regress_app;
SELECT deskguard.set_agent(4, false);
SELECT jsonb_pretty(deskguard.explain_command(4, 'INSERT', 'desk.message', new_row => '{"ticket_id": 7}'));
SELECT deskguard.explain_command(4, 'SELECT', 'desk.message', '{"id": 7}') ->> 'summary' AS summary;
-- hidden so, too: whatever it would become, the answer is the same
SELECT DISTINCT deskguard.explain_command(4, 'UPDATE', 'desk.ticket', '{"id": 7}', n) AS answer
FROM unnest(ARRAY['{}', '{"department_id": 3}', '{"department_id": 5}', '{"category_id": 3}', '{"status": "spam"}']::jsonb[]) AS n;
RESET deskguard.agent_id;
SELECT * FROM test.disagreements('"SELECT", "desk.message", {"id": 7}', '"INSERT", "desk.message", null, {"id": 900, "ticket_id": 7}', '"UPDATE", "desk.ticket", {"id": 7}, {"status": "open"}',
    '"INSERT", "desk.ticket_follower", null, {"ticket_id": 7, "agent_id": 1}');
RESET SESSION AUTHORIZATION;
DROP POLICY tenant ON desk.ticket;
DROP POLICY own_insert ON desk.message;

-- Errors
CREATE VIEW desk.seen AS SELECT * FROM desk.ticket;
SELECT q, test.attempt('SELECT deskguard.explain_command(' || q || ')') FROM (VALUES
    ($$2, 'MERGE', 'desk.ticket'$$), ($$2, NULL, 'desk.ticket'$$), ($$2, 'SELECT', NULL$$), ($$2, 'SELECT', 'desk.seen', '{"id": 1}'$$), ($$2, 'SELECT', 'deskguard.agent', '{"id": 1}'$$),
    ($$2, 'SELECT', 'desk.nothing'$$), ($$2, 'SELECT', 'desk.ticket'$$), ($$2, 'SELECT', 'desk.ticket', '{}'$$), ($$2, 'SELECT', 'desk.ticket', '{"id": null}'$$),
    ($$2, 'SELECT', 'desk.ticket', '42'$$), ($$2, 'SELECT', 'desk.ticket', '[]'$$), ($$2, 'SELECT', 'desk.ticket', '{"id": "x"}'$$), ($$2, 'SELECT', 'desk.ticket', '{"id": 1.5}'$$),
    ($$2, 'SELECT', 'desk.ticket', '{"id": [1]}'$$), ($$2, 'SELECT', 'desk.ticket', '{"id": 1}', '{}'$$), ($$2, 'INSERT', 'desk.ticket', '{"id": 1}', '{}'$$),
    ($$2, 'INSERT', 'desk.ticket', new_row => '{"ctid": 1}'$$), ($$2, 'INSERT', 'desk.ticket', new_row => '{"departmentid": 1}'$$), ($$2, 'INSERT', 'desk.ticket', new_row => '{"status": []}'$$),
    ($$2, 'DELETE', 'desk.ticket_follower', '{"ticket_id": 1}'$$), ($$2, 'SELECT', 'desk.message', '{"body": "x"}'$$), ($$2, 'SELECT', 'keys.ticket', '{"id": 42}'$$),
    ($$2, 'SELECT', 'desk.ticket', '{"id": 1e30}'$$), ($$2, 'SELECT', 'desk.ticket', '{"id": 1, "subject": 1e400}'$$),
    ($$2, 'INSERT', 'desk.ticket', new_row => '{"id": 99999999999999999999, "status": 1.50, "assignee_id": 99999999999999999999}'$$),
    ($$2, 'INSERT', 'desk.ticket', new_row => ('{"subject": ' || repeat('[', 500) || repeat(']', 500) || '}')::jsonb$$), ($$2, 'INSERT', 'desk.ticket', new_row => '"x"'$$), ($$2, 'INSERT', 'desk.ticket', new_row => 'null'$$),
    ($$NULL, 'SELECT', 'desk.ticket', '{"id": 1}'$$), ($$99, 'SELECT', 'desk.ticket', '{"id": 1}'$$)
) AS a (q);
\pset format aligned
ROLLBACK;
