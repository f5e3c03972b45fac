-- TicketPolicy and Ticket::ArticlePolicy, as queries of Zammad's tables.

CREATE VIEW rule.agents AS SELECT id::bigint FROM users;

-- Permissions come from active roles; "ticket" includes "ticket.agent" and "ticket.customer".
CREATE VIEW rule.holds AS
SELECT u.id AS user_id, asked AS permission
FROM users AS u, unnest(ARRAY['ticket.agent', 'ticket.customer']) AS asked
WHERE u.active AND EXISTS (
    SELECT FROM roles_users AS ru
    JOIN roles AS r ON r.id = ru.role_id
    JOIN permissions_roles AS pr ON pr.role_id = r.id
    JOIN permissions AS p ON p.id = pr.permission_id
    WHERE ru.user_id = u.id AND r.active AND p.active AND (p.name = asked OR asked LIKE p.name || '.%'));

-- What agents may do in groups: themselves, and by their roles.
CREATE VIEW rule.in_group AS
SELECT u.id AS user_id, g.id AS group_id, asked AS access,
    EXISTS (SELECT FROM groups_users AS gu WHERE gu.user_id = u.id AND gu.group_id = g.id AND gu.access IN (asked, 'full')) AS itself,
    EXISTS (SELECT FROM roles_users AS ru, roles AS r, roles_groups AS rg
        WHERE ru.user_id = u.id AND r.id = ru.role_id AND r.active AND rg.role_id = r.id AND rg.group_id = g.id
            AND rg.access IN (asked, 'full')) AS by_role
FROM users AS u, groups AS g, unnest(ARRAY['read', 'create', 'change']) AS asked
WHERE g.active AND EXISTS (SELECT FROM rule.holds AS h WHERE h.user_id = u.id AND h.permission = 'ticket.agent');

CREATE VIEW rule.as_agent AS
SELECT user_id, group_id, access, 'group' AS reason FROM rule.in_group WHERE itself
UNION ALL
SELECT user_id, group_id, access, 'role' FROM rule.in_group WHERE by_role;

CREATE VIEW rule.as_customer AS
SELECT u.id AS user_id, t.id, 'customer' AS reason
FROM users AS u JOIN tickets AS t ON t.customer_id = u.id
WHERE EXISTS (SELECT FROM rule.holds AS h WHERE h.user_id = u.id AND h.permission = 'ticket.customer')
UNION ALL
SELECT u.id, t.id, 'organization'
FROM users AS u, tickets AS t JOIN organizations AS o ON o.id = t.organization_id
WHERE o.shared AND u.organization_id IS NOT NULL
    AND (u.organization_id = o.id
        OR EXISTS (SELECT FROM organizations_users AS ou WHERE ou.user_id = u.id AND ou.organization_id = o.id))
    AND EXISTS (SELECT FROM rule.holds AS h WHERE h.user_id = u.id AND h.permission = 'ticket.customer');

CREATE VIEW rule.view AS
SELECT a.user_id::bigint AS agent_id, t.id::bigint, a.reason
FROM rule.as_agent AS a JOIN tickets AS t USING (group_id) WHERE a.access = 'read'
UNION ALL
SELECT user_id, id, reason FROM rule.as_customer;

-- Who reads as an agent needs "change", also for what it asked for itself.
CREATE VIEW rule.change AS
SELECT a.user_id::bigint AS agent_id, t.id::bigint, a.reason
FROM rule.as_agent AS a JOIN tickets AS t USING (group_id) WHERE a.access = 'change'
UNION ALL
SELECT c.user_id, c.id, c.reason
FROM rule.as_customer AS c JOIN tickets AS t USING (id)
WHERE NOT EXISTS (
    SELECT FROM rule.as_agent AS a WHERE a.user_id = c.user_id AND a.group_id = t.group_id AND a.access = 'read');

