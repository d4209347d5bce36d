//! Standard gRPC tools: `grpcurl` lists, describes and calls, through the gateway and at every process.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use tidemill_tests::harness::mesh::{Mesh, Wiring};
use tidemill_tests::harness::tools;
use tidemill_tests::in_both_wirings;

in_both_wirings!(grpcurl_lists_describes_and_calls);

async fn grpcurl_lists_describes_and_calls(mesh: Mesh, _: &Path) -> Result<()> {
    let Some(grpcurl) = tools::tool("grpcurl")? else { return Ok(()) };
    let run = |arguments: &[&str]| -> Result<String> {
        let output = Command::new(&grpcurl).arg("-plaintext").args(arguments).output()?;
        ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    };
    let gateway = mesh.url().trim_start_matches("http://").to_owned();
    let listed = run(&[&gateway, "list"])?;
    for part in ["storage", "scheduling", "ingestion", "analysis"] {
        ensure!(listed.contains(&format!("tidemill.{part}.v1.")), "{part} is not in\n{listed}");
    }
    let described = run(&[&gateway, "describe", "tidemill.ingestion.v1.IngestionService.PushDocument"])?;
    ensure!(described.contains("PushDocumentRequest"), "{described}");

    let document = r#"{"document": {"title": "One", "body": "the tide turns"}}"#;
    run(&["-d", document, &gateway, "tidemill.ingestion.v1.IngestionService/PushDocument"])?;
    let counts = run(&[&gateway, "tidemill.storage.v1.ResultService/GetCounts"])?;
    ensure!(counts.contains("\"documents\": \"1\""), "{counts}");

    for (name, address) in mesh.processes().filter(|_| mesh.wiring() == Wiring::ManyProcesses) {
        let health = run(&[address, "grpc.health.v1.Health/Check"])?;
        ensure!(health.contains("SERVING"), "{name}: {health}");
        let listed = run(&[address, "list"])?;
        let own = format!("tidemill.{name}.v1.");
        let only_own =
            listed.lines().filter(|line| line.starts_with("tidemill.")).all(|line| line.starts_with(&own));
        ensure!(name == "gateway" || (only_own && listed.contains(&own)), "{name} lists\n{listed}");
    }
    Ok(())
}
