-- Every function that policies and plans call, and every question, called by an agent with keys of each kind for tables of
-- each kind, as constants and as columns, folded and not: a key of another kind than the table's is nobody's.
SELECT test.reset();
SET client_min_messages = warning;
CREATE SCHEMA kinds AUTHORIZATION regress_owner;
GRANT USAGE ON SCHEMA kinds TO PUBLIC;
CREATE FUNCTION kinds.uuid(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT format('00000000-0000-0000-0000-%s', lpad(n::text, 12, '0'))::uuid
$$;
CREATE FUNCTION kinds.key(kind regtype, n bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE kind WHEN 'uuid'::regtype THEN kinds.uuid(n)::text WHEN 'text'::regtype THEN 'row ' || n ELSE n::text END
$$;
UPDATE deskguard.agent SET external_key = kinds.uuid(id)::text;
UPDATE deskguard.department SET external_key = kinds.uuid(1000 + id)::text;

-- For each kind: tickets, followers, messages, attachments and shared things. Ann (2) has ticket 1, follows ticket 2, and is shown
-- thing 3.
SET ROLE regress_owner;
DO $$
DECLARE
    kind record;
BEGIN
    FOR kind IN SELECT * FROM (VALUES ('n', 'bigint'), ('u', 'uuid'), ('t', 'text')) AS k (name, type) LOOP
        EXECUTE format('
            CREATE TABLE kinds.%1$s_ticket (id %2$s PRIMARY KEY, department_id bigint, assignee_id bigint, confidential boolean, status text);
            CREATE TABLE kinds.%1$s_follower (ticket_id %2$s, agent_id bigint, PRIMARY KEY (ticket_id, agent_id));
            CREATE TABLE kinds.%1$s_message (id %2$s PRIMARY KEY, ticket_id %2$s, author_id bigint);
            CREATE TABLE kinds.%1$s_attachment (id %2$s PRIMARY KEY, message_id %2$s);
            CREATE TABLE kinds.%1$s_thing (id %2$s PRIMARY KEY, owner_id bigint);
            INSERT INTO kinds.%1$s_ticket SELECT kinds.key(%2$L, g)::%2$s, 5, CASE g WHEN 1 THEN 2 ELSE 4 END, false, ''open''
            FROM generate_series(1, 5) AS g;
            INSERT INTO kinds.%1$s_follower VALUES (kinds.key(%2$L, 2)::%2$s, 2);
            INSERT INTO kinds.%1$s_message SELECT kinds.key(%2$L, g)::%2$s, kinds.key(%2$L, g)::%2$s FROM generate_series(1, 5) AS g;
            INSERT INTO kinds.%1$s_attachment SELECT kinds.key(%2$L, g)::%2$s, kinds.key(%2$L, g)::%2$s FROM generate_series(1, 5) AS g;
            INSERT INTO kinds.%1$s_thing SELECT kinds.key(%2$L, g)::%2$s, 4 FROM generate_series(1, 5) AS g;
            SELECT deskguard.protect_tickets(''kinds.%1$s_ticket'', department_column => ''department_id'', assignee_column => ''assignee_id'',
                follower_table => ''kinds.%1$s_follower'', confidential_column => ''confidential'', status_column => ''status'',
                archived_values => ''{closed}'');
            SELECT deskguard.protect_messages(''kinds.%1$s_message'', ''kinds.%1$s_ticket'', author_column => ''author_id'');
            SELECT deskguard.protect_messages(''kinds.%1$s_attachment'', ''kinds.%1$s_message'', ''message_id'');
            SELECT deskguard.protect_shared(''kinds.%1$s_thing'', owner_column => ''owner_id'');
        ', kind.name, kind.type);
    END LOOP;
END $$;
CREATE TABLE kinds.parted (id bigint PRIMARY KEY, department_id bigint, assignee_id bigint) PARTITION BY RANGE (id);
CREATE TABLE kinds.part PARTITION OF kinds.parted DEFAULT;
SELECT deskguard.protect_tickets('kinds.parted', department_column => 'department_id', assignee_column => 'assignee_id');
CREATE TABLE kinds.plain (id bigint PRIMARY KEY);
CREATE VIEW kinds.view AS SELECT 1 AS id;
-- What the agent asks with: of each type the keys of five rows and some more, each with an index.
CREATE TABLE kinds.asked (n2 smallint, n4 integer, n8 bigint, u uuid, t text);
INSERT INTO kinds.asked SELECT g, g, g, kinds.uuid(g), kinds.key('text', g) FROM generate_series(1, 5) AS g;
INSERT INTO kinds.asked VALUES
    (NULL, NULL, NULL, NULL, NULL), (-32768, -2147483648, -9223372036854775808, '00000000-0000-0000-0000-000000000000', ''),
    (32767, 2147483647, 9223372036854775807, 'ffffffff-ffff-ffff-ffff-ffffffffffff', '1'), (0, 0, 0, kinds.uuid(99), kinds.uuid(1)::text);
INSERT INTO kinds.asked SELECT NULL, 1000 + g, 1000 + g, kinds.uuid(1000 + g), 'more ' || g FROM generate_series(1, 250) AS g;
CREATE INDEX ON kinds.asked (n2);
CREATE INDEX ON kinds.asked (n4);
CREATE INDEX ON kinds.asked (n8);
CREATE INDEX ON kinds.asked (u);
CREATE INDEX ON kinds.asked (t);
GRANT SELECT ON ALL TABLES IN SCHEMA kinds TO PUBLIC;
RESET ROLE;
ANALYZE kinds.asked;
INSERT INTO deskguard.shared_visibility (object_table, object_id, object_key, agent_id) VALUES
    ('kinds.n_thing', 3, NULL, 2), ('kinds.u_thing', NULL, kinds.uuid(3), 2), ('kinds.t_thing', NULL, 'row 3', 2);

-- What a command gives, or its SQLSTATE.
CREATE FUNCTION kinds.asked(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    EXECUTE command INTO answer;
    RETURN COALESCE(answer, 'NULL');
EXCEPTION WHEN OTHERS THEN
    RETURN 'error ' || SQLSTATE;
END $$;

CREATE FUNCTION kinds.of_type(type regtype) RETURNS text LANGUAGE sql AS $$
    SELECT CASE type WHEN 'smallint'::regtype THEN 'n' WHEN 'integer'::regtype THEN 'n' WHEN 'bigint'::regtype THEN 'n'
        WHEN 'uuid'::regtype THEN 'u' WHEN 'text'::regtype THEN 't' END
$$;

-- The tables to ask about, and of which kind their keys are.
CREATE VIEW kinds.named AS
SELECT name, CASE WHEN name ~ '^[nut]_' THEN left(name, 1) WHEN name ~ '^part' THEN 'n' END AS kind,
    quote_literal('kinds.' || name) || '::regclass' AS value
FROM unnest(ARRAY['n_ticket', 'n_follower', 'n_message', 'n_attachment', 'n_thing', 'u_ticket', 'u_message',
    'u_thing', 't_ticket', 't_message', 't_thing', 'part', 'plain', 'view']) AS name
UNION ALL VALUES ('NULL', NULL, 'NULL::regclass'), ('0', NULL, '0::regclass');
GRANT SELECT ON kinds.named TO PUBLIC;

-- The functions with a table and a key, as policies and plans call them: a call, with %s for the table and the key.
CREATE VIEW kinds.rule AS
SELECT p.oid::regprocedure AS function, kinds.of_type(p.proargtypes[1]) AS kind, p.proargtypes[1]::regtype AS type,
    format('deskguard_internal.%I(%%s, %%s%s)', p.proname, CASE
        WHEN p.proname ~ '_ok$' AND p.pronargs = 9 THEN ', 5, NULL, 2, NULL, NULL, NULL, false'
        WHEN p.proname = 'update_ok' THEN ', 5, NULL, ''open'''
        WHEN p.proname IN ('internal_seen', 'internal_change_ok') THEN ', false, 2'
        WHEN p.proname = 'written_internal_ok' THEN ', false'
        WHEN p.proname = 'follower_of_kind_ok' THEN ', 2, ''cc'''
        WHEN p.proname = 'shared_seen' THEN ', 4'
        WHEN p.pronargs = 3 THEN ', 2' ELSE '' END) AS call
FROM pg_proc AS p
WHERE p.pronamespace = 'deskguard_internal'::regnamespace AND p.prorettype = 'bool'::regtype AND p.pronargs >= 2
    AND p.proargtypes[0] = 'regclass'::regtype AND kinds.of_type(p.proargtypes[1]) IS NOT NULL
    AND p.proname NOT IN ('silo_ok', 'written_silo_ok', 'create_ok', 'shared_ok');
GRANT SELECT ON kinds.rule TO PUBLIC;
SELECT count(*) > 30 AS there_are_many, count(DISTINCT type) FROM kinds.rule;

-- With columns. The rows of the five keys for which a call is true, in each way to run it.
CREATE FUNCTION kinds.by_column() RETURNS TABLE (function regprocedure, named text, is_of_its_kind boolean, answer text) LANGUAGE plpgsql AS $$
DECLARE
    rule record;
    named_table record;
    command text;
    way text[];
    answers text[];
BEGIN
    FOR rule IN SELECT * FROM kinds.rule ORDER BY 1 LOOP
        FOR named_table IN SELECT * FROM kinds.named LOOP
            answers := '{}';
            -- fold, enable_seqscan, fold_limit
            FOREACH way SLICE 1 IN ARRAY ARRAY[['on', 'on', '300'], ['on', 'off', '0'], ['off', 'on', '300']] LOOP
                PERFORM set_config('deskguard.fold', way[1], true), set_config('enable_seqscan', way[2], true),
                    set_config('deskguard.fold_limit', way[3], true);
                command := format('SELECT string_agg(n8::text, '','' ORDER BY n8) FILTER (WHERE n8 BETWEEN -5 AND 1001) FROM kinds.asked WHERE %s',
                    format(rule.call, named_table.value, CASE rule.type WHEN 'smallint'::regtype THEN 'n2'
                        WHEN 'integer'::regtype THEN 'n4' WHEN 'bigint'::regtype THEN 'n8' ELSE rule.kind END));
                answers := answers || kinds.asked(command);
            END LOOP;
            function := rule.function;
            named := named_table.name;
            is_of_its_kind := COALESCE(named_table.kind = rule.kind, false);
            FOR answer IN SELECT DISTINCT a FROM unnest(answers) AS a ORDER BY a LOOP
                RETURN NEXT;
            END LOOP;
        END LOOP;
    END LOOP;
END $$;
SET ROLE regress_ann;
SELECT deskguard.current_agent();
BEGIN;
CREATE TEMP TABLE by_column AS SELECT * FROM kinds.by_column();
-- Of another kind, or no protected table: no row, no error.
SELECT * FROM by_column WHERE NOT is_of_its_kind AND answer <> 'NULL';
-- All ways to run a call agree.
SELECT function, named, array_agg(answer) FROM by_column GROUP BY 1, 2 HAVING count(*) > 1;
-- And of its own kind.
SELECT function, array_agg(named || ': ' || answer ORDER BY named) AS rows FROM by_column
WHERE is_of_its_kind AND answer <> 'NULL' GROUP BY 1 ORDER BY function::text COLLATE "C";
COMMIT;

-- With constants, directly and as the only condition of a query.
CREATE FUNCTION pg_temp.by_constant() RETURNS TABLE (function regprocedure, named text, is_of_its_kind boolean, value text, answer text, in_where text)
LANGUAGE plpgsql AS $$
DECLARE
    rule record;
    named_table record;
BEGIN
    FOR rule IN SELECT * FROM kinds.rule LOOP
        FOR named_table IN SELECT * FROM kinds.named LOOP
            FOREACH value IN ARRAY CASE rule.kind
                WHEN 'n' THEN ARRAY['1', '2', '3', '32767', '-32768', 'NULL']
                WHEN 'u' THEN ARRAY[quote_literal(kinds.uuid(1)), quote_literal(kinds.uuid(3)), 'NULL']
                ELSE ARRAY['''row 1''', '''row 2''', '''1''', '''''', quote_literal(kinds.uuid(1)), 'NULL'] END
            LOOP
                function := rule.function;
                named := named_table.name;
                is_of_its_kind := COALESCE(named_table.kind = rule.kind, false);
                answer := kinds.asked(format('SELECT COALESCE(%s, false)',
                    format(rule.call, named_table.value, format('(%s)::%s', value, rule.type))));
                in_where := kinds.asked('SELECT count(*) > 0 FROM kinds.asked WHERE '
                    || format(rule.call, named_table.value, format('(%s)::%s', value, rule.type)));
                RETURN NEXT;
            END LOOP;
        END LOOP;
    END LOOP;
END $$;
CREATE TEMP TABLE by_constant AS SELECT * FROM pg_temp.by_constant();
SELECT * FROM by_constant WHERE NOT is_of_its_kind AND value <> 'NULL' AND (answer, in_where) <> ('false', 'false');
SELECT * FROM by_constant WHERE answer <> in_where ORDER BY 1, 2, 4;
SELECT DISTINCT function::text COLLATE "C" AS function, answer FROM by_constant WHERE answer LIKE 'error%' ORDER BY 1, 2;

-- The lists: of each kind for each table.
SELECT format('%s(%s)', p.proname, n.name) AS list, kinds.asked(format('SELECT deskguard_internal.%I(%s)', p.proname, n.value)) AS answer
FROM pg_proc AS p, kinds.named AS n
WHERE p.pronamespace = 'deskguard_internal'::regnamespace AND p.proargtypes::text = 'regclass'::regtype::oid::text AND p.prorettype::regtype::text LIKE '%[]'
    AND kinds.asked(format('SELECT deskguard_internal.%I(%s)', p.proname, n.value)) <> '{}'
ORDER BY p.proname::text COLLATE "C", n.name COLLATE "C";

-- The rest, questions among them, with any arguments: an answer or an error that says what is wrong.
CREATE FUNCTION pg_temp.by_any() RETURNS TABLE (function text, outcome text) LANGUAGE plpgsql AS $$
DECLARE
    asked record;
BEGIN
    FOR asked IN
        SELECT p.pronamespace::regnamespace AS schema, p.proname, p.proretset, COALESCE(c.arguments, '{""}') AS arguments
        FROM pg_proc AS p
        LEFT JOIN LATERAL (
            SELECT array_agg(arguments ORDER BY g) AS arguments FROM (
                SELECT g, string_agg(CASE
                    WHEN type = 'regclass'::regtype THEN (SELECT n.value FROM kinds.named AS n ORDER BY md5(n.name || g || position) LIMIT 1)
                    WHEN type = 'text'::regtype THEN (SELECT v FROM unnest(ARRAY['NULL', '''view''', '''SELECT''', '''ticket.use''', '''row 1''', '''1''', '''''', quote_literal(kinds.uuid(1))]) AS v ORDER BY md5(v || g || position) LIMIT 1)
                    WHEN type = 'jsonb'::regtype THEN (SELECT v FROM unnest(ARRAY['NULL', '''{}''', '''{"id": 1}''', '''{"id": "x"}''', '''{"n": null}''', '''1''']) AS v ORDER BY md5(v || g || position) LIMIT 1)
                    WHEN type = 'uuid'::regtype THEN (SELECT v FROM unnest(ARRAY['NULL', quote_literal(kinds.uuid(1)), quote_literal(kinds.uuid(99))]) AS v ORDER BY md5(v || g || position) LIMIT 1)
                    WHEN type = 'boolean'::regtype THEN (ARRAY['NULL', 'true', 'false'])[1 + g % 3]
                    WHEN type IN ('bigint'::regtype, 'integer'::regtype) THEN (SELECT v FROM unnest(ARRAY['NULL', '1', '2', '3', '-2147483648', '2147483647']) AS v ORDER BY md5(v || g || position) LIMIT 1)
                    ELSE (ARRAY['NULL', '1', '-32768'])[1 + g % 3]
                END || '::' || type, ', ' ORDER BY position) AS arguments
                FROM generate_series(1, 60) AS g, unnest(p.proargtypes) WITH ORDINALITY AS t (oid, position), CAST(t.oid AS regtype) AS type
                GROUP BY g) AS a) AS c ON true
        WHERE p.pronamespace IN ('deskguard'::regnamespace, 'deskguard_internal'::regnamespace) AND has_function_privilege(p.oid, 'EXECUTE')
            AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype, 'internal'::regtype) AND 'internal'::regtype <> ALL (p.proargtypes)
            AND p.proname <> 'cache_stats'
        -- Who acts changes last.
        ORDER BY p.proname = 'set_agent', p.proname COLLATE "C", p.oid
    LOOP
        function := asked.proname;
        FOREACH outcome IN ARRAY asked.arguments LOOP
            outcome := kinds.asked(format('SELECT %s FROM (SELECT %s.%I(%s)) AS x', CASE WHEN asked.proretset THEN 'count(*)' ELSE 'x IS NULL' END, asked.schema, asked.proname, outcome));
            IF outcome LIKE 'error%' THEN
                RETURN NEXT;
            END IF;
        END LOOP;
    END LOOP;
END $$;
BEGIN;
SET LOCAL client_min_messages = error; -- of unknown agents
SELECT function, array_agg(DISTINCT outcome ORDER BY outcome) FROM pg_temp.by_any() GROUP BY 1 ORDER BY function COLLATE "C";
ROLLBACK;
RESET ROLE;

-- A function for the keys of others around a column, with lists too long for literals.
SET ROLE regress_ann;
SET deskguard.fold_limit = 0;
SELECT count(*) FROM kinds.asked WHERE deskguard_internal.view_ok('kinds.n_ticket', n8, deskguard.agent_by_key(u), NULL, NULL, NULL, NULL, NULL, false);
SET deskguard.fold_limit = 300;
SELECT count(*) FROM kinds.asked WHERE deskguard_internal.view_ok('kinds.n_ticket', n8, deskguard.agent_by_key(u), NULL, NULL, NULL, NULL, NULL, false);
SET deskguard.fold = off;
SELECT count(*) FROM kinds.asked WHERE deskguard_internal.view_ok('kinds.n_ticket', n8, deskguard.agent_by_key(u), NULL, NULL, NULL, NULL, NULL, false);
RESET deskguard.fold;
RESET deskguard.fold_limit;
RESET ROLE;
DROP SCHEMA kinds CASCADE;
