CREATE FUNCTION rule.change_rights() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    CASE rule.pick(8)
        WHEN 1, 2 THEN INSERT INTO inbox_members (user_id, inbox_id) VALUES (rule.pick(24), rule.pick(8)) ON CONFLICT DO NOTHING;
        WHEN 3 THEN DELETE FROM inbox_members WHERE user_id = rule.pick(24);
        WHEN 4 THEN INSERT INTO team_members (user_id, team_id) VALUES (rule.pick(24), rule.pick(6)) ON CONFLICT DO NOTHING;
        WHEN 5 THEN DELETE FROM team_members WHERE user_id = rule.pick(24) AND team_id = rule.pick(6);
        WHEN 6 THEN UPDATE account_users SET custom_role_id = CASE WHEN random() < 0.8 THEN rule.pick(5) END
            WHERE user_id = 4 + rule.pick(15) AND account_id = 1;
        WHEN 7 THEN UPDATE custom_roles SET permissions = ARRAY[rule.pick(
                '{conversation_manage,conversation_unassigned_manage,conversation_participating_manage}'::text[])]
            WHERE id = rule.pick(6);
        ELSE
            UPDATE account_users SET role = 1 - role WHERE custom_role_id IS NULL AND user_id = rule.pick(24);
            INSERT INTO account_users (account_id, user_id) VALUES (rule.pick(2), rule.pick(24)) ON CONFLICT DO NOTHING;
            DELETE FROM account_users WHERE user_id = rule.pick(24) AND account_id = 2;
    END CASE;
END $$;

CREATE FUNCTION rule.change_tickets() RETURNS void
LANGUAGE sql
BEGIN ATOMIC
    UPDATE conversations SET assignee_id = NULLIF(rule.pick(24), 24) WHERE id IN (SELECT rule.pick(120));
    UPDATE conversations SET team_id = NULLIF(rule.pick(5), 5) WHERE account_id = 1 AND id IN (SELECT rule.pick(120));
    INSERT INTO conversation_participants (account_id, user_id, conversation_id)
    VALUES (1, rule.pick(24), rule.pick(120)) ON CONFLICT DO NOTHING;
END;
