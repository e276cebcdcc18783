-- Tables with those that inherit from them, at any depth, and the statement that ends it. Partitions and
-- chunks are parts of their table.
WITH RECURSIVE heir (ancestor, parent, child) AS (
    SELECT i.inhparent, i.inhparent, i.inhrelid FROM pg_inherits i
    JOIN pg_class c ON c.oid = i.inhrelid
    JOIN pg_class p ON p.oid = i.inhparent
    WHERE c.relkind = 'r' AND p.relkind = 'r' AND NOT c.relispartition
    UNION
    SELECT h.ancestor, i.inhparent, i.inhrelid FROM heir h
    JOIN pg_inherits i ON i.inhparent = h.child
)
SELECT a.nspname::text, t.relname::text, s.nspname::text, c.relname::text,
    format('ALTER TABLE %I.%I NO INHERIT %s', s.nspname, c.relname, h.parent::regclass)
FROM heir h
JOIN pg_class t ON t.oid = h.ancestor
JOIN pg_namespace a ON a.oid = t.relnamespace
JOIN pg_class c ON c.oid = h.child
JOIN pg_namespace s ON s.oid = c.relnamespace
WHERE s.nspname !~ '^_timescaledb'
ORDER BY t.oid, c.oid
