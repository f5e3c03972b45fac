INSERT INTO profiles (id, full_name, is_admin, banned) SELECT md5('user' || n)::uuid, 'User ' || n, n = 2, n = 9 FROM generate_series(1, 20) AS n;
INSERT INTO teams (id, name) SELECT md5('team' || n)::uuid, 'Team ' || n FROM generate_series(1, 5) AS n;
INSERT INTO team_members (team_id, user_id, role)
SELECT md5('team' || rule.pick(5))::uuid, md5('user' || rule.pick(14))::uuid, rule.pick('{lead,agent,viewer}'::text[]) FROM generate_series(1, 30) ON CONFLICT DO NOTHING;
INSERT INTO tickets (title, team_id, assignee_id, requester_id)
SELECT 'Ticket', CASE WHEN random() < 0.9 THEN md5('team' || rule.pick(5))::uuid END, CASE WHEN random() < 0.5 THEN md5('user' || rule.pick(14))::uuid END,
    md5('user' || rule.pick(20))::uuid
FROM generate_series(1, 100);
INSERT INTO comments (ticket_id, author_id, internal)
SELECT t.id, md5('user' || rule.pick(20))::uuid, random() < 0.4 FROM tickets AS t, generate_series(1, 2);
