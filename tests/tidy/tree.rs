//! The files that the rules look at: what git tracks, and what it would track; without git, everything but build output.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

/// A text file of the workspace.
#[derive(Debug, Clone)]
pub(crate) struct SourceFile {
    /// Relative to the workspace's root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl SourceFile {
    pub(crate) fn new(path: &str, text: impl Into<String>) -> Self {
        Self { path: path.into(), text: text.into() }
    }

    pub(crate) fn is_rust(&self) -> bool {
        Path::new(&self.path).extension().is_some_and(|e| e == "rs")
    }

    /// Generated files say so near their top and are exempt from rules of style.
    pub(crate) fn is_generated(&self) -> bool {
        self.text.lines().take(5).any(|line| line.contains("@generated"))
    }

    /// The lines, counted from 1.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }
}

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_path_buf()
}

/// Every text file of the workspace, in order of path; binary files are left out.
pub(crate) fn files() -> anyhow::Result<Vec<SourceFile>> {
    let root = root();
    let mut files = Vec::new();
    for path in paths(&root)? {
        match fs::read_to_string(root.join(&path)) {
            Ok(text) => files.push(SourceFile { path, text }),
            // Deleted but not yet committed so, or binary.
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => {}
            Err(e) => return Err(anyhow::Error::new(e).context(path)),
        }
    }
    Ok(files)
}

fn paths(root: &Path) -> anyhow::Result<Vec<String>> {
    let git = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .current_dir(root)
        .output();
    let mut paths = match git {
        Ok(output) if output.status.success() => {
            String::from_utf8(output.stdout)?.split_terminator('\0').map(str::to_owned).collect()
        }
        _ => walk(root, root)?,
    };
    paths.sort();
    paths.dedup();
    Ok(paths)
}

/// All files below `folder`, relative to `root`, without what .gitignore names.
fn walk(root: &Path, folder: &Path) -> io::Result<Vec<String>> {
    const IGNORED: [&str; 4] = [".git", ".tools", "target", "tidemill-data"];
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            let ignored = folder == root && IGNORED.iter().any(|name| entry.file_name() == *name);
            paths.extend(if ignored { Vec::new() } else { walk(root, &entry.path())? });
        } else if let Ok(relative) = entry.path().strip_prefix(root) {
            paths.push(relative.to_string_lossy().replace('\\', "/"));
        }
    }
    Ok(paths)
}

#[test]
fn git_and_the_walk_both_find_this_file() -> anyhow::Result<()> {
    let this = "tests/tidy/tree.rs".to_owned();
    assert!(paths(&root())?.contains(&this));
    assert!(walk(&root(), &root())?.contains(&this));
    Ok(())
}
