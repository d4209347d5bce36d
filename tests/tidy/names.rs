//! Rule: names say what a thing is. No `mod.rs` (it is `foo.rs` beside `foo/`), no crate or module named after a drawer,
//! no `test_` before the name of a test.

use crate::tree::SourceFile;
use crate::violation::Violation;

/// A name, or the last word of one, that says nothing about what is inside.
const DRAWERS: [&str; 6] = ["util", "utils", "common", "helper", "helpers", "misc"];
const NOUN: &str = "name it by the noun that it is about";

fn check(files: &[SourceFile]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in files {
        violations.extend(file_name(file));
        if file.is_rust() {
            violations.extend(modules(file));
            violations.extend(tests_names(file));
        } else if file.path.rsplit('/').next() == Some("Cargo.toml") {
            violations.extend(crate_name(file));
        }
    }
    violations
}

fn is_drawer(name: &str) -> bool {
    name.rsplit(['_', '-']).next().is_some_and(|word| DRAWERS.contains(&word))
}

fn file_name(file: &SourceFile) -> Option<Violation> {
    let stem = |part: &str| part.split('.').next().map(str::to_owned).unwrap_or_default();
    let name = file.path.rsplit('/').next().unwrap_or_default();
    if name == "mod.rs" {
        return Some(Violation::new(
            &file.path,
            1,
            "is a `mod.rs`",
            "name it `foo.rs` beside the folder `foo/`",
        ));
    }
    let drawer = file.path.split('/').map(stem).find(|part| is_drawer(part))?;
    Some(Violation::new(&file.path, 1, format!("has `{drawer}` in its path"), NOUN))
}

/// Inline modules; those in files of their own are seen by their file's name.
fn modules(file: &SourceFile) -> Vec<Violation> {
    let named = file.lines().filter_map(|(number, line)| Some((number, inline_module(line)?)));
    named
        .filter(|(_, name)| is_drawer(name))
        .map(|(number, name)| Violation::new(&file.path, number, format!("has a module `{name}`"), NOUN))
        .collect()
}

fn inline_module(line: &str) -> Option<&str> {
    let (before, after) = line.trim().split_once("mod ")?;
    let visible = before.is_empty() || before.starts_with("pub");
    after.strip_suffix('{').map(str::trim).filter(|_| visible)
}

/// Functions named `test_...` right below an attribute that makes them a test.
fn tests_names(file: &SourceFile) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut is_test = false;
    for (number, line) in file.lines().map(|(number, line)| (number, line.trim())) {
        if line.starts_with("#[") {
            is_test |=
                ["test]", "test(", "::test"].iter().any(|mark| line.contains(mark)) && !line.contains("cfg(");
        } else if let Some(name) = function(line) {
            if is_test && name.starts_with("test_") {
                let mend = "say what holds as a sentence, without the prefix";
                violations.push(Violation::new(&file.path, number, format!("has a test `{name}`"), mend));
            }
            is_test = false;
        }
    }
    violations
}

fn function(line: &str) -> Option<&str> {
    let (_, after) = line.split_once("fn ")?;
    after.split(['(', '<']).next()
}

fn crate_name(file: &SourceFile) -> Option<Violation> {
    let (number, line) = file.lines().find(|(_, line)| line.starts_with("name = "))?;
    let name = line.split('"').nth(1).filter(|name| name.split('-').any(is_drawer))?;
    Some(Violation::new(&file.path, number, format!("has a crate `{name}`"), NOUN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{tree, violation};

    #[test]
    fn every_name_says_what_the_thing_is() -> anyhow::Result<()> {
        violation::expect_none("names", &check(&tree::files()?))
    }

    #[test]
    fn files_modules_and_crates_named_after_drawers_are_reported() {
        let files = [
            SourceFile::new("services/x/src/wire/mod.rs", ""),
            SourceFile::new("services/x/src/json_helpers.rs", ""),
            SourceFile::new("services/common/src/lib.rs", ""),
            SourceFile::new("services/x/src/lib.rs", "mod a;\npub(crate) mod utils {\n}\nmod tests {\n}\n"),
            SourceFile::new("services/x/Cargo.toml", "[package]\nname = \"tidemill-util-x\"\n"),
        ];
        let expected = [
            ("services/x/src/wire/mod.rs", 1),
            ("services/x/src/json_helpers.rs", 1),
            ("services/common/src/lib.rs", 1),
            ("services/x/src/lib.rs", 2),
            ("services/x/Cargo.toml", 2),
        ];
        assert_eq!(violation::places(&check(&files)), expected);
    }

    #[test]
    fn only_tests_lose_the_prefix() {
        let lines = [
            "#[test]",
            "#[ignore]",
            "fn test_one() {}",
            "fn test_bench() {}",
            "#[tokio::test]",
            "async fn two() {}",
        ];
        let others = [
            "#[cfg(test)]",
            "fn test_store() {}",
            "#[tokio::test(start_paused = true)]",
            "async fn test_three() {}",
        ];
        let file = SourceFile::new("a.rs", [lines.join("\n"), others.join("\n")].join("\n"));
        assert_eq!(violation::places(&check(&[file])), [("a.rs", 3), ("a.rs", 10)]);
        let words = SourceFile::new("services/x/src/common_words.rs", "mod helpful {\n}\n");
        assert_eq!(check(&[words]), []);
    }
}
