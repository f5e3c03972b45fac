-- User 6 is Nobody. Principals have one row of numbers: users up to 30, groups above.
INSERT INTO users (name) SELECT CASE n WHEN 1 THEN 'RT_System' WHEN 6 THEN 'Nobody' ELSE 'user' || n END FROM generate_series(1, 26) AS n;
INSERT INTO queues (name) SELECT 'Queue ' || n FROM generate_series(1, 6) AS n;
SELECT setval('groups_id_seq', 30);
-- Each user has a group of its own, to which rights are given; then groups of people.
INSERT INTO groups (name, domain, instance) SELECT 'User ' || id, 'ACLEquivalence', id FROM users;
INSERT INTO groups (name, domain) SELECT 'Team ' || n, 'UserDefined' FROM generate_series(1, 5) AS n;
INSERT INTO groups (name, domain) VALUES ('Everyone', 'SystemInternal');
INSERT INTO groups (name, domain, instance) SELECT role, 'RT::Queue-Role', id FROM queues, unnest('{Requestor,Cc,AdminCc}'::text[]) AS role;
INSERT INTO tickets (queue, owner, subject) SELECT rule.pick(6), CASE WHEN random() < 0.5 THEN 6 ELSE rule.pick(26) END, 'Ticket' FROM generate_series(1, 120);
INSERT INTO groups (name, domain, instance) SELECT role, 'RT::Ticket-Role', id FROM tickets, unnest('{Requestor,Cc,AdminCc}'::text[]) AS role;
INSERT INTO principals (id, principaltype, disabled) SELECT id, 'User', (id = 9)::int FROM users UNION ALL SELECT id, 'Group', 0 FROM groups;
INSERT INTO cachedgroupmembers (groupid, memberid) SELECT id, instance FROM groups WHERE domain = 'ACLEquivalence';
INSERT INTO cachedgroupmembers (groupid, memberid) SELECT g.id, u.id FROM groups AS g, users AS u WHERE g.domain = 'SystemInternal';
INSERT INTO cachedgroupmembers (groupid, memberid, disabled)
SELECT g.id, rule.pick(26), (random() < 0.1)::int FROM groups AS g, generate_series(1, 6) WHERE g.domain = 'UserDefined';
INSERT INTO cachedgroupmembers (groupid, memberid) SELECT id, rule.pick(26) FROM groups WHERE domain = 'RT::Queue-Role' AND random() < 0.6;
INSERT INTO cachedgroupmembers (groupid, memberid) SELECT id, rule.pick(26) FROM groups WHERE domain = 'RT::Ticket-Role' AND random() < 0.7;
INSERT INTO acl (principaltype, principalid, rightname, objecttype, objectid)
SELECT 'Group', 30 + rule.pick(31), rule.pick('{ShowTicket,ShowTicket,ModifyTicket,ReplyToTicket,CreateTicket,ShowTicketComments}'::text[]),
    'RT::Queue', rule.pick(6)
FROM generate_series(1, 120);
INSERT INTO acl (principaltype, principalid, rightname, objecttype, objectid)
SELECT 'Group', id, right_name, 'RT::System', 1 FROM groups, unnest('{ShowTicket,ShowTicketComments}'::text[]) AS right_name WHERE name = 'Team 1'
UNION ALL SELECT 'Group', id, 'SuperUser', 'RT::System', 1 FROM groups WHERE name = 'User 3'
UNION ALL SELECT 'Group', id, 'CreateTicket', 'RT::Queue', 2 FROM groups WHERE name = 'Everyone';
-- To roles. Cc has what Requestor has.
CREATE FUNCTION rule.grant_to_role(role_name text, right_given text, queue_id bigint) RETURNS void
LANGUAGE sql
BEGIN ATOMIC
    INSERT INTO acl (principaltype, principalid, rightname, objecttype, objectid)
    SELECT role, coalesce((SELECT id FROM groups WHERE domain = 'RT::Queue-Role' AND instance = queue_id AND name = role), 0), right_given,
        CASE WHEN queue_id = 7 THEN 'RT::System' ELSE 'RT::Queue' END, CASE WHEN queue_id = 7 THEN 1 ELSE queue_id END
    FROM unnest(CASE WHEN role_name = 'Requestor' THEN '{Requestor,Cc}'::text[] ELSE ARRAY[role_name] END) AS role;
END;
SELECT rule.grant_to_role(rule.pick('{Requestor,AdminCc,Owner}'::text[]),
    rule.pick('{ShowTicket,ShowTicket,ModifyTicket,ReplyToTicket,ShowTicketComments}'::text[]), rule.pick(7))
FROM generate_series(1, 30);
SELECT rule.grant_to_role(role, 'CreateTicket', n) FROM generate_series(3, 5) AS n, unnest('{Requestor,AdminCc}'::text[]) AS role;
INSERT INTO transactions (objecttype, objectid, type, creator)
SELECT CASE WHEN random() < 0.8 THEN 'RT::Ticket' ELSE 'RT::User' END, rule.pick(120), rule.pick('{Create,Correspond,Comment,Comment}'::text[]), 1
FROM generate_series(1, 160);
