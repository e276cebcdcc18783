SELECT "my stats".pg_stat_statements_reset(), 'canary-Xq7-password' FROM orders
SELECT id, placed FROM orders WHERE customer = 'ann' ORDER BY 2 DESC LIMIT 10
SELECT id, placed FROM orders WHERE customer = 'bob' ORDER BY 2 DESC LIMIT 20
/* by canary-Xq7-password */ SELECT count(*) FROM orders -- canary-Xq7-password
UPDATE "Größe" SET "a ""b""" = 'x' WHERE id = 1
INSERT INTO "Größe" ("Wert €", feels) VALUES (1.5, 'fine') RETURNING id, "a ""b"""
DELETE FROM audit.log WHERE what = 'x'
WITH big AS (SELECT id FROM dear WHERE "Wert €" > 200) SELECT count(*) AS n FROM big JOIN orders USING (id)
(SELECT id FROM orders WHERE id = 1) UNION ALL (SELECT id FROM "Größe" WHERE feels = 'sad')
TABLE dear
WITH one AS (SELECT max(id) + 5 AS id FROM orders) INSERT INTO orders SELECT id, 'x' FROM one
SELECT o AS whole, ARRAY[id] AS ids, row(id, customer) AS pair FROM orders o FOR UPDATE
SELECT id, id FROM orders
SELECT count(*) FROM pg_class
SELECT a FROM other.secret
SELECT other.twice(id) FROM orders
WITH gone AS (DELETE FROM audit.log RETURNING what) SELECT what FROM gone
SELECT id, customer INTO TEMPORARY copied FROM orders
SELECT extract(year FROM placed) FROM orders
SET search_path = audit; SELECT what FROM log
CREATE ROLE keeper PASSWORD 'canary-Xq7-password'
