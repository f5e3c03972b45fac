-- With whom shared objects are shared. Agents write it with deskguard.share() and deskguard.unshare().

CREATE TABLE deskguard.shared_visibility (
    -- Checked at the end, since to protect a table anew replaces its row there.
    object_table regclass NOT NULL REFERENCES deskguard_internal.protected_table DEFERRABLE INITIALLY DEFERRED,
    object_id bigint,
    group_id bigint REFERENCES deskguard.permission_group ON DELETE CASCADE ON UPDATE CASCADE,
    agent_id bigint REFERENCES deskguard.agent ON DELETE CASCADE ON UPDATE CASCADE,
    everyone boolean NOT NULL DEFAULT false,
    object_key text,
    CONSTRAINT shared_with_a_group_an_agent_or_everyone CHECK (num_nonnulls(group_id, agent_id, nullif(everyone, false)) = 1),
    CONSTRAINT shared_visibility_is_of_one_object CHECK (num_nonnulls(object_id, object_key) = 1),
    CONSTRAINT shared_visibility_key UNIQUE NULLS NOT DISTINCT (object_table, object_id, object_key, group_id, agent_id)
);
CREATE INDEX shared_visibility_group_id_idx ON deskguard.shared_visibility (group_id, object_table);
CREATE INDEX shared_visibility_agent_id_idx ON deskguard.shared_visibility (agent_id, object_table);
CREATE INDEX shared_visibility_everyone_idx ON deskguard.shared_visibility (object_table) WHERE everyone;
-- Without a primary key, since columns of its key may be NULL. Publications of all tables need to tell rows apart.
ALTER TABLE deskguard.shared_visibility REPLICA IDENTITY FULL;
COMMENT ON TABLE deskguard.shared_visibility IS
    'Who sees a shared object besides its owner: the members of a group, an agent, or everyone; agents write it with deskguard.share() and deskguard.unshare()';
COMMENT ON COLUMN deskguard.shared_visibility.object_table IS 'The table that was given to protect_shared()';
COMMENT ON COLUMN deskguard.shared_visibility.object_id IS 'The object in that table, if its id is an integer';
COMMENT ON COLUMN deskguard.shared_visibility.object_key IS 'The object in that table, if its id is a uuid or a text, as id::text prints it';
COMMENT ON COLUMN deskguard.shared_visibility.group_id IS 'The permission group whose members see it; NULL if the row is about an agent or everyone';
COMMENT ON COLUMN deskguard.shared_visibility.agent_id IS 'The agent that sees it; NULL if the row is about a group or everyone';
COMMENT ON COLUMN deskguard.shared_visibility.everyone IS 'Every active agent sees it';
