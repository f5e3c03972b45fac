-- protect_tickets(), unprotect() and create_help_desk(): what they refuse, what they add and take away.
SELECT test.reset();
SET client_min_messages = warning;
CREATE SCHEMA ours AUTHORIZATION regress_owner;
GRANT USAGE ON SCHEMA ours TO PUBLIC;
SET ROLE regress_owner;
CREATE TABLE ours.ticket (
    id int PRIMARY KEY, dep smallint, cat bigint, who int, team bigint, note text, price numeric, "from" oid);
CREATE TABLE ours.follower (ticket_id int, agent_id smallint, since date);
CREATE TABLE ours.follower2 (ticket_id int, agent_id int);
CREATE VIEW ours.a_view AS SELECT * FROM ours.ticket;
CREATE MATERIALIZED VIEW ours.a_materialized_view AS SELECT * FROM ours.ticket;
CREATE SEQUENCE ours.a_sequence;
CREATE TYPE ours.a_type AS (id int, dep int);
CREATE DOMAIN ours.key AS int;
CREATE TABLE ours.with_domain (id ours.key, dep ours.key);
CREATE TABLE ours.parent (id int, dep int) PARTITION BY LIST (dep);
CREATE TABLE ours.part PARTITION OF ours.parent FOR VALUES IN (1);
CREATE TEMP TABLE a_temp (id int, dep int);
RESET ROLE;
CREATE FOREIGN DATA WRAPPER nothing;
CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing;
CREATE FOREIGN TABLE ours.a_foreign_table (id int, dep int) SERVER nowhere;
CREATE TABLE ours.of_postgres (id int, dep int, ticket_id int, agent_id int);

CREATE TEMP TABLE refused (n int GENERATED ALWAYS AS IDENTITY, arguments text);
GRANT SELECT ON refused TO regress_owner;
INSERT INTO refused (arguments) VALUES
    ($$NULL$$),
    ($$0, department_column => 'dep'$$),
    ($$'ours.absent', department_column => 'dep'$$),
    ($$'ours.a_view', department_column => 'dep'$$),
    ($$'ours.a_materialized_view', department_column => 'dep'$$),
    ($$'ours.a_sequence', department_column => 'dep'$$),
    ($$'ours.ticket_pkey', department_column => 'dep'$$),
    ($$'ours.a_type', department_column => 'dep'$$),
    ($$'ours.a_foreign_table', department_column => 'dep'$$),
    ($$'ours.part', department_column => 'dep'$$),
    ($$'pg_temp.a_temp', department_column => 'dep'$$),
    ($$'pg_catalog.pg_class', id_column => 'relpages', department_column => 'relnatts'$$),
    ($$'deskguard.agent', department_column => 'id'$$),
    ($$'ours.of_postgres', department_column => 'dep'$$),
    ($$'ours.ticket'$$),
    ($$'ours.ticket', unassigned_value => 0$$),
    ($$'ours.ticket', NULL, 'dep'$$),
    ($$'ours.ticket', 'ID', 'dep'$$),
    ($$'ours.ticket', '', 'dep'$$),
    ($$'ours.ticket', 'ctid', 'dep'$$),
    ($$'ours.ticket', 'tableoid', 'dep'$$),
    ($$'ours.ticket', department_column => 'absent'$$),
    ($$'ours.ticket', department_column => 'price'$$),
    ($$'ours.ticket', category_column => 'price'$$),
    ($$'ours.ticket', assignee_column => 'from'$$),
    ($$'ours.ticket', team_column => 'dep', department_column => 'dep'$$),
    ($$'ours.ticket', id_column => 'dep', department_column => 'dep'$$),
    ($$'ours.ticket', department_column => 'dep', unassigned_value => 0$$),
    ($$'ours.with_domain', department_column => 'dep'$$),
    ($$'ours.ticket', department_column => 'dep', follower_table => 'ours.a_view'$$),
    ($$'ours.ticket', department_column => 'dep', follower_table => 'ours.ticket'$$),
    ($$'ours.ticket', department_column => 'dep', follower_table => 'ours.of_postgres'$$),
    ($$'ours.ticket', department_column => 'dep', follower_table => 'ours.follower', follower_ticket_column => 'absent'$$),
    ($$'ours.ticket', department_column => 'dep', follower_table => 'ours.follower', follower_agent_column => 'since'$$),
    ($$'ours.ticket', department_column => 'dep', follower_table => 'ours.follower', follower_agent_column => NULL$$),
    ($$'ours.ticket', department_column => 'dep', follower_table => 'ours.follower', follower_agent_column => 'ticket_id'$$),
    ($$'ours.ticket', department_column => 'dep', follower_table => 'desk.ticket_follower'$$),
    ($$'ours.ticket', department_column => 'dep', follower_table => 'desk.ticket', follower_ticket_column => 'id',
        follower_agent_column => 'assignee_id'$$),
    ($$'desk.ticket_follower', id_column => 'ticket_id', assignee_column => 'agent_id'$$);
