-- The help desk as it was before deskguard: its own tables, names and numbers. All values are made from
-- the number of the ticket, so that each run gives the same ones.

CREATE ROLE desk_owner NOLOGIN;
CREATE ROLE app LOGIN;
CREATE ROLE reporting LOGIN;
CREATE SCHEMA desk AUTHORIZATION desk_owner;
SET ROLE desk_owner;

CREATE TABLE desk.departments (dept_no int PRIMARY KEY, name text NOT NULL, part_of int REFERENCES desk.departments);
INSERT INTO desk.departments (dept_no, name, part_of)
VALUES
    (10, 'Customer Support', NULL),
    (11, 'EU', 10),
    (12, 'AUS', 10),
    (13, 'USA', 10),
    (20, 'Complaints', NULL),
    (30, 'IT Support', NULL),
    (40, 'Sales', NULL),
    (50, 'Accounts', NULL);

CREATE TABLE desk.categories (category_no smallint PRIMARY KEY, name text NOT NULL);
INSERT INTO desk.categories (category_no, name)
VALUES
    (1, 'Networking'),
    (2, 'Hardware'),
    (3, 'Software'),
    (4, 'Delivery'),
    (5, 'Returns'),
    (6, 'Billing'),
    (7, 'Product question'),
    (8, 'Data protection');

CREATE TABLE desk.teams (team_no int PRIMARY KEY, name text NOT NULL);
INSERT INTO desk.teams (team_no, name) VALUES (1, 'Escalations');

CREATE TABLE desk.staff (staff_no int PRIMARY KEY, name text NOT NULL, job text NOT NULL, team_no int REFERENCES desk.teams);
INSERT INTO desk.staff (staff_no, name, job, team_no)
VALUES
    (1, 'Grace', 'director', NULL),
    (2, 'Tom', 'manager, Customer Support', 1),
    (3, 'Emma', 'staff, EU', 1),
    (4, 'Liam', 'staff, AUS and IT Support', NULL),
    (5, 'Mia', 'trainee, EU', NULL),
    (6, 'Noah', 'networking only (siloed)', NULL),
    (7, 'Zoe', 'front desk, assigns only', NULL),
    (8, 'Omar', 'manager, Accounts, Complaints', NULL),
    (9, 'Ava', 'staff, Sales', NULL),
    (10, 'Reports', 'a role, for reports', NULL),
    (11, 'Ben', 'left the company', NULL),
    (12, 'Jack', 'staff, USA', NULL),
    (13, 'Kim', 'manager in Sales, trainee in EU', NULL);

-- Who writes to the help desk, by a portal.
CREATE TABLE desk.customers (customer_no int PRIMARY KEY, name text NOT NULL);
INSERT INTO desk.customers (customer_no, name) SELECT 1000 + n, 'Customer ' || n FROM generate_series(1, 500) AS n;

-- A number from 0 to 1 that looks random. Another salt gives other numbers.
CREATE FUNCTION pg_temp.chance(n int, salt int) RETURNS float
LANGUAGE sql IMMUTABLE AS $$ SELECT (hashint8extended(n, salt) & 2147483647)::float / 2147483648 $$;

-- Numbered by year; a partition for each.
CREATE TABLE desk.tickets (
    ticket_no int PRIMARY KEY,
    title text NOT NULL,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'waiting', 'closed')),
    opened_at timestamptz NOT NULL DEFAULT now(),
    dept_no int NOT NULL,
    category_no smallint,
    handled_by int NOT NULL DEFAULT 0, -- 0: nobody yet
    team_no int,
    asked_by int
) PARTITION BY RANGE (ticket_no);
CREATE TABLE desk.tickets_2025 PARTITION OF desk.tickets FOR VALUES FROM (2500000) TO (2600000);
CREATE TABLE desk.tickets_2026 PARTITION OF desk.tickets FOR VALUES FROM (2600000) TO (2700000);

INSERT INTO desk.tickets (ticket_no, title, state, opened_at, dept_no, category_no, handled_by, team_no, asked_by)
SELECT
    (CASE WHEN n <= 50000 THEN 2500000 ELSE 2550000 END) + n,
    title.of[1 + (4 * pg_temp.chance(n, 1))::int % 4],
    state,
    timestamptz '2025-01-01 00:00+00' + n * interval '10 minutes' + pg_temp.chance(n, 4) * interval '10 minutes',
    dept_no,
    CASE WHEN pg_temp.chance(n, 5) > 0.04 THEN category_no END,
    CASE
        WHEN pg_temp.chance(n, 6) < CASE state WHEN 'open' THEN 0.6 ELSE 0.02 END THEN 0
        ELSE worker.of[1 + (pg_temp.chance(n, 7) * 100)::int % cardinality(worker.of)]
    END,
    CASE WHEN pg_temp.chance(n, 8) < 0.01 THEN 1 END,
    1001 + (pg_temp.chance(n, 11) * 499)::int
