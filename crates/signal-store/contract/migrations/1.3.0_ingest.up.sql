-- version: 1.3.0
-- description: the ledger of batches, by which each takes effect once
-- breaking: no
--
-- A batch and its row in the ledger are written by one transaction. A batch that is sent again meets
-- its own row, waits for the transaction that wrote it if that has not ended, and changes nothing.
-- The ledger is a plain table: unique keys of a hypertable would have to hold its time column.

CREATE TABLE signal_ingest_batch (
    id uuid NOT NULL,
    table_name varchar(63) NOT NULL,
    rows integer NOT NULL,
    digest bytea,
    refused integer[] NOT NULL DEFAULT '{}',
    committed_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT signal_ingest_batch_pkey PRIMARY KEY (id),
    CONSTRAINT signal_ingest_batch_rows_check CHECK (rows >= 0)
);
CREATE INDEX idx_signal_ingest_batch_committed_at ON signal_ingest_batch (committed_at);

INSERT INTO schema_version (version, description)
VALUES ('1.3.0', 'the ledger of batches, by which each takes effect once');