SET ROLE regress_owner;
SELECT arguments, test.attempt_only('SELECT deskguard.protect_tickets(' || arguments || ')') FROM refused ORDER BY n;
-- Nothing of that has left a trace.
SELECT * FROM test.protection('ours.ticket');
RESET ROLE;
SELECT table_id FROM deskguard.protected_table ORDER BY table_id::text COLLATE "C";
-- Who may call the functions still needs to be the owner.
SET ROLE regress_other;
SELECT test.attempt_only($$SELECT deskguard.protect_tickets('ours.ticket', department_column => 'dep')$$);
RESET ROLE;
GRANT EXECUTE ON FUNCTION deskguard.protect_tickets, deskguard.unprotect, deskguard.create_help_desk TO regress_other;
SET ROLE regress_other;
SELECT test.attempt_only($$SELECT deskguard.protect_tickets('ours.ticket', department_column => 'dep')$$);
SELECT test.attempt_only($$SELECT deskguard.unprotect('desk.ticket')$$);
SET ROLE regress_owner;
SELECT of, test.attempt_only(format('SELECT deskguard.unprotect(%s)', of))
FROM unnest(ARRAY['NULL', '0', '''ours.ticket''', '''desk.ticket_follower''', '''ours.absent''']) AS of;
SELECT schema, test.attempt_only(format('SELECT deskguard.create_help_desk(%L)', schema))
FROM unnest(ARRAY[NULL, 'desk', 'deskguard', 'pg_desk', '']) AS schema;
RESET ROLE;
SET ROLE regress_other;
SELECT test.attempt_only('SELECT deskguard.create_help_desk()');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION deskguard.protect_tickets, deskguard.unprotect, deskguard.create_help_desk FROM regress_other;

-- The columns that want an index are told, those that have one are not.
RESET client_min_messages;
SET ROLE regress_owner;
CREATE INDEX ON ours.ticket (dep, cat);
CREATE INDEX ON ours.ticket (who) WHERE who > 5;
SELECT deskguard.protect_tickets('ours.ticket', department_column => 'dep', category_column => 'cat',
    assignee_column => 'who', team_column => 'team', follower_table => 'ours.follower');
SELECT * FROM test.protection('ours.ticket');
SELECT * FROM test.protection('ours.follower');

-- Again with other columns: the former mapping is gone, with its follower table.
CREATE INDEX ON ours.ticket (cat);
CREATE INDEX ON ours.follower2 (ticket_id);
CREATE INDEX ON ours.follower2 (agent_id);
SELECT deskguard.protect_tickets('ours.ticket', category_column => 'cat', follower_table => 'ours.follower2', drop_rules => true);
SELECT * FROM test.protection('ours.ticket');
SELECT * FROM test.protection('ours.follower');
SELECT deskguard.protect_tickets('ours.ticket', department_column => 'dep', drop_rules => true);
SELECT * FROM test.protection('ours.ticket');
SELECT * FROM test.protection('ours.follower2');
SELECT deskguard.unprotect('ours.ticket');
SELECT * FROM test.protection('ours.ticket');

