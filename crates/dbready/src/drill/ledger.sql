CREATE TABLE drill_target (
    op_id bigint NOT NULL,
    payload text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE drill_ledger (
    op_id bigint PRIMARY KEY,
    writer integer NOT NULL,
    seq bigint NOT NULL,
    payload text NOT NULL
);