CREATE VIEW rule.read AS
SELECT DISTINCT v.agent_id, a.id::bigint, CASE WHEN a.internal THEN 'internal' ELSE 'public' END AS reason
FROM rule.view AS v JOIN ticket_articles AS a ON a.ticket_id = v.id
WHERE NOT a.internal OR v.reason IN ('group', 'role');

-- The two that cannot be said.
CREATE OR REPLACE VIEW rule.apart AS
SELECT DISTINCT c.agent_id, 'change' AS action, c.id, false AS is_allowed, 'changes without reading' AS reason
FROM rule.change AS c
WHERE NOT EXISTS (SELECT FROM rule.view AS v WHERE v.agent_id = c.agent_id AND v.id = c.id)
UNION ALL
SELECT DISTINCT c.user_id, 'change', c.id::bigint, true, 'reads and is the customer'
FROM rule.as_customer AS c
WHERE NOT EXISTS (SELECT FROM rule.change AS x WHERE x.agent_id = c.user_id AND x.id = c.id);

-- A customer creates tickets for itself, whatever the form says.
CREATE VIEW rule.creates AS
SELECT u.id::bigint AS agent_id,
    format('INSERT INTO tickets (group_id, title, customer_id) VALUES (%s, ''New'', %s)', g.id, c.id) AS statement,
    coalesce((SELECT max(a.reason) FROM rule.as_agent AS a
        WHERE a.user_id = u.id AND a.group_id = g.id AND a.access = 'create'),
        CASE WHEN c.id = u.id AND EXISTS (SELECT FROM rule.holds AS h WHERE h.user_id = u.id AND h.permission = 'ticket.customer')
            THEN 'customer' END) AS reason
FROM users AS u, groups AS g, users AS c
WHERE c.id IN (u.id, 15);

CREATE VIEW rule.replies AS
WITH change AS MATERIALIZED (
    SELECT agent_id, id FROM rule.change EXCEPT SELECT agent_id, id FROM rule.apart WHERE NOT is_allowed
    UNION SELECT agent_id, id FROM rule.apart WHERE is_allowed
), reading AS MATERIALIZED (
    SELECT user_id, t.id FROM rule.as_agent JOIN tickets AS t USING (group_id) WHERE access = 'read'
)
SELECT u.id::bigint AS agent_id,
    format('INSERT INTO ticket_articles (ticket_id, internal, body, created_by_id) VALUES (%s, %L, ''New'', %s)', t.id, internal, u.id)
        AS statement,
    CASE
        WHEN (u.id, t.id) NOT IN (SELECT agent_id, id FROM change) THEN NULL
        WHEN (u.id, t.id) IN (SELECT user_id, id FROM reading) THEN CASE WHEN internal THEN 'internal' ELSE 'agent' END
        WHEN NOT internal THEN 'customer'
    END AS reason
FROM users AS u, tickets AS t, unnest(ARRAY[true, false]) AS internal
WHERE t.id % 8 = 0;

-- Who may change a ticket may put it into any group.
CREATE OR REPLACE VIEW rule.moves AS
WITH change AS MATERIALIZED (
    SELECT agent_id, id FROM rule.change EXCEPT SELECT agent_id, id FROM rule.apart WHERE NOT is_allowed
    UNION SELECT agent_id, id FROM rule.apart WHERE is_allowed
)
SELECT u.id::bigint AS agent_id, format('UPDATE tickets SET group_id = 1 + group_id %% 7 WHERE id = %s', t.id) AS statement,
    CASE WHEN (u.id, t.id) IN (SELECT agent_id, id FROM change) THEN 'change' END AS reason
FROM users AS u, tickets AS t
WHERE t.id % 8 = 1;

CREATE FUNCTION rule.view_statement() RETURNS text LANGUAGE sql RETURN 'SELECT id::bigint FROM tickets';
CREATE FUNCTION rule.change_statement() RETURNS text LANGUAGE sql RETURN 'UPDATE tickets SET title = title RETURNING id::bigint';
CREATE FUNCTION rule.read_statement() RETURNS text LANGUAGE sql RETURN 'SELECT id::bigint FROM ticket_articles';
