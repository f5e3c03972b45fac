INSERT INTO people (name, is_disabled) SELECT 'Agent ' || n, n = 9 FROM generate_series(1, 20) AS n;
INSERT INTO usergroups (title, is_enabled) SELECT 'Group ' || n, n <> 5 FROM generate_series(1, 5) AS n;
INSERT INTO person2usergroups (person_id, usergroup_id) SELECT DISTINCT rule.pick(20), rule.pick(5) FROM generate_series(1, 30);
INSERT INTO permissions (usergroup_id, name)
SELECT DISTINCT rule.pick(5), rule.pick('{use,create,view_unassigned,view_others,reply_own,reply_followed,reply_unassigned,reply_others,modify_own,modify_followed,modify_unassigned,modify_others}'::text[])
FROM generate_series(1, 50);
INSERT INTO permissions (usergroup_id, name) SELECT n, 'use' FROM generate_series(1, 4) AS n;
INSERT INTO permissions (person_id, name)
SELECT DISTINCT rule.pick(20), rule.pick('{use,create,view_unassigned,view_others,reply_own,reply_others,modify_own,modify_unassigned}'::text[])
FROM generate_series(1, 30);
INSERT INTO departments (parent_id, title) SELECT CASE WHEN n > 4 THEN n - 4 END, 'Department ' || n FROM generate_series(1, 8) AS n;
INSERT INTO department_permissions (department_id, usergroup_id, name) SELECT rule.pick(8), rule.pick(5), rule.pick('{full,assign}'::text[]) FROM generate_series(1, 10);
INSERT INTO department_permissions (department_id, person_id, name) SELECT rule.pick(8), rule.pick(20), rule.pick('{full,assign}'::text[]) FROM generate_series(1, 12);
INSERT INTO agent_teams (name) SELECT 'Team ' || n FROM generate_series(1, 4) AS n;
INSERT INTO agent_team_members (team_id, person_id) SELECT DISTINCT rule.pick(4), rule.pick(20) FROM generate_series(1, 20);
INSERT INTO tickets (department_id, agent_id, agent_team_id, subject)
SELECT NULLIF(rule.pick(9), 9), CASE WHEN random() < 0.5 THEN rule.pick(20) END, CASE WHEN random() < 0.3 THEN rule.pick(4) END, 'Ticket'
FROM generate_series(1, 120);
INSERT INTO tickets_participants (ticket_id, person_id) SELECT DISTINCT rule.pick(120), rule.pick(20) FROM generate_series(1, 80);
INSERT INTO tickets_messages (ticket_id, person_id, is_agent_note) SELECT rule.pick(120), rule.pick(20), random() < 0.4 FROM generate_series(1, 120);
