-- Rows of the migration runner's own table.
(SELECT coalesce(json_agg(json_build_object(
    'version', to_jsonb(r) ->> 'version',
    'checksum', to_jsonb(r) ->> 'checksum')), '[]')
FROM migration_table r)
