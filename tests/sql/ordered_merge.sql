-- Queues in order: where rules leave a list, PostgreSQL may merge one ordered index scan for each of its values.
SET client_min_messages = warning;
SELECT test.reset();
RESET client_min_messages;

-- 200 categories, 20 departments. "at" has ties and NULLs.
INSERT INTO deskguard.category SELECT g, 'Category ' || g FROM generate_series(4, 200) AS g;
INSERT INTO deskguard.department SELECT g, 'Department ' || g FROM generate_series(100, 119) AS g;
INSERT INTO deskguard.agent (id, name) VALUES
    (20, 'Narrow'), (21, 'Some categories'), (22, 'Most categories'), (23, 'All'), (24, 'Own and departments'),
    (25, 'Unassigned of departments'), (26, 'Own and followed');
INSERT INTO deskguard.permission_group (name, category_access, department_access) VALUES
    ('Everywhere', 'silo', 'all'), ('Open', 'open', 'granted'), ('All', 'open', 'all'), ('Unassigned', 'open', 'granted');
INSERT INTO deskguard.group_permission SELECT g, p FROM generate_series(101, 103) AS g,
    unnest(ARRAY['ticket.use', 'ticket.view.unassigned', 'ticket.view.assigned', 'ticket.modify.own', 'ticket.modify.unassigned', 'ticket.modify.assigned']) AS p;
INSERT INTO deskguard.group_permission VALUES (104, 'ticket.use'), (104, 'ticket.view.unassigned');
INSERT INTO deskguard.group_member VALUES (104, 25), (104, 26), (101, 20), (101, 21), (101, 22), (102, 24), (103, 23);
INSERT INTO deskguard.agent_category SELECT 20, g FROM unnest(ARRAY[4, 6, 9]) AS g;
INSERT INTO deskguard.agent_category SELECT 21, g * 8 FROM generate_series(1, 20) AS g;
INSERT INTO deskguard.agent_category SELECT 22, g FROM generate_series(1, 150) AS g;
INSERT INTO deskguard.agent_department VALUES (24, 107, 'full'), (24, 118, 'full'), (25, 107, 'full'), (25, 118, 'full');

-- The same tickets in one table and in one of four partitions, two of which are one of two.
CREATE TABLE desk.queue (id int, status text, dep smallint, cat int, assignee bigint, at timestamptz, subject text, opened date);
CREATE TABLE desk.parts (LIKE desk.queue) PARTITION BY RANGE (opened);
CREATE TABLE desk.parts_1 PARTITION OF desk.parts FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE desk.parts_2 PARTITION OF desk.parts FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
CREATE TABLE desk.parts_3 PARTITION OF desk.parts FOR VALUES FROM ('2026-03-01') TO ('2026-05-01') PARTITION BY LIST (status);
CREATE TABLE desk.parts_open PARTITION OF desk.parts_3 FOR VALUES IN ('open');
CREATE TABLE desk.parts_rest PARTITION OF desk.parts_3 DEFAULT;
SELECT setseed(0.5);
INSERT INTO desk.queue
SELECT g, (ARRAY['open', 'pending', 'closed', 'closed'])[1 + g % 4], 100 + floor(20 * random() ^ 2), nullif(floor(201 * random() ^ 2), 0),
    CASE WHEN g % 3 > 0 THEN g % 500 END, CASE WHEN g % 100 > 0 THEN timestamptz '2026-01-01' + (floor(random() * 20000)::int) * interval '5 minutes' END,
    'ticket ' || g || repeat(' ', 60), date '2026-01-01' + g % 115
