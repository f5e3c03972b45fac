-- The tables of the help desk, but for the partitioned tickets; and what its users and attackers have made.
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE SCHEMA desk;
CREATE SCHEMA part;
CREATE SCHEMA keyed;

CREATE TABLE desk.ticket (
    id bigint PRIMARY KEY, subject text, secret bigint, status text DEFAULT 'open', dept int, cat int, assignee int,
    team int, conf boolean DEFAULT false, created date DEFAULT '2026-01-01', requester int, org int,
    doc tsvector GENERATED ALWAYS AS (to_tsvector('simple', subject)) STORED, rank numeric GENERATED ALWAYS AS (secret) STORED
);
CREATE INDEX ON desk.ticket (dept);
CREATE INDEX ON desk.ticket (cat);
CREATE INDEX ON desk.ticket (assignee);
CREATE INDEX ON desk.ticket (team);
CREATE INDEX ON desk.ticket (requester);
CREATE INDEX ON desk.ticket (org);
CREATE INDEX ON desk.ticket (subject);
CREATE INDEX ON desk.ticket (secret);
CREATE INDEX ON desk.ticket (lower(subject));
CREATE INDEX ON desk.ticket (lower(subject) text_pattern_ops);
CREATE INDEX ON desk.ticket USING gin (subject gin_trgm_ops);
CREATE INDEX ON desk.ticket USING gin (doc);
CREATE INDEX ON desk.ticket (rank);
CREATE STATISTICS desk.ticket_statistics ON dept, cat, subject FROM desk.ticket;
CREATE TABLE desk.follower (
    ticket_id bigint REFERENCES desk.ticket ON DELETE CASCADE, agent_id bigint, note text, code bigint, kind text,
    PRIMARY KEY (ticket_id, agent_id)
);
CREATE INDEX ON desk.follower (agent_id);
CREATE TABLE desk.message (
    id bigint PRIMARY KEY, ticket_id bigint REFERENCES desk.ticket ON DELETE CASCADE, author bigint, body text, code bigint,
    internal boolean DEFAULT false
);
CREATE INDEX ON desk.message (ticket_id);
CREATE INDEX ON desk.message (body);
CREATE INDEX ON desk.message (body text_pattern_ops);
CREATE INDEX ON desk.message USING gist (body gist_trgm_ops);
CREATE TABLE desk.attachment (
    id bigint PRIMARY KEY, message_id bigint NOT NULL REFERENCES desk.message ON DELETE CASCADE, name text, size bigint
);
CREATE INDEX ON desk.attachment (message_id);
CREATE TABLE desk.response (id bigint PRIMARY KEY, owner bigint, body text, code bigint);
CREATE INDEX ON desk.response (owner);
CREATE TABLE desk.invoice (id bigint PRIMARY KEY, body text, code bigint);

-- No foreign keys here: what belongs to no ticket is nobody's.
CREATE TABLE part.follower (ticket_id bigint, agent_id bigint, note text, code bigint, type text, PRIMARY KEY (ticket_id, agent_id));
CREATE TABLE part.message (id bigint PRIMARY KEY, ticket_id bigint, body text, code bigint, type text);
CREATE INDEX ON part.message (ticket_id);
CREATE INDEX ON part.message (body) WHERE type = 'Article';
CREATE TABLE part.attachment (id bigint PRIMARY KEY, message_id bigint NOT NULL, name text, size bigint);
CREATE INDEX ON part.attachment (message_id);

CREATE TABLE keyed.ticket (
    id uuid PRIMARY KEY, subject text, secret bigint, dept int, cat text, assignee uuid, deleted boolean NOT NULL DEFAULT false, requester uuid
);
CREATE INDEX ON keyed.ticket (cat);
CREATE INDEX ON keyed.ticket (assignee);
CREATE INDEX ON keyed.ticket (requester);
CREATE TABLE keyed.follower (ticket_id uuid, agent_id uuid, note text, code bigint, type text, PRIMARY KEY (ticket_id, agent_id));
CREATE TABLE keyed.message (id bigint PRIMARY KEY, ticket_id uuid, body text, code bigint, internal boolean DEFAULT false);
CREATE INDEX ON keyed.message (ticket_id);
CREATE TABLE keyed.filter (id uuid PRIMARY KEY, owner uuid, body text, code bigint);

-- Not protected, and has no secrets: for joins, and for errors that are caught.
CREATE TABLE desk.tag (id bigint PRIMARY KEY, name text UNIQUE);
INSERT INTO desk.tag VALUES (1, 'vip'), (2, 'zero');

DO $$
DECLARE
    of regclass;
