-- Request Tracker's tables and columns, as far as they decide who may do what.
CREATE TABLE users (id serial PRIMARY KEY, name varchar(200) NOT NULL UNIQUE, lastupdated timestamp);
CREATE TABLE principals (id integer PRIMARY KEY, principaltype varchar(16) NOT NULL, disabled integer NOT NULL DEFAULT 0);
CREATE TABLE queues (id serial PRIMARY KEY, name varchar(200) NOT NULL UNIQUE, disabled integer NOT NULL DEFAULT 0);
CREATE TABLE groups (id serial PRIMARY KEY, name varchar(200), domain varchar(64), instance integer);
CREATE TABLE cachedgroupmembers (id serial PRIMARY KEY, groupid integer, memberid integer, disabled integer NOT NULL DEFAULT 0);
CREATE TABLE acl (id serial PRIMARY KEY, principaltype varchar(25) NOT NULL, principalid integer NOT NULL, rightname varchar(25) NOT NULL,
    objecttype varchar(25) NOT NULL, objectid integer NOT NULL DEFAULT 0);
CREATE TABLE tickets (id serial PRIMARY KEY, queue integer NOT NULL, owner integer NOT NULL DEFAULT 6, subject varchar(200));
CREATE TABLE transactions (id serial PRIMARY KEY, objecttype varchar(64) NOT NULL, objectid integer NOT NULL DEFAULT 0,
    type varchar(20), creator integer NOT NULL DEFAULT 0);
CREATE INDEX ON tickets (queue);
CREATE INDEX ON tickets (owner);
CREATE INDEX ON groups (domain, instance);
CREATE INDEX ON cachedgroupmembers (groupid);
CREATE INDEX ON transactions (objecttype, objectid);
