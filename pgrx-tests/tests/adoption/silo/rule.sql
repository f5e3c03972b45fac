CREATE VIEW rule.agents AS SELECT id::bigint FROM staff;
CREATE VIEW rule.view AS
SELECT s.id::bigint AS agent_id, r.id::bigint, CASE WHEN g.limited_to_categories THEN 'category' ELSE 'unlimited' END AS reason
FROM staff AS s JOIN permission_groups AS g ON g.id = s.group_id CROSS JOIN requests AS r
WHERE NOT s.deleted AND (NOT g.limited_to_categories
    OR EXISTS (SELECT FROM category_staff AS c WHERE c.staff_id = s.id AND c.category_id = r.category_id));
CREATE VIEW rule.change AS SELECT agent_id, id, 'sees' AS reason FROM rule.view;
CREATE VIEW rule.read AS
SELECT v.agent_id, h.id::bigint, CASE WHEN h.is_private THEN 'private' ELSE 'public' END AS reason
FROM rule.view AS v JOIN history AS h ON h.request_id = v.id;
CREATE VIEW rule.creates AS
SELECT s.id::bigint AS agent_id, format('INSERT INTO requests (category_id, title) VALUES (%s, ''New'')', coalesce(c.id::text, 'NULL')) AS statement,
    CASE WHEN NOT s.deleted AND g.can_create THEN CASE WHEN NOT g.limited_to_categories THEN 'unlimited'
        WHEN EXISTS (SELECT FROM category_staff AS cs WHERE cs.staff_id = s.id AND cs.category_id = c.id) THEN 'category' END END AS reason
FROM staff AS s JOIN permission_groups AS g ON g.id = s.group_id CROSS JOIN (SELECT id FROM categories UNION ALL SELECT NULL) AS c;
CREATE VIEW rule.replies AS
SELECT s.id::bigint AS agent_id, format('INSERT INTO history (request_id, staff_id, is_private) VALUES (%s, %s, %L)', r.id, s.id, private) AS statement,
    (SELECT 'sees' FROM rule.view AS v WHERE v.agent_id = s.id AND v.id = r.id) AS reason
FROM staff AS s, requests AS r, unnest('{true,false}'::boolean[]) AS private WHERE r.id % 10 = 0;
CREATE FUNCTION rule.view_statement() RETURNS text LANGUAGE sql RETURN 'SELECT id::bigint FROM requests';
CREATE FUNCTION rule.change_statement() RETURNS text LANGUAGE sql RETURN 'UPDATE requests SET title = ''New'' RETURNING id::bigint';
CREATE FUNCTION rule.read_statement() RETURNS text LANGUAGE sql RETURN 'SELECT id::bigint FROM history';
