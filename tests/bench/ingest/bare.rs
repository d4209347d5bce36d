//! The limit: the documents in a bare SQLite file, with the store's table and full-text index, and nothing else.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection, query, raw_sql};

use crate::corpus::{Corpus, Text};
use crate::folder;

/// As many documents share a commit as the ingestion service puts into one.
const BATCH: usize = 256;

/// The table and the index as the store has them.
const SCHEMA: &str = "
    CREATE TABLE documents (
        id INTEGER PRIMARY KEY, tenant_id INTEGER NOT NULL, document_id BLOB NOT NULL, source TEXT NOT NULL,
        external_id TEXT NOT NULL, url TEXT NOT NULL, title TEXT NOT NULL, body TEXT NOT NULL,
        published_at INTEGER, ingested_at INTEGER NOT NULL, UNIQUE (tenant_id, document_id)
    ) STRICT;
    CREATE VIEW search_content (id, tenant, title, body) AS SELECT id, tenant_id, title, body FROM documents;
    CREATE VIRTUAL TABLE search USING fts5 (
        tenant, title, body, content = 'search_content', content_rowid = 'id', columnsize = 0,
        tokenize = 'unicode61 remove_diacritics 2'
    );
    INSERT INTO search (search, rank) VALUES ('automerge', 8);";

/// Stores so many copies of the corpus in a fresh file; how long it took.
pub(crate) async fn store(corpus: &Corpus, copies: usize) -> Result<Duration> {
    let folder = folder::fresh()?;
    let mut file = folder::bare(folder.path()).await?;
    raw_sql(AssertSqlSafe(SCHEMA)).execute(&mut file).await?;
    let mut spent = Duration::ZERO;
    for copy in 0..copies {
        let texts: Vec<Text> = corpus.texts.iter().map(|text| text.copy(copy)).collect();
        let begun = Instant::now();
        for (number, batch) in texts.chunks(BATCH).enumerate() {
            let before = copy * texts.len() + number * BATCH;
            insert(&mut file, batch, i64::try_from(before)?).await?;
        }
        spent += begun.elapsed();
    }
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM search").fetch_one(&mut file).await?;
    ensure!(usize::try_from(count)? == corpus.len() * copies, "{count} documents are in the index");
    Ok(spent)
}

async fn insert(file: &mut SqliteConnection, texts: &[Text], before: i64) -> Result<()> {
    let rows: Vec<_> = texts.iter().map(|text| (&text.title, &text.body)).collect();
    let mut transaction = file.begin().await?;
    query(
        "INSERT INTO documents SELECT ?2 + 1 + key, 1, randomblob(16), 'push', '', '', json_extract(value, '$[0]'),
                json_extract(value, '$[1]'), NULL, 0 FROM jsonb_each(?1)",
    )
    .bind(serde_json::to_string(&rows)?)
    .bind(before)
    .execute(&mut *transaction)
    .await?;
    query("INSERT INTO search (rowid, tenant, title, body) SELECT id, tenant_id, title, body FROM documents WHERE id > ?1")
        .bind(before)
        .execute(&mut *transaction)
        .await?;
    Ok(transaction.commit().await?)
}
