-- What the operator sets for the queues of all tenants together; the scheduler knows what the values mean.
CREATE TABLE shared_settings (
    sort integer NOT NULL,
    name text COLLATE "C" NOT NULL,
    value bytea NOT NULL,
    updated_at bigint NOT NULL,
    PRIMARY KEY (sort, name)
);
