-- Columns of which types can be protected, with which names, and what is left when they are not protected any more.
SET client_min_messages = warning;
SELECT test.reset_keys();

-- What cannot be protected.
SET ROLE regress_owner;
CREATE DOMAIN keys.a_domain AS uuid;
CREATE COLLATION keys.loose FROM "C";
RESET ROLE;
-- (Only ICU has such collations, and not every PostgreSQL has ICU.)
UPDATE pg_collation SET collisdeterministic = false WHERE collname = 'loose';
SET ROLE regress_owner;
CREATE TABLE keys.odd (
    id uuid, number int, word text, loose text COLLATE keys.loose, "char" char(8), one "char", day date, price numeric, bytes bytea, name name,
    dom keys.a_domain, list uuid[], json jsonb);
CREATE TABLE keys.odd_child (id uuid, number int, word varchar, uuid uuid, loose varchar COLLATE keys.loose);
CREATE TABLE keys.two (id uuid, n int, ticket_id uuid, PRIMARY KEY (id, n));
CREATE TABLE keys.dated (id date PRIMARY KEY, ticket_id uuid);
SELECT arguments, test.attempt_only('SELECT deskguard.' || arguments)
FROM unnest(ARRAY[
    $$protect_tickets('keys.odd', department_column => 'char')$$,
    $$protect_tickets('keys.odd', department_column => 'one')$$,
    $$protect_tickets('keys.odd', department_column => 'day')$$,
    $$protect_tickets('keys.odd', category_column => 'price')$$,
    $$protect_tickets('keys.odd', category_column => 'bytes')$$,
    $$protect_tickets('keys.odd', assignee_column => 'name')$$,
    $$protect_tickets('keys.odd', assignee_column => 'dom')$$,
    $$protect_tickets('keys.odd', team_column => 'list')$$,
    $$protect_tickets('keys.odd', team_column => 'json')$$,
    $$protect_tickets('keys.odd', 'day', 'word')$$,
    $$protect_tickets('keys.odd', department_column => 'loose')$$,
    $$protect_tickets('keys.odd', 'loose', 'word')$$,
    $$protect_tickets('keys.odd', assignee_column => 'word', unassigned_value => 0)$$,
    $$protect_tickets('keys.odd', team_column => 'word', unassigned_value => 0)$$,
    $$protect_tickets('keys.odd', 'word', 'id', 'number', 'word')$$,
    $$protect_tickets('keys.odd', 'id', 'word', follower_table => 'keys.odd_child', follower_ticket_column => 'number', follower_agent_column => 'word')$$,
    $$protect_tickets('keys.odd', 'id', 'word', follower_table => 'keys.odd_child', follower_ticket_column => 'word', follower_agent_column => 'number')$$,
    $$protect_tickets('keys.odd', 'number', 'word', follower_table => 'keys.odd_child', follower_ticket_column => 'id', follower_agent_column => 'word')$$,
    $$protect_tickets('keys.odd', 'word', 'id', follower_table => 'keys.odd_child', follower_ticket_column => 'id', follower_agent_column => 'word')$$,
    $$protect_tickets('keys.odd', 'word', 'id', follower_table => 'keys.odd_child', follower_ticket_column => 'loose', follower_agent_column => 'word')$$,
    $$protect_tickets('keys.odd', 'word', 'id', follower_table => 'keys.odd_child', follower_ticket_column => 'word', follower_agent_column => 'loose')$$,
    $$protect_tickets('keys.odd', 'word', 'id', follower_table => 'keys.odd_child', follower_ticket_column => 'word', follower_agent_column => 'number')$$,
    $$protect_messages('keys.odd_child', 'keys.ticket', 'number')$$,
    $$protect_messages('keys.odd_child', 'keys.ticket', 'word')$$,
    $$protect_messages('keys.odd_child', 'words.ticket', 'uuid')$$,
    $$protect_messages('keys.odd_child', 'words.ticket', 'loose')$$,
    $$protect_messages('keys.odd_child', 'desk.ticket', 'uuid')$$,
    $$protect_messages('keys.odd_child', 'keys.message', 'word')$$,
    $$protect_messages('keys.odd', 'keys.ticket', 'id', author_column => 'day')$$,
    $$protect_messages('keys.odd', 'keys.ticket', 'id', author_column => 'loose')$$,
    $$protect_messages('keys.odd', 'keys.ticket', 'id', author_column => 'number')$$,
    $$protect_shared('keys.odd', 'char')$$,
    $$protect_shared('keys.odd', 'loose')$$,
    $$protect_shared('keys.odd', 'id', 'char')$$,
    $$protect_shared('keys.odd', 'id', 'loose')$$,
    $$protect_shared('keys.odd', 'id', 'number')$$]) AS arguments;
SELECT * FROM test.protection('keys.odd');
-- The rows of a message table belong to it by a key of one column that can be compared.
SELECT deskguard.protect_messages('keys.two', 'keys.ticket'), deskguard.protect_messages('keys.dated', 'keys.ticket');
SELECT test.attempt_only($$SELECT deskguard.protect_messages('keys.odd', 'keys.two', 'id')$$),
    test.attempt_only($$SELECT deskguard.protect_messages('keys.odd', 'keys.dated', 'id')$$);
-- A column that is in use gets another type that keys have.
SELECT test.attempt('ALTER TABLE keys.ticket ALTER category_id TYPE text'),
    test.attempt('ALTER TABLE words.ticket ALTER department_id TYPE varchar(50)');
-- Not a key by which attachments belong to messages.
SELECT test.attempt('ALTER TABLE keys.message ALTER id TYPE text');
RESET ROLE;

