//! Rule: no tracked file names a folder of one machine, a package registry's host, or work left for later.
//!
//! The words are put together at run time, so that this file does not break its own rule.

use crate::tree::SourceFile;
use crate::violation::Violation;

struct Banned {
    word: String,
    mend: &'static str,
}

fn banned() -> Vec<Banned> {
    let paths = [["/ro", "ot/"], ["/wo", "rk/"]];
    let hosts = [
        ["crates", ".io"],
        ["pypi", ".org"],
        ["pythonhosted", ".org"],
        ["npmjs", ".org"],
        ["deb.debian", ".org"],
    ];
    let later = [["TO", "DO"], ["FIX", "ME"]];
    let with = |mend| move |parts: [&str; 2]| Banned { word: parts.concat(), mend };
    let mut all = Vec::new();
    all.extend(paths.into_iter().map(with("use a relative path, or take it from the environment")));
    all.extend(hosts.into_iter().map(with("leave the host to the package client's own settings")));
    all.extend(later.into_iter().map(with("do it now, or take the remark out")));
    all
}

fn check(files: &[SourceFile]) -> Vec<Violation> {
    let banned = banned();
    let mut violations = Vec::new();
    // The lock file is cargo's and names the registry by necessity.
    for file in files.iter().filter(|file| file.path != "Cargo.lock") {
        for (number, line) in file.lines() {
            for Banned { word, mend } in banned.iter().filter(|banned| stands_alone(line, &banned.word)) {
                violations.push(Violation::new(&file.path, number, format!("contains `{word}`"), *mend));
            }
        }
    }
    violations
}

/// Whether `word` is in `line` and not the tail or the head of a longer name.
fn stands_alone(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        let after = line[start + word.len()..].chars().next();
        let joins = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        !joins(before) && (word.ends_with('/') || !joins(after))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{tree, violation};

    #[test]
    fn no_file_names_a_machine_a_registry_or_unfinished_work() -> anyhow::Result<()> {
        violation::expect_none("forbidden words", &check(&tree::files()?))
    }

    #[test]
    fn every_banned_word_is_found_where_it_stands() {
        for Banned { word, .. } in banned() {
            let file = SourceFile::new("a.md", format!("fine\nsee {word} there\n"));
            assert_eq!(violation::places(&check(&[file])), [("a.md", 2)], "{word}");
        }
    }

    #[test]
    fn longer_names_and_the_lock_file_are_left_alone() {
        let longer: String = banned().iter().map(|banned| format!("x{}\n", banned.word)).collect();
        assert_eq!(check(&[SourceFile::new("a.rs", longer)]), []);
        let word = banned().swap_remove(2).word;
        assert_eq!(check(&[SourceFile::new("Cargo.lock", word)]), []);
    }
}
