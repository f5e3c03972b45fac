-- Shared things whose keys are uuid, text or varchar, and internal functions that are called with keys of another kind.
SET client_min_messages = warning;
SELECT test.reset_keys();

-- Things that are shared.
SET ROLE regress_owner;
CREATE TABLE keys.response (id uuid PRIMARY KEY, owner_id uuid, body text);
CREATE TABLE words.response (id varchar(40) PRIMARY KEY, owner_id text, body text);
CREATE TABLE desk.response (id integer PRIMARY KEY, owner_id smallint, body text);
INSERT INTO desk.response SELECT g, CASE WHEN g < 5 THEN 2 WHEN g < 8 THEN 4 WHEN g = 8 THEN 99 END, 'response ' || g FROM generate_series(1, 9) AS g;
INSERT INTO keys.response SELECT test.key('b', id), test.key('a', owner_id), body FROM desk.response;
INSERT INTO words.response TABLE keys.response;
SELECT deskguard.protect_shared(s || '.response', owner_column => 'owner_id') FROM unnest(ARRAY['desk', 'keys', 'words']) AS s;
SELECT p.* FROM test.protection('keys.response') AS p;
SELECT p.* FROM test.protection('words.response') AS p;
RESET ROLE;
SET ROLE regress_ann;
SELECT deskguard.share('desk.response', 1, agent_id => 4), deskguard.share('desk.response', 2, group_id => 100),
    deskguard.share('desk.response', '3', everyone => true);
SELECT deskguard.share('keys.response', test.key('b', 1), agent_id => 4), deskguard.share('keys.response', test.key('b', 2)::text, group_id => 100),
    deskguard.share('keys.response', 'B0000000-0000-0000-0000-000000000003', everyone => true);
SELECT deskguard.share('keys.response', test.key('b', 3), everyone => true);
SELECT deskguard.share('words.response', test.key('b', 1), agent_id => 4), deskguard.share('words.response', test.key('b', 2)::text, group_id => 100),
    deskguard.share('words.response', 'b0000000-0000-0000-0000-000000000003', everyone => true);
SELECT arguments, split_part(test.attempt_only('SELECT deskguard.share(' || arguments || ')'), E'\n', 1) AS share,
    left(test.attempt_only('SELECT deskguard.unshare(' || arguments || ')'), 7) AS unshare
FROM unnest(ARRAY[
    $$'keys.response', 1, 100$$,
    $$'keys.response', 'x', 100$$,
    $$'keys.response', NULL, 100$$,
    $$'keys.response', NULL::uuid, 100$$,
    $$'keys.response', test.key('b', 5), 100$$,
    $$'keys.response', test.key('b', 8), 100$$,
    $$'keys.response', test.key('b', 404), 100$$,
    $$'keys.response', test.key('b', 1)$$,
    $$'keys.response', test.key('b', 1), 999$$,
    $$'keys.ticket', test.key('f', 1), 100$$,
    $$'words.response', 1, 100$$,
    $$'words.response', 'B0000000-0000-0000-0000-000000000001', 100$$,
    $$'desk.response', test.key('b', 1), 100$$,
    $$'desk.response', '1x', 100$$,
    $$'desk.response', ' 1', 100$$,
    $$'desk.response', '99999999999999999999', 100$$,
    $$'desk.response', 1.5, 100$$]) AS arguments;
