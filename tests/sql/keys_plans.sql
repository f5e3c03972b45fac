-- Plans with keys that are uuid, text or varchar: literals of the column's own type, so that its index is used.
SET client_min_messages = warning;
SELECT test.reset();
CREATE SCHEMA keys AUTHORIZATION regress_owner;
GRANT USAGE ON SCHEMA keys TO PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE regress_owner IN SCHEMA keys GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO PUBLIC;

-- 1,000 categories of skewed size, 40 departments, some of which are below others; most tickets are unassigned.
INSERT INTO deskguard.category SELECT g, 'Category ' || g FROM generate_series(4, 1000) AS g;
INSERT INTO deskguard.department SELECT g, 'Department ' || g, CASE WHEN g % 10 IN (1, 2) THEN g / 10 * 10 END FROM generate_series(100, 139) AS g ORDER BY g;
INSERT INTO deskguard.agent (id, name) VALUES (20, 'Narrow'), (21, 'Wide'), (22, 'Team'), (23, 'All departments'), (24, 'Closed'), (25, 'No key');
INSERT INTO deskguard.team VALUES (30, 'Team');
INSERT INTO deskguard.team_member VALUES (30, 22), (30, 25);
INSERT INTO deskguard.permission_group (name, category_access, department_access) VALUES
    ('Everywhere', 'silo', 'all'), ('Open', 'open', 'granted'), ('All departments', 'open', 'all');
INSERT INTO deskguard.group_permission SELECT g, p FROM generate_series(101, 103) AS g,
    unnest(ARRAY['ticket.use', 'ticket.view.unassigned', 'ticket.view.assigned', 'ticket.modify.own', 'ticket.edit_messages.own']) AS p;
DELETE FROM deskguard.group_permission WHERE group_id = 102 AND permission = 'ticket.view.assigned';
INSERT INTO deskguard.group_member VALUES (101, 20), (101, 21), (101, 24), (102, 22), (103, 23), (102, 25);
INSERT INTO deskguard.agent_category SELECT 20, g FROM unnest(ARRAY[500, 900]) AS g;
INSERT INTO deskguard.agent_category SELECT 21, g FROM generate_series(1, 800) AS g;
INSERT INTO deskguard.agent_department VALUES (22, 110, 'full'), (25, 110, 'full');
UPDATE deskguard.agent SET external_key = test.key('a', id) WHERE id <> 25;
UPDATE deskguard.team SET external_key = test.key('e', id);
UPDATE deskguard.department SET external_key = test.key('d', id);
UPDATE deskguard.category SET external_key = test.key('c', id);

SELECT setseed(0.5);
SET ROLE regress_owner;
CREATE TABLE keys.big (id uuid PRIMARY KEY, status text, dep uuid, cat uuid, assignee uuid, team uuid);
INSERT INTO keys.big
SELECT test.key('f', g), (ARRAY['open', 'closed'])[1 + g % 2], test.key('d', 100 + g % 40), test.key('c', 1 + floor(1000 * random() ^ 3)::bigint),
    CASE WHEN g % 4 = 0 THEN test.key('a', g % 499) END, CASE WHEN g % 5 = 0 THEN test.key('e', g % 97) END
FROM generate_series(1, 20000) AS g;
CREATE TABLE keys.follower (ticket_id uuid, agent_id uuid, PRIMARY KEY (agent_id, ticket_id));
CREATE INDEX ON keys.follower (ticket_id);
INSERT INTO keys.follower SELECT test.key('f', g * 31), test.key('a', 22) FROM generate_series(1, 10) AS g;
CREATE TABLE keys.big_message (id uuid PRIMARY KEY, ticket_id uuid, body text);
-- As they came in, so that an index scan is no close choice; and few enough for statistics of all.
INSERT INTO keys.big_message SELECT test.key('b', g), test.key('f', (g + 1) / 2), 'body' FROM generate_series(1, 20000) AS g;
CREATE INDEX ON keys.big_message (ticket_id);
-- An index has the collation of its column.
CREATE TABLE keys.words (
    id text COLLATE "C" PRIMARY KEY, status text, dep varchar(40), cat varchar(60) COLLATE "C", assignee text COLLATE "POSIX", team varchar);
INSERT INTO keys.words TABLE keys.big;
DO $$
DECLARE
    relation text;
    indexed text;
BEGIN
    FOREACH relation IN ARRAY ARRAY['big', 'words'] LOOP
        FOREACH indexed IN ARRAY ARRAY['dep', 'cat', 'assignee', 'team'] LOOP
            EXECUTE format('CREATE INDEX ON keys.%I (%I)', relation, indexed);
        END LOOP;
    END LOOP;
