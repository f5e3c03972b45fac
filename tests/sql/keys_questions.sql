-- Questions about tickets whose keys are uuid, text or varchar.
SET client_min_messages = warning;
SELECT test.reset_keys();

-- Questions. The same answers about the three help desks.
SELECT count(*) AS asked, count(*) FILTER (WHERE numbers) AS yes,
    count(*) FILTER (WHERE numbers <> deskguard.agent_can(a, action, test.key('f', t), 'keys.ticket')) AS uuid,
    count(*) FILTER (WHERE numbers <> deskguard.agent_can(a, action, test.key('f', t)::text, 'keys.ticket')) AS uuid_as_text,
    count(*) FILTER (WHERE numbers <> deskguard.agent_can(a, action, test.key('f', t)::text, 'words.ticket')) AS text,
    count(*) FILTER (WHERE numbers <> deskguard.agent_can(a, action, test.key('f', t), 'words.ticket')) AS text_as_uuid,
    count(*) FILTER (WHERE numbers <> deskguard.agent_can(a, action, t::text, 'desk.ticket')) AS number_as_text,
    count(*) FILTER (WHERE action = 'view' AND numbers <> deskguard.agent_can_view(a, test.key('f', t), 'keys.ticket')) AS view_uuid,
    count(*) FILTER (WHERE action = 'view' AND numbers <> deskguard.agent_can_view(a, test.key('f', t)::text, 'words.ticket')) AS view_text,
    count(*) FILTER (WHERE numbers <> EXISTS (SELECT FROM deskguard.agents_who_can(action, test.key('f', t), 'keys.ticket') AS w WHERE w = a)) AS who_can,
    count(*) FILTER (WHERE numbers <> (deskguard.explain_access(a, test.key('f', t), action, 'keys.ticket') -> 'allowed')::boolean) AS explained
FROM generate_series(1, 5) AS a, generate_series(1, 13) AS t, unnest(ARRAY['view', 'reply', 'modify', 'edit_messages', 'delete']) AS action,
    LATERAL (SELECT deskguard.agent_can(a, action, t::bigint, 'desk.ticket') AS numbers) AS n;
SELECT array_agg(w ORDER BY w) AS uuid, (SELECT array_agg(w ORDER BY w) FROM deskguard.agents_who_can('view', test.key('f', 4)::text, 'words.ticket') AS w) AS text,
    (SELECT array_agg(w ORDER BY w) FROM deskguard.agents_who_can('view', '4', 'desk.ticket') AS w) AS numbers
