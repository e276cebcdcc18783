-- $1 schemas, $2 names of tables. Rows inserted into each since the statistics began, in its chunks and
-- partitions too; null where the table does not exist.
WITH RECURSIVE named AS (
    SELECT t.place, c.oid
    FROM unnest($1, $2) WITH ORDINALITY AS t (schema, name, place)
    LEFT JOIN pg_namespace n ON n.nspname = t.schema
    LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.name
        AND c.relkind IN ('r', 'p')
),
tree AS (
    SELECT n.place, n.oid FROM named n
    UNION ALL
    SELECT t.place, i.inhrelid FROM tree t JOIN pg_inherits i ON i.inhparent = t.oid
)
SELECT sum(pg_stat_get_tuples_inserted(t.oid))::double precision AS inserted
FROM tree t
GROUP BY t.place
ORDER BY t.place
