-- Keys that are uuid, text or varchar: what policies ask, what agents see and what they may write. The rest is in keys_*.sql.
SET client_min_messages = warning;
SELECT test.reset_keys();

SET ROLE regress_owner;
RESET client_min_messages;
SELECT deskguard.protect_tickets('keys.ticket', department_column => 'department_id', category_column => 'category_id',
    assignee_column => 'assignee_id', team_column => 'team_id', follower_table => 'keys.ticket_follower',
    status_column => 'status', archived_values => '{archived}', spam_values => '{spam}');
SET client_min_messages = warning;
SELECT p.* FROM unnest(ARRAY['ticket', 'ticket_follower', 'message', 'attachment']) WITH ORDINALITY AS t (name, nth),
    test.protection(('keys.' || t.name)::regclass) AS p ORDER BY nth, p.what, p.definition;
SELECT p.* FROM unnest(ARRAY['ticket', 'ticket_follower', 'message', 'attachment']) WITH ORDINALITY AS t (name, nth),
    test.protection(('words.' || t.name)::regclass) AS p ORDER BY nth, p.what, p.definition;
RESET ROLE;

-- All the same, whatever the keys are. 99 is a number that no row of deskguard has, and a key that is nobody's.
SET SESSION AUTHORIZATION regress_app;
SELECT command, test.everywhere_for_each_agent(command) AS outcomes FROM unnest(ARRAY[
    'SELECT FROM {s}.ticket',
    'SELECT FROM {s}.ticket WHERE id = {f4}',
    'SELECT FROM {s}.ticket WHERE id = {f2}',
    'SELECT FROM {s}.ticket WHERE id IN ({f1}, {f2}, {f5}, {f99})',
    'SELECT FROM {s}.ticket WHERE category_id = {c1}',
    'SELECT FROM {s}.ticket WHERE department_id IN ({d1}, {d4})',
    'SELECT FROM {s}.ticket WHERE assignee_id IS NULL',
    'SELECT FROM {s}.ticket FOR UPDATE',
    'SELECT FROM {s}.ticket_follower',
    'SELECT FROM {s}.ticket_follower WHERE agent_id = {a2}',
    'SELECT FROM {s}.message',
    'SELECT FROM {s}.message WHERE ticket_id = {f4}',
    'SELECT FROM {s}.message AS m JOIN {s}.ticket AS t ON t.id = m.ticket_id',
    'SELECT FROM {s}.message AS m, generate_series(1, 3)',
    'SELECT FROM {s}.attachment',
    'SELECT FROM {s}.attachment AS a JOIN {s}.message AS m ON m.id = a.message_id']) AS command;
