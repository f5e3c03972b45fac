-- suggest_protection(): what it recognises, of whatever names, and that it only reads the catalog.
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
CREATE SCHEMA suggested;

-- Nothing there.
SELECT deskguard.suggest_protection('suggested');
SELECT deskguard.suggest_protection('no such schema');

-- With foreign keys.
CREATE TABLE suggested.staff (id int PRIMARY KEY, name text);
CREATE TABLE suggested.departments (id int PRIMARY KEY, name text, parent_id int);
CREATE TABLE suggested.squads (id int PRIMARY KEY, name text);
CREATE TABLE suggested.tickets (ticket_no int PRIMARY KEY, subject text, dept_no int REFERENCES suggested.departments,
    handled_by int REFERENCES suggested.staff, team_id int REFERENCES suggested.squads, requested_by int REFERENCES suggested.staff,
    is_private boolean);
CREATE TABLE suggested.watchers (ticket_no int REFERENCES suggested.tickets, staff_no int REFERENCES suggested.staff);
CREATE TABLE suggested.messages (id int PRIMARY KEY, ticket_no int REFERENCES suggested.tickets, staff_no int, is_note boolean, is_internal boolean);
CREATE TABLE suggested.attachments (id int, message_id int REFERENCES suggested.messages);
CREATE TABLE suggested.time_entries (id int PRIMARY KEY, ticket_no int REFERENCES suggested.tickets, minutes int);
SELECT deskguard.suggest_protection('suggested');

-- What it proposes can be run.
DO $$
DECLARE
    line text;
BEGIN
    FOR line IN SELECT deskguard.suggest_protection('suggested') LOOP
        IF line LIKE 'SELECT deskguard.protect%' THEN
            EXECUTE line;
        END IF;
    END LOOP;
END $$;
SELECT table_id, kind FROM deskguard.protected_table WHERE table_id::text LIKE 'suggested.%' ORDER BY 1;
SELECT deskguard.unprotect('suggested.attachments');
SELECT deskguard.unprotect('suggested.messages');
SELECT deskguard.unprotect('suggested.time_entries');
SELECT deskguard.unprotect('suggested.tickets');
DROP SCHEMA suggested CASCADE;

-- Without foreign keys, by names; uuids; tables for things of several kinds.
CREATE SCHEMA suggested;
CREATE TABLE suggested.profiles (id uuid PRIMARY KEY, display_name text);
CREATE TABLE suggested.inboxes (id bigint PRIMARY KEY, name text);
CREATE TABLE suggested.support_tickets (id uuid PRIMARY KEY, inbox_id bigint, assignee_id uuid, customer_id uuid, "categoryId" bigint);
CREATE TABLE suggested.watchers (watchable_type text, watchable_id uuid, user_id uuid);
CREATE TABLE suggested.comments (id uuid PRIMARY KEY, ticket_id uuid, author_type text, author_id uuid, internal boolean);
SELECT deskguard.suggest_protection('suggested');
DROP SCHEMA suggested CASCADE;

-- Names are quoted, and end no comment.
CREATE SCHEMA "o'd
d; SELECT 1";
CREATE TABLE "o'd
d; SELECT 1"."x""
DROP TABLE y; -- 'Tickets" ("it's id" int PRIMARY KEY, "Assignee Id" int, "dept"
    int);
CREATE TABLE "o'd
d; SELECT 1"."mess'ages" ("ticketId" int, "Is Internal" boolean);
SELECT deskguard.suggest_protection(E'o''d\nd; SELECT 1');

-- Anyone may ask, also without any rights on the tables.
SET ROLE regress_other;
SELECT count(*) > 1 FROM deskguard.suggest_protection(E'o''d\nd; SELECT 1');
RESET ROLE;
DROP SCHEMA "o'd
d; SELECT 1" CASCADE;
