-- Relations that a plan reads, in the order given: $1 their schemas, $2 their names. Size without
-- indexes, and for a chunk or partition the table above it, the number of that table's children, and the
-- table above all.
SELECT
    coalesce(pg_relation_size(class.oid), 0) AS bytes,
    parent_space.nspname || '.' || parent.relname AS parent,
    (SELECT count(*) FROM pg_inherits other WHERE other.inhparent = parent.oid) AS children,
    root_space.nspname || '.' || root.relname AS root
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS used(schema, name, position)
LEFT JOIN pg_namespace space ON space.nspname = used.schema
LEFT JOIN pg_class class ON class.relnamespace = space.oid AND class.relname = used.name
LEFT JOIN pg_inherits link ON link.inhrelid = class.oid
LEFT JOIN pg_class parent ON parent.oid = link.inhparent
LEFT JOIN pg_namespace parent_space ON parent_space.oid = parent.relnamespace
LEFT JOIN pg_class root ON root.oid = coalesce(pg_partition_root(class.oid), parent.oid)
LEFT JOIN pg_namespace root_space ON root_space.oid = root.relnamespace
ORDER BY used.position
