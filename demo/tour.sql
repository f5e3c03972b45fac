-- # 1. A help desk without protection
--
-- 100,000 tickets in plain tables. The application logs in as the role "app", which may
-- read them all. Whatever a WHERE clause forgets, somebody sees.

\c - app
SELECT d.name AS department, count(*) AS tickets, count(*) FILTER (WHERE t.state <> 'closed') AS not_closed
FROM desk.tickets AS t
JOIN desk.departments AS d USING (dept_no)
GROUP BY d.dept_no
ORDER BY d.dept_no;

-- # 2. Protect it
--
-- deskguard was told about the staff, departments, categories and permission groups
-- (demo/permissions.sql). Now the owner of the tables says which column means what.

\c - postgres
SELECT deskguard.protect_tickets(
    'desk.tickets',
    id_column => 'ticket_no',
    department_column => 'dept_no',
    category_column => 'category_no',
    assignee_column => 'handled_by',
    unassigned_value => 0,
    team_column => 'team_no',
    follower_table => 'desk.watchers',
    follower_ticket_column => 'ticket_no',
    follower_agent_column => 'staff_no',
    requester_column => 'asked_by'
);
SELECT deskguard.protect_messages(
    'desk.messages', 'desk.tickets', 'ticket_no', author_column => 'written_by', internal_column => 'is_note'
);

-- From now on the application must say for whom it works. As long as it does not, it sees nothing.

\c - app
SELECT count(*) FROM desk.tickets;

-- # 3. Who sees what
--
-- An administrator may ask about everyone.

\c - postgres
SELECT s.name, s.job, count(t.ticket_no) AS sees,
    count(*) FILTER (WHERE t.dept_no BETWEEN 10 AND 13) AS support,
    count(*) FILTER (WHERE t.dept_no = 20) AS complaints,
    count(*) FILTER (WHERE t.dept_no = 30) AS it,
    count(*) FILTER (WHERE t.dept_no = 40) AS sales,
    count(*) FILTER (WHERE t.dept_no = 50) AS accounts,
    count(*) FILTER (WHERE t.category_no IS NULL AND t.ticket_no IS NOT NULL) AS uncategorized
FROM desk.staff AS s
LEFT JOIN LATERAL deskguard.visible_tickets(s.staff_no) AS v (ticket_no) ON true
LEFT JOIN desk.tickets AS t USING (ticket_no)
GROUP BY s.staff_no
ORDER BY s.staff_no;

-- Staff see their department, and everywhere the tickets that are their own or that they follow.
-- Mia, a trainee, does not see what is assigned to others. Noah is siloed: only networking, in any
-- department. Zoe has no department to look into, only tickets that she follows. Ben is inactive.

-- # 4. The same query, different rows
--
-- The application names the agent, and then each query is about that agent's tickets.

\c - app
PREPARE queue AS
SELECT t.ticket_no, t.title, d.name AS department, c.name AS category, s.name AS handled_by
FROM desk.tickets AS t
JOIN desk.departments AS d USING (dept_no)
LEFT JOIN desk.categories AS c USING (category_no)
LEFT JOIN desk.staff AS s ON s.staff_no = t.handled_by
WHERE t.state = 'open'
ORDER BY t.opened_at DESC
LIMIT 5;

BEGIN;
SET LOCAL deskguard.agent_id = 3; -- Emma, EU
EXECUTE queue;
COMMIT;

BEGIN;
SET LOCAL deskguard.agent_id = 6; -- Noah, networking only
EXECUTE queue;
COMMIT;

BEGIN;
SET LOCAL deskguard.agent_id = 11; -- Ben, who left
EXECUTE queue;
COMMIT;

-- The rules are part of the plan, as if somebody had written them by hand: Noah's category is found
-- by its index, Grace, who sees everything, pays nothing, and for Ben there is nothing to read.

SET deskguard.agent_id = 6; -- Noah
EXPLAIN (COSTS OFF) SELECT count(*) FROM desk.tickets WHERE state = 'open';
SET deskguard.agent_id = 1; -- Grace
EXPLAIN (COSTS OFF) SELECT count(*) FROM desk.tickets WHERE state = 'open';
SET deskguard.agent_id = 11; -- Ben
EXPLAIN (COSTS OFF) SELECT count(*) FROM desk.tickets WHERE state = 'open';

-- # 5. Why?
--
-- Noah asks why he cannot see a ticket. One rule said no.

SET deskguard.agent_id = 6;
\pset format unaligned
\pset tuples_only on
SELECT jsonb_pretty(deskguard.explain_access(6, 2500063));
\pset format aligned
\pset tuples_only off

-- Tom, a manager, asks why he may delete a ticket. Each rule names who granted it: department 11
-- (EU) is his through department 10 (Customer Support).

