CREATE FUNCTION rule.change_rights() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    CASE rule.pick(14)
        WHEN 1, 2 THEN
            INSERT INTO groups_users (user_id, group_id, access)
            VALUES (1 + rule.pick(24), rule.pick(7), rule.pick('{read,create,change,full}'::text[]));
        WHEN 3 THEN DELETE FROM groups_users WHERE user_id = 1 + rule.pick(14);
        WHEN 4 THEN UPDATE groups_users SET access = rule.pick('{read,create,change,full,overview}'::text[]) WHERE group_id = rule.pick(7);
        WHEN 5 THEN UPDATE roles_groups SET access = rule.pick('{read,create,change,full}'::text[]) WHERE group_id = rule.pick(7);
        WHEN 6 THEN INSERT INTO roles_users (user_id, role_id) VALUES (1 + rule.pick(25), 1 + rule.pick(5));
        WHEN 7 THEN DELETE FROM roles_users WHERE user_id = 1 + rule.pick(25) AND role_id <> 3;
        WHEN 8 THEN UPDATE users SET active = NOT active WHERE id = 1 + rule.pick(25);
        WHEN 9 THEN UPDATE users SET organization_id = CASE WHEN random() < 0.8 THEN rule.pick(4) END WHERE id = 1 + rule.pick(25);
        WHEN 10 THEN UPDATE organizations SET shared = NOT shared WHERE id = rule.pick(4);
        WHEN 11 THEN UPDATE groups SET active = NOT active WHERE id = rule.pick(7);
        WHEN 12 THEN UPDATE roles SET active = NOT active WHERE id = 4 + rule.pick(2);
        WHEN 13 THEN INSERT INTO roles_groups (role_id, group_id, access) VALUES (1 + rule.pick(5), rule.pick(7), 'read');
        ELSE
            INSERT INTO organizations_users (user_id, organization_id) VALUES (1 + rule.pick(25), rule.pick(4));
            DELETE FROM organizations_users WHERE user_id = 1 + rule.pick(25);
    END CASE;
END $$;

CREATE FUNCTION rule.change_tickets() RETURNS void
LANGUAGE sql
BEGIN ATOMIC
    UPDATE tickets SET group_id = rule.pick(7) WHERE id IN (SELECT rule.pick(120));
    UPDATE tickets SET owner_id = rule.pick(26), customer_id = rule.pick(26) WHERE id IN (SELECT rule.pick(120));
END;
