CREATE FUNCTION rule.change_rights() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    CASE rule.pick(5)
        WHEN 1 THEN INSERT INTO team_members VALUES (md5('team' || rule.pick(5))::uuid, md5('user' || rule.pick(20))::uuid, 'agent') ON CONFLICT DO NOTHING;
        WHEN 2 THEN DELETE FROM team_members WHERE user_id IN (SELECT md5('user' || rule.pick(20))::uuid);
        WHEN 3 THEN UPDATE team_members SET role = rule.pick('{lead,agent,viewer}'::text[]) WHERE user_id IN (SELECT md5('user' || rule.pick(20))::uuid);
        WHEN 4 THEN UPDATE profiles SET banned = NOT banned WHERE id IN (SELECT md5('user' || rule.pick(20))::uuid);
        ELSE UPDATE profiles SET is_admin = NOT is_admin WHERE id IN (SELECT md5('user' || rule.pick(5))::uuid);
    END CASE;
END $$;
CREATE FUNCTION rule.change_tickets() RETURNS void
LANGUAGE sql
BEGIN ATOMIC
    UPDATE tickets SET team_id = md5('team' || rule.pick(5))::uuid, assignee_id = NULL WHERE number IN (SELECT rule.pick(100));
    UPDATE tickets SET requester_id = md5('user' || rule.pick(20))::uuid WHERE number IN (SELECT rule.pick(100));
END;
