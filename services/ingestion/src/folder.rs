//! Folders: every text, Markdown and HTML file below one, in a stable order; and such files by themselves.
//!
//! Invariants: hidden entries, `target` and `node_modules` are left out; symbolic links are never followed (one that
//! leads out of the folder is reported, one that stays inside leads to a file that is read anyway); a file or folder
//! that cannot be read is one [`FileFault`] and the walk goes on. The walk blocks: run it on a thread of its own.

#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use tidemill_kernel::ErrorKind;
use walkdir::{DirEntry, IntoIter, WalkDir};

use crate::document::{ContentType, NewDocument};

/// How to read a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The largest file in bytes; larger ones are reported, not read.
    pub max_file: u64,
    /// The setting that says so, if whoever reads the report can change it.
    pub setting: Option<&'static str>,
    /// The source of the documents.
    pub source: String,
}

impl Default for Options {
    fn default() -> Self {
        Self { max_file: 8 << 20, setting: None, source: String::new() }
    }
}

/// The folder itself cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// There is no such folder.
    #[error("the folder {0} does not exist; check the path")]
    Missing(PathBuf),
    /// It is something else.
    #[error("{0} is not a folder; name the folder that holds the files")]
    NotAFolder(PathBuf),
    /// The system refuses.
    #[error("the folder {path} cannot be read: {reason}; check its permissions")]
    Unreadable {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        reason: io::Error,
    },
}

impl FolderError {
    /// Not found, invalid or denied.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Missing(_) => ErrorKind::NotFound,
            Self::NotAFolder(_) => ErrorKind::Invalid,
            Self::Unreadable { .. } => ErrorKind::Denied,
        }
    }
}

/// A file or folder that was left out: which, why, and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFault {
    /// The file or folder.
    pub path: PathBuf,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub mend: String,
}

impl fmt::Display for FileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.path.display(), self.message, self.mend)
    }
}

impl std::error::Error for FileFault {}

/// A walk over the files of a folder. A document's external id is its path below the folder with `/` between the
/// names; its title is left empty, to be found in its text.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    walk: IntoIter,
    options: Options,
}

/// Begins the walk, names in byte order.
pub fn walk(root: &Path, options: Options) -> Result<Folder, FolderError> {
    let refused = |reason: io::Error| match reason.kind() {
        io::ErrorKind::NotFound => FolderError::Missing(root.to_owned()),
        _ => FolderError::Unreadable { path: root.to_owned(), reason },
    };
    let root_path = root.canonicalize().map_err(refused)?;
    if !root_path.is_dir() {
        return Err(FolderError::NotAFolder(root.to_owned()));
    }
    std::fs::read_dir(&root_path).map_err(refused)?;
    let walk = WalkDir::new(&root_path).min_depth(1).sort_by_file_name().into_iter();
    Ok(Folder { root: root_path, walk, options })
}

/// Reads one file as the walk over its folder would, whatever its place: its external id is its name.
pub fn file(path: &Path, options: &Options) -> Result<NewDocument, FileFault> {
    let fault =
        |message: String, mend: &str| FileFault { path: path.to_owned(), message, mend: mend.to_owned() };
    let (Some(content_type), Some(name)) = (content_type(path), path.file_name()) else {
        return Err(fault("is not named as a text".to_owned(), "name it .txt, .md or .html"));
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let root = folder
        .canonicalize()
        .map_err(|error| fault(format!("cannot be read: {error}"), "check the path and its permissions"))?;
    read(&root.join(name), &root, content_type, options)
}

impl Iterator for Folder {
    type Item = Result<NewDocument, FileFault>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let entry = match self.walk.next()? {
                Ok(entry) => entry,
                Err(error) => return Some(Err(self.unread(&error))),
            };
            if is_left_out(&entry) {
                if entry.file_type().is_dir() {
                    self.walk.skip_current_dir();
                }
                continue;
            }
            if let Some(item) = self.visit(&entry) {
                return Some(item);
            }
        }
    }
}

