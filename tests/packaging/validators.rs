//! The outside programs that these tests ask, and their answers as JSON.

use std::env;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tidemill_tests::harness::tools::{missing, tool, workspace};

/// The sets of values that the chart is rendered with; `-` is its defaults.
pub(crate) const SETS: [&str; 4] = ["-", "everything", "postgres", "bare"];

/// What `docker/.env` must say, with words in place of passwords.
pub(crate) const SECRETS: [&str; 4] =
    ["POSTGRES_PASSWORD", "POSTGRES_REPLICATION_PASSWORD", "GRAFANA_PASSWORD", "TIDEMILL_OPERATOR_KEY"];

/// The answer of `chart.py`; `None` where its libraries are missing, which has then been said.
pub(crate) fn ask(arguments: &[&str], input: &Value) -> Result<Option<Value>> {
    Ok(run(arguments, &input.to_string())?.map(|text| serde_json::from_str(&text)).transpose()?)
}

/// What `chart.py` prints; `None` as for [`ask`].
pub(crate) fn run(arguments: &[&str], input: &str) -> Result<Option<String>> {
    let folder = env::var_os("TIDEMILL_TOOLS").map_or_else(|| workspace().join(".tools"), PathBuf::from);
    let python = folder.join("venv/bin/python");
    if !python.is_file() {
        missing("charts")?;
        return Ok(None);
    }
    let mut child = Command::new(python)
        .arg("packaging/chart.py")
        .args(arguments)
        .current_dir(workspace().join("tests"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    child.stdin.take().context("it has no input")?.write_all(input.as_bytes())?;
    let Output { status, stdout, stderr } = child.wait_with_output()?;
    if status.code() == Some(3) {
        missing("charts")?;
        return Ok(None);
    }
    ensure!(status.success(), "chart.py {arguments:?}: {}", String::from_utf8_lossy(&stderr));
    Ok(Some(String::from_utf8(stdout)?))
}

/// The chart rendered with each of [`SETS`]: name, and the objects with what was said of them. The first test of a run does
/// it, the others read what it left.
pub(crate) fn rendered() -> Result<Option<Vec<(&'static str, Value)>>> {
    let path = |set: &&str| if *set == "-" { "-".to_owned() } else { format!("packaging/values/{set}.yaml") };
    let paths: Vec<String> = SETS.iter().map(path).collect();
    let arguments: Vec<&str> = std::iter::once("render").chain(paths.iter().map(String::as_str)).collect();
    // The tests of one run; without a runner, those of one process.
    let run = env::var("NEXTEST_RUN_ID").unwrap_or_else(|_| std::process::id().to_string());
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rendered.json");
    let mut file = File::options().create(true).truncate(false).read(true).write(true).open(path)?;
    file.lock()?;
    let mut kept = String::new();
    file.read_to_string(&mut kept)?;
    let answer = match kept.split_once('\n') {
        Some((of, answer)) if of == run => serde_json::from_str(answer)?,
        _ => {
            let Some(answer) = ask(&arguments, &Value::Null)? else { return Ok(None) };
            file.set_len(0)?;
            file.rewind()?;
            write!(file, "{run}\n{answer}")?;
            answer
        }
    };
    let answers = Value::as_array(&answer).context("no list")?.iter().cloned();
    Ok(Some(SETS.into_iter().zip(answers).collect()))
}

/// The objects of one rendered set.
pub(crate) fn objects(set: &Value) -> impl Iterator<Item = &Value> {
    set["objects"].as_array().into_iter().flatten()
}

/// The objects of one kind.
pub(crate) fn kind<'a>(set: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    objects(set).filter(move |object| object["kind"] == kind)
}

/// The Compose file with everything filled in, as Compose itself understands it; `None` without Compose, which has then
/// been said.
pub(crate) fn compose() -> Result<Option<Value>> {
    let Some(output) = compose_with(&SECRETS)? else { return Ok(None) };
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(Some(serde_json::from_slice(&output.stdout)?))
}

/// The same with these of the secrets set, whether it is accepted or not.
pub(crate) fn compose_with(secrets: &[&str]) -> Result<Option<Output>> {
    let Some(compose) = tool("docker-compose")? else { return Ok(None) };
    let mut command = Command::new(compose);
    // Neither the caller's variables nor a filled-in docker/.env.
    command.env_clear().args(["--env-file", "/dev/null", "--profile", "*", "-f", "docker/compose.yaml"]);
    command.args(["config", "--format", "json"]).current_dir(workspace());
    command.envs(secrets.iter().map(|name| (name, "word")));
    Ok(Some(command.output()?))
}
