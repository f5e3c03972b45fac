-- HasRight of RT::Principal, as queries of Request Tracker's tables.

-- Nobody does nothing.
CREATE VIEW rule.agents AS SELECT id::bigint FROM users WHERE id <> 6;

-- Everyone of a group: also of the groups in it, which is what this table is for.
CREATE VIEW rule.member AS
SELECT g.id AS group_id, g.name, g.domain, g.instance, m.memberid AS user_id
FROM groups AS g
JOIN cachedgroupmembers AS m ON m.groupid = g.id AND m.disabled = 0
JOIN principals AS p ON p.id = m.memberid AND p.principaltype = 'User' AND p.disabled = 0;

CREATE VIEW rule.given AS
SELECT a.principaltype, a.principalid, q.id AS queue_id, asked AS right_name
FROM acl AS a
JOIN queues AS q ON a.objecttype = 'RT::System' OR a.objecttype = 'RT::Queue' AND a.objectid = q.id
JOIN unnest('{ShowTicket,ShowTicketComments,ModifyTicket,ReplyToTicket,CreateTicket}'::text[]) AS asked
    ON a.rightname IN (asked, 'SuperUser');

-- In a whole queue: by groups, and by the roles of the queue.
CREATE VIEW rule.in_queue AS
SELECT m.user_id, g.queue_id, g.right_name, 'group' AS reason
FROM rule.given AS g JOIN rule.member AS m ON g.principaltype = 'Group' AND m.group_id = g.principalid
UNION ALL
SELECT m.user_id, g.queue_id, g.right_name, 'queue role'
FROM rule.given AS g
JOIN rule.member AS m ON m.domain = 'RT::Queue-Role' AND m.instance = g.queue_id AND m.name = g.principaltype;

CREATE VIEW rule.on_ticket AS
SELECT q.user_id, t.id, q.right_name, q.reason FROM rule.in_queue AS q JOIN tickets AS t ON t.queue = q.queue_id
UNION ALL
SELECT m.user_id, t.id, g.right_name, m.name
FROM rule.given AS g
JOIN tickets AS t ON t.queue = g.queue_id
JOIN rule.member AS m ON m.domain = 'RT::Ticket-Role' AND m.instance = t.id AND m.name = g.principaltype
UNION ALL
SELECT p.id, t.id, g.right_name, 'Owner'
FROM rule.given AS g
JOIN tickets AS t ON t.queue = g.queue_id
JOIN principals AS p ON p.id = t.owner AND p.disabled = 0
WHERE g.principaltype = 'Owner' AND t.owner <> 6;

CREATE VIEW rule.view AS
SELECT DISTINCT user_id::bigint AS agent_id, id::bigint, reason FROM rule.on_ticket WHERE right_name = 'ShowTicket';

CREATE VIEW rule.change AS
SELECT DISTINCT user_id::bigint AS agent_id, id::bigint, reason FROM rule.on_ticket WHERE right_name = 'ModifyTicket';

CREATE VIEW rule.read AS
WITH view AS MATERIALIZED (SELECT DISTINCT agent_id, id FROM rule.view),
    comments AS MATERIALIZED (SELECT user_id, id FROM rule.on_ticket WHERE right_name = 'ShowTicketComments')
SELECT v.agent_id, x.id::bigint, x.type AS reason
FROM view AS v JOIN transactions AS x ON x.objecttype = 'RT::Ticket' AND x.objectid = v.id
WHERE x.type <> 'Comment' OR (v.agent_id, v.id) IN (SELECT user_id, id FROM comments);

-- What cannot be said.
CREATE OR REPLACE VIEW rule.apart AS
SELECT DISTINCT c.agent_id, 'change' AS action, c.id, false AS is_allowed, 'changes without showing' AS reason
FROM rule.change AS c
WHERE (c.agent_id, c.id) NOT IN (SELECT agent_id, id FROM rule.view);

CREATE VIEW rule.creates AS
WITH allowed AS MATERIALIZED (SELECT user_id, queue_id, max(reason) AS reason FROM rule.in_queue WHERE right_name = 'CreateTicket' GROUP BY 1, 2)
SELECT u.id::bigint AS agent_id, format('INSERT INTO tickets (queue, subject) VALUES (%s, ''New'')', q.id) AS statement, a.reason
FROM users AS u CROSS JOIN queues AS q LEFT JOIN allowed AS a ON a.user_id = u.id AND a.queue_id = q.id;

CREATE VIEW rule.replies AS
WITH view AS MATERIALIZED (SELECT agent_id, id FROM rule.view),
    reply AS MATERIALIZED (SELECT user_id, id FROM rule.on_ticket WHERE right_name IN ('ReplyToTicket', 'ModifyTicket'))
SELECT u.id::bigint AS agent_id,
    format('INSERT INTO transactions (objecttype, objectid, type) VALUES (''RT::Ticket'', %s, ''Correspond'')', t.id) AS statement,
    CASE WHEN (u.id, t.id) IN (SELECT agent_id, id FROM view) AND (u.id, t.id) IN (SELECT user_id, id FROM reply) THEN 'allowed' END AS reason
FROM users AS u, tickets AS t
WHERE t.id % 4 = 0;

CREATE FUNCTION rule.view_statement() RETURNS text LANGUAGE sql RETURN 'SELECT id::bigint FROM tickets';
CREATE FUNCTION rule.change_statement() RETURNS text LANGUAGE sql RETURN 'UPDATE tickets SET subject = ''New'' RETURNING id::bigint';
CREATE FUNCTION rule.read_statement() RETURNS text LANGUAGE sql RETURN 'SELECT id::bigint FROM transactions';
