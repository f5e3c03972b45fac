INSERT INTO users (login, lastname, type, status, admin)
SELECT CASE WHEN n <= 24 THEN 'user' || n ELSE '' END, 'Name ' || n, CASE WHEN n <= 24 THEN 'User' ELSE 'Group' END,
    CASE WHEN n = 9 THEN 3 ELSE 1 END, n = 2
FROM generate_series(1, 28) AS n;
INSERT INTO groups_users (group_id, user_id) SELECT DISTINCT 24 + rule.pick(4), rule.pick(24) FROM generate_series(1, 20);
INSERT INTO projects (name, parent_id, is_public, status)
SELECT 'Project ' || n, CASE WHEN n IN (4, 5) THEN n - 2 END, n % 2 = 0, CASE n WHEN 6 THEN 5 WHEN 7 THEN 9 ELSE 1 END
FROM generate_series(1, 8) AS n;
INSERT INTO enabled_modules (project_id, name)
SELECT id, module FROM projects, unnest('{issue_tracking,wiki}'::text[]) AS module WHERE id <> 8 OR module = 'wiki';
-- As Ruby writes a list into a text.
CREATE FUNCTION rule.yaml(permissions text[]) RETURNS text
LANGUAGE sql RETURN '---' || (SELECT string_agg(E'\n- :' || p, '') FROM unnest(permissions) AS p) || E'\n';
INSERT INTO roles (name, builtin, issues_visibility, permissions) VALUES
    ('Non member', 1, 'default', rule.yaml('{view_issues,add_issues,add_issue_notes}')),
    ('Anonymous', 2, 'default', rule.yaml('{view_issues}')),
    ('Manager', 0, 'all', rule.yaml('{view_issues,add_issues,edit_issues,add_issue_notes,view_private_notes,set_notes_private}')),
    ('Developer', 0, 'default', rule.yaml('{view_issues,add_issues,edit_issues,add_issue_notes}')),
    ('Reporter', 0, 'own', rule.yaml('{view_issues,add_issues,edit_own_issues,add_issue_notes}')),
    ('Note reader', 0, 'default', rule.yaml('{view_issues,view_private_notes,set_notes_private}')),
    ('Editor that sees nothing', 0, 'all', rule.yaml('{edit_issues,add_issues}'));
INSERT INTO members (user_id, project_id) SELECT DISTINCT rule.pick(24), rule.pick(8) FROM generate_series(1, 60);
INSERT INTO member_roles (member_id, role_id)
SELECT DISTINCT id, 2 + rule.pick(5) FROM members, generate_series(1, 2);
INSERT INTO issues (tracker_id, project_id, assigned_to_id, author_id, is_private)
SELECT rule.pick(3), rule.pick(8), CASE WHEN random() < 0.7 THEN rule.pick(28) END, rule.pick(24), random() < 0.3
FROM generate_series(1, 150);
INSERT INTO journals (journalized_id, journalized_type, user_id, notes, private_notes)
SELECT rule.pick(150), 'Issue', rule.pick(24), 'Text', random() < 0.4 FROM generate_series(1, 160);
-- Other things have journals, too, and their numbers are those of issues.
INSERT INTO journals (journalized_id, journalized_type, user_id, notes)
SELECT rule.pick(150), 'WikiPage', rule.pick(24), 'Text' FROM generate_series(1, 40);
