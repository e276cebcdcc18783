-- version: 1.5.0
-- description: an index by which the rollups of a time are found
-- breaking: no
-- accepts: blocking_index: refreshes alone write here, in the background, and can wait
--
-- The key begins with the instrument. Whoever compares rollups with their rows asks for all instruments
-- of a few buckets, which read the whole table.

CREATE INDEX idx_signal_greeks_rollup_bucket ON signal_greeks_rollup (bucket);

INSERT INTO schema_version (version, description)
VALUES ('1.5.0', 'an index by which the rollups of a time are found');
