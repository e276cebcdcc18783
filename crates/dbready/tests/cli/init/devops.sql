-- The tables that time-series benchmarks make for a fleet of hosts, with a day of data.
CREATE TABLE tags (
    id serial PRIMARY KEY,
    hostname text,
    region text,
    datacenter text,
    rack text,
    os text,
    arch text,
    team text,
    service text,
    service_version text,
    service_environment text
);
CREATE UNIQUE INDEX uniq1 ON tags (hostname);

CREATE TABLE cpu (
    "time" timestamptz NOT NULL,
    tags_id integer,
    hostname text,
    usage_user double precision,
    usage_system double precision,
    usage_idle double precision,
    usage_nice double precision,
    usage_iowait double precision,
    usage_irq double precision,
    usage_softirq double precision,
    usage_steal double precision,
    usage_guest double precision,
    usage_guest_nice double precision,
    additional_tags jsonb
);
SELECT create_hypertable('cpu', 'time', chunk_time_interval => INTERVAL '8 hours');
CREATE INDEX cpu_tags_id_time ON cpu (tags_id, "time" DESC);

CREATE TABLE mem (
    "time" timestamptz NOT NULL,
    tags_id integer,
    hostname text,
    total bigint,
    available bigint,
    used bigint,
    free bigint,
    used_percent double precision,
    additional_tags jsonb
);
SELECT create_hypertable('mem', 'time', chunk_time_interval => INTERVAL '8 hours');
CREATE INDEX mem_tags_id_time ON mem (tags_id, "time" DESC);

INSERT INTO tags (hostname, region, os) SELECT 'host_' || n, 'eu-west-1', 'Ubuntu' FROM generate_series(0, 9) AS n;
INSERT INTO cpu ("time", tags_id, usage_user)
SELECT at, id, 50 FROM tags, generate_series(now() - INTERVAL '1 day', now(), INTERVAL '10 minutes') AS at;
INSERT INTO mem ("time", tags_id, total)
SELECT at, id, 8000000000 FROM tags, generate_series(now() - INTERVAL '1 day', now(), INTERVAL '10 minutes') AS at;
