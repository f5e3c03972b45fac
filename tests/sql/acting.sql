-- Whose rights a statement has: those of its own agent, whatever runs within it or around it.
SELECT test.reset();
SET client_min_messages = warning;
UPDATE deskguard.agent SET db_role = 'regress_other' WHERE id = 4;
CREATE SCHEMA evil AUTHORIZATION regress_other;
GRANT USAGE ON SCHEMA evil TO PUBLIC;
GRANT EXECUTE ON FUNCTION deskguard.protect_tickets TO regress_other;
-- What the help desk's owner offers to everybody: as its owner, so that it sees nothing by itself.
SET ROLE regress_owner;
CREATE FUNCTION desk.how_many() RETURNS bigint SECURITY DEFINER SET search_path = pg_catalog LANGUAGE plpgsql AS
    $$BEGIN RETURN (SELECT count(*) FROM desk.ticket); END$$;
RESET ROLE;

-- Somebody's own table, whose index, constraints and expressions run code of its owner when deskguard looks at it.
SET ROLE regress_other;
CREATE FUNCTION evil.look() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN format('agent %s, user %s, sees %s, the owner sees %s, the night shift is mine: %s', deskguard.current_agent(), current_user,
        (SELECT array_agg(id ORDER BY id) FROM desk.ticket), desk.how_many(), deskguard_internal.in_team(10::bigint));
