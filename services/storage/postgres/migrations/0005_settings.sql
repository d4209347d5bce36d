-- What tenants set for their queues; the scheduler knows what the values mean.
CREATE TABLE settings (
    tenant_id bigint NOT NULL REFERENCES tenants (id),
    sort integer NOT NULL,
    name text COLLATE "C" NOT NULL,
    value bytea NOT NULL,
    updated_at bigint NOT NULL,
    PRIMARY KEY (tenant_id, sort, name)
);
