-- Searches of the user use indexes before the policies are asked, if their operators tell nothing of a row but whether it
-- matches; no others do.
SET client_min_messages = warning;
SELECT test.reset();
CREATE EXTENSION pg_trgm;
RESET client_min_messages;

CREATE TYPE desk.state AS ENUM ('open', 'pending', 'closed', 'merged');
CREATE TABLE desk.found (
    id int PRIMARY KEY, category_id int, subject text, tags text[], labels varchar(20)[], meta jsonb, doc tsvector, state desk.state, price numeric,
    due date, seen timestamp, created_at timestamptz, period daterange, host inet
);
INSERT INTO desk.found
SELECT g, 1 + g % 3, format('Subject %s of %s', md5(g::text), 1 + g % 3), ARRAY['tag' || g % 500, 'all'], ARRAY['label' || g % 500], jsonb_build_object('key', g % 500, 'name', 'n' || g % 700),
    to_tsvector('simple', 'word' || g % 400 || ' all'), (enum_range(NULL::desk.state))[CASE WHEN g % 50 = 0 THEN 1 ELSE 3 END],
    g / 10.0, DATE '2020-01-01' + g / 10, TIMESTAMP '2020-01-01' + g * INTERVAL '1 hour', TIMESTAMPTZ '2020-01-01 00:00Z' + g * INTERVAL '1 hour',
    daterange(DATE '2020-01-01' + g, DATE '2020-01-01' + g + 1), ('10.0.' || g % 250 || '.' || g % 200)::inet
FROM generate_series(1, 20000) AS g;
CREATE INDEX found_category ON desk.found (category_id);
CREATE INDEX found_doc ON desk.found USING gin (doc);
CREATE INDEX found_subject ON desk.found USING gin (subject gin_trgm_ops);
CREATE INDEX found_lower ON desk.found (lower(subject) text_pattern_ops);
CREATE INDEX found_tags ON desk.found USING gin (tags);
CREATE INDEX found_labels ON desk.found USING gin (labels);
CREATE INDEX found_meta ON desk.found USING gin (meta);
CREATE INDEX found_name ON desk.found ((meta ->> 'name'));
CREATE INDEX found_state ON desk.found (state);
CREATE INDEX found_price ON desk.found (price);
CREATE INDEX found_due ON desk.found (due);
CREATE INDEX found_seen ON desk.found (seen);
CREATE INDEX found_day ON desk.found (date_trunc('day', seen));
CREATE INDEX found_created ON desk.found USING brin (created_at);
CREATE INDEX found_period ON desk.found USING gist (period);
CREATE INDEX found_host ON desk.found USING gist (host inet_ops);
ANALYZE desk.found;
GRANT SELECT ON desk.found TO PUBLIC;
SELECT deskguard.protect_tickets('desk.found', category_column => 'category_id');
INSERT INTO deskguard.permission_group (name) VALUES ('Views');
INSERT INTO deskguard.group_permission VALUES (101, 'ticket.use'), (101, 'ticket.view.unassigned');
INSERT INTO deskguard.agent (id, name, db_role) VALUES (30, 'sees a third', NULL), (31, 'sees all', NULL), (32, 'sees a third', NULL);
INSERT INTO deskguard.group_member VALUES (101, 30), (101, 31), (101, 32);
INSERT INTO deskguard.agent_category VALUES (30, 1), (31, 1), (31, 2), (31, 3), (32, 1);
-- So many that the rules cost more than a comparison.
INSERT INTO deskguard.category SELECT n, 'Category ' || n FROM generate_series(11, 17) AS n;
INSERT INTO deskguard.agent_category SELECT 32, n FROM generate_series(11, 17) AS n;

-- By which indexes, besides that of the rules, the rows of a condition are found; whether the planner expects so many; and
-- what changes without searching by index: the plan, the rows.
CREATE FUNCTION test.search_index(value text) RETURNS text LANGUAGE sql SECURITY DEFINER AS $$
    SELECT set_config('deskguard.search_index', value, true)
$$;
CREATE FUNCTION test.searched(query text, OUT indexes text, OUT estimate text, OUT plan text, OUT rows text) LANGUAGE plpgsql AS $$
DECLARE
    with_indexes json;
    without json;
    ids int[];
    found int[];
    ratio numeric;
    setting text := current_setting('deskguard.search_index');