-- Names that have to be quoted, keys of different kinds in one table, partitions.
SET ROLE regress_owner;
CREATE TABLE keys."Ti'cket ""x""; --" ("the id" varchar(10), "De'p" uuid, "c""at" text, "WHO" bigint, "tea\m" smallint) PARTITION BY LIST ("c""at");
CREATE TABLE keys."part '1'" PARTITION OF keys."Ti'cket ""x""; --" FOR VALUES IN ('c0000000-0000-0000-0000-000000000001', 'x');
CREATE TABLE keys."fol'lower" ("a ticket" text, "an agent" uuid);
CREATE TABLE keys."mes""sage" ("'id'" uuid PRIMARY KEY, "the ticket" text, "by" varchar);
SELECT deskguard.protect_tickets('keys."Ti''cket ""x""; --"', 'the id', 'De''p', 'c"at', 'WHO', 'tea\m', 'keys."fol''lower"', 'a ticket', 'an agent', 0);
CREATE TABLE keys.part_2 PARTITION OF keys."Ti'cket ""x""; --" DEFAULT;
SELECT deskguard.protect_messages('keys."mes""sage"', 'keys."Ti''cket ""x""; --"', 'the ticket', 'by');
SELECT definition FROM test.protection('keys.part_2') WHERE what = 'policy';
SELECT definition FROM test.protection('keys."fol''lower"') WHERE what = 'policy';
SELECT definition FROM test.protection('keys."mes""sage"') WHERE what = 'policy';
RESET ROLE;
INSERT INTO keys."Ti'cket ""x""; --" VALUES
    ('EU', test.key('d', 2), test.key('c', 1), 0, NULL), ('Ann''s', test.key('d', 4), test.key('c', 1), 2, NULL),
    ('night', test.key('d', 4), test.key('c', 2), 0, 10), ('followed', test.key('d', 4), test.key('c', 2), 5, NULL),
    ('Sales', test.key('d', 4), test.key('c', 2), 0, NULL), ('x', test.key('d', 2), 'x', 2, NULL), ('no', NULL, NULL, NULL, NULL);
INSERT INTO keys."fol'lower" VALUES ('followed', test.key('a', 2)), ('Sales', test.key('a', 99));
INSERT INTO keys."mes""sage" SELECT test.key('b', row_number() OVER (ORDER BY "the id")), "the id", 'x' FROM keys."Ti'cket ""x""; --";
SET ROLE regress_ann;
SELECT * FROM test.tried(ARRAY[
    $$SELECT FROM keys."Ti'cket ""x""; --"$$,
    $$SELECT FROM keys."part '1'"$$,
    $$SELECT FROM keys.part_2$$,
    $$SELECT FROM keys."fol'lower"$$,
    $$SELECT FROM keys."mes""sage"$$,
    $$UPDATE keys."Ti'cket ""x""; --" SET "WHO" = 2$$,
    $$UPDATE keys."Ti'cket ""x""; --" SET "c""at" = test.key('c', 2)$$,
    $$UPDATE keys."Ti'cket ""x""; --" SET "De'p" = test.key('d', 4) WHERE "the id" = 'EU' RETURNING *$$,
    $$INSERT INTO keys."mes""sage" VALUES (test.key('b', 50), 'EU', test.key('a', 2))$$,
    $$INSERT INTO keys."mes""sage" VALUES (test.key('b', 50), 'Sales', test.key('a', 2))$$]);
RESET ROLE;
SELECT test.explained_in(2, 'x', 'keys."Ti''cket ""x""; --"');
SELECT k FROM deskguard.visible_ticket_keys(2, 'keys."Ti''cket ""x""; --"') AS k ORDER BY k COLLATE "C";
SET ROLE regress_owner;
ALTER TABLE keys."Ti'cket ""x""; --" RENAME "c""at" TO cat;
ALTER TABLE keys."Ti'cket ""x""; --" RENAME TO renamed;
RESET ROLE;
SELECT deskguard.agent_can_view(2, 'EU', 'keys.renamed'), deskguard.agent_can_view(2, 'x', 'keys.renamed');

-- Unprotected: as before.
SET ROLE regress_owner;
SELECT deskguard.unprotect(t::regclass) FROM unnest(ARRAY['keys."mes""sage"', 'keys.renamed', 'keys.two', 'keys.dated', 'keys.attachment', 'words.attachment',
    'keys.message', 'words.message', 'keys.ticket', 'words.ticket']) AS t;
RESET ROLE;
SELECT c.oid::regclass AS of, p.* FROM pg_class AS c, test.protection(c.oid) AS p
WHERE relnamespace IN ('keys'::regnamespace, 'words'::regnamespace) AND p.definition <> 'row security f, forced f';
SELECT count(*) AS traces FROM pg_depend AS d JOIN pg_class AS c ON c.oid IN (d.objid, d.refobjid)
WHERE relnamespace IN ('keys'::regnamespace, 'words'::regnamespace) AND 'pg_policy'::regclass IN (d.classid, d.refclassid);
SELECT table_id, kind FROM deskguard.protected_table ORDER BY table_id::text COLLATE "C";
-- Now there is one table only, and ids of no table given are its.
SELECT deskguard.agent_can_view(2, 4), deskguard.agent_can_view(2, '4'), test.attempt($$SELECT deskguard.agent_can_view(2, test.key('f', 4))$$),
    (SELECT count(*) FROM deskguard.visible_ticket_keys(2)) = (SELECT count(*) FROM deskguard.visible_tickets(2)) AS the_same;

DROP SCHEMA keys, words CASCADE;
