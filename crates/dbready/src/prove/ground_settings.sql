-- Every setting, with another value for it where a session may set one.
SELECT s.name,
    CASE WHEN s.context NOT IN ('user', 'superuser') THEN NULL
         WHEN s.vartype = 'bool' THEN CASE s.setting WHEN 'on' THEN 'off' ELSE 'on' END
         WHEN s.vartype = 'enum'
             THEN (SELECT value FROM unnest(s.enumvals) value WHERE value <> s.setting ORDER BY value LIMIT 1)
         WHEN s.vartype = 'integer'
             THEN CASE WHEN s.setting::numeric < s.max_val::numeric THEN s.setting::numeric + 1
                       ELSE s.setting::numeric - 1 END::text
         WHEN lower(s.name) = 'timezone' THEN CASE s.setting WHEN 'UTC' THEN 'Asia/Kolkata' ELSE 'UTC' END
    END
FROM pg_settings s
