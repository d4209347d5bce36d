//! Which standing queries does a document match? A percolator: the queries are indexed, and the document is the search.
//!
//! Every query has a cover: a set of terms (anchors) of which each matching document must hold at least one
//! (`cover`). An index leads from terms to the queries anchored on them. A document is segmented once; words that no
//! query mentions cost one hash probe and are forgotten; of the others the positions are kept. Queries whose anchors
//! occurred are candidates, and each is verified exactly. So the cost follows the document's length and the number of
//! candidates, hardly the number of queries. The idea is the presearcher of Luwak, now Lucene Monitor.
//!
//! A [`Matcher`] is immutable: put it behind an `Arc`, build a new one when the queries change. What a match writes lies
//! in a [`Scratch`], one per thread, which serves any number of matchers and documents and settles at the largest size
//! needed. Results depend on query and document alone and come in the order in which the queries were given.

mod cover;
mod evaluate;
mod postings;
mod vocabulary;

use std::borrow::Borrow;

use self::evaluate::{Node, Reading};
use self::postings::Postings;
use self::vocabulary::{Builder, Vocabulary};
use crate::query::Query;
use crate::text;

/// What of a document is matched: plain texts, as they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DocumentText<'a> {
    /// The title; may be empty.
    pub title: &'a str,
    /// The body without markup; may be empty.
    pub body: &'a str,
    /// The name of the source.
    pub source: &'a str,
}

/// A query that the document matched.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit<K> {
    /// The key under which the query was given.
    pub query: K,
    /// Relevance in (0, 1]: the mean over the query's positive terms of how present each is. A word, prefix or phrase
    /// counts as `tf / (tf + norm)`, BM25's saturation with k1 = 1.2, b = 0.75 and an average of 200 words, where an
    /// occurrence in the title weighs three; a source counts as 1; what is absent as 0.
    pub score: f32,
}

/// An immutable set of queries, ready to be searched by documents. `K` is the caller's key of a query.
#[derive(Debug)]
pub struct Matcher<K> {
    queries: Vec<Entry<K>>,
    words: Vocabulary,
    sources: Vocabulary,
    /// By atom: the queries anchored on it, as indices.
    anchored: Vec<Vec<u32>>,
}

#[derive(Debug)]
struct Entry<K> {
    key: K,
    root: Node,
}

/// Working memory of [`Matcher::matches`]; holds nothing between calls but capacity.
#[derive(Debug, Default)]
pub struct Scratch {
    word: String,
    postings: Postings,
    candidates: Vec<u32>,
    cursors: Vec<usize>,
}

impl<K: Clone> Matcher<K> {
    /// Indexes the queries. Keys are handed back as given and need not differ.
    pub fn build<Q: Borrow<Query>>(queries: impl IntoIterator<Item = (K, Q)>) -> Self {
        let mut builder = Builder::default();
        let queries: Vec<Entry<K>> = queries
            .into_iter()
            .map(|(key, query)| Entry { key, root: Node::compile(query.borrow().expr(), &mut builder) })
            .collect();
        let mut anchored = vec![Vec::new(); builder.len()];
        for (index, entry) in (0..).zip(&queries) {
            for atom in cover::anchors(&entry.root, &builder) {
                anchored[atom as usize].push(index);
            }
        }
        let (words, sources) = builder.finish();
        Self { queries, words, sources, anchored }
    }

    /// The queries that the document matches, in the order in which they were given.
    pub fn matches(&self, document: DocumentText<'_>, scratch: &mut Scratch) -> Vec<Hit<K>> {
        let Scratch { word, postings, candidates, cursors } = scratch;
        postings.reset(self.anchored.len());

        let title_end = self.read(document.title, 0, word, postings);
        // One position is left free, so that no phrase leads from the title into the body.
        let end = self.read(document.body, title_end + 1, word, postings);
        self.sources.each(&text::fold_name(document.source), |atom| postings.push(atom, 0));

        candidates.clear();
        for &atom in postings.atoms() {
            candidates.extend(&self.anchored[atom as usize]);
        }
        candidates.sort_unstable();
        candidates.dedup();

        let mut reading = Reading::new(postings, title_end, end - 1, cursors);
        let verified = candidates.iter().filter_map(|&index| {
            let entry = &self.queries[index as usize];
            let score = reading.score(&entry.root)?;
            Some(Hit { query: entry.key.clone(), score })
        });
        verified.collect()
    }

    /// Keeps the positions, counted from `position`, of the words that queries mention; returns the position after.
    fn read(&self, text: &str, mut position: u32, word: &mut String, postings: &mut Postings) -> u32 {
        text::for_each_word(text, word, |word| {
            self.words.each(word, |atom| postings.push(atom, position));
            position += 1;
        });
        position
    }
}

impl<K> Matcher<K> {
    /// How many queries it holds.
    pub fn len(&self) -> usize {
        self.queries.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.queries.is_empty()
    }
}

#[cfg(test)]
mod tests;