END $$;
CREATE FUNCTION evil.hostile(at text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RAISE WARNING '%: %', at, evil.look();
    RETURN true;
END $$;
CREATE TABLE evil.ticket (id bigint PRIMARY KEY, department_id bigint);
INSERT INTO evil.ticket VALUES (1, 1);
SELECT deskguard.protect_tickets('evil.ticket', department_column => 'department_id');
SET client_min_messages = error;
CREATE INDEX ON evil.ticket (department_id) WHERE evil.hostile('index');
ALTER TABLE evil.ticket ADD CHECK (evil.hostile('check'));
SET client_min_messages = warning;
SET constraint_exclusion = on;
-- The first calls plan the look-ups.
SELECT array_agg(v) FROM deskguard.visible_tickets(1, 'evil.ticket') AS v;
SELECT deskguard.agent_can_view(1, 1, 'evil.ticket'), deskguard.agent_can(1, 'delete', 1, 'evil.ticket');
SELECT array_agg(v) FROM deskguard.visible_ticket_keys(1, 'evil.ticket') AS v;
RESET ROLE;
-- A trusted session that asks runs that code as its owner and not for its own agent.
SET SESSION AUTHORIZATION regress_app;
SELECT deskguard.set_agent(1, false);
SET constraint_exclusion = on;
SELECT count(*) FROM desk.ticket;
SELECT array_agg(v) FROM deskguard.visible_tickets(1, 'evil.ticket') AS v;
RESET SESSION AUTHORIZATION;
RESET deskguard.agent_id;
RESET constraint_exclusion;

-- The planner's own estimate of a query that deskguard makes, within a query of somebody else.
SET ROLE regress_ann;
SELECT count(*) FROM desk.ticket AS t, deskguard.visible_tickets(2, 'desk.ticket') AS v WHERE v = t.id;
RESET ROLE;

-- More look-ups than are kept, one within the other.
SET ROLE regress_other;
SET client_min_messages = error;
CREATE TABLE evil.outer (id bigint, department_id bigint);
CREATE FUNCTION evil.quiet(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RETURN true; END$$;
CREATE INDEX ON evil.outer (id) WHERE evil.quiet(1);
SELECT deskguard.protect_tickets('evil.outer', department_column => 'department_id');
DO $$
BEGIN
    FOR n IN 1..70 LOOP
        EXECUTE format('CREATE TABLE evil.t%s (id bigint, department_id bigint)', n);
        PERFORM deskguard.protect_tickets(format('evil.t%s', n)::regclass, department_column => 'department_id');
    END LOOP;
END $$;
CREATE OR REPLACE FUNCTION evil.quiet(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    waste text;
BEGIN
    FOR round IN 1..2 LOOP
        FOR n IN 1..70 LOOP
            PERFORM deskguard.agent_can_view(4, 1::bigint, format('evil.t%s', n)::regclass);
        END LOOP;
        FOR n IN 1..100 LOOP
            EXECUTE format('SELECT %s FROM (VALUES (1)) AS v (x) WHERE x <> %s', n, n) INTO waste;
        END LOOP;
    END LOOP;
    RETURN true;
END $$;
RESET client_min_messages;
\c - regress_other
SELECT deskguard.agent_can_view(4, 1::bigint, 'evil.outer');
SELECT deskguard.agent_can_view(4, 1::bigint, 'evil.outer');
-- Nor does a function that is planned for the first time within a look-up see its owner's tables without policies.
SET constraint_exclusion = on;
SELECT array_agg(v) FROM deskguard.visible_tickets(1, 'evil.ticket') AS v;

-- Settings that print parse trees and plans print those of the user's statement, and nothing of a look-up.
\c - regress_other
\set VERBOSITY terse
SET client_min_messages = log;
SET debug_print_plan = on;
SET debug_print_rewritten = on;
SET debug_print_parse = on;
SELECT deskguard.agent_can_view(4, 1::bigint, 'evil.t1');
SELECT count(*) FROM deskguard.visible_tickets(4, 'evil.t1');
\c - postgres
\set VERBOSITY default
SET client_min_messages = warning;

-- Expressions of PL/pgSQL have no statement: they are asked for the session as it is at that moment.
INSERT INTO deskguard.team_member VALUES (10, 5);
UPDATE deskguard.agent SET external_key = 'ann' WHERE id = 2;
DO $$
DECLARE
    answers text;
    key bigint;
    before bigint;
    after bigint;
BEGIN
    FOR agent IN 1..6 LOOP
        PERFORM deskguard.set_agent(agent);
        answers := concat_ws(' ', deskguard_internal.in_team(10::bigint), deskguard_internal.has_category(1::bigint), deskguard_internal.has_department(4::bigint),
            deskguard_internal.view_ok('desk.ticket', 1::bigint, 2, NULL, NULL, NULL, NULL, NULL, false), deskguard_internal.parent_seen('desk.ticket_follower', 6::bigint),
            deskguard_internal.feature_ok('ticket.use'), deskguard_internal.followed('desk.ticket', 6::bigint), deskguard_internal.followed_tickets('desk.ticket'));
        RAISE WARNING '%: %', agent, answers;
    END LOOP;
    key := deskguard.agent_by_key('ann'::text);
    UPDATE deskguard.agent SET external_key = 'anna' WHERE id = 2;
    RAISE WARNING 'before % after %', key, deskguard.agent_by_key('ann'::text);
    -- Nothing of a call stays in memory.
    SELECT sum(used_bytes) INTO before FROM pg_backend_memory_contexts;
    FOR n IN 1..20000 LOOP
        answers := deskguard_internal.has_category(n::bigint) OR deskguard_internal.view_ok(CASE WHEN n % 2 = 0 THEN 'desk.ticket' END, n::bigint, n, n, n, n, n, n, false);
    END LOOP;
    SELECT sum(used_bytes) INTO after FROM pg_backend_memory_contexts;
    RAISE WARNING 'memory grew by less than a megabyte: %', after - before < 1e6;
END $$;
-- So are those that name another table each time.
SELECT deskguard.set_agent(2, false);
SELECT t, deskguard_internal.view_ok(t, 1::bigint, 2, NULL, NULL, NULL, NULL, NULL, false) FROM unnest('{desk.ticket,NULL,pg_class,desk.ticket}'::regclass[]) AS t;
RESET deskguard.agent_id;

-- Whom somebody follows is told by the follower table only, and not of others.
SELECT deskguard.set_agent(2, false);
SELECT deskguard_internal.followed_tickets('desk.ticket') AS all_that_it_follows;
SET ROLE regress_ann;
SELECT array_agg(ticket_id ORDER BY ticket_id) AS table_shows FROM desk.ticket_follower WHERE agent_id = 2;
SELECT deskguard_internal.followed_tickets('desk.ticket'), deskguard_internal.followed('desk.ticket', 10::bigint) AS hidden_one;
SELECT array_agg(n) FROM generate_series(1, 12) AS n WHERE deskguard_internal.followed('desk.ticket', n);
RESET ROLE;
UPDATE deskguard.agent SET active = false WHERE id = 2;
SET ROLE regress_ann;
SELECT deskguard_internal.followed_tickets('desk.ticket'), deskguard_internal.followed('desk.ticket', 6::bigint);
RESET ROLE;
UPDATE deskguard.agent SET active = true WHERE id = 2;
RESET deskguard.agent_id;
-- It raises no error that depends on a value, of whatever type that is.
SET ROLE regress_ann;
SELECT count(*) FROM desk.ticket WHERE subject = 'EU, Personnel' AND deskguard_internal.followed('desk.ticket', subject);
SELECT count(*) FROM desk.ticket WHERE subject = 'no such' AND deskguard_internal.followed('desk.ticket', subject);
RESET ROLE;

-- A materialized view is filled for its owner, and not for the agent of the session that refreshes it.
GRANT CREATE ON SCHEMA desk TO regress_app;
SET SESSION AUTHORIZATION regress_app;
CREATE MATERIALIZED VIEW desk.seen AS SELECT id FROM desk.ticket WITH NO DATA;
SELECT deskguard.set_agent(2, false);
SELECT count(*) FROM desk.ticket;
REFRESH MATERIALIZED VIEW desk.seen;
SELECT count(*) FROM desk.seen;
-- A function of another owner asks for the agent of the session: it is called by it, and gives it rows, not a copy.
SELECT desk.how_many();
RESET SESSION AUTHORIZATION;
RESET deskguard.agent_id;

-- The setting by which leaders tell parallel workers is not for users, not even for superusers.
CREATE FUNCTION test.forge() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    way text;
    forged text := quote_literal('{"agent":9,"rights":null,"asked":[]}');
BEGIN
    FOREACH way IN ARRAY ARRAY['SET deskguard.leader = %s', 'SET LOCAL deskguard.leader = %s',
        'SELECT set_config(''deskguard.leader'', %s, false)', 'SELECT set_config(''deskguard.leader'', %s, true)',
        'ALTER ROLE CURRENT_USER SET deskguard.leader = %s',
        'CREATE FUNCTION pg_temp.forging() RETURNS int LANGUAGE sql SET deskguard.leader = %s RETURN 1'] LOOP
        RETURN NEXT way || ': ' || left(test.attempt(format(way, forged)), 5);
    END LOOP;
END $$;
SET ROLE regress_ann;
SELECT test.forge();
RESET ROLE;
SELECT test.forge();
SHOW deskguard.leader;
DROP FUNCTION test.forge();
DROP SCHEMA evil CASCADE;
REVOKE EXECUTE ON FUNCTION deskguard.protect_tickets FROM regress_other;
SELECT test.reset();