BEGIN
    FOR of IN
        SELECT oid FROM pg_class
        WHERE relkind IN ('r', 'p') AND relnamespace IN ('desk'::regnamespace, 'part'::regnamespace, 'keyed'::regnamespace)
    LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO deskguard_adversary_owner', of);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO deskguard_adversary_user', of);
    END LOOP;
END $$;

CREATE VIEW desk.invoker_view WITH (security_invoker) AS SELECT * FROM desk.ticket;
CREATE VIEW desk.owner_view AS SELECT * FROM desk.ticket WHERE subject IS NOT NULL;
CREATE VIEW desk.joined_view WITH (security_barrier) AS
    SELECT m.id, m.ticket_id, m.author, t.subject || m.body AS body, m.code, m.internal
    FROM desk.ticket AS t JOIN desk.message AS m ON m.ticket_id = t.id;
ALTER VIEW desk.invoker_view OWNER TO deskguard_adversary_owner;
ALTER VIEW desk.owner_view OWNER TO deskguard_adversary_owner;
ALTER VIEW desk.joined_view OWNER TO deskguard_adversary_owner;
GRANT SELECT, INSERT, UPDATE, DELETE ON desk.invoker_view, desk.owner_view TO deskguard_adversary_user;
GRANT SELECT ON desk.joined_view TO deskguard_adversary_user;
GRANT USAGE ON SCHEMA desk, part, keyed TO deskguard_adversary_user, deskguard_adversary_owner;

-- What the help desk's own functions do for everybody.
CREATE FUNCTION desk.ticket_of(number bigint) RETURNS SETOF desk.ticket LANGUAGE sql STABLE AS
    $$ SELECT * FROM desk.ticket WHERE id = number $$;
CREATE FUNCTION desk.subject_of(number bigint) RETURNS text LANGUAGE plpgsql STABLE AS
    $$ BEGIN RETURN (SELECT subject FROM desk.ticket WHERE id = number); END $$;
