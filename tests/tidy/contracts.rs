//! The contracts below `proto/tidemill`, compiled with their comments, for the rules about them.

mod comments;
mod shape;

use std::collections::HashMap;

use prost_reflect::{DescriptorPool, FileDescriptor};
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};

use crate::tree::SourceFile;
use crate::violation::Violation;

/// Where contracts lie in the workspace; their import paths are relative to it.
const FOLDER: &str = "proto/";
/// The own contracts, as opposed to those of others that they import.
const OWN: &str = "tidemill/";

/// Compiles all own contracts among `files`.
///
/// # Errors
/// The compiler's message, as a violation of the file that it is about.
fn compile(files: &[SourceFile]) -> Result<DescriptorPool, Violation> {
    let mut resolver = ChainFileResolver::new();
    resolver.add(Sources(sources(files)));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = protox::Compiler::with_file_resolver(resolver);
    compiler.include_source_info(true).include_imports(true);
    let mut own: Vec<_> = sources(files).into_keys().filter(|name| name.starts_with(OWN)).collect();
    own.sort();
    for name in own {
        let opened = compiler.open_file(&name);
        opened.map_err(|e| {
            Violation::new(
                &format!("{FOLDER}{name}"),
                1,
                format!("does not compile: {e:?}"),
                "mend it as it says",
            )
        })?;
    }
    Ok(compiler.descriptor_pool())
}

/// The own files among all that were compiled.
fn own_files(pool: &DescriptorPool) -> impl Iterator<Item = FileDescriptor> {
    pool.files().filter(|file| file.name().starts_with(OWN))
}

/// Sources by import path.
struct Sources(HashMap<String, String>);

fn sources(files: &[SourceFile]) -> HashMap<String, String> {
    let contracts = files.iter().filter(|file| file.path.ends_with(".proto"));
    contracts
        .filter_map(|file| Some((file.path.strip_prefix(FOLDER)?.to_owned(), file.text.clone())))
        .collect()
}

impl FileResolver for Sources {
    fn resolve_path(&self, path: &std::path::Path) -> Option<String> {
        path.to_str().filter(|name| self.0.contains_key(*name)).map(str::to_owned)
    }

    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        let source = self.0.get(name).ok_or_else(|| protox::Error::file_not_found(name))?;
        File::from_source(name, source)
    }
}

/// The path and source position of one element, as descriptors have it: field numbers and indices from the file down.
type ElementPath = Vec<i32>;

/// Line (from 1) and leading comment of every element of a file.
struct Positions(HashMap<ElementPath, (usize, String)>);

impl Positions {
    fn of(file: &FileDescriptor) -> Self {
        let info = file.file_descriptor_proto().source_code_info.iter();
        let locations = info.flat_map(|info| &info.location).map(|location| {
            let line = location.span.first().and_then(|line| usize::try_from(*line).ok()).unwrap_or(0) + 1;
            (location.path.clone(), (line, location.leading_comments().trim().to_owned()))
        });
        Self(locations.collect())
    }

    fn line(&self, path: &[i32]) -> usize {
        self.0.get(path).map_or(1, |(line, _)| *line)
    }

    fn comment(&self, path: &[i32]) -> &str {
        self.0.get(path).map_or("", |(_, comment)| comment)
    }
}

fn workspace_path(file: &FileDescriptor) -> String {
    format!("{FOLDER}{}", file.name())
}

/// `parent` with one more step.
fn below(parent: &[i32], tag: i32, index: usize) -> ElementPath {
    let index = i32::try_from(index).unwrap_or(i32::MAX);
    parent.iter().copied().chain([tag, index]).collect()
}
