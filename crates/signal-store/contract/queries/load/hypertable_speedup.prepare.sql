-- The rows of signal_greeks in a plain table with the keys that the original document states for it:
-- the primary key on id, and the two indexes.
CREATE TABLE load_greeks_plain AS SELECT * FROM signal_greeks;
ALTER TABLE load_greeks_plain ADD PRIMARY KEY (id);
CREATE INDEX ON load_greeks_plain (instrument_key, "timestamp" DESC);
CREATE INDEX ON load_greeks_plain (signal_id);
ANALYZE load_greeks_plain;
ANALYZE signal_greeks;
