CREATE FUNCTION rule.change_rights() RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    m bigint;
BEGIN
    CASE rule.pick(10)
        WHEN 1, 2 THEN
            INSERT INTO members (user_id, project_id) VALUES (rule.pick(24), rule.pick(8)) ON CONFLICT DO NOTHING RETURNING id INTO m;
            INSERT INTO member_roles (member_id, role_id) SELECT m, 2 + rule.pick(5) WHERE m IS NOT NULL;
        WHEN 3 THEN
            SELECT id INTO m FROM members ORDER BY random() LIMIT 1;
            DELETE FROM member_roles WHERE member_id = m;
            DELETE FROM members WHERE id = m;
        WHEN 4 THEN UPDATE member_roles SET role_id = 2 + rule.pick(5) WHERE id % 7 = rule.pick(7);
        WHEN 5 THEN INSERT INTO groups_users (group_id, user_id) VALUES (24 + rule.pick(4), rule.pick(24)) ON CONFLICT DO NOTHING;
        WHEN 6 THEN DELETE FROM groups_users WHERE user_id = rule.pick(24);
        WHEN 7 THEN UPDATE projects SET is_public = NOT is_public WHERE id = rule.pick(8);
        WHEN 8 THEN UPDATE projects SET status = (ARRAY[1, 1, 5, 9])[rule.pick(4)] WHERE id = rule.pick(8);
        WHEN 9 THEN UPDATE roles SET issues_visibility = rule.pick('{all,default,own}'::text[]) WHERE id = 2 + rule.pick(5);
        ELSE
            UPDATE users SET status = 4 - status WHERE id = 3 + rule.pick(21);
            UPDATE roles SET permissions = rule.yaml('{view_issues,add_issues,edit_own_issues,add_issue_notes,view_private_notes}')
            WHERE id = 3 + rule.pick(4);
    END CASE;
END $$;

CREATE FUNCTION rule.change_tickets() RETURNS void
LANGUAGE sql
BEGIN ATOMIC
    UPDATE issues SET assigned_to_id = NULLIF(rule.pick(29), 29), is_private = random() < 0.3 WHERE id IN (SELECT rule.pick(150));
    UPDATE issues SET project_id = rule.pick(8), author_id = rule.pick(24) WHERE id IN (SELECT rule.pick(150));
END;
