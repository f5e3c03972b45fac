-- What a help desk asks all day: counts for a dashboard, whether there is one, the newest of each department, the next page. Each
-- has the plan of the same query with the agent's rule by hand and no policies, or a merge that costs less; and the same rows.
SET client_min_messages = warning;
SELECT test.reset();
RESET client_min_messages;
INSERT INTO deskguard.category SELECT g, 'Category ' || g FROM generate_series(4, 100) AS g;
INSERT INTO deskguard.department SELECT g, 'Department ' || g FROM generate_series(100, 119) AS g;
INSERT INTO deskguard.agent (id, name) VALUES (20, 'Narrow'), (21, 'Some'), (22, 'Own and departments'), (23, 'Both'), (24, 'All');
INSERT INTO deskguard.permission_group (name, category_access, department_access) VALUES
    ('Everywhere', 'silo', 'all'), ('Open', 'open', 'granted'), ('Both', 'silo', 'granted'), ('All', 'open', 'all');
INSERT INTO deskguard.group_permission SELECT g, p FROM generate_series(101, 104) AS g, unnest(ARRAY['ticket.use', 'ticket.view.unassigned', 'ticket.view.assigned']) AS p;
INSERT INTO deskguard.group_member VALUES (101, 20), (101, 21), (102, 22), (103, 23), (104, 24);
INSERT INTO deskguard.agent_category SELECT 20, g FROM unnest(ARRAY[4, 90]) AS g;
INSERT INTO deskguard.agent_category SELECT 21, g * 5 FROM generate_series(1, 20) AS g;
INSERT INTO deskguard.agent_category SELECT 23, g * 7 FROM generate_series(1, 5) AS g;
INSERT INTO deskguard.agent_department VALUES (22, 107, 'full'), (22, 118, 'full'), (23, 107, 'full'), (23, 118, 'full');

CREATE TABLE desk.day (id bigint PRIMARY KEY, status text NOT NULL, dep bigint, cat bigint, assignee bigint, at timestamptz NOT NULL, subject text);
SELECT setseed(0.5);
INSERT INTO desk.day
SELECT g, (ARRAY['open', 'pending', 'closed', 'closed', 'closed'])[1 + floor(random() * 5)::int], 100 + floor(20 * random() ^ 2), 1 + floor(100 * random() ^ 2),
    CASE WHEN g % 3 > 0 THEN 1 + g % 50 END, timestamptz '2026-01-01' + (floor(random() * 9000)::int) * interval '5 minutes', 'ticket ' || g || repeat(' ', 60)
FROM generate_series(1, 30000) AS g;
CREATE INDEX day_at ON desk.day (at, id);
CREATE INDEX day_cat ON desk.day (cat, at, id);
CREATE INDEX day_dep ON desk.day (dep, at, id);
CREATE INDEX day_cat_status ON desk.day (cat, status, at, id);
CREATE INDEX day_assignee ON desk.day (assignee, at, id);
CREATE INDEX day_counts ON desk.day (status, cat, dep, assignee);
SELECT deskguard.protect_tickets('desk.day', department_column => 'dep', category_column => 'cat', assignee_column => 'assignee');
GRANT SELECT ON desk.day TO PUBLIC;
SET default_statistics_target = 150;
VACUUM (FREEZE, ANALYZE) desk.day;

CREATE TABLE test.rule (agent bigint, condition text);
INSERT INTO test.rule VALUES
    (20, $$ cat = ANY ('{4,90}'::bigint[]) $$),
    (21, format($$ cat = ANY (%L::bigint[]) $$, (SELECT array_agg(g * 5) FROM generate_series(1, 20) AS g))),
    (22, $$ assignee = '22'::bigint OR dep = ANY ('{107,118}'::bigint[]) $$),
    (23, $$ cat = ANY ('{7,14,21,28,35}'::bigint[]) AND (assignee = '23'::bigint OR dep = ANY ('{107,118}'::bigint[])) $$),
    (24, 'true');
