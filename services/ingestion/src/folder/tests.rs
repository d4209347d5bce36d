//! Folders on a real file system.

use std::fs;

use super::*;

fn read(root: &Path) -> (Vec<NewDocument>, Vec<FileFault>) {
    let mut documents = Vec::new();
    let mut faults = Vec::new();
    for item in walk(root, Options { max_file: 100, setting: Some("bar"), source: "notes".into() }).unwrap() {
        match item {
            Ok(document) => documents.push(document),
            Err(fault) => faults.push(fault),
        }
    }
    (documents, faults)
}

fn put(root: &Path, name: &str, bytes: &[u8]) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn texts_come_in_a_stable_order_and_everything_else_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["b.txt", "a/z.MD", "a/c d.html", "a.markdown", "x.rs", "data.jsonl", ".h.txt", ".git/a.txt"]
    {
        put(folder.path(), name, b"\xef\xbb\xbftext");
    }
    for name in ["target/a.txt", "node_modules/a.md", "sub/target/b.md"] {
        put(folder.path(), name, b"made");
    }
    let (documents, faults) = read(folder.path());
    let ids: Vec<_> = documents.iter().map(|document| document.external_id.as_str()).collect();
    assert_eq!(ids, ["a/c d.html", "a/z.MD", "a.markdown", "b.txt"]);
    assert!(faults.is_empty());
    assert_eq!(
        (documents[0].content_type, documents[1].content_type),
        (ContentType::Html, ContentType::Markdown)
    );
    assert!(documents[0].url.starts_with("file:///") && documents[0].url.ends_with("/a/c%20d.html"));
    assert!(documents.iter().all(|document| document.body == "text" && document.source == "notes"));
}

#[test]
fn a_file_by_itself_is_read_as_one_of_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a b.md", ".hidden.txt"] {
        put(folder.path(), name, b"\xef\xbb\xbf# text");
    }
    put(folder.path(), "c.rs", b"code");
    let options = Options { max_file: 9, setting: None, source: "notes".into() };
    let walked: Vec<_> = walk(folder.path(), options.clone()).unwrap().collect::<Result<_, _>>().unwrap();
    let single = file(&folder.path().join("a b.md"), &options).unwrap();
    assert_eq!((walked.len(), &single), (1, &walked[0]));
    // Named, it is wanted.
    assert_eq!(file(&folder.path().join(".hidden.txt"), &options).unwrap().external_id, ".hidden.txt");
    let fault = |name: &str, max_file| {
        let options = Options { max_file, ..options.clone() };
        file(&folder.path().join(name), &options).unwrap_err().to_string()
    };
    assert!(fault("c.rs", 9).contains("is not named as a text; name it .txt"));
    assert!(fault("a b.md", 8).contains("is 9 bytes; at most 8 are read; split the file"));
    assert!(
        fault("none/a.md", 9).contains("cannot be read") && fault("none.md", 9).contains("cannot be read")
    );
}

#[test]
fn a_file_that_is_no_text_is_named_with_the_reason_and_the_walk_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "1.txt", b"a\0b");
    put(folder.path(), "2.txt", b"ab\xff");
    put(folder.path(), "3.txt", &[b'x'; 101]);
    put(folder.path(), "4.txt", b"\xff\xfea\0");
    put(folder.path(), "5.txt", b"good");
    let (documents, faults) = read(folder.path());
    assert_eq!(documents.len(), 1);
    let told: Vec<_> = faults.iter().map(|fault| fault.message.as_str()).collect();
    assert_eq!(
        told,
        [
            "is not text: byte 1 is NUL",
            "is not UTF-8 at byte 2",
            "is 101 bytes; at most 100 are read",
            "is written in UTF-16"
        ]
    );
    assert!(faults[2].to_string().contains("3.txt") && faults[2].mend.contains("raise `bar`"));
}

#[cfg(unix)]
#[test]
fn links_are_not_followed_and_those_that_lead_out_are_reported() {
    use std::os::unix::fs::symlink;
    let outside = tempfile::tempdir().unwrap();
    put(outside.path(), "secret.txt", b"secret");
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "a.txt", b"good");
    symlink(outside.path().join("secret.txt"), folder.path().join("b.txt")).unwrap();
    symlink(outside.path(), folder.path().join("c")).unwrap();
    symlink(folder.path().join("a.txt"), folder.path().join("d.txt")).unwrap();
    symlink(folder.path(), folder.path().join("loop")).unwrap();
    symlink("nowhere", folder.path().join("e.txt")).unwrap();
    let (documents, faults) = read(folder.path());
    assert_eq!(documents.len(), 1);
    let names: Vec<_> =
        faults.iter().map(|fault| fault.path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["b.txt", "c", "e.txt"]);
}

#[cfg(unix)]
#[test]
fn an_entry_that_may_not_be_read_is_a_fault() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "closed.txt", b"x");
    put(folder.path(), "shut/a.txt", b"x");
    put(folder.path(), "z.txt", b"good");
    let chmod =
        |name: &str, mode| fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(mode));
    chmod("closed.txt", 0).unwrap();
    chmod("shut", 0).unwrap();
    if fs::read(folder.path().join("closed.txt")).is_ok() {
        println!("skipped: this user may read everything");
    } else {
        let (documents, faults) = read(folder.path());
        assert_eq!((documents.len(), faults.len()), (1, 2));
        assert!(
            faults.iter().all(|fault| fault.message.to_lowercase().contains("permission denied")),
            "{faults:?}"
        );
    }
    chmod("shut", 0o700).unwrap();
}

#[test]
fn a_folder_that_cannot_be_read_is_one_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "a.txt", b"x");
    let missing = walk(&folder.path().join("none"), Options::default()).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    assert!(missing.to_string().contains("does not exist"));
    let file = walk(&folder.path().join("a.txt"), Options::default()).unwrap_err();
    assert!(matches!(file, FolderError::NotAFolder(_)));
}
