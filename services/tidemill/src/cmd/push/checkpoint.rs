//! How far a file was pushed, kept in the user's state folder (`XDG_STATE_HOME`, XDG Base Directory Specification), so
//! that the same command goes on after a cut.
//!
//! It is named by the mesh's store, who pushed, the way of reading, and the file with its size and time: another of any
//! of these begins anew. Losing it costs time, nothing else: what is known already is not stored twice.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;
use sha2::{Digest, Sha256};
use tidemill_ingestion::reader::Position;

/// How often it is written while the push goes on.
const INTERVAL: Duration = Duration::from_millis(500);

/// How far one file was pushed.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    /// None where there is no state folder.
    file: Option<PathBuf>,
    position: Position,
    size: u64,
    saved: Instant,
    /// Whether the position is newer than what is saved.
    moved: bool,
}

/// What was reached outlives a push that is cut off or stopped.
impl Drop for Checkpoint {
    fn drop(&mut self) {
        self.save();
    }
}

impl Checkpoint {
    /// The checkpoint of this file under these circumstances; at its beginning when there is none.
    pub(crate) fn open(path: &Path, circumstances: &[&str]) -> io::Result<Self> {
        let full = path.canonicalize()?;
        let about = fs::metadata(&full)?;
        let mut hash = Sha256::new();
        let identity = format!("{full:?} {} {:?}", about.len(), about.modified().ok());
        for text in circumstances.iter().copied().chain([identity.as_str()]) {
            hash.update(text.len().to_le_bytes());
            hash.update(text);
        }
        let name: String = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let file = state_folder().map(|folder| folder.join(format!("{name}.json")));
        Ok(Self::read(file, about.len()))
    }

    fn read(file: Option<PathBuf>, size: u64) -> Self {
        let text = file.as_ref().and_then(|file| fs::read(file).ok());
        let position = text.and_then(|text| serde_json::from_slice::<Position>(&text).ok());
        let position = position.filter(|position| position.offset <= size).unwrap_or(Position::START);
        Self { file, position, size, saved: Instant::now(), moved: false }
    }

    /// Where to go on.
    pub(crate) fn position(&self) -> Position {
        self.position
    }

    /// The size of the file.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Everything before this place is safe.
    pub(crate) fn reached(&mut self, position: Position) {
        (self.position, self.moved) = (position, true);
        if self.saved.elapsed() >= INTERVAL {
            self.save();
        }
    }

    /// Writes it, whole or not at all.
    fn save(&mut self) {
        self.saved = Instant::now();
        let moved = std::mem::take(&mut self.moved);
        if let Some(file) = self.file.as_ref().filter(|_| moved) {
            // A state folder that cannot be written only means that a push that is cut off begins anew.
            let _ = write(file, self.position);
        }
    }

    /// The file is to be pushed from its beginning the next time.
    pub(crate) fn forget(&mut self) {
        (self.position, self.moved) = (Position::START, false);
        if let Some(file) = &self.file {
            // It is not there when the push was short.
            let _ = fs::remove_file(file);
        }
    }
}

fn write(file: &Path, position: Position) -> Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let fresh = file.with_extension(format!("{}.new", std::process::id()));
    fs::write(&fresh, serde_json::to_vec(&position)?)?;
    Ok(fs::rename(&fresh, file)?)
}

/// `tidemill/push` in the user's state folder.
fn state_folder() -> Option<PathBuf> {
    let named = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    Some(named.or_else(home)?.join("tidemill/push"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_kept_until_it_is_forgotten_and_never_beyond_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = Some(folder.path().join("deep/a.json"));
        let mut first = Checkpoint::read(file.clone(), 100);
        assert_eq!(first.position(), Position::START);
        first.reached(Position { offset: 60, line: 7 });
        drop(first);
        let mut first = Checkpoint::read(file.clone(), 100);
        assert_eq!(Checkpoint::read(file.clone(), 100).position().line, 7);
        assert_eq!(Checkpoint::read(file.clone(), 50).position(), Position::START);
        first.forget();
        assert_eq!(Checkpoint::read(file, 100).position(), Position::START);
    }
}
