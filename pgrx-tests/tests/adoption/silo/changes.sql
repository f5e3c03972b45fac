CREATE FUNCTION rule.change_rights() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    CASE rule.pick(5)
        WHEN 1 THEN INSERT INTO category_staff (category_id, staff_id) VALUES (rule.pick(8), rule.pick(20)) ON CONFLICT DO NOTHING;
        WHEN 2 THEN DELETE FROM category_staff WHERE staff_id = rule.pick(20) AND category_id = rule.pick(8);
        WHEN 3 THEN UPDATE staff SET group_id = rule.pick(4) WHERE id = rule.pick(20);
        WHEN 4 THEN UPDATE staff SET deleted = NOT deleted WHERE id = rule.pick(20);
        ELSE UPDATE permission_groups SET limited_to_categories = NOT limited_to_categories, can_create = NOT can_create WHERE id = 1 + rule.pick(3);
    END CASE;
END $$;
CREATE FUNCTION rule.change_tickets() RETURNS void
LANGUAGE sql
BEGIN ATOMIC
    UPDATE requests SET category_id = NULLIF(rule.pick(9), 9), assigned_to = rule.pick(21) - 1 WHERE id IN (SELECT rule.pick(100));
END;
