-- ConversationPolicy with custom roles, InboxPolicy and MessagesController, as queries of Chatwoot's tables.

CREATE VIEW rule.agents AS SELECT id::bigint FROM users;

-- Whom a conversation is open to, before custom roles.
CREATE VIEW rule.reached AS
SELECT au.user_id, c.id, au.custom_role_id,
    CASE
        WHEN au.role = 1 THEN 'administrator'
        WHEN EXISTS (SELECT FROM inbox_members AS im WHERE im.user_id = au.user_id AND im.inbox_id = c.inbox_id) THEN 'inbox'
        WHEN EXISTS (SELECT FROM team_members AS tm WHERE tm.user_id = au.user_id AND tm.team_id = c.team_id) THEN 'team'
    END AS way
FROM account_users AS au JOIN conversations AS c USING (account_id);

CREATE VIEW rule.view AS
SELECT user_id::bigint AS agent_id, id::bigint, way || ', ' || limits AS reason
FROM (
    SELECT r.user_id, r.id, r.way,
        CASE
            WHEN r.custom_role_id IS NULL THEN 'no custom role'
            WHEN 'conversation_manage' = ANY (cr.permissions) THEN 'all'
            WHEN c.assignee_id IS NULL AND 'conversation_unassigned_manage' = ANY (cr.permissions) THEN 'unassigned'
            WHEN 'conversation_participating_manage' = ANY (cr.permissions) AND c.assignee_id = r.user_id THEN 'own'
            WHEN 'conversation_participating_manage' = ANY (cr.permissions)
                AND EXISTS (SELECT FROM conversation_participants AS p WHERE p.user_id = r.user_id AND p.conversation_id = r.id)
                THEN 'participant'
        END AS limits
    FROM rule.reached AS r JOIN conversations AS c USING (id) LEFT JOIN custom_roles AS cr ON cr.id = r.custom_role_id
) AS found
WHERE way IS NOT NULL AND limits IS NOT NULL;

-- Who may see a conversation may change it.
CREATE VIEW rule.change AS SELECT agent_id, id, 'sees' AS reason FROM rule.view;

CREATE VIEW rule.read AS
SELECT v.agent_id, m.id::bigint, CASE WHEN m.private THEN 'private' ELSE 'public' END AS reason
FROM rule.view AS v JOIN messages AS m ON m.conversation_id = v.id;

CREATE VIEW rule.creates AS
SELECT u.id::bigint AS agent_id,
    format('INSERT INTO conversations (account_id, inbox_id, team_id) VALUES (%s, %s, %s)', i.account_id, i.id,
        CASE WHEN with_team THEN (SELECT min(id)::text FROM teams AS t WHERE t.account_id = i.account_id) ELSE 'NULL' END) AS statement,
    (SELECT CASE WHEN au.role = 1 THEN 'administrator' ELSE 'inbox' END
    FROM account_users AS au
    WHERE au.user_id = u.id AND au.account_id = i.account_id
        AND (au.role = 1 OR EXISTS (SELECT FROM inbox_members AS im WHERE im.user_id = u.id AND im.inbox_id = i.id))) AS reason
FROM users AS u, inboxes AS i, unnest('{true,false}'::boolean[]) AS with_team;

CREATE VIEW rule.replies AS
WITH view AS MATERIALIZED (SELECT agent_id, id FROM rule.view)
SELECT u.id::bigint AS agent_id,
    format('INSERT INTO messages (content, account_id, conversation_id, private) VALUES (''New'', 1, %s, %L)', c.id, private) AS statement,
    CASE WHEN (u.id, c.id) IN (SELECT agent_id, id FROM view) THEN CASE WHEN private THEN 'private' ELSE 'public' END END AS reason
FROM users AS u, conversations AS c, unnest('{true,false}'::boolean[]) AS private
WHERE c.id % 8 = 0;

-- To another inbox or team, wherever that is.
CREATE OR REPLACE VIEW rule.moves AS
WITH view AS MATERIALIZED (SELECT agent_id, id FROM rule.view)
SELECT u.id::bigint AS agent_id,
    format('UPDATE conversations SET %s WHERE id = %s', target, c.id) AS statement,
    CASE WHEN (u.id, c.id) IN (SELECT agent_id, id FROM view) THEN target END AS reason
FROM users AS u, conversations AS c, unnest('{team_id = 2,team_id = NULL,inbox_id = 2,assignee_id = 7}'::text[]) AS target
WHERE c.id % 12 = 0;

CREATE FUNCTION rule.view_statement() RETURNS text LANGUAGE sql RETURN 'SELECT id::bigint FROM conversations';
CREATE FUNCTION rule.change_statement() RETURNS text LANGUAGE sql RETURN 'UPDATE conversations SET status = 0 RETURNING id::bigint';
CREATE FUNCTION rule.read_statement() RETURNS text LANGUAGE sql RETURN 'SELECT id::bigint FROM messages';
