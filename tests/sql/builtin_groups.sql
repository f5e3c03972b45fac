-- All Permissions and All Non-Destructive Permissions have everything, also what is added later.
SELECT test.reset();
INSERT INTO deskguard.group_member VALUES (2, 5);

-- Carl of Staff for comparison: what is added later is not for him.
INSERT INTO deskguard.permission (name, destructive) VALUES ('people.use', false), ('people.delete', true);
INSERT INTO deskguard.department VALUES (6, 'Legal', NULL);
INSERT INTO deskguard.category VALUES (4, 'Contracts');
INSERT INTO desk.ticket (id, subject, department_id, category_id, assignee_id) VALUES (20, 'Legal', 6, 4, 2);
SELECT agent.name, permission, deskguard.agent_has_permission(agent.id, permission)
FROM deskguard.agent, unnest(ARRAY['ticket.use', 'ticket.delete.assigned', 'people.use', 'people.delete']) AS permission
WHERE agent.id IN (1, 4, 5)
ORDER BY agent.id, permission COLLATE "C";
SELECT count(*) = (SELECT count(*) FROM deskguard.permission) AS all_of_them, bool_and(locked), min(granted_by)
FROM deskguard.effective_permissions(1);
SELECT count(*) = (SELECT count(*) FROM deskguard.permission WHERE NOT destructive) AS all_of_them
FROM deskguard.effective_permissions(5);

SET SESSION AUTHORIZATION regress_app;
SELECT deskguard.set_agent(1, false);
SELECT count(*) AS of_admin FROM desk.ticket;
SELECT deskguard.set_agent(5, false);
SELECT count(*) AS of_dora FROM desk.ticket;
SELECT test.attempt_only('UPDATE desk.ticket SET subject = upper(subject)') AS may_modify_all;
SELECT test.attempt_only('DELETE FROM desk.ticket') AS may_delete_none;
SELECT test.attempt_only($$INSERT INTO desk.ticket (subject) VALUES ('nowhere')$$) AS may_create_anywhere;
SELECT deskguard.set_agent(4, false);
SELECT array_agg(id ORDER BY id) AS of_carl FROM desk.ticket;
SELECT deskguard.set_agent(1, false);
SELECT test.attempt_only('DELETE FROM desk.ticket') AS admin_may_delete_all;
RESET SESSION AUTHORIZATION;

-- An agent's own silo holds against the open group.
UPDATE deskguard.agent SET category_access = 'silo' WHERE id = 1;
INSERT INTO deskguard.agent_category VALUES (1, 4);
SELECT array_agg(t) AS of_admin_in_its_silo FROM deskguard.visible_tickets(1) AS t;
UPDATE deskguard.agent SET category_access = 'open' WHERE id = 4;
SELECT array_agg(t ORDER BY t) AS of_carl_when_open FROM deskguard.visible_tickets(4) AS t;
UPDATE deskguard.agent SET active = false WHERE id = 1;
SELECT count(*) AS of_an_inactive_admin FROM deskguard.visible_tickets(1);