FROM generate_series(1, 40000) AS g;
INSERT INTO desk.parts SELECT * FROM desk.queue;
CREATE INDEX queue_id ON desk.queue (id);
CREATE INDEX queue_cat ON desk.queue (cat, at, id);
CREATE INDEX queue_last ON desk.queue (cat, at DESC NULLS LAST);
CREATE INDEX queue_status ON desk.queue (status, cat, at);
CREATE INDEX queue_dep ON desk.queue (dep, at);
CREATE INDEX queue_assignee ON desk.queue (assignee, at);
CREATE TABLE desk.follower (ticket_id int, agent_id bigint, PRIMARY KEY (agent_id, ticket_id));
INSERT INTO desk.follower SELECT g * 50, 26 FROM generate_series(1, 50) AS g;
CREATE INDEX queue_pending ON desk.queue (cat, opened) WHERE status = 'pending';
CREATE INDEX queue_subject ON desk.queue (cat, lower(subject));
CREATE INDEX parts_id ON desk.parts (id);
CREATE INDEX parts_cat ON desk.parts (cat, at, id);
CREATE INDEX parts_dep ON desk.parts (dep, at);
CREATE INDEX parts_assignee ON desk.parts (assignee, at);
CREATE INDEX ON desk.follower (ticket_id);
SELECT deskguard.protect_tickets('desk.queue', department_column => 'dep', category_column => 'cat', assignee_column => 'assignee', follower_table => 'desk.follower');
SELECT deskguard.protect_tickets('desk.parts', department_column => 'dep', category_column => 'cat', assignee_column => 'assignee');
GRANT SELECT, UPDATE ON ALL TABLES IN SCHEMA desk TO PUBLIC;
-- A sample of all rows, so that the plans are always the same.
SET default_statistics_target = 150;
VACUUM (FREEZE, ANALYZE) desk.queue, desk.parts, desk.follower;

CREATE FUNCTION test.plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE 'EXPLAIN (COSTS OFF) ' || query;
END $$;

-- Is it a merge of how many index scans, and are the rows those that a sort gives? In the order of their keys, since
-- rows with the same keys come in any order: all rows of a tie are there if it is not the last.
CREATE FUNCTION test.merged(query text, keys text DEFAULT 'at') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    plan json;
    scans bigint;
    merges bigint;
    rows text[];
    sorted text[];
    wrong bigint;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT JSON) ' || query INTO plan;
    merges := (SELECT count(*) FROM regexp_matches(plan::text, '"Merge Append"', 'g'));
    scans := (SELECT count(*) FROM regexp_matches(plan::text, '"Index (Only )?Scan"', 'g'));
    EXECUTE 'SELECT array_agg(row(' || keys || ')::text) FROM (' || query || ') AS q' INTO rows;
    EXECUTE 'SELECT count(*) - count(DISTINCT id) FROM (' || query || ') AS q' INTO wrong;
    PERFORM set_config('deskguard.fold', 'off', true);
    EXECUTE 'SELECT array_agg(row(' || keys || ')::text) FROM (' || query || ') AS q' INTO sorted;
    PERFORM set_config('deskguard.fold', 'on', true);
    RETURN format('%s merged, %s scans, %s rows%s%s', merges, scans, cardinality(rows),
        CASE WHEN rows IS DISTINCT FROM sorted THEN ', NOT THOSE OF A SORT' END, CASE WHEN wrong > 0 THEN ', TWICE: ' || wrong END);
