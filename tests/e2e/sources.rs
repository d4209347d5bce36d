//! Folders and feeds that the mesh reads itself.

use std::path::Path;

use anyhow::{Result, ensure};
use tidemill_tests::harness::mesh::Mesh;
use tidemill_tests::harness::poll;
use tidemill_tests::in_both_wirings;

in_both_wirings!(a_folder_and_a_feed_are_collected_and_analysed);

const FEED: &str = r#"<?xml version="1.0"?>
<rss version="2.0"><channel><title>Tides</title><link>http://tides.example/</link><description>d</description>
<item><title>High water</title><link>/high</link><description>&lt;p&gt;The tide is &lt;b&gt;high&lt;/b&gt;.&lt;/p&gt;</description></item>
<item></item>
</channel></rss>"#;

async fn a_folder_and_a_feed_are_collected_and_analysed(mesh: Mesh, home: &Path) -> Result<()> {
    let folder = home.join("notes");
    std::fs::create_dir(&folder)?;
    std::fs::write(folder.join("a.md"), "# A note\n\nThe tide is low.\n")?;
    std::fs::write(folder.join("b.html"), "<html><body><p>No water here.</p></body></html>")?;
    std::fs::write(home.join("feed.xml"), FEED)?;
    mesh.tidemill(&["query", "add", "tides", "tide"])?;
    mesh.tidemill(&["source", "add", "notes", "--folder", &folder.to_string_lossy()])?;
    mesh.tidemill(&["source", "add", "feed", "--feed", &home.join("feed.xml").to_string_lossy()])?;
    for source in ["notes", "feed"] {
        // The feed has an entry without text: said, and told by the exit code.
        let run = mesh.command(&["source", "run", source])?.output()?;
        let expected = if source == "feed" { 2 } else { 0 };
        ensure!(run.status.code() == Some(expected), "{source}: {run:?}");
    }
    let stored = || async { mesh.counts().ok().filter(|counts| counts.documents == 3) };
    poll::until("three documents", std::time::Duration::from_secs(30), stored).await?;
    let counts = mesh.until_analysed().await?;
    ensure!(counts.matches == 2, "{counts:?}");
    ensure!(mesh.json(&["source", "list"])?.len() == 2, "a source is missing");
    Ok(())
}