CREATE FUNCTION desk.count_messages(number bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    counted bigint := 0;
    of record;
BEGIN
    FOR of IN SELECT * FROM desk.message WHERE ticket_id = number LOOP
        counted := counted + 1;
    END LOOP;
    RETURN counted;
END $$;

-- Helpers of the boss, who sees everything, and of nobody in particular: errors that are caught. They tell nothing.
CREATE FUNCTION desk.boss_tags() RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    WITH n AS (SELECT count(*) FROM desk.ticket) INSERT INTO desk.tag SELECT 1, 'vip' FROM n;
    RETURN true;
EXCEPTION WHEN unique_violation THEN
    RETURN false;
END $$;
CREATE FUNCTION desk.boss_divides() RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM 1 / (count(*) - count(*)) FROM desk.message;
    RETURN true;
EXCEPTION WHEN division_by_zero THEN
    RETURN false;
END $$;
CREATE FUNCTION desk.boss_plans() RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    EXECUTE 'SELECT 1 / 0, count(*) FROM desk.ticket';
    RETURN true;
EXCEPTION WHEN division_by_zero THEN
    RETURN false;
END $$;
CREATE FUNCTION desk.boss_loops() RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    of record;
BEGIN
    FOR of IN SELECT t.id, (SELECT count(*) FROM desk.message AS m WHERE m.ticket_id = t.id) AS n FROM desk.ticket AS t LOOP
        IF of.id > 3 THEN
            PERFORM 1 / (of.id - of.id);
        END IF;
    END LOOP;
    RETURN true;
EXCEPTION WHEN OTHERS THEN
    RETURN false;
END $$;
CREATE FUNCTION desk.own_tags() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO desk.tag VALUES (1, 'vip');
    RETURN true;
EXCEPTION WHEN unique_violation THEN
    RETURN false;
END $$;
CREATE FUNCTION desk.own_divides() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 / (id - id) FROM desk.tag;
    RETURN true;
EXCEPTION WHEN division_by_zero THEN
    RETURN false;
END $$;
CREATE FUNCTION desk.own_plans() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE 'SELECT 1 / 0, count(*) FROM desk.message';
    RETURN true;
EXCEPTION WHEN division_by_zero THEN
    RETURN false;
END $$;
ALTER FUNCTION desk.boss_tags() OWNER TO deskguard_adversary_boss;
ALTER FUNCTION desk.boss_divides() OWNER TO deskguard_adversary_boss;
ALTER FUNCTION desk.boss_plans() OWNER TO deskguard_adversary_boss;
ALTER FUNCTION desk.boss_loops() OWNER TO deskguard_adversary_boss;

-- The attacker's own: functions and operators that tell what they are given.
CREATE SCHEMA lair AUTHORIZATION deskguard_adversary_eve;
GRANT USAGE ON SCHEMA lair TO PUBLIC;
SET ROLE deskguard_adversary_eve;
CREATE FUNCTION lair.tell(told text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS
    $$ BEGIN RAISE NOTICE 'told %', told; RETURN true; END $$;
CREATE FUNCTION lair.tell(told bigint) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS
    $$ BEGIN RAISE NOTICE 'told %', told; RETURN true; END $$;
CREATE FUNCTION lair.sure(told text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE STRICT COST 0.0001 AS
    $$ BEGIN RAISE NOTICE 'sure %', told; RETURN true; END $$;
CREATE FUNCTION lair.fail(told text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS
    $$ BEGIN RAISE EXCEPTION 'failed %', told USING DETAIL = 'of ' || told, HINT = 'say ' || told; END $$;
CREATE FUNCTION lair.fail(told bigint) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS
    $$ BEGIN RAISE EXCEPTION 'failed %', told; END $$;
-- An error that names no value; it comes after an equality, but were it leakproof it would be cheap enough to come before policies.
CREATE FUNCTION lair.fussy(told text) RETURNS boolean LANGUAGE plpgsql COST 5 AS $$ BEGIN RAISE EXCEPTION 'fussy'; END $$;
CREATE FUNCTION lair.same(a text, b text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE COST 0.0001 AS
    $$ BEGIN RAISE NOTICE 'compares % %', a, b; RETURN a = b; END $$;
CREATE FUNCTION lair.less(a bigint, b bigint) RETURNS boolean LANGUAGE plpgsql IMMUTABLE COST 0.0001 AS
    $$ BEGIN RAISE NOTICE 'compares % %', a, b; RETURN a < b; END $$;
CREATE OPERATOR lair.=== (LEFTARG = text, RIGHTARG = text, FUNCTION = lair.same, RESTRICT = eqsel, JOIN = eqjoinsel, COMMUTATOR = OPERATOR(lair.===));
CREATE OPERATOR lair.<<< (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = lair.less, RESTRICT = scalarltsel, JOIN = scalarltjoinsel);
-- They look like those of searches.
CREATE FUNCTION lair.is_like(a text, b text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE COST 0.0001 AS
    $$ BEGIN RAISE NOTICE 'compares % %', a, b; RETURN true; END $$;
CREATE OPERATOR lair.~~ (LEFTARG = text, RIGHTARG = text, FUNCTION = lair.is_like, RESTRICT = likesel, JOIN = likejoinsel);
CREATE FUNCTION lair.is_found(a tsvector, b tsquery) RETURNS boolean LANGUAGE plpgsql IMMUTABLE COST 0.0001 AS
    $$ BEGIN RAISE NOTICE 'compares % %', a, b; RETURN true; END $$;
CREATE OPERATOR lair.@@ (LEFTARG = tsvector, RIGHTARG = tsquery, FUNCTION = lair.is_found, RESTRICT = tsmatchsel, JOIN = tsmatchjoinsel);
CREATE FUNCTION lair.lower(told text) RETURNS text LANGUAGE plpgsql IMMUTABLE COST 0.0001 AS
    $$ BEGIN RAISE NOTICE 'lowers %', told; RETURN pg_catalog.lower(told); END $$;
CREATE FUNCTION lair.pattern() RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN 'zq%\'; END $$;
-- Reads what there is to read, wherever it is called.
CREATE FUNCTION lair.look() RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RAISE NOTICE 'looks %', (SELECT string_agg(subject, ' ') FROM desk.ticket);
    RAISE NOTICE 'looks %', (SELECT string_agg(body, ' ') FROM desk.message);
    RAISE NOTICE 'looks %', (SELECT string_agg(body, ' ') FROM keyed.filter);
    RETURN true;
EXCEPTION WHEN insufficient_privilege THEN
    RETURN false;
END $$;
CREATE FUNCTION lair.spy(n bigint) RETURNS boolean LANGUAGE plpgsql IMMUTABLE COST 0.0001 AS $$ BEGIN RETURN lair.look(); END $$;
CREATE FUNCTION lair.watch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM lair.look();
    RAISE NOTICE 'trigger % %', OLD, NEW;
    RETURN COALESCE(NEW, OLD);
END $$;
RESET ROLE;

-- Every change of a row is told to the session that makes it, and so to the test.
CREATE FUNCTION desk.tell_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE USING MESSAGE = concat_ws('|', 'changed', TG_ARGV[0], TG_OP, CASE WHEN TG_OP <> 'INSERT' THEN to_json(OLD) END,
        CASE WHEN TG_OP <> 'DELETE' THEN to_json(NEW) END);
    RETURN NULL;
END $$;