FROM deskguard.agents_who_can('view', 'f0000000-0000-0000-0000-000000000004', 'keys.ticket') AS w;
SELECT of, (SELECT string_agg(regexp_replace(k, '.*-0*', ''), ' ' ORDER BY length(k), k) FROM deskguard.visible_ticket_keys(2, of) AS k)
FROM unnest(ARRAY['desk.ticket', 'keys.ticket', 'words.ticket']::regclass[]) AS of;
SELECT min(k) FROM deskguard.visible_ticket_keys(2, 'keys.ticket') AS k;
SELECT pg_typeof(k), count(*) FROM deskguard.visible_ticket_keys(1, 'desk.ticket') AS k GROUP BY 1;
-- Each form of an id, for each kind of table; and those that do not fit.
SET ROLE regress_ann;
SELECT ticket, of, split_part(test.attempt(format('SELECT 1 WHERE deskguard.agent_can_view(2, %s, %L)', ticket, of)), E'\n', 1) AS seen
FROM unnest(ARRAY['4', '4::smallint', '4::bigint', '''4''', '''4''::text', ''' 4 ''', '''04''', '''42x''', '''''', '''9223372036854775808''',
    '''f0000000-0000-0000-0000-000000000004''', '''f0000000-0000-0000-0000-000000000004''::uuid',
    '''f0000000-0000-0000-0000-000000000004''::text', '''f0000000-0000-0000-0000-000000000004''::varchar',
    '''F0000000-0000-0000-0000-000000000004''', '''F0000000-0000-0000-0000-000000000004''::uuid',
    '''{f000000000000000000000000004}''', '''{f0000000000000000000000000000004}''',
    '''f0000000-0000-0000-0000-000000000099''', 'NULL', 'NULL::uuid', 'NULL::text', 'NULL::bigint', '1.5']) WITH ORDINALITY AS t (ticket, nth),
    unnest(ARRAY['desk.ticket', 'keys.ticket', 'words.ticket']) AS of
ORDER BY nth, of COLLATE "C";
SELECT question, test.attempt('SELECT * FROM deskguard.' || question)
FROM unnest(ARRAY[
    $$agent_can(2, 'view', 4, 'keys.ticket')$$,
    $$agent_can(2, 'view', test.key('f', 4), 'desk.ticket')$$,
    $$agent_can(2, 'view', 'x', 'keys.ticket')$$,
    $$agent_can(2, 'fly', test.key('f', 4), 'keys.ticket')$$,
    $$agent_can(4, 'view', test.key('f', 4), 'keys.ticket')$$,
    $$agent_can(2, 'view', test.key('f', 4))$$,
    $$agents_who_can('view', test.key('f', 4), 'keys.ticket')$$,
    $$explain_access(2, 4, ticket_table => 'keys.ticket')$$,
    $$explain_access(2, test.key('f', 4), ticket_table => 'desk.ticket')$$,
    $$explain_access(2, '42x', ticket_table => 'desk.ticket')$$,
    $$explain_access(4, test.key('f', 4), ticket_table => 'keys.ticket')$$,
    $$explain_access(2, test.key('f', 4), 'fly', 'keys.ticket')$$,
    $$explain_access(2, test.key('f', 4), ticket_table => 'keys.message')$$,
    $$visible_tickets(2, 'keys.ticket')$$,
    $$visible_tickets(2, 'words.ticket')$$,
    $$visible_tickets(4, 'keys.ticket')$$,
    $$visible_ticket_keys(4, 'keys.ticket')$$,
    $$visible_ticket_keys(2)$$,
    $$visible_ticket_keys(2, 'keys.message')$$,
    $$visible_ticket_keys(NULL, 'keys.ticket')$$,
    $$visible_ticket_keys(2, 'keys.absent')$$]) AS question;
RESET ROLE;
SELECT count(*) FROM deskguard.visible_ticket_keys(NULL, 'keys.ticket');
SET ROLE regress_owner;
SELECT action, array_agg(w ORDER BY w) FROM unnest(ARRAY['view', 'modify']) AS action, deskguard.agents_who_can(action, test.key('f', 4), 'keys.ticket') AS w
GROUP BY 1 ORDER BY 1;
RESET ROLE;
-- An id as a parameter.
SET ROLE regress_ann;
PREPARE may_view AS SELECT deskguard.agent_can_view(2, $1, 'keys.ticket') AS untyped;
EXECUTE may_view ('f0000000-0000-0000-0000-000000000004');
EXECUTE may_view ('f0000000-0000-0000-0000-000000000003');
DEALLOCATE may_view;
RESET ROLE;

-- Nothing that the caller has made counts.
GRANT CREATE ON SCHEMA test TO regress_ann;
SET ROLE regress_ann;
CREATE FUNCTION test.always(uuid, uuid) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE FUNCTION test.always(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR test.= (leftarg = uuid, rightarg = uuid, function = test.always);
CREATE OPERATOR test.= (leftarg = text, rightarg = text, function = test.always);
SET search_path = test, pg_temp, pg_catalog;
SELECT deskguard.agent_can_view(2, test.key('f', 1), 'keys.ticket'), deskguard.agent_can_view(2, test.key('f', 3), 'keys.ticket'),
    deskguard.agent_can_view(2, test.key('f', 1)::text, 'words.ticket'), deskguard.agent_can_view(2, test.key('f', 3)::text, 'words.ticket'),
    (SELECT count(*) FROM keys.ticket), (SELECT count(*) FROM words.ticket), (SELECT count(*) FROM keys.message),
    (SELECT count(*) FROM deskguard.visible_ticket_keys(2, 'keys.ticket'));
RESET search_path;
DROP OPERATOR test.= (uuid, uuid);
DROP OPERATOR test.= (text, text);
DROP FUNCTION test.always(uuid, uuid), test.always(text, text);
RESET ROLE;
REVOKE CREATE ON SCHEMA test FROM regress_ann;

DROP SCHEMA keys, words CASCADE;
