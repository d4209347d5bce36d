-- Queries, sources, documents, matches, analyses, and the full-text index. Times are microseconds since 1970; ids from
-- outside are 16-byte blobs, and each table has a number of its own, which keeps the indexes small.

CREATE TABLE queries (
    id INTEGER PRIMARY KEY,
    tenant_id INTEGER NOT NULL REFERENCES tenants (id),
    query_id BLOB NOT NULL,
    name TEXT NOT NULL,
    expression TEXT NOT NULL,
    recipe TEXT NOT NULL,
    parameters TEXT NOT NULL,
    priority INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (tenant_id, name),
    UNIQUE (tenant_id, query_id)
) STRICT;

CREATE TABLE sources (
    id INTEGER PRIMARY KEY,
    tenant_id INTEGER NOT NULL REFERENCES tenants (id),
    source_id BLOB NOT NULL,
    name TEXT NOT NULL,
    kind INTEGER NOT NULL,
    location TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    collected_at INTEGER,
    cursor TEXT NOT NULL,
    UNIQUE (tenant_id, name),
    UNIQUE (tenant_id, source_id)
) STRICT;

CREATE TABLE documents (
    id INTEGER PRIMARY KEY,
    tenant_id INTEGER NOT NULL REFERENCES tenants (id),
    document_id BLOB NOT NULL,
    source TEXT NOT NULL,
    external_id TEXT NOT NULL,
    url TEXT NOT NULL,
    title TEXT NOT NULL,
    body TEXT NOT NULL,
    published_at INTEGER,
    ingested_at INTEGER NOT NULL,
    UNIQUE (tenant_id, document_id)
) STRICT;

-- The number tells the order of storing. `task` is the number of the task that analyses the match; null if a task
-- with its key was there already. It is no foreign key: finished tasks may be cleared away.
CREATE TABLE matches (
    id INTEGER PRIMARY KEY,
    tenant_id INTEGER NOT NULL REFERENCES tenants (id),
    query INTEGER NOT NULL REFERENCES queries (id),
    document INTEGER NOT NULL REFERENCES documents (id),
    score REAL NOT NULL,
    matched_at INTEGER NOT NULL,
    task INTEGER,
    UNIQUE (query, document)
) STRICT;
CREATE INDEX matches_by_score ON matches (query, score DESC, id);
CREATE INDEX matches_by_time ON matches (tenant_id, matched_at, id);

CREATE TABLE analyses (
    match INTEGER PRIMARY KEY REFERENCES matches (id) ON DELETE CASCADE,
    recipe TEXT NOT NULL,
    output TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- The texts stay in `documents`; the tenant's number is a word of the index, so that a search walks one tenant's
-- entries only. The order of hits needs no ranking statistics, so none are kept (columnsize = 0).
CREATE VIEW search_content (id, tenant, title, body) AS
    SELECT id, tenant_id, title, body FROM documents;
CREATE VIRTUAL TABLE search USING fts5 (
    tenant, title, body,
    content = 'search_content', content_rowid = 'id', columnsize = 0,
    tokenize = 'unicode61 remove_diacritics 2'
);
-- Segments are merged in eights instead of fours: a fifth less work for each document, searches as fast.
INSERT INTO search (search, rank) VALUES ('automerge', 8);
