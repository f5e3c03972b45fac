-- How many rows the planner expects, and plans of agents with very many categories.
SET client_min_messages = warning;
SELECT test.reset();
RESET client_min_messages;

-- 2,000 categories of very different size, some tickets without any; and 18,000 categories without tickets.
INSERT INTO deskguard.category SELECT g, 'Category ' || g FROM generate_series(4, 20000) AS g;
SELECT setseed(0.5);
CREATE TABLE desk.skewed (id int PRIMARY KEY, status text, cat2 smallint, cat4 int, cat8 bigint, updated_at int);
INSERT INTO desk.skewed
SELECT g, (ARRAY['open', 'closed'])[1 + g % 2], c, c, c, g
FROM (SELECT g, CASE WHEN g % 5 > 0 THEN 1 + floor(2000 * random() ^ 3) END AS c FROM generate_series(1, 30000) AS g) AS t;
CREATE INDEX ON desk.skewed (cat2);
CREATE INDEX ON desk.skewed (cat4);
CREATE INDEX ON desk.skewed (cat8);
CREATE INDEX ON desk.skewed (updated_at);
ANALYZE desk.skewed;
GRANT SELECT ON desk.skewed TO PUBLIC;
SELECT deskguard.protect_tickets('desk.skewed', category_column => 'cat4');

INSERT INTO deskguard.permission_group (name) VALUES ('Views');
INSERT INTO deskguard.group_permission VALUES (101, 'ticket.use'), (101, 'ticket.view.unassigned');
CREATE TABLE test.agent (id int, name text, first int, last int, step int);
INSERT INTO test.agent VALUES
    (20, 'narrow, frequent', 1, 2, 1), (21, 'narrow, rare', 700, 1100, 20), (22, 'narrow, both', 1, 1900, 1899),
    (23, 'medium', 1, 2000, 20), (24, 'wide', 1, 1500, 1), (25, 'wide, not the frequent', 151, 2000, 1),
    (26, 'wide, all', 1, 2000, 1), (27, 'very wide', 1, 20000, 1);
INSERT INTO deskguard.agent (id, name) SELECT id, name FROM test.agent;
INSERT INTO deskguard.group_member SELECT 101, id FROM test.agent;
INSERT INTO deskguard.agent_category SELECT id, g FROM test.agent, generate_series(first, last, step) AS g;
GRANT SELECT ON test.agent TO PUBLIC;

-- What became of the rules in the plan of a query, and whether its estimate is within twice the real number of rows.
CREATE FUNCTION test.planned(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    plan json;
    rows bigint;
    ratio numeric;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT JSON, VERBOSE) ' || query INTO plan;
    EXECUTE 'SELECT count(*) FROM (' || query || ') AS q' INTO rows;
    ratio := (plan -> 0 -> 'Plan' ->> 'Plan Rows')::numeric / rows;
    RETURN concat_ws(', ',
        CASE WHEN plan::text ~ 'cat\d = (ANY|''?\d)' AND plan::text !~ 'categories\(\)' THEN 'literals' END,
        CASE WHEN plan::text ~ 'deskguard_internal\.(has_category|categories)' THEN 'call' END,
        CASE WHEN plan::text ~ 'SubPlan|InitPlan' THEN 'sub-select' END,
        CASE WHEN ratio BETWEEN 0.5 AND 2 THEN 'good' ELSE 'expected ' || round(ratio, 2) || ' times ' || rows END);
END $$;
-- For all agents, on both sides of the limit.
CREATE FUNCTION test.planned_for_all(query text) RETURNS TABLE (agent text, below_limit text, above_limit text)
LANGUAGE plpgsql AS $$
DECLARE
    a test.agent;
BEGIN
    FOR a IN SELECT * FROM test.agent ORDER BY id LOOP
        agent := a.name;
        PERFORM deskguard.set_agent(a.id);
        PERFORM set_config('deskguard.fold_limit', '20000', true);
        below_limit := test.planned(query);
        PERFORM set_config('deskguard.fold_limit', '0', true);
        above_limit := test.planned(query);
        RETURN NEXT;
    END LOOP;
END $$;
CREATE FUNCTION test.plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE 'EXPLAIN (COSTS OFF) ' || query;
END $$;

\c - regress_app
SET max_parallel_workers_per_gather = 0;
SELECT * FROM test.planned_for_all('SELECT * FROM desk.skewed');
SELECT * FROM test.planned_for_all('SELECT * FROM desk.skewed WHERE status = ''open''');
-- Columns of the other widths.
\c - postgres
SELECT deskguard.protect_tickets('desk.skewed', category_column => 'cat2');
\c - regress_app
SET max_parallel_workers_per_gather = 0;
SELECT * FROM test.planned_for_all('SELECT * FROM desk.skewed') WHERE agent IN ('narrow, both', 'wide');
\c - postgres
SELECT deskguard.protect_tickets('desk.skewed', category_column => 'cat8');
\c - regress_app
SET max_parallel_workers_per_gather = 0;
SELECT * FROM test.planned_for_all('SELECT * FROM desk.skewed') WHERE agent IN ('narrow, both', 'wide');

-- 20,000 categories: by default one call, and no list of literals in any plan.
SELECT deskguard.set_agent(27, false);
SELECT test.plan('SELECT status, count(*) FROM desk.skewed GROUP BY status');
SELECT test.plan('SELECT * FROM desk.skewed WHERE status = ''open'' ORDER BY updated_at DESC LIMIT 50');
SELECT test.plan('SELECT * FROM desk.skewed AS s JOIN desk.skewed AS t ON t.id = s.updated_at WHERE s.id < 10');
-- Few of them, but more than the limit: the call finds them by the index.
SELECT deskguard.set_agent(21, false);
SET deskguard.fold_limit = 20;
SELECT test.plan('SELECT * FROM desk.skewed');
-- At the limit, literals.
SET deskguard.fold_limit = 21;
SELECT test.plan('SELECT * FROM desk.skewed');
RESET deskguard.fold_limit;

\c - postgres
DROP TABLE desk.skewed, test.agent;
DROP FUNCTION test.planned(text), test.planned_for_all(text), test.plan(text);
