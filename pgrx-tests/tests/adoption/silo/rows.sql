INSERT INTO permission_groups (name, limited_to_categories, can_create)
VALUES ('Administrator', false, true), ('Help desk', false, true), ('Limited', true, true), ('Guests', true, false);
INSERT INTO staff (name, group_id, deleted) SELECT 'Staff ' || n, rule.pick(4), n = 9 FROM generate_series(1, 20) AS n;
INSERT INTO categories (name) SELECT 'Category ' || n FROM generate_series(1, 8) AS n;
INSERT INTO category_staff (category_id, staff_id) SELECT DISTINCT rule.pick(8), rule.pick(20) FROM generate_series(1, 50);
INSERT INTO requests (category_id, assigned_to, title) SELECT NULLIF(rule.pick(9), 9), rule.pick(21) - 1, 'Request' FROM generate_series(1, 100);
INSERT INTO history (request_id, staff_id, is_private) SELECT rule.pick(100), rule.pick(20), random() < 0.4 FROM generate_series(1, 120);