CREATE TABLE test.question (n int GENERATED ALWAYS AS IDENTITY, query text);
GRANT SELECT ON test.rule, test.question TO PUBLIC;
INSERT INTO test.question (query) VALUES
    -- A dashboard.
    ('SELECT status, count(*) FROM {t} GROUP BY status'),
    ('SELECT assignee, count(*) FROM {t} WHERE status = ''open'' GROUP BY assignee'),
    ('SELECT count(*) FROM {t} WHERE status = ''open'''),
    ('SELECT count(*) FROM {t} WHERE status = ''open'' AND assignee IS NULL'),
    ('SELECT count(*) FILTER (WHERE status = ''open''), count(*) FILTER (WHERE assignee IS NULL) FROM {t}'),
    ('SELECT DISTINCT status FROM {t}'),
    ('SELECT max(at) FROM {t}'),
    -- Is there one, are there a hundred?
    ('SELECT EXISTS (SELECT FROM {t} WHERE status = ''open'' AND assignee IS NULL)'),
    ('SELECT EXISTS (SELECT FROM {t} WHERE status = ''lost'')'),
    ('SELECT count(*) FROM (SELECT FROM {t} WHERE status = ''open'' LIMIT 100) AS q'),
    ('SELECT count(*) FROM (SELECT FROM {t} WHERE status = ''open'' ORDER BY at DESC LIMIT 100) AS q'),
    -- The newest of each.
    ('SELECT d.id, q.id, q.at FROM generate_series(100, 119) AS d (id), LATERAL (SELECT * FROM {t} WHERE t.dep = d.id ORDER BY at DESC, id DESC LIMIT 3) AS q'),
    ('SELECT s, q.id, q.at FROM unnest(ARRAY[''open'', ''pending'']) AS s, LATERAL (SELECT * FROM {t} WHERE t.status = s ORDER BY at DESC, id DESC LIMIT 3) AS q'),
    ('SELECT c, q.id, q.at FROM unnest(''{4,7,10}''::bigint[]) AS c, LATERAL (SELECT * FROM {t} WHERE t.cat = c ORDER BY at DESC, id DESC LIMIT 3) AS q'),
    ('SELECT d.id, (SELECT max(at) FROM {t} WHERE t.dep = d.id) FROM generate_series(100, 119) AS d (id)'),
    ('SELECT dep, id FROM (SELECT *, row_number() OVER (PARTITION BY dep ORDER BY at DESC, id) AS n FROM {t}) AS q WHERE n <= 3'),
    -- The next page, forth and back.
    ('SELECT id, at, subject FROM {t} WHERE (at, id) < (''2026-01-20'', 1000) ORDER BY at DESC, id DESC LIMIT 20'),
    ('SELECT id, at, subject FROM {t} WHERE (at, id) > (''2026-01-20'', 1000) ORDER BY at, id LIMIT 20'),
    ('SELECT id, at, subject FROM {t} WHERE status = ''open'' AND (at, id) < (''2026-01-20'', 1000) ORDER BY at DESC, id DESC LIMIT 20'),
    ('SELECT id, at, subject FROM {t} WHERE at <= ''2026-01-20'' AND (at < ''2026-01-20'' OR id < 1000) ORDER BY at DESC, id DESC LIMIT 20');

CREATE FUNCTION test.plan_of(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
        -- Only columns of sub-selects have the table's name.
        RETURN NEXT regexp_replace(line, '\mt\.', '', 'g');
    END LOOP;
END $$;
CREATE FUNCTION test.rows_of(query text) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    rows text[];
BEGIN
    EXECUTE 'SELECT array_agg(q::text ORDER BY q::text) FROM (' || query || ') AS q' INTO rows;
    RETURN rows;
END $$;
-- The same by hand, as a role to which no policies apply.
CREATE FUNCTION test.plan_by_hand(query text) RETURNS text LANGUAGE sql SECURITY DEFINER AS $$
    SELECT string_agg(line, E'\n') FROM test.plan_of(query) AS line
$$;
CREATE FUNCTION test.rows_by_hand(query text) RETURNS text[] LANGUAGE sql SECURITY DEFINER AS $$ SELECT test.rows_of(query) $$;
CREATE FUNCTION test.compared(query text, condition text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    asked text := replace(query, '{t}', 'desk.day AS t');
    by_hand text := replace(query, '{t}', format('(SELECT * FROM desk.day AS t WHERE %s) AS t', condition));
    plan text := (SELECT string_agg(line, E'\n') FROM test.plan_of(asked) AS line);
BEGIN
    RETURN concat(
        CASE
            WHEN plan = test.plan_by_hand(by_hand) THEN 'the same plan'
            WHEN plan LIKE '%Merge Append%' THEN 'a merge'
            ELSE E'ANOTHER PLAN:\n' || plan || E'\nNOT:\n' || test.plan_by_hand(by_hand)
        END,
        CASE WHEN query LIKE 'SELECT%count(*) FROM {t} WHERE status%' THEN CASE WHEN plan LIKE '%Index Only%' THEN ', by the index only' ELSE ', NOT BY THE INDEX ONLY' END END,
        CASE WHEN test.rows_of(asked) IS DISTINCT FROM test.rows_by_hand(by_hand) THEN ', OTHER ROWS' END);
END $$;

\c - regress_app
SET TIME ZONE 'UTC';
SET max_parallel_workers_per_gather = 0;
SELECT deskguard.set_agent(20, false);
SELECT n, query, test.compared(query, condition) FROM test.question, test.rule WHERE agent = 20 ORDER BY n;
SELECT deskguard.set_agent(21, false);
SELECT n, test.compared(query, condition) FROM test.question, test.rule WHERE agent = 21 ORDER BY n;
SELECT deskguard.set_agent(22, false);
SELECT n, test.compared(query, condition) FROM test.question, test.rule WHERE agent = 22 ORDER BY n;
SELECT deskguard.set_agent(23, false);
SELECT n, test.compared(query, condition) FROM test.question, test.rule WHERE agent = 23 ORDER BY n;
SELECT deskguard.set_agent(24, false);
SELECT n, test.compared(query, condition) FROM test.question, test.rule WHERE agent = 24 ORDER BY n;

-- The newest of each by a merge for each.
SELECT deskguard.set_agent(20, false);
SELECT test.plan_of('SELECT s, q.id FROM unnest(ARRAY[''open'', ''pending'']) AS s, LATERAL (SELECT * FROM desk.day AS t WHERE status = s ORDER BY at DESC, id DESC LIMIT 3) AS q');
-- Counts by the index only.
SELECT deskguard.set_agent(23, false);
SELECT test.plan_of('SELECT count(*) FROM desk.day WHERE status = ''open''');
\c - postgres
DROP TABLE desk.day, test.rule, test.question;
DROP FUNCTION test.plan_of(text), test.rows_of(text), test.plan_by_hand(text), test.rows_by_hand(text), test.compared(text, text);