END $$;
-- The same as an agent.
CREATE FUNCTION test.merged_for(agent bigint, query text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM deskguard.set_agent(agent, false);
    RETURN test.merged(query);
END $$;

\c - regress_app
SET TIME ZONE 'UTC';
SET max_parallel_workers_per_gather = 0;
SELECT deskguard.set_agent(20, false);
SELECT test.plan('SELECT * FROM desk.queue ORDER BY at DESC LIMIT 50');
SELECT test.plan('SELECT * FROM desk.queue WHERE (at, id) < (''2026-02-01'', 1000) ORDER BY at DESC, id DESC LIMIT 50');
SELECT query, test.merged(query, CASE WHEN query LIKE '%ORDER BY opened%' THEN 'opened' ELSE 'at' END) FROM (VALUES
    ('SELECT * FROM desk.queue ORDER BY at DESC LIMIT 50'),
    ('SELECT * FROM desk.queue ORDER BY at LIMIT 50'),
    ('SELECT * FROM desk.queue ORDER BY at DESC LIMIT 20 OFFSET 30'),
    -- Another order of NULLs needs its index.
    ('SELECT * FROM desk.queue ORDER BY at DESC NULLS LAST LIMIT 50'),
    ('SELECT * FROM desk.queue ORDER BY at NULLS FIRST LIMIT 50'),
    -- All NULLs.
    ('SELECT * FROM desk.queue WHERE at IS NULL ORDER BY at, id LIMIT 5'),
    -- Fewer rows than wanted.
    ('SELECT * FROM desk.queue WHERE at > ''2026-03-08'' ORDER BY at DESC LIMIT 500'),
    -- Pages by key, both ways; by two keys and by one.
    ('SELECT * FROM desk.queue WHERE (at, id) < (''2026-02-01'', 1000) ORDER BY at DESC, id DESC LIMIT 50'),
    ('SELECT * FROM desk.queue WHERE (at, id) > (''2026-02-01'', 1000) ORDER BY at, id LIMIT 50'),
    ('SELECT * FROM desk.queue WHERE at < ''2026-02-01'' ORDER BY at DESC LIMIT 50'),
    -- The index has the first key only: rows with the same key are sorted.
    ('SELECT * FROM desk.queue ORDER BY at DESC, subject LIMIT 50'),
    -- A condition with one value goes before the list, or after it.
    ('SELECT * FROM desk.queue WHERE status = ''open'' ORDER BY at DESC LIMIT 50'),
    ('SELECT * FROM desk.queue WHERE status = ''pending'' ORDER BY opened DESC LIMIT 50'),
    -- Lists of the query itself: with that of the agent, and without it; values twice, NULL. Not of a column that another
    -- condition is about.
    ('SELECT * FROM desk.queue WHERE status IN (''open'', ''pending'') ORDER BY at DESC LIMIT 50'),
    ('SELECT * FROM desk.queue WHERE status = ANY (''{open,open,NULL}'') ORDER BY at DESC LIMIT 50'),
    ('SELECT * FROM desk.queue WHERE cat IN (1, 6, 4, 6, NULL) ORDER BY at DESC LIMIT 50'),
    ('SELECT * FROM desk.queue WHERE cat = ANY (''{4,6}''::bigint[]) ORDER BY at DESC LIMIT 50'),
    ('SELECT * FROM desk.queue WHERE cat IN (1, 2) ORDER BY at DESC LIMIT 50'),
    ('SELECT * FROM desk.queue WHERE cat = 6 ORDER BY at DESC LIMIT 50'),
    ('SELECT * FROM desk.queue WHERE cat NOT IN (6, 9) ORDER BY at DESC LIMIT 50'),
    ('SELECT * FROM desk.queue WHERE dep IN (100, 101) ORDER BY at DESC LIMIT 50'),
    -- By an expression.
    ('SELECT * FROM desk.queue ORDER BY lower(subject) LIMIT 50'),
    -- All rows: sorted.
    ('SELECT * FROM desk.queue ORDER BY at DESC')
) AS v (query);
-- By the columns of the index alone.
SELECT test.plan('SELECT id FROM desk.queue ORDER BY at DESC LIMIT 50');
SELECT test.merged('SELECT max(at) AS at, 1 AS id FROM desk.queue');

-- Agents that see more: as long as it pays.
SELECT agent, query, test.merged_for(agent, query) FROM (VALUES (21), (22), (23)) AS a (agent),
    (VALUES
        ('SELECT * FROM desk.queue WHERE status = ''open'' ORDER BY at DESC LIMIT 50'),
        ('SELECT * FROM desk.queue WHERE dep IN (117, 118, 119) ORDER BY at DESC LIMIT 50')
    ) AS v (query);
-- A list that is too long.
SELECT test.merged('SELECT * FROM desk.queue WHERE cat = ANY (''' || (SELECT array_agg(g) FROM generate_series(1, 20000) AS g)::text || ''') ORDER BY at DESC LIMIT 5');

-- Own ones, those of departments, those followed: each part without the rows of the parts before.
SELECT deskguard.set_agent(24, false);
SELECT test.plan('SELECT * FROM desk.queue ORDER BY at DESC LIMIT 50');
SELECT agent, query, test.merged_for(agent, query) FROM (VALUES (24), (25), (26)) AS a (agent),
    (VALUES
        ('SELECT * FROM desk.queue ORDER BY at DESC LIMIT 50'),
        ('SELECT * FROM desk.queue ORDER BY at DESC, id LIMIT 50'),
        ('SELECT * FROM desk.queue WHERE status = ''open'' ORDER BY at LIMIT 5'),
        ('SELECT * FROM desk.queue WHERE at < ''2026-02-01'' ORDER BY at DESC LIMIT 50'),
        ('SELECT * FROM desk.queue WHERE assignee = 24 OR dep = 118 ORDER BY at DESC LIMIT 50'),
        ('SELECT * FROM desk.parts ORDER BY at DESC LIMIT 50')
    ) AS v (query);
SELECT deskguard.set_agent(26, false);
SELECT test.plan('SELECT * FROM desk.queue ORDER BY at DESC LIMIT 5');

-- Each partition by itself, and all of them in order. Those that the query does not need are left out, also when it runs.
SELECT deskguard.set_agent(20, false);
SELECT test.plan('SELECT * FROM desk.parts WHERE opened < ''2026-03-01'' ORDER BY at DESC LIMIT 50');
SELECT query, test.merged(query) FROM (VALUES
    ('SELECT * FROM desk.parts ORDER BY at DESC LIMIT 50'),
    ('SELECT * FROM desk.parts ORDER BY at NULLS LAST LIMIT 50'),
    ('SELECT * FROM desk.parts WHERE (at, id) < (''2026-02-01'', 1000) ORDER BY at DESC, id DESC LIMIT 50'),
    ('SELECT * FROM desk.parts WHERE opened = (SELECT date ''2026-01-05'') ORDER BY at DESC LIMIT 5'),
    ('SELECT * FROM desk.parts_3 ORDER BY at DESC LIMIT 50'),
    ('SELECT * FROM desk.parts_1 ORDER BY at DESC LIMIT 50'),
    ('SELECT id, at FROM desk.parts UNION ALL SELECT id + 100000, at FROM desk.queue ORDER BY at DESC LIMIT 50')
) AS v (query);

-- Prepared: with the values, and for any values.
PREPARE page (timestamptz, int, int) AS SELECT id, at FROM desk.queue WHERE (at, id) < ($1, $2) ORDER BY at DESC, id DESC LIMIT $3;
PREPARE part (date, int) AS SELECT id, at FROM desk.parts WHERE opened = $1 ORDER BY at DESC, id LIMIT $2;
EXECUTE page ('2026-02-01', 1000, 3);
EXECUTE part ('2026-01-05', 3);
SET plan_cache_mode = force_generic_plan;
SELECT test.plan('EXECUTE page (''2026-02-01'', 1000, 3)');
EXECUTE page ('2026-02-01', 1000, 3);
EXECUTE part ('2026-01-05', 3);
EXECUTE part ('2026-03-05', 3);
-- Another agent, and nobody.
SELECT deskguard.set_agent(21, false);
EXECUTE page ('2026-02-01', 1000, 3);
SELECT deskguard.set_agent(20, false);
EXECUTE page ('2026-02-01', 1000, 3);
RESET deskguard.agent_id;
EXECUTE page ('2026-02-01', 1000, 3);
RESET plan_cache_mode;
DEALLOCATE ALL;

-- Cursors, forth and back.
SELECT deskguard.set_agent(20, false);
BEGIN;
DECLARE forth CURSOR FOR SELECT id, at FROM desk.queue ORDER BY at DESC, id DESC;
DECLARE back SCROLL CURSOR FOR SELECT id, at FROM desk.queue ORDER BY at DESC, id DESC LIMIT 10;
DECLARE held CURSOR WITH HOLD FOR SELECT id, at FROM desk.queue ORDER BY at DESC, id DESC LIMIT 10;
FETCH 3 FROM forth;
FETCH 3 FROM back;
MOVE BACKWARD 2 FROM back;
FETCH 2 FROM back;
FETCH LAST FROM back;
FETCH BACKWARD 2 FROM back;
COMMIT;
FETCH 3 FROM held;
CLOSE held;

-- Rows that a command locks or changes are looked at again if it had to wait for them: one scan.
SELECT test.plan('SELECT * FROM desk.queue ORDER BY at DESC LIMIT 5 FOR UPDATE SKIP LOCKED');
SELECT test.merged('SELECT id, at FROM desk.queue ORDER BY at DESC, id LIMIT 5 FOR UPDATE');
SELECT test.plan('UPDATE desk.queue SET subject = subject WHERE id IN (SELECT id FROM desk.queue ORDER BY at DESC LIMIT 5)');

-- Joins: with itself, and the first of each group.
SELECT test.merged('SELECT a.id, a.at FROM desk.queue AS a JOIN desk.queue AS b ON b.id = a.id ORDER BY a.at DESC LIMIT 20');
SELECT test.plan('SELECT s, q.id FROM unnest(ARRAY[''open'', ''pending'', ''closed'']) AS s, LATERAL (SELECT * FROM desk.queue WHERE status = s ORDER BY at DESC LIMIT 3) AS q');
SELECT test.merged('SELECT q.id, q.at, s FROM unnest(ARRAY[''open'', ''pending'', ''closed'']) AS s, LATERAL (SELECT * FROM desk.queue WHERE status = s ORDER BY at DESC, id LIMIT 3) AS q', 's, at, id');

-- A function of the user's own sees no row that the agent does not.
CREATE FUNCTION pg_temp.tells(cat int, subject text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$
BEGIN
    IF cat NOT IN (4, 6, 9) THEN
        RAISE NOTICE 'hidden: %', subject;
    END IF;
    RETURN true;
END $$;
SELECT test.plan('SELECT * FROM desk.queue WHERE pg_temp.tells(cat, subject) ORDER BY at DESC LIMIT 50');
SELECT test.merged('SELECT * FROM desk.queue WHERE pg_temp.tells(cat, subject) ORDER BY at DESC LIMIT 50');
-- An index on the order alone: who sees much finds the first rows there. Who sees little does not.
\c - postgres
CREATE INDEX queue_at ON desk.queue (at);
\c - regress_app
SET max_parallel_workers_per_gather = 0;
SELECT agent, test.merged_for(agent, 'SELECT * FROM desk.queue ORDER BY at DESC LIMIT 50') FROM (VALUES (20), (22), (23)) AS a (agent);
-- Of partitions as much is read as the whole table's rows say, and not each one's own.
\c - postgres
CREATE INDEX parts_at ON desk.parts (at);
\c - regress_app
SET max_parallel_workers_per_gather = 0;
SELECT agent, status, test.merged_for(agent, 'SELECT * FROM desk.parts WHERE status = ''' || status || ''' ORDER BY at DESC LIMIT 50')
FROM (VALUES (20), (22), (24), (25)) AS a (agent), (VALUES ('open'), ('pending'), ('closed')) AS v (status);
\c - postgres
DROP TABLE desk.queue, desk.parts, desk.follower;
DROP FUNCTION test.plan(text), test.merged(text, text), test.merged_for(bigint, text);
