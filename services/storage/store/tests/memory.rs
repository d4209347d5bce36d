//! The suite against the store in memory, and the suite against itself.

use std::sync::Arc;

use proptest::prelude::*;
use tidemill_store::MemoryStore;
use tidemill_store::conformance::fixture::Shared;
use tidemill_store::conformance::history;

fn make() -> (Shared, ()) {
    (Arc::new(MemoryStore::new("memory")), ())
}

tidemill_store::conformance_suite!(make());

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn two_stores_in_memory_agree_under_any_history(steps in history::steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(history::check_history(make().0, make().0, &steps));
    }
}

#[test]
fn every_case_of_the_suite_is_run() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let listed = std::fs::read_to_string(root.join("conformance.rs")).unwrap();
    let mut cases = 0;
    for entry in std::fs::read_dir(root.join("conformance")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() || ["fixture", "history"].iter().any(|name| path.file_stem() == Some(name.as_ref()))
        {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for line in text.lines().filter_map(|line| line.strip_prefix("pub async fn ")) {
            let case = line.split('(').next().unwrap();
            assert!(
                listed.contains(&format!(" {case}\n")),
                "{case} is not in the list of conformance_suite!"
            );
            cases += 1;
        }
    }
    assert!(cases > 60);
}