BEGIN
    EXECUTE 'EXPLAIN (FORMAT JSON) SELECT id FROM ' || query INTO with_indexes;
    EXECUTE 'SELECT array_agg(id ORDER BY id) FROM ' || query INTO found;
    PERFORM test.search_index('off');
    EXECUTE 'EXPLAIN (FORMAT JSON) SELECT id FROM ' || query INTO without;
    EXECUTE 'SELECT array_agg(id ORDER BY id) FROM ' || query INTO ids;
    PERFORM test.search_index(setting);
    SELECT string_agg(DISTINCT replace(i, 'found_', ''), ', ') INTO indexes
    FROM regexp_matches(with_indexes::text, '"Index Name": "([^"]+)', 'g') AS m, unnest(m) AS i
    WHERE i !~ 'category|pkey';
    ratio := (with_indexes -> 0 -> 'Plan' ->> 'Plan Rows')::numeric / greatest(cardinality(found), 1);
    estimate := CASE WHEN ratio BETWEEN 0.3 AND 3 THEN 'good' ELSE format('%s times', round(ratio, 1)) END;
    plan := CASE WHEN with_indexes::text = without::text THEN 'same' ELSE 'other' END;
    rows := CASE WHEN found IS NOT DISTINCT FROM ids THEN 'same' ELSE 'OTHER' END;
END $$;
CREATE FUNCTION test.plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE 'EXPLAIN (COSTS OFF) ' || query;
END $$;
CREATE FUNCTION test.found_by(pattern text) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT count(*) FROM desk.found WHERE subject LIKE pattern);
END $$;
-- Compares with a variable that has no value.
CREATE FUNCTION test.unassigned(wanted numeric) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    nothing record;
BEGIN
    RETURN (SELECT count(*) FROM desk.found WHERE price = wanted AND price < nothing.price);
EXCEPTION WHEN OTHERS THEN
    RETURN SQLERRM;
END $$;
CREATE TABLE test.condition (n int GENERATED ALWAYS AS IDENTITY, condition text);
GRANT SELECT ON test.condition TO PUBLIC;
INSERT INTO test.condition (condition) VALUES
    ($$ doc @@ to_tsquery('simple', 'word7') $$),
    ($$ doc @@ plainto_tsquery('simple', 'word7') $$),
    ($$ doc @@ plainto_tsquery('word7') $$),
    ($$ to_tsquery('simple', 'word7 & !word8') @@ doc $$),
    ($$ subject LIKE '%abcde%' $$),
    ($$ subject ILIKE '%ABCDE%' $$),
    ($$ subject ~ 'abcde[0-9]' $$),
    ($$ subject ~* '(?:abcde|defab)c' $$),
    ($$ subject % 'Subject c4ca4238a0b923820dcc509a6f75849b of 2' $$),
    ($$ lower(subject) LIKE 'subject abc%' $$),
    ($$ lower(subject) = 'subject eccbc87e4b5ce2fe28308fd9f2a7baf3 of 1' $$),
    ($$ tags @> ARRAY['tag7'] $$),
    ($$ tags && ARRAY['tag7', 'tag8'] $$),
    ($$ labels @> ARRAY['label7']::varchar[] $$),
    ($$ meta @> '{"key": 7}' $$),
    ($$ meta ? 'nowhere' $$),
    ($$ meta ?| ARRAY['nowhere'] $$),
    ($$ meta ?& ARRAY['nowhere'] $$),
    ($$ meta ->> 'name' = 'n7' $$),
    ($$ state = 'open' $$),
    ($$ state IN ('open', 'merged') $$),
    ($$ (state = 'open' OR state = 'merged') $$),
    ($$ price = 7 $$),
    ($$ price BETWEEN 7 AND 12.5 $$),
    ($$ due = TIMESTAMP '2020-01-07' $$),
    ($$ due < TIMESTAMPTZ '2020-01-07 00:00Z' $$),
    ($$ created_at < now() - interval '1 year' AND due < current_date - 100 AND price = 7.5 $$),
    ($$ seen < DATE '2020-01-07' $$),
    ($$ date_trunc('day', seen) = '2020-01-07' $$),
    ($$ created_at < DATE '2020-01-07' $$),
    ($$ period && daterange('2020-01-07', '2020-01-09') $$),
    ($$ period @> DATE '2020-01-07' $$),
    ($$ host << '10.0.7.0/24' $$),
    ($$ (doc @@ to_tsquery('simple', 'word7') OR meta @> '{"key": 7}') $$),
    ($$ doc @@ to_tsquery('simple', 'word7') AND meta @> '{"key": 7}' $$);