FROM generate_series(1, 100000) AS n
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN pg_temp.chance(n, 2) < least(0.97, (100000 - n) / 12000.0) THEN 'closed'
        WHEN pg_temp.chance(n, 3) < 0.3 THEN 'waiting'
        ELSE 'open'
    END AS state
) AS s
CROSS JOIN LATERAL (SELECT pg_temp.chance(n, 9) AS c) AS c9
CROSS JOIN LATERAL (SELECT pg_temp.chance(n, 10) AS c) AS c10
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN c9.c < 0.28 THEN 11 WHEN c9.c < 0.40 THEN 12 WHEN c9.c < 0.62 THEN 13 WHEN c9.c < 0.65 THEN 10
        WHEN c9.c < 0.72 THEN 20 WHEN c9.c < 0.85 THEN 30 WHEN c9.c < 0.94 THEN 40 ELSE 50
    END AS dept_no
) AS department
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN dept_no = 30 THEN CASE WHEN c10.c < 0.35 THEN 1 WHEN c10.c < 0.6 THEN 2 ELSE 3 END
        WHEN dept_no = 40 THEN CASE WHEN c10.c < 0.7 THEN 7 ELSE 4 END
        WHEN dept_no = 50 THEN CASE WHEN c10.c < 0.9 THEN 6 ELSE 8 END
        WHEN dept_no = 20 THEN CASE WHEN c10.c < 0.5 THEN 4 WHEN c10.c < 0.9 THEN 5 ELSE 8 END
        WHEN c10.c < 0.06 THEN 1
        ELSE 2 + (c10.c * 600)::int % 6
    END AS category_no
) AS category
JOIN (VALUES
    (1, ARRAY['VPN drops every hour', 'No network in meeting room 2', 'Wi-Fi is slow', 'Cannot reach the file server']),
    (2, ARRAY['Printer prints blank pages', 'Screen stays dark', 'New keyboard needed', 'Laptop gets hot']),
    (3, ARRAY['Cannot install the update', 'App closes by itself', 'Licence has expired', 'Export to PDF fails']),
    (4, ARRAY['Where is my parcel?', 'Delivered to the wrong address', 'Parcel arrived damaged', 'Change of delivery date']),
    (5, ARRAY['I want to send it back', 'Wrong size', 'Refund has not arrived', 'Return label missing']),
    (6, ARRAY['Charged twice', 'Invoice needs our VAT number', 'Change of bank account', 'Cannot pay by card']),
    (7, ARRAY['Does it fit the old model?', 'Discount for ten pieces?', 'When is it back in stock?', 'Which one do you advise?']),
    (8, ARRAY['Please delete my data', 'Which data do you keep?', 'Stop the newsletter', 'I did not order this'])
) AS title (category_no, of) USING (category_no)
JOIN (VALUES
    (10, ARRAY[2, 3]), (11, ARRAY[3, 3, 3, 5, 2]), (12, ARRAY[4, 4, 2]), (13, ARRAY[12]),
    (20, ARRAY[8, 11]), (30, ARRAY[6, 4]), (40, ARRAY[9, 9, 8]), (50, ARRAY[8])
) AS worker (dept_no, of) USING (dept_no);

ALTER TABLE desk.tickets ADD FOREIGN KEY (dept_no) REFERENCES desk.departments;
ALTER TABLE desk.tickets ADD FOREIGN KEY (category_no) REFERENCES desk.categories;
ALTER TABLE desk.tickets ADD FOREIGN KEY (team_no) REFERENCES desk.teams;
ALTER TABLE desk.tickets ADD FOREIGN KEY (asked_by) REFERENCES desk.customers;
CREATE INDEX ON desk.tickets (dept_no);
CREATE INDEX ON desk.tickets (category_no);
CREATE INDEX ON desk.tickets (handled_by);
CREATE INDEX ON desk.tickets (team_no);
CREATE INDEX ON desk.tickets (asked_by);

CREATE TABLE desk.watchers (
    ticket_no int REFERENCES desk.tickets ON DELETE CASCADE,
    staff_no int REFERENCES desk.staff,
    PRIMARY KEY (ticket_no, staff_no)
);
INSERT INTO desk.watchers (ticket_no, staff_no)
SELECT ticket_no, staff_no
FROM desk.tickets
JOIN desk.staff ON name NOT IN ('Grace', 'Reports', 'Ben', 'Kim') AND pg_temp.chance(ticket_no, 20 + staff_no) < 0.003;
CREATE INDEX ON desk.watchers (staff_no);

CREATE TABLE desk.messages (
    message_no int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    ticket_no int NOT NULL,
    written_at timestamptz NOT NULL DEFAULT now(),
    written_by int, -- NULL: the customer
    body text NOT NULL,
    is_note boolean NOT NULL DEFAULT false -- for the staff only
);
INSERT INTO desk.messages (ticket_no, written_at, written_by, body)
SELECT
    ticket_no,
    opened_at + i * interval '3 hours',
    CASE WHEN i % 2 = 1 THEN nullif(handled_by, 0) END,
    CASE
        WHEN i = 0 THEN 'Hello, ' || lower(left(title, 1)) || substr(title, 2) || '. Can you help?'
        WHEN i % 2 = 1 THEN 'Thank you for writing to us. We are looking into it.'
        ELSE 'Is there any news?'
    END
FROM desk.tickets
CROSS JOIN LATERAL generate_series(0, (4 * pg_temp.chance(ticket_no, 40))::int) AS i
ORDER BY ticket_no, i;
INSERT INTO desk.messages (ticket_no, written_at, written_by, body, is_note)
SELECT ticket_no, opened_at + interval '1 hour', handled_by, 'He has called three times already. Be nice.', true
FROM desk.tickets WHERE handled_by <> 0 AND pg_temp.chance(ticket_no, 41) < 0.1 ORDER BY ticket_no;
ALTER TABLE desk.messages ADD FOREIGN KEY (ticket_no) REFERENCES desk.tickets ON DELETE CASCADE;
CREATE INDEX ON desk.messages (ticket_no);

GRANT USAGE ON SCHEMA desk TO app, reporting;
GRANT SELECT ON desk.departments, desk.categories, desk.teams, desk.staff, desk.customers TO app, reporting;
GRANT SELECT, INSERT, UPDATE, DELETE ON desk.tickets, desk.tickets_2025, desk.tickets_2026, desk.watchers TO app;
GRANT SELECT, INSERT, UPDATE, DELETE ON desk.messages TO app;
GRANT SELECT ON desk.tickets TO reporting;
RESET ROLE;
VACUUM ANALYZE;
