CREATE FUNCTION rule.change_rights() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    CASE rule.pick(8)
        WHEN 1 THEN INSERT INTO person2usergroups VALUES (rule.pick(20), rule.pick(5)) ON CONFLICT DO NOTHING;
        WHEN 2 THEN DELETE FROM person2usergroups WHERE person_id = rule.pick(20);
        WHEN 3 THEN INSERT INTO permissions (usergroup_id, name) VALUES (rule.pick(5), rule.pick('{create,view_others,modify_others,reply_others}'::text[]));
        WHEN 4 THEN DELETE FROM permissions WHERE id = rule.pick(60) AND name <> 'use';
        WHEN 5 THEN INSERT INTO department_permissions (department_id, person_id, name) VALUES (rule.pick(8), rule.pick(20), rule.pick('{full,assign}'::text[]));
        WHEN 6 THEN DELETE FROM department_permissions WHERE id = rule.pick(22);
        WHEN 7 THEN
            INSERT INTO agent_team_members VALUES (rule.pick(4), rule.pick(20)) ON CONFLICT DO NOTHING;
            DELETE FROM agent_team_members WHERE person_id = rule.pick(20);
        ELSE
            UPDATE people SET is_disabled = NOT is_disabled WHERE id = rule.pick(20);
            UPDATE usergroups SET is_enabled = NOT is_enabled WHERE id = rule.pick(5);
    END CASE;
END $$;
CREATE FUNCTION rule.change_tickets() RETURNS void
LANGUAGE sql
BEGIN ATOMIC
    UPDATE tickets SET agent_id = NULLIF(rule.pick(21), 21), agent_team_id = NULL, department_id = rule.pick(8) WHERE id IN (SELECT rule.pick(120));
    INSERT INTO tickets_participants (ticket_id, person_id) VALUES (rule.pick(120), rule.pick(20)) ON CONFLICT DO NOTHING;
END;
