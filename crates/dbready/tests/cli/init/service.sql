-- A service whose statements are observed.
CREATE SCHEMA "my stats";
CREATE EXTENSION pg_stat_statements SCHEMA "my stats";
CREATE SCHEMA audit;
CREATE SCHEMA other;
CREATE TYPE mood AS ENUM ('sad', 'fine');
CREATE TABLE "Größe" (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    "Wert €" numeric(10,2) NOT NULL,
    "a ""b""" text,
    feels mood
);
CREATE TABLE orders (
    id bigint PRIMARY KEY,
    customer varchar(40) NOT NULL,
    placed timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE audit.log (at timestamptz DEFAULT now(), what text);
CREATE TABLE other.secret (a integer);
CREATE FUNCTION other.twice(n bigint) RETURNS bigint LANGUAGE sql IMMUTABLE RETURN n * 2;
CREATE VIEW dear AS SELECT id, "Wert €" FROM "Größe" WHERE "Wert €" > 100;
INSERT INTO orders (id, customer) VALUES (1, 'ann'), (2, 'bob');
