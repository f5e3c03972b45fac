-- Grants as README.md and the guide write them: what is misspelt is an error, and not INSERT 0 0.
SELECT test.reset();
SELECT command, left(outcome, 100) AS outcome FROM unnest(ARRAY[
    $$INSERT INTO deskguard.group_member (group_id, agent_id)
      VALUES ((SELECT id FROM deskguard.permission_group WHERE name = 'Stuff'), 5)$$,
    $$INSERT INTO deskguard.group_permission (group_id, permission)
      SELECT (SELECT id FROM deskguard.permission_group WHERE name = 'Stuff'), permission
      FROM unnest(ARRAY['ticket.use']) AS permission$$,
    $$INSERT INTO deskguard.group_permission (group_id, permission)
      SELECT (SELECT id FROM deskguard.permission_group WHERE name = 'Staff'), permission
      FROM unnest(ARRAY['ticket.reply.followed', 'ticket.moddify.own']) AS permission$$,
    $$INSERT INTO deskguard.group_department (group_id, department_id, level)
      VALUES ((SELECT id FROM deskguard.permission_group WHERE name = 'Stuff'), 1, 'full')$$,
    $$INSERT INTO deskguard.group_department (group_id, department_id, level)
      VALUES ((SELECT id FROM deskguard.permission_group WHERE name = 'Staff'), 99, 'full')$$,
    $$INSERT INTO deskguard.agent_category (agent_id, category_id)
      VALUES (deskguard.agent_by_key('nobody'), deskguard.category_by_key('nothing'))$$,
    $$INSERT INTO deskguard.group_member (group_id, agent_id)
      VALUES ((SELECT id FROM deskguard.permission_group WHERE name = 'Staff'), 5)$$]) AS command,
    test.attempt_only(command) AS outcome;
-- Two groups may not have one name.
SELECT left(test.attempt_only($$INSERT INTO deskguard.permission_group (name) VALUES ('Staff')$$), 5) AS twice;
