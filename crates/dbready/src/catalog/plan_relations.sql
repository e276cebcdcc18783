-- Relations that a plan reads, in the order given: $1 their schemas, $2 their names. Size without
-- indexes, and for a chunk or partition its table with the number of that table's children.
SELECT
    coalesce(pg_relation_size(class.oid), 0) AS bytes,
    parent_space.nspname || '.' || parent.relname AS parent,
    (SELECT count(*) FROM pg_inherits other WHERE other.inhparent = parent.oid) AS children
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS used(schema, name, position)
LEFT JOIN pg_namespace space ON space.nspname = used.schema
LEFT JOIN pg_class class ON class.relnamespace = space.oid AND class.relname = used.name
LEFT JOIN pg_inherits link ON link.inhrelid = class.oid
LEFT JOIN pg_class parent ON parent.oid = link.inhparent
LEFT JOIN pg_namespace parent_space ON parent_space.oid = parent.relnamespace
ORDER BY used.position