-- What is not searched by an index: what can raise an error, calls the user's own code, or only looks like an operator of
-- PostgreSQL's.
CREATE SCHEMA regress_other AUTHORIZATION regress_other;
\c - regress_other
SET search_path = regress_other;
CREATE FUNCTION is_like(text, text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    -- Of the category that the agent sees.
    ASSERT right($1, 1) = '1', 'a hidden row was seen: ' || $1;
    RETURN true;
END $$;
CREATE OPERATOR ~~ (LEFTARG = text, RIGHTARG = text, FUNCTION = is_like, RESTRICT = likesel);
CREATE FUNCTION is_found(tsvector, tsquery) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
CREATE OPERATOR @@ (LEFTARG = tsvector, RIGHTARG = tsquery, FUNCTION = is_found, RESTRICT = tsmatchsel);
-- With a function of PostgreSQL's own.
CREATE OPERATOR @@@@ (LEFTARG = tsvector, RIGHTARG = tsquery, FUNCTION = ts_match_vq, RESTRICT = tsmatchsel);
CREATE FUNCTION lower(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    ASSERT right($1, 1) = '1', 'a hidden row was seen: ' || $1;
    RETURN pg_catalog.lower($1);
END $$;
CREATE FUNCTION query() RETURNS tsquery LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN 'word7'; END $$;
CREATE FUNCTION pattern() RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN '%abcde%'; END $$;
CREATE DOMAIN short AS text CHECK (length(VALUE) < 10);
GRANT USAGE ON SCHEMA regress_other TO PUBLIC;
\c - postgres
CREATE TABLE test.other_condition (n int GENERATED ALWAYS AS IDENTITY, condition text);
GRANT SELECT ON test.other_condition TO PUBLIC;
INSERT INTO test.other_condition (condition) VALUES
    ($$ subject LIKE '%abcde\' $$),
    ($$ subject LIKE repeat('%e', 600) $$),
    ($$ subject LIKE '%abcde' || right('\', 1) $$),
    ($$ subject LIKE lower(tags[1]) $$),
    ($$ subject ILIKE regress_other.pattern() $$),
    ($$ subject ~ '(abcde)\1' $$),
    ($$ subject ~ 'abcde(?=1)' $$),
    ($$ subject ~ repeat('abcde', 300) $$),
    ($$ subject OPERATOR(regress_other.~~) '%abcde%' $$),
    ($$ doc OPERATOR(regress_other.@@) 'word7' $$),
    ($$ doc OPERATOR(regress_other.@@@@) 'word7' $$),
    ($$ doc @@ regress_other.query() $$),
    ($$ doc @@ (SELECT regress_other.query()) $$),
    ($$ doc @@ to_tsquery('') $$),
    ($$ doc @@ current_setting('server_encoding')::tsquery $$),
    ($$ price = (SELECT 7.5) $$),
    ($$ due < now() + interval '200000 years' $$),
    ($$ meta @> '{"key": 7}' AND id = length(current_setting('search_path')) $$),
    ($$ doc @@ to_tsquery('simple', repeat('word7 & ', 2000) || 'word7') $$),
    ($$ regress_other.lower(subject) LIKE 'subject abc%' $$),
    ($$ lower(left(subject, 8)::regress_other.short) LIKE 'subject%' $$),
    ($$ lower(subject || '') LIKE 'subject abc%' $$),
    ($$ meta @@ '$.key == 7' $$),
    ($$ meta @? '$.key ? (@ == 7)' $$),
    ($$ (meta ->> 'key')::int = 7 $$),
    ($$ meta @> jsonb_build_object('key', id) $$),
    ($$ date_trunc('week', seen) = '2020-01-06' $$),
    ($$ to_tsvector('simple', subject) @@ 'word7' $$),
    ($$ (doc @@ 'word7' OR subject OPERATOR(regress_other.~~) '%abcde%') $$);


\c - regress_app
SHOW deskguard.search_index;
SET max_parallel_workers_per_gather = 0;
SET enable_seqscan = off;
SELECT deskguard.set_agent(30, false);
SELECT condition, s.* FROM test.condition, test.searched('desk.found WHERE ' || condition) AS s ORDER BY n;
-- For an agent that sees all, nothing is hidden, and only the estimates differ.
SELECT deskguard.set_agent(31, false);
SELECT indexes, estimate, plan, rows, count(*) FROM test.condition, test.searched('desk.found WHERE ' || condition) AS s
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2;
-- What is not searched so: neither the plan nor its estimates change.
SELECT deskguard.set_agent(30, false);
SET client_min_messages = warning;
SELECT condition, plan, rows FROM test.other_condition, test.searched('desk.found WHERE ' || condition) AS s ORDER BY n;
RESET client_min_messages;

-- Prepared, with custom and with generic plans. A pattern that is wrong is refused before there is a row.
PREPARE by_word(text) AS SELECT id FROM desk.found WHERE doc @@ to_tsquery('simple', $1);
PREPARE by_pattern(text) AS SELECT id FROM desk.found WHERE subject ILIKE $1;
PREPARE by_part(text) AS SELECT id FROM desk.found WHERE subject ILIKE '%' || $1 || '%';
PREPARE by_start(varchar) AS SELECT id FROM desk.found WHERE lower(subject) LIKE $1 || '';
PREPARE by_expression(text) AS SELECT id FROM desk.found WHERE subject ~ $1;
PREPARE by_meta(jsonb) AS SELECT id FROM desk.found WHERE meta @> $1;
PREPARE by_price(numeric) AS SELECT id FROM desk.found WHERE price = $1;
SET plan_cache_mode = force_custom_plan;
SELECT test.plan($$ EXECUTE by_part('abcde') $$);
SELECT test.plan($$ EXECUTE by_pattern('%abcde\') $$);
SET plan_cache_mode = force_generic_plan;
SELECT test.plan($$ EXECUTE by_word('word7') $$);
SELECT test.plan($$ EXECUTE by_pattern('%abcde%') $$);
SELECT test.plan($$ EXECUTE by_part('abcde') $$);
SELECT test.plan($$ EXECUTE by_start('abcde') $$);
SELECT test.plan($$ EXECUTE by_expression('abcde') $$);
SELECT test.plan($$ EXECUTE by_meta('{"key": 7}') $$);
SELECT test.plan($$ EXECUTE by_price(7.3) $$);
EXECUTE by_price(7.5);
EXECUTE by_pattern('%c81e728d9d4c2f636f067f89cc14862c%');
EXECUTE by_pattern('%1679091c5a880faf6fb5e6087eb1b2dc%');
EXECUTE by_pattern('%1679091c5a880faf6fb5e6087eb1b2dc of 1\\');
EXECUTE by_pattern('%1679091c5a880faf6fb5e6087eb1b2dc of 1\');
EXECUTE by_pattern(NULL);
EXECUTE by_part('1679091c5a880faf6fb5e6087eb1b2dc of\');
SELECT test.attempt($$ EXECUTE by_part(repeat('%e', 600)) $$);
-- In a function, whose variables are parameters.
SELECT test.found_by('%1679091c5a880faf6fb5e6087eb1b2dc%'), test.attempt($$ SELECT test.found_by('%a\') $$);
RESET plan_cache_mode;

-- What raises an error when it is evaluated is not evaluated for hidden rows that pass another condition: ticket 1 is hidden.
SELECT deskguard.set_agent(32, false);
SET plan_cache_mode = force_generic_plan;
SET enable_seqscan = on;
SET enable_indexscan = off;
SET enable_bitmapscan = off;
PREPARE wrong_query(text) AS SELECT id FROM desk.found WHERE price = 0.1 AND doc @@ to_tsquery('simple', $1);
PREPARE wrong_number(text) AS SELECT id FROM desk.found WHERE price = 0.1 AND price = $1::numeric;
EXECUTE wrong_query('a b');
EXECUTE wrong_number('x');
-- PostgreSQL itself calls this leakproof, and evaluates it for the first row, whatever that is.
PREPARE no_divisor(numeric, int) AS SELECT id FROM desk.found WHERE price = $1 AND id = 1 / $2;
SELECT test.attempt('EXECUTE no_divisor(0.1, 0)'), test.attempt('EXECUTE no_divisor(-1, 0)');
SELECT id FROM desk.found WHERE price = 0.1 AND doc @@ to_tsquery('simple', (SELECT 'a b'));
SELECT test.unassigned(0.1), test.unassigned(-1);
RESET plan_cache_mode;
SELECT deskguard.set_agent(30, false);
SET enable_seqscan = off;
SET enable_indexscan = on;
SET enable_bitmapscan = on;

-- In joins and sub-selects.
SELECT test.plan($$ SELECT f.id, o.id FROM desk.found AS f JOIN desk.found AS o USING (price) WHERE f.doc @@ 'word7' $$);
SELECT test.plan($$ SELECT f.id FROM to_tsquery('word7') AS q, desk.found AS f WHERE doc @@ q $$);
SELECT test.plan($$ SELECT count(*) FROM (VALUES ('word7'::tsquery), ('word8')) AS q (query), desk.found WHERE doc @@ query $$);
SELECT test.plan($$ SELECT o.id, (SELECT count(*) FROM desk.found AS f WHERE f.doc @@ 'word7' AND f.price = o.price) FROM desk.found AS o WHERE o.price = 7.5 $$);

-- The setting is for superusers. A session that is not trusted does not search so, unless they say so.
SET deskguard.search_index = 'on';
\c - postgres
INSERT INTO deskguard.group_member VALUES (101, 2);
DELETE FROM deskguard.group_category;
INSERT INTO deskguard.group_category VALUES (101, 1);
\c - regress_ann
SET enable_seqscan = off;
SET max_parallel_workers_per_gather = 0;
SET deskguard.search_index = 'on';
SELECT indexes, plan, rows, count(*) FROM test.condition, test.searched('desk.found WHERE ' || condition) AS s
GROUP BY 1, 2, 3 ORDER BY 1, 2;
BEGIN;
SELECT test.search_index('on');
SELECT indexes, plan, rows, count(*) FROM test.condition, test.searched('desk.found WHERE ' || condition) AS s
GROUP BY 1, 2, 3 ORDER BY 1, 2;
-- Whatever the search: the user's operators see no hidden row.
SELECT count(*) FROM desk.found WHERE doc @@ 'word7' AND subject OPERATOR(regress_other.~~) 'x';
SELECT count(*) FROM desk.found WHERE doc @@ 'word7' AND regress_other.lower(subject) = 'x';
SELECT count(*) FROM desk.found WHERE subject LIKE '%abc%' AND subject OPERATOR(regress_other.~~) 'x';
COMMIT;

-- What a session that is not trusted any more has prepared is planned anew.
\c - regress_app
SET enable_seqscan = off;
SELECT deskguard.set_agent(30, false);
PREPARE search AS SELECT id FROM desk.found WHERE doc @@ 'word7';
SELECT test.plan('EXECUTE search');
BEGIN;
SELECT test.search_index('off');
SELECT test.plan('EXECUTE search');
COMMIT;
SELECT test.plan('EXECUTE search');

-- Partitions have conditions of their own.
\c - postgres
CREATE TABLE desk.parted (LIKE desk.found) PARTITION BY LIST (category_id);
CREATE TABLE desk.parted1 PARTITION OF desk.parted FOR VALUES IN (1);
CREATE TABLE desk.parted2 PARTITION OF desk.parted FOR VALUES IN (2, 3);
ALTER TABLE desk.parted ADD COLUMN department_id int;
INSERT INTO desk.parted SELECT *, 1 + id % 2 FROM desk.found;
CREATE INDEX ON desk.parted USING gin (doc);
ANALYZE desk.parted;
GRANT SELECT ON desk.parted TO PUBLIC;
SELECT deskguard.protect_tickets('desk.parted', category_column => 'category_id', department_column => 'department_id');
INSERT INTO deskguard.agent_department VALUES (31, 1, 'full');
-- An index with support functions of somebody else, for PostgreSQL's own operators, is not searched. Only superusers can make
-- such a family of operators.
CREATE FUNCTION test.compare(numeric, numeric) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RAISE NOTICE 'compared';
    RETURN numeric_cmp($1, $2);
END $$;
CREATE OPERATOR CLASS test.loud FOR TYPE numeric USING btree AS
    OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 test.compare(numeric, numeric);
SET client_min_messages = warning;
DROP INDEX desk.found_price;
CREATE INDEX found_loud ON desk.found (price test.loud);
RESET client_min_messages;
\c - regress_app
SET enable_seqscan = off;
SELECT deskguard.set_agent(31, false);
SELECT test.plan($$ SELECT id FROM desk.parted WHERE doc @@ 'word7' $$);
SELECT deskguard.set_agent(30, false);
SELECT test.plan($$ SELECT id FROM desk.found WHERE price = 7.5 $$);
SELECT id FROM desk.found WHERE price = 7.5;

\c - postgres
SET client_min_messages = warning;
DROP EXTENSION pg_trgm CASCADE;
DROP SCHEMA regress_other CASCADE;
DROP TABLE test.condition, test.other_condition;
DROP OPERATOR FAMILY test.loud USING btree CASCADE;
DROP FUNCTION test.searched(text), test.search_index(text), test.plan(text), test.found_by(text), test.unassigned(numeric), test.compare(numeric, numeric);

-- In a database without deskguard the policies of others are nothing to it.
\c postgres
CREATE TABLE other_ticket (id int, doc tsvector);
ALTER TABLE other_ticket ENABLE ROW LEVEL SECURITY;
CREATE POLICY first ON other_ticket USING (id = 1);
GRANT SELECT ON other_ticket TO regress_app;
\c - regress_app
EXPLAIN (COSTS OFF) SELECT * FROM other_ticket WHERE doc @@ 'word7';
\c - postgres
DROP TABLE other_ticket;
\c regression
