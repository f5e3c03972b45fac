CREATE VIEW rule.agents AS SELECT id::bigint FROM people;
CREATE VIEW rule.has AS
SELECT p.person_id, p.name FROM permissions AS p JOIN people AS x ON x.id = p.person_id AND NOT x.is_disabled
UNION
SELECT pu.person_id, p.name FROM permissions AS p JOIN usergroups AS u ON u.id = p.usergroup_id AND u.is_enabled
JOIN person2usergroups AS pu ON pu.usergroup_id = u.id JOIN people AS x ON x.id = pu.person_id AND NOT x.is_disabled;
CREATE VIEW rule.department AS
WITH RECURSIVE below AS (
    SELECT id, id AS top FROM departments
    UNION ALL
    SELECT d.id, b.top FROM departments AS d JOIN below AS b ON d.parent_id = b.id
)
SELECT DISTINCT who.person_id, b.id, dp.name AS level
FROM department_permissions AS dp JOIN below AS b ON b.top = dp.department_id
CROSS JOIN LATERAL (
    SELECT dp.person_id UNION
    SELECT pu.person_id FROM person2usergroups AS pu JOIN usergroups AS u ON u.id = pu.usergroup_id AND u.is_enabled WHERE u.id = dp.usergroup_id
) AS who
WHERE who.person_id IS NOT NULL;
CREATE VIEW rule.relation AS
SELECT p.id AS person_id, t.id,
    t.agent_id IS NOT DISTINCT FROM p.id OR EXISTS (SELECT FROM agent_team_members AS m WHERE m.person_id = p.id AND m.team_id = t.agent_team_id) AS own,
    EXISTS (SELECT FROM tickets_participants AS x WHERE x.person_id = p.id AND x.ticket_id = t.id) AS followed,
    t.agent_id IS NULL AND t.agent_team_id IS NULL AS unassigned
FROM people AS p, tickets AS t;
CREATE VIEW rule.holding AS
SELECT person_id, id, 'own' AS relation FROM rule.relation WHERE own
UNION ALL SELECT person_id, id, 'followed' FROM rule.relation WHERE followed
UNION ALL SELECT person_id, id, 'unassigned' FROM rule.relation WHERE unassigned
UNION ALL SELECT person_id, id, 'others' FROM rule.relation WHERE NOT own AND NOT unassigned;
CREATE VIEW rule.view AS
SELECT h.person_id::bigint AS agent_id, h.id::bigint, h.relation AS reason
FROM rule.holding AS h JOIN tickets AS t USING (id)
WHERE (h.person_id, 'use') IN (SELECT person_id, name FROM rule.has)
    AND (h.relation IN ('own', 'followed')
        OR (h.person_id, 'view_' || h.relation) IN (SELECT person_id, name FROM rule.has)
            AND (h.person_id, t.department_id) IN (SELECT person_id, id FROM rule.department WHERE level = 'full'));
CREATE VIEW rule.acts AS
WITH view AS MATERIALIZED (SELECT DISTINCT agent_id, id FROM rule.view)
SELECT h.person_id::bigint AS agent_id, h.id::bigint, h.relation, action
FROM rule.holding AS h, unnest('{reply,modify}'::text[]) AS action
WHERE (h.person_id, h.id) IN (SELECT agent_id, id FROM view)
    AND (h.person_id, action || '_' || h.relation) IN (SELECT person_id, name FROM rule.has);
CREATE VIEW rule.change AS SELECT agent_id, id, relation AS reason FROM rule.acts WHERE action = 'modify';
CREATE VIEW rule.read AS
WITH view AS MATERIALIZED (SELECT DISTINCT agent_id, id FROM rule.view)
SELECT v.agent_id, m.id::bigint, CASE WHEN m.is_agent_note THEN 'note' ELSE 'public' END AS reason
FROM view AS v JOIN tickets_messages AS m ON m.ticket_id = v.id;
CREATE VIEW rule.creates AS
SELECT p.id::bigint AS agent_id, format('INSERT INTO tickets (department_id, subject) VALUES (%s, ''New'')', d.id) AS statement,
    CASE WHEN (p.id, 'use') IN (SELECT person_id, name FROM rule.has) AND (p.id, 'create') IN (SELECT person_id, name FROM rule.has)
        THEN (SELECT max(level) FROM rule.department AS x WHERE x.person_id = p.id AND x.id = d.id) END AS reason
FROM people AS p, departments AS d;
CREATE VIEW rule.replies AS
WITH acts AS MATERIALIZED (SELECT agent_id, id, min(relation) AS relation FROM rule.acts WHERE action = 'reply' GROUP BY 1, 2)
SELECT p.id::bigint AS agent_id, format('INSERT INTO tickets_messages (ticket_id, person_id, is_agent_note) VALUES (%s, %s, %L)', t.id, p.id, note) AS statement,
    CASE WHEN a.relation IS NOT NULL THEN 'allowed' END AS reason
FROM people AS p CROSS JOIN tickets AS t CROSS JOIN unnest('{true,false}'::boolean[]) AS note LEFT JOIN acts AS a ON a.agent_id = p.id AND a.id = t.id
WHERE t.id % 8 = 0;
CREATE FUNCTION rule.view_statement() RETURNS text LANGUAGE sql RETURN 'SELECT id::bigint FROM tickets';
CREATE FUNCTION rule.change_statement() RETURNS text LANGUAGE sql RETURN 'UPDATE tickets SET subject = ''New'' RETURNING id::bigint';
CREATE FUNCTION rule.read_statement() RETURNS text LANGUAGE sql RETURN 'SELECT id::bigint FROM tickets_messages';