SET deskguard.agent_id = 2;
\pset format unaligned
\pset tuples_only on
SELECT deskguard.explain_access(2, 2500236, 'delete') ->> 'summary';
\pset format aligned
\pset tuples_only off
SELECT rule ->> 'rule' AS rule, rule ->> 'passed' AS passed, rule ->> 'granted_by' AS granted_by
FROM jsonb_array_elements(deskguard.explain_access(2, 2500236, 'delete') -> 'rules') AS rule;

-- # 6. A reporting tool
--
-- It logs in as the role "reporting", which is an agent itself, and queries plain tables.

\c - reporting
SELECT to_char(t.opened_at AT TIME ZONE 'UTC', 'YYYY "Q"Q') AS quarter, count(*) AS tickets,
    round(100.0 * count(*) FILTER (WHERE t.state = 'closed') / count(*), 1) AS percent_closed
FROM desk.tickets AS t
GROUP BY quarter
ORDER BY quarter;

-- Were it siloed to billing, the same report would be about billing.

\! psql -qU postgres -c "UPDATE deskguard.agent SET category_access = 'silo' WHERE name = 'Reports'"
\! psql -qU postgres -c "INSERT INTO deskguard.agent_category VALUES (10, 6)"
SELECT c.name AS category, count(*) AS tickets
FROM desk.tickets AS t
LEFT JOIN desk.categories AS c USING (category_no)
GROUP BY c.name;

-- # 7. A right is revoked
--
-- Liam is at work, in an open transaction. Meanwhile, in another session, an administrator takes
-- the department from the group "IT Support". The very next statement knows.

\c - app
BEGIN;
SET LOCAL deskguard.agent_id = 4; -- Liam
SELECT count(*) AS it_support, count(*) FILTER (WHERE handled_by = 4) AS own FROM desk.tickets WHERE dept_no = 30;
\! psql -qU postgres -c "DELETE FROM deskguard.group_department WHERE department_id = 30 AND level = 'full'"
SELECT count(*) AS it_support, count(*) FILTER (WHERE handled_by = 4) AS own FROM desk.tickets WHERE dept_no = 30;
COMMIT;

-- What is left is his own, and what he follows.

-- A right may also end by itself. Noah helps out in billing, for three seconds. His statement was
-- prepared before.

SET deskguard.agent_id = 6; -- Noah
PREPARE seen AS
SELECT c.name AS category, count(*) AS tickets
FROM desk.tickets
JOIN desk.categories AS c USING (category_no)
GROUP BY c.name;
\! psql -qU postgres -c "INSERT INTO deskguard.agent_category (agent_id, category_id, valid_until) VALUES (6, 6, now() + interval '3 s')"
EXECUTE seen;
\! sleep 3
EXECUTE seen;

-- # 8. Handing over to where one cannot look
--
-- Zoe at the front desk has the level "assign" on all departments. She can create tickets there,
-- and sees none of them.

BEGIN;
SET LOCAL deskguard.agent_id = 7; -- Zoe
INSERT INTO desk.tickets (ticket_no, title, dept_no, category_no) VALUES (2650001, 'Charged three times', 50, 6);
SELECT count(*) AS seen_by_zoe FROM desk.tickets WHERE ticket_no = 2650001;
COMMIT;

-- Emma hands a ticket of her queue to IT Support and does not see it any more.

BEGIN;
SET LOCAL deskguard.agent_id = 3; -- Emma
SELECT ticket_no, title, dept_no FROM desk.tickets WHERE ticket_no = 2649844;
UPDATE desk.tickets SET dept_no = 30 WHERE ticket_no = 2649844 RETURNING ticket_no, dept_no;
SELECT ticket_no, title, dept_no FROM desk.tickets WHERE ticket_no = 2649844;
COMMIT;

-- Mia has no right to do that.

SET deskguard.agent_id = 5; -- Mia
UPDATE desk.tickets SET dept_no = 30 WHERE ticket_no = 2649961;

-- # 9. Side doors
--
-- Mia may change her own tickets and delete none. A forgotten WHERE clause does no more than that.

BEGIN;
DELETE FROM desk.tickets;
UPDATE desk.tickets SET title = 'Oops';
ROLLBACK;

-- A partition is guarded like its table.

SELECT count(*) AS of_2025, (SELECT count(*) FROM desk.tickets_2026) AS of_2026,
    (SELECT count(*) FROM desk.tickets) AS together
FROM desk.tickets_2025;

-- Nobody makes oneself a follower of what one cannot see.

INSERT INTO desk.watchers (ticket_no, staff_no) VALUES (2500063, 5);

-- A policy that allows everything, added by mistake, opens nothing.

