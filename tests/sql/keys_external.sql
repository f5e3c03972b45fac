-- external_key: what columns that are uuid, text or varchar call agents, teams, departments and categories.
SET client_min_messages = warning;
SELECT test.reset_keys();

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
SELECT test.explained_in(2, test.key('f', 4)::text, 'keys.ticket');
SELECT test.explained_in(2, '4', 'desk.ticket');
UPDATE deskguard.agent SET external_key = test.key('a', 2) WHERE id = 2;
UPDATE deskguard.category SET external_key = NULL WHERE id = 1;
UPDATE deskguard.team SET external_key = NULL;
UPDATE deskguard.department SET external_key = NULL WHERE id = 3;
SET SESSION AUTHORIZATION regress_app;
SELECT test.everywhere_for_each_agent('SELECT FROM {s}.ticket WHERE category_id = {c1}') AS category,
    test.everywhere_for_each_agent('SELECT FROM {s}.ticket WHERE team_id = {e10}') AS team,
    test.everywhere_for_each_agent('SELECT FROM {s}.ticket WHERE department_id = {d3}') AS department;
RESET SESSION AUTHORIZATION;
-- Only as PostgreSQL prints it, in each way to ask.
UPDATE deskguard.category SET external_key = 'C0000000-0000-0000-0000-000000000001' WHERE id = 1;
UPDATE deskguard.team SET external_key = '{e0000000000000000000000000000010}';
UPDATE deskguard.department SET external_key = 'Berlin' WHERE id = 3;
SET SESSION AUTHORIZATION regress_app;
SELECT test.everywhere_for_each_agent('SELECT FROM {s}.ticket WHERE category_id = {c1}') AS category,
    test.everywhere_for_each_agent('SELECT FROM {s}.ticket WHERE team_id = {e10}') AS team,
    test.everywhere_for_each_agent('SELECT FROM {s}.ticket WHERE department_id = {d3}') AS department;
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
SELECT test.explained_in(2, id, 'words.ticket') FROM words.ticket WHERE subject = 'EU, Personnel';

DROP TABLE test.word;
DROP FUNCTION test.word;

DROP SCHEMA keys, words CASCADE;