-- Row-level security, policies and triggers of the owner stay as they were.
ALTER TABLE ours.ticket ENABLE ROW LEVEL SECURITY;
CREATE POLICY cheap ON ours.ticket USING (price < 100);
CREATE POLICY tenant ON ours.ticket AS RESTRICTIVE USING (note = 'a');
CREATE FUNCTION ours.stamp() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$;
CREATE TRIGGER stamp BEFORE UPDATE ON ours.ticket FOR EACH ROW EXECUTE FUNCTION ours.stamp();
ALTER TABLE ours.follower FORCE ROW LEVEL SECURITY;
CREATE TEMP TABLE before AS
SELECT t, p.* FROM unnest(ARRAY['ours.ticket', 'ours.follower']) AS t, test.protection(t::regclass) AS p;
SELECT deskguard.protect_tickets('ours.ticket', department_column => 'dep', follower_table => 'ours.follower2', drop_rules => true);
SELECT deskguard.protect_tickets('ours.ticket', department_column => 'dep', follower_table => 'ours.follower', drop_rules => true);
SELECT deskguard.protect_tickets('ours.ticket', department_column => 'dep', category_column => 'cat',
    follower_table => 'ours.follower', drop_rules => true);
SELECT deskguard.unprotect('ours.ticket');
SELECT t, p.* FROM unnest(ARRAY['ours.ticket', 'ours.follower']) AS t, test.protection(t::regclass) AS p
EXCEPT TABLE before;
TABLE before EXCEPT
SELECT t, p.* FROM unnest(ARRAY['ours.ticket', 'ours.follower']) AS t, test.protection(t::regclass) AS p;
RESET ROLE;
SELECT count(*) AS traces FROM pg_depend
WHERE objid IN ('ours.ticket'::regclass, 'ours.follower'::regclass) AND refclassid = 'pg_policy'::regclass;
SELECT table_id FROM deskguard.protected_table ORDER BY table_id::text COLLATE "C";

-- A policy of the owner's with one of our names is in the way.
SET ROLE regress_owner;
CREATE POLICY deskguard_view ON ours.ticket USING (true);
SELECT left(test.attempt($$SELECT deskguard.protect_tickets('ours.ticket', department_column => 'dep')$$), 5) <> 'rows:' AS refused;
SELECT definition FROM test.protection('ours.ticket') WHERE definition LIKE 'deskguard%';
DROP POLICY deskguard_view ON ours.ticket;
DROP POLICY cheap ON ours.ticket;
DROP POLICY tenant ON ours.ticket;
ALTER TABLE ours.ticket DISABLE ROW LEVEL SECURITY;

-- Columns of each width, and values that they cannot have.
GRANT ALL ON ours.ticket, ours.follower TO regress_ann;
SELECT deskguard.protect_tickets('ours.ticket', department_column => 'dep', category_column => 'cat',
    assignee_column => 'who', team_column => 'team', follower_table => 'ours.follower', unassigned_value => 0);
RESET ROLE;
INSERT INTO ours.ticket VALUES
    (1, 1, 1, NULL, NULL), (2, 4, 1, 2, NULL), (3, 4, 2, NULL, 10), (4, 4, 2, 0, NULL), (5, 1, 2, 0, NULL), (6, 1, 2, 0, 11),
    (2147483647, 32767, 9223372036854775807, 2147483647, NULL), (-2147483648, -32768, -9223372036854775808, NULL, NULL);
INSERT INTO ours.follower VALUES (4, 2), (NULL, 2), (4, NULL), (99, 2);
DELETE FROM deskguard.group_permission WHERE permission = 'ticket.view.assigned';
SET ROLE regress_ann;
SELECT * FROM ours.ticket ORDER BY id;
SELECT * FROM ours.follower;
SELECT deskguard.agent_can_view(2, 9223372036854775807, 'ours.ticket') AS far_away,
    deskguard.agent_can_view(2, 5, 'ours.ticket') AS unassigned, deskguard.agent_can_view(2, 6, 'ours.ticket') AS of_a_team;
