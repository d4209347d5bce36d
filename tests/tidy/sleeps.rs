//! Rule: tests wait for signals or poll a condition with a deadline; none sleeps for a time that somebody guessed.

use crate::tree::SourceFile;
use crate::violation::Violation;

/// The one place of the tests where real time passes.
const POLLING: &str = "tests/src/harness/poll.rs";

fn check(files: &[SourceFile]) -> Vec<Violation> {
    let calls = ["thread", "time"].map(|module| format!("{module}::sleep"));
    let mut violations = Vec::new();
    for file in files.iter().filter(|file| file.is_rust() && file.path != POLLING) {
        for (number, line) in file.lines().skip(untested_lines(file)) {
            let code = line.split("//").next().unwrap_or_default();
            if calls.iter().any(|call| code.contains(call)) {
                let mend = format!("wait for a signal, use paused time, or poll by {POLLING}");
                violations.push(Violation::new(&file.path, number, "a test sleeps", mend));
            }
        }
    }
    violations
}

/// How many lines from the top are not test code: none of a file of tests, otherwise those before the inline test module.
fn untested_lines(file: &SourceFile) -> usize {
    let of_tests =
        file.path.split('/').any(|part| matches!(part, "tests" | "tests.rs" | "testkit" | "testkit.rs"));
    if of_tests { 0 } else { file.text.lines().take_while(|line| !line.contains("#[cfg(test)]")).count() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{tree, violation};

    #[test]
    fn no_test_sleeps() -> anyhow::Result<()> {
        violation::expect_none("sleeps in tests", &check(&tree::files()?))
    }

    #[test]
    fn a_sleep_in_a_test_is_reported_and_one_in_the_product_is_not() {
        let nap = ["thread", "::sleep(d);\n"].concat();
        let doze = ["tokio::time", "::sleep(d).await;\n"].concat();
        let files = [
            SourceFile::new("services/x/src/loop.rs", format!("{doze}#[cfg(test)]\nmod tests {{\n{nap}")),
            SourceFile::new("services/x/src/pump.rs", doze.clone()),
            SourceFile::new("services/x/src/pump/tests.rs", doze.clone()),
            SourceFile::new("tests/e2e/main.rs", format!("// like {nap}{nap}")),
            SourceFile::new(POLLING, nap.clone()),
        ];
        let expected =
            [("services/x/src/loop.rs", 4), ("services/x/src/pump/tests.rs", 1), ("tests/e2e/main.rs", 2)];
        assert_eq!(violation::places(&check(&files)), expected);
    }
}