RESET ROLE;
CREATE VIEW test.visibility AS
SELECT object_table, object_id, object_key, group_id, agent_id, everyone FROM deskguard.shared_visibility
ORDER BY object_table::text COLLATE "C", object_id, object_key, group_id, agent_id;
SELECT * FROM test.visibility;
SET SESSION AUTHORIZATION regress_app;
SELECT command, test.everywhere_for_each_agent(command) AS outcomes FROM unnest(ARRAY[
    'SELECT FROM {s}.response',
    'SELECT FROM {s}.response WHERE id = {b2}',
    'SELECT FROM {s}.response WHERE id IN ({b1}, {b2}, {b3}, {b4}) FOR UPDATE',
    'INSERT INTO {s}.response VALUES ({b20}, {a2})',
    'INSERT INTO {s}.response VALUES ({b20}, {a99})',
    'INSERT INTO {s}.response VALUES ({b20}, NULL)',
    'UPDATE {s}.response SET body = ''x''',
    'UPDATE {s}.response SET owner_id = {a4} WHERE id = {b4}',
    'UPDATE {s}.response SET owner_id = {a99} WHERE id = {b4}',
    'DELETE FROM {s}.response WHERE id = {b3}',
    'SELECT deskguard.share(''{s}.response'', {b4}, everyone => true)',
    'SELECT deskguard.unshare(''{s}.response'', {b3}, everyone => true)']) AS command;
RESET SESSION AUTHORIZATION;
SELECT row, test.attempt_only('INSERT INTO deskguard.shared_visibility (object_table, object_id, object_key, everyone) VALUES ' || row)
FROM unnest(ARRAY[
    $$('keys.response', NULL, NULL, true)$$,
    $$('keys.response', 1, test.key('b', 1), true)$$,
    $$('keys.response', NULL, test.key('b', 1), true)$$,
    $$('keys.response', NULL, test.key('b', 3), true)$$,
    $$('desk.response', 4, NULL, true)$$]) AS row;
-- A key that the table cannot have shares nothing, nor does a number, and uuid count as PostgreSQL prints them.
BEGIN;
INSERT INTO deskguard.shared_visibility (object_table, object_id, object_key, agent_id) VALUES
    ('keys.response', NULL, 'B0000000-0000-0000-0000-000000000004', 5), ('keys.response', NULL, 'nonsense', 5), ('keys.response', 4, NULL, 5),
    ('words.response', NULL, 'B0000000-0000-0000-0000-000000000004', 5), ('words.response', 4, NULL, 5), ('desk.response', NULL, '4', 5);
SET LOCAL SESSION AUTHORIZATION regress_app;
SELECT test.everywhere_for_each_agent('SELECT FROM {s}.response WHERE owner_id = {a2}');
RESET SESSION AUTHORIZATION;
ROLLBACK;
-- What is gone is not shared; the id of what is shared stays.
SET ROLE regress_ann;
SELECT s, test.attempt(format('UPDATE %s.response SET id = replace(id::text, ''-0000-'', ''-1111-'')::%s WHERE body = ''response 2''', s, type)) AS shared,
    test.attempt_only(format('UPDATE %s.response SET id = replace(id::text, ''-0000-'', ''-1111-'')::%s WHERE body = ''response 4''', s, type)) AS not_shared
FROM (VALUES ('keys', 'uuid'), ('words', 'text')) AS t (s, type);
DELETE FROM keys.response WHERE id = test.key('b', 3);
INSERT INTO keys.response VALUES (test.key('b', 3), test.key('a', 2), 'another');
DELETE FROM words.response WHERE id = test.key('b', 3)::text;
SELECT deskguard.unshare('keys.response', test.key('b', 1), agent_id => 4);
SELECT deskguard.unshare('words.response', test.key('b', 1), agent_id => 4);
RESET ROLE;
SELECT * FROM test.visibility WHERE object_key IS NOT NULL;
TRUNCATE keys.response;
SELECT object_table, count(*) FROM test.visibility GROUP BY 1 ORDER BY object_table::text COLLATE "C";

