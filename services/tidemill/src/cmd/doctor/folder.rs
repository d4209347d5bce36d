//! The data folder: whether it can be made and written, on what, with how much room, and what is in it.

use std::path::{Path, PathBuf};

use tidemill_sqlite::{SqliteConfig, SqliteStore};
use tidemill_store::schema::Schema;

use super::finding::Finding;

const NAME: &str = "data folder";

/// Less room than this is no room for long.
const LITTLE: u64 = 1 << 30;
/// Less than this stops writes soon.
const ALMOST_NONE: u64 = 64 << 20;

/// What was seen of the folder, or of the one that it would be made in.
struct Seen {
    path: PathBuf,
    exists: bool,
    writable: Result<(), String>,
    /// Free bytes, and the number that the system gives to the kind of file system.
    disk: Option<(u64, i64)>,
}

/// Looks at the folder and at the database in it.
pub(super) async fn look(config: &SqliteConfig) -> Vec<Finding> {
    let mut findings = judge(&see(&config.path));
    match SqliteStore::schema(config).await {
        Ok(schema) => findings.extend(judge_schema("schema", &schema, config.migrate)),
        Err(fault) => findings.push(Finding::told("database", &fault)),
    }
    findings
}

fn see(path: &Path) -> Seen {
    let exists = path.exists();
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = if exists { path } else { parent };
    // A file that has no name, so that nothing of it stays whatever happens.
    let writable = tempfile::tempfile_in(folder).map(drop).map_err(|fault| fault.to_string());
    Seen { path: path.to_owned(), exists, writable, disk: disk(folder) }
}

/// Where a database needs true locks and a disk that keeps what it was told to.
#[cfg(target_os = "linux")]
fn disk(folder: &Path) -> Option<(u64, i64)> {
    let seen = rustix::fs::statfs(folder).ok()?;
    let free = u64::try_from(seen.f_bsize).ok()?.saturating_mul(seen.f_bavail);
    #[expect(clippy::useless_conversion, reason = "its width differs between architectures")]
    Some((free, i64::from(seen.f_type)))
}

#[cfg(not(target_os = "linux"))]
fn disk(folder: &Path) -> Option<(u64, i64)> {
    let seen = rustix::fs::statvfs(folder).ok()?;
    Some((seen.f_frsize.saturating_mul(seen.f_bavail), 0))
}

fn judge(seen: &Seen) -> Vec<Finding> {
    let shown = seen.path.display();
    let mut findings = Vec::new();
    findings.push(match (&seen.writable, seen.exists) {
        (Ok(()), true) => Finding::ok(NAME, format!("{shown} can be written")),
        (Ok(()), false) => Finding::ok(NAME, format!("{shown} is not there yet and can be made")),
        (Err(reason), exists) => {
            let what = if exists { "cannot be written" } else { "cannot be made" };
            let mend = "give this user the right to write there, or choose another with --data";
            Finding::fail(NAME, format!("{shown} {what}: {reason}"), mend)
        }
    });
    if let Some((free, kind)) = seen.disk {
        findings.push(judge_room(free));
        findings.extend(judge_kind(kind));
    }
    findings
}

fn judge_room(free: u64) -> Finding {
    let says = format!("{} MiB free", free >> 20);
    let mend = "free space there, or choose another folder with --data";
    match free {
        0..ALMOST_NONE => Finding::fail("free space", says, mend),
        ALMOST_NONE..LITTLE => Finding::warn("free space", says, mend),
        _ => Finding::ok("free space", says),
    }
}

/// Kinds that lose data or locks (`statfs(2)`).
fn judge_kind(kind: i64) -> Option<Finding> {
    let elsewhere = "keep the data on a local disk, or in PostgreSQL (--postgres)";
    Some(match kind {
        0x6969 => {
            Finding::warn("file system", "NFS, where locks and flushes are not sure to work", elsewhere)
        }
        0xff53_4d42 | 0x517b | 0xfe53_4d42 => Finding::warn(
            "file system",
            "a network share, where locks and flushes are not sure to work",
            elsewhere,
        ),
        0x0102_1994 | 0x8584_58f6 => {
            Finding::warn("file system", "in memory: all is gone when this machine stops", elsewhere)
        }
        0x794c_7630 => Finding::warn(
            "file system",
            "a container's own layer: all is gone with the container",
            "mount a volume there",
        ),
        _ => return None,
    })
}

/// How far a schema is, and whether that stands in the way of a start.
pub(super) fn judge_schema(check: &'static str, schema: &Schema, migrates: bool) -> Option<Finding> {
    if let Some(newer) = schema.newer.first() {
        let says = format!("written by a newer version (migration {newer} is unknown)");
        return Some(Finding::fail(check, says, "use that version of tidemill, or another database"));
    }
    Some(match (schema.outstanding.len(), migrates) {
        (0, _) => Finding::ok(check, format!("up to date ({} migrations)", schema.applied.len())),
        (count, true) => {
            Finding::ok(check, format!("{count} migrations outstanding; the next start applies them"))
        }
        (count, false) => {
            let says = format!("{count} migrations outstanding, and `migrate = false`");
            Finding::fail(check, says, "run `tidemill migrate`")
        }
    })
}

#[cfg(test)]
mod tests {
    use tidemill_store::schema::Migration;

    use super::super::finding::Level;
    use super::*;

    #[test]
    fn a_folder_is_judged_by_what_was_seen_of_it() {
        let seen =
            |exists, writable| Seen { path: "data".into(), exists, writable, disk: Some((5 << 30, 0)) };
        let levels = |seen: Seen| judge(&seen).iter().map(|finding| finding.level).collect::<Vec<_>>();
        assert_eq!(levels(seen(true, Ok(()))), [Level::Ok, Level::Ok]);
        assert_eq!(levels(seen(false, Err("denied".to_owned()))), [Level::Fail, Level::Ok]);
        assert_eq!(judge_room(10 << 20).level, Level::Fail);
        assert_eq!(judge_room(500 << 20).level, Level::Warn);
        assert!(judge_kind(0x6969).is_some() && judge_kind(0xef53).is_none());
    }

    #[test]
    fn a_schema_that_keeps_a_mesh_from_starting_fails() {
        let schema = |applied: &[i64]| {
            Schema::new([1, 2].map(|version| Migration { version, name: "x".to_owned() }), applied)
        };
        let level =
            |applied: &[i64], migrates| judge_schema("schema", &schema(applied), migrates).unwrap().level;
        assert_eq!(level(&[1, 2], false), Level::Ok);
        assert_eq!(level(&[1], true), Level::Ok);
        assert_eq!(level(&[1], false), Level::Fail);
        assert_eq!(level(&[1, 2, 3], true), Level::Fail);
    }

    #[tokio::test]
    async fn looking_at_a_folder_that_is_not_there_makes_nothing() {
        let home = tempfile::tempdir().unwrap();
        let config = SqliteConfig { path: home.path().join("data"), ..SqliteConfig::default() };
        let findings = look(&config).await;
        assert!(findings.iter().all(|finding| finding.level != Level::Fail), "{findings:?}");
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
        let nowhere = SqliteConfig { path: home.path().join("a/b"), ..SqliteConfig::default() };
        assert_eq!(look(&nowhere).await[0].level, Level::Fail);
    }
}
