-- A virtual generated column is no column for the rules: a trigger would read it as NULL. (Before 18 there are none.)
SELECT test.reset();
SET client_min_messages = warning;
CREATE SCHEMA made AUTHORIZATION regress_owner;
SET ROLE regress_owner;
CREATE TABLE made.ticket (id bigint PRIMARY KEY, a bigint, department_id bigint GENERATED ALWAYS AS (a) VIRTUAL,
    confidential boolean GENERATED ALWAYS AS (a > 5) VIRTUAL, status text GENERATED ALWAYS AS (CASE a WHEN 1 THEN 'x' END) VIRTUAL, other bigint);
CREATE TABLE made.plain (id bigint PRIMARY KEY, department_id bigint);
CREATE TABLE made.follower (ticket_id bigint, a bigint, agent_id bigint GENERATED ALWAYS AS (a) VIRTUAL);
SELECT test.attempt(command) FROM unnest(ARRAY[
    'SELECT deskguard.protect_tickets(''made.ticket'', department_column => ''department_id'')',
    'SELECT deskguard.protect_tickets(''made.ticket'', category_column => ''department_id'')',
    'SELECT deskguard.protect_tickets(''made.ticket'', assignee_column => ''department_id'')',
    'SELECT deskguard.protect_tickets(''made.ticket'', id_column => ''department_id'', team_column => ''other'')',
    'SELECT deskguard.protect_tickets(''made.ticket'', department_column => ''other'', confidential_column => ''confidential'')',
    'SELECT deskguard.protect_tickets(''made.ticket'', department_column => ''other'', status_column => ''status'', spam_values => ''{x}'')',
    'SELECT deskguard.protect_tickets(''made.plain'', department_column => ''department_id'', follower_table => ''made.follower'')',
    'SELECT deskguard.protect_tickets(''made.plain'', department_column => ''department_id'')',
    'SELECT deskguard.protect_messages(''made.ticket'', ''made.plain'', ''department_id'')',
    'SELECT deskguard.protect_messages(''made.ticket'', ''made.plain'', ''a'', author_column => ''department_id'')',
    'SELECT deskguard.protect_shared(''made.ticket'', owner_column => ''department_id'')',
    'SELECT deskguard.protect_shared(''made.ticket'', id_column => ''department_id'')']) AS command;
-- Nor can one become virtual later, or be so in a child.
SELECT test.attempt(command) FROM unnest(ARRAY[
    'ALTER TABLE made.plain ALTER COLUMN department_id ADD GENERATED ALWAYS AS (id) VIRTUAL',
    'ALTER TABLE made.plain ALTER COLUMN department_id SET EXPRESSION AS (id)',
    'CREATE TABLE made.child (department_id bigint GENERATED ALWAYS AS (id) VIRTUAL) INHERITS (made.plain)',
    'CREATE TABLE made.orphan (id bigint NOT NULL, department_id bigint GENERATED ALWAYS AS (id) VIRTUAL)',
    'ALTER TABLE made.orphan INHERIT made.plain']) AS command;
RESET ROLE;
DROP SCHEMA made CASCADE;