\! psql -qU postgres -c "CREATE POLICY everything ON desk.tickets USING (true)"
SELECT count(*) AS still FROM desk.tickets;
\! psql -qU postgres -c "DROP POLICY everything ON desk.tickets"

-- A role that is not trusted cannot choose whom it acts for.

\c - reporting
SET deskguard.agent_id = 1; -- Grace, who sees everything
SELECT ticket_no FROM desk.tickets WHERE category_no = 1;

-- # 10. Messages
--
-- They are seen with their tickets, and written by who may reply to these. Nobody writes in the name
-- of another.

\c - app
SET deskguard.agent_id = 6; -- Noah
SELECT count(*) AS messages, count(DISTINCT ticket_no) AS of_tickets FROM desk.messages;
INSERT INTO desk.messages (ticket_no, written_by, body)
SELECT min(ticket_no), 1, 'This is Grace.' FROM desk.tickets WHERE handled_by = 6;

-- # 11. One person, two places
--
-- Kim is a manager in Sales and a trainee in EU: two scoped groups, whose permissions hold in their
-- departments only.

SET deskguard.agent_id = 13; -- Kim
SELECT d.name AS department, count(*) AS sees, count(*) FILTER (WHERE handled_by <> 0) AS assigned_to_others
FROM desk.tickets AS t
JOIN desk.departments AS d USING (dept_no)
GROUP BY d.dept_no
ORDER BY d.dept_no;
EXPLAIN (COSTS OFF) SELECT count(*) FROM desk.tickets_2026;

\c - postgres
\pset format unaligned
\pset tuples_only on
SELECT d.name || ': ' || (deskguard.explain_access(13, min(ticket_no), 'delete') ->> 'summary')
FROM desk.tickets AS t
JOIN desk.departments AS d USING (dept_no)
WHERE d.name IN ('Sales', 'EU') AND t.handled_by = 0 AND t.state = 'open'
GROUP BY d.name
ORDER BY d.name;
\pset format aligned
\pset tuples_only off

-- # 12. The customer portal
--
-- A customer is an agent that sees what it has asked for, in any department, and not the notes that
-- the staff write to each other.

\c - app
SET deskguard.agent_id = 1042; -- a customer
SELECT count(*) AS tickets, count(DISTINCT dept_no) AS departments, count(DISTINCT asked_by) AS customers FROM desk.tickets;
SELECT count(*) AS messages, count(*) FILTER (WHERE is_note) AS notes FROM desk.messages;
INSERT INTO desk.messages (ticket_no, body, is_note)
SELECT min(ticket_no), 'He is always right.', true FROM desk.tickets;

SET deskguard.agent_id = 1; -- Grace
SELECT count(*) AS messages, count(*) FILTER (WHERE is_note) AS notes
FROM desk.messages
JOIN desk.tickets USING (ticket_no)
WHERE asked_by = 1042;

-- # 13. A mirror
--
-- The help desk says itself who is in which team. demo/permissions.sql made a view of that, and a
-- mirror, which keeps deskguard equal to it. Mia joins the team "Escalations".

SET deskguard.agent_id = 5; -- Mia
SELECT count(*) AS escalations FROM desk.tickets WHERE team_no = 1;
\! psql -qU postgres -c "UPDATE desk.staff SET team_no = 1 WHERE name = 'Mia'"
SELECT count(*) AS escalations FROM desk.tickets WHERE team_no = 1;

-- What comes from a mirror nobody changes by hand.

\c - postgres
DELETE FROM deskguard.team_member WHERE agent_id = 5;
SELECT target, source, rows FROM deskguard.mirror;

-- # 14. Shared replies
--
-- Saved replies are seen by their owner and by whom they are shared with. Emma shares hers with the
-- standard staff.

\c - postgres
CREATE TABLE desk.replies (id int PRIMARY KEY, staff_no int NOT NULL, title text NOT NULL);
INSERT INTO desk.replies VALUES (1, 3, 'We have reset your password'), (2, 3, 'A draft');
GRANT SELECT, UPDATE ON desk.replies TO app;
SELECT deskguard.protect_shared('desk.replies', owner_column => 'staff_no');

\c - app
SET deskguard.agent_id = 3; -- Emma
SELECT id, title FROM desk.replies ORDER BY id;
SELECT deskguard.share('desk.replies', 1, group_id => 101); -- Standard staff

-- Liam is one of them. He may use it, but not change it.

SET deskguard.agent_id = 4; -- Liam
SELECT id, title FROM desk.replies ORDER BY id;
UPDATE desk.replies SET title = 'Mine now';

-- Mia is a trainee.

SET deskguard.agent_id = 5; -- Mia
SELECT id, title FROM desk.replies ORDER BY id;
