-- Teams see and, but for viewers, change their tickets; administrators all; requesters see their own and comment on it.
CREATE VIEW rule.agents AS SELECT deskguard.agent_by_key(id) AS id FROM profiles;
CREATE VIEW rule.staff AS
SELECT p.id AS user_id, t.id, CASE WHEN p.is_admin THEN 'admin' ELSE m.role END AS role
FROM profiles AS p CROSS JOIN tickets AS t LEFT JOIN team_members AS m ON m.user_id = p.id AND m.team_id = t.team_id
WHERE NOT p.banned AND (p.is_admin OR m.role IS NOT NULL);
CREATE VIEW rule.sees AS
SELECT user_id, id, role FROM rule.staff
UNION ALL
SELECT p.id, t.id, 'requester' FROM profiles AS p JOIN tickets AS t ON t.requester_id = p.id WHERE NOT p.banned;
CREATE VIEW rule.view AS
SELECT deskguard.agent_by_key(s.user_id) AS agent_id, t.number AS id, s.role AS reason FROM rule.sees AS s JOIN tickets AS t USING (id);
CREATE VIEW rule.change AS SELECT agent_id, id, reason FROM rule.view WHERE reason IN ('admin', 'lead', 'agent');
CREATE VIEW rule.read AS
SELECT DISTINCT deskguard.agent_by_key(s.user_id) AS agent_id, c.number AS id,
    CASE WHEN NOT c.internal THEN 'public' WHEN c.author_id = s.user_id THEN 'author' ELSE 'internal' END AS reason
FROM rule.sees AS s JOIN comments AS c ON c.ticket_id = s.id
WHERE NOT c.internal OR c.author_id = s.user_id OR s.role <> 'requester';
CREATE VIEW rule.creates AS
SELECT deskguard.agent_by_key(p.id) AS agent_id, format('INSERT INTO tickets (title, team_id) VALUES (''New'', %L)', t.id) AS statement,
    CASE WHEN p.banned THEN NULL WHEN p.is_admin THEN 'admin' ELSE (SELECT m.role FROM team_members AS m
        WHERE m.user_id = p.id AND m.team_id = t.id AND m.role <> 'viewer') END AS reason
FROM profiles AS p, teams AS t;
CREATE VIEW rule.replies AS
SELECT deskguard.agent_by_key(p.id) AS agent_id, format('INSERT INTO comments (ticket_id, author_id) VALUES (%L, %L)', t.id, p.id) AS statement,
    (SELECT max(s.role) FROM rule.sees AS s WHERE s.user_id = p.id AND s.id = t.id AND s.role <> 'viewer') AS reason
FROM profiles AS p, tickets AS t WHERE t.number % 10 = 0;
CREATE FUNCTION rule.view_statement() RETURNS text LANGUAGE sql RETURN 'SELECT number FROM tickets';
CREATE FUNCTION rule.change_statement() RETURNS text LANGUAGE sql RETURN 'UPDATE tickets SET title = ''New'' RETURNING number';
CREATE FUNCTION rule.read_statement() RETURNS text LANGUAGE sql RETURN 'SELECT number FROM comments';