END $$;
ANALYZE keys.big, keys.words, keys.big_message;
SELECT deskguard.protect_tickets('keys.big', department_column => 'dep', category_column => 'cat', assignee_column => 'assignee', team_column => 'team');
SELECT deskguard.protect_tickets('keys.words', department_column => 'dep', category_column => 'cat', assignee_column => 'assignee', team_column => 'team');
SELECT deskguard.protect_messages('keys.big_message', 'keys.big');
RESET ROLE;
CREATE FUNCTION test.plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE 'EXPLAIN (COSTS OFF) ' || query;
END $$;
-- What an agent sees of a table with literals, with calls and without folding; and does the planner know how many rows?
CREATE FUNCTION test.compared(of text, agent bigint) RETURNS TABLE (rows bigint[], estimates_are_good boolean[]) LANGUAGE plpgsql AS $$
DECLARE
    folding text;
    plan json;
    one bigint;
BEGIN
    PERFORM deskguard.set_agent(agent);
    FOREACH folding IN ARRAY ARRAY['on 1000', 'on 0', 'off 1000'] LOOP
        PERFORM set_config('deskguard.fold', split_part(folding, ' ', 1), true), set_config('deskguard.fold_limit', split_part(folding, ' ', 2), true);
        EXECUTE 'EXPLAIN (FORMAT JSON) SELECT * FROM ' || of INTO plan;
        EXECUTE 'SELECT count(*) FROM ' || of INTO one;
        rows := rows || one;
        IF folding LIKE 'on %' THEN
            estimates_are_good := estimates_are_good || ((plan -> 0 -> 'Plan' ->> 'Plan Rows')::numeric / one BETWEEN 0.5 AND 2);
        END IF;
    END LOOP;
    RETURN NEXT;
END $$;

\c - regress_app
SET max_parallel_workers_per_gather = 0;
-- The category by its index.
SELECT deskguard.set_agent(20, false);
SELECT test.plan('SELECT * FROM keys.big');
SELECT test.plan('SELECT * FROM keys.words');
-- The same as by hand.
RESET deskguard.agent_id;
\c - postgres
SET max_parallel_workers_per_gather = 0;
SELECT test.plan($$SELECT * FROM keys.big WHERE cat IN ('c0000000-0000-0000-0000-000000000500', 'c0000000-0000-0000-0000-000000000900')$$);
\c - regress_app
SET max_parallel_workers_per_gather = 0;
-- Own, team, and unassigned ones of a department with its descendants: each by its index.
SELECT deskguard.set_agent(22, false);
SELECT test.plan('SELECT * FROM keys.big');
SELECT test.plan('SELECT * FROM keys.words');
SELECT test.plan('UPDATE keys.big SET status = ''closed''');
-- Who has no key has nothing of its own; its team has.
SELECT deskguard.set_agent(25, false);
SELECT test.plan('SELECT * FROM keys.big');
-- All tickets, none, nobody: decided.
SELECT deskguard.set_agent(23, false);
SELECT test.plan('SELECT * FROM keys.big');
SELECT test.plan('DELETE FROM keys.words');
SELECT deskguard.set_agent(24, false);
SELECT test.plan('SELECT * FROM keys.big');
RESET deskguard.agent_id;
SELECT test.plan('SELECT * FROM keys.words');
-- By key, calls: one plan serves every agent.
SELECT deskguard.set_agent(22, false);
SELECT test.plan('SELECT * FROM keys.big WHERE id = ''f0000000-0000-0000-0000-000000000060''');
SELECT test.plan('SELECT * FROM keys.words WHERE id = ''f0000000-0000-0000-0000-000000000060''');
SET plan_cache_mode = force_generic_plan;
PREPARE by_key (uuid) AS SELECT id, dep FROM keys.big WHERE id = $1;
EXECUTE by_key (test.key('f', 11));
SELECT deskguard.set_agent(20, false);
EXECUTE by_key (test.key('f', 11));
SELECT deskguard.set_agent(23, false);
EXECUTE by_key (test.key('f', 11));
SELECT generic_plans FROM pg_prepared_statements WHERE name = 'by_key';
DEALLOCATE ALL;
RESET plan_cache_mode;