impl Folder {
    /// What this entry gives: nothing for folders and for files that are not text by their extension.
    fn visit(&self, entry: &DirEntry) -> Option<Result<NewDocument, FileFault>> {
        if entry.file_type().is_symlink() {
            return self.outside(entry.path()).map(Err);
        }
        let content_type = content_type(entry.path())?;
        if !entry.file_type().is_file() {
            return None;
        }
        Some(read(entry.path(), &self.root, content_type, &self.options))
    }

    /// A fault for a link that leads out of the folder or nowhere, if it looks like a text or leads to a folder.
    fn outside(&self, path: &Path) -> Option<FileFault> {
        let target = path.canonicalize();
        let wanted = content_type(path).is_some() || target.as_ref().is_ok_and(|target| target.is_dir());
        let inside = target.as_ref().is_ok_and(|target| target.starts_with(&self.root));
        if !wanted || inside {
            return None;
        }
        let message = match target {
            Ok(target) => format!("is a symbolic link to {}, outside of the folder", target.display()),
            Err(error) => format!("is a symbolic link that cannot be followed: {error}"),
        };
        let mend = "copy the file into the folder, or read its own folder too".to_owned();
        Some(FileFault { path: path.to_owned(), message, mend })
    }

    fn unread(&self, error: &walkdir::Error) -> FileFault {
        let path = error.path().unwrap_or(&self.root).to_owned();
        let reason = error.io_error().map_or_else(|| error.to_string(), ToString::to_string);
        let message = format!("cannot be read: {reason}");
        FileFault { path, message, mend: "check its permissions; the rest is read all the same".to_owned() }
    }
}

/// Reads a file below `root`.
fn read(
    path: &Path,
    root: &Path,
    content_type: ContentType,
    options: &Options,
) -> Result<NewDocument, FileFault> {
    let fault =
        |message: String, mend: &str| FileFault { path: path.to_owned(), message, mend: mend.to_owned() };
    let max = options.max_file;
    let failed = |error: io::Error| {
        fault(
            format!("cannot be read: {error}"),
            "check its permissions; the other files are read all the same",
        )
    };
    let file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    let mut bytes = Vec::new();
    if size <= max {
        file.take(max + 1).read_to_end(&mut bytes).map_err(failed)?;
    }
    let size = size.max(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    if size > max {
        let message = format!("is {size} bytes; at most {max} are read");
        let raise = options.setting.map(|setting| format!(", or raise `{setting}`")).unwrap_or_default();
        return Err(fault(message, &format!("split the file{raise}")));
    }
    let body = text(bytes)
        .map_err(|message| fault(message, "save it as UTF-8 text, or give it another extension"))?;
    let below = path.strip_prefix(root).unwrap_or(path);
    let names: Option<Vec<_>> = below.iter().map(|name| name.to_str()).collect();
    let Some(names) = names else {
        return Err(fault("its path is not UTF-8".to_owned(), "rename it"));
    };
    let url = url::Url::from_file_path(path).map(String::from).unwrap_or_default();
    let source = options.source.clone();
    let external_id = names.join("/");
    Ok(NewDocument { source, external_id, url, body, content_type, ..NewDocument::default() })
}

/// Hidden entries, and folders that hold what programs made.
fn is_left_out(entry: &DirEntry) -> bool {
    let name = entry.file_name().as_encoded_bytes();
    name.starts_with(b".") || (entry.file_type().is_dir() && (name == b"target" || name == b"node_modules"))
}

/// The content type that a file's extension names, if its text is to be read.
pub fn content_type(path: &Path) -> Option<ContentType> {
    match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "txt" | "text" => Some(ContentType::Text),
        "md" | "markdown" => Some(ContentType::Markdown),
        "html" | "htm" => Some(ContentType::Html),
        _ => None,
    }
}

/// The bytes as text, or what they are instead.
fn text(mut bytes: Vec<u8>) -> Result<String, String> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err("is written in UTF-16".to_owned());
    }
    if bytes.starts_with(b"\xef\xbb\xbf") {
        bytes.drain(..3);
    }
    if let Some(at) = memchr::memchr(0, &bytes) {
        return Err(format!("is not text: byte {at} is NUL"));
    }
    String::from_utf8(bytes)
        .map_err(|error| format!("is not UTF-8 at byte {}", error.utf8_error().valid_up_to()))
}
