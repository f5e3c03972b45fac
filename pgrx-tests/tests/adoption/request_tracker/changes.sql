CREATE FUNCTION rule.change_rights() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    CASE rule.pick(8)
        WHEN 1 THEN
            INSERT INTO cachedgroupmembers (groupid, memberid)
            SELECT id, rule.pick(26) FROM groups WHERE domain = 'RT::Ticket-Role' AND instance = rule.pick(120);
        WHEN 2 THEN
            DELETE FROM cachedgroupmembers
            WHERE groupid IN (SELECT id FROM groups WHERE domain = 'RT::Ticket-Role') AND memberid = rule.pick(26);
        WHEN 3 THEN
            UPDATE cachedgroupmembers SET disabled = 1 - disabled
            WHERE memberid = rule.pick(26) AND groupid IN (SELECT id FROM groups WHERE domain <> 'ACLEquivalence');
        WHEN 4 THEN
            INSERT INTO cachedgroupmembers (groupid, memberid)
            SELECT id, rule.pick(26) FROM groups WHERE domain IN ('UserDefined', 'RT::Queue-Role') AND random() < 0.2;
        WHEN 5 THEN
            INSERT INTO acl (principaltype, principalid, rightname, objecttype, objectid)
            SELECT 'Group', 30 + rule.pick(31), rule.pick('{ShowTicket,ModifyTicket,CreateTicket}'::text[]), 'RT::Queue', rule.pick(6);
        WHEN 6 THEN DELETE FROM acl WHERE principaltype = 'Group' AND id = rule.pick(120);
        WHEN 7 THEN UPDATE principals SET disabled = 1 - disabled WHERE id = rule.pick(26);
        ELSE
            PERFORM rule.grant_to_role(rule.pick('{Requestor,AdminCc,Owner}'::text[]), rule.pick('{ShowTicket,ModifyTicket}'::text[]), rule.pick(7));
            DELETE FROM acl WHERE principaltype = 'AdminCc' AND objectid = rule.pick(6);
    END CASE;
END $$;

CREATE FUNCTION rule.change_tickets() RETURNS void
LANGUAGE sql
BEGIN ATOMIC
    UPDATE tickets SET owner = rule.pick(26) WHERE id IN (SELECT rule.pick(120));
    UPDATE tickets SET queue = rule.pick(6) WHERE id IN (SELECT rule.pick(120));
END;
