-- What an agent has, through whom and until when; and who has something.
SELECT test.reset();
TRUNCATE deskguard.agent_department, deskguard.agent_category CASCADE;
INSERT INTO deskguard.department (id, name, parent_id) VALUES (50, 'Europe', NULL), (51, 'Spain', 50), (52, 'Seville', 51);
INSERT INTO deskguard.category (id, name) VALUES (60, 'Returns'), (61, 'Fraud');
INSERT INTO deskguard.permission_group (id, name) VALUES (500, 'Iberia'), (501, 'Later');
INSERT INTO deskguard.group_department VALUES (500, 51, 'full'), (501, 50, 'full');
INSERT INTO deskguard.group_category VALUES (500, 60);
INSERT INTO deskguard.group_permission VALUES (500, 'ticket.create');
INSERT INTO deskguard.agent (id, name) VALUES (40, 'Inés'), (41, 'Olaf'), (42, 'Gone'), (43, 'Alone');
UPDATE deskguard.agent SET active = false WHERE id = 42;
INSERT INTO deskguard.group_member (group_id, agent_id, valid_from, valid_until) VALUES
    (500, 40, NULL, '2099-01-01 00:00+00'), (500, 42, NULL, NULL), (501, 40, '2098-01-01 00:00+00', NULL), (2, 41, NULL, NULL);
INSERT INTO deskguard.agent_department VALUES (40, 50, 'assign', NULL, '2097-01-01 00:00+00'), (40, 52, 'full', NULL, '2001-01-01 00:00+00');
INSERT INTO deskguard.agent_category VALUES (40, 61, '2098-01-01 00:00+00', NULL), (40, 60, NULL, NULL);
INSERT INTO deskguard.team (id, name) VALUES (70, 'Night'), (71, 'Day');
INSERT INTO deskguard.team_member VALUES (70, 40, NULL, '2099-06-01 00:00+00'), (71, 40, NULL, '2001-01-01 00:00+00');
SET timezone = 'UTC';

-- What has ended or is to begin is not there. A department is there with all below it.
SELECT * FROM deskguard.effective_departments(40) ORDER BY department_id, granted_by, granted_on;
SELECT * FROM deskguard.effective_categories(40) ORDER BY category_id, granted_by;
SELECT * FROM deskguard.effective_teams(40);

-- All departments, and open to all categories and to tickets without one.
SELECT * FROM deskguard.effective_departments(41) WHERE department_id >= 50 ORDER BY department_id;
SELECT * FROM deskguard.effective_categories(41) WHERE category_id >= 60 OR category_id IS NULL ORDER BY category_id;

-- An agent in no group is opened by the default.
SELECT * FROM deskguard.effective_categories(43);
SET deskguard.default_category_access = open;
SELECT * FROM deskguard.effective_categories(43) WHERE category_id >= 60 OR category_id IS NULL ORDER BY category_id;
RESET deskguard.default_category_access;

-- Nobody, and who is not active, has nothing.
SELECT a AS agent, (SELECT count(*) FROM deskguard.effective_departments(a)) AS departments,
    (SELECT count(*) FROM deskguard.effective_categories(a)) AS categories, (SELECT count(*) FROM deskguard.effective_teams(a)) AS teams
FROM unnest(ARRAY[42, 43, 999, NULL]) AS a;

-- Who has something.
SELECT * FROM deskguard.agents_with_access(52) WHERE agent_id >= 40 ORDER BY agent_id;
SELECT * FROM deskguard.agents_with_access(department_id => 50, level => 'assign') WHERE agent_id >= 40 ORDER BY agent_id;
SELECT * FROM deskguard.agents_with_access(category_id => 60) WHERE agent_id >= 40 ORDER BY agent_id, granted_by;
SELECT * FROM deskguard.agents_with_access(permission => 'ticket.create') WHERE agent_id >= 40 ORDER BY agent_id;

-- They agree with each other, and with what lets an agent do something.
SELECT count(*) > 0 AS some, count(*) FILTER (WHERE e IS NULL OR w IS NULL) AS differ
FROM (SELECT a.id AS agent_id, e.department_id, e.granted_by, e.granted_on FROM deskguard.agent AS a, deskguard.effective_departments(a.id) AS e
      WHERE e.level = 'full') AS e
FULL JOIN (SELECT w.agent_id, d.id AS department_id, w.granted_by, w.granted_on
           FROM deskguard.department AS d, deskguard.agents_with_access(d.id) AS w) AS w
    ON (e.agent_id, e.department_id, e.granted_by) = (w.agent_id, w.department_id, w.granted_by)
    AND e.granted_on IS NOT DISTINCT FROM w.granted_on;
SELECT count(*) > 0 AS some, count(*) FILTER (WHERE e IS NULL OR w IS NULL) AS differ
FROM (SELECT a.id AS agent_id, e.category_id, e.granted_by FROM deskguard.agent AS a, deskguard.effective_categories(a.id) AS e
      WHERE e.category_id IS NOT NULL) AS e
FULL JOIN (SELECT w.agent_id, c.id AS category_id, w.granted_by
           FROM deskguard.category AS c, deskguard.agents_with_access(category_id => c.id) AS w) AS w
    ON (e.agent_id, e.category_id, e.granted_by) = (w.agent_id, w.category_id, w.granted_by);

-- What is unknown, and who may ask.
CREATE TEMP TABLE asked (n int GENERATED ALWAYS AS IDENTITY, question text);
GRANT SELECT ON asked TO PUBLIC;
INSERT INTO asked (question) VALUES
    ('agents_with_access()'), ('agents_with_access(50, category_id => 60)'), ('agents_with_access(999)'),
    ('agents_with_access(category_id => 999)'),
    ($$agents_with_access(50, 'half')$$), ('agents_with_access(50, NULL)'), ('agents_with_access(50)'),
    ('effective_departments(2)'), ('effective_categories(2)'), ('effective_teams(2)'),
    ('effective_departments(40)'), ('effective_categories(40)'), ('effective_teams(40)'), ('effective_teams(NULL)');
CREATE FUNCTION test.told() RETURNS TABLE (question text, answer text) LANGUAGE sql AS $$
    SELECT question, regexp_replace(test.attempt('SELECT deskguard.' || question), '^rows: \d+', 'rows') FROM asked ORDER BY n
$$;
SELECT * FROM test.told();
SET ROLE regress_ann;
SELECT question, split_part(answer, E'\n', 1) AS ann FROM test.told();
RESET ROLE;
INSERT INTO deskguard.agent_permission VALUES (2, 'permission.audit');
SET ROLE regress_ann;
SELECT question, split_part(answer, E'\n', 1) AS auditor FROM test.told();
RESET ROLE;
DROP FUNCTION test.told();
DROP TABLE asked;
RESET timezone;