SELECT test.attempt_only('UPDATE ours.ticket SET dep = 4 WHERE id = 5');
SELECT test.attempt_only('UPDATE ours.ticket SET dep = 5');
RESET ROLE;

-- Only some of the columns: what a table does not have does not restrict it.
SET ROLE regress_owner;
SELECT deskguard.protect_tickets('ours.ticket', assignee_column => 'who', drop_rules => true);
RESET ROLE;
SET ROLE regress_ann;
SELECT id, who FROM ours.ticket ORDER BY id;
RESET ROLE;
SET ROLE regress_owner;
SELECT deskguard.protect_tickets('ours.ticket', category_column => 'cat', drop_rules => true);
RESET ROLE;
SET ROLE regress_ann;
SELECT id, cat FROM ours.ticket ORDER BY id;
RESET ROLE;

-- Names that need quotes, of 63 bytes, and not in ASCII.
SET ROLE regress_owner;
CREATE TABLE ours."T 'x'.""y"";--" (
    "select" bigint PRIMARY KEY, "Dep.art""ment" int, "Kätegorie, die einen Namen mit genau 63 Bytes hat, ja, 63 Byte" int);
CREATE TABLE ours."fölgt ?" ("the ticket" int, "$1" int);
SELECT deskguard.protect_tickets('ours."T ''x''.""y"";--"', 'select', 'Dep.art"ment',
    'Kätegorie, die einen Namen mit genau 63 Bytes hat, ja, 63 Byte', follower_table => 'ours."fölgt ?"',
    follower_ticket_column => 'the ticket', follower_agent_column => '$1');
GRANT ALL ON ours."T 'x'.""y"";--", ours."fölgt ?" TO regress_ann;
SELECT definition FROM test.protection('ours."T ''x''.""y"";--"') WHERE what = 'policy';
RESET ROLE;
INSERT INTO ours."T 'x'.""y"";--" VALUES (1, 1, 1), (2, 4, 1), (3, 4, 2);
INSERT INTO ours."fölgt ?" VALUES (2, 2);
SET ROLE regress_ann;
SELECT "select" FROM ours."T 'x'.""y"";--" ORDER BY 1;
SELECT array_agg(t ORDER BY t) FROM deskguard.visible_tickets(2, 'ours."T ''x''.""y"";--"') AS t;
SELECT deskguard.explain_access(2, 3, 'view', 'ours."T ''x''.""y"";--"') ->> 'summary';
SELECT test.attempt_only($$UPDATE ours."T 'x'.""y"";--" SET "Dep.art""ment" = 4 WHERE "select" = 1$$);
SELECT test.attempt_only($$UPDATE ours."T 'x'.""y"";--" SET "Dep.art""ment" = 5$$);
RESET ROLE;
SET ROLE regress_owner;
SELECT deskguard.unprotect('ours."T ''x''.""y"";--"');
SELECT * FROM test.protection('ours."T ''x''.""y"";--"');

-- A help desk of one's own.
SELECT deskguard.create_help_desk('My "desk"');
SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns
WHERE table_schema = 'My "desk"' ORDER BY table_name, ordinal_position;
SELECT tablename, tableowner FROM pg_tables WHERE schemaname = 'My "desk"' ORDER BY 1;
SELECT * FROM test.protection('"My ""desk""".ticket');
SELECT * FROM test.protection('"My ""desk""".ticket_follower');
RESET ROLE;
SET client_min_messages = warning;
DROP SCHEMA "My ""desk""" CASCADE;
DROP SCHEMA ours CASCADE;
DROP FOREIGN DATA WRAPPER nothing CASCADE;
SELECT table_id FROM deskguard.protected_table ORDER BY table_id::text COLLATE "C";