-- Beyond the limit a call, for which the index serves, too.
SELECT deskguard.set_agent(20, false);
SET deskguard.fold_limit = 1;
SELECT test.plan('SELECT * FROM keys.big WHERE status = ''open''');
SELECT test.plan('SELECT * FROM keys.words WHERE status = ''open''');
SELECT deskguard.set_agent(21, false);
SET deskguard.fold_limit = 500;
SELECT test.plan('SELECT * FROM keys.big WHERE status = ''open''');
SELECT deskguard.set_agent(22, false);
SET deskguard.fold_limit = 0;
SELECT test.plan('SELECT * FROM keys.big');
SELECT test.plan('SELECT * FROM keys.words');
RESET deskguard.fold_limit;
-- Without folding, a call for each row.
SET deskguard.fold = off;
SELECT test.plan('SELECT * FROM keys.big');
SELECT test.plan('SELECT * FROM keys.words');
RESET deskguard.fold;
-- All ways give the same rows, and estimates are within twice the real numbers.
SELECT of, agent, c.* FROM unnest(ARRAY[20, 21, 22]) AS agent, unnest(ARRAY['keys.big', 'keys.words']) AS of,
    LATERAL test.compared(of, agent) AS c;
-- Parallel workers know the keys, too.
BEGIN;
SELECT deskguard.set_agent(22);
SET LOCAL max_parallel_workers_per_gather = 2;
SET LOCAL min_parallel_table_scan_size = 0;
SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0;
SET LOCAL parallel_leader_participation = off;
SET LOCAL deskguard.fold = off;
SELECT test.plan('SELECT count(*) FROM keys.big');
SELECT count(*) FROM keys.big;
SELECT count(*) FROM keys.words;
COMMIT;
-- The lists, each as the type of the column that asks.
SELECT deskguard.set_agent(22, false);
SELECT pg_typeof(deskguard_internal.departments_uuid()), deskguard_internal.teams_uuid(), deskguard_internal.teams_text(), cardinality(deskguard_internal.departments_uuid()) AS uuid,
    cardinality(deskguard_internal.departments_text()) AS text, cardinality(deskguard_internal.departments()) AS numbers;
SELECT deskguard.set_agent(20, false);
SELECT deskguard_internal.categories_uuid(), deskguard_internal.categories_text(), deskguard_internal.categories();

-- Partitions of other departments are left out when the query is planned.
\c - postgres
SET client_min_messages = warning;
SET ROLE regress_owner;
CREATE TABLE keys.parted (id uuid, dep uuid) PARTITION BY LIST (dep);
CREATE TABLE keys.parted_words (id uuid, dep varchar(40)) PARTITION BY LIST (dep);
CREATE TABLE keys.parted_text (id uuid, dep text COLLATE "C") PARTITION BY LIST (dep);
DO $$
DECLARE
    tree int;
BEGIN
    FOR tree IN 10..13 LOOP
        EXECUTE format('CREATE TABLE keys.parted_%s PARTITION OF keys.parted FOR VALUES IN (%s)', tree,
            (SELECT string_agg(quote_literal(test.key('d', g)), ', ') FROM generate_series(10 * tree, 10 * tree + 9) AS g));
        EXECUTE format('CREATE TABLE keys.parted_words_%s PARTITION OF keys.parted_words FOR VALUES IN (%s)', tree,
            (SELECT string_agg(quote_literal(test.key('d', g)), ', ') FROM generate_series(10 * tree, 10 * tree + 9) AS g));
        EXECUTE format('CREATE TABLE keys.parted_text_%s PARTITION OF keys.parted_text FOR VALUES IN (%s)', tree,
            (SELECT string_agg(quote_literal(test.key('d', g)), ', ') FROM generate_series(10 * tree, 10 * tree + 9) AS g));
    END LOOP;
END $$;
INSERT INTO keys.parted SELECT test.key('f', g), test.key('d', 100 + g % 40) FROM generate_series(1, 400) AS g;
INSERT INTO keys.parted_words TABLE keys.parted;
INSERT INTO keys.parted_text TABLE keys.parted;
SELECT deskguard.protect_tickets('keys.parted', department_column => 'dep'), deskguard.protect_tickets('keys.parted_words', department_column => 'dep'),
    deskguard.protect_tickets('keys.parted_text', department_column => 'dep');
RESET ROLE;
\c - regress_app
SELECT deskguard.set_agent(22, false);
SELECT test.plan('SELECT * FROM keys.parted');
SELECT test.plan('SELECT * FROM keys.parted_words');
SELECT test.plan('SELECT * FROM keys.parted_text');
SELECT count(*) FROM keys.parted;
RESET deskguard.agent_id;

