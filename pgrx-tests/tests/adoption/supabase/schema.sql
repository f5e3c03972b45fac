-- A help desk of one's own, with uuids, as people build it on Supabase.
CREATE TABLE profiles (id uuid PRIMARY KEY, full_name text, is_admin boolean NOT NULL DEFAULT false, banned boolean NOT NULL DEFAULT false);
CREATE TABLE teams (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text NOT NULL);
CREATE TABLE team_members (team_id uuid NOT NULL REFERENCES teams, user_id uuid NOT NULL REFERENCES profiles,
    role text NOT NULL CHECK (role IN ('lead', 'agent', 'viewer')), PRIMARY KEY (team_id, user_id));
CREATE TABLE tickets (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), number bigint GENERATED ALWAYS AS IDENTITY UNIQUE, title text NOT NULL,
    team_id uuid REFERENCES teams, assignee_id uuid REFERENCES profiles, requester_id uuid REFERENCES profiles);
CREATE TABLE comments (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), number bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    ticket_id uuid NOT NULL REFERENCES tickets, author_id uuid REFERENCES profiles, internal boolean NOT NULL DEFAULT false);
CREATE INDEX ON tickets (team_id);
CREATE INDEX ON tickets (assignee_id);
CREATE INDEX ON tickets (requester_id);
CREATE INDEX ON comments (ticket_id);
