-- Keys that are uuid, text or varchar. The same help desk three times: desk has numbers, keys has uuid, words
-- has text and varchar; external_key says what the latter two call agents, teams, departments and categories.
-- Plans are in keys_plans.sql.
SET client_min_messages = warning;
SELECT test.reset();
INSERT INTO deskguard.agent_permission VALUES (2, 'ticket.edit_messages.own'), (4, 'permission.audit');
CREATE SCHEMA keys AUTHORIZATION regress_owner;
CREATE SCHEMA words AUTHORIZATION regress_owner;
GRANT USAGE ON SCHEMA keys, words TO PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE regress_owner IN SCHEMA desk, keys, words GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO PUBLIC;

-- The uuid of the nth agent (a), category (c), department (d), team (e), ticket (f) and other row (b).
CREATE FUNCTION test.key(kind text, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (kind || '0000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid
$$;
UPDATE deskguard.agent SET external_key = test.key('a', id);
UPDATE deskguard.team SET external_key = test.key('e', id);
UPDATE deskguard.department SET external_key = test.key('d', id);
UPDATE deskguard.category SET external_key = test.key('c', id);

SET ROLE regress_owner;
CREATE TABLE desk.message (id integer PRIMARY KEY, ticket_id smallint, author_id bigint, body text);
CREATE TABLE desk.attachment (id bigint PRIMARY KEY, message_id bigint, name text);
CREATE TABLE keys.ticket (
    id uuid PRIMARY KEY, subject text, status text DEFAULT 'open', department_id uuid, category_id uuid, assignee_id uuid,
    team_id uuid);
CREATE TABLE keys.ticket_follower (ticket_id uuid, agent_id uuid, PRIMARY KEY (ticket_id, agent_id));
CREATE TABLE keys.message (id uuid PRIMARY KEY, ticket_id uuid, author_id uuid, body text);
CREATE TABLE keys.attachment (id uuid PRIMARY KEY, message_id uuid, name text);
CREATE TABLE words.ticket (
    id varchar(40) PRIMARY KEY, subject text, status text DEFAULT 'open', department_id varchar(40), category_id text,
    assignee_id varchar, team_id text);
CREATE TABLE words.ticket_follower (ticket_id text, agent_id varchar(40), PRIMARY KEY (ticket_id, agent_id));
CREATE TABLE words.message (id text PRIMARY KEY, ticket_id varchar(50), author_id text, body text);
CREATE TABLE words.attachment (id varchar PRIMARY KEY, message_id varchar, name text);
RESET client_min_messages;
SELECT deskguard.protect_tickets('keys.ticket', department_column => 'department_id', category_column => 'category_id',
    assignee_column => 'assignee_id', team_column => 'team_id', follower_table => 'keys.ticket_follower',
    status_column => 'status', archived_values => '{archived}', spam_values => '{spam}');
SET client_min_messages = warning;
SELECT deskguard.protect_tickets('words.ticket', department_column => 'department_id', category_column => 'category_id',
    assignee_column => 'assignee_id', team_column => 'team_id', follower_table => 'words.ticket_follower',
    status_column => 'status', archived_values => '{archived}', spam_values => '{spam}');
SELECT deskguard.protect_tickets('desk.ticket', department_column => 'department_id', category_column => 'category_id',
    assignee_column => 'assignee_id', team_column => 'team_id', follower_table => 'desk.ticket_follower',
    status_column => 'status', archived_values => '{archived}', spam_values => '{spam}');
SELECT deskguard.protect_messages(s || '.message', s || '.ticket', author_column => 'author_id')
FROM unnest(ARRAY['desk', 'keys', 'words']) AS s;
SELECT deskguard.protect_messages(s || '.attachment', s || '.message', 'message_id') FROM unnest(ARRAY['desk', 'keys', 'words']) AS s;
SELECT p.* FROM unnest(ARRAY['ticket', 'ticket_follower', 'message', 'attachment']) WITH ORDINALITY AS t (name, nth),
    test.protection(('keys.' || t.name)::regclass) AS p ORDER BY nth, p.what, p.definition;
SELECT p.* FROM unnest(ARRAY['ticket', 'ticket_follower', 'message', 'attachment']) WITH ORDINALITY AS t (name, nth),
    test.protection(('words.' || t.name)::regclass) AS p ORDER BY nth, p.what, p.definition;
RESET ROLE;

UPDATE desk.ticket SET status = 'archived' WHERE id = 12;
UPDATE desk.ticket SET status = 'spam' WHERE id = 5;
INSERT INTO desk.message SELECT n, n, 2, 'message ' || n FROM generate_series(1, 12) AS n;
INSERT INTO desk.message VALUES (13, 99, 2, 'of no ticket'), (14, NULL, 2, 'without ticket'), (15, 4, 5, 'of Dora');
INSERT INTO desk.attachment SELECT n, n, 'file ' || n FROM generate_series(1, 15) AS n;
INSERT INTO keys.ticket
SELECT test.key('f', id), subject, status, test.key('d', department_id), test.key('c', category_id), test.key('a', assignee_id),
    test.key('e', team_id) FROM desk.ticket;
INSERT INTO keys.ticket_follower SELECT test.key('f', ticket_id), test.key('a', agent_id) FROM desk.ticket_follower;
INSERT INTO keys.message SELECT test.key('b', id), test.key('f', ticket_id), test.key('a', author_id), body FROM desk.message;
INSERT INTO keys.attachment SELECT test.key('b', id), test.key('b', message_id), name FROM desk.attachment;
INSERT INTO words.ticket TABLE keys.ticket;
INSERT INTO words.ticket_follower TABLE keys.ticket_follower;
INSERT INTO words.message TABLE keys.message;
INSERT INTO words.attachment TABLE keys.attachment;

-- What a command does for the current agent in the three help desks, folded, with all lists as calls, and without folding.
-- {s} is the help desk, {c1} the key of the first category, and so on. It tells each outcome that differs from the one
-- before, but for the names of keys and tables.
CREATE FUNCTION test.everywhere(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    help_desk record;
    folding record;
    one text;
    last text;
    outcomes text;
BEGIN
    FOR help_desk IN
        SELECT * FROM (VALUES ('desk', '\2'), ('keys', 'test.key(''\1'', \2)'), ('words', 'test.key(''\1'', \2)::text')) AS d (name, key)
    LOOP
        FOR folding IN SELECT * FROM (VALUES ('on', '300'), ('on', '0'), ('off', '300')) AS f (fold, fold_limit) LOOP
            PERFORM set_config('deskguard.fold', folding.fold, true), set_config('deskguard.fold_limit', folding.fold_limit, true);
            one := test.attempt_only(regexp_replace(replace(command, '{s}', help_desk.name), '\{([a-f])(\d+)\}', help_desk.key, 'g'));
            one := regexp_replace(split_part(one, E'\n', 1), '\m[a-f]0000000-0000-0000-0000-0*', '', 'g');
            one := replace(one, help_desk.name || '.', '{s}.');
            IF one IS DISTINCT FROM last THEN
                outcomes := concat(outcomes || E'\n' || help_desk.name || ' ' || folding::text || ' ', one);
            END IF;
            last := one;
        END LOOP;
    END LOOP;
    RETURN outcomes;
END $$;
-- For each agent; 99 is unknown. Rows or SQLSTATE.
CREATE FUNCTION test.for_each_agent(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    agent bigint;
    outcome text;
    result text;
BEGIN
    FOREACH agent IN ARRAY ARRAY[NULL, 99, 1, 2, 3, 4, 5] LOOP
        PERFORM deskguard.set_agent(agent, true);
        outcome := test.everywhere(command);
        IF outcome NOT LIKE E'%\n%' THEN
            outcome := CASE WHEN outcome LIKE 'rows: %' THEN substr(outcome, 7) ELSE left(outcome, 5) END;
        END IF;
        result := concat(result || ', ', coalesce(agent::text, 'nobody'), ': ', outcome);
    END LOOP;
    RETURN result;
END $$;

CREATE FUNCTION test.as_agent(agent bigint, command text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM deskguard.set_agent(agent, true);
    RETURN test.everywhere(command);
END $$;

-- All the same, whatever the keys are. 99 is a number that no row of deskguard has, and a key that is nobody's.
SET SESSION AUTHORIZATION regress_app;
SELECT command, test.for_each_agent(command) AS outcomes FROM unnest(ARRAY[
    'SELECT FROM {s}.ticket',
    'SELECT FROM {s}.ticket WHERE id = {f4}',
    'SELECT FROM {s}.ticket WHERE id = {f2}',
    'SELECT FROM {s}.ticket WHERE id IN ({f1}, {f2}, {f5}, {f99})',
    'SELECT FROM {s}.ticket WHERE category_id = {c1}',
    'SELECT FROM {s}.ticket WHERE department_id IN ({d1}, {d4})',
    'SELECT FROM {s}.ticket WHERE assignee_id IS NULL',
    'SELECT FROM {s}.ticket FOR UPDATE',
    'SELECT FROM {s}.ticket_follower',
    'SELECT FROM {s}.ticket_follower WHERE agent_id = {a2}',
    'SELECT FROM {s}.message',
    'SELECT FROM {s}.message WHERE ticket_id = {f4}',
    'SELECT FROM {s}.message AS m JOIN {s}.ticket AS t ON t.id = m.ticket_id',
    'SELECT FROM {s}.message AS m, generate_series(1, 3)',
    'SELECT FROM {s}.attachment',
    'SELECT FROM {s}.attachment AS a JOIN {s}.message AS m ON m.id = a.message_id']) AS command;
-- What Admin (1) and Ann (2) may write.
SELECT command, test.as_agent(1, command) AS admin, test.as_agent(2, command) AS ann FROM unnest(ARRAY[
    'INSERT INTO {s}.ticket (id, subject, department_id, category_id) VALUES ({f50}, ''new'', {d1}, {c1})',
    'INSERT INTO {s}.ticket (id, subject, department_id, category_id) VALUES ({f50}, ''new'', {d4}, {c1}) RETURNING id',
    'INSERT INTO {s}.ticket (id, subject, department_id, category_id) VALUES ({f50}, ''new'', {d5}, {c1})',
    'INSERT INTO {s}.ticket (id, subject, department_id, category_id) VALUES ({f50}, ''new'', {d99}, {c1})',
    'INSERT INTO {s}.ticket (id, subject, department_id, category_id) VALUES ({f50}, ''new'', NULL, {c1})',
    'INSERT INTO {s}.ticket (id, subject, department_id, category_id) VALUES ({f50}, ''new'', {d1}, {c3})',
    'INSERT INTO {s}.ticket (id, subject, department_id, category_id) VALUES ({f50}, ''new'', {d1}, {c99})',
    'INSERT INTO {s}.ticket (id, subject, department_id, category_id) VALUES ({f50}, ''new'', {d1}, NULL)',
    'INSERT INTO {s}.ticket (id, subject, department_id, category_id, status) VALUES ({f50}, ''new'', {d1}, {c1}, ''spam'')',
    'INSERT INTO {s}.ticket (id, subject, department_id, category_id) SELECT {f50}, ''new'', department_id, category_id FROM {s}.ticket WHERE id = {f1}',
    'INSERT INTO {s}.ticket (id, subject, department_id, category_id) VALUES ({f1}, ''new'', {d1}, {c1}) ON CONFLICT (id) DO UPDATE SET subject = ''x''',
    'INSERT INTO {s}.ticket (id, subject, department_id, category_id) VALUES ({f3}, ''new'', {d1}, {c1}) ON CONFLICT (id) DO UPDATE SET subject = ''x''',
    'UPDATE {s}.ticket SET subject = ''x''',
    'UPDATE {s}.ticket SET subject = ''x'' WHERE id = {f4}',
    'UPDATE {s}.ticket SET subject = ''x'' WHERE id = {f7}',
    'UPDATE {s}.ticket SET department_id = {d4} WHERE id = {f1}',
    'UPDATE {s}.ticket SET department_id = {d4} WHERE id = {f1} RETURNING *',
    'UPDATE {s}.ticket SET department_id = {d4} WHERE department_id = {d2}',
    'UPDATE {s}.ticket SET department_id = {d3} WHERE id = {f4}',
    'UPDATE {s}.ticket SET department_id = {d5} WHERE id = {f1}',
    'UPDATE {s}.ticket SET department_id = {d99} WHERE id = {f1}',
    'UPDATE {s}.ticket SET department_id = NULL WHERE id = {f1}',
    'UPDATE {s}.ticket SET category_id = {c2} WHERE id = {f1}',
    'UPDATE {s}.ticket SET category_id = {c3} WHERE id = {f1}',
    'UPDATE {s}.ticket SET category_id = {c99} WHERE id = {f1}',
    'UPDATE {s}.ticket SET category_id = NULL WHERE id = {f1}',
    'UPDATE {s}.ticket SET assignee_id = {a5} WHERE id = {f4} RETURNING *',
    'UPDATE {s}.ticket SET assignee_id = {a99} WHERE id = {f4}',
    'UPDATE {s}.ticket SET assignee_id = NULL WHERE id = {f4}',
    'UPDATE {s}.ticket SET assignee_id = {a2} WHERE id = {f1}',
    'UPDATE {s}.ticket SET assignee_id = {a2} WHERE id = {f7}',
    'UPDATE {s}.ticket SET team_id = {e99} WHERE id = {f1}',
    'UPDATE {s}.ticket SET status = ''open'' WHERE id = {f12}',
    'UPDATE {s}.ticket SET status = ''archived'' WHERE id = {f1}',
    'UPDATE {s}.ticket SET status = ''spam'' WHERE id = {f1}',
    'UPDATE {s}.ticket SET status = ''spam'' WHERE id = {f4}',
    'UPDATE {s}.ticket AS t SET subject = o.subject FROM {s}.ticket AS o WHERE o.id = {f6} AND t.id <> o.id',
    'MERGE INTO {s}.ticket AS t USING (VALUES ({f1}), ({f51})) AS v (id) ON t.id = v.id WHEN MATCHED THEN UPDATE SET department_id = {d4}
        WHEN NOT MATCHED THEN INSERT (id, subject, department_id, category_id) VALUES (v.id, ''new'', {d4}, {c2})',
    'DELETE FROM {s}.ticket',
    'DELETE FROM {s}.ticket WHERE id = {f4} RETURNING id',
    'DELETE FROM {s}.ticket WHERE id = {f1}',
    'INSERT INTO {s}.ticket_follower VALUES ({f1}, {a2})',
    'INSERT INTO {s}.ticket_follower VALUES ({f3}, {a2})',
    'INSERT INTO {s}.ticket_follower VALUES ({f1}, {a5})',
    'INSERT INTO {s}.ticket_follower VALUES ({f7}, {a4})',
    'INSERT INTO {s}.ticket_follower VALUES ({f7}, {a99})',
    'DELETE FROM {s}.ticket_follower',
    'INSERT INTO {s}.message VALUES ({b51}, {f1}, {a2})',
    'INSERT INTO {s}.message VALUES ({b51}, {f1}, {a5})',
    'INSERT INTO {s}.message VALUES ({b51}, {f1}, {a99})',
    'INSERT INTO {s}.message VALUES ({b51}, {f1}), ({b52}, {f1})',
    'INSERT INTO {s}.message VALUES ({b51}, {f1}), ({b52}, {f4})',
    'INSERT INTO {s}.message VALUES ({b51}, {f3})',
    'INSERT INTO {s}.message VALUES ({b51}, {f99})',
    'INSERT INTO {s}.message VALUES ({b51}, NULL)',
    'UPDATE {s}.message SET body = ''x''',
    'UPDATE {s}.message SET body = ''x'' WHERE id = {b15}',
    'UPDATE {s}.message SET ticket_id = {f5} WHERE id = {b4}',
    'UPDATE {s}.message SET ticket_id = {f1} WHERE id = {b4}',
    'UPDATE {s}.message SET ticket_id = {f99} WHERE id = {b4}',
    'DELETE FROM {s}.message',
    'INSERT INTO {s}.attachment VALUES ({b51}, {b4})',
    'INSERT INTO {s}.attachment VALUES ({b51}, {b6})',
    'INSERT INTO {s}.attachment VALUES ({b51}, {b13})',
    'UPDATE {s}.attachment SET message_id = {b5} WHERE message_id = {b4}',
    'UPDATE {s}.attachment SET message_id = {b1} WHERE message_id = {b4}',
    'DELETE FROM {s}.attachment']) AS command;
-- Handed over, and given back as it was written; then it is out of sight.
BEGIN;
SELECT deskguard.set_agent(2);
UPDATE keys.ticket SET department_id = test.key('d', 4) WHERE id = test.key('f', 1) RETURNING subject, department_id;
SELECT count(*) FROM keys.ticket WHERE id = test.key('f', 1);
ROLLBACK;
RESET SESSION AUTHORIZATION;

-- Questions. The same answers about the three help desks.
SELECT count(*) AS asked, count(*) FILTER (WHERE numbers) AS yes,
    count(*) FILTER (WHERE numbers <> deskguard.agent_can(a, action, test.key('f', t), 'keys.ticket')) AS uuid,
    count(*) FILTER (WHERE numbers <> deskguard.agent_can(a, action, test.key('f', t)::text, 'keys.ticket')) AS uuid_as_text,
    count(*) FILTER (WHERE numbers <> deskguard.agent_can(a, action, test.key('f', t)::text, 'words.ticket')) AS text,
    count(*) FILTER (WHERE numbers <> deskguard.agent_can(a, action, test.key('f', t), 'words.ticket')) AS text_as_uuid,
    count(*) FILTER (WHERE numbers <> deskguard.agent_can(a, action, t::text, 'desk.ticket')) AS number_as_text,
    count(*) FILTER (WHERE action = 'view' AND numbers <> deskguard.agent_can_view(a, test.key('f', t), 'keys.ticket')) AS view_uuid,
    count(*) FILTER (WHERE action = 'view' AND numbers <> deskguard.agent_can_view(a, test.key('f', t)::text, 'words.ticket')) AS view_text,
    count(*) FILTER (WHERE numbers <> EXISTS (SELECT FROM deskguard.agents_who_can(action, test.key('f', t), 'keys.ticket') AS w WHERE w = a)) AS who_can,
    count(*) FILTER (WHERE numbers <> (deskguard.explain_access(a, test.key('f', t), action, 'keys.ticket') -> 'allowed')::boolean) AS explained
FROM generate_series(1, 5) AS a, generate_series(1, 13) AS t, unnest(ARRAY['view', 'reply', 'modify', 'edit_messages', 'delete']) AS action,
    LATERAL (SELECT deskguard.agent_can(a, action, t::bigint, 'desk.ticket') AS numbers) AS n;
SELECT array_agg(w ORDER BY w) AS uuid, (SELECT array_agg(w ORDER BY w) FROM deskguard.agents_who_can('view', test.key('f', 4)::text, 'words.ticket') AS w) AS text,
    (SELECT array_agg(w ORDER BY w) FROM deskguard.agents_who_can('view', '4', 'desk.ticket') AS w) AS numbers
FROM deskguard.agents_who_can('view', 'f0000000-0000-0000-0000-000000000004', 'keys.ticket') AS w;
SELECT of, (SELECT string_agg(regexp_replace(k, '.*-0*', ''), ' ' ORDER BY length(k), k) FROM deskguard.visible_ticket_keys(2, of) AS k)
FROM unnest(ARRAY['desk.ticket', 'keys.ticket', 'words.ticket']::regclass[]) AS of;
SELECT min(k) FROM deskguard.visible_ticket_keys(2, 'keys.ticket') AS k;
SELECT pg_typeof(k), count(*) FROM deskguard.visible_ticket_keys(1, 'desk.ticket') AS k GROUP BY 1;
-- Each form of an id, for each kind of table; and those that do not fit.
SET ROLE regress_ann;
SELECT ticket, of, split_part(test.attempt(format('SELECT 1 WHERE deskguard.agent_can_view(2, %s, %L)', ticket, of)), E'\n', 1) AS seen
FROM unnest(ARRAY['4', '4::smallint', '4::bigint', '''4''', '''4''::text', ''' 4 ''', '''04''', '''42x''', '''''', '''9223372036854775808''',
    '''f0000000-0000-0000-0000-000000000004''', '''f0000000-0000-0000-0000-000000000004''::uuid',
    '''f0000000-0000-0000-0000-000000000004''::text', '''f0000000-0000-0000-0000-000000000004''::varchar',
    '''F0000000-0000-0000-0000-000000000004''', '''F0000000-0000-0000-0000-000000000004''::uuid',
    '''{f000000000000000000000000004}''', '''{f0000000000000000000000000000004}''',
    '''f0000000-0000-0000-0000-000000000099''', 'NULL', 'NULL::uuid', 'NULL::text', 'NULL::bigint', '1.5']) WITH ORDINALITY AS t (ticket, nth),
    unnest(ARRAY['desk.ticket', 'keys.ticket', 'words.ticket']) AS of
ORDER BY nth, of COLLATE "C";
SELECT question, test.attempt('SELECT * FROM deskguard.' || question)
FROM unnest(ARRAY[
    $$agent_can(2, 'view', 4, 'keys.ticket')$$,
    $$agent_can(2, 'view', test.key('f', 4), 'desk.ticket')$$,
    $$agent_can(2, 'view', 'x', 'keys.ticket')$$,
    $$agent_can(2, 'fly', test.key('f', 4), 'keys.ticket')$$,
    $$agent_can(4, 'view', test.key('f', 4), 'keys.ticket')$$,
    $$agent_can(2, 'view', test.key('f', 4))$$,
    $$agents_who_can('view', test.key('f', 4), 'keys.ticket')$$,
    $$explain_access(2, 4, ticket_table => 'keys.ticket')$$,
    $$explain_access(2, test.key('f', 4), ticket_table => 'desk.ticket')$$,
    $$explain_access(2, '42x', ticket_table => 'desk.ticket')$$,
    $$explain_access(4, test.key('f', 4), ticket_table => 'keys.ticket')$$,
    $$explain_access(2, test.key('f', 4), 'fly', 'keys.ticket')$$,
    $$explain_access(2, test.key('f', 4), ticket_table => 'keys.message')$$,
    $$visible_tickets(2, 'keys.ticket')$$,
    $$visible_tickets(2, 'words.ticket')$$,
    $$visible_tickets(4, 'keys.ticket')$$,
    $$visible_ticket_keys(4, 'keys.ticket')$$,
    $$visible_ticket_keys(2)$$,
    $$visible_ticket_keys(2, 'keys.message')$$,
    $$visible_ticket_keys(NULL, 'keys.ticket')$$,
    $$visible_ticket_keys(2, 'keys.absent')$$]) AS question;
RESET ROLE;
SELECT count(*) FROM deskguard.visible_ticket_keys(NULL, 'keys.ticket');
SET ROLE regress_owner;
SELECT action, array_agg(w ORDER BY w) FROM unnest(ARRAY['view', 'modify']) AS action, deskguard.agents_who_can(action, test.key('f', 4), 'keys.ticket') AS w
GROUP BY 1 ORDER BY 1;
RESET ROLE;
-- An id as a parameter.
SET ROLE regress_ann;
PREPARE may_view AS SELECT deskguard.agent_can_view(2, $1, 'keys.ticket') AS untyped;
EXECUTE may_view ('f0000000-0000-0000-0000-000000000004');
EXECUTE may_view ('f0000000-0000-0000-0000-000000000003');
DEALLOCATE may_view;
RESET ROLE;

-- Nothing that the caller has made counts.
GRANT CREATE ON SCHEMA test TO regress_ann;
SET ROLE regress_ann;
CREATE FUNCTION test.always(uuid, uuid) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE FUNCTION test.always(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR test.= (leftarg = uuid, rightarg = uuid, function = test.always);
CREATE OPERATOR test.= (leftarg = text, rightarg = text, function = test.always);
SET search_path = test, pg_temp, pg_catalog;
SELECT deskguard.agent_can_view(2, test.key('f', 1), 'keys.ticket'), deskguard.agent_can_view(2, test.key('f', 3), 'keys.ticket'),
    deskguard.agent_can_view(2, test.key('f', 1)::text, 'words.ticket'), deskguard.agent_can_view(2, test.key('f', 3)::text, 'words.ticket'),
    (SELECT count(*) FROM keys.ticket), (SELECT count(*) FROM words.ticket), (SELECT count(*) FROM keys.message),
    (SELECT count(*) FROM deskguard.visible_ticket_keys(2, 'keys.ticket'));
RESET search_path;
DROP OPERATOR test.= (uuid, uuid);
DROP OPERATOR test.= (text, text);
DROP FUNCTION test.always(uuid, uuid), test.always(text, text);
RESET ROLE;
REVOKE CREATE ON SCHEMA test FROM regress_ann;

-- By key.
SET ROLE regress_other;
SELECT deskguard.agent_by_key(test.key('a', 2)) AS agent, deskguard.team_by_key(test.key('e', 10)) AS team,
    deskguard.department_by_key(test.key('d', 3)) AS department, deskguard.category_by_key(test.key('c', 1)) AS category;
SELECT deskguard.agent_by_key(test.key('a', 2)::text) AS agent, deskguard.team_by_key('e0000000-0000-0000-0000-000000000010') AS team,
    deskguard.department_by_key(test.key('d', 3)::varchar) AS department, deskguard.category_by_key(test.key('c', 1)::text) AS category;
SELECT key, deskguard.agent_by_key(key) AS agent, deskguard.team_by_key(key) AS team, deskguard.department_by_key(key) AS department,
    deskguard.category_by_key(key) AS category
FROM unnest(ARRAY[NULL, '', '2', 'A0000000-0000-0000-0000-000000000002', 'a0000000-0000-0000-0000-000000000002 ', '-9223372036854775808']) AS key;
SELECT deskguard.agent_by_key(uuid 'A0000000-0000-0000-0000-000000000002') AS as_printed, deskguard.agent_by_key(NULL::uuid) AS nothing,
    deskguard.agent_by_key(test.key('c', 1)) AS a_category;
RESET ROLE;
-- Who is nobody cannot be acted for, and can be granted nothing.
SET SESSION AUTHORIZATION regress_app;
SELECT deskguard.set_agent(deskguard.agent_by_key(test.key('a', 2)), false);
SELECT deskguard.current_agent(), count(*) FROM keys.ticket;
SELECT deskguard.set_agent(deskguard.agent_by_key('unknown'), false);
SELECT count(*) FROM keys.ticket;
RESET deskguard.agent_id;
RESET SESSION AUTHORIZATION;
SELECT command, test.attempt_only(command)
FROM unnest(ARRAY[
    $$INSERT INTO deskguard.agent_category (agent_id, category_id) VALUES (deskguard.agent_by_key(test.key('a', 4)), deskguard.category_by_key(test.key('c', 3)))$$,
    $$INSERT INTO deskguard.agent_category (agent_id, category_id) VALUES (deskguard.agent_by_key(test.key('a', 4)), deskguard.category_by_key(test.key('c', 99)))$$,
    $$INSERT INTO deskguard.agent VALUES (-9223372036854775808, 'Nobody')$$,
    $$INSERT INTO deskguard.team VALUES (-9223372036854775808, 'Nobody')$$,
    $$INSERT INTO deskguard.department VALUES (-9223372036854775808, 'Nowhere')$$,
    $$INSERT INTO deskguard.category VALUES (-9223372036854775808, 'Nothing')$$,
    $$UPDATE deskguard.category SET id = -9223372036854775808 WHERE id = 3$$,
    $$INSERT INTO deskguard.agent (id, name, external_key) VALUES (9, 'Twin', test.key('a', 2))$$,
    $$INSERT INTO deskguard.team (id, name, external_key) VALUES (9, 'Twin', test.key('e', 10))$$,
    $$INSERT INTO deskguard.department (id, name, external_key) VALUES (9, 'Twin', test.key('d', 1))$$,
    $$INSERT INTO deskguard.category (id, name, external_key) VALUES (9, 'Twin', test.key('c', 1))$$,
    -- One key may stand for an agent and a category.
    $$INSERT INTO deskguard.category (id, name, external_key) VALUES (9, 'Ann', test.key('a', 2)), (10, 'empty', ''), (11, 'none', NULL), (12, 'none', NULL)$$]) AS command;

-- What is nobody's key. Of the silo nothing is seen; whom it is assigned to is somebody else.
CREATE FUNCTION test.explained(agent bigint, ticket text, of regclass, action text DEFAULT 'view') RETURNS SETOF text LANGUAGE sql AS $$
    SELECT concat_ws(' ', e - 'rules' - 'summary', E'\n' || (e ->> 'summary'))
    FROM deskguard.explain_access(agent, ticket, action, of) AS e
    UNION ALL
    SELECT r.value::text FROM jsonb_array_elements(deskguard.explain_access(agent, ticket, action, of) -> 'rules') WITH ORDINALITY AS r
$$;
INSERT INTO keys.ticket (id, subject, department_id, category_id, assignee_id, team_id) VALUES
    (test.key('f', 21), 'category unmapped', test.key('d', 1), test.key('c', 99), NULL, NULL),
    (test.key('f', 22), 'category unmapped, of Ann', test.key('d', 1), test.key('c', 99), test.key('a', 2), NULL),
    (test.key('f', 23), 'department unmapped', test.key('d', 99), test.key('c', 1), NULL, NULL),
    (test.key('f', 24), 'department unmapped, of Ann', test.key('d', 99), test.key('c', 1), test.key('a', 2), NULL),
    (test.key('f', 25), 'assignee unmapped', test.key('d', 1), test.key('c', 1), test.key('a', 99), NULL),
    (test.key('f', 26), 'team unmapped', test.key('d', 1), test.key('c', 1), NULL, test.key('e', 99)),
    (test.key('f', 27), 'all unmapped', test.key('d', 99), test.key('c', 99), test.key('a', 99), test.key('e', 99)),
    (test.key('f', 28), 'department unmapped, followed by Ann', test.key('d', 99), test.key('c', 1), test.key('a', 99), NULL),
    (test.key('f', 29), 'department unmapped, followed by an unmapped agent', test.key('d', 99), test.key('c', 1), NULL, NULL);
INSERT INTO keys.ticket_follower VALUES (test.key('f', 28), test.key('a', 2)), (test.key('f', 29), test.key('a', 99));
INSERT INTO keys.message VALUES (test.key('b', 21), test.key('f', 21), test.key('a', 99)), (test.key('b', 25), test.key('f', 25), test.key('a', 99));
INSERT INTO words.ticket SELECT * FROM keys.ticket WHERE id > test.key('f', 20);
INSERT INTO words.ticket_follower SELECT * FROM keys.ticket_follower WHERE ticket_id > test.key('f', 20);
INSERT INTO words.message SELECT * FROM keys.message WHERE id > test.key('b', 20);
INSERT INTO desk.ticket (id, subject, department_id, category_id, assignee_id, team_id) VALUES
    (21, 'category unknown', 1, 99, NULL, NULL), (22, 'category unknown, of Ann', 1, 99, 2, NULL), (23, 'department unknown', 99, 1, NULL, NULL),
    (24, 'department unknown, of Ann', 99, 1, 2, NULL), (25, 'assignee unknown', 1, 1, 99, NULL), (26, 'team unknown', 1, 1, NULL, 99),
    (27, 'all unknown', 99, 99, 99, 99), (28, 'department unknown, followed by Ann', 99, 1, 99, NULL),
    (29, 'department unknown, followed by an unknown agent', 99, 1, NULL, NULL);
INSERT INTO desk.ticket_follower VALUES (28, 2), (29, 99);
INSERT INTO desk.message VALUES (21, 21, 99), (25, 25, 99);
SET SESSION AUTHORIZATION regress_app;
SELECT n, test.for_each_agent(format('SELECT FROM {s}.ticket WHERE id = {f%s}', n)) AS seen,
    test.for_each_agent(format('UPDATE {s}.ticket SET subject = ''x'' WHERE id = {f%s}', n)) AS changed
FROM generate_series(21, 29) AS n;
SELECT test.for_each_agent('SELECT FROM {s}.ticket') AS tickets, test.for_each_agent('SELECT FROM {s}.message') AS messages,
    test.for_each_agent('SELECT FROM {s}.ticket_follower') AS followers, test.for_each_agent('UPDATE {s}.ticket SET subject = ''x''') AS changes;
-- From one that is nobody's to another is a move, too.
SELECT test.for_each_agent('UPDATE {s}.ticket SET department_id = {d98} WHERE id = {f24}') AS moved,
    test.for_each_agent('UPDATE {s}.ticket SET department_id = department_id WHERE id = {f24}') AS left_there,
    test.for_each_agent('UPDATE {s}.ticket SET category_id = {c98} WHERE id = {f22}') AS relabelled,
    test.for_each_agent('UPDATE {s}.ticket SET department_id = {d99} WHERE id = {f24}') AS the_same;
RESET SESSION AUTHORIZATION;
SELECT test.explained(2, test.key('f', 21)::text, 'keys.ticket');
SELECT test.explained(2, test.key('f', 23)::text, 'keys.ticket');
SELECT test.explained(2, test.key('f', 24)::text, 'keys.ticket');
SELECT test.explained(2, test.key('f', 25)::text, 'keys.ticket', 'modify');
SELECT test.explained(2, test.key('f', 26)::text, 'keys.ticket', 'modify');
SELECT test.explained(2, test.key('f', 27)::text, 'words.ticket');
SELECT test.explained(1, test.key('f', 27)::text, 'words.ticket', 'delete');
SELECT test.explained(99, test.key('f', 27)::text, 'keys.ticket');
-- Nothing is unmapped: not a value that is NULL, and not a number.
SELECT test.explained(2, test.key('f', 1)::text, 'keys.ticket');
SELECT test.explained(2, '27', 'desk.ticket');
SELECT test.explained(2, test.key('f', 99)::text, 'keys.ticket');
SELECT test.explained(2, NULL, 'words.ticket');
-- As the agent itself.
SET ROLE regress_ann;
SELECT deskguard.explain_access(2, test.key('f', 27), ticket_table => 'keys.ticket') - 'rules';
RESET ROLE;

-- An agent, team, category without a key is named by no column.
UPDATE deskguard.agent SET external_key = NULL WHERE id = 2;
SET SESSION AUTHORIZATION regress_app;
SELECT deskguard.set_agent(2, false);
SELECT test.everywhere('SELECT FROM {s}.ticket'), test.everywhere('SELECT FROM {s}.ticket WHERE id = {f4}'),
    test.everywhere('SELECT FROM {s}.ticket WHERE id = {f6}'), test.everywhere('SELECT FROM {s}.ticket WHERE id = {f5}'),
    test.everywhere('INSERT INTO {s}.ticket_follower VALUES ({f7}, {a2})'),
    test.everywhere('INSERT INTO {s}.message VALUES ({b51}, {f1}, {a2})'),
    test.everywhere('INSERT INTO {s}.message VALUES ({b51}, {f1}, NULL)');
RESET deskguard.agent_id;
RESET SESSION AUTHORIZATION;
SELECT test.explained(2, test.key('f', 4)::text, 'keys.ticket');
SELECT test.explained(2, '4', 'desk.ticket');
UPDATE deskguard.agent SET external_key = test.key('a', 2) WHERE id = 2;
UPDATE deskguard.category SET external_key = NULL WHERE id = 1;
UPDATE deskguard.team SET external_key = NULL;
UPDATE deskguard.department SET external_key = NULL WHERE id = 3;
SET SESSION AUTHORIZATION regress_app;
SELECT test.for_each_agent('SELECT FROM {s}.ticket WHERE category_id = {c1}') AS category,
    test.for_each_agent('SELECT FROM {s}.ticket WHERE team_id = {e10}') AS team,
    test.for_each_agent('SELECT FROM {s}.ticket WHERE department_id = {d3}') AS department;
RESET SESSION AUTHORIZATION;
-- Only as PostgreSQL prints it, in each way to ask.
UPDATE deskguard.category SET external_key = 'C0000000-0000-0000-0000-000000000001' WHERE id = 1;
UPDATE deskguard.team SET external_key = '{e0000000000000000000000000000010}';
UPDATE deskguard.department SET external_key = 'Berlin' WHERE id = 3;
SET SESSION AUTHORIZATION regress_app;
SELECT test.for_each_agent('SELECT FROM {s}.ticket WHERE category_id = {c1}') AS category,
    test.for_each_agent('SELECT FROM {s}.ticket WHERE team_id = {e10}') AS team,
    test.for_each_agent('SELECT FROM {s}.ticket WHERE department_id = {d3}') AS department;
RESET SESSION AUTHORIZATION;
UPDATE deskguard.category SET external_key = test.key('c', id) WHERE id = 1;
UPDATE deskguard.team SET external_key = test.key('e', id);
UPDATE deskguard.department SET external_key = test.key('d', id) WHERE id = 3;

-- Words of all kinds, as text columns have them; they are no uuid, so nobody else sees what is in a silo there.
CREATE TABLE test.word AS
SELECT kind, n, word FROM (VALUES
    ('c', 1, 'Net, "work" {1} \'), ('c', 2, 'NULL'), ('c', 3, ''), ('d', 1, 'Soutien à l''étranger'), ('d', 2, ' EU '), ('d', 3, 'EU'),
    ('d', 4, $$'; DROP TABLE words.ticket; --$$), ('d', 5, '5'), ('e', 10, 'ночь'), ('a', 1, 'admin'), ('a', 2, 'ann@example.org'),
    ('a', 4, 'Ann@example.org'), ('a', 5, E'a\nb')) AS w (kind, n, word);
UPDATE deskguard.agent SET external_key = word FROM test.word WHERE kind = 'a' AND n = id;
UPDATE deskguard.team SET external_key = word FROM test.word WHERE kind = 'e' AND n = id;
UPDATE deskguard.department SET external_key = word FROM test.word WHERE kind = 'd' AND n = id;
UPDATE deskguard.category SET external_key = word FROM test.word WHERE kind = 'c' AND n = id;
CREATE FUNCTION test.word(key text) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce((SELECT word FROM test.word WHERE test.key(kind, n)::text = key), key)
$$;
GRANT SELECT ON test.word TO PUBLIC;
ALTER TABLE words.ticket DISABLE TRIGGER USER;
UPDATE words.ticket SET department_id = test.word(department_id), category_id = test.word(category_id), assignee_id = test.word(assignee_id),
    team_id = test.word(team_id);
ALTER TABLE words.ticket ENABLE TRIGGER USER;
UPDATE words.ticket_follower SET agent_id = test.word(agent_id);
UPDATE words.message SET author_id = test.word(author_id);
SET SESSION AUTHORIZATION regress_app;
CREATE FUNCTION pg_temp.seen(agent bigint, query text) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    one text;
    result text[];
    folding text;
BEGIN
    PERFORM deskguard.set_agent(agent, true);
    FOREACH folding IN ARRAY ARRAY['on 300', 'on 0', 'off 300'] LOOP
        PERFORM set_config('deskguard.fold', split_part(folding, ' ', 1), true), set_config('deskguard.fold_limit', split_part(folding, ' ', 2), true);
        EXECUTE query INTO one;
        result := result || one;
    END LOOP;
    RETURN result;
END $$;
SELECT agent, numbers[1], numbers IS NOT DISTINCT FROM words AND numbers[1] = ALL (numbers) IS NOT FALSE AS the_same, keys
FROM generate_series(1, 5) AS agent, LATERAL (SELECT
    pg_temp.seen(agent, 'SELECT string_agg(id::text, '' '' ORDER BY id) FROM desk.ticket') AS numbers,
    pg_temp.seen(agent, 'SELECT string_agg(ltrim(right(id, 3), ''0''), '' '' ORDER BY id) FROM words.ticket') AS words,
    pg_temp.seen(agent, 'SELECT count(*) FROM keys.ticket') AS keys) AS seen;
SELECT deskguard.set_agent(2, false);
SELECT word, test.attempt_only(format('INSERT INTO words.ticket (id, department_id, category_id) VALUES (''new'', %L, %L)', word, 'NULL')) AS as_department,
    test.attempt_only(format('INSERT INTO words.ticket (id, department_id, category_id) VALUES (''new'', %L, %L)', 'EU', word)) AS as_category
FROM test.word WHERE kind IN ('c', 'd') ORDER BY word COLLATE "C";
SELECT word, test.attempt_only(format('INSERT INTO words.message (id, ticket_id, author_id) SELECT ''new'', id, %L FROM words.ticket WHERE subject = ''EU, unassigned''', word)) AS as_author
FROM test.word WHERE kind = 'a' ORDER BY word COLLATE "C";
RESET deskguard.agent_id;
RESET SESSION AUTHORIZATION;
SELECT test.explained(2, id, 'words.ticket') FROM words.ticket WHERE subject = 'EU, Personnel';
UPDATE deskguard.agent SET external_key = test.key('a', id);
UPDATE deskguard.team SET external_key = test.key('e', id);
UPDATE deskguard.department SET external_key = test.key('d', id);
UPDATE deskguard.category SET external_key = test.key('c', id);

-- A change counts at once, for kept plans, too: of each table, and taken back.
SET SESSION AUTHORIZATION regress_app;
SELECT deskguard.set_agent(2, false);
SET plan_cache_mode = force_generic_plan;
PREPARE seen AS SELECT string_agg(ltrim(right(id::text, 3), '0'), ' ' ORDER BY id) FROM keys.ticket;
PREPARE one (uuid) AS SELECT count(*) AS one FROM keys.ticket WHERE id = $1;
EXECUTE seen;
EXECUTE one (test.key('f', 1));
RESET SESSION AUTHORIZATION;
BEGIN;
UPDATE deskguard.category SET external_key = 'nothing' WHERE id = 1;
SET LOCAL SESSION AUTHORIZATION regress_app;
EXECUTE seen;
EXECUTE one (test.key('f', 1));
ROLLBACK;
BEGIN;
UPDATE deskguard.category SET external_key = NULL WHERE id = 2;
UPDATE deskguard.category SET external_key = test.key('c', 2) WHERE id = 3;
SET LOCAL SESSION AUTHORIZATION regress_app;
EXECUTE seen;
ROLLBACK;
BEGIN;
UPDATE deskguard.department SET external_key = NULL WHERE id = 2;
SET LOCAL SESSION AUTHORIZATION regress_app;
EXECUTE seen;
EXECUTE one (test.key('f', 1));
ROLLBACK;
BEGIN;
UPDATE deskguard.team SET external_key = NULL;
SET LOCAL SESSION AUTHORIZATION regress_app;
EXECUTE seen;
ROLLBACK;
BEGIN;
UPDATE deskguard.agent SET external_key = NULL WHERE id IN (2, 5);
UPDATE deskguard.agent SET external_key = test.key('a', 5) WHERE id = 2;
SET LOCAL SESSION AUTHORIZATION regress_app;
EXECUTE seen;
ROLLBACK;
BEGIN;
DELETE FROM deskguard.category WHERE id = 1;
INSERT INTO deskguard.category VALUES (31, 'Networking', test.key('c', 1));
SET LOCAL SESSION AUTHORIZATION regress_app;
EXECUTE seen;
ROLLBACK;
BEGIN;
TRUNCATE deskguard.team CASCADE;
SET LOCAL SESSION AUTHORIZATION regress_app;
EXECUTE seen;
ROLLBACK;
SET SESSION AUTHORIZATION regress_app;
EXECUTE seen;
EXECUTE one (test.key('f', 1));
-- A cursor keeps to what was when it was opened, also where it asks by calls.
BEGIN;
SET LOCAL deskguard.fold_limit = 0;
DECLARE c CURSOR FOR SELECT count(*) FROM keys.ticket;
SET LOCAL deskguard.fold = off;
DECLARE d CURSOR FOR SELECT count(*) FROM keys.ticket;
RESET SESSION AUTHORIZATION;
UPDATE deskguard.category SET external_key = NULL;
SET LOCAL SESSION AUTHORIZATION regress_app;
FETCH c;
FETCH d;
SELECT count(*) FROM keys.ticket;
ROLLBACK;
DEALLOCATE ALL;
RESET plan_cache_mode;
RESET deskguard.agent_id;
RESET SESSION AUTHORIZATION;

-- Things that are shared.
SET ROLE regress_owner;
CREATE TABLE keys.response (id uuid PRIMARY KEY, owner_id uuid, body text);
CREATE TABLE words.response (id varchar(40) PRIMARY KEY, owner_id text, body text);
CREATE TABLE desk.response (id integer PRIMARY KEY, owner_id smallint, body text);
INSERT INTO desk.response SELECT g, CASE WHEN g < 5 THEN 2 WHEN g < 8 THEN 4 WHEN g = 8 THEN 99 END, 'response ' || g FROM generate_series(1, 9) AS g;
INSERT INTO keys.response SELECT test.key('b', id), test.key('a', owner_id), body FROM desk.response;
INSERT INTO words.response TABLE keys.response;
SELECT deskguard.protect_shared(s || '.response', owner_column => 'owner_id') FROM unnest(ARRAY['desk', 'keys', 'words']) AS s;
SELECT p.* FROM test.protection('keys.response') AS p;
SELECT p.* FROM test.protection('words.response') AS p;
RESET ROLE;
SET ROLE regress_ann;
SELECT deskguard.share('desk.response', 1, agent_id => 4), deskguard.share('desk.response', 2, group_id => 100),
    deskguard.share('desk.response', '3', everyone => true);
SELECT deskguard.share('keys.response', test.key('b', 1), agent_id => 4), deskguard.share('keys.response', test.key('b', 2)::text, group_id => 100),
    deskguard.share('keys.response', 'B0000000-0000-0000-0000-000000000003', everyone => true);
SELECT deskguard.share('keys.response', test.key('b', 3), everyone => true);
SELECT deskguard.share('words.response', test.key('b', 1), agent_id => 4), deskguard.share('words.response', test.key('b', 2)::text, group_id => 100),
    deskguard.share('words.response', 'b0000000-0000-0000-0000-000000000003', everyone => true);
SELECT arguments, split_part(test.attempt_only('SELECT deskguard.share(' || arguments || ')'), E'\n', 1) AS share,
    left(test.attempt_only('SELECT deskguard.unshare(' || arguments || ')'), 7) AS unshare
FROM unnest(ARRAY[
    $$'keys.response', 1, 100$$,
    $$'keys.response', 'x', 100$$,
    $$'keys.response', NULL, 100$$,
    $$'keys.response', NULL::uuid, 100$$,
    $$'keys.response', test.key('b', 5), 100$$,
    $$'keys.response', test.key('b', 8), 100$$,
    $$'keys.response', test.key('b', 404), 100$$,
    $$'keys.response', test.key('b', 1)$$,
    $$'keys.response', test.key('b', 1), 999$$,
    $$'keys.ticket', test.key('f', 1), 100$$,
    $$'words.response', 1, 100$$,
    $$'words.response', 'B0000000-0000-0000-0000-000000000001', 100$$,
    $$'desk.response', test.key('b', 1), 100$$,
    $$'desk.response', '1x', 100$$,
    $$'desk.response', ' 1', 100$$,
    $$'desk.response', '99999999999999999999', 100$$,
    $$'desk.response', 1.5, 100$$]) AS arguments;
RESET ROLE;
CREATE VIEW test.visibility AS
SELECT object_table, object_id, object_key, group_id, agent_id, everyone FROM deskguard.shared_visibility
ORDER BY object_table::text COLLATE "C", object_id, object_key, group_id, agent_id;
SELECT * FROM test.visibility;
SET SESSION AUTHORIZATION regress_app;
SELECT command, test.for_each_agent(command) AS outcomes FROM unnest(ARRAY[
    'SELECT FROM {s}.response',
    'SELECT FROM {s}.response WHERE id = {b2}',
    'SELECT FROM {s}.response WHERE id IN ({b1}, {b2}, {b3}, {b4}) FOR UPDATE',
    'INSERT INTO {s}.response VALUES ({b20}, {a2})',
    'INSERT INTO {s}.response VALUES ({b20}, {a99})',
    'INSERT INTO {s}.response VALUES ({b20}, NULL)',
    'UPDATE {s}.response SET body = ''x''',
    'UPDATE {s}.response SET owner_id = {a4} WHERE id = {b4}',
    'UPDATE {s}.response SET owner_id = {a99} WHERE id = {b4}',
    'DELETE FROM {s}.response WHERE id = {b3}',
    'SELECT deskguard.share(''{s}.response'', {b4}, everyone => true)',
    'SELECT deskguard.unshare(''{s}.response'', {b3}, everyone => true)']) AS command;
RESET SESSION AUTHORIZATION;
SELECT row, test.attempt_only('INSERT INTO deskguard.shared_visibility (object_table, object_id, object_key, everyone) VALUES ' || row)
FROM unnest(ARRAY[
    $$('keys.response', NULL, NULL, true)$$,
    $$('keys.response', 1, test.key('b', 1), true)$$,
    $$('keys.response', NULL, test.key('b', 1), true)$$,
    $$('keys.response', NULL, test.key('b', 3), true)$$,
    $$('desk.response', 4, NULL, true)$$]) AS row;
-- A key that the table cannot have shares nothing, nor does a number, and uuid count as PostgreSQL prints them.
BEGIN;
INSERT INTO deskguard.shared_visibility (object_table, object_id, object_key, agent_id) VALUES
    ('keys.response', NULL, 'B0000000-0000-0000-0000-000000000004', 5), ('keys.response', NULL, 'nonsense', 5), ('keys.response', 4, NULL, 5),
    ('words.response', NULL, 'B0000000-0000-0000-0000-000000000004', 5), ('words.response', 4, NULL, 5), ('desk.response', NULL, '4', 5);
SET LOCAL SESSION AUTHORIZATION regress_app;
SELECT test.for_each_agent('SELECT FROM {s}.response WHERE owner_id = {a2}');
RESET SESSION AUTHORIZATION;
ROLLBACK;
-- What is gone is not shared; the id of what is shared stays.
SET ROLE regress_ann;
SELECT s, test.attempt(format('UPDATE %s.response SET id = replace(id::text, ''-0000-'', ''-1111-'')::%s WHERE body = ''response 2''', s, type)) AS shared,
    test.attempt_only(format('UPDATE %s.response SET id = replace(id::text, ''-0000-'', ''-1111-'')::%s WHERE body = ''response 4''', s, type)) AS not_shared
FROM (VALUES ('keys', 'uuid'), ('words', 'text')) AS t (s, type);
DELETE FROM keys.response WHERE id = test.key('b', 3);
INSERT INTO keys.response VALUES (test.key('b', 3), test.key('a', 2), 'another');
DELETE FROM words.response WHERE id = test.key('b', 3)::text;
SELECT deskguard.unshare('keys.response', test.key('b', 1), agent_id => 4);
SELECT deskguard.unshare('words.response', test.key('b', 1), agent_id => 4);
RESET ROLE;
SELECT * FROM test.visibility WHERE object_key IS NOT NULL;
TRUNCATE keys.response;
SELECT object_table, count(*) FROM test.visibility GROUP BY 1 ORDER BY object_table::text COLLATE "C";

-- The functions of policies and plans, called by anybody with keys of another kind: they give nothing away.
SET ROLE regress_ann;
SELECT f, split_part(test.attempt('SELECT 1 WHERE deskguard_internal.' || f), E'\n', 1) AS outcome
FROM unnest(ARRAY[
    $$followed('desk.ticket', 6)$$, $$followed('desk.ticket', '6')$$, $$followed('desk.ticket', test.key('f', 6))$$,
    $$followed('keys.ticket', test.key('f', 6))$$, $$followed('keys.ticket', 6)$$, $$followed('keys.ticket', 'nonsense')$$,
    $$followed('keys.ticket', test.key('f', 6)::text)$$, $$followed('words.ticket', test.key('f', 6)::text)$$,
    $$followed('words.ticket', test.key('f', 6))$$, $$followed('words.ticket', 6::smallint)$$, $$followed('keys.response', test.key('f', 6))$$,
    $$followed(NULL, test.key('f', 6))$$, $$followed('keys.ticket', NULL::uuid)$$,
    $$parent_seen('keys.message', test.key('f', 4))$$, $$parent_seen('keys.message', 4)$$, $$parent_seen('keys.message', 'nonsense')$$,
    $$parent_seen('desk.message', test.key('f', 4))$$, $$parent_seen('words.message', 4)$$, $$parent_seen('words.message', test.key('f', 4))$$,
    $$parent_reply_ok('keys.message', 'nonsense')$$, $$parent_edit_ok('keys.attachment', 4)$$, $$parent_edit_ok('words.attachment', test.key('b', 4)::text)$$,
    $$new_message_ok('keys.message', 4, 2)$$, $$new_message_ok('keys.message', 'nonsense', 2)$$, $$follower_ok('keys.ticket_follower', 1, 2)$$,
    $$follower_ok('keys.ticket_follower', 'nonsense', 2)$$, $$follower_ok('desk.ticket_follower', test.key('f', 1), 2)$$,
    $$view_ok('keys.ticket', 4, 2, 2, NULL, false)$$, $$view_ok('keys.ticket', 'nonsense', 2, 2, NULL, false)$$,
    $$view_ok('desk.ticket', 'nonsense', 2, 2, NULL, false)$$, $$view_ok('keys.ticket', test.key('f', 6), -9223372036854775808, 5, NULL, false)$$,
    $$silo_ok('keys.ticket', -9223372036854775808)$$, $$update_ok('keys.ticket', 4, 2, 'open')$$, $$update_ok('keys.ticket', 'nonsense', 2, 'open')$$,
    $$shared_with('keys.response', 1)$$, $$shared_with('keys.response', 'nonsense')$$, $$shared_with('desk.response', test.key('b', 1))$$,
    $$shared_seen('keys.response', 2, 4)$$, $$shared_seen('keys.response', 'nonsense', 4)$$, $$shared_seen('keys.response', test.key('b', 2), -9223372036854775808)$$,
    $$shared_ok('keys.response', -9223372036854775808)$$, $$has_category('nonsense')$$, $$has_category(test.key('c', 99))$$,
    $$has_category(test.key('c', 1))$$, $$has_department(test.key('d', 3)::text)$$, $$in_team(test.key('e', 10))$$, $$in_team(-9223372036854775808)$$]) AS f;
SELECT f, test.attempt('SELECT * FROM unnest(deskguard_internal.' || f || ')') AS outcome
FROM unnest(ARRAY[
    $$followed_tickets('desk.ticket')$$, $$followed_tickets('keys.ticket')$$, $$followed_tickets_uuid('keys.ticket')$$, $$followed_tickets_text('keys.ticket')$$,
    $$followed_tickets_uuid('desk.ticket')$$, $$followed_tickets_text('words.ticket')$$, $$followed_tickets_uuid(NULL)$$,
    $$visible_parents('keys.message')$$, $$visible_parents_uuid('keys.message')$$, $$visible_parents_text('keys.message')$$, $$visible_parents_uuid('desk.message')$$,
    $$visible_parents_text('words.attachment')$$, $$editable_parents('words.message')$$, $$editable_parents_text('words.message')$$,
    $$editable_parents_uuid('keys.response')$$, $$shared_objects('keys.response')$$, $$shared_objects_uuid('keys.response')$$, $$shared_objects_text('keys.response')$$,
    $$shared_objects_uuid('desk.response')$$, $$shared_objects_uuid('keys.ticket')$$]) AS f;
RESET ROLE;

-- What cannot be protected.
SET ROLE regress_owner;
CREATE DOMAIN keys.a_domain AS uuid;
CREATE COLLATION keys.loose FROM "C";
RESET ROLE;
-- (Only ICU has such collations, and not every PostgreSQL has ICU.)
UPDATE pg_collation SET collisdeterministic = false WHERE collname = 'loose';
SET ROLE regress_owner;
CREATE TABLE keys.odd (
    id uuid, number int, word text, loose text COLLATE keys.loose, "char" char(8), one "char", day date, price numeric, bytes bytea, name name,
    dom keys.a_domain, list uuid[], json jsonb);
CREATE TABLE keys.odd_child (id uuid, number int, word varchar, uuid uuid, loose varchar COLLATE keys.loose);
CREATE TABLE keys.two (id uuid, n int, ticket_id uuid, PRIMARY KEY (id, n));
CREATE TABLE keys.dated (id date PRIMARY KEY, ticket_id uuid);
SELECT arguments, test.attempt_only('SELECT deskguard.' || arguments)
FROM unnest(ARRAY[
    $$protect_tickets('keys.odd', department_column => 'char')$$,
    $$protect_tickets('keys.odd', department_column => 'one')$$,
    $$protect_tickets('keys.odd', department_column => 'day')$$,
    $$protect_tickets('keys.odd', category_column => 'price')$$,
    $$protect_tickets('keys.odd', category_column => 'bytes')$$,
    $$protect_tickets('keys.odd', assignee_column => 'name')$$,
    $$protect_tickets('keys.odd', assignee_column => 'dom')$$,
    $$protect_tickets('keys.odd', team_column => 'list')$$,
    $$protect_tickets('keys.odd', team_column => 'json')$$,
    $$protect_tickets('keys.odd', 'day', 'word')$$,
    $$protect_tickets('keys.odd', department_column => 'loose')$$,
    $$protect_tickets('keys.odd', 'loose', 'word')$$,
    $$protect_tickets('keys.odd', assignee_column => 'word', unassigned_value => 0)$$,
    $$protect_tickets('keys.odd', team_column => 'word', unassigned_value => 0)$$,
    $$protect_tickets('keys.odd', 'word', 'id', 'number', 'word')$$,
    $$protect_tickets('keys.odd', 'id', 'word', follower_table => 'keys.odd_child', follower_ticket_column => 'number', follower_agent_column => 'word')$$,
    $$protect_tickets('keys.odd', 'id', 'word', follower_table => 'keys.odd_child', follower_ticket_column => 'word', follower_agent_column => 'number')$$,
    $$protect_tickets('keys.odd', 'number', 'word', follower_table => 'keys.odd_child', follower_ticket_column => 'id', follower_agent_column => 'word')$$,
    $$protect_tickets('keys.odd', 'word', 'id', follower_table => 'keys.odd_child', follower_ticket_column => 'id', follower_agent_column => 'word')$$,
    $$protect_tickets('keys.odd', 'word', 'id', follower_table => 'keys.odd_child', follower_ticket_column => 'loose', follower_agent_column => 'word')$$,
    $$protect_tickets('keys.odd', 'word', 'id', follower_table => 'keys.odd_child', follower_ticket_column => 'word', follower_agent_column => 'loose')$$,
    $$protect_tickets('keys.odd', 'word', 'id', follower_table => 'keys.odd_child', follower_ticket_column => 'word', follower_agent_column => 'number')$$,
    $$protect_messages('keys.odd_child', 'keys.ticket', 'number')$$,
    $$protect_messages('keys.odd_child', 'keys.ticket', 'word')$$,
    $$protect_messages('keys.odd_child', 'words.ticket', 'uuid')$$,
    $$protect_messages('keys.odd_child', 'words.ticket', 'loose')$$,
    $$protect_messages('keys.odd_child', 'desk.ticket', 'uuid')$$,
    $$protect_messages('keys.odd_child', 'keys.message', 'word')$$,
    $$protect_messages('keys.odd', 'keys.ticket', 'id', author_column => 'day')$$,
    $$protect_messages('keys.odd', 'keys.ticket', 'id', author_column => 'loose')$$,
    $$protect_messages('keys.odd', 'keys.ticket', 'id', author_column => 'number')$$,
    $$protect_shared('keys.odd', 'char')$$,
    $$protect_shared('keys.odd', 'loose')$$,
    $$protect_shared('keys.odd', 'id', 'char')$$,
    $$protect_shared('keys.odd', 'id', 'loose')$$,
    $$protect_shared('keys.odd', 'id', 'number')$$]) AS arguments;
SELECT * FROM test.protection('keys.odd');
-- The rows of a message table belong to it by a key of one column that can be compared.
SELECT deskguard.protect_messages('keys.two', 'keys.ticket'), deskguard.protect_messages('keys.dated', 'keys.ticket');
SELECT test.attempt_only($$SELECT deskguard.protect_messages('keys.odd', 'keys.two', 'id')$$),
    test.attempt_only($$SELECT deskguard.protect_messages('keys.odd', 'keys.dated', 'id')$$);
-- The type of a column that is in use stays.
SELECT test.attempt('ALTER TABLE keys.ticket ALTER category_id TYPE text'),
    test.attempt('ALTER TABLE words.ticket ALTER department_id TYPE varchar(50)');
-- By which attachments belong to messages, no policy says.
SELECT test.attempt('ALTER TABLE keys.message ALTER id TYPE text');
RESET ROLE;

-- Names that have to be quoted, keys of different kinds in one table, partitions.
SET ROLE regress_owner;
CREATE TABLE keys."Ti'cket ""x""; --" ("the id" varchar(10), "De'p" uuid, "c""at" text, "WHO" bigint, "tea\m" smallint) PARTITION BY LIST ("c""at");
CREATE TABLE keys."part '1'" PARTITION OF keys."Ti'cket ""x""; --" FOR VALUES IN ('c0000000-0000-0000-0000-000000000001', 'x');
CREATE TABLE keys."fol'lower" ("a ticket" text, "an agent" uuid);
CREATE TABLE keys."mes""sage" ("'id'" uuid PRIMARY KEY, "the ticket" text, "by" varchar);
SELECT deskguard.protect_tickets('keys."Ti''cket ""x""; --"', 'the id', 'De''p', 'c"at', 'WHO', 'tea\m', 'keys."fol''lower"', 'a ticket', 'an agent', 0);
CREATE TABLE keys.part_2 PARTITION OF keys."Ti'cket ""x""; --" DEFAULT;
SELECT deskguard.protect_messages('keys."mes""sage"', 'keys."Ti''cket ""x""; --"', 'the ticket', 'by');
SELECT definition FROM test.protection('keys.part_2') WHERE what = 'policy';
SELECT definition FROM test.protection('keys."fol''lower"') WHERE what = 'policy';
SELECT definition FROM test.protection('keys."mes""sage"') WHERE what = 'policy';
RESET ROLE;
INSERT INTO keys."Ti'cket ""x""; --" VALUES
    ('EU', test.key('d', 2), test.key('c', 1), 0, NULL), ('Ann''s', test.key('d', 4), test.key('c', 1), 2, NULL),
    ('night', test.key('d', 4), test.key('c', 2), 0, 10), ('followed', test.key('d', 4), test.key('c', 2), 5, NULL),
    ('Sales', test.key('d', 4), test.key('c', 2), 0, NULL), ('x', test.key('d', 2), 'x', 2, NULL), ('no', NULL, NULL, NULL, NULL);
INSERT INTO keys."fol'lower" VALUES ('followed', test.key('a', 2)), ('Sales', test.key('a', 99));
INSERT INTO keys."mes""sage" SELECT test.key('b', row_number() OVER (ORDER BY "the id")), "the id", 'x' FROM keys."Ti'cket ""x""; --";
SET ROLE regress_ann;
SELECT * FROM test.tried(ARRAY[
    $$SELECT FROM keys."Ti'cket ""x""; --"$$,
    $$SELECT FROM keys."part '1'"$$,
    $$SELECT FROM keys.part_2$$,
    $$SELECT FROM keys."fol'lower"$$,
    $$SELECT FROM keys."mes""sage"$$,
    $$UPDATE keys."Ti'cket ""x""; --" SET "WHO" = 2$$,
    $$UPDATE keys."Ti'cket ""x""; --" SET "c""at" = test.key('c', 2)$$,
    $$UPDATE keys."Ti'cket ""x""; --" SET "De'p" = test.key('d', 4) WHERE "the id" = 'EU' RETURNING *$$,
    $$INSERT INTO keys."mes""sage" VALUES (test.key('b', 50), 'EU', test.key('a', 2))$$,
    $$INSERT INTO keys."mes""sage" VALUES (test.key('b', 50), 'Sales', test.key('a', 2))$$]);
RESET ROLE;
SELECT test.explained(2, 'x', 'keys."Ti''cket ""x""; --"');
SELECT k FROM deskguard.visible_ticket_keys(2, 'keys."Ti''cket ""x""; --"') AS k ORDER BY k COLLATE "C";
SET ROLE regress_owner;
ALTER TABLE keys."Ti'cket ""x""; --" RENAME "c""at" TO cat;
ALTER TABLE keys."Ti'cket ""x""; --" RENAME TO renamed;
RESET ROLE;
SELECT deskguard.agent_can_view(2, 'EU', 'keys.renamed'), deskguard.agent_can_view(2, 'x', 'keys.renamed');

-- Unprotected: as before.
SET ROLE regress_owner;
SELECT deskguard.unprotect(t::regclass) FROM unnest(ARRAY['keys."mes""sage"', 'keys.renamed', 'keys.two', 'keys.dated', 'keys.attachment', 'words.attachment',
    'keys.message', 'words.message', 'keys.ticket', 'words.ticket', 'keys.response', 'words.response']) AS t;
RESET ROLE;
SELECT c.oid::regclass AS of, p.* FROM pg_class AS c, test.protection(c.oid) AS p
WHERE relnamespace IN ('keys'::regnamespace, 'words'::regnamespace) AND p.definition <> 'row security f, forced f';
SELECT count(*) AS traces FROM pg_depend AS d JOIN pg_class AS c ON c.oid IN (d.objid, d.refobjid)
WHERE relnamespace IN ('keys'::regnamespace, 'words'::regnamespace) AND 'pg_policy'::regclass IN (d.classid, d.refclassid);
SELECT table_id, kind FROM deskguard.protected_table ORDER BY table_id::text COLLATE "C";
SELECT object_table, count(*) FROM test.visibility GROUP BY 1;
-- Now there is one table only, and ids of no table given are its.
SELECT deskguard.agent_can_view(2, 4), deskguard.agent_can_view(2, '4'), test.attempt($$SELECT deskguard.agent_can_view(2, test.key('f', 4))$$),
    (SELECT count(*) FROM deskguard.visible_ticket_keys(2)) = (SELECT count(*) FROM deskguard.visible_tickets(2)) AS the_same;
DROP VIEW test.visibility;
DROP SCHEMA keys CASCADE;
DROP SCHEMA words CASCADE;
DROP TABLE test.word;
DROP FUNCTION test.key, test.everywhere, test.for_each_agent, test.as_agent, test.explained, test.word;