-- Messages: those of few tickets by the index, as long as ids are no numbers, too.
SET max_parallel_workers_per_gather = 0;
SELECT deskguard.set_agent(20, false);
SELECT test.plan('SELECT count(body) FROM keys.big_message');
SELECT count(body) > 0 AND count(body) = (SELECT 2 * count(*) FROM keys.big WHERE id <= test.key('f', 10000)) AS all_of_them FROM keys.big_message;
SELECT test.plan('SELECT body FROM keys.big_message WHERE ticket_id = ''f0000000-0000-0000-0000-000000000060''');
SELECT test.plan('SELECT m.body FROM keys.big_message AS m JOIN keys.big AS t ON t.id = m.ticket_id WHERE t.status = ''open''');
SELECT deskguard.set_agent(22, false);
SELECT test.plan('UPDATE keys.big_message SET body = ''x''');
SELECT deskguard.set_agent(24, false);
SELECT test.plan('SELECT count(body) FROM keys.big_message');

-- Following by the index.
\c - postgres
SET client_min_messages = warning;
INSERT INTO deskguard.agent (id, name, external_key) VALUES (26, 'Follower', test.key('a', 26000));
INSERT INTO deskguard.agent_permission VALUES (26, 'ticket.use');
INSERT INTO deskguard.agent_category SELECT 26, g FROM generate_series(1, 700) AS g;
INSERT INTO keys.follower SELECT test.key('f', g * 31), test.key('a', 26000) FROM generate_series(1, 10) AS g;
SELECT deskguard.protect_tickets('keys.big', department_column => 'dep', category_column => 'cat', assignee_column => 'assignee', team_column => 'team',
    follower_table => 'keys.follower');
\c - regress_app
SET max_parallel_workers_per_gather = 0;
SELECT deskguard.set_agent(26, false);
SELECT test.plan('SELECT * FROM keys.big');
SELECT count(*) BETWEEN 1 AND 10 AS some, count(*) = (SELECT count(*) FROM keys.follower WHERE agent_id = test.key('a', 26000)) AS with_followers FROM keys.big;
SELECT test.plan('SELECT * FROM keys.follower');
RESET deskguard.agent_id;

-- What is shared: literals, and a call for many.
\c - postgres
SET client_min_messages = warning;
SET ROLE regress_owner;
CREATE TABLE keys.filter (id uuid PRIMARY KEY, owner_id uuid);
CREATE INDEX ON keys.filter (owner_id);
CREATE TABLE keys.report (id varchar(60) COLLATE "C" PRIMARY KEY, owner_id text COLLATE "POSIX");
CREATE INDEX ON keys.report (owner_id);
INSERT INTO keys.filter SELECT test.key('b', g), test.key('a', g % 1000) FROM generate_series(1, 20000) AS g;
INSERT INTO keys.report TABLE keys.filter;
ANALYZE keys.filter, keys.report;
SELECT deskguard.protect_shared('keys.filter', owner_column => 'owner_id'), deskguard.protect_shared('keys.report', owner_column => 'owner_id');
RESET ROLE;
INSERT INTO deskguard.shared_visibility (object_table, object_key, agent_id)
SELECT of, test.key('b', g), 20 FROM unnest(ARRAY['keys.filter', 'keys.report']::regclass[]) AS of, unnest(ARRAY[77, 78]) AS g;
\c - regress_app
SET max_parallel_workers_per_gather = 0;
SELECT deskguard.set_agent(20, false);
SELECT test.plan('SELECT * FROM keys.filter');
SELECT test.plan('SELECT * FROM keys.report');
SELECT test.plan('UPDATE keys.filter SET owner_id = owner_id');
SET deskguard.fold_limit = 1;
SELECT test.plan('SELECT * FROM keys.filter');
SELECT test.plan('SELECT * FROM keys.report');
SELECT count(*) FROM keys.filter;
SELECT count(*) FROM keys.report;
SELECT deskguard_internal.shared_objects_uuid('keys.filter'), deskguard_internal.shared_objects_text('keys.report');
SET deskguard.fold = off;
SELECT test.plan('SELECT * FROM keys.filter');
SELECT count(*) FROM keys.filter;
RESET deskguard.fold;
RESET deskguard.fold_limit;
SELECT deskguard.set_agent(25, false);
SELECT test.plan('SELECT * FROM keys.filter');
RESET deskguard.agent_id;

\c - postgres
SET client_min_messages = warning;
DROP SCHEMA keys CASCADE;
DROP FUNCTION test.plan(text), test.compared;