-- What Admin (1) and Ann (2) may write.
SELECT command, test.everywhere_as(1, command) AS admin, test.everywhere_as(2, command) AS ann FROM unnest(ARRAY[
    'INSERT INTO {s}.ticket (id, subject, department_id, category_id) VALUES ({f50}, ''new'', {d1}, {c1})',
    'INSERT INTO {s}.ticket (id, subject, department_id, category_id) VALUES ({f50}, ''new'', {d4}, {c1}) RETURNING id',
    'INSERT INTO {s}.ticket (id, subject, department_id, category_id) VALUES ({f50}, ''new'', {d5}, {c1})',
    'INSERT INTO {s}.ticket (id, subject, department_id, category_id) VALUES ({f50}, ''new'', {d99}, {c1})',
    'INSERT INTO {s}.ticket (id, subject, department_id, category_id) VALUES ({f50}, ''new'', NULL, {c1})',
    'INSERT INTO {s}.ticket (id, subject, department_id, category_id) VALUES ({f50}, ''new'', {d1}, {c3})',
    'INSERT INTO {s}.ticket (id, subject, department_id, category_id) VALUES ({f50}, ''new'', {d1}, {c99})',
    'INSERT INTO {s}.ticket (id, subject, department_id, category_id) VALUES ({f50}, ''new'', {d1}, NULL)',
    'INSERT INTO {s}.ticket (id, subject, department_id, category_id, status) VALUES ({f50}, ''new'', {d1}, {c1}, ''spam'')',
    'INSERT INTO {s}.ticket (id, subject, department_id, category_id) SELECT {f50}, ''new'', department_id, category_id FROM {s}.ticket WHERE id = {f1}',
    'INSERT INTO {s}.ticket (id, subject, department_id, category_id) VALUES ({f1}, ''new'', {d1}, {c1}) ON CONFLICT (id) DO UPDATE SET subject = ''x''',
    'INSERT INTO {s}.ticket (id, subject, department_id, category_id) VALUES ({f3}, ''new'', {d1}, {c1}) ON CONFLICT (id) DO UPDATE SET subject = ''x''',
    'UPDATE {s}.ticket SET subject = ''x''',
    'UPDATE {s}.ticket SET subject = ''x'' WHERE id = {f4}',
    'UPDATE {s}.ticket SET subject = ''x'' WHERE id = {f7}',
    'UPDATE {s}.ticket SET department_id = {d4} WHERE id = {f1}',
    'UPDATE {s}.ticket SET department_id = {d4} WHERE id = {f1} RETURNING *',
    'UPDATE {s}.ticket SET department_id = {d4} WHERE department_id = {d2}',
    'UPDATE {s}.ticket SET department_id = {d3} WHERE id = {f4}',
    'UPDATE {s}.ticket SET department_id = {d5} WHERE id = {f1}',
    'UPDATE {s}.ticket SET department_id = {d99} WHERE id = {f1}',
    'UPDATE {s}.ticket SET department_id = NULL WHERE id = {f1}',
    'UPDATE {s}.ticket SET category_id = {c2} WHERE id = {f1}',
    'UPDATE {s}.ticket SET category_id = {c3} WHERE id = {f1}',
    'UPDATE {s}.ticket SET category_id = {c99} WHERE id = {f1}',
    'UPDATE {s}.ticket SET category_id = NULL WHERE id = {f1}',
    'UPDATE {s}.ticket SET assignee_id = {a5} WHERE id = {f4} RETURNING *',
    'UPDATE {s}.ticket SET assignee_id = {a99} WHERE id = {f4}',
    'UPDATE {s}.ticket SET assignee_id = NULL WHERE id = {f4}',
    'UPDATE {s}.ticket SET assignee_id = {a2} WHERE id = {f1}',
    'UPDATE {s}.ticket SET assignee_id = {a2} WHERE id = {f7}',
    'UPDATE {s}.ticket SET team_id = {e99} WHERE id = {f1}',
    'UPDATE {s}.ticket SET status = ''open'' WHERE id = {f12}',
    'UPDATE {s}.ticket SET status = ''archived'' WHERE id = {f1}',
    'UPDATE {s}.ticket SET status = ''spam'' WHERE id = {f1}',
    'UPDATE {s}.ticket SET status = ''spam'' WHERE id = {f4}',
    'UPDATE {s}.ticket AS t SET subject = o.subject FROM {s}.ticket AS o WHERE o.id = {f6} AND t.id <> o.id',
    'MERGE INTO {s}.ticket AS t USING (VALUES ({f1}), ({f51})) AS v (id) ON t.id = v.id WHEN MATCHED THEN UPDATE SET department_id = {d4}
        WHEN NOT MATCHED THEN INSERT (id, subject, department_id, category_id) VALUES (v.id, ''new'', {d4}, {c2})',
    'DELETE FROM {s}.ticket',
    'DELETE FROM {s}.ticket WHERE id = {f4} RETURNING id',
    'DELETE FROM {s}.ticket WHERE id = {f1}',
    'INSERT INTO {s}.ticket_follower VALUES ({f1}, {a2})',
    'INSERT INTO {s}.ticket_follower VALUES ({f3}, {a2})',
    'INSERT INTO {s}.ticket_follower VALUES ({f1}, {a5})',
    'INSERT INTO {s}.ticket_follower VALUES ({f7}, {a4})',
    'INSERT INTO {s}.ticket_follower VALUES ({f7}, {a99})',
    'DELETE FROM {s}.ticket_follower',
    'INSERT INTO {s}.message VALUES ({b51}, {f1}, {a2})',
    'INSERT INTO {s}.message VALUES ({b51}, {f1}, {a5})',
    'INSERT INTO {s}.message VALUES ({b51}, {f1}, {a99})',
    'INSERT INTO {s}.message VALUES ({b51}, {f1}), ({b52}, {f1})',
    'INSERT INTO {s}.message VALUES ({b51}, {f1}), ({b52}, {f4})',
    'INSERT INTO {s}.message VALUES ({b51}, {f3})',
    'INSERT INTO {s}.message VALUES ({b51}, {f99})',
    'INSERT INTO {s}.message VALUES ({b51}, NULL)',
    'UPDATE {s}.message SET body = ''x''',
    'UPDATE {s}.message SET body = ''x'' WHERE id = {b15}',
    'UPDATE {s}.message SET ticket_id = {f5} WHERE id = {b4}',
    'UPDATE {s}.message SET ticket_id = {f1} WHERE id = {b4}',
    'UPDATE {s}.message SET ticket_id = {f99} WHERE id = {b4}',
    'DELETE FROM {s}.message',
    'INSERT INTO {s}.attachment VALUES ({b51}, {b4})',
    'INSERT INTO {s}.attachment VALUES ({b51}, {b6})',
    'INSERT INTO {s}.attachment VALUES ({b51}, {b13})',
    'UPDATE {s}.attachment SET message_id = {b5} WHERE message_id = {b4}',
    'UPDATE {s}.attachment SET message_id = {b1} WHERE message_id = {b4}',
    'DELETE FROM {s}.attachment']) AS command;
-- Handed over, and given back as it was written; then it is out of sight.
BEGIN;
SELECT deskguard.set_agent(2);
UPDATE keys.ticket SET department_id = test.key('d', 4) WHERE id = test.key('f', 1) RETURNING subject, department_id;
SELECT count(*) FROM keys.ticket WHERE id = test.key('f', 1);
ROLLBACK;
RESET SESSION AUTHORIZATION;

DROP SCHEMA keys, words CASCADE;
