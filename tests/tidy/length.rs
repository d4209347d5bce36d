//! Rule: a Rust file has at most 500 lines, and ARCHITECTURE.md at most 200. Long files within the bound are listed.

use crate::tree::SourceFile;
use crate::violation::Violation;

const RUST_LIMIT: usize = 500;
const RUST_AIM: usize = 300;
const ARCHITECTURE_LIMIT: usize = 200;

fn check(files: &[SourceFile]) -> Vec<Violation> {
    let long = files.iter().filter_map(|file| {
        let (limit, mend) = match file.path.as_str() {
            "ARCHITECTURE.md" => {
                (ARCHITECTURE_LIMIT, "keep the view from above, move details into module docs")
            }
            _ if file.is_rust() && !file.is_generated() => {
                (RUST_LIMIT, "split it by noun, or move its tests to `tests.rs`")
            }
            _ => return None,
        };
        let count = file.lines().count();
        let fault = format!("has {count} lines of at most {limit}");
        (count > limit).then(|| Violation::new(&file.path, limit + 1, fault, mend))
    });
    long.collect()
}

/// Files that are still within the limit but longer than the house aims for, longest first.
fn long(files: &[SourceFile]) -> Vec<(usize, &str)> {
    let own = files.iter().filter(|file| file.is_rust() && !file.is_generated());
    let counted = own.map(|file| (file.lines().count(), file.path.as_str()));
    let mut long: Vec<_> = counted.filter(|(count, _)| *count > RUST_AIM).collect();
    long.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    long
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{tree, violation};

    #[test]
    fn no_file_is_too_long() -> anyhow::Result<()> {
        let files = tree::files()?;
        for (count, path) in long(&files) {
            eprintln!("{path}: {count} lines, the aim is {RUST_AIM}");
        }
        violation::expect_none("length", &check(&files))
    }

    #[test]
    fn the_first_line_over_the_limit_is_reported() {
        let files = [
            SourceFile::new("fits.rs", "x\n".repeat(500)),
            SourceFile::new("over.rs", "x\n".repeat(501)),
            SourceFile::new("generated.rs", format!("// @generated\n{}", "x\n".repeat(900))),
            SourceFile::new("ARCHITECTURE.md", "x\n".repeat(201)),
            SourceFile::new("README.md", "x\n".repeat(900)),
        ];
        assert_eq!(violation::places(&check(&files)), [("over.rs", 501), ("ARCHITECTURE.md", 201)]);
        assert_eq!(long(&files), [(501, "over.rs"), (500, "fits.rs")]);
    }
}
