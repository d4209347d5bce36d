-- Queries, sources, documents, matches, analyses. Ids from outside are UUIDs; each table has numbers of its own, which
-- keep the indexes small.

CREATE TABLE queries (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id bigint NOT NULL REFERENCES tenants (id),
    query_id uuid NOT NULL,
    name text COLLATE "C" NOT NULL,
    expression text NOT NULL,
    recipe text NOT NULL,
    parameters text NOT NULL,
    priority integer NOT NULL,
    created_at bigint NOT NULL,
    UNIQUE (tenant_id, name),
    UNIQUE (tenant_id, query_id)
);

CREATE TABLE sources (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id bigint NOT NULL REFERENCES tenants (id),
    source_id uuid NOT NULL,
    name text COLLATE "C" NOT NULL,
    kind integer NOT NULL,
    location text NOT NULL,
    created_at bigint NOT NULL,
    collected_at bigint,
    cursor text NOT NULL,
    UNIQUE (tenant_id, name),
    UNIQUE (tenant_id, source_id)
);

-- The number tells the order of storing. The words are made by the program, so that they are the same in every
-- database; each leads with the tenant's number, so that a search walks one tenant's entries only. They tell no
-- places: a phrase is looked for in the texts of those that have its words. `unindexed` has more words than PostgreSQL
-- takes, and is looked through itself.
CREATE SEQUENCE document_numbers;
CREATE TABLE documents (
    tenant_id bigint NOT NULL,
    id bigint NOT NULL,
    document_id uuid NOT NULL,
    source text NOT NULL,
    external_id text NOT NULL,
    url text NOT NULL,
    title text NOT NULL,
    body text NOT NULL,
    published_at bigint,
    ingested_at bigint NOT NULL,
    title_words tsvector NOT NULL,
    words tsvector NOT NULL,
    unindexed boolean NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, document_id)
);
CREATE INDEX documents_by_title_word ON documents USING gin (title_words);
CREATE INDEX documents_by_word ON documents USING gin (words);
CREATE INDEX documents_unindexed ON documents (tenant_id, id) WHERE unindexed;

-- The number tells the order of storing. `task` is the place in the log of the task that analyses the match; null if a
-- task with its key was there already.
CREATE SEQUENCE match_numbers;
CREATE TABLE matches (
    tenant_id bigint NOT NULL,
    id bigint NOT NULL,
    query bigint NOT NULL,
    document bigint NOT NULL,
    score double precision NOT NULL,
    matched_at bigint NOT NULL,
    task bigint,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, query, document)
);
CREATE INDEX matches_by_score ON matches (tenant_id, query, score DESC, id);
CREATE INDEX matches_by_time ON matches (tenant_id, matched_at DESC, id DESC);

CREATE TABLE analyses (
    tenant_id bigint NOT NULL,
    match bigint NOT NULL,
    recipe text NOT NULL,
    output text NOT NULL,
    provider text NOT NULL,
    model text NOT NULL,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (tenant_id, match)
);
