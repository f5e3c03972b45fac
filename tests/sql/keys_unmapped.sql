-- Columns with what is nobody's external_key.
SET client_min_messages = warning;
SELECT test.reset_keys();

-- What is nobody's key. Of the silo nothing is seen; whom it is assigned to is somebody else.
INSERT INTO keys.ticket (id, subject, department_id, category_id, assignee_id, team_id) VALUES
    (test.key('f', 21), 'category unmapped', test.key('d', 1), test.key('c', 99), NULL, NULL),
    (test.key('f', 22), 'category unmapped, of Ann', test.key('d', 1), test.key('c', 99), test.key('a', 2), NULL),
    (test.key('f', 23), 'department unmapped', test.key('d', 99), test.key('c', 1), NULL, NULL),
    (test.key('f', 24), 'department unmapped, of Ann', test.key('d', 99), test.key('c', 1), test.key('a', 2), NULL),
    (test.key('f', 25), 'assignee unmapped', test.key('d', 1), test.key('c', 1), test.key('a', 99), NULL),
    (test.key('f', 26), 'team unmapped', test.key('d', 1), test.key('c', 1), NULL, test.key('e', 99)),
    (test.key('f', 27), 'all unmapped', test.key('d', 99), test.key('c', 99), test.key('a', 99), test.key('e', 99)),
    (test.key('f', 28), 'department unmapped, followed by Ann', test.key('d', 99), test.key('c', 1), test.key('a', 99), NULL),
    (test.key('f', 29), 'department unmapped, followed by an unmapped agent', test.key('d', 99), test.key('c', 1), NULL, NULL);
INSERT INTO keys.ticket_follower VALUES (test.key('f', 28), test.key('a', 2)), (test.key('f', 29), test.key('a', 99));
INSERT INTO keys.message VALUES (test.key('b', 21), test.key('f', 21), test.key('a', 99)), (test.key('b', 25), test.key('f', 25), test.key('a', 99));
INSERT INTO words.ticket SELECT * FROM keys.ticket WHERE id > test.key('f', 20);
INSERT INTO words.ticket_follower SELECT * FROM keys.ticket_follower WHERE ticket_id > test.key('f', 20);
INSERT INTO words.message SELECT * FROM keys.message WHERE id > test.key('b', 20);
INSERT INTO desk.ticket (id, subject, department_id, category_id, assignee_id, team_id) VALUES
    (21, 'category unknown', 1, 99, NULL, NULL), (22, 'category unknown, of Ann', 1, 99, 2, NULL), (23, 'department unknown', 99, 1, NULL, NULL),
    (24, 'department unknown, of Ann', 99, 1, 2, NULL), (25, 'assignee unknown', 1, 1, 99, NULL), (26, 'team unknown', 1, 1, NULL, 99),
    (27, 'all unknown', 99, 99, 99, 99), (28, 'department unknown, followed by Ann', 99, 1, 99, NULL),
    (29, 'department unknown, followed by an unknown agent', 99, 1, NULL, NULL);
INSERT INTO desk.ticket_follower VALUES (28, 2), (29, 99);
INSERT INTO desk.message VALUES (21, 21, 99), (25, 25, 99);
SET SESSION AUTHORIZATION regress_app;
SELECT n, test.everywhere_for_each_agent(format('SELECT FROM {s}.ticket WHERE id = {f%s}', n)) AS seen,
    test.everywhere_for_each_agent(format('UPDATE {s}.ticket SET subject = ''x'' WHERE id = {f%s}', n)) AS changed
FROM generate_series(21, 29) AS n;
SELECT test.everywhere_for_each_agent('SELECT FROM {s}.ticket') AS tickets, test.everywhere_for_each_agent('SELECT FROM {s}.message') AS messages,
    test.everywhere_for_each_agent('SELECT FROM {s}.ticket_follower') AS followers, test.everywhere_for_each_agent('UPDATE {s}.ticket SET subject = ''x''') AS changes;
-- From one that is nobody's to another is a move, too.
SELECT test.everywhere_for_each_agent('UPDATE {s}.ticket SET department_id = {d98} WHERE id = {f24}') AS moved,
    test.everywhere_for_each_agent('UPDATE {s}.ticket SET department_id = department_id WHERE id = {f24}') AS left_there,
    test.everywhere_for_each_agent('UPDATE {s}.ticket SET category_id = {c98} WHERE id = {f22}') AS relabelled,
    test.everywhere_for_each_agent('UPDATE {s}.ticket SET department_id = {d99} WHERE id = {f24}') AS the_same;
RESET SESSION AUTHORIZATION;
SELECT test.explained_in(2, test.key('f', 21)::text, 'keys.ticket');
SELECT test.explained_in(2, test.key('f', 23)::text, 'keys.ticket');
SELECT test.explained_in(2, test.key('f', 24)::text, 'keys.ticket');
SELECT test.explained_in(2, test.key('f', 25)::text, 'keys.ticket', 'modify');
SELECT test.explained_in(2, test.key('f', 26)::text, 'keys.ticket', 'modify');
SELECT test.explained_in(2, test.key('f', 27)::text, 'words.ticket');
SELECT test.explained_in(1, test.key('f', 27)::text, 'words.ticket', 'delete');
SELECT test.explained_in(99, test.key('f', 27)::text, 'keys.ticket');
-- Nothing is unmapped: not a value that is NULL, and not a number.
SELECT test.explained_in(2, test.key('f', 1)::text, 'keys.ticket');
SELECT test.explained_in(2, '27', 'desk.ticket');
SELECT test.explained_in(2, test.key('f', 99)::text, 'keys.ticket');
SELECT test.explained_in(2, NULL, 'words.ticket');
-- As the agent itself.
SET ROLE regress_ann;
SELECT deskguard.explain_access(2, test.key('f', 27), ticket_table => 'keys.ticket') - 'rules';
RESET ROLE;

DROP SCHEMA keys, words CASCADE;
