//! Documents in, matched, analysed, read again.

use std::path::Path;

use anyhow::{Result, ensure};
use tidemill_tests::harness::mesh::{Counts, Mesh, number};
use tidemill_tests::in_both_wirings;

in_both_wirings!(
    what_is_pushed_is_stored_once_matched_and_analysed,
    a_query_that_is_removed_matches_nothing_more
);

/// `count` documents, every third about tides, in an NDJSON file.
fn file(home: &Path, count: usize) -> Result<String> {
    let line = |number: usize| {
        let topic =
            if number.is_multiple_of(3) { "the tide turns the mill" } else { "a bicycle stands idle" };
        format!(
            "{{\"id\":\"{number}\",\"title\":\"Number {number}\",\"body\":\"{topic} for the {number}th time\"}}\n"
        )
    };
    let path = home.join("documents.jsonl");
    std::fs::write(&path, (0..count).map(line).collect::<String>())?;
    Ok(path.to_string_lossy().into_owned())
}

async fn what_is_pushed_is_stored_once_matched_and_analysed(mesh: Mesh, home: &Path) -> Result<()> {
    let file = file(home, 300)?;
    mesh.tidemill(&["query", "add", "tides", "tide* AND NOT bicycle"])?;
    mesh.tidemill(&["query", "add", "numbers", "title:\"number 7\""])?;
    let pushed = mesh.json(&["push", &file])?;
    let of = |name: &str| number(&pushed[0][name]);
    ensure!((of("stored"), of("matches")) == (Some(300), Some(101)), "{pushed:?}");
    let expected = Counts { documents: 300, matches: 101, analyses: 101 };
    let counts = mesh.until_analysed().await?;
    ensure!(counts == expected, "{counts:?}");

    let results = mesh.json(&["results", "--query", "tides"])?;
    ensure!(results.len() == 100, "{} results", results.len());
    for result in &results {
        let analysis = &result["analysis"];
        ensure!(analysis.is_object() && result.to_string().contains("tide"), "no analysis in {result}");
    }
    let seventh = mesh.json(&["results", "--query", "numbers"])?;
    ensure!(seventh.len() == 1 && seventh[0].to_string().contains("Number 7"), "{seventh:?}");

    let again = mesh.json(&["push", &file, "--restart"])?;
    let of = |name: &str| number(&again[0][name]);
    ensure!((of("stored"), of("duplicates"), of("matches")) == (Some(0), Some(300), Some(0)), "{again:?}");
    ensure!(mesh.until_analysed().await? == expected, "the same push changed something");
    Ok(())
}

async fn a_query_that_is_removed_matches_nothing_more(mesh: Mesh, home: &Path) -> Result<()> {
    mesh.tidemill(&["query", "add", "tides", "tide"])?;
    mesh.tidemill(&["query", "remove", "tides"])?;
    let pushed = mesh.json(&["push", &file(home, 9)?])?;
    ensure!(number(&pushed[0]["matches"]) == Some(0), "{pushed:?}");
    ensure!(mesh.json(&["query", "list"])?.is_empty(), "it is still listed");
    Ok(())
}
