//! Where the time of a document goes: each stage alone, on one thread, without a store.

use std::collections::BTreeSet;
use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::Result;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use tidemill_ingestion::document::{self, ContentType, Document, Limits, NewDocument};
use tidemill_ingestion::matcher::{DocumentText, Matcher, Scratch};
use tidemill_ingestion::query::Query;
use tidemill_ingestion::reader::{self, Format, Options};

use crate::corpus::{Corpus, QUERIES, Text};
use crate::report::Table;

/// How often each stage is measured.
const ROUNDS: usize = 3;
/// How many queries the large sets have.
const LARGE: [usize; 2] = [1_000, 10_000];

/// Prints what each stage costs a document.
pub(crate) fn measure(corpus: &Corpus) -> Result<()> {
    let mut table = Table::new(["stage", "us a document", "a document matches"]);
    let mut row = |stage: String, time: Duration, hits: Option<usize>| {
        let micros = time.as_secs_f64() * 1e6 / corpus.len() as f64;
        let hits = hits.map_or_else(String::new, |hits| format!("{:.2}", hits as f64 / corpus.len() as f64));
        table.row([stage, format!("{micros:.2}"), hits]);
    };
    let lines = ndjson(corpus);
    row("read from NDJSON (the client)".into(), read(&lines), None);
    let (time, documents) = prepare(corpus)?;
    row("prepare: clean, check, hash".into(), time, None);
    let fixed: Vec<Query> = QUERIES.iter().map(|(_, text)| Query::parse(text)).collect::<Result<_, _>>()?;
    let (time, hits) = matched(&documents, &fixed);
    row(format!("match against {} queries", fixed.len()), time, Some(hits));
    for count in LARGE {
        let (time, hits) = matched(&documents, &queries(corpus, count)?);
        row(format!("match against {count} queries of two words"), time, Some(hits));
    }
    let analysed = analysed(&documents);
    row("analyse with `brief` (each match)".into(), analysed, None);
    table.print("one document on one thread, stage by stage");
    Ok(())
}

/// The shortest of several rounds, and what the last one made.
fn timed<T>(mut stage: impl FnMut() -> T) -> (Duration, T) {
    let mut best = Duration::MAX;
    for _ in 1..ROUNDS {
        let begun = Instant::now();
        black_box(stage());
        best = best.min(begun.elapsed());
    }
    let begun = Instant::now();
    let made = stage();
    (best.min(begun.elapsed()), made)
}

fn ndjson(corpus: &Corpus) -> Vec<u8> {
    let line = |text: &Text| json!({"title": text.title, "body": text.body}).to_string() + "\n";
    corpus.texts.iter().map(line).collect::<String>().into_bytes()
}

fn read(lines: &[u8]) -> Duration {
    timed(|| reader::open(lines, Format::Ndjson, Options::default()).filter(Result::is_ok).count()).0
}

fn prepare(corpus: &Corpus) -> Result<(Duration, Vec<Document>)> {
    let limits = Limits::default();
    let new = |text: &Text| NewDocument {
        source: "push".into(),
        external_id: String::new(),
        url: String::new(),
        title: text.title.clone(),
        body: text.body.clone(),
        content_type: ContentType::Text,
        published_at: None,
    };
    let (time, documents) =
        timed(|| corpus.texts.iter().map(|text| document::prepare(new(text), &limits)).collect());
    let documents: Result<Vec<Document>, _> = documents;
    Ok((time, documents?))
}

fn matched(documents: &[Document], queries: &[Query]) -> (Duration, usize) {
    let matcher = Matcher::build(queries.iter().enumerate());
    let mut scratch = Scratch::default();
    timed(|| {
        let hits = documents.iter().map(|document| {
            let text =
                DocumentText { title: &document.title, body: &document.body, source: &document.source };
            matcher.matches(text, &mut scratch).len()
        });
        hits.sum::<usize>()
    })
}

/// Queries of two words of the corpus each, from a fixed seed.
fn queries(corpus: &Corpus, count: usize) -> Result<Vec<Query>> {
    let words = corpus.texts.iter().take(2_000).flat_map(|text| text.body.split(' '));
    let words: BTreeSet<&str> =
        words.filter(|word| word.len() > 3 && word.chars().all(char::is_alphanumeric)).collect();
    let words: Vec<&str> = words.into_iter().collect();
    let mut rng = StdRng::seed_from_u64(1);
    let mut word = || words[rng.random_range(0..words.len())].to_lowercase();
    (0..count).map(|_| Ok(Query::parse(&format!("{} AND {}", word(), word()))?)).collect()
}

fn analysed(documents: &[Document]) -> Duration {
    let words =
        || documents.iter().map(|one| tidemill_analysis::text::analyze(&one.title, &one.body).word_count);
    timed(|| words().sum::<u64>()).0
}
