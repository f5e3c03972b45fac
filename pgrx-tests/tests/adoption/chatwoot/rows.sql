INSERT INTO accounts (name) VALUES ('One'), ('Two');
INSERT INTO users (name) SELECT 'User ' || n FROM generate_series(1, 24) AS n;
INSERT INTO custom_roles (name, account_id, permissions) VALUES
    ('Everything', 1, '{contact_manage,conversation_manage}'), ('Queue', 1, '{conversation_unassigned_manage}'),
    ('Own', 1, '{conversation_participating_manage}'), ('Both', 1, '{conversation_unassigned_manage,conversation_participating_manage}'),
    ('Reports', 1, '{report_manage}'), ('Own', 2, '{conversation_participating_manage}');
INSERT INTO account_users (account_id, user_id, role, custom_role_id)
SELECT 1, n, CASE WHEN n <= 2 THEN 1 ELSE 0 END, CASE WHEN n BETWEEN 8 AND 17 THEN rule.pick(5) END FROM generate_series(1, 19) AS n;
INSERT INTO account_users (account_id, user_id, role, custom_role_id)
SELECT 2, n, CASE WHEN n IN (3, 20) THEN 1 ELSE 0 END, CASE WHEN n = 22 THEN 6 END FROM unnest('{3,4,9,20,21,22,23}'::int[]) AS n;
INSERT INTO inboxes (account_id, name) SELECT 1 + (n > 5)::int, 'Inbox ' || n FROM generate_series(1, 8) AS n;
INSERT INTO inbox_members (user_id, inbox_id) SELECT DISTINCT rule.pick(24), rule.pick(8) FROM generate_series(1, 60);
INSERT INTO teams (account_id, name) SELECT 1 + (n > 4)::int, 'team ' || n FROM generate_series(1, 6) AS n;
INSERT INTO team_members (user_id, team_id) SELECT DISTINCT rule.pick(24), rule.pick(6) FROM generate_series(1, 30);
INSERT INTO conversations (account_id, inbox_id, assignee_id, team_id)
SELECT account_id, id, CASE WHEN random() < 0.6 THEN rule.pick(24) END,
    CASE WHEN random() < 0.6 THEN CASE account_id WHEN 1 THEN rule.pick(4) ELSE 4 + rule.pick(2) END END
FROM generate_series(1, 15), inboxes;
INSERT INTO conversation_participants (account_id, user_id, conversation_id)
SELECT DISTINCT ON (c.id, u) c.account_id, u, c.id FROM conversations AS c, LATERAL (SELECT rule.pick(24) + 0 * c.id AS u) AS u WHERE random() < 0.7;
INSERT INTO messages (content, account_id, conversation_id, private)
SELECT 'Text', 1, rule.pick(120), random() < 0.4 FROM generate_series(1, 160);
