-- Scoped groups: their permissions hold for the tickets that they cover themselves. In three help desks: of numbers, of
-- uuids and of texts; folded, with calls, and without folding.
SELECT test.reset_keys();
CREATE FUNCTION test.each_desk(command text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    s text;
BEGIN
    FOREACH s IN ARRAY ARRAY['desk', 'keys', 'words'] LOOP
        EXECUTE replace(command, '{s}', s);
    END LOOP;
END $$;
SET client_min_messages = warning;
SET ROLE regress_owner;
ALTER TABLE desk.ticket ADD requester_id bigint;
ALTER TABLE keys.ticket ADD requester_id uuid;
ALTER TABLE words.ticket ADD requester_id text;
SELECT test.each_desk('ALTER TABLE {s}.ticket ADD confidential boolean DEFAULT false');
SELECT test.each_desk('ALTER TABLE {s}.message ADD internal boolean DEFAULT false');
SELECT test.each_desk('SELECT deskguard.protect_tickets(''{s}.ticket'', department_column => ''department_id'', category_column => ''category_id'',
    assignee_column => ''assignee_id'', team_column => ''team_id'', follower_table => ''{s}.ticket_follower'', status_column => ''status'',
    archived_values => ''{archived}'', spam_values => ''{spam}'', confidential_column => ''confidential'', requester_column => ''requester_id'')');
SELECT test.each_desk('SELECT deskguard.protect_messages(''{s}.message'', ''{s}.ticket'', author_column => ''author_id'', internal_column => ''internal'')');
RESET ROLE;

-- Ann manages Support, learns in Sales (in one category), and may put tickets into Accounts. Carl has Staff everywhere, and may
-- delete in Berlin. Dora reads one category in all departments, and sees what she has requested in Support.
DELETE FROM deskguard.agent_permission WHERE agent_id = 2;
DELETE FROM deskguard.group_member WHERE agent_id = 2;
INSERT INTO deskguard.permission_group (name, scope, category_access, department_access, external_key) VALUES
    ('Managers in Support', 'granted', 'open', 'granted', 'managers'), ('Trainees in Sales', 'granted', 'silo', 'granted', 'trainees'),
    ('Front desk of Accounts', 'granted', 'open', 'granted', NULL), ('Cleaners of Berlin', 'granted', 'open', 'granted', NULL),
    ('Readers of Hardware', 'granted', 'silo', 'all', NULL), ('Customers of Support', 'granted', 'open', 'granted', NULL);
INSERT INTO deskguard.group_permission
SELECT 101, name FROM deskguard.permission WHERE name LIKE 'ticket.%' AND builtin
UNION ALL SELECT 102, 'ticket.' || p FROM unnest(ARRAY['use', 'view.own', 'view.followed', 'reply.own', 'reply.followed', 'modify.own', 'edit_messages.own']) AS p
UNION ALL SELECT 103, 'ticket.' || p FROM unnest(ARRAY['use', 'create']) AS p
UNION ALL VALUES (104, 'ticket.delete.assigned'), (104, 'ticket.delete.own'), (104, 'ticket.mass_reply')
UNION ALL SELECT 105, 'ticket.' || p FROM unnest(ARRAY['use', 'view.assigned']) AS p
UNION ALL SELECT 106, 'ticket.' || p FROM unnest(ARRAY['use', 'view.requested', 'reply.requested', 'modify.requested']) AS p;
INSERT INTO deskguard.group_department VALUES (101, 1, 'full'), (102, 4, 'full'), (103, 5, 'assign'), (104, 3, 'full'), (106, 1, 'full');
INSERT INTO deskguard.group_category VALUES (102, 1), (105, 2);
INSERT INTO deskguard.group_member VALUES (101, 2), (102, 2), (103, 2), (101, 3), (104, 4), (105, 5), (106, 5);
INSERT INTO desk.ticket (id, subject, department_id, category_id, assignee_id, team_id, status, confidential, requester_id)
OVERRIDING SYSTEM VALUE VALUES
    (13, 'Accounts, of Ann', 5, 1, 2, NULL, 'open', false, NULL),
    (14, 'EU, confidential', 2, 2, NULL, NULL, 'open', true, NULL),
    (15, 'Sales, of Ann, confidential', 4, 1, 2, NULL, 'open', true, NULL),
    (16, 'EU, archived, requested by Dora', 2, 1, NULL, NULL, 'archived', true, 5),
    (17, 'Sales, requested by Dora', 4, 1, 4, NULL, 'open', false, 5),
    (18, 'Sales, Hardware, of Carl', 4, 2, 4, NULL, 'open', false, NULL),
    (19, 'Sales, of Ann, archived', 4, 1, 2, NULL, 'archived', false, NULL);
INSERT INTO keys.ticket (id, subject, department_id, category_id, assignee_id, status, confidential, requester_id)
SELECT test.key('f', id), subject, test.key('d', department_id), test.key('c', category_id), test.key('a', assignee_id), status,
    confidential, test.key('a', requester_id) FROM desk.ticket WHERE id >= 13;
INSERT INTO words.ticket (id, subject, department_id, category_id, assignee_id, status, confidential, requester_id)
SELECT id, subject, department_id, category_id, assignee_id, status, confidential, requester_id FROM keys.ticket
WHERE id >= test.key('f', 13);
-- Notes on a ticket of each place.
INSERT INTO desk.message (id, ticket_id, author_id, body, internal) VALUES
    (101, 1, 4, 'note', true), (102, 4, 4, 'note', true), (103, 4, 2, 'note of Ann', true), (104, 18, 4, 'note', true);
INSERT INTO keys.message (id, ticket_id, author_id, body, internal)
SELECT test.key('b', id), test.key('f', ticket_id), test.key('a', author_id), body, internal FROM desk.message WHERE id > 100;
INSERT INTO words.message (id, ticket_id, author_id, body, internal)
SELECT id, ticket_id, author_id, body, internal FROM keys.message WHERE id >= test.key('b', 101);

-- The tickets that the agent may do something with. Says so if the help desks, plans or questions differ.
CREATE FUNCTION test.may(agent bigint, action text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    help_desk text;
    folding record;
    found bigint[];
    first bigint[];
    outcomes text;
BEGIN
    PERFORM set_config('deskguard.agent_id', agent::text, true);
    FOREACH help_desk IN ARRAY ARRAY['desk', 'keys', 'words'] LOOP
        FOR folding IN SELECT * FROM (VALUES ('on', '300'), ('on', '0'), ('off', '300')) AS f (fold, fold_limit) LOOP
            PERFORM set_config('deskguard.fold', folding.fold, true), set_config('deskguard.fold_limit', folding.fold_limit, true);
            BEGIN
                EXECUTE format('WITH w AS (%s) SELECT array_agg(right(id::text, 12)::bigint ORDER BY id) FROM w', CASE action
                    WHEN 'view' THEN format('SELECT id FROM %I.ticket', help_desk)
                    WHEN 'modify' THEN format('UPDATE %I.ticket SET subject = subject RETURNING id', help_desk)
                    WHEN 'delete' THEN format('DELETE FROM %I.ticket RETURNING id', help_desk)
                    ELSE format('SELECT id FROM %I.ticket WHERE deskguard.agent_can(%s, %L, id, %L)', help_desk, agent, action, help_desk || '.ticket')
                END) INTO found;
                RAISE EXCEPTION USING ERRCODE = 'YY000';
            EXCEPTION WHEN SQLSTATE 'YY000' THEN
            END;
            first := coalesce(first, found, '{}');
            IF coalesce(found, '{}') <> first THEN
                outcomes := concat(outcomes, E'\n', help_desk, folding::text, found);
            END IF;
        END LOOP;
        EXECUTE format('SELECT array_agg(right(id::text, 12)::bigint ORDER BY id) FROM %I.ticket WHERE deskguard.agent_can(%s, %L, id, %L)',
            help_desk, agent, action, help_desk || '.ticket') INTO found;
        IF coalesce(found, '{}') <> first THEN
            outcomes := concat(outcomes, E'\n', help_desk, ' agent_can ', found);
        END IF;
        IF action = 'view' THEN
            EXECUTE format('SELECT array_agg(right(id::text, 12)::bigint ORDER BY id) FROM deskguard.visible_ticket_keys(%s, %L) AS id',
                agent, help_desk || '.ticket') INTO found;
            IF (SELECT array_agg(f ORDER BY f) FROM unnest(found) AS f) <> first THEN
                outcomes := concat(outcomes, E'\n', help_desk, ' visible ', found);
            END IF;
        END IF;
    END LOOP;
    RETURN concat(first, outcomes);
END $$;
CREATE FUNCTION test.all_may() RETURNS TABLE (agent bigint, action text, tickets text) LANGUAGE sql AS $$
    SELECT a, x, test.may(a, x) FROM unnest(ARRAY[2, 4, 5]) AS a, unnest(ARRAY['view', 'reply', 'modify', 'edit_messages', 'delete']) AS x
$$;

\c - regress_app
SELECT * FROM test.all_may();
\c - postgres
-- Who may, agrees.
SELECT x AS action, t.id, ARRAY(SELECT deskguard.agents_who_can(x, t.id, 'desk.ticket')) AS who
FROM unnest(ARRAY['view', 'modify']) AS x, desk.ticket AS t ORDER BY 1 DESC, 2;

-- To create: where a scoped group says so, or where all is given everywhere. To move: to where it covers, without the permission to create.
CREATE FUNCTION test.moves() RETURNS TABLE (command text, outcome text) LANGUAGE sql AS $$
    SELECT c, test.everywhere_for_each_agent(c) FROM unnest(ARRAY[
        -- create
        'INSERT INTO {s}.ticket (id, subject, department_id, category_id) VALUES ({f101}, ''new'', {d1}, {c3})',
        'INSERT INTO {s}.ticket (id, subject, department_id) VALUES ({f101}, ''new'', {d2})',
        'INSERT INTO {s}.ticket (id, subject, department_id, category_id) VALUES ({f101}, ''new'', {d4}, {c1})',
        'INSERT INTO {s}.ticket (id, subject, department_id, category_id) VALUES ({f101}, ''new'', {d5}, {c1}) RETURNING id',
        'INSERT INTO {s}.ticket (id, subject, category_id) VALUES ({f101}, ''new'', {c1})',
        'INSERT INTO {s}.ticket (id, subject, department_id, status) VALUES ({f101}, ''new'', {d2}, ''spam'')',
        'INSERT INTO {s}.ticket (id, subject, department_id, status) VALUES ({f101}, ''new'', {d5}, ''spam'')',
        -- move
        'UPDATE {s}.ticket SET department_id = {d4} WHERE id = {f1}',
        'UPDATE {s}.ticket SET department_id = {d5} WHERE id = {f2}',
        'UPDATE {s}.ticket SET department_id = {d4} WHERE id = {f2}',
        'UPDATE {s}.ticket SET department_id = NULL WHERE id = {f1}',
        'UPDATE {s}.ticket SET department_id = {d1} WHERE id = {f4}',
        'UPDATE {s}.ticket SET category_id = {c3} WHERE id = {f1}',
        'UPDATE {s}.ticket SET category_id = {c2} WHERE id = {f4}',
        'UPDATE {s}.ticket SET category_id = NULL WHERE id = {f1}',
        'UPDATE {s}.ticket SET category_id = {c2}, department_id = {d2} WHERE id = {f4}',
        'UPDATE {s}.ticket SET assignee_id = {a5} WHERE id = {f4} RETURNING subject',
        -- unarchive and spam
        'UPDATE {s}.ticket SET status = ''open'' WHERE id = {f16}',
        'UPDATE {s}.ticket SET status = ''open'' WHERE id = {f19}',
        'UPDATE {s}.ticket SET status = ''spam'' WHERE id = {f1}',
        'UPDATE {s}.ticket SET status = ''spam'' WHERE id = {f4}',
        'UPDATE {s}.ticket SET status = ''spam'' WHERE id = {f7}']) AS c
$$;
-- Messages and followers: by the place of their ticket.
CREATE FUNCTION test.children() RETURNS TABLE (command text, outcome text) LANGUAGE sql AS $$
    SELECT c, test.everywhere_for_each_agent(c) FROM unnest(ARRAY[
        'SELECT FROM {s}.message',
        'SELECT FROM {s}.message WHERE internal',
        'SELECT FROM {s}.message WHERE ticket_id = {f4}',
        'SELECT FROM {s}.attachment WHERE message_id = {b1}',
        'INSERT INTO {s}.message (id, ticket_id) VALUES ({b200}, {f1})',
        'INSERT INTO {s}.message (id, ticket_id) VALUES ({b200}, {f4})',
        'INSERT INTO {s}.message (id, ticket_id) VALUES ({b200}, {f16})',
        'INSERT INTO {s}.message (id, ticket_id) VALUES ({b200}, {f17})',
        'INSERT INTO {s}.message (id, ticket_id, internal) VALUES ({b200}, {f1}, true)',
        'INSERT INTO {s}.message (id, ticket_id, internal) VALUES ({b200}, {f4}, true)',
        'INSERT INTO {s}.message (id, ticket_id) VALUES ({b200}, {f1}), ({b201}, {f2})',
        'INSERT INTO {s}.message (id, ticket_id) VALUES ({b200}, {f4}), ({b201}, {f6})',
        'INSERT INTO {s}.message (id, ticket_id) VALUES ({b200}, {f1}), ({b201}, {f4})',
        'UPDATE {s}.message SET body = ''x''',
        'UPDATE {s}.message SET internal = true WHERE ticket_id = {f4}',
        'UPDATE {s}.message SET internal = true WHERE ticket_id = {f1}',
        'UPDATE {s}.message SET ticket_id = {f1} WHERE id = {b4}',
        'DELETE FROM {s}.message',
        'SELECT FROM {s}.ticket_follower',
        'INSERT INTO {s}.ticket_follower VALUES ({f4}, {a2})',
        'INSERT INTO {s}.ticket_follower VALUES ({f4}, {a5})',
        'INSERT INTO {s}.ticket_follower VALUES ({f6}, {a4})',
        'DELETE FROM {s}.ticket_follower']) AS c
$$;
\c - regress_app
SELECT * FROM test.moves();
SELECT * FROM test.children();
\c - postgres
-- A place that is covered without the permission to use tickets: told as what it is, a move.
BEGIN;
INSERT INTO deskguard.group_department VALUES (104, 4, 'assign');
INSERT INTO deskguard.group_member VALUES (104, 2);
SET LOCAL ROLE regress_ann;
UPDATE desk.ticket SET department_id = 4 WHERE id = 2;
ROLLBACK;

-- Why, and where a right counts.
SET timezone = 'UTC';
SELECT test.explained_in(2, '1', 'desk.ticket', 'modify');
SELECT test.explained_in(2, '3', 'desk.ticket', 'modify');
SELECT test.explained_in(2, '13', 'desk.ticket');
SELECT test.explained_in(4, '7', 'desk.ticket', 'delete');
SELECT deskguard.explain_command(2, 'INSERT', 'desk.ticket', new_row => '{"department_id": 4, "category_id": 1}') ->> 'summary' AS command
UNION ALL SELECT deskguard.explain_command(2, 'UPDATE', 'desk.ticket', '{"id": 1}', '{"department_id": 5, "category_id": 2}') ->> 'summary'
UNION ALL SELECT deskguard.explain_command(2, 'UPDATE', 'desk.ticket', '{"id": 4}', '{"category_id": 2}') ->> 'summary'
UNION ALL SELECT deskguard.explain_command(2, 'SELECT', 'desk.message', '{"id": 102}') ->> 'summary'
UNION ALL SELECT deskguard.explain_command(2, 'SELECT', 'desk.message', '{"id": 101}') ->> 'summary';
SELECT * FROM deskguard.effective_permissions(4) WHERE permission IN ('ticket.delete.own', 'ticket.use', 'permission.audit') ORDER BY 1, 2;
SELECT * FROM deskguard.effective_departments(2) ORDER BY department_id;
SELECT * FROM deskguard.effective_categories(2) ORDER BY category_id, granted_by;
SELECT * FROM deskguard.effective_categories(5) ORDER BY category_id, granted_by;
SELECT * FROM deskguard.agents_with_access(3) ORDER BY agent_id, granted_by;
SELECT * FROM deskguard.agents_with_access(category_id => 2) ORDER BY agent_id, granted_by;
SELECT * FROM deskguard.agents_with_access(permission => 'ticket.view.requested') ORDER BY agent_id, granted_by;
SELECT deskguard.agent_has_permission(2, 'ticket.use') AS everywhere;

-- Ann herself is told of what she does not see where it is, and no more.
SET ROLE regress_ann;
SELECT test.explained_in(2, '3', 'desk.ticket');
SELECT test.explained_in(2, '13', 'desk.ticket');
RESET ROLE;

-- What each fact changes, and the same in each help desk.
CREATE FUNCTION test.changed(facts text[]) RETURNS TABLE (fact text, ann text, modifies text, dora text) LANGUAGE plpgsql AS $$
BEGIN
    FOREACH fact IN ARRAY facts LOOP
        BEGIN
            EXECUTE fact;
            SET LOCAL ROLE regress_owner;
            SET LOCAL SESSION AUTHORIZATION regress_app;
            ann := test.may(2, 'view');
            modifies := test.may(2, 'modify');
            dora := test.may(5, 'view');
            RAISE EXCEPTION USING ERRCODE = 'YY000';
        EXCEPTION WHEN SQLSTATE 'YY000' THEN
            RETURN NEXT;
        END;
    END LOOP;
END $$;
SELECT * FROM test.changed(ARRAY[
    'SELECT 1',
    -- the scope
    'UPDATE deskguard.permission_group SET scope = ''everywhere'' WHERE name = ''Trainees in Sales''',
    'UPDATE deskguard.permission_group SET scope = ''everywhere'' WHERE name = ''Managers in Support''',
    'UPDATE deskguard.permission_group SET scope = ''granted'' WHERE name = ''Staff''',
    -- what it covers
    'UPDATE deskguard.permission_group SET category_access = ''silo'' WHERE name = ''Managers in Support''',
    'INSERT INTO deskguard.group_category SELECT 102, 2',
    'UPDATE deskguard.group_department SET level = ''assign'' WHERE group_id = 102',
    'UPDATE deskguard.group_department SET department_id = 2 WHERE group_id = 101',
    'UPDATE deskguard.permission_group SET department_access = ''all'' WHERE name = ''Trainees in Sales''',
    -- the agent's own settings
    'UPDATE deskguard.agent SET category_access = ''open'' WHERE id = 2',
    'UPDATE deskguard.agent SET category_access = ''silo'' WHERE id IN (2, 5)',
    'INSERT INTO deskguard.agent_permission VALUES (2, ''ticket.use'')',
    'INSERT INTO deskguard.agent_permission VALUES (2, ''ticket.view.unassigned''), (2, ''ticket.modify.unassigned'')',
    'INSERT INTO deskguard.agent_department VALUES (2, 5, ''full'')',
    'INSERT INTO deskguard.agent_category VALUES (2, 2)',
    'INSERT INTO deskguard.agent_permission VALUES (5, ''ticket.use''), (5, ''ticket.view.requested'')',
    -- one permission
    'DELETE FROM deskguard.group_permission WHERE permission = ''ticket.use'' AND group_id = 101',
    'DELETE FROM deskguard.group_permission WHERE permission = ''ticket.view.confidential''',
    'DELETE FROM deskguard.group_permission WHERE permission = ''ticket.view.own''',
    'DELETE FROM deskguard.group_permission WHERE permission = ''ticket.view.followed''',
    'DELETE FROM deskguard.group_permission WHERE permission = ''ticket.view.requested''',
    -- the time: of the membership, of what the group has, of the team
    'UPDATE deskguard.group_member SET valid_until = now() WHERE group_id = 101',
    'UPDATE deskguard.group_member SET valid_from = now() + ''1 us'' WHERE group_id = 102',
    'UPDATE deskguard.group_member SET valid_until = now() + ''1 us'' WHERE group_id IN (101, 102)',
    'UPDATE deskguard.group_department SET valid_until = now() WHERE group_id = 102',
    'UPDATE deskguard.group_category SET valid_until = now() WHERE group_id IN (102, 105)',
    'UPDATE deskguard.group_permission SET valid_until = now() WHERE permission = ''ticket.modify.own''',
    'INSERT INTO deskguard.group_category VALUES (102, 2, NULL, now() + ''1 us'')',
    'INSERT INTO deskguard.group_category SELECT 102, 2; UPDATE deskguard.team_member SET valid_until = now()',
    'INSERT INTO deskguard.group_category SELECT 102, 2; UPDATE deskguard.team_member SET valid_until = now();
     INSERT INTO deskguard.group_permission VALUES (102, ''ticket.view.assigned'')']);

-- An agent in scoped groups only is in no group that holds everywhere: the default opens it for what it has everywhere, and its
-- groups stay what they are.
SET deskguard.default_category_access = open;
SELECT * FROM test.changed(ARRAY['SELECT 1', 'INSERT INTO deskguard.agent_permission VALUES (2, ''ticket.use'')']);
RESET deskguard.default_category_access;

-- Forty scoped groups at three levels make few conditions; a longer list stays a call.
CREATE FUNCTION test.plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE 'EXPLAIN (COSTS OFF) ' || query;
END $$;
INSERT INTO deskguard.department SELECT 100 + g, 'Place ' || g FROM generate_series(0, 39) AS g;
INSERT INTO deskguard.permission_group (name, scope, category_access) SELECT 'Forty ' || g, 'granted', 'open' FROM generate_series(0, 39) AS g;
INSERT INTO deskguard.group_department SELECT g.id, 100 + substr(g.name, 7)::int, 'full' FROM deskguard.permission_group AS g WHERE name LIKE 'Forty %';
INSERT INTO deskguard.group_permission
SELECT g.id, 'ticket.' || p
FROM deskguard.permission_group AS g, unnest(ARRAY['use', 'view.own', 'view.unassigned', 'view.assigned', 'modify.own', 'modify.unassigned', 'modify.assigned'])
    WITH ORDINALITY AS x (p, n)
WHERE name LIKE 'Forty %' AND n <= CASE substr(g.name, 7)::int % 3 WHEN 0 THEN 2 WHEN 1 THEN 4 ELSE 7 END;
INSERT INTO deskguard.agent (id, name) VALUES (6, 'Fay');
INSERT INTO deskguard.group_member SELECT id, 6 FROM deskguard.permission_group WHERE name LIKE 'Forty %';
SET ROLE regress_owner;
CREATE TABLE desk.placed (id int, department_id int, assignee_id bigint) PARTITION BY LIST (department_id);
CREATE TABLE desk.placed_1 PARTITION OF desk.placed FOR VALUES IN (100, 101, 102);
CREATE TABLE desk.placed_2 PARTITION OF desk.placed FOR VALUES IN (5);
CREATE TABLE desk.placed_3 PARTITION OF desk.placed DEFAULT;
INSERT INTO desk.placed SELECT g, (ARRAY[5, 100, 101, 102, 138, 139, NULL])[1 + g % 7], (ARRAY[6, 4, NULL])[1 + g % 3] FROM generate_series(1, 21) AS g;
SELECT deskguard.protect_tickets('desk.placed', department_column => 'department_id', assignee_column => 'assignee_id');
GRANT SELECT, UPDATE ON desk.placed, desk.placed_1 TO PUBLIC;
RESET ROLE;
\c - regress_app
SELECT deskguard.set_agent(6, false);
SELECT test.plan('SELECT * FROM desk.placed');
SELECT test.plan('UPDATE desk.placed_1 SET id = id WHERE assignee_id = 4');
SET deskguard.fold_limit = 20;
SELECT test.plan('SELECT * FROM desk.placed');
CREATE TEMP TABLE seen AS SELECT fold, fold_limit, 'x' AS of, 0 AS department_id, 0::bigint AS assignee_id, 0::bigint AS n
FROM (VALUES ('on', '300'), ('on', '20'), ('on', '0'), ('off', '300')) AS f (fold, fold_limit) WHERE false;
DO $$
DECLARE
    f record;
BEGIN
    FOR f IN SELECT * FROM (VALUES ('on', '300'), ('on', '20'), ('on', '0'), ('off', '300')) AS f (fold, fold_limit) LOOP
        PERFORM set_config('deskguard.fold', f.fold, true), set_config('deskguard.fold_limit', f.fold_limit, true);
        INSERT INTO seen SELECT f.fold, f.fold_limit, 'view', department_id, assignee_id, count(*) FROM desk.placed GROUP BY 4, 5;
        WITH w AS (UPDATE desk.placed SET id = id RETURNING *)
        INSERT INTO seen SELECT f.fold, f.fold_limit, 'modify', department_id, assignee_id, count(*) FROM w GROUP BY 4, 5;
    END LOOP;
END $$;
SELECT of, department_id, assignee_id, n, count(*) AS ways FROM seen GROUP BY 1, 2, 3, 4 ORDER BY 1 DESC, 2, 3, 4;
\c - postgres

-- What a group's scope may be.
SELECT * FROM test.tried(ARRAY[
    'UPDATE deskguard.permission_group SET scope = ''somewhere'' WHERE id = 101',
    'UPDATE deskguard.permission_group SET scope = NULL WHERE id = 101',
    'UPDATE deskguard.permission_group SET scope = ''granted'' WHERE builtin',
    'UPDATE deskguard.permission_group SET external_key = ''managers'' WHERE id = 102']);
SET client_min_messages = warning;
DROP FUNCTION test.each_desk, test.may, test.all_may, test.moves, test.children, test.changed, test.plan;
DELETE FROM deskguard.agent WHERE id = 6;
SELECT test.reset();
DROP SCHEMA keys, words CASCADE;
