//! Rule: the reference pages are what the binary prints now. Each says in its first line how it is made.
//!
//! The binary is that of this build, beside the test itself, as the end-to-end tests take it; `tests/run` builds it first.
//! Where it is missing or older than the code, the rule is skipped aloud, and under `CI=true` it fails.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;
use std::{env, fs};

use anyhow::{Context, bail, ensure};

use crate::tree::{self, SourceFile};
use crate::violation::Violation;

/// Each page with the arguments that print it.
const PAGES: [(&str, [&str; 2]); 2] = [
    ("services/tidemill/CLI.md", ["reference", "cli"]),
    ("services/tidemill/CONFIG.md", ["reference", "config"]),
];

/// Compares a page with what is printed for it.
fn check(path: &str, page: Option<&str>, printed: &str, arguments: &[&str]) -> Option<Violation> {
    let mend = format!("run `cargo run -p tidemill -- {} > {path}`", arguments.join(" "));
    let Some(page) = page else {
        return Some(Violation::new(path, 1, "is not there", mend));
    };
    let mut lines = page.lines().zip(printed.lines());
    let first = lines.position(|(one, other)| one != other);
    let line = first.unwrap_or_else(|| page.lines().count().min(printed.lines().count()));
    (page != printed).then(|| Violation::new(path, line + 1, "is not what the binary prints", mend))
}

/// The binary of this build; an error says why there is none to ask.
fn binary(files: &[SourceFile]) -> anyhow::Result<PathBuf> {
    let test = env::current_exe()?;
    let folder = test.parent().and_then(Path::parent).context("the test stands in no target folder")?;
    let binary = folder.join(format!("tidemill{}", env::consts::EXE_SUFFIX));
    ensure!(binary.is_file(), "{} is not there: run `cargo build -p tidemill`", binary.display());
    let built = fs::metadata(&binary)?.modified()?;
    let code = files.iter().filter(|file| file.is_rust() && !file.path.contains("tests"));
    for file in code {
        if changed(&tree::root().join(&file.path)).is_some_and(|changed| changed > built) {
            bail!("{} is newer than the binary: run `cargo build -p tidemill`", file.path);
        }
    }
    Ok(binary)
}

fn changed(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|about| about.modified()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::violation;

    #[test]
    fn the_reference_pages_are_fresh() -> anyhow::Result<()> {
        let files = tree::files()?;
        let binary = match binary(&files) {
            Ok(binary) => binary,
            Err(why) if env::var_os("CI").is_some_and(|ci| ci == "true") => return Err(why),
            Err(why) => {
                eprintln!("SKIPPED: {why}");
                return Ok(());
            }
        };
        let mut violations = Vec::new();
        for (path, arguments) in PAGES {
            let printed = Command::new(&binary).args(arguments).output()?;
            ensure!(printed.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&printed.stderr));
            let page = files.iter().find(|file| file.path == path).map(|file| file.text.as_str());
            violations.extend(check(path, page, &String::from_utf8(printed.stdout)?, &arguments));
        }
        violation::expect_none("generated", &violations)
    }

    #[test]
    fn the_first_line_that_differs_is_reported_with_the_command_that_mends_it() {
        let check = |page, printed| check("A.md", page, printed, &["reference", "a"]);
        assert_eq!(check(Some("one\ntwo\n"), "one\ntwo\n"), None);
        let stale = [
            check(Some("one\ntwo\n"), "one\nthree\n"),
            check(Some("one\n"), "one\ntwo\n"),
            check(None, "one\n"),
        ];
        let stale: Vec<Violation> = stale.into_iter().flatten().collect();
        assert_eq!(violation::places(&stale), [("A.md", 2), ("A.md", 2), ("A.md", 1)]);
        assert!(stale[0].to_string().contains("cargo run -p tidemill -- reference a > A.md"));
    }
}