-- The functions of policies and plans, called by anybody with keys of another kind: they give nothing away.
SET ROLE regress_ann;
SELECT f, split_part(test.attempt('SELECT 1 WHERE deskguard_internal.' || f), E'\n', 1) AS outcome
FROM unnest(ARRAY[
    $$followed('desk.ticket', 6)$$, $$followed('desk.ticket', '6')$$, $$followed('desk.ticket', test.key('f', 6))$$,
    $$followed('keys.ticket', test.key('f', 6))$$, $$followed('keys.ticket', 6)$$, $$followed('keys.ticket', 'nonsense')$$,
    $$followed('keys.ticket', test.key('f', 6)::text)$$, $$followed('words.ticket', test.key('f', 6)::text)$$,
    $$followed('words.ticket', test.key('f', 6))$$, $$followed('words.ticket', 6::smallint)$$, $$followed('keys.response', test.key('f', 6))$$,
    $$followed(NULL, test.key('f', 6))$$, $$followed('keys.ticket', NULL::uuid)$$,
    $$parent_seen('keys.message', test.key('f', 4))$$, $$parent_seen('keys.message', 4)$$, $$parent_seen('keys.message', 'nonsense')$$,
    $$parent_seen('desk.message', test.key('f', 4))$$, $$parent_seen('words.message', 4)$$, $$parent_seen('words.message', test.key('f', 4))$$,
    $$parent_reply_ok('keys.message', 'nonsense')$$, $$parent_edit_ok('keys.attachment', 4)$$, $$parent_edit_ok('words.attachment', test.key('b', 4)::text)$$,
    $$new_message_ok('keys.message', 4, 2)$$, $$new_message_ok('keys.message', 'nonsense', 2)$$, $$follower_ok('keys.ticket_follower', 1, 2)$$,
    $$follower_ok('keys.ticket_follower', 'nonsense', 2)$$, $$follower_ok('desk.ticket_follower', test.key('f', 1), 2)$$,
    $$view_ok('keys.ticket', 4, 2, NULL, 2, NULL, NULL, NULL, false)$$, $$view_ok('keys.ticket', 'nonsense', 2, NULL, 2, NULL, NULL, NULL, false)$$,
    $$view_ok('desk.ticket', 'nonsense', 2, NULL, 2, NULL, NULL, NULL, false)$$, $$view_ok('keys.ticket', test.key('f', 6), -9223372036854775808, NULL, 5, NULL, NULL, NULL, false)$$,
    $$silo_ok('keys.ticket', -9223372036854775808)$$, $$update_ok('keys.ticket', 4, 2, NULL, 'open')$$, $$update_ok('keys.ticket', 'nonsense', 2, NULL, 'open')$$,
    $$shared_with('keys.response', 1)$$, $$shared_with('keys.response', 'nonsense')$$, $$shared_with('desk.response', test.key('b', 1))$$,
    $$shared_seen('keys.response', 2, 4)$$, $$shared_seen('keys.response', 'nonsense', 4)$$, $$shared_seen('keys.response', test.key('b', 2), -9223372036854775808)$$,
    $$shared_ok('keys.response', -9223372036854775808)$$, $$has_category('nonsense')$$, $$has_category(test.key('c', 99))$$,
    $$has_category(test.key('c', 1))$$, $$has_department(test.key('d', 3)::text)$$, $$in_team(test.key('e', 10))$$, $$in_team(-9223372036854775808)$$]) AS f;
SELECT f, test.attempt('SELECT * FROM unnest(deskguard_internal.' || f || ')') AS outcome
FROM unnest(ARRAY[
    $$followed_tickets('desk.ticket')$$, $$followed_tickets('keys.ticket')$$, $$followed_tickets_uuid('keys.ticket')$$, $$followed_tickets_text('keys.ticket')$$,
    $$followed_tickets_uuid('desk.ticket')$$, $$followed_tickets_text('words.ticket')$$, $$followed_tickets_uuid(NULL)$$,
    $$visible_parents('keys.message')$$, $$visible_parents_uuid('keys.message')$$, $$visible_parents_text('keys.message')$$, $$visible_parents_uuid('desk.message')$$,
    $$visible_parents_text('words.attachment')$$, $$editable_parents('words.message')$$, $$editable_parents_text('words.message')$$,
    $$editable_parents_uuid('keys.response')$$, $$shared_objects('keys.response')$$, $$shared_objects_uuid('keys.response')$$, $$shared_objects_text('keys.response')$$,
    $$shared_objects_uuid('desk.response')$$, $$shared_objects_uuid('keys.ticket')$$]) AS f;
RESET ROLE;

DROP VIEW test.visibility;

DROP SCHEMA keys, words CASCADE;
