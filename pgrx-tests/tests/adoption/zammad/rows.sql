INSERT INTO organizations (name, shared) SELECT 'Organization ' || n, n <> 2 FROM generate_series(1, 4) AS n;
-- User 1 is nobody: it owns what has no owner.
INSERT INTO users (organization_id, login, active)
SELECT CASE WHEN n % 4 <> 0 AND n > 1 THEN rule.pick(4) END, 'user' || n, n NOT IN (1, 9) FROM generate_series(1, 26) AS n;
INSERT INTO organizations_users (user_id, organization_id)
SELECT DISTINCT 2 + rule.pick(24), rule.pick(4) FROM generate_series(1, 6);
INSERT INTO permissions (name, active) VALUES ('admin', true), ('ticket', true), ('ticket.agent', true), ('ticket.customer', true);
INSERT INTO roles (name, active)
VALUES ('Admin', true), ('Agent', true), ('Customer', true), ('Second line', true), ('Everything with tickets', true), ('Former', false);
INSERT INTO permissions_roles (role_id, permission_id) VALUES (1, 1), (2, 3), (3, 4), (4, 3), (5, 2), (6, 3);
-- Agents, customers, and some that are both.
INSERT INTO roles_users (user_id, role_id)
SELECT n, CASE WHEN n <= 12 THEN 2 ELSE 3 END FROM generate_series(2, 26) AS n WHERE n NOT IN (11, 12, 25);
INSERT INTO roles_users (user_id, role_id) VALUES (5, 3), (6, 3), (7, 3), (2, 1), (11, 5), (12, 6), (25, 1), (8, 4), (9, 4), (13, 4);
INSERT INTO groups (name, parent_id, active)
SELECT 'Group ' || n, CASE WHEN n IN (4, 5) THEN n - 2 END, n <> 6 FROM generate_series(1, 7) AS n;
INSERT INTO groups_users (user_id, group_id, access)
SELECT DISTINCT 1 + rule.pick(14), rule.pick(7), rule.pick('{read,read,create,change,full,overview}'::text[])
FROM generate_series(1, 45);
INSERT INTO roles_groups (role_id, group_id, access)
SELECT DISTINCT 1 + rule.pick(5), rule.pick(7), rule.pick('{read,create,change,full}'::text[]) FROM generate_series(1, 9);
INSERT INTO tickets (group_id, title, owner_id, customer_id, organization_id)
SELECT rule.pick(7), 'Ticket', CASE WHEN random() < 0.4 THEN 1 ELSE rule.pick(26) END, rule.pick(26),
    CASE WHEN random() < 0.6 THEN rule.pick(4) END
FROM generate_series(1, 120);
INSERT INTO ticket_articles (ticket_id, internal, body, created_by_id)
SELECT rule.pick(120), random() < 0.4, 'Text', rule.pick(26) FROM generate_series(1, 160);
