//! The documents: real abstracts where they are at hand, else made-up text from a fixed seed; and the standing queries.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tidemill_tests::harness::tools;

use crate::report::Size;

/// Thirty standing queries, by name.
pub(crate) const QUERIES: [(&str, &str); 30] = [
    ("albums", "album AND (released OR recorded)"),
    ("rivers", "river AND NOT (basin OR delta)"),
    ("villages", "\"is a village\""),
    ("schools", "\"high school\" OR \"secondary school\""),
    ("singers", "singer* AND (songwriter OR composer)"),
    ("churches", "church AND (built OR listed)"),
    ("bridges", "bridge AND (river OR canal)"),
    ("museums", "museum"),
    ("companies", "compan* AND (founded OR headquartered)"),
    ("moths", "moth AND family"),
    ("films", "film AND (directed OR starring)"),
    ("novels", "novel AND (published OR author)"),
    ("politicians", "politician AND (member OR minister)"),
    ("aircraft", "aircraft AND (military OR fighter)"),
    ("mountains", "mountain* AND (peak OR summit)"),
    ("newspapers", "newspaper OR \"daily newspaper\""),
    ("railways", "railway AND (locomotive* OR station)"),
    ("actors", "title:actor OR (actor AND television)"),
    ("bands", "band AND (rock OR metal OR jazz)"),
    ("plants", "\"flowering plant\" OR \"species of plant\""),
    ("beetles", "beetle*"),
    ("lakes", "lake AND NOT city"),
    ("universities", "universit* AND (campus OR students)"),
    ("ships", "ship AND (navy OR launched)"),
    ("hospitals", "hospital"),
    ("painters", "painter OR (artist AND paintings)"),
    ("magazines", "magazine AND (monthly OR weekly)"),
    ("snails", "snail* AND gastropod"),
    ("footballers", "footballer AND (midfielder OR defender OR striker)"),
    ("lawyers", "lawyer OR attorney OR judge"),
];

/// One document.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    pub(crate) title: String,
    pub(crate) body: String,
}

impl Text {
    /// The `copy`th version of it: the same length and words but for one sentence, so that none is a duplicate.
    pub(crate) fn copy(&self, copy: usize) -> Self {
        if copy == 0 {
            return self.clone();
        }
        Self { title: self.title.clone(), body: format!("{} This is edition {copy}.", self.body) }
    }
}

/// All of them.
pub(crate) struct Corpus {
    /// Where they are from, in words.
    pub(crate) origin: &'static str,
    pub(crate) texts: Vec<Text>,
}

impl Corpus {
    pub(crate) fn load(size: Size) -> Result<Self> {
        let limit = size.of(1_000, usize::MAX);
        let Some(path) = tools::shared("data/dbpedia-abstracts.jsonl") else {
            let texts = made_up(size.of(1_000, 14_000));
            return Ok(Self {
                origin: "made-up text from a fixed seed (the real abstracts are not here)",
                texts,
            });
        };
        let lines = std::fs::read_to_string(path)?;
        let texts = lines.lines().take(limit).map(read).collect::<Result<_>>()?;
        Ok(Self { origin: "real abstracts", texts })
    }

    pub(crate) fn len(&self) -> usize {
        self.texts.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.texts.iter().map(|text| text.title.len() + text.body.len()).sum()
    }

    /// Writes so many copies as NDJSON.
    pub(crate) fn write(&self, path: &Path, copies: usize) -> Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        for copy in 0..copies {
            for (number, text) in self.texts.iter().enumerate() {
                let Text { title, body } = text.copy(copy);
                let row = json!({"id": format!("{copy}/{number}"), "title": title, "body": body});
                writeln!(file, "{row}")?;
            }
        }
        Ok(file.flush()?)
    }
}

fn read(line: &str) -> Result<Text> {
    let row: Value = serde_json::from_str(line)?;
    let field =
        |name: &str| row[name].as_str().map(str::to_owned).with_context(|| format!("no `{name}` in {row}"));
    Ok(Text { title: field("title")?, body: field("body")? })
}

/// Words of a skewed distribution, as in real text, with the queries' own words among them.
fn made_up(count: usize) -> Vec<Text> {
    let mut rng = StdRng::seed_from_u64(1);
    let topics: Vec<&str> = QUERIES
        .iter()
        .flat_map(|(_, expression)| expression.split(|c: char| !c.is_ascii_lowercase()))
        .filter(|word| word.len() > 2)
        .collect();
    let word = |rng: &mut StdRng| {
        if rng.random_bool(0.04) {
            return topics[rng.random_range(0..topics.len())].to_owned();
        }
        // Log-uniform ranks: the share of a word falls with its rank, Zipf's law.
        format!("w{:.0}", 40_000_f64.powf(rng.random()))
    };
    let sentence =
        |rng: &mut StdRng, words: usize| (0..words).map(|_| word(rng)).collect::<Vec<_>>().join(" ") + ".";
    let text = |number: usize| {
        let title = format!("{number} {}", sentence(&mut rng, 8));
        let sentences = rng.random_range(2..7);
        let body = (0..sentences).map(|_| sentence(&mut rng, 12)).collect::<Vec<_>>().join(" ");
        Text { title, body }
    };
    (0..count).map(text).collect()
}
