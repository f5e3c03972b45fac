-- Protects the help desk, and puts on it what tells the test of changes.
SELECT deskguard.protect_tickets('desk.ticket', department_column => 'dept', category_column => 'cat', assignee_column => 'assignee',
    team_column => 'team', follower_table => 'desk.follower', status_column => 'status', archived_values => '{closed}',
    spam_values => '{spam}', confidential_column => 'conf', requester_column => 'requester', requester_team_column => 'org',
    follower_kind_column => 'kind', follower_kinds => '{"cc": "followed", "customer": "requested"}');
SELECT deskguard.protect_messages('desk.message', 'desk.ticket', author_column => 'author', internal_column => 'internal');
SELECT deskguard.protect_messages('desk.attachment', 'desk.message', 'message_id');
SELECT deskguard.protect_tickets('part.ticket', department_column => 'dept', assignee_column => 'assignee',
    follower_table => 'part.follower', follower_type_column => 'type', follower_type_values => '{Ticket,Case}', other_follower_types => 'open');
SELECT deskguard.protect_messages('part.message', 'part.ticket', type_column => 'type', type_values => '{Ticket,Case}');
SELECT deskguard.protect_messages('part.attachment', 'part.message', 'message_id');
-- Soft deletion: a restrictive policy of the owner's own.
CREATE POLICY kept ON keyed.ticket AS RESTRICTIVE USING (NOT deleted);
SELECT deskguard.protect_tickets('keyed.ticket', department_column => 'dept', category_column => 'cat', assignee_column => 'assignee',
    follower_table => 'keyed.follower', requester_column => 'requester', follower_type_column => 'type', follower_type_values => '{Ticket,Case}');
SELECT deskguard.protect_messages('keyed.message', 'keyed.ticket', internal_column => 'internal');
SELECT deskguard.protect_shared('desk.response', owner_column => 'owner');
SELECT deskguard.protect_shared('keyed.filter', owner_column => 'owner');
SELECT deskguard.protect_feature('desk.invoice', 'invoice.view');
DO $$
DECLARE
    of regclass;
BEGIN
    FOREACH of IN ARRAY ARRAY['desk.ticket', 'desk.follower', 'desk.message', 'desk.attachment', 'part.ticket', 'part.follower',
        'part.message', 'part.attachment', 'keyed.ticket', 'keyed.follower', 'keyed.message', 'desk.response', 'keyed.filter', 'desk.invoice']::regclass[]
    LOOP
        EXECUTE format('CREATE TRIGGER tell_change AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION desk.tell_change(%L)', of, of);
    END LOOP;
END $$;
ANALYZE;
