-- Issue.visible_condition, attributes_editable?, Journal visibility, as queries of Redmine's tables.

CREATE VIEW rule.agents AS SELECT id::bigint FROM users WHERE type = 'User';

-- The roles of active users: those of their memberships; in public projects without one, "Non member".
CREATE VIEW rule.role AS
SELECT u.id AS user_id, p.id AS project_id, r.id AS role_id, r.issues_visibility, r.permissions, 'member' AS way
FROM users AS u
JOIN members AS m ON m.user_id = u.id
JOIN member_roles AS mr ON mr.member_id = m.id
JOIN roles AS r ON r.id = mr.role_id
JOIN projects AS p ON p.id = m.project_id
WHERE u.type = 'User' AND u.status = 1 AND NOT u.admin
UNION ALL
SELECT u.id, p.id, r.id, r.issues_visibility, r.permissions, 'non member'
FROM users AS u, projects AS p, roles AS r
WHERE u.type = 'User' AND u.status = 1 AND NOT u.admin AND p.is_public AND r.builtin = 1
    AND NOT EXISTS (SELECT FROM members AS m WHERE m.user_id = u.id AND m.project_id = p.id)
UNION ALL
SELECT u.id, p.id, NULL, 'all', NULL, 'administrator'
FROM users AS u, projects AS p
WHERE u.type = 'User' AND u.status = 1 AND u.admin;

-- Reading needs a project that is not archived, anything else one that is active; and the module.
CREATE VIEW rule.allowed AS
SELECT r.user_id, r.project_id, r.issues_visibility, r.way, asked AS permission
FROM rule.role AS r
JOIN projects AS p ON p.id = r.project_id
CROSS JOIN unnest('{view_issues,add_issues,edit_issues,edit_own_issues,add_issue_notes,view_private_notes}'::text[]) AS asked
WHERE (r.way = 'administrator' OR ':' || asked = ANY (string_to_array(regexp_replace(r.permissions, '(^---|- )', '', 'g'), E'\n')))
    AND (p.status = 1 OR p.status = 5 AND asked LIKE 'view%')
    AND EXISTS (SELECT FROM enabled_modules AS m WHERE m.project_id = p.id AND m.name = 'issue_tracking');

CREATE VIEW rule.view AS
WITH concerned AS (
    SELECT u.id AS user_id, i.id FROM users AS u, issues AS i
    WHERE i.author_id = u.id OR i.assigned_to_id = u.id
        OR EXISTS (SELECT FROM groups_users AS gu WHERE gu.user_id = u.id AND gu.group_id = i.assigned_to_id)
)
SELECT a.user_id::bigint AS agent_id, i.id::bigint,
    a.way || ', ' || a.issues_visibility || CASE WHEN i.is_private THEN ', private' ELSE '' END AS reason
FROM rule.allowed AS a JOIN issues AS i USING (project_id)
WHERE a.permission = 'view_issues'
    AND (a.issues_visibility = 'all'
        OR a.issues_visibility = 'default' AND NOT i.is_private
        OR a.issues_visibility IN ('default', 'own') AND (a.user_id, i.id) IN (SELECT user_id, id FROM concerned));

CREATE VIEW rule.change AS
WITH view AS MATERIALIZED (SELECT agent_id, id FROM rule.view)
SELECT a.user_id::bigint AS agent_id, i.id::bigint, CASE a.permission WHEN 'edit_issues' THEN 'any' ELSE 'own' END AS reason
FROM rule.allowed AS a JOIN issues AS i USING (project_id)
WHERE (a.user_id, i.id) IN (SELECT agent_id, id FROM view)
    AND (a.permission = 'edit_issues' OR a.permission = 'edit_own_issues' AND i.author_id = a.user_id);

CREATE VIEW rule.read AS
WITH view AS MATERIALIZED (SELECT DISTINCT agent_id, id FROM rule.view),
    allowed AS MATERIALIZED (SELECT * FROM rule.allowed)
SELECT v.agent_id, j.id::bigint,
    CASE WHEN NOT j.private_notes THEN 'public' WHEN j.user_id = v.agent_id THEN 'author' ELSE 'private' END AS reason
FROM view AS v
JOIN issues AS i USING (id)
JOIN journals AS j ON j.journalized_type = 'Issue' AND j.journalized_id = i.id
WHERE NOT j.private_notes OR j.user_id = v.agent_id
    OR (v.agent_id, i.project_id) IN (SELECT user_id, project_id FROM allowed WHERE permission = 'view_private_notes');

CREATE VIEW rule.creates AS
WITH allowed AS MATERIALIZED (SELECT * FROM rule.allowed)
SELECT u.id::bigint AS agent_id,
    format('INSERT INTO issues (project_id, author_id, is_private) VALUES (%s, %s, false)', p.id, u.id) AS statement,
    (SELECT max(way) FROM allowed AS a WHERE a.user_id = u.id AND a.project_id = p.id AND a.permission = 'add_issues') AS reason
FROM users AS u, projects AS p
WHERE u.type = 'User';

-- To write private notes needs the permission to read them.
CREATE VIEW rule.replies AS
WITH view AS MATERIALIZED (SELECT agent_id, id FROM rule.view), allowed AS MATERIALIZED (SELECT * FROM rule.allowed)
SELECT u.id::bigint AS agent_id,
    format('INSERT INTO journals (journalized_id, journalized_type, user_id, private_notes) VALUES (%s, ''Issue'', %s, %L)',
        i.id, u.id, private) AS statement,
    CASE WHEN (u.id, i.id) IN (SELECT agent_id, id FROM view)
        AND (u.id, i.project_id) IN (SELECT user_id, project_id FROM allowed WHERE permission = 'add_issue_notes')
        AND (NOT private OR (u.id, i.project_id) IN (SELECT user_id, project_id FROM allowed WHERE permission = 'view_private_notes'))
        THEN CASE WHEN private THEN 'private' ELSE 'public' END END AS reason
FROM users AS u, issues AS i, unnest('{true,false}'::boolean[]) AS private
WHERE u.type = 'User' AND i.id % 8 = 0;

CREATE FUNCTION rule.view_statement() RETURNS text LANGUAGE sql RETURN 'SELECT id::bigint FROM issues';
CREATE FUNCTION rule.change_statement() RETURNS text LANGUAGE sql RETURN 'UPDATE issues SET subject = ''New'' RETURNING id::bigint';
CREATE FUNCTION rule.read_statement() RETURNS text LANGUAGE sql RETURN 'SELECT id::bigint FROM journals';
